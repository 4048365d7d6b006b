"""The residual of the data, and the gain of one more latent dimension.

At a stationary point that is not a minimum, every gradient is 0, and an unused latent dimension
stays unused. The residual x - Dec(mean) shows what it could carry.
"""
import numpy as np
import tensorflow as tf

from tfisovae.analysis.components import metric_products
from tfisovae.distortions.base import Distortion
from tfisovae.verdict.gains import Residual

_DIRECTIONS = 8  # limit if the metric is not a multiple of the identity
_USED = 0.02  # a latent direction is used above this eigenvalue of E[Gamma]
_LENGTHS = (0.25, 0.5, 1.0, 2.0)  # relative to the best length for a quadratic D


def free_dimensions(gram: np.ndarray) -> int:
    """The number of latent dimensions that carry nothing, or nothing of their own.

    Args:
      gram: E[Gamma], `[n, n]` (Eq. 12). An unused dimension has a row of 0; two with the same
        direction give an eigenvalue of 0.
    """
    return int(np.sum(np.linalg.eigvalsh(gram) < _USED))


def residual(x: np.ndarray, x_check: np.ndarray, means: np.ndarray, distortion: Distortion,
             free: int, beta: float) -> Residual:
    """The variance of the residual along its leading directions, in the metric of D at Dec(mean).

    Directions come from one half of the examples and variances from the other, and vice versa. With
    the same examples the variances would be too large. A linear fit to the posterior means is
    removed from the residual first: the decoder can learn that part without another dimension.

    Args:
      x: examples, `[N, ...]`.
      x_check: Dec(mean), `[N, ...]`.
      means: of the posterior, `[N, n]`.
      distortion: D.
      free: how many latent dimensions are free (`free_dimensions`).
      beta: of the loss.

    Returns:
      `Residual`, with as many directions as there are free dimensions, at least one.
    """
    defined = np.isfinite(_excess(distortion, x, x_check))  # D(x, x) may be 0 log 0
    x, x_check, means = x[defined], x_check[defined], means[defined]
    count = len(x)
    if not count:
        return Residual(np.zeros(0), np.zeros(0), free, beta / 2, 0)
    better = x - _unexplained(x - x_check, means)
    x_check = _in_domain(better, x_check, distortion) if distortion.strict else better
    scaled = distortion.has_scale
    wanted = min(max(1, free), x[0].size, count // 2, count if scaled else _DIRECTIONS)
    if not wanted or not np.isfinite(x_check).all():
        return Residual(np.zeros(0), np.zeros(0), free, beta / 2, count)
    order = np.random.default_rng(0).permutation(count)
    halves = order[:count // 2], order[count // 2:]
    removed = _removed_scaled if scaled else _removed
    squares = [removed(x, x_check, halves[one], halves[1 - one], distortion, wanted)
               for one in (0, 1)]
    means = np.array([np.mean(part, 0) for part in squares])
    errors = np.array([np.std(part, 0, ddof=1) / np.sqrt(len(part)) for part in squares])
    return Residual(means.mean(0), np.sqrt(np.sum(errors**2, 0)) / 2, free, beta / 2, count)


def _in_domain(better, x_check, distortion):
    """`better`, with the rows of `x_check` where it leaves the domain, since D is undefined there.
    """
    inside = np.isclose(distortion.into_domain(better), better, rtol=1e-5, atol=0)
    inside = inside.reshape(len(better), -1).all(1)
    return np.where(inside.reshape(-1, *[1] * (better.ndim - 1)), better, x_check)


def _unexplained(left, means):
    """Residuals minus the best linear fit to the posterior means."""
    if not (np.isfinite(left).all() and np.isfinite(means).all()):
        return left
    known = np.column_stack([np.ones(len(means)), means]).astype(np.float64)
    if len(known) <= 2 * known.shape[1]:  # with so few examples, a line fits noise
        known = known[:, :1]
    rows = left.reshape(len(left), -1)
    fitted = np.linalg.qr(known)[0]
    return (rows - fitted @ (fitted.T @ rows)).reshape(left.shape)


def _removed_scaled(x, x_check, one, other, distortion, wanted):
    """How much a linear dimension along each leading direction of the examples `one` lowers the
    distortion of the examples `other`, `[N / 2, wanted]`, if G_x = a_x I.
    """
    scale = np.concatenate([
        distortion.scale(tf.constant(x_check[at:at + 4096], tf.float32)).numpy()
        for at in range(0, len(x_check), 4096)])
    rows = (x - x_check).reshape(len(x), -1) * np.sqrt(scale)[:, None]
    return (rows[other] @ _leading(rows[one], rows[one], wanted)) ** 2


def _removed(x, x_check, one, other, distortion, wanted):
    """As `_removed_scaled`, for every distortion. It is the fall of D at the best of a few lengths:
    far from Dec(mean), D need not be quadratic.
    """
    left = (x - x_check)[one]
    lowered = metric_products(distortion, x_check[one], left).reshape(len(one), -1)
    rows = left.reshape(len(one), -1)
    inner = np.maximum(np.sum(rows * lowered, 1), 1e-300)
    weight = np.clip(_excess(distortion, x[one], x_check[one]) / inner, 0, 1)
    directions = _leading(rows, weight[:, None] * lowered, wanted).T
    target, point = x[other], x_check[other]
    before = _excess(distortion, target, point)
    removed = np.zeros([len(other), wanted])
    for k, direction in enumerate(directions):
        along = np.broadcast_to(direction.reshape(x.shape[1:]), point.shape)
        raised = metric_products(distortion, point, along).reshape(len(other), -1)
        length = raised @ direction  # u^T G u
        with np.errstate(divide="ignore", invalid="ignore"):
            score = np.where(length > 0, np.sum(
                raised * (target - point).reshape(len(other), -1), 1) / length, 0.0)
        score = score.reshape(-1, *[1] * (x.ndim - 1))
        tried = [point, *(distortion.into_domain(point + share * score * along)
                           for share in _LENGTHS)]
        values = np.array([before, *(_excess(distortion, target, x_hat) for x_hat in tried[1:])])
        values[np.isnan(values)] = np.inf  # at the border of the domain
        best, example = np.argmin(values, 0), np.arange(len(other))
        removed[:, k] = before - values[best, example]
        point, before = np.stack(tried)[best, example], values[best, example]
    return removed


def _excess(distortion, x, x_hat):
    """D(x, x_hat) - D(x, x), float64."""
    return np.concatenate([
        distortion.excess(tf.constant(x[at:at + 256], tf.float32), tf.constant(
            (x_hat - x)[at:at + 256], tf.float32)).numpy()
        for at in range(0, len(x), 256)]).astype(np.float64)


def _leading(rows, lowered, wanted):
    """The leading directions u of C G, C = E[r r^T]: unit vectors `[m, wanted]`.

    Args:
      rows: r_i, `[N, m]`.
      lowered: G r_i, `[N, m]`.
      wanted: how many.
    """
    rows, lowered = rows.astype(np.float64), lowered.astype(np.float64)
    if len(rows) > rows.shape[1]:
        values, vectors = np.linalg.eig(rows.T @ lowered)
        return vectors[:, np.argsort(-values.real)[:wanted]].real
    inner = rows @ lowered.T
    vectors = np.linalg.eigh((inner + inner.T) / 2)[1][:, ::-1][:, :wanted]
    directions = rows.T @ vectors
    return directions / np.maximum(np.linalg.norm(directions, axis=0), 1e-300)
