"""Products with Gamma (Eq. 12) without forming it or the Jacobian J of the decoder.

    Gamma v = S J^T G J S v,    S = diag(s_j)

One product costs one pass forward and one pass backward through the decoder, for any number of
latent dimensions n. With s_j = sqrt(2 / beta) sigma_j this is the Gamma of Eq. 12. A weight s_j of
0 leaves a dimension out. `tfisovae.geometry.estimated` uses these products.
"""
from collections.abc import Callable

import tensorflow as tf

from tfisovae._autograph import unconverted
from tfisovae.autoencoder.networks import Decoder
from tfisovae.distortions.base import Distortion
from tfisovae.geometry.pullback import (
    Decode,
    _gradient,
    _in_precision,
    _in_precision_of,
    _linearized,
    _step,
)

# A smaller rest of a vector, relative to the largest eigenvalue, is only rounding in float32.
_ROUNDING = 1e-5
_FARTHEST = 0.25  # of `direction`, at which `slope_along` decodes

Product = Callable[[tf.Tensor], tf.Tensor]


class Linearized:
    """The decoder as a linear function of small steps, at each row of z. It runs the decoder once.

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`, with n known.
      distortion: `Distortion`, which gives the metric G at decode(z).
      tangents: "autodiff" or "differences", as in `pullback_metric`. With differences there are
        only tangents along single axes, `gram_of`.

    Raises:
      ValueError: with "autodiff", if TensorFlow has no derivative.
    """

    def __init__(self, decode: Decode, z: tf.Tensor, distortion: Distortion,
                 tangents: str = "autodiff") -> None:
        self._decode, self._z, self._distortion = decode, z, distortion
        self._autodiff = tangents == "autodiff"
        if not self._autodiff:
            self._precise = _in_precision(decode, z)
            exact = decode(self._precise)
            self.x, self._size = tf.cast(exact, z.dtype), _step(self._precise, exact)
            return
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(z)
            self.x, self._forward = _linearized(decode, z)
        known = decode.products if isinstance(decode, Decoder) else None
        if known is not None:
            self._forward = lambda tangent: known(z, tangent[None])[1][0]
        self._backward = lambda cotangent: _gradient(tape, self.x, z, cotangent)

    def gram(self, weights: tf.Tensor) -> Product:
        """The function v -> S J^T G J S v, `[B, n]` to `[B, n]`, for the weights s_j `[B, n]`."""
        def product(v):
            lowered = self._distortion.metric_product(self.x, self._forward(weights * v))
            return weights * self._backward(lowered)

        return product

    def gram_of(self, dimensions: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
        """The entries of S J^T G J S for some dimensions `[k]`, exactly: `[B, k, k]`.

        Cost: k passes forward, one after the other; 2 k decodes by differences.
        """
        stack = _one_by_one(lambda j: self._tangent(j, weights), dimensions, self.x)
        lowered = _one_by_one(lambda v: self._distortion.metric_product(self.x, v), stack, self.x)
        count, batch = tf.shape(stack)[0], tf.shape(stack)[1]
        rows, columns = (tf.transpose(tf.reshape(part, [count, batch, -1]), [1, 0, 2])
                         for part in (stack, lowered))
        return tf.matmul(rows, columns, transpose_b=True)

    def _tangent(self, j, weights):
        """J S e_j, `[B, ...]`."""
        direction = tf.one_hot(j, self._z.shape[-1], dtype=self._z.dtype)
        if self._autodiff:
            return self._forward(weights * direction)
        z = self._precise
        moved = self._size * tf.cast(direction, z.dtype)
        change = self._decode(z + moved) - self._decode(z - moved)
        taken = tf.reduce_sum((z + moved) - (z - moved), -1)
        factor = tf.cast(weights[:, j], change.dtype) / tf.cast(taken, change.dtype)
        shape = tf.concat([tf.shape(factor), tf.ones([tf.rank(change) - 1], tf.int32)], 0)
        return tf.cast(change * tf.reshape(factor, shape), self.x.dtype)


def slope_along(decode: Decode, z: tf.Tensor, direction: tf.Tensor, reference: tf.Tensor,
                distortion: Distortion) -> tf.Tensor:
    """The derivative of D(reference, decode(z + t direction)) by t at t = 0, for a decoder without
    derivatives, `[B]`.

    Args:
      z, direction: `[B, n]`.
      reference: `[B, ...]`.

    Cost: three decodes, for any n.
    """
    precise = _in_precision(decode, z)
    x, direction = decode(precise), tf.cast(direction, precise.dtype)
    step = _step(precise, x)
    largest = tf.reduce_max(tf.abs(direction), -1, keepdims=True)
    size = step / tf.maximum(largest, step / _FARTHEST)
    moved = size * direction
    change = decode(precise + moved) - decode(precise - moved)
    shape = tf.concat([tf.shape(size)[:1], tf.ones([tf.rank(change) - 1], tf.int32)], 0)
    x, change = _in_precision_of(distortion, x, change / tf.cast(tf.reshape(2 * size, shape),
                                                                 change.dtype))
    with tf.GradientTape() as tape:
        tape.watch(x)
        d = distortion(tf.cast(reference, x.dtype), x)
    rows = tf.reshape(change * tape.gradient(d, x), [tf.shape(z)[0], -1])
    return tf.cast(tf.reduce_sum(rows, -1), z.dtype)


def _one_by_one(function, values, like):
    return tf.map_fn(unconverted(function), values, parallel_iterations=1,
                     fn_output_signature=tf.TensorSpec(like.shape, like.dtype))


def probe(product: Product, signs: tf.Tensor) -> tf.Tensor:
    """v_j (Gamma v)_j for some probes v.

    With random signs, its mean over probes is Gamma_jj, and its variance is the sum of Gamma_jk^2
    over k != j.

    Args:
      product: v -> Gamma v.
      signs: probes, `[K, B, n]`: 1 or -1, and 0 in dimensions that are left out.

    Returns:
      `[B, K, n]`.
    """
    return tf.transpose(_one_by_one(lambda v: v * product(v), signs, signs[0]), [1, 0, 2])


def lanczos(product: Product, draw: Callable[[tf.Tensor], tf.Tensor],
            steps: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The tridiagonal matrix of Lanczos' method at each example, with full reorthogonalisation.

    Its eigenvalues (Ritz values) lie between the extreme eigenvalues of Gamma.

    Args:
      product: v -> Gamma v, `[B, n]` to `[B, n]`.
      draw: number of a step -> standard normal `[B, n]`, 0 in dimensions that are left out. The
        first is the start; others replace a vector that has become 0.
      steps: k, at most the number of dimensions that are not left out.

    Returns:
      Its diagonal `[B, k]`, and the entries next to it, `[B, k - 1]`.
    """
    start = tf.linalg.l2_normalize(draw(tf.constant(0)), -1)
    batch, n = tf.shape(start)[0], start.shape[-1]
    basis, numbers = tf.zeros([batch, steps, n], start.dtype), tf.zeros([batch, steps], start.dtype)

    def orthogonal(v, basis):
        for _ in range(2):  # twice is enough, once is not
            v -= tf.linalg.matvec(basis, tf.linalg.matvec(basis, v), transpose_a=True)
        return v

    def step(k, v, basis, diagonal, beside):
        place = tf.one_hot(k, steps, dtype=v.dtype)
        basis += place[:, None] * v[:, None]
        moved = product(v)
        diagonal += place * tf.reduce_sum(v * moved, -1, keepdims=True)
        left = orthogonal(moved, basis)
        size = tf.norm(left, axis=-1)
        largest = tf.maximum(tf.reduce_max(tf.abs(diagonal), 1), tf.reduce_max(beside, 1))
        # The vectors so far span an invariant space. Continue with any other direction.
        complete = size <= _ROUNDING * largest
        left = tf.where(complete[:, None], orthogonal(draw(k + 1), basis), left)
        beside += place * tf.where(complete, tf.zeros_like(size), size)[:, None]
        return k + 1, tf.linalg.l2_normalize(left, -1, epsilon=1e-30), basis, diagonal, beside

    *_, diagonal, beside = tf.while_loop(
        lambda k, *_: k < steps, unconverted(step),
        [tf.constant(0), start, basis, numbers, numbers], parallel_iterations=1,
        shape_invariants=[tf.TensorShape([]), start.shape, basis.shape, numbers.shape,
                          numbers.shape])
    return diagonal, beside[:, :steps - 1]
