"""One batch in `fit` and `evaluate`, and its rows on a replica."""
import functools
import typing

import tensorflow as tf

from tfisovae.metrics.measurement import Measurement, once

if typing.TYPE_CHECKING:
    from tfisovae.vae.vae import VAE


class Share(typing.NamedTuple):
    """The rows of a global batch on this replica.

    Attributes:
      first_row: number of the first, int32.
      size: of the global batch, int32.
    """

    first_row: int | tf.Tensor
    size: tf.Tensor


def share_of(x: tf.Tensor, seen: int | tf.Tensor = 0) -> Share:
    """The `Share` of this replica, whose rows are `x` `[b, ...]`.

    Replicas have their rows in order, but their numbers can differ, and some may have none. So
    replicas exchange these numbers in one sum of integers.

    Args:
      x: rows of this replica.
      seen: earlier rows of this replica, int32: rows are counted from the very first.
    """
    context, size = tf.distribute.get_replica_context(), tf.shape(x)[0]
    replicas = context.num_replicas_in_sync if context else 1
    if replicas == 1:
        return Share(seen, size)
    own = context.replica_id_in_sync_group
    sizes = context.all_reduce("sum", tf.concat(
        [size * tf.one_hot(own, replicas, dtype=tf.int32), [seen]], 0))
    return Share(sizes[-1] + tf.reduce_sum(sizes[:own]), tf.reduce_sum(sizes[:-1]))


class Mode:
    """A VAE in training or in inference mode, with lmbda from the end of a step. It has the five
    attributes of an `Autoencoder`.

    Args:
      vae: `VAE`.
      training: whether its layers are in training mode.
      lmbda: scalar tensor, float64; by default the VAE's own.
    """

    def __init__(self, vae: "VAE", training: bool, lmbda: tf.Tensor | None = None) -> None:
        self.vae, self.training = vae, training
        self.encode = functools.partial(vae.encode, training=training)
        self.decode = functools.partial(vae.decode, training=training)
        self.distortion, self.decomposed = vae.distortion, vae.decomposed
        lmbda = tf.convert_to_tensor(vae.lmbda) if lmbda is None else lmbda
        self.lmbda, self.beta = tf.cast(lmbda, tf.float32), tf.cast(1 / lmbda, tf.float32)


class Batch(Measurement):
    """The `Measurement` of a batch by a `Mode`. Its objective includes the networks' own losses."""

    @once
    def _both(self):
        """x_check and x_hat in one pass through the decoder, so that layers that look at the batch
        see both points.
        """
        z = tf.concat([self.posterior.mean, self.posterior.sample(self.noise)], 0)
        return tf.split(self.autoencoder.decode(z), 2)

    @property
    def _in_one_pass(self):
        mode = self.autoencoder
        return mode.training and mode.decomposed and not mode.vae.treats_examples_apart

    @once
    def x_check(self) -> tf.Tensor:
        return self._both[0] if self._in_one_pass else self.autoencoder.decode(self.posterior.mean)

    @once
    def x_hat(self) -> tf.Tensor:
        return self._both[1] if self._in_one_pass else self.autoencoder.decode(
            self.posterior.sample(self.noise))

    @once
    def own_losses(self) -> tf.Tensor:
        """The sum of regularisers and of `add_loss` terms from the last call, a scalar."""
        self.x_hat  # noqa: B018  (the networks are called before they are asked)
        losses = [tf.reduce_mean(tf.cast(loss, tf.float32)) for loss in self.autoencoder.vae.losses]
        return tf.add_n(losses) if losses else tf.zeros([])

    def loss(self, distortion: tf.Tensor) -> tf.Tensor:
        """lmbda `distortion` + KL + the networks' own losses, `[B]`."""
        return self.autoencoder.lmbda * distortion + self.rate + self.own_losses

    @once
    def objective(self) -> tf.Tensor:
        return self.loss(self.distortion)
