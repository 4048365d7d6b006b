"""Whatever networks people bring: trained in training mode, measured in inference mode and float32,
saved and loaded exactly.

Every network goes through one step of plain gradient descent, whose loss and weights are computed a
second time here, with Keras' layers called by hand.
"""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tfisovae import _keras, networks
from tfisovae.autoencoder.noise import noise_rows

keras, layers = tf.keras, tf.keras.layers
LMBDA, SIZE, ROWS = 3.0, 6, 8


class Sampling(layers.Layer):
    """As in the Keras documentation."""

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))


class Encoder(keras.Model):
    """Subclassed, never called, with two outputs; its `call` has no training argument, its dropout
    has one.
    """

    def __init__(self, latents=2, **kwargs):
        super().__init__(**kwargs)
        self.latents = latents
        self.hidden, self.mean, self.log_variance = layers.Dense(
            5, "tanh"), layers.Dense(latents), layers.Dense(latents)

    def call(self, x):
        h = self.hidden(x)
        return self.mean(h), self.log_variance(h)

    def get_config(self):
        return {"latents": self.latents}


class Penalised(layers.Layer):
    """Adds a loss of what passes through it."""

    def call(self, x):
        self.add_loss(0.1 * tf.reduce_mean(tf.square(x)))
        return x


def sequential(*parts, shape):
    return keras.Sequential([layers.Input(shape), *parts])


def encoder(*parts, n=2, shape=(SIZE,)):
    return sequential(*parts, layers.Dense(2 * n), shape=shape)


def decoder(*parts, n=2):
    return sequential(*parts, shape=(n,))


def dense_decoder(n=2):
    return decoder(layers.Dense(7, "tanh"), layers.Dense(SIZE), n=n)


def functional(sampled):
    x = layers.Input((SIZE,))
    h = layers.Dense(5, "tanh")(x)
    outputs = [layers.Dense(2, name="z_mean")(h), layers.Dense(2, name="z_log_var")(h)]
    return keras.Model(x, [*outputs, Sampling()(outputs)] if sampled else outputs)


def attending():
    z = layers.Input((2,))
    h = layers.Reshape((3, 4))(layers.Dense(12, "tanh")(z))
    return keras.Model(z, layers.Dense(2)(h + layers.MultiHeadAttention(2, 3)(h, h)))


def images(*tail):
    return decoder(layers.Dense(16, "tanh"), layers.Reshape((2, 2, 4)), *tail)


def flat(shape):
    return encoder(layers.Flatten(), layers.Dense(5, "tanh"), shape=shape)


PICTURE = (4, 4, 1)
CASES = {
    "dense": lambda: (encoder(layers.Dense(5, "tanh")), dense_decoder()),
    "latent_1": lambda: (encoder(layers.Dense(5, "tanh"), n=1), dense_decoder(1)),
    "two_outputs": lambda: (functional(False), dense_decoder()),
    "three_outputs": lambda: (functional(True), dense_decoder()),
    "subclassed": lambda: (Encoder(), dense_decoder()),
    "batch_norm": lambda: (encoder(layers.Dense(5, "tanh"), layers.BatchNormalization(
    )), decoder(layers.Dense(7, "tanh"), layers.BatchNormalization(), layers.Dense(SIZE))),
    "own_losses": lambda:
                  (encoder(layers.Dense(5, "tanh", kernel_regularizer="l2"), Penalised()),
                   decoder(layers.Dense(7, "tanh", activity_regularizer="l1"), layers.Dense(SIZE))),
    "conv_upsampling": lambda: (flat(PICTURE),
                                images(layers.UpSampling2D(), layers.Conv2D(1, 3, padding="same"))),
    "conv_transpose": lambda: (flat(PICTURE), images(layers.Conv2DTranspose(1, 3, 2, "same"))),
    "norms": lambda:
             (encoder(layers.Dense(6), layers.LayerNormalization(), layers.Activation("tanh")),
              images(layers.GroupNormalization(2), layers.Flatten(), layers.Dense(SIZE))),
    "lstm": lambda: (encoder(layers.LSTM(5), shape=(3, 2)),
                     decoder(layers.RepeatVector(3),
                             layers.LSTM(4, return_sequences=True, unroll=True),
                             layers.Dense(2))),
    "attention": lambda:
                 (encoder(layers.Flatten(), layers.Dense(5, "tanh"), shape=(3, 2)), attending()),
    "unknown_size": lambda: (encoder(layers.Conv2D(3, 3, padding="same"),
                                     layers.GlobalAveragePooling2D(), shape=(None, None, 1)),
                             images(layers.Flatten(), layers.Dense(16), layers.Reshape(PICTURE))),
    "gdn": lambda: (sequential(layers.Conv2D(3, 3, 2, "same"), networks.GDN(), layers.Flatten(),
                               layers.Dense(4), shape=PICTURE),
                    images(layers.Conv2DTranspose(2, 3, 2, "same"), networks.GDN(inverse=True),
                           layers.Conv2D(1, 1))),
}


