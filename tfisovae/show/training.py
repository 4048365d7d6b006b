"""What a run has recorded: its training, its rates and distortions, its densities, its manifest."""
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfisovae.analysis.rate_distortion import Accounts
from tfisovae.show.charts import Figure, figure, frame, number, span
from tfisovae.show.contents import Contents, Measured

_POINTS = 500  # of a curve, at most: more are not seen
_LONGEST = 400  # characters of an entry of the manifest
_CURVES = (("loss", "loss, nats"), ("distortion", "distortion"), ("rate", "rate, nats"),
           ("active_dimensions", "active dimensions"))
_BEST_FIRST = ("corrected_volume", "volume", "scaled_posterior", "posterior")
_LOG_FROM = 30  # a curve whose ends are further apart than this is drawn on a logarithmic axis


def history(rows: Sequence[Mapping[str, str]]) -> list[Figure]:
    """The curves of a training, from the rows of `history.csv`."""
    steps, made = np.array([_number(row.get("step")) for row in rows]), []
    for name, label in _CURVES:
        values = np.array([_number(row.get(name)) for row in rows])
        seen = np.isfinite(values) & np.isfinite(steps)
        if seen.sum() < 2:
            continue
        x, y = steps[seen], values[seen]
        chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _POINTS)).astype(int))
        log = bool((y > 0).all() and y.max() > _LOG_FROM * y.min())

        def draw(width, x=x[chosen], y=y[chosen], label=label, log=log):
            chart = frame(width, 220, (float(x[0]), float(x[-1])), span(y, log=log), "step", label,
                          y_log=log)
            return chart.line("line main", x, y)

        half = y[len(y) // 2:]
        said = f"{label.capitalize()}: from {number(y[0])} at step {x[0]:,.0f} to {number(y[-1])} at step {x[-1]:,.0f}"
        said += f"; between {number(half.min())} and {number(half.max())} over the last half." if len(
            half) > 2 else "."
        if x[-1] > x[0]:
            made.append(figure(said, draw, half=True))
    return made


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def accounts(measured: Measured) -> dict[str, Any] | None:
    """Rates and distortions, each beside what theory says, as a table of text."""
    names = ("beta", "rate", "distortion", "coding_loss", "transform_loss")
    values = {name: measured.scalar(name) for name in names}
    if not values["beta"] > 0:
        return None
    made = Accounts(int(measured.active.sum()), **values)

    def with_error(name):
        error = measured.scalar(f"{name}_standard_error")
        return number(values[name], 4) + (f" \N{PLUS-MINUS SIGN} {number(error, 2)}"
                                          if math.isfinite(error) else "")

    n, beta = made.num_active, "\N{GREEK SMALL LETTER BETA}"
    of_coding = f"; {number(made.ratio)} of the coding loss" if math.isfinite(made.ratio) else ""
    rows = [[("distortion", "E[D(x, x\N{COMBINING CIRCUMFLEX ACCENT})] as trained, in units of D"),
             with_error("distortion"), ""],
            [("of it, coding loss", f"what the width of the posterior costs; n = {n}"),
             with_error("coding_loss"), f"n {beta} / 2 = {number(made.coding_theory, 4)}"],
            [("of it, transform loss", f"what the networks cannot give back{of_coding}"),
             with_error("transform_loss"), "far below the coding loss"],
            [("of it, the rest", "D of the data from themselves, and what crosses"),
             number(made.rest, 4), "0 where D(x, x) = 0"],
            [("rate", "E[KL], of an ideal code of the samples of z"), f"{with_error('rate')} nats",
             f"{number(made.bits, 4)} bits"],
            [(f"D + {beta} R", "what training lowers, in units of D"),
             number(made.cost, 4), ""],
            [("entropy", "of the data, in the metric of the distortion (Eq. 14)"),
             f"{number(made.entropy, 4)} nats",
             f"R + (n/2) log(\N{GREEK SMALL LETTER PI} e {beta})"]]
    return {"columns": ["quantity", "measured", f"theory, for small {beta}"], "rows": rows}


def best_form(contents: Contents) -> str | None:
    """The form of log p that comes closest to p(x) of those that were measured; `None` where there
    is none.
    """
    columns = contents.densities.columns if contents.densities else {}
    forms = [form for form in columns if form not in ("row", "log_density")]
    said = (contents.densities.saved.get("extremes")
            or {}).get("form") if contents.densities else None
    return next((form for form in (said, *_BEST_FIRST, *forms) if form in forms), None)


def density(contents: Contents) -> Figure | None:
    """The distribution of log p, or log p beside the true one where that is known."""
    form = best_form(contents)
    if form is None:
        return None
    values, name = contents.densities.columns[form], form.replace("_", " ")
    truth = contents.densities.columns.get("log_density")
    seen = np.isfinite(values) if truth is None else np.isfinite(values) & np.isfinite(truth)
    if seen.sum() < 2:
        return None
    if truth is not None:
        return _against_truth(values[seen], truth[seen], name)
    values = np.sort(values[seen])
    low, median, high = np.quantile(values, (0.01, 0.5, 1))
    bins = np.linspace(low, high, 41) if high > low else np.array([low - 0.5, low + 0.5])
    shares = np.histogram(values, bins)[0] / len(values)

    def draw(width):
        chart = frame(width, 240, span(bins, room=0.0), (0.0, float(shares.max()) * 1.1 or 1.0),
                      "log p, nats", "share of inputs")
        return chart.bars("bars main", (bins[1:] + bins[:-1]) / 2, shares, 0.9 *
                          (bins[1] - bins[0])).upright("rule", float(median))

    said = (
        f"Log densities of {len(values):,} inputs by the form {name}: half lie above "
        f"{number(median)} nats, one in a hundred "
        f"below {number(low)}; the least is {number(values[0])}, the largest {number(values[-1])}.")
    return figure(said, draw, [("line rule", "median")],
                  "The lowest hundredth is left out of the picture.")


def _against_truth(values, truth, name):
    chosen = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), _POINTS)).astype(int))
    order = np.argsort(truth, kind="stable")[chosen]
    x, y = truth[order], values[order]
    ends = span(np.quantile(x, (0.005, 1)), np.quantile(y, (0.005, 1)))

    def draw(width):
        chart = frame(width, 320, ends, ends, "log p(x), nats", f"log p by {name}, nats")
        return chart.dots("dots small", x, y).line("line rule", ends, ends)

    error, varies = values - truth, np.ptp(values) > 0 and np.ptp(truth) > 0
    correlation = float(np.corrcoef(np.exp(values), np.exp(truth))[0, 1]) if varies else math.nan
    said = (
        f"Estimated against true log density of {len(values):,} inputs, by the form {name}: R of "
        f"p is {number(correlation)}, "
        f"the mean error {number(float(error.mean()))} nats, its root mean square "
        f"{number(float(np.sqrt(np.mean(error**2))))}."
    )
    return figure(said, draw, [("dots small", "inputs"), ("line rule", "estimate = truth")])


def manifest(entries: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The entries of a manifest as text, one for each, those in it by their path; very long ones
    are cut.
    """
    rows = []
    for key, value in entries.items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{key}.{inner}", text) for inner, text in manifest(value)]
            continue
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        more = len(text) - _LONGEST
        rows.append((str(key), text if more <= 0 else
                     f"{text[:_LONGEST]} \N{HORIZONTAL ELLIPSIS} ({more:,} characters more)"))
    return rows


def comparison(saved: Mapping[str, Any]) -> dict[str, Any] | None:
    """Each form of log p beside the true density, where that is known: a table of text."""
    found = saved.get("comparison")
    if not isinstance(found, Mapping) or not found:
        return None
    rows = [[
        form.replace("_", " "), *(number(entry.get(name))
                                  for name in ("correlation", "log_error_mean", "log_error_rms"))
    ] for form, entry in found.items()]
    return {
        "columns": [
            "form", "R with p(x)", "mean error of log p, nats", "root mean square error, nats"
        ], "rows": rows
    }
