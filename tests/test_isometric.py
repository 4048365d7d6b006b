"""The isometric variable: closed forms, its inverse, and what it refuses."""
import numpy as np
import pytest
import scipy.stats

from tfisovae.isometric import IsometricVariable

Z = np.random.default_rng(0).standard_normal(50_000)


def test_constant_scale_is_a_straight_line():
    variable = IsometricVariable(Z, np.full(len(Z), 0.1), beta=0.02)
    z = np.array([-7.0, -1, 0, 2, 9])
    np.testing.assert_allclose(np.diff(variable.to_y(z)), np.sqrt(0.01) / 0.1 * np.diff(z), rtol=1e-9)
    assert variable.to_y(np.median(Z)) == pytest.approx(0, abs=1e-12)


def test_log_normal():
    """sigma = sqrt(beta / 2) / e^z gives y = e^z, up to its origin."""
    variable = IsometricVariable(Z, np.sqrt(0.005) / np.exp(Z), beta=0.01)
    z = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(variable.to_y(z) - variable.to_y(0), np.exp(z) - 1, atol=0.02)


def test_a_uniform_source_comes_back_uniform():
    """sigma^-1 proportional to ds/dz for s = Phi(z): y is uniform, though z is Gaussian. More bins are closer."""
    s = scipy.stats.norm.cdf(Z)
    scale = np.sqrt(0.005) / scipy.stats.norm.pdf(Z)
    errors = []
    for bins in (10, 40, 160):
        y = IsometricVariable(Z, scale, 0.01, bins).to_y(Z)
        errors.append(np.std(y - s))
    assert errors[2] < 0.01 and errors[0] > 2 * errors[1] > 2 * errors[2]
    assert scipy.stats.kstest(y - y.min(), "uniform").statistic < 0.02


def test_there_and_back():
    rng = np.random.default_rng(1)
    variable = IsometricVariable(Z, 0.1 * np.exp(0.5 * np.sin(3 * Z) + 0.1 * rng.standard_normal(len(Z))), beta=0.01)
    z = np.linspace(-8, 8, 1001)
    y = variable.to_y(z)
    assert (np.diff(y) > 0).all()
    np.testing.assert_allclose(variable.to_z(y), z, atol=1e-9)


@pytest.mark.parametrize("mean, scale, beta, message", [
    (Z[:10], np.ones(10), 0.01, "N of at least 20"),
    (Z[:50], np.ones(49), 0.01, "got the shapes"),
    (Z[:50], -np.ones(50), 0.01, "scale finite and positive"),
    (Z[:50], np.ones(50), 0, "beta must be positive"),
])
def test_bad_input(mean, scale, beta, message):
    with pytest.raises(ValueError, match=message):
        IsometricVariable(mean, scale, beta)


def test_a_constant_mean_is_no_error():
    assert np.isfinite(IsometricVariable(np.zeros(100), np.ones(100), 0.01).to_y([-1, 0, 1])).all()
