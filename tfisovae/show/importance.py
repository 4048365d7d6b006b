"""The nonlinear scree plot: importances next to the eigenvalues of a PCA in the same metric, both
summed up, and how many dimensions to keep.
"""
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from tfisovae import theory
from tfisovae.analysis.scree import SHARES, Scree
from tfisovae.show import drawing
from tfisovae.show.contents import Contents, Measured, Numbers, count, listed, number, percent
from tfisovae.show.drawing import FAINT, INK, MAIN, OTHER, Figure, Inline

_FEW = 10  # principal components that are shown of a model with fewer dimensions


def scree(numbers: "Scree | Numbers", ax: Axes | None = None, title: str = "",
          predicted: npt.ArrayLike = ()) -> Axes | Figure:
    """The importance of each latent dimension with its interval of 95 %, next to the eigenvalues of
    a PCA in the same metric.

    Args:
      numbers: `Scree`, `Analysis`, or what `isometry.json` holds.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.
      predicted: importances that theory predicts, descending.
    Returns:
      `ax`, or the new figure.
    """
    numbers = scree_of(numbers)
    ax, drawn = drawing.canvas(ax)
    n, found, on = len(numbers.importance), numbers.components, numbers.active
    rank = np.arange(1, n + 1)
    low, high = numbers.interval
    sizes = np.append(numbers.importance, numbers.floor)
    bottom = 0.5 * float(np.min(sizes, where=sizes > 0, initial=np.inf))
    ax.set_yscale("log")
    for color, chosen, name in ((MAIN, on, "importance, active"), (FAINT, ~on, "inactive")):
        drawing.bars(ax, rank[chosen], numbers.importance[chosen], bottom, color, name)
    if np.isfinite(numbers.standard_error).any():
        drawing.whiskers(ax, rank, low, high, INK, "95 % interval")
    if numbers.floor > 0:
        drawing.level(ax, numbers.floor, "\N{GREEK SMALL LETTER BETA} / 2")
    predicted = np.asarray(predicted, np.float64)
    if len(predicted):
        drawing.dashes(ax, np.arange(1, len(predicted) + 1), predicted, OTHER,
                       "by the shapes of the sources", width=1.0)
    others = () if found is None else found.eigenvalue[:max(n, _FEW)]
    others = [value for value in others if value > bottom]
    if others:
        drawing.dots(ax, np.arange(1, len(others) + 1), others, OTHER,
                     f"eigenvalues of a PCA{_where(found)}", size=3.5)
    ax.set_ylim(bottom=bottom if np.isfinite(bottom) else None)
    drawing.label(ax, "", "units of D", title)
    drawing.whole_numbers(ax, max(n, len(others)), "dimension or component, by size"
                          if others else "latent dimension, by importance")
    return drawn


def shares(numbers: "Scree | Numbers", ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """The share of the whole that the first dimensions have together, and the first principal
    components; the legend tells how many have 90, 95 and 99 %.

    Args and Returns: as of `scree`.
    """
    numbers = scree_of(numbers)
    ax, drawn = drawing.canvas(ax, (7.2, 2.6))
    found, n = numbers.components, len(numbers.importance)
    curves = [(numbers.cumulative, numbers.count, MAIN, "latent dimensions")]
    if found is not None and found.total > 0:
        size = min(len(found.eigenvalue), max(2 * n, found.count(max(SHARES))))
        curves.append((np.cumsum(found.eigenvalue)[:size] / found.total, found.count, OTHER,
                       f"principal components{_where(found)}"))
    for share in SHARES:
        drawing.level(ax, share)
    for y, counted, color, name in curves:
        marked = [counted(share) for share in SHARES]
        told = ", ".join(map(str, marked))
        drawing.line(ax, np.arange(1, len(y) + 1), y, color,
                     f"{name}: {told} for {_in_percent(', ')}")
        if any(marked):
            drawing.dots(ax, marked, SHARES, color, size=4)
    ax.set_xscale("log")
    ax.set_xlim(0.9, 1.1 * max(len(y) for y, *_ in curves))
    ax.set_ylim(0, 1.03)
    drawing.label(ax, "how many, the largest first", "share of the whole", title)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if n < 100 else (1,)))
    ax.xaxis.set_minor_formatter(NullFormatter())
    return drawn


def both(numbers: "Scree | Numbers", title: str = "", predicted: npt.ArrayLike = ()) -> Figure:
    """`scree` and `shares` next to each other, as in `scree.png`."""
    figure, (left, right) = drawing.panels(2, (5.2, 4.2), title)
    scree(numbers, left, predicted=predicted)
    shares(numbers, right)
    return figure


