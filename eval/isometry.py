#!/usr/bin/env python
"""`tfisovae isometry`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["isometry", *sys.argv[1:]])
