"""Spatial latent spaces: means and variances of the shape [B, h, w, c]."""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import theory

layers = tf.keras.layers
BETA, VARIANCE = 0.05, np.array([4.0, 1.0])
BEST = theory.LinearVAE(VARIANCE, BETA)


def convolution(matrix, bias, shape):
    """A Keras model that applies a matrix `[inputs, outputs]` at each place."""
    made = tf.keras.Sequential([layers.Input(shape), layers.Conv2D(matrix.shape[1], 1)])
    made.set_weights([matrix[None, None].astype(np.float32), bias.astype(np.float32)])
    return made


@pytest.fixture(scope="module")
def pair():
    """The optimal linear VAE of two channels at 3 x 2 places: moments of 4 channels, as
    AutoencoderKL has them.
    """
    gains = np.concatenate([np.diag(BEST.encoder_gain), np.zeros([2, 2])], 1)
    encoder = convolution(gains, np.concatenate([np.zeros(2), 2 * np.log(BEST.scale)]), (3, 2, 2))
    return encoder, convolution(np.diag(BEST.decoder_gain), np.zeros(2), (3, 2, 2))


def data(count=400):
    rng = np.random.default_rng(0)
    return (rng.standard_normal([count, 3, 2, 2]) * np.sqrt(VARIANCE)).astype(np.float32)


def test_it_is_measured_as_a_vector(pair):
    x, autoencoder = data(), tfisovae.as_autoencoder(pair, "sse", BETA)
    mean, scale = autoencoder.encode(x)
    assert mean.shape == scale.shape == (400, 12)
    assert autoencoder.encode.latent_shape == (3, 2, 2)
    np.testing.assert_allclose(tf.reshape(mean, [-1, 3, 2, 2]), x * BEST.encoder_gain, rtol=1e-5)
    np.testing.assert_allclose(autoencoder.decode(mean),
                               x * BEST.encoder_gain * BEST.decoder_gain, rtol=1e-5)


def test_channels_have_a_cost_of_removal(pair):
    """h w (v_c - beta / 2), exactly and estimated."""
    x = data()
    exact = tfisovae.analyze(pair, x, distortion="sse", beta=BETA)
    found = tfisovae.analyze(pair, x, distortion="sse", beta=BETA, method="estimated")
    assert exact.method == "exact" and exact.latent_shape == found.latent_shape == (3, 2, 2)
    np.testing.assert_allclose(exact.norm_mean, np.tile(BEST.norm, 6), rtol=1e-4)
    expected = 6 * (VARIANCE - BETA / 2)
    error = exact.channel_cost_standard_error
    assert (np.abs(exact.channel_cost - expected) < 4 * error).all()
    assert (error < 0.1 * expected).all()
    np.testing.assert_allclose(found.channel_cost, exact.channel_cost, rtol=1e-4)
    # The distortion is a sum over dimensions: so is the cost.
    np.testing.assert_allclose(exact.cost_of_removal.reshape(6, 2).sum(0), exact.channel_cost,
                               rtol=1e-4)
    again = tfisovae.Analysis.from_dict(exact.to_dict())
    assert tuple(again.latent_shape) == (3, 2, 2)
    np.testing.assert_allclose(again.channel_cost, exact.channel_cost)
    assert tfisovae.Analysis.from_dict({
        name: value for name, value in exact.to_dict().items()
        if name not in ("latent_shape", "channel_cost", "method")}).channel_cost is None


def test_functions_and_open_sizes(pair):
    """Functions over arrays, and Keras decoders that take images of every size, get z in the
    encoder's shape.
    """
    encoder, decoder = pair
    x, mean = data(5), data(5).reshape(5, 12) * np.tile(BEST.encoder_gain, 6)
    openly = tf.keras.Sequential([layers.Input((None, None, 2)), layers.Conv2D(2, 1)])
    openly.set_weights(decoder.get_weights())
    taken = []

    def decode(z):
        taken.append(z.shape)
        return z * BEST.decoder_gain

    functions = (lambda x: (x * BEST.encoder_gain, np.broadcast_to(BEST.scale, x.shape)), decode)
    for model, scale in (((encoder, openly), "log_variance"), (functions, "scale")):
        autoencoder = tfisovae.as_autoencoder(model, "sse", BETA, scale)
        found, spread = autoencoder.encode(x)
        np.testing.assert_allclose(found, mean, rtol=1e-5)
        np.testing.assert_allclose(spread, np.tile(BEST.scale, [5, 6]), rtol=1e-5)
        np.testing.assert_allclose(autoencoder.decode(found), x * BEST.encoder_gain *
                                   BEST.decoder_gain, rtol=1e-5)
    assert {shape[1:] for shape in taken} == {(3, 2, 2)}


