"""The Gaussian posterior q(z|x) = N(mean, diag(scale^2)) against the prior N(0, I)."""
import typing

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

ACTIVE_KL = 0.01  # nats: a latent dimension whose mean KL is above this carries information
STRONG_KL = 0.1  # nats: one above this carries enough for the two sides of its posterior balance to stand off 0
_STEPS_TOGETHER = 10

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
        normal = tfp.distributions.Normal
        zero = tf.zeros([], self.mean.dtype)
        return normal(self.mean, self.scale).kl_divergence(normal(zero, zero + 1))

    def precision(self) -> tf.Tensor:
        """sigma_j^-2, `[B, n]`, whose mean over the data is the importance of a latent variable (Eq. 16)."""
        return tf.math.reciprocal(tf.square(self.scale))


def active(mean_kl: _Array, threshold: float = ACTIVE_KL) -> _Array:
    """Whether each latent dimension carries information: whether its mean KL over the data, nats, `[n]`, exceeds `threshold`."""
    return mean_kl > threshold


def noise_rows(num_rows: int | tf.Tensor, dimension: int, seed: int, step: int | tf.Tensor,
               first_row: int | tf.Tensor = 0) -> tf.Tensor:
    """Standard normal noise that depends on its address alone: row r of step t under a seed.

    Rows can be drawn in any partition (batches, replicas, workers) and come out the same, which is what makes a resumed or
    a distributed run equal to one on a single device. Row r is the counter range of a Philox generator keyed by
    (seed, step).

    Args:
      num_rows: rows to draw, an integer or scalar tensor.
      dimension: n, an integer.
      seed: integer.
      step: integer or scalar integer tensor.
      first_row: address of the first row, an integer or scalar tensor.
    Returns:
      `[num_rows, dimension]`, float32.
    """
    blocks = -(-dimension // 4)  # Philox yields four numbers a count
    key_seed = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    keyed = tf.raw_ops.StatelessRandomGetKeyCounter(seed=key_seed)
    offset = tf.cast(first_row, tf.uint64) * blocks
    # The key depends on the whole seed; the counter then only addresses rows.
    counter = tf.stack([keyed.counter[0] + offset, keyed.counter[1]])
    rows = tf.raw_ops.StatelessRandomNormalV2(
        shape=tf.stack([tf.cast(num_rows, tf.int32), 4 * blocks]), key=keyed.key, counter=counter, alg=1)
    return rows[:, :dimension]


def noise_steps(num_steps: int, first_step: tf.Tensor, num_rows: int | tf.Tensor, dimension: int, seed: int) -> tf.Tensor:
    """`noise_rows` of `num_steps` consecutive steps from `first_step` on: `[num_steps, num_rows, dimension]`, float32."""
    # Some steps to an iteration of the loop, which costs more than what it draws: a third of the time.
    rounds = -(-num_steps // _STEPS_TOGETHER)
    steps = first_step + tf.range(tf.cast(rounds * _STEPS_TOGETHER, first_step.dtype))
    drawn = tf.map_fn(lambda some: tf.stack([noise_rows(num_rows, dimension, seed, step) for step in tf.unstack(some)]),
                      tf.reshape(steps, [rounds, _STEPS_TOGETHER]), fn_output_signature=tf.float32)
    return tf.reshape(drawn, [-1, num_rows, dimension])[:num_steps]
