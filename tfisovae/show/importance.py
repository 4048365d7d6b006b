"""The nonlinear scree plot of a page: importances beside the eigenvalues of a PCA, cumulative
shares, and what to keep.
"""
from typing import Any

import numpy as np

from tfisovae.show.charts import WIDE, Figure, figure, number, percent, span
from tfisovae.show.contents import Contents
from tfisovae.show.norms import NORMAL, count, listed, ranked, split

_SHARES = (0.90, 0.95, 0.99)


def importance(contents: Contents) -> list[Figure]:
    """The scree plot, and the cumulative shares where they are known."""
    measured, scree = contents.measured, contents.scree
    values, errors = measured.vector("importance"), measured.vector("precision_standard_error")
    if values is None or not (values > 0).any():
        return []
    order, rank, on = measured.ranking, np.arange(1,
                                                  measured.n + 1), measured.active[measured.ranking]
    values = values[order]
    half = NORMAL * measured.scalar("beta") / 2 * (np.full(measured.n, np.nan)
                                                   if errors is None else errors[order])
    low, high = values - half, values + half
    eigenvalues = _eigenvalues(contents)
    component, exact = np.arange(1, len(eigenvalues) + 1), _by_shape(measured)

    def draw(width):
        chart = ranked(width, measured.n, span(values, low, high, eigenvalues, exact, log=True),
                       "units of D", log=True)
        split(chart, "bars", on, rank, values, width=0.8).whiskers("whiskers ink", rank, low, high)
        chart.dashes("dashes other", rank[:len(exact)], exact, 1.0)
        return chart.dots("dots other", component, eigenvalues)

    said = (
        f"The importance of the {count(measured.n)} goes from {number(values[0])} (z_{order[0]}) "
        f"to {number(values[-1])} "
        f"(z_{order[-1]}); {on.sum()} of them {'is' if on.sum() == 1 else 'are'} active.")
    if scree is not None and on.any():
        kept = [f"{scree.count(share)} carry {percent(share)}" for share in _SHARES]
        said += f" {listed(kept)} of the importance of the active ones."
    if len(exact):
        ratios = values[:len(exact)] / exact
        said += (
            f" The shapes of the sources alone say {listed([number(value) for value in exact])}: "
            f"measured is "
            f"{number(float(ratios.min()))} to {number(float(ratios.max()))} of that.")
    legend = [("bars main", "importance, active")] * bool(on.any()) + [("bars faint", "inactive")
                                                                       ] * bool((~on).any())
    legend += [("whiskers ink", "95 % interval")
               ] + [("dots other", "eigenvalues of a PCA")] * bool(len(eigenvalues))
    legend += [("dashes other", "by the shapes of the sources")] * bool(len(exact))
    caption = (
        "The importance is to a latent variable what an eigenvalue is to a principal component. "
        "An inactive dimension has "
        "\N{GREEK SMALL LETTER BETA} / 2, since its posterior is as wide as the prior.")
    if len(eigenvalues) and not scree.components.constant:
        caption += (
            " The PCA is in the metric of the distortion at the mean of the data, which need not "
            "be like that at the data: "
            "compare how the two fall, not their sizes.")
    made = [figure(said, draw, legend, caption)]
    return made + [_cumulative(scree)] if scree is not None and on.any() else made


def _by_shape(measured):
    """The importances that theory makes of the distributions of toy data, descending; none where
    those are not known.
    """
    predicted = measured.array("predicted_precision",
                               np.shape(measured.values.get("predicted_precision") or ()))
    if predicted is None or predicted.ndim != 1:
        return np.zeros(0)
    return measured.scalar("beta") / 2 * -np.sort(-predicted)[:measured.n]


def _eigenvalues(contents):
    """Of a PCA of the data in the same metric, as many as there are latent dimensions; none where
    that was not measured.
    """
    components = contents.scree and contents.scree.components
    return np.asarray(components.eigenvalue[:contents.measured.n]) if components else np.zeros(0)


def _cumulative(scree):
    shares, components = np.asarray(scree.cumulative), scree.components
    rank = np.arange(1, len(shares) + 1)
    known = components is not None and components.total > 0
    others = np.cumsum(
        components.eigenvalue[:len(shares)]) / components.total if known else np.zeros(0)

    def draw(width):
        chart = ranked(width, len(shares), (0.0, 1.0), "share of the whole",
                       height=240 if width == WIDE else 220)
        for share in _SHARES:
            chart.level("rule", share)
        chart.line("line other", rank[:len(others)], others).line("line main", rank, shares)
        return chart.dots("dots small", rank, shares)

    said = f"The first dimension carries {percent(shares[0])} of the importance{_and_the_first(shares)}."
    if len(others):
        said += f" The first principal component has {percent(others[0])} of the variance{_and_the_first(others)}."
    legend = [("line main", "importance, summed up")
              ] + [("line other", "variance of a PCA, summed up")] * bool(len(others))
    return figure(said, draw, legend, f"Dotted: {listed([percent(share) for share in _SHARES])}.")


def _and_the_first(shares, few=5):
    return "" if len(
        shares) < 2 else f", the first {min(few, len(shares))} {percent(shares[:few][-1])}"


def keep(contents: Contents) -> dict[str, Any] | None:
    """How many dimensions, and how many principal components, have a share of the whole: a table of
    text, and words.
    """
    scree = contents.scree
    if scree is None or not np.any(scree.active):
        return None
    rows = [[
        percent(share),
        str(scree.count(share)), *([str(scree.components.count(share))] if scree.components else [])
    ] for share in _SHARES]
    columns = ["share", "dimensions, of what the model makes"]
    columns += ["principal components, of the variance of the data"] * bool(scree.components)
    return {"columns": columns, "rows": rows, "words": scree.sentences().splitlines()}
