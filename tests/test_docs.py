"""The README and docs/: their code runs and prints what they show, their commands are taken, their
links lead somewhere, their tables are those of results/.
"""
import importlib
import os
import re
import shlex
import shutil
import subprocess

import pytest

from results import report
from tests import pages
from tfisovae import files
from tfisovae.__main__ import parser

ROOT, PAGES = pages.ROOT, {str(path.relative_to(pages.ROOT)): path for path in pages.PAGES}
every_page = pytest.mark.parametrize("name", PAGES)


@pytest.mark.parametrize("name", [name for name, path in PAGES.items()
                                  if "```python" in path.read_text()])
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
                     "compress", "decompress", "rate", "toy", "celeba", "mnist"}
    makefile = (ROOT / "Makefile").read_text()
    targets = {target for path in PAGES.values()
               for target in re.findall(r"\bmake ([a-z]\w*(?:-\w+)?)(?=`|$| )",
                                        path.read_text(), re.M)}
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
    mkdocs = os.environ.get("TFISOVAE_MKDOCS") or shutil.which("mkdocs")
    if not mkdocs:
        pytest.skip("MkDocs is not installed")
    done = subprocess.run([mkdocs, "build", "--strict", "--site-dir", str(tmp_path / "site")],
                          cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "api" / "index.html").read_text().count("doc-heading") > 20
