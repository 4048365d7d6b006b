"""The paper's networks: parameter counts by hand, and layers against the libraries' own."""
import numpy as np
import pytest
import tensorflow as tf

from tests.messages import refuses
from tfisovae import networks


def dense(i, o):
    return i * o + o


def conv(k, i, o):
    return k * k * i * o + o


GDN64 = 64 * 64 + 64


@pytest.mark.parametrize("pair, encoder, decoder", [
    (lambda: networks.toy(), dense(16, 128) + dense(128, 64) + 2 * dense(64, 3),
     dense(3, 64) + dense(64, 128) + dense(128, 16)),
    (lambda: networks.celeba(), conv(9, 3, 64) + 3 * conv(5, 64, 64) + 4 * GDN64
     + dense(1024, 1024) + 2 * dense(1024, 32), dense(32, 1024) + dense(1024, 1024)
     + 3 * conv(5, 64, 64) + 3 * GDN64 + conv(9, 64, 3) + 3 * 3 + 3),
    (lambda: networks.celeba(latent_dim=8, output_igdn=False),
     conv(9, 3, 64) + 3 * conv(5, 64, 64) + 4 * GDN64 + dense(1024, 1024) + 2 * dense(1024, 8),
     dense(8, 1024) + dense(1024, 1024) + 3 * conv(5, 64, 64) + 3 * GDN64 + conv(9, 64, 3)),
    (lambda: networks.celeba_large(), conv(9, 3, 64) + 3 * conv(5, 64, 64) + 4 * GDN64
     + dense(1024, 2048) + 2 * dense(2048, 256), dense(256, 2048) + dense(2048, 1024)
     + 3 * conv(5, 64, 64) + 3 * GDN64 + conv(9, 64, 3) + 3 * 3 + 3),
    (lambda: networks.mnist(32), dense(784, 1024) + dense(1024, 1024) + 2 * dense(1024, 32),
     dense(32, 1024) + dense(1024, 1024) + dense(1024, 784)),
], ids=["toy", "celeba", "celeba_8", "celeba_large", "mnist"])
def test_parameter_counts(pair, encoder, decoder):
    built = pair()
    assert [model.count_params() for model in built] == [encoder, decoder]
    n = built[1].input_shape[-1]
    assert built[0].output_shape == (None, 2 * n)
    assert built[1].output_shape == built[0].input_shape


@pytest.mark.parametrize("image_size, channels", [(16, 1), (48, 3), (64, 1), (128, 3)])
def test_celeba_for_other_images(image_size, channels):
    """Only the first and last layers know the channels, and only the dense layers beside the inmost
    features the size.
    """
    n, inmost = 5, 64 * (image_size // 16) ** 2
    encoder, decoder = networks.celeba(n, image_size=image_size, channels=channels)
    assert encoder.input_shape == decoder.output_shape == (None, image_size, image_size, channels)
    assert encoder.count_params() == (conv(9, channels, 64) + 3 * conv(5, 64, 64) + 4 * GDN64
                                      + dense(inmost, 1024) + 2 * dense(1024, n))
    assert decoder.count_params() == (dense(n, 1024) + dense(1024, inmost) + 3 * conv(5, 64, 64)
                                      + 3 * GDN64 + conv(9, 64, channels) + channels**2 + channels)
    x = np.random.default_rng(0).uniform(size=(2, image_size, image_size, channels)).astype(
        np.float32)
    x_hat = decoder(encoder(x)[:, :n])
    assert x_hat.shape == x.shape and np.all(np.isfinite(x_hat))


@pytest.mark.parametrize("options, message", [
    ({"image_size": 40}, "image_size"),
    ({"image_size": 0}, ""),
    ({"image_size": 64.0}, ""),
    ({"channels": 0}, "channels"),
])
def test_celeba_for_images_that_there_are_not(options, message):
    for make in (networks.celeba, networks.celeba_large):
        with refuses(ValueError, message):
            make(**options)


def assert_same_gradients(ours, theirs, x):
    """Of the sum of squares of two layers' outputs, to the inputs and to every variable."""
    gradients = []
    for layer in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(x)
            loss = tf.reduce_sum(tf.square(layer(x)))
        gradients.append(tape.gradient(loss, [x, *layer.trainable_variables]))
    for a, b in zip(*gradients):
        np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(b).max())


@pytest.mark.parametrize("inputs", [1, 3, 4, 7])
def test_dense_is_a_dense_layer(inputs):
    x = tf.constant(np.random.default_rng(0).standard_normal((5, inputs)), tf.float32)
    ours, theirs = networks.Dense(6, "tanh"), tf.keras.layers.Dense(6, "tanh",
                                                                    bias_initializer="ones")
    ours(x), theirs(x)
    ours.set_weights(theirs.get_weights())
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-6)
    assert_same_gradients(ours, theirs, x)


@pytest.mark.parametrize("kernel_size, filters", [(9, 3), (5, 2), (13, 1)])
def test_upsample2_is_a_transposed_convolution(kernel_size, filters):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((2, 6, 5, 4)), tf.float32)
    ours, theirs = networks.Upsample2(filters, kernel_size), tf.keras.layers.Conv2DTranspose(
        filters, kernel_size, 2, "same")
    ours(x), theirs(x)
    ours.set_weights([rng.standard_normal(w.shape) for w in theirs.get_weights()])
    theirs.set_weights(ours.get_weights())
    scale = np.abs(theirs(x)).max()
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6 * scale)
    assert_same_gradients(ours, theirs, x)


def test_upsample2_refuses_kernels_it_would_get_wrong():
    with refuses(ValueError, "kernel_size"):
        networks.Upsample2(3, 7)


@pytest.mark.parametrize("inverse", [False, True])
def test_gdn_is_that_of_tensorflow_compression(inverse, tfc):
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((2, 3, 3, 5)), tf.float32)
    ours, theirs = networks.GDN(inverse=inverse), tfc.GDN(inverse=inverse)
    ours(x), theirs(x)
    for a, b in zip(ours.trainable_variables, theirs.trainable_variables):
        values = b + rng.uniform(0, 0.2, b.shape)
        a.assign(values), b.assign(values)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-6)
    beta, gamma = ours.beta.numpy(), ours.gamma.numpy()
    pool = beta + np.abs(x) @ gamma
    np.testing.assert_allclose(ours(x), x * pool if inverse else x / pool, rtol=1e-5)


def test_gdn_configuration_holds_no_parameters():
    layer = networks.GDN(inverse=True)
    layer(tf.ones([1, 2, 2, 3]))
    copy = networks.GDN.from_config(layer.get_config())
    copy(tf.ones([1, 2, 2, 3]))
    assert copy.inverse and len(copy.trainable_variables) == 2


@pytest.mark.parametrize("latent_dim", [0, -1, 2.5])
def test_latent_dim_must_be_positive(latent_dim):
    for make in (networks.toy, networks.celeba, networks.celeba_large, networks.mnist):
        with refuses(ValueError, "latent_dim"):
            make(latent_dim=latent_dim)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_heads_are_float32_under_mixed_precision(policy):
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        encoder, decoder = networks.celeba(4)
        x = np.random.default_rng(0).uniform(size=(2, 64, 64, 3)).astype(np.float32)
        parameters, x_hat = encoder(x), decoder(np.zeros([2, 4], np.float32))
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert parameters.dtype == x_hat.dtype == tf.float32
    assert np.all(np.isfinite(parameters)) and np.all(np.isfinite(x_hat))
    assert encoder.layers[0].compute_dtype == policy.removeprefix("mixed_")
