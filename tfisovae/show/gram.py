"""The Gram matrix of Eq. 12 and its cosines as heat maps, and the least orthogonal pairs of
dimensions.
"""
import functools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tfisovae.show import drawing
from tfisovae.show.contents import Measured, Numbers, count, number, rms, statistic
from tfisovae.show.drawing import Figure, Inline

_PAIRS = 8


def gram(numbers: Numbers, ax: Axes | None = None, title: str = "",
         cosines: bool = False) -> Axes | Figure:
    """|E[Gamma_jk]| of Eq. 12 over the active dimensions, in their ranking: the identity at an
    isometric embedding.

    Args:
      numbers: `Analysis`, or what `isometry.json` holds.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.
      cosines: whether to draw the cosines (root mean square over the data) instead of the Gram
        matrix. Their diagonal is left empty.

    Returns:
      `ax`, or the new figure.
    """
    measured = Measured.of(numbers)
    ax, drawn = drawing.canvas(ax, (4.6, 4.0))
    values = _values(measured, cosines)
    k, top = len(values), 1.0 if cosines else statistic(np.max, [*values.ravel(), 0.0]) or 1.0
    drawing.heat(ax, values, (0.5, k + 0.5, k + 0.5, 0.5), (0.0, top))
    drawing.label(ax, "", "cosines, rms" if cosines else "|E[\N{GREEK CAPITAL LETTER GAMMA}]|",
                  title)
    drawing.whole_numbers(ax, k, f"active latent dimension, by {measured.rank_name}")
    ax.set(xlim=(0.5, k + 0.5), ylim=(k + 0.5, 0.5))
    ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    ax.grid(False)
    return drawn


def _values(measured, cosines):
    """The matrix of a picture, `[k, k]`; NaN if it was not measured, or no dimension is active."""
    order, found = measured.gram("gram_cosine" if cosines else "gram_mean")
    if not len(order):
        return np.full([1, 1], np.nan)
    values = np.full([len(order)] * 2, np.nan) if found is None else np.abs(found)
    if cosines:
        np.fill_diagonal(values, 0)
    return values


def heat_maps(measured: Measured) -> list[Inline]:
    """The Gram matrix and the cosines of a page; none for fewer than two active dimensions."""
    (order, mean), cosine, made = measured.gram("gram_mean"), measured.gram("gram_cosine")[1], []
    if len(order) < 2:
        return made
    pairs = ~np.eye(len(order), dtype=bool)
    shape = {"half": True, "height": 300, "right": 64}
    if mean is not None:
        values = _values(measured, False)
        own, apart = np.diag(values), values[pairs]
        said = (
            f"Mean Gram matrix of {_which(measured, order)}: its diagonal, the "
            f"norms, goes from {number(statistic(np.min, own))} to "
            f"{number(statistic(np.max, own))}; off it the largest is "
            f"{number(statistic(np.max, apart))}, the root mean square "
            f"{number(statistic(rms, apart))}. At an isometric embedding it is the identity.")
        made.append(Inline(functools.partial(gram, measured), said, **shape))
    if cosine is not None:
        values = _values(measured, True)
        j, k = np.unravel_index(np.argmax(np.nan_to_num(values)), values.shape)
        said = (
            f"Cosines between the directions in which {_which(measured, order)} move the data, "
            f"root mean square over the data: {number(statistic(rms, values[pairs]))} over all "
            "pairs, "
            f"at most {number(float(values[j, k]))}, of z_{order[j]} and z_{order[k]}. At an "
            f"isometric embedding they are 0.")
        made.append(Inline(functools.partial(gram, measured, cosines=True), said, **shape))
    return made


def _which(measured, order):
    """The dimensions of a Gram matrix, in words."""
    total = int(measured.active.sum())
    return (f"the {count(total, 'active dimension')}" if len(order) == total else
            f"a sample of {len(order)} of {count(total, 'active dimension')}")


def pairs(measured: Measured) -> dict[str, Any] | None:
    """The pairs of active dimensions with the largest cosines, as a table of text."""
    (order, cosine), gram = measured.gram("gram_cosine"), measured.gram("gram_mean")[1]
    if cosine is None or len(order) < 2:
        return None
    first, second = np.triu_indices(len(order), 1)
    values = np.nan_to_num(cosine[first, second])
    rows = []
    for at in np.argsort(-values, kind="stable")[:_PAIRS]:
        j, k = first[at], second[at]
        rows.append([
            f"z_{order[j]}, z_{order[k]}",
            number(values[at]), "not known" if gram is None else number(gram[j, k])
        ])
    return {
        "columns": ["dimensions", "cosine, rms", "E[\N{GREEK CAPITAL LETTER GAMMA}]"], "rows": rows
    }
