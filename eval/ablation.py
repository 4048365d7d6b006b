#!/usr/bin/env python
"""`tfisovae measure_ablation`, from the repository."""
import sys

from tfisovae.__main__ import main

if __name__ == "__main__":
    main(["measure_ablation", *sys.argv[1:]])
