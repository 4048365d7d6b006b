"""Lengths and flatness: the norm of each latent dimension next to its prediction, the unexplained
part of its scale, and the table of all dimensions.
"""
import functools
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tfisovae.show import drawing
from tfisovae.show.contents import Measured, Numbers, count, number, percent, rms, statistic
from tfisovae.show.drawing import FAINT, INK, MAIN, OTHER, Figure, Inline
from tfisovae.verdict.gains import Z

_ROWS = 200  # of the table
_MANY = 64  # with more dimensions, dots are small
_CLOSE = 0.1  # largest relative deviation of a norm that counts as its prediction
_PREDICTION = "E[1 \N{MINUS SIGN} \N{GREEK SMALL LETTER SIGMA}\N{SUPERSCRIPT TWO}]"
_PRECISION = "E[\N{GREEK SMALL LETTER SIGMA}\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT TWO}]"


def norms(numbers: Numbers, ax: Axes | None = None, title: str = "",
          color: str = MAIN) -> Axes | Figure:
    """The squared norm of each dimension (Eq. 15), with its deviation over the data, next to
    E[1 - sigma_j^2].

    A quadratic loss gives this prediction to any decoder that is straight over the width of the
    posterior. The rest is in the off-diagonal part of the Gram matrix.

    Args:
      numbers: `Analysis`, or what `isometry.json` holds.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.
      color: of the active dimensions.

    Returns:
      `ax`, or the new figure.
    """
    measured = Measured.of(numbers)
    ax, drawn = drawing.canvas(ax)
    shown = drawing.some(measured.n)
    order, rank = measured.ranking[shown], shown + 1
    norm, deviation, prediction = (one[order] for one in measured.vectors(
        "norm_mean", "norm_std", "one_minus_variance"))
    on = measured.active[order]
    drawing.level(ax, 1.0)
    drawing.whiskers(ax, rank, np.maximum(norm - deviation, 0), norm + deviation, FAINT,
                     "deviation over the data")
    for shade, chosen, name in ((color, on, "squared norm"), (FAINT, ~on, "inactive")):
        drawing.dots(ax, rank[chosen], norm[chosen], shade, name, 3 if len(rank) > _MANY else 5)
    drawing.dashes(ax, rank, prediction, INK, f"prediction {_PREDICTION}")
    top = statistic(np.max, np.concatenate([norm + deviation, norm, prediction]))
    ax.set_ylim(0, max(1.25, 1.06 * np.nan_to_num(top)))
    drawing.label(ax, "", "squared norm", title)
    drawing.whole_numbers(ax, measured.n, f"latent dimension, by {measured.rank_name}")
    return drawn


def isometry(numbers: Numbers, title: str = "") -> Figure:
    """Figs. 4, 5, 24 and 25, as in `isometry.png`: E[sigma_j^-2] as bars on a logarithmic axis, and
    `norms` on the axis at the right.
    """
    measured = Measured.of(numbers)
    figure = Figure(figsize=(9, 4.4))
    left = figure.subplots()
    right = left.twinx()
    shown = drawing.some(measured.n)
    precision = measured.vectors("precision_mean")[0][measured.ranking[shown]]
    left.set_yscale("log")
    drawing.bars(left, shown + 1, precision, 0.8, FAINT, f"{_PRECISION} (left)",
                 0.8 * measured.n / len(shown))
    left.set_ylim(0.8, max(10.0, 3 * statistic(np.max, precision)))
    drawing.label(left, "", _PRECISION, title, legend=False)
    norms(measured, right, color=OTHER)
    right.get_legend().remove()
    right.grid(False)
    right.spines["right"].set_visible(True)
    right.yaxis.set_label_coords(1, 1.02)
    right.yaxis.label.set_ha("right")
    drawing.whole_numbers(left, measured.n, f"latent dimension, by {measured.rank_name}")
    handles, words = (a + b for a, b in zip(left.get_legend_handles_labels(),
                                            right.get_legend_handles_labels()))
    right.legend(handles, words, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3,
                 frameon=False, fontsize=drawing.FONT)
    return figure


