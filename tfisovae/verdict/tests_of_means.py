"""Tests of means that should be 0, and their error rates (NumPy and SciPy only).

There are three: a skewness-corrected t test of one mean, a split-half test of a mean vector of many
thousand components (a gradient), and a test of the fall of a noisy curve. `holm` corrects p-values
for their number. No test of a mean holds its level for all distributions. `Moments.heavy` marks the
means that cannot be judged, since a few examples carry their variance.
results/verdict/false_alarms.json lists the distributions with measured rates.
"""
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

MIN_BLOCKS = 8  # so few blocks suffice to separate a mean gradient from its noise
# A sample understates the skewness of heavy tails, most of all in the samples that mislead.
_CAUTION = 1.5
_SPIKE = 6  # rows of the history further from the line are moved to so many deviations
_LINE_ROWS = 500  # rows of a history whose pairs give that line
_FEW_ROWS = 10  # with fewer independent rows a line is not tested
_PARTS = 9  # parts of a history; their means fall one after the other if the loss falls
# A random walk of many rows does so, or rises so, in 2.0 %: neighbouring steps of its means have a
# correlation of 1 / 4. Without a correlation it would be 2^-7.
_WALKS = 0.02
# Above this kurtosis a few examples carry the variance, if they are also fewer than this number.
_HEAVY = 100
_SKEW = 0.6  # the same limit for skewness / sqrt(N), if the kurtosis is not known
# This many unseen examples, each as large as the largest, must not explain the missing part. With
# 2, false alarms are hardly rarer, and a quarter more of the detections on Gaussians is lost.
_UNSEEN = 1
_HEAVY_BLOCKS = 5  # above this kurtosis of block means, a few blocks carry the variance
# Deviation of t averaged over halves if the mean is 0; in simulations .57 to .75.
_NARROWED = 0.85


def numbers_of(values: Mapping[str, Any], whole: Sequence[str]) -> dict[str, float | int]:
    """Numbers from JSON, where `None` means not finite. Entries named in `whole` are integers."""
    made = {name: math.nan if value is None else float(value) for name, value in values.items()}
    return made | {name: int(values[name]) for name in whole}


