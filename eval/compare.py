#!/usr/bin/env python
"""`tfisovae compare`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["compare", *sys.argv[1:]])
