"""Densities against closed forms: linear Gaussian, log-normal, sphere, skewed and anisotropic
decoders.
"""
import dataclasses
import math
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfisovae
from tests.messages import refuses
from tfisovae import density, distortions, theory
from tfisovae.autoencoder.posterior import Posterior


@dataclasses.dataclass
class Manifold:
    """The five fields that `log_densities` needs, with a posterior and a decoder given as
    functions.
    """

    encode: object
    decode: object
    distortion: object
    beta: float
    decomposed: bool = False


def test_linear_gaussian(make_linear_vae):
    """Norm at lambda 100, s = (.5, -.8, 2): the objective form is p(x) exactly, the posterior form
    .0165542620.
    """
    v, h = np.array([1 / 6, 2 / 3, 8 / 3]), 0.005
    b = np.sqrt(v - h)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 3)))[0].T
    vae = make_linear_vae(basis.T * (b / v), b[:, None] * basis, np.sqrt(h / v), 100.0)
    x = (np.array([[0.5, -0.8, 2.0]]) @ basis).astype(np.float32)
    log = density.log_densities(vae, x, active=[True] * 3)
    # Float32 in D and KL, times lmbda.
    assert np.exp(log["objective"]) == pytest.approx(0.0161051217, rel=2e-5)
    assert np.exp(log["posterior"]) == pytest.approx(0.0165542620, rel=2e-6)
    np.testing.assert_allclose(log["scaled_posterior"], log["posterior"])
    # The exact volume differs from the posterior form by prod (1 - h/v)^-1/2, as the norms are 1 -
    # h/v.
    assert log["volume"] - log["posterior"] == pytest.approx(-0.5 * np.log(1 - h / v).sum(),
                                                             rel=1e-3)
    mu = np.array([0.5, -0.8, 2.0]) * b / v
    assert log["prior"] == pytest.approx(-0.5 * (mu**2).sum() - 1.5 * math.log(2 * math.pi),
                                         rel=1e-6)


def test_log_normal():
    """x = e^z with sigma = sqrt(h) / e^z: p(x) = .213538 at z = .5, by the posterior and by the
    volume.
    """
    def posterior(x):
        z = tf.math.log(x)
        return Posterior(z, math.sqrt(0.005) / x)

    vae = Manifold(posterior, tf.exp, distortions.get("sse"), 0.01)
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
    cosine, phi = tf.math.erf(
        z[:, 0] / math.sqrt(2)), math.pi * (1 + tf.math.erf(z[:, 1] / math.sqrt(2)))
    sine = tf.sqrt(1 - cosine**2)
    return tf.stack([sine * tf.cos(phi), sine * tf.sin(phi), cosine], 1)


@pytest.mark.parametrize("distortion", ["sse", "downward_convex"])
def test_sphere(distortion):
    """p = 1 / (4 pi) everywhere, whatever the metric."""
    z = np.random.default_rng(0).uniform(-1.5, 1.5, (50, 2)).astype(np.float32)
    vae = Manifold(lambda x: (tf.constant(z)[:tf.shape(x)[0]], 0.1 * tf.ones_like(x[:, :2])),
                   sphere, distortions.get(distortion), 0.01)
    log = density.log_densities(vae, sphere(z).numpy(), ["volume"], active=[True, True],
                                inspect=False)  # encode looks at the place in the batch
    np.testing.assert_allclose(log["volume"], -math.log(4 * math.pi), atol=2e-5)
    assert list(log) == ["volume"]


def gaussian_in_a_plane(matrix, z):
    """Exact log density, per unit of area, of x = z matrix for z from N(0, I)."""
    return -0.5 * (z**2).sum(1) - math.log(
        2 * math.pi) - 0.5 * np.linalg.slogdet(matrix @ matrix.T)[1]


