"""One batch as `fit` and `evaluate` see it, and the rows of it that a replica has."""
import functools
import typing

import tensorflow as tf

from tfisovae.metrics.measurement import Measurement, objective, once

if typing.TYPE_CHECKING:
    from tfisovae.vae.vae import VAE


class Share(typing.NamedTuple):
    """The rows of a global batch that this replica has.

    Attributes:
      first_row: number of the first, int32.
      size: of the global batch, int32.
    """

    first_row: int | tf.Tensor
    size: tf.Tensor


def share_of(x: tf.Tensor, seen: int | tf.Tensor = 0) -> Share:
    """The `Share` of this replica, whose rows are `x` `[b, ...]`.

    Replicas have their rows in order, but not always equally many: some may have none. So each
    tells the others how many it has, in one sum of integers over all replicas.

    Args:
      x: rows of this replica.
      seen: rows that this replica had before, int32: rows are counted from the first of all.
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
    """A VAE in training or in inference mode, with lmbda as it is at the end of a step: the five
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
    """The `Measurement` of a batch by a `Mode`, whose objective has the networks' own losses in it.
    """

    @once
    def _both(self):
        """x_check and x_hat of one pass: layers that look at the batch see both points at once,
        through one decoder.
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
        """The sum of regularisers and of what layers added by `add_loss` when they were last
        called, a scalar.
        """
        self.x_hat  # noqa: B018  (the networks are called before they are asked)
        losses = [tf.reduce_mean(tf.cast(loss, tf.float32)) for loss in self.autoencoder.vae.losses]
        return tf.add_n(losses) if losses else tf.zeros([])

    def loss(self, distortion: tf.Tensor) -> tf.Tensor:
        """lmbda `distortion` + KL + the networks' own losses, `[B]`."""
        return objective(self.autoencoder.lmbda, distortion, self.kl) + self.own_losses

    @once
    def objective(self) -> tf.Tensor:
        return self.loss(self.distortion)
