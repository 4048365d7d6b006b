"""Rates and distortions next to theory, and as real bits in files of a VAE's codec."""
import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from tfisovae.analysis.rate_distortion import Accounts
from tfisovae.analysis.scree import latent_variance
from tfisovae.codec.breakdown import QUANTIZATION, Ledger
from tfisovae.codec.claims import lines
from tfisovae.show import drawing
from tfisovae.show.contents import Measured, Numbers, number, statistic
from tfisovae.show.drawing import BAD, DOUBT, FAINT, GOOD, INK, MAIN, OTHER, QUIET, Figure, Inline

_BESIDE = (OTHER, GOOD, DOUBT, BAD, QUIET)  # of common codecs
_NATS = math.log(2)  # a bit


def rates(numbers: Numbers, ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """KL_j next to log E[sigma_j^-2] / 2, the rate of a Gaussian variable of this importance (Eq.
    4).

    Args:
      numbers: `Analysis`, or what `isometry.json` holds.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.

    Returns:
      `ax`, or the new figure.
    """
    measured = Measured.of(numbers)
    ax, drawn = drawing.canvas(ax)
    kl, gaussian = _rates(measured)
    shown = drawing.some(measured.n)
    order, rank, width = measured.ranking[shown], shown + 1, 0.8 * measured.n / len(shown)
    on = measured.active[order]
    for color, chosen, name in ((MAIN, on, "E[KL]"), (FAINT, ~on, "inactive")):
        drawing.bars(ax, rank[chosen], kl[order][chosen], 0.0, color, name, width)
    drawing.dashes(ax, rank, gaussian[order], INK, "of a Gaussian of this importance (Eq. 4)",
                   width)
    ax.set_ylim(bottom=0)
    drawing.label(ax, "", "nats", title)
    drawing.whole_numbers(ax, measured.n, f"latent dimension, by {measured.rank_name}")
    return drawn


def _rates(measured):
    kl, precision, importance = measured.vectors("kl_mean", "precision_mean", "importance")
    variance = latent_variance(importance, precision, measured.scalar("beta"))
    with np.errstate(invalid="ignore", divide="ignore"):
        return kl, np.maximum(np.log(precision * variance) / 2, 0)


def curve(ledger: Ledger, ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """Rate and distortion of files over the step, the prediction from the posterior, and the
    tangent of slope -beta. Curves of other codecs in D are shown too; for images they are in
    `similarity`.

    Args:
      ledger: `Ledger`.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.

    Returns:
      `ax`, or the new figure.
    """
    ax, drawn = drawing.canvas(ax, (7.2, 3.4))
    predicted_bits, predicted, bits, distortion = np.array(
        [(at.predicted_bits, at.predicted_distortion, at.coded_bits, at.distortion)
         for at in ledger.curve]).T
    if not _is_of_images(ledger):
        _others(ax, ledger)
    drawing.line(ax, predicted_bits, predicted, INK, "predicted by the posterior")
    drawing.dots(ax, bits, distortion, MAIN, _files(ledger))
    ax.plot(float(ledger.kl_bits.sum()), ledger.posterior_distortion, "P", color=GOOD,
            markersize=8, markeredgewidth=0, label="KL and E[D] of the posterior")
    reach = ledger.coded_bits + ledger.num_coded * np.linspace(-0.8, 0.8, 60)
    tangent = ledger.distortion - ledger.beta * _NATS * (reach - ledger.coded_bits)
    drawing.line(ax, reach[tangent > 0], tangent[tangent > 0], BAD,
                 "slope \N{MINUS SIGN}\N{GREEK SMALL LETTER BETA}")
    ax.set_xlim(max(0.0, 1.2 * bits.min() - 0.2 * bits.max()), 1.05 * bits.max())
    low, high = distortion.min(), distortion.max()
    if low > 0 and high > 5 * low:
        ax.set_yscale("log")
        ax.set_ylim(0.7 * low, 1.4 * high)
    else:
        room = 0.08 * (high - low) or 0.1
        ax.set_ylim(low - room, high + room)
    drawing.label(ax, "bits per example", f"distortion, {ledger.distortion_name}", title)
    return drawn


def similarity(ledger: Ledger, ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """1 - SSIM of files of images over the step, on a logarithmic axis of bits, next to JPEG and
    WebP.

    Args and Returns: as of `curve`.
    """
    ax, drawn = drawing.canvas(ax, (7.2, 3.4))
    bits, dissimilarity = np.array([(at.coded_bits, at.dissimilarity) for at in ledger.curve]).T
    trained = ledger.trained.dissimilarity
    ax.set_xscale("log")
    _others(ax, ledger)
    drawing.line(ax, bits, dissimilarity, MAIN, _files(ledger), "o-")
    drawing.dots(ax, [ledger.coded_bits], [trained], BAD, "the trained step", 6)
    ax.set_ylim(0, 1.15 * max(dissimilarity.max(), 2 * trained))
    drawing.label(ax, "bits per example", "1 \N{MINUS SIGN} SSIM", title)
    return drawn


def bits(ledger: Ledger, ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """The bits of files and of theory for each coded dimension, by its KL.

    Args and Returns: as of `curve`.
    """
    ax, drawn = drawing.canvas(ax)
    order, place = _coded(ledger)
    drawing.bars(ax, place, ledger.table_bits[order], 0.0, FAINT, "files: the ideal of the tables")
    for values, color, name in (
            (ledger.kl_bits, GOOD, "KL"),
            (ledger.kl_bits + QUANTIZATION, BAD, "KL and a quarter of a bit"),
            (ledger.exact_bits, INK, "exact rate of a quantiser")):
        drawing.dashes(ax, place, values[order], color, name)
    ax.set_ylim(bottom=0)
    drawing.label(ax, "", "bits per example", title)
    drawing.whole_numbers(ax, len(order), "coded latent dimension, by KL")
    return drawn


def coding_losses(ledger: Ledger, ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """The coding loss of each coded dimension in units of beta / 2, which theory predicts.

    Args and Returns: as of `curve`.
    """
    ax, drawn = drawing.canvas(ax)
    (order, place), half = _coded(ledger), ledger.beta / 2
    loss, error = (part[order] / half
                   for part in (ledger.coding_losses, ledger.coding_losses_standard_error))
    drawing.level(ax, 1.0)
    drawing.whiskers(ax, place, loss - error, loss + error, MAIN)
    drawing.dots(ax, place, loss, MAIN, "files")
    drawing.dashes(ax, place, ledger.posterior_coding_losses[order] / half, GOOD, "posterior")
    drawing.dashes(ax, place, ledger.one_minus_variance[order], INK,
                   "E[1 \N{MINUS SIGN} \N{GREEK SMALL LETTER SIGMA}\N{SUPERSCRIPT TWO}]")
    ax.set_ylim(0, max(1.5, 1.1 * statistic(np.max, [*loss, 1.0])))
    drawing.label(ax, "", "coding loss of one dimension, in \N{GREEK SMALL LETTER BETA} / 2",
                  title)
    drawing.whole_numbers(ax, len(order), "coded latent dimension, by KL")
    return drawn


def rate(ledger: Ledger, title: str = "") -> Figure:
    """All pictures of a ledger next to each other, as in `rate.png`."""
    drawn = [curve, bits, coding_losses] + [similarity] * _is_of_images(ledger)
    figure, axes = drawing.panels(len(drawn), (4.5, 4.6), title)
    for ax, draw in zip(axes, drawn):
        draw(ledger, ax)
    return figure


def curves(ledgers: Sequence[tuple[str, Ledger]], title: str = "") -> Figure:
    """A panel for each `(title, Ledger)`: `similarity` for images, `curve` for others; `title` is
    above them.
    """
    figure, axes = drawing.panels(len(ledgers), (4.8, 5.0), title, min(3, len(ledgers)))
    for ax, (title, ledger) in zip(axes, ledgers):
        (similarity if _is_of_images(ledger) else curve)(ledger, ax, title)
    return figure


def _is_of_images(ledger):
    return all(at.dissimilarity is not None for at in ledger.curve)


def _coded(ledger):
    """The coded dimensions by descending KL, and their places."""
    order = np.array([j for j in np.argsort(-ledger.kl_bits, kind="stable") if ledger.coded[j]])
    return order, np.arange(1, len(order) + 1)


def _files(ledger):
    return f"our files, step factors {ledger.curve[0].factor:g} to {ledger.curve[-1].factor:g}"


def _others(ax, ledger):
    """Curves of common codecs (dotted without headers) and bounds (dashed)."""
    kinds = list(dict.fromkeys(name.partition(" without")[0] for name in ledger.beside))
    for name, points in ledger.beside.items():
        if points:
            places = np.array(sorted((at["bits"], at["distortion"]) for at in points)).T
            bound, kind = "bound" in name, name.partition(" without")[0]
            color = INK if bound else _BESIDE[kinds.index(kind) % len(_BESIDE)]
            drawing.line(ax, *places, color, name, "--" if bound else "." + ":-"[kind == name])


def rates_of(measured: Measured) -> Inline | None:
    """The rates of a page; `None` if not measured."""
    if measured.vector("kl_mean") is None or measured.vector("precision_mean") is None:
        return None
    kl, gaussian = _rates(measured)
    if not np.isfinite(kl).any():  # a given prior has no KL of single dimensions
        return None
    on = measured.active
    said = f"The rate is {number(float(np.nansum(kl)), 4)} nats in all"
    largest = int(np.nanargmax(kl))
    said += f", {number(float(kl[largest]))} of them in z_{largest}."
    if on.any():
        carried, predicted = (float(np.nansum(values[on])) for values in (kl, gaussian))
        said += (
            f" The active dimensions carry {number(carried, 4)} nats; Gaussian variables of their "
            f"importance would take {number(predicted, 4)}.")
    return Inline(functools.partial(rates, measured), said)


def accounts(measured: Measured) -> dict[str, Any] | None:
    """Rates and distortions, each next to theory, as a table of text."""
    names = ("beta", "rate", "distortion", "coding_loss", "transform_loss")
    values = {name: measured.scalar(name) for name in names}
    if not values["beta"] > 0:
        return None
    made = Accounts(int(measured.active.sum()), **values)

    def with_error(name):
        error = measured.scalar(f"{name}_standard_error")
        return number(values[name], 4) + (f" \N{PLUS-MINUS SIGN} {number(error, 2)}"
                                          if math.isfinite(error) else "")

    n, beta = made.num_active, "\N{GREEK SMALL LETTER BETA}"
    of_coding = f"; {number(made.ratio)} of the coding loss" if math.isfinite(made.ratio) else ""
    rows = [[("distortion", "E[D(x, x\N{COMBINING CIRCUMFLEX ACCENT})] as trained, in units of D"),
             with_error("distortion"), ""],
            [("of it, coding loss", f"the cost of the posterior's width; n = {n}"),
             with_error("coding_loss"), f"n {beta} / 2 = {number(made.coding_theory, 4)}"],
            [("of it, transform loss", f"the networks' own error{of_coding}"),
             with_error("transform_loss"), "far below the coding loss"],
            [("of it, the rest", "D(x, x) of the data, and cross terms"),
             number(made.rest, 4), "0 where D(x, x) = 0"],
            [("rate", "E[KL], of an ideal code of the samples of z"), f"{with_error('rate')} nats",
             f"{number(made.bits, 4)} bits"],
            [(f"D + {beta} R", "the loss of training, in units of D"),
             number(made.cost, 4), ""],
            [("entropy", "of the data, in the metric of the distortion (Eq. 14)"),
             f"{number(made.entropy, 4)} nats",
             f"R + (n/2) log(\N{GREEK SMALL LETTER PI} e {beta})"]]
    return {"columns": ["quantity", "measured", f"theory, for small {beta}"], "rows": rows}


def section(ledger: Ledger | None) -> dict[str, Any] | None:
    """The content of a ledger: claims as `ClaimLine`, parts of the sums as a table, and curves."""
    if ledger is None:
        return None
    rows = [["bits", number(ledger.file_bits, 4)]]
    rows += [[f"of them, {name}", number(value)] for name, value in ledger.bit_terms.items()]
    rows += [["distortion", number(ledger.distortion, 4)]]
    rows += [[f"of it, {name}", number(value)] for name, value in ledger.distortion_terms.items()]
    figures = [_trade(ledger), *([_similarity(ledger)] if _is_of_images(ledger) else [])]
    table = {"columns": ["of a file, for an example", "measured"], "rows": rows}
    return {"claims": lines(ledger), "table": table, "figures": figures}


def _trade(ledger) -> Inline:
    """Rate and distortion of files over the step, of a page."""
    ours = np.array([(at.coded_bits, at.distortion) for at in ledger.curve], np.float64)
    said = (
        f"Files take {number(ledger.coded_bits, 4)} bits per example at a distortion of "
        f"{number(ledger.distortion)} with the step of the trained beta; KL and a quarter of a bit "
        f"for each of {ledger.num_coded} dimensions are {number(ledger.predicted_bits, 4)}. Other "
        f"steps give {number(ours[:, 0].min())} to {number(ours[:, 0].max())} bits at "
        f"{number(ours[:, 1].max())} to {number(ours[:, 1].min())}.")
    return Inline(functools.partial(curve, ledger), said, height=280)


def _similarity(ledger) -> Inline:
    """1 - SSIM of files of images over the step, of a page."""
    ours = np.array(sorted((at.coded_bits, at.dissimilarity) for at in ledger.curve))
    said = (
        f"Our files have a 1 \N{MINUS SIGN} SSIM of {number(ours[:, 1].min())} to "
        f"{number(ours[:, 1].max())} at {number(ours[:, 0].max())} to {number(ours[:, 0].min())} "
        f"bits an image.")
    for name, points in ledger.beside.items():
        if points:
            near = min(points,
                       key=lambda at: abs(at["distortion"] - ledger.trained.dissimilarity))
            said += (f" {name} comes closest to the trained step's at {number(near['bits'])} bits, "
                     f"with {number(near['distortion'])}.")
    return Inline(functools.partial(similarity, ledger), said, height=280)
