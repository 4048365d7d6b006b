"""The README and docs/: their blocks of code, what these print, their links and commands.

A ```text block that follows a ```python block is what that block prints. Numbers may differ by
2 %, words may not. `pytest tests/test_docs.py --update-pages` writes what is printed now.
"""
import contextlib
import importlib
import inspect
import io
import itertools
import pathlib
import re
import warnings
from typing import NamedTuple

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TOLERANCE = 0.02  # relative, of a number that is printed
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d[\d,]*)?\.?\d+(?:e[-+]?\d+)?")
_COMMAND = re.compile(r"(?:python (?:train|eval)/|python -m results\.|tfisovae )\w+.*?(?= +#|$)")


class Block(NamedTuple):
    """A block of code of a page: its language, its text, and where the text is in the page."""

    language: str
    text: str
    start: int
    end: int


def blocks(page):
    """All `Block`s of the text of a page."""
    return [Block(found[1], found[2], found.start(2), found.end(2))
            for found in _FENCE.finditer(page)]


def printed(page):
    """Runs the Python blocks of a page in order, in one namespace.

    Returns:
      list of (`Block` that shows what is printed, what was printed).
    """
    scope, found = {"__name__": "__main__"}, []
    for block, after in itertools.zip_longest(blocks(page), blocks(page)[1:]):
        if block.language != "python":
            continue
        out = io.StringIO()
        with contextlib.redirect_stdout(out), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exec(compile(block.text, "a block of a page", "exec"), scope)
        between = page[block.end:after.start] if after else ""
        if between.strip("`\n") == "text":
            found.append((after, out.getvalue()))
    return found


def with_printed(page, found):
    """The text of a page that shows what its blocks print."""
    for block, text in reversed(found):
        if not same(block.text, text):
            page = page[:block.start] + text.rstrip("\n") + "\n" + page[block.end:]
    return page


def same(shown, text):
    """Whether two texts have the same words, and numbers that differ by at most `TOLERANCE`, or by
    two units of the last digit shown.
    """
    words = [_NUMBER.sub("#", " ".join(one.split())) for one in (shown, text)]
    return words[0] == words[1] and all(
        abs(number(a) - number(b)) <= max(TOLERANCE * abs(number(a)), 2.01 * unit(a))
        for a, b in zip(*(_NUMBER.findall(one) for one in (shown, text))))


def number(digits):
    return float(digits.replace(",", ""))


def unit(digits):
    """One unit of the last digit of a number in text."""
    mantissa, _, exponent = digits.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def commands(page):
    """The command lines of a page's ```sh blocks that start a command of this package."""
    lines = "".join(block.text for block in blocks(page) if block.language == "sh").splitlines()
    return [found[0] for line in lines if (found := _COMMAND.match(line.strip()))]


def prose(page):
    """The text of a page without code, tables, pictures, comments and headings."""
    page = re.sub(r"<!-- table .*?<!-- end -->|<!--.*?-->", "", _FENCE.sub("\n", page), flags=re.S)
    page = re.sub(r"!\[[^]]*\]\([^)]*\)", "", page)
    page = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", page)
    lines = [line for line in page.splitlines()
             if not re.match(r"\s*(\||#|    |:::)", line)]
    return re.sub(r"`[^`]*`", "X", "\n".join(lines))


def links(page):
    """The targets of the links and pictures of a page that lead to files or headings."""
    text = re.sub(r"`[^`]*`", "", _FENCE.sub("", page))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in found if not re.match(r"https?:|mailto:", target)]


def anchors(page):
    """The anchors of the headings of a page, as a forge and MkDocs make them."""
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.replace("`", "").strip().lower()))
            for heading in re.findall(r"^#+ (.*)$", _FENCE.sub("", page), re.M)}


API = ("tfisovae", "tfisovae.distortions", "tfisovae.density", "tfisovae.geometry",
       "tfisovae.metrics", "tfisovae.callbacks", "tfisovae.networks", "tfisovae.sources",
       "tfisovae.theory")


def kinds_of_models():
    """`(name, column, cell)` of every name in backticks in the table of docs/models-and-data.md:
    what takes another prior, a full covariance, or a condition.
    """
    section = (ROOT / "docs" / "models-and-data.md").read_text().split("## Another prior")[1]
    header, _, *rows = ([cell.strip() for cell in row.split("|")] for row in re.findall(
        r"^\|(.*)\|$", section.split("\n## ")[0], re.M))
    columns = [re.sub(r"\[(\w+)\]\(.*\)", r"\1", name) for name in header[1:]]
    for first, *rest in rows:
        for name in re.findall(r"`(\w+)`", first):
            for column, cell in zip(columns, rest, strict=True):
                yield name, column, cell


def api():
    """The tables of docs/api.md: every public name, its source, and the first line of its
    docstring.
    """
    made = []
    for name in API:
        module = importlib.import_module(name)
        rows = []
        for public in sorted(module.__all__, key=str.lower):
            thing = getattr(module, public)
            if inspect.ismodule(thing) or not callable(thing):
                continue
            source = pathlib.Path(inspect.getsourcefile(thing)).relative_to(ROOT)
            first = " ".join(inspect.getdoc(thing).split("\n\n")[0].split())
            first = first.replace("|", "\\|")
            rows.append(f"| [`{name}.{public}`](../{source}) | {first} |")
        about = " ".join(inspect.getdoc(module).split("\n\n")[0].split())
        made.append(f"## {name}\n\n{about}\n\n| name | |\n| --- | --- |\n" + "\n".join(rows))
    return "\n\n".join(made)


def with_api(page):
    """The text of docs/api.md with `api()` between its marks."""
    start, end = "<!-- api -->\n", "<!-- end of api -->"
    return page[:page.index(start) + len(start)] + f"\n{api()}\n\n" + page[page.index(end):]
