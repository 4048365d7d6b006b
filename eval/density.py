#!/usr/bin/env python
"""`tfisovae density`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["density", *sys.argv[1:]])