def test_skewed_decoder(make_linear_vae):
    """Unit norms, cosine .8 between the axes: the posterior form is off by log sqrt(1 - .64), the
    volume is right.
    """
    decoder = np.array([[1.0, 0, 0, 0], [0.8, 0.6, 0, 0]]) * [[2.0], [0.5]]
    scale = np.sqrt(0.005) / np.array([2.0, 0.5])  # norms of 1
    vae = make_linear_vae(np.linalg.pinv(decoder), decoder, scale, 100.0)
    z = np.random.default_rng(1).standard_normal((30, 2))
    log = density.log_densities(vae, (z @ decoder).astype(np.float32))
    truth = gaussian_in_a_plane(decoder, z)
    np.testing.assert_allclose(log["volume"], truth, atol=2e-5)
    np.testing.assert_allclose(log["posterior"] - truth, math.log(0.6), atol=2e-5)
    np.testing.assert_allclose(log["scaled_posterior"], log["posterior"])


@pytest.mark.parametrize("cosine, decomposed", [(0.8, False), (-0.8, True)])
def test_the_objective_of_a_skewed_decoder(make_linear_vae, cosine, decomposed):
    """Norms of 1, cosine .8: the mean of D over the posterior is n beta / 2 exactly; the paper's
    two points add .8 nats to L.
    """
    decoder = np.array([[1.0, 0, 0], [cosine, 0.6, 0]]) * [[2.0], [0.5]]
    vae = make_linear_vae(np.linalg.pinv(decoder), decoder,
                          np.sqrt(0.005) / np.array([2.0, 0.5]), 100.0, decomposed=decomposed)
    x = (np.random.default_rng(1).standard_normal((30, 2)) @ decoder).astype(np.float32)
    kl = vae.encode(x).kl().numpy().sum(1)
    exact = -1 - kl - math.log(math.pi / 100)  # -lmbda n beta / 2 = -1
    for pairs, difference in ((2, 0), ("paper", -cosine)):
        log = density.log_densities(vae, x, ["objective"], active=[True, True], pairs=pairs)
        # Float32 in D, times lmbda.
        np.testing.assert_allclose(log["objective"], exact + difference, atol=2e-4)
    one = density.log_densities(vae, x, ["objective"], active=[True, True],
                                pairs=1)["objective"] - exact
    # One pair of random signs: the right mean, and this error.
    np.testing.assert_allclose(np.abs(one), 0.8, atol=2e-4)
    assert 5 < np.sum(one > 0) < 25


def test_the_objective_has_no_bias_and_the_stated_variance(make_linear_vae):
    """Ten dimensions, all cosines .5: with 4 pairs only those mix whose numbers are equal modulo 4,
    2 * 3 + 2 * 1 pairs of them.
    """
    decoder = np.linalg.cholesky(0.5 * np.eye(10) + 0.5) * 0.7
    vae = make_linear_vae(np.linalg.inv(decoder), decoder, np.sqrt(0.005) / 0.7, 100.0)
    x = (np.random.default_rng(1).standard_normal((4000, 10)) @ decoder).astype(np.float32)
    kl = vae.encode(x).kl().numpy().sum(1)
    log = density.log_densities(vae, x, ["objective"], active=[True] * 10, pairs=4,
                                seed=3)["objective"]
    error = log - (-5 - kl - 5 * math.log(math.pi / 100))
    deviation = math.sqrt(8 * 0.5**2)
    assert np.mean(error) == pytest.approx(0, abs=4 * deviation / math.sqrt(4000))
    assert np.std(error) == pytest.approx(deviation, rel=0.06)
    exact = density.log_densities(vae, x, ["objective"], active=[True] * 10, pairs=16)["objective"]
    np.testing.assert_allclose(exact, log - error, atol=2e-3)
    # The signs go with the example's place, not with its batch; and other seeds give other ones.
    batches = tf.data.Dataset.from_tensor_slices(x).batch(77)
    np.testing.assert_allclose(
        density.log_densities(vae, batches, ["objective"], [True] * 10, pairs=4,
                              seed=3)["objective"], log, atol=2e-3)
    assert np.std(
        density.log_densities(vae, x[:50], ["objective"], [True] * 10, pairs=4)["objective"]
        - log[:50]) > 0.5


