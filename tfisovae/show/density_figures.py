"""Pictures of densities."""
import os
import typing
from collections.abc import Mapping

import numpy as np

from tfisovae.show.drawing import _NORM, _PRECISION, Figure, finished

if typing.TYPE_CHECKING:
    pass


def densities(log_estimates: Mapping[str, np.ndarray], log_density: np.ndarray,
              correlations: Mapping[str, float], title: str = "",
              path: str | os.PathLike | None = None, max_points: int = 5000) -> Figure:
    """Figs. 3 and 8: p(x) against each estimate, on linear axes above and on logarithmic ones
    below.

    Args:
      log_estimates: dict from form to `[N]`, nats.
      log_density: `[N]`, log p(x), nats.
      correlations: dict from form to Pearson's R on the linear scale, written into the panel.
      title: above the picture.
      path: where to write it, or `None`.
      max_points: drawn at most, evenly chosen.
    """
    shown = np.linspace(0, len(log_density) - 1, min(max_points, len(log_density))).astype(int)
    truth = np.asarray(log_density)[shown]
    figure = Figure(figsize=(2.9 * len(log_estimates), 5.8), layout="constrained")
    panels = figure.subplots(2, len(log_estimates), squeeze=False)
    for (linear, log), (form, values) in zip(panels.T, log_estimates.items()):
        estimate = np.asarray(values)[shown]
        for axes, a, b in ((linear, np.exp(truth), np.exp(estimate)), (log, truth, estimate)):
            axes.plot(a, b, ".", color=_PRECISION, markersize=1.5, alpha=0.4, rasterized=True)
            axes.tick_params(labelsize=8)
            if form != "prior":  # of another unit: the diagonal means nothing
                axes.axline((a.mean(), a.mean()), slope=1, color=_NORM, linewidth=1)
        linear.set_title(f"{form.replace('_', ' ')}\nR = {correlations[form]:.3f}", fontsize=10)
        linear.set_xlabel("p(x)", fontsize=9)
        linear.set_xlim(0)
        linear.set_ylim(0, 1.05 * np.quantile(np.exp(estimate), 0.999))
        log.set_xlabel("log p(x), nats", fontsize=9)
        log.set_xlim(*np.quantile(truth, (0.002, 1)))
        log.set_ylim(*np.quantile(estimate, (0.002, 0.9995)))
    panels[0, 0].set_ylabel("estimate", fontsize=9)
    panels[1, 0].set_ylabel("log estimate, nats", fontsize=9)
    figure.suptitle(title, fontsize=10)
    return finished(figure, path)


def density_histograms(log_estimates: Mapping[str, np.ndarray], title: str = "",
                       path: str | os.PathLike | None = None) -> Figure:
    """Histograms of log densities `{form: [N]}`, nats, of data whose true density is not known."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for form, values in log_estimates.items():
        axes.hist(values, bins=60, range=np.quantile(values, (0.005, 1)), histtype="step",
                  density=True, label=form.replace("_", " "))
    axes.set_xlabel("log density, nats")
    axes.set_ylabel("share of inputs per nat")
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, fontsize=10)
    return finished(figure, path)
