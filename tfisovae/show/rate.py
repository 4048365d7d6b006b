"""Real bits on a page: what files of a VAE's codec cost and lose, beside theory and beside what
people would use.
"""
from typing import Any

import numpy as np

from tfisovae.codec.breakdown import Ledger
from tfisovae.codec.claims import lines
from tfisovae.show.charts import Chart, Figure, figure, frame, number, span

_LOOKS = ("other", "good", "doubt", "bad", "quiet")  # of what people would use


def section(ledger: Ledger | None) -> dict[str, Any] | None:
    """What a ledger says: claims as `ClaimLine`, what the sums are made of as a table, and curves.
    """
    if ledger is None:
        return None
    rows = [["bits", number(ledger.file_bits, 4)]]
    rows += [[f"of them, {name}", number(value)] for name, value in ledger.bit_terms.items()]
    rows += [["distortion", number(ledger.distortion, 4)]]
    rows += [[f"of it, {name}", number(value)] for name, value in ledger.distortion_terms.items()]
    of_images = all(at.dissimilarity is not None for at in ledger.curve)
    figures = [_trade(ledger, not of_images), *([_similarity(ledger)] if of_images else [])]
    table = {"columns": ["of a file, for an example", "measured"], "rows": rows}
    return {"claims": lines(ledger), "table": table, "figures": figures}


def _sorted(points: list[tuple[float, float]]) -> np.ndarray:
    """Points of a curve by their bits, `[k, 2]`."""
    return np.array(sorted(points), np.float64).reshape(-1, 2)


def _beside(ledger):
    """`(look, name, points)` of what people would use, and of bounds."""
    curves = [(name, _sorted([(at["bits"], at["distortion"]) for at in points]))
              for name, points in ledger.beside.items()]
    return [(_LOOKS[k % len(_LOOKS)], name, points) for k, (name, points) in enumerate(curves)
            if len(points)]


def _drawn(chart: Chart, curves) -> Chart:
    for look, _, points in curves:
        chart.line(f"line {look}", *points.T)
    return chart


def _trade(ledger, with_others) -> Figure:
    """Rate and distortion of files over the step, beside what the posterior predicts."""
    ours = np.array([(at.coded_bits, at.distortion) for at in ledger.curve], np.float64)
    curves = [("ink", "predicted by the posterior",
               _sorted([(at.predicted_bits, at.predicted_distortion) for at in ledger.curve]))]
    curves += _beside(ledger) if with_others else []
    x = (max(0.0, 1.2 * ours[:, 0].min() - 0.2 * ours[:, 0].max()), 1.05 * ours[:, 0].max())
    log = bool(ours[:, 1].min() > 0 and ours[:, 1].max() > 5 * ours[:, 1].min())

    def draw(width):
        chart = frame(width, 320 if width > 500 else 280, x, span(ours[:, 1], log=log),
                      "bits an example", "distortion", y_log=log)
        return _drawn(chart, _inside(curves, chart)).dots("dots main", *ours.T)

    said = (
        f"Files take {number(ledger.coded_bits, 4)} bits an example at a distortion of "
        f"{number(ledger.distortion)} with the "
        f"step that training has settled on; KL and a quarter of a bit for each of "
        f"{ledger.num_coded} dimensions are "
        f"{number(ledger.predicted_bits, 4)}. Other steps give {number(ours[:, 0].min())} to "
        f"{number(ours[:, 0].max())} bits "
        f"at {number(ours[:, 1].max())} to {number(ours[:, 1].min())}.")
    return figure(said, draw, [("dots main", "our files")] + [(f"line {look}", name)
                                                              for look, name, _ in curves])


def _inside(curves, chart):
    """Curves without what lies outside of a chart, at whose edges it would be drawn."""
    for look, name, points in curves:
        seen = (points >= [chart.x.low, chart.y.low
                           ]).all(1) & (points <= [chart.x.high, chart.y.high]).all(1)
        yield look, name, np.where(seen[:, None], points, np.nan)


def _similarity(ledger) -> Figure:
    """1 - SSIM of files of images over the step, beside JPEG and WebP."""
    ours = _sorted([(at.coded_bits, at.dissimilarity) for at in ledger.curve])
    others = _beside(ledger)
    everything = np.concatenate([ours, *(points for *_, points in others)])
    y = (0.0, 1.15 * float(ours[:, 1].max()))

    def draw(width):
        chart = frame(width, 320 if width > 500 else 280, span(everything[:, 0], log=True), y,
                      "bits an example, logarithmic", "1 \N{MINUS SIGN} SSIM", x_log=True)
        return _drawn(chart, [*_inside(others, chart), ("main", "", ours)]).dots(
            "dots main", *ours.T)

    said = (
        f"Our files have a 1 \N{MINUS SIGN} SSIM of {number(ours[:, 1].min())} to "
        f"{number(ours[:, 1].max())} at "
        f"{number(ours[:, 0].max())} to {number(ours[:, 0].min())} bits an image.")
    for _, name, points in others:
        near = points[np.argmin(np.abs(points[:, 1] - ledger.trained.dissimilarity))]
        said += f" {name} comes closest to the trained step's at {number(near[0])} bits, with {number(near[1])}."
    return figure(said, draw, [("line main", "our files")] + [(f"line {look}", name)
                                                              for look, name, _ in others])
