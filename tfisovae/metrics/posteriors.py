"""Means of the posteriors over data, in one pass of the encoder."""
import dataclasses

import numpy as np
import tensorflow as tf

from tfisovae import arguments
from tfisovae.autoencoder import posterior, streaming
from tfisovae.autoencoder.autoencoder import bound, prior_of
from tfisovae.autoencoder.posterior import Posterior


@dataclasses.dataclass(frozen=True)
class PosteriorMeans:
    """Means of the posteriors over data, `[n]` each, float64. With a full covariance, j counts the
    own axes of each posterior, the widest first.

    Attributes:
      mean: E[mu_j].
      square: E[mu_j^2].
      variance: E[sigma_j^2].
      kl: E[KL_j], nats; with another prior than N(0, I) the information in each dimension
        (`posterior.information`).
      precision: E[sigma_j^-2].
      num_examples: of the data.
    """

    mean: np.ndarray
    square: np.ndarray
    variance: np.ndarray
    kl: np.ndarray
    precision: np.ndarray
    num_examples: int

    @property
    def active(self) -> np.ndarray:
        """Whether each dimension carries information, `[n]`."""
        return posterior.active(self.kl)


def posterior_means(rows: streaming.Prepared, replicas: bool = True) -> PosteriorMeans:
    """One pass over prepared data.

    Args:
      rows: of `streaming.prepare`.
      replicas: as `streaming.run` takes it.

    Raises:
      ValueError: for an example with a posterior that is not finite; and the errors of
        `streaming.examples_of`.
    """
    def values(x, first_row):
        known, x = bound(rows.model, x)
        q = Posterior(*known.encode(x))
        mean, scale, kl, precision = (
            tf.cast(value, tf.float64) for value in (*q, q.kl(), q.precision()))
        return tf.stack([mean, tf.square(mean), tf.square(scale), kl, precision,
                         tf.math.log(scale)], 1)

    total, count = 0.0, 0
    for found, first_row in streaming.run(rows, values, replicas):
        check_posteriors(found, first_row)
        total, count = total + np.sum(found, 0), count + len(found)
    *means, log_scale = total / count
    found = PosteriorMeans(*means, count)
    if prior_of(rows.model) is None:
        return found
    variance = found.square - found.mean**2 + found.variance
    return dataclasses.replace(found, kl=posterior.information(log_scale, variance))


def check_posteriors(values: np.ndarray, first_row: int) -> None:
    """Raises ValueError if numbers `[B, ...]` of the posterior of an example are not finite;
    `first_row` is the index of the first example.
    """
    arguments.check_finite(
        "The posterior", values, first_row,
        "The encoder must give every example a finite mean and a finite, positive scale. Leave the "
        "example out, or correct the encoder.")
