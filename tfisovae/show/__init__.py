"""Pictures of what was measured, and one page of all of them.

A function draws each picture: `importance.scree(analysis)`, `norms.norms(analysis)`,
`gram.gram(analysis)`, `density.histogram(...)`, `rate.curve(ledger)`, `variables.variable(y)`,
`training.curve(...)`, `decoded.traversal(rows)`. It draws on `ax` where that is given, and else on
a figure that a notebook shows. `drawing.save(figure, path)` writes it as PNG.

`write` makes the page of an `Analysis` and of what else there is; `tfisovae report RUN` does so of
a run. The page answers: can the latent space be trusted, which dimensions matter, what does each
do, which inputs are odd, and has training ended? It is one file that loads nothing. From numbers to
the page nothing here imports TensorFlow; `observe`, which decodes, does.
"""
import os
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from tfisovae import files
from tfisovae.show.comparison import Column, render_beside
from tfisovae.show.contents import Contents, Densities, Measured, Reconstructions
from tfisovae.show.page import LIMIT, render
from tfisovae.verdict import Verdict
from tfisovae.verdict.convergence import of_saved

if typing.TYPE_CHECKING:
    from tfisovae.analysis.analysis import Analysis

__all__ = [
    "LIMIT", "Column", "Contents", "Densities", "Measured", "Reconstructions", "contents_of",
    "observe", "render", "render_beside", "write", "write_beside"
]


def __getattr__(name: str) -> Any:
    if name == "observe":  # which imports TensorFlow
        from tfisovae.show.observed import observe

        return observe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def write(analysis: "Analysis | Mapping[str, Any]", path: str | os.PathLike, title: str = "VAE",
          verdict: Verdict | None = None, **parts: Any) -> None:
    """Writes the report of a measurement as one HTML file, whole or not at all; a file of that name
    is replaced.

    Args:
      analysis: `Analysis`, or what `isometry.json` holds: a dict, of which an older version may
        lack fields.
      path: of the file.
      title: of the page.
      verdict: by default the one of `isometry.json`, or `analysis.judge()`.
      **parts: what else there is: other fields of `Contents`. `observe` makes those that take the
        model.
    Raises:
      ValueError: if `analysis` is no measurement.
      OSError: if the file cannot be written.
    """
    files.write_text(path, render(contents_of(analysis, title, verdict, **parts)))


def contents_of(analysis: "Analysis | Mapping[str, Any]", title: str = "VAE",
                verdict: Verdict | None = None, **parts: Any) -> Contents:
    """What a report shows, `Contents`, of the arguments that `write` takes."""
    if isinstance(analysis, Mapping):
        values, judged = analysis, of_saved(analysis)
    else:
        from tfisovae.analysis.scree import Scree

        values, judged = analysis.to_dict(), analysis.judge()
        parts.setdefault("scree", Scree.of(analysis))
    return Contents(title, Measured(values), verdict or judged, **parts)


def write_beside(columns: Sequence[Column], path: str | os.PathLike, title: str) -> None:
    """Writes one page that shows several measurements side by side; a file of that name is
    replaced.

    Args:
      columns: `Column`, one for each measurement.
      path: of the file.
      title: of the page.
    """
    files.write_text(path, render_beside(columns, title))
