"""Integer probability tables for quantised numbers, and their codes.

The probability of a symbol (`codec.quantizer`) is the probability of its cell under the
distribution of y: N(0, 1) through an increasing map. Cells depend on the dither u, so there are
tables for several, equally spaced u.

Tables are computed once, in floating point, and stored as integers in the codec's files. The
dither, the symbols and the range coder (`codec.coder`) are integers too. So every machine, with any
version of TensorFlow and NumPy, decodes the same symbols.
"""
import heapq
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.special

from tfisovae.codec import coder
from tfisovae.codec.coder import PRECISION
from tfisovae.codec.quantizer import NUM_DITHERS
from tfisovae.geometry.monotone import Monotone

_TAIL = 2.0**-14  # probability of values outside of a table, which escape codes hold
_LEVELS = 15  # number of dithers with tables
_WIDE = 1024  # with more symbols in a table, cells are so narrow that one level is enough
# Beyond that, the tables' probabilities of 2^-16 would replace the data's.
_WIDEST = 2**14
_SPARE = 64  # bytes that a code can be short of the ideal length, with a probability below 2^-400


class Code(bytes):
    """The code of one example. It knows its place, which determines the dither.

    Attributes:
      place: the number of the example in the call that made it.
    """

    place: int

    def __new__(cls, code: bytes, place: int = 0) -> "Code":
        made = super().__new__(cls, code)
        made.place = place
        return made


