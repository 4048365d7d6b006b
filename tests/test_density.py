"""Densities against closed forms: linear Gaussian, log-normal, sphere, skewed and anisotropic decoders."""
import math

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tfisovae import density, distortions
from tfisovae.posterior import Posterior


class Manifold:
    """What `log_densities` needs of a VAE, with a posterior and a decoder given as functions."""

    decomposed = False

    def __init__(self, n, m, posterior, decode, distortion, lmbda):
        self.n, self.encode, self.decode, self.distortion, self.lmbda = n, posterior, decode, distortions.get(distortion), lmbda
        self.encoder = type("Encoder", (), {"input_shape": (None, m)})
        self.check = self.distortion.check


def test_linear_gaussian(make_linear_vae):
    """Norm at lambda 100, s = (.5, -.8, 2): the objective form is p(x) exactly, the posterior form .0165542620."""
    v, h = np.array([1 / 6, 2 / 3, 8 / 3]), 0.005
    b = np.sqrt(v - h)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 3)))[0].T
    vae = make_linear_vae(basis.T * (b / v), b[:, None] * basis, np.sqrt(h / v), 100.0)
    x = (np.array([[0.5, -0.8, 2.0]]) @ basis).astype(np.float32)
    log = density.log_densities(vae, x, active=[True] * 3)
    assert np.exp(log["objective"]) == pytest.approx(0.0161051217, rel=2e-5)  # float32 in D and KL, times lmbda
    assert np.exp(log["posterior"]) == pytest.approx(0.0165542620, rel=2e-6)
    np.testing.assert_allclose(log["scaled_posterior"], log["posterior"])
    # The exact volume differs from the posterior form by prod (1 - h/v)^-1/2, as the norms are 1 - h/v.
    assert log["volume"] - log["posterior"] == pytest.approx(-0.5 * np.log(1 - h / v).sum(), rel=1e-3)
    mu = np.array([0.5, -0.8, 2.0]) * b / v
    assert log["prior"] == pytest.approx(-0.5 * (mu**2).sum() - 1.5 * math.log(2 * math.pi), rel=1e-6)


def test_log_normal():
    """x = e^z with sigma = sqrt(h) / e^z: p(x) = .213538 at z = .5, by the posterior and by the volume."""
    def posterior(x):
        z = tf.math.log(x)
        return Posterior(z, math.sqrt(0.005) / x)

    vae = Manifold(1, 1, posterior, tf.exp, "sse", 100.0)
    x = np.array([[math.exp(0.5)]], np.float32)
    log = density.log_densities(vae, x, active=[True])
    assert np.exp(log["posterior"]) == pytest.approx(0.213538, rel=1e-5)
    assert np.exp(log["volume"]) == pytest.approx(0.213538, rel=1e-5)
    # Two points: D = .00500537, of which .005 is the quadratic part.
    kl = 0.5 * (0.25 + 0.005 / math.e - math.log(0.005 / math.e) - 1)
    expected = math.exp(-100 * 0.00500537 - kl) / math.sqrt(math.pi * 0.01)
    assert np.exp(log["objective"]) == pytest.approx(expected, rel=1e-4)


def sphere(z):
    """The unit sphere: cos(theta) = 2 Phi(z1) - 1, phi = 2 pi Phi(z2)."""
    cosine, phi = tf.math.erf(z[:, 0] / math.sqrt(2)), math.pi * (1 + tf.math.erf(z[:, 1] / math.sqrt(2)))
    sine = tf.sqrt(1 - cosine**2)
    return tf.stack([sine * tf.cos(phi), sine * tf.sin(phi), cosine], 1)


@pytest.mark.parametrize("distortion", ["sse", "downward_convex"])
def test_sphere(distortion):
    """p = 1 / (4 pi) everywhere, whatever the metric."""
    z = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 2)).astype(np.float32)
    vae = Manifold(2, 3, None, sphere, distortion, 100.0)
    vae.encode = lambda x: Posterior(tf.constant(z), tf.fill([50, 2], 0.1))
    log = density.log_densities(vae, sphere(z).numpy(), ["volume"], active=[True, True])
    np.testing.assert_allclose(log["volume"], -math.log(4 * math.pi), atol=2e-5)
    assert list(log) == ["volume"]


