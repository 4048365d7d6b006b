"""Measures the rate and distortion of a codec's files and compares them with theory: a
`tfisovae.codec.breakdown.Ledger`.

One pass over a data set with constant memory: every batch is coded and decoded at each step factor,
and its posterior is measured on the same examples. At the codec's own step, examples are decoded
from a file.
"""
import math
import os
import tempfile
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfisovae import theory
from tfisovae._autograph import compiled
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.data import Data, Repeated
from tfisovae.codec.breakdown import Ledger, Point
from tfisovae.codec.codec import BLOCK, Codec
from tfisovae.codec.container import Written
from tfisovae.codec.quantizer import Quantized
from tfisovae.distortions import SSIM
from tfisovae.distortions.base import decomposed
from tfisovae.geometry import flatness, monotone
from tfisovae.metrics.averages import Averages
from tfisovae.metrics.measurement import measure

FACTORS = (0.25, 0.5, math.sqrt(0.5), 1.0, math.sqrt(2), 2.0, 4.0)
_IMAGES = 500  # number of images with dimensions decoded one by one
_LOG2 = math.log(2)
_NEAR = 0.1  # part of the noise's deviation for the map's slope


def slope_weights(factors: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Weights for values at step factors that give d/dlog f at f = 1: for distortions and for
    rates, `[F]` each.

    It uses 1 and its two neighbours. A distortion is a parabola in f^2 (a line if the coding loss
    is quadratic), a rate is one in log f (it falls by log f for each dimension).

    Raises:
      ValueError: for factors without 1, or without a value on each side of it.
    """
    factors = np.asarray(factors, np.float64)
    order = np.argsort(factors)
    at = np.flatnonzero(factors[order] == 1)
    if len(at) != 1 or not 0 < at[0] < len(factors) - 1:
        raise ValueError(
            f"factors must hold 1 once, and at least one on either side of it; got "
            f"{factors.tolist()}."
        )
    near = order[at[0] - 1:at[0] + 2]
    distortions, rates = np.zeros([2, len(factors)])
    distortions[near] = 2 * _derivative(factors[near] ** 2)  # d f^2 / dlog f = 2
    rates[near] = _derivative(np.log(factors[near]))
    return distortions, rates


def _derivative(x):
    """Weights for values at three points that give the derivative of their parabola at the middle.
    """
    low, middle, high = x
    below, above = middle - low, high - middle
    return np.array([-above / below, above / below - below / above, below / above
                     ]) / (below + above)


def measure_files(codec: Codec, data: Data, num_examples: int | None = None,
                  factors: Sequence[float] = FACTORS, image_shape: Sequence[int] | None = None,
                  progress: bool = False) -> Ledger:
    """Measures the files of a codec over a data set, best not the one of `fit`.

    Args:
      codec: `Codec` with a step factor of 1 and the prior "normal".
      data: as for `tfisovae.autoencoder.data.batches`; it is read twice.
      num_examples: how many examples to measure; all by default.
      factors: of the step: 1, and values on each side.
      image_shape: `(H, W, C)` if examples are images in [0, 1], whatever the shape of x. Then SSIM
        is measured too.
      progress: whether to show progress bars.

    Returns:
      `Ledger`.

    Raises:
      ValueError: for another codec, bad factors, data in another order the second time, and
        anything that `Codec.write` refuses.

    Cost: for each example, two encodes, one decode for each factor and five more. For all vectors
    and for 500 images, two more decodes for each coded dimension.
    """
    if codec.step_factor != 1 or codec.prior != "normal":
        raise ValueError(
            "codec must have a step_factor of 1, as trained, and the prior 'normal', as in the "
            f"theory; got {codec.step_factor:g} and {codec.prior!r}. Use codec.at(1.0, "
            "prior=\"normal\").")
    weights = slope_weights(factors)
    stages = [
        Stage(codec if factor == 1 else codec.at(step_factor=float(factor))) for factor in factors
    ]
    data = Repeated(data)
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "examples")
        written = codec.write(path, data, num_examples, progress)
        measured = _Pass(codec, stages, _Rows(codec.read(path)), image_shape)
        for x, row in streaming.examples_of(codec.model, data, num_examples, "measuring", progress):
            measured.add(x, row)
    return measured.ledger(written, weights)


class Stage:
    """One codec, and the bytes of its range coder for all examples, thousands per code as in a
    file.
    """

    def __init__(self, codec: Codec) -> None:
        self.codec, self.num_bytes, self._kept = codec, 0, []

    def quantized(self, y: np.ndarray, first: int) -> Quantized:
        """Codes isometric variables `[B, n_active]` of examples with places from `first` on, in
        order.
        """
        dither = self.codec.quantizer.dither(np.arange(first, first + len(y)))
        symbols = self.codec.quantizer.quantize(y, dither, first)
        self._kept.append((symbols, dither))
        if sum(len(kept) for kept, _ in self._kept) >= BLOCK:
            self.finish()
        return Quantized(y, symbols, self.codec.quantizer.dequantize(symbols, dither),
                         self.codec.tables.bits(symbols, dither))

    def finish(self) -> None:
        """Codes the rest; the codes are counted and dropped."""
        if self._kept:
            code, = self.codec.tables.encode(*map(np.concatenate, zip(*self._kept)), together=True)
            self.num_bytes += len(code)
            self._kept = []


class _Rows:
    """The rows of a sequence of arrays `[b, ...]`, taken in any number at a time."""

    def __init__(self, arrays: Iterator[np.ndarray]) -> None:
        self._arrays, self._left = arrays, []

    def take(self, count: int) -> np.ndarray:
        parts = self._left
        while sum(map(len, parts)) < count:
            parts.append(next(self._arrays))
        joined = np.concatenate(parts)
        self._left = [joined[count:]]
        return joined[:count]


class _Pass:
    """The averages of one pass. `stages` has one for each factor; `decoded` are the rows of the
    file of `codec`.
    """

    def __init__(self, codec: Codec, stages: list[Stage], decoded: _Rows,
                 image_shape: Sequence[int] | None) -> None:
        self.codec, self.stages = codec, stages
        self.decoded, self.image_shape = decoded, image_shape
        self.trained = next(number for number, stage in enumerate(stages) if stage.codec is codec)
        self.empirical = codec.at(prior="empirical") if codec.transform.means is not None else None
        self.half, self.factors = float(codec.model.beta) / 2, np.array(
            [stage.codec.step_factor for stage in stages])
        self.examples, self.dimensions, self.posteriors = Averages(), Averages(), []
        self._of_posterior, self._of_files, self._of_dimension = (
            compiled(function, reduce_retracing=True)
            for function in _measures(codec, image_shape))

    def add(self, x: tf.Tensor, row: int) -> None:
        """Adds a batch; `row` is the place of its first example."""
        of_posterior, posterior, x_check = streaming.traced(self._of_posterior, x, tf.constant(row))
        mean, scale, kl, noise = np.moveaxis(posterior.numpy(), 1, 0)
        transform, at = self.codec.transform, self.codec.dimensions
        y, mu, sigma, noise_at = transform.to_y(mean), *(values[:, at].astype(np.float64)
                                                         for values in (mean, scale, noise))
        found = [stage.quantized(y, row) for stage in self.stages]
        trained = found[self.trained]
        decoded = [
            self.decoded.take(len(x))
            if number == self.trained else stage.codec.decode(quantized.y_hat)
            for number, (stage, quantized) in enumerate(zip(self.stages, found))
        ]
        # The sigma_j that the map gives at mu_j.
        step = _NEAR * math.sqrt(self.half)
        told = (transform.to_z(y + step) - transform.to_z(y - step))[:, at] / (2 * _NEAR)
        beside_z = transform.to_z(y)
        beside_z[:, at] += told * noise_at
        decoded += [self.codec.functions.decode(tf.constant(beside_z, tf.float32)).numpy(),
                    self.codec.decode(y + math.sqrt(self.half) * noise_at)]
        losses = np.stack([
            streaming.traced(self._of_files, x, x_check, tf.constant(x_hat)).numpy()
            for x_hat in decoded
        ])
        exact = np.stack(
            [theory.dithered_quantizer_rate(mu, factor * sigma) for factor in self.factors]) / _LOG2
        files = losses[:len(found)]
        self.examples.add(
            bits=np.stack([quantized.bits.sum(1) for quantized in found],
                          1), predicted_bits=exact.sum(2).T, distortion=files[:, :, 0].T,
            coding_loss=files[self.trained, :, 1], dissimilarity=files[:, :, -1].T,
            told_distortion=losses[-2, :, 0], step_distortion=losses[-1, :, 0], **{
                name: of_posterior[:, place]
                for place, name in enumerate(_OF_POSTERIOR)
            }, kl=kl / _LOG2, variance=np.square(scale, dtype=np.float64),
            exact=exact[self.trained], told=theory.dithered_quantizer_rate(mu, told) / _LOG2,
            tables=trained.bits, noise=(trained.y_hat - y)**2 / self.half, fitted=np.zeros(len(x))
            if self.empirical is None else Stage(self.empirical).quantized(y, row).bits.sum(1))
        self._add_dimensions(x_check, mean, transform.to_z(trained.y_hat), mean + scale * noise,
                             row)
        if row < flatness.MAX_EXAMPLES:
            self.posteriors.append((mean, scale, noise))

    def _add_dimensions(self, x_check, mean, z, sample, row):
        """How much noise in one coded dimension alone adds to D: the codec's and the posterior's.
        """
        count = len(mean) if self.image_shape is None else min(len(mean), _IMAGES - row)
        if count > 0:
            files, posterior = (np.stack([
                streaming.traced(self._of_dimension, x_check[:count], tf.constant(mean[:count]),
                                 tf.constant(values[:count], tf.float32), tf.constant(j)).numpy()
                for j in self.codec.dimensions.astype(np.int32)
            ], 1) for values in (z, sample))
            self.dimensions.add(files=files, posterior=posterior)

    def ledger(self, written: Written, weights: tuple[np.ndarray, np.ndarray]) -> Ledger:
        """The `Ledger` of all that was added."""
        for stage in self.stages:
            stage.finish()
        of, model, n = self.examples, self.codec.model, self.codec.n
        check, posterior = float(of["check"][0]), float(of["posterior_distortion"][0])
        predicted = check + self.factors**2 * (posterior - check)
        unit, rates = np.zeros(len(self.stages)), -_LOG2 * weights[1]
        unit[self.trained] = 1
        slope, slope_error = of.ratio({"distortion": weights[0] / (2 * self.half)}, {"bits": rates})
        curve = [
            Point(float(factor), float(of["bits"][k]), float(of.standard_error("bits")[k]),
                  8 * stage.num_bytes / of.count, float(of["distortion"][k]),
                  float(of.standard_error("distortion")[k]), float(of["predicted_bits"][k]),
                  float(predicted[k]),
                  float(of["dissimilarity"][k]) if self.image_shape is not None else None)
            for k, (factor, stage) in enumerate(zip(self.factors, self.stages))
        ]

        def of_all(values, elsewhere=math.nan):
            made = np.full(n, elsewhere)
            made[self.codec.dimensions] = values
            return made

        mean, scale, noise = (np.concatenate(parts) for parts in zip(*self.posteriors))
        return Ledger(
            beta=2 * self.half, decomposed=bool(
                model.decomposed), distortion_name=repr(
                    model.distortion), num_examples=of.count, quantization=self.codec.quantization,
            coded=self.codec.transform.active, kl_bits=of["kl"], exact_bits=of_all(
                of["exact"], 0.0), told_bits=of_all(of["told"], 0.0), table_bits=of_all(
                    of["tables"], 0.0), bits_difference_standard_error=of.linear(
                        {"bits": unit, "kl": -1.0 * self.codec.transform.active})[1],
            coded_bits=8 * written.code_bytes / of.count, file_bits=8 * written.size / of.count,
            one_minus_variance=1 - of["variance"], unexplained=_unexplained(
                mean, scale), aggregate_kl_bits=_off_prior(mean + scale * noise),
            fitted_bits=float(of["fitted"][0]) if self.empirical else None, noise=of_all(
                of["noise"]), coding_losses=of_all(
                    self.dimensions["files"]), coding_losses_standard_error=of_all(
                        self.dimensions.standard_error("files")),
            posterior_coding_losses=of_all(self.dimensions["posterior"]), distortion=float(
                of["distortion"][self.trained]), **{
                    name: float(of[name][0])
                    for name in ("posterior_distortion", "active_distortion", "told_distortion",
                                 "step_distortion", "coding_loss", "posterior_coding_loss",
                                 "transform_loss")
                }, difference_standard_error=of.linear({
                    "distortion": unit, "posterior_distortion": -1
                })[1], slope=slope, slope_standard_error=slope_error, predicted_slope=float(
                    weights[0] @ predicted / (rates @ of["predicted_bits"]) /
                    (2 * self.half)), curve=sorted(curve, key=lambda point: point.factor))


_OF_POSTERIOR = ("posterior_distortion", "check", "active_distortion", "posterior_coding_loss",
                 "transform_loss")


def _measures(codec, image_shape):
    """Three functions of batches: for the posterior, for decoded files, for one dimension."""
    model = codec.model
    active, resting = tf.constant(codec.transform.active), tf.constant(
        codec.transform.resting, tf.float32)

    def trained(x, x_check, x_hat):
        """The trained distortion, `[B]`, with x_hat in place of the sample."""
        return decomposed(model.distortion, x, x_check,
                          x_hat) if model.decomposed else model.distortion(x, x_hat)

    def of_posterior(x, row):
        found = measure(model, x, row)
        among_active = model.decode(tf.where(active, found.posterior.sample(found.noise), resting))
        scalars = (found.distortion, trained(x, found.x_check, found.x_check),
                   trained(x, found.x_check,
                           among_active), found.coding_loss, found.transform_loss)  # _OF_POSTERIOR
        return tf.stack(scalars, 1), tf.stack([*found.posterior, found.kl, found.noise],
                                              1), found.x_check

    def of_files(x, x_check, x_hat):
        found = [trained(x, x_check, x_hat), model.distortion.excess(x_check, x_hat - x_check)]
        if image_shape is not None:
            found.append(SSIM()(*(tf.reshape(images, [-1, *image_shape]) for images in (x, x_hat))))
        return tf.stack(found, 1)

    def of_dimension(x_check, mean, z, j):
        x_hat = model.decode(tf.where(tf.range(mean.shape[-1]) == j, z, mean))
        return model.distortion.excess(x_check, x_hat - x_check)

    return of_posterior, of_files, of_dimension


def _unexplained(mean, scale):
    if len(mean) < flatness.MIN_EXAMPLES:
        return np.full(mean.shape[1], math.nan)
    return flatness.flatness(mean, scale).unexplained


def _off_prior(z):
    """KL of the distribution of each z_j from N(0, 1), bits `[n]`; NaN if there are too few
    examples.
    """
    if len(z) < monotone.MIN_EXAMPLES:
        return np.full(z.shape[1], math.nan)
    return np.array([monotone.divergence_from_normal(column) for column in z.T]) / _LOG2
