"""Scree plot."""
import os
import typing
from collections.abc import Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from tfisovae.show.drawing import _NORM, _PRECISION, _REFERENCE, Figure, finished

if typing.TYPE_CHECKING:
    from tfisovae.analysis.scree import Scree


def scree(numbers: "Scree", title: str = "", path: str | os.PathLike | None = None,
          shares: Sequence[float] = (0.9, 0.95, 0.99)) -> Figure:
    """The nonlinear scree plot: importances with their intervals beside the eigenvalues of a PCA in
    the same metric, and both summed up.

    Args:
      numbers: `Scree`.
      title: above the picture.
      path: where to write it, or `None`.
      shares: of the whole, for which the numbers of dimensions are marked.
    """
    count, found = len(numbers.importance), numbers.components
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    rank = np.arange(1, count + 1)
    colors = [_PRECISION if active else "#c8c8c8" for active in numbers.active]
    left.bar(rank, numbers.importance, color=colors, alpha=0.55, width=0.85,
             label="importance of latent dimensions, 95 % (grey: inactive)")
    left.errorbar(rank, numbers.importance, np.abs(numbers.interval - numbers.importance),
                  fmt="none", color=_REFERENCE, capsize=1.5 if count <= 64 else 0, linewidth=0.8)
    left.axhline(numbers.floor, color="black", linewidth=0.8, linestyle=":", label=r"$\beta / 2$")
    lines = [(rank, numbers.cumulative, _PRECISION, "latent dimensions", numbers.count)]
    if found is not None:
        where = "" if found.constant else ", metric at the mean"
        shown = np.arange(1,
                          min(len(found.eigenvalue), max(2 * count, found.count(max(shares)))) + 1)
        beside = shown[:max(2 * count, 10)]
        left.errorbar(beside, found.eigenvalue[beside - 1], found.standard_error[beside - 1],
                      fmt="o-", color=_NORM, markersize=2.5, linewidth=0.8,
                      label=f"eigenvalues of a PCA{where}")
        share = np.cumsum(found.eigenvalue)[shown - 1] / (found.total or 1)
        lines.append((shown, share, _NORM, f"principal components{where}", found.count))
    left.set_yscale("log")
    left.set_ylim(bottom=0.5 * numbers.floor)
    left.set_xlabel("latent dimension, or principal component, by size")
    left.set_ylabel("variance in the metric of the distortion")
    for x, y, color, label, counted in lines:
        marked = [counted(share) for share in shares]
        right.plot(
            x, y, color=color, linewidth=1.2, label=
            f"{label}: {', '.join(map(str, marked))} for "
            f"{', '.join(f'{100 * share:g}' for share in shares)} %"
        )
        right.plot(marked, shares, "o", color=color, markersize=4)
    for share in shares:
        right.axhline(share, color=_REFERENCE, linewidth=0.5, linestyle=":")
    right.set_xscale("log")
    right.set_xlim(left=0.9)
    right.xaxis.set_major_formatter(ScalarFormatter())
    right.set_ylim(0, 1.03)
    right.set_xlabel("how many, the largest first")
    right.set_ylabel("share of the whole")
    for axes in (left, right):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=8)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, fontsize=10)
    return finished(figure, path)
