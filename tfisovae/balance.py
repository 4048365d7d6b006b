"""Which beta was it: the posterior of a trained VAE is in balance with it.

Where training has come to rest, E[eps_j sigma_j dD/dz_j] = beta E[1 - sigma_j^2] in every latent dimension, for every distortion
and every decoder: more noise would cost as much distortion as it saves rate.
"""
import dataclasses
import math

import numpy as np
import scipy.stats
import tensorflow as tf

from tfisovae.batches import check_finite
from tfisovae.measurement import Measurement
from tfisovae.posterior import noise_rows

STRONG_KL = 0.1  # nats
_STEP = -1  # the address of evaluation's noise: no training step has it


@dataclasses.dataclass(frozen=True)
class BetaEstimate:
    """The beta that a trained posterior is in balance with; see `estimate_beta`. Vectors are `[n]`, in the model's own order.

    Attributes:
      value: beta, in the unit of D per nat.
      error: its standard error: sampling, and what the dimensions differ by beyond sampling.
      spread: standard deviation of beta_j between dimensions beyond sampling; 0 where sampling explains their differences, NaN
        for a single dimension, whose error is sampling's alone.
      degrees_of_freedom: of `error`; few where it comes from the spread between few dimensions.
      values, errors: beta_j of each strong dimension and its standard error by sampling; NaN for the others.
      strong: which dimensions were used: mean KL above `threshold` nats.
      kl: mean KL_j, nats.
      num_examples: how many were measured.
      threshold: nats.
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
    def from_sums(cls, num_examples, kl, sums, products, threshold=STRONG_KL):
        """From sums over independent examples of w_j = eps_j sigma_j dD/dz_j and u_j = eps_j^2 (1 - sigma_j^2).

            beta_j = E[w_j] / E[u_j],      beta = sum_j E[w_j] / sum_j E[u_j]      over the strong dimensions

        Args:
          num_examples: N, at least 2.
          kl: sums of KL_j, `[n]`.
          sums: sums of w and then of u, `[2n]`.
          products: sums of their products, `[2n, 2n]`.
          threshold: mean KL, nats, above which a dimension is used.
        Raises:
          ValueError: if no dimension is strong, or there is no positive beta.
        """
        kl = np.asarray(kl, np.float64) / num_examples
        strong = kl > threshold
        if not strong.any():
            raise ValueError(f"beta cannot be told: no latent dimension has a mean KL above {threshold:g} nats (the largest is "
                             f"{kl.max():.3g}). The posterior has collapsed to the prior, which every large enough beta does.")
        used = np.flatnonzero(np.concatenate([strong, strong]))
        mean = np.asarray(sums, np.float64)[used] / num_examples
        second = np.asarray(products, np.float64)[np.ix_(used, used)] / num_examples
        covariance = (second - np.outer(mean, mean)) / (num_examples - 1)  # of the means
        count = int(strong.sum())
        work, target = np.split(mean, 2)
        if not (target > 0).all():
            raise ValueError("beta cannot be told: E[1 - sigma^2] is not positive in a dimension that carries information, so its "
                             "scale is above the prior's. No trained VAE is like that: is the encoder's second output what "
                             "scale= says it is?")
        betas, weights = work / target, target / target.sum()
        # A ratio's error to the first order: that of (w_j - beta_j u_j) / E[u_j].
        slopes = np.concatenate([np.eye(count), -np.diag(betas)], 1) / target[:, None]
        between = slopes @ covariance @ slopes.T
        value = float(weights @ betas)
        if not value > 0:
            raise ValueError(f"beta cannot be told: the balance gives {value:.3g}, which is not positive. The model was not "
                             "trained with this distortion, or not long enough, or the encoder's second output is not what "
                             "scale= says.")
        variances = np.maximum(np.diag(between), 0)
        sampling = max(float(weights @ between @ weights), 0.0)
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

        return cls(value, math.sqrt(total), spread, freedom, everywhere(betas), everywhere(np.sqrt(variances)), strong, kl,
                   int(num_examples), float(threshold))

    def interval(self, error_rate=0.05):
        """`(low, high)`, which fails to hold the true beta in a share `error_rate` of all data sets (Student's t)."""
        if not 0 < error_rate < 1:
            raise ValueError(f"error_rate must be between 0 and 1; got {error_rate!r}.")
        half = scipy.stats.t.isf(error_rate / 2, self.degrees_of_freedom) * self.error
        return self.value - half, self.value + half

    def differs_from(self, beta, tolerance=0.05, error_rate=0.05):
        """Whether the model's beta is not `beta`: its interval lies beyond `beta` by more than the share `tolerance`.

        For a model whose balance is at a beta within `tolerance` of the one given, the answer is wrongly True with a probability of
        at most `error_rate`. The tolerance is for training that stops, as all do, near the optimum.
        """
        if not 0 < beta < math.inf:
            raise ValueError(f"beta must be positive and finite; got {beta!r}.")
        if not 0 <= tolerance < 1:
            raise ValueError(f"tolerance must be a share of beta, at least 0 and below 1; got {tolerance!r}.")
        low, high = self.interval(error_rate)
        return bool(high < beta * (1 - tolerance) or low > beta * (1 + tolerance))

    def __str__(self):
        count = int(self.strong.sum())
        between = f", which differ by {self.spread / self.value:.1%} beyond chance" if count > 1 else ""
        return (f"beta = {self.value:.4g} +- {self.error:.2g}, from {count} dimension{'s' * (count > 1)} above {self.threshold:g} "
                f"nats{between}, on {self.num_examples} examples")


def estimate_beta(model, data, *, num_examples=None, batch_size=100, seed=0, threshold=STRONG_KL):
    """The beta that a VAE was trained with, from its posterior: one gradient an example.

    Where the bias of the log-variance head is free and the loss is stationary in it,

        E[eps_j sigma_j dD/dz_j] = beta E[1 - sigma_j^2],          z = mean + scale * eps,

    for every distortion, decoder and dimension, with D the whole distortion that was trained. The estimate is the ratio of the
    two sides, each summed over the strong dimensions; the right side is taken as E[eps_j^2 (1 - sigma_j^2)], which has the same
    mean and most of the left side's noise.

    What it rests on: an encoder with a free bias in its log-variance head (a scale that is fixed or bounded, or a head with
    `use_bias=False`, is not in balance); training that has come to rest; data like those of training, at best the training set
    itself; and `model.distortion` up to a factor: beta comes out in its unit. How far the dimensions differ tells of unfinished
    training. It does not tell which distortion was trained.

    Args:
      model: anything with `encode` (x to mean and scale), `decode`, `distortion` and `decomposed`: a `VAE` or an `Autoencoder`;
        its beta is not used.
      data: array `[N, ...]`, or `tf.data.Dataset` of batches `[B, ...]`.
      num_examples: how many examples to measure; all by default. Intervals hold from about 100 on.
      batch_size: examples at a time, for arrays.
      seed: of the posterior noise, which depends on an example's number and not on the batches.
      threshold: mean KL, nats, above which a dimension is used: in weaker ones both sides are near 0.
    Returns:
      `BetaEstimate`.
    Raises:
      ValueError: for a collapsed model (no dimension above `threshold`), fewer than 2 examples or fewer than `num_examples`, or
        numbers that are not finite.
    """
    if not isinstance(data, tf.data.Dataset):
        data = tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
    accumulate, totals, seen = None, None, 0
    for x in data:
        x = tf.cast(x, tf.float32)
        if num_examples is not None:
            x = x[:num_examples - seen]
        check_finite(x, seen)
        model.distortion.check(x)
        if accumulate is None:
            accumulate = _balance_sums(model, x, seed)
        finite, *some = [values.numpy() for values in accumulate(x, seen)]
        if not finite or not all(np.isfinite(values).all() for values in some):
            raise ValueError(f"The model's outputs or gradients are not finite, in examples {seen} to {seen + len(x) - 1} (counted "
                             "from 0).")
        totals = some if totals is None else [total + part for total, part in zip(totals, some)]
        seen += len(x)
        if seen == num_examples:
            break
    if seen < 2 or (num_examples is not None and seen < num_examples):
        wanted = "at least 2 are needed" if num_examples is None else f"num_examples={num_examples} were asked for"
        raise ValueError(f"The data have {seen} example(s); {wanted}.")
    return BetaEstimate.from_sums(seen, *totals, threshold=threshold)


def _balance_sums(model, x, seed):
    """The function from a batch and its first row's number to: is D finite, and the sums that `BetaEstimate.from_sums` takes."""
    n = int(model.encode(x[:1])[0].shape[-1])

    @tf.function(input_signature=[tf.TensorSpec([None, *x.shape[1:]], tf.float32), tf.TensorSpec([], tf.int64)])
    def accumulate(x, first_row):
        noise = noise_rows(tf.shape(x)[0], n, seed, _STEP, first_row)
        measurement = Measurement(model, x, noise)
        kl, work, scale, noise = (tf.cast(values, tf.float64) for values in (
            measurement.kl, measurement.noise_work, measurement.posterior.scale, noise))
        both = tf.concat([work, tf.square(noise) * (1 - tf.square(scale))], -1)
        # The gradient is blind to some outputs that are not finite (tf.where): the distortion is not.
        finite = tf.reduce_all(tf.math.is_finite(measurement.distortion))
        return finite, tf.reduce_sum(kl, 0), tf.reduce_sum(both, 0), tf.matmul(both, both, transpose_a=True)

    return accumulate
