"""Measures what the files of a VAE's codec cost and lose, beside what theory says: a `tfisovae.ledger.Ledger`.

One pass over a data set with constant memory: every batch is coded and decoded at each step factor, and its posterior is measured
on the same examples. At the codec's own step a file is written first, and what is decoded is read from it.
"""
import math
import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfisovae import flatness, monotone, streaming, theory
from tfisovae.codec import BLOCK, Codec
from tfisovae.distortion import decomposed
from tfisovae.examples import Data
from tfisovae.ledger import Ledger, Point
from tfisovae.measurement import measure

FACTORS = (0.25, 0.5, math.sqrt(0.5), 1.0, math.sqrt(2), 2.0, 4.0)
_IMAGES = 500  # of examples that are images, how many have their dimensions decoded one by one
_LOG2 = math.log(2)


class Means:
    """Means over examples of K numbers each, and standard errors of what is linear in them; two sums are kept."""

    def __init__(self) -> None:
        self.count, self._sum, self._products = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        """Takes `[B, K]`, one row an example."""
        values = np.asarray(values, np.float64)
        self.count += len(values)
        self._sum = self._sum + values.sum(0)
        self._products = self._products + values.T @ values

    @property
    def mean(self) -> np.ndarray:
        return self._sum / self.count

    def standard_error(self, weights: np.ndarray) -> np.ndarray:
        """Of `mean @ weights`, `weights` `[K]` or `[K, M]`, for independent examples."""
        covariance = self._products / self.count - np.outer(self.mean, self.mean)
        variance = np.sum(weights * (covariance @ weights), 0)
        return np.sqrt(np.maximum(variance, 0) / max(self.count - 1, 1))


