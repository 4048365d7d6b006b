"""The base class of distortions D(x, x_hat), with their metric tensor G_x.

The distortion defines the metric of the isometry. For a small displacement v,

    D(x, x + v) - D(x, x) = v^T G_x v + O(|v|^3)          (no factor 1/2)

so G_x is half the Hessian of D in its second argument. Every function here is unreduced over
examples: inputs are `[B, ...]`, outputs `[B]`.
"""
import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae._autograph import converted

# Displacements for the check of a distortion, in deviations of the data.
_STEPS = (0.1, 0.03, 0.01, 3e-3, 1e-3)
_CHECKED = 8  # examples
_ROUNDING = 1e-6  # part of the width of a domain by which any output may leave it
_SUMS = 1e-3  # allowed difference of a sum of probabilities from 1


def sum_of_entries(x: tf.Tensor) -> tf.Tensor:
    """Sums over all but the first axis: `[B, ...] -> [B]`."""
    return tf.reduce_sum(x, tf.range(1, tf.rank(x)))


def decomposed(distortion: "Distortion", x: tf.Tensor, x_check: tf.Tensor, x_hat: tf.Tensor,
               excess: bool = False) -> tf.Tensor:
    """The distortion of the decomposed loss (section 4.2), with x_check = Dec(mean) and x_hat =
    Dec(mean + scale * noise).

        D(x, x_check) + [D(x_check, x_hat) - D(x_check, x_check)]

    The second term is the effect of the noise. If D(x, x) is not 0 (binary cross-entropy: the
    entropy of x), D(x_check, x_hat) itself would also minimize D(x_check, x_check), and with it all
    uncertainty in x_check: independent pixels that are 1 in 30 % of the examples would be
    reconstructed as .10.

    Args:
      distortion: `Distortion`.
      x, x_check, x_hat: `[B, ...]` each.
      excess: whether to subtract D(x, x), which no model can lower, from the first term too.

    Returns:
      `[B]`, differentiable in all three.
    """
    transform = distortion.excess(x, x_check - x) if excess else distortion(x, x_check)
    return transform + distortion.excess(x_check, x_hat - x_check)


