"""Turns plain functions of arrays, in any framework, into functions of tensors."""
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder.outputs import PartError, check_one_input, checked


def needed_by(function: Callable[..., Any]) -> list[str]:
    """The names of the arguments without a default; an empty list if the function does not show
    them.
    """
    try:
        arguments = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [one.name for one in arguments if one.default is one.empty and one.kind in (
        one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]


class PlainFunction:
    """A function of arrays, in any framework, as a function of tensors that also works inside
    graphs.

    It is called with NumPy arrays, float32, and may return an array, a tuple or a dict of arrays.
    If it returns TensorFlow tensors and can be traced, it gets tensors from then on, and has
    derivatives. Shapes and types come from a first call on two rows, outside of any graph, for each
    shape of x.

    Attributes:
      precision: float64 if the function returns float64; known after the first call. Then float64
        tensors pass unchanged. Everything else is float32.
    """

    def __init__(self, function: Callable[[Any], Any], role: str) -> None:
        names = needed_by(function)
        if len(names) > 1:
            check_one_input(role, names)
        self._function, self._role = function, role
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

    def _run(self, x):
        # Copies, both ways: the array is TensorFlow's own memory, and a function may write into it,
        # or keep what it returns.
        arrays = [
            np.array(array, x.dtype) for array in tf.nest.flatten(self._function(np.array(x)))
        ]
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
            result = self._function(rows.astype(np.float32))
            if result is None:
                raise PartError(
                    f"The {self._role} returned None for an array of the shape {rows.shape}.")
            leaves = list(map(checked, tf.nest.flatten(result)))
            self._traceable = all(map(tf.is_tensor, leaves)) and self._can_be_traced(x)
            arrays = [np.asarray(leaf) for leaf in leaves]
        for array in arrays:
            if array.dtype.kind not in "fiub":
                raise TypeError(
                    f"The {self._role} must return arrays of numbers; it returned "
                    f"{type(leaves[0]).__name__}."
                )
        if any(array.dtype == np.float64 for array in arrays):
            self.precision = tf.float64
        return tf.nest.map_structure(lambda leaf: tf.TensorShape(np.shape(leaf)), result)

    def _can_be_traced(self, x):
        try:
            tf.function(self._function).get_concrete_function(
                tf.TensorSpec([None, *x.shape[1:]], tf.float32))
        except Exception:  # for example .numpy() of a tensor, whatever the error
            return False
        return True
