"""Keras metrics of the isometric embedding, for `vae.compile(metrics=[...])` and `vae.evaluate`.

Each metric takes the `tfisovae.metrics.measurement.Measurement` of one batch, and keeps sums over
examples (float64). So batches and replicas do not change its result over a data set. `result()`
gives scalars over the *active* latent dimensions, with a mean KL above `threshold`. Vectors of all
dimensions, in the model's order, are properties of the metric (`mean`, `std`, ...).
"""
import re
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae._autograph import converted, unconverted
from tfisovae.autoencoder.posterior import ACTIVE_KL, active
from tfisovae.metrics.measurement import Measurement


class MeasurementMetric(tf.keras.metrics.Metric):
    """Base class of all metrics, here and yours: the mean over examples of `measure`, with its
    standard error.

    A subclass defines `measure`, and `shape` unless it gives one number per example.

        class MeanSize(metrics.MeasurementMetric):
            shape = staticmethod(lambda n: (n,))

            def measure(self, measurement):
                return tf.abs(measurement.posterior.mean)

    Args:
      name: name in the logs; by default from the class, as in "posterior_precision".
      threshold: a dimension is active if its mean KL is above this, in nats.
    """

    def __init__(self, name: str | None = None, threshold: float = ACTIVE_KL,
                 **kwargs: Any) -> None:
        snake_case = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        super().__init__(name=name or snake_case, **{"dtype": "float64", **kwargs})
        if not np.isfinite(threshold) or threshold < 0:
            raise ValueError(f"threshold must be a KL in nats, at least 0; got {threshold!r}.")
        self.threshold = float(threshold)
        self.n = None

    @staticmethod
    def shape(n: int) -> tuple[int, ...]:
        """Shape of one example's values, for n latent dimensions."""
        return ()

    def accumulator(self, name: str, shape: tuple[int, ...]) -> tf.Variable:
        """Makes a variable that is summed over replicas and set to 0 by `reset_state`. Make yours
        in `build`, before calling the parent's.
        """
        # Keras 3 would make it float32, whatever the metric's type.
        return self.add_weight(name=name, shape=shape, initializer="zeros", dtype=self.dtype)

    def build(self, n: int) -> None:
        """Makes the accumulators for n latent dimensions; `VAE.compile` and `analyze` call this."""
        if self.n == n:
            return
        if self.n is not None:
            raise ValueError(
                f"The metric {self.name!r} already measures a VAE of {self.n} latent dimensions, "
                f"not {n}."
            )
        self.n = n
        self.count = self.accumulator("count", ())
        self._kl = self.accumulator("kl", (n,))
        self._sum = self.accumulator("sum", self.shape(n))
        self._squares = self.accumulator("squares", self.shape(n))

    def measure(self, measurement: Measurement) -> tf.Tensor:
        """The values to average, `[B, *shape(n)]`, from a
        `tfisovae.metrics.measurement.Measurement`.
        """
        raise NotImplementedError(f"{type(self).__name__} must define measure(measurement).")

    @unconverted
    def update_state(self, measurement: Measurement) -> None:
        """Keras calls this with each batch."""
        self.accumulate(measurement)

    def accumulate(self, measurement: Measurement) -> None:
        """Adds a batch to the sums."""
        values, kl = (tf.cast(part, self.dtype)
                      for part in (converted(self.measure)(measurement), measurement.kl))
        self.count.assign_add(tf.cast(tf.shape(kl)[0], self.dtype))
        self._kl.assign_add(tf.reduce_sum(kl, 0))
        self._sum.assign_add(tf.reduce_sum(values, 0))
        self._squares.assign_add(tf.reduce_sum(tf.square(values), 0))

    @tf.autograph.experimental.do_not_convert
    def result(self) -> tf.Tensor | dict[str, tf.Tensor]:
        """The mean; for values by dimension, the mean over the active ones."""
        mean = self._sum / self.count
        return self._active_mean(mean) if self.shape(self.n) == (self.n,) else mean

    def reset_state(self) -> None:
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}

    def set_information(self, nats: np.ndarray) -> None:
        """Sets the information in each dimension, `[n]`, nats. It decides which dimensions are
        active. For a prior other than N(0, I), the KL from N(0, I) does not show it.
        """
        self._kl.assign(nats * self.count.numpy())

    def _active(self):
        return active(self._kl / self.count, self.threshold)

    def _active_mean(self, values):
        """Mean of `[n]` over the active dimensions; NaN if there are none."""
        return tf.reduce_mean(tf.boolean_mask(values, self._active()))

    @property
    def num_examples(self) -> int:
        return int(self.count.numpy())

    @property
    def kl(self) -> np.ndarray:
        """Mean KL_j, nats, `[n]`."""
        return self._kl.numpy() / self.count.numpy()

    @property
    def active(self) -> np.ndarray:
        """Whether each dimension carries information (mean KL above the threshold), `[n]`."""
        return active(self.kl, self.threshold)

    @property
    def mean(self) -> float | np.ndarray:
        """Mean over examples, `shape(n)`."""
        return self._sum.numpy() / self.count.numpy()

    @property
    def std(self) -> float | np.ndarray:
        """Standard deviation over examples."""
        return np.sqrt(np.maximum(self._squares.numpy() / self.count.numpy() - self.mean**2, 0))

    @property
    def standard_error(self) -> float | np.ndarray:
        """Standard error of `mean`, for independent examples; NaN for a single one."""
        count = self.count.numpy()
        return self.std / np.sqrt(count) if count > 1 else np.full(self.shape(self.n), np.nan)


def _vector(n: int) -> tuple[int, ...]:
    return (n,)


def _matrix(n: int) -> tuple[int, ...]:
    return n, n
