"""A source of examples: two arrays that training and evaluation read rows from, and a manifest that
identifies them.
"""
import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Rows:
    """Chosen rows of an array, which may be a memory map far larger than memory. Indexing copies
    only what is asked for.

    Args:
      array: `[N, ...]`, uint8 (an image, scaled to [0, 1] when read) or float.
      rows: integers, the chosen rows in order.
    """

    def __init__(self, array: np.ndarray, rows: npt.ArrayLike) -> None:
        self.array, self.rows = array, np.asarray(rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.array[self.rows[index]]

    def chosen(self, index: Any) -> "Rows":
        """Those of these rows, as `Rows` of the same array."""
        return Rows(self.array, self.rows[index])

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype


@dataclasses.dataclass(frozen=True)
class Source:
    """Examples to train on and to evaluate on.

    Attributes:
      train: `Rows`.
      eval: `Rows`, held out by a rule that depends on the data alone.
      manifest: what the data are: at least `fingerprint`; written into the run's `config.json`.
      factors: `[N, k]` for the rows of `eval` where the data were made from known factors, else
        `None`.
      factor_names: k names.
      log_density: log p(x), nats, `[N]` for the rows of `eval` where it is known, else `None`.
    """

    train: Rows
    eval: Rows
    manifest: dict[str, Any]
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()
    log_density: np.ndarray | None = None

    @property
    def held_out(self) -> str:
        """A short hash of which rows are held out, as a run's manifest has it."""
        return fingerprint(np.asarray(self.eval.rows, np.int64))


def fingerprint(array: np.ndarray) -> str:
    """A short hash of an array's shape and content."""
    array = np.ascontiguousarray(array)
    return hashlib.sha1(repr((array.shape, array.dtype.str)).encode()
                        + array.tobytes()).hexdigest()[:16]


def held_out(names: Sequence[str], fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows by the rank of the hash of their names: the same names are split alike on every
    machine.

    Args:
      names: one string for each row.
      fraction: share to hold out; at least one row, and never all.
    Returns:
      `(train_rows, eval_rows)`, sorted integer arrays.
    """
    if len(names) < 2:
        raise ValueError(
            f"At least 2 examples are needed, one of them to evaluate on; got {len(names)}.")
    order = np.argsort([hashlib.sha1(name.encode()).hexdigest() for name in names], kind="stable")
    count = min(max(1, round(len(names) * fraction)), len(names) - 1)
    return np.sort(order[count:]), np.sort(order[:count])


def printable(name: str) -> str:
    """A name as it can be printed on one line, whatever characters it has."""
    return name if name.isprintable() else repr(name)[1:-1]
