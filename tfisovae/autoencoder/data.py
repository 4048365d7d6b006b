"""Reads data: one rule for x in an element of a data set, and checks of x."""
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfisovae._autograph import unconverted

_BATCH = 100
_FLOAT32 = float(np.finfo(np.float32).max)
_EXACT = 2.0**53  # up to here float64 holds every integer

Data: TypeAlias = tf.data.Dataset | np.ndarray | tf.Tensor | Iterable[Any]
"""What `batches` takes: a data set or whatever iterates over batches as `x_of` takes them, or an
array `[N, ...]`, or a pair `(x, y)` or a dict of arrays.
"""


def x_of(element: Any) -> Any:
    """The examples x in one element of a data set.

    They are the element itself, the first of a pair `(x, y)`, the entry `"image"` of a dict, or its
    only entry.

    Raises:
      ValueError: for anything else; the message shows how to map it.
    """
    if isinstance(element, (tuple, list)):
        if len(element) == 3 and element[2] is not None:
            raise ValueError(
                "The data set yields (x, y, sample_weight); the loss of a VAE has no weights. "
                "Leave them out: dataset.map(lambda x, y, weight: x).")
        if not 1 <= len(element) <= 3:
            raise ValueError(
                f"The data set yields {len(element)} parts; x must be the first of a pair (x, y). "
                f"Map it: "
                "dataset.map(lambda *parts: parts[0]).")
        return x_of(element[0])
    if isinstance(element, dict):
        if "image" in element:
            return x_of(element["image"])
        if len(element) != 1:
            raise ValueError(
                f"The data set yields dicts of {', '.join(map(repr, element)) or 'nothing'}; x "
                f"must be the entry "
                "'image', or the only one. Map it: dataset.map(lambda entries: entries[NAME]).")
        return x_of(*element.values())
    return element


def batches(data: Data, batch_size: int = _BATCH) -> Iterator[tf.Tensor]:
    """Yields batches of x, float32.

    Args:
      data: `tf.data.Dataset`, or a generator or other iterable of batches `[B, ...]` as for `x_of`;
        or an array `[N, ...]`, nested lists of numbers, a pair `(x, y)` of arrays of one length, or
        a dict of arrays.
      batch_size: of the batches of an array.

    Raises:
      ValueError: for anything else, such as lists of arrays, which may be examples or batches.
    """
    found = whole(data)
    if hasattr(found, "shape"):  # in slices, since a data set would copy all of it
        elements = (found[start:start + batch_size]
                    for start in range(0, int(found.shape[0]), batch_size))
    else:
        elements = found
    for element in elements:
        x = as_x(x_of(element))
        if len(x):
            yield x


def check_kind(x: Any, name: str = "x") -> None:
    """Raises ValueError for data that float32 cannot hold: complex, masked, sparse, ragged or text
    data, and numbers that are too large.
    """
    if isinstance(x, tf.RaggedTensor):
        found = f"rows of different lengths (a RaggedTensor). Give {name}.to_tensor()"
    elif isinstance(x, tf.SparseTensor):
        found = f"a SparseTensor. Give tf.sparse.to_dense({name})"
    elif isinstance(x, tf.IndexedSlices):
        found = f"IndexedSlices. Give tf.convert_to_tensor({name})"
    elif hasattr(x, "toarray") and hasattr(x, "nnz"):  # of SciPy
        found = f"a sparse matrix ({type(x).__name__}). Give {name}.toarray()"
    elif isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        found = (f"{int(np.ma.count_masked(x))} masked entries, but masks are not supported. Leave "
                 f"these examples out, or give {name}.filled(VALUE)")
    else:
        found = _unusable(x, name) if hasattr(x, "dtype") else None
    if found is not None:
        raise ValueError(f"{name} must be an array [N, ...] of real numbers; got {found}.")


def _unusable(x, name):
    """The message for an array or a tensor that float32 cannot hold."""
    try:
        kind = tf.as_dtype(x.dtype)
    except TypeError:  # of another framework, or a date
        known = not isinstance(x.dtype, np.dtype)
        return None if known else f"the type {x.dtype}. Convert {name} to float32"
    if kind.is_complex:
        return (f"complex numbers ({kind.name}). Give their absolute values, or real and imaginary "
                "parts as two channels")
    if not (kind.is_floating or kind.is_integer or kind.is_bool):
        shown = x.dtype if isinstance(x, np.ndarray) else kind.name
        return f"the type {shown}. Convert {name} to float32"
    eager = isinstance(x, (np.ndarray, np.generic)) or (tf.is_tensor(x)
                                                        and not tf.is_symbolic_tensor(x))
    if kind not in (tf.float64, tf.int64, tf.uint64) or not eager or not np.size(x):
        return None
    values = np.asarray(x)
    largest = max(abs(float(values.max())), abs(float(values.min())))
    if kind is tf.float64 and _FLOAT32 < largest < np.inf:
        return f"numbers up to {largest:.3g}, beyond float32 ({_FLOAT32:.2g}). Rescale them"
    if kind is not tf.float64 and largest > _EXACT:
        return (f"integers up to {largest:.3g}, beyond 2^53, which would lose digits. Subtract an "
                "offset first, such as the earliest time")
    return None


