"""A PCA in the metric of a distortion, with counts that hold for other examples too.

Unless the distortion is a sum of squares, its metric G_x changes with x. A PCA has a single metric,
taken at the mean of the data. The eigenvalues belong to G^(1/2) C G^(1/2), with C the covariance.
"""
import dataclasses
import math
import numbers
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfisovae import files

if typing.TYPE_CHECKING:  # a page from saved numbers does not need TensorFlow
    from tfisovae.distortions import Distortion

# With larger examples, this many are used: memory grows with the product.
_WIDE, _ENOUGH = 1_024, 2_000
_TOGETHER = 64  # metric products of examples
_BLOCK = 4_096  # rows of vectors


def count_for(values: npt.ArrayLike, share: float) -> int:
    """The number of largest `values` that make up a `share` of their sum.

    Args:
      values: `[k]`, not negative.
      share: above 0, at most 1.

    Returns:
      The smallest count with this sum (to 1e-9 of the whole); 0 if all are 0.
    """
    values = np.sort(np.asarray(values, np.float64))[::-1]
    return _first(values, _checked(share), float(np.sum(values)), 1e-9) or 0


def _checked(share):
    if isinstance(share, bool) or not isinstance(share, numbers.Real) or not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1; got {share!r}.")
    return share


def _first(values, share, total, rounding):
    """How many of the `values`, in their order, reach a share of the total; `None` if even all do
    not, 0 if the total is 0.
    """
    reached = np.cumsum(values) >= (share - rounding) * total
    if not total > 0:
        return 0
    return int(np.argmax(reached)) + 1 if reached.any() else None


def enough(num_examples: int, size: int) -> int:
    """The number of examples of `size` numbers that `principal_components` handles in a few
    seconds, below a gigabyte.
    """
    return min(num_examples, _ENOUGH) if size > _WIDE else num_examples


def spread_out(num_examples: int, total: int) -> np.ndarray:
    """Indices of at most `num_examples` of `total` examples, evenly spaced, since data may be
    sorted.
    """
    return np.linspace(0, total - 1, min(num_examples, total)).astype(int)


@dataclasses.dataclass(frozen=True)
class PrincipalComponents:
    """A PCA in the metric of a distortion: directions from one half of the examples, variances from
    the other, and vice versa.

    In high dimensions, the same examples would give far too large variances: a few hundred images
    always lie in a space of a few hundred dimensions.

    Attributes:
      eigenvalue: the variance of one half along each component of the other, in the unit of D, in
        the order of the components, `[k]`; the mean of both ways.
      standard_error: of each over the examples, for independent ones, `[k]`.
      num_examples: N, of both halves.
      constant: whether the metric is the same everywhere, as for a sum of squares. Then this is an
        ordinary PCA; otherwise it uses the metric at the mean.
      whole: the variance in all directions. `None` in files of older versions, which used the same
        examples for directions and variances.
    """

    eigenvalue: np.ndarray
    standard_error: np.ndarray
    num_examples: int
    constant: bool
    whole: float | None = None

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> "PrincipalComponents":
        """From the result of `to_save`."""
        arrays = {name: np.array(saved[name], np.float64)
                  for name in ("eigenvalue", "standard_error")}
        return cls(**{**saved, **arrays})

    @property
    def total(self) -> float:
        """The variance of the data in this metric."""
        return float(np.sum(self.eigenvalue)) if self.whole is None else self.whole

    @property
    def honest(self) -> bool:
        """Whether counts are not limited by the examples: `False` in a file of an older version
        with fewer examples than columns.
        """
        return self.whole is not None or len(self.eigenvalue) < self.num_examples - 1

    def count(self, share: float) -> int | None:
        """How many components have this share of the whole variance; `None` if more are needed than
        these examples give.
        """
        return self._known(_first(self.eigenvalue, _checked(share), self.total, 1e-6))

    def count_leaving(self, distortion: float) -> int | None:
        """How many components leave at most this much variance; `None` as for `count`."""
        left = self.total * (1 + 1e-6) - np.concatenate([[0], np.cumsum(self.eigenvalue)])
        reached = left <= distortion + 2e-6 * self.total
        return self._known(int(np.argmax(reached)) if reached.any() else None)

    def count_above(self, variance: float) -> int | None:
        """How many components have more than this variance; `None` as for `count`."""
        above = int(np.sum(self.eigenvalue > variance))
        return self._known(above if above < len(self.eigenvalue) else None)

    def _known(self, count):
        """A count; `None` if these components are not enough. All existing components are always
        enough.
        """
        if count is None and len(self.eigenvalue) < self.num_examples // 2 - 1:
            count = len(self.eigenvalue)
        return count if self.honest else None

    def words(self, count: int | None) -> str:
        """A count as text."""
        if count is not None:
            return str(count)
        return f"more than {len(self.eigenvalue)}" if self.honest else "not known"


