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
from tfisovae.distortions import SSIM
from tfisovae.examples import Data
from tfisovae.ledger import Ledger, Point
from tfisovae.measurement import measure
from tfisovae.quantizer import Quantized

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


class Stage:
    """One codec, and the bytes that its range coder makes of all examples, some thousands to a code as in a file."""

    def __init__(self, codec: Codec) -> None:
        self.codec, self.num_bytes, self._kept = codec, 0, []

    def quantized(self, y: np.ndarray, first: int) -> Quantized:
        """What becomes of isometric variables `[B, n_active]` of examples whose places begin at `first`; they come in order."""
        dither = self.codec.quantizer.dither(np.arange(first, first + len(y)))
        symbols = self.codec.quantizer.quantize(y, dither, first)
        self._kept.append((symbols, dither))
        if sum(len(kept) for kept, _ in self._kept) >= BLOCK:
            self.finish()
        return Quantized(y, symbols, self.codec.quantizer.dequantize(symbols, dither), self.codec.tables.bits(symbols, dither))

    def finish(self) -> None:
        """Codes what is left; the codes are counted and forgotten."""
        if self._kept:
            code, = self.codec.tables.encode(*map(np.concatenate, zip(*self._kept)), together=True)
            self.num_bytes += len(code)
            self._kept = []


