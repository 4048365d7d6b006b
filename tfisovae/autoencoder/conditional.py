"""Conditional VAEs: the encoder and the decoder also take a condition c, such as a class.

All measurements get examples as one tensor. For a conditional model they are packed: one row per
example with the numbers of x and then of c. `bound` splits them again.
"""
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder import keras_networks, torch_modules
from tfisovae.autoencoder.data import as_x, check_kind
from tfisovae.autoencoder.functions import PlainFunction
from tfisovae.autoencoder.outputs import Outputs, Part, PartError

_BATCH = 100
_EXACT = 2**24  # up to here float32 holds every integer


class Condition:
    """The condition of a conditional model. Shapes and type come from the last data.

    Attributes:
      x_shape, c_shape: of one example; known after the first data.
      dtype: of c in the data. The networks get c in this type.
    """

    def __init__(self) -> None:
        self.x_shape: tuple[int, ...] | None = None
        self.c_shape: tuple[int, ...] | None = None
        self.dtype = tf.float32

    def packed(self, x: Any, c: Any) -> tf.Tensor:
        """A batch of x `[B, ...]` and c `[B, ...]` as `[B, k]`, float32."""
        check_kind(c, "c")
        x, kind = as_x(x), tf.convert_to_tensor(c).dtype
        _check_rows(x, c)
        if kind.is_integer and len(c) and np.max(np.abs(np.asarray(c, np.float64))) > _EXACT:
            raise ValueError(f"c must hold integers up to 2^24; got {np.max(np.abs(c))}.")
        c = as_x(c)
        self.x_shape, self.c_shape = tuple(x.shape[1:]), tuple(c.shape[1:])
        self.dtype = kind if kind.is_integer else tf.float32
        return tf.concat([tf.reshape(part, [len(x), -1]) for part in (x, c)], 1)

    def unpacked(self, packed: Any) -> tuple[Any, Any]:
        """x and c of `packed`. Works on tensors and on arrays (which stay arrays)."""
        x, c = packed[:, :-self._size], packed[:, -self._size:]
        return _shaped(x, self.x_shape), self.typed(c)

    def with_c(self, z: tf.Tensor, packed: tf.Tensor) -> tf.Tensor:
        """z `[B, n]` with the condition of each row, for the decoder."""
        return tf.concat([z, tf.cast(packed[:, -self._size:], z.dtype)], 1)

    def split(self, packed: Any) -> tuple[Any, Any]:
        """z and c from the result of `with_c`."""
        return packed[:, :-self._size], self.typed(packed[:, -self._size:])

    def typed(self, c: Any) -> Any:
        """Numbers of c `[B, k]` in the shape and type of the data."""
        c = _shaped(c, self.c_shape)
        if isinstance(c, np.ndarray):
            return (np.rint(c) if self.dtype.is_integer else c).astype(self.dtype.as_numpy_dtype)
        return tf.cast(tf.round(c) if self.dtype.is_integer else c, self.dtype)

    def batches(self, data: Any, batch_size: int = _BATCH) -> Iterator[tf.Tensor]:
        """Packed batches of data that yield pairs (x, c).

        Args:
          data: a pair `(x, c)` of arrays of one length, or a `tf.data.Dataset` or another iterable
            of such batches; or packed examples `[N, k]` of earlier data.
          batch_size: of the batches of arrays.
        """
        if isinstance(data, tuple) and len(data) == 2 and all(
                hasattr(part, "shape") for part in data):
            x, c = data
            _check_rows(x, c)
            data = ((x[start:start + batch_size], c[start:start + batch_size])
                    for start in range(0, len(x), batch_size))
        elif hasattr(data, "shape"):
            if not self._are_packed(data):
                raise _no_pairs(f"an array of the shape {list(data.shape)}")
            yield from (as_x(data[start:start + batch_size])
                        for start in range(0, len(data), batch_size))
            return
        for element in data:
            if isinstance(element, (tf.Tensor, np.ndarray)) and self._are_packed(element):
                yield as_x(element)
                continue
            if not (isinstance(element, (tuple, list)) and len(element) == 2):
                raise _no_pairs(f"elements of the type {type(element).__name__}")
            yield self.packed(*element)

    def _are_packed(self, rows):
        """Whether rows have the shape of packed examples."""
        return self.x_shape is not None and tuple(rows.shape[1:]) == (
            math.prod(self.x_shape) + self._size,)

    @property
    def _size(self):
        if self.c_shape is None:
            raise PartError("The model is conditional. Give it data of pairs (x, c) first.")
        return math.prod(self.c_shape)


