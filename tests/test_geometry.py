"""The pullback metric on decoders whose Jacobians are known."""
import numpy as np
import pytest
import tensorflow as tf

from tfisovae import distortions, geometry, networks

SSE = distortions.SumSquaredError()


def linear(matrix):
    return lambda z: z @ tf.constant(matrix, tf.float32)


def curved(z):
    """`[B, 2] -> [B, 3]` with J = [[e^a, 0], [b, a], [0, 2 b]] columns by variable."""
    a, b = z[:, 0], z[:, 1]
    return tf.stack([tf.exp(a), a * b, b * b], -1)


def curved_metric(z):
    j = np.array([[[np.exp(a), 0], [b, a], [0, 2 * b]] for a, b in z])
    return j.transpose(0, 2, 1) @ j


ROTATION = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 3)))[0].T
DECODERS = {"isometric": ROTATION, "skewed": np.array([[1.0, 0, 0, 0, 0], [0.8, 0.6, 0, 0, 0], [0, 0, 2, 0, 0]]),
            "collapsed": ROTATION * [[1], [0], [2]], "constant": 0 * ROTATION}


@pytest.mark.parametrize("name", DECODERS)
def test_linear_decoders(name):
    """J^T J is known, the same at every z, by both methods; and Gamma carries 2 / beta and both scales."""
    matrix = DECODERS[name]
    z = tf.random.normal([7, 3])
    expected = np.broadcast_to(matrix @ matrix.T, [7, 3, 3])
    np.testing.assert_allclose(geometry.pullback_metric(linear(matrix), z, SSE), expected, atol=1e-6)
    np.testing.assert_allclose(geometry.numerical_derivatives(linear(matrix), z, SSE),
                               np.diagonal(expected, axis1=1, axis2=2), atol=5e-4)
    scale = tf.random.uniform([7, 3], 0.1, 1)
    gram = geometry.isometry_gram(linear(matrix), z, scale, SSE, beta=0.02)
    np.testing.assert_allclose(gram, 100 * scale[:, :, None] * scale[:, None] * expected, atol=1e-4)


def test_curved_decoder_in_a_graph_and_over_groups():
    """200 rows of n = 2 take several groups and a last one that is not full."""
    z = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32)
    metric = tf.function(lambda z: geometry.pullback_metric(curved, z, SSE),
                         input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    np.testing.assert_allclose(metric(z), curved_metric(z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(metric(z[:3]), curved_metric(z[:3]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(geometry.pullback_metric(curved, z, SSE), curved_metric(z), rtol=1e-4, atol=1e-5)


def test_any_metric_tensor():
    """J^T G J with a metric that varies over the data, against NumPy."""
    z = np.array([[0.3, 0.5], [-1.0, 0.2]], np.float32)
    x = curved(tf.constant(z)).numpy()
    scale = 2 / 3 + 2 / 21 * (x**2).sum(-1)
    np.testing.assert_allclose(geometry.pullback_metric(curved, z, distortions.DownwardConvex()),
                               scale[:, None, None] * curved_metric(z), rtol=1e-5)


def test_finite_difference_of_the_exponential():
    """D' of e^z at .5 with eps = .01 is 2.745624 forward, 2.718282 exactly; in float64 to all digits."""
    z = tf.constant([[0.5]], tf.float64)
    np.testing.assert_allclose(geometry.numerical_derivatives(tf.exp, z, SSE), [[2.745624]], rtol=1e-6)
    np.testing.assert_allclose(geometry.pullback_metric(tf.exp, z, SSE), [[[2.718282]]], rtol=1e-6)


def test_finite_difference_is_of_the_first_order():
    z = tf.constant([[0.5]], tf.float64)
    errors = [float(geometry.numerical_derivatives(tf.exp, z, SSE, epsilon=e)[0, 0]) - np.exp(1.0) for e in (1e-2, 1e-3, 1e-4)]
    np.testing.assert_allclose(np.divide(errors[:2], errors[1:]), 10, rtol=0.05)


def test_both_methods_agree_on_the_papers_network():
    """SSIM and GDN, float32: no cancellation. (The finite difference itself is off by O(epsilon) at a single point.)"""
    _, decoder = networks.celeba(8)
    z = tf.random.normal([6, 8])
    exact = tf.linalg.diag_part(tf.function(lambda z: geometry.pullback_metric(decoder, z, distortions.SSIM()))(z))
    numerical = tf.function(lambda z: geometry.numerical_derivatives(decoder, z, distortions.SSIM()))(z)
    np.testing.assert_allclose(numerical, exact, rtol=0.01)
    np.testing.assert_allclose(np.mean(numerical, 0), np.mean(exact, 0), rtol=0.002)


def test_a_pullback_is_a_metric():
    _, decoder = networks.celeba(5)
    metric = geometry.pullback_metric(decoder, tf.random.normal([3, 5]), distortions.SSIM()).numpy()
    np.testing.assert_allclose(metric, metric.transpose(0, 2, 1), rtol=1e-3, atol=1e-7 * metric.max())
    assert np.linalg.eigvalsh(metric).min() > -1e-6 * metric.max()


def test_jacobian_against_the_tapes():
    x, tangents = geometry.jacobian(curved, tf.constant([[0.3, 0.5], [-1.0, 0.2]]))
    z = tf.constant([[0.3, 0.5], [-1.0, 0.2]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        y = curved(z)
    np.testing.assert_allclose(x, y)
    np.testing.assert_allclose(np.moveaxis(tangents, 0, -1), tape.batch_jacobian(y, z), rtol=1e-6)


def test_shape_errors():
    with pytest.raises(ValueError, match=r"z must have the shape \[batch, n\] with n known; got \(3,\)"):
        geometry.pullback_metric(curved, tf.zeros([3]), SSE)
