"""Keras metrics of isometry: norm, derivatives, Gram matrix, posterior precision."""
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.geometry.pullback import scaled
from tfisovae.metrics.base import MeasurementMetric, _matrix, _vector
from tfisovae.metrics.measurement import Measurement

_METHODS = ("jacobian", "numerical")


class PosteriorPrecision(MeasurementMetric):
    """The precision E[sigma_j^-2] of each latent variable: its importance up to the factor beta / 2
    (Eq. 16).

    Example:
      >>> vae.compile("adam", metrics=[tfisovae.metrics.PosteriorPrecision()])
      >>> value = vae.evaluate(x, verbose=0, return_dict=True)["posterior_precision"]
    """

    shape = staticmethod(_vector)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.posterior.precision()


class IsometricNorm(MeasurementMetric):
    """The squared norm of each latent direction in the data, 1 for an isometric embedding (Eq. 15).

    It is (2 / beta) sigma_j^2 D'_j, the squared norm of x_yj.

    Scalars: the mean over active dimensions of the norm's mean over the data, and with `_spread`
    the standard deviation between dimensions (the paper's "1.83 and 0.13" of Fig. 4).

    Args:
      method: "jacobian" (exact, shared with `GramOffDiagonal`) or "numerical" (the paper's finite
        difference).

    Example:
      >>> vae.compile("adam", metrics=[tfisovae.metrics.IsometricNorm()])
      >>> value = vae.evaluate(x, verbose=0, return_dict=True)["isometric_norm"]
    """

    shape = staticmethod(_vector)

    def __init__(self, method: str = "jacobian", name: str | None = None, **kwargs: Any) -> None:
        if method not in _METHODS:
            raise ValueError(f'method must be "jacobian" or "numerical"; got {method!r}.')
        super().__init__(name, **kwargs)
        self.method = method

    def measure(self, measurement: Measurement) -> tf.Tensor:
        if self.method == "jacobian":
            return tf.linalg.diag_part(measurement.gram)
        derivatives = tf.linalg.diag(measurement.numerical_derivatives)
        return tf.linalg.diag_part(
            scaled(derivatives, measurement.posterior.scale, measurement.autoencoder.beta))

    @tf.autograph.experimental.do_not_convert
    def result(self) -> dict[str, tf.Tensor]:
        means = self._sum / self.count
        center = self._active_mean(means)
        spread = tf.sqrt(self._active_mean(tf.square(means - center)))
        return {self.name: center, f"{self.name}_spread": spread}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "method": self.method}


class Derivative(MeasurementMetric):
    """How fast the distortion grows along each latent axis: D'_j = x_zj^T G x_zj, distortion per
    squared latent unit (section 3.4).
    """

    shape = staticmethod(_vector)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return tf.linalg.diag_part(measurement.pullback)


class GramOffDiagonal(MeasurementMetric):
    """How far latent directions are from orthogonal: the root mean square of Gamma_jk, j != k, over
    the data and the pairs of active dimensions (Eq. 12). It is 0 for orthogonal directions.

    With `_cosine`: the same for Gamma_jk / sqrt(Gamma_jj Gamma_kk), which does not depend on the
    norms. `mean`, `std` and `cosine` are `[n, n]`.

    Example:
      >>> vae.compile("adam", metrics=[tfisovae.metrics.GramOffDiagonal()])
      >>> value = vae.evaluate(x, verbose=0, return_dict=True)["gram_off_diagonal"]
    """

    shape = staticmethod(_matrix)

    def build(self, n: int) -> None:
        if self.n is None:
            self._cosine_squares = self.accumulator("cosine_squares", (n, n))
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.gram

    def accumulate(self, measurement: Measurement) -> None:
        super().accumulate(measurement)
        gram = tf.cast(measurement.gram, self.dtype)
        # Rounding may leave a collapsed one below 0.
        norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0))
        cosine = tf.math.divide_no_nan(gram, norms[:, :, None] * norms[:, None, :])
        self._cosine_squares.assign_add(tf.reduce_sum(tf.square(cosine), 0))

    @tf.autograph.experimental.do_not_convert
    def result(self) -> dict[str, tf.Tensor]:
        active = self._active()
        pairs = tf.logical_and(active[:, None], active[None, :])
        pairs = tf.linalg.set_diag(pairs, tf.zeros([self.n], tf.bool))

        def root_mean(squares):
            return tf.sqrt(tf.reduce_mean(tf.boolean_mask(squares / self.count, pairs)))

        return {
            self.name: root_mean(self._squares),
            f"{self.name}_cosine": root_mean(self._cosine_squares)
        }

    @property
    def cosine(self) -> np.ndarray:
        """Root mean square over examples of the cosine between x_zj and x_zk, `[n, n]`."""
        return np.sqrt(self._cosine_squares.numpy() / self.count.numpy())
