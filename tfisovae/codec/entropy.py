"""Integer probability tables for quantised numbers, and the range coder that they drive, both by
tensorflow-compression.

The probability of a symbol (`codec.quantizer`) is that of its cell under the distribution of y,
which is N(0, 1) seen through an increasing map. Cells depend on the dither u, and so do the tables,
of which there are some, for equally spaced u.

What tensorflow-compression makes: the tables (`UniversalBatchedEntropyModel`, of a
`MonotonicAdapter`), their integers, the range coder with its escape codes. What it lacks, and is
here: its dither is the same for every example, one string an example or one for a whole batch, and
its universal models cannot be saved. Once made, tables are integers, and so are dither and symbols:
what one machine encodes, every other decodes.
"""
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_compression as tfc
import tensorflow_probability as tfp

from tfisovae.codec.quantizer import NUM_DITHERS
from tfisovae.geometry.monotone import Monotone

PRECISION = 16  # bits of a probability, the most that the coder has
_TAIL = 2.0**-14  # probability of what no table holds and escape codes say
_LEVELS = 15  # of the dither for which there are tables
_WIDE = 1024  # symbols of a table from which on the cells are so narrow that one level will do
# Beyond that, probabilities of 2^-16 would be those of the tables and not of the data.
_WIDEST = 2**14


class Code(bytes):
    """The code of one example, which knows its place: the dither is a function of that.

    Attributes:
      place: the number of the example in the call that made it.
    """

    place: int

    def __new__(cls, code: bytes, place: int = 0) -> "Code":
        made = super().__new__(cls, code)
        made.place = place
        return made


class Pushed(tfc.MonotonicAdapter):
    """N(0, 1) seen through n increasing maps, in steps: the distributions of y_j / step_j, a batch
    `[n]`, float64.
    """

    def __init__(self, maps: Sequence[Monotone], steps: npt.ArrayLike) -> None:
        zero = tf.zeros([len(maps)], tf.float64)
        self._maps, self._steps = tuple(maps), np.asarray(steps, np.float64)
        super().__init__(tfp.distributions.Normal(zero, zero + 1), name="Pushed")

    def transform(self, x: tf.Tensor) -> tf.Tensor:
        return self._each(lambda mapped, values: mapped(values), x, 1, self._steps)

    def inverse_transform(self, y: tf.Tensor) -> tf.Tensor:
        return self._each(lambda mapped, values: mapped.inverse(values), y, self._steps, 1)

    def _each(self, function, values, times, over):
        values = np.broadcast_to(np.asarray(values),
                                 np.broadcast_shapes(np.shape(values), self._steps.shape)) * times
        columns = [function(mapped, values[..., j]) for j, mapped in enumerate(self._maps)]
        return tf.constant(np.stack(columns, -1) / over)


class Tables:
    """The tables of n numbers, by level of the dither, as tensorflow-compression keeps them.

    Args:
      cdf: `[T]`, int32: of each table, minus the precision and then the cumulated probabilities,
        one table behind the other.
      offset: `[K]`, int32, the symbol that is first in each table.
      index: `[levels, n]`, int32, the number of the table of each level and number.
    Raises:
      ValueError: if that is no such thing.
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
        self.levels, self.n = self.index.shape
        lengths = np.diff([*starts, len(self.cdf)])
        counts = np.diff(self.cdf)
        first, last = self.cdf[np.minimum(starts + 1,
                                          len(self.cdf) - 1)], self.cdf[starts + lengths - 1]
        if lengths.min() < 3 or (self.cdf[starts]
                                 != -PRECISION).any() or first.any() or (last != 2**
                                                                         PRECISION).any():
            raise ValueError(f"Each table must go from 0 to 2^{PRECISION}.")
        self._first = starts + 1
        self._escape = lengths - 3  # the last symbol of each table says that another follows
        with np.errstate(divide="ignore", invalid="ignore"):
            self._bits = PRECISION - np.log2(counts.astype(np.float64))

    @classmethod
    def of(cls, maps: Sequence[Monotone], steps: npt.ArrayLike, dithered: bool) -> "Tables":
        """The tables of N(0, 1) seen through `maps`, quantised to `steps` `[n]`.

        Raises:
          ValueError: if a step is so small that a table would have more than 16,384 symbols.
        """
        steps = np.asarray(steps, np.float64)
        prior = Pushed(maps, steps)
        width = np.asarray(prior._upper_tail(_TAIL)) - np.asarray(prior._lower_tail(_TAIL))
        if not np.isfinite(width).all() or width.max() > _WIDEST:
            raise ValueError(
                f"Its steps are so small that a table would have {width.max():.3g} symbols; there "
                f"may be {_WIDEST:,}. "
                f"Take a step_factor {math.ceil(width.max() / _WIDEST):,} times as large, or more.")
        levels = _LEVELS if dithered else 1
        index, parts, before = np.zeros([levels, len(maps)], np.int32), [], 0
        for chosen, count in ((np.flatnonzero(width <= _WIDE), levels),
                              (np.flatnonzero(width > _WIDE), 1)):
            if len(chosen):
                made = tfc.UniversalBatchedEntropyModel(
                    tfc.UniformNoiseAdapter(Pushed([maps[j] for j in chosen],
                                                   steps[chosen])), coding_rank=1, compression=True,
                    tail_mass=_TAIL, range_coder_precision=PRECISION, bottleneck_dtype=tf.float64,
                    num_noise_levels=count, stateless=True)
                parts.append((made.cdf.numpy(), made.cdf_offset.numpy()))
                index[:, chosen] = before + np.arange(count * len(chosen)).reshape(count, -1)
                before += count * len(chosen)
        return cls(*map(np.concatenate, zip(*parts)), index)

    def _tables(self, dither):
        """Which table each number `[..., n]` is coded by: that of the level of dither that is
        nearest to its own.
        """
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
        beyond = np.where(values < 0, -values, values - escape + 1)[outside]
        found[outside] += 2 * np.floor(np.log2(beyond)) + 2  # an Elias gamma code, and a sign
        return found

    def encode(self, symbols: npt.ArrayLike, dither: npt.ArrayLike,
               together: bool = False) -> list[bytes]:
        """The codes of symbols `[B, n]`: one string an example; `together`, one of all."""
        symbols, tables = np.asarray(symbols, np.int32), self._tables(np.asarray(dither))
        handle = tfc.create_range_encoder([] if together else [len(symbols)], self.cdf)
        handle = tfc.entropy_encode_index(handle, tables, symbols - self.offset[tables])
        codes = tfc.entropy_encode_finalize(handle).numpy()
        return [codes] if together else codes.tolist()

    def decode(self, codes: Sequence[bytes], dither: npt.ArrayLike,
               together: bool = False) -> np.ndarray:
        """The symbols `[B, n]`, int32, of the codes of B examples, each a string; `together`, of
        the one string of all.

        Raises:
          ValueError: if they are no codes of these tables, as far as the coder can tell: not every
            damage shows. `container` has checksums.
        """
        tables = self._tables(np.asarray(dither))
        handle = tfc.create_range_decoder(codes[0] if together else list(codes), self.cdf)
        try:
            handle, values = tfc.entropy_decode_index(
                handle, tables, tables.shape if together else [self.n], tf.int32)
            whole = tfc.entropy_decode_finalize(handle).numpy()
        except tf.errors.OpError:
            whole = False
        if not np.all(whole):
            at = "" if together or np.ndim(
                whole) == 0 else f" Code {int(np.argmin(whole))} (counted from 0) is the first."
            raise ValueError(f"The codes are none of this codec, or not those of these places.{at}")
        return values.numpy() + self.offset[tables]
