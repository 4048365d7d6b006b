#!/usr/bin/env python
"""`tfisovae prune`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["prune", *sys.argv[1:]])
