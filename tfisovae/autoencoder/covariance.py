"""Posteriors with a full covariance C(x), in their own axes.

The axes of C(x) change with x. In them the posterior of one example is diagonal, so everything that
is a sum over dimensions has its usual form:

    C = U diag(s^2) U^T,        w = U^T z,        q(w|x) = N(U^T mu, diag(s^2))

The prior N(0, I) is the same in all axes.
"""
import numpy as np
import tensorflow as tf

from tfisovae.autoencoder.outputs import PartError

READINGS = ("covariance", "scale_tril")
_ROUNDING = 1e-5  # of the largest eigenvalue


def factor(matrix: tf.Tensor, reading: str) -> tf.Tensor:
    """A matrix A with C = A A^T, `[B, n, n]`.

    Args:
      matrix: the encoder's second output, `[B, n, n]`.
      reading: "covariance": C, symmetric; "scale_tril": A itself, lower triangular.

    Returns:
      A; NaN where a covariance has a negative eigenvalue. A covariance in float32 loses axes that
      are 300 times narrower than the widest; "scale_tril" does not.
    """
    if reading == "scale_tril":
        return matrix
    matrix, known = _finite(matrix)
    values, axes = tf.linalg.eigh(matrix)
    least = -_ROUNDING * tf.reduce_max(tf.abs(values), -1, keepdims=True)
    roots = tf.sqrt(tf.where(values < least, float("nan"), tf.maximum(values, 0)))
    return axes * roots[:, None, :] * known


def _finite(matrix):
    """`matrix` `[B, n, n]` with the identity where it is not finite, since decompositions would
    raise for all rows; and a factor `[B, 1, 1]` that is 1, or NaN there.
    """
    finite = tf.reduce_all(tf.math.is_finite(matrix), [1, 2], keepdims=True)
    identity = tf.eye(matrix.shape[-1], dtype=matrix.dtype)
    return tf.where(finite, matrix, identity), tf.where(finite, 1.0, float("nan"))


def eigenvalues(matrix: tf.Tensor) -> tf.Tensor:
    """Eigenvalues of symmetric matrices `[B, n, n]`, ascending, `[B, n]`; NaN where a matrix is not
    finite.
    """
    matrix, known = _finite(matrix)
    return tf.linalg.eigvalsh(matrix) * known[:, 0]


def check(matrix: tf.Tensor, reading: str) -> None:
    """Raises PartError unless the encoder's second output `[B, n, n]` is what `reading` says. Not
    for use in a graph.
    """
    unit = float(tf.reduce_max(tf.abs(matrix)))
    if not np.isfinite(unit):
        return  # the posterior is refused by its own message
    if reading == "scale_tril":
        wrong = tf.linalg.set_diag(matrix - tf.linalg.band_part(matrix, -1, 0),
                                   tf.minimum(tf.linalg.diag_part(matrix), 0))
        said = "lower triangular, with positive numbers on the diagonal"
    else:
        values = tf.linalg.eigvalsh(matrix)
        wrong = tf.concat([tf.reshape(matrix - tf.linalg.matrix_transpose(matrix), [-1]),
                           tf.reshape(tf.minimum(values, 0), [-1])], 0)
        said = "symmetric, with positive eigenvalues"
    if float(tf.reduce_max(tf.abs(wrong))) > _ROUNDING * unit:
        raise PartError(
            f"With scale={reading!r}, the encoder's second output must be {said}, for each example "
            "[batch, n, n]. It is not.")


class Axes:
    """w and the axes of each row in one tensor, as `conditional.Given` carries them; and z = U w.

    Args:
      n: latent dimensions.
    """

    def __init__(self, n: int) -> None:
        self._n = n

    def with_c(self, w: tf.Tensor, axes: tf.Tensor) -> tf.Tensor:
        """w `[B, n]` with U of each row, `[B, n n]`."""
        return tf.concat([w, tf.cast(axes, w.dtype)], 1)

    def __call__(self, both: tf.Tensor) -> tf.Tensor:
        """z `[B, n]` from the result of `with_c`."""
        axes = tf.reshape(both[:, self._n:], [-1, self._n, self._n])
        return tf.linalg.matvec(axes, both[:, :self._n])


def in_own_axes(mean: tf.Tensor, matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Mean and scale in the own axes of each posterior, `[B, n]`, the widest axis first, and the
    axes U `[B, n n]`.

    Args:
      mean: `[B, n]`.
      matrix: A with C = A A^T, `[B, n, n]`.
    """
    matrix, known = _finite(matrix)
    scale, axes, _ = tf.linalg.svd(matrix)
    scale *= known[:, 0]
    return (tf.linalg.matvec(axes, mean, transpose_a=True), scale,
            tf.reshape(axes, [-1, axes.shape[-1] ** 2]))
