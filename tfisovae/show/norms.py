"""What is measured of each latent dimension, as figures and as a table: importance, norm, flatness,
rate.
"""
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfisovae.show.charts import WIDE, Chart, Figure, figure, frame, number, percent, rms, span, statistic
from tfisovae.show.contents import Measured

NORMAL = 1.96  # standard errors to each side of an interval of 95 %
_MANY = 64  # dimensions, from which on dots are small
_CLOSE = 0.1  # of its prediction, within which a norm is said to lie on it


def listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])


def count(how_many: int, noun: str = "dimension") -> str:
    """ "1 dimension", "3 dimensions"."""
    return f"{how_many:,} {noun}" + ("" if how_many == 1 else "s")


def ranked(width: int, n: int, y: tuple[float, float], y_label: str, log: bool = False,
           height: int | None = None) -> Chart:
    """An empty chart over n dimensions by importance."""
    return frame(width, height or (300 if width == WIDE else 260), (0.4, n + 0.6), y,
                 "latent dimension, by importance", y_label, y_log=log, whole_x=True)


def split(chart: Chart, draw: str, on: np.ndarray, rank: np.ndarray, values: np.ndarray,
          **options: float) -> Chart:
    """Draws by the method `draw` of a chart: the dimensions that are `on`, the active ones, in one
    look, the others in another.
    """
    small = " small" if draw == "dots" and len(rank) > _MANY else ""
    for look, chosen in (("main", on), ("faint", ~on)):
        getattr(chart, draw)(f"{draw} {look}{small}", rank[chosen], values[chosen], **options)
    return chart


def norms(measured: Measured) -> Figure | None:
    """Norms with their deviation over the data, beside 1 - sigma_j^2."""
    norm, deviation, prediction = (measured.vector(name)
                                   for name in ("norm_mean", "norm_std", "one_minus_variance"))
    if norm is None:
        return None
    order, rank = measured.ranking, np.arange(1, measured.n + 1)
    deviation, prediction = (np.full(measured.n, np.nan) if v is None else v
                             for v in (deviation, prediction))
    norm, deviation, prediction, on = (v[order]
                                       for v in (norm, deviation, prediction, measured.active))
    low, high = np.maximum(norm - deviation, 0), norm + deviation

    def draw(width):
        chart = ranked(width, measured.n, span(norm, high, prediction, include=(0.0, 1.2)),
                       "squared norm")
        chart.level("rule", 1.0).whiskers("whiskers faint", rank, low, high)
        return split(chart, "dots", on, rank, norm).dashes("dashes ink", rank, prediction, 0.7)

    if not on.any():
        said = "No dimension is active, so there is no norm to judge."
    else:
        some = np.isfinite(norm) & np.isfinite(prediction) & on
        off = np.abs(norm - prediction)[some]
        said = f"Over the {count(int(on.sum()))} that are active the norm is {number(statistic(np.mean, norm[on]))} on average"
        if some.any():
            relative = off / np.maximum(np.abs(prediction[some]), 1e-12)
            worst = np.flatnonzero(some)[int(np.argmax(off))]
            said += (
                f", the prediction {number(float(prediction[some].mean()))}. "
                f"{np.sum(relative <= _CLOSE)} of {some.sum()} lie "
                f"within {percent(_CLOSE)} of the prediction; farthest off is z_{order[worst]}, "
                f"{number(norm[worst])} for "
                f"{number(prediction[worst])}")
        said += "."
    legend = [("dots main", "norm, active"), ("whiskers faint", "deviation over the data"),
              ("dashes ink",
               "prediction E[1 \N{MINUS SIGN} \N{GREEK SMALL LETTER SIGMA}\N{SUPERSCRIPT TWO}]")]
    return figure(
        said, draw, legend,
        "A norm on its prediction shows that sigma is balanced against the decoder; it does not "
        "show "
        "that directions are orthogonal, which the cosines do.")