@unconverted
def as_x(x: Any) -> tf.Tensor:
    """Examples as a float32 tensor. Raises as `check_kind`."""
    check_kind(x)
    return tf.cast(x, tf.float32)


def is_endless(data: Data) -> bool:
    """Whether a data set declares that it has no end."""
    data = data.data if isinstance(data, Repeated) else data
    return isinstance(data, tf.data.Dataset) and int(
        data.cardinality()) == tf.data.INFINITE_CARDINALITY


class Repeated:
    """Batches of a data set for several passes, with a check that each pass yields the same ones in
    the same order.

    Args:
      data: as for `batches`.
    """

    def __init__(self, data: Data) -> None:
        self.data, self._known = data, []

    def __iter__(self) -> Iterator[tf.Tensor]:
        for number, x in enumerate(batches(self.data)):
            digest = zlib.crc32(np.ascontiguousarray(x))
            if number == len(self._known):
                self._known.append(digest)
            elif digest != self._known[number]:
                raise ValueError(
                    "The data set yields other examples, or another order, in a second pass. Give "
                    "an array, or shuffle it with dataset.shuffle(..., "
                    "reshuffle_each_iteration=False).")
            yield x


def whole(data: Any) -> Any:
    """The array x in the given data; iterables of batches stay unchanged."""
    if isinstance(data, dict):
        return whole(x_of(data))
    if hasattr(data, "iloc"):  # a table of pandas, which slices by labels
        data = data.to_numpy()
    if hasattr(data, "shape"):
        check_kind(data[:0] if _is_plain(data) else data, "data")  # numbers batch by batch
        if not len(data.shape):
            raise ValueError(f"data must be an array [N, ...]; got one number, {data}.")
        return data
    if isinstance(data, (tuple, list)):
        return _of_sequence(data)
    if isinstance(data,
                  (str, bytes)) or not (hasattr(data, "__iter__") or hasattr(data, "__getitem__")):
        raise ValueError(
            f"data must be an array [N, ...], a tf.data.Dataset of batches, or another iterable "
            f"of them; got "
            f"{data!r}.")
    return data


def _is_plain(data):
    """Whether the type of an array shows its kind, so that its numbers can be checked later."""
    return type(data) is np.ndarray and data.ndim > 0


def _of_sequence(data):
    """x of a tuple or list: from a pair, from nested lists of numbers, or from a list of elements
    as for `x_of`.
    """
    def length(part):
        return part.shape[0] if hasattr(part, "shape") and len(part.shape) else None

    kind = type(data).__name__
    if any(hasattr(part, "shape") for part in data):
        if isinstance(data,
                      tuple) and len(data) == 2 and length(data[0]) == length(data[1]) is not None:
            return whole(data[0])
        said = ", ".join(
            str(list(part.shape)) if hasattr(part, "shape") else type(part).__name__
            for part in data[:4])
        raise ValueError(
            f"data is a {kind} of {len(data)}: {said}{', ...' if len(data) > 4 else ''}. It must "
            "be an array [N, ...], or a pair (x, y) of arrays of one length. Give only x: "
            "np.stack(data) for single examples, np.concatenate(data) for batches.")
    if isinstance(data, tuple) and any(isinstance(part, (tuple, dict)) for part in data):
        raise ValueError(
            f"data is a tuple of {len(data)} pairs or dicts, as load_data() returns them for "
            f"training and test. Give "
            "one of them.")
    if any(
            isinstance(part, (tuple, dict)) and any(
                hasattr(x, "shape") for x in (part.values() if isinstance(part, dict) else part))
            for part in data):
        return iter(data)  # batches with labels
    try:
        array = np.asarray(data)
    except ValueError:  # rows of different lengths
        array = np.asarray(None)
    if array.ndim < 2 or array.dtype.kind not in "fiub":
        raise ValueError(
            f"data is a {kind} but not an array [N, ...] of numbers: nested lists must hold "
            "numbers, and equally many in each row.")
    return array


def as_float(batch: np.ndarray | tf.Tensor) -> tf.Tensor:
    """float32; 8-bit images are scaled to [0, 1]."""
    return tf.cast(batch, tf.float32) / 255 if batch.dtype == tf.uint8 else tf.cast(
        batch, tf.float32)
