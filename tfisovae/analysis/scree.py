"""The nonlinear scree plot: the importance of each latent variable, beside the eigenvalues of a PCA
in the same metric.

(beta / 2) E[sigma_j^-2] is to a latent variable what an eigenvalue is to a principal component (Eq.
16): its variance in the metric of the distortion. On Gaussian data with a sum of squares the two
are the same numbers, v_j = (beta / 2) sigma_j^-2 of every component with v_j > beta / 2; the others
collapse. On curved data a VAE needs fewer.

The metric G_x of a distortion that is no sum of squares changes with x. A PCA has one metric alone,
that of the mean of the data: eigenvalues are those of G^(1/2) C G^(1/2), C the covariance. Its
shares and counts can be set beside those of the VAE; its sizes only as far as G at the mean is like
G elsewhere, which for structural similarity it is not: the mean of many images is smooth, and G is
large there.
"""
import dataclasses
import math
import numbers
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfisovae import files, theory

if typing.TYPE_CHECKING:  # a page is made of saved numbers without TensorFlow
    from tfisovae.analysis.analysis import Analysis
    from tfisovae.distortions import Distortion

SHARES = (0.90, 0.95, 0.99)
# Numbers of an example, beyond which so many examples are taken: memory grows with their product.
_WIDE, _ENOUGH = 1_024, 1_000
INTERVAL = 1.959964  # deviations of a two-sided interval of 95 %
_TOGETHER = 64  # metric products of examples
_BLOCK = 4_096  # rows of vectors


def count_for(values: npt.ArrayLike, share: float) -> int:
    """How many of the largest `values` make up a `share` of their sum.

    Args:
      values: `[k]`, not negative.
      share: above 0, at most 1.
    Returns:
      The smallest count whose sum reaches it (to 1e-9 of the whole); 0 where all are 0.
    """
    if isinstance(share, bool) or not isinstance(share, numbers.Real) or not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1; got {share!r}.")
    values = np.sort(np.asarray(values, np.float64))[::-1]
    summed = np.cumsum(values)
    return int(np.argmax(summed >= (share - 1e-9) * summed[-1])) + 1 if summed[-1] > 0 else 0


def enough(num_examples: int, size: int) -> int:
    """How many of the examples, of `size` numbers each, `principal_components` takes in a second or
    two, without a gigabyte.
    """
    return min(num_examples, _ENOUGH) if size > _WIDE else num_examples


@dataclasses.dataclass(frozen=True)
class PrincipalComponents:
    """The eigenvalues of a PCA in the metric of a distortion.

    Attributes:
      eigenvalue: the variance along each component, in the unit of D, descending, `[k]`.
      standard_error: of each over the examples, for independent ones: of the mean square of its
        scores, `[k]`.
      num_examples: N.
      constant: whether the metric is the same everywhere, as of a sum of squares, so that this is a
        PCA of the data like any other; else it is the metric at their mean.
    """

    eigenvalue: np.ndarray
    standard_error: np.ndarray
    num_examples: int
    constant: bool

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> "PrincipalComponents":
        """Of what `to_save` returned."""
        arrays = {name: np.array(saved[name], np.float64)
                  for name in ("eigenvalue", "standard_error")}
        return cls(**{**saved, **arrays})

    def count(self, share: float) -> int:
        """How many components make up this share of the total."""
        return count_for(self.eigenvalue, share)

    @property
    def total(self) -> float:
        """The sum of all: the variance of the data in this metric."""
        return float(np.sum(self.eigenvalue))


