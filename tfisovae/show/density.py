"""Pictures of log densities: a histogram, or a comparison with the true density if known."""
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from tfisovae.analysis.components import spread_out
from tfisovae.show import drawing
from tfisovae.show.contents import Contents, number
from tfisovae.show.drawing import BAD, DOUBT, GOOD, INK, MAIN, OTHER, Figure, Inline

_POINTS = 500  # of a page
_BINS = 60
_BEST_FIRST = ("corrected_volume", "volume", "scaled_posterior", "posterior")


def against_truth(estimate: npt.ArrayLike, truth: npt.ArrayLike, ax: Axes | None = None,
                  title: str = "", *, log: bool = True, diagonal: bool = True,
                  max_points: int = 5_000) -> Axes | Figure:
    """Figs. 3 and 8: an estimate of the density of each input against the true one.

    Args:
      estimate, truth: log densities, nats, `[N]`.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.
      log: whether the axes show log densities, or densities.
      diagonal: whether to draw the line of equality.
      max_points: drawn at most, evenly chosen.

    Returns:
      `ax`, or the new figure.
    """
    ax, drawn = drawing.canvas(ax, (7.2, 3.2))
    a, b = np.asarray(truth, np.float64), np.asarray(estimate, np.float64)
    chosen = spread_out(max_points, len(a))
    order = np.argsort(a, kind="stable")[chosen]
    a, b = a[order], b[order]
    if not log:
        a, b = np.exp(a), np.exp(b)
    limits = [(np.quantile(part, 0.002), np.quantile(part, at)) if log else
              (0.0, 1.05 * np.quantile(part, at)) for part, at in ((a, 1), (b, 0.9995))]
    drawing.dots(ax, a, b, MAIN, "inputs" if diagonal else "", size=2)
    ax.lines[-1].set(alpha=0.6, rasterized=len(a) > _POINTS)
    if diagonal:
        ends = [min(low for low, _ in limits), max(high for _, high in limits)]
        drawing.line(ax, ends, ends, OTHER, "estimate = truth")
    for set_limits, (low, high) in zip((ax.set_xlim, ax.set_ylim), limits):
        room = 0.02 * (high - low) or 0.5
        set_limits(low - room * log, high + room)
    words = ("log p(x), nats", "log estimate, nats") if log else ("p(x)", "estimate")
    drawing.label(ax, *words, title)
    return drawn


def densities(log_estimates: Mapping[str, np.ndarray], log_density: np.ndarray,
              correlations: Mapping[str, float], title: str = "") -> Figure:
    """Figs. 3 and 8, as in `density.png`: `against_truth` of each form, on linear axes above and on
    logarithmic ones below.

    Args:
      log_estimates: dict from form to `[N]`, nats.
      log_density: `[N]`, log p(x), nats.
      correlations: dict from form to Pearson's R on the linear scale, written above the panel.
      title: above the picture; any text.
    """
    count = len(log_estimates)
    figure, axes = drawing.panels(2 * count, (2.9, 2.9), title, columns=count)
    for above, below, (form, values) in zip(axes, axes[count:], log_estimates.items()):
        for ax, log in ((above, False), (below, True)):
            head = "" if log else f"{form.replace('_', ' ')}, R = {correlations[form]:.3f}"
            # The prior has another unit, so the diagonal means nothing.
            against_truth(values, log_density, ax, head, log=log, diagonal=form != "prior")
            if ax.get_legend():
                ax.get_legend().remove()
    return figure


def histogram(log_estimates: Mapping[str, npt.ArrayLike], ax: Axes | None = None,
              title: str = "") -> Axes | Figure:
    """The distribution of log densities, for data without a known density. With one form, it also
    shows the median.

    Args:
      log_estimates: dict from form to `[N]`, nats. The lowest hundredth of each is left out.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.

    Returns:
      `ax`, or the new figure.
    """
    ax, drawn = drawing.canvas(ax)
    colors = (MAIN, OTHER, GOOD, BAD, DOUBT, INK)
    for k, (form, values) in enumerate(log_estimates.items()):
        values = np.asarray(values, np.float64)
        low, median, high = np.quantile(values, (0.01, 0.5, 1))
        room = 0.0 if high > low else 0.5
        edges = np.linspace(low - room, high + room, _BINS + 1)
        heights = np.histogram(values, edges)[0] / len(values) / np.diff(edges)
        name = form.replace("_", " ")
        if len(log_estimates) == 1:
            drawing.bars(ax, (edges[1:] + edges[:-1]) / 2, heights, 0.0, MAIN, name,
                         0.9 * (edges[1] - edges[0]))
            drawing.line(ax, [median] * 2, [0, 1.05 * heights.max()], OTHER, "median")
        else:
            drawing.line(ax, np.repeat(edges, 2), [0, *np.repeat(heights, 2), 0],
                         colors[k % len(colors)], name)
    ax.set_ylim(bottom=0)
    drawing.label(ax, "log density, nats", "share of inputs per nat", title)
    return drawn


def best_form(contents: Contents) -> str | None:
    """The measured form of log p that is closest to p(x); `None` if there is none."""
    if contents.densities is None:
        return None
    forms = [form for form in contents.densities.columns if form not in ("row", "log_density")]
    said = (contents.densities.saved.get("extremes") or {}).get("form")
    return next((form for form in (said, *_BEST_FIRST, *forms) if form in forms), None)


def density(contents: Contents) -> Inline | None:
    """The picture of a page: log p of the best form, or log p against the true one."""
    form = best_form(contents)
    if form is None:
        return None
    values, truth = (contents.densities.columns.get(name) for name in (form, "log_density"))
    seen = np.isfinite(values) if truth is None else np.isfinite(values) & np.isfinite(truth)
    if seen.sum() < 2:
        return None
    values, name = values[seen], form.replace("_", " ")
    if truth is not None:
        return _against_truth(values, truth[seen], name)
    said = (
        f"Log densities of {len(values):,} inputs by the form {name}: half lie above "
        f"{number(float(np.median(values)))} nats, one in a hundred below "
        f"{number(float(np.quantile(values, 0.01)))}; the least is {number(values.min())}, the "
        f"largest {number(values.max())}.")
    return Inline(functools.partial(histogram, {form: values}), said,
                  "The lowest hundredth is left out of the picture.", height=240)


def _against_truth(values, truth, name):
    error, varies = values - truth, np.ptp(values) > 0 and np.ptp(truth) > 0
    correlation = float(np.corrcoef(np.exp(values), np.exp(truth))[0, 1]) if varies else math.nan
    said = (
        f"Estimated against true log density of {len(values):,} inputs, by the form {name}: R of "
        f"p is {number(correlation)}, the mean error {number(float(error.mean()))} nats, its root "
        f"mean square {number(float(np.sqrt(np.mean(error**2))))}.")
    return Inline(functools.partial(against_truth, values, truth, max_points=_POINTS), said,
                  height=300)


def comparison(saved: Mapping[str, Any]) -> dict[str, Any] | None:
    """Each form of log p next to the true density, if known: a table of text."""
    found = saved.get("comparison")
    if not isinstance(found, Mapping) or not found:
        return None
    names = ("correlation", "log_error_mean", "log_error_rms")
    rows = [[form.replace("_", " "), *(number(entry.get(name)) for name in names)]
            for form, entry in found.items()]
    columns = ["form", "R with p(x)", "mean error of log p, nats", "root mean square error, nats"]
    return {"columns": columns, "rows": rows}
