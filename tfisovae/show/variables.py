"""Picture of the isometric variables."""
import os
import typing
from collections.abc import Sequence

import numpy as np

from tfisovae.show.drawing import _NORM, _PRECISION, Figure, finished

if typing.TYPE_CHECKING:
    pass


def isometric_variables(variables: Sequence[tuple[str, np.ndarray]],
                        references: Sequence[tuple[np.ndarray, np.ndarray]] | None = None,
                        title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """The distributions of y_j (Fig. 1), each over the density that it should have where that is
    known.

    Args:
      variables: list of `(label, y)`, y_j of each example, `[N]`.
      path: where to write the picture, or `None`.
      references: list of `(values, density)` curves, one for each variable, or `None`.
      title: above it.
    """
    figure = Figure(figsize=(3.2 * len(variables), 3), layout="constrained")
    for i, (axes, (label, y)) in enumerate(
            zip(figure.subplots(1, len(variables), squeeze=False)[0], variables)):
        axes.hist(y, bins=80, density=True, color=_PRECISION, alpha=0.45, label="$y_j$")
        if references is not None:
            axes.plot(*references[i], color=_NORM, linewidth=1.5, label="$p(s)$")
        axes.set_title(label, fontsize=10)
        axes.set_xlabel("$y_j$")
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return finished(figure, path)
