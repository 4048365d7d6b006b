"""A source of examples: one array for training, one for evaluation, and a manifest that identifies
them.
"""
import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


class Rows:
    """Chosen rows of an array, which may be a memory map far larger than memory. Indexing copies
    only the rows it returns.

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
        """The chosen ones of these rows, as `Rows` of the same array."""
        return Rows(self.array, self.rows[index])

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.array.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype


@dataclasses.dataclass(frozen=True)
class Source:
    """Examples for training and for evaluation.

    Attributes:
      train: `Rows`.
      eval: `Rows`, held out by a rule that depends only on the data.
      manifest: a description of the data with at least `fingerprint`; part of the run's
        `config.json`.
      factors: `[N, k]` for the rows of `eval` if the data have known factors, else `None`.
      factor_names: k names.
      log_density: log p(x), nats, `[N]` for the rows of `eval` if known, else `None`.
    """

    train: Rows
    eval: Rows
    manifest: dict[str, Any]
    factors: np.ndarray | None = None
    factor_names: tuple[str, ...] = ()
    log_density: np.ndarray | None = None

    @property
    def held_out(self) -> str:
        """A short hash of the held-out rows, for a run's manifest."""
        return fingerprint(np.asarray(self.eval.rows, np.int64))


def fingerprint(array: np.ndarray) -> str:
    """A short hash of an array's shape and content."""
    array = np.ascontiguousarray(array)
    return hashlib.sha1(repr((array.shape, array.dtype.str)).encode()
                        + array.tobytes()).hexdigest()[:16]


def held_out(names: Sequence[str], fraction: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Splits rows by the rank of the hash of their names: the same names give the same split on
    every machine.

    Args:
      names: one string for each row.
      fraction: share to hold out; at least one row, and never all of several.

    Returns:
      `(train_rows, eval_rows)`, sorted integer arrays.
    """
    if not len(names):
        raise ValueError("At least 1 example is needed; got none.")
    order = np.argsort([hashlib.sha1(name.encode()).hexdigest() for name in names], kind="stable")
    count = min(max(1, round(len(names) * fraction)), max(1, len(names) - 1))
    return np.sort(order[count:]), np.sort(order[:count])


def printable(name: str) -> str:
    """A name for printing on one line, whatever characters it has."""
    return name if name.isprintable() else repr(name)[1:-1]
