"""Products with Gamma that never form it: closed forms for linear decoders of every size."""
import numpy as np
import pytest
import tensorflow as tf

from tfisovae import distortions
from tfisovae._autograph import compiled
from tfisovae.autoencoder.noise import noise_rows
from tfisovae.geometry import pullback
from tfisovae.geometry.estimated import Probes, extremes
from tfisovae.geometry.products import Linearized, lanczos, probe

SSE = distortions.SumSquaredError()


def normal(z, seed=0):
    return lambda step: noise_rows(tf.shape(z)[0], z.shape[-1], seed, step)


def measured(decode, z, weights, steps, num_probes=8, distortion=SSE):
    """v_j (Gamma v)_j and Lanczos' tridiagonal matrix, as one compiled call."""
    def function(z):
        product = Linearized(decode, z, distortion).gram(weights)
        mask = tf.cast(weights != 0, z.dtype)
        signs = tf.stack([tf.sign(normal(z, 1)(k)) * mask for k in range(num_probes)])
        return probe(product, signs), lanczos(product, lambda k: mask * normal(z)(k), steps)

    return tf.nest.map_structure(np.asarray, compiled(function)(z))


def curved(seed=0, n=6, m=9):
    rng = np.random.default_rng(seed)
    a, b = (tf.constant(rng.standard_normal(shape), tf.float32) for shape in ([n, m], [m, m]))
    return lambda z: tf.math.softplus(tf.tanh(z @ a) @ b)


def test_products_are_those_of_the_matrix():
    """Of a curved decoder and a metric that is no multiple of the identity; one weight is 0."""
    decode, bce = curved(), distortions.BinaryCrossentropy("sum")
    squashed = lambda z: tf.sigmoid(decode(z) - 1)  # noqa: E731
    rng = np.random.default_rng(0)
    z = tf.constant(rng.standard_normal([5, 6]), tf.float32)
    weights = tf.constant(rng.uniform(0.5, 2, [5, 6]) * (np.arange(6) != 2), tf.float32)
    gram = (pullback.pullback_metric(squashed, z, bce) * weights[:, :, None] *
            weights[:, None, :]).numpy()
    linear = Linearized(squashed, z, bce)
    v = rng.standard_normal([5, 6]).astype(np.float32)
    np.testing.assert_allclose(linear.gram(weights)(v), np.einsum("bjk,bk->bj", gram, v), rtol=1e-4,
                               atol=1e-4 * np.abs(gram).max())
    chosen = np.array([4, 0, 3])
    np.testing.assert_allclose(linear.gram_of(chosen, weights), gram[:, chosen[:, None], chosen],
                               rtol=1e-4, atol=1e-4 * np.abs(gram).max())
    # By differences, to the second order of a step of 5e-3.
    np.testing.assert_allclose(
        Linearized(squashed, z, bce, "differences").gram_of(chosen, weights),
        gram[:, chosen[:, None], chosen], rtol=1e-2, atol=1e-2 * np.abs(gram).max())
    # As many steps as there are dimensions with a weight: the eigenvalues are exact.
    _, tridiagonal = measured(squashed, z, weights, 5, distortion=bce)
    kept = np.array([0, 1, 3, 4, 5])
    values = np.linalg.eigvalsh(gram[:, kept[:, None], kept])
    found = extremes(*tridiagonal, 5)
    np.testing.assert_allclose(found.inside, values[:, [0, -1]], atol=2e-5 * values.max())
    np.testing.assert_allclose(found.outside, found.inside)


def test_an_identity_breaks_off_at_the_first_step():
    """Gamma = 4 I: every vector is an eigenvector, and nothing of the second one is left."""
    z = tf.zeros([3, 50])
    probes, (diagonal, beside) = measured(lambda z: 2 * z, z, tf.ones([3, 50]), 10)
    np.testing.assert_allclose(diagonal, 4.0, rtol=1e-5)
    np.testing.assert_allclose(beside, 0.0)
    np.testing.assert_allclose(probes, 4.0, rtol=1e-6)  # without any error
    found = extremes(diagonal, beside, 50)
    np.testing.assert_allclose(found.outside, 4.0, rtol=1e-5)


