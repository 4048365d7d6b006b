"""Estimates of large latent spaces against exact numbers, over many seeds, and against closed
forms.
"""
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfisovae
from tfisovae.distortions import SumSquaredError
from tfisovae.geometry import pullback_metric
from tfisovae.geometry.estimated import Probes, Strata, extremes, root_mean_square
from tfisovae.geometry.products import Linearized, lanczos, probe
from tfisovae.verdict import IsometryState, Part

SEEDS, EXAMPLES, NUM_PROBES, DRAWN, STEPS = 200, 6, 16, 14, 20
LEAST = 0.90  # of 200 intervals of 95 %, fewer than 180 cover with a probability of 1e-3


def decoder(kind, n):
    """A linear decoder, or one of two layers, whose axes are not orthogonal."""
    rng = np.random.default_rng(0)
    first, second = (tf.constant(rng.standard_normal(shape) / np.sqrt(n), tf.float32)
                     for shape in ((n, n + 20), (n + 20, n + 10)))
    if kind == "linear":
        return lambda z: z @ first
    return lambda z: tf.tanh(2 * (z @ first)) @ second


def covers(value, error, truth, freedom=1e6):
    return abs(value - truth) <= stats.t.ppf(0.975, freedom) * error + 1e-6 * abs(truth)


@pytest.mark.parametrize("kind, n", [
    ("linear", 32), ("nonlinear", 32), ("linear", 256), ("nonlinear", 256)])