def _check_rows(x, c):
    if len(x) != len(c):
        raise ValueError(f"c must have a row for each example: {len(x)}; got {len(c)}.")


def _shaped(rows, shape):
    reshape = np.reshape if isinstance(rows, np.ndarray) else tf.reshape
    return reshape(rows, [-1, *shape])


def _no_pairs(found):
    return ValueError(
        "The model is conditional (conditional=True), so data must be pairs (x, c): two arrays of "
        f"one length, or a data set that yields batches of both; got {found}.")


class Given:
    """z -> decode(z), with the conditions of some rows.

    Args:
      decode: function of z and c in one tensor, from `Condition.with_c`.
      condition: of the model.
      packed: the rows, `[B, k]`. z may be `[m B, n]`: the same rows m times one after the other. Or
        it may have only the first rows.
    """

    def __init__(self, decode: Callable[[tf.Tensor], tf.Tensor], condition: Condition,
                 packed: tf.Tensor) -> None:
        self.inner, self._condition, self.packed = decode, condition, packed

    def of(self, packed: tf.Tensor) -> "Given":
        """The same function with the conditions of other rows."""
        return Given(self.inner, self._condition, packed)

    def __call__(self, z: tf.Tensor) -> tf.Tensor:
        z = tf.convert_to_tensor(z)
        rows = tf.range(tf.shape(z)[0]) % tf.shape(self.packed)[0]
        made = self._condition.with_c(z, tf.gather(self.packed, rows))
        made.set_shape([z.shape[0], made.shape[1]])
        return self.inner(made)


def conditional_part(model: Any, role: str, condition: Condition,
                     latent_shape: Callable[[], tuple[int, ...] | None] | None = None) -> Part:
    """The `Part` of a network of two inputs, as a function of one packed tensor.

    Args:
      model: a Keras model with the inputs (x, c), or (z, c) of a decoder; or a function of two
        arrays or tensors.
      role: "encoder" or "decoder".
      condition: of the model.
      latent_shape: function that returns (h, w, c) of a spatial latent space, for a decoder.

    Raises:
      ValueError: for a Keras graph of another number of inputs. TypeError: for other models.
    """
    def inputs(packed):
        if latent_shape is None:
            return condition.unpacked(packed)
        z, c = condition.split(packed)
        return z if latent_shape() is None else _shaped(z, latent_shape()), c

    if isinstance(model, tf.keras.layers.Layer):
        call = keras_networks.called_with_condition(model, role)
        return Part(lambda packed, training=False: call(*inputs(packed), training), owner=model)
    if isinstance(model, tf.types.experimental.GenericFunction):
        return Part(lambda packed, training=False: Outputs.of(model(*inputs(packed))))
    if not callable(model) or torch_modules.module_of(model) is not None or isinstance(
            model, tf.types.experimental.ConcreteFunction):
        raise TypeError(
            f"With conditional=True, the {role} must be a Keras model with two inputs, or a "
            f"function of two arrays; got {type(model).__name__}. A function can call it: "
            "lambda x, c: model(torch.as_tensor(x), torch.as_tensor(c)), say.")
    plain = PlainFunction(model, role, inputs)
    return Part(lambda packed, training=False: Outputs.of(plain(packed)),
                precision=lambda: plain.precision)