def principal_components(x: npt.ArrayLike, distortion: "Distortion") -> PrincipalComponents:
    """The PCA of examples in the metric of a distortion at their mean, `G^(1/2) C G^(1/2)` with C
    of the sample (over N - 1).

    No matrix of m x m is made where examples have more numbers than there are examples: the
    eigenvalues are those of (x_i - mean)^T G (x_k - mean) / (N - 1), `[N, N]`. With fewer numbers
    than examples C is summed, and its square root takes the place of the examples: m metric
    products in place of N.

    Args:
      x: `[N, ...]`, at least 2 examples, as the distortion takes them. Of images, some 1,000 are
        enough: with N below m there are N - 1 eigenvalues, of which the leading are too large and
        the rest too small, the more so the fewer.
      distortion: `Distortion`.
    Returns:
      `PrincipalComponents`, at most min(N - 1, m) of them.
    Raises:
      ValueError: for fewer than 2 examples, or examples that are not finite.
    Cost: min(N, m) metric products, and min(N, m)^2 max(N, m) multiplications.
    """
    x = np.asarray(x)
    if x.ndim < 2 or len(x) < 2:
        raise ValueError(
            f"x must hold examples [N, ...], 2 at least; got the shape {list(x.shape)}.")
    count, shape = len(x), x.shape[1:]
    rows = x.reshape(count, -1)
    if not np.isfinite(rows).all():
        raise ValueError("x must be finite.")
    mean = rows.mean(0, dtype=np.float64)
    factor = _root_of_covariance(
        rows, mean) if count > rows.shape[1] else (rows - mean) / math.sqrt(count - 1)
    lowered = _metric_products(distortion, mean.reshape(shape),
                               factor.reshape(-1, *shape)).reshape(factor.shape)
    inner = factor @ lowered.T
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    size = min(count - 1, rows.shape[1])
    kept, vectors = values[:size], vectors[:, :size]
    # The score of an example along component k is its inner product, in the metric, with the unit
    # vector factor^T u / sqrt(value).
    with np.errstate(divide="ignore", invalid="ignore"):
        directions = np.where(kept > 1e-12 * max(values[0], 1e-300), vectors / np.sqrt(kept),
                              0).T @ lowered
    fourth = np.zeros(size)
    for first in range(0, count, _BLOCK):
        fourth += np.sum(((rows[first:first + _BLOCK] - mean) @ directions.T) ** 4, 0)
    error = np.sqrt(np.maximum(fourth / count - kept**2, 0) / count)
    return PrincipalComponents(kept, error, count, _is_constant(distortion, x))


def _root_of_covariance(rows, mean):
    """R, `[m, m]`, with R^T R the covariance of the sample."""
    covariance = np.zeros([rows.shape[1]] * 2)
    for first in range(0, len(rows), _BLOCK):
        centred = rows[first:first + _BLOCK] - mean
        covariance += centred.T @ centred
    values, vectors = np.linalg.eigh(covariance / (len(rows) - 1))
    return (vectors * np.sqrt(np.maximum(values, 0))).T


def _metric_products(distortion, point, vectors):
    """G v at `point` of each of the `vectors` `[k, ...]`, float64."""
    import tensorflow as tf

    point, done = tf.constant(point, tf.float32), []
    for first in range(0, len(vectors), _TOGETHER):
        some = tf.constant(vectors[first:first + _TOGETHER], tf.float32)
        done.append(distortion.metric_product(point + tf.zeros_like(some), some).numpy())
    return np.concatenate(done).astype(np.float64)


