"""Keras metrics of the isometric embedding, for `vae.compile(metrics=[...])` and `vae.evaluate`.

Each metric is updated with a `tfisovae.measurement.Measurement` of one batch, and keeps sums over examples (float64), so its
result over a data set does not depend on how it was batched or spread over replicas. `result()` gives scalars over the *active*
latent dimensions, those whose mean KL exceeds `threshold`; the vectors of all dimensions, in the model's order, are properties of
the metric (`mean`, `std`, ...).
"""
import re
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.geometry import scaled
from tfisovae.measurement import Measurement
from tfisovae.posterior import ACTIVE_KL, STRONG_KL, active

_METHODS = ("jacobian", "numerical")


class MeasurementMetric(tf.keras.metrics.Metric):
    """The mean over examples of what `measure` gives of each, with its standard error: the base of all metrics here, and of yours.

    A subclass defines `measure`, and `shape` where that is not one number an example. It keeps sums over examples (float64).

        class MeanSize(metrics.MeasurementMetric):
            shape = staticmethod(lambda n: (n,))

            def measure(self, measurement):
                return tf.abs(measurement.posterior.mean)

    Args:
      name: name in the logs; by default that of the class, as in "posterior_precision".
      threshold: mean KL, in nats, above which a dimension counts as active.
    """

    def __init__(self, name: str | None = None, threshold: float = ACTIVE_KL, **kwargs: Any) -> None:
        snake_case = re.sub(r"(?<!^)(?=[A-Z])", "_", type(self).__name__).lower()
        super().__init__(name=name or snake_case, **{"dtype": tf.float64, **kwargs})
        if not np.isfinite(threshold) or threshold < 0:
            raise ValueError(f"threshold must be a KL in nats, at least 0; got {threshold!r}.")
        self.threshold = float(threshold)
        self.n = None

    @staticmethod
    def shape(n: int) -> tuple[int, ...]:
        """Of one example's values, for n latent dimensions."""
        return ()

    def accumulator(self, name: str, shape: tuple[int, ...]) -> tf.Variable:
        """A variable that is summed over replicas and set to 0 by `reset_state`; make yours in `build`, before the parent's."""
        return self.add_weight(name, shape, initializer="zeros")

    def build(self, n: int) -> None:
        """Makes the accumulators for n latent dimensions; `VAE.compile` and `analyze` call this."""
        if self.n == n:
            return
        if self.n is not None:
            raise ValueError(f"The metric {self.name!r} already measures a VAE of {self.n} latent dimensions, not {n}.")
        self.n = n
        self.count = self.accumulator("count", ())
        self._kl = self.accumulator("kl", (n,))
        self._sum = self.accumulator("sum", self.shape(n))
        self._squares = self.accumulator("squares", self.shape(n))

    def measure(self, measurement: Measurement) -> tf.Tensor:
        """The values to average, `[B, *shape(n)]`, of a `tfisovae.measurement.Measurement`."""
        raise NotImplementedError(f"{type(self).__name__} must define measure(measurement).")

    def update_state(self, measurement: Measurement) -> None:
        values, kl = (tf.cast(part, self.dtype) for part in (self.measure(measurement), measurement.kl))
        self.count.assign_add(tf.cast(tf.shape(kl)[0], self.dtype))
        self._kl.assign_add(tf.reduce_sum(kl, 0))
        self._sum.assign_add(tf.reduce_sum(values, 0))
        self._squares.assign_add(tf.reduce_sum(tf.square(values), 0))

    def result(self) -> tf.Tensor | dict[str, tf.Tensor]:
        """The mean; of values by dimension, over the active ones."""
        mean = self._sum / self.count
        return self._active_mean(mean) if self.shape(self.n) == (self.n,) else mean

    def reset_state(self) -> None:
        for variable in self.variables:
            variable.assign(tf.zeros_like(variable))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "threshold": self.threshold}

    def _active(self):
        return active(self._kl / self.count, self.threshold)

    def _active_mean(self, values):
        """Mean of `[n]` over the active dimensions; NaN where there are none."""
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
        """Standard error of `mean`, for independent examples; NaN of a single one."""
        count = self.count.numpy()
        return self.std / np.sqrt(count) if count > 1 else np.full(self.shape(self.n), np.nan)


def _vector(n: int) -> tuple[int, ...]:
    return (n,)


def _matrix(n: int) -> tuple[int, ...]:
    return n, n


def power_sums(values: tf.Tensor) -> tf.Tensor:
    """Sums over examples of the first three powers of `values` `[B, n]`: `[3, n]`."""
    return tf.stack([tf.reduce_sum(values**power, 0) for power in (1, 2, 3)])


def root_mean_cosine(cosines: np.ndarray, among: np.ndarray) -> float:
    """Root mean square of `cosines` `[n, n]` over the pairs of the dimensions numbered `among`; NaN for fewer than two."""
    pairs = cosines[np.ix_(among, among)][~np.eye(len(among), dtype=bool)]
    return float(np.sqrt(np.mean(pairs**2))) if len(pairs) else np.nan