def optimal_linear_vae(make_linear_vae, lmbda, variances):
    """The exact optimum on N(0, diag(variances)) in six dimensions, some examples, and their exact
    log density.
    """
    v = np.asarray(variances)
    made = theory.LinearVAE(v, 1 / lmbda)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 3)))[0].T
    vae = make_linear_vae(basis.T * made.encoder_gain, made.decoder_gain[:, None] * basis,
                          made.scale, lmbda)
    s = np.random.default_rng(1).standard_normal((2000, 3)) * np.sqrt(v)
    return vae, (s @ basis).astype(np.float32), np.sum(
        -0.5 * s**2 / v - 0.5 * np.log(2 * math.pi * v), 1), made.scale**2


@pytest.mark.parametrize("lmbda, bias", [(5, 0.95), (100, 0.0396)])
def test_the_bias_of_the_volume_and_its_correction(make_linear_vae, lmbda, bias):
    """Norm at the exact optimum: "volume" is high by sum (-log(1 - sigma^2) + sigma^2) / 2,
    "corrected_volume" is exact.
    """
    vae, x, truth, variance = optimal_linear_vae(make_linear_vae, lmbda, [1 / 6, 2 / 3, 8 / 3])
    log = density.log_densities(vae, x, ["volume", "corrected_volume"])
    np.testing.assert_allclose(log["corrected_volume"], truth, atol=2e-5)
    closed = np.sum(-np.log(1 - variance) + variance) / 2
    assert closed == pytest.approx(bias, rel=0.01)
    spread = np.sqrt(np.sum(variance**2) / 2 / len(x))  # of the mean of sigma^2 (u^2 - 1) / 2
    assert np.mean(log["volume"] - truth) == pytest.approx(closed, abs=4 * spread)


def test_a_dimension_without_a_reduced_variance_is_left_uncorrected(make_linear_vae):
    vae = make_linear_vae(np.eye(2), np.eye(2), [0.1, 1.1], 100.0)
    x = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    log = density.log_densities(vae, x, active=[True, True])
    expected = log["volume"] - 0.5 * x[:, 0] ** 2 * (1 / 0.99 - 1) + 0.5 * math.log(0.99)
    np.testing.assert_allclose(log["corrected_volume"], expected, atol=1e-6)


@pytest.mark.parametrize("angle", [1e-3, 2.0**-13, 2.0**-20])
def test_the_volume_of_nearly_parallel_directions(make_linear_vae, angle):
    """Directions at an angle of 1e-6: det(J^T J) = angle^2 to six digits, where in float32 it is 0
    or negative.
    """
    decoder = np.array([[1.0, 0, 0], [1.0, angle, 0]])
    vae = make_linear_vae(np.zeros([3, 2]), decoder, [0.1, 0.1], 100.0)
    log = density.log_densities(vae, np.zeros([3, 3], np.float32), ["volume"], active=[True, True])
    np.testing.assert_allclose(log["volume"], -math.log(2 * math.pi) - math.log(np.float32(angle)),
                               atol=1e-6)


@pytest.mark.parametrize("decoder", [[[1.0, 2.0, 0], [2.0, 4.0, 0]], [[1.0, 2.0, 0], [0, 0, 0]]])
def test_a_folded_direction_has_no_volume(make_linear_vae, decoder):
    vae = make_linear_vae(np.zeros([3, 2]), np.array(decoder), [0.1, 0.1], 100.0)
    log = density.log_densities(vae, np.zeros([3, 3], np.float32), ["volume", "corrected_volume"],
                                active=[True, True])
    assert (log["volume"] == np.inf).all() and (log["corrected_volume"] == np.inf).all()


