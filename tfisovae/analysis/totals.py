"""Rate, distortion and their parts over all latent dimensions together, for any Gaussian posterior
and any prior.
"""
import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfisovae import arguments
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder
from tfisovae.autoencoder.covariance import eigenvalues
from tfisovae.autoencoder.data import Data
from tfisovae.distortions.base import Distortion
from tfisovae.geometry import pullback
from tfisovae.geometry.estimated import LARGEST_EXACT
from tfisovae.metrics.measurement import InAll, Measurement, measure
from tfisovae.metrics.posteriors import check_posteriors
from tfisovae.verdict import html
from tfisovae.verdict.checks import overall_balance_error

_NAMES = ("rate", "distortion", "loss", "coding_loss", "transform_loss")


@dataclasses.dataclass(frozen=True, repr=False)
class Totals:
    """The result of `tfisovae.measure_totals`.

    Attributes:
      rate: E[KL], nats.
      distortion: E[D] as trained.
      loss: nats.
      coding_loss, transform_loss: E[D(x_check, x_hat)], E[D(x, x_check)], each minus the D of a
        point from itself.
      rate_standard_error, distortion_standard_error, loss_standard_error: of these means, for
        independent examples. They cover the noise of sampling.
      coding_loss_standard_error, transform_loss_standard_error: likewise.
      posterior_balance, posterior_balance_standard_error: the posterior balance over all
        dimensions. Times beta, it is the beta of a training that has converged. NaN for a given
        prior.
      eigenvalues: means of the eigenvalues of Gamma (Eq. 12) at single examples, in descending
        order, `[n]`; `None` above n = 300. With a full covariance and the prior N(0, I), a decoder
        that is straight over the posterior's width has 1 minus the variance of each own axis at the
        optimum. So they show that the posterior has converged, and no isometric embedding.
      beta: 1 / lmbda.
      num_examples: size of the data set.

    Example:
      >>> totals = tfisovae.measure_totals(vae, x)
      >>> print(totals)
      >>> low = totals.rate - 2 * totals.rate_standard_error
    """

    rate: float
    distortion: float
    loss: float
    coding_loss: float
    transform_loss: float
    rate_standard_error: float
    distortion_standard_error: float
    loss_standard_error: float
    coding_loss_standard_error: float
    transform_loss_standard_error: float
    posterior_balance: float
    posterior_balance_standard_error: float
    eigenvalues: np.ndarray | None
    beta: float
    num_examples: int

    def _rows(self):
        units = {"rate": " nats", "loss": " nats"}
        return [(name.replace("_", " "), f"{getattr(self, name):.5g} +- "
                 f"{getattr(self, f'{name}_standard_error'):.2g}{units.get(name, '')}")
                for name in (*_NAMES, "posterior_balance")
                if math.isfinite(getattr(self, name))]

    def __str__(self) -> str:
        return "\n".join([*(f"{name:<18}{value}" for name, value in self._rows()),
                          f"{'examples':<18}{self.num_examples}"])

    def __repr__(self) -> str:
        return (f"Totals(rate {self.rate:.4g} nats, distortion {self.distortion:.4g}, beta "
                f"{self.beta:.4g}, {self.num_examples} examples)")

    def _repr_html_(self) -> str:
        return html.of(repr(self), ["", "mean and standard error"], self._rows())


def measure_totals(model: AutoencoderLike, data: Data, num_examples: int | None = None,
                   progress: bool = False, *, distortion: Distortion | str | None = None,
                   beta: float | None = None, scale: str = "log_variance", inspect: bool = True,
                   seed: int = 0) -> Totals:
    """Measures rate, distortion and loss of a VAE, also with a full covariance or another prior.

    A posterior with a full covariance C(x) has axes that change with x, so numbers by dimension
    have no average. These totals have one:

        KL = (tr C + |mu|^2 - n - log det C) / 2          against N(0, I)
        KL = -H(q) - E_q[log p(z)]                        against a given prior, by sampling

    Args:
      model, data, num_examples, progress, distortion, beta, scale, inspect: as for
        `tfisovae.analyze`.
      seed: of the posterior noise.

    Returns:
      `Totals`.

    Raises:
      ValueError: as `tfisovae.analyze`.

    Cost: about n + 5 decodes of each example up to n = 300, and 5 above.

    Example:
      >>> totals = tfisovae.measure_totals(vae, x)
      >>> print(totals)
    """
    autoencoder = as_autoencoder(model, distortion, beta, scale)
    rows = streaming.prepare(autoencoder, data, num_examples, "measuring", progress,
                             inspect=inspect)
    autoencoder.distortion.check_quadratic(rows.first)
    tangents = pullback.tangent_method(rows.decode, rows.mean)
    kind = Measurement if tangents == "autodiff" else InAll
    with_gram = rows.n <= LARGEST_EXACT

    def values(x, first_row):
        found = measure(autoencoder, x, first_row, seed, tangents, kind)
        target = tf.reduce_sum(1 - tf.square(found.posterior.scale), 1)
        work = tf.reduce_sum(found.noise_work, 1) / autoencoder.beta
        scalars = tf.stack([found.rate, found.distortion, found.objective, found.coding_loss,
                            found.transform_loss, work, target], 1)
        return scalars, eigenvalues(found.gram)[:, ::-1] if with_gram else scalars[:, :0]

    scalars, spectrum = [], 0.0
    for (found, some), first_row in streaming.run(rows, values):
        _check(found, first_row, autoencoder.prior is not None)
        scalars.append(found.astype(np.float64))
        spectrum = spectrum + some.sum(0, dtype=np.float64)
    scalars = np.concatenate(scalars)
    count = len(scalars)
    error = scalars.std(0) / math.sqrt(count) if count > 1 else np.full(7, np.nan)
    means = dict(zip(_NAMES, map(float, scalars.mean(0)[:5])))
    errors = {f"{name}_standard_error": float(one) for name, one in zip(_NAMES, error[:5])}
    balance = balance_error = math.nan
    work, target = scalars[:, 5], scalars[:, 6]
    if autoencoder.prior is None and target.sum() and count > 1:
        balance = float(work.sum() / target.sum())
        balance_error = overall_balance_error(work[:, None], target[:, None], [True], count)
    return Totals(**means, **errors, posterior_balance=balance,
                  posterior_balance_standard_error=balance_error,
                  eigenvalues=spectrum / count if with_gram else None,
                  beta=autoencoder.beta, num_examples=count)


def _check(values, first_row, with_prior):
    """Raises ValueError for an example whose numbers are not finite."""
    if with_prior and np.isfinite(values[:, 1]).all():
        arguments.check_finite("log p(z) of prior=", values[:, :1], first_row,
                               "It must be finite wherever a posterior is.")
    check_posteriors(values, first_row)
