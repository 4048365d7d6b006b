"""Tables of numbers: one example per row."""
import os
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tfisovae.sources import columnar, delimited
from tfisovae.sources.source import Rows, Source, fingerprint, held_out, printable

TEXT = (".csv", ".tsv", ".txt")
ENDINGS = (".npy", ".npz", ".parquet", *TEXT)
_SHOWN = 8  # names of columns in a line of the log


def ending(path: str | os.PathLike) -> str:
    """The extension of a table's name in small letters, without `.gz`."""
    path = os.fspath(path).lower()
    return os.path.splitext(path.removesuffix(".gz"))[1]


def load_table(path: str | os.PathLike, standardize: bool | Sequence[npt.ArrayLike] = False, *,
               header: str = "auto", separator: str | None = None, decimal: str | None = None,
               columns: Sequence[str | int] | None = None,
               without: Sequence[str | int] = (), drop_index: str = "auto",
               arrays: Sequence[str] = columnar.OF_TRAINING) -> Source:
    """Opens a table as a `Source` of `[m]` float32 rows; a tenth of them, fixed by their positions,
    is held out.

    `manifest["reading"]` holds how the file was read: `format`, `num_rows`, `num_columns`, `names`
    (`None` without a header), `dropped` (the names of index columns), `encoding` of text, and
    `options`. `load_table(path, **options)` reads the same again without guesses.
    `manifest["notes"]` has it in words, a line each, with possible faults.

    Args:
      path: `.npy` or `.npz` with an array `[N, m]` (in an `.npz` the only one, or one of `arrays`),
        `.parquet`, or `.csv`, `.tsv`, `.txt` with or without a header. Each may be gzip, whatever
        its name.
      standardize: whether to subtract each column's mean and divide by its deviation, both over the
        training rows; or `(mean [m], deviation [m])` of another table. It is done in float64,
        before the cast to float32.
      header: "yes" or "no": whether the first line of text names the columns; "auto": see
        `headers.guess`.
      separator: of text columns: one of `delimited.SEPARATORS`; `None`: it is guessed.
      decimal: "." or ",": the decimal sign of text; `None`: found.
      columns: names or numbers (from 0, as in the file) of the columns to keep, in this order;
        `None`: all but an index.
      without: names or numbers of columns to leave out. Not used with `columns`.
      drop_index: whether the first column (in Parquet: the index of pandas) is left out: "yes",
        "no", or "auto": if a text header has no name for it (or "Unnamed: 0"), or if Parquet has
        such an index. Not used with `columns`.
      arrays: names in an `.npz`; the first one found is used.

    Raises:
      ValueError: if it is not a table of finite numbers, cannot be read, is ambiguous, or has a
        constant column to standardise.
    """
    path = os.fspath(path)
    kind, array = ending(path), None
    if os.path.isdir(path):
        raise ValueError(f"{path} is a directory; a table must be one file.")
    if kind not in ENDINGS:
        raise ValueError(
            f"{path} must end in one of {', '.join(ENDINGS)} (also with .gz)."
        )
    if drop_index not in ("auto", "yes", "no"):
        raise ValueError(f"drop_index must be 'auto', 'yes' or 'no'; got {drop_index!r}.")
    if kind in TEXT:
        parse, names, width, options, encoding = delimited.read(path, header, separator, decimal)
        index = [0] if names and names[0] in ("", "Unnamed: 0") else []
        reading = {"format": "text", "encoding": encoding}
    else:
        if (header, separator, decimal) != ("auto", None, None):
            raise ValueError(
                f"header, separator and decimal are for text tables; {path} is none.")
        if kind == ".parquet":
            parse, names, width, index = columnar.read_parquet(path)
        else:
            parse, names, width, index, array = columnar.read_numpy(path, arrays)
        options, reading = {}, {"format": kind[1:]}
    chosen, dropped = _chosen(path, names, width, index, columns, without, drop_index)
    x = parse(chosen)
    labels = [f"{k} ({names[k]!r})" if names else str(k) for k in chosen]
    kept = chosen if without else None if columns is None else [
        column if isinstance(column, str) else int(column) for column in columns
    ]
    reading.update(num_rows=len(x), num_columns=x.shape[1], names=names
                   and [names[k]
                        for k in chosen], dropped=[names[k] if names else k for k in dropped],
                   options={**options, "columns": kept, "drop_index": "yes" if dropped else "no"})
    return _source(path, x, labels, standardize, reading, array)