class Distortion(abc.ABC):
    """Base class of a reconstruction loss D(x, x_hat), here and yours. A subclass must define
    `__call__`; the metric follows by automatic differentiation.

    To save and load VAEs with a subclass, register it with
    `tf.keras.utils.register_keras_serializable`, and define `get_config` if its constructor has
    arguments.

    Attributes:
      domain: `(low, high)` if data outside that interval are an error, else `None`. An end may be
        infinite.
      simplex: whether the entries along the last axis must also sum to 1, as probabilities do.
      overshoot: how far x_hat may leave the domain, in widths of it. 0 means that D is undefined
        for an x_hat outside.
      min_size: the smallest height and width of images that the distortion can compare, else
        `None`.

    Example:
      >>> class Weighted(tfisovae.distortions.Distortion):
      ...     def __call__(self, x, x_hat):
      ...         return tf.reduce_sum([1.0, 2.0] * (x - x_hat) ** 2, -1)
      >>> float(Weighted()(tf.zeros([1, 2]), tf.ones([1, 2]))[0])
      3.0
    """

    domain: tuple[float, float] | None = None
    simplex: bool = False
    overshoot: float = 0.1  # of a linear output
    min_size: int | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Users' code may have Python's `if` and `for` on tensors."""
        super().__init_subclass__(**kwargs)
        for name in {"__call__", "metric_product", "scale"} & vars(cls).keys():
            setattr(cls, name, converted(vars(cls)[name]))

    @abc.abstractmethod
    def __call__(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        """D(x, x_hat).

        Args:
          x: data, `[B, ...]`, float.
          x_hat: reconstructions, like `x`.

        Returns:
          `[B]`, the distortion of each example (lmbda times this is in nats).
        """

    def excess(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        """D(x, x + v) - D(x, x), without cancellation for small `v`. `[B, ...]` twice to `[B]`."""
        return self(x, x + v) - self(x, x)

    def metric_product(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        """G_x v, where `G_x = 1/2 d^2 D(x, y) / dy^2` at `y = x`.

        The default is half a Hessian-vector product by two nested gradient tapes: about four
        evaluations of D.

        Args:
          x: points, `[B, ...]`.
          v: tangent vectors, like `x`.

        Returns:
          Cotangent vectors, like `v`.
        """
        y = tf.identity(x)
        with tf.GradientTape() as outer:
            outer.watch(y)
            with tf.GradientTape() as inner:
                inner.watch(y)
                d = self(x, y)
            slope = inner.gradient(d, y)
            directional = tf.reduce_sum(slope * tf.stop_gradient(v))
        product = outer.gradient(directional, y, unconnected_gradients="zero")
        return 0.5 * product

    def inner(self, x: tf.Tensor, u: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        """u^T G_x v of each example: `[B, ...]` three times to `[B]`."""
        return sum_of_entries(u * self.metric_product(x, v))

    def scale(self, x: tf.Tensor) -> tf.Tensor:
        """a_x of each example, `[B]`, where `G_x = a_x I`.

        Raises:
          NotImplementedError: if G_x is not a multiple of the identity.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no scale a_x: its metric tensor is not a multiple of the "
            "identity. Use a form without a_x (the \"volume\" density is exact for any metric).")

    def check(self, x: np.ndarray | tf.Tensor) -> None:
        """Raises if data lie outside the domain: `ValueError` on values, `InvalidArgumentError`
        inside a graph.
        """
        x = tf.convert_to_tensor(x)
        if self.min_size is not None:
            shape = x.shape
            in_front = shape.rank == 4 and shape[1] in (1, 3)  # the channels
            sides = shape[2:] if in_front else shape[1:3]
            if shape.rank != 4 or any(s is not None and s < self.min_size for s in sides):
                raise ValueError(
                    f"{type(self).__name__} expects x of shape [batch, height, width, channels], "
                    "or [batch, channels, height, width] with 1 or 3 channels. Height and width "
                    f"must be at least {self.min_size}; got {tuple(shape)}.")
        if self.domain is None:
            return
        low, high = self.domain
        smallest, largest = tf.reduce_min(x), tf.reduce_max(x)
        inside = tf.logical_and(smallest >= low, largest <= high)
        message = (f"{type(self).__name__} expects x {self.domain_words}"
                   + " (divide 8-bit images by 255)" * (0 < high < 255 and not self.simplex)
                   + f"; its smallest and largest values{' or sums' * self.simplex} were")
        if self.simplex:
            sums = tf.reduce_sum(x, -1)
            smallest, largest = (tf.reduce_min(tf.minimum(sums, smallest)),
                                 tf.reduce_max(tf.maximum(sums, largest)))
            inside = tf.logical_and(inside, tf.reduce_all(tf.abs(sums - 1) < _SUMS))
        if tf.executing_eagerly():
            if tf.size(x) > 0 and not inside:
                classes = self.simplex and float(tf.reduce_max(x)) > 1
                raise ValueError(
                    f"{message} {float(smallest):g} and {float(largest):g}."
                    + " Give numbers of classes as one-hot rows: tf.one_hot(x, CLASSES)." * classes)
        else:
            tf.debugging.Assert(tf.logical_or(inside, tf.equal(tf.size(x), 0)),
                                [message, smallest, largest])

    @property
    def domain_words(self) -> str:
        """The domain in words, after "x"."""
        if self.domain is None:
            return "of any value"
        low, high = self.domain
        if self.simplex:
            return "of probabilities, which sum to 1 over the last axis"
        if np.isinf(high):
            return f"of at least {low:g}"
        return f"of at most {high:g}" if np.isinf(low) else f"between {low:g} and {high:g}"

    @property
    def strict(self) -> bool:
        """Whether D is undefined for an x_hat outside of the domain."""
        open_end = self.domain is not None and not np.isfinite(self.domain).all()
        return self.overshoot == 0 or open_end

    @property
    def activation(self) -> str:
        """The usual last activation of a decoder for outputs in the domain, as code."""
        if self.simplex:
            return '"softmax"'
        return '"exponential"' if self.domain and np.isinf(self.domain[1]) else '"sigmoid"'

    def outside(self, x_hat: np.ndarray) -> np.ndarray:
        """Whether each entry is outside of the domain by more than the `overshoot`; like x_hat."""
        if self.domain is None:
            return np.zeros(x_hat.shape, bool)
        low, high = self.domain
        width = high - low
        allowed = max(self.overshoot, _ROUNDING) * width if np.isfinite(width) else _ROUNDING
        outside = (x_hat < low - allowed) | (x_hat > high + allowed)
        if self.simplex:
            outside |= np.abs(np.sum(x_hat, -1, keepdims=True) - 1) > _SUMS
        return outside

    def into_domain(self, x_hat: np.ndarray) -> np.ndarray:
        """The point itself, or a point on the border of the domain if it is outside."""
        if self.domain is None:
            return x_hat
        x_hat = np.clip(x_hat, *self.domain)
        if self.simplex:
            total = np.sum(x_hat, -1, keepdims=True)
            x_hat = np.where(total > 0, x_hat / np.where(total > 0, total, 1),
                             1 / x_hat.shape[-1])
        return x_hat

    def inner_point(self, x: np.ndarray, share: float) -> np.ndarray:
        """Examples, moved into the domain, part of the way to its middle or to their mean."""
        center = x.mean()
        if self.simplex:
            center = 1 / x.shape[-1]
        elif self.domain is not None and np.isfinite(self.domain).all():
            center = sum(self.domain) / 2
        elif self.domain is not None and not self.domain[0] < center < self.domain[1]:
            low, high = self.domain  # all examples are at the border
            center = low + 1 if np.isfinite(low) else high - 1
        return (1 - share) * x + share * center

    def tangent(self, v: tf.Tensor) -> tf.Tensor:
        """The part of a displacement that stays in the domain: on the simplex its sum is 0."""
        v = tf.convert_to_tensor(v)
        return v - tf.reduce_mean(v, -1, keepdims=True) if self.simplex else v

    @property
    def has_scale(self) -> bool:
        """Whether G_x = a_x I, so that `scale` gives a_x. Then D is quadratic in x_hat."""
        return type(self).scale is not Distortion.scale

    def check_quadratic(self, x: np.ndarray | tf.Tensor) -> None:
        """Raises if D is not quadratic near x, and so has no metric tensor; |x - x_hat| is an
        example.

        It compares small displacements v and -v of some examples with their halves, which must have
        a quarter of the excess, and with v^T G_x v of `metric_product`. Examples are moved a little
        inwards first, so that a pixel at 0 or 1 does not count. One step size at which most
        examples agree is enough.

        Args:
          x: some data, `[B, ...]`; the first eight are used.

        Raises:
          ValueError: the message has the value found.

        Cost: some ten evaluations of D on eight examples.
        """
        alike = np.asarray(self(tf.convert_to_tensor(x), tf.convert_to_tensor(x)))
        if not np.isfinite(alike).all():
            example = int(np.argmin(np.isfinite(alike)))
            raise ValueError(
                f"{type(self).__name__} gives D(x, x) = {alike[example]} for example {example} "
                "(counted from 0). It must be finite. If 0 log 0 is the reason, write "
                "tf.math.xlogy(x, x_hat) for x log(x_hat).")
        found = []
        for point, unit in _inner_points(self, x):
            v = self.tangent(tf.constant(
                unit * np.random.default_rng(0).standard_normal(point.shape), point.dtype))
            form, offset = self.inner(point, v,
                                      v).numpy().astype(np.float64), _offset(self, point) / unit
            for step in _STEPS:
                whole, half = _even_excess(self, point, step * v), _even_excess(
                    self, point, step / 2 * v)
                if not whole.any():
                    continue
                with np.errstate(divide="ignore", invalid="ignore"):
                    ratio, agreement = np.median(whole / half), np.median(step**2 * form / whole)
                if abs(ratio / 4 - 1) < 0.1 and abs(agreement - 1) < 0.15 and offset < 0.02:
                    return
                found.append((ratio, agreement, offset))
        if not found:
            return  # D does not change on these examples: there is nothing to compare
        quadratic = [entry for entry in found if abs(entry[0] / 4 - 1) < 0.1]
        ratio, agreement, offset = (quadratic or found)[-1]
        if not quadratic:
            what = (
                f"halving a small displacement v divides D(x, x + v) - D(x, x) by {ratio:.3g}, but "
                "a smooth distortion gives 4 (a sum of |v| gives 2)")
        elif offset >= 0.02:
            what = f"D(x, .) has its minimum not at x but {offset:.2g} of the data's deviation away"
        else:
            what = (
                f"metric_product gives a v^T G_x v of {agreement:.3g} times D(x, x + v) - D(x, x) "
                f"for small v"
            )
        raise ValueError(
            f"{type(self).__name__} has no metric tensor to measure with: {what}. Norms and "
            "densities need a smooth distortion with its minimum at x_hat = x, such as a sum of "
            "squares.")

    def get_config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Distortion":
        return cls(**config)

    def __repr__(self) -> str:
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"


