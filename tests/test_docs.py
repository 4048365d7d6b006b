"""The README and docs/: their code runs and prints what they show, their commands are taken, their
links lead somewhere, their tables are those of results/.
"""
import ast
import importlib
import importlib.util
import pathlib
import pkgutil
import re
import shlex
import shutil
import subprocess

import numpy as np
import pytest

import tfisovae
from results import figures_docs, report
from tests import pages
from tfisovae import files
from tfisovae.__main__ import parser
from tfisovae.verdict import words
from tfisovae.verdict.states import IsometryState, State

ROOT, PAGES = pages.ROOT, {str(path.relative_to(pages.ROOT)): path for path in pages.PAGES}
SLOW = ("docs/train.md", "docs/large-latents.md")  # the code of the others takes 2 to 4 CPU seconds
MODULES = [info.name for info in pkgutil.walk_packages(tfisovae.__path__, "tfisovae.")
           if info.name != "tfisovae.__main__"]
every_page = pytest.mark.parametrize("name", PAGES)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else [])
    for name, path in PAGES.items() if "```python" in path.read_text()])
def test_code_runs_and_prints_what_is_shown(name, tmp_path, monkeypatch, request):
    """In order, in one namespace for each page, in a directory with results/ and examples/."""
    text = PAGES[name].read_text()
    for folder in ("results", "examples"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    found = pages.printed(text)
    if request.config.getoption("update_pages"):
        files.write_text(PAGES[name], pages.with_printed(text, found))
    else:
        for block, said in found:
            assert pages.same(block.text, said), f"shown:\n{block.text}\nprinted:\n{said}"


COMMANDS = sorted({command for path in PAGES.values()
                   for command in pages.commands(path.read_text())})


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_taken(command):
    program, *options = shlex.split(command)
    if program == "python" and options[0] == "-m":
        assert importlib.import_module(options[1]).parser().parse_args(options[2:])
        return
    if program == "python":
        shim = (ROOT / options.pop(0)).read_text()
        name, = re.findall(r'main\(\["(\w+)"', shim)
    else:
        name = options.pop(0)
    args = parser(name).parse_args(options)
    module = importlib.import_module(f"tfisovae.commands.{name}")
    if hasattr(module, "resolve"):
        assert module.resolve(args).get("lmbda", 1) > 0


def test_there_are_commands_of_every_kind():
    named = {command.split()[1] for command in COMMANDS}
    assert named >= {"audit", "isometry", "density", "traverse", "prune", "report", "compare",
                     "compress", "decompress", "rate", "train/toy.py", "train/celeba.py",
                     "train/mnist.py", "eval/isometry.py"}
    makefile = (ROOT / "Makefile").read_text()
    targets = {target for path in PAGES.values()
               for target in re.findall(r"(?:^|`)make ([a-z]\w*(?:-\w+)?)", path.read_text(),
                                        re.M)}
    assert {"run", "test"} <= targets
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in targets), targets


@every_page
def test_links_lead_somewhere(name):
    """Files and headings, relative to the page."""
    text = PAGES[name].read_text()
    for target in pages.links(text):
        path, _, anchor = target.partition("#")
        found = PAGES[name].parent / path if path else PAGES[name]
        assert found.exists(), target
        assert not anchor or anchor in pages.anchors(found.read_text()), target


@every_page
def test_tables_are_those_of_the_results(name):
    """Every marked table is what results/tables.py makes of results/ now."""
    text = PAGES[name].read_text()
    assert text.count("<!-- table") == text.count("<!-- end -->")
    assert report.filled(text, PAGES[name].parent) == text


def test_every_page_is_in_the_site_and_in_the_readme():
    site, readme = (ROOT / "mkdocs.yml").read_text(), (ROOT / "README.md").read_text()
    for name in PAGES:
        if name.startswith("docs/"):
            assert f" {name.removeprefix('docs/')}\n" in site, name
            assert name in ("docs/index.md",) or f"]({name})" in readme, name


@pytest.mark.slow
def test_the_site_is_built(tmp_path):
    """Where MkDocs is installed: `pip install .[docs]`. Every warning is an error."""
    mkdocs = shutil.which("mkdocs")
    if not mkdocs:
        pytest.skip("MkDocs is not installed")
    done = subprocess.run([mkdocs, "build", "--strict", "--site-dir", str(tmp_path / "site")],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "api" / "index.html").read_text().count("doc-heading") > 20
    home = (tmp_path / "site" / "index.html").read_text()
    picture, = re.findall(r'src="(repository/results/[^"]+png)"', home)
    assert (tmp_path / "site" / picture).is_file()


def test_the_map_from_the_paper_names_what_there_is():
    """Every `module.name` of its right column, as `import tfisovae` gives it; every script of
    eval/, train/ and results/.
    """
    text = (ROOT / "docs" / "paper-to-code.md").read_text()
    table = re.search(r"\| paper \| code \|\n(.*?)\n\n", text, re.S)[1]
    right = [line.split("|")[2] for line in table.splitlines()[1:]]
    names = [name for cell in right for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) > 50
    before = "tfisovae"
    for name in names:
        if "/" in name:
            assert (ROOT / name).exists(), name
        elif "*" not in name and not name.startswith("."):  # of every distortion
            # `networks.toy`, `celeba`: the second is in the module that the first names.
            assert is_there(f"tfisovae.{name}") or is_there(f"{before}.{name}"), name
            if "." in name:
                before = f"tfisovae.{name}".rpartition(".")[0]


