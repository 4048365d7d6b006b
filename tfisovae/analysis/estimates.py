"""The estimates of `analyze` for a large latent space, in a pass over some examples without forming
a Gram matrix.
"""
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import Measurable, bound
from tfisovae.autoencoder.noise import noise_rows
from tfisovae.geometry.estimated import (
    Estimate,
    Moments,
    Probes,
    Strata,
    extremes,
    root_mean_square,
)
from tfisovae.geometry.products import Linearized, lanczos, probe
from tfisovae.metrics.stretch import SMALLEST, Stretch, estimated_stretch
from tfisovae.verdict.isometry import judged

MAX_EXAMPLES = 1000
NUM_PROBES, _STEPS = 16, 30
_LEADING, _DRAWN = 10, 14  # exactly measured dimensions: the most important, and random ones
_CONFIDENCE = 0.99
_NUMBERS = 2**18  # in the images of a batch
# The keys of the noise, different from every training step and every other measurement.
_OF_PROBES, _OF_LANCZOS = -1_000, -2_000


@dataclasses.dataclass(frozen=True)
class Estimates:
    """How the numbers of an `Analysis` were estimated, and their errors.

    Attributes:
      num_examples: how many examples, a random sample.
      num_probes: random probes at each; 0 for a decoder without derivatives.
      num_steps: of Lanczos' method, likewise.
      seed: decides the probes and the dimensions.
      dimensions: indices of exactly measured dimensions, `[m]`. `gram_mean` and `gram_cosine` are
        over these. Norms of other active dimensions come from the probes. Other inactive ones have
        none.
      norm: the mean norm over the active dimensions, from the probes.
      sampled_norm: the same from `dimensions` alone.
      off_diagonal, cosine: root mean squares over pairs of active dimensions, from the probes and
        from `dimensions`. Each is an `Estimate`.
      removal_dimensions, removal_cost, removal_standard_error: the cost of removal of the most
        important dimensions, `[k]` each.
    """

    num_examples: int
    num_probes: int
    num_steps: int
    seed: int
    dimensions: np.ndarray
    norm: Estimate
    sampled_norm: Estimate
    off_diagonal: Estimate
    cosine: Estimate
    removal_dimensions: np.ndarray | None = None
    removal_cost: np.ndarray | None = None
    removal_standard_error: np.ndarray | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Estimates":
        """From `dataclasses.asdict`, as JSON holds it."""
        def read(value):
            if isinstance(value, Mapping):
                return Estimate(**{name: np.nan if part is None else part
                                   for name, part in value.items()})
            return np.array(value) if isinstance(value, (list, np.ndarray)) else value

        return cls(**{name: read(value) for name, value in values.items()})

    def __str__(self) -> str:
        """A sentence on the source of the numbers."""
        where = f"at {self.num_examples} examples"
        if not len(self.dimensions):
            return f"Estimated {where}: no dimension is active, so there is nothing to estimate."
        if not self.num_probes:
            return (f"Estimated {where} from {len(self.dimensions)} dimensions: without "
                    "derivatives of the decoder there are no probes and no eigenvalues.")
        return (
            f"Estimated {where}, from {self.num_probes} probes, {self.num_steps} steps of Lanczos' "
            f"method and {len(self.dimensions)} dimensions: norm {_said(self.norm)} by probes, "
            f"{_said(self.sampled_norm)} by dimensions; off-diagonal {_said(self.off_diagonal)}; "
            f"cosines {_said(self.cosine)}.")


def _said(estimate):
    error = estimate.standard_error
    digits = 4 if not 0 < error < np.inf else max(0, 1 - math.floor(math.log10(error)))
    return f"{estimate.value:.{digits}f} +- {error:.{digits}f}"


@dataclasses.dataclass(frozen=True)
class Estimated:
    """The result of one pass: the fields of an `Analysis` that need Gamma, and `Estimates`."""

    fields: dict[str, Any]
    estimates: Estimates