def slope_weights(factors: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Weights of values at step factors that give d/dlog f at f = 1: of distortions, and of rates, `[F]` each.

    From 1 and its two neighbours. A distortion is a parabola in f^2 (it is straight in it where the coding loss is quadratic), a
    rate one in log f (it falls by log f for each dimension).

    Raises:
      ValueError: for factors without 1, or without one on either side of it.
    """
    factors = np.asarray(factors, np.float64)
    order = np.argsort(factors)
    at = np.flatnonzero(factors[order] == 1)
    if len(at) != 1 or not 0 < at[0] < len(factors) - 1:
        raise ValueError(f"factors must hold 1 once, and at least one on either side of it; got {factors.tolist()}.")
    near = order[at[0] - 1:at[0] + 2]
    made = np.zeros([2, len(factors)])
    for row, (x, chain) in enumerate(((factors[near] ** 2, 2.0), (np.log(factors[near]), 1.0))):
        # The derivatives of Lagrange's polynomials at the middle one of three points.
        (a, b, c) = x
        made[row, near] = chain * np.array([(b - c) / ((a - b) * (a - c)), 1 / (b - a) + 1 / (b - c), (b - a) / ((c - a) * (c - b))])
    return made[0], made[1]


class Coded:
    """What the range coder makes of symbols, some thousands to a code as in a file; the codes are counted and forgotten."""

    def __init__(self, codec: Codec) -> None:
        self.codec, self.num_bytes, self._kept, self._count, self._first = codec, 0, [], 0, 0

    def add(self, symbols: np.ndarray) -> None:
        """Takes the next symbols, `[B, n_active]`."""
        self._kept.append(symbols)
        self._count += len(symbols)
        if self._count >= BLOCK:
            self.finish()

    def finish(self) -> None:
        """Codes what is left."""
        if self._count:
            self.num_bytes += len(self.codec.encode(np.concatenate(self._kept), self._first))
            self._first += self._count
            self._kept, self._count = [], 0


def measure_files(codec: Codec, data: Data, num_examples: int | None = None, factors: Sequence[float] = FACTORS,
                  progress: bool = False) -> Ledger:
    """Measures the files of a codec over a data set, best one that it was not fitted to.

    Args:
      codec: `Codec`, of a step factor of 1.
      data: as `tfisovae.examples.batches` takes it; it is gone through twice.
      num_examples: how many examples to measure; all by default.
      factors: of the step, with 1 among them and others on either side.
      progress: whether to show progress bars.
    Returns:
      `Ledger`.
    Raises:
      ValueError: for a codec of another step, factors that do not do, and whatever `Codec.write` refuses.
    Cost: for each example two encodes, one decode for each factor and five more; and, of all vectors and of 500 images, two for
      each coded dimension.
    """
    if codec.step_factor != 1:
        raise ValueError(f"codec must have a step_factor of 1, the trained one; got {codec.step_factor:g}. Take codec.at(1.0).")
    weights = slope_weights(factors)
    codecs = [codec if factor == 1 else codec.at(step_factor=float(factor)) for factor in factors]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "examples")
        written = codec.write(path, data, num_examples, progress)
        pass_ = _Pass(codecs, _Rows(codec.read(path)))
        for x, row in streaming.examples_of(codec.model, data, num_examples, "measuring", progress):
            pass_.add(x, row)
    return pass_.ledger(written, weights)


class _Rows:
    """The rows of arrays `[b, ...]` that come one after the other, as many at a time as are asked for."""

    def __init__(self, arrays: Iterator[np.ndarray]) -> None:
        self._arrays, self._left = arrays, None

    def take(self, count: int) -> np.ndarray:
        parts = [] if self._left is None else [self._left]
        while sum(map(len, parts)) < count:
            parts.append(next(self._arrays))
        joined = np.concatenate(parts)
        self._left = joined[count:]
        return joined[:count]


class _Pass:
    """The sums of one pass. `codecs` has one for each factor, `decoded` are the rows of the file at factor 1."""

    def __init__(self, codecs, decoded):
        self.codecs, self.decoded = codecs, decoded
        self.trained = next(codec for codec in codecs if codec.step_factor == 1)
        self.empirical = self.trained.at(prior="empirical") if self.trained.transform.means is not None else None
        self.coders = [Coded(codec) for codec in codecs]
        self.examples, self.dimensions, self.losses = Means(), Means(), Means()
        self.posteriors = []
        model, active = self.trained.model, tf.constant(self.trained.transform.active)
        resting = tf.constant(self.trained.transform.resting, tf.float32)

        def of_posterior(x, row):
            found = measure(model, x, row)
            noise = tf.where(active, found.posterior.sample(found.noise), resting)
            check = _trained(model, x, found.x_check, found.x_check)
            scalars = [found.distortion, check, _trained(model, x, found.x_check, model.decode(noise)), found.coding_loss,
                       found.transform_loss]
            return tf.stack(scalars, 1), tf.stack([*found.posterior, found.kl, found.noise], 1), found.x_check

        def of_files(x, x_check, x_hat):
            return tf.stack([_trained(model, x, x_check, x_hat), model.distortion.excess(x_check, x_hat - x_check)], 1)

        def of_dimension(x_check, mean, z, column):
            x_hat = model.decode(tf.where(tf.range(mean.shape[-1]) == column, z, mean))
            return model.distortion.excess(x_check, x_hat - x_check)

        self._of_posterior, self._of_files, self._of_dimension = (
            tf.function(function, reduce_retracing=True) for function in (of_posterior, of_files, of_dimension))

    def add(self, x, row):
        """Takes a batch whose first example is the `row`-th."""
        scalars, posterior, x_check = streaming.traced(self._of_posterior, x, tf.constant(row))
        mean, scale, kl, noise = np.moveaxis(posterior.numpy(), 1, 0)
        at = self.trained.dimensions
        y = self.trained.transform.to_y(mean)
        mu, sigma = (values[:, at].astype(np.float64) for values in (mean, scale))
        bits, losses, predicted = [], [], []
        for codec, coder in zip(self.codecs, self.coders):
            found = codec.quantize_y(y, row)
            coder.add(found.symbols)
            trained = codec is self.trained
            x_hat = self.decoded.take(len(x)) if trained else codec.decode(found.y_hat)
            losses.append(streaming.traced(self._of_files, x, x_check, tf.constant(x_hat)).numpy())
            bits.append(found.bits.sum(1))
            exact = theory.dithered_quantizer_rate(mu, codec.step_factor * sigma) / _LOG2
            predicted.append(exact.sum(1))
            if trained:
                half, own, same = float(codec.model.beta) / 2, exact, losses[-1][:, 1]
                fitted = np.zeros(len(x)) if self.empirical is None else self.empirical.quantize_y(y, row).bits.sum(1)
                self.dimensions.add(np.concatenate([kl / _LOG2, 1 - scale.astype(np.float64)**2, own, found.bits,
                                                    (found.y_hat - y)**2 / half], 1))
                self._by_dimension(x, x_check, mean, codec.transform.to_z(found.y_hat), mean + scale * noise, row)
        step = self.trained.decode(y + math.sqrt(half) * noise[:, at])
        step = streaming.traced(self._of_files, x, x_check, tf.constant(step)).numpy()[:, 0]
        self.examples.add(np.column_stack([*bits, *(loss[:, 0] for loss in losses), *predicted, scalars.numpy(), step, same, fitted]))
        if row < flatness.MAX_EXAMPLES:
            self.posteriors.append(posterior.numpy())

    def _by_dimension(self, x, x_check, mean, z, sample, row):
        """What noise in one coded dimension alone adds to D: the codec's, and the posterior's."""
        if len(x.shape) == 4:
            x_check, mean, z, sample = (values[:max(0, _IMAGES - row)] for values in (x_check, mean, z, sample))
        if not len(mean):
            return
        parts = [streaming.traced(self._of_dimension, x_check, tf.constant(mean), tf.constant(values, tf.float32), tf.constant(j))
                 for values in (z, sample) for j in self.trained.dimensions.astype(np.int32)]
        self.losses.add(np.stack([part.numpy() for part in parts], 1))

    def ledger(self, written, weights):
        """The `Ledger` of all that was added."""
        for coder in self.coders:
            coder.finish()
        codec, count, of = self.trained, self.examples.count, len(self.codecs)
        model, at, n, coded = codec.model, codec.dimensions, codec.n, len(codec.dimensions)
        mean = self.examples.mean
        bits, distortions, predicted = mean[:of], mean[of:2 * of], mean[2 * of:3 * of]
        posterior, check, active, coding, transform, step, same, fitted = mean[3 * of:]
        errors = self.examples.standard_error(np.eye(len(mean)))
        middle = self.codecs.index(codec)
        by_dimension, splits = self.dimensions.mean, np.cumsum([n, n, coded, coded])
        kl, variance, exact, table, noise = np.split(by_dimension, splits)
        slope, slope_error = self._slope(weights)
        difference = np.zeros(len(mean))
        difference[[of + middle, 3 * of]] = 1, -1
        means, scales, _, noises = np.moveaxis(np.concatenate(self.posteriors), 1, 0)
        loss, loss_error = self.losses.mean, self.losses.standard_error(np.eye(2 * coded))
        curve = [Point(other.step_factor, float(bits[f]), float(errors[f]), 8 * coder.num_bytes / count, float(distortions[f]),
                       float(errors[of + f]), float(predicted[f]), float(check + other.step_factor**2 * (posterior - check)))
                 for f, (other, coder) in enumerate(zip(self.codecs, self.coders))]

        def over_all(values, empty=math.nan):
            made = np.full(n, empty)
            made[at] = values
            return made

        return Ledger(
            beta=float(model.beta), lmbda=1 / float(model.beta), decomposed=bool(model.decomposed),
            distortion_name=repr(model.distortion), num_examples=count, quantization=codec.quantization, prior=codec.prior,
            coded=codec.transform.active, kl_bits=kl, exact_bits=over_all(exact, 0.0), table_bits=over_all(table, 0.0),
            table_bits_standard_error=float(errors[middle]), coded_bits=8 * written.code_bytes / count,
            file_bits=8 * written.size / count, one_minus_variance=variance,
            unexplained=flatness.flatness(means, scales).unexplained if len(means) >= flatness.MIN_EXAMPLES else np.full(n, math.nan),
            aggregate_kl_bits=_off_prior(means + scales * noises), fitted_bits=float(fitted) if self.empirical else None,
            noise=over_all(noise), coding_losses=over_all(loss[:coded]), coding_losses_standard_error=over_all(loss_error[:coded]),
            posterior_coding_losses=over_all(loss[coded:]), distortion=float(distortions[middle]),
            posterior_distortion=float(posterior), active_distortion=float(active), step_distortion=float(step),
            difference_standard_error=float(self.examples.standard_error(difference)), coding_loss=float(same),
            posterior_coding_loss=float(coding), transform_loss=float(transform), slope=slope, slope_standard_error=slope_error,
            curve=sorted(curve, key=lambda point: point.factor))

    def _slope(self, weights):
        """-dD/dR / beta at factor 1, and its standard error, of the ratio of two means."""
        of, beta = len(self.codecs), float(self.trained.model.beta)
        falls, rises = np.zeros([2, len(self.examples.mean)])
        falls[:of], rises[of:2 * of] = -_LOG2 * weights[1], weights[0] / beta
        slope = self.examples.mean @ rises / (self.examples.mean @ falls)
        error = self.examples.standard_error((rises - slope * falls) / (self.examples.mean @ falls))
        return float(slope), float(error)


def _trained(model, x, x_check, x_hat):
    """The distortion that is trained, `[B]`, with x_hat for the sample's."""
    return decomposed(model.distortion, x, x_check, x_hat) if model.decomposed else model.distortion(x, x_hat)


def _off_prior(z):
    """KL of the distribution of each z_j from N(0, 1), bits `[n]`; NaN where the examples are too few."""
    if len(z) < monotone.MIN_EXAMPLES:
        return np.full(z.shape[1], math.nan)
    return np.array([monotone.divergence_from_normal(column) for column in z.T]) / _LOG2
