"""Fill the tables of Markdown files from results/: the text between `<!-- table NAME
DIRECTORY... -->` and `<!-- end -->`.

    python -m results.report README.md results/*/*.md
"""
import argparse
import glob
import os
import re
import sys

from results import tables
from tfisovae import files

_BLOCK = re.compile(r"(<!-- table (\w+) (.+?) -->\n).*?(<!-- end -->)", re.S)


def filled(text, directory):
    """`text` with every marked table filled again; names of directories, which may have `*`, are
    relative to `directory`.
    """
    def fill(match):
        start, name, patterns, end = match.groups()
        if name not in tables.TABLES:
            raise ValueError(
                f"Unknown table {name!r}; there are {', '.join(map(repr, tables.TABLES))}.")
        paths = [
            path for pattern in patterns.split()
            for path in sorted(glob.glob(os.path.join(directory, pattern)))
        ]
        if not paths:
            raise FileNotFoundError(f"no directory matches {patterns}")
        made = tables.TABLES[name](paths)
        if made is None:
            raise ValueError(f"the table {name!r} is not of the data of {patterns}")
        return f"{start}\n{made}\n\n{end}"

    return _BLOCK.sub(fill, text)


def main(argv=None):
    p = argparse.ArgumentParser(prog="python -m results.report", description=__doc__)
    p.add_argument("files", nargs="+", help="Markdown files, rewritten in place")
    args = p.parse_args(argv)
    for path in args.files:
        try:
            with open(path) as file:
                text = filled(file.read(), os.path.dirname(os.path.abspath(path)))
            files.write_text(path, text)
        except (OSError, ValueError) as error:
            sys.exit(f"{p.prog}: {path}: {error}")
        print(f"{path}: {len(_BLOCK.findall(text))} tables")


if __name__ == "__main__":
    main()