def gaussian_in_a_plane(matrix, z):
    """Exact log density, per unit of area, of x = z matrix for z from N(0, I)."""
    return -0.5 * (z**2).sum(1) - math.log(2 * math.pi) - 0.5 * np.linalg.slogdet(matrix @ matrix.T)[1]


def test_skewed_decoder(make_linear_vae):
    """Unit norms, cosine .8 between the axes: the posterior form is off by log sqrt(1 - .64), the volume is right."""
    decoder = np.array([[1.0, 0, 0, 0], [0.8, 0.6, 0, 0]]) * [[2.0], [0.5]]
    scale = np.sqrt(0.005) / np.array([2.0, 0.5])  # norms of 1
    vae = make_linear_vae(np.linalg.pinv(decoder), decoder, scale, 100.0)
    z = np.random.default_rng(1).standard_normal((30, 2))
    log = density.log_densities(vae, (z @ decoder).astype(np.float32))
    truth = gaussian_in_a_plane(decoder, z)
    np.testing.assert_allclose(log["volume"], truth, atol=2e-5)
    np.testing.assert_allclose(log["posterior"] - truth, math.log(0.6), atol=2e-5)
    np.testing.assert_allclose(log["scaled_posterior"], log["posterior"])


@tf.keras.utils.register_keras_serializable(package="test_density")
class Anisotropic(distortions.Distortion):
    """sum_i w_i (x_i - y_i)^2: G = diag(w), by automatic differentiation."""

    weights = np.array([4.0, 1.0, 0.25], np.float32)

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.square(x_hat - x) * self.weights[:x.shape[-1]], -1)


def test_anisotropic_metric(make_linear_vae):
    """An orthogonal decoder in the metric diag(4, 1, 1/4): y is a density of another volume, x is right by |G|^1/2 and by J."""
    decoder = np.diag([0.5, 1.0, 3.0])
    scale = np.sqrt(0.005) / np.sqrt([4 * 0.25, 1.0, 0.25 * 9])  # unit norms in that metric
    vae = make_linear_vae(np.linalg.inv(decoder), decoder, scale, 100.0, Anisotropic())
    z = np.random.default_rng(2).standard_normal((20, 3))
    log = density.log_densities(vae, (z @ decoder).astype(np.float32))
    truth = -0.5 * (z**2).sum(1) - 1.5 * math.log(2 * math.pi) - math.log(0.5 * 3.0)
    np.testing.assert_allclose(log["volume"], truth, atol=2e-5)
    np.testing.assert_allclose(log["scaled_posterior"], truth, atol=2e-5)  # m = n: |G|^1/2 = 1
    flat = make_linear_vae(np.linalg.pinv(decoder[:2]), decoder[:2], scale[:2], 100.0, Anisotropic())
    log = density.log_densities(flat, (z[:, :2] @ decoder[:2]).astype(np.float32))
    assert "scaled_posterior" not in log
    truth = -0.5 * (z[:, :2] ** 2).sum(1) - math.log(2 * math.pi) - math.log(0.5)
    np.testing.assert_allclose(log["volume"], truth, atol=2e-5)
    with pytest.raises(NotImplementedError, match='Anisotropic has no scale a_x.*"volume"'):
        density.log_densities(flat, (z[:, :2] @ decoder[:2]).astype(np.float32), ["scaled_posterior"])


def test_a_metric_that_fills_the_space_with_its_determinant(make_linear_vae):
    """m = n with |G| = 4: the posterior of y is 1 / 2 of the density of x."""
    decoder = np.diag([0.5, 1.0])
    vae = make_linear_vae(np.linalg.inv(decoder), decoder, np.sqrt(0.005) / np.array([1.0, 1.0]), 100.0, Anisotropic())
    z = np.random.default_rng(2).standard_normal((20, 2))
    log = density.log_densities(vae, (z @ decoder).astype(np.float32))
    np.testing.assert_allclose(log["scaled_posterior"] - log["posterior"], math.log(2), atol=1e-6)
    np.testing.assert_allclose(log["scaled_posterior"], log["volume"], atol=2e-5)


