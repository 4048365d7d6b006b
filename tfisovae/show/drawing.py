"""The paper's figures, drawn from what was saved: an `Analysis`, or arrays of images.

Every function returns a `Figure`, which a notebook shows, and writes it as PNG where a `path` is
given.
"""
import io
import os
import typing

from matplotlib import figure as matplotlib_figure
from matplotlib.backends.backend_agg import FigureCanvasAgg

from tfisovae import files

if typing.TYPE_CHECKING:
    pass

_NORM, _PRECISION, _REFERENCE = "#c44e52", "#4c72b0", "#555555"


class Figure(matplotlib_figure.Figure):
    """A figure of matplotlib's that a notebook shows by itself: it needs neither pyplot nor a
    display.
    """

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        _write(self, picture)
        return picture.getvalue()


def _write(figure, file):
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight", pil_kwargs={"optimize": True})


def save(figure: matplotlib_figure.Figure, path: str | os.PathLike) -> None:
    """Writes a picture of any figure of matplotlib's, without a display, whole or not at all."""
    with files.replacing(path, "wb") as file:
        _write(figure, file)


def plain(text: str) -> str:
    """Text of a user's, such as a file's name, for a title: matplotlib would read what stands
    between dollar signs as TeX.
    """
    return text.replace("$", r"\$")


def finished(figure: Figure, path: str | os.PathLike | None) -> Figure:
    """The figure, written to `path` where that is given."""
    if path is not None:
        save(figure, path)
    return figure




