def _inner_points(distortion, x):
    """Points for the check, and the size of a displacement there: the examples, moved inwards more
    and more.
    """
    x = np.asarray(x)[:_CHECKED].astype(np.float64)
    width = float(np.subtract(*distortion.domain[::-1])) if distortion.domain else np.inf
    for share in (0.2, 0.5):
        point = distortion.inner_point(x, share)
        # Black and white images have no deviation to set a scale.
        unit = x.std() or (0.1 * width if np.isfinite(width) else abs(point.mean()) or 1.0)
        yield _in_its_dtype(distortion, point), unit


def _in_its_dtype(distortion, point):
    """`point` in float64, or in float32 if a user's distortion needs it."""
    try:
        value = distortion(tf.constant(point), tf.constant(point))
    except (TypeError, ValueError, tf.errors.InvalidArgumentError, tf.errors.NotFoundError):
        point = point.astype(np.float32)
        value = distortion(tf.constant(point), tf.constant(point))
    if value.shape != (len(point),):
        raise ValueError(
            f"{type(distortion).__name__} must return one number for each example, "
            f"[{len(point)}]; got the shape "
            f"{value.shape.as_list()}.")
    return tf.constant(point)


def _even_excess(distortion, x, v):
    """The mean of the excess at v and -v, without its terms of odd order, `[B]`."""
    return sum(distortion.excess(x, sign * v).numpy().astype(np.float64) for sign in (1, -1)) / 2


def _offset(distortion, x):
    """The distance from x to the minimum of D(x, .), by one Newton step along the slope: the
    median, per entry.
    """
    with tf.GradientTape() as tape:
        tape.watch(x)
        d = distortion(tf.stop_gradient(x), x)
    slope = distortion.tangent(tape.gradient(d, x, unconnected_gradients="zero"))
    square = sum_of_entries(slope * slope)
    steps = tf.math.divide_no_nan(square**1.5, distortion.inner(x, slope, slope))
    return float(np.median(steps)) / np.sqrt(np.prod(x.shape[1:]))
