"""The Gram matrix of Eq. 12 as heat maps, and the pairs of dimensions that are least orthogonal."""
from typing import Any

import numpy as np

from tfisovae.show import pictures
from tfisovae.show.charts import NARROW, Chart, Figure, Raster, Scale, Text, number, rms, statistic
from tfisovae.show.contents import Measured
from tfisovae.show.norms import count

_SIDE = 512  # pixels of a picture, whose cells must stay sharp when a browser smooths it
_MARGIN = 28
_PAIRS = 8


def _heat_map(name, values, top, label):
    """|values| `[k, k]` as a chart, from nothing at 0 to the full colour at `top`."""
    k = len(values)
    levels = np.uint8(np.rint(255 * np.clip(np.nan_to_num(values) / top, 0, 1)))
    cells = np.kron(levels, np.ones((max(1, _SIDE // k),) * 2, np.uint8))
    side = NARROW - _MARGIN - 8
    scale = Scale(0.5, k + 0.5, _MARGIN, _MARGIN + side)
    chart = Chart(NARROW, NARROW + 20, scale, scale)
    chart.rasters.append(Raster(name, _MARGIN, _MARGIN, side, side, pictures.uri(cells)))
    for rank in (rank for rank in scale.ticks(6) if rank == round(rank)):
        at = float(scale(rank))
        chart.texts += [
            Text(at, _MARGIN - 6, f"{rank:g}"),
            Text(_MARGIN - 6, at + 4, f"{rank:g}", "end")
        ]
    chart.texts.append(Text(NARROW - 8, NARROW + 12, label, "end"))
    return chart


def _legend(top):
    return [(f"heat h{step}", number(top * step / 4, 2)) for step in range(5)]


def heat_maps(measured: Measured) -> list[Figure]:
    """|E[Gamma_jk]| and the cosines, over the active dimensions by importance; none where these are
    fewer than two.
    """
    order, made = measured.active_ranking, []
    if len(order) < 2:
        return made
    gram, cosine = measured.matrix("gram_mean"), measured.matrix("gram_cosine")
    if gram is not None:
        values = np.abs(gram[np.ix_(order, order)])
        apart = values[~np.eye(len(order), dtype=bool)]
        top = statistic(np.max, [*values.ravel(), 0.0]) or 1.0
        norms = np.diag(values)
        said = (
            f"Mean Gram matrix of the {count(len(order), 'active dimension')}: its diagonal, the "
            f"norms, goes from "
            f"{number(statistic(np.min, norms))} to {number(statistic(np.max, norms))}; off it "
            f"the largest is "
            f"{number(statistic(np.max, apart))}, the root mean square "
            f"{number(statistic(rms, apart))}. At an isometric "
            "embedding it is the identity.")
        chart = _heat_map("mask-gram", values, top,
                          "|E[\N{GREEK CAPITAL LETTER GAMMA}]|, by importance")
        made.append(Figure(said, [("any", chart)], _legend(top)))
    if cosine is not None:
        values = np.abs(cosine[np.ix_(order, order)])
        np.fill_diagonal(values, 0)
        apart = values[~np.eye(len(order), dtype=bool)]
        j, k = np.unravel_index(np.argmax(np.nan_to_num(values)), values.shape)
        said = (
            f"Cosines between the directions in which the active dimensions move the data, root "
            f"mean square over the data: "
            f"{number(statistic(rms, apart))} over all pairs, at most "
            f"{number(float(values[j, k]))}, of z_{order[j]} and "
            f"z_{order[k]}. At an isometric embedding they are 0.")
        made.append(
            Figure(said,
                   [("any", _heat_map("mask-cosines", values, 1.0, "cosines, rms, by importance"))],
                   _legend(1.0)))
    return made


def pairs(measured: Measured) -> dict[str, Any] | None:
    """The pairs of active dimensions with the largest cosines, as a table of text."""
    order, cosine, gram = measured.active_ranking, measured.matrix("gram_cosine"), measured.matrix(
        "gram_mean")
    if cosine is None or len(order) < 2:
        return None
    first, second = np.triu_indices(len(order), 1)
    values = np.nan_to_num(cosine[order[first], order[second]])
    rows = []
    for at in np.argsort(-values, kind="stable")[:_PAIRS]:
        j, k = order[first[at]], order[second[at]]
        rows.append([
            f"z_{j}, z_{k}",
            number(values[at]), "not known" if gram is None else number(gram[j, k])
        ])
    return {
        "columns": ["dimensions", "cosine, rms", "E[\N{GREEK CAPITAL LETTER GAMMA}]"], "rows": rows
    }
