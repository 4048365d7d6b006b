"""The implicit isometric variable y_j of each latent variable z_j (Eq. 11, Fig. 1).

    dy_j = sqrt(beta / 2) / sigma_j dz_j

A step in y is as long as the decoder's step in the data, in the metric of the distortion. So y_j
has the distribution of the data along this axis, while z_j is pressed into a Gaussian.

Between clusters there is no example, and so no sigma_j. The integral of Eq. 11 then misses the
distance between clusters, as E[sigma^-2] does. The decoder has it:

    dy_j = sqrt(D'_j) dz_j

along the axis of z_j (`along_axis`). `compare` shows where the two differ. At an optimal posterior
they agree up to the factor sqrt(1 - sigma_j^2).
"""

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae import arguments
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder, refuse
from tfisovae.distortions import Distortion
from tfisovae.geometry.monotone import Monotone

_POINTS_AT_ONCE = 100


class IsometricVariable:
    """The monotone map between one latent variable and its isometric variable, from the posteriors
    of a data set.

    1 / sigma_j is averaged over the examples in bins of equal count along the posterior means, and
    integrated from the median of the means, where y = 0. Outside the range of the means the map
    continues with its end slopes.

    Args:
      mean: mu_j of each example, `[N]`.
      scale: sigma_j of each example, `[N]`, positive.
      beta: 1 / lmbda.
      num_bins: largest number of bins; each holds ten examples or more.

    Attributes:
      map: z -> y, a `tfisovae.geometry.monotone.Monotone`.

    Raises:
      ValueError: for fewer than 20 examples, different shapes, values that are not finite and
        positive, or a bad `num_bins`.
    """

    def __init__(self, mean: npt.ArrayLike, scale: npt.ArrayLike, beta: float,
                 num_bins: int = 200) -> None:
        mean, scale = np.asarray(mean, np.float64), np.asarray(scale, np.float64)
        if mean.ndim != 1 or mean.shape != scale.shape or len(mean) < 20:
            raise ValueError(
                "mean and scale must be vectors [N] of one latent variable with N of at least 20; "
                "got the shapes "
                f"{list(mean.shape)} and {list(scale.shape)}.")
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise ValueError("mean must be finite and scale finite and positive.")
        beta = arguments.positive("beta", float(beta) if tf.is_tensor(beta) else beta)
        arguments.integer("num_bins", num_bins)
        order = np.argsort(mean, kind="stable")
        bins = np.array_split(order, max(2, min(num_bins, len(mean) // 10)))
        z = np.array([mean[rows].mean() for rows in bins])
        slope = np.sqrt(beta / 2) * np.array([(1 / scale[rows]).mean() for rows in bins])
        z, first = np.unique(z, return_index=True)  # a constant mean has one bin
        slope = slope[first]
        low, high = min(mean.min(), z[0] - 1e-6), max(mean.max(), z[-1] + 1e-6)
        z = np.concatenate([[low], z, [high]])
        slope = np.concatenate([slope[:1], slope, slope[-1:]])
        y = np.concatenate([[0], np.cumsum(np.diff(z) * (slope[1:] + slope[:-1]) / 2)])
        self._set(z, y, slope[[0, -1]], np.median(mean))

    @classmethod
    def from_derivatives(cls, z: npt.ArrayLike, derivative: npt.ArrayLike,
                         origin: float = 0.0) -> "IsometricVariable":
        """The variable with slope sqrt(D'_j) between the points of a grid; beyond the grid it keeps
        the end slopes.

        Args:
          z: grid along z_j, `[K]`, increasing.
          derivative: D'_j at the grid's points, `[K]` (trapezoids), or on its intervals, `[K - 1]`;
            distortion per squared latent unit, not negative.
          origin: the z_j with y_j = 0.

        Raises:
          ValueError: for a grid that does not increase, bad shapes, or values that are negative or
            not finite.
        """
        z, derivative = np.asarray(z, np.float64), np.asarray(derivative, np.float64)
        if z.ndim != 1 or len(z) < 2 or derivative.ndim != 1 or len(derivative) not in (len(z),
                                                                                        len(z) - 1):
            raise ValueError(
                "z must be a grid [K] of two points or more, derivative [K] or [K - 1]; got the "
                "shapes "
                f"{list(z.shape)} and {list(derivative.shape)}.")
        if not np.isfinite(z).all() or (np.diff(z) <= 0).any():
            raise ValueError("z must be finite and increasing.")
        if not np.isfinite(derivative).all() or (derivative < 0).any():
            raise ValueError("derivative must be finite and not negative: it is a squared length.")
        slope = np.sqrt(derivative)
        steps = slope if len(slope) < len(z) else (slope[1:] + slope[:-1]) / 2
        # A piece with a constant decoder keeps a slope near 0, so that the map can be inverted.
        steps = np.maximum(steps, 1e-9 * max(steps.max(), 1e-300))
        variable = cls.__new__(cls)
        variable._set(z, np.concatenate([[0], np.cumsum(np.diff(z) * steps)]), steps[[0, -1]],
                      origin)
        return variable

    @classmethod
    def along_axis(cls, model: AutoencoderLike, j: int, mean: npt.ArrayLike, at: npt.ArrayLike,
                   num_points: int = 401, *, distortion: Distortion | str | None = None,
                   inspect: bool = True) -> "IsometricVariable":
        """The variable from the decoder alone, along the axis of z_j over the range of the
        posterior means.

        Every step of the grid has the length sqrt(D(x_k, x_k+1)). A jump of the decoder between two
        clusters within one step is measured in full, if D is quadratic over that distance.

        Args:
          model: whatever `as_autoencoder` takes. Its beta need not be known.
          j: number of the latent variable.
          mean: mu_j of the examples, `[N]`: the grid goes from the smallest to the largest, and y
            is 0 at the median.
          at: `[n]`, fixed values of the other variables (their means over the data, 0 for a trained
            VAE).
          num_points: of the grid.
          distortion: as for `as_autoencoder`.
          inspect: False leaves out the look at the decoder, which refuses one that is random, whose
            examples depend on each other, or whose outputs the distortion does not take.

        Raises:
          ValueError: for a j outside of `at`, equal means, a bad `num_points`; and the errors of
            `as_autoencoder`.

        Cost: `num_points` decodes.
        """
        mean, at = np.asarray(mean, np.float64), np.asarray(at, np.float64)
        if at.ndim != 1 or not -len(at) <= j < len(at):
            raise ValueError(
                f"at must be a point [n] with n above j; got the shape {list(at.shape)} and j = "
                f"{j!r}."
            )
        if mean.ndim != 1 or not len(mean) or not np.isfinite(mean).all() or mean.min() == mean.max(
        ):
            raise ValueError(
                "mean must be a vector [N] of finite numbers that differ, mu_j of the examples.")
        if num_points < 2:
            raise ValueError(f"num_points must be at least 2; got {num_points!r}.")
        model = as_autoencoder(model, distortion, needs_beta=False)
        refuse(model, "IsometricVariable.along_axis", "conditional")
        if inspect:
            inspection.check_decoder(model, at)
        z = np.linspace(mean.min(), mean.max(), num_points)
        points = np.tile(at, (num_points, 1))
        points[:, j] = z
        lengths = []
        for start in range(0, num_points - 1, _POINTS_AT_ONCE):
            x = model.decode(tf.constant(points[start:start + _POINTS_AT_ONCE + 1], tf.float32))
            lengths.append(np.asarray(model.distortion.excess(x[:-1], x[1:] - x[:-1]), np.float64))
        derivative = np.maximum(np.concatenate(lengths), 0) / np.diff(z) ** 2
        return cls.from_derivatives(z, derivative, np.median(mean))

    def _set(self, z, y, ends, origin):
        """`y` at the knots `z`, the slopes beyond them, and the z where y is 0."""
        self.map = Monotone(z, y - Monotone(z, y, ends)(origin), ends)

    def to_y(self, z: npt.ArrayLike) -> float | np.ndarray:
        """y_j of z_j, any shape."""
        return self.map(z)

    def to_z(self, y: npt.ArrayLike) -> float | np.ndarray:
        """z_j of y_j, any shape: the inverse of `to_y`."""
        return self.map.inverse(y)
