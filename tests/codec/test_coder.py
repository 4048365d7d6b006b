"""The range coder against tensorflow-compression's: what that wrote, and what it writes where it is
installed. Any bytes end in values or in a refusal.
"""
import time

import numpy as np
import pytest

from tests.messages import refuses
from tfisovae.codec import coder
from tfisovae.codec.coder import ESCAPE_BITS, RangeCoder

ONE = 2**16
# Of one value, of two, of a likely one among four, of nine alike.
TABLES = ([0, 1, ONE], [0, ONE // 2, ONE - 1, ONE], [0, 1, ONE - 3, ONE - 2, ONE - 1, ONE],
          [*range(0, ONE, ONE // 9 - 1)][:10] + [ONE])
FAR = 2**ESCAPE_BITS - 1


def drawn(tables, rng, rows, columns, outside):
    """Tables `[B, m]`, and values that they make likely. A share of the values lies outside."""
    index = rng.integers(0, len(tables), [rows, columns])
    values = np.zeros([rows, columns], np.int64)
    for number, table in enumerate(tables):
        count = int((index == number).sum())
        values[index == number] = np.searchsorted(table, rng.integers(0, ONE, count), "right") - 1
    escape = np.array([len(table) - 2 for table in tables])[index]
    far = (2.0**rng.uniform(0, ESCAPE_BITS, values.shape)).astype(np.int64)
    far = np.where(rng.random(values.shape) < 0.5, -far, far + escape - 1)
    return index, np.where(rng.random(values.shape) < outside, far, values)


def random_table(rng):
    weights = rng.random(rng.choice([2, 3, 40, 300])) ** rng.choice([1, 30])
    counts = np.floor(weights / weights.sum() * (ONE - len(weights))).astype(int) + 1
    counts[rng.integers(len(counts))] += ONE - counts.sum()
    return np.concatenate([[0], np.cumsum(counts)])


# Written by tensorflow-compression 2.14.1: rows of (values, tables) and the code.
KNOWN = [
    ([0], [0], "0000"),
    ([0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1], ""),
    ([1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], "fc"),
    ([1, 0, 2, 3, 1], [2, 1, 2, 2, 1], "7ffe000341"),
    ([8, 0, 5, 5, 5, 5, 5, 5], [3, 3, 3, 3, 3, 3, 3, 3], "e5794b"),
    ([2, -1, 3, 4, -5], [1, 1, 1, 2, 2], "ffffbffffffff4ffffbfffcb"),
    ([FAR, -FAR], [0, 3], "00010007fff7ffefff10000007fffffff0"),
    ([0] * 40, [0] * 40, "00" * 80),
    ([1, 1, 1, 1], [2, 2, 2, 2], "01"),
]


@pytest.mark.parametrize("values, index, code", KNOWN)
def test_known_codes(values, index, code):
    found, = RangeCoder(TABLES).encode([values], [index])
    assert found.hex() == code
    read, whole = RangeCoder(TABLES).decode([bytes.fromhex(code)], [index])
    assert whole.all() and read.tolist() == [values]


def native(tables, index, values):
    """The codes that tensorflow-compression writes."""
    tfc = pytest.importorskip("tensorflow_compression")
    cdf = np.concatenate([[-16, *table] for table in tables]).astype(np.int32)
    handle = tfc.create_range_encoder([len(values)], cdf)
    handle = tfc.entropy_encode_index(handle, index.astype(np.int32), values.astype(np.int32))
    return tfc.entropy_encode_finalize(handle).numpy().tolist()


@pytest.mark.parametrize("outside", [0.0, 0.02, 0.5])
def test_codes_are_those_of_tensorflow_compression(outside):
    """Random tables and values, in strings of 1 to 200; and carries over many words, which the
    likeliest and the unlikeliest values make.
    """
    rng = np.random.default_rng(0)
    for columns in (1, 2, 33, 200):
        tables = [random_table(rng) for _ in range(5)] + list(TABLES)
        index, values = drawn(tables, rng, 12, columns, outside)
        escape = np.array([len(table) - 2 for table in tables])[index]
        values[:3], values[3:6] = 0, escape[3:6] - 1
        assert RangeCoder(tables).encode(values, index) == native(tables, index, values)


def test_values_come_back():
    rng = np.random.default_rng(1)
    for outside in (0.0, 0.1, 1.0):
        index, values = drawn(TABLES, rng, 20, 50, outside)
        made = RangeCoder(TABLES)
        read, whole = made.decode(made.encode(values, index), index)
        assert whole.all()
        np.testing.assert_array_equal(read, values)


def test_any_bytes_end():
    """Each string of up to two bytes, and longer ones of all kinds, within the work of their
    values. What passes is what the encoder writes, up to zeros at its end.
    """
    rng, made = np.random.default_rng(2), RangeCoder(TABLES)
    strings = [b"", *(bytes([a]) for a in range(256)), *(rng.bytes(2) for _ in range(500)),
               *(byte * count for byte in (b"\xff", b"\x00", b"\xaa") for count in (2, 9, 10_000)),
               *(rng.bytes(count) for count in range(3, 60))]
    index = rng.integers(0, len(TABLES), [len(strings), 3])
    begin = time.process_time()
    values, whole = made.decode(strings, index)
    assert time.process_time() - begin < 2  # it takes .02 s
    assert 0 < whole.sum() < len(strings) and np.abs(values).max() < 2**(ESCAPE_BITS + 1)
    again = made.encode(values[whole], index[whole])
    assert [code.rstrip(b"\0") for code in again] == [
        string.rstrip(b"\0") for string, passed in zip(strings, whole) if passed
    ]


def test_an_escape_without_an_end_is_given_up():
    """Of the table's last symbol and zeros: [0xff, 0xff] never came back from native code."""
    made = RangeCoder([[0, ONE - 1, ONE]])
    values, whole = made.decode([b"\xff\xff", b"\xff\xff" + bytes(100)], [[0], [0]])
    assert not whole.any() and not values.any()


def test_how_far_a_value_may_lie_outside():
    made = RangeCoder(TABLES)
    values = np.array([[-FAR, FAR], [-1, made.escapes[3] - 1 + FAR]])
    index = np.array([[3, 1], [0, 3]])
    values[0, 1] = made.escapes[1] - 1 + FAR
    read, whole = made.decode(made.encode(values, index), index)
    assert whole.all() and (read == values).all()
    for value in (-FAR - 1, made.escapes[0] + FAR):
        with refuses(ValueError, "values"):
            made.encode([[value]], [[0]])


@pytest.mark.parametrize("table", [[0], [1, ONE], [0, ONE - 1], [0, 5, 5, ONE], [0, 7, 6, ONE]])
def test_what_is_no_table(table):
    with refuses(ValueError, "tables"):
        RangeCoder([[0, ONE], table])


def test_the_length_is_that_of_the_probabilities():
    """-log2 p for each value, and 2 floor(log2 d) + 2 for a distance d outside."""
    rng = np.random.default_rng(3)
    index, values = drawn(TABLES, rng, 1, 5_000, 0.05)
    made = RangeCoder(TABLES)
    escape = made.escapes[index]
    outside = (values < 0) | (values >= escape)
    ideal = sum(16 - np.log2(np.diff(TABLES[table])[value])
                for table, value in zip(index[0], np.where(outside, escape, values)[0]))
    distance = coder.outside_distance(values, escape)[outside]
    ideal += (2 * np.floor(np.log2(distance)) + 2).sum()
    # The end takes up to four bytes. Roundings of the interval go both ways.
    assert abs(8 * len(made.encode(values, index)[0]) - ideal) < 32
