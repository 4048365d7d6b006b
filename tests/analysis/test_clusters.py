"""The test of posterior means for clusters: exact distances, an oracle, and rates."""
import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from tfisovae.analysis.clusters import LEAST, distance, has_clusters


def test_one_mode_is_at_the_distance_0():
    assert distance([1, 2, 2, 7, 3, 3, 0]) == distance([5]) == distance([0, 0]) == 0
    assert distance(np.arange(9)) == distance(np.arange(9)[::-1]) == 0


@pytest.mark.parametrize("bins", [3, 40])
def test_of_two_points_it_is_exact(bins):
    """Half of the examples at each end, or a share p at one: the nearest histogram spreads the
    smaller group over the bins up to the other.
    """
    counts = np.zeros(bins)
    counts[0], counts[-1] = 30, 70
    assert distance(counts) == pytest.approx(0.3 * np.log(bins - 1))
    assert distance(counts[::-1]) == pytest.approx(0.3 * np.log(bins - 1))
    counts[0] = counts[-1] = 50
    assert distance(counts) == pytest.approx(0.5 * np.log(bins - 1))


def test_no_histogram_with_one_mode_is_nearer():
    """The nearest by SciPy's constrained minimization of the divergence, over every mode."""
    counts = np.array([3.0, 9, 2, 6, 8, 1, 4])
    p = counts / counts.sum()
    best = np.inf
    for mode in range(7):
        signs = np.where(np.arange(6) < mode, 1.0, -1.0)
        found = scipy.optimize.minimize(
            lambda q: np.sum(p * np.log(p / q)), np.full(7, 1 / 7), bounds=[(1e-6, 1)] * 7,
            constraints=[{"type": "eq", "fun": lambda q: q.sum() - 1},
                         {"type": "ineq", "fun": lambda q, signs=signs: signs * np.diff(q)}])
        best = min(best, found.fun)
    assert distance(counts) == pytest.approx(best, abs=1e-5)


@pytest.mark.parametrize("number", [2, 3, 4, 10])
@pytest.mark.parametrize("size", [100, 10_000])
def test_equal_points_are_named(number, size):
    means = np.random.default_rng(0).integers(0, number, size)
    assert has_clusters(np.histogram(means, 40)[0])


def test_a_small_dip_in_many_examples_does_not_matter():
    """A valley of 20 % in the middle: significant, and not named."""
    counts = np.round(1e5 * scipy.stats.norm.pdf(np.linspace(-3, 3, 40)))
    counts[18:22] *= 0.8
    assert 0 < distance(counts) < LEAST and not has_clusters(counts)
    counts[18:22] *= 0.25
    assert has_clusters(counts)


@pytest.mark.parametrize("draw", [
    lambda rng, n: rng.uniform(size=n), lambda rng, n: rng.standard_normal(n),
    lambda rng, n: rng.standard_t(3, n), lambda rng, n: rng.exponential(size=n)],
    ids=["uniform", "Gaussian", "t3", "exponential"])
def test_one_mode_gives_no_alarm(draw):
    """500 data sets: at the level of .001, 4 alarms or more have a probability below .002."""
    rng, alarms = np.random.default_rng(0), 0
    for number in range(500):
        alarms += has_clusters(np.histogram(draw(rng, (100, 1_000)[number % 2]), 40)[0])
    assert alarms < 4
