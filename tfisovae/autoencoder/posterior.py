"""The Gaussian posterior q(z|x) = N(mean, diag(scale^2)) against the prior N(0, I)."""
import math
import typing

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder import covariance

ACTIVE_KL = 0.01  # nats: a latent dimension with a larger mean KL carries information

_Array = typing.TypeVar("_Array", np.ndarray, tf.Tensor)


class Posterior(typing.NamedTuple):
    """The posterior of a batch.

    Attributes:
      mean: `[B, n]`, mu_j(x).
      scale: `[B, n]`, sigma_j(x), a standard deviation.
    """

    mean: tf.Tensor
    scale: tf.Tensor

    def sample(self, noise: tf.Tensor) -> tf.Tensor:
        """z = mean + scale * noise, for standard normal `noise` `[B, n]`."""
        return self.mean + self.scale * noise

    def kl(self) -> tf.Tensor:
        """KL_j = (mu_j^2 + sigma_j^2 - log sigma_j^2 - 1) / 2 of Eq. 2, in nats, `[B, n]`."""
        log_scale = tf.math.log(self.scale)
        # expm1 is exact for sigma near 1 and a KL near 0.
        return 0.5 * tf.square(self.mean) + 0.5 * tf.math.expm1(2 * log_scale) - log_scale

    def rate(self, log_prior: typing.Callable[[tf.Tensor], tf.Tensor],
             noise: tf.Tensor) -> tf.Tensor:
        """The KL from another prior p(z), from two samples of each posterior, in nats, `[B]`.

        KL = -H(q) - E_q[log p(z)], with z = mean +- scale * noise in the expectation. Its mean over
        the noise is exact. Its noise does not depend on the units of z.

        Args:
          log_prior: z `[B, n]` -> log p(z) `[B]`, nats.
          noise: standard normal, `[B, n]`.
        """
        sampled = 0.5 * (log_prior(self.sample(noise)) + log_prior(self.sample(-noise)))
        entropy = tf.reduce_sum(tf.math.log(self.scale) + 0.5 * math.log(2 * math.pi * math.e), 1)
        return -entropy - sampled

    def precision(self) -> tf.Tensor:
        """sigma_j^-2, `[B, n]`. Its mean over the data gives the importance of a latent variable
        (Eq. 16).
        """
        return tf.math.reciprocal(tf.square(self.scale))


def active(mean_kl: _Array, threshold: float = ACTIVE_KL) -> _Array:
    """Whether each latent dimension carries information, `[n]`: its mean KL over the data, nats,
    exceeds `threshold`.
    """
    return mean_kl > threshold


def information(log_scale: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """The information in each latent dimension, at most, `[n]`, nats: the mean KL from the Gaussian
    that has the mean and the variance of z_j over the data.

    It depends on no prior. A dimension that the decoder ignores has none, unless a given prior ties
    it to another one.

    Args:
      log_scale: E[log sigma_j], `[n]`.
      variance: of z_j over the data: Var(mu_j) + E[sigma_j^2], `[n]`.
    """
    return 0.5 * np.log(variance) - log_scale


READINGS = {
    "log_variance": lambda value: tf.exp(0.5 * value),
    "variance": tf.sqrt,
    "log_scale": tf.exp,
    "scale": tf.identity,
}


FULL = covariance.READINGS


def check_reading(reading: str, known: typing.Iterable[str] = READINGS) -> None:
    """Raises ValueError unless `reading` is one of `known`."""
    if reading not in known:
        raise ValueError(
            f"scale must be one of {', '.join(map(repr, known))} (the meaning of the encoder's "
            f"second output); got {reading!r}.")


def read_scale(spread: tf.Tensor, reading: str) -> tf.Tensor:
    """The standard deviation from an encoder's second output.

    Args:
      spread: the output, `[B, n]`; `[B, n, n]` for the last two.
      reading: "log_variance": log sigma^2; "variance": sigma^2; "log_scale": log sigma; "scale":
        sigma; "covariance": C; "scale_tril": lower triangular, C = A A^T.

    Returns:
      sigma `[B, n]`; for the last two A `[B, n, n]`.
    """
    if reading in FULL:
        return covariance.factor(spread, reading)
    return READINGS[reading](spread)
