"""The isometric variable: closed forms, its inverse, and what it refuses."""
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from tests.messages import refuses
from tfisovae import Autoencoder, distortions
from tfisovae.geometry.isometric_variable import IsometricVariable

Z = np.random.default_rng(0).standard_normal(50_000)


def test_constant_scale_is_a_straight_line():
    variable = IsometricVariable(Z, np.full(len(Z), 0.1), beta=0.02)
    z = np.array([-7.0, -1, 0, 2, 9])
    np.testing.assert_allclose(np.diff(variable.to_y(z)),
                               np.sqrt(0.01) / 0.1 * np.diff(z), rtol=1e-9)
    assert variable.to_y(np.median(Z)) == pytest.approx(0, abs=1e-12)


def test_log_normal():
    """sigma = sqrt(beta / 2) / e^z gives y = e^z, up to its origin."""
    variable = IsometricVariable(Z, np.sqrt(0.005) / np.exp(Z), beta=0.01)
    z = np.linspace(-2, 2, 41)
    np.testing.assert_allclose(variable.to_y(z) - variable.to_y(0), np.exp(z) - 1, atol=0.02)


def test_a_uniform_source_comes_back_uniform():
    """sigma^-1 proportional to ds/dz for s = Phi(z): y is uniform, though z is Gaussian. More bins
    are closer.
    """
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
    variable = IsometricVariable(
        Z, 0.1 * np.exp(0.5 * np.sin(3 * Z) + 0.1 * rng.standard_normal(len(Z))), beta=0.01)
    z = np.linspace(-8, 8, 1001)
    y = variable.to_y(z)
    assert (np.diff(y) > 0).all()
    np.testing.assert_allclose(variable.to_z(y), z, atol=1e-9)


@pytest.mark.parametrize("mean, scale, beta, message", [
    (Z[:10], np.ones(10), 0.01, ""),
    (Z[:50], np.ones(49), 0.01, ""),
    (Z[:50], -np.ones(50), 0.01, ""),
    (Z[:50], np.ones(50), 0, "beta"),
    (Z[:50], np.ones(50), None, "beta"),
    (Z[:50], np.ones(50), "1", "beta"),
])
def test_bad_input(mean, scale, beta, message):
    with refuses(ValueError, message):
        IsometricVariable(mean, scale, beta)


@pytest.mark.parametrize("num_bins", [-3, 0, 2.5, None, True])
def test_bad_numbers_of_bins(num_bins):
    with refuses(ValueError, "num_bins"):
        IsometricVariable(Z[:50], np.ones(50), 0.01, num_bins)


def test_a_constant_mean_is_no_error():
    assert np.isfinite(IsometricVariable(np.zeros(100), np.ones(100), 0.01).to_y([-1, 0, 1])).all()


class Curve:
    """A decoder of two variables: x = (f(z_1), z_2 / 2), with |x - x_hat|^2."""

    distortion = distortions.SumSquaredError()

    def __init__(self, function):
        self.encode = lambda x: (x, x)
        self.decode = lambda z: tf.stack([function(z[:, 0]), z[:, 1] / 2], 1)


def test_derivatives_of_a_grid():
    """D' = (e^z)^2 gives y = e^z - 1; the inverse; straight on beyond the grid; constant pieces."""
    z = np.linspace(-2, 2, 2001)
    variable = IsometricVariable.from_derivatives(z, np.exp(2 * z))
    np.testing.assert_allclose(variable.to_y(z), np.exp(z) - 1, atol=1e-5)
    np.testing.assert_allclose(variable.to_z(variable.to_y(np.linspace(-4, 4, 99))),
                               np.linspace(-4, 4, 99), atol=1e-9)
    assert variable.to_y(3) - variable.to_y(2) == pytest.approx(np.exp(2), rel=1e-2)
    steps = IsometricVariable.from_derivatives([-1, 0, 1, 2], [4, 0, 9], origin=-1)
    np.testing.assert_allclose(steps.to_y([-1, 0, 1, 1.5, 2]), [0, 2, 2, 3.5, 5], atol=1e-6)
    assert steps.to_z(3.5) == pytest.approx(1.5, abs=1e-6)


