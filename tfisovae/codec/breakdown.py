"""Where the bits and the distortion of a VAE's files go, compared with theory (NumPy only).

The bits of a file are a sum of causes, each measured separately (`Ledger.bit_terms`):

    KL                    of Eq. 2, over the coded dimensions
    scalar quantisation   1/2 log2(pi e / 6) for each: the limit of small sigma (Eqs. 70, 71)
    finite sigma          the difference of a quantiser's exact rate from that limit
    sigma beside z        the change of the exact rate if sigma_j is the one that the map z_j -> y_j
                          gives at mu_j. A constant step in y is not each input's own sigma if z_j
                          does not determine it
    sigma within a step   the difference of the tables: the map bends, and sigma_j changes, within
                          one step. It includes the tables' integers and their few levels of dither
    coder                 the range coder's output beyond the ideal lengths of its tables
    container             headers, index, checksums
"""
import dataclasses
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfisovae import files, theory

QUANTIZATION = theory.QUANTIZATION_BITS


@dataclasses.dataclass(frozen=True)
class Point:
    """Measured and predicted files at one step factor. Means over examples, with standard errors.

    Attributes:
      factor: of the step sqrt(6 beta) in y.
      bits, bits_standard_error: of the tables' ideal code, per example.
      coded_bits: of the range coder's output, per example.
      distortion, distortion_standard_error: D as trained, of decoded examples.
      predicted_bits: from the posterior alone: the exact rate of a dithered quantiser with each
        example's own step.
      predicted_distortion: from the posterior alone: its D, with the coding loss times the squared
        factor.
      dissimilarity: E[1 - SSIM(x, x_hat)] of images; `None` for other data.
    """

    factor: float
    bits: float
    bits_standard_error: float
    coded_bits: float
    distortion: float
    distortion_standard_error: float
    predicted_bits: float
    predicted_distortion: float
    dissimilarity: float | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, float | None]) -> "Point":
        """From JSON, where None means NaN."""
        return cls(
            **{
                name: math.nan if value is None and name != "dissimilarity" else value
                for name, value in values.items()
            })


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The rate and distortion of a VAE's files. Vectors are `[n]`, in the model's own order; bits
    are per example.

    Attributes:
      beta, decomposed, distortion_name, num_examples: of the VAE and of the measurement.
      quantization: "universal" (dithered) or "rounding".
      coded: whether each dimension is coded; the others are decoded at their mean.
      kl_bits: E[KL_j].
      exact_bits: mean exact rate of a dithered quantiser with each example's own step, prior N(0,
        1); 0 if not coded.
      told_bits: the same with the step that the map gives at mu_j.
      table_bits: mean ideal code length by the codec's tables; 0 if not coded.
      coded_bits, file_bits: of the range coder's output, and of the whole file, per example.
      bits_difference_standard_error: of the sum of `table_bits` minus the sum of the coded
        `kl_bits`, over the same examples.
      one_minus_variance: E[1 - sigma_j^2].
      unexplained: deviation of log sigma_j that z_j does not determine
        (`tfisovae.geometry.flatness`); NaN below 200 examples.
      aggregate_kl_bits: KL of the aggregate posterior of z_j from the prior: the saving of a table
        for the data's own y.
      fitted_bits: the ideal code length of tables that are fitted to the data's own y; `None` if
        not measured.
      noise: E[(y_hat_j - y_j)^2] / (beta / 2), 1 in every dimension by theory; NaN if not coded.
      coding_losses, coding_losses_standard_error: how much the codec's noise in z_j alone adds to
        D; NaN if not coded.
      posterior_coding_losses: the same for the posterior's noise.
      distortion: D as trained, of decoded examples.
      posterior_distortion: E[D] of the posterior.
      active_distortion: the same with noise only in the coded dimensions.
      told_distortion: the same with the scale that the map gives at mu_j.
      step_distortion: with Gaussian noise in y.
      difference_standard_error: of `distortion` - `posterior_distortion`, over the same examples.
      coding_loss, posterior_coding_loss, transform_loss: minus D(x, x).
      slope, slope_standard_error: -dD/dR at factor 1 over beta, R in nats; 1 by theory.
      predicted_slope: the same, predicted from the posterior alone.
      curve: a `Point` for each step factor.
      beside: alternatives and bounds: names to curves, lists of dicts with `bits` and `distortion`,
        which is 1 - SSIM for images, and D otherwise.
    """

    beta: float
    decomposed: bool
    distortion_name: str
    num_examples: int
    quantization: str
    coded: np.ndarray
    kl_bits: np.ndarray
    exact_bits: np.ndarray
    told_bits: np.ndarray
    table_bits: np.ndarray
    bits_difference_standard_error: float
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
    told_distortion: float
    step_distortion: float
    difference_standard_error: float
    coding_loss: float
    posterior_coding_loss: float
    transform_loss: float
    slope: float
    slope_standard_error: float
    predicted_slope: float
    curve: list[Point]
    beside: dict[str, list[dict[str, float]]] = dataclasses.field(default_factory=dict)

    @property
    def lmbda(self) -> float:
        """1 / beta."""
        return 1 / self.beta

    @property
    def num_coded(self) -> int:
        """The number of coded dimensions: n in the formulas."""
        return int(self.coded.sum())

    @property
    def trained(self) -> Point:
        """The point of factor 1."""
        return next(point for point in self.curve if point.factor == 1)

    @property
    def predicted_bits(self) -> float:
        """KL + 1/2 log2(pi e / 6) for each coded dimension."""
        return float(self.kl_bits[self.coded].sum()) + QUANTIZATION * self.num_coded

    @property
    def bit_terms(self) -> dict[str, float]:
        """The causes whose sum is the bits of a file, in the order of the module's table."""
        exact, told, table = (float(bits.sum())
                              for bits in (self.exact_bits, self.told_bits, self.table_bits))
        return {
            "KL": float(self.kl_bits[self.coded].sum()),
            "scalar quantisation": QUANTIZATION * self.num_coded,
            "finite sigma": exact - self.predicted_bits, "sigma beside z": told - exact,
            "sigma within a step": table - told, "coder": self.coded_bits - table,
            "container": self.file_bits - self.coded_bits
        }

    @property
    def distortion_terms(self) -> dict[str, float]:
        """The parts of a file's distortion: the posterior's part, and the other effects of the
        codec.
        """
        return {
            "posterior": self.posterior_distortion,
            "no noise where nothing is coded": self.active_distortion - self.posterior_distortion,
            "sigma beside z": self.told_distortion - self.active_distortion,
            "sigma within a step": self.step_distortion - self.told_distortion,
            "uniform noise": self.distortion - self.step_distortion
        }

    @property
    def losses(self) -> tuple[float, float]:
        """R + D / beta, nats: for the range coder and decoded files, and for KL + 1/2 log(pi e / 6)
        and the posterior.
        """
        made = zip((self.coded_bits, self.predicted_bits),
                   (self.distortion, self.posterior_distortion))
        files_, posterior = (math.log(2) * bits + distortion / self.beta
                             for bits, distortion in made)
        return files_, posterior

    def to_dict(self) -> dict[str, Any]:
        """The content for `load`, and sums for other readers of the JSON."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        derived = ("lmbda", "predicted_bits", "bit_terms", "distortion_terms")
        return {
            **fields, "curve": [dataclasses.asdict(point) for point in self.curve],
            "n": len(self.coded), **{name: getattr(self, name) for name in derived}
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Ledger":
        made = {}
        for field in dataclasses.fields(cls):
            if field.name not in values:
                raise ValueError(
                    f"This rate is from another version: it lacks {field.name}. Measure again with "
                    "tfisovae rate.")
            value = values[field.name]
            if field.type is np.ndarray:
                value = np.array(value, bool if field.name == "coded" else float)  # None is NaN
            elif field.type is float and value is None:
                value = math.nan
            made[field.name] = value
        return cls(**{**made, "curve": [Point.from_dict(point) for point in values["curve"]]})

    def save(self, path: str | os.PathLike, **extra: Any) -> None:
        """Writes JSON to `path`; `extra` entries go next to the fields."""
        files.write_json(path, {**self.to_dict(), **extra})

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Ledger":
        return cls.from_dict(files.read_json(path))


def bits_at(points: Sequence[Mapping[str, float]], distortion: float) -> float | None:
    """Bits of a curve at a distortion: log bits are linear in D between neighbours; `None` if the
    curve has no such D.

    Args:
      points: with `bits` and `distortion`; points that another point beats in both do not count.
      distortion: D.
    """
    best = []
    for point in sorted(points, key=lambda at: (at["bits"], at["distortion"])):
        if not best or point["distortion"] < best[-1][0]:
            best.append((point["distortion"], point["bits"]))
    d, bits = np.array(best[::-1]).T
    if not d[0] <= distortion <= d[-1]:
        return None
    return float(np.exp(np.interp(distortion, d, np.log(np.maximum(bits, 1e-12)))))
