"""Conditional VAEs: the encoder and the decoder also take a condition c, such as a class.

All measurements get examples as one tensor. For a conditional model they are packed: one row per
example with the numbers of x and then of c. `bound` splits them again.
"""
import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder import keras_networks, torch_modules
from tfisovae.autoencoder.data import as_x, check_kind
from tfisovae.autoencoder.functions import PlainFunction, required
from tfisovae.autoencoder.outputs import Outputs, Part, PartError

_BATCH = 100
_EXACT = 2**24  # up to here float32 holds every integer


@dataclasses.dataclass(frozen=True)
class Layout:
    """How examples of one kind of data are packed.

    Attributes:
      first: the shape of one x, or (n,) for rows with z.
      c: the shape of one c.
      dtype: of c in the data. The networks get c in this type.
    """

    first: tuple[int, ...]
    c: tuple[int, ...]
    dtype: tf.DType

    @property
    def width(self) -> int:
        """The numbers of one example."""
        return math.prod(self.first) + math.prod(self.c)

    def split(self, packed: Any) -> tuple[Any, Any]:
        """x (or z) and c. Works on tensors and on arrays (which stay arrays)."""
        size = math.prod(self.first)
        c = _shaped(packed[:, size:self.width], self.c)
        if isinstance(c, np.ndarray):
            c = (np.rint(c) if self.dtype.is_integer else c).astype(self.dtype.as_numpy_dtype)
        else:
            c = tf.cast(tf.round(c) if self.dtype.is_integer else c, self.dtype)
        return _shaped(packed[:, :size], self.first), c

    def joined(self, first: tf.Tensor, c: tf.Tensor, width: int) -> tf.Tensor:
        """Rows of `width` numbers: first, c, and zeros."""
        rows = [tf.reshape(part, [tf.shape(first)[0], math.prod(shape)])
                for part, shape in ((first, self.first), (c, self.c))]
        return tf.pad(tf.concat(rows, 1), [[0, 0], [0, width - self.width]])


class Condition:
    """The condition of a conditional model.

    Data of several kinds may come in turn, or in several threads: other shapes, or c of another
    type. Each kind has rows of its own width, so the width of a row shows its layout. Zeros fill a
    row where needed.
    """

    def __init__(self) -> None:
        self._with_x: dict[int, Layout] = {}
        self._with_z: dict[int, Layout] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "Condition":
        return self  # as the functions of the model, which hold it

    def packed(self, x: Any, c: Any) -> tf.Tensor:
        """A batch of x `[B, ...]` and c `[B, ...]` as `[B, k]`, float32."""
        check_kind(c, "c")
        x, kind = as_x(x), tf.convert_to_tensor(c).dtype
        _check_rows(x, c)
        if kind.is_integer and len(c) and np.max(np.abs(np.asarray(c, np.float64))) > _EXACT:
            raise ValueError(f"c must hold integers up to 2^24; got {np.max(np.abs(c))}.")
        c = as_x(c)
        layout = Layout(tuple(x.shape[1:]), tuple(c.shape[1:]),
                        kind if kind.is_integer else tf.float32)
        return layout.joined(x, c, _width(self._with_x, layout))

    def unpacked(self, packed: Any) -> tuple[Any, Any]:
        """x and c of `packed`. Works on tensors and on arrays (which stay arrays)."""
        return self._layout(packed).split(packed)

    def with_c(self, z: tf.Tensor, packed: tf.Tensor) -> tf.Tensor:
        """z `[B, n]` with the condition of each row, for the decoder."""
        layout = self._layout(packed)
        c = packed[:, math.prod(layout.first):layout.width]
        layout = dataclasses.replace(layout, first=(z.shape[-1],))
        return layout.joined(z, tf.cast(c, z.dtype), _width(self._with_z, layout))

    def described(self, shape: Sequence[int]) -> str:
        """The kind of data in packed rows of a shape `(k,)`, in words."""
        layout = self._with_x[shape[-1]]
        return f"{list(layout.first)} with c {list(layout.c)} of {layout.dtype.name}"

    def split(self, packed: Any) -> tuple[Any, Any]:
        """z and c from the result of `with_c`."""
        return self._with_z[packed.shape[-1]].split(packed)

    def batches(self, data: Any, batch_size: int = _BATCH) -> Iterator[tf.Tensor]:
        """Packed batches of data that yield pairs (x, c).

        Args:
          data: a pair `(x, c)` of arrays of one length, or a `tf.data.Dataset` or another iterable
            of such batches; or packed examples `[N, k]` of earlier data.
          batch_size: of the batches of arrays.
        """
        if isinstance(data, tuple) and len(data) == 2 and all(
                hasattr(part, "shape") for part in data):
            # Tables of pandas slice by labels.
            x, c = (part.to_numpy() if hasattr(part, "iloc") else part for part in data)
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
        return len(rows.shape) == 2 and rows.shape[1] in self._with_x

    def _layout(self, packed):
        layout = self._with_x.get(packed.shape[-1]) if len(packed.shape) == 2 else None
        if layout is None:
            raise PartError("The model is conditional. Give it data of pairs (x, c) first.")
        return layout


def _width(known, layout):
    """The width of rows of this layout: the least that no other layout has."""
    width = layout.width
    while known.setdefault(width, layout) != layout:  # one step, so safe with threads
        width += 1
    return width


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


class _OfPacked:
    """A function of x (or z) and c, as a function of packed rows."""

    def __init__(self, function, condition, encode):
        self._function, self._condition, self._encode = function, condition, encode

    def inputs(self, packed):
        if self._encode is None:
            return self._condition.unpacked(packed)
        z, c = self._condition.split(packed)
        shape = self._encode.latent_shape
        return z if shape is None else _shaped(z, shape), c

    def __call__(self, packed, *more):
        return self._function(*self.inputs(packed), *more)


def conditional_part(model: Any, role: str, condition: Condition,
                     encode: Any | None = None) -> Part:
    """The `Part` of a network of two inputs, as a function of one packed tensor.

    Args:
      model: a Keras model with the inputs (x, c), or (z, c) of a decoder; or a function of two
        arrays or tensors.
      role: "encoder" or "decoder".
      condition: of the model.
      encode: `Encoder` of the model, for a decoder: its `latent_shape` is (h, w, c) of a spatial
        latent space.

    Raises:
      ValueError: for a Keras graph, or a function, of another number of inputs.
      TypeError: for other models.
    """
    if isinstance(model, tf.keras.layers.Layer):
        call = keras_networks.called_with_condition(model, role)
        return Part(_OfPacked(call, condition, encode), owner=model)
    of_packed = _OfPacked(model, condition, encode)
    if isinstance(model, tf.types.experimental.GenericFunction):
        return Part(lambda packed, training=False: Outputs.of(of_packed(packed)))
    if not callable(model) or torch_modules.module_of(model) is not None or isinstance(
            model, tf.types.experimental.ConcreteFunction):
        raise TypeError(
            f"With conditional=True, the {role} must be a Keras model with two inputs, or a "
            f"function of two arrays; got {type(model).__name__}. A function can call it: "
            "lambda x, c: model(torch.as_tensor(x), torch.as_tensor(c)), say.")
    names = required(model, 2)
    if names is not None and len(names) != 2:
        raise ValueError(
            f"With conditional=True, the {role} must take two arrays, "
            f"{'x' if role == 'encoder' else 'z'} and c; it takes {len(names)}: "
            f"{', '.join(names)}. Join several conditions to one.")
    plain = PlainFunction(model, role, of_packed.inputs)
    return Part(lambda packed, training=False: Outputs.of(plain(packed)),
                precision=lambda: plain.precision)
