"""How the decoder maps small latent steps to steps in the data, in the metric of the distortion.

With J = d decode / dz at z and G the metric tensor at decode(z), the pullback metric J^T G J is the
exact form of the paper's finite differences. Its diagonal is D'_j of section 3.4. Scaled by the
posterior,

    Gamma_jk = (2 / beta) sigma_j sigma_k  x_zj^T G x_zk               (Eqs. 10, 12)

is the identity if the VAE is an isometric embedding. `decode` is any function from `[B, n]` to `[B,
...]`: a VAE's `decode`, a Keras model, or a signature of a loaded SavedModel.

There are two methods for the tangents x_zj = J e_j. `tangents=` selects one, and `tangent_method`
finds the right one:

- "autodiff": Jacobian-vector products of TensorFlow or PyTorch, exact up to floating point;
- "differences": (decode(z + h e_j) - decode(z - h e_j)) / 2h, of second order in h, for decoders
  without derivatives in TensorFlow (such as NumPy functions). They need a decoder without
  randomness.
"""
from collections.abc import Callable, Sequence
from typing import TypeAlias

import tensorflow as tf

from tfisovae._autograph import compiled, unconverted
from tfisovae.autoencoder.conditional import Given
from tfisovae.autoencoder.networks import Decoder, precision_of
from tfisovae.distortions.base import Distortion

# Registers gradients for the tangents of resized images.
from tfisovae.geometry import resize_gradients  # noqa: F401

# Tangents x examples in flight: enough to fill the cores, little enough to keep memory flat.
_IMAGES_AT_ONCE = 128
# Steps of differences, in units of z. Truncation grows with h^2, rounding with epsilon / h, and the
# number of crossed kinks (relu) with h.
_STEPS = {tf.float64: 1e-4, tf.float32: 5e-3}
_AGREEMENT = 0.03  # with a larger relative difference, one of the two kinds of tangents is wrong
_CHECKED = 4  # examples for the comparison of the two kinds of tangents
# The same for differences of two step sizes. Those of a decoder with jumps differ by .94 or more.
_SMOOTH = 0.8
_ALIKE = 1e-3  # relative difference up to which differences may replace autodiff
_MOST_BY_DIFFERENCES = 300  # latent dimensions

Decode: TypeAlias = Callable[[tf.Tensor], tf.Tensor]


def numerical_derivatives(decode: Decode, z: tf.Tensor, distortion: Distortion,
                          epsilon: float = 1e-2) -> tf.Tensor:
    """How fast the distortion grows along each latent axis, by finite differences (section 3.4).

    D'_j(z) = D(Dec(z), Dec(z + epsilon e_j)) / epsilon^2.

    It is of first order in `epsilon` and costs n + 1 decodes. If D(x, x) is not 0, it is subtracted
    from D.

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`.
      distortion: `Distortion`.
      epsilon: step, in units of z.

    Returns:
      `[B, n]`, distortion per squared latent unit.

    Example:
      >>> mean, scale = vae.encode(x[:4])
      >>> derivatives = tfisovae.geometry.numerical_derivatives(vae.decode, mean, vae.distortion)
      >>> tuple(derivatives.shape)
      (4, 3)
    """
    x = decode(z)

    def derivative(direction):
        return distortion.excess(x, decode(z + epsilon * direction) - x) / epsilon**2

    directions = tf.eye(z.shape[-1], dtype=z.dtype)
    return tf.transpose(tf.map_fn(unconverted(derivative), directions, parallel_iterations=1))


def _linearized(decode, z):
    """x = decode(z), and the function from tangents `[B, n]` to Jacobian-vector products `[B,
    ...]`.

    A JVP is the derivative of a VJP (which is linear) in its cotangent. The nested tapes run the
    decoder once, and each tangent costs about one decode more. (`tf.autodiff.ForwardAccumulator`
    fails inside `tf.function` on loaded models.)
    """
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            inner.watch(z)
            x = decode(z)
        cotangent = tf.zeros_like(x)
        outer.watch(cotangent)
        pulled_back = _gradient(inner, x, z, cotangent)

    return x, lambda tangent: _gradient(outer, pulled_back, cotangent, tangent)


