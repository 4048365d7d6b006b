"""The implicit isometric variable y_j of each latent variable z_j (Eq. 11, Fig. 1).

    dy_j = sqrt(beta / 2) / sigma_j dz_j

In units of y a step has the length, in the metric of the distortion, of the step that the decoder makes in the data: y_j has the
distribution of the data along that axis, where z_j has been pressed into a Gaussian.
"""
import numpy as np


class IsometricVariable:
    """The monotone map between one latent variable and its isometric variable, from the posteriors of a data set.

    1 / sigma_j is averaged over the examples in bins of equal count along the posterior means, and integrated from the median
    of the means, where y = 0. Outside the range of the means the map goes on with its end slopes.

    Args:
      mean: mu_j of each example, `[N]`.
      scale: sigma_j of each example, `[N]`, positive.
      beta: 1 / lmbda.
      num_bins: at most; each holds ten examples or more.
    Raises:
      ValueError: for fewer than 20 examples, shapes that differ, or values that are not finite and positive.
    """

    def __init__(self, mean, scale, beta, num_bins=200):
        mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
        if mean.ndim != 1 or mean.shape != scale.shape or len(mean) < 20:
            raise ValueError("mean and scale must be vectors [N] of one latent variable with N of at least 20; got the shapes "
                             f"{list(mean.shape)} and {list(scale.shape)}.")
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("mean must be finite and scale finite and positive.")
        if not 0 < beta < np.inf:
            raise ValueError(f"beta must be positive and finite; got {beta!r}.")
        order = np.argsort(mean, kind="stable")
        bins = np.array_split(order, max(2, min(num_bins, len(mean) // 10)))
        z = np.array([mean[rows].mean() for rows in bins])
        slope = np.sqrt(beta / 2) * np.array([(1 / scale[rows]).mean() for rows in bins])
        z, first = np.unique(z, return_index=True)  # a constant mean has one bin
        slope = slope[first]
        low, high = min(mean.min(), z[0] - 1e-6), max(mean.max(), z[-1] + 1e-6)
        self._z = np.concatenate([[low], z, [high]])
        slope = np.concatenate([slope[:1], slope, slope[-1:]])
        self._y = np.concatenate([[0], np.cumsum(np.diff(self._z) * (slope[1:] + slope[:-1]) / 2)])
        self._ends = slope[[0, -1]]
        self._y -= np.interp(np.median(mean), self._z, self._y)

    def to_y(self, z):
        """y_j of z_j, any shape."""
        return _extended(np.asarray(z, np.float64), self._z, self._y, self._ends)

    def to_z(self, y):
        """z_j of y_j, any shape: the inverse of `to_y`."""
        return _extended(np.asarray(y, np.float64), self._y, self._z, 1 / self._ends)


def _extended(x, knots, values, end_slopes):
    """Piecewise linear interpolation that goes on beyond the knots with the end slopes."""
    inside = np.interp(x, knots, values)
    return inside + end_slopes[0] * np.minimum(x - knots[0], 0) + end_slopes[1] * np.maximum(x - knots[-1], 0)
