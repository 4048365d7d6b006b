"""Estimates of a Gram matrix Gamma that is too large to form, each with its error (NumPy only).

- Norms of a random sample of dimensions (`Strata`).
- All norms, their sum, and the off-diagonal mass, from random probes (`Probes`). For a probe v of
  random signs, a_j = v_j (Gamma v)_j has

      E[a_j] = Gamma_jj,    Var[a_j] = sum over k != j of Gamma_jk^2.

- The extreme eigenvalues, from Lanczos' method (`extremes`): bounds from inside and from outside.
"""
import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Latent dimensions up to which Gram matrices, and all that needs one, are measured exactly.
LARGEST_EXACT = 300
MIN_PROBES = 3  # needed for the error of a variance over probes


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number with its errors; NaN if missing.

    Attributes:
      value: the estimate.
      standard_error: total, for independent examples.
      part: the part of `standard_error` from the choice of the probes or of the dimensions. More of
        them make it smaller; the rest comes from the choice of the examples.
    """

    value: float
    standard_error: float
    part: float = np.nan


@dataclasses.dataclass(frozen=True)
class Strata:
    """A random sample of dimensions, stratified by importance.

    Attributes:
      dimensions: their indices, `[m]`, sorted.
      weights: of their values in a mean over all dimensions, `[m]`; they add up to 1. A requested
        dimension outside of the mean has 0.
      groups: the index of the stratum of each, `[m]`; negative for requested dimensions.
      sizes: how many dimensions the stratum of each has, `[m]`; 1 for requested dimensions.
    """

    dimensions: np.ndarray
    weights: np.ndarray
    groups: np.ndarray
    sizes: np.ndarray

    @classmethod
    def draw(cls, importance: npt.ArrayLike, among: npt.ArrayLike, count: int, seed: int = 0,
             asked: Sequence[int] = ()) -> "Strata":
        """Two random dimensions from each of `count` / 2 strata (equal parts of the ranking by
        importance), and the requested ones.

        Args:
          importance: `[n]`.
          among: the indices of the dimensions of the mean.
          count: how many to draw, at least 2; all of them if there are no more.
          seed: decides the choice.
        """
        importance, among = np.asarray(importance, np.float64), np.asarray(among, int)
        asked, counted = np.unique(np.asarray(asked, int)), len(among)
        inside = np.isin(asked, among)
        rest = np.setdiff1d(among, asked)
        rest = rest[np.argsort(-importance[rest], kind="stable")]
        every = len(rest) <= count
        rng, rows = np.random.default_rng(seed), [(j, 0.0, -2, 1) for j in asked[~inside]]
        rows += [(j, 1 / counted, -1, 1) for j in asked[inside]]
        for group, members in enumerate([rest] if every else np.array_split(rest, count // 2)):
            chosen = members if every else rng.choice(members, 2, replace=False)
            rows += [(j, len(members) / len(chosen) / counted, group, len(members))
                     for j in chosen]
        dimensions, weights, groups, sizes = np.array(sorted(rows)).reshape(-1, 4).T
        return cls(dimensions.astype(int), weights, groups.astype(int), sizes.astype(int))

    def mean(self, values: npt.ArrayLike) -> Estimate:
        """The mean over examples and all dimensions, from the values of the sample, `[N, m]`.

        With W_h the share of stratum h in all dimensions, and the variance s_h^2 between its two
        drawn dimensions, the variance of the choice is the sum of W_h^2 (1 - 2 / N_h) s_h^2 / 2.
        """
        values = np.asarray(values, np.float64)
        by_dimension, variance = values.mean(0), 0.0
        for group in np.unique(self.groups):
            inside = self.groups == group
            drawn, size = int(inside.sum()), self.sizes[inside][0]
            if drawn < size:
                share = self.weights[inside].sum()
                spread = by_dimension[inside].var(ddof=1)
                variance += share**2 * (1 - drawn / size) * spread / drawn
        over_examples = _error_of_mean(values @ self.weights)
        return Estimate(float(by_dimension @ self.weights),
                        float(np.hypot(over_examples, np.sqrt(variance))), float(np.sqrt(variance)))

    def spread(self, values: npt.ArrayLike) -> float:
        """The deviation of the means over examples between all dimensions, from `[N, m]`."""
        by_dimension = np.asarray(values, np.float64).mean(0)
        center = by_dimension @ self.weights
        return float(np.sqrt((by_dimension - center) ** 2 @ self.weights))


def root_mean_square(squares: npt.ArrayLike) -> Estimate:
    """The root mean square over pairs of dimensions, from squares of a sample of dimensions.

    The error comes from a jackknife over the dimensions: pairs that share one are not independent.

    Args:
      squares: of Gamma_jk or of a cosine, means over examples, `[m, m]`; the diagonal is not used.
    """
    squares = np.array(squares, np.float64)
    np.fill_diagonal(squares, 0)
    count = len(squares)
    if count < 2:
        return Estimate(np.nan, np.nan)
    total, rows = squares.sum(), squares.sum(1)
    value = np.sqrt(total / (count * (count - 1)))
    if count < 3:
        return Estimate(float(value), np.nan)
    without = np.sqrt((total - 2 * rows) / ((count - 1) * (count - 2)))
    variance = (count - 1) * np.mean((without - without.mean()) ** 2)
    return Estimate(float(value), float(np.sqrt(variance)), float(np.sqrt(variance)))


class Moments:
    """Means and deviations over examples of noisy vectors."""

    def __init__(self) -> None:
        self.count, self._sum, self._squares, self._noise = 0, 0.0, 0.0, 0.0

    def add(self, values: np.ndarray, noise: np.ndarray) -> None:
        """Adds values of some examples, `[B, n]`, with the variances of their noise, `[B, n]`."""
        self.count += len(values)
        self._sum += values.sum(0)
        self._squares += (values**2).sum(0)
        self._noise += noise.sum(0)

    @property
    def mean(self) -> np.ndarray:
        return self._sum / self.count

    @property
    def standard_error(self) -> np.ndarray:
        """Standard error of `mean`, for independent examples, with noise; NaN for a single example.
        """
        variance = np.maximum(self._squares / self.count - self.mean**2, 0)
        return np.sqrt(variance / (self.count - 1)) if self.count > 1 else variance * np.nan

    @property
    def std(self) -> np.ndarray:
        """The deviation over examples without the noise; 0 if the noise is larger."""
        spread = self.standard_error**2 * (self.count - 1)
        noise = self._noise / self.count * (self.count - 1) / self.count
        return np.sqrt(np.maximum(spread - noise, 0))


class Probes:
    """Estimates of Gamma from probes v with random signs, example by example.

    Attributes:
      norm: `Moments` of Gamma_jj.
    """

    def __init__(self) -> None:
        self.norm = Moments()
        self._examples: list[np.ndarray] = []

    def add(self, products: npt.ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Adds v_j (Gamma v)_j of some examples, `[B, K, n]`, K at least 3.

        Returns:
          Gamma_jj, and the variance of the noise in it, `[B, n]` each.
        """
        products = np.asarray(products, np.float64)
        count = products.shape[1]
        if count < MIN_PROBES:
            raise ValueError(
                f"num_probes must be at least {MIN_PROBES}, so that there is an error of the "
                f"off-diagonal mass; got {count}.")
        norm = products.mean(1)
        deviations = (products - norm[:, None])**2
        row_masses = deviations.sum(1) / (count - 1)  # unbiased: sum over k != j of Gamma_jk^2
        by_probe = deviations.sum(2)
        # The jackknife over probes of the sum of `row_masses`, in closed form.
        jackknife = count / ((count - 1) * (count - 2) ** 2) * np.sum(
            (by_probe - by_probe.mean(1, keepdims=True)) ** 2, 1)
        traces = products.sum(2)
        self._examples.append(np.stack([traces.mean(1), traces.var(1, ddof=1) / count,
                                        row_masses.sum(1), jackknife], 1))
        noise = row_masses / count
        self.norm.add(norm, noise)
        return norm, noise

    @property
    def trace(self) -> Estimate:
        """The mean over examples of the sum of all norms."""
        return self._mean(0)

    @property
    def mass(self) -> Estimate:
        """The mean over examples of the sum over j != k of Gamma_jk^2.

        For each j it is the variance over probes of v_j (Gamma v)_j. So it is never a difference of
        large numbers.
        """
        return self._mean(2)

    def _mean(self, column):
        values, variances = np.concatenate(self._examples)[:, [column, column + 1]].T
        return Estimate(float(values.mean()), _error_of_mean(values),
                        float(np.sqrt(variances.sum())) / len(values))


