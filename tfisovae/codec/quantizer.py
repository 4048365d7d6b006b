"""Uniform quantisation with a dither that both sides know (NumPy only).

    symbol = round(y / step - u),        y_hat = step (symbol + u),        u in (-1/2, 1/2)

The error y_hat - y of universal quantisation is uniform over a step and independent of y (Ziv 1985;
Agustsson & Theis 2020, "Universally quantized neural compression"); rounding is u = 0. The dither
is a hash of the place of an example and the number of a variable, in exact arithmetic: both sides,
and every machine, have the same one.
"""
import dataclasses
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tfisovae import arguments

MAX_SYMBOL = 2**24  # in absolute value
NUM_DITHERS = 2**16
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Quantized(NamedTuple):
    """Quantised examples.

    Attributes:
      y: isometric variables of the posterior means, `[B, n_active]`, float64.
      symbols: integers, `[B, n_active]`, int32.
      y_hat: `step * (symbols + u)`, likewise.
      bits: ideal code lengths of the symbols under the integer tables, `[B, n_active]`.
    """

    y: np.ndarray
    symbols: np.ndarray
    y_hat: np.ndarray
    bits: np.ndarray


@dataclasses.dataclass(frozen=True)
class Quantizer:
    """A quantiser of n numbers with one step.

    Attributes:
      step: in the unit of y, positive.
      n: how many numbers an example has.
      dithered: universal quantisation; else rounding.
    """

    step: float
    n: int
    dithered: bool

    def dither(self, places: npt.ArrayLike) -> np.ndarray:
        """Integers `[B, n]`, uint16, that encode u: random, but determined by the places `[B]` and
        the variable.
        """
        places = np.asarray(places, np.uint64)
        if not self.dithered:
            return np.zeros([len(places), self.n], np.uint16)
        stream = _mixed(places[:, None] + np.uint64(1))
        return (
            _mixed(stream + np.arange(self.n, dtype=np.uint64) * _GOLDEN) >> np.uint64(48)).astype(
                np.uint16)

    def offsets(self, dither: np.ndarray) -> np.ndarray:
        """u of these integers k, exact in float64: (k + 1/2) / 2^16 - 1/2."""
        return (dither.astype(np.float64) + 0.5) / NUM_DITHERS - 0.5 if self.dithered else np.zeros(
            dither.shape)

    def quantize(self, y: npt.ArrayLike, dither: np.ndarray, first: int = 0) -> np.ndarray:
        """Symbols `[B, n]`, int32.

        Raises:
          ValueError: for y that are not finite, or beyond 2^24 steps; the message counts examples
            from `first`.
        """
        found = np.rint(np.asarray(y, np.float64) / self.step - self.offsets(dither))
        arguments.check_rows(
            "The posterior mean must be finite and not too large to code",
            np.abs(found) <= MAX_SYMBOL, first, "The model was not trained on such data.")
        return found.astype(np.int32)

    def dequantize(self, symbols: npt.ArrayLike, dither: np.ndarray) -> np.ndarray:
        """y_hat `[B, n]`, float64, the same on every machine."""
        return self.step * (np.asarray(symbols) + self.offsets(dither))


def _mixed(x):
    """The finaliser of SplitMix64, of a multiple of the golden ratio."""
    x = x * _GOLDEN
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