def _source(path, x, labels, standardize, reading, array):
    """A `Source` of a table in memory, `[N, m]` of any real type."""
    if len(x) < 2 and standardize is True:
        raise ValueError(f"{path} holds 1 row; standardizing needs at least 2.")
    _check_finite(path, np.isfinite(x))
    train, evaluation = held_out([f"{i:012d}" for i in range(len(x))])
    with np.errstate(over="ignore"):
        single = x.astype(np.float32)
    merged = _merged(x, single)
    constant = [k for k in range(x.shape[1]) if len(train) and np.ptp(x[train, k]) == 0]
    large = [k for k in constant if abs(x[train[0], k]) > 2.0**53]
    if large:
        raise ValueError(
            f"{_plural(large, labels, path)} beyond 2^53, where 64-bit numbers lose digits: all "
            "values became equal. Subtract an offset first (such as the earliest time), or leave "
            "them out with columns.")
    # If float32 can hold a table, its hash is the float32 hash. So text and arrays with equal
    # content have the same hash.
    exact = bool(merged) or not np.isfinite(single).all()
    manifest = {
        "source": os.path.abspath(path),
        "fingerprint": fingerprint(x.astype(np.float64) if exact else single), "skipped": [],
        "num_train": len(train), "num_eval": len(evaluation), "reading": reading
    }
    notes = [_line(path, reading, array), *_counting(x, labels)]
    if standardize is False:
        _check_finite(path, np.isfinite(single))
        notes += _coarse(merged, labels,
                         "Standardise the table (standardize=True): float64 is kept until then.")
        if constant:
            notes.append(f"Warning: {_plural(constant, labels)} constant over the training rows.")
    else:
        mean, deviation = _statistics(path, x, train, constant,
                                      labels) if standardize is True else _given(
                                          path, x, standardize)
        with np.errstate(over="ignore"):
            for k in range(x.shape[1]):
                single[:, k] = (x[:, k].astype(np.float64) - mean[k]) / deviation[k]
        _check_finite(path, np.isfinite(single))
        notes += _coarse(_merged(x, single, mean, deviation), labels,
                         "Is there an extreme value, such as a code for missing values?")
        manifest["standardization"] = [mean.tolist(), deviation.tolist()]
    return Source(Rows(single, train), Rows(single, evaluation), {**manifest, "notes": notes})


def _chosen(path, names, width, index, columns, without, drop_index):
    """Positions of the columns to keep, and of dropped index columns."""
    if columns is not None:
        if isinstance(columns, str) or not isinstance(columns, Sequence | np.ndarray):
            raise ValueError(f"columns must be a list of names or numbers; got {columns!r}.")
        chosen = [_position(path, names, width, column) for column in columns]
        if not chosen or len(set(chosen)) != len(chosen):
            raise ValueError(
                f"columns must name at least one column, and each once; got {list(columns)}.")
        return chosen, []
    dropped = {"auto": index, "yes": index or [0], "no": []}[drop_index]
    left_out = [_position(path, names, width, column) for column in without]
    chosen = [k for k in range(width) if k not in dropped and k not in left_out]
    if not chosen and left_out:
        raise ValueError(f"{path} has no columns but {', '.join(map(str, without))}.")
    if not chosen:
        raise ValueError(f"{path} has only an index column. drop_index='no' keeps it.")
    return chosen, dropped


def _position(path, names, width, column):
    count = names.count(column) if names else 0
    if count > 1:
        raise ValueError(
            f"{path} has {count} columns named {column!r}: give columns by number, from 0.")
    if count:
        return names.index(column)
    if str(column).isdecimal() and int(column) < width:
        return int(column)
    there = "it has no names"
    if names:
        more = ", ..." if width > _SHOWN else ""
        there = f"it has {', '.join(map(repr, names[:_SHOWN]))}{more}"
    raise ValueError(f"{path} has no column {column!r}: {there}, and the numbers 0 to {width - 1}.")


