"""The words of the package are plain English: few hard turns, short sentences.

`python -m tests.test_words [FOLDER ...]` prints the counts, and the longest sentences with -v.
"""
import ast
import collections
import io
import json
import pathlib
import re
import sys
import tokenize

import pytest

from tests import style

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "tfisovae"
# Short entries of lists make the mean sentence short, so that turns count more here than in pages.
TURNS = re.compile(r"\b(" + "|".join((*style.TURNS, "of whom", "was said", "were said", "stand",
                                      "besides", "told", "spreads?"))
                   + r")\b", re.IGNORECASE)
KINDS = ("messages", "docstrings", "comments")
_DIRECTIVES = re.compile(r"#\s*(noqa|type:|pragma|ruff:|fmt:|!)")


def texts(path):
    """The texts of a Python file that people read: `{kind: [text]}`."""
    source = path.read_text()
    tree, found = ast.parse(source), {kind: [] for kind in KINDS}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring:
                found["docstrings"].append(docstring)
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)
             for part in ast.walk(node) if part is not node}
    documented = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if id(node) in inner or id(node) in documented:
            continue
        text = _text(node)
        if text and len(re.findall(r"[A-Za-z]{2,}", text)) >= 4 and " " in text:
            found["messages"].append(text)
    found["comments"] = list(_comments(source))
    return found


def _text(node):
    """A string as a reader sees it, with `N` for what is put in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "N"
                       for part in node.values)
    return ""


def _comments(source):
    """Comments on lines that follow each other are one text."""
    block, last = [], None
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or _DIRECTIVES.match(token.string):
            continue
        alone = token.line.strip() == token.string
        if block and not (alone and last == token.start[0] - 1):
            yield " ".join(block)
            block = []
        block.append(token.string.lstrip("#: ").strip())
        last = token.start[0] if alone else None
    if block:
        yield " ".join(block)


def sentences(text):
    """The sentences of a text; the entries of a list, and of Args, are sentences of their own."""
    text = re.sub(r"(?m)^\s*(>>>|\.\.\.).*$", "\n\n", text)
    text = re.sub(r"(?m)^    +[^a-z\n]*=[^.\n]*$", "\n\n", text)  # equations on their own line
    text = re.sub(r"(?m)^\s*(Args|Returns|Raises|Attributes|Yields):\s*$", "\n\n", text)
    text = re.sub(r"(?m)^(\s+|(?<=\. ))\**[`\w]+(, \**[`\w]+)*: ", "\n\n", text)
    text = re.sub(r"``.*?``|`[^`]*`", "N", text)
    for part in re.split(r"\n\s*\n|(?<=[.!?])\s+|\n\s*- ", text):
        words = re.findall(r"[A-Za-z][\w'-]*", part)
        if words:
            yield part, len(words)


def counts(read):
    """`(words, turns, sentences)` of texts."""
    found = [(part, number) for text in read for part, number in sentences(text)]
    turns = [turn.lower() for part, _ in found for turn in TURNS.findall(part)]
    return sum(number for _, number in found), turns, found


def files(*folders):
    return [path for folder in folders for path in
            ([folder] if folder.is_file() else sorted(folder.rglob("*.py")))]


def of_files(paths):
    found = {kind: [] for kind in KINDS}
    for path in paths:
        for kind, read in texts(path).items():
            found[kind] += read
    return found


def _templates():
    """The words between the tags of the pages' templates."""
    for path in sorted((PACKAGE / "show" / "templates").iterdir()):
        if path.suffix == ".html":
            yield re.sub(r"\n?<[^>]*>", "\n\n", path.read_text())


def _refusals():
    """Messages of tfisovae as tests see them."""
    return [said for found in json.loads((ROOT / "tests" / "messages.json").read_text()).values()
            for said in found]


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_plain(kind):
    read = of_files(files(PACKAGE))[kind]
    if kind == "messages":
        read += _templates()
    words, turns, found = counts(read)
    assert words > 10_000 if kind != "comments" else words > 1000
    assert 1000 * len(turns) / words <= style.MOST_TURNS, collections.Counter(turns)
    assert words / len(found) <= style.MOST_WORDS


def test_refusals_are_plain():
    words, turns, found = counts(set(_refusals()))
    assert 1000 * len(turns) / words <= style.MOST_TURNS, collections.Counter(turns)
    assert words / len(found) <= style.MOST_WORDS


def main(arguments):
    verbose = "-v" in arguments
    folders = [ROOT / name for name in arguments if name != "-v"] or [PACKAGE]
    for kind, read in of_files(files(*folders)).items():
        words, turns, found = counts(read)
        print(f"{kind:<10} {words:6d} words, {1000 * len(turns) / max(1, words):5.2f} turns per "
              f"1,000, {words / max(1, len(found)):5.1f} words a sentence")
        print("          ", dict(collections.Counter(turns).most_common()))
        if verbose:
            for part, number in sorted(found, key=lambda one: -one[1])[:30]:
                print(f"  {number}: {' '.join(part.split())}")


if __name__ == "__main__":
    main(sys.argv[1:])
