"""The Gaussian posterior q(z|x) = N(mean, diag(scale^2)) against the prior N(0, I)."""
import typing

import numpy as np
import tensorflow as tf

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

    @classmethod
    def from_parameters(cls, parameters: tf.Tensor) -> "Posterior":
        """From the encoder's output `[B, 2n]`: the mean, then the log-variance."""
        mean, log_variance = tf.split(parameters, 2, -1)
        return cls(mean, tf.exp(0.5 * log_variance))

    def sample(self, noise: tf.Tensor) -> tf.Tensor:
        """z = mean + scale * noise, for standard normal `noise` `[B, n]`."""
        return self.mean + self.scale * noise

    def kl(self) -> tf.Tensor:
        """KL_j = (mu_j^2 + sigma_j^2 - log sigma_j^2 - 1) / 2 of Eq. 2, in nats, `[B, n]`."""
        log_scale = tf.math.log(self.scale)
        # expm1 is exact for sigma near 1 and a KL near 0.
        return 0.5 * tf.square(self.mean) + 0.5 * tf.math.expm1(2 * log_scale) - log_scale

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


READINGS = {
    "log_variance": lambda value: tf.exp(0.5 * value),
    "variance": tf.sqrt,
    "log_scale": tf.exp,
    "scale": tf.identity,
}


def read_scale(spread: tf.Tensor, reading: str) -> tf.Tensor:
    """The standard deviation from an encoder's second output.

    Args:
      spread: the output, `[B, n]`.
      reading: "log_variance": log sigma^2; "variance": sigma^2; "log_scale": log sigma; "scale":
        sigma.
    """
    if reading not in READINGS:
        raise ValueError(
            f"scale must be one of {', '.join(map(repr, READINGS))}(the meaning of the encoder's "
            f"second output); got {reading!r}.")
    return READINGS[reading](spread)
