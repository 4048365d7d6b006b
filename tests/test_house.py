"""The house: imports run one way, no script knows another by its bare name, every module is found where the README says."""
import ast
import pathlib
import re

import pytest

import tfisovae

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "tfisovae"

# Floors of the house, from the ground up: a module imports those below its own floor, or beside it where they are listed before it.
FLOORS = (
    ("version", "files", "history", "distortion", "distortions", "posterior", "theory", "examples", "gradients", "outputs",
     "adapters", "significance", "monotone", "averages", "ledger", "baselines"),
    ("autoencoder",),
    ("geometry", "isometric", "flatness", "measurement", "streaming", "inspection", "stationarity"),
    ("metrics", "density", "objectives", "balance", "traversals", "codec"),
    ("verdict", "embedding", "findings", "statement", "conditions", "accounting", "analysis", "scree", "selection", "rate",
     "figures", "figures_rate", "report"),
    ("coders", "networks", "optimizers", "steps", "resident", "saving", "slicing", "monitor", "callbacks"),
    ("trainable", "vae", "pruning", "standardizing"),
    ("sources",),
    ("training",),
    ("commands",),
    ("__main__",),
)
WITHOUT_TENSORFLOW = {
    "theory", "files", "verdict", "embedding", "findings", "significance", "flatness", "accounting", "monotone", "ledger",
    "statement", "codec/container", "codec/directory", "codec/quantizer"}
HEIGHT = {name: (floor, place) for floor, names in enumerate(FLOORS) for place, name in enumerate(names)}


def imported(path):
    """The parts of the package that a file imports anywhere, in functions too, and names of modules outside of it."""
    inside, outside = set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" if node.module == "tfisovae" else node.module for alias in node.names]
        else:
            continue
        for name in names:
            first, _, rest = name.partition(".")
            (inside if first == "tfisovae" else outside).add(rest.partition(".")[0] if first == "tfisovae" else first)
    homes = {**tfisovae._HOME, "": "__init__"}
    return {homes.get(name, name) for name in inside} - {"__init__", "version"}, outside


def part(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path != PACKAGE / "__init__.py"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    inside, outside = imported(path)
    own = part(path)
    assert own in HEIGHT, f"{own} has no place in the house"
    for other in inside - {own}:
        assert HEIGHT[other] < HEIGHT[own], f"{path.relative_to(ROOT)} imports {other}, which stands above it"
    assert not outside & {"train", "eval", "results", "tests", "benchmarks"}
    if own not in ("figures", "figures_rate"):
        assert "matplotlib" not in outside
    if own != "sources":
        assert "tensorflow_datasets" not in outside
    if str(path.relative_to(PACKAGE).with_suffix("")) in WITHOUT_TENSORFLOW:
        assert "tensorflow" not in outside


def test_nothing_edits_the_path_or_imports_a_neighbour_by_its_bare_name():
    for folder in ("tfisovae", "train", "eval", "results", "tests"):
        neighbours = {path.stem for path in (ROOT / folder).glob("*.py")} - {"conftest", "test_training", "test_distribution"}
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert "sys.path" not in text or path == pathlib.Path(__file__), path
            assert not imported(path)[1] & neighbours, path


def test_the_library_speaks_of_arguments():
    """Options, which have dashes, are the command line's alone."""
    for path in FILES:
        if part(path) not in ("commands", "__main__"):
            found = re.findall(r"(?<![\w-])--[a-z]\w+", path.read_text())
            assert not found, f"{path.relative_to(ROOT)} speaks of {', '.join(found)}"
