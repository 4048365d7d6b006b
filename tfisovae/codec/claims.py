"""Which predictions of the theory hold for files: as data, in words, and as tables (no model)."""
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tfisovae import files
from tfisovae.codec.breakdown import QUANTIZATION, Ledger, bits_at
from tfisovae.verdict.states import ClaimState

# A prediction holds if its relative error is at most this, or two standard errors.
CLOSE = 0.02
# It is not judged if two standard errors exceed this, relative.
_LOOSE = 0.1
_WEAK = 0.1 / math.log(2)  # bits
_NARROW = 0.1  # above this E[1 - sigma^2], a dimension's coding loss is measurable
_CAUSES = ("finite sigma", "sigma beside z", "sigma within a step", "coder")


@dataclasses.dataclass(frozen=True)
class Claim:
    """A prediction, and whether the files agree.

    Attributes:
      name: "rate", "distortion" or "slope".
      state: whether it holds.
      measured, predicted: bits per example, distortion, or -dD/dR in units of beta.
      off, error: (measured - predicted) / scale, and its standard error. The scale is the
        prediction; for the distortion it is the coding loss.
      cause, cause_value: the largest part of the difference if the prediction fails; else "" and
        NaN.
    """

    name: str
    state: ClaimState
    measured: float
    predicted: float
    off: float
    error: float
    cause: str = ""
    cause_value: float = math.nan

    @classmethod
    def of(cls, name: str, measured: float, predicted: float, error: float,
           causes: Mapping[str, float], scale: float | None = None) -> "Claim":
        """Decides on a prediction; `error` is the standard error of the difference."""
        difference, scale = measured - predicted, predicted if scale is None else scale
        off, error = difference / scale, error / scale
        numbers = (float(measured), float(predicted), float(off), float(error))
        if not (2 * error <= _LOOSE or abs(off) > 2 * error):
            return cls(name, ClaimState.NOT_JUDGED, *numbers)
        if abs(off) <= CLOSE:
            return cls(name, ClaimState.HOLDS, *numbers)
        if abs(off) <= 2 * error:
            return cls(name, ClaimState.WITHIN_ERROR, *numbers)
        cause = max(causes, key=lambda cause: causes[cause] * math.copysign(1, difference),
                    default="")
        return cls(name, ClaimState.DOES_NOT_HOLD, *numbers, cause, causes.get(cause, math.nan))

    def to_dict(self) -> dict[str, Any]:
        """As plain Python values for JSON."""
        return files.plain({**dataclasses.asdict(self), "state": self.state.value})


def claims(ledger: Ledger) -> tuple[Claim, Claim, Claim]:
    """What the theory predicts of rate, distortion and slope, and whether it holds."""
    terms = ledger.bit_terms
    lost = {name: value for name, value in ledger.distortion_terms.items() if name != "posterior"}
    return (
        Claim.of("rate", ledger.coded_bits, ledger.predicted_bits,
                 ledger.bits_difference_standard_error, {name: terms[name] for name in _CAUSES}),
        Claim.of("distortion", ledger.distortion, ledger.posterior_distortion,
                 ledger.difference_standard_error, lost, ledger.posterior_coding_loss),
        Claim.of("slope", ledger.slope, 1.0, ledger.slope_standard_error, {}))


class ClaimLine(NamedTuple):
    """A line about files: its name, the value of a claim's state ("" without a claim), and the
    words.
    """

    name: str
    state: str
    words: str

    def __str__(self) -> str:
        return f"{self.name}: {self.words}"


def divergence(bits: float) -> float:
    """A divergence for printing: never below 0, though its estimate can be."""
    return max(0.0, float(bits))


def table(ledger: Ledger, rows: int = 10) -> str:
    """The leading dimensions by KL, the curve, and the parts of the sums, as text."""
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
            f"{ledger.table_bits[j]:8.3f} {divergence(ledger.aggregate_kl_bits[j]):9.3f} "
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


def lines(ledger: Ledger) -> list[ClaimLine]:
    """How far the theory holds for these files."""
    rate, distortion, slope = claims(ledger)
    made = (
        ClaimLine("Rate", rate.state.value, _rate(ledger, rate)),
        ClaimLine("Weak", "", _weak(ledger)),
        ClaimLine("Distortion", distortion.state.value, _distortion(ledger, distortion)),
        ClaimLine("Loss", "", _loss(ledger)),
        ClaimLine("Coding loss", "", _coding_loss(ledger)),
        ClaimLine("Slope", slope.state.value, _slope(ledger, slope)),
        ClaimLine("Prior", "", _prior(ledger)),
        ClaimLine("Others", "", _others(ledger)),
    )
    return [line for line in made if line.words]


def summary(ledger: Ledger) -> str:
    """`lines` as text."""
    return "\n".join(map(str, lines(ledger)))


def _rate(ledger, claim):
    return (
        f"{ledger.coded_bits:.3f} bits per example by the range coder ({ledger.file_bits:.3f} with "
        f"the container); KL + 1/2 log2(pi e / 6) for {ledger.num_coded} dimensions predicts "
        f"{ledger.predicted_bits:.3f}, and the exact rate of a quantiser is "
        f"{float(ledger.exact_bits.sum()):.3f}. {_judged(claim, ' bits')}")


def _weak(ledger):
    """The cost of dimensions with sigma near 1. A quantiser with such a wide step spends bits on
    nearly no KL.
    """
    weak = ledger.coded & (ledger.kl_bits < _WEAK)
    if not weak.any():
        return ""
    return (
        f"{weak.sum()} of the coded dimensions have a KL below {_WEAK:.2f} bits (0.1 nat), "
        f"{ledger.kl_bits[weak].sum():.3f} together, and take {ledger.table_bits[weak].sum():.3f} "
        "bits of the files. Their sigma is near 1, so quantising costs more than their "
        "information.")


