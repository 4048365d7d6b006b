"""Finds the beta of a trained VAE from its posterior.

After convergence, E[eps_j sigma_j dD/dz_j] = beta E[1 - sigma_j^2] in every latent dimension, for
every distortion and every decoder: more noise would cost as much distortion as it saves rate.
"""
import dataclasses
import math

import numpy as np
import numpy.typing as npt
import scipy.stats
import tensorflow as tf

from tfisovae import arguments
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder, refuse
from tfisovae.autoencoder.data import Data
from tfisovae.autoencoder.posterior import active
from tfisovae.distortions.base import Distortion
from tfisovae.geometry import pullback
from tfisovae.geometry.estimated import LARGEST_EXACT
from tfisovae.metrics.measurement import measure
from tfisovae.verdict import html
from tfisovae.verdict.checks import STRONG_KL
from tfisovae.verdict.states import BetaState

_SHOWN = 10  # dimensions in a notebook
_KEPT = 2**22  # numbers of examples that are kept of a large latent space
_FEWEST = 200  # examples of them
_SHARP = 1.25  # an interval with both ends within this factor of the given beta confirms it


@dataclasses.dataclass(frozen=True, repr=False)
class BetaEstimate:
    """The result of `tfisovae.estimate_beta`: a beta with its error.

    Vectors are `[n]`, in the model's own order.

    Attributes:
      value: beta, in the unit of D per nat.
      error: its standard error, from sampling and from differences between dimensions beyond
        sampling.
      spread: standard deviation of beta_j between dimensions beyond sampling; 0 if sampling
        explains the differences, NaN for a single dimension, with an error from sampling only.
      degrees_of_freedom: of `error`; few if the error comes from differences between few
        dimensions.
      values, errors: beta_j of each strong dimension and its standard error by sampling; NaN for
        the others.
      strong: which dimensions were used: mean KL above `threshold` nats.
      kl: mean KL_j, nats.
      num_examples: how many were measured.
      threshold: nats.

    Example:
      >>> estimate = tfisovae.estimate_beta(vae, x)
      >>> low, high = estimate.interval()
      >>> estimate.differs_from(vae.beta)
      False
    """

    value: float
    error: float
    spread: float
    degrees_of_freedom: float
    values: np.ndarray
    errors: np.ndarray
    strong: np.ndarray
    kl: np.ndarray
    num_examples: int
    threshold: float = STRONG_KL

    @classmethod
    def from_sums(cls, num_examples: int, kl: npt.ArrayLike, sums: npt.ArrayLike,
                  products: npt.ArrayLike, threshold: float = STRONG_KL,
                  rows: npt.ArrayLike | None = None) -> "BetaEstimate":
        """The estimate from sums over independent examples of w_j = eps_j sigma_j dD/dz_j and u_j =
        eps_j^2 (1 - sigma_j^2).

            beta_j = E[w_j] / E[u_j],      beta = sum_j E[w_j] / sum_j E[u_j], over strong j

        Args:
          num_examples: N, at least 2.
          kl: sums of KL_j, `[n]`.
          sums: sums of w and then of u, `[2n]`.
          products: sums of their products, `[2n, 2n]`; with `rows` only of w^2, u^2 and w u,
            `[3, n]`.
          threshold: dimensions with a larger mean KL, nats, are used.
          rows: w and u of some of the examples, `[M, 2n]`, for a large latent space. They give the
            error of the sum over the dimensions.

        Raises:
          ValueError: if there are fewer than 2 examples, no dimension is strong, or there is no
            positive beta.
        """
        if num_examples < 2:
            raise ValueError(
                f"The data have {num_examples} example; at least 2 are needed, and some hundreds "
                f"for a good estimate."
            )
        kl = np.asarray(kl, np.float64) / num_examples
        strong = active(kl, threshold)
        if not strong.any():
            raise ValueError(
                f"beta cannot be estimated: no latent dimension has a mean KL above {threshold:g} "
                f"nats (the largest is {kl.max():.3g}). The posterior has collapsed to the prior, "
                "as for every large enough beta."
            )
        used = np.flatnonzero(np.concatenate([strong, strong]))
        mean = np.asarray(sums, np.float64)[used] / num_examples
        count = int(strong.sum())
        work, target = np.split(mean, 2)
        if not (target > 0).all():
            raise ValueError(
                "beta cannot be estimated: E[1 - sigma^2] is not positive in a dimension that "
                "carries information, so its scale is above the prior's. Training has hardly "
                "begun, or scale= is wrong for the encoder's second output.")
        betas, weights = work / target, target / target.sum()
        value = float(weights @ betas)
        if not value > 0:
            raise ValueError(
                f"beta cannot be estimated: the balance gives {value:.3g}, which is not positive. "
                "The model was not trained with this distortion, or not long enough, or scale= is "
                "wrong for the encoder's second output.")
        # A ratio's error to first order: the error of (w_j - beta_j u_j) / E[u_j].
        if rows is None:
            second = np.asarray(products, np.float64)[np.ix_(used, used)] / num_examples
            covariance = (second - np.outer(mean, mean)) / (num_examples - 1)  # of the means
            slopes = np.concatenate([np.eye(count), -np.diag(betas)], 1) / target[:, None]
            between = slopes @ covariance @ slopes.T
            variances, sampling = np.diag(between), float(weights @ between @ weights)
        else:
            left = np.asarray(rows, np.float64)[:, used] @ np.concatenate(
                [np.ones(count), -betas]) / target.sum()
            sampling = float(np.var(left) / (num_examples - 1))
            squares = np.asarray(products, np.float64)[:, strong] / num_examples
            moments = squares[0] - 2 * betas * squares[2] + betas**2 * squares[1]
            variances = moments / target**2 / (num_examples - 1)
        variances, sampling = np.maximum(variances, 0), max(sampling, 0.0)
        spread, added = math.nan, 0.0
        if count > 1:
            beyond = weights @ np.square(betas - value) - (weights @ variances - sampling)
            added = max(beyond / (1 - weights @ weights), 0.0)
            spread, added = math.sqrt(added), added * (weights @ weights)
        total = sampling + added
        freedom = num_examples - 1.0
        if added > 0:  # Welch and Satterthwaite
            freedom = total**2 / (sampling**2 / freedom + added**2 / (count - 1))

        def everywhere(values):
            full = np.full(len(kl), math.nan)
            full[strong] = values
            return full

        return cls(value, math.sqrt(total), spread, freedom, everywhere(betas),
                   everywhere(np.sqrt(variances)), strong, kl, int(num_examples), float(threshold))

    def interval(self, error_rate: float = 0.05) -> tuple[float, float]:
        """`(low, high)`; it misses the true beta in about `error_rate` of data sets, or fewer.

        It is the wider of two intervals. One is Student's t with `error` and its degrees of
        freedom. The other treats the dimensions as the sample: t with one degree less than
        dimensions, and the deviation between their beta_j. Without the second, two dimensions that
        agree by chance would hide a difference. With two dimensions the interval is wide.

        Simulated on linear VAEs of 1 to 10 dimensions with 300, 1,000 and 4,096 examples, at .05
        (`python -m results.simulations`). It misses in at most about 5 % if all dimensions agree,
        or are all off by normal amounts. If one or two of several are 10 % off, it misses in less
        than 1 %. With three dimensions off by uniform amounts it misses in up to 9 %. A single
        dimension cannot be compared: if its own beta is 10 % off, the interval always misses. The
        message says so.
        """
        if not 0 < error_rate < 1:
            raise ValueError(f"error_rate must be between 0 and 1; got {error_rate!r}.")
        half = scipy.stats.t.isf(error_rate / 2, self.degrees_of_freedom) * self.error
        count = int(np.sum(self.strong))
        if count > 1:
            between = np.std(self.values[self.strong], ddof=1) / math.sqrt(count)
            half = max(half, scipy.stats.t.isf(error_rate / 2, count - 1) * between)
        return self.value - half, self.value + half

    def differs_from(self, beta: float, tolerance: float = 0.05, error_rate: float = 0.05) -> bool:
        """Whether the model's beta is not `beta`: its interval differs from `beta` by more than the
        share `tolerance`.

        For a model with a balance within `tolerance` of the given beta, the answer is wrongly True
        with a probability of at most `error_rate`. The tolerance is needed because every training
        stops near the optimum, not at it. There all dimensions can be off together, which no error
        shows.
        """
        arguments.positive("beta", beta)
        if not 0 <= tolerance < 1:
            raise ValueError(
                f"tolerance must be a share of beta, at least 0 and below 1; got {tolerance!r}.")
        low, high = self.interval(error_rate)
        return bool(high < beta * (1 - tolerance) or low > beta * (1 + tolerance))

    def state(self, given: float | None = None) -> BetaState:
        """Whether the beta that was `given`, or `None`, agrees with this estimate."""
        low, high = self.interval()
        if given is None:
            return BetaState.FOUND
        if self.differs_from(given):
            return BetaState.DIFFERENT
        if low <= 0:
            return BetaState.UNKNOWN
        sharp = max(given / low, high / given) <= _SHARP
        return BetaState.AGREES if sharp else BetaState.UNCLEAR

    def __repr__(self) -> str:
        return f"BetaEstimate({self})"

    def _repr_html_(self) -> str:
        rows = [(f"z{j}", float(self.values[j]), float(self.errors[j]), float(self.kl[j]))
                for j in np.argsort(-self.kl, kind="stable") if self.strong[j]]
        return html.of(str(self), ["dimension", "beta", "error", "KL, nats"], rows[:_SHOWN])

    def __str__(self) -> str:
        count = int(self.strong.sum())
        between = (f", which differ by {self.spread / self.value:.1%} beyond chance"
                   if count > 1 else ", so the error covers the examples only")
        return (
            f"beta = {self.value:.4g} +- {self.error:.2g}, from {count} "
            f"dimension{'s' * (count > 1)} above {self.threshold:g} "
            f"nats{between}, on {self.num_examples} examples")


