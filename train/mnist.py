#!/usr/bin/env python
"""`tfisovae mnist`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["mnist", *sys.argv[1:]])
