"""The measurement of one batch: quantities that metrics and losses share."""
from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

import tensorflow as tf

from tfisovae import geometry
from tfisovae.autoencoder.autoencoder import Measurable, bound, prior_of
from tfisovae.autoencoder.noise import noise_rows
from tfisovae.autoencoder.posterior import Posterior
from tfisovae.distortions.base import decomposed
from tfisovae.geometry.products import slope_along
from tfisovae.geometry.pullback import distortion_slopes, scaled

_TEST_STEP = -1  # the key of the noise in measurements, different from every training step

_Value = TypeVar("_Value")


class once(Generic[_Value]):
    """A property that is computed at first use and kept: `functools.cached_property` without its
    class-wide lock.

    Replicas are traced in threads. A replica that waits for others inside a property would block
    them.
    """

    def __init__(self, function: Callable[[Any], _Value]) -> None:
        self.function, self.name, self.__doc__ = function, function.__name__, function.__doc__

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> "once[_Value]": ...

    @overload
    def __get__(self, instance: object, owner: type | None = None) -> _Value: ...

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        value = instance.__dict__[self.name] = self.function(instance)
        return value


class Measurement:
    """All measured quantities of one batch. Each is computed once, at first use.

    Args:
      autoencoder: `Autoencoder`, or anything with its five attributes, such as a `VAE`.
      x: data, `[B, ...]`.
      noise: standard normal `[B, n]`, the posterior noise of this batch, or a function that makes
        it from the posterior's mean.
      tangents: the method for derivatives of the decoder, "autodiff" or "differences"
        (`geometry.pullback.tangent_method`).
    """

    def __init__(self, autoencoder: Measurable, x: tf.Tensor,
                 noise: tf.Tensor | Callable[[tf.Tensor], tf.Tensor],
                 tangents: str = "autodiff") -> None:
        self.autoencoder, self.x = bound(autoencoder, x)
        self._noise, self.tangents = noise, tangents

    @once
    def posterior(self) -> Posterior:
        """Mean and scale, `[B, n]` each."""
        return Posterior(*self.autoencoder.encode(self.x))

    @once
    def noise(self) -> tf.Tensor:
        """Standard normal, `[B, n]`."""
        return self._noise(self.posterior.mean) if callable(self._noise) else self._noise

    @once
    def kl(self) -> tf.Tensor:
        """KL_j from N(0, 1), nats, `[B, n]`."""
        return self.posterior.kl()

    @once
    def rate(self) -> tf.Tensor:
        """The KL from the prior, nats, `[B]`: the sum of `kl`, or measured by sampling for another
        prior than N(0, I).
        """
        prior = prior_of(self.autoencoder)
        if prior is None:
            return tf.reduce_sum(self.kl, -1)
        return self.posterior.rate(prior, self.noise)

    @once
    def x_check(self) -> tf.Tensor:
        """Dec(mean), `[B, ...]`."""
        return self.autoencoder.decode(self.posterior.mean)

    @once
    def x_hat(self) -> tf.Tensor:
        """Dec(mean + scale * noise), `[B, ...]`."""
        return self.autoencoder.decode(self.posterior.sample(self.noise))

    @once
    def distortion(self) -> tf.Tensor:
        """The trained distortion, `[B]`: D(x, x_hat), or D(x, x_check) + D(x_check, x_hat)."""
        if self.autoencoder.decomposed:
            return decomposed(self.autoencoder.distortion, self.x, self.x_check, self.x_hat)
        return self.autoencoder.distortion(self.x, self.x_hat)

    @once
    def objective(self) -> tf.Tensor:
        """The loss of Eq. 54, D / beta + KL, nats, `[B]`."""
        return (1 / self.autoencoder.beta) * self.distortion + self.rate

    @once
    def irreducible(self) -> tf.Tensor:
        """D(x, x) / beta, nats, `[B]`: the smallest possible distortion of x."""
        return self.autoencoder.distortion(self.x, self.x) / self.autoencoder.beta

    @once
    def coding_loss(self) -> tf.Tensor:
        """The excess D(x_check, x_hat) - D(x_check, x_check), `[B]`."""
        return self.autoencoder.distortion.excess(self.x_check, self.x_hat - self.x_check)

    @once
    def transform_loss(self) -> tf.Tensor:
        """The excess D(x, x_check) - D(x, x), `[B]`."""
        return self.autoencoder.distortion.excess(self.x, self.x_check - self.x)

    @once
    def pullback(self) -> tf.Tensor:
        """J^T G J at the posterior's mean, `[B, n, n]`."""
        return geometry.pullback_metric(self.autoencoder.decode, self.posterior.mean,
                                        self.autoencoder.distortion, self.tangents)

    @once
    def gram(self) -> tf.Tensor:
        """Gamma of Eq. 12, `[B, n, n]`."""
        return scaled(self.pullback, self.posterior.scale, self.autoencoder.beta)

    @once
    def numerical_derivatives(self) -> tf.Tensor:
        """D'_j by finite differences (section 3.4), `[B, n]`."""
        return geometry.numerical_derivatives(self.autoencoder.decode, self.posterior.mean,
                                              self.autoencoder.distortion)

    @once
    def noise_work(self) -> tf.Tensor:
        """eps_j sigma_j dD/dz_j at z = mean + scale * noise, `[B, n]`, for the trained D."""
        z = self.posterior.sample(self.noise)
        reference = self.x_check if self.autoencoder.decomposed else self.x
        slopes = distortion_slopes(self.autoencoder.decode, z, reference,
                                   self.autoencoder.distortion, self.tangents)
        return self.noise * self.posterior.scale * slopes


class InAll(Measurement):
    """A measurement whose noise work is known only in all: each dimension gets the mean."""

    @once
    def noise_work(self) -> tf.Tensor:
        posterior, n = self.posterior, self.noise.shape[-1]
        reference = self.x_check if self.autoencoder.decomposed else self.x
        work = slope_along(self.autoencoder.decode, posterior.sample(self.noise),
                           self.noise * posterior.scale, reference, self.autoencoder.distortion)
        return tf.repeat(work[:, None] / n, n, 1)


def measure(autoencoder: Measurable, x: tf.Tensor, first_row: int | tf.Tensor = 0, seed: int = 0,
            tangents: str = "autodiff", kind: type[Measurement] = Measurement) -> Measurement:
    """The `Measurement` of the examples `x` `[B, ...]`; `first_row` is the index of the first one
    in the data set.

    Its posterior noise depends only on the seed and each example's index, not on batches or
    replicas. `kind` is the class to make, a `Measurement`.
    """
    def noise(mean):
        return noise_rows(tf.shape(mean)[0], mean.shape[-1], seed, _TEST_STEP, first_row)

    return kind(autoencoder, x, noise, tangents)
