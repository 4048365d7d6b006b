"""What coding is made of: monotone maps, the quantiser, integer tables, and the coder: closed
forms, and their limits.
"""
import copy
import pickle

import numpy as np
import pytest
import scipy.stats

from tests.messages import refuses
from tfisovae.codec import entropy
from tfisovae.codec.entropy import Tables
from tfisovae.codec.quantizer import MAX_SYMBOL, Quantizer
from tfisovae.geometry import monotone
from tfisovae.geometry.monotone import Monotone

RNG = np.random.default_rng(0)
LINE = Monotone([0, 1], [0, 1], [1, 1])
BENT = Monotone([-1, 0, 2], [-3, 0, 1], [3, 0.5])
NORMAL = scipy.stats.norm


def test_maps_are_inverted_and_composed_exactly():
    x = np.linspace(-9, 9, 1001)
    np.testing.assert_allclose(BENT.inverse(BENT(x)), x, atol=1e-12)
    assert [float(BENT(value)) for value in (-2, -1, 1, 4)] == [-6, -3, 0.5, 2]
    other = Monotone([-2, 0.3], [0.1, 4], [0.2, 7])
    for outer, inner in ((BENT, other), (other, BENT), (BENT, BENT)):
        np.testing.assert_allclose(outer.after(inner)(x), outer(inner(x)), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(outer.after(inner).inverse(outer(inner(x))), x, atol=1e-9)


@pytest.mark.parametrize("mean, deviation", [(0, 1), (0.5, 0.7), (-3, 2)])
def test_the_map_from_a_normal_distribution(mean, deviation):
    """Of Gaussian values it is a straight line, and the KL has a closed form; standard errors at N
    = 100,000 are .005 and .0025.
    """
    values = mean + deviation * RNG.standard_normal(100_000)
    w = np.linspace(-4, 4, 81)  # a tenth of the points lie beyond the last quantile
    np.testing.assert_allclose(
        monotone.from_normal(values)(w), mean + deviation * w, atol=0.12 * deviation)
    closed = (mean**2 + deviation**2 - 1) / 2 - np.log(deviation)
    assert monotone.divergence_from_normal(values) == pytest.approx(
        closed, abs=0.012 * max(1, abs(mean), deviation))


def test_what_bins_overfit_is_taken_off_the_divergence():
    """Of N(0, 1) itself, 2,000 values at a time, .0009 nats are left on average; ten bins overfit
    .00225 more than that.
    """
    found = [monotone.divergence_from_normal(RNG.standard_normal(2_000)) for _ in range(300)]
    assert abs(np.mean(found)) < 0.0015 and np.std(found) < 0.004


def test_the_map_of_what_is_not_gaussian():
    """Uniform values: KL = 1/2 log(2 pi) + 1/2 E[z^2] - log(length). Two clusters, and values that
    repeat, still have a map.
    """
    length = 3.0
    values = (RNG.random(200_000) - 0.5) * length
    closed = 0.5 * np.log(2 * np.pi) + length**2 / 24 - np.log(length)
    assert monotone.divergence_from_normal(values) == pytest.approx(closed, abs=0.005)
    for values in (np.concatenate([RNG.normal(-5, 0.1, 500),
                                   RNG.normal(5, 0.1, 500)]), RNG.integers(0, 3,
                                                                           1000).astype(float)):
        found = monotone.from_normal(values)
        assert (np.diff(found.y) > 0).all() and (found.slopes > 0).all()
        w = np.linspace(-5, 5, 501)
        np.testing.assert_allclose(found.inverse(found(w)), w, atol=1e-6)


def test_the_dither_is_uniform_whatever_the_place():
    """16-bit integers: uniform by place and by variable, uncorrelated with neighbours, and the same
    for ever.
    """
    quantizer = Quantizer(1.0, 8, True)
    drawn = quantizer.dither(np.arange(50_000))
    u = quantizer.offsets(drawn)
    assert np.abs(u).max() < 0.5
    for column in u.T:
        assert scipy.stats.kstest(column, scipy.stats.uniform(-0.5, 1).cdf).pvalue > 1e-4
    for a, b in ((u[1:], u[:-1]), (u[:, 1:], u[:, :-1])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / np.sqrt(a.size)
    # By place alone.
    np.testing.assert_array_equal(quantizer.dither([49_999, 7]), drawn[[49_999, 7]])
    np.testing.assert_array_equal(Quantizer(1.0, 3, True).dither([7]), drawn[[7], :3])
    assert drawn[0].tolist() == KNOWN
    assert not Quantizer(1.0, 3, False).dither([7]).any() and not Quantizer(1.0, 3, False).offsets(
        drawn[:, :3]).any()


# Written down when the format was made: files are decoded by these for as long as it is version 1.
KNOWN = [37324, 32024, 24740, 8298, 22608, 40717, 35771, 17581]


@pytest.mark.parametrize("dithered, name", [(True, "universal"), (False, "rounding")])
def test_the_error_of_quantisation(dithered, name):
    """Universal: uniform and independent of y, whatever y is, even a constant. Rounding: a function
    of y, within half a step.
    """
    quantizer = Quantizer(0.25, 4, dithered)
    count = 40_000
    y = np.stack([
        RNG.normal(0, 1, count),
        RNG.exponential(0.2, count),
        np.full(count, 0.1),
        RNG.integers(0, 2, count) * 0.25
    ], 1)
    dither = quantizer.dither(np.arange(len(y)))
    symbols = quantizer.quantize(y, dither)
    error = (quantizer.dequantize(symbols, dither) - y) / quantizer.step
    assert symbols.dtype == np.int32 and np.abs(error).max() <= 0.5 + 1e-9
    if not dithered:
        np.testing.assert_array_equal(symbols, np.rint(y / 0.25))
        return
    for j in range(4):
        assert scipy.stats.kstest(error[:, j], scipy.stats.uniform(-0.5, 1).cdf).pvalue > 1e-4
        assert error[:, j].var() == pytest.approx(1 / 12, rel=0.03)
        if y[:, j].std() > 0:
            assert abs(np.corrcoef(error[:, j], y[:, j])[0, 1]) < 4 / np.sqrt(len(y))
            assert abs(np.corrcoef(error[:, j] ** 2, y[:, j] ** 2)[0, 1]) < 4 / np.sqrt(len(y))


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_what_cannot_be_quantised(value):
    with refuses(ValueError):
        Quantizer(1.0, 2, True).quantize([[0, 0], [0, 0], [0, value]], np.zeros([3, 2], np.uint16),
                                         first=10)


@pytest.fixture(scope="module")
def made():
    """Tables of two numbers, a line and a bend, at steps of some breadth; by dither or not."""
    return {dithered: Tables.of([LINE, BENT], [0.3, 0.2], dithered) for dithered in (True, False)}


@pytest.mark.parametrize("dithered", [True, False])
def test_tables_hold_the_probabilities_of_cells(made, dithered):
    """At the levels of the dither: -log2 of the cell's mass under N(0, 1) seen through the map, to
    the precision of 16 bits.
    """
    tables = made[dithered]
    levels = np.arange(1, 16) / 16 if dithered else np.array([0.5])
    symbols = np.arange(-6, 7)
    for level in levels:
        dither = np.full([len(symbols), 2], int(level * 2**16), np.uint16)
        u = level - 0.5
        bits = tables.bits(np.stack([symbols, symbols], 1), dither)
        for j, (mapped, step) in enumerate(((LINE, 0.3), (BENT, 0.2))):
            edges = mapped.inverse(step * (symbols[:, None] + u + np.array([-0.5, 0.5])))
            mass = NORMAL.cdf(edges[:, 1]) - NORMAL.cdf(edges[:, 0])
            np.testing.assert_allclose(2**-bits[:, j], mass, atol=1.5 * 2**-16)
    assert tables.levels == len(levels)


def test_every_table_is_a_distribution(made):
    """The symbols that it holds and its escape code have a mass of 1, and each has some."""
    for tables in made.values():
        starts = np.flatnonzero(tables.cdf < 0)
        for start, end in zip(starts, [*starts[1:], len(tables.cdf)]):
            assert tables.cdf[start] == -16 and tables.cdf[start
                                                           + 1] == 0 and tables.cdf[end
                                                                                    - 1] == 2**16
            assert (np.diff(tables.cdf[start + 1:end]) > 0).all()


@pytest.mark.parametrize("dithered", [True, False])
@pytest.mark.parametrize("together", [True, False])
def test_there_and_back_with_every_escape(made, dithered, together):
    """20,000 symbols, and those far outside of every table, up to the largest, without loss."""
    tables, quantizer = made[dithered], Quantizer(1.0, 2, dithered)
    far = [0, 1, -1, 30, -30, 1000, -12345, MAX_SYMBOL, -MAX_SYMBOL]
    escapes = np.tile(np.array(np.meshgrid(far, far)).reshape(2, -1).T, (30, 1))
    drawn = np.random.default_rng(0).normal(0, 5, [20_000, 2])
    symbols = np.concatenate([np.rint(drawn), escapes]).astype(int)
    dither = quantizer.dither(np.arange(len(symbols)))
    codes = tables.encode(symbols, dither, together)
    assert len(codes) == (1 if together else len(symbols))
    np.testing.assert_array_equal(tables.decode(codes, dither, together), symbols)
    ideal = tables.bits(symbols, dither).sum(1)
    lengths = np.array([8 * len(code) for code in codes])
    if together:
        assert lengths[0] == pytest.approx(ideal.sum(), rel=5e-4)
    else:
        assert (lengths >= ideal - 8).all() and (lengths <= ideal + 20).all()


def test_the_bits_of_escapes_are_counted_exactly(made):
    """A thousand times the same symbol, beside the table's ends and far from them: the string is as
    long as was counted.
    """
    tables = made[False]
    dither = np.zeros([1000, 2], np.uint16)
    last = tables.offset + tables._escape
    for far in (0, 1, 2, 3, 7, 8, 1000, 2**20):
        for symbol in (last + far, tables.offset - 1 - far):
            symbols = np.tile(symbol, (1000, 1))
            assert len(tables.encode(symbols, dither, True)[0]) * 8 == pytest.approx(
                tables.bits(symbols, dither).sum(), abs=32)


def test_codes_that_are_none(made):
    quantizer = Quantizer(1.0, 2, True)
    dither = quantizer.dither(np.arange(4))
    with refuses(ValueError):
        codes = made[True].encode(np.zeros([4, 2], int), dither)
        made[True].decode([*codes[:2], b"more bytes than are read", codes[3]], dither)
    with refuses(ValueError):
        made[True].decode([b"\x00" * 400], dither, together=True)


@pytest.mark.parametrize("cdf, offset", [([], []), ([0, 1, 2], [0]), ([-16, 0, 2**15], [0]),
                                         ([-15, 0, 5, 2**16], [0]), ([-16, 0, 5, 2**16], [0, 1]),
                                         ([-16, 1, 5, 2**16], [0]), ([[-16, 0, 5, 2**16]], [0])])
def test_what_are_no_tables(cdf, offset):
    with refuses(ValueError):
        Tables(cdf, offset, [[0]])


def test_an_index_of_tables_that_are_not_there():
    with refuses(ValueError):
        Tables([-16, 0, 5, 2**16], [0], [[1]])


def test_narrow_steps_have_one_level_and_narrower_ones_are_refused():
    """Below 1/1000 of the range a cell is flat: no level is nearer than another. What 16 bits
    cannot hold says what to do.
    """
    both = Tables.of([LINE, LINE, LINE], [0.004, 1.0, 0.004], True)
    assert len(both.offset) == 2 + 15 and [len(set(column))
                                           for column in both.index.T] == [1, 15, 1]
    dither = np.full([1, 3], 2**15 + 2**12, np.uint16)  # u = 1/16
    edge = NORMAL.cdf(np.array([-7, 9]) / 16)
    expected = -np.log2([0.004 * NORMAL.pdf(0), edge[1] - edge[0], 0.004 * NORMAL.pdf(0)])
    np.testing.assert_allclose(both.bits([[0, 0, 0]], dither)[0], expected, atol=0.01)
    symbols = RNG.integers(-900, 900, [500, 3]) // [[1, 300, 1]]
    np.testing.assert_array_equal(
        both.decode(both.encode(symbols, np.tile(dither, (500, 1))), np.tile(dither, (500, 1))),
        symbols)
    with refuses(ValueError, "step_factor"):
        Tables.of([LINE], [1e-4], True)


def test_the_levels_of_the_dither_cost_next_to_nothing():
    """The dither is finer than its levels: the code length is longer than with a table for each by
    less than .0005 bits.
    """
    step = 2 * np.sqrt(3) * 0.3
    tables, quantizer = Tables.of([LINE], [step], True), Quantizer(step, 1, True)
    y = RNG.normal(0, np.sqrt(1 - 0.09), [200_000, 1])
    dither = quantizer.dither(np.arange(len(y)))
    symbols = quantizer.quantize(y, dither)
    y_hat = quantizer.dequantize(symbols, dither)
    exact = -np.log2(NORMAL.cdf(y_hat + step / 2) - NORMAL.cdf(y_hat - step / 2))
    assert 0 <= np.mean(tables.bits(symbols, dither) - exact) < 5e-4


def test_places_are_kept():
    code = entropy.Code(b"abc", 7)
    for same in (code, pickle.loads(pickle.dumps(code)), copy.deepcopy(code)):
        assert same == b"abc" and isinstance(same, bytes) and same.place == 7
