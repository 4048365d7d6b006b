"""Pictures of rates: files of a VAE's codec beside theory and beside what people would use, drawn from a `Ledger`."""
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tfisovae.figures import Figure, finished
from tfisovae.ledger import QUANTIZATION, Ledger

_OURS, _THEORY, _POSTERIOR, _GREY = "#4c72b0", "#c44e52", "#55a868", "#555555"
_BESIDE = ("#dd8452", "#8172b3", "#937860", "#da8bc3", "#8c8c8c")
_NATS = np.log(2)  # a bit


def rate(ledger: Ledger, title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Three panels: rate and distortion over the step, beside others; bits by dimension; coding loss by dimension.

    Args:
      ledger: `Ledger`.
      title: above the picture.
      path: where to write it, or `None`.
    """
    figure = Figure(figsize=(13.5, 4.3), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    curve(left, ledger)
    left.legend(frameon=False, fontsize=7.5)
    order = np.array([j for j in np.argsort(-ledger.kl_bits, kind="stable") if ledger.coded[j]])
    place = np.arange(1, len(order) + 1)
    middle.bar(place, ledger.table_bits[order], color=_OURS, alpha=0.45, label="files: the tables' ideal")
    for values, mark, color, label in ((ledger.kl_bits, "_", _POSTERIOR, "KL"),
                                       (ledger.kl_bits + QUANTIZATION, "_", _THEORY, r"KL + $\frac{1}{2}\log_2(\pi e/6)$"),
                                       (ledger.exact_bits, "x", _GREY, "exact rate of a quantiser")):
        middle.plot(place, values[order], mark, color=color, label=label, markersize=5 if mark == "x" else 11)
    middle.set_ylabel("bits an example")
    middle.legend(frameon=False, fontsize=8)
    half = ledger.beta / 2
    right.errorbar(place, ledger.coding_losses[order] / half, ledger.coding_losses_standard_error[order] / half, fmt="o",
                   color=_OURS, markersize=4, label="files")
    right.plot(place, ledger.posterior_coding_losses[order] / half, "_", color=_POSTERIOR, markersize=11, label="posterior")
    right.plot(place, ledger.one_minus_variance[order], "x", color=_GREY, markersize=5, label=r"$E[1-\sigma_j^2]$")
    right.axhline(1, color=_THEORY, linewidth=1)
    right.set_ylim(0, max(1.5, 1.1 * float(np.nanmax(ledger.coding_losses[order] / half, initial=1))))
    right.set_ylabel(r"coding loss of one dimension, in $\beta/2$")
    right.legend(frameon=False, fontsize=8)
    for axes in (middle, right):
        axes.set_xlabel("coded latent dimension, by KL")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, fontsize=10)
    return finished(figure, path)


def curve(axes: Axes, ledger: Ledger, title: str = "") -> None:
    """The curve of a codec over its steps, what is predicted of it, its tangent of slope -beta, and curves of others.

    Args:
      axes: to draw on.
      ledger: `Ledger`.
      title: of the panel.
    """
    bits, distortion, predicted_bits, predicted = np.array(
        [(at.coded_bits, at.distortion, at.predicted_bits, at.predicted_distortion) for at in ledger.curve]).T
    trained, = [at for at in ledger.curve if at.factor == 1]
    axes.plot(predicted_bits, predicted, "-", color=_GREY, linewidth=1, label="predicted by the posterior")
    axes.plot(bits, distortion, "o", color=_OURS, markersize=5, label="files, step factors "
              + " to ".join(f"{at.factor:g}" for at in (ledger.curve[0], ledger.curve[-1])))
    axes.plot(float(ledger.kl_bits.sum()), ledger.posterior_distortion, "P", color=_POSTERIOR, markersize=8,
              label="KL and E[D] of the posterior")
    reach = trained.coded_bits + ledger.num_coded * np.linspace(-0.8, 0.8, 60)
    tangent = trained.distortion - ledger.beta * _NATS * (reach - trained.coded_bits)
    axes.plot(reach[tangent > 0], tangent[tangent > 0], "-", color=_THEORY, linewidth=1.5, label=r"slope $-\beta$")
    low, high = min(bits.min(), ledger.kl_bits.sum()), bits.max()
    for (name, points), color in zip(ledger.beside.items(), _BESIDE * 2):
        ordered = sorted(points, key=lambda at: at["bits"])
        x, y = (np.array([at[key] for at in ordered]) for key in ("bits", "distortion"))
        axes.plot(x, y, "--" if "bound" in name else ".-", color=color, linewidth=1, markersize=4, label=name)
        high = max(high, x.max())
    if high > 5 * bits.max():
        axes.set_xscale("log")
    else:
        axes.set_xlim(max(0, 0.6 * low), 1.05 * bits.max())
    axes.set_yscale("log")
    axes.set_ylim(0.7 * distortion.min(), 1.4 * distortion.max())
    axes.set_xlabel("bits an example")
    axes.set_ylabel(f"distortion, {ledger.distortion_name}")
    axes.set_title(title, fontsize=10)


def curves(ledgers: Sequence[tuple[str, Ledger]], path: str | os.PathLike | None = None) -> Figure:
    """A panel of `curve` for each `(title, Ledger)`, in one picture."""
    columns = min(3, len(ledgers))
    rows = -(-len(ledgers) // columns)
    figure = Figure(figsize=(4.8 * columns, 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, ledger) in zip(panels, ledgers):
        curve(axes, ledger, title)
        axes.legend(frameon=False, fontsize=7)
    for axes in panels[len(ledgers):]:
        axes.set_visible(False)
    return finished(figure, path)
