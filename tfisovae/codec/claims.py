"""What a ledger of files says, in words: tables, and a line for each claim of the theory that says
whether it holds (no model).
"""
import math

import numpy as np

from tfisovae.codec.breakdown import QUANTIZATION, Ledger, bits_at

# What is predicted is said to hold up to this, relative, or within two standard errors.
CLOSE = 0.02
# Nothing is said to hold of what is not known to this, relative, in two standard errors.
_LOOSE = 0.1
_WEAK = 0.1 / math.log(2)  # bits
_NARROW = 0.1  # E[1 - sigma^2] above which a dimension's coding loss is told from 0
_CAUSES = ("finite sigma", "sigma beside z", "sigma within a step", "coder")


def table(ledger: Ledger, rows: int = 10) -> str:
    """The leading dimensions by KL, the curve, and what the sums are made of, as text."""
    half, leading = ledger.beta / 2, [
        j for j in np.argsort(-ledger.kl_bits, kind="stable") if ledger.coded[j]
    ]
    lines = [
        f"{'':4} {'bits':>8} {'':37} {'in beta / 2:':>21}",
        f"{'z_j':>4} {'KL':>8} {'KL+quantised':>12} {'exact':>8} {'tables':>8} {'off prior':>9} "
        f"{'noise of y':>11} "
        f"{'D, files':>9} {'posterior':>9} {'1-sigma^2':>10} {'unexplained':>11}"
    ]
    for j in leading[:rows]:
        lines.append(
            f"{j:4d} {ledger.kl_bits[j]:8.3f} {ledger.kl_bits[j] + QUANTIZATION:12.3f} "
            f"{ledger.exact_bits[j]:8.3f} "
            f"{ledger.table_bits[j]:8.3f} {ledger.aggregate_kl_bits[j]:9.3f} "
            f"{ledger.noise[j]:11.3f} "
            f"{ledger.coding_losses[j] / half:9.3f} "
            f"{ledger.posterior_coding_losses[j] / half:9.3f} "
            f"{ledger.one_minus_variance[j]:10.3f} {ledger.unexplained[j]:11.3f}")
    lines.append(
        f"{ledger.num_coded} of {len(ledger.coded)} dimensions are coded, {ledger.num_examples} "
        f"examples."
    )
    lines += ["", f"{'step':>6} {'bits':>9} {'predicted':>10} {'D':>10} {'predicted':>10}"]
    for at in ledger.curve:
        similarity = "" if at.dissimilarity is None else f"   1 - SSIM {at.dissimilarity:.4g}"
        lines.append(
            f"{at.factor:6.3g} {at.coded_bits:9.3f} {at.predicted_bits:10.3f} "
            f"{at.distortion:10.4g} "
            f"{at.predicted_distortion:10.4g}{similarity}")
    return "\n".join([
        *lines, "", "bits = " + _sum(ledger.bit_terms, ".3f"),
        "D = " + _sum(ledger.distortion_terms, ".4g")
    ])


def summary(ledger: Ledger) -> str:
    """What is true of the theory on these files, a line for each claim, in plain words."""
    lines = [
        line(ledger)
        for line in (_rate, _weak, _distortion, _loss, _coding_loss, _slope, _prior, _beside)
    ]
    return "\n".join(line for line in lines if line)


def _rate(ledger):
    terms = ledger.bit_terms
    return (
        f"Rate: {ledger.coded_bits:.3f} bits an example by the range coder "
        f"({ledger.file_bits:.3f} with the container); "
        f"KL + 1/2 log2(pi e / 6) for {ledger.num_coded} dimensions says "
        f"{ledger.predicted_bits:.3f}, the exact rate of a "
        f"quantiser {float(ledger.exact_bits.sum()):.3f}. "
        + _verdict(ledger.coded_bits, ledger.predicted_bits, ledger.bits_difference_standard_error,
                   {name: terms[name]
                    for name in _CAUSES}, "bits"))


def _weak(ledger):
    """What dimensions cost whose sigma is near 1: a quantiser of so wide a step spends bits for
    next to no KL.
    """
    weak = ledger.coded & (ledger.kl_bits < _WEAK)
    if not weak.any():
        return ""
    return (
        f"Weak: {weak.sum()} of the coded dimensions have a KL below {_WEAK:.2f} bits (0.1 nat), "
        f"{ledger.kl_bits[weak].sum():.3f} together, and take {ledger.table_bits[weak].sum():.3f} "
        f"bits of the files: sigma is "
        "near 1 there, and quantising costs more than what is said.")


def _distortion(ledger):
    causes = {name: value for name, value in ledger.distortion_terms.items() if name != "posterior"}
    return (
        f"Distortion: {ledger.distortion:.5g} of decoded files, {ledger.posterior_distortion:.5g} "
        f"of the posterior; of the "
        f"coding loss, {ledger.posterior_coding_loss:.4g}, which alone the files make, this "
        + _verdict(ledger.distortion, ledger.posterior_distortion, ledger.difference_standard_error,
                   causes, "", ledger.posterior_coding_loss))


def _loss(ledger):
    made, predicted = ledger.losses
    bits = math.log(2) * (ledger.coded_bits - ledger.predicted_bits)
    distortion = (ledger.distortion - ledger.posterior_distortion) / ledger.beta
    traded = bits * distortion < 0 and abs(bits + distortion) < min(abs(bits), abs(distortion))
    return (
        f"Loss: R + D / beta is {made:.5g} nats of files, {predicted:.5g} of the posterior with "
        f"its quantisation: "
        f"{made - predicted:+.3f}" +
        (f", as rate and distortion differ by {bits:+.3f} and {distortion:+.3f}: one is had for "
         f"the other."
         if traded else "."))


