"""Estimates of large Gram matrices: closed forms, and the coverage of stated errors over repeated
seeds.
"""
import numpy as np
import pytest
from scipy import stats

from tests.messages import refuses
from tfisovae.geometry.estimated import (
    Moments,
    Probes,
    Strata,
    extremes,
    lanczos_error,
    root_mean_square,
)

REPEATED = 500
# Of 500 intervals of 95 %, fewer than 460 cover with a probability of 1e-3.
LEAST = 0.92


def gram(n, seed=0, off=0.1):
    """A symmetric matrix with norms from .5 to 1.5 and random entries next to the diagonal."""
    rng = np.random.default_rng(seed)
    entries = off * rng.standard_normal([n, n])
    entries = np.triu(entries, 1)
    return entries + entries.T + np.diag(np.linspace(0.5, 1.5, n))


def probed(matrices, rng, num_probes=8):
    """v_j (Gamma v)_j, `[B, K, n]`, of matrices `[B, n, n]`."""
    v = rng.choice([-1.0, 1.0], [len(matrices), num_probes, matrices.shape[-1]])
    return v * np.einsum("bjk,bpk->bpj", matrices, v)


def covers(estimate, error, truth, freedom):
    return np.abs(estimate - truth) <= stats.t.ppf(0.975, freedom) * error


def test_probes_are_unbiased_and_their_errors_cover():
    """Examples whose Gamma differ by a factor: trace, off-diagonal mass, each norm, over seeds."""
    base, count = gram(16), 30
    rng = np.random.default_rng(1)
    norms, mass = np.diag(base), np.sum((base - np.diag(np.diag(base)))**2)
    found, inside = [], []
    for _ in range(REPEATED):
        factors = 1 + 0.2 * rng.uniform(-1, 1, count)
        probes = Probes()
        probes.add(probed(factors[:, None, None] * base, rng))
        mean_square = 1 + 0.2**2 / 3
        trace, masses, each = probes.trace, probes.mass, probes.norm
        found.append([trace.value / norms.sum(), masses.value / mass / mean_square])
        inside.append([
            covers(trace.value, trace.standard_error, norms.sum(), count - 1),
            covers(masses.value, masses.standard_error, mass * mean_square, count - 1),
            np.mean(covers(each.mean, each.standard_error, norms, count - 1))])
    found = np.array(found)
    error = found.std(0) / np.sqrt(REPEATED)
    assert (np.abs(found.mean(0) - 1) < 4 * error).all()  # unbiased
    assert (np.mean(inside, 0) > LEAST).all(), np.mean(inside, 0)


def test_the_error_of_the_probes_alone_is_that_of_repeated_probes():
    """One example: the stated errors are the deviations over seeds, to 10 % (500 seeds: 3 %; the
    jackknife is a little too large).
    """
    base, rng = gram(40), np.random.default_rng(2)
    found = []
    for _ in range(REPEATED):
        probes = Probes()
        probes.add(probed(base[None], rng, 16))
        assert np.isnan(probes.trace.standard_error)  # of one example
        found.append([probes.trace.value, probes.mass.value, probes.trace.part, probes.mass.part])
    found = np.array(found)
    stated = np.sqrt(np.mean(found[:, 2:]**2, 0))
    np.testing.assert_allclose(stated, found[:, :2].std(0), rtol=0.1)
    # The error of the trace comes from what is next to the diagonal alone: Var = 2 mass / K.
    mass = np.sum((base - np.diag(np.diag(base)))**2)
    assert stated[0] == pytest.approx(np.sqrt(2 * mass / 16), rel=0.1)


def test_a_small_mass_next_to_large_norms_is_no_difference_of_large_numbers():
    """Norms of 1e4, entries of 1e-4 next to them: single precision has 1e-3 left of 1e4."""
    n = 50
    base = 1e-4 * (np.ones([n, n]) - np.eye(n)) + np.diag(1e4 * np.linspace(0.9, 1.1, n))
    probes = Probes()
    probes.add(probed(np.broadcast_to(base, [200, n, n]), np.random.default_rng(3)))
    mass = n * (n - 1) * 1e-8
    assert probes.mass.value == pytest.approx(mass, abs=4 * probes.mass.standard_error)
    assert probes.mass.standard_error < 0.1 * mass


