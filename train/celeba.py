#!/usr/bin/env python
"""`tfisovae celeba`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["celeba", *sys.argv[1:]])
