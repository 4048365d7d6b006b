"""A range coder for integers under tables of cumulative probabilities (NumPy only).

Codes are the same as tensorflow-compression's, byte for byte. Martin (1979), "Range coding",
describes the method:

- A code is a number in [0, 1). Its digits are 16-bit words, the most significant first.
- The coder holds an interval of such numbers. Each symbol narrows it to the share [low, high) /
  2^16 of its length. An interval of at most 2^16 units fixes a word, and its unit then shrinks.
- The last symbol of a table is an escape. Uniform bits follow it: the Elias gamma code of the
  value's distance from the table, and a sign.

NumPy finds the intervals of all symbols at once. The loop over the symbols runs on Python's
integers. That is as fast for one long string as for many short ones.
"""
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

PRECISION = 16  # bits of a probability
ESCAPE_BITS = 30  # no value lies 2^30 or more outside of its table
_ONE, _HALF, _LOW = 2**PRECISION, 2**(PRECISION - 1), 2**PRECISION - 1


class RangeCoder:
    """Codes values with tables.

    Args:
      tables: the cumulative probabilities of each, increasing integers from 0 to 2^16. A table for
        the values 0 to K - 1 has K + 2 entries: the last symbol is the escape.

    Raises:
      ValueError: if a table has another form.
    """

    def __init__(self, tables: Sequence[npt.ArrayLike]) -> None:
        arrays = [np.asarray(table, np.int64) for table in tables]
        for number, table in enumerate(arrays):
            if len(table) < 2 or table[0] != 0 or table[-1] != _ONE or (np.diff(table) <= 0).any():
                raise ValueError(
                    f"tables must each increase from 0 to 2^{PRECISION}; table {number} does not.")
        self.escapes = np.array([len(table) - 2 for table in arrays])
        self._starts = np.cumsum([0, *map(len, arrays[:-1])])
        self._flat = np.concatenate(arrays)
        self._lists = [table.tolist() for table in arrays]

    def encode(self, values: npt.ArrayLike, index: npt.ArrayLike) -> list[bytes]:
        """The codes of values `[B, m]`, one string for each row.

        Args:
          values: integers. Values outside of a table are coded with an escape.
          index: `[B, m]`, the table of each.

        Raises:
          ValueError: for a value 2^30 or more outside of its table.
        """
        values, index = np.asarray(values, np.int64), np.asarray(index)
        escape = self.escapes[index]
        outside = (values < 0) | (values >= escape)
        beyond = outside_distance(values, escape)[outside]
        if beyond.size and beyond.max() >= 2**ESCAPE_BITS:
            raise ValueError(
                f"values must lie less than 2^{ESCAPE_BITS} outside of their tables; one lies "
                f"{beyond.max()} outside.")
        at = self._starts[index] + np.where(outside, escape, values)
        low, high, counts = self._flat[at].ravel(), self._flat[at + 1].ravel(), None
        ends = np.arange(1, len(values) + 1) * values.shape[1]
        if beyond.size:
            # The code and the sign are the 2 n bits of 2 distance + sign; the distance has n.
            said, bits = 2 * beyond + (values[outside] < 0), 2 * _num_bits(beyond)
            counts = np.ones(values.shape, np.int64)
            counts[outside] += bits
            ends = np.cumsum(counts.sum(1))
            counts = counts.ravel()
            low, high = np.repeat(low, counts), np.repeat(high, counts)
            first = np.cumsum(counts) - counts
            among = np.arange(len(low)) - np.repeat(first, counts)
            after = among > 0
            digits = np.repeat(said, bits) >> (np.repeat(bits, bits) - among[after]) & 1
            low[after], high[after] = digits * _HALF, (digits + 1) * _HALF
        low, high, begin, codes = low.tolist(), high.tolist(), 0, []
        for end in ends.tolist():
            codes.append(_encoded(low[begin:end], high[begin:end]))
            begin = end
        return codes

    def decode(self, codes: Sequence[bytes],
               index: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """The values `[B, m]`, int64, of B codes; and whether each may be a code of such values,
        `[B]`, bool.

        Some strings pass although no encoder wrote them. Every string costs the work of m symbols;
        one with an escape of more than 30 bits is given up.
        """
        index = np.asarray(index)
        values, whole = np.zeros(index.shape, np.int64), np.zeros(len(index), bool)
        words = np.frombuffer(b"".join(code + bytes(len(code) % 2) for code in codes), ">u2")
        words, lists, begin = words.tolist(), self._lists, 0
        for row, (code, tables) in enumerate(zip(codes, index.tolist())):
            end = begin + (len(code) + 1) // 2
            found = _decoded(words[begin:end], [lists[table] for table in tables])
            if found is not None:
                values[row], whole[row] = found, True
            begin = end
        return values, whole


def outside_distance(values: np.ndarray, escape: np.ndarray) -> np.ndarray:
    """The distance of values from [0, escape), from 1 on, for an escape code."""
    return np.where(values < 0, -values, values - escape + 1)


def _num_bits(values):
    """Binary digits of positive integers below 2^53."""
    return np.frexp(values.astype(np.float64))[1].astype(np.int64)


def _encoded(low, high):
    """The code of intervals: the shortest number in the last one."""
    words, base, size = [], 0, 2**32
    for lower, upper in zip(low, high):
        start = size * lower >> 16
        size = (size * upper >> 16) - start
        base += start
        if size <= _ONE:
            words.append(base >> 16)  # of 17 bits if it carries
            base = (base & _LOW) << 16
            size <<= 16
    # The words and the last 32 bits, with all carries.
    digits = np.array(words, np.int64)
    number = base + (int.from_bytes((digits & _LOW).astype(">u2").tobytes(), "big") << 32)
    number += int.from_bytes((digits >> 16).astype(">u2").tobytes(), "big") << 48
    base, length = number & 0xFFFFFFFF, 2 * len(words)
    number >>= 32
    if base + size > 2**32:  # the interval holds the next word, so smaller digits are left out
        return (number + 1).to_bytes(length, "big").rstrip(b"\0")
    code = number.to_bytes(length, "big")
    if not base:
        return code
    rounded = -(-base >> 24)
    if rounded << 24 < base + size:
        return code + bytes([rounded])
    return code + (-(-base >> 16)).to_bytes(2, "big").rstrip(b"\0")


def _decoded(words, tables):
    """Values of a code's words by the table of each; None if it is not a code."""
    rest = iter(words)
    last, word = next(rest, 0), next(rest, 0)
    size, place, values = 2**32, last << 16 | word, []
    put = values.append
    for table in tables:
        symbol = bisect_right(table, (place << 16 | _LOW) // size)
        upper = table[symbol]
        start = size * table[symbol - 1] >> 16
        size = (size * upper >> 16) - start
        place -= start
        if size <= _ONE:
            last, word = word, next(rest, 0)
            size <<= 16
            place = place << 16 | word
        if upper != _ONE:
            put(symbol - 1)
            continue
        # An escape: n zeros, n + 1 digits of the distance, the sign.
        zeros, said, wanted = 0, 0, 0
        while wanted or not said:
            half = size >> 1
            if place < half:
                size, digit = half, 0
            else:
                size, place, digit = size - half, place - half, 1
            if size <= _ONE:
                last, word = word, next(rest, 0)
                size <<= 16
                place = place << 16 | word
            if said:
                said, wanted = said << 1 | digit, wanted - 1
            elif digit:
                said, wanted = 1, zeros + 1
            elif (zeros := zeros + 1) == ESCAPE_BITS:
                return None
        put(-(said >> 1) if said & 1 else (said >> 1) + symbol - 2)
    # The read part ends where the encoder would end: see _encoded.
    if next(rest, None) is not None:
        return None
    value = last << 16 | word
    base = (value - place) % 2**32
    if not base or base + size > 2**32:
        return None if value else values
    rounded = -(-base >> 24) << 24
    if rounded >= base + size:
        rounded = -(-base >> 16) << 16
    return values if rounded == value else None
