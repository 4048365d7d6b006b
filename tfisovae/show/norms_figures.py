"""Picture of the norms."""
import os
import typing

import numpy as np
from matplotlib.ticker import MaxNLocator

from tfisovae.show.drawing import _NORM, _PRECISION, _REFERENCE, Figure, finished

if typing.TYPE_CHECKING:
    from tfisovae.analysis.analysis import Analysis


def isometry(analysis: "Analysis", title: str = "",
             path: str | os.PathLike | None = None) -> Figure:
    """Figs. 4, 5, 24 and 25: E[sigma_j^-2] (log axis) and the norm with its deviation, dimensions
    by importance.

    Beside the norm stands 1 - sigma^2, which a quadratic loss gives to any decoder that is straight
    over the posterior's width: what the norm shows beyond that is in the off-diagonals of the Gram
    matrix.

    Args:
      analysis: `Analysis`.
      title: above the picture.
      path: where to write it, or `None`.
    """
    order = np.asarray(analysis.ranking)
    rank = np.arange(1, len(order) + 1)
    figure = Figure(figsize=(9, 4.6))
    left = figure.subplots()
    left.bar(rank, analysis.precision_mean[order], color=_PRECISION, alpha=0.45, width=0.85,
             label=r"$E[\sigma_j^{-2}]$ (left)")
    left.set_yscale("log")
    left.set_ylim(0.8, max(10.0, 3 * float(analysis.precision_mean.max())))
    left.set_xlabel(r"latent dimension, by descending $E[\sigma_j^{-2}]$")
    left.set_ylabel(r"$E[\sigma_j^{-2}]$", color=_PRECISION)
    left.set_xlim(0.3, len(order) + 0.7)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right = left.twinx()
    right.errorbar(rank, analysis.norm_mean[order], analysis.norm_std[order], fmt="o", markersize=4,
                   capsize=2, linewidth=1, color=_NORM,
                   label=r"$\frac{2}{\beta}\sigma_j^2 D'_j$, mean and SD over the data (right)")
    right.plot(rank, analysis.one_minus_variance[order], "_", markersize=9, color=_REFERENCE,
               label=r"$E[1-\sigma_j^2]$ (right)")
    right.axhline(1, color="black", linewidth=0.8, linestyle=":")
    right.set_ylabel("squared norm", color=_NORM)
    top = float(np.max(analysis.norm_mean + analysis.norm_std))
    right.set_ylim(0, max(1.5, 1.35 * top))
    handles, labels = left.get_legend_handles_labels()
    more = right.get_legend_handles_labels()
    left.legend(handles + more[0], labels + more[1], loc="upper center",
                bbox_to_anchor=(0.5, -0.13), ncol=3, frameon=False, fontsize=9)
    left.set_title(title, fontsize=10)
    return finished(figure, path)
