"""Distortions of categories and of counts."""
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfisovae.distortions.base import Distortion, sum_of_entries

_MARGIN = 1e-7  # probabilities and rates are kept this far above 0, as Keras does


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class CategoricalCrossentropy(Distortion):
    """Cross-entropy of categories: -sum x log x_hat over the last axis; G_x = diag(1/x) / 2.

    x are one-hot rows or probabilities, `[B, ..., K]`, and x_hat a softmax. G_x holds for
    displacements with a sum of 0 over the classes, such as all displacements of a softmax. For
    these D(x, x + v) - D(x, x) is the Kullback-Leibler divergence of x + v from x.

    Args:
      reduction: "sum" or "mean" over the other axes of an example, such as places in a text.
    """

    domain = (0.0, 1.0)
    simplex = True
    overshoot = 0.0

    def __init__(self, reduction: str = "sum") -> None:
        if reduction not in ("mean", "sum"):
            raise ValueError(f'reduction must be "mean" or "sum"; got {reduction!r}.')
        self.reduction = reduction

    def __call__(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        return self._reduced(-x * tf.math.log(_at_least(x_hat)))

    def excess(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return _in_float64(lambda a, b: self._reduced(
            a * tf.math.log(_at_least(a) / _at_least(a + b))), x, v)

    def metric_product(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        places = tf.cast(tf.size(x[0]) / tf.shape(x)[-1], x.dtype)
        return _over_twice(x, v) / (places if self.reduction == "mean" else 1)

    def _reduced(self, values):
        values = tf.reduce_sum(values, -1)
        reduce = tf.reduce_mean if self.reduction == "mean" else tf.reduce_sum
        return reduce(values, tf.range(1, tf.rank(values)))

    def get_config(self) -> dict[str, Any]:
        return {"reduction": self.reduction}


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class Poisson(Distortion):
    """Poisson loss: the sum of x_hat - x log x_hat, for counts x and rates x_hat; G_x = diag(1/x) /
    2.

    It is -log p(x) of independent Poisson variables without log x!, which has no gradient.
    """

    domain = (0.0, float("inf"))
    overshoot = 0.0

    def __call__(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        rate = _at_least(x_hat)
        return sum_of_entries(rate - x * tf.math.log(rate))

    def excess(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        def difference(a, b):
            before, after = _at_least(a), _at_least(a + b)
            return sum_of_entries(after - before - a * tf.math.log(after / before))

        return _in_float64(difference, x, v)

    def metric_product(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return _over_twice(x, v)


def _at_least(x):
    return tf.maximum(x, tf.cast(_MARGIN, x.dtype))


def _over_twice(x, v):
    """v / (2 x). Below the margin D does not change with x_hat."""
    return tf.where(x > _MARGIN, 0.5 * v / _at_least(x), tf.zeros_like(v))


def _in_float64(function: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], x: tf.Tensor,
                v: tf.Tensor) -> tf.Tensor:
    """Terms of first order in v cancel; float64 keeps the second-order terms."""
    x = tf.convert_to_tensor(x)
    return tf.cast(function(tf.cast(x, tf.float64), tf.cast(v, tf.float64)), x.dtype)
