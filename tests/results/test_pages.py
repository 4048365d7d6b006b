"""The pages of results/: their tables, links, commands and captions, and how plainly they are
written.
"""
import argparse
import importlib
import re
import shlex

import pytest

from results import report
from tests import pages, style
from tests.support import ROOT
from tfisovae import files
from tfisovae.__main__ import parser

INDEX = ROOT / "results" / "README.md"
PAGES = sorted((ROOT / "results").rglob("*.md"))
NAMES = [str(path.relative_to(ROOT / "results")) for path in PAGES]
every_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)


def commands(path):
    """Command lines of the blocks of shell, with numbers and names for what a reader puts in."""
    text = "\n".join(block.text for block in pages.blocks(path.read_text())
                     if block.language == "sh")
    text = re.sub(r"\s+#.*|\\\n|^for .*? do |; done$", " ", text, flags=re.M).replace("SEED", "0")
    return [re.sub(r"\$\w+", "mix", line).strip() for line in re.split(r"&&|\n", text)
            if line.strip()]


def test_the_index_is_short_and_leads_to_every_page():
    assert INDEX.stat().st_size <= 2100
    led_to = {INDEX.parent / target for target in pages.links(INDEX.read_text())}
    assert led_to == set(PAGES) - {INDEX}


@every_page
def test_tables_are_what_the_files_give_now(page):
    text = page.read_text()
    assert text.count("<!-- table") == text.count("<!-- end -->")
    assert report.filled(text, page.parent) == text


@every_page
def test_links_and_pictures_lead_somewhere(page):
    for target in pages.links(page.read_text()):
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in pages.anchors(path.read_text()), target


@every_page
def test_each_picture_has_a_caption_that_says_what_is_seen(page):
    """In words for who does not see it, and in a paragraph in italics below it."""
    paragraphs = re.split(r"\n\s*\n", page.read_text())
    for picture, after in zip(paragraphs, [*paragraphs[1:], ""]):
        if picture.startswith("!["):
            assert len(re.match(r"!\[(.*?)\]\(", picture)[1].split()) >= 3
            assert after.startswith("*") and after.count(". ") + after.count(".\n") >= 1, picture


class Taken(Exception):
    """Raised where a command has understood its options."""


@every_page
def test_commands_are_taken(page, monkeypatch):
    makefile = (ROOT / "Makefile").read_text()
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    parse = argparse.ArgumentParser.parse_args

    def taken(self, *args):
        parse(self, *args)
        raise Taken

    for line in commands(page):
        program, *options = shlex.split(line)
        if program == "make":
            assert re.search(rf"^{options[0]}:", makefile, re.M)
        elif program == "tfisovae" or options[0].startswith(("train/", "eval/")):
            name = options.pop(0)
            if program == "python":
                name, = re.findall(r'main\(\["(\w+)"', (ROOT / name).read_text())
            parser(name).parse_args(options)
        elif program == "python":
            if options[0] == "-m":
                del options[0]
            name = re.sub(r"^benchmarks/(\w+)\.py$", r"\1", options.pop(0))
            with monkeypatch.context() as patched, pytest.raises(Taken):
                patched.setattr(argparse.ArgumentParser, "parse_args", taken)
                importlib.import_module(name).main([part for part in options if part != "..."])
        else:
            assert line.startswith("pip install "), line


@every_page
def test_pages_are_plain(page):
    assert not style.check({page.parent.name: pages.prose(page.read_text())})


def test_the_cost_of_large_latent_spaces_is_that_of_its_file():
    text = (ROOT / "results" / "large" / "latents.md").read_text()
    rows = files.read_json(ROOT / "results" / "large" / "latents.json")["rows"]
    for n, examples in ((4096, 100), (16384, 10)):
        row, = (row for row in rows if row["n"] == n and row["num_examples"] == examples
                and row["method"] == "estimated")
        assert (f"| {n:,} | {examples} | {row['seconds']:.0f} | {row['cpu_seconds']:.0f} | "
                f"{row['peak_mb']:,} | {row['passes']:.0f} |") in text
        assert row["seconds"] < 600 and row["peak_mb"] < 4000 and row["passes"] <= 150
    assert all(row["json_mb"] <= 1 for row in rows)
