"""Increasing maps between numbers, straight between knots (NumPy and SciPy only)."""
import dataclasses

import numpy as np
import numpy.typing as npt
import scipy.stats

_IN_A_BIN = 200  # examples between two quantiles, at least
_MAX_BINS = 200
MIN_EXAMPLES = 2 * _IN_A_BIN  # that quantiles take


@dataclasses.dataclass(frozen=True)
class Monotone:
    """An increasing map, straight between its knots, and beyond them with a slope of its own at
    either end.

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
        """The map x -> self(first(x)), exact: its knots are those of both."""
        x = np.union1d(first.x, first.inverse(self.x))
        y = self(first(x))
        # Knots of both that rounding parted.
        apart = np.concatenate([[True], (np.diff(x) > 0) & (np.diff(y) > 0)])
        return Monotone(x[apart], y[apart], self.slopes * first.slopes)


def from_normal(values: npt.ArrayLike) -> Monotone:
    """The map that carries N(0, 1) to the distribution of `values`, by their quantiles.

    Between two quantiles the density is that of a Gaussian. 200 values or more lie between them, so
    that what is overfitted is a four-hundredth of a nat at most. Beyond the last ones the slope is
    such that the mean of the tail is that of the values.

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
    # Values that come again and again would make the map flat.
    return Monotone(at, knots + spread * np.arange(len(knots)) / len(knots),
                    np.maximum(slopes, spread))


def divergence_from_normal(values: npt.ArrayLike) -> float:
    """KL of the distribution of `values` from N(0, 1), nats, by the map of `from_normal`.

        E[z^2] / 2 - 1/2 - E[log dz/dw],        z = map(w), w from N(0, 1)

    less what as many bins overfit of as many values. An estimate for a smooth distribution: one
    that lies on single points has no density, and its KL no bound.
    """
    values = np.asarray(values, np.float64)
    found = from_normal(values)
    inside = np.diff(found.y) / np.diff(found.x)
    bins = len(found.x) + 1
    slopes = np.concatenate([found.slopes[:1], inside, found.slopes[1:]])
    return float(
        np.mean(values**2) / 2 - 0.5 - np.mean(np.log(slopes)) - (bins - 1) / (2 * len(values)))


def _extended(x, knots, values, end_slopes):
    """Piecewise linear interpolation that goes on beyond the knots with the end slopes."""
    inside = np.interp(x, knots, values)
    return inside + end_slopes[0] * np.minimum(x - knots[0], 0) + end_slopes[1] * np.maximum(
        x - knots[-1], 0)