def batch_size(example: tuple[int, ...], n: int) -> int:
    """How many examples to differentiate at once, so that memory does not grow with their size.

    Args:
      example: the shape of one.
      n: latent dimensions.
    """
    return int(np.clip(_NUMBERS // max(n, np.prod(example, dtype=int)), 1, 100))


def estimate(autoencoder: Measurable, x: np.ndarray, kl: np.ndarray, active: np.ndarray,
             importance: np.ndarray, tangents: str, dimensions: Sequence[int] = (), seed: int = 0,
             progress: bool = False) -> Estimated:
    """Estimates what `analyze` measures exactly in a small latent space.

    Args:
      autoencoder: `Autoencoder`, or anything with its five attributes.
      x: examples, `[N, ...]`.
      kl, active, importance: of each dimension, `[n]`.
      tangents: "autodiff" or "differences".
      dimensions: more dimensions to measure exactly, next to the most important ones and a random
        sample.
      seed: decides the probes and the dimensions.
      progress: whether to show a progress bar.

    Cost: about 117 passes forward or backward through the decoder for each example, for any n.
    """
    if len(x) < 2:
        raise ValueError(
            f"num_examples must be at least 2 for the estimated method, so that its numbers have "
            f"errors; there is {len(x)} example. Give more, or method=\"exact\".")
    beta, n = float(autoencoder.beta), len(kl)
    among, probes, by_probes = np.flatnonzero(active), Probes(), tangents == "autodiff"
    leading = among[np.argsort(-importance[among], kind="stable")[:_LEADING]]
    strata = Strata.draw(importance, among, _DRAWN, seed, [*dimensions, *leading])
    eigen = judged(kl, active)
    steps = min(_STEPS, len(eigen)) if by_probes else 0
    num_probes = NUM_PROBES if by_probes and len(among) else 0

    def update(x, first_row):
        known, x = bound(autoencoder, x)
        mean, scale = known.encode(x)
        linear = Linearized(known.decode, mean, known.distortion, tangents)
        weights = tf.cast((2 / beta) ** 0.5, scale.dtype) * scale

        def draw(step):
            return noise_rows(tf.shape(mean)[0], n, seed, step, first_row)

        found = {"scale": scale}
        if len(strata.dimensions):
            found["gram"] = linear.gram_of(tf.constant(strata.dimensions, tf.int32), weights)
        if num_probes:
            signs = tf.stack([tf.sign(draw(_OF_PROBES - k)) for k in range(num_probes)])
            found["products"] = probe(linear.gram(weights), signs * _mask(among, n))
        if steps:
            side = tf.maximum(1 - tf.square(scale), SMALLEST) ** -0.5
            found["lanczos"] = lanczos(linear.gram(weights * side),
                                       lambda k: draw(_OF_LANCZOS - k) * _mask(eigen, n), steps)
        return found

    rows = streaming.examples_of(autoencoder, streaming.slices(x, batch_size(x.shape[1:], n)), None,
                                 "estimating", progress)
    derivative, exact_derivative, grams, tridiagonal = Moments(), Moments(), [], []
    for found, _ in streaming.run(rows, update):
        factor = beta / 2 / found["scale"].astype(np.float64) ** 2
        if num_probes:
            norm, noise = probes.add(found["products"])
            derivative.add(norm * factor, noise * factor**2)
        if "gram" in found:
            grams.append(found["gram"].astype(np.float64))
            exact = np.diagonal(grams[-1], axis1=1, axis2=2)
            exact_derivative.add(exact * factor[:, strata.dimensions], 0 * exact)
        if steps:
            tridiagonal.append(found["lanczos"])
    grams = np.concatenate(grams) if grams else np.zeros([len(x), 0, 0])
    fields = _vectors(n, among, strata, probes.norm, derivative, grams, exact_derivative)
    gram, cosine = _pairs(grams)
    counted = np.flatnonzero(np.isin(strata.dimensions, among))
    squares = {"off_diagonal": np.mean(grams**2, 0), "cosine": cosine**2}
    by_pairs = {name: root_mean_square(values[np.ix_(counted, counted)])
                for name, values in squares.items()}
    exact = np.diagonal(grams, axis1=1, axis2=2)
    sampled = strata.mean(exact) if len(among) else Estimate(np.nan, np.nan)
    norm = _over(probes.trace, len(among)) if num_probes else sampled
    off = _root(_over(probes.mass, len(among) * (len(among) - 1))) if (
        num_probes and len(among) > 1) else by_pairs["off_diagonal"]
    fields |= {
        "gram_mean": gram, "gram_cosine": cosine, "isometric_norm": norm.value,
        "isometric_norm_spread": strata.spread(exact) if len(among) else np.nan,
        "gram_off_diagonal": off.value, "gram_off_diagonal_cosine": by_pairs["cosine"].value,
        "stretch": _stretch(tridiagonal, len(eigen))
    }
    return Estimated(fields, Estimates(len(x), num_probes, steps, seed, strata.dimensions, norm,
                                       sampled, off, by_pairs["cosine"]))


def _mask(dimensions, n):
    return tf.constant(np.isin(np.arange(n), dimensions), tf.float32)


def _vectors(n, among, strata, norm, derivative, grams, exact_derivative):
    """Norms and D'_j: exact for the dimensions of the sample, by probes for other active ones."""
    exact = Moments()
    diagonals = np.diagonal(grams, axis1=1, axis2=2)
    exact.add(diagonals, 0 * diagonals)
    made = {}
    for name, by_probes, whole in (("norm", norm, exact), ("derivative", derivative,
                                                           exact_derivative)):
        for part in ("mean", "std", "standard_error"):
            values = np.full(n, np.nan)
            if by_probes.count:
                values[among] = getattr(by_probes, part)[among]
            if len(strata.dimensions):
                values[strata.dimensions] = getattr(whole, part)
            made[f"{name}_{part}"] = values
    del made["derivative_standard_error"]
    return made


def _pairs(grams):
    """The mean Gram matrix of the sample, and the root mean squares of its cosines."""
    norms = np.sqrt(np.maximum(np.diagonal(grams, axis1=1, axis2=2), 0))
    lengths = norms[:, :, None] * norms[:, None, :]
    cosines = np.divide(grams, lengths, out=np.zeros_like(grams), where=lengths != 0)
    return grams.mean(0), np.sqrt(np.mean(cosines**2, 0))


def _over(estimate, count):
    return Estimate(estimate.value / count, estimate.standard_error / count, estimate.part / count)


def _root(estimate):
    """The square root of an estimate, with errors to first order."""
    root = np.sqrt(estimate.value)
    slope = 0.5 / root if root else 0.0
    return Estimate(float(root), estimate.standard_error * slope, estimate.part * slope)


def _stretch(tridiagonal, size) -> Stretch | None:
    if not tridiagonal:
        return None
    diagonal, beside = (np.concatenate(parts) for parts in zip(*tridiagonal))
    return estimated_stretch(extremes(diagonal, beside, size, _CONFIDENCE))
