"""Increasing maps between numbers, linear between knots (NumPy and SciPy only)."""
import dataclasses

import numpy as np
import numpy.typing as npt
import scipy.stats

_IN_A_BIN = 200  # examples between two quantiles, at least
_MAX_BINS = 200
MIN_EXAMPLES = 2 * _IN_A_BIN  # largest number of quantiles


@dataclasses.dataclass(frozen=True)
class Monotone:
    """An increasing map, linear between its knots, with a separate slope beyond each end.

    Attributes:
      x, y: the knots and their images, `[K]`, float64, both increasing.
      slopes: beyond the first and the last knot, `[2]`, positive.
    """

    x: np.ndarray
    y: np.ndarray
    slopes: np.ndarray

    def __post_init__(self) -> None:
        for name in ("x", "y", "slopes"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))

    def __call__(self, x: npt.ArrayLike) -> float | np.ndarray:
        """y of x, any shape."""
        return _extended(np.asarray(x, np.float64), self.x, self.y, self.slopes)

    def inverse(self, y: npt.ArrayLike) -> float | np.ndarray:
        """x of y, any shape."""
        return _extended(np.asarray(y, np.float64), self.y, self.x, 1 / self.slopes)

    def after(self, first: "Monotone") -> "Monotone":
        """The exact map x -> self(first(x)); it has the knots of both."""
        x = np.union1d(first.x, first.inverse(self.x))
        y = self(first(x))
        # Knots of both that differ only by rounding.
        apart = np.concatenate([[True], (np.diff(x) > 0) & (np.diff(y) > 0)])
        return Monotone(x[apart], y[apart], self.slopes * first.slopes)


def from_normal(values: npt.ArrayLike) -> Monotone:
    """The map from N(0, 1) to the distribution of `values`, by their quantiles.

    Between two quantiles the density is Gaussian. At least 200 values lie between them, so
    overfitting is at most 1/400 nat. Beyond the last quantiles the slope reproduces the mean of the
    tail.

    Args:
      values: `[N]`, 400 or more, not all alike.
    """
    values = np.sort(np.asarray(values, np.float64))
    bins = min(_MAX_BINS, len(values) // _IN_A_BIN)
    shares = np.arange(1, bins) / bins
    knots = np.quantile(values, shares)
    normal = scipy.stats.norm
    at = normal.ppf(shares)
    # Mean of N(0, 1) beyond its last quantile, counted from there.
    excess = normal.pdf(at[-1]) * bins - at[-1]
    spread = max(float(values.std()), 1e-3) * 1e-6
    slopes = np.array([(knots[0] - values[values <= knots[0]].mean()) / excess,
                       (values[values >= knots[-1]].mean() - knots[-1]) / excess])
    # Repeated values would make the map flat.
    return Monotone(at, knots + spread * np.arange(len(knots)) / len(knots),
                    np.maximum(slopes, spread))


def divergence_from_normal(values: npt.ArrayLike) -> float:
    """KL of the distribution of `values` from N(0, 1), nats, by the map of `from_normal`.

        E[z^2] / 2 - 1/2 - E[log dz/dw],        z = map(w), w from N(0, 1)

    minus the overfitting of this many bins and values. It is an estimate for smooth distributions.
    A distribution on single points has no density, and its KL has no bound.
    """
    values = np.asarray(values, np.float64)
    found = from_normal(values)
    inside = np.diff(found.y) / np.diff(found.x)
    bins = len(found.x) + 1
    slopes = np.concatenate([found.slopes[:1], inside, found.slopes[1:]])
    return float(
        np.mean(values**2) / 2 - 0.5 - np.mean(np.log(slopes)) - (bins - 1) / (2 * len(values)))


def _extended(x, knots, values, end_slopes):
    """Piecewise linear interpolation that continues beyond the knots with the end slopes."""
    inside = np.interp(x, knots, values)
    return inside + end_slopes[0] * np.minimum(x - knots[0], 0) + end_slopes[1] * np.maximum(
        x - knots[-1], 0)