def flatness(measured: Measured) -> Figure | None:
    """The deviation of log sigma_j that z_j leaves unexplained."""
    values, errors, total = (measured.vector(name)
                             for name in ("unexplained", "unexplained_standard_error",
                                          "log_scale_std"))
    order = measured.active_ranking
    if values is None or not len(order) or not np.isfinite(values[order]).any():
        return None
    rank = np.arange(1, len(order) + 1)
    errors, total = (np.full(measured.n, np.nan) if v is None else v for v in (errors, total))
    values, errors, total = values[order], errors[order], total[order]
    low, high = np.maximum(values - NORMAL * errors, 0), values + NORMAL * errors

    def draw(width):
        ends = span(values, high, total, include=(0.0,))
        chart = ranked(width, len(order), ends, "deviation of log \N{GREEK SMALL LETTER SIGMA}")
        chart.dashes("dashes ink", rank, total, 0.7).whiskers("whiskers faint", rank, low, high)
        return chart.dots("dots main", rank, values)

    worst, overall = int(np.nanargmax(values)), statistic(rms, values)
    said = (
        f"The deviation of log sigma that its own z leaves unexplained is {number(overall)} over "
        f"the active dimensions (root "
        f"mean square), most in z_{order[worst]}: {number(values[worst])}" +
        (f" of {number(total[worst])} in all" if np.isfinite(total[worst]) else "")
        + ". On a flat manifold it is 0.")
    return figure(
        said, draw, [("dots main", "unexplained"), ("whiskers faint", "95 % interval"),
                     ("dashes ink", "in all")],
        "About the relative error of a length along the axis. Where it is not small, the data are "
        "curved in the metric "
        "of the distortion, and no embedding of them is isometric, however long the training.")


def rates(measured: Measured) -> Figure | None:
    """KL_j beside log E[sigma_j^-2] / 2, which the rate of a Gaussian variable of that importance
    is (Eq. 4).
    """
    kl, precision = measured.vector("kl_mean"), measured.vector("precision_mean")
    if kl is None or precision is None:
        return None
    order, rank = measured.ranking, np.arange(1, measured.n + 1)
    kl, on = kl[order], measured.active[order]
    with np.errstate(invalid="ignore", divide="ignore"):
        gaussian = np.maximum(np.log(precision[order]) / 2, 0)

    def draw(width):
        chart = ranked(width, measured.n, span(kl, gaussian, include=(0.0,)), "nats")
        return split(chart, "bars", on, rank, kl, width=0.8).dashes("dashes ink", rank, gaussian,
                                                                    0.8)

    said = f"The rate is {number(float(np.nansum(kl)), 4)} nats in all"
    if np.isfinite(kl).any():
        said += f", {number(statistic(np.max, kl))} of them in z_{order[int(np.nanargmax(kl))]}"
    said += "."
    if on.any():
        carried, predicted = (float(np.nansum(values[on])) for values in (kl, gaussian))
        said += (
            f" The active dimensions carry {number(carried, 4)} nats; Gaussian variables of their "
            f"importance would take "
            f"{number(predicted, 4)}.")
    return figure(said, draw, [("bars main", "E[KL]"),
                               ("dashes ink", "of a Gaussian of this importance (Eq. 4)")])


def table(measured: Measured) -> dict[str, Any]:
    """Every dimension, by importance: `{"columns": [...], "rows": [[...]]}` of text."""
    columns = [("E[\N{GREEK SMALL LETTER SIGMA}\N{SUPERSCRIPT MINUS}\N{SUPERSCRIPT TWO}]",
                "precision_mean"), ("importance", "importance"), ("KL, nats", "kl_mean"),
               ("norm", "norm_mean"),
               ("E[1 \N{MINUS SIGN} \N{GREEK SMALL LETTER SIGMA}\N{SUPERSCRIPT TWO}]",
                "one_minus_variance"), ("balance", "balance"), ("unexplained", "unexplained")]
    found = [(words, measured.vector(name)) for words, name in columns]
    found = [(words, values) for words, values in found if values is not None]
    cosines, follows = measured.matrix("gram_cosine"), followed(measured) or []
    header = ["rank", "z", *(words for words, _ in found)]
    header += ["largest cosine"] * (cosines is not None) + ["follows"] * bool(follows) + ["active"]
    rows = []
    for rank, j in enumerate(measured.ranking, 1):
        row = [str(rank), f"z_{j}", *(number(values[j]) for _, values in found)]
        if cosines is not None:
            others = measured.active & (np.arange(measured.n) != j)
            row.append(number(float(np.nanmax(cosines[j][others], initial=0.0))))
        row += [*follows[j:j + 1], "yes" if measured.active[j] else "no"]
        rows.append(row)
    return {"columns": header, "rows": rows}


def followed(measured: Measured) -> list[str] | None:
    """The known factor of the data that each dimension follows most, with the correlation; `None`
    where none are known.
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
