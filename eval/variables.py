#!/usr/bin/env python
"""`tfisovae variables`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["variables", *sys.argv[1:]])
