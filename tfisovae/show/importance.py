"""The nonlinear scree plot: costs of removal and importances next to the eigenvalues of a PCA in
the same metric, both summed up, how many dimensions to keep, and which of them have clusters.
"""
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from tfisovae import theory
from tfisovae.analysis.scree import SHARES, Scree, latent_variance, listed
from tfisovae.show import drawing
from tfisovae.show.contents import Contents, Measured, Numbers, count, number, percent
from tfisovae.show.drawing import FAINT, INK, MAIN, OTHER, Figure, Inline

_FEW = 10  # principal components shown for a model with fewer dimensions
_HISTOGRAMS = 6


def scree(numbers: "Scree | Numbers", ax: Axes | None = None, title: str = "",
          predicted: npt.ArrayLike = ()) -> Axes | Figure:
    """The cost of removing each latent dimension with its interval of 95 %, next to its importance
    and to the eigenvalues of a PCA in the same metric.

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
    rank, measured = np.arange(1, n + 1), numbers.cost is not None
    seen = np.isin(rank - 1, drawing.some(n))
    low, high = numbers.interval
    bottom = 0.5 * _smallest(numbers.importance, numbers.floor, numbers.size[on])
    ax.set_yscale("log")
    for color, chosen, name in ((MAIN, on, "active"), (FAINT, ~on, "inactive")):
        chosen = chosen & (numbers.size > bottom) & seen
        drawing.bars(ax, rank[chosen], numbers.size[chosen], bottom, color,
                     f"{numbers.size_name}, {name}", 0.8 * n / np.sum(seen))
    if np.isfinite(high - low).all() and (high > low).any():
        tall = seen & (high > bottom)
        drawing.whiskers(ax, rank[tall], np.maximum(low[tall], bottom), high[tall], INK,
                         "95 % interval")
    if measured:
        drawing.dashes(ax, rank[seen], numbers.importance[seen], INK,
                       "importance, from the posterior")
    if numbers.floor > 0:
        drawing.level(ax, numbers.floor, "\N{GREEK SMALL LETTER BETA} / 2")
    predicted = np.asarray(predicted, np.float64)
    if len(predicted):
        drawing.dashes(ax, np.arange(1, len(predicted) + 1), predicted, OTHER,
                       "importance predicted from the sources", width=1.0)
    others = () if found is None else found.eigenvalue[:max(n, _FEW)]
    others = np.array([value for value in others if value > bottom])
    if len(others):
        dots = drawing.some(len(others))
        drawing.dots(ax, dots + 1, others[dots], OTHER,
                     f"eigenvalues of a PCA{_where(found)}", size=3.5)
    ax.set_ylim(bottom=bottom if np.isfinite(bottom) else None)
    drawing.label(ax, "", "units of D", title)
    drawing.whole_numbers(ax, max(n, len(others)), "dimension or component, by size"
                          if len(others) else f"latent dimension, by {numbers.size_name}")
    return drawn


def _smallest(*values):
    """The smallest positive number."""
    joined = np.concatenate([np.ravel(value) for value in values])
    return float(np.min(joined, where=joined > 0, initial=np.inf))


def shares(numbers: "Scree | Numbers", ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """The share of the whole in the first dimensions, and in the first principal components. The
    legend shows how many have 90, 95 and 99 %.

    Args and Returns: as of `scree`.
    """
    numbers = scree_of(numbers)
    ax, drawn = drawing.canvas(ax, (7.2, 2.6))
    found, n = numbers.components, len(numbers.importance)
    curves = [(numbers.cumulative, numbers.count, str, MAIN, "latent dimensions")]
    if found is not None and found.total > 0 and found.honest:
        last = found.count(max(SHARES)) or len(found.eigenvalue)
        size = min(len(found.eigenvalue), max(2 * n, last))
        curves.append((np.cumsum(found.eigenvalue)[:size] / found.total, found.count, found.words,
                       OTHER, "principal components"))
    for share in SHARES:
        drawing.level(ax, share)
    for y, counted, words, color, name in curves:
        marked = [counted(share) for share in SHARES]
        told = ", ".join(map(words, marked))
        dense = np.arange(1, min(len(y), 200) + 1)
        rank = np.unique([*dense, *np.geomspace(dense[-1], len(y), 200).round().astype(int)])
        drawing.line(ax, rank, y[rank - 1], color,
                     f"{name}: {told} for {_in_percent(', ')}")
        reached = [(one, share) for one, share in zip(marked, SHARES) if one]
        if reached:
            drawing.dots(ax, *zip(*reached), color, size=4)
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
    costs, variance = {}, latent_variance(values, precision, beta)
    if measured.vector("cost_of_removal") is not None:
        cost, cost_error, slope = measured.vectors(
            "cost_of_removal", "cost_of_removal_standard_error", "derivative_mean")
        costs = {"cost": cost[order], "cost_error": cost_error[order],
                 "slope": (slope * variance)[order]}
    return Scree(order, values[order], (theory.importance(error, beta) * variance)[order],
                 measured.active[order], beta / 2, measured.scalar("transform_loss"),
                 measured.components, **costs)


def _where(components):
    return "" if components.constant else ", metric at the mean"


def _in_percent(between):
    return between.join(f"{100 * share:g}" for share in SHARES) + " %"


def importance(contents: Contents) -> list[Inline]:
    """The scree plot of a page, and the shares if known."""
    measured, numbers = contents.measured, contents.scree or scree_of(contents.measured)
    values, order, on = numbers.size, numbers.dimension, numbers.active
    if not (numbers.importance > 0).any():
        return []
    exact = _by_shape(measured)
    said = (
        f"The {numbers.size_name} of the {count(measured.n)} goes from {number(values[0])} "
        f"(z_{order[0]}) to {number(values[-1])} (z_{order[-1]}); {on.sum()} of them "
        f"{'is' if on.sum() == 1 else 'are'} active.")
    if on.any():
        kept = [f"{numbers.count(share)} carry {percent(share)}" for share in SHARES]
        said += f" {listed(kept)} of the {numbers.size_name} of the active ones."
    if len(exact):
        ratios = np.sort(numbers.importance)[::-1][:len(exact)] / exact
        said += (" The shapes of the sources predict the importances "
                 f"{listed([number(value) for value in exact])}: the measured values are "
                 f"{number(float(ratios.min()))} to {number(float(ratios.max()))} times as large.")
    caption = (
        "The importance comes from the posterior alone. It is a variance if the posterior is "
        "equally wide everywhere. An inactive dimension has \N{GREEK SMALL LETTER BETA} / 2, since "
        "its posterior is as wide as the prior.")
    if numbers.cost is not None:
        caption = (
            "The cost of removal is how much the distortion rises when the dimension no longer "
            "moves. For a principal component it is the eigenvalue. A latent dimension costs about "
            "\N{GREEK SMALL LETTER BETA} / 2 less than its importance. " + caption)
    if numbers.components is not None and not numbers.components.constant:
        caption += (
            " The PCA is in the metric of the distortion at the mean of the data. The metric may "
            "be different at the data: compare how the two fall, not their sizes.")
    made = [Inline(functools.partial(scree, numbers, predicted=exact), said, caption)]
    return made + [_summed(numbers)] if on.any() else made


def _by_shape(measured):
    """The importances that theory predicts from the distributions of toy data, descending; none if
    unknown.
    """
    predicted = measured.array("predicted_precision",
                               np.shape(measured.values.get("predicted_precision") or ()))
    if predicted is None or predicted.ndim != 1:
        return np.zeros(0)
    return theory.importance(-np.sort(-predicted)[:measured.n], measured.scalar("beta"))


def _summed(numbers):
    own, components = numbers.cumulative, numbers.components
    said = (f"The first dimension carries {percent(own[0])} of the {numbers.size_name}"
            f"{_and_the_first(own)}.")
    if components is not None and components.total > 0 and components.honest:
        others = np.cumsum(components.eigenvalue)[:len(own)] / components.total
        said += (f" The first principal component has {percent(others[0])} of the variance"
                 f"{_and_the_first(others)}.")
    caption = f"Dotted: {listed([percent(share) for share in SHARES])}."
    if components is not None and components.honest:
        caption += (" Principal components are directions of one half of the examples; their "
                    "variances are of the other half.")
    return Inline(functools.partial(shares, numbers), said, caption, height=220)


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
    found = numbers.components
    rows = [[percent(share), str(numbers.count(share))] for share in SHARES]
    columns = ["share", "dimensions, of the model's outputs"]
    if found is not None:
        columns.append("principal components, of the variance of the data")
        for row, share in zip(rows, SHARES):
            row.append(found.words(found.count(share)))
    return {"columns": columns, "rows": rows, "name": numbers.size_name,
            "words": numbers.sentences().splitlines()}


def histogram(numbers: Numbers, dimension: int, ax: Axes | None = None,
              title: str = "") -> Axes | Figure:
    """The distribution of the posterior means of a latent dimension, next to the prior.

    Args and Returns: as of `scree`; `dimension` is j.
    """
    measured = Measured.of(numbers)
    ax, drawn = drawing.canvas(ax)
    counts, (low, high) = _histogram(measured, dimension)
    edges = np.linspace(low, high, len(counts) + 1)
    width = (high - low) / len(counts)
    drawing.bars(ax, (edges[:-1] + edges[1:]) / 2, counts / counts.sum() / width, 0.0, MAIN,
                 "posterior means", width)
    z = np.linspace(min(low, -3), max(high, 3), 121)
    drawing.line(ax, z, np.exp(-z**2 / 2) / np.sqrt(2 * np.pi), INK, "prior")
    drawing.label(ax, f"z_{dimension}", "share of examples per unit", title)
    return drawn


def _histogram(measured, dimension):
    bins = np.shape(measured.values.get("mean_counts") or ())
    counts = measured.array("mean_counts", (measured.n, *bins[1:]))
    limits = measured.array("mean_limits", (measured.n, 2))
    if counts is None or limits is None or counts.ndim != 2 or not counts[dimension].sum() > 0:
        return None
    return counts[dimension], limits[dimension]


def clusters(contents: Contents) -> dict[str, Any] | None:
    """In words, the dimensions with clusters or gaps, or with an importance that is too high; and
    the distribution of the means of the first few with clusters. `None` if there are none.
    """
    measured, numbers = contents.measured, contents.scree or scree_of(contents.measured)
    words = numbers.differences()
    if not words:
        return None
    drawn = [j for j in numbers.dimension[numbers.has_gaps]
             if _histogram(measured, j) is not None][:_HISTOGRAMS]
    return {"words": words, "figures": [
        Inline(functools.partial(histogram, measured, j), f"The posterior means of z_{j} have "
               "clusters or gaps: see where the bars are low.", half=True, height=220)
        for j in drawn]}