@dataclasses.dataclass(frozen=True)
class Moments:
    """Moments over N independent examples of one quantity of each latent dimension, `[n]` each.

    Attributes:
      num_examples: N.
      mean, standard_deviation, skewness: of the examples; skewness 0 if all are equal.
      kurtosis: 3 for Gaussians, 0 if all are equal; `None` if not measured.
    """

    num_examples: int
    mean: np.ndarray
    standard_deviation: np.ndarray
    skewness: np.ndarray
    kurtosis: np.ndarray | None = None

    @classmethod
    def from_power_sums(cls, num_examples: int, sums: npt.ArrayLike,
                        origin: npt.ArrayLike = 0.0) -> "Moments":
        """From sums over examples.

        Args:
          num_examples: N.
          sums: of (v - origin)^k, k = 1 to 4, for the values v, `[4, n]`, float64.
          origin: a value near the mean, to keep the digits.
        """
        first, second, third, fourth = np.asarray(sums, np.float64) / num_examples
        variance = second - first**2
        # The rest of a constant is rounding.
        variance = np.where(variance > 1e-12 * np.maximum(second, 1e-300), np.maximum(variance, 0),
                            0 * variance)
        deviation = np.sqrt(variance)
        central = third - 3 * first * second + 2 * first**3
        square = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
        with np.errstate(divide="ignore", invalid="ignore"):
            skewness, kurtosis = (np.where(variance == 0, 0.0, value) for value in
                                  (central / deviation**3, np.maximum(square, 0) / variance**2))
        return cls(int(num_examples), first + origin, deviation, skewness, kurtosis)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Moments":
        """From `dataclasses.asdict`, read back from JSON, where `None` means not finite."""
        known = [values[name] for name in ("mean", "standard_deviation", "skewness")]
        kurtosis = values.get("kurtosis")
        return cls(int(values["num_examples"]), *(np.array(one, np.float64) for one in known),
                   None if kurtosis is None else np.array(kurtosis, np.float64))

    @classmethod
    def of(cls, values: npt.ArrayLike) -> "Moments":
        """From the values `[N, n]` themselves."""
        values = np.asarray(values, np.float64)
        origin = values.mean(0)
        return cls.from_power_sums(len(values),
                                   [np.sum((values - origin)**k, 0) for k in (1, 2, 3, 4)], origin)

    def held_out(self, num_train: int | None) -> "Moments":
        """The same with errors wider by sqrt(1 + N / num_train), for held-out examples: the optimum
        belongs to `num_train` other examples. `None`: these are the training examples themselves.
        """
        if num_train is None:
            return self
        wider = math.sqrt(1 + self.num_examples / num_train)
        return dataclasses.replace(self, standard_deviation=wider * self.standard_deviation)

    @property
    def standard_error(self) -> np.ndarray:
        """Of `mean`, `[n]`."""
        return self.standard_deviation / np.sqrt(max(1, self.num_examples - 1))

    @property
    def heavy(self) -> np.ndarray:
        """Where a few examples carry the variance, `[n]`. Their number is N over the kurtosis; few
        means below N / 100 and below 100.
        """
        if self.kurtosis is None:
            return np.abs(self.skewness) > _SKEW * np.sqrt(self.num_examples)
        return self.kurtosis > max(_HEAVY, self.num_examples / _HEAVY)

    def p_value(self, expected: npt.ArrayLike, squares: bool = False) -> np.ndarray:
        """Two-sided p-value, `[n]`, of the hypothesis that the true mean is `expected`.

        With t = (mean - expected) / deviation and skewness g, Hall's (1992) monotone transformation

            h = sqrt(N) (t + g t^2 / 3 + g^2 t^3 / 27 + g / (6 N))

        has Student's distribution with N - 1 degrees to second order, while t is lopsided by g /
        sqrt(N). If the correction lowers h, g counts 1.5-fold: the sample's g is too small if it
        lacks the tail that makes t large. If the correction raises h, sqrt(N) t is used: one
        distant example makes both t and g large.

        Args:
          expected: the mean under the hypothesis, a number or `[n]`.
          squares: whether the values are sums of squares. Then only one tail can be missing, so h
            is used even if it is larger. A mean below `expected` is tested with one more example,
            as far out as (sum of fourth powers)^(1/4), which no example exceeds.
        """
        off, n = self.mean - expected, self.num_examples
        if squares and self.kurtosis is not None:
            largest = self.standard_deviation * (n * self.kurtosis)**0.25
            off = np.where(off < 0, np.minimum(0, off + _UNSEEN * largest / n), off)
        with np.errstate(divide="ignore", invalid="ignore"):
            t = off / (self.standard_deviation * np.sqrt(n / max(1, n - 1)))
        with np.errstate(over="ignore", invalid="ignore"):
            g = np.where(t * self.skewness < 0, _CAUTION, 1.0) * self.skewness
            h = np.sqrt(n) * (t + g * t**2 / 3 + g**2 * t**3 / 27 + g / (6 * n))
            size = np.abs(h) if squares else np.minimum(np.abs(h), np.sqrt(n) * np.abs(t))
            p = 2 * scipy.stats.t.sf(size, max(1, n - 1))
        constant, off = self.standard_deviation == 0, self.mean - expected
        return np.where(constant, np.where(np.abs(off) <= 1e-6 * (1 + np.abs(expected)), 1.0, 0.0),
                        p)


def holm(p_values: npt.ArrayLike) -> np.ndarray:
    """Holm's adjusted p-values, `[k]`: rejecting those below alpha rejects a true hypothesis with
    probability at most alpha.
    """
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return adjusted


@dataclasses.dataclass(frozen=True)
class MeanGradient:
    """An estimate of the mean gradient from the gradients of many blocks of examples.

    Attributes:
      squared_norm: |E[g]|^2 without bias: the mean of g_j . g_k over pairs of different blocks. It
        equals g1 . g2 of two halves, averaged over all halves.
      standard_error: of `squared_norm` if E[g] is 0.
      noise: E|g_i - E[g]|^2 for one example.
      noise_scale: noise / squared_norm, in examples: the batch size at which the mean gradient
        equals its noise. Infinite if `squared_norm` is not positive.
      p_value: of E[g] = 0, one-sided, by halves.
      num_examples: N.
      kurtosis: of the projections of the blocks onto the direction of the other half; NaN in files
        of older versions.
    """

    squared_norm: float
    standard_error: float
    noise: float
    noise_scale: float
    p_value: float
    num_examples: int
    kurtosis: float = math.nan

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "MeanGradient":
        """From `dataclasses.asdict`, read back from JSON, where `None` means not finite."""
        numbers = numbers_of(values, ("num_examples", ))
        if math.isnan(numbers["noise_scale"]) and numbers["squared_norm"] <= 0:
            numbers["noise_scale"] = math.inf
        return cls(**numbers)

    @property
    def heavy(self) -> bool:
        """Whether a few blocks carry the variance: a kurtosis above 5."""
        return self.kurtosis > _HEAVY_BLOCKS