def test_channels_in_front_are_moved_to_the_end():
    """A function that takes images [B, 3, H, W] has latents [B, c, h, w]: the vectors are those of
    [B, h, w, c].
    """
    x = np.random.default_rng(0).standard_normal([4, 3, 5, 6]).astype(np.float32)
    taken = []

    def decode(z):
        taken.append(z.shape)
        return z / 2

    functions = (lambda x: (2 * x, np.broadcast_to(np.float32(0.1), x.shape)), decode)
    autoencoder = tfisovae.as_autoencoder(functions, "sse", BETA, "scale")
    mean, scale = autoencoder.encode(tf.constant(x))
    assert autoencoder.encode.latent_shape == (5, 6, 3) and scale.shape == (4, 90)
    np.testing.assert_allclose(tf.reshape(mean, [4, 5, 6, 3]), 2 * np.moveaxis(x, 1, -1))
    np.testing.assert_allclose(autoencoder.decode(mean), x, rtol=1e-6)
    assert {shape[1:] for shape in taken} == {(3, 5, 6)}


@pytest.mark.parametrize("axis", [1, -1])
def test_one_output_is_split_by_its_channels(axis):
    """[B, 2c, h, w] of a function that takes [B, 3, H, W]; [B, h, w, 2c] of all others."""
    shape = [4, 3, 5, 6] if axis == 1 else [4, 5, 6, 3]
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    functions = (lambda x: np.concatenate([2 * x, 0 * x - 1], axis), lambda z: z / 2)
    autoencoder = tfisovae.as_autoencoder(functions, "sse", BETA)
    mean, scale = autoencoder.encode(tf.constant(x))
    assert autoencoder.encode.latent_shape == (5, 6, 3)
    np.testing.assert_allclose(tf.reshape(mean, [4, 5, 6, 3]), 2 * np.moveaxis(x, axis, -1))
    np.testing.assert_allclose(scale, np.exp(-0.5), rtol=1e-6)
    np.testing.assert_allclose(autoencoder.decode(mean), x, rtol=1e-6)


def test_modules_of_torch_have_channels_in_front():
    torch = pytest.importorskip("torch")

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(2, 4, 1)

        def encode(self, x):
            return torch.chunk(self.convolution(x), 2, 1)

        def decode(self, z):
            return z * torch.tensor([1.0, 2.0])[:, None, None]

    module, x = Module(), data(6).transpose(0, 3, 1, 2)  # [6, 2, 3, 2]
    autoencoder = tfisovae.as_autoencoder(module, "sse", BETA)
    mean, _ = autoencoder.encode(tf.constant(x))
    with torch.no_grad():
        expected = module.encode(torch.from_numpy(np.array(x)))[0].numpy()
    assert autoencoder.encode.latent_shape == (3, 2, 2)
    np.testing.assert_allclose(tf.reshape(mean, [6, 3, 2, 2]), np.moveaxis(expected, 1, -1),
                               rtol=1e-5)
    np.testing.assert_allclose(autoencoder.decode(mean), expected * np.array(
        [1.0, 2.0])[:, None, None], rtol=1e-5)
    # Products with Gamma have the same order.
    exact = tfisovae.analyze(module, x, distortion="sse", beta=BETA, method="exact", inspect=False)
    found = tfisovae.analyze(module, x, distortion="sse", beta=BETA, method="estimated",
                             inspect=False)
    np.testing.assert_allclose(found.norm_mean, exact.norm_mean, rtol=1e-3)


def test_a_decoder_of_vectors_gets_vectors(pair):
    """A spatial encoder and a decoder that reshapes by itself."""
    decoder = tf.keras.Sequential([layers.Input((12, )), layers.Reshape((3, 2, 2)), pair[1]])
    autoencoder = tfisovae.as_autoencoder((pair[0], decoder), "sse", BETA)
    mean, _ = autoencoder.encode(data(5))
    assert autoencoder.decode(mean).shape == (5, 3, 2, 2)


def test_shapes_that_are_neither_are_refused(pair):
    autoencoder = tfisovae.as_autoencoder(
        (lambda x: (x[:, 0], x[:, 0]), lambda z: z), "sse", BETA)
    with refuses(ValueError, "encoder"):
        autoencoder.encode(data(5))
    other = convolution(np.ones([2, 2]), np.zeros(2), (4, 2, 2))
    with refuses(ValueError, "decoder"):
        tfisovae.as_autoencoder((pair[0], other), "sse", BETA).encode(data(5))