def _is_constant(distortion, x):
    """Whether G_x is one multiple of the identity wherever x is."""
    import tensorflow as tf

    if not distortion.has_scale:
        return False
    some = tf.constant(np.stack([x[0], x[len(x) // 2], x[-1], 2 * x[0], x[-1] + 1]), tf.float32)
    scale = distortion.scale(some).numpy()
    return bool(np.ptp(scale) <= 1e-6 * np.max(np.abs(scale)))


@dataclasses.dataclass(frozen=True)
class Scree:
    """Importances and eigenvalues, each descending.

    Attributes:
      dimension: the latent variable of each importance, `[n]`.
      importance, standard_error: (beta / 2) E[sigma_j^-2] and the error of this mean over the
        examples, `[n]`, in the unit of D.
      active: `[n]`. Inactive variables have the sigma of the prior, hence an importance of beta / 2
        that is not theirs: they are
      not counted. floor: beta / 2, below which a component of a linear VAE collapses (reverse
      water-filling, Eq. 4). transform_loss: E[D(x, Dec(mean))] in excess of D(x, x): what the
      latent variables leave of x. components: `PrincipalComponents` of the data in the same metric,
      or `None`.
    """

    dimension: np.ndarray
    importance: np.ndarray
    standard_error: np.ndarray
    active: np.ndarray
    floor: float
    transform_loss: float
    components: PrincipalComponents | None = None

    @classmethod
    def of(cls, analysis: "Analysis", components: PrincipalComponents | None = None) -> "Scree":
        """Of an `Analysis`."""
        order = np.asarray(analysis.ranking)
        order = np.concatenate([order[analysis.active[order]], order[~analysis.active[order]]])
        error = theory.importance(analysis.precision_standard_error[order], analysis.beta)
        return cls(order, analysis.importance[order], error, analysis.active[order],
                   theory.importance(1.0, analysis.beta), analysis.transform_loss, components)

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> "Scree":
        """Of what `isometry.json` holds; without components where an older version wrote it."""
        from tfisovae.analysis.analysis import Analysis

        found = saved.get("principal_components")
        components = PrincipalComponents.from_saved(found) if found else None
        return cls.of(Analysis.from_dict(saved), components)

    @property
    def interval(self) -> np.ndarray:
        """The interval of 95 % about each importance, `[2, n]`."""
        spread = INTERVAL * np.nan_to_num(self.standard_error)
        return np.stack([np.maximum(self.importance - spread, 0), self.importance + spread])

    @property
    def counted(self) -> np.ndarray:
        """The importance of the active variables, 0 of others, `[n]`."""
        return np.where(self.active, self.importance, 0.0)

    @property
    def cumulative(self) -> np.ndarray:
        """The share of the importance of all active variables that the first k have, `[n]`; NaN of
        a model that has collapsed.
        """
        with np.errstate(invalid="ignore"):
            return np.cumsum(self.counted) / np.sum(self.counted)

    def count(self, share: float) -> int:
        """How many variables make up this share of the importance of all active ones; 0 where there
        are none.
        """
        return count_for(self.counted, share)

    @property
    def components_of_equal_distortion(self) -> int | None:
        """How many principal components leave no more of the data than the VAE's posterior means do
        (`transform_loss`).

        `None` where the metric is not constant, so that what components leave is no distortion, and
        where not even all of them do.
        """
        if self.components is None or not self.components.constant:
            return None
        left = self.components.total - np.concatenate([[0], np.cumsum(self.components.eigenvalue)])
        reached = left <= self.transform_loss
        return int(np.argmax(reached)) if reached.any() else None

    def sentences(self) -> str:
        """What it says, in lines of plain words."""
        if not self.active.any():
            return "No latent dimension is active: there is no importance to share out."
        said = (f"{_counts(self.count)} dimensions have {_WORDS} of the importance, which is of "
                f"what the model makes of the data")
        if self.components is None:
            return f"{said}."
        where = "" if self.components.constant else " in the metric of the distortion at their mean"
        said += (f"; {_counts(self.components.count)} principal components have as much of the "
                 f"whole variance of the data{where}.")
        equal = self.components_of_equal_distortion
        if equal is not None:
            above = int(np.sum(self.components.eigenvalue > self.floor))
            said += (
                f"\n{int(self.active.sum())} active dimensions leave a distortion of "
                f"{self.transform_loss:.3g}; {equal} "
                f"principal components leave no more. Of all components, {above} are above beta / "
                f"2."
            )
        return said


_WORDS = "{:g}, {:g} and {:g} %".format(*(100 * share for share in SHARES))


def _counts(count):
    *first, last = (count(share) for share in SHARES)
    return f"{', '.join(map(str, first))} and {last}"


def to_save(components: PrincipalComponents) -> dict[str, Any]:
    """What `isometry.json` holds of them, as `Scree.from_saved` reads it."""
    return files.plain(dataclasses.asdict(components))
