"""Training on data that stay on the device: many steps in one call, compiled by XLA."""
import typing
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import _keras
from tfisovae.autoencoder import graph
from tfisovae.autoencoder.noise import noise_steps
from tfisovae.vae.batch import Share
from tfisovae.vae.checks import finite_examples, loss_check

if typing.TYPE_CHECKING:
    from tfisovae.vae.vae import VAE

_layers = tf.keras.layers
# Measured effect of an array on the device (two cores): the toy network takes .35 instead of 2 ms
# per step, after 1.5 s of compilation. At 5 million weights it is slower.
_SMALL = (_layers.Dense, _layers.Activation, _layers.Flatten, _layers.Reshape,
          _layers.LayerNormalization, _layers.InputLayer, tf.keras.Sequential)
_MOST_WEIGHTS, _LEAST_STEPS, _MOST_NUMBERS = 200_000, 2_000, 2**27
_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")


def pays(vae: "VAE", x: np.ndarray, batch_size: int, epochs: int, callbacks: Any) -> bool:
    """Whether `fit` of an array is faster with the array on the device (as measured), and otherwise
    the same.

    This holds for small dense networks on a CPU over some thousand steps, if no callback needs
    every batch (one with batch hooks and `takes_many_steps` does not).
    """
    layers = [layer for network in (vae.encoder, vae.decoder) for layer in graph.layers(network)]
    base = tf.keras.callbacks.Callback
    return (all(
        isinstance(layer, _SMALL) and type(layer).__module__.split(".")[0] in ("keras", "tfisovae")
        for layer in layers) and sum(int(np.prod(weight.shape))
                                     for weight in vae.weights) <= _MOST_WEIGHTS
            and len(x) >= batch_size and epochs * -(-len(x) // batch_size) >= _LEAST_STEPS
            and x.size <= _MOST_NUMBERS and vae.distribute_strategy.num_replicas_in_sync == 1
            # For a LambdaCallback.
            and not any(
                getattr(type(callback), hook) is not getattr(base, hook) or hook in vars(callback)
                for callback in callbacks
                for hook in _BATCH_HOOKS if not getattr(callback, "takes_many_steps", False)) and
            not tf.config.list_physical_devices("GPU"))


def epoch_rows(size: int, batch_size: int, shuffle: bool) -> tf.data.Dataset:
    """A data set of one epoch, `[steps, batch]` row numbers and the shorter last batch, in another
    order each time if `shuffle`.
    """
    whole = size // batch_size

    def epoch():
        order = (np.random.permutation(size) if shuffle else np.arange(size)).astype(np.int32)
        yield order[:whole * batch_size].reshape(whole, batch_size)
        if size % batch_size:
            yield order[None, whole * batch_size:]

    rows = tf.data.Dataset.from_generator(epoch, output_signature=tf.TensorSpec([None, None],
                                                                                tf.int32))
    return rows.apply(tf.data.experimental.assert_cardinality(2 if size % batch_size else 1))


class Steps(typing.NamedTuple):
    """The results of many steps for the trackers of a VAE, as for one batch of all their examples.

    Attributes:
      distortion: `[N]`, as trained.
      kl: `[N, n]`, nats.
      objective: `[N]`, nats, with the networks' own losses.
    """

    distortion: tf.Tensor
    kl: tf.Tensor
    objective: tf.Tensor

    @property
    def rate(self) -> tf.Tensor:
        """The KL over all dimensions, nats, `[N]`."""
        return tf.reduce_sum(self.kl, -1)


class Compiled:
    """Training steps of a `VAE`, each compiled by XLA as a whole.

    The noise comes from outside, since XLA's generator gives other numbers for the same key.

    Args:
      vae: compiled `VAE`.
    """

    def __init__(self, vae: "VAE") -> None:
        self.vae = vae
        self._step = tf.function(self._one, jit_compile=True, reduce_retracing=True)

    def train_batch(self, x: tf.Tensor, noise: tf.Tensor) -> "Steps":
        """Trains on the examples `x` `[B, ...]` with posterior noise `[B, n]`: `Steps`."""
        step = tf.identity(_keras.iterations(self.vae.optimizer))
        with tf.control_dependencies([finite_examples(x, 0, "of the batch of step", step + 1)]):
            values, done = self._step(tf.identity(x), noise)
        with tf.control_dependencies(loss_check(done, step + 1)):
            return Steps(*map(tf.identity, values))

    def _one(self, x, noise, alive=True):
        parts, done = self.vae.train_on(x, noise, Share(0, tf.shape(x)[0]),
                                        tf.convert_to_tensor(alive))
        return [tf.concat([getattr(part, name) for part in parts], 0)
                for name in Steps._fields], done


class Resident(Compiled):
    """The examples of a `VAE` on its device, and the compiled loop of steps over them.

    XLA turns a step of a small network into a few fused loops. This removes the overhead of
    operations, which takes most of the time of such a step.

    Args:
      vae: compiled `VAE`.
      examples: `[N, ...]`, float32; a tensor, or a `tf.Variable` if others of the same shape may
        follow.
    """

    def __init__(self, vae: "VAE", examples: tf.Tensor) -> None:
        self.vae, self.examples = vae, examples
        self._steps = tf.function(self._loop, jit_compile=True)

    def train(self, rows: tf.Tensor) -> "Steps":
        """Trains on the rows `[steps, B]`, int32, of the examples: `Steps`."""
        if rows.shape.rank != 2 or not rows.dtype.is_integer:
            raise ValueError(
                "A VAE with resident data trains on row numbers [steps, batch], integers; got "
                f"{rows.dtype.name} {rows.shape}.")
        vae, steps, batch_size = self.vae, tf.shape(rows)[0], rows.shape[1] or tf.shape(rows)[1]
        first = _keras.iterations(vae.optimizer)
        noise = noise_steps(steps, first, batch_size, vae.n, vae.seed)
        before = tf.identity(first)
        distortion, kl, objective, done = self._steps(rows, noise)
        # Number of the first step that was not done.
        number = before + tf.reduce_sum(tf.cast(done, before.dtype)) + 1
        with tf.control_dependencies(loss_check(tf.reduce_all(done), number)):
            return Steps(tf.reshape(distortion, [-1]), tf.reshape(kl, [-1, vae.n]),
                         tf.reshape(objective, [-1]))

    def _loop(self, rows, noise):
        steps = tf.shape(rows)[0]
        seen = tuple(tf.TensorArray(tf.float32, steps) for _ in Steps._fields)
        done, alive = tf.TensorArray(tf.bool, steps), tf.constant(True)
        for step in tf.range(steps):
            values, alive = self._one(tf.gather(self.examples, rows[step]), noise[step], alive)
            seen = tuple(array.write(step, value) for array, value in zip(seen, values))
            done = done.write(step, alive)
        return *(array.stack() for array in seen), done.stack()
