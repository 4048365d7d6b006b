"""The isometric variables y_j, as histograms."""
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from tfisovae.show import drawing
from tfisovae.show.drawing import FAINT, OTHER, Figure

_BINS = 80


def variable(y: npt.ArrayLike, ax: Axes | None = None, title: str = "",
             reference: tuple[npt.ArrayLike, npt.ArrayLike] | None = None) -> Axes | Figure:
    """The distribution of an isometric variable, next to its expected density.

    Args:
      y: y_j of each example, `[N]`.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.
      reference: `(values, density)`, or `None` if unknown.

    Returns:
      `ax`, or the new figure.
    """
    ax, drawn = drawing.canvas(ax, (3.6, 3.0))
    heights, edges = np.histogram(y, _BINS, density=True)
    drawing.bars(ax, (edges[1:] + edges[:-1]) / 2, heights, 0.0, FAINT, "measured",
                 edges[1] - edges[0])
    if reference is not None:
        drawing.line(ax, *reference, OTHER, "p(s) of the data")
    ax.set_ylim(bottom=0)
    drawing.label(ax, "y_j", "density", title)
    return drawn


def variables(shown: Sequence[tuple[str, npt.ArrayLike]],
              references: Sequence[tuple[npt.ArrayLike, npt.ArrayLike]] | None = None,
              title: str = "") -> Figure:
    """Fig. 1, as in `variables.png`: `variable` of each.

    Args:
      shown: `(label, y)` of each variable.
      references: `(values, density)` of each, or `None`.
      title: above the picture; any text.
    """
    figure, axes = drawing.panels(len(shown), (3.3, 3.3), title)
    for k, (ax, (label, y)) in enumerate(zip(axes, shown)):
        variable(y, ax, label, references and references[k])
    return figure
