#!/usr/bin/env python
"""`tfisovae report`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["report", *sys.argv[1:]])