@pytest.mark.slow
def test_two_replicas_give_the_numbers_of_one_device(make_linear_vae):
    decoder = np.array([[1.0, 0, 0], [0.8, 0.6, 0]]) * [[2.0], [0.5]]
    vae = make_linear_vae(np.linalg.pinv(decoder), decoder,
                          np.sqrt(0.005) / np.array([2.0, 0.5]), 100.0)
    x = (np.random.default_rng(1).standard_normal((31, 2)) @ decoder).astype(np.float32)
    forms = ["objective", "corrected_volume"]
    one = density.log_densities(vae, x, forms, pairs=1)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        two = density.log_densities(vae,
                                    tf.data.Dataset.from_tensor_slices(x).batch(20), forms, pairs=1)
    for form, values in one.items():  # a float32 in D counts lmbda times
        np.testing.assert_allclose(two[form], values, rtol=1e-6,
                                   atol=1e-4 if "objective" in form else 1e-6)


MEMORY = """
import resource, sys
import numpy as np, tensorflow as tf
from tfisovae import density, distortions, theory
n, m, few, many = map(int, sys.argv[1:])
decoder = tf.constant(np.random.default_rng(0).standard_normal((n, m)) / np.sqrt(m), tf.float32)
class Model:
    encode = staticmethod(lambda x: (x[:, :n], tf.fill([tf.shape(x)[0], n], 0.1)))
    decode = staticmethod(lambda z: tf.tanh(z @ decoder))
    distortion, beta, decomposed = distortions.SumSquaredError(), 0.02, False
x = np.random.default_rng(1).standard_normal((many, m)).astype(np.float32)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
density.log_densities(Model, x[:few])
before = peak()
log = density.log_densities(Model, x)
assert all(np.isfinite(values).all() and len(values) == many for values in log.values())
print(before, peak())
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_examples():
    """1,500 examples at n = 64 would be 49 MB of Gram matrices in float64: the peak stays where 100
    examples left it.
    """
    done = subprocess.run([sys.executable, "-c", MEMORY, "64", "64", "100", "1500"],
                          capture_output=True, text=True, check=True)
    before, after = map(float, done.stdout.split())
    assert after - before < 25, (before, after)


@tf.keras.utils.register_keras_serializable(package="test_density")
class Anisotropic(distortions.Distortion):
    """sum_i w_i (x_i - y_i)^2: G = diag(w), by automatic differentiation."""

    weights = np.array([4.0, 1.0, 0.25], np.float32)

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.square(x_hat - x) * self.weights[:x.shape[-1]], -1)


def test_anisotropic_metric(make_linear_vae):
    """An orthogonal decoder in the metric diag(4, 1, 1/4): y is a density of another volume, x is
    right by |G|^1/2 and by J.
    """
    decoder = np.diag([0.5, 1.0, 3.0])
    scale = np.sqrt(0.005) / np.sqrt([4 * 0.25, 1.0, 0.25 * 9])  # unit norms in that metric
    vae = make_linear_vae(np.linalg.inv(decoder), decoder, scale, 100.0, Anisotropic())
    z = np.random.default_rng(2).standard_normal((20, 3))
    log = density.log_densities(vae, (z @ decoder).astype(np.float32))
    truth = -0.5 * (z**2).sum(1) - 1.5 * math.log(2 * math.pi) - math.log(0.5 * 3.0)
    np.testing.assert_allclose(log["volume"], truth, atol=2e-5)
    np.testing.assert_allclose(log["scaled_posterior"], truth, atol=2e-5)  # m = n: |G|^1/2 = 1
    flat = make_linear_vae(np.linalg.pinv(decoder[:2]), decoder[:2], scale[:2], 100.0,
                           Anisotropic())
    log = density.log_densities(flat, (z[:, :2] @ decoder[:2]).astype(np.float32))
    assert "scaled_posterior" not in log
    truth = -0.5 * (z[:, :2] ** 2).sum(1) - math.log(2 * math.pi) - math.log(0.5)
    np.testing.assert_allclose(log["volume"], truth, atol=2e-5)
    with refuses(NotImplementedError):
        density.log_densities(flat, (z[:, :2] @ decoder[:2]).astype(np.float32),
                              ["scaled_posterior"])


def test_a_metric_that_fills_the_space_with_its_determinant(make_linear_vae):
    """m = n with |G| = 4: the posterior of y is 1 / 2 of the density of x."""
    decoder = np.diag([0.5, 1.0])
    vae = make_linear_vae(np.linalg.inv(decoder), decoder,
                          np.sqrt(0.005) / np.array([1.0, 1.0]), 100.0, Anisotropic())
    z = np.random.default_rng(2).standard_normal((20, 2))
    log = density.log_densities(vae, (z @ decoder).astype(np.float32))
    np.testing.assert_allclose(log["scaled_posterior"] - log["posterior"], math.log(2), atol=1e-6)
    np.testing.assert_allclose(log["scaled_posterior"], log["volume"], atol=2e-5)


def test_a_scale_that_depends_on_x(make_linear_vae):
    """Downward-convex: the scaled forms differ from the others by (n/2) log a_x, whose values at
    |x|^2 = 0, 25 are known.
    """
    vae = make_linear_vae(np.eye(2), np.eye(2), [0.1, 0.1], 100.0, "downward_convex")
    log = density.log_densities(vae, np.array([[0.0, 0.0], [3.0, 4.0]], np.float32),
                                active=[True, True])
    for form in ("posterior", "objective"):
        np.testing.assert_allclose(log[f"scaled_{form}"] - log[form], np.log([2 / 3, 3.047619]),
                                   rtol=1e-6)


def test_collapsed_dimensions_are_not_counted(make_linear_vae):
    """A third dimension with mean 0, scale 1 and no decoder changes nothing but what KL's rounding
    leaves.
    """
    decoder = np.array([[2.0, 0, 0], [0, 0.5, 0]])
    z = np.random.default_rng(3).standard_normal((30, 2))
    x = (z @ decoder).astype(np.float32)
    two = make_linear_vae(np.linalg.pinv(decoder), decoder, [0.05, 0.2], 100.0)
    three = make_linear_vae(np.pad(np.linalg.pinv(decoder), [(0, 0), (0, 1)]),
                            np.pad(decoder, [(0, 1), (0, 0)]), [0.05, 0.2, 1], 100.0)
    a, b = density.log_densities(two, x), density.log_densities(three, x)
    for form in density.FORMS:
        np.testing.assert_allclose(a[form], b[form], atol=1e-5)
    dead = make_linear_vae(np.zeros([3, 2]), np.zeros([2, 3]), [1, 1], 100.0)
    with refuses(ValueError):
        density.log_densities(dead, x)


@pytest.mark.slow
def test_decomposed_loss_and_data_sets(make_linear_vae):
    """With x on the manifold, both losses have the same two-point objective; batches of any size
    give the same.
    """
    decoder = np.array([[2.0, 0, 0], [0, 0.5, 0]])
    x = (np.random.default_rng(3).standard_normal((30, 2)) @ decoder).astype(np.float32)
    arguments = (np.linalg.pinv(decoder), decoder, [0.05, 0.2], 100.0)
    a = density.log_densities(make_linear_vae(*arguments), x)
    b = density.log_densities(make_linear_vae(*arguments, decomposed=True),
                              tf.data.Dataset.from_tensor_slices(x).batch(7))
    for form in density.FORMS:
        np.testing.assert_allclose(a[form], b[form], atol=1e-4)


def test_bad_arguments(make_linear_vae):
    vae, x = make_linear_vae(np.eye(2), np.eye(2), [0.1, 0.1], 100.0), np.zeros([3, 2], np.float32)
    with refuses(ValueError):
        density.log_densities(vae, x, ["elbo"])
    with refuses(ValueError, "active"):
        density.log_densities(vae, x, active=[True] * 3)
    with refuses(ValueError):
        density.log_densities(vae, x[:0])
    for pairs in (0, 3, 2.0, True, "two"):
        with refuses(ValueError, "pairs"):
            density.log_densities(vae, x, pairs=pairs)
    five = Manifold(vae.encode, vae.decode, vae.distortion, 0.01)
    uneven = tf.data.Dataset.from_generator(
        lambda: (np.ones([2, width]) for width in (2, 3)),
        output_signature=tf.TensorSpec([None, None], tf.float32))
    with refuses(ValueError):
        density.log_densities(five, uneven)


def test_more_dimensions_than_data(make_linear_vae):
    decoder = np.array([[1.0, 0], [0, 1.0], [0.6, 0.8]])
    vae = make_linear_vae(np.linalg.pinv(decoder), decoder, [0.1] * 3, 100.0)
    x = np.random.default_rng(0).standard_normal((30, 2)).astype(np.float32)
    with refuses(ValueError):
        density.log_densities(vae, x)


def double(z, library):
    """A curved decoder of z `[B, 3]` to four numbers, in float64 where the library computes so."""
    first, second, third = z[:, 0], z[:, 1], z[:, 2]
    return library.stack([
        2 * library.sin(first) + second, first * second + 1.5 * third,
        library.exp(0.3 * third), first + 0.1
    ], -1)


@pytest.mark.parametrize("kind", ["numpy", "numpy in float64", "untraceable"])
def test_decoders_that_only_differences_can_measure(kind):
    """The volume of a decoder over arrays, one of whose dimensions is not active, is that of
    autodiff over the same formula.
    """
    def encode(x):
        return np.concatenate([x[:, :3], np.full([len(x), 3], -4.0)], 1).astype(np.float32)

    decoders = {"numpy": lambda z: double(z, np).astype(np.float32),
                "numpy in float64": lambda z: double(z.astype(np.float64), np),
                "untraceable": lambda z: double(tf.constant(np.asarray(z)), tf)}
    x = np.random.default_rng(0).standard_normal((200, 4)).astype(np.float32)
    active = [True, False, True]
    oracle = Manifold(lambda x: (x[:, :3], tf.fill([tf.shape(x)[0], 3], math.exp(-2))),
                      lambda z: double(z, tf), distortions.get("sse"), 0.1)
    expected = density.log_densities(oracle, x, ["volume"], active=active)["volume"]
    log = density.log_densities((encode, decoders[kind]), x, active=active, distortion="sse",
                                beta=0.1)
    assert list(log) == list(density.FORMS)
    np.testing.assert_allclose(log["volume"], expected, atol=1e-3)


def test_differences_are_taken_in_the_precision_of_the_decoder():
    """log p(x) of x = 1000 + z / 1000: in float32 the steps drown in the 1000, in float64 they are
    exact.
    """
    x = (1000 + np.random.default_rng(0).standard_normal((50, 1)) / 1000).astype(np.float64)

    def encode(x):
        return np.concatenate([1000 * (x - 1000), np.full([len(x), 1], -4.0)], 1)

    log = density.log_densities((encode, lambda z: 1000 + z.astype(np.float64) / 1000), x, "volume",
                                active=[True], distortion="sse", beta=1e-6)
    assert list(log) == ["volume"]  # one form, by its name alone
    z = 1000 * (x.astype(np.float32).astype(np.float64) - 1000)
    np.testing.assert_allclose(
        log["volume"], -0.5 * z[:, 0]**2 - 0.5 * math.log(2 * math.pi) + math.log(1000), atol=1e-4)


@pytest.mark.parametrize("mean, scale", [(np.nan, 0.1), (np.inf, 0.1), (0.0, np.nan), (0.0, 0.0)])
def test_a_posterior_that_is_not_finite_is_named(mean, scale):
    """Row 123, in the second batch; nothing is said of a collapse."""
    x = np.random.default_rng(0).standard_normal((150, 2)).astype(np.float32)
    x[123] = 9

    def encode(x):
        odd = tf.reduce_all(x == 9, 1, keepdims=True)
        return tf.where(odd, mean, x), tf.where(odd, scale, 0.1 * tf.ones_like(x))

    with refuses(ValueError):
        density.log_densities(Manifold(encode, lambda z: z, distortions.get("sse"), 0.02), x)


def test_a_generator_cannot_be_read_twice(make_linear_vae):
    vae = make_linear_vae(np.eye(2), np.eye(2), [0.1, 0.1], 100.0)
    with refuses(ValueError, "x"):
        density.log_densities(vae, (np.ones([3, 2]) for _ in range(2)))


def test_comparison():
    truth = np.log([0.1, 0.2, 0.4])
    compared = density.comparison({"a": truth + 0.5, "b": np.array([1.0, -1.0, 1.0])}, truth)
    assert compared["a"] == pytest.approx(
        {"correlation": 1, "log_error_mean": 0.5, "log_error_rms": 0.5})
    assert compared["b"]["correlation"] == pytest.approx(
        np.corrcoef(np.exp([1, -1, 1]), [0.1, 0.2, 0.4])[0, 1])
    assert tfisovae.density is density


def test_percentiles():
    """Shares of the references that are at most as probable; of Gaussian references they are the
    normal distribution function.
    """
    assert density.percentiles([-1.0, 0.0, 1.5, 9.0],
                               [3.0, 0.0, 1.0, 2.0]).tolist() == [0.0, 25.0, 50.0, 100.0]
    np.testing.assert_array_equal(density.percentiles([np.nan, -np.inf, np.inf], [0.0, 1.0]),
                                  [np.nan, 0, 100])
    references, x = np.random.default_rng(0).standard_normal(20_000), np.linspace(-2, 2, 9)
    np.testing.assert_allclose(density.percentiles(x, references), 100 * stats.norm.cdf(x),
                               atol=4 * 100 * 0.5 / 20_000**0.5)
    for bad in ([], [1.0, np.nan]):
        with refuses(ValueError, "among"):
            density.percentiles([0.0], bad)


def test_a_density_that_is_to_be_compared_takes_the_variance_that_it_is_given(make_linear_vae):
    """log N(mu; 0, 1 - v) + log(1 - v) for log p(mu), of an input that is alone."""
    vae = make_linear_vae(np.eye(2), np.eye(2), [0.1, 0.3], 100.0)
    x, v = np.array([[0.5, -2.0]], np.float32), np.array([0.4, 0.2])
    log = density.log_densities(vae, x, ["prior", "volume", "corrected_volume"],
                                active=[True, True], variance=v)
    added = stats.norm.logpdf(x[0],
                              scale=np.sqrt(1 - v)).sum() + np.log(1 - v).sum() - log["prior"][0]
    np.testing.assert_allclose(log["corrected_volume"] - log["volume"], added, atol=1e-6)
    with refuses(ValueError, "variance"):
        density.log_densities(vae, x, variance=[0.1, 0.2, 0.3])


def test_r_is_of_densities_of_any_scale():
    """It does not see a factor, and exp(800) is no float64."""
    estimate, truth = np.array([800.0, 801.0, 803.0]), np.array([-900.0, -899.5, -897.0])
    near = density.comparison({"a": estimate - 800}, truth + 900)["a"]["correlation"]
    assert density.comparison({"a": estimate},
                              truth)["a"]["correlation"] == pytest.approx(near) and 0.9 < near < 1


def test_determinants_of_large_latent_spaces_are_refused():
    """Above 300 active dimensions there are the forms that need no determinant, and no others."""
    best = theory.LinearVAE(np.full(301, 2.0), 0.1)
    model = Manifold(lambda x: (best.encoder_gain * x, 0 * x + best.scale),
                     lambda z: best.decoder_gain * z, distortions.SumSquaredError(), 0.1)
    x = np.random.default_rng(0).standard_normal([20, 301]).astype(np.float32)
    assert set(tfisovae.density.log_densities(model, x, inspect=False)) == {
        "prior", "objective", "posterior", "scaled_objective", "scaled_posterior"}
    for form in ("volume", "corrected_volume"):
        with refuses(ValueError, "forms"):
            tfisovae.density.log_densities(model, x, form, inspect=False)
    model = dataclasses.replace(model, distortion=distortions.BinaryCrossentropy())
    with refuses(ValueError, "forms"):
        tfisovae.density.log_densities(model, 0.5 + 0 * x, "scaled_posterior", inspect=False)
