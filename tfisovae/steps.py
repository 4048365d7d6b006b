"""One batch as `fit` and `evaluate` see it, and what they say where it cannot be."""
import contextlib
import functools
import re

import tensorflow as tf

from tfisovae.measurement import Measurement, once

_CUT = "cannot be cut into"
_OURS = ("expects x between", "x must be finite", "loss is not finite", _CUT)


class NonFiniteLoss(ValueError):
    """The loss of a training step is not finite.

    Attributes:
      step: number of the step, counted from 1.
    """

    def __init__(self, message, step):
        super().__init__(message)
        self.step = step


class Mode:
    """A VAE in training or in inference mode, with lmbda as it is when a step is done: the five attributes of an `Autoencoder`.

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


class Batch(Measurement):
    """The `Measurement` of a batch by a `Mode`, whose objective has the networks' own losses in it."""

    @once
    def _both(self):
        """x_check and x_hat of one pass: layers that look at the batch see both points at once, through one decoder."""
        z = tf.concat([self.posterior.mean, self.posterior.sample(self.noise)], 0)
        return tf.split(self.autoencoder.decode(z), 2)

    @property
    def _in_one_pass(self):
        mode = self.autoencoder
        return mode.training and mode.decomposed and not mode.vae.treats_examples_apart

    @once
    def x_check(self):
        return self._both[0] if self._in_one_pass else self.autoencoder.decode(self.posterior.mean)

    @once
    def x_hat(self):
        return self._both[1] if self._in_one_pass else self.autoencoder.decode(self.posterior.sample(self.noise))

    @once
    def own_losses(self):
        """The sum of regularisers and of what layers added by `add_loss` when they were last called, a scalar."""
        self.x_hat  # noqa: B018  (the networks are called before they are asked)
        losses = [tf.reduce_mean(tf.cast(loss, tf.float32)) for loss in self.autoencoder.vae.losses]
        return tf.add_n(losses) if losses else tf.zeros([])

    def loss(self, distortion):
        """lmbda `distortion` + KL + the networks' own losses, `[B]`."""
        return self.autoencoder.lmbda * distortion + tf.reduce_sum(self.kl, -1) + self.own_losses

    @once
    def objective(self):
        return self.loss(self.distortion)


def parts(x, count):
    """`x` `[B, ...]` cut into `count` parts that are as equal as they can be, none of them empty."""
    if count == 1:
        return [x]
    size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    check = tf.debugging.Assert(size >= count, ["A batch of", size, "examples", _CUT, count, "parts: leave out what remains of an "
                                                "epoch, by drop_remainder=True, or take fewer num_parts"])
    with tf.control_dependencies([check] if check is not None else []):
        cuts = [size * k // count for k in range(count + 1)]
        return [x[start:end] for start, end in zip(cuts, cuts[1:])]


def finite_examples(x, first_row, *where):
    """`x`, with the assertion that every example is finite; the message counts them from `first_row`, and says `where`."""
    rows = tf.reduce_all(tf.math.is_finite(tf.reshape(x, [tf.shape(x)[0], -1])), 1)
    broken = tf.cast(first_row, tf.int64) + tf.argmin(tf.cast(rows, tf.int32))
    check = tf.debugging.Assert(tf.reduce_all(rows), ["x must be finite; example", broken, "(counted from 0)", *where, "is not"])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(x)


def finite_loss(loss, x, step):
    """`loss`, with the assertion that it, and before it the examples `x` that it is of, are finite."""
    x = finite_examples(x, 0, "of the batch of step", step + 1)
    with tf.control_dependencies([x]), tf.control_dependencies(loss_check(tf.math.is_finite(loss), step + 1)):
        return tf.identity(loss)


def loss_check(finite, number):
    """The assertion that the loss of the step with a `number`, counted from 1, is finite, in a list; empty where it was made."""
    check = tf.debugging.Assert(finite, ["The loss is not finite at step", number, "- lower the learning rate, or set clipnorm"])
    return [] if check is None else [check]


@contextlib.contextmanager
def plain_errors():
    """Turns assertions of this package that fail inside a graph into a `ValueError` of one line.

    Raises:
      NonFiniteLoss: for a loss that is not finite.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"assertion failed: (\[[^\n]*)", error.message)
        parts = re.findall(r"\[([^\[\]]*)\]", found[1].partition("[[")[0]) if found else []
        message = " ".join(part for part in parts if part)
        if not any(ours in message for ours in _OURS):
            raise
        if "loss is not finite" in message:
            raise NonFiniteLoss(f"{message}.", int(re.search(r"at step (\d+)", message)[1])) from None
        raise ValueError(f"{message}.") from None
