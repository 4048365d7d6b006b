"""Where the bits and the distortion of a VAE's files go, beside what theory says of them, and in words (NumPy alone).

The bits of a file are a sum of causes, each measured by itself (`Ledger.bit_terms`):

    KL                       of Eq. 2, over the dimensions that are coded
    scalar quantisation      1/2 log2(pi e / 6) for each of them: the limit of small sigma (Eqs. 70, 71)
    finite sigma             what the exact rate of a quantiser differs from that limit by
    own sigma                what the tables differ from that exact rate by: a step that is constant in y is not each input's own
                             sigma, where z_j does not determine it
    coder                    what the range coder writes beyond the tables' ideal: integer probabilities, whole bytes
    container                headers, index, checksums
"""
import dataclasses
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfisovae import files

QUANTIZATION = 0.5 * math.log2(math.pi * math.e / 6)  # bits a dimension
CLOSE = 0.02  # what is predicted is said to hold up to this, relative, or within two standard errors


@dataclasses.dataclass(frozen=True)
class Point:
    """Files at one step factor, beside what is predicted of them. Means over examples, with their standard errors.

    Attributes:
      factor: of the step sqrt(6 beta) in y.
      bits, bits_standard_error: of the tables' ideal code, for an example.
      coded_bits: of what the range coder writes, for an example.
      distortion, distortion_standard_error: D as it is trained, of what is decoded.
      predicted_bits: by the posterior alone: the exact rate of a dithered quantiser of each example's own step.
      predicted_distortion: by the posterior alone: its D, with the coding loss times the factor's square.
    """

    factor: float
    bits: float
    bits_standard_error: float
    coded_bits: float
    distortion: float
    distortion_standard_error: float
    predicted_bits: float
    predicted_distortion: float


