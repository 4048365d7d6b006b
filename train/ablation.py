#!/usr/bin/env python
"""`tfisovae ablation`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["ablation", *sys.argv[1:]])
