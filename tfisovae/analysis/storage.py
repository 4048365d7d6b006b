"""A measurement on disk: a JSON file, and next to it an .npz file of the same name for large
arrays.

The .npz file exists only if needed: for a matrix of more than 64 x 64 numbers, a vector of more
than 2,048, or a vector inside of another entry of more than 512. The JSON file is then at most 1
MB, for any number of latent dimensions. Its entry `arrays` names the arrays in the other file.
"""
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfisovae import files

_VECTOR, _MATRIX, _NESTED = 2048, 64**2, 512  # numbers that JSON holds
_ARRAYS = "arrays"
_ERROR = "standard_error"
_MEASURE_AGAIN = "Make it again with the command that wrote it."


def arrays_path(path: str | os.PathLike) -> str:
    """The .npz file that belongs to the JSON file `path`."""
    return f"{os.path.splitext(os.fspath(path))[0]}.npz"


def names(path: str | os.PathLike) -> list[str]:
    """The names of the existing files of a measurement: the JSON file, and the other."""
    return [os.path.basename(name) for name in (os.fspath(path), arrays_path(path))
            if os.path.exists(name)]


def write(path: str | os.PathLike, values: Mapping[str, Any]) -> None:
    """Writes a measurement to the JSON file `path`, and large arrays next to it."""
    small, arrays = _split(values)
    if arrays:
        with files.replacing(arrays_path(path), "wb") as file:
            np.savez_compressed(file, **arrays)
        small[_ARRAYS] = list(arrays)
    files.write_json(path, small)
    if not arrays:
        files.remove(arrays_path(path))  # from an earlier measurement


def read(path: str | os.PathLike, way_out: str = _MEASURE_AGAIN) -> dict[str, Any]:
    """Reads the output of `write`, as JSON values.

    Raises:
      FileNotFoundError, files.DamagedFile: if one of the files is missing or damaged; `way_out`
        ends the message.
    """
    values = _read(path, way_out)
    wrong = next(_negative_errors(values), None)
    if wrong is not None:
        raise files.DamagedFile(
            f"{os.fspath(path)} has a negative standard error, {wrong}. {way_out}")
    return values


def _negative_errors(values, path=""):
    """The names of standard errors below 0."""
    for name, value in values.items() if isinstance(values, Mapping) else enumerate(values):
        where = f"{path}/{name}" if path else str(name)
        if isinstance(value, (Mapping, list)) and not str(name).endswith(_ERROR):
            yield from _negative_errors(value, where)
        elif str(name).endswith(_ERROR) and _least(value) < 0:
            yield where


def _least(value):
    """The smallest number in a number or nested lists of them; 0 where there is none."""
    if isinstance(value, list):
        return min(map(_least, value), default=0)
    return value if isinstance(value, (int, float)) else 0


def _read(path, way_out):
    values = files.read_json(path, way_out)
    names, other = values.pop(_ARRAYS, None), arrays_path(path)
    if not names:
        return values
    try:
        with np.load(other) as arrays:
            for name in names:
                *outer, last = name.split("/")
                place = values
                for part in outer:
                    place = place[part]
                place[last] = files.plain(arrays[name])
    except FileNotFoundError as error:
        raise files.DamagedFile(
            f"{other} is missing. It holds the large arrays of {os.fspath(path)}: keep the two "
            f"files together. {way_out}") from error
    except Exception as error:  # a damaged archive fails in many ways
        raise files.DamagedFile(
            f"{other} does not hold the large arrays of {os.fspath(path)}. {way_out}") from error
    return values


def _split(values, path=""):
    """`values` with `None` instead of large arrays, and these arrays, by path."""
    small, arrays = {}, {}
    for name, value in values.items():
        where = f"{path}{name}"
        if isinstance(value, Mapping):
            small[name], inside = _split(value, f"{where}/")
            arrays |= inside
            continue
        array = _array(value)
        most = _NESTED if path else _VECTOR if array is not None and array.ndim == 1 else _MATRIX
        large = array is not None and array.size > most
        small[name] = None if large else value
        if large:
            arrays[where] = array.astype(np.float32) if array.dtype.kind == "f" else array
    return small, arrays


def _array(value):
    """An array of numbers; `None` for other values."""
    if not isinstance(value, (list, tuple, np.ndarray)) or not len(value):
        return None
    if len(value) <= 64 and not isinstance(value[0], (list, tuple, np.ndarray)):
        return None
    try:
        array = np.array(value)
        array = array.astype(np.float64) if array.dtype == object else array
    except (TypeError, ValueError):
        return None
    return array if array.dtype.kind in "fiub" else None