@dataclasses.dataclass(frozen=True)
class Ledger:
    """What files of a VAE's codec cost and lose. Vectors are `[n]`, in the model's own order; bits are for an example.

    Attributes:
      beta, lmbda, decomposed, distortion_name, num_examples: of the VAE and of what was measured.
      quantization: "universal" (dithered) or "rounding". prior: of the tables, "normal" or "empirical".
      coded: whether each dimension is coded; the others are decoded at their mean.
      kl_bits: E[KL_j].
      exact_bits: E of the exact rate of a dithered quantiser of each example's own step, prior N(0, 1); 0 where not coded.
      table_bits: mean ideal code length by the codec's tables; 0 where not coded.
      coded_bits, file_bits: of the range coder's output, and of the whole file, for an example.
      table_bits_standard_error: of the sum of `table_bits`.
      one_minus_variance: E[1 - sigma_j^2].
      unexplained: deviation of log sigma_j that z_j does not determine (`tfisovae.flatness`); NaN below 200 examples.
      aggregate_kl_bits: KL of the aggregate posterior of z_j from the prior: what a table of the data's own y would save.
      fitted_bits: what the tables' ideal code takes when they are fitted to the data's own y; `None` where not measured.
      noise: E[(y_hat_j - y_j)^2] / (beta / 2), 1 in every dimension by theory; NaN where not coded.
      coding_losses, coding_losses_standard_error: what the codec's noise in z_j alone adds to D; NaN where not coded.
      posterior_coding_losses: the same of the posterior's noise.
      distortion: D as it is trained, of what is decoded. posterior_distortion: E[D] of the posterior.
      active_distortion: the same with noise in the coded dimensions alone.
      step_distortion: the same with Gaussian noise as wide as the codec's, instead of each example's own sigma.
      difference_standard_error: of `distortion` - `posterior_distortion`, which are of the same examples.
      coding_loss, posterior_coding_loss, transform_loss: without D of a point from itself.
      slope, slope_standard_error: -dD/dR at factor 1 over beta, R in nats; 1 by theory.
      curve: a `Point` for each step factor.
      beside: what people would use, and bounds: names to curves, lists of dicts with `bits` and `distortion`.
    """

    beta: float
    lmbda: float
    decomposed: bool
    distortion_name: str
    num_examples: int
    quantization: str
    prior: str
    coded: np.ndarray
    kl_bits: np.ndarray
    exact_bits: np.ndarray
    table_bits: np.ndarray
    table_bits_standard_error: float
    coded_bits: float
    file_bits: float
    one_minus_variance: np.ndarray
    unexplained: np.ndarray
    aggregate_kl_bits: np.ndarray
    fitted_bits: float | None
    noise: np.ndarray
    coding_losses: np.ndarray
    coding_losses_standard_error: np.ndarray
    posterior_coding_losses: np.ndarray
    distortion: float
    posterior_distortion: float
    active_distortion: float
    step_distortion: float
    difference_standard_error: float
    coding_loss: float
    posterior_coding_loss: float
    transform_loss: float
    slope: float
    slope_standard_error: float
    curve: list[Point]
    beside: dict[str, list[dict[str, float]]] = dataclasses.field(default_factory=dict)

    @property
    def num_coded(self) -> int:
        """How many dimensions are coded: n of the formulas."""
        return int(self.coded.sum())

    @property
    def predicted_bits(self) -> float:
        """KL + 1/2 log2(pi e / 6) for each coded dimension."""
        return float(self.kl_bits[self.coded].sum()) + QUANTIZATION * self.num_coded

    @property
    def bit_terms(self) -> dict[str, float]:
        """What the bits of a file are the sum of, in the order of the module's table."""
        exact, table = float(self.exact_bits.sum()), float(self.table_bits.sum())
        return {"KL": float(self.kl_bits[self.coded].sum()), "scalar quantisation": QUANTIZATION * self.num_coded,
                "finite sigma": exact - self.predicted_bits, "own sigma": table - exact, "coder": self.coded_bits - table,
                "container": self.file_bits - self.coded_bits}

    @property
    def distortion_terms(self) -> dict[str, float]:
        """What the distortion of a file is the sum of: the posterior's, and what else the codec does."""
        return {"posterior": self.posterior_distortion, "no noise where nothing is coded":
                self.active_distortion - self.posterior_distortion,
                "one step for all": self.step_distortion - self.active_distortion,
                "uniform noise": self.distortion - self.step_distortion}

    def to_dict(self) -> dict[str, Any]:
        """What `load` takes, and what its sums are for whoever reads the JSON."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {**fields, "curve": [dataclasses.asdict(point) for point in self.curve], "n": len(self.coded),
                "predicted_bits": self.predicted_bits, "bit_terms": self.bit_terms, "distortion_terms": self.distortion_terms}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Ledger":
        made = {}
        for field in dataclasses.fields(cls):
            if field.name not in values:
                raise ValueError(f"This rate was written by another version: it has no {field.name}. Measure again with "
                                 "tfisovae rate.")
            value = values[field.name]
            if field.type is np.ndarray:
                value = np.array(value, bool if field.name == "coded" else float)  # None is NaN
            elif field.type is float and value is None:
                value = math.nan
            made[field.name] = value
        return cls(**{**made, "curve": [Point(**point) for point in values["curve"]]})

    def save(self, path: str | os.PathLike, **extra: Any) -> None:
        """Writes JSON to `path`; `extra` entries stand beside the fields."""
        files.write_json(path, {**self.to_dict(), **extra})

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Ledger":
        return cls.from_dict(files.read_json(path))

    def table(self, rows: int = 10) -> str:
        """The leading dimensions by KL, the curve, and what the sums are made of, as text."""
        lines = [f"{'':4} {'bits':>8} {'':37} in beta / 2: noise of y, D",
                 f"{'z_j':>4} {'KL':>8} {'KL+quantised':>12} {'exact':>8} {'tables':>8} {'off prior':>10} {'noise':>7} {'files':>7} "
                 f"{'posterior':>10} {'1-sigma^2':>10} {'unexplained':>12}"]
        half = self.beta / 2
        for j in [j for j in np.argsort(-self.kl_bits, kind="stable") if self.coded[j]][:rows]:
            lines.append(f"{j:4d} {self.kl_bits[j]:8.3f} {self.kl_bits[j] + QUANTIZATION:12.3f} {self.exact_bits[j]:8.3f} "
                         f"{self.table_bits[j]:8.3f} {self.aggregate_kl_bits[j]:10.3f} {self.noise[j]:7.3f} "
                         f"{self.coding_losses[j] / half:7.3f} {self.posterior_coding_losses[j] / half:10.3f} "
                         f"{self.one_minus_variance[j]:10.3f} {self.unexplained[j]:12.3f}")
        lines += ["", f"{'step':>6} {'bits':>9} {'predicted':>10} {'D':>10} {'predicted':>10}"]
        lines += [f"{at.factor:6.3g} {at.bits:9.3f} {at.predicted_bits:10.3f} {at.distortion:10.4g} {at.predicted_distortion:10.4g}"
                  for at in self.curve]
        lines += ["", "bits = " + _sum(self.bit_terms, ".3f"), "D = " + _sum(self.distortion_terms, ".4g")]
        return "\n".join(lines)

    def summary(self) -> str:
        """What is true of the theory on these files, a line for each claim, in plain words."""
        return "\n".join([self._rate_line(), self._distortion_line(), self._loss_line(), self._slope_line(), self._prior_line()])

    def _rate_line(self):
        predicted, terms = self.predicted_bits, self.bit_terms
        coded = f"{self.coded_bits:.3f} bits an example by the range coder ({self.file_bits:.3f} with the container)"
        said = f"KL + 1/2 log2(pi e / 6) for {self.num_coded} dimensions says {predicted:.3f}"
        exact = f"the exact rate of a quantiser {float(self.exact_bits.sum()):.3f}"
        return f"Rate: {coded}; {said}, {exact}. " + _verdict(
            self.coded_bits, predicted, self.table_bits_standard_error,
            {name: terms[name] for name in ("finite sigma", "own sigma", "coder")}, "bits")

    def _distortion_line(self):
        causes = {name: value for name, value in self.distortion_terms.items() if name != "posterior"}
        return (f"Distortion: {self.distortion:.5g} of decoded files, {self.posterior_distortion:.5g} of the posterior; of the "
                f"coding loss, which alone the files make, {self.posterior_coding_loss:.4g}, this "
                + _verdict(self.distortion, self.posterior_distortion, self.difference_standard_error, causes, "",
                           self.posterior_coding_loss))

    def _loss_line(self):
        theory = self.num_coded * self.beta / 2
        ratios, noise = self.coding_losses[self.coded] / (self.beta / 2), self.noise[self.coded]
        return (f"Coding loss: {self.coding_loss:.4g}, n beta / 2 = {theory:.4g}, {self.coding_loss / theory:.3f} of it; the "
                f"posterior's {self.posterior_coding_loss / theory:.3f}, "
                f"E[1 - sigma^2] {self.one_minus_variance[self.coded].mean():.3f}. "
                f"By dimension {ratios.min():.3f} to {ratios.max():.3f} of beta / 2; the noise of y itself {noise.min():.3f} to "
                f"{noise.max():.3f}.")

    def _slope_line(self):
        off, error = self.slope - 1, self.slope_standard_error
        holds = abs(off) <= max(CLOSE, 2 * error)
        return (f"Slope: -dD/dR at the trained step is {self.slope:.3f} +- {error:.2g} of beta. "
                + ("HOLDS." if holds else f"DOES NOT HOLD: {off:+.1%}."))

    def _prior_line(self):
        differs, worst = self.aggregate_kl_bits[self.coded], int(np.argmax(np.where(self.coded, self.aggregate_kl_bits, -1)))
        said = (f"Prior: the means with their noise are {differs.sum():.3f} bits from N(0, I), most in z_{worst}, "
                f"{self.aggregate_kl_bits[worst]:.3f}")
        if self.fitted_bits is None:
            return f"{said}: tables of the data's own y would save that."
        return f"{said}: tables of the data's own y save {float(self.table_bits.sum()) - self.fitted_bits:.3f}."


def _verdict(measured, predicted, error, causes, unit, scale=None):
    """Whether a prediction holds, to which share of `scale` (by default of itself), and otherwise why."""
    difference, scale = measured - predicted, predicted if scale is None else scale
    off, unit = difference / scale, f" {unit}" if unit else ""
    if abs(off) <= CLOSE:
        return f"HOLDS to {max(0.1, math.ceil(1000 * abs(off)) / 10):.1f} %."
    if abs(difference) <= 2 * error:
        return f"HOLDS within its error: {off:+.1%}, {abs(difference) / error:.1f} standard errors."
    name = max(causes, key=lambda cause: causes[cause] * math.copysign(1, difference))
    share = "most of it" if abs(causes[name]) > abs(difference) / 2 else "the largest part of it"
    return f"DOES NOT HOLD: {off:+.1%}, {share} by {name} ({causes[name]:+.3g}{unit})."


def _sum(terms, form):
    """Named terms and their sum, as text."""
    first, *others = [f"{abs(value):{form}} ({name})" for name, value in terms.items()]
    signs = ["-" if float(f"{value:{form}}") < 0 else "+" for value in list(terms.values())[1:]]
    return f"{sum(terms.values()):{form}} = {first} " + " ".join(f"{sign} {text}" for sign, text in zip(signs, others))
