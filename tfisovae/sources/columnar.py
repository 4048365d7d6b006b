"""Binary tables: NumPy files and Parquet."""
import json
from collections.abc import Callable, Sequence

import numpy as np

from tfisovae.sources import content

# Names of arrays, by purpose.
OF_TRAINING, OF_TESTS = ("x", "x_train", "x_test"), ("x", "x_test", "x_train")

_REAL = "biuf"  # kinds of NumPy's types: not complex numbers, text, or times


def numpy_array(path: str, names: Sequence[str]) -> tuple[np.ndarray, str | None]:
    """The array of a `.npy` file, or one array of a `.npz` file. The content decides which of the
    two it is.

    Args:
      path: of the file.
      names: of acceptable arrays in a `.npz`; the first one found is used. A single array needs no
        name.

    Returns:
      `(array, name)`; the name is `None` for a `.npy`.

    Raises:
      ValueError: if it is damaged, or holds no real numbers.
    """
    def choose(there):
        found = there if len(there) == 1 else [name for name in names if name in there][:1]
        if not found:
            raise ValueError(
                f"{path} holds the arrays {', '.join(map(repr, there)) or '(none)'}; the one to "
                f"use must be named "
                f"{names[0]!r}.")
        return found

    if content.first_bytes(path, 2) == b"PK":
        (name, x), = content.npz(path, choose).items()
    else:
        name, x = None, content.npy(path)
    if x.dtype.kind not in _REAL:
        raise ValueError(f"{path} must hold real numbers; its type is {x.dtype}.")
    return x, name


def condition_array(path: str, name: str | None, wanted: str | None) -> tuple[np.ndarray, str]:
    """The array with the condition c of a conditional model, in a `.npz`.

    Args:
      path: of the file.
      name: of the array with x.
      wanted: the name of the array; `None`: "c" or "y". Next to "x_test", "y_test" comes first,
        and "y_train" is not used.

    Returns:
      `(array, name)`.

    Raises:
      ValueError: if the array is missing, or holds no real numbers.
    """
    part = next((end for end in ("_train", "_test") if (name or "").endswith(end)), "")
    if wanted is None:
        names = [f"c{part}", "c", f"y{part}", "y"]
    else:
        stem = wanted.removesuffix("_train").removesuffix("_test")
        names = [stem + part] + [wanted] * (not part or stem == wanted)

    def choose(there):
        found = [one for one in names if one in there and one != name][:1]
        if not found:
            others = ", ".join(repr(one) for one in there if one != name) or "no other array"
            raise ValueError(
                f"{path} has no array {' or '.join(map(repr, dict.fromkeys(names)))} with the "
                f"condition, next to {name or 'x'!r}; it has {others}.")
        return found

    if content.first_bytes(path, 2) != b"PK":
        raise ValueError(f"{path} holds one array, without a condition.")
    (found, c), = content.npz(path, choose).items()
    if c.dtype.kind not in _REAL:
        raise content.TextColumn(f"{path}, array {found!r} has the type {c.dtype}.")
    return c, found


def read_numpy(
    path: str, arrays: Sequence[str]
) -> tuple[Callable[[list[int]], np.ndarray], None, int, list[int], str | None]:
    """Opens a `.npy` or a `.npz` file. The content decides which of the two it is.

    Returns:
      `(parse, None, width, [], name)`: a function from positions of columns to their numbers, `[N,
      m]`; no names; the number of columns; no index; the name of the array in a `.npz`, by
      `numpy_array`.

    Raises:
      ValueError: if it is damaged, or not a table of real numbers.
    """
    x, name = numpy_array(path, arrays)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(
            f"{path} must hold a table [N, m], one example per row; its shape is {list(x.shape)}.")
    if x.dtype.kind in "bf" and x.dtype not in (np.float16, np.float32, np.float64):
        x = x.astype(np.float32 if x.dtype == bool else np.float64)
    return (lambda chosen: x
            if chosen == list(range(x.shape[1])) else x[:, chosen]), None, x.shape[1], [], name


def read_parquet(path: str) -> tuple[Callable[[list[int]], np.ndarray], list[str], int, list[int]]:
    """Opens a Parquet file, by pyarrow.

    Returns:
      `(parse, names, width, index)`: as `read_numpy`; `index` has the positions of what pandas
      stored as the index.

    Raises:
      ValueError: if it is damaged; `parse`: also for columns without a number in every row.
    """
    import pyarrow.parquet

    with content.whole(path) as file, content.naming(path, "Parquet"):
        parquet = pyarrow.parquet.ParquetFile(file)
        schema = parquet.schema_arrow
        stored = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
        index = [k for k, name in enumerate(schema.names) if name in stored]
        table = parquet.read()
        table.validate(full=True)
    if not table.num_rows or not table.num_columns:
        raise ValueError(f"{path} holds no rows.")

    def parse(chosen):
        with content.naming(path, "Parquet"):
            single = all(
                table.schema.types[k] in (pyarrow.float32(), pyarrow.float16()) for k in chosen)
        x = np.empty((table.num_rows, len(chosen)), np.float32 if single else np.float64)
        for place, k in enumerate(chosen):
            x[:, place] = _numbers(path, table.column(k), f"column {k} ({table.column_names[k]!r})")
        return x

    return parse, list(table.column_names), table.num_columns, index


def _numbers(path, column, name):
    import pyarrow
    from pyarrow import types

    kind = column.type
    if not any(
            of(kind)
            for of in (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)):
        raise content.TextColumn(
            f"{path}, {name} holds {kind}, no numbers. Columns can be left out by columns=[...].")
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy()))
        raise ValueError(
            f"{path}, {name} has {column.null_count} missing values, the first in row {row} "
            f"(counted from 0). "
            "Remove or fill them.")
    with content.naming(path, "Parquet"):
        if types.is_boolean(kind):
            column = column.cast(pyarrow.int8())
        elif types.is_decimal(kind):
            column = column.cast(pyarrow.float64())
        return column.to_numpy()
