#!/usr/bin/env python
"""`tfisovae rate`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["rate", *sys.argv[1:]])
