#!/usr/bin/env python
"""`tfisovae all`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["all", *sys.argv[1:]])
