"""Keras metrics of rate, distortion, their parts, and the loss."""
import numpy as np
import tensorflow as tf

from tfisovae.metrics.base import MeasurementMetric, _vector
from tfisovae.metrics.measurement import Measurement


class Rate(MeasurementMetric):
    """The rate: KL of the posterior from the prior, in nats, over all dimensions together.

    Example:
      >>> metric = tfisovae.metrics.Rate()
      >>> metric.build(vae.n)
      >>> metric.update_state(vae.measure(x))
      >>> value = float(metric.result())
    """

    shape = staticmethod(_vector)

    def build(self, n: int) -> None:
        if self.n is None:
            self._total = self.accumulator("total", ())
            self._total_squares = self.accumulator("total_squares", ())
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.kl

    def accumulate(self, measurement: Measurement) -> None:
        super().accumulate(measurement)
        rate = tf.cast(measurement.rate, self.dtype)
        self._total.assign_add(tf.reduce_sum(rate))
        self._total_squares.assign_add(tf.reduce_sum(tf.square(rate)))

    @tf.autograph.experimental.do_not_convert
    def result(self) -> tf.Tensor:
        return self._total / self.count

    @property
    def total_standard_error(self) -> float:
        """Standard error of `result`, for independent examples; NaN for a single one."""
        count = self.count.numpy()
        variance = self._total_squares.numpy() / count - float(self.result()) ** 2
        return float(np.sqrt(max(0.0, variance) / count)) if count > 1 else float("nan")


class ActiveDimensions(MeasurementMetric):
    """The number of latent dimensions in use: those with a mean KL above `threshold`.

    Example:
      >>> metric = tfisovae.metrics.ActiveDimensions()
      >>> metric.build(vae.n)
      >>> metric.update_state(vae.measure(x))
      >>> value = float(metric.result())
    """

    shape = staticmethod(_vector)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.kl

    @tf.autograph.experimental.do_not_convert
    def result(self) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(self._active(), self.dtype))


class CodingLoss(MeasurementMetric):
    """The coding loss E[D(x_check, x_hat)]: the distortion by posterior noise; n_active beta / 2 in
    theory (Eq. 14).

    Example:
      >>> vae.compile("adam", metrics=[tfisovae.metrics.CodingLoss()])
      >>> value = vae.evaluate(x, verbose=0, return_dict=True)["coding_loss"]
    """

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.coding_loss


class TransformLoss(MeasurementMetric):
    """The transform loss E[D(x, x_check)]: the distortion without posterior noise (section 3.2).

    Example:
      >>> vae.compile("adam", metrics=[tfisovae.metrics.TransformLoss()])
      >>> value = vae.evaluate(x, verbose=0, return_dict=True)["transform_loss"]
    """

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.transform_loss


class Distortion(MeasurementMetric):
    """The trained distortion, in its own unit; times lmbda it is in nats."""

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.distortion


class Loss(MeasurementMetric):
    """lmbda D + KL (Eq. 54), nats."""

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.objective


class Irreducible(MeasurementMetric):
    """D(x, x) / beta, nats: the part of the loss that training cannot change."""

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.irreducible
