#!/usr/bin/env python
"""`tfisovae toy`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["toy", *sys.argv[1:]])
