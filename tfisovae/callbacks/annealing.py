"""Annealing of lmbda during a training."""
import dataclasses
import math

import tensorflow as tf

from tfisovae import arguments
from tfisovae.callbacks import ANNEALINGS


@dataclasses.dataclass(frozen=True)
class Annealing:
    """lmbda as a function of the step: a `LambdaSchedule` with all values known."""

    kind: str
    steps: int
    start: float
    end: float
    cycles: int

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """lmbda at a training step, counted from 0: a scalar, float64; `step` may be a tensor."""
        done = tf.cast(step, tf.float64) / self.steps
        if self.kind == "cyclical":
            position = done * self.cycles
            progress = tf.where(done < 1, tf.minimum(2 * (position - tf.floor(position)), 1), 1)
        else:
            progress = tf.minimum(done + 1 / self.steps, 1)
            if self.kind == "cosine":
                progress = (1 - tf.cos(math.pi * progress)) / 2
        first = self.end / self.start
        return self.end / (first + (1 - first) * progress)


class LambdaSchedule(tf.keras.callbacks.Callback):
    """Anneals the KL weight while `fit` trains: lmbda goes from `start` to `end`, and stays there.

    The KL weight relative to the distortion, w = end / lmbda, goes from w_0 = end / start to 1:

        linear      w = w_0 + (1 - w_0) p,    p = t / steps at the t-th step
        cosine      the same with p = (1 - cos(pi t / steps)) / 2
        cyclical    `cycles` times p from 0 to 1 in the first half of a cycle, and 1 in the second
                    (Fu et al., 2019)

    The loss is lmbda D + KL with the lmbda of the step. It depends on the optimizer's step, so it
    also works with resumed runs, many steps per call, and resident data. It controls `vae.lmbda`
    while it is in the callbacks of `fit`. Afterwards, measurements and saved models use the last
    value.

        vae.fit(x, callbacks=[tfisovae.callbacks.LambdaSchedule("linear", steps=5_000)])

    Args:
      kind: "linear", "cosine" or "cyclical".
      steps: steps until lmbda is `end` for good.
      start: lmbda before the first step; by default 100 times `end`, so the KL has 1 % of its
        weight.
      end: lmbda after the last step; by default the VAE's own lmbda at construction, whatever a
        schedule has made of it since. Set it to continue with a VAE that was saved half-way.
      cycles: number of cycles of "cyclical".

    Example:
      >>> vae.compile("adam")
      >>> schedule = tfisovae.callbacks.LambdaSchedule("linear", steps=5)
      >>> history = vae.fit(x, epochs=1, verbose=0, callbacks=[schedule])
    """

    def __init__(self, kind: str = "linear", steps: int = 10_000, start: float | None = None,
                 end: float | None = None, cycles: int = 4) -> None:
        super().__init__()
        if kind not in ANNEALINGS:
            raise ValueError(
                f"kind must be one of {', '.join(map(repr, ANNEALINGS))}; got {kind!r}.")
        for name, value in (("steps", steps), ("cycles", cycles)):
            arguments.integer(name, value)
        for name, value in (("start", start), ("end", end)):
            if value is not None:
                arguments.positive(name, value)
        self.kind, self.steps, self.start, self.end, self.cycles = kind, int(
            steps), start, end, int(cycles)

    def annealing(self, lmbda: float) -> Annealing:
        """The `Annealing` for a VAE with this lmbda."""
        end = float(lmbda if self.end is None else self.end)
        return Annealing(self.kind, self.steps, float(self.start or 100 * end), end, self.cycles)