def _error_of_mean(values):
    """The standard error of the mean of independent `values` `[N]`; NaN for a single one."""
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan


@dataclasses.dataclass(frozen=True)
class Extremes:
    """Bounds of the smallest and the largest eigenvalue at each example, `[N, 2]` each.

    Attributes:
      inside: Ritz values. The smallest eigenvalue is at most the first, the largest at least the
        second.
      outside: with probability `confidence`, all eigenvalues of all examples lie between these.
    """

    inside: np.ndarray
    outside: np.ndarray
    confidence: float


def lanczos_error(size: int, steps: int, failure: float) -> float:
    """How far the largest Ritz value may be below the largest eigenvalue, relative to the range of
    all eigenvalues.

    Kuczynski and Wozniakowski (1992): from a random start, k steps of Lanczos' method miss by more
    than a share e of this range with a probability of at most 1.648 sqrt(n) exp(-sqrt(e) (2k - 1)).

    Args:
      size: n.
      steps: k.
      failure: the probability. For n steps the Ritz values are exact.
    """
    if steps >= size:
        return 0.0
    return float((np.log(1.648 * np.sqrt(size) / failure) / (2 * steps - 1)) ** 2)


def extremes(diagonal: npt.ArrayLike, beside: npt.ArrayLike, size: int,
             confidence: float = 0.99) -> Extremes:
    """The extreme eigenvalues of positive semidefinite matrices, from their tridiagonal matrices.

    Args:
      diagonal, beside: `[N, k]` and `[N, k - 1]`, of `tfisovae.geometry.products.lanczos`.
      size: number of dimensions that were not left out.
      confidence: for all bounds from outside together.
    """
    diagonal, beside = np.asarray(diagonal, np.float64), np.asarray(beside, np.float64)
    count, steps = diagonal.shape
    matrices = np.zeros([count, steps, steps])
    every = np.arange(steps)
    matrices[:, every, every] = diagonal
    matrices[:, every[1:], every[:-1]] = beside  # eigvalsh reads the entries below the diagonal
    inside = np.full([count, 2], np.nan)
    finite = np.isfinite(diagonal).all(1) & np.isfinite(beside).all(1)
    inside[finite] = np.linalg.eigvalsh(matrices[finite])[:, [0, -1]]
    error = lanczos_error(size, steps, (1 - confidence) / (2 * count))
    if error >= 0.5:  # the bound says nothing
        outside = np.where(np.isnan(inside), np.nan, [0.0, np.inf])
    else:
        spread = (inside[:, 1] - inside[:, 0]) / (1 - 2 * error)
        outside = inside + error * spread[:, None] * [-1, 1]
        outside[:, 0] = np.maximum(outside[:, 0], 0)
    return Extremes(inside, outside, confidence)