class Tables:
    """The tables of n numbers, by level of the dither, in the layout of tensorflow-compression.

    Args:
      cdf: `[T]`, int32: for each table, minus the precision and then the cumulated probabilities,
        one table after the other.
      offset: `[K]`, int32, the first symbol of each table.
      index: `[levels, n]`, int32, the number of the table of each level and number.

    Raises:
      ValueError: if the arrays have another form.
    """

    def __init__(self, cdf: npt.ArrayLike, offset: npt.ArrayLike, index: npt.ArrayLike) -> None:
        self.cdf, self.offset, self.index = (np.asarray(array, np.int32)
                                             for array in (cdf, offset, index))
        starts = np.flatnonzero(self.cdf < 0)
        if (self.cdf.ndim != 1 or self.index.ndim != 2 or not len(starts) or starts[0]
                or len(starts) != len(self.offset) or not self.index.size or self.index.min() < 0
                or self.index.max() >= len(starts)):
            raise ValueError(
                "cdf, offset and index must be tables, the first symbol of each, and numbers of "
                "them [levels, n]."
            )
        if (self.cdf[starts] != -PRECISION).any():
            raise ValueError(f"cdf must have a precision of {PRECISION} bits in every table.")
        self.levels, self.n = self.index.shape
        tables = np.split(self.cdf, starts[1:])
        self._coder = coder.RangeCoder([table[1:] for table in tables])
        self._first = starts + 1
        self._escape = self._coder.escapes  # the last symbol announces another
        with np.errstate(divide="ignore", invalid="ignore"):
            self._bits = PRECISION - np.log2(np.diff(self.cdf).astype(np.float64))
        least = np.array([self._bits[start:start + escape + 1].min()
                          for start, escape in zip(self._first, self._escape)])
        self._least_bits = float(least[self.index].min(0).sum())  # of one example

    @classmethod
    def of(cls, maps: Sequence[Monotone], steps: npt.ArrayLike, dithered: bool) -> "Tables":
        """The tables for N(0, 1) through `maps`, quantised to `steps` `[n]`.

        Raises:
          ValueError: if a step is so small that a table would have more than 16,384 symbols.
        """
        steps = np.asarray(steps, np.float64)
        tail = scipy.special.ndtri(_TAIL / 2)
        lower, upper = (np.array([mapped(end) for mapped in maps]) / steps for end in (tail, -tail))
        width = upper - lower
        if not np.isfinite(width).all() or width.max() > _WIDEST:
            raise ValueError(
                f"Its steps are so small that a table would have {width.max():.3g} symbols; the "
                f"limit is {_WIDEST:,}. Take a step_factor {math.ceil(width.max() / _WIDEST):,} "
                "times as large, or more.")
        levels = _LEVELS if dithered else 1
        index, parts, offset = np.zeros([levels, len(maps)], np.int32), [], []
        for chosen, count in ((np.flatnonzero(width <= _WIDE), levels),
                              (np.flatnonzero(width > _WIDE), 1)):
            for level in range(count):
                u = (level + 1) / (count + 1) - 0.5
                for j in chosen:
                    # A number with one table uses it for all levels.
                    index[level if count > 1 else slice(None), j] = len(offset)
                    first, last = math.floor(lower[j] - u), math.ceil(upper[j] - u)
                    mass = _masses(maps[j], steps[j], np.arange(first, last + 1) + u)
                    parts += [[-PRECISION, 0], np.cumsum(_integers(mass))]
                    offset.append(first)
        return cls(np.concatenate(parts), offset, index)

    def _tables(self, dither):
        """The table of each number `[..., n]`: the one with the nearest level of dither."""
        ticks = (2 * dither.astype(np.int64) + 1) * (self.levels + 1)
        level = np.clip((ticks + NUM_DITHERS) // (2 * NUM_DITHERS) - 1, 0, self.levels - 1)
        return self.index[level, np.arange(self.n)]

    def bits(self, symbols: npt.ArrayLike, dither: npt.ArrayLike) -> np.ndarray:
        """The ideal code length of each symbol under the integer tables, bits, `[..., n]`, escape
        codes included.
        """
        tables = self._tables(np.asarray(dither))
        values = np.asarray(symbols, np.int64) - self.offset[tables]
        escape = self._escape[tables]
        outside = (values < 0) | (values >= escape)
        found = self._bits[self._first[tables] + np.where(outside, escape, values)]
        beyond = coder.outside_distance(values, escape)[outside]
        found[outside] += 2 * np.floor(np.log2(beyond)) + 2  # an Elias gamma code, and a sign
        return found

    def most_examples(self, num_bytes: int) -> int:
        """The largest number of examples in a code of this many bytes. Twice as many as the ideal
        lengths allow: the coder's roundings can halve the length of the likeliest symbol.
        """
        return int(2 * 8 * (num_bytes + _SPARE) / self._least_bits)

    def encode(self, symbols: npt.ArrayLike, dither: npt.ArrayLike,
               together: bool = False) -> list[bytes]:
        """The codes of symbols `[B, n]`: one string an example; `together`, one of all."""
        symbols, tables = np.asarray(symbols, np.int64), self._tables(np.asarray(dither))
        shape = [1, -1] if together else symbols.shape
        return self._coder.encode((symbols - self.offset[tables]).reshape(shape),
                                  tables.reshape(shape))

    def decode(self, codes: Sequence[bytes], dither: npt.ArrayLike,
               together: bool = False) -> np.ndarray:
        """The symbols `[B, n]`, int32, from the codes of B examples, one string each; with
        `together`, from one string of all.

        Raises:
          ValueError: if they are not codes of these tables, as far as the coder can see.
            `container` has checksums.
        """
        tables = self._tables(np.asarray(dither))
        values, whole = self._coder.decode(codes, tables.reshape(len(codes), -1))
        symbols = values.reshape(tables.shape) + self.offset[tables]
        if not whole.all():
            at = "" if together else (f" Code {int(np.argmin(whole))} (counted from 0) is the "
                                      f"first.")
            raise ValueError(f"The codes belong to another codec or to other places.{at}")
        return symbols.astype(np.int32)


def _masses(mapped, step, symbols):
    """The probabilities of the cells of `symbols` `[K]`, and of everything else, `[K + 1]`,
    float32.
    """
    edges = mapped.inverse((symbols + np.array([[-0.5], [0.5]])) * step)
    below, above = scipy.special.ndtr(edges), scipy.special.ndtr(-edges)
    # The smaller of the two has more digits.
    mass = np.where(above[1] < below[1], above[0] - above[1], below[1] - below[0])
    return np.append(mass, max(1 - mass.sum(), 0)).astype(np.float32)


def _integers(mass):
    """Positive integers with the sum 2^16 that give the least mean code length for these
    probabilities. Each is rounded; then units are added or removed where they cost least.
    """
    one = 2**PRECISION
    counts = np.maximum(np.rint(mass * np.float32(one)), 1).astype(np.int64)
    mass = mass.astype(np.float64)
    unit = 1 if counts.sum() < one else -1

    def costs(at):
        """The cost of one unit more or less at the symbols `at`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found = mass[at] * (np.log2(counts[at]) - np.log2(counts[at] + unit))
        return np.where(counts[at] + unit < 1, np.inf, found)

    queue = [(cost, at) for at, cost in enumerate(costs(np.arange(len(mass))).tolist())]
    heapq.heapify(queue)
    for _ in range(abs(one - int(counts.sum()))):
        at = queue[0][1]
        counts[at] += unit
        heapq.heapreplace(queue, (float(costs(at)), at))
    return counts
