"""Writes tests/data/crossing: small saved VAEs and what they return. Run it in either environment.

    python tests/data/make_crossing.py tests/data/crossing
"""
import sys

import numpy as np
import tensorflow as tf

import tfisovae
from tfisovae import _keras, networks

layers = tf.keras.layers


def image():
    """Sequential, of layers whose configurations differ between the two Kerases."""
    encoder = tf.keras.Sequential([
        layers.Input((8, 8, 1)), layers.Conv2D(4, 3, 2, "same"), networks.GDN(),
        layers.LayerNormalization(), layers.Flatten(), layers.Dense(4, dtype="float32")],
        name="encoder")
    decoder = tf.keras.Sequential([
        layers.Input((2,)), layers.Dense(64, "softplus"), layers.Reshape((4, 4, 4)),
        layers.Conv2DTranspose(4, 5, 1, "same"), networks.GDN(inverse=True),
        layers.UpSampling2D(), layers.BatchNormalization(),
        layers.Conv2D(1, 3, 1, "same", dtype="float32")], name="decoder")
    return encoder, decoder, (8, 8, 1)


def functional():
    """Two heads, dropout, and two layers joined."""
    x = tf.keras.Input((6,))
    h = layers.Dense(5, "tanh")(x)
    heads = [layers.Dense(2, name="mean")(h),
             layers.Dense(2, name="log_var")(layers.Dropout(0.1)(h))]
    z = tf.keras.Input((2,))
    both = layers.Concatenate()([layers.Dense(3)(z), layers.Dense(3, "relu")(z)])
    return tf.keras.Model(x, heads), tf.keras.Model(z, both), (6,)


def main(place):
    for make in (image, functional):
        encoder, decoder, shape = make()
        vae = tfisovae.VAE(encoder, decoder, "sse", 10.0)
        for weight in vae.weights:  # of BatchNormalization and GDN too
            weight.assign(weight + 0.02 * tf.random.stateless_normal(weight.shape, [1, 2]))
        name = f"{place}/keras{3 if _keras.KERAS_3 else 2}-{make.__name__}"
        x = np.random.default_rng(0).uniform(0.1, 0.9, (3, *shape)).astype(np.float32)
        mean, scale = vae.encode(x)
        vae.save(name)
        np.savez(f"{name}.npz", x=x, mean=mean, scale=scale, x_hat=vae.decode(mean))


if __name__ == "__main__":
    main(*sys.argv[1:])