def test_the_noise_of_probes_is_no_deviation_over_the_data():
    """Norms that are equal at all examples have no deviation; those that differ have theirs."""
    rng, n = np.random.default_rng(4), 30
    factors = np.where(np.arange(n) < n // 2, 0.0, 0.3)
    scale = 1 + factors * rng.standard_normal([3000, 1])
    matrices = gram(n)[None] + np.eye(n) * (scale - 1)[:, None, :]
    probes = Probes()
    probes.add(probed(matrices, rng, 4))
    noise = np.sqrt(np.mean((gram(n) - np.diag(np.diag(gram(n))))**2) * n / 4)
    assert noise > 0.2  # what the deviation would be with the noise in it
    np.testing.assert_allclose(probes.norm.std[n // 2:], 0.3, rtol=0.1)
    assert probes.norm.std[:n // 2].max() < 0.1


def test_moments_of_known_numbers_are_those_of_numpy():
    values = np.random.default_rng(5).standard_normal([50, 3])
    moments = Moments()
    moments.add(values[:20], np.zeros([20, 3]))
    moments.add(values[20:], np.zeros([30, 3]))
    np.testing.assert_allclose(moments.mean, values.mean(0))
    np.testing.assert_allclose(moments.std, values.std(0))
    np.testing.assert_allclose(moments.standard_error, values.std(0, ddof=1) / np.sqrt(50))


def test_a_stratified_sample_covers_the_mean_of_all_dimensions():
    """Norms that follow the importance, with noise, over 300 dimensions of which 32 are drawn, and
    a factor by example.
    """
    rng, n = np.random.default_rng(6), 300
    importance = rng.permutation(np.exp(np.linspace(0, 5, n)))
    norms = 1 + 0.1 * np.log(importance) + 0.1 * rng.standard_normal(n)
    found, inside, simple = [], [], []
    for seed in range(REPEATED):
        strata = Strata.draw(importance, np.arange(n), 32, seed)
        factors = 1 + 0.02 * rng.standard_normal([40, 1])
        estimate = strata.mean(factors * norms[strata.dimensions])
        found.append(estimate.value)
        inside.append(covers(estimate.value, estimate.standard_error, norms.mean(), 16))
        simple.append(norms[strata.dimensions].std() / np.sqrt(32))
        assert strata.weights.sum() == pytest.approx(1) and len(strata.dimensions) == 32
    assert abs(np.mean(found) - norms.mean()) < 4 * np.std(found) / np.sqrt(REPEATED)
    assert np.mean(inside) > LEAST
    assert np.std(found) < 0.75 * np.mean(simple)  # strata are worth having


def test_dimensions_that_are_asked_for_are_exact():
    importance, norms = np.arange(10.0), np.arange(10.0)
    whole = Strata.draw(importance, np.arange(10), 32)
    estimate = whole.mean(np.tile(norms, [5, 1]))
    assert (estimate.value, estimate.standard_error, estimate.part) == (4.5, 0.0, 0.0)
    assert whole.spread(np.tile(norms, [5, 1])) == pytest.approx(norms.std())
    # 9 was asked for and counts as itself; 0 is not one to average over.
    some = Strata.draw(importance, np.arange(1, 10), 2, asked=[0, 9])
    assert {0, 9} < set(some.dimensions.tolist()) and len(some.dimensions) == 4
    assert dict(zip(some.dimensions, some.weights))[0] == 0.0
    assert dict(zip(some.dimensions, some.weights))[9] == pytest.approx(1 / 9)
    assert some.weights.sum() == pytest.approx(1)
    assert Strata.draw(importance, [], 4).dimensions.shape == (0, )


def test_the_root_mean_square_of_pairs_covers():
    """Cosines of 200 random directions in 40 dimensions: root mean square 1 / sqrt(40)."""
    rng, inside = np.random.default_rng(7), []
    directions = rng.standard_normal([200, 40])
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    squares = (directions @ directions.T)**2
    truth = np.sqrt((squares.sum() - 200) / (200 * 199))
    for _ in range(REPEATED):
        chosen = rng.choice(200, 24, replace=False)
        found = root_mean_square(squares[np.ix_(chosen, chosen)])
        inside.append(covers(found.value, found.standard_error, truth, 23))
    assert np.mean(inside) > LEAST
    assert np.isnan(root_mean_square(np.ones([1, 1])).value)


def tridiagonal(values, steps, rng):
    """Lanczos' method in double precision for a diagonal matrix."""
    v, basis = rng.standard_normal(len(values)), []
    diagonal, beside = [], []
    v /= np.linalg.norm(v)
    for _ in range(steps):
        basis.append(v)
        left = values * v
        diagonal.append(v @ left)
        for _ in range(2):
            left = left - np.array(basis).T @ (np.array(basis) @ left)
        beside.append(np.linalg.norm(left))
        v = left / beside[-1]
    return diagonal, beside[:-1]


def test_eigenvalues_lie_between_the_bounds():
    """A spectrum without gaps is the hardest. Ritz values never leave it; bounds from outside with
    a confidence of 60 % fail in no more than 40 %.
    """
    rng, n, steps = np.random.default_rng(8), 400, 8
    values = np.sort(2 * rng.beta(2, 2, n))
    runs = [tridiagonal(values, steps, rng) for _ in range(200)]
    diagonal, beside = (np.array(part) for part in zip(*runs))
    sure = extremes(diagonal, beside, n)
    assert (sure.inside[:, 0] >= values[0]).all() and (sure.inside[:, 1] <= values[-1]).all()
    assert (sure.outside[:, 0] <= values[0]).all() and (sure.outside[:, 1] >= values[-1]).all()
    one = [extremes(diagonal[[i]], beside[[i]], n, 0.6).outside[0] for i in range(200)]
    failed = [low > values[0] or high < values[-1] for low, high in one]
    assert np.mean(failed) <= 0.4


def test_the_bound_for_random_starts():
    """30 steps at n = 4,096: 2.5 % of the spread with 99 %. As many steps as dimensions: exact."""
    assert lanczos_error(4096, 30, 0.01) == pytest.approx(0.025, abs=5e-4)
    assert lanczos_error(20, 20, 0.01) == 0.0
    # Two steps bound nothing from outside, but there is still a bound from inside.
    found = extremes([[1.0, 1.0]], [[0.5]], 1000)
    np.testing.assert_allclose(found.inside, [[0.5, 1.5]])
    assert found.outside.tolist() == [[0.0, np.inf]]
    assert np.isnan(extremes([[np.nan, 1.0]], [[0.5]], 1000).inside).all()


def test_too_few_probes_are_refused():
    with refuses(ValueError, "num_probes"):
        Probes().add(np.ones([4, 2, 3]))
