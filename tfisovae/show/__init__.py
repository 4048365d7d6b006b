"""Pictures of measurements, and one page with all of them.

A function draws each picture: `importance.scree(analysis)`, `norms.norms(analysis)`,
`gram.gram(analysis)`, `density.histogram(...)`, `rate.curve(ledger)`, `variables.variable(y)`,
`training.curve(...)`, `decoded.traversal(rows)`. It draws on `ax` if given, and otherwise on a
figure that a notebook shows. `drawing.save(figure, path)` writes it as PNG.

`write` makes the page of an `Analysis` and other results; `tfisovae report RUN` does this for a
run. The page answers these questions. Can the latent space be trusted? Which dimensions matter, and
what does each do? Which inputs are odd? Has training converged? It is one file that loads nothing.
Only `observe`, which decodes, imports TensorFlow.
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
    """Writes the report of a measurement as one HTML file, completely or not at all. An existing
    file is replaced.

    Args:
      analysis: `Analysis`, or the content of `isometry.json`: a dict, which may lack fields if an
        older version wrote it.
      path: of the file.
      title: of the page.
      verdict: by default the one of `isometry.json`, or `analysis.judge()`.
      **parts: other fields of `Contents`. `observe` makes the ones that need the model.

    Raises:
      ValueError: if `analysis` is not a measurement.
      OSError: if the file cannot be written.
    """
    files.write_text(path, render(contents_of(analysis, title, verdict, **parts)))


def contents_of(analysis: "Analysis | Mapping[str, Any]", title: str = "VAE",
                verdict: Verdict | None = None, **parts: Any) -> Contents:
    """The `Contents` of a report, from the arguments of `write`."""
    if isinstance(analysis, Mapping):
        values, judged = analysis, of_saved(analysis)
    else:
        from tfisovae.analysis.scree import Scree

        values, judged = analysis.to_dict(), analysis.judge()
        parts.setdefault("scree", Scree.of(analysis))
    return Contents(title, Measured(values), verdict or judged, **parts)


def write_beside(columns: Sequence[Column], path: str | os.PathLike, title: str) -> None:
    """Writes one page with several measurements side by side. An existing file is replaced.

    Args:
      columns: `Column`, one for each measurement.
      path: of the file.
      title: of the page.
    """
    files.write_text(path, render_beside(columns, title))
