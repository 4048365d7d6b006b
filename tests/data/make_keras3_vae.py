"""Makes tests/data/keras3_vae: a small VAE as today's Keras exports it, and what Keras itself says
that it returns.

Not run by the tests: it needs an environment of its own, since TensorFlow 2.14 cannot hold Keras 3.

    python3.11 -m venv keras3
    keras3/bin/pip install "tensorflow==2.21.*"        # with Keras 3.15, when this was made
    keras3/bin/python tests/data/make_keras3_vae.py

The encoder is the Keras documentation's: convolutions, three outputs, the last of which a sampling
layer draws. Its batch normalisation has moving averages that inference must use. The decoder has
`UpSampling2D` of both kinds.
"""
import os
import pathlib
import shutil

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
from keras import layers

HERE = pathlib.Path(__file__).parent / "keras3_vae"
LATENT_DIM = 3


class Sampling(layers.Layer):
    """z = mean + exp(log_var / 2) epsilon, as in the Keras documentation's example."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.seed_generator = keras.random.SeedGenerator(1337)

    def call(self, inputs):
        z_mean, z_log_var = inputs
        epsilon = keras.random.normal(shape=keras.ops.shape(z_mean), seed=self.seed_generator)
        return z_mean + keras.ops.exp(0.5 * z_log_var) * epsilon


def make_encoder():
    images = keras.Input((12, 12, 1), name="images")
    h = layers.Conv2D(4, 3, strides=2, padding="same")(images)
    h = layers.BatchNormalization()(h)
    h = layers.Activation("relu")(h)
    h = layers.Dense(8, "tanh")(layers.Flatten()(h))
    z_mean = layers.Dense(LATENT_DIM, name="z_mean")(h)
    z_log_var = layers.Dense(LATENT_DIM, name="z_log_var")(h)
    return keras.Model(
        images, [z_mean, z_log_var, Sampling(name="z")([z_mean, z_log_var])], name="encoder")


def make_decoder():
    latents = keras.Input((LATENT_DIM,), name="latents")
    h = layers.Reshape((3, 3, 4))(layers.Dense(36, "tanh")(latents))
    h = layers.BatchNormalization()(h)
    h = layers.UpSampling2D(interpolation="nearest")(h)
    h = layers.Conv2D(4, 3, padding="same", activation="tanh")(h)
    h = layers.UpSampling2D(interpolation="bilinear")(h)
    return keras.Model(latents,
                       layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="x_hat")(h),
                       name="decoder")


def give_moving_averages(model, rng):
    """Moving averages as after a training, far from 0 and 1."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            size = layer.gamma.shape
            layer.set_weights([
                rng.uniform(0.5, 1.5, size),
                rng.normal(0, 0.3, size),
                rng.normal(0, 0.3, size),
                rng.uniform(0.2, 2, size)
            ])


def main():
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    encoder, decoder = make_encoder(), make_decoder()
    for model in encoder, decoder:
        give_moving_averages(model, rng)
    shutil.rmtree(HERE, ignore_errors=True)
    for model in encoder, decoder:
        model.export(HERE / model.name, verbose=False)
    x = rng.uniform(0, 1, (5, 12, 12, 1)).astype("float32")
    mean, log_variance, _ = encoder(x, training=False)
    z = rng.normal(size=(4, LATENT_DIM)).astype("float32")
    np.savez_compressed(HERE / "reference.npz", x=x, mean=mean, log_variance=log_variance, z=z,
                        x_hat=decoder(z, training=False))


if __name__ == "__main__":
    main()
