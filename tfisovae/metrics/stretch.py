"""How far an embedding stretches and shortens directions: eigenvalues of Gamma at single examples
(NumPy only).
"""
import dataclasses
import math

import numpy as np
import numpy.typing as npt

from tfisovae.geometry.estimated import Extremes
from tfisovae.verdict.isometry import CLOSE

MAX_EXAMPLES = 4096  # examples with stored matrices: enough for a percentile
MIN_EXAMPLES = 100
_NUMBERS = 2**24  # limit for all stored matrices: 64 MB
SMALLEST = 1e-6  # least 1 - sigma^2: no trained posterior is as wide as the prior


def max_examples(n: int) -> int:
    """The number of stored `[n, n]` matrices; 0 without room for `MIN_EXAMPLES`."""
    room = min(MAX_EXAMPLES, _NUMBERS // n**2)
    return room if room >= MIN_EXAMPLES else 0


class EvenSample:
    """Keeps at most `size` evenly spaced examples of a stream of blocks."""

    def __init__(self, size: int) -> None:
        self.size, self._stride, self._blocks = size, 1, []

    def add(self, block: np.ndarray, first_row: int) -> None:
        """Keeps examples of `block` `[B, ...]`; `first_row` is the index of its first example.
        Blocks come in order.
        """
        self._blocks.append(block[-first_row % self._stride::self._stride])
        while sum(map(len, self._blocks)) > self.size:
            self._blocks, self._stride = [self.values[::2]], 2 * self._stride

    @property
    def values(self) -> np.ndarray:
        """The stored examples, in order."""
        return np.concatenate(self._blocks)


@dataclasses.dataclass(frozen=True)
class Stretch:
    """How lengths change between latent space and data, over the judged dimensions.

    At each example x, take the eigenvalues of S Gamma S, with S = diag((1 - sigma_j(x)^2)^(-1/2)).
    Their roots are the stretch of each direction, relative to the optimum. All are 1 if the
    embedding is isometric.

    Attributes:
      error_median, error_95, error_largest: median, 95th percentile and maximum over the examples
        of the largest |root - 1| at an example.
      longest, shortest: medians over the examples of the largest and the smallest root.
      num_examples: how many examples.
      error_95_bound: an upper bound of the 95th percentile for estimated roots, which are too close
        together.
      confidence: the probability that no root at any example is outside its bounds. Both are NaN
        for exact roots.
      share_off: the share of the examples with an error above `tfisovae.verdict.isometry.CLOSE`.
      share_off_bound: its upper bound for estimated roots; else NaN.
    """

    error_median: float
    error_95: float
    error_largest: float
    longest: float
    shortest: float
    num_examples: int
    error_95_bound: float = math.nan
    confidence: float = math.nan
    share_off: float = math.nan
    share_off_bound: float = math.nan


def stretch(gram: npt.ArrayLike, scale: npt.ArrayLike) -> Stretch:
    """`Stretch` of the judged dimensions.

    Args:
      gram: Gamma at each example, `[N, k, k]`.
      scale: sigma, `[N, k]`. A sigma of 1 or more counts as 1 - sigma^2 = 1e-6.

    Returns:
      `Stretch`; full of NaN if a number is not finite, or there is no example or dimension.
    """
    gram, scale = np.asarray(gram, np.float64), np.asarray(scale, np.float64)
    if not gram.size or not (np.isfinite(gram).all() and np.isfinite(scale).all()):
        return Stretch(*[np.nan] * 5, len(gram))
    side = np.maximum(1 - scale**2, SMALLEST) ** -0.5
    values = np.linalg.eigvalsh(gram * side[:, :, None] * side[:, None, :])
    return _of_extremes(values[:, [0, -1]])


def estimated_stretch(found: Extremes) -> Stretch:
    """`Stretch` from bounds of the smallest and largest eigenvalue of S Gamma S; full of NaN if one
    is not a number.
    """
    made, outside = _of_extremes(found.inside), _of_extremes(found.outside)
    return dataclasses.replace(made, error_95_bound=outside.error_95, confidence=found.confidence,
                               share_off_bound=outside.share_off)


def _of_extremes(values):
    """The `Stretch` from the smallest and the largest eigenvalue at each example, `[N, 2]`."""
    if not len(values) or np.isnan(values).any():
        return Stretch(*[np.nan] * 5, len(values))
    roots = np.sqrt(np.maximum(values, 0))
    error = np.abs(roots - 1).max(1)
    shortest, longest = np.median(roots, 0)
    # An interpolation between infinite values would not be a number.
    error_95 = np.quantile(error, 0.95, method="linear" if np.isfinite(error).all() else "higher")
    return Stretch(float(np.median(error)), float(error_95), float(error.max()), float(longest),
                   float(shortest), len(values), share_off=float(np.mean(error > CLOSE)))