def _distortion(ledger, claim):
    return (
        f"{ledger.distortion:.5g} for decoded files, {ledger.posterior_distortion:.5g} for the "
        f"posterior. The difference, as a share of the coding loss "
        f"{ledger.posterior_coding_loss:.4g}: {_judged(claim)}")


def _loss(ledger):
    made, predicted = ledger.losses
    bits = math.log(2) * (ledger.coded_bits - ledger.predicted_bits)
    distortion = (ledger.distortion - ledger.posterior_distortion) / ledger.beta
    traded = bits * distortion < 0 and abs(bits + distortion) < min(abs(bits), abs(distortion))
    return (
        f"R + D / beta is {made:.5g} nats for files, {predicted:.5g} for the posterior with "
        f"quantisation: {made - predicted:+.3f}" +
        (f". Rate and distortion trade off: {bits:+.3f} and {distortion:+.3f} nats."
         if traded else "."))


def _coding_loss(ledger):
    half, among = ledger.beta / 2, ledger.coded
    theory, noise = ledger.num_coded * half, ledger.noise[among]
    narrow = among & (ledger.one_minus_variance > _NARROW)
    ratios = ledger.coding_losses[narrow] / (half * ledger.one_minus_variance[narrow])
    dimensions = ""
    if len(ratios):
        dimensions = (f" By dimension it is {ratios.min():.3f} to {ratios.max():.3f} of beta / 2 "
                      f"E[1 - sigma_j^2].")
    return (
        f"{ledger.coding_loss:.4g}, which is {ledger.coding_loss / theory:.3f} of n "
        f"beta / 2 = {theory:.4g}; "
        f"the posterior's is {ledger.posterior_coding_loss / theory:.3f} of it, E[1 - sigma^2] "
        f"{ledger.one_minus_variance[among].mean():.3f}.{dimensions} The noise of y itself is "
        f"{noise.min():.3f} to "
        f"{noise.max():.3f} of beta / 2.")


def _slope(ledger, claim):
    error = f" +- {claim.error:.2g}" if claim.error >= 0 else ""
    said = f"-dD/dR at the trained step is {ledger.slope:.3f}{error} of beta. "
    if claim.state is ClaimState.NOT_JUDGED:
        return f"{said}NOT JUDGED: too few examples."
    if claim.state is not ClaimState.DOES_NOT_HOLD:
        return f"{said}HOLDS."
    return (f"{said}DOES NOT HOLD: {claim.off:+.1%}. With each input's own sigma as its step, "
            f"{ledger.predicted_slope:.3f} is predicted.")


def _prior(ledger):
    differs = ledger.aggregate_kl_bits
    if not np.isfinite(differs[ledger.coded]).all():
        return "the distance of the posterior from N(0, I) needs 400 examples or more."
    worst = int(np.argmax(np.where(ledger.coded, differs, -np.inf)))
    said = (
        f"one by one, the z_j of the posterior are {divergence(differs[ledger.coded].sum()):.3f} "
        f"bits from N(0, 1), most in z_{worst} ({divergence(differs[worst]):.3f})")
    if ledger.fitted_bits is None:
        return f"{said}. Tables for the data's own y would save that."
    saved = float(ledger.table_bits.sum()) - ledger.fitted_bits
    return f"{said}. Tables for the data's own y save {saved:.3f}."


def _others(ledger):
    if not ledger.beside:
        return ""
    images = ledger.trained.dissimilarity is not None
    at = ledger.trained.dissimilarity if images else ledger.distortion
    said = [f"{name} {_bits_of(points, at)}" for name, points in ledger.beside.items()]
    where = f"1 - SSIM = {at:.4g}" if images else f"D = {at:.4g}"
    return (
        f"at {where}, where files take {ledger.coded_bits:.4g} bits "
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


def _judged(claim, unit=""):
    """Whether a prediction holds, and otherwise why not."""
    if claim.state is ClaimState.NOT_JUDGED:
        error = f" +- {claim.error:.1%}" if claim.error >= 0 else ""
        return f"NOT JUDGED: too few examples ({claim.off:+.1%}{error})."
    if claim.state is ClaimState.HOLDS:
        off = f"{max(0.1, math.ceil(1000 * abs(claim.off) - 1e-9) / 10):.1f}"
        error = f" +- {100 * claim.error:.1f}" if claim.error > 0 else ""
        return f"HOLDS to {off}{error} %."
    if claim.state is ClaimState.WITHIN_ERROR:
        return (f"HOLDS within its error: {claim.off:+.1%}, "
                f"{abs(claim.off) / claim.error:.1f} standard errors.")
    most = abs(claim.cause_value) > abs(claim.measured - claim.predicted) / 2
    return (f"DOES NOT HOLD: {claim.off:+.1%}, {'most of it' if most else 'the largest part'} from "
            f"{claim.cause} ({claim.cause_value:+.3g}{unit}).")


def _sum(terms, form):
    """Named terms and their sum, as text."""
    first, *others = [f"{abs(value):{form}} ({name})" for name, value in terms.items()]
    signs = ["-" if float(f"{value:{form}}") < 0 else "+" for value in list(terms.values())[1:]]
    return f"{sum(terms.values()):{form}} = {first} " + " ".join(
        f"{sign} {text}" for sign, text in zip(signs, others))
