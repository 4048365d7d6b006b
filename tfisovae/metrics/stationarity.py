"""Keras metrics that are 0 or 1 after convergence: posterior balance and moments of the aggregate
posterior.
"""
import numpy as np
import tensorflow as tf

from tfisovae.autoencoder.posterior import active
from tfisovae.metrics.base import MeasurementMetric, _vector
from tfisovae.metrics.measurement import Measurement
from tfisovae.verdict.checks import STRONG_KL


def power_sums(values: tf.Tensor) -> tf.Tensor:
    """Sums over examples of the first four powers of `values` `[B, n]`: `[4, n]`."""
    return tf.stack([tf.reduce_sum(values**power, 0) for power in (1, 2, 3, 4)])


class PosteriorBalance(MeasurementMetric):
    """Whether the posterior widths have converged (stationarity in sigma): 1 after convergence, for
    every loss.

    It is E[eps_j sigma_j dD/dz_j] / (beta E[1 - sigma_j^2]).

    It follows from the stationarity of the log-variance head's bias, and also holds for decoders
    that are not isometric. Another value means that training has not converged, not that the
    embedding fails.

    Example:
      >>> vae.compile("adam", metrics=[tfisovae.metrics.PosteriorBalance()])
      >>> value = vae.evaluate(x, verbose=0, return_dict=True)["posterior_balance"]
    """

    shape = staticmethod(_vector)

    def build(self, n: int) -> None:
        if self.n is None:
            self._target = self.accumulator("target", (n,))
            self._differences = self.accumulator("differences", (4, n))
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.noise_work / measurement.autoencoder.beta

    def accumulate(self, measurement: Measurement) -> None:
        super().accumulate(measurement)
        work = tf.cast(self.measure(measurement), self.dtype)
        target = 1 - tf.square(tf.cast(measurement.posterior.scale, self.dtype))
        self._target.assign_add(tf.reduce_sum(target, 0))
        self._differences.assign_add(power_sums(work - target))

    @tf.autograph.experimental.do_not_convert
    def result(self) -> tf.Tensor:
        """The ratio of sums over the active dimensions; for weak dimensions alone both sides are
        near 0.
        """
        balance, target = (tf.reduce_sum(tf.boolean_mask(sums, self._active()))
                           for sums in (self._sum, self._target))
        return balance / target

    @property
    def strong(self) -> np.ndarray:
        """Which dimensions are strong enough to check their balance, `[n]`: above .1 nat. For
        weaker ones both sides are near 0.
        """
        return active(self.kl, STRONG_KL)

    @property
    def differences(self) -> np.ndarray:
        """Sums over examples of the first four powers of eps_j sigma_j dD/dz_j / beta - (1 -
        sigma_j^2), `[4, n]`.
        """
        return self._differences.numpy()

    @property
    def ratio(self) -> np.ndarray:
        """The balance of each dimension, `[n]`; without meaning if E[1 - sigma_j^2] is near 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._sum.numpy() / self._target.numpy()

    @property
    def ratio_standard_error(self) -> np.ndarray:
        """Standard error of `ratio`, for independent examples, `[n]`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.standard_error / np.abs(self.target)

    @property
    def target(self) -> np.ndarray:
        """E[1 - sigma_j^2], `[n]`, the norm at the optimum of sigma, if the loss is quadratic in
        x_hat and the decoder straight over the posterior's width.
        """
        return self._target.numpy() / self.count.numpy()


class LogScale(MeasurementMetric):
    """E[log sigma_j], which with the variance of z_j gives the information in a dimension."""

    shape = staticmethod(_vector)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return tf.math.log(measurement.posterior.scale)


class AggregateMoments(MeasurementMetric):
    """Whether the moments of the latent variables have converged: E[mu_j^2 + sigma_j^2] is 1 and
    E[mu_j] is 0 for every j.

    It follows from the stationarity of the two linear heads of the encoder, also for collapsed
    dimensions. Scalars: the largest deviation from 1 over all dimensions, and with `_mean` the
    largest |E[mu_j]|.
    """

    shape = staticmethod(_vector)

    def build(self, n: int) -> None:
        if self.n is None:
            self._first = self.accumulator("first", (4, n))
            self._second = self.accumulator("second", (4, n))
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        mean, scale = measurement.posterior
        return tf.square(mean) + tf.square(scale)

    def accumulate(self, measurement: Measurement) -> None:
        super().accumulate(measurement)
        self._first.assign_add(power_sums(tf.cast(measurement.posterior.mean, self.dtype)))
        self._second.assign_add(power_sums(tf.cast(self.measure(measurement), self.dtype) - 1))

    @tf.autograph.experimental.do_not_convert
    def result(self) -> dict[str, tf.Tensor]:
        return {self.name: tf.reduce_max(tf.abs(self._sum / self.count - 1)),
                f"{self.name}_mean": tf.reduce_max(tf.abs(self._first[0] / self.count))}

    @property
    def first(self) -> np.ndarray:
        """E[mu_j], `[n]`."""
        return self._first.numpy()[0] / self.count.numpy()

    @property
    def first_powers(self) -> np.ndarray:
        """Sums over examples of the first four powers of mu_j, `[4, n]`."""
        return self._first.numpy()

    @property
    def second_powers(self) -> np.ndarray:
        """Sums over examples of the first four powers of mu_j^2 + sigma_j^2 - 1, `[4, n]`."""
        return self._second.numpy()
