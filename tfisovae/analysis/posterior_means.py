"""Which latent variables to keep: by number, by count, by share of the importance, or the active
ones.
"""
import dataclasses

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder import posterior, streaming
from tfisovae.autoencoder.autoencoder import Measurable
from tfisovae.autoencoder.data import Data
from tfisovae.autoencoder.posterior import Posterior


@dataclasses.dataclass(frozen=True)
class PosteriorMeans:
    """Means over data of what the posteriors are, `[n]` each.

    Attributes:
      mean: E[mu_j]. kl: E[KL_j], nats. precision: E[sigma_j^-2].
      num_examples: of the data.
    """

    mean: np.ndarray
    kl: np.ndarray
    precision: np.ndarray
    num_examples: int

    @property
    def active(self) -> np.ndarray:
        return posterior.active(self.kl)

    @property
    def counted(self) -> np.ndarray:
        """E[sigma_j^-2] of the active variables, which the importance is beta / 2 times; 0 of
        others.
        """
        return np.where(self.active, self.precision, 0.0)

    def share(self, kept: np.ndarray) -> float:
        """What the variables `kept` have of the importance of all active ones; NaN where none is
        active.
        """
        return float(self.counted[kept].sum() / self.counted.sum()) if self.active.any() else np.nan


def posterior_means(model: Measurable, data: Data, num_examples: int | None = None,
                    progress: bool = False) -> PosteriorMeans:
    """One pass over data, of the encoder alone.

    Args:
      model: `Autoencoder`.
      data: `[N, ...]` or batches.
      num_examples: how many to use; all by default.
      progress: whether to show a progress bar.
    Raises:
      ValueError: for a posterior that is not finite; and as `streaming.examples_of` does.
    """
    def update(x, first_row):
        q = Posterior(*model.encode(x))
        return tf.cast(tf.stack([q.mean, q.kl(), q.precision()], 1), tf.float64)

    step, total, count = streaming.on_replicas(update), 0.0, 0
    for x, first_row in streaming.examples_of(model, data, num_examples, "posteriors", progress):
        total = total + np.sum(step(x, first_row), 0)
        count += len(x)
    if not np.isfinite(total).all():
        raise ValueError(
            f"The posterior of latent variable {int(np.argmin(np.isfinite(total).all(0)))} is not "
            f"finite on these "
            "data: nothing can be said of its importance.")
    return PosteriorMeans(*(total / count), count)
