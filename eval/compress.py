#!/usr/bin/env python
"""`tfisovae compress`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["compress", *sys.argv[1:]])
