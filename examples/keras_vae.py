"""Audit a VAE that Keras trained: the convolutional one of the Keras documentation, with its own
loss and training step.

    python examples/keras_vae.py

It is trained here on drawn blobs of light for a dozen epochs. The audit says that this was not
enough: the posterior is not in balance with the beta of the loss that was trained, and the means
are not where they come to rest.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it turns oneDNN on)
from tfisovae.autoencoder import inspection

import numpy as np
import tensorflow as tf

layers = tf.keras.layers
SIDE = 28


def blobs(count, seed=0):
    """Images `[N, 28, 28, 1]` in [0, 1], each with a blob somewhere."""
    centers = np.random.default_rng(seed).uniform(8, 20, (count, 2, 1))
    rows, columns = (np.exp(-0.5 * ((np.arange(SIDE) - centers[:, axis]) / 3)**2)
                     for axis in (0, 1))
    return (rows[:, :, None, None] * columns[:, None, :, None]).astype(np.float32)


class Sampling(layers.Layer):
    """Uses (z_mean, z_log_var) to sample z, as the documentation has it."""

    def call(self, inputs):
        z_mean, z_log_var = inputs
        return z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(tf.shape(z_mean))


def networks(latent_dim=2):
    """Encoder (mean, log-variance and a sample) and decoder of the documentation."""
    x = tf.keras.Input((SIDE, SIDE, 1))
    h = layers.Conv2D(32, 3, activation="relu", strides=2, padding="same")(x)
    h = layers.Flatten()(layers.Conv2D(64, 3, activation="relu", strides=2, padding="same")(h))
    h = layers.Dense(16, activation="relu")(h)
    mean, log_var = layers.Dense(latent_dim, name="z_mean")(h), layers.Dense(
        latent_dim, name="z_log_var")(h)
    encoder = tf.keras.Model(x, [mean, log_var, Sampling()([mean, log_var])])
    decoder = tf.keras.Sequential([
        layers.Input((latent_dim, )),
        layers.Dense(7 * 7 * 64, activation="relu"),
        layers.Reshape((7, 7, 64)),
        layers.Conv2DTranspose(64, 3, activation="relu", strides=2, padding="same"),
        layers.Conv2DTranspose(32, 3, activation="relu", strides=2, padding="same"),
        layers.Conv2DTranspose(1, 3, activation="sigmoid", padding="same")
    ])
    return encoder, decoder


class KerasVAE(tf.keras.Model):
    """The training step of the documentation."""

    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def train_step(self, data):
        with tf.GradientTape() as tape:
            z_mean, z_log_var, z = self.encoder(data, training=True)
            entropy = tf.keras.losses.binary_crossentropy(data, self.decoder(z, training=True))
            reconstruction = tf.reduce_mean(tf.reduce_sum(entropy, axis=(1, 2)))
            kl = -0.5 * (1 + z_log_var - tf.square(z_mean) - tf.exp(z_log_var))
            total = reconstruction + tf.reduce_mean(tf.reduce_sum(kl, axis=1))
        self.optimizer.minimize(total, self.trainable_weights, tape=tape)
        return {"loss": total}


def main(count=2_000, epochs=12):
    """Trains, audits, and returns the Keras model, the `Analysis`, the estimate of beta, and the
    findings.
    """
    tf.keras.utils.set_random_seed(0)
    vae = KerasVAE(*networks())
    vae.compile(tf.keras.optimizers.Adam(2e-3))
    vae.fit(blobs(count), batch_size=64, epochs=epochs, verbose=0)
    x = blobs(500, seed=1)

    # Of the loss as it is written.
    distortion, beta = tfisovae.objective("bce", reduction="last_axis_mean", shape=(SIDE, SIDE, 1))
    model = tfisovae.as_autoencoder((vae.encoder, vae.decoder), distortion, beta)
    findings = inspection.inspect(model, x)
    found = tfisovae.estimate_beta(model, x)
    analysis = tfisovae.analyze(model, x)
    print(f"What is wrong with it: {', '.join(one.kind.name for one in findings) or 'nothing'}.")
    print(
        f"beta by its loss: {beta:g}; as its posterior shows it: {found.value:.2f} +- "
        f"{found.error:.2f}."
    )
    print(analysis.table())
    print(analysis.summary(num_train=count, beta_differs=found.differs_from(beta)))
    return vae, analysis, found, findings


if __name__ == "__main__":
    main()