def principal_components(x: npt.ArrayLike, distortion: "Distortion") -> PrincipalComponents:
    """The PCA of examples in the metric of a distortion at their mean: eigenvectors of `G^(1/2) C
    G^(1/2)` with C from one random half, and variances along them from the other half (over N - 1);
    the mean of both ways.

    No m x m matrix is made if a half has fewer examples than m: the eigenvectors come from (x_i -
    mean)^T G (x_k - mean) / (N - 1), `[N, N]`. With more examples C is summed, and its square root
    replaces the examples: m metric products instead of N.

    Args:
      x: `[N, ...]`, at least 4 examples, in the form for the distortion.
      distortion: `Distortion`.

    Returns:
      `PrincipalComponents`, at most min(N / 2 - 1, m) of them.

    Raises:
      ValueError: for fewer than 4 examples, or examples that are not finite.

    Cost: 2 min(N / 2, m) metric products, and 4 min(N / 2, m)^2 max(N / 2, m) multiplications.
    """
    x = np.asarray(x)
    if x.ndim < 2 or len(x) < 4:
        raise ValueError(
            f"x must hold at least 4 examples [N, ...]; got the shape {list(x.shape)}.")
    count, shape = len(x), x.shape[1:]
    rows = x.reshape(count, -1)
    if not np.isfinite(rows).all():
        raise ValueError("x must be finite.")
    order, point = np.random.default_rng(0).permutation(count), rows.mean(0, dtype=np.float64)
    first, second = (_Half(rows, np.sort(half), point.reshape(shape), distortion)
                     for half in (order[:count // 2], order[count // 2:]))
    size = min(count // 2 - 1, rows.shape[1])
    ways = [second.variances(first.directions(size)), first.variances(second.directions(size))]
    values, errors = (np.stack(parts) for parts in zip(*ways))
    return PrincipalComponents(values.mean(0), np.sqrt(np.sum(errors**2, 0)) / 2, count,
                               _is_constant(distortion, x), (first.total + second.total) / 2)


class _Half:
    """For some rows: their mean, R with R^T R their covariance, and R G with G at a point."""

    def __init__(self, rows, numbers, point, distortion):
        self._rows, self._numbers = rows, numbers
        self.mean = sum(block.sum(0) for block in self._blocks(0.0)) / len(numbers)
        if len(numbers) > rows.shape[1]:
            self.root = self._root_of_covariance()
        else:
            self.root = (rows[numbers] - self.mean) / math.sqrt(len(numbers) - 1)
        self.lowered = metric_products(distortion, point, self.root.reshape(
            -1, *point.shape)).reshape(self.root.shape)

    def _blocks(self, mean):
        for first in range(0, len(self._numbers), _BLOCK):
            yield self._rows[self._numbers[first:first + _BLOCK]].astype(np.float64) - mean

    def _root_of_covariance(self):
        covariance = sum(block.T @ block for block in self._blocks(self.mean))
        values, vectors = np.linalg.eigh(covariance / (len(self._numbers) - 1))
        return (vectors * np.sqrt(np.maximum(values, 0))).T

    @property
    def total(self):
        return float(np.sum(self.root * self.lowered))

    def directions(self, size):
        """G times the unit vector of each of the `size` largest components, `[size, m]`."""
        inner = self.root @ self.lowered.T
        values, vectors = np.linalg.eigh((inner + inner.T) / 2)
        values, vectors = np.maximum(values[::-1], 0)[:size], vectors[:, ::-1][:, :size]
        # The unit vector is R^T u / sqrt(value).
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 1e-12 * max(values[0], 1e-300), vectors / np.sqrt(values),
                            0).T @ self.lowered

    def variances(self, directions):
        """Variances of these rows along each direction, with standard errors, `[k]` each."""
        squares, fourths, count = np.zeros(len(directions)), np.zeros(len(directions)), len(
            self._numbers)
        for block in self._blocks(self.mean):
            scores = np.square(block @ directions.T)
            squares += scores.sum(0)
            fourths += np.square(scores).sum(0)
        error = np.sqrt(np.maximum(fourths / count - (squares / count) ** 2, 0) / count)
        return squares / (count - 1), error


def metric_products(distortion: "Distortion", points: np.ndarray,
                    vectors: np.ndarray) -> np.ndarray:
    """G v at each point, float64, like `vectors` `[k, ...]`; at one point `[...]`, or at one for
    each.
    """
    import tensorflow as tf

    points, done = np.broadcast_to(points, vectors.shape), []
    for first in range(0, len(vectors), _TOGETHER):
        point, some = (tf.constant(values[first:first + _TOGETHER], tf.float32)
                       for values in (points, vectors))
        done.append(distortion.metric_product(point, some).numpy())
    return np.concatenate(done).astype(np.float64)


def _is_constant(distortion, x):
    """Whether G_x is the same multiple of the identity for all x."""
    import tensorflow as tf

    if not distortion.has_scale:
        return False
    some = tf.constant(np.stack([x[0], x[len(x) // 2], x[-1], 2 * x[0], x[-1] + 1]), tf.float32)
    scale = distortion.scale(some).numpy()
    return bool(np.ptp(scale) <= 1e-6 * np.max(np.abs(scale)))


def to_save(components: PrincipalComponents) -> dict[str, Any]:
    """Their entries in `isometry.json`, for `Scree.from_saved`."""
    return files.plain(dataclasses.asdict(components))