def _gradient(tape, target, source, cotangent=None):
    """The gradient, or an error if there is none. Zeros instead would silently give a metric of
    zeros.
    """
    try:
        gradient = tape.gradient(target, source, output_gradients=cotangent)
        reason = ("it uses operations without one, such as tf.numpy_function, or does not depend "
                  "on z")
    except LookupError as error:
        gradient, reason = None, str(error)
    if gradient is None:
        raise ValueError(
            f"TensorFlow has no derivative of decode: {reason}. Use tangents=\"differences\"; "
            "geometry.tangent_method chooses one for a decoder.")
    return gradient


def _in_precision(decode, z):
    """z in the precision for differences of `decode`: the higher of its own precision and the
    decoder's.
    """
    precision = precision_of(decode)
    return tf.cast(z, precision) if precision.size > z.dtype.size else z


def _step(z, x):
    """The step of differences for the less precise of the two."""
    return _STEPS[min(z.dtype, x.dtype, key=lambda dtype: dtype.size)]


def _stepped(decode, z, step):
    """decode(z + h e_j) - decode(z - h e_j) and the steps (2h up to rounding), as `[n, B, ...]`
    twice: 2n decodes.
    """
    size, batch = z.shape[-1], tf.shape(z)[0]
    directions = step * tf.eye(size, dtype=z.dtype)[:, None]
    ahead, behind = (decode(tf.reshape(moved, [size * batch, size]))
                     for moved in (z + directions, z - directions))
    change = tf.reshape(ahead - behind, tf.concat([[size, batch], tf.shape(ahead)[1:]], 0))
    change.set_shape([size, None, *ahead.shape[1:]])
    taken = tf.transpose((z + step) - (z - step))
    ones = tf.ones([tf.rank(change) - 2], tf.int32)
    return change, tf.reshape(tf.cast(taken, change.dtype), tf.concat([[size, batch], ones], 0))


def jacobian(decode: Decode, z: tf.Tensor,
             tangents: str = "autodiff") -> tuple[tf.Tensor, tf.Tensor]:
    """x = decode(z) and its Jacobian as a stack of tangent images, `[B, ...]` and `[n, B, ...]`.

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`.
      tangents: "autodiff" or "differences". The second costs 2n + 1 decodes. For float64 NumPy
        functions of `as_autoencoder` the result is in float64.

    Raises:
      ValueError: by "autodiff", where TensorFlow has no derivative.
    """
    if _check_tangents(tangents) == "differences":
        x, precise = decode(z), _in_precision(decode, z)
        if precise is not z:
            x = decode(precise)
        change, steps = _stepped(decode, precise, _step(precise, x))
        return x, change / steps
    size = z.shape[-1]
    axes = tf.broadcast_to(tf.eye(size, dtype=z.dtype)[:, None], [size, tf.shape(z)[0], size])
    return _products(decode, z, axes)


def _products(decode, z, directions):
    """x = decode(z) and its Jacobian times directions `[k, B, n]`, `[k, B, ...]`."""
    products = decode.products if isinstance(decode, Decoder) else None
    if products is not None:
        return products(z, directions)
    x, jvp = _linearized(decode, z)
    return x, tf.vectorized_map(unconverted(jvp), directions, warn=False)


