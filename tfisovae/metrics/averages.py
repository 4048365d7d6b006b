"""Means over examples, and the errors of linear functions of these means, in one pass and constant
memory (NumPy only).
"""
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt


class Averages:
    """Means over examples of named numbers. It stores the sums of the numbers and of their
    products.

    The first `add` sets the names and sizes.
    """

    def __init__(self) -> None:
        self.count = 0
        self._places: dict[str, slice] = {}

    def add(self, **values: npt.ArrayLike) -> None:
        """Adds the values of some examples: `[B, k]` for each name, or `[B]`."""
        blocks = {
            name: np.asarray(block, np.float64).reshape(len(block), -1)
            for name, block in values.items()
        }
        if not self._places:
            ends = np.cumsum([block.shape[1] for block in blocks.values()])
            self._places = {
                name: slice(end - block.shape[1], end)
                for (name, block), end in zip(blocks.items(), ends.tolist())
            }
            self._sum, self._products = np.zeros(ends[-1]), np.zeros([ends[-1], ends[-1]])
        joined = np.concatenate([blocks[name] for name in self._places], 1)
        self.count += len(joined)
        self._sum += joined.sum(0)
        self._products += joined.T @ joined

    def __getitem__(self, name: str) -> np.ndarray:
        """The means of a name, `[k]`."""
        return self._sum[self._places[name]] / self.count

    def standard_error(self, name: str) -> np.ndarray:
        """Standard errors of these means, `[k]`, for independent examples; NaN for a single
        example.
        """
        place = self._places[name]
        return self._error(np.eye(len(self._sum))[:, place])

    def linear(self, weights: Mapping[str, npt.ArrayLike]) -> tuple[float, float]:
        """The sum over names of weights `[k]` times means, and its standard error, for independent
        examples.
        """
        whole = self._whole(weights)
        return float(whole @ self._sum / self.count), float(self._error(whole))

    def ratio(self, numerator: Mapping[str, npt.ArrayLike],
              denominator: Mapping[str, npt.ArrayLike]) -> tuple[float, float]:
        """The quotient of two such sums, and its standard error to first order."""
        above, below = self._whole(numerator), self._whole(denominator)
        value, scale = above @ self._sum / (below @ self._sum), below @ self._sum / self.count
        return float(value), float(self._error((above - value * below) / scale))

    def _whole(self, weights):
        whole = np.zeros(len(self._sum))
        for name, part in weights.items():
            whole[self._places[name]] += part
        return whole

    def _error(self, weights):
        mean = self._sum / self.count
        covariance = self._products / self.count - np.outer(mean, mean)
        variance = np.sum(weights * (covariance @ weights), 0)
        return np.sqrt(np.maximum(variance, 0) /
                       (self.count - 1)) if self.count > 1 else np.full(variance.shape, np.nan)
