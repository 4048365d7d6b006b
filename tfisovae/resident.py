"""Training on data that stay on the device: many steps in one call, compiled by XLA."""
import typing

import tensorflow as tf

from tfisovae.posterior import noise_steps


class Steps(typing.NamedTuple):
    """What the trackers of a VAE need of many steps, as if they were one batch of all their examples.

    Attributes:
      distortion: `[N]`, as trained.
      kl: `[N, n]`, nats.
      objective: `[N]`, nats.
    """

    distortion: tf.Tensor
    kl: tf.Tensor
    objective: tf.Tensor


class Resident:
    """The examples of a `VAE` on its device, and the compiled loop of steps over them.

    XLA turns a step of a small network into a few fused loops without the overhead of an operation, which is most of the time
    of such a step. The noise is drawn outside: XLA's generator gives other numbers for the same key.

    Args:
      vae: compiled `VAE`.
      examples: `[N, ...]`, float32.
    """

    def __init__(self, vae, examples):
        self.vae, self.examples = vae, examples
        self._steps = tf.function(self._loop, jit_compile=True)

    def train(self, rows):
        """Trains on the rows `[steps, B]`, int32, of the examples: `Steps`."""
        if rows.shape.rank != 2 or not rows.dtype.is_integer or rows.shape[1] is None:
            raise ValueError("A VAE with resident data is trained on row numbers [steps, batch], integers; "
                             f"got {rows.dtype.name} {rows.shape}.")
        vae, steps, batch_size = self.vae, tf.shape(rows)[0], rows.shape[1]
        first = vae.optimizer.iterations
        noise = noise_steps(steps, first, batch_size, vae.n, vae.seed)
        before = tf.identity(first)
        distortion, kl = self._steps(rows, noise)
        distortion, kl = tf.reshape(distortion, [-1]), tf.reshape(kl, [-1, vae.n])
        done = Steps(distortion, kl, vae.lmbda * distortion + tf.reduce_sum(kl, -1))
        losses = tf.reduce_mean(tf.reshape(done.objective, [steps, batch_size]), 1)
        broken = tf.where(~tf.math.is_finite(losses))
        # XLA drops assertions inside the loop.
        check = tf.debugging.Assert(tf.equal(tf.size(broken), 0), [
            "The loss is not finite at step", before + 1 + tf.cast(tf.reduce_min(broken), before.dtype),
            "- lower the learning rate, or set clipnorm"])
        with tf.control_dependencies([check] if check is not None else []):
            return done._replace(distortion=tf.identity(done.distortion))

    def _loop(self, rows, noise):
        steps = tf.shape(rows)[0]
        distortions, kls = (tf.TensorArray(tf.float32, steps) for _ in range(2))
        for step in tf.range(steps):
            parts = self.vae.train_on(tf.gather(self.examples, rows[step]), noise[step])
            distortions = distortions.write(step, tf.concat([part.distortion for part in parts], 0))
            kls = kls.write(step, tf.concat([part.kl for part in parts], 0))
        return distortions.stack(), kls.stack()
