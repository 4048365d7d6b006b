#!/usr/bin/env python
"""`tfisovae audit`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["audit", *sys.argv[1:]])
