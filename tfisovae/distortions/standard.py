"""The distortions of the paper, and other common ones. `tfisovae.distortions.base` has their base
class.
"""
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tfisovae import arguments
from tfisovae.distortions.base import (
    Distortion,
    sum_of_entries,
)
from tfisovae.distortions.discrete import CategoricalCrossentropy, Poisson

_Number = TypeVar("_Number", float, np.ndarray, tf.Tensor)


def _per_example(a, x):
    """Reshapes `[B]` so that it broadcasts against `[B, ...]`."""
    return tf.reshape(a, tf.concat([tf.shape(a), tf.ones([tf.rank(x) - 1], tf.int32)], 0))


class _ScaledSquaredError(Distortion):
    """A weighted squared error a_x |x - x_hat|^2, so G_x = a_x I."""

    def __call__(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        return self.scale(x) * sum_of_entries(tf.square(x_hat - x))

    def excess(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return self.scale(x) * sum_of_entries(tf.square(v))

    def metric_product(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return _per_example(self.scale(x), v) * v


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class SumSquaredError(_ScaledSquaredError):
    """Sum of squared errors |x - x_hat|^2, with G_x = I (Eq. 57).

    Example:
      >>> float(tfisovae.distortions.SumSquaredError()(tf.zeros([1, 2]), tf.ones([1, 2]))[0])
      2.0
    """

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        return tf.ones([tf.shape(x)[0]], x.dtype)


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class MeanSquaredError(_ScaledSquaredError):
    """Mean squared error |x - x_hat|^2 / m, with G_x = I / m.

    Example:
      >>> float(tfisovae.distortions.MeanSquaredError()(tf.zeros([1, 2]), tf.ones([1, 2]))[0])
      1.0
    """

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        return tf.fill([tf.shape(x)[0]], 1 / tf.cast(tf.size(x[0]), x.dtype))


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class GaussianNLL(_ScaledSquaredError):
    """Gaussian negative log-likelihood with a fixed variance, with G_x = I / (2 variance) (Eq. 68).

    It is -log N(x; x_hat, variance I) without its constant.

    The constant (m/2) log(2 pi variance) is left out: it has no gradient, and D(x, x) = 0 without
    it.

    Example:
      >>> d = tfisovae.distortions.GaussianNLL(variance=0.5)
      >>> float(d(tf.zeros([1, 2]), tf.ones([1, 2]))[0])
      2.0
    """

    def __init__(self, variance: float) -> None:
        self.variance = arguments.positive("variance", variance)

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        return tf.fill([tf.shape(x)[0]], tf.cast(0.5 / self.variance, x.dtype))

    def get_config(self) -> dict[str, Any]:
        return {"variance": self.variance}


def convex_scale(square: _Number) -> _Number:
    """2/3 + 2 |x|^2 / 21 of |x|^2: the a_x of Eq. 19, and one over that of Eq. 55; tensors or
    NumPy's arrays.
    """
    return 2 / 3 + square * (2 / 21)


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class DownwardConvex(_ScaledSquaredError):
    """A squared error with a weight that grows with |x|^2: a_x = 2/3 + 2 |x|^2 / 21 (Eq. 19).

    Example:
      >>> d = tfisovae.distortions.DownwardConvex()
      >>> round(float(d(tf.zeros([1, 2]), tf.ones([1, 2]))[0]), 3)
      1.333
    """

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        return convex_scale(sum_of_entries(tf.square(x)))


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class UpwardConvex(_ScaledSquaredError):
    """A squared error with a weight that falls with |x|^2: a_x = 1 / (2/3 + 2 |x|^2 / 21) (Eq. 55).

    Example:
      >>> d = tfisovae.distortions.UpwardConvex()
      >>> round(float(d(tf.zeros([1, 2]), tf.ones([1, 2]))[0]), 3)
      3.0
    """

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        return 1 / convex_scale(sum_of_entries(tf.square(x)))


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class BinaryCrossentropy(Distortion):
    """Binary cross-entropy for data in [0, 1], with G_x = diag(1/x + 1/(1-x)) / 2 (Eqs. 59-61).

    It is -x log x_hat - (1 - x) log(1 - x_hat).

    D(x, x) is the entropy of x, not 0. Predictions are kept `1e-7` away from 0 and 1, as Keras
    does: beyond that D does not change with x_hat, and G_x is 0 (such a saturated decoder has no
    length in the metric).

    Args:
      reduction: "mean" over the entries of an example (as the paper's App. G) or "sum".

    Example:
      >>> d = tfisovae.distortions.BinaryCrossentropy(reduction="sum")
      >>> round(float(d(tf.constant([[0.0, 1.0]]), tf.constant([[0.1, 0.9]]))[0]), 3)
      0.211
    """

    domain = (0.0, 1.0)
    overshoot = 0.0
    _MARGIN = 1e-7

    def __init__(self, reduction: str = "mean") -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction must be "mean" or "sum"; got {reduction!r}.')
        self.reduction = reduction

    def _reduce(self, values):
        reduce = tf.reduce_mean if self.reduction == "mean" else tf.reduce_sum
        return reduce(values, tf.range(1, tf.rank(values)))

    def _clip(self, x):
        return tf.clip_by_value(x, self._MARGIN, 1 - self._MARGIN)

    def __call__(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        p = self._clip(x_hat)
        return -self._reduce(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p))

    def excess(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        # Terms of first order in v cancel; float64 keeps the second-order terms.
        a, b = tf.cast(x, tf.float64), tf.cast(v, tf.float64)
        p, q = self._clip(a), self._clip(a + b)
        value = self._reduce(a * tf.math.log(p / q) + (1 - a) * tf.math.log((1 - p) / (1 - q)))
        return tf.cast(value, x.dtype)

    def metric_product(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        p = self._clip(x)
        # If x itself is beyond the margin, D(x, .) is flat around it, in agreement with the
        # gradient of the clip.
        product = tf.where(p == x, v * 0.5 / (p * (1 - p)), tf.zeros_like(v))
        if self.reduction == "mean":
            product /= tf.cast(tf.size(x[0]), x.dtype)
        return product

    def get_config(self) -> dict[str, Any]:
        return {"reduction": self.reduction}


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class SSIM(Distortion):
    """Structural similarity as a loss: 1 - SSIM (Wang et al., 2004).

    It uses an 11 x 11 Gaussian window of deviation 1.5, K1 = .01, K2 = .03, and a mean over
    channels.

    The value equals `1 - tf.image.ssim`. In every window w, with d = x_hat - x, its mean mu_d and
    variance var_d,

        1 - SSIM_w = 1 - (1 - mu_d^2 / (mu_x^2 + mu_y^2 + c1)) (1 - var_d / (var_x + var_y + c2)),

    the textbook formula without cancellation: small displacements keep their digits in float32.
    Hence

        G_x = mean_w [ M_w / (2 mu_x^2 + c1) + V_w / (2 var_x + c2) ]     (Eq. 66, with constants)

    The window is separable, and each blur is two matrix products. Images are `[B, H, W, C]`, or
    `[B, C, H, W]` with 1 or 3 channels.

    Args:
      max_val: the largest value of a pixel; images lie in [0, max_val].

    Example:
      >>> image = tf.fill([1, 16, 16, 3], 0.5)
      >>> float(tfisovae.distortions.SSIM(max_val=1.0)(image, image)[0])
      0.0
    """

    min_size = 11

    def __init__(self, max_val: float = 1.0) -> None:
        self.max_val = arguments.positive("max_val", max_val)
        self.domain = (0.0, self.max_val)
        self._c1 = (0.01 * self.max_val) ** 2
        self._c2 = (0.03 * self.max_val) ** 2

    def get_config(self) -> dict[str, Any]:
        return {"max_val": self.max_val}

    @classmethod
    def _window_matrix(cls, size, dtype):
        """`[size - 10, size]`: the window at each of its positions along one side."""
        taps = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
        rows = np.zeros([size - cls.min_size + 1, size])
        for position, row in enumerate(rows):
            row[position:position + cls.min_size] = taps / taps.sum()
        return tf.constant(rows, dtype)

    def _blurs(self, x):
        """The blur `[N, H, W] -> [N, H-10, W-10]` for images like `x`, and its adjoint."""
        height, width = x.shape[-2:]
        rows, columns = self._window_matrix(height, x.dtype), self._window_matrix(width, x.dtype)

        def blur(v):
            v = tf.matmul(tf.reshape(v, [-1, width]), columns, transpose_b=True)
            return tf.matmul(rows, tf.reshape(v, [-1, height, width - 10]))

        def adjoint(v):
            v = tf.matmul(tf.reshape(v, [-1, width - 10]), columns)
            return tf.matmul(rows, tf.reshape(v, [-1, height - 10, width]), transpose_a=True)

        return blur, adjoint

    def _channels(self, x):
        """The axis of the channels, 1 or 3. Channels first means 1 or 3 channels before larger
        sides.
        """
        if x.shape.rank == 4 and None not in x.shape[1:]:
            if min(x.shape[1:3]) >= self.min_size:
                return 3
            if x.shape[1] in (1, 3) and min(x.shape[2:]) >= self.min_size:
                return 1
        raise ValueError(
            "SSIM expects images of shape [batch, height, width, channels], or [batch, channels, "
            f"height, width] with 1 or 3 channels. Height and width must be known and at least "
            f"{self.min_size}; got {tuple(x.shape)}.")

    def _planes(self, x):
        """`[B, H, W, C]` or `[B, C, H, W]` -> `[B * C, H, W]`."""
        if self._channels(x) == 3:
            x = tf.transpose(x, [0, 3, 1, 2])
        return tf.reshape(x, [-1, x.shape[2], x.shape[3]])

    def __call__(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        return self.excess(x, x_hat - x)

    def excess(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        x, v = tf.convert_to_tensor(x), tf.convert_to_tensor(v)
        channels = x.shape[self._channels(x)]
        x, d = self._planes(x), self._planes(v)
        y = x + d
        blur, _ = self._blurs(x)
        mean_x = blur(x)
        mean_d, mean_dd, mean_squares = tf.split(blur(tf.concat([d, d * d, x * x + y * y], 0)), 3)
        mean_y = mean_x + mean_d
        mean_d2 = tf.square(mean_d)
        squares = tf.square(mean_x) + tf.square(mean_y)
        luminance = mean_d2 / (squares + self._c1)
        structure = (mean_dd - mean_d2) / (mean_squares - squares + self._c2)
        loss = luminance + structure - luminance * structure
        return tf.reduce_mean(tf.reshape(loss, [-1, channels * loss.shape[-2] * loss.shape[-1]]),
                              -1)

    def metric_product(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        x, v = tf.convert_to_tensor(x), tf.convert_to_tensor(v)
        axis = self._channels(x)
        channels = x.shape[axis]
        x, v = self._planes(x), self._planes(v)
        blur, adjoint = self._blurs(x)
        mean_x, mean_xx, mean_v = tf.split(blur(tf.concat([x, x * x, v], 0)), 3)
        a = 1 / (2 * tf.square(mean_x) + self._c1)
        b = 1 / (2 * (mean_xx - tf.square(mean_x)) + self._c2)
        common, weight = tf.split(adjoint(tf.concat([(a - b) * mean_v, b], 0)), 2)
        windows = channels * mean_x.shape[-2] * mean_x.shape[-1]
        product = tf.reshape((common + weight * v) / windows, [-1, channels, *x.shape[1:]])
        return product if axis == 1 else tf.transpose(product, [0, 2, 3, 1])


_BY_NAME = {
    "sse": SumSquaredError,
    "mse": MeanSquaredError,
    "bce": BinaryCrossentropy,
    "cce": CategoricalCrossentropy,
    "poisson": Poisson,
    "ssim": SSIM,
    "gaussian_nll": GaussianNLL,
    "downward_convex": DownwardConvex,
    "upward_convex": UpwardConvex,
}


def get(name: Distortion | str, **arguments: Any) -> Distortion:
    """Finds a distortion by name, made with `arguments`. A `Distortion` is returned unchanged.

    Names: "sse", "mse", "bce", "bce-sum", "cce", "poisson", "ssim", "gaussian_nll",
    "downward_convex", "upward_convex".

    Example:
      >>> distortion = tfisovae.distortions.get("bce", reduction="sum")
    """
    if isinstance(name, Distortion):
        return name
    if name == "bce-sum":
        return BinaryCrossentropy("sum")
    if name not in _BY_NAME:
        names = ", ".join(map(repr, sorted([*_BY_NAME, "bce-sum"])))
        raise ValueError(f"Unknown distortion {name!r}; use one of {names}.")
    return _BY_NAME[name](**arguments)
