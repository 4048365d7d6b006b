"""The cost of removing a latent variable: the rise of the distortion if the variable is fixed.

    cost_j = E[D of the trained loss, with z_j = E[mu_j]] - E[D of the trained loss]

over posterior samples, with the same noise in both. `tfisovae.prune` fixes variables at the same
value, so the cost of removal of z_j is the rise of the distortion when only z_j is pruned. For the
decomposed loss, D is D(x, x_check) + D(x_check, x_hat), and both points change.

A variable that runs around a circle of radius r costs 2 r^2, since it is fixed at a point of the
circle. The center would cost r^2, but no z decodes to it.

A linear VAE on Gaussian data has the cost v_j - beta / 2, with v_j the variance along this
component. The importance (Eq. 16) integrates a slope at the data; the cost also counts gaps.
"""
import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae._autograph import unconverted
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import Measurable
from tfisovae.autoencoder.posterior import Posterior
from tfisovae.metrics.measurement import Measurement, measure, once

BINS = 40
_NUMBERS = 2**24  # limit for all examples in a sample together: 64 MB
_FEWEST, _MOST = 250, 10_000  # examples of a sample


class Sample:
    """Passes rows on and keeps a random sample: at most 10,000 examples, fewer for large images
    (1,365 of 64 x 64 x 3 numbers).

    Args:
      rows: `streaming.Rows`; iterate over the `Sample` instead.
      seed: of the choice.
    """

    def __init__(self, rows: streaming.Rows, seed: int = 0) -> None:
        self._rows, self._rng = rows, np.random.default_rng(seed)
        self._parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

    def __iter__(self) -> Iterator[tuple[tf.Tensor, int]]:
        bound, held = 1.0, 0
        for x, first_row in self._rows:
            keys = self._rng.random(len(x))
            taken = np.flatnonzero(keys < bound)
            self._parts.append((keys[taken], first_row + taken, np.asarray(x)[taken]))
            held, most = held + len(taken), _size(x.shape[1:])
            if held > 1.5 * most:
                self._parts = [self._smallest(most)]
                held, bound = most, float(np.max(self._parts[0][0]))
            yield x, first_row

    @property
    def x(self) -> np.ndarray:
        """The sample, in the order of the data, `[k, ...]`."""
        _, rows, x = self._smallest(_size(self._parts[0][2].shape[1:]))
        return x[np.argsort(rows)]

    def _smallest(self, count):
        """The entries with the smallest keys."""
        joined = [np.concatenate(parts) for parts in zip(*self._parts)]
        order = np.argsort(joined[0])[:count]
        return tuple(part[order] for part in joined)


def _size(shape):
    return int(np.clip(_NUMBERS // max(1, np.prod(shape, dtype=int)), _FEWEST, _MOST))


@dataclasses.dataclass(frozen=True)
class Removal:
    """The cost of removing latent variables, and the distribution of the posterior means.

    Attributes:
      cost, standard_error: the cost of removal in the unit of D, and its standard error for
        independent examples (NaN for a single one): for each variable, `[n]`, or group, `[k]`.
      num_examples: how many were measured.
      counts, limits: a histogram of the posterior means: `[n, 40]` counts in equal bins from
        `limits[j, 0]` to `limits[j, 1]`.
      means, x_check: the posterior means of these examples, `[N, n]`, and Dec(mean), `[N, ...]`.
    """

    cost: np.ndarray
    standard_error: np.ndarray
    num_examples: int
    counts: np.ndarray
    limits: np.ndarray
    means: np.ndarray
    x_check: np.ndarray


class _Removed(Measurement):
    """The measurement of a batch with some z_j fixed and without noise."""

    def __init__(self, whole: Measurement, moved: tf.Tensor, values: tf.Tensor) -> None:
        super().__init__(whole.autoencoder, whole.x, whole.noise)
        self._whole, self._moved, self._values = whole, moved, values

    @once
    def posterior(self) -> Posterior:
        mean, scale = self._whole.posterior
        return Posterior(tf.where(self._moved, self._values, mean),
                         tf.where(self._moved, tf.zeros([], scale.dtype), scale))


def rises(whole: Measurement, values: npt.ArrayLike,
          groups: npt.ArrayLike | None = None) -> tf.Tensor:
    """The rise of each example's trained distortion with z_j at `values[j]`, `[B, n]`.

    Args:
      whole: `Measurement` of a batch.
      values: `[n]`.
      groups: which variables to fix together, `[k, n]`; the result is then `[B, k]`. By default
        each one separately.

    Cost: n or k decodes per example, one after the other; twice as many with the decomposed loss.
    """
    values = tf.cast(values, whole.posterior.mean.dtype)
    groups = np.eye(values.shape[0], dtype=bool) if groups is None else groups
    before = whole.distortion

    def rise(moved):
        return _Removed(whole, moved, values).distortion - before

    return tf.transpose(
        tf.map_fn(unconverted(rise), tf.constant(groups, tf.bool), parallel_iterations=1,
                  fn_output_signature=tf.TensorSpec([None], before.dtype)))


def removal(autoencoder: Measurable, x: npt.ArrayLike, values: npt.ArrayLike,
            progress: bool = False, groups: npt.ArrayLike | None = None,
            batch_size: int | None = None) -> Removal:
    """The cost of removing each latent variable separately, or each group of variables.

    Args:
      autoencoder: `Autoencoder`, or anything with its five attributes.
      x: examples, `[N, ...]`.
      values: E[mu_j], the fixed value of each variable, `[n]`.
      progress: whether to show a progress bar.
      groups: as for `rises`.
      batch_size: how many examples at once; by default 100.
    """
    def update(x, first_row):
        whole = measure(autoencoder, x, first_row)
        return (tf.cast(rises(whole, values, groups), tf.float64), whole.posterior.mean,
                whole.x_check)

    data = x if batch_size is None else streaming.slices(x, batch_size)
    examples = streaming.examples_of(autoencoder, data, None, "removing", progress)
    rows, means, x_check = (np.concatenate(parts) for parts in zip(
        *(found for found, _ in streaming.run(examples, update))))
    count = len(rows)
    error = np.std(rows, 0, ddof=1) / np.sqrt(count) if count > 1 else np.full(rows.shape[1],
                                                                              np.nan)
    return Removal(rows.mean(0), error, count, *_histograms(means), means, x_check)


def _histograms(means):
    """Counts `[n, BINS]` and limits `[n, 2]` of the finite entries of `means` `[N, n]`."""
    counts, limits = [], []
    for column in means.T.astype(np.float64):
        found, edges = np.histogram(column[np.isfinite(column)], BINS)
        counts.append(found)
        limits.append(edges[[0, -1]])
    return np.array(counts), np.array(limits)