def test_few_different_eigenvalues_are_found_exactly():
    """Two eigenvalues, 1 and 9: the space is invariant after two steps, and the rest adds nothing
    that is not there.
    """
    sides = tf.constant([1.0] * 20 + [3.0] * 20)
    _, tridiagonal = measured(lambda z: sides * z, tf.zeros([2, 40]), tf.ones([2, 40]), 8)
    np.testing.assert_allclose(extremes(*tridiagonal, 40).inside, [[1, 9]] * 2, rtol=1e-4)


@pytest.mark.parametrize("n", [256, 4096])
def test_one_stretched_direction_that_no_axis_shows(n):
    """Gamma = I + 8 q q^T with q along (1, ..., 1): norms are 1 + 8 / n, cosines 8 / n, and one
    direction is stretched 3-fold.
    """
    q = tf.fill([n], n ** -0.5)
    decode = lambda z: z + 2 * tf.reduce_sum(q * z, -1, keepdims=True) * q  # noqa: E731
    z = tf.zeros([12, n])
    products, tridiagonal = measured(decode, z, tf.ones([12, n]), 10, 16)
    found = extremes(*tridiagonal, n)
    np.testing.assert_allclose(found.inside, [[1, 9]] * 12, rtol=1e-3)
    probes = Probes()
    probes.add(products)
    mass = 64 * (n - 1) / n
    assert probes.trace.value == pytest.approx(n + 8, abs=4 * probes.trace.standard_error)
    assert probes.mass.value == pytest.approx(mass, abs=4 * probes.mass.standard_error)
    assert probes.mass.standard_error < 0.3 * mass


def test_known_eigenvalues_of_3000_dimensions():
    """Eigenvalues from .25 to 4 without gaps, behind a reflection: the largest miss of 30 steps is
    within the bound, which is 4 % of the spread here.
    """
    n = 3000
    q = tf.math.l2_normalize(tf.constant(np.random.default_rng(0).standard_normal(n), tf.float32))
    sides = tf.constant(np.linspace(0.5, 2, n), tf.float32)
    decode = lambda z: sides * (z - 2 * tf.reduce_sum(q * z, -1, keepdims=True) * q)  # noqa: E731
    _, tridiagonal = measured(decode, tf.zeros([4, n]), tf.ones([4, n]), 30, 2)
    found = extremes(*tridiagonal, n)
    assert (found.inside[:, 0] >= 0.25 - 1e-5).all() and (found.inside[:, 1] <= 4 + 1e-4).all()
    assert (found.inside[:, 0] < 0.3).all() and (found.inside[:, 1] > 3.95).all()
    assert (found.outside[:, 0] <= 0.25).all() and (found.outside[:, 1] >= 4).all()
    assert (found.outside[:, 1] < 4.2).all()


def test_seeds_and_rows_decide_the_probes():
    """Each row has its own numbers, whatever the batch."""
    together = noise_rows(4, 10, 3, 7).numpy()
    np.testing.assert_array_equal(together[2:], noise_rows(2, 10, 3, 7, 2))
    assert (together[0] != together[1]).all()


def test_a_saved_model_has_products(tmp_path):
    """Signatures of a loaded SavedModel can be linearised once for all products of a loop."""
    layers = [tf.keras.layers.Input((6, )), tf.keras.layers.Dense(8, "tanh"),
              tf.keras.layers.Dense(9)]
    network = tf.keras.Sequential(layers)
    tf.saved_model.save(network, str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    signature = loaded.signatures["serving_default"]
    z = tf.constant(np.random.default_rng(0).standard_normal([3, 6]), tf.float32)
    _, tridiagonal = measured(lambda z: list(signature(z).values())[0], z, tf.ones([3, 6]), 6)
    values = np.linalg.eigvalsh(pullback.pullback_metric(network, z, SSE))
    np.testing.assert_allclose(extremes(*tridiagonal, 6).inside, values[:, [0, -1]], atol=1e-4)
