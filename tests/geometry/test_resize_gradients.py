"""Jacobian-vector products through resized images, against the dense Jacobian of the resize."""
import importlib

import numpy as np
import pytest
import tensorflow as tf

from tfisovae import distortions, geometry
from tfisovae.geometry import pullback, resize_gradients

SSE = distortions.SumSquaredError()


def by_op(name):
    def resize(z, align_corners, half_pixel_centers):
        return getattr(tf.raw_ops,
                       name)(images=tf.reshape(z, [-1, 2, 3, 1]), size=[5, 7],
                             align_corners=align_corners, half_pixel_centers=half_pixel_centers)
    return resize


@pytest.mark.parametrize("corners", [(False, True), (False, False), (True, False)])
@pytest.mark.parametrize("name", ["ResizeNearestNeighbor", "ResizeBilinear", "ResizeBicubic"])
def test_tangents_are_the_columns_of_the_resize(name, corners):
    """A resize is linear: its Jacobian, at any z, is what it makes of the unit vectors; under tanh,
    times the slope of that.
    """
    resize = by_op(name)
    columns = resize(tf.eye(6), *corners)
    z = tf.constant(np.random.default_rng(0).normal(size=(3, 6)), tf.float32)
    x, tangents = pullback.jacobian(lambda z: tf.tanh(resize(z, *corners)), z)
    np.testing.assert_allclose(tangents, columns[:, None] * (1 - x**2), rtol=1e-5, atol=1e-6)


def upsampling_decoder(interpolation):
    return tf.keras.Sequential([
        tf.keras.layers.Input((3, )),
        tf.keras.layers.Dense(8, "tanh"),
        tf.keras.layers.Reshape((2, 2, 2)),
        tf.keras.layers.UpSampling2D(interpolation=interpolation),
        tf.keras.layers.Conv2D(2, 3, padding="same", activation="sigmoid"),
        tf.keras.layers.UpSampling2D((2, 1), interpolation=interpolation)
    ])


@pytest.mark.slow
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic"])
def test_pullback_metric_of_upsampling_decoders(interpolation, tmp_path):
    """In Keras, and in a loaded SavedModel, in graphs: J^T J of the dense Jacobian, which takes
    first derivatives alone.
    """
    decoder, z = upsampling_decoder(interpolation), tf.random.normal([4, 3])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(z)
        x = tf.reshape(decoder(z), [4, -1])
    j = tape.batch_jacobian(x, z, experimental_use_pfor=False).numpy()
    expected = np.einsum("bmi,bmj->bij", j, j)
    module = tf.Module()
    module.decoder, spec = decoder.weights, tf.TensorSpec([None, 3])
    tf.saved_model.save(module, str(tmp_path),
                        tf.function(lambda z: {"x": decoder(z)}).get_concrete_function(spec))
    loaded = tf.saved_model.load(str(tmp_path))
    signature = loaded.signatures["serving_default"]
    for decode in (decoder, lambda z: next(iter(signature(z).values()))):
        assert pullback.tangent_method(decode, z) == "autodiff"
        metric = tf.function(lambda z, decode=decode: geometry.pullback_metric(decode, z, SSE))(z)
        np.testing.assert_allclose(metric, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_registering_twice_changes_nothing():
    importlib.reload(resize_gradients)
    x, tangents = pullback.jacobian(
        lambda z: tf.image.resize(tf.reshape(z, [-1, 1, 2, 1]), [1, 4], "nearest"), tf.zeros([1,
                                                                                              2]))
    np.testing.assert_array_equal(np.reshape(tangents, [2, 4]), [[1, 1, 0, 0], [0, 0, 1, 1]])
