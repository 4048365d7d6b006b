"""Pictures of rates: files of a VAE's codec beside theory and beside what people would use, drawn
from a `Ledger`.
"""
import os
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tfisovae.codec.breakdown import QUANTIZATION, Ledger
from tfisovae.show.drawing import Figure, finished

_OURS, _THEORY, _POSTERIOR, _GREY = "#4c72b0", "#c44e52", "#55a868", "#555555"
_BESIDE = ("#dd8452", "#8172b3", "#937860", "#da8bc3", "#8c8c8c")
_NATS = np.log(2)  # a bit


def rate(ledger: Ledger, title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Rate and distortion over the step, beside others; bits by dimension; coding loss by
    dimension; and, of images, SSIM.

    Args:
      ledger: `Ledger`.
      title: above the picture.
      path: where to write it, or `None`.
    """
    images = _is_of_images(ledger)
    figure = Figure(figsize=(18 if images else 13.5, 4.3), layout="constrained")
    left, middle, right, *more = figure.subplots(1, 4 if images else 3)
    curve(left, ledger)
    left.legend(frameon=False, fontsize=7.5)
    order = np.array([j for j in np.argsort(-ledger.kl_bits, kind="stable") if ledger.coded[j]])
    place = np.arange(1, len(order) + 1)
    middle.bar(place, ledger.table_bits[order], color=_OURS, alpha=0.45,
               label="files: the tables' ideal")
    for values, mark, color, label in ((ledger.kl_bits, "_", _POSTERIOR,
                                        "KL"), (ledger.kl_bits + QUANTIZATION, "_", _THEORY,
                                                r"KL + $\frac{1}{2}\log_2(\pi e/6)$"),
                                       (ledger.exact_bits, "x", _GREY,
                                        "exact rate of a quantiser")):
        middle.plot(place, values[order], mark, color=color, label=label,
                    markersize=5 if mark == "x" else 11)
    middle.set_ylabel("bits an example")
    middle.legend(frameon=False, fontsize=8)
    half = ledger.beta / 2
    right.errorbar(place, ledger.coding_losses[order] / half,
                   ledger.coding_losses_standard_error[order] / half, fmt="o", color=_OURS,
                   markersize=4, label="files")
    right.plot(place, ledger.posterior_coding_losses[order] / half, "_", color=_POSTERIOR,
               markersize=11, label="posterior")
    right.plot(place, ledger.one_minus_variance[order], "x", color=_GREY, markersize=5,
               label=r"$E[1-\sigma_j^2]$")
    right.axhline(1, color=_THEORY, linewidth=1)
    right.set_ylim(0, max(1.5,
                          1.1 * float(np.nanmax(ledger.coding_losses[order] / half, initial=1))))
    right.set_ylabel(r"coding loss of one dimension, in $\beta/2$")
    right.legend(frameon=False, fontsize=8)
    for axes in more:
        similarity(axes, ledger)
        axes.legend(frameon=False, fontsize=7.5)
    for axes in (middle, right):
        axes.set_xlabel("coded latent dimension, by KL")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, fontsize=10)
    return finished(figure, path)


def curve(axes: Axes, ledger: Ledger, title: str = "") -> None:
    """Rate and distortion of files over the step, what is predicted of them, and the tangent of
    slope -beta.

    Beside them stand the curves of others, where these are in D: of all examples but images, whose
    are in `similarity`.

    Args:
      axes: to draw on.
      ledger: `Ledger`.
      title: of the panel.
    """
    predicted_bits, predicted, bits, distortion = np.array(
        [(at.predicted_bits, at.predicted_distortion, at.coded_bits, at.distortion)
         for at in ledger.curve]).T
    if not _is_of_images(ledger):
        _others(axes, ledger)
    axes.plot(predicted_bits, predicted, "-", color=_GREY, linewidth=1,
              label="predicted by the posterior")
    axes.plot(bits, distortion, "o", color=_OURS, markersize=5, label=_files(ledger))
    axes.plot(float(ledger.kl_bits.sum()), ledger.posterior_distortion, "P", color=_POSTERIOR,
              markersize=8, label="KL and E[D] of the posterior")
    reach = ledger.coded_bits + ledger.num_coded * np.linspace(-0.8, 0.8, 60)
    tangent = ledger.distortion - ledger.beta * _NATS * (reach - ledger.coded_bits)
    axes.plot(reach[tangent > 0], tangent[tangent > 0], "-", color=_THEORY, linewidth=1.5,
              label=r"slope $-\beta$")
    axes.set_xlim(max(0, 1.2 * bits.min() - 0.2 * bits.max()), 1.05 * bits.max())
    if distortion.max() > 5 * distortion.min():
        axes.set_yscale("log")
        axes.set_ylim(0.7 * distortion.min(), 1.4 * distortion.max())
    else:
        margin = 0.08 * np.ptp(distortion)
        axes.set_ylim(distortion.min() - margin, distortion.max() + margin)
    _labelled(axes, f"distortion, {ledger.distortion_name}", title)


def similarity(axes: Axes, ledger: Ledger, title: str = "") -> None:
    """1 - SSIM of files over the step, on a logarithmic axis of bits, beside JPEG and WebP.

    Args:
      axes: to draw on.
      ledger: `Ledger` of images.
      title: of the panel.
    """
    bits, dissimilarity = np.array([(at.coded_bits, at.dissimilarity) for at in ledger.curve]).T
    _others(axes, ledger)
    axes.plot(bits, dissimilarity, "o-", color=_OURS, markersize=5, linewidth=1,
              label=_files(ledger))
    axes.plot(ledger.coded_bits, ledger.trained.dissimilarity, "o", color=_THEORY, markersize=7,
              label="the trained step")
    axes.set_xscale("log")
    axes.set_ylim(0, 1.15 * max(dissimilarity.max(), ledger.trained.dissimilarity * 2))
    _labelled(axes, r"$1-$SSIM", title)


def _is_of_images(ledger):
    return ledger.trained.dissimilarity is not None


def _files(ledger):
    return "files, step factors " + " to ".join(f"{at.factor:g}"
                                                for at in (ledger.curve[0], ledger.curve[-1]))


def _others(axes, ledger):
    """Curves of what people would use, and bounds, which are dashed."""
    for (name, points), color in zip(ledger.beside.items(), _BESIDE * 2):
        bits, distortion = np.array(sorted((at["bits"], at["distortion"]) for at in points)).T
        bound = "bound" in name
        axes.plot(bits, distortion, "--" if bound else "." + ":-"["without" not in name],
                  color="black" if bound else color, linewidth=1, markersize=4, label=name)


def _labelled(axes, distortion, title):
    axes.set_xlabel("bits an example")
    axes.set_ylabel(distortion)
    axes.set_title(title, fontsize=10)


def curves(ledgers: Sequence[tuple[str, Ledger]], path: str | os.PathLike | None = None) -> Figure:
    """A panel for each `(title, Ledger)`, in one picture: of images their `similarity`, of others
    their `curve`.
    """
    columns = min(3, len(ledgers))
    rows = -(-len(ledgers) // columns)
    figure = Figure(figsize=(4.8 * columns, 4.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (title, ledger) in zip(panels, ledgers):
        (similarity if _is_of_images(ledger) else curve)(axes, ledger, title)
        axes.legend(frameon=False, fontsize=7)
    for axes in panels[len(ledgers):]:
        axes.set_visible(False)
    return finished(figure, path)
