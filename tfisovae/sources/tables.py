"""The user's own table of numbers: one example to a row."""
import csv
import os
import zipfile

import numpy as np

from tfisovae.sources.source import Rows, Source, fingerprint, held_out

ENDINGS = (".npy", ".npz", ".csv")


def load_table(path, standardize=False):
    """Opens a table as a `Source` of `[m]` float32 rows; a tenth of them, fixed by their positions, is held out.

    Args:
      path: `.npy` or `.npz` with an array `[N, m]` (in an `.npz` the only one, or the one named "x"), or `.csv` with or
        without a header.
      standardize: whether to subtract each column's mean and divide by its deviation, both over the training rows; or these
        two, as `(mean [m], deviation [m])` of another table.
    Raises:
      ValueError: if it is no table of finite numbers, or standardising meets a constant column.
    """
    if not os.path.isfile(path):
        raise ValueError(f"There is no file {path}.")
    ending = os.path.splitext(path)[1].lower()
    if ending not in ENDINGS:
        raise ValueError(f"{path} ends in none of {', '.join(ENDINGS)}, the tables that can be read.")
    x = _read_csv(path) if ending == ".csv" else _read_numpy(path, ending)
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{path} must hold a table [N, m], one example to a row; its shape is {list(x.shape)}.")
    bad = np.argwhere(~np.isfinite(x))
    if len(bad):
        raise ValueError(f"{path} has {len(bad)} entries that are not finite, or too large for float32; the first is in row "
                         f"{bad[0][0]}, column {bad[0][1]} (counted from 0). Remove or fill them.")
    train, evaluation = held_out([f"{i:012d}" for i in range(len(x))])
    manifest = {"source": os.path.abspath(path), "fingerprint": fingerprint(x), "skipped": [], "num_train": len(train),
                "num_eval": len(evaluation)}
    if standardize is not False:
        mean, deviation = _statistics(x[train], path) if standardize is True else map(np.asarray, standardize)
        if len(mean) != x.shape[1]:
            raise ValueError(f"{path} has {x.shape[1]} columns, the table it is standardised like has {len(mean)}.")
        x = ((x - mean) / deviation).astype(np.float32)
        manifest["standardization"] = [mean.tolist(), deviation.tolist()]
    return Source(Rows(x, train), Rows(x, evaluation), manifest)


def _statistics(x, path):
    mean, deviation = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    if not deviation.all():
        raise ValueError(f"Column {int(np.argmin(deviation))} of {path} is constant: it cannot be standardised. Remove it.")
    return mean, deviation


def _read_numpy(path, ending):
    try:
        loaded = np.load(path, allow_pickle=False)
        names = list(loaded) if isinstance(loaded, np.lib.npyio.NpzFile) else None
        name = names[0] if names and len(names) == 1 else "x"
        if names and name in names:
            loaded, names = loaded[name], None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as {ending}: {error}") from None
    if names is not None:
        raise ValueError(f"{path} holds the arrays {', '.join(map(repr, names)) or '(none)'}; the one to train on must be "
                         "named 'x'.")
    if not np.issubdtype(loaded.dtype, np.number) or np.iscomplexobj(loaded):
        raise ValueError(f"{path} must hold real numbers; its type is {loaded.dtype}.")
    return loaded.astype(np.float32)


def _read_csv(path):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [(number, row) for number, row in enumerate(csv.reader(file), 1) if any(cell.strip() for cell in row)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8 ({error}). Save it as CSV with this encoding.") from None
    if lines and not any(_is_number(cell) for cell in lines[0][1]):
        lines = lines[1:]  # a header
    if not lines:
        raise ValueError(f"{path} holds no rows.")
    width = len(lines[0][1])
    x = np.empty((len(lines), width), np.float32)
    for i, (number, row) in enumerate(lines):
        if len(row) != width:
            raise ValueError(f"{path}, line {number}: {len(row)} columns, where the first row has {width}.")
        for k, cell in enumerate(row):
            if not _is_number(cell):
                raise ValueError(f"{path}, line {number}, column {k + 1}: {cell!r} is no number.")
            x[i, k] = float(cell)
    return x


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True