def _coding_loss(ledger):
    half, among = ledger.beta / 2, ledger.coded
    theory, noise = ledger.num_coded * half, ledger.noise[among]
    narrow = among & (ledger.one_minus_variance > _NARROW)
    ratios = ledger.coding_losses[narrow] / (half * ledger.one_minus_variance[narrow])
    dimensions = ""
    if len(ratios):
        dimensions = f" By dimension it is {ratios.min():.3f} to {ratios.max():.3f} of beta / 2 E[1 - sigma_j^2]."
    return (
        f"Coding loss: {ledger.coding_loss:.4g}, which is {ledger.coding_loss / theory:.3f} of n "
        f"beta / 2 = {theory:.4g}; "
        f"the posterior's is {ledger.posterior_coding_loss / theory:.3f} of it, E[1 - sigma^2] "
        f"{ledger.one_minus_variance[among].mean():.3f}.{dimensions} The noise of y itself is "
        f"{noise.min():.3f} to "
        f"{noise.max():.3f} of beta / 2.")


def _slope(ledger):
    off, error = ledger.slope - 1, ledger.slope_standard_error
    said = f"Slope: -dD/dR at the trained step is {ledger.slope:.3f}{f' +- {error:.2g}' if error >= 0 else ''} of beta. "
    if _is_loose(off, error):
        return f"{said}CANNOT BE TOLD of so few examples."
    if abs(off) <= max(CLOSE, 2 * error):
        return f"{said}HOLDS."
    return f"{said}DOES NOT HOLD: {off:+.1%}; with each input's own sigma for its step it would be {ledger.predicted_slope:.3f}."


def _prior(ledger):
    differs = ledger.aggregate_kl_bits
    if not np.isfinite(differs[ledger.coded]).all():
        return "Prior: how far the means are from N(0, I) takes 400 examples or more."
    worst = int(np.argmax(np.where(ledger.coded, differs, -np.inf)))
    said = (
        f"Prior: one by one, z_j of the posterior are {differs[ledger.coded].sum():.3f} bits from "
        f"N(0, 1), most of all "
        f"z_{worst}, {differs[worst]:.3f}")
    if ledger.fitted_bits is None:
        return f"{said}: tables of the data's own y would save that."
    return f"{said}; tables of the data's own y save {float(ledger.table_bits.sum()) - ledger.fitted_bits:.3f}."


def _beside(ledger):
    if not ledger.beside:
        return ""
    images = ledger.trained.dissimilarity is not None
    at = ledger.trained.dissimilarity if images else ledger.distortion
    said = [f"{name} {_bits_of(points, at)}" for name, points in ledger.beside.items()]
    where = f"1 - SSIM = {at:.4g}" if images else f"D = {at:.4g}"
    return (
        f"Beside: at {where}, where files take {ledger.coded_bits:.4g} bits "
        f"({ledger.file_bits:.4g} with the container): "
        f"{'; '.join(said)}.")


def _bits_of(points, distortion):
    bits = bits_at(points, distortion)
    if bits is not None:
        return f"{bits:.4g}"
    worst, best = (choose(points, key=lambda point: point["distortion"]) for choose in (max, min))
    end = worst if distortion > worst["distortion"] else best
    return (
        f"has no such quality, at its {'lowest' if end is worst else 'highest'} {end['bits']:.4g} "
        f"bits for "
        f"{end['distortion']:.4g}")


def _verdict(measured, predicted, error, causes, unit, scale=None):
    """Whether a prediction holds, to which share of `scale` (by default of itself), and otherwise
    why.
    """
    difference, scale = measured - predicted, predicted if scale is None else scale
    off, unit = difference / scale, f" {unit}" if unit else ""
    if _is_loose(off, error / scale):
        return f"CANNOT BE TOLD of so few examples: {off:+.1%}{f' +- {error / scale:.1%}' if error >= 0 else ''}."
    if abs(off) <= CLOSE:
        return f"HOLDS to {max(0.1, math.ceil(1000 * abs(off) - 1e-9) / 10):.1f} %."
    if abs(difference) <= 2 * error:
        return f"HOLDS within its error: {off:+.1%}, {abs(difference) / error:.1f} standard errors."
    name = max(causes, key=lambda cause: causes[cause] * math.copysign(1, difference))
    share = "most of it" if abs(causes[name]) > abs(difference) / 2 else "the largest part of it"
    return f"DOES NOT HOLD: {off:+.1%}, {share} by {name} ({causes[name]:+.3g}{unit})."


def _is_loose(off, error):
    """Whether a relative difference is neither told from 0, nor known well enough to be called
    none.
    """
    return not (2 * error <= _LOOSE or abs(off) > 2 * error)


def _sum(terms, form):
    """Named terms and their sum, as text."""
    first, *others = [f"{abs(value):{form}} ({name})" for name, value in terms.items()]
    signs = ["-" if float(f"{value:{form}}") < 0 else "+" for value in list(terms.values())[1:]]
    return f"{sum(terms.values()):{form}} = {first} " + " ".join(
        f"{sign} {text}" for sign, text in zip(signs, others))