def mean_gradient(gram: npt.ArrayLike, num_examples: int, num_splits: int = 50,
                  seed: int = 0) -> MeanGradient:
    """Tests whether the mean of K vectors of many components is 0, from their inner products alone.

    One half of the blocks, A, gives a direction. The other, B, is projected on it:

        u = sum_a c_a g_a,      c = (M_A + m I)^-1 1,       y_b = u . g_b,

    with M_A the Gram matrix of A and m the median of its eigenvalues. This is Fisher's direction.
    It whitens by the second moment. Otherwise the few steep directions, which hold nearly all the
    noise, would hide the many flat ones. If E[g] is 0, so is E[y_b], for every distribution. The
    p-value is Student's, for the mean over many random halves of t = mean(y) / error, divided by
    .85. Averaging narrows t under the hypothesis, to a deviation of .57 to .75 in simulations.
    Rates are in results/verdict/false_alarms.json. On Gaussian data it finds 88 to 100 % of what
    sign flips find. But sign flips are wrong on rare and heavy-tailed data
    (results/verdict/simulations.json).

    Args:
      gram: g_j . g_k of the mean gradients of the blocks, `[K, K]`, K of at least 8.
      num_examples: in all blocks together.
      num_splits: random halves.
      seed: of the halves.

    Returns:
      `MeanGradient`; full of NaN if a gradient is not finite.

    Raises:
      ValueError: for fewer than 8 blocks.
    """
    gram = np.asarray(gram, np.float64)
    if gram.ndim != 2 or gram.shape[0] != gram.shape[1] or len(gram) < MIN_BLOCKS:
        raise ValueError(
            f"gram must be [K, K] with K of at least {MIN_BLOCKS} blocks; got {list(gram.shape)}. "
            f"Measure more examples.")
    if not np.isfinite(gram).all():
        return MeanGradient(*[np.nan] * 5, num_examples)
    count, diagonal = len(gram), np.diag(gram)
    pairs = count * (count - 1)
    squared = (gram.sum() - diagonal.sum()) / pairs
    error = np.sqrt(2 * (np.sum(gram**2) - np.sum(diagonal**2))) / pairs
    noise = max(0.0, diagonal.mean() - squared) * num_examples / count
    if not diagonal.max() > 0:
        return MeanGradient(0.0, 0.0, 0.0, np.inf, 1.0, num_examples)
    rng, found = np.random.default_rng(seed), []
    for _ in range(num_splits):
        order = rng.permutation(count)
        found.append(_projected(gram / diagonal.mean(), order[:count // 2], order[count // 2:]))
    t, kurtosis = np.mean(found, 0)
    p = scipy.stats.t.sf(t / _NARROWED, count - count // 2 - 1)
    return MeanGradient(float(squared), float(error), float(noise),
                        float(noise / squared) if squared > 0 else np.inf, float(p), num_examples,
                        float(kurtosis))


def _projected(gram, one, other):
    """t and kurtosis of the blocks `other`, projected onto the direction from the blocks `one`."""
    values, vectors = np.linalg.eigh(gram[np.ix_(one, one)])
    values = np.maximum(values, 0)
    direction = vectors @ (vectors.sum(0) / (values + max(np.median(values), 1e-12)))
    y = gram[np.ix_(other, one)] @ direction
    off = y - y.mean()
    variance = np.mean(off**2)
    if not variance > 0:
        return (0.0 if y.mean() == 0 else math.copysign(math.inf, y.mean())), 0.0
    return y.mean() * math.sqrt((len(y) - 1) / variance), np.mean(off**4) / variance**2


@dataclasses.dataclass(frozen=True)
class LossFall:
    """The change of the loss over the last part of a training.

    Attributes:
      fall: how far a straight line through the last part falls; negative if it rises.
      standard_error: of `fall`, with the correlation of neighbouring rows.
      p_value: of fall = 0, two-sided.
      first_step, last_step: the part.
      num_rows: lines of history in it.
      loss: the value at the end of the line; NaN if not kept.
      num_independent: the equivalent number of independent rows; NaN in files of older versions.
    """

    fall: float
    standard_error: float
    p_value: float
    first_step: int
    last_step: int
    num_rows: int
    loss: float = np.nan
    num_independent: float = np.nan

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LossFall":
        """From `dataclasses.asdict`, as JSON holds it: what was not finite is `None` there."""
        return cls(**numbers_of(values, ("first_step", "last_step", "num_rows")))

    @property
    def decided(self) -> bool:
        """Whether there are 10 independent rows or more, or the loss falls or rises throughout."""
        return not self.num_independent < _FEW_ROWS or self.p_value < 0.05


def loss_fall(steps: npt.ArrayLike, losses: npt.ArrayLike, part: float = 1 / 3,
              min_rows: int = 6) -> LossFall | None:
    """The fall of the loss over the last `part` of its history, by least squares.

    Two tests share the error rate. The first fits a straight line. Its noise is the residual of a
    cubic, so that a bent fall is not noise. Neighbouring rows are correlated: a correlation r
    leaves N (1 - r) / (1 + r) independent rows. The test uses the upper limit of r. It needs 10
    independent rows. The second test asks whether the means of 9 parts all fall one after the
    other, or all rise. A random walk does so in 2 %, and rows that are less correlated more rarely.

    In simulations without a fall, with rows correlated by 0 to .95, at most 5 % of p-values are
    below .05 (tests/analysis/test_mean_gradient.py).

    Rows further than 6 deviations (of the median absolute residual) from the median line through
    pairs of rows are moved to 6 deviations. A constant learning rate makes such spikes now and
    then, and one spike would hide any fall.

    Args:
      steps, losses: `[R]`, the rows of `history.csv`. Each loss is the mean over the steps since
        the row before.
      part: of the steps, at the end.
      min_rows: with fewer rows in this part there is no answer.

    Returns:
      `LossFall`, full of NaN if a loss is not finite; or `None` if the history is too short.
    """
    steps, losses = np.asarray(steps, np.float64), np.asarray(losses, np.float64)
    if steps.ndim != 1 or steps.shape != losses.shape:
        raise ValueError(
            f"steps and losses must be vectors of one length; got {list(steps.shape)} and "
            f"{list(losses.shape)}."
        )
    if not len(steps):
        return None
    last = steps > steps[-1] * (1 - part)
    t, y = steps[last], losses[last]
    count = len(t)
    if not np.isfinite(y).all():
        return LossFall(np.nan, np.nan, np.nan, int(t[0]), int(t[-1]), count)
    if count < min_rows:
        return None
    y = _without_spikes(t, y)
    centred, span = t - t.mean(), t[-1] - t[0]
    slope = centred @ y / (centred @ centred)
    cubic = np.polynomial.legendre.legvander(2 * centred / span, 3)
    residual = y - cubic @ np.linalg.lstsq(cubic, y, rcond=None)[0]
    power = residual @ residual
    correlation = min(1.0, residual[1:] @ residual[:-1] / power) if power > 0 else 0.0
    # A cubic hides about 5 / R of it.
    correlation += 5 / count + 1.5 * math.sqrt((1 - correlation**2) / count)
    correlation = min(0.95, max(0.0, correlation))
    rows = count * (1 - correlation) / (1 + correlation)
    error = math.sqrt(power / (count - 4) / (centred @ centred) * count / rows)
    p = _monotone(y)
    if rows >= _FEW_ROWS:
        p = min(p, 2 * scipy.stats.t.sf(abs(slope) / error, rows - 2) if error > 0 else
                float(slope == 0))
    return LossFall(float(-slope * span), float(error * span), min(1.0, 2 * float(p)), int(t[0]),
                    int(t[-1]), count, float(y.mean() + slope * span / 2), float(rows))


def _monotone(y):
    """Two-sided p-value if the means of `_PARTS` parts of the rows only fall, or only rise;
    otherwise 1.
    """
    if len(y) < _PARTS:
        return 1.0
    steps = np.diff([part.mean() for part in np.array_split(y, _PARTS)])
    return _WALKS if (steps < 0).all() or (steps > 0).all() else 1.0


def _without_spikes(t, y):
    """Rows y over t, with spikes cut at `_SPIKE` deviations from the line."""
    some = np.unique(np.linspace(0, len(t) - 1, min(len(t), _LINE_ROWS)).round().astype(int))
    slope, intercept, *_ = scipy.stats.theilslopes(y[some], t[some])
    line = intercept + slope * t
    residual = y - line
    deviation = 1.4826 * np.median(np.abs(residual))
    return line + np.clip(residual, -_SPIKE * deviation, _SPIKE * deviation) if deviation > 0 else y
