"""The pullback metric on decoders whose Jacobians are known."""
import numpy as np
import pytest
import tensorflow as tf

from tests.messages import refuses
from tfisovae import distortions, geometry, networks
from tfisovae.geometry import pullback

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
DECODERS = {
    "isometric": ROTATION, "skewed": np.array([[1.0, 0, 0, 0, 0], [0.8, 0.6, 0, 0, 0],
                                               [0, 0, 2, 0, 0]]),
    "collapsed": ROTATION * [[1], [0], [2]], "constant": 0 * ROTATION
}


@pytest.mark.parametrize("name", DECODERS)
def test_linear_decoders(name):
    """J^T J is known, the same at every z, by both methods; and Gamma carries 2 / beta and both
    scales.
    """
    matrix = DECODERS[name]
    z = tf.random.normal([7, 3])
    expected = np.broadcast_to(matrix @ matrix.T, [7, 3, 3])
    np.testing.assert_allclose(geometry.pullback_metric(linear(matrix), z, SSE), expected,
                               atol=1e-6)
    np.testing.assert_allclose(geometry.numerical_derivatives(linear(matrix), z, SSE),
                               np.diagonal(expected, axis1=1, axis2=2), atol=5e-4)
    scale = tf.random.uniform([7, 3], 0.1, 1)
    gram = geometry.isometry_gram(linear(matrix), z, scale, SSE, beta=0.02)
    np.testing.assert_allclose(gram, 100 * scale[:, :, None] * scale[:, None] * expected, atol=1e-4)