def _in_precision_of(distortion, x, stack):
    """x and its tangents in float32 instead of float64, which some distortions do not accept."""
    if x.dtype == tf.float64:
        try:
            distortion(x[:1], x[:1])
        except (TypeError, ValueError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
            return tf.cast(x, tf.float32), tf.cast(stack, tf.float32)
    return x, stack


def _check_tangents(tangents):
    if tangents not in ("autodiff", "differences"):
        raise ValueError(f'tangents must be "autodiff" or "differences"; got {tangents!r}.')
    return tangents


def _check_z(z):
    z = tf.convert_to_tensor(z)
    if z.shape.rank != 2 or z.shape[-1] is None:
        raise ValueError(f"z must have the shape [batch, n] with n known; got {tuple(z.shape)}.")
    return z


def pullback_metric(decode: Decode, z: tf.Tensor, distortion: Distortion,
                    tangents: str = "autodiff") -> tf.Tensor:
    """The pullback metric J^T G J at each `z`: squared lengths and angles of latent directions in
    the data.

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`, with n known when traced.
      distortion: `Distortion`.
      tangents: "autodiff": exact up to floating point, about n + 1 decodes; or "differences": 2n +
        1 decodes, and no derivatives. `tangent_method` chooses one for a decoder.

    Returns:
      `[B, n, n]`, distortion per squared latent unit. The diagonal is the limit of
      `numerical_derivatives`.

    Raises:
      ValueError: with "autodiff", if TensorFlow has no derivative of `decode`.

    Example:
      >>> mean, scale = vae.encode(x[:4])
      >>> metric = tfisovae.geometry.pullback_metric(vae.decode, mean, vae.distortion)
      >>> tuple(metric.shape)
      (4, 3, 3)
    """
    z = _check_z(z)

    def metric(decode, z):
        x, stack = _in_precision_of(distortion, *jacobian(decode, z, tangents))
        lowered = tf.map_fn(unconverted(lambda v: distortion.metric_product(x, v)), stack,
                            parallel_iterations=1)
        n, batch = tf.shape(stack)[0], tf.shape(stack)[1]
        rows = tf.transpose(tf.reshape(stack, [n, batch, -1]), [1, 0, 2])
        columns = tf.transpose(tf.reshape(lowered, [n, batch, -1]), [1, 0, 2])
        return tf.cast(tf.matmul(rows, columns, transpose_b=True), z.dtype)

    _check_tangents(tangents)
    return in_groups(metric, decode, [z], z.shape[-1], [z.shape[-1]] * 2)


def distortion_slopes(decode: Decode, z: tf.Tensor, reference: tf.Tensor, distortion: Distortion,
                      tangents: str = "autodiff") -> tf.Tensor:
    """dD(reference, decode(z)) / dz_j: the change of the distortion along each latent axis.

    Both methods use automatic differentiation for D in its second argument. "differences"
    multiplies it with differences of the decoder, since differences of D itself would add rounding.

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`, with n known when traced.
      reference: `[B, ...]`: x, or x_check for the decomposed loss.
      distortion: `Distortion`.
      tangents: "autodiff": one gradient of the decoder; or "differences": 2n + 1 decodes.

    Returns:
      `[B, n]`, distortion per latent unit.
    """
    z = _check_z(z)
    if _check_tangents(tangents) == "autodiff":
        with tf.GradientTape() as tape:
            tape.watch(z)
            d = distortion(reference, decode(z))
        return _gradient(tape, d, z)

    def slopes(decode, z, reference):
        x, stack = _in_precision_of(distortion, *jacobian(decode, z, tangents))
        with tf.GradientTape() as tape:
            tape.watch(x)
            d = distortion(tf.cast(reference, x.dtype), x)
        contracted = stack * tape.gradient(d, x)
        shape = tf.shape(stack)
        return tf.cast(
            tf.transpose(tf.reduce_sum(tf.reshape(contracted, [shape[0], shape[1], -1]), -1)),
            z.dtype)

    return in_groups(slopes, decode, [z, tf.convert_to_tensor(reference)], z.shape[-1],
                     [z.shape[-1]])


def tangent_method(decode: Decode, z: tf.Tensor, seed: int = 0) -> str:
    """The right method for a decoder: "autodiff" if its derivatives are right, else "differences".

    Decoders with a loop, such as recurrent ones, need differences where both agree within .1 %, up
    to n = 300: TensorFlow's derivatives of loops take many times as long.

    It compares Jacobian-vector products with central differences of two step sizes, on a few rows
    of `z` along random directions. It rejects autodiff if that raises (an operation without a
    gradient), is missing or zero (`tf.numpy_function`), or is off by more than 3 % at both steps (a
    replaced or stopped gradient). If two decodes of one z differ, differences mean nothing, and
    autodiff stays. It takes about 20 decodes of 4 rows, and does not work in a graph.

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`, points for the derivatives: posterior means.
      seed: of the directions.

    Returns:
      "autodiff" or "differences".

    Raises:
      ValueError: for a random decoder without a derivative, or one whose outputs change in jumps.
    """
    z = _check_z(z)[:_CHECKED]
    again, precise = decode(z), _in_precision(decode, z)
    x = decode(precise)
    directions = tf.random.stateless_normal([2, *z.shape], [seed, 0], dtype=precise.dtype)
    directions = tf.linalg.l2_normalize(directions, -1)
    random = float(_length(tf.cast(again, x.dtype) - x)) > 1e-4 * float(_length(x))

    def one_by_one(z):
        _, jvp = _linearized(decode, z)
        return tf.stack([jvp(tf.cast(direction, z.dtype)) for direction in directions])

    # Along the same path as `jacobian`, which can fail for differentiable decoders. It is slow for
    # loops.
    loop = _has_loop(decode, z)
    products = compiled(one_by_one if loop else
                        lambda z: _products(decode, z, tf.cast(directions, z.dtype))[1])

    try:
        product = tf.cast(products.get_concrete_function(z)(z), x.dtype)
    # Decode has run, so any failure here is in its differentiation.
    except Exception as error:
        product = None
        if random:
            raise ValueError(
                "The decoder returns different outputs for the same z, and TensorFlow has no "
                "derivative of it, so it cannot be measured. Give it in inference mode, without "
                "noise."
            ) from error
    if random:
        return "autodiff"
    noise = 4 * float(_length(x)) * (1e-15 if x.dtype == tf.float64 else 1e-7)
    found = []
    for shrink in (1, 8):
        step = _step(precise, x) / shrink
        found.append(_along(decode, precise, directions, step))
        if product is None:
            continue
        # Rounding may hide a small derivative, but does not give exactly 0.
        allowed = _AGREEMENT * float(_length(found[-1])) + (noise / step if tf.reduce_any(
            product != 0) else 0)
        off = float(_length(product - found[-1]))
        if off <= allowed:
            alike = off <= _ALIKE * float(_length(found[-1]))
            return "differences" if alike and loop else "autodiff"
    _check_smooth(decode, precise, directions, found, noise / step)
    return "differences"


def _along(decode, z, directions, step):
    """(decode(z + h u) - decode(z - h u)) / 2h for directions u `[k, B, n]`."""
    ahead, behind = (tf.stack([decode(z + sign * step * direction) for direction in directions])
                     for sign in (1, -1))
    return (ahead - behind) / (2 * step)


def _check_smooth(decode, z, directions, found, rounding):
    """Raises ValueError if differences of two step sizes show jumps instead of a slope.

    Args:
      decode, z, directions: as for `_along`.
      found: differences with the larger and the smaller step.
      rounding: how far rounding alone may move the second.
    """
    large, small = (float(_length(one)) for one in found)
    off = float(_length(found[0] - found[1]))
    # Without any change in small steps, there must be none in a large one either.
    if off <= _SMOOTH * max(large, small) + rounding and (
            large or float(_length(_along(decode, z, directions, 1.0))) <= rounding):
        return
    raise ValueError(
        "The decoder has no derivative: small steps in z change its outputs in jumps, as argmax "
        "and rounding do. Give the outputs before the jumps, such as probabilities, in float32.")


def _has_loop(decode, z):
    """Whether decode goes through a loop of TensorFlow, and n is small enough for differences."""
    if z.shape[-1] > _MOST_BY_DIFFERENCES or (isinstance(decode, Decoder) and decode.products):
        return False
    try:
        graph = compiled(decode).get_concrete_function(z).graph.as_graph_def()
    except Exception:  # in whatever way: it cannot be compiled, so it has no loop of TensorFlow
        return False
    nodes = [*graph.node, *(node for function in graph.library.function
                            for node in function.node_def)]
    return any(node.op in ("While", "StatelessWhile") for node in nodes)


def _length(x):
    return tf.sqrt(tf.reduce_sum(tf.square(x)))


def in_groups(function: Callable[..., tf.Tensor], decode: Decode, arrays: Sequence[tf.Tensor],
              num_tangents: int, shape: Sequence[int], dtype: tf.DType | None = None) -> tf.Tensor:
    """Applies `function` to some rows at a time, so that memory does not grow with the batch.

    Args:
      function: of the decoder of these rows and arrays `[group, ...]`, to `[group, *shape]`. The
        size of a group is static.
      decode: function from `[B, n]` to `[B, ...]`.
      arrays: list of `[B, ...]`.
      num_tangents: for one row; 128 images are computed at once.
      shape: of the result of one row.
      dtype: of the result; by default the type of the first array.

    Returns:
      `[B, *shape]`.
    """
    group = max(1, _IMAGES_AT_ONCE // num_tangents)
    count = tf.shape(arrays[0])[0]
    groups = -(-count // group)
    # The last group is filled up with copies of a row, so that all groups have one shape.
    rows = tf.minimum(tf.range(groups * group), count - 1)
    stacked = []
    for array in [*arrays, decode.packed] if isinstance(decode, Given) else arrays:
        stack = tf.reshape(tf.gather(array, rows),
                           tf.concat([[groups, group], tf.shape(array)[1:]], 0))
        stack.set_shape([None, group, *array.shape[1:]])
        stacked.append(stack)

    def of_group(some):
        if isinstance(decode, Given):
            *some, packed = some
            return function(decode.of(packed), *some)
        return function(decode, *some)

    result = tf.map_fn(
        unconverted(of_group), stacked, parallel_iterations=1,
        fn_output_signature=tf.TensorSpec([group, *shape], dtype or arrays[0].dtype))
    return tf.reshape(result, [-1, *shape])[:count]


def isometry_gram(decode: Decode, mean: tf.Tensor, scale: tf.Tensor, distortion: Distortion,
                  beta: float | tf.Tensor, tangents: str = "autodiff") -> tf.Tensor:
    """The Gram matrix Gamma of latent directions, the identity for an isometric embedding (Eq. 12).

    Gamma_jk = (2 / beta) sigma_j sigma_k x_zj^T G x_zk. Its diagonal is the squared norm of Eq. 15.

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      mean: `[B, n]`, where the decoder is linearised.
      scale: `[B, n]`, the posterior's standard deviations.
      distortion: `Distortion`, as in the training.
      beta: 1 / lmbda.
      tangents: "autodiff" or "differences", as in `pullback_metric`.

    Returns:
      `[B, n, n]`, dimensionless; the identity at an isometric embedding.

    Example:
      >>> mean, scale = vae.encode(x[:4])
      >>> gram = tfisovae.geometry.isometry_gram(
      ...     vae.decode, mean, scale, vae.distortion, vae.beta)
      >>> norms = tf.linalg.diag_part(gram)  # 1 for an isometric embedding
    """
    return scaled(pullback_metric(decode, mean, distortion, tangents), scale, beta)


def scaled(metric: tf.Tensor, scale: tf.Tensor, beta: float | tf.Tensor) -> tf.Tensor:
    """(2 / beta) sigma_j sigma_k metric_jk: a pullback metric `[B, n, n]` in units of the
    posterior's `scale` `[B, n]`.
    """
    return (2 / beta) * scale[:, :, None] * scale[:, None, :] * metric