def test_stated_errors_cover_the_exact_numbers(kind, n):
    """The choice of the probes and of the dimensions, over 200 seeds: intervals of 95 % of the mean
    norm, by probes and by dimensions, of the off-diagonal mass and of the cosines.
    """
    rng = np.random.default_rng(1)
    z = tf.constant(rng.standard_normal([EXAMPLES, n]), tf.float32)
    weights = tf.constant(rng.uniform(0.5, 1.5, [EXAMPLES, n]), tf.float32)
    decode, distortion = decoder(kind, n), SumSquaredError()
    exact = np.asarray(pullback_metric(decode, z, distortion) * weights[:, :, None]
                       * weights[:, None, :], np.float64)
    norms = np.diagonal(exact, axis1=1, axis2=2)
    importance = np.mean(np.square(weights) ** -1.0, 0)
    off = exact * ~np.eye(n, dtype=bool)
    cosines = np.mean(off**2 / (norms[:, :, None] * norms[:, None, :]), 0)
    values = np.linalg.eigvalsh(exact)[:, [0, -1]]

    @tf.function
    def estimated(seed):
        product = Linearized(decode, z, distortion).gram(weights)
        signs = tf.sign(tf.random.stateless_normal([NUM_PROBES, EXAMPLES, n], [seed, 0]))
        steps = lanczos(product, lambda k: tf.random.stateless_normal([EXAMPLES, n], [seed, 1 + k]),
                        STEPS)
        return probe(product, signs), steps

    found = []
    for seed in range(SEEDS):
        products, steps = estimated(tf.constant(seed))
        probes = Probes()
        probes.add(products.numpy())
        strata = Strata.draw(importance, np.arange(n), DRAWN, seed)
        by_dimension = strata.mean(norms[:, strata.dimensions])
        some = np.random.default_rng(seed).choice(n, DRAWN, replace=False)
        pairs = root_mean_square(cosines[np.ix_(some, some)])
        bounds = extremes(steps[0], steps[1], n)
        found.append([
            covers(probes.trace.value, probes.trace.part, norms.sum(1).mean()),
            covers(probes.mass.value, probes.mass.part, np.mean(np.sum(off**2, (1, 2)))),
            covers(by_dimension.value, by_dimension.part, norms.mean(), DRAWN // 2),
            covers(pairs.value, pairs.standard_error, np.sqrt(np.sum(cosines) / (n * (n - 1))),
                   DRAWN - 1),
            (bounds.outside[:, 0] <= values[:, 0] * (1 + 1e-4) + 1e-5).all(),
            (bounds.outside[:, 1] >= values[:, 1] * (1 - 1e-4)).all()])
        # Ritz values are never outside, but for rounding.
        assert (bounds.inside[:, 1] <= values[:, 1] * (1 + 1e-4)).all()
        assert (bounds.inside[:, 0] >= values[:, 0] * (1 - 1e-4) - 1e-5).all()
    rates = np.mean(found, 0)
    assert (rates[:4] >= LEAST).all() and (rates[4:] >= 0.97).all(), rates


def mixed(n, eigenvalues):
    """A model with Gamma = (1 - sigma^2) H diag(eigenvalues) H, where H = I - 2 q q^T, and q a
    random direction: known eigenvalues, none of them along an axis. And H.
    """
    beta, scale = 0.02, 0.1
    q = np.random.default_rng(0).standard_normal(n)
    q /= np.linalg.norm(q)
    along, roots = tf.constant(q, tf.float32), tf.constant(np.sqrt(eigenvalues), tf.float32)
    gain = np.sqrt((1 - scale**2) * beta / 2) / scale

    def turned(z):
        return z - 2 * tf.reduce_sum(z * along, -1, keepdims=True) * along

    def encode(x):
        mean = x * np.sqrt(1 - scale**2)
        return mean, scale * tf.ones_like(mean)

    return tfisovae.Autoencoder(encode, lambda z: gain * roots * turned(z), "sse", beta), (
        1 - scale**2) * eigenvalues, q


@pytest.mark.parametrize("n", [3000, pytest.param(4096, marks=pytest.mark.slow)])
def test_known_eigenvalues(n):
    """Eigenvalues from .7 to 1.4 without gaps. Norms are mixtures of them, and so is the mass."""
    eigenvalues = np.random.default_rng(1).permutation(np.linspace(0.7, 1.4, n))
    model, values, q = mixed(n, eigenvalues)
    x = np.random.default_rng(2).standard_normal([101, n]).astype(np.float32)
    found = tfisovae.analyze(model, x, inspect=False, tangents="autodiff")
    # Entries of H diag(values) H, without forming it.
    norms = values - 4 * values * q**2 + 4 * q**2 * np.sum(values * q**2)
    mass = np.sum(values**2) - np.sum(norms**2)
    known = found.estimates
    assert found.method == "estimated" and known.norm.value == pytest.approx(
        values.mean(), abs=4 * known.norm.standard_error + 1e-5)
    assert known.off_diagonal.value == pytest.approx(
        np.sqrt(mass / (n * (n - 1))), abs=4 * known.off_diagonal.standard_error)
    np.testing.assert_allclose(found.norm_mean[known.dimensions], norms[known.dimensions],
                               rtol=1e-4)
    # Roots: the Ritz values are inside, and within 4 % of the spread.
    largest, smallest = np.sqrt(1.4), np.sqrt(0.7)
    assert largest - 0.02 < found.stretch.longest <= largest + 1e-4
    assert smallest - 1e-4 <= found.stretch.shortest < smallest + 0.02
    worst = max(largest - 1, 1 - smallest)
    assert found.stretch.error_95 <= worst + 1e-4 <= found.stretch.error_95_bound + 2e-4
    assert found.stretch.error_95_bound < worst + 0.04
    assert found.isometry().state is IsometryState.NOT_ISOMETRIC


def test_one_stretched_direction_that_no_axis_shows():
    """All eigenvalues are 1 but for one, 1.69, along (1, ..., 1) of 1,024 dimensions."""
    n = 1024
    flat, _, _ = mixed(n, np.ones(n))
    model = tfisovae.Autoencoder(flat.encode, lambda z: flat.decode(
        z + 0.3 * tf.reduce_mean(z, -1, keepdims=True)), "sse", flat.beta)
    x = np.random.default_rng(2).standard_normal([101, n]).astype(np.float32)
    found = tfisovae.analyze(model, x, inspect=False, tangents="autodiff")
    assert np.nanmax(np.abs(found.norm_mean[found.estimates.dimensions] / 0.99 - 1)) < 0.005
    assert found.stretch.longest == pytest.approx(1.3, rel=1e-3)
    isometry = found.isometry()
    assert isometry.state is IsometryState.NOT_ISOMETRIC and isometry.failing == (Part.STRETCH,)
    assert "not isometric" in found.summary()