class Rate(MeasurementMetric):
    """KL of the posterior from the prior, in nats: the sum over all dimensions of E[KL_j]."""

    shape = staticmethod(_vector)

    def build(self, n: int) -> None:
        if self.n is None:
            self._total_squares = self.accumulator("total_squares", ())
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.kl

    def update_state(self, measurement: Measurement) -> None:
        super().update_state(measurement)
        self._total_squares.assign_add(tf.reduce_sum(tf.square(tf.reduce_sum(tf.cast(measurement.kl, self.dtype), 1))))

    def result(self) -> tf.Tensor:
        return tf.reduce_sum(self._kl) / self.count

    @property
    def total_standard_error(self) -> float:
        """Standard error of `result`, for independent examples; NaN of a single one."""
        count = self.count.numpy()
        variance = self._total_squares.numpy() / count - float(self.result()) ** 2
        return float(np.sqrt(max(0.0, variance) / count)) if count > 1 else float("nan")


class ActiveDimensions(MeasurementMetric):
    """The number of latent dimensions whose mean KL exceeds `threshold`."""

    shape = staticmethod(_vector)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.kl

    def result(self) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(self._active(), self.dtype))


class PosteriorPrecision(MeasurementMetric):
    """E[sigma_j^-2], the importance of each latent variable up to the factor beta/2 (Eq. 16)."""

    shape = staticmethod(_vector)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.posterior.precision()


class IsometricNorm(MeasurementMetric):
    """(2 / beta) sigma_j^2 D'_j, the squared norm of x_yj, 1 at an isometric embedding (Eq. 15).

    Scalars: the mean over active dimensions, and with `_spread` the standard deviation between them, of the norm's mean
    over the data (the paper's "1.83 and 0.13" of Fig. 4).

    Args:
      method: "jacobian" (exact, shared with `GramOffDiagonal`) or "numerical" (the paper's finite difference).
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
        return tf.linalg.diag_part(scaled(derivatives, measurement.posterior.scale, measurement.autoencoder.beta))

    def result(self) -> dict[str, tf.Tensor]:
        means = self._sum / self.count
        center = self._active_mean(means)
        spread = tf.sqrt(self._active_mean(tf.square(means - center)))
        return {self.name: center, f"{self.name}_spread": spread}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "method": self.method}


class Derivative(MeasurementMetric):
    """D'_j = x_zj^T G x_zj, distortion per squared latent unit (section 3.4)."""

    shape = staticmethod(_vector)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return tf.linalg.diag_part(measurement.pullback)


class GramOffDiagonal(MeasurementMetric):
    """Root mean square of Gamma_jk, j != k, over the data and the pairs of active dimensions; 0 when orthogonal (Eq. 12).

    With `_cosine`: the same of Gamma_jk / sqrt(Gamma_jj Gamma_kk), which does not depend on the norms. `mean`, `std` and
    `cosine` are `[n, n]`.
    """

    shape = staticmethod(_matrix)

    def build(self, n: int) -> None:
        if self.n is None:
            self._cosine_squares = self.accumulator("cosine_squares", (n, n))
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.gram

    def update_state(self, measurement: Measurement) -> None:
        super().update_state(measurement)
        gram = tf.cast(measurement.gram, self.dtype)
        norms = tf.sqrt(tf.maximum(tf.linalg.diag_part(gram), 0))  # rounding may leave a collapsed one below 0
        cosine = tf.math.divide_no_nan(gram, norms[:, :, None] * norms[:, None, :])
        self._cosine_squares.assign_add(tf.reduce_sum(tf.square(cosine), 0))

    def result(self) -> dict[str, tf.Tensor]:
        active = self._active()
        pairs = tf.logical_and(active[:, None], active[None, :])
        pairs = tf.linalg.set_diag(pairs, tf.zeros([self.n], tf.bool))

        def root_mean(squares):
            return tf.sqrt(tf.reduce_mean(tf.boolean_mask(squares / self.count, pairs)))

        return {self.name: root_mean(self._squares), f"{self.name}_cosine": root_mean(self._cosine_squares)}

    @property
    def cosine(self) -> np.ndarray:
        """Root mean square over examples of the cosine between x_zj and x_zk, `[n, n]`."""
        return np.sqrt(self._cosine_squares.numpy() / self.count.numpy())


