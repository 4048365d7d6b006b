"""Turns plain functions of arrays, in any framework, into functions of tensors."""
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import _keras
from tfisovae.autoencoder.outputs import PartError, check_one_input, checked


class PlainFunction:
    """A function of arrays, in any framework, as a function of tensors that also works inside
    graphs.

    It is called with NumPy arrays, float32, and may return an array, a tuple or a dict of arrays.
    If it returns TensorFlow tensors and can be traced, it gets tensors from then on, and has
    derivatives. Shapes and types come from a first call on two rows, outside of any graph, for each
    shape of x.

    Args:
      function: the function.
      role: "encoder" or "decoder", for error messages.
      inputs: from the tensor or array to the arguments of `function`, for several of them.

    Attributes:
      precision: float64 if the function returns float64; known after the first call. Then float64
        tensors pass unchanged. Everything else is float32.
    """

    def __init__(self, function: Callable[..., Any], role: str,
                 inputs: Callable[[Any], tuple[Any, ...]] | None = None) -> None:
        names = required(function)
        if inputs is None and names is not None:
            check_one_input(role, names)
        self._given, self._role, self._inputs = function, role, inputs or _alone
        self._templates: dict[tuple[int | None, ...], Any] = {}
        self._traceable = False
        self.precision = tf.float32

    def __call__(self, x: tf.Tensor) -> Any:
        if self._traceable:
            return self._function(x)
        template = self._template(x)
        if self._traceable:  # as the first call shows
            return self._function(x)
        dtype = tf.float64 if x.dtype == self.precision == tf.float64 else tf.float32
        arrays = tf.numpy_function(self._run, [tf.cast(x, dtype)],
                                   [dtype] * len(tf.nest.flatten(template)))
        arrays = [arrays] if tf.is_tensor(arrays) else arrays
        for array, shape in zip(arrays, tf.nest.flatten(template)):
            array.set_shape([x.shape[0], *shape.as_list()[1:]])
        return tf.nest.pack_sequence_as(template, arrays)

    def _function(self, x):
        return self._given(*self._inputs(x))

    def _run(self, x):
        # Copies, both ways: the array is TensorFlow's own memory, and a function may write into it,
        # or keep what it returns.
        arrays = [np.array(_array(leaf), x.dtype)
                  for leaf in tf.nest.flatten(self._function(np.array(x)))]
        for array in arrays:
            if array.ndim == 0 or len(array) != len(x):
                raise PartError(
                    f"The {self._role} must return one row for each of the {len(x)} that it gets; "
                    f"it returned an array of the shape {array.shape}.")
        return arrays

    def _template(self, x):
        """The shapes of what the function returns for examples like these."""
        if x.shape.rank is None or None in x.shape[1:]:
            raise PartError(
                f"The input of the {self._role} must have a known shape, except for the batch; it "
                f"has {x.shape}.")
        shape = tuple(x.shape[1:])
        if shape not in self._templates:
            self._templates[shape] = self._try_out(x)
        return self._templates[shape]

    def _try_out(self, x):
        with tf.init_scope():
            known = not tf.is_symbolic_tensor(x) and len(x) > 0
            rows = x[:2].numpy() if known else np.full([2, *x.shape[1:]], 0.5)
            result = self._first(rows.astype(np.float32))
            if result is None:
                raise PartError(
                    f"The {self._role} returned None for an array of the shape {rows.shape}.")
            leaves = list(map(checked, tf.nest.flatten(result)))
            self._traceable = all(map(tf.is_tensor, leaves)) and self._can_be_traced(x)
            arrays = list(map(_array, leaves))
        for array, leaf in zip(arrays, leaves):
            if array.dtype.name in ("float16", "bfloat16"):
                raise PartError(
                    f"The {self._role} returns {array.dtype.name}, with 3 digits, so measurements "
                    "would only show rounding errors. Compute in float32.")
            if array.dtype.kind not in "fiub":
                kind = "complex ones" if array.dtype.kind == "c" else type(leaf).__name__
                raise PartError(
                    f"The {self._role} must return arrays of numbers; it returned {kind}. Give a "
                    "function that takes the arrays out of it.")
        if any(array.dtype == np.float64 for array in arrays):
            self.precision = tf.float64
        return tf.nest.map_structure(lambda leaf: tf.TensorShape(np.shape(leaf)), result)

    def _first(self, rows):
        try:
            return self._function(rows)
        except PartError:
            raise
        except Exception as error:  # of any kind: it is the user's function
            shapes = " and ".join(str(array.shape) for array in self._inputs(rows))
            halves = (" (An encoder with one output returns [batch, 2n]: means, then "
                      "log-variances.)") if self._role == "decoder" else ""
            raise PartError(
                f"The {self._role} gets NumPy arrays of the shape {shapes}, and fails. "
                f"{type(error).__name__}: {_keras.fault(error)}{halves}") from error

    def _can_be_traced(self, x):
        try:
            tf.function(self._function).get_concrete_function(
                tf.TensorSpec([None, *x.shape[1:]], tf.float32))
        except Exception:  # for example .numpy() of a tensor, whatever the error
            return False
        return True


def required(function: Callable[..., Any], count: int = 1) -> list[str] | None:
    """The names of the arguments that a function must be given; `None` if it does not show them.

    If they are fewer than `count`, arguments with a default follow.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(one.kind is one.VAR_POSITIONAL for one in parameters):
        return None
    optional = [one.name for one in parameters if one.default is not one.empty and one.kind in (
        one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    needed = [one.name for one in parameters
              if one.default is one.empty and one.kind is not one.VAR_KEYWORD]
    return needed + optional[:max(0, count - len(needed))]


def _alone(x):
    return (x,)


def _array(leaf):
    """One output as an array; a tensor of PyTorch may be on another device, or have a graph."""
    detached = getattr(leaf, "detach", None)
    return np.asarray(leaf if detached is None else detached().cpu())
