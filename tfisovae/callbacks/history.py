"""What a training writes down as it goes: CSV files with a row for each step that is told of, and
events for TensorBoard.

Where a training goes on from a step, what had been written of later ones is dropped: they are done
again.
"""
import csv
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfisovae import files

COLUMNS = ("step", "loss", "distortion", "rate", "active_dimensions")  # of a run's history.csv
# Of callbacks.IsometryMonitor, and its first columns.
ISOMETRY, OF_ISOMETRY = "isometry-history.csv", ("step", "num_examples")


def read(path: str | os.PathLike, needed: Sequence[str] = ("step",)) -> list[dict[str, str]]:
    """The whole rows of a history, dicts of strings; none where there is no file, or an empty one.

    Raises:
      files.DamagedFile: if it is no history with the columns `needed`.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))
    except FileNotFoundError:
        return []
    except (UnicodeDecodeError, csv.Error):
        rows = [[]]
    if not rows:
        return []
    names = rows[0]
    if not set(needed) <= set(names):
        raise files.DamagedFile(
            f"{path} is not as the training wrote it: its first line should begin with "
            f"{','.join(needed)},... "
            "Move it elsewhere, and give the command again: the training goes on from its "
            "checkpoint, and the "
            "history begins there.")
    whole = [dict(zip(names, row)) for row in rows[1:] if len(row) == len(names)]
    return [row for row in whole if row["step"].isdecimal()]


def last_step(path: str | os.PathLike, needed: Sequence[str] = ("step",)) -> int:
    """The step of the last whole row; 0 where there is none."""
    return max((int(row["step"]) for row in read(path, needed)), default=0)


def go_on(path: str | os.PathLike, step: int, columns: Sequence[str] = COLUMNS,
          needed: Sequence[str] = ("step",)) -> list[dict[str, str]]:
    """Drops the rows after a step, and begins a history where there is none; returns the rows that
    stay.

    What another version wrote besides `columns` is left out, and what it did not write is left
    empty.

    Raises:
      files.DamagedFile: if what is there is no history with the columns `needed`.
    """
    rows = [row for row in read(path, needed) if int(row["step"]) <= step]
    with files.replacing(path, newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def append(path: str | os.PathLike, row: Mapping[str, Any]) -> None:
    """Appends a row, numbers with 8 digits; the entries of `row` are the columns, in their order.
    """
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(
            [f"{value:.8g}" if isinstance(value, float) else value for value in row.values()])


def event_writer(directory: str | os.PathLike, step: int) -> tf.summary.SummaryWriter:
    """A writer of TensorBoard's events, which is told to forget what was written of steps after
    `step`.
    """
    writer = tf.summary.create_file_writer(os.fspath(directory))
    restart = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
    event = tf.compat.v1.Event(wall_time=time.time(), step=step + 1, session_log=restart)
    with writer.as_default(step):
        tf.raw_ops.ImportEvent(writer=writer._resource, event=event.SerializeToString())
    return writer