def test_a_scale_that_depends_on_x(make_linear_vae):
    """Downward-convex: the scaled forms differ from the others by (n/2) log a_x, whose values at |x|^2 = 0, 25 are known."""
    vae = make_linear_vae(np.eye(2), np.eye(2), [0.1, 0.1], 100.0, "downward_convex")
    log = density.log_densities(vae, np.array([[0.0, 0.0], [3.0, 4.0]], np.float32), active=[True, True])
    for form in ("posterior", "objective"):
        np.testing.assert_allclose(log[f"scaled_{form}"] - log[form], np.log([2 / 3, 3.047619]), rtol=1e-6)


def test_collapsed_dimensions_are_not_counted(make_linear_vae):
    """A third dimension with mean 0, scale 1 and no decoder changes nothing but what KL's rounding leaves."""
    decoder = np.array([[2.0, 0, 0], [0, 0.5, 0]])
    z = np.random.default_rng(3).standard_normal((30, 2))
    x = (z @ decoder).astype(np.float32)
    two = make_linear_vae(np.linalg.pinv(decoder), decoder, [0.05, 0.2], 100.0)
    three = make_linear_vae(np.pad(np.linalg.pinv(decoder), [(0, 0), (0, 1)]), np.pad(decoder, [(0, 1), (0, 0)]), [0.05, 0.2, 1],
                            100.0)
    a, b = density.log_densities(two, x), density.log_densities(three, x)
    for form in density.FORMS:
        np.testing.assert_allclose(a[form], b[form], atol=1e-5)
    dead = make_linear_vae(np.zeros([3, 2]), np.zeros([2, 3]), [1, 1], 100.0)
    with pytest.raises(ValueError, match="No latent dimension is active"):
        density.log_densities(dead, x)


def test_decomposed_loss_and_data_sets(make_linear_vae):
    """With x on the manifold, both losses have the same two-point objective; batches of any size give the same."""
    decoder = np.array([[2.0, 0, 0], [0, 0.5, 0]])
    x = (np.random.default_rng(3).standard_normal((30, 2)) @ decoder).astype(np.float32)
    arguments = (np.linalg.pinv(decoder), decoder, [0.05, 0.2], 100.0)
    a = density.log_densities(make_linear_vae(*arguments), x)
    b = density.log_densities(make_linear_vae(*arguments, decomposed=True), tf.data.Dataset.from_tensor_slices(x).batch(7))
    for form in density.FORMS:
        np.testing.assert_allclose(a[form], b[form], atol=1e-4)


def test_bad_arguments(make_linear_vae):
    vae, x = make_linear_vae(np.eye(2), np.eye(2), [0.1, 0.1], 100.0), np.zeros([3, 2], np.float32)
    with pytest.raises(ValueError, match=r"Unknown forms \['elbo'\]; there are 'prior'"):
        density.log_densities(vae, x, ["elbo"])
    with pytest.raises(ValueError, match=r"active must have the shape \[2\]; got \[3\]"):
        density.log_densities(vae, x, active=[True] * 3)
    with pytest.raises(ValueError, match="no examples"):
        density.log_densities(vae, x[:0])


def test_more_dimensions_than_data(make_linear_vae):
    decoder = np.array([[1.0, 0], [0, 1.0], [0.6, 0.8]])
    vae = make_linear_vae(np.linalg.pinv(decoder), decoder, [0.1] * 3, 100.0)
    x = np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    with pytest.raises(ValueError, match="3 latent dimensions are active, more than the 2 of the data"):
        density.log_densities(vae, x)


def test_comparison():
    truth = np.log([0.1, 0.2, 0.4])
    compared = density.comparison({"a": truth + 0.5, "b": np.array([1.0, -1.0, 1.0])}, truth)
    assert compared["a"] == pytest.approx({"correlation": 1, "log_error_mean": 0.5, "log_error_rms": 0.5})
    assert compared["b"]["correlation"] == pytest.approx(np.corrcoef(np.exp([1, -1, 1]), [0.1, 0.2, 0.4])[0, 1])
    assert tfisovae.density is density