def flatness(numbers: Numbers, ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """The deviation of log sigma_j that z_j does not explain, with its 95 % interval, over the
    active dimensions: 0 on a flat manifold.

    Args and Returns: as of `norms`.
    """
    measured = Measured.of(numbers)
    ax, drawn = drawing.canvas(ax)
    count = len(measured.active_ranking)
    shown = drawing.some(count)
    order, rank = measured.active_ranking[shown], shown + 1
    values, errors, total = (one[order] for one in measured.vectors(
        "unexplained", "unexplained_standard_error", "log_scale_std"))
    drawing.dashes(ax, rank, total, INK, "in all")
    drawing.whiskers(ax, rank, np.maximum(values - Z * errors, 0),
                     values + Z * errors, FAINT, "95 % interval")
    drawing.dots(ax, rank, values, MAIN, "unexplained")
    ax.set_ylim(bottom=0)
    drawing.label(ax, "", "deviation of log \N{GREEK SMALL LETTER SIGMA}", title)
    drawing.whole_numbers(ax, count, f"active latent dimension, by {measured.rank_name}")
    return drawn


def norms_of(measured: Measured) -> Inline | None:
    """The norms of a page; `None` if not measured."""
    if measured.vector("norm_mean") is None:
        return None
    norm, prediction = measured.vectors("norm_mean", "one_minus_variance")
    on = measured.active
    if not on.any():
        said = "No dimension is active, so there is no norm to judge."
    else:
        exact = np.isin(np.arange(measured.n), measured.sampled)  # without noise of probes
        some = np.flatnonzero(np.isfinite(norm) & np.isfinite(prediction) & on & exact)
        estimate = measured.estimate("norm")
        said = (f"Over the {count(int(on.sum()))} that are active the norm is "
                f"{estimate or number(statistic(np.mean, norm[on]))} on average")
        if len(some):
            off = np.abs(norm - prediction)[some]
            near = np.sum(off <= _CLOSE * np.maximum(np.abs(prediction[some]), 1e-12))
            worst = some[int(np.argmax(off))]
            said += (
                f", the prediction {number(float(prediction[some].mean()))}. "
                f"{near} of {len(some)}{' in the sample' * bool(estimate)} lie within "
                f"{percent(_CLOSE)} of the prediction; farthest "
                f"off is z_{worst}, {number(norm[worst])} for {number(prediction[worst])}")
        said += "."
    return Inline(
        functools.partial(norms, measured), said,
        "A norm on its prediction shows that sigma is balanced against the decoder. It does not "
        "show that directions are orthogonal: the cosines do.")


def flatness_of(measured: Measured) -> Inline | None:
    """The flatness of a page; `None` if not measured."""
    order = measured.active_ranking
    values, total = (one[order] for one in measured.vectors("unexplained", "log_scale_std"))
    if not np.isfinite(values).any():
        return None
    worst, overall = int(np.nanargmax(values)), statistic(rms, values)
    said = (
        f"The deviation of log sigma that its own z does not explain is {number(overall)} over the "
        f"active dimensions (root mean square), most in z_{order[worst]}: {number(values[worst])}"
        + (f" of {number(total[worst])} in all" if np.isfinite(total[worst]) else "")
        + ". On a flat manifold it is 0.")
    return Inline(
        functools.partial(flatness, measured), said,
        "About the relative error of a length along the axis. If it is not small, the data are "
        "curved in the metric of the distortion. Then no embedding of them is isometric, however "
        "long the training.")


def table(measured: Measured) -> dict[str, Any]:
    """The first 200 dimensions by their ranking: `{"columns": [...], "rows": [[...]], "words":
    which}` of text.
    """
    columns = [(_PRECISION, "precision_mean"), ("importance", "importance"),
               ("KL, nats", "kl_mean"), ("norm", "norm_mean"),
               (_PREDICTION, "one_minus_variance"), ("balance", "balance"),
               ("unexplained", "unexplained")]
    found = [(words, measured.vector(name)) for words, name in columns]
    cost, kl = measured.vector("cost_of_removal"), measured.vector("kl_mean")
    if cost is not None:
        found.insert(2, ("cost of removal", cost))
        nats = None if kl is None else measured.scalar("lmbda") * cost - kl
        found.insert(3, ("the same, nats", nats))
    found = [(words, values) for words, values in found if values is not None]
    cosines, follows = measured.matrix("gram_cosine"), followed(measured) or []
    header = ["rank", "z", *(words for words, _ in found)]
    header += ["largest cosine"] * (cosines is not None) + ["follows"] * bool(follows) + ["active"]
    rows = []
    for rank, j in enumerate(measured.ranking[:_ROWS], 1):
        row = [str(rank), f"z_{j}", *(
            number(values[j]) if np.isfinite(values[j]) or measured.method != "estimated" else "-"
            for _, values in found)]
        if cosines is not None:
            others = measured.active & (np.arange(measured.n) != j)
            row.append(number(float(np.nanmax(cosines[j][others], initial=0.0))))
        row += [*follows[j:j + 1], "yes" if measured.active[j] else "no"]
        rows.append(row)
    words = "Every dimension in numbers" if len(rows) == measured.n else (
        f"The first {len(rows)} of {measured.n:,} dimensions in numbers")
    return {"columns": header, "rows": rows, "words": words}


def followed(measured: Measured) -> list[str] | None:
    """The known factor with the largest correlation for each dimension, and this correlation;
    `None` without known factors.
    """
    names = measured.values.get("factor_names")
    correlations = measured.array("factor_correlations",
                                  (measured.n,
                                   len(names))) if isinstance(names, list) and names else None
    if correlations is None:
        return None
    best = np.argmax(np.abs(np.nan_to_num(correlations)), 1)
    return [
        f"{names[k]} {row[k]:+.2f}".replace("-", "\N{MINUS SIGN}")
        for k, row in zip(best, correlations)
    ]
