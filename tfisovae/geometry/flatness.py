"""Flatness of the data manifold along single latent axes.

If y_j is a function of z_j alone (Eq. 11), dy_j = sqrt(beta / 2) / sigma_j dz_j shows that sigma_j
depends on z_j alone. So the part of log sigma_j's deviation that z_j does not explain is 0 if the
manifold is flat in the metric of the distortion and the axes are straight on it. Otherwise it is
about the relative error of a length along the axis.
"""
import dataclasses

import numpy as np
import numpy.typing as npt

# Limit for two arrays [N, n] of float32 in `flatness`: more examples add little.
MAX_EXAMPLES = 20_000
MIN_EXAMPLES = 200
_PER_BIN = 20


@dataclasses.dataclass(frozen=True)
class Flatness:
    """Flatness along each latent dimension, `[n]`.

    Attributes:
      unexplained: sqrt(E[Var(log sigma_j | mu_j)]), 0 if log sigma_j is a function of mu_j.
      standard_error: of `unexplained`, for independent examples.
      total: sqrt(Var(log sigma_j)).
    """

    unexplained: np.ndarray
    standard_error: np.ndarray
    total: np.ndarray


def flatness(mean: npt.ArrayLike, scale: npt.ArrayLike) -> Flatness:
    """The deviation of log sigma_j that mu_j does not explain, without bias from bins.

    The examples are divided along mu_j into bins of 20. The variance about a parabola in a bin
    (over its count minus 3) estimates the unexplained variance plus a term from the bending of
    E[log sigma_j | mu_j]. This term grows 64-fold in bins of double width, so both widths are
    extrapolated to 0 (Richardson). The error includes the deviation between pairs of neighbouring
    bins, and the extrapolation's own error.

    Args:
      mean: mu_j of each example, `[N, n]` or `[N]`; N of at least 200. 20,000 examples are enough
        (`MAX_EXAMPLES`).
      scale: sigma_j, of the same shape, positive.

    Returns:
      `Flatness`, vectors `[n]`.

    Raises:
      ValueError: for different shapes, fewer than 200 examples, or values that are not finite and
        positive.
    """
    mean, scale = (np.asarray(values, np.float64) for values in (mean, scale))
    if mean.shape != scale.shape or mean.ndim not in (1, 2) or len(mean) < MIN_EXAMPLES:
        raise ValueError(
            f"mean and scale must be [N, n], or [N] for a single dimension, with N of at least "
            f"{MIN_EXAMPLES}; got "
            f"the shapes {list(mean.shape)} and {list(scale.shape)}.")
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("mean must be finite and scale finite and positive.")
    mean, log_scale = mean.reshape(len(mean), -1), np.log(scale).reshape(len(mean), -1)
    columns = [_unexplained(mean[:, j], log_scale[:, j]) for j in range(mean.shape[1])]
    unexplained, error = np.array(columns).T
    return Flatness(unexplained, error, log_scale.std(0))


def _unexplained(z, y):
    pairs = len(z) // (2 * _PER_BIN)
    order = np.argsort(z, kind="stable")
    # Examples that do not fill a bin are left out at the ends.
    order = order[(len(z) - 2 * pairs * _PER_BIN) // 2:][:2 * pairs * _PER_BIN]
    z, y = z[order], y[order]
    narrow = _about_parabolas(z.reshape(2 * pairs, _PER_BIN),
                              y.reshape(2 * pairs, _PER_BIN)).reshape(pairs, 2).mean(1)
    wide = _about_parabolas(z.reshape(pairs, 2 * _PER_BIN), y.reshape(pairs, 2 * _PER_BIN))
    each = narrow - (wide - narrow) / 63
    variance, error = each.mean(), each.std(ddof=1) / np.sqrt(pairs)
    error += abs(np.mean(wide - narrow)) / 63  # the error of the extrapolation itself
    value = np.sqrt(max(variance, 0))
    return value, min(error / (2 * value), np.sqrt(error)) if value else np.sqrt(error)


def _about_parabolas(z, y):
    """Variance of y about its least-squares parabola over z, without bias, of each row of `[bins,
    count]`.
    """
    residual = y - y.mean(1, keepdims=True)
    z = z - z.mean(1, keepdims=True)
    basis = [z / np.maximum(np.abs(z).max(1, keepdims=True), np.finfo(float).tiny)]
    basis.append(basis[0] ** 2)
    basis[1] = basis[1] - basis[1].mean(1, keepdims=True)
    basis[1] = basis[1] - _ratio(basis[1], basis[0]) * basis[0]
    for part in basis:
        residual = residual - _ratio(residual, part) * part
    return np.sum(residual**2, 1) / (z.shape[1] - 3)


def _ratio(y, x):
    """The slope of y over x through 0, of each row; 0 where x is 0."""
    power = np.sum(x**2, 1, keepdims=True)
    return np.divide(np.sum(x * y, 1, keepdims=True), power, out=np.zeros_like(power), where=power
                     > 0)