def is_there(path):
    """Whether a dotted path is a module, something in one, or a field of a dataclass in one."""
    owner, _, last = path.rpartition(".")
    try:
        owner = pkgutil.resolve_name(owner)
    except (ImportError, AttributeError):
        return False
    if hasattr(owner, last) or last in getattr(owner, "__dataclass_fields__", {}):
        return True
    return hasattr(owner, "__path__") and (
        importlib.util.find_spec(f"{owner.__name__}.{last}") is not None)


def names_in_docstrings():
    """`(module, name)` of every dotted name in backticks, but for names of files."""
    for module in MODULES:
        path = pathlib.Path(importlib.util.find_spec(module).origin)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                for name in re.findall(r"`(\w+(?:\.\w+)+)[`(]", ast.get_docstring(node) or ""):
                    if not re.search(r"\.(json|png|csv|html|npz|uint8)$", name):
                        yield module, name


def test_names_in_docstrings_exist():
    """Of tfisovae, of one of its modules, or of one of its classes; instances have the name of the
    class in small letters. Names that begin with anything else are not ours.
    """
    found = list(names_in_docstrings())
    owners = {}
    for module in MODULES:
        owners.setdefault(module.rpartition(".")[2], set()).add(module)
        for name, one in vars(importlib.import_module(module)).items():
            if isinstance(one, type) and one.__module__.startswith("tfisovae."):
                owners.setdefault(name.lower(), set()).add(f"{one.__module__}.{name}")
    dead = []
    for module, name in found:
        first, _, rest = name.partition(".")
        if first == "tfisovae":
            dead += [] if is_there(name) else [(module, name)]
        elif first.lower() in owners:
            places = owners[first.lower()] | {f"tfisovae.{first}"}
            dead += [] if any(is_there(f"{at}.{rest}") for at in places) else [(module, name)]
    assert len(found) > 100 and not dead


def test_the_page_of_the_api_has_every_public_name(request):
    path = ROOT / "docs" / "api.md"
    text = path.read_text()
    if request.config.getoption("update_pages"):
        files.write_text(path, pages.with_api(text))
    else:
        assert pages.with_api(text) == text, "pytest tests/test_docs.py --update-pages writes it"


def test_pictures_are_made_by_one_command(tmp_path):
    """And are small."""
    figures_docs.main(["--out", str(tmp_path)])
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    assert all(path.stat().st_size < 60_000 for path in (ROOT / "docs" / "pictures").iterdir())
    shown = "".join(path.read_text() for path in PAGES.values())
    assert all(f"(pictures/{name})" in shown for name in drawn)


def test_numbers_on_the_pages_come_from_files_and_closed_forms():
    """Those that no table fills: of limits, and of a circle, where theory is too high."""
    limits = (ROOT / "docs" / "limits.md").read_text()
    numbers = (ROOT / "docs" / "read-the-numbers.md").read_text()
    importance, cost = figures_docs.circle()["circle"]
    assert f"importance is {importance / cost:.1f} times too high" in numbers
    for path, said in (("mnist/probed", "gain {:.1f} nats"),
                       ("toy/recipe-sse-seed0", "gain {:.4f} nats")):
        verdict = files.read_json(ROOT / "results" / path / "isometry.json")["verdict"]
        gain = next(gain for gain in verdict["gains"] if gain["kind"] == "doubling")
        assert said.format(gain["value"]) in limits
        assert verdict["margin"] == 0.1 or f"margin of {verdict['margin']:.2f}" in limits
    lower = np.subtract(*(float((ROOT / "results" / "mnist" / run / "history.csv").read_text()
                                .split()[-1].split(",")[1]) for run in ("probed", "cosine-n32")))
    assert f"ends {lower:.1f} nats lower" in limits
    verdicts = ROOT / "results" / "verdict"
    doubled = files.read_json(verdicts / "faces-5000-steps-doubled.json")
    gain, margin = doubled["probes"][0]["gain"], doubled["verdict"]["margin"]
    assert f"[{gain:.1f} nats]" in limits
    assert f"{gain / margin:.0f} times the margin of {margin:.2f} nats" in limits
    probe, = files.read_json(verdicts / "faces-decomposed-1000-steps.json")["probes"]
    assert f"{-probe['gain']:.2f} +- {probe['standard_error']:.2f} nats above" in limits
    faces = (ROOT / "results" / "faces" / "README.md").read_text()
    ours, theirs = (re.search(rf"^\| {row}.*", faces, re.M)[0].split(" | ") for row in (
        "ours, conventional", "paper, Fig. 4"))
    assert f"norms are {float(ours[5].split(' +- ')[0]):.2f} times" in numbers
    assert f"norms of {theirs[2]} on CelebA" in numbers


def test_the_page_on_numbers_has_every_state():
    text = (ROOT / "docs" / "read-the-numbers.md").read_text()
    for kind, heading in ((State, "Has training converged?"),
                          (IsometryState, "Is the embedding isometric?")):
        section = text[text.index(heading):].split("\n## ")[0]
        named = set(re.findall(r"^\| ([\w ]+?) \|", section, re.M))
        assert {words.LABELS[state] for state in kind} <= named
