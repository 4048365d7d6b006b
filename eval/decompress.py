#!/usr/bin/env python
"""`tfisovae decompress`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["decompress", *sys.argv[1:]])
