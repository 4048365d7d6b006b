"""What can be measured on one batch: the quantities that metrics and losses share."""
import functools

import tensorflow as tf

from tfisovae import geometry


class Measurement:
    """What can be measured on one batch; each quantity is computed when first asked for, and once.

    Args:
      vae: `VAE`.
      x: data, `[B, ...]`.
      noise: standard normal `[B, n]`, the posterior noise of this batch.
    """

    def __init__(self, vae, x, noise):
        self.vae, self.x, self.noise = vae, x, noise

    @functools.cached_property
    def posterior(self):
        return self.vae.encode(self.x)

    @functools.cached_property
    def kl(self):
        """KL_j, nats, `[B, n]`."""
        return self.posterior.kl()

    @functools.cached_property
    def x_check(self):
        """Dec(mean), `[B, ...]`."""
        return self.vae.decode(self.posterior.mean)

    @functools.cached_property
    def x_hat(self):
        """Dec(mean + scale * noise), `[B, ...]`."""
        return self.vae.decode(self.posterior.sample(self.noise))

    @functools.cached_property
    def distortion(self):
        """The distortion that is trained, `[B]`: D(x, x_hat), or D(x, x_check) + D(x_check, x_hat)."""
        if self.vae.decomposed:
            return self.vae.distortion(self.x, self.x_check) + self.vae.distortion(self.x_check, self.x_hat)
        return self.vae.distortion(self.x, self.x_hat)

    @functools.cached_property
    def coding_loss(self):
        """The excess D(x_check, x_hat) - D(x_check, x_check), `[B]`."""
        return self.vae.distortion.excess(self.x_check, self.x_hat - self.x_check)

    @functools.cached_property
    def transform_loss(self):
        """The excess D(x, x_check) - D(x, x), `[B]`."""
        return self.vae.distortion.excess(self.x, self.x_check - self.x)

    @functools.cached_property
    def pullback(self):
        """J^T G J at the posterior's mean, `[B, n, n]`."""
        return geometry.pullback_metric(self.vae.decode, self.posterior.mean, self.vae.distortion)

    @functools.cached_property
    def gram(self):
        """Gamma of Eq. 12, `[B, n, n]`."""
        return geometry.scaled(self.pullback, self.posterior.scale, self.vae.beta)

    @functools.cached_property
    def numerical_derivatives(self):
        """D'_j by finite differences (section 3.4), `[B, n]`."""
        return geometry.numerical_derivatives(self.vae.decode, self.posterior.mean, self.vae.distortion)

    @functools.cached_property
    def noise_work(self):
        """eps_j sigma_j dD/dz_j at z = mean + scale * noise, `[B, n]`, for the trained D."""
        z = self.posterior.sample(self.noise)
        reference = self.x_check if self.vae.decomposed else self.x
        with tf.GradientTape() as tape:
            tape.watch(z)
            d = self.vae.distortion(reference, self.vae.decode(z))
        return self.noise * self.posterior.scale * tape.gradient(d, z)