def scree_of(found: "Scree | Numbers") -> Scree:
    """The numbers of the pictures. A measurement of an older version lacks some: they are NaN."""
    if isinstance(found, Scree):
        return found
    if not isinstance(found, (Measured, Mapping)):
        return Scree.of(found)
    measured = Measured.of(found)
    importance, precision, error = measured.vectors("importance", "precision_mean",
                                                    "precision_standard_error")
    beta = measured.scalar("beta")
    order = measured.ranking
    order = np.concatenate([order[measured.active[order]], order[~measured.active[order]]])
    values = np.where(np.isfinite(importance), importance, theory.importance(precision, beta))
    return Scree(order, values[order], theory.importance(error[order],
                                                         beta), measured.active[order], beta / 2,
                 measured.scalar("transform_loss"), measured.components)


def _where(components):
    return "" if components.constant else ", metric at the mean"


def _in_percent(between):
    return between.join(f"{100 * share:g}" for share in SHARES) + " %"


def importance(contents: Contents) -> list[Inline]:
    """The scree plot of a page, and the shares where they are known."""
    measured, numbers = contents.measured, contents.scree or scree_of(contents.measured)
    values, order, on = numbers.importance, numbers.dimension, numbers.active
    if not (values > 0).any():
        return []
    exact = _by_shape(measured)
    said = (
        f"The importance of the {count(measured.n)} goes from {number(values[0])} (z_{order[0]}) "
        f"to {number(values[-1])} (z_{order[-1]}); {on.sum()} of them "
        f"{'is' if on.sum() == 1 else 'are'} active.")
    if on.any():
        kept = [f"{numbers.count(share)} carry {percent(share)}" for share in SHARES]
        said += f" {listed(kept)} of the importance of the active ones."
    if len(exact):
        ratios = values[:len(exact)] / exact
        said += (f" The shapes of the sources alone predict "
                 f"{listed([number(value) for value in exact])}: the measured values are "
                 f"{number(float(ratios.min()))} to {number(float(ratios.max()))} times as large.")
    caption = (
        "The importance is to a latent variable what an eigenvalue is to a principal component. "
        "An inactive dimension has \N{GREEK SMALL LETTER BETA} / 2, since its posterior is as wide "
        "as the prior.")
    if numbers.components is not None and not numbers.components.constant:
        caption += (
            " The PCA is in the metric of the distortion at the mean of the data. The metric may "
            "be different at the data: compare how the two fall, not their sizes.")
    made = [Inline(functools.partial(scree, numbers, predicted=exact), said, caption)]
    return made + [_summed(numbers)] if on.any() else made


def _by_shape(measured):
    """The importances that theory predicts from the distributions of toy data, descending; none
    where those are not known.
    """
    predicted = measured.array("predicted_precision",
                               np.shape(measured.values.get("predicted_precision") or ()))
    if predicted is None or predicted.ndim != 1:
        return np.zeros(0)
    return theory.importance(-np.sort(-predicted)[:measured.n], measured.scalar("beta"))


def _summed(numbers):
    own, components = numbers.cumulative, numbers.components
    said = f"The first dimension carries {percent(own[0])} of the importance{_and_the_first(own)}."
    if components is not None and components.total > 0:
        others = np.cumsum(components.eigenvalue)[:len(own)] / components.total
        said += (f" The first principal component has {percent(others[0])} of the variance"
                 f"{_and_the_first(others)}.")
    return Inline(functools.partial(shares, numbers), said,
                  f"Dotted: {listed([percent(share) for share in SHARES])}.", height=220)


def _and_the_first(shares, few=5):
    few = min(few, len(shares))
    return "" if len(shares) < 2 else f", the first {few} {percent(shares[few - 1])}"


def keep(contents: Contents) -> dict[str, Any] | None:
    """How many dimensions, and how many principal components, have a share of the whole: a table of
    text, and words.
    """
    numbers = contents.scree
    if numbers is None or not np.any(numbers.active):
        return None
    of = [numbers, *([numbers.components] if numbers.components else [])]
    rows = [[percent(share), *(str(one.count(share)) for one in of)] for share in SHARES]
    columns = ["share", "dimensions, of what the model makes",
               "principal components, of the variance of the data"]
    return {"columns": columns[:1 + len(of)], "rows": rows,
            "words": numbers.sentences().splitlines()}