def test_along_the_axis_of_a_decoder():
    """x = (sinh z, ...): y = sinh z, wherever the other variable stands; and the second axis is a
    straight line of slope 1 / 2.
    """
    mean = np.linspace(-1, 2, 31)
    for other in (0, 3):
        variable = IsometricVariable.along_axis(Curve(tf.sinh), 0, mean, [9, other])
        np.testing.assert_allclose(variable.to_y(mean), np.sinh(mean) - np.sinh(0.5), atol=2e-4)
    np.testing.assert_allclose(
        IsometricVariable.along_axis(Curve(tf.sinh), 1, mean, [0, 0]).to_y([0.5, 2]), [0, 0.75],
        atol=1e-5)


@pytest.mark.parametrize("form", [tuple, lambda pair: dict(zip(("encoder", "decoder"), pair)),
                                  lambda pair: Autoencoder(*pair, "sse", None)])
def test_along_the_axis_of_any_model(form):
    """A pair of functions over arrays, a dict of them, an `Autoencoder`: y = sinh z, and 1 /
    sqrt(2) of it with half of D.
    """
    def decode(z):
        return np.stack([np.sinh(np.asarray(z)[:, 0]), np.asarray(z)[:, 1] / 2], 1)

    mean = np.linspace(-1, 2, 31)
    model = form((lambda x: np.concatenate([x, x], 1), decode))
    for distortion, factor in (("sse", 1), ("mse", np.sqrt(0.5))):
        variable = IsometricVariable.along_axis(model, 0, mean, [9, 0], distortion=distortion)
        np.testing.assert_allclose(variable.to_y(mean), factor * (np.sinh(mean) - np.sinh(0.5)),
                                   atol=2e-4)


@pytest.mark.parametrize("width", [0.05, 1e-4])
def test_the_distance_between_clusters(width):
    """Two clusters 4 apart, the decoder steep between |z| < .3 where there is no example: the
    posteriors lack the gap.
    """
    mean = Z[np.abs(Z) > 0.3]
    model = Curve(lambda z: 0.2 * z + 2 * tf.tanh(z / width))
    slope = 0.2 + 2 / width / np.cosh(np.minimum(np.abs(mean) / width, 300)) ** 2
    by_posteriors = IsometricVariable(mean, np.sqrt(0.005) / slope, 0.01)
    by_decoder = IsometricVariable.along_axis(model, 0, mean, [0, 0])
    assert np.diff(by_decoder.to_y([-0.3, 0.3])) == pytest.approx(4.12, rel=1e-3)
    assert np.diff(by_posteriors.to_y([-0.3, 0.3])) < 0.2


def test_without_clusters_the_two_agree():
    """One continuous source, and a posterior that is optimal: the ratio of lengths is sqrt(1 -
    sigma^2).
    """
    variance = 0.1
    by_posteriors = IsometricVariable(Z, np.full(len(Z), np.sqrt(variance)), 2 * variance)
    by_decoder = IsometricVariable.along_axis(
        Curve(lambda z: z * np.float32(np.sqrt(1 - variance))), 0, Z, [0, 0])
    assert np.ptp(by_decoder.to_y(Z)) / np.ptp(by_posteriors.to_y(Z)) == pytest.approx(
        np.sqrt(0.9), rel=1e-4)


@pytest.mark.parametrize("call, message", [
    (lambda: IsometricVariable.from_derivatives([0, 1], [1, 2, 3]),
     ""),
    (lambda: IsometricVariable.from_derivatives([0, 0], [1, 2]), ""),
    (lambda: IsometricVariable.from_derivatives([0, 1], [1, -2]), ""),
    (lambda: IsometricVariable.along_axis(Curve(tf.exp), 2, Z, [0, 0]), ""),
    (lambda: IsometricVariable.along_axis(Curve(tf.exp), 0, [1, 1], [0, 0]), ""),
    (lambda: IsometricVariable.along_axis((np.exp, np.exp), 0, Z, [0, 0]), "distortion"),
    (lambda: IsometricVariable.along_axis(Curve(tf.exp), 0, Z, [0, 0], 1),
     "num_points"),
])
def test_bad_grids(call, message):
    with refuses(ValueError, message):
        call()