@pytest.mark.slow
def test_curved_decoder_in_a_graph_and_over_groups():
    """200 rows of n = 2 take several groups and a last one that is not full."""
    z = np.random.default_rng(0).standard_normal((200, 2)).astype(np.float32)
    metric = tf.function(lambda z: geometry.pullback_metric(curved, z, SSE),
                         input_signature=[tf.TensorSpec([None, 2], tf.float32)])
    np.testing.assert_allclose(metric(z), curved_metric(z), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(metric(z[:3]), curved_metric(z[:3]), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(geometry.pullback_metric(curved, z, SSE), curved_metric(z),
                               rtol=1e-4, atol=1e-5)


def test_any_metric_tensor():
    """J^T G J with a metric that varies over the data, against NumPy."""
    z = np.array([[0.3, 0.5], [-1.0, 0.2]], np.float32)
    x = curved(tf.constant(z)).numpy()
    scale = 2 / 3 + 2 / 21 * (x**2).sum(-1)
    np.testing.assert_allclose(geometry.pullback_metric(curved, z, distortions.DownwardConvex()),
                               scale[:, None, None] * curved_metric(z), rtol=1e-5)


def test_finite_difference_of_the_exponential():
    """D' of e^z at .5 with eps = .01 is 2.745624 forward, 2.718282 exactly; in float64 to all
    digits.
    """
    z = tf.constant([[0.5]], tf.float64)
    np.testing.assert_allclose(geometry.numerical_derivatives(tf.exp, z, SSE), [[2.745624]],
                               rtol=1e-6)
    np.testing.assert_allclose(geometry.pullback_metric(tf.exp, z, SSE), [[[2.718282]]], rtol=1e-6)


def test_finite_difference_is_of_the_first_order():
    z = tf.constant([[0.5]], tf.float64)
    errors = [
        float(geometry.numerical_derivatives(tf.exp, z, SSE, epsilon=e)[0, 0]) - np.exp(1.0)
        for e in (1e-2, 1e-3, 1e-4)
    ]
    np.testing.assert_allclose(np.divide(errors[:2], errors[1:]), 10, rtol=0.05)


@pytest.mark.slow
def test_both_methods_agree_on_the_papers_network():
    """SSIM and GDN, float32: no cancellation. (The finite difference itself is off by O(epsilon) at
    a single point.)
    """
    _, decoder = networks.celeba(8)
    z = tf.random.normal([6, 8])
    exact = tf.linalg.diag_part(
        tf.function(lambda z: geometry.pullback_metric(decoder, z, distortions.SSIM()))(z))
    numerical = tf.function(
        lambda z: geometry.numerical_derivatives(decoder, z, distortions.SSIM()))(z)
    np.testing.assert_allclose(numerical, exact, rtol=0.01)
    np.testing.assert_allclose(np.mean(numerical, 0), np.mean(exact, 0), rtol=0.002)


def test_a_pullback_is_a_metric():
    _, decoder = networks.celeba(5)
    metric = geometry.pullback_metric(decoder, tf.random.normal([3, 5]), distortions.SSIM()).numpy()
    np.testing.assert_allclose(metric, metric.transpose(0, 2, 1), rtol=1e-3,
                               atol=1e-7 * metric.max())
    assert np.linalg.eigvalsh(metric).min() > -1e-6 * metric.max()


def test_jacobian_against_the_tapes():
    x, tangents = pullback.jacobian(curved, tf.constant([[0.3, 0.5], [-1.0, 0.2]]))
    z = tf.constant([[0.3, 0.5], [-1.0, 0.2]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        y = curved(z)
    np.testing.assert_allclose(x, y)
    np.testing.assert_allclose(np.moveaxis(tangents, 0, -1), tape.batch_jacobian(y, z), rtol=1e-6)


def test_shape_errors():
    with refuses(ValueError, "z"):
        geometry.pullback_metric(curved, tf.zeros([3]), SSE)


def trained_like(decoder, gain):
    """Weights as training leaves them: larger in the first layer, which is where scales of .1 and
    less come from.
    """
    first = decoder.layers[0]
    first.set_weights(
        [gain * first.kernel,
         np.random.default_rng(0).normal(0, 0.3, first.bias.shape)])
    return decoder


NETWORKS = {
    "toy": (lambda: networks.toy(), 4.0, "sse", 30),
    "celeba": (lambda: networks.celeba(4), 3.0, "ssim", 4), "mnist": (
        lambda: networks.mnist(4), 1.0, "bce", 600)
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_differences_agree_with_autodiff_on_the_packages_networks(name):
    """Means over the data to 1e-3. (At single points of relu networks a kink may lie between the
    two decodes.)
    """
    make, gain, distortion, rows = NETWORKS[name]
    decoder, distortion = trained_like(make()[1], gain), distortions.get(distortion)
    z = tf.random.normal([rows, decoder.input_shape[-1]])
    exact, numerical = (tf.function(
        lambda z, how=how: geometry.pullback_metric(decoder, z, distortion, how))(z).numpy()
                        for how in ("autodiff", "differences"))
    np.testing.assert_allclose(numerical.mean(0), exact.mean(0),
                               atol=1e-3 * np.abs(exact.mean(0)).max())
    np.testing.assert_allclose(np.diagonal(numerical.mean(0)), np.diagonal(exact.mean(0)),
                               rtol=1e-3)
    assert pullback.tangent_method(decoder, z) == "autodiff"


@pytest.mark.parametrize("dtype, digits", [(tf.float32, 1e-4), (tf.float64, 1e-7)])
def test_differences_against_the_known_metric(dtype, digits):
    """To the digits that the precision allows, in every function that takes `tangents`."""
    z = np.random.default_rng(0).standard_normal((70, 2))
    expected, tensor = curved_metric(z), tf.constant(z, dtype)
    metric = geometry.pullback_metric(curved, tensor, SSE, "differences")
    assert metric.dtype == dtype
    np.testing.assert_allclose(metric, expected, rtol=digits, atol=10 * digits)
    scale = tf.fill(tensor.shape, tf.constant(0.1, dtype))
    np.testing.assert_allclose(
        geometry.isometry_gram(curved, tensor, scale, SSE, 0.02, "differences"), expected,
        rtol=digits, atol=10 * digits)
    x, tangents = pullback.jacobian(curved, tensor, "differences")
    j = np.moveaxis(tangents, 0, -1)
    np.testing.assert_allclose(x, curved(tensor))
    np.testing.assert_allclose(np.einsum("bmi,bmj->bij", j, j), expected, rtol=digits,
                               atol=10 * digits)


def test_differences_are_of_the_second_order(monkeypatch):
    z, errors = tf.constant([[0.5]], tf.float64), []
    for step in (1e-1, 1e-2, 1e-3):
        monkeypatch.setitem(pullback._STEPS, tf.float64, step)
        errors.append(
            float(geometry.pullback_metric(tf.exp, z, SSE, "differences")[0, 0, 0]) - np.exp(1.0))
    np.testing.assert_allclose(np.divide(errors[:2], errors[1:]), 100, rtol=0.02)


@pytest.mark.parametrize("tangents", ["autodiff", "differences"])
def test_slopes_of_the_distortion(tangents):
    """dD/dz_j = 2 (curved(z) - x) . J e_j for the sum of squares, over groups and with a last one
    that is not full.
    """
    rng = np.random.default_rng(0)
    z, x = rng.standard_normal((70, 2)).astype(np.float32), rng.standard_normal(
        (70, 3)).astype(np.float32)
    j = np.array([[[np.exp(a), 0], [b, a], [0, 2 * b]] for a, b in z])
    expected = 2 * np.einsum("bm,bmj->bj", curved(z) - x, j)
    slopes = tf.function(lambda z, x: pullback.distortion_slopes(curved, z, x, SSE, tangents))
    np.testing.assert_allclose(slopes(tf.constant(z), tf.constant(x)), expected, rtol=1e-4,
                               atol=1e-3)


def half_connected(z):
    """curved(z), of whose derivative TensorFlow sees a part."""
    return curved(z) + tf.numpy_function(lambda z: z @ np.float32([[1, 0, 1], [0, 1, 0]]), [z],
                                         tf.float32)


@tf.custom_gradient
def mistaken(z):
    return tf.sin(z), lambda cotangent: 1.1 * tf.cos(z) * cotangent


@tf.custom_gradient
def mistaken_zeros(z):
    return 0.3 * z, lambda cotangent: 0 * cotangent


def without_gradient(z):
    return tf.raw_ops.ResizeArea(images=tf.reshape(z, [-1, 1, 2, 1]), size=[1, 4])


def without_second_gradient(z):
    return tf.nn.softsign(z)


def of_numpy(z):
    x = tf.numpy_function(lambda z: np.tanh(z), [z], tf.float32)
    return tf.ensure_shape(x, z.shape)


def looped(z):
    return tf.while_loop(lambda k, x: k < 3, lambda k, x: (k + 1, tf.sin(x)), [0, z])[1]


DIFFERENTIABLE = {
    "known": curved, "linear": linear(ROTATION[:2]), "constant": linear(0 * ROTATION[:2]),
    "steep": lambda z: tf.sin(100 * z), "far from 0": lambda z: 1000 + curved(z),
    "random": lambda z: curved(z) + tf.random.normal([3])
}
OTHERS = {
    "zeros far from 0": lambda z: 1000 + mistaken_zeros(z), "half connected": half_connected,
    "mistaken": mistaken, "without gradient": without_gradient,
    "without second gradient": without_second_gradient, "numpy": of_numpy,
    "numpy in a graph": tf.function(of_numpy), "without z": lambda z: tf.ones([len(z), 3]),
    "loop": looped, "loop in a function": tf.function(looped)
}


@pytest.mark.parametrize("name", [*DIFFERENTIABLE, *OTHERS])
def test_the_choice_of_tangents(name):
    """Autodiff wherever it is right, unless there is a loop: also where steps are too long, or
    rounding hides the differences, or decodes are random.
    """
    decode = {**DIFFERENTIABLE, **OTHERS}[name]
    z = tf.random.normal([6, 2])
    assert pullback.tangent_method(decode,
                                   z) == ("autodiff" if name in DIFFERENTIABLE else "differences")


def through(function):
    """A function of arrays as a decoder."""
    return lambda z: tf.ensure_shape(tf.numpy_function(
        lambda z: function(z).astype(z.dtype), [z], tf.float32), z.shape)


JUMPS = {
    "argmax": lambda z: tf.one_hot(tf.argmax(z, -1), 2), "round": lambda z: tf.round(10 * z),
    "integers": lambda z: tf.cast(tf.cast(3 * z, tf.int32), tf.float32),
    "straight through": lambda z: z + tf.stop_gradient(tf.round(5 * z) / 5 - z),
    "few digits": through(lambda z: np.round(np.tanh(z), 2))
}
SMOOTH = {
    "kinks": through(lambda z: np.maximum(z, 0.1 * z)), "steep": through(lambda z: np.sin(100 * z)),
    "flat": through(lambda z: 1 + 1e-7 * np.tanh(z)), "constant": through(np.ones_like)
}


@pytest.mark.parametrize("name", [*JUMPS, *SMOOTH])
def test_a_decoder_that_jumps_has_no_derivative(name):
    """Finite differences of it would be numbers without a meaning."""
    z = tf.random.normal([6, 2])
    if name in SMOOTH:
        assert pullback.tangent_method(SMOOTH[name], z) == "differences"
        return
    with refuses(ValueError, "jumps"):
        pullback.tangent_method(JUMPS[name], z)


def test_loops_of_many_dimensions_need_autodiff():
    z = tf.random.normal([4, 301])
    assert pullback.tangent_method(looped, z) == "autodiff"
    assert pullback.tangent_method(looped, z[:, :300]) == "differences"


def test_what_has_no_derivative_is_not_zero():
    z = tf.random.normal([3, 2])
    for decode in (of_numpy, tf.function(of_numpy), without_gradient):  # first derivatives
        for measure in (geometry.pullback_metric,
                        lambda decode, z, d: pullback.distortion_slopes(decode, z, decode(z), d)):
            with refuses(ValueError, "tangents"):
                measure(decode, z, SSE)
    expected = [np.diag(slopes**2) for slopes in 1 - np.tanh(z)**2]
    np.testing.assert_allclose(geometry.pullback_metric(of_numpy, z, SSE, "differences"), expected,
                               rtol=1e-4, atol=1e-5)
    with refuses(ValueError, "tangents"):
        geometry.pullback_metric(curved, z, SSE, "forward")