def data(shape, rows=ROWS):
    return np.random.default_rng(1).uniform(0.1, 0.9, (rows, *shape)).astype(np.float32)


def by_hand(vae, x, noise, training):
    """The loss, its distortion and the networks' own losses, of Keras' layers called one after the
    other.
    """
    outputs = vae.encoder(
        x, training=training) if _keras.takes_training(vae.encoder) else vae.encoder(x)
    mean, log_variance = outputs[:2] if isinstance(outputs,
                                                   (list, tuple)) else tf.split(outputs, 2, -1)
    x_hat = vae.decoder(mean + tf.exp(log_variance / 2) * noise, training=training)
    distortion = tf.reduce_sum(tf.reshape(x - x_hat, [len(x), -1]) ** 2, -1)
    kl = tf.reduce_sum(mean**2 + tf.exp(log_variance) - log_variance - 1, -1) / 2
    own = sum(map(float, vae.encoder.losses + vae.decoder.losses))
    return float(tf.reduce_mean(LMBDA * distortion + kl)) + own, own


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_any_network(name, tmp_path):
    vae = tfisovae.VAE(*CASES[name](), "sse", LMBDA)
    n = 1 if name == "latent_1" else 2
    assert vae.n == n
    x = data(vae.example_shape)
    vae.compile(keras.optimizers.SGD(1e-3), num_parts=2)
    noise = noise_rows(len(x), vae.n, vae.seed, 0)
    expected, own = by_hand(vae, x, noise, training=True)
    assert (own > 0) == (name == "own_losses")
    # One step.
    logs = vae.fit(tf.data.Dataset.from_tensors({"image": x, "label": np.zeros(ROWS)}),
                   verbose=0).history
    np.testing.assert_allclose(logs["loss"][0], expected, rtol=2e-5)

    # Measured in inference mode: twice the same, and as by hand.
    noise = vae.measure(x).noise
    expected, own = by_hand(vae, x, noise, training=False)
    measured = vae.evaluate(tf.data.Dataset.from_tensors((x, np.zeros(ROWS))), verbose=0,
                            return_dict=True)
    np.testing.assert_allclose(measured["loss"], expected, rtol=2e-5)
    np.testing.assert_allclose(LMBDA * measured["distortion"] + measured["rate"] + own, expected,
                               rtol=2e-5)

    # Saved and loaded, bit for bit.
    vae.save(tmp_path / "model")
    loaded = tfisovae.load(tmp_path / "model",
                           {"Sampling": Sampling, "Encoder": Encoder, "Penalised": Penalised})
    for a, b in zip((*vae.encode(x), vae.decode(noise), *vae.weights),
                    (*loaded.encode(x), loaded.decode(noise), *loaded.weights)):
        np.testing.assert_array_equal(a, b)

    # The Gram matrix of Eq. 12 against central differences of the decoder; the loss of the whole
    # against that of the batch.
    analysis = tfisovae.analyze(loaded,
                                tf.data.Dataset.from_tensors({"image": x, "label": np.zeros(ROWS)}))
    mean, scale = loaded.encode(x)
    steps = [np.float32(1e-2) * row for row in np.eye(n, dtype=np.float32)]
    tangents = [
        (np.float64(loaded.decode(mean + step)) - np.float64(loaded.decode(mean - step))).reshape(
            ROWS, -1) / 2e-2 for step in steps
    ]
    gram = [[
        np.mean(2 * LMBDA * scale[:, j] * scale[:, k] * np.sum(tangents[j] * tangents[k], 1))
        for k in range(n)
    ] for j in range(n)]
    np.testing.assert_allclose(analysis.gram_mean, gram, rtol=1e-2, atol=1e-3 * np.max(gram))
    np.testing.assert_allclose(analysis.loss + own, measured["loss"], rtol=1e-5)
    active = np.ones(n, bool)
    log = tfisovae.density.log_densities(loaded, tf.data.Dataset.from_tensors((x, x)),
                                         ("prior", "posterior"), active)
    prior = np.sum(-0.5 * np.float64(mean) ** 2 - 0.5 * np.log(2 * np.pi), 1)
    np.testing.assert_allclose(log["prior"], prior, rtol=1e-5)
    np.testing.assert_allclose(
        log["posterior"], prior + np.sum(np.log(scale), 1) + n / 2 * np.log(2 * LMBDA), rtol=1e-5)