def estimate_beta(model: AutoencoderLike, data: Data, *, num_examples: int | None = None,
                  seed: int = 0, threshold: float = STRONG_KL, progress: bool = False,
                  distortion: Distortion | str | None = None,
                  scale: str = "log_variance", inspect: bool = True) -> BetaEstimate:
    """Estimates the beta that a VAE was trained with, from the model and data.

    It takes one gradient per example. If the bias of the log-variance head is free and the loss is
    stationary in it,

        E[eps_j sigma_j dD/dz_j] = beta E[1 - sigma_j^2],          z = mean + scale * eps,

    for every distortion, decoder and dimension, with D the whole trained distortion. The estimate
    is the ratio of the two sides, each summed over the strong dimensions. The right side is
    computed as E[eps_j^2 (1 - sigma_j^2)], which has the same mean and much of the left side's
    noise.

    With a full covariance the two sides are summed over all axes of each posterior, and n is 1. It
    assumes that training can scale C(x) as a whole.

    Assumptions: an encoder with a free bias in its log-variance head (a fixed or bounded scale, a
    head with `use_bias=False`, free bits or a KL capacity break the balance); a converged training;
    data like the training data, best the training set itself; and `model.distortion` up to a
    factor, which sets the unit of beta. Differences between dimensions show unfinished training.
    They do not show which distortion was trained.

    It runs on all replicas of the current `tf.distribute` strategy, with flat memory.

    Args:
      model: `VAE`, `Autoencoder`, or anything that `as_autoencoder` takes. Its beta is not used and
        may be missing.
      data: `tf.data.Dataset` of batches `[B, ...]`, or an array `[N, ...]`; see
        `tfisovae.autoencoder.data.x_of`.
      num_examples: how many examples to measure; all by default. Intervals are valid from about 100
        on.
      seed: of the posterior noise, which depends on an example's index and not on batches.
      threshold: dimensions with a larger mean KL, nats, are used; in weaker ones both sides are
        near 0.
      progress: whether to show a progress bar.
      distortion, scale: as for `as_autoencoder`.
      inspect: `False` skips the check of the model on the first examples. The check refuses models
        with meaningless numbers, such as a random encoder, and warns of doubtful ones.

    Raises:
      ValueError: for a collapsed model (no dimension above `threshold`), fewer than 2 examples or
        fewer than `num_examples`, or numbers that are not finite.

    Example:
      >>> estimate = tfisovae.estimate_beta((encoder, decoder), x, distortion="sse")
      >>> print(f"beta = {estimate.value:.3g} +- {estimate.error:.1g}")
    """
    model = as_autoencoder(model, distortion, scale=scale, needs_beta=False)
    refuse(model, "estimate_beta", "prior")
    rows = streaming.prepare(model, data, num_examples, "balancing", progress, inspect=inspect)
    tangents = pullback.tangent_method(rows.decode, rows.mean)

    large, most, kept = rows.n > LARGEST_EXACT, max(_KEPT // rows.n, _FEWEST), []
    if large and tangents == "differences":
        raise ValueError(
            f"beta cannot be estimated: the decoder has no derivatives, and the balance of each of "
            f"the {rows.n} latent dimensions would take {2 * rows.n} decodes of every example. "
            "Give beta=, or a decoder with derivatives.")

    def sides(x, first_row):
        measurement = measure(model, x, first_row, seed, tangents)
        target = tf.square(measurement.noise) * (1 - tf.square(measurement.posterior.scale))
        # The gradient does not show some outputs that are not finite (tf.where); the distortion
        # does.
        values = measurement.kl, measurement.noise_work, target
        if model.full_covariance:  # single axes change with x, and need not balance
            values = [tf.reduce_sum(value, 1, keepdims=True) for value in values]
        return *values, measurement.distortion

    seen, totals = 0, [0.0, 0.0, 0.0]
    for values, first_row in streaming.run(rows, sides):
        kl, work, target, trained = (np.asarray(value, np.float64) for value in values)
        arguments.check_finite("The model's outputs and gradients",
                               np.concatenate([kl, work, target, trained[:, None]], 1), first_row)
        both = np.concatenate([work, target], 1)
        products = np.stack([(work**2).sum(0), (target**2).sum(0), (work * target).sum(0)]) if (
            large) else both.T @ both
        totals = [
            total + part
            for total, part in zip(totals, (kl.sum(0), both.sum(0), products), strict=True)
        ]
        if large and seen < most:
            kept.append(both[:most - seen].astype(np.float32))
        seen += len(kl)
    return BetaEstimate.from_sums(seen, *totals, threshold=threshold,
                                  rows=np.concatenate(kept) if large else None)
