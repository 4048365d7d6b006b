"""An optimal linear VAE with three active dimensions of four, in any coordinates, and its prior."""
import numpy as np
import tensorflow as tf

from tfisovae import theory

BETA = 0.1
VARIANCES = np.array([4.0, 1.0, 0.25, 0.02], np.float32)  # the last one is below beta / 2
SHIFT, WIDTH = np.array([5.0, -2.0, 0.0, 3.0], np.float32), np.array([2.0, 0.5, 1.0, 3.0],
                                                                      np.float32)
LINEAR = theory.LinearVAE(VARIANCES.astype(float), BETA)
X = (np.random.default_rng(0).normal(size=(2000, 4)) * np.sqrt(VARIANCES)).astype(np.float32)


def pair(shift=0.0, width=1.0):
    """The optimal linear VAE, with latent variables shift + width z."""
    gain, back, scale = (np.float32(part) for part in (
        LINEAR.encoder_gain, LINEAR.decoder_gain, LINEAR.scale))

    def encode(x):
        return shift + width * gain * x, tf.zeros_like(x) + 2 * np.log(width * scale)

    return encode, lambda z: tf.constant(back) * (z - shift) / width


def standard(z):
    return -0.5 * tf.reduce_sum(z**2, -1) - 2 * np.log(2 * np.pi)


def moved(z):
    """The density of SHIFT + WIDTH z, for z of N(0, I)."""
    return standard((z - SHIFT) / WIDTH) - np.log(WIDTH).sum()
