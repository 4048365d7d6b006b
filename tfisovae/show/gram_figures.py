"""Picture of the Gram matrix."""
import os
import typing

import numpy as np
from matplotlib.ticker import MaxNLocator

from tfisovae.show.drawing import Figure, finished

if typing.TYPE_CHECKING:
    from tfisovae.analysis.analysis import Analysis


def gram(analysis: "Analysis", title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """|E[Gamma_jk]| of Eq. 12 over the active dimensions, by importance: the identity at an
    isometric embedding.
    """
    order = [j for j in analysis.ranking if analysis.active[j]]
    figure = Figure(figsize=(5, 4.4))
    axes = figure.subplots()
    image = axes.imshow(np.abs(analysis.gram_mean[np.ix_(order, order)]), vmin=0, cmap="magma_r",
                        extent=(0.5, len(order) + 0.5, len(order) + 0.5, 0.5))
    figure.colorbar(image, ax=axes, label=r"$|E[\Gamma_{jk}]|$")
    axes.set_xlabel("active latent dimension, by importance")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title.replace(", lmbda", "\nlmbda"), fontsize=8)
    return finished(figure, path)
