"""A VAE in training or in inference mode, as the measuring half sees it."""
import functools

import tensorflow as tf


class Mode:
    """A VAE in training or in inference mode, with lmbda as it is when a step is done: the five
    attributes of an `Autoencoder`.

    Args:
      vae: `VAE`.
      training: whether its layers are in training mode.
      lmbda: scalar tensor, float64; that of the VAE by default.
    """

    def __init__(self, vae, training, lmbda=None):
        self.vae, self.training = vae, training
        self.encode = functools.partial(vae.encode, training=training)
        self.decode = functools.partial(vae.decode, training=training)
        self.distortion, self.decomposed = vae.distortion, vae.decomposed
        lmbda = tf.convert_to_tensor(vae.lmbda) if lmbda is None else lmbda
        self.lmbda, self.beta = tf.cast(lmbda, tf.float32), tf.cast(1 / lmbda, tf.float32)
