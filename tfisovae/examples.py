"""What data sets yield: one rule for which part of an element is x, and what x must be like."""
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

_BATCH = 100

Data: TypeAlias = tf.data.Dataset | np.ndarray | tf.Tensor | Iterable[Any]
"""What `batches` takes: a data set or whatever iterates over batches as `x_of` takes them, or an array `[N, ...]`."""


def x_of(element: Any) -> Any:
    """The examples x of one element of a data set.

    They are the element itself, the first of a pair `(x, y)`, the entry `"image"` of a dict, or its only entry.

    Raises:
      ValueError: for anything else, with how to map it.
    """
    if isinstance(element, (tuple, list)):
        if len(element) == 3 and element[2] is not None:
            raise ValueError("The data set yields (x, y, sample_weight); the loss of a VAE here has no weights. Leave them out: "
                             "dataset.map(lambda x, y, weight: x).")
        if not 1 <= len(element) <= 3:
            raise ValueError(f"The data set yields {len(element)} parts; x must be the first of a pair (x, y). Map it: "
                             "dataset.map(lambda *parts: parts[0]).")
        return x_of(element[0])
    if isinstance(element, dict):
        if "image" in element:
            return x_of(element["image"])
        if len(element) != 1:
            raise ValueError(f"The data set yields dicts of {', '.join(map(repr, element)) or 'nothing'}; x must be the entry "
                             "'image', or the only one. Map it: dataset.map(lambda entries: entries[NAME]).")
        return x_of(*element.values())
    return element


def batches(data: Data, batch_size: int = _BATCH) -> Iterator[tf.Tensor]:
    """Yields batches of x, float32.

    Args:
      data: `tf.data.Dataset`, or anything that iterates over batches `[B, ...]` as `x_of` takes them; or an array `[N, ...]`.
      batch_size: of the batches of an array.
    """
    if not hasattr(data, "__iter__") or hasattr(data, "shape"):
        data = tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
    for element in data:
        yield tf.cast(x_of(element), tf.float32)


def as_float(batch: np.ndarray | tf.Tensor) -> tf.Tensor:
    """float32; 8-bit images are scaled to [0, 1]."""
    return tf.cast(batch, tf.float32) / 255 if batch.dtype == tf.uint8 else tf.cast(batch, tf.float32)


def check_finite(batch: np.ndarray | tf.Tensor, first_row: int = 0) -> None:
    """Raises ValueError where an example of `batch` `[B, ...]` is not finite, with its number counted from `first_row`."""
    finite = np.isfinite(np.asarray(batch)).reshape(len(batch), -1).all(1)
    if not finite.all():
        raise ValueError(f"x must be finite; example {first_row + int(np.argmin(finite))} (counted from 0) is not.")
