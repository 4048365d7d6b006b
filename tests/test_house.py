"""The house: imports run one way, each part of the package has its place, every folder of tests is
a folder of the package.
"""
import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "tfisovae"

# The one list of the house: the parts of the package, in order. Each imports only from parts before
# it.
HOUSE = ("version", "_autograph", "_keras", "progress", "files", "arguments", "theory",
         "distortions", "verdict", "sources", "autoencoder", "networks", "geometry", "metrics",
         "density", "analysis", "codec", "callbacks", "show", "vae", "training", "commands",
         "__main__")
WITHOUT_TENSORFLOW = {
    "progress", "theory", "files", "arguments", "verdict", "geometry/estimated",
    "geometry/flatness", "geometry/monotone", "analysis/rate_distortion", "analysis/spatial",
    "codec/breakdown", "codec/claims", "codec/coder", "codec/container", "codec/directory",
    "codec/entropy", "codec/quantizer"
}


def imported(path):
    """The parts of the package that a file imports anywhere, in functions too, and names of modules
    outside of it.
    """
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [
                f"{node.module}.{alias.name}" if node.module == "tfisovae" else node.module
                for alias in node.names
            ]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            (inside if first == "tfisovae" else
             outside).add(rest.partition(".")[0] if first == "tfisovae" else first)
    # A public name of the package stands for the part that defines it.
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    homes = {alias.name: node.module.partition(".")[0] for node in stub.body if node.module
             for alias in node.names}
    return {homes.get(name, name) for name in inside} - {""}, outside


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    inside, outside = imported(path)
    own = part(path)
    assert own in HOUSE, f"{own} has no place in the house"
    for other in inside - {own}:
        assert other in HOUSE, f"{other} has no place in the house"
        assert HOUSE.index(other) < HOUSE.index(own), f"{own} comes before {other} in the house"
    assert not outside & {"train", "eval", "results", "tests", "benchmarks"}
    if own != "show":
        assert "matplotlib" not in outside
    if own != "sources":
        assert "tensorflow_datasets" not in outside
    if own != "networks":
        assert "tensorflow_compression" not in outside
    if not WITHOUT_TENSORFLOW.isdisjoint({own, str(path.relative_to(PACKAGE).with_suffix(""))}):
        assert "tensorflow" not in outside


def test_the_list_is_the_listing():
    listing = {
        path.name.removesuffix(".py")
        for path in PACKAGE.iterdir() if path.suffix == ".py" or path.is_dir()
    }
    assert listing - {"__init__", "__pycache__"} == set(HOUSE)


def test_the_page_on_design_repeats_the_list():
    text = (ROOT / "docs" / "design.md").read_text()
    table = re.search(r"\| part \| what it holds \|\n\| --- \| --- \|\n(.*?)\n\n", text, re.S)[1]
    assert HOUSE == tuple(name for row in table.splitlines()
                          for name in re.findall(r"`(\w+)/?`", row.split("|")[1]))


def test_tests_have_the_folders_of_the_package():
    folders = {path.name
               for path in (ROOT / "tests").iterdir()
               if path.is_dir()} - {"__pycache__", "data", "results"}
    assert folders <= set(HOUSE)


def test_nothing_edits_the_path_and_no_test_imports_a_test():
    for folder in ("tfisovae", "train", "eval", "results", "tests"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert "sys.path" not in text or path == pathlib.Path(__file__), path
            assert not re.search(r"^\s*(from|import) (tests\.)?([a-z_.]*\.)?(test_|conftest)", text,
                                 re.MULTILINE), path


def test_the_library_speaks_of_arguments():
    """Options, which have dashes, are the command line's alone."""
    for path in FILES:
        if part(path) not in ("commands", "__main__"):
            found = re.findall(r"(?<![\w-])--[a-z]\w+", path.read_text())
            assert not found, f"{path.relative_to(ROOT)} speaks of {', '.join(found)}"
