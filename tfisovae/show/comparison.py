"""Several measurements side by side on one page: verdicts, numbers and charts, each kind in a row,
one column for each.
"""
import dataclasses
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfisovae.show import norms, tiles
from tfisovae.show.contents import Contents, number
from tfisovae.show.density import density
from tfisovae.show.drawing import Inline
from tfisovae.show.importance import importance
from tfisovae.show.page import facts, fitted, headline, subtitle
from tfisovae.verdict.words import lines

_SECTIONS = (("verdicts", "Verdicts"), ("numbers", "Numbers"), ("scree", "Importance"),
             ("norms", "Lengths"), ("densities", "Densities"), ("traversals", "Traversals"),
             ("reconstructions", "Reconstructions"), ("glossary", "Glossary"))
_WALKS, _EXAMPLES = 5, 6  # rows of traversals, and reconstructions, of each


@dataclasses.dataclass(frozen=True)
class Column:
    """One of the measurements of a page.

    Attributes:
      contents: `Contents`, whose title heads the column.
      href: link to its full report, relative to the page; empty if there is none.
    """

    contents: Contents
    href: str = ""


def render_beside(columns: Sequence[Column], title: str) -> str:
    """The page, HTML of less than `LIMIT` bytes.

    Args:
      columns: `Column`, at least one.
      title: of the page.

    Raises:
      ValueError: without a column, or if the page is too large even without a picture.
    """
    if not columns:
        raise ValueError("There is nothing to show side by side; give one measurement or more.")
    drawn, share = [_column(one, place) for place, one in enumerate(columns)], len(columns)
    table = numbers([one.contents for one in columns])
    return fitted("beside.html", lambda budget: {
        "title": title, "sections": _SECTIONS, "numbers": table, "threshold": _threshold(columns),
        "columns": [{**made, **_decoded(one.contents, budget // share)}
                    for made, one in zip(drawn, columns)]
    })


def _threshold(columns):
    """The least KL of an active dimension, nats, for the glossary."""
    values = dict.fromkeys(one.contents.measured.scalar("active_threshold") for one in columns)
    known = [value for value in values if np.isfinite(value)]
    return ", ".join(number(value, 1) for value in known) or number(math.nan)


def _column(one: Column, place: int) -> dict[str, Any]:
    """The template's data for one measurement, without decoded pictures."""
    contents = one.contents
    return {
        "title": contents.title, "href": one.href, "of": f"{place}-",
        "subtitle": subtitle(contents), "training": training(contents), "notes": contents.notes,
        "headline": headline(contents), "verdict": lines(contents.verdict),
        "scree": [narrow(made) for made in importance(contents)[:1]],
        "norms": narrow(norms.norms_of(contents.measured)), "density": narrow(density(contents))
    }


def _decoded(contents: Contents, budget: int) -> dict[str, Any]:
    """The template's decoded pictures, of at most `budget` bytes."""
    # More would need room, and make these less sharp.
    moved = contents.traversals and contents.traversals.leading(_WALKS)
    contents = dataclasses.replace(contents, traversals=moved)
    examples = tiles.reconstructed(contents, budget // 4)
    return {"walks": tiles.walks(contents, budget - budget // 4)[0],
            "examples": examples["examples"][:_EXAMPLES] if examples else []}


def narrow(made: Inline | None) -> Inline | None:
    """A picture drawn only at the width of a column."""
    return made and dataclasses.replace(made, half=True)


def training(contents: Contents) -> str:
    """A line about the training, from the manifest."""
    manifest = contents.manifest
    steps, batch, data = (manifest.get(name) for name in ("steps", "batch_size", "data"))
    said = f"trained for {steps:,} steps" if isinstance(steps, int) else ""
    said += f" of {batch} examples" if said and isinstance(batch, int) else ""
    return said + (f" on {os.path.basename(data)}" if said and isinstance(data, str) else "")


def numbers(contents: Sequence[Contents]) -> dict[str, Any]:
    """The facts of all measurements as a table of text: a row for each fact, a column for each
    measurement.
    """
    found = [{fact["name"]: (fact["value"], fact["more"])
              for fact in facts(one)} for one in contents]
    names = list(dict.fromkeys(name for one in found for name in one))
    rows = []
    for name in names:
        cells = [one.get(name, ("not measured", "")) for one in found]
        rows.append([name, *(f"{value} ({more})" if more else value for value, more in cells)])
    return {"columns": ["", *(one.title for one in contents)], "rows": rows}