class PosteriorBalance(MeasurementMetric):
    """E[eps_j sigma_j dD/dz_j] / (beta E[1 - sigma_j^2]): 1 wherever training has converged, for every loss.

    This is the stationarity of the log-variance head's bias, and holds for decoders that are not isometric too: away from 1
    it says that training has not converged, not that the embedding fails.
    """

    shape = staticmethod(_vector)

    def build(self, n: int) -> None:
        if self.n is None:
            self._target = self.accumulator("target", (n,))
            self._differences = self.accumulator("differences", (3, n))
            self._products = self.accumulator("products", (2 * n, 2 * n))
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.noise_work / measurement.autoencoder.beta

    def update_state(self, measurement: Measurement) -> None:
        super().update_state(measurement)
        work = tf.cast(self.measure(measurement), self.dtype)
        target = 1 - tf.square(tf.cast(measurement.posterior.scale, self.dtype))
        both = tf.concat([work, target], 1)
        self._target.assign_add(tf.reduce_sum(target, 0))
        self._differences.assign_add(power_sums(work - target))
        self._products.assign_add(tf.matmul(both, both, transpose_a=True))

    def result(self) -> tf.Tensor:
        """The ratio of sums over the active dimensions: of weak ones alone both sides are near 0."""
        balance, target = (tf.reduce_sum(tf.boolean_mask(sums, self._active())) for sums in (self._sum, self._target))
        return balance / target

    @property
    def strong(self) -> np.ndarray:
        """Where the balance of a single dimension can be checked, `[n]`: above .1 nat; on weaker ones both sides are near 0."""
        return active(self.kl, STRONG_KL)

    @property
    def result_standard_error(self) -> float:
        """Standard error of `result`, for independent examples: that of each example's sums over the dimensions together."""
        counted = self.active
        if not counted.any():
            return np.nan
        ratio, total = float(self.result()), float(self._target.numpy()[counted].sum())
        if not total:  # of posteriors as wide as the prior
            return np.nan
        weights = np.concatenate([counted * 1.0, -ratio * counted])
        return float(np.sqrt(max(0.0, weights @ self._products.numpy() @ weights))) / abs(total)

    @property
    def differences(self) -> np.ndarray:
        """Sums over examples of the first three powers of eps_j sigma_j dD/dz_j / beta - (1 - sigma_j^2), `[3, n]`."""
        return self._differences.numpy()

    @property
    def ratio(self) -> np.ndarray:
        """The balance of each dimension, `[n]`; meaningless where E[1 - sigma_j^2] is near 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self._sum.numpy() / self._target.numpy()

    @property
    def ratio_standard_error(self) -> np.ndarray:
        """Standard error of `ratio`, for independent examples, `[n]`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.standard_error / np.abs(self.target)

    @property
    def target(self) -> np.ndarray:
        """E[1 - sigma_j^2], `[n]`, the norm at the optimum of sigma where the loss is quadratic in x_hat and the decoder
        straight over the posterior's width."""
        return self._target.numpy() / self.count.numpy()


class AggregateMoments(MeasurementMetric):
    """E[mu_j^2 + sigma_j^2], which is 1, and E[mu_j], which is 0, for every j wherever training has converged.

    This is the stationarity of the two linear heads of the encoder; collapsed dimensions obey it too. Scalars: the largest
    deviation from 1 over all dimensions, and with `_mean` the largest |E[mu_j]|.
    """

    shape = staticmethod(_vector)

    def build(self, n: int) -> None:
        if self.n is None:
            self._first = self.accumulator("first", (3, n))
            self._second = self.accumulator("second", (3, n))
        super().build(n)

    def measure(self, measurement: Measurement) -> tf.Tensor:
        mean, scale = measurement.posterior
        return tf.square(mean) + tf.square(scale)

    def update_state(self, measurement: Measurement) -> None:
        super().update_state(measurement)
        self._first.assign_add(power_sums(tf.cast(measurement.posterior.mean, self.dtype)))
        self._second.assign_add(power_sums(tf.cast(self.measure(measurement), self.dtype) - 1))

    def result(self) -> dict[str, tf.Tensor]:
        return {self.name: tf.reduce_max(tf.abs(self._sum / self.count - 1)),
                f"{self.name}_mean": tf.reduce_max(tf.abs(self._first[0] / self.count))}

    @property
    def first(self) -> np.ndarray:
        """E[mu_j], `[n]`."""
        return self._first.numpy()[0] / self.count.numpy()

    @property
    def first_powers(self) -> np.ndarray:
        """Sums over examples of the first three powers of mu_j, `[3, n]`."""
        return self._first.numpy()

    @property
    def second_powers(self) -> np.ndarray:
        """Sums over examples of the first three powers of mu_j^2 + sigma_j^2 - 1, `[3, n]`."""
        return self._second.numpy()


class CodingLoss(MeasurementMetric):
    """E[D(x_check, x_hat)]: the distortion of the posterior noise; n_active beta / 2 in theory (Eq. 14)."""

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.coding_loss


class TransformLoss(MeasurementMetric):
    """E[D(x, x_check)]: the distortion without posterior noise (section 3.2)."""

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.transform_loss


class Distortion(MeasurementMetric):
    """The distortion that is trained, in its own unit; lmbda times this is in nats."""

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.distortion


class Loss(MeasurementMetric):
    """lmbda D + KL (Eq. 54), nats."""

    def measure(self, measurement: Measurement) -> tf.Tensor:
        return measurement.objective
