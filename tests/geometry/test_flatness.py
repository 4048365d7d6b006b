"""Flatness: what of log sigma_j its own mu_j leaves unexplained, on data where the answer is known.
"""
import numpy as np
import pytest

from tests.messages import refuses
from tfisovae.geometry.flatness import flatness


def bent(z):
    """A log sigma that varies as those of Mix do, by a factor of 3 and more over the data, and
    bends everywhere.
    """
    return -2 + 0.5 * np.sin(z) + 0.1 * z**2


def means(rng, count):
    return np.stack([
        rng.standard_normal(count),
        rng.standard_exponential(count) - 1,
        rng.uniform(-1.7, 1.7, count)
    ], 1)


@pytest.mark.parametrize("count", [500, 5000])
def test_a_function_of_z_alone_is_flat(count):
    """0 within three errors, for three shapes of mu, where the whole deviation is .4 and more."""
    z = means(np.random.default_rng(0), count)
    found = flatness(z, np.exp(bent(z)))
    assert (found.total > 0.3).all()
    assert (found.unexplained <= 3 * found.standard_error).all()
    assert (found.unexplained < (0.02 if count == 500 else 0.004)).all()


@pytest.mark.parametrize("deviation", [0.02, 0.1])
@pytest.mark.parametrize("count", [400, 4000])
def test_the_known_deviation_is_found_with_an_honest_error(deviation, count):
    """Over 200 data sets: no bias beyond a fifth of the error, and two errors cover it as often as
    for a Gaussian, .954.
    """
    rng, found = np.random.default_rng(1), []
    for _ in range(200):
        z = rng.standard_normal([count, 1])
        result = flatness(z, np.exp(0.5 * np.sin(z) + deviation * rng.standard_normal([count, 1])))
        found.append([result.unexplained[0], result.standard_error[0]])
    value, error = np.array(found).T
    assert abs(value.mean() - deviation) < 0.2 * error.mean() + 3 * value.std() / np.sqrt(200)
    assert 0.9 <= np.mean(np.abs(value - deviation) < 2 * error) <= 1
    assert error.mean() < 2 * value.std()


def test_the_deviation_may_depend_on_z_and_have_heavy_tails():
    """sqrt(E[Var]): a deviation of .1 |z| has the root mean square .1; Laplace noise as Gaussian
    noise.
    """
    rng = np.random.default_rng(2)
    z = rng.standard_normal([20_000, 2])
    noise = np.stack(
        [0.1 * z[:, 0] * rng.standard_normal(20_000), 0.1 * rng.laplace(0, np.sqrt(0.5), 20_000)],
        1)
    found = flatness(z, np.exp(bent(z) + noise))
    np.testing.assert_allclose(found.unexplained, 0.1, rtol=0.04)
    assert (np.abs(found.unexplained - 0.1) < 3 * found.standard_error).all()


def test_order_units_and_shapes_do_not_matter():
    rng = np.random.default_rng(3)
    z, noise = rng.standard_normal([1000, 2]), 0.05 * rng.standard_normal([1000, 2])
    scale, order = np.exp(bent(z) + noise), rng.permutation(1000)
    found, shuffled, other = flatness(z, scale), flatness(z[order], scale[order]), flatness(
        7 * z + 3, 100 * scale)
    for name in ("unexplained", "standard_error", "total"):
        np.testing.assert_allclose(getattr(shuffled, name), getattr(found, name), rtol=1e-9)
        np.testing.assert_allclose(getattr(other, name), getattr(found, name), rtol=1e-9)
    np.testing.assert_allclose(
        flatness(z[:, 1], scale[:, 1]).unexplained, found.unexplained[1:], rtol=1e-12)


def test_collapsed_dimensions_are_flat():
    """mu 0 and sigma 1 throughout: 0 of 0."""
    found = flatness(np.zeros([300, 1]), np.ones([300, 1]))
    assert found.unexplained == 0 and found.standard_error == 0 and found.total == 0


def test_what_cannot_be_measured_is_refused():
    good = np.ones([300, 2])
    with refuses(ValueError):
        flatness(good[:100], good[:100])
    with refuses(ValueError):
        flatness(good, good[:, :1])
    for mean, scale in ((np.nan * good, good), (good, -good), (good, np.inf * good)):
        with refuses(ValueError):
            flatness(mean, scale)
