#!/usr/bin/env python
"""`tfisovae traverse`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["traverse", *sys.argv[1:]])
