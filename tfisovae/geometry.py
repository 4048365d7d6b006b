"""How the decoder maps latent displacements to displacements of data, measured in the metric of the distortion.

With J = d decode / dz at z and G the metric tensor at decode(z), the pullback metric J^T G J is the exact form of what the
paper estimates by finite differences: its diagonal is D'_j of section 3.4, and scaled by the posterior,

    Gamma_jk = (2 / beta) sigma_j sigma_k  x_zj^T G x_zk                                            (Eqs. 10, 12)

is the identity where the VAE is an isometric embedding. `decode` is any function from `[B, n]` to `[B, ...]`: a VAE's
`decode`, a Keras model, or a signature of a loaded SavedModel.
"""
import tensorflow as tf

_IMAGES_AT_ONCE = 128  # tangents x examples in flight: enough to fill the cores, little enough to keep memory flat


def numerical_derivatives(decode, z, distortion, epsilon=1e-2):
    """D'_j(z) = D(Dec(z), Dec(z + epsilon e_j)) / epsilon^2, the finite difference of section 3.4.

    First order in `epsilon`; costs n + 1 decodes. Where D(x, x) is not 0, D stands for its excess over D(x, x).

    Args:
      decode: function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`.
      distortion: `Distortion`.
      epsilon: step, in units of z.
    Returns:
      `[B, n]`, distortion per squared latent unit.
    """
    x = decode(z)

    def derivative(direction):
        return distortion.excess(x, decode(z + epsilon * direction) - x) / epsilon**2

    directions = tf.eye(z.shape[-1], dtype=z.dtype)
    return tf.transpose(tf.map_fn(derivative, directions, parallel_iterations=1))


def _linearized(decode, z):
    """x = decode(z), and the function from tangents `[k, B, n]` to Jacobian-vector products `[k, B, ...]`.

    A JVP is the derivative of a VJP in its cotangent (which it is linear in). The nested tapes run the decoder once; each
    tangent then costs about one decode. (`tf.autodiff.ForwardAccumulator` fails inside `tf.function` on loaded models.)
    """
    with tf.GradientTape(persistent=True) as outer:
        with tf.GradientTape() as inner:
            inner.watch(z)
            x = decode(z)
        cotangent = tf.zeros_like(x)
        outer.watch(cotangent)
        pulled_back = inner.gradient(x, z, output_gradients=cotangent, unconnected_gradients="zero")

    def jvp(tangents):
        def one(tangent):
            return outer.gradient(pulled_back, cotangent, output_gradients=tangent, unconnected_gradients="zero")

        return tf.vectorized_map(one, tangents)

    return x, jvp


def jacobian(decode, z):
    """x = decode(z) and its Jacobian as a stack of tangent images, `[B, ...]` and `[n, B, ...]`."""
    x, jvp = _linearized(decode, z)
    size = z.shape[-1]
    tangents = tf.broadcast_to(tf.eye(size, dtype=z.dtype)[:, None], [size, tf.shape(z)[0], size])
    return x, jvp(tangents)


def pullback_metric(decode, z, distortion):
    """J^T G J at each `z`, exact up to floating point, by Jacobian-vector products; about n + 1 decodes.

    Args:
      decode: differentiable function from `[B, n]` to `[B, ...]`.
      z: `[B, n]`, with n known when traced.
      distortion: `Distortion`.
    Returns:
      `[B, n, n]`, distortion per squared latent unit. The diagonal is the limit of `numerical_derivatives`.
    """
    z = tf.convert_to_tensor(z)
    if z.shape.rank != 2 or z.shape[-1] is None:
        raise ValueError(f"z must have the shape [batch, n] with n known; got {tuple(z.shape)}.")
    group = max(1, _IMAGES_AT_ONCE // z.shape[-1])

    def metric(z):
        x, tangents = jacobian(decode, z)
        lowered = tf.map_fn(lambda v: distortion.metric_product(x, v), tangents, parallel_iterations=1)
        n, batch = tf.shape(tangents)[0], tf.shape(tangents)[1]
        rows = tf.transpose(tf.reshape(tangents, [n, batch, -1]), [1, 0, 2])
        columns = tf.transpose(tf.reshape(lowered, [n, batch, -1]), [1, 0, 2])
        return tf.matmul(rows, columns, transpose_b=True)

    return _in_groups(metric, z, group)


def _in_groups(function, z, group):
    """Applies `function` to `group` rows of `z` at a time and concatenates, so that memory does not grow with the batch."""
    count = tf.shape(z)[0]
    groups = -(-count // group)
    # The last group is filled up with copies of a row: every group has one shape, hence one plan of execution.
    rows = tf.minimum(tf.range(groups * group), count - 1)
    stacked = tf.reshape(tf.gather(z, rows), [groups, group, z.shape[-1]])
    size = z.shape[-1]
    result = tf.map_fn(function, stacked, parallel_iterations=1,
                       fn_output_signature=tf.TensorSpec([group, size, size], z.dtype))
    return tf.reshape(result, [-1, size, size])[:count]


def isometry_gram(decode, mean, scale, distortion, beta):
    """Gamma_jk = (2 / beta) sigma_j sigma_k x_zj^T G x_zk of Eq. 12; its diagonal is the squared norm of Eq. 15.

    Args:
      decode: differentiable function from `[B, n]` to `[B, ...]`.
      mean: `[B, n]`, where the decoder is linearised.
      scale: `[B, n]`, the posterior's standard deviations.
      distortion: `Distortion`, the one that was trained.
      beta: 1 / lmbda.
    Returns:
      `[B, n, n]`, dimensionless; the identity at an isometric embedding.
    """
    return scaled(pullback_metric(decode, mean, distortion), scale, beta)


def scaled(metric, scale, beta):
    """(2 / beta) sigma_j sigma_k metric_jk: a pullback metric `[B, n, n]` in units of the posterior's `scale` `[B, n]`."""
    return (2 / beta) * scale[:, :, None] * scale[:, None, :] * metric