def measure_files(codec: Codec, data: Data, num_examples: int | None = None, factors: Sequence[float] = FACTORS,
                  image_shape: Sequence[int] | None = None, progress: bool = False) -> Ledger:
    """Measures the files of a codec over a data set, best one that it was not fitted to.

    Args:
      codec: `Codec`, of a step factor of 1.
      data: as `tfisovae.examples.batches` takes it; it is gone through twice.
      num_examples: how many examples to measure; all by default.
      factors: of the step, with 1 among them and others on either side.
      image_shape: `(H, W, C)` of examples that are images in [0, 1], whose SSIM is measured too, as whatever shape x has.
      progress: whether to show progress bars.
    Returns:
      `Ledger`.
    Raises:
      ValueError: for a codec of another step, factors that do not do, and whatever `Codec.write` refuses.
    Cost: for each example two encodes, one decode for each factor and five more; and, of all vectors and of 500 images, two for
      each coded dimension.
    """
    if codec.step_factor != 1 or codec.prior != "normal":
        raise ValueError("codec must have a step_factor of 1, the trained one, and the prior 'normal', of which the theory is; got "
                         f"{codec.step_factor:g} and {codec.prior!r}. Take codec.at(1.0, prior=\"normal\").")
    weights = slope_weights(factors)
    codecs = [codec if factor == 1 else codec.at(step_factor=float(factor)) for factor in factors]
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "examples")
        written = codec.write(path, data, num_examples, progress)
        pass_ = _Pass(codecs, _Rows(codec.read(path)), image_shape)
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

    def __init__(self, codecs, decoded, image_shape):
        self.codecs, self.decoded, self.has_images = codecs, decoded, image_shape is not None
        self.trained = next(codec for codec in codecs if codec.step_factor == 1)
        self.stages = [Stage(codec) for codec in codecs]
        self.empirical = Stage(self.trained.at(prior="empirical")) if self.trained.transform.means is not None else None
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
            found = [_trained(model, x, x_check, x_hat), model.distortion.excess(x_check, x_hat - x_check)]
            if image_shape is not None:
                found.append(SSIM()(*(tf.reshape(images, [-1, *image_shape]) for images in (x, x_hat))))
            return tf.stack(found, 1)

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
        told = self._told_by_z(y)
        for codec, stage in zip(self.codecs, self.stages):
            found = stage.quantized(y, row)
            trained = codec is self.trained
            x_hat = self.decoded.take(len(x)) if trained else codec.decode(found.y_hat)
            losses.append(streaming.traced(self._of_files, x, x_check, tf.constant(x_hat)).numpy())
            bits.append(found.bits.sum(1))
            exact = theory.dithered_quantizer_rate(mu, codec.step_factor * sigma) / _LOG2
            predicted.append(exact.sum(1))
            if trained:
                half, same = float(codec.model.beta) / 2, losses[-1][:, 1]
                local = theory.dithered_quantizer_rate(mu, told) / _LOG2
                fitted = np.zeros(len(x)) if self.empirical is None else self.empirical.quantized(y, row).bits.sum(1)
                self.dimensions.add(np.concatenate([kl / _LOG2, 1 - scale.astype(np.float64)**2, exact, local, found.bits,
                                                    (found.y_hat - y)**2 / half], 1))
                self._by_dimension(x, x_check, mean, codec.transform.to_z(found.y_hat), mean + scale * noise, row)
        z = self.trained.transform.to_z(y)
        z[:, at] += told * noise[:, at]
        others = [streaming.traced(self._of_files, x, x_check, tf.constant(x_hat)).numpy()[:, 0] for x_hat in (
            self.trained.functions.decode(tf.constant(z, tf.float32)), self.trained.decode(y + math.sqrt(half) * noise[:, at]))]
        self.examples.add(np.column_stack([*bits, *(loss[:, 0] for loss in losses), *predicted, *(loss[:, -1] for loss in losses),
                                           scalars.numpy(), *others, same, fitted]))
        if row < flatness.MAX_EXAMPLES:
            self.posteriors.append(posterior.numpy())

    def _told_by_z(self, y):
        """The scale that z_j tells of each example, by the map at its mean, `[B, n_active]`: what its sigma_j would be."""
        transform, step = self.trained.transform, 0.1 * math.sqrt(float(self.trained.model.beta) / 2)
        return (transform.to_z(y + step) - transform.to_z(y - step))[:, self.trained.dimensions] / 0.2

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
        for stage in self.stages:
            stage.finish()
        codec, count, of = self.trained, self.examples.count, len(self.codecs)
        model, at, n, coded = codec.model, codec.dimensions, codec.n, len(codec.dimensions)
        mean = self.examples.mean
        bits, distortions, predicted, dissimilarities = mean[:4 * of].reshape(4, of)
        posterior, check, active, coding, transform, told, step, same, fitted = mean[4 * of:]
        errors = self.examples.standard_error(np.eye(len(mean)))
        middle = self.codecs.index(codec)
        by_dimension, splits = self.dimensions.mean, np.cumsum([n, n, coded, coded, coded])
        kl, variance, exact, told_bits, table, noise = np.split(by_dimension, splits)
        slope, slope_error = self._slope(weights)
        predicted_distortion = check + np.square([other.step_factor for other in self.codecs]) * (posterior - check)
        difference = np.zeros(len(mean))
        difference[[of + middle, 4 * of]] = 1, -1
        means, scales, _, noises = np.moveaxis(np.concatenate(self.posteriors), 1, 0)
        loss, loss_error = self.losses.mean, self.losses.standard_error(np.eye(2 * coded))
        curve = [Point(other.step_factor, float(bits[f]), float(errors[f]), 8 * stage.num_bytes / count, float(distortions[f]),
                       float(errors[of + f]), float(predicted[f]), float(predicted_distortion[f]),
                       float(dissimilarities[f]) if self.has_images else None)
                 for f, (other, stage) in enumerate(zip(self.codecs, self.stages))]

        def over_all(values, empty=math.nan):
            made = np.full(n, empty)
            made[at] = values
            return made

        return Ledger(
            beta=float(model.beta), lmbda=1 / float(model.beta), decomposed=bool(model.decomposed),
            distortion_name=repr(model.distortion), num_examples=count, quantization=codec.quantization,
            coded=codec.transform.active, kl_bits=kl, exact_bits=over_all(exact, 0.0), told_bits=over_all(told_bits, 0.0), table_bits=over_all(table, 0.0),
            table_bits_standard_error=float(errors[middle]), coded_bits=8 * written.code_bytes / count,
            file_bits=8 * written.size / count, one_minus_variance=variance,
            unexplained=flatness.flatness(means, scales).unexplained if len(means) >= flatness.MIN_EXAMPLES else np.full(n, math.nan),
            aggregate_kl_bits=_off_prior(means + scales * noises), fitted_bits=float(fitted) if self.empirical else None,
            noise=over_all(noise), coding_losses=over_all(loss[:coded]), coding_losses_standard_error=over_all(loss_error[:coded]),
            posterior_coding_losses=over_all(loss[coded:]), distortion=float(distortions[middle]),
            posterior_distortion=float(posterior), active_distortion=float(active), told_distortion=float(told), step_distortion=float(step),
            difference_standard_error=float(self.examples.standard_error(difference)), coding_loss=float(same),
            posterior_coding_loss=float(coding), transform_loss=float(transform), slope=slope, slope_standard_error=slope_error,
            predicted_slope=float(weights[0] @ predicted_distortion / (-_LOG2 * weights[1] @ predicted) / model.beta),
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