def _check_finite(path, finite):
    if not finite.all():
        bad = np.argwhere(~finite)
        raise ValueError(
            f"{path} has {len(bad)} entries that are not finite, or too large for float32; the "
            f"first is in row "
            f"{bad[0][0]}, column {bad[0][1]} (counted from 0). Remove or fill them.")


def _statistics(path, x, train, constant, labels):
    if constant:
        raise ValueError(
            f"{_plural(constant, labels, path)} constant and cannot be standardised. Leave "
            "constant columns out with columns.")
    mean, deviation = np.empty((2, x.shape[1]))
    for k in range(x.shape[1]):
        with np.errstate(over="ignore", invalid="ignore"):
            column = x[train, k].astype(np.float64)
            mean[k], deviation[k] = column.mean(), column.std()
        if not (0 < deviation[k] < np.inf and np.isfinite(mean[k])):
            raise ValueError(
                f"Column {labels[k]} of {path} has a range too large for float64: it reaches from "
                f"{column.min():g} to {column.max():g}.")
    return mean, deviation


def _given(path, x, standardize):
    mean, deviation = (np.asarray(values, np.float64) for values in standardize)
    if len(mean) != x.shape[1]:
        raise ValueError(
            f"{path} has {x.shape[1]} columns; the table whose mean and deviation it uses has "
            f"{len(mean)}.")
    return mean, deviation


def _merged(x, single, mean=None, deviation=None):
    """The columns whose distinct values float32 merges, moving them by over 1e-5 deviations:
    `{column: (before, after)}`.
    """
    if x.dtype in (np.float32, np.float16) and mean is None:
        return {}
    merged = {}
    for k in range(x.shape[1]):
        column = x[:, k].astype(np.float64)
        scaled = column if mean is None else (column - mean[k]) / deviation[k]
        with np.errstate(over="ignore", invalid="ignore"):
            coarse = np.abs(scaled - single[:, k]).max() > 1e-5 * scaled.std()
        if coarse:
            before, after = len(np.unique(column)), len(np.unique(single[:, k]))
            if after < before:
                merged[k] = before, after
    return merged


def _coarse(merged, labels, advice):
    return [
        f"Warning: float32 merges the {before:,} values of column {labels[k]} into {after:,}. "
        f"{advice}"
        for k, (before, after) in merged.items()
    ]


def _counting(x, labels):
    """A note if the first column numbers the rows."""
    if x.shape[1] > 1 and len(x) > 2 and x[0, 0] in (0, 1) and np.all(
            np.diff(x[:, 0].astype(np.float64)) == 1):
        return [
            f"Warning: column {labels[0]} counts the rows. If it is an index, leave it out with "
            "drop_index='yes'."
        ]
    return []


def _plural(constant, labels, path=None):
    shown = ", ".join(labels[k]
                      for k in constant[:_SHOWN]) + (", ..." if len(constant) > _SHOWN else "")
    of = f" of {path}" if path else ""
    return f"Column{'s' * (len(constant) > 1)} {shown}{of} {'are' if len(constant) > 1 else 'is'}"


def _line(path, reading, array):
    """A description of how a table was read, in one line."""
    names, options = reading["names"], reading["options"]
    parts = [
        f"{reading['num_rows']:,} rows",
        f"{reading['num_columns']:,} column{'s' * (reading['num_columns'] > 1)}"
    ]
    if names:
        shown = ", ".join(printable(" ".join(name.split()))[:40] for name in names[:_SHOWN])
        parts[1] += f" ({shown}{', ...' if len(names) > _SHOWN else ''})"
    if reading["format"] == "text":
        parts.append("a header" if options["header"] == "yes" else "no header")
        parts.append(f"separator {options['separator']!r}")
        if options["decimal"] != ".":
            parts.append(f"decimal sign {options['decimal']!r}")
        if reading["encoding"] != "utf-8":
            parts.append(reading["encoding"].upper())
    if array:
        parts.append(f"the array {array!r}")
    if reading["dropped"]:
        parts.append(f"left out as an index: {', '.join(map(repr, reading['dropped']))}")
    if names and len(set(names)) < len(names):
        parts.append("some names twice")
    return f"{os.path.basename(path)}: {', '.join(parts)}."
