"""The log of a training: CSV files with a row for each reported step, and events for TensorBoard.

A resumed training drops the rows of later steps, since it repeats these steps.
"""
import csv
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfisovae import files

COLUMNS = ("step", "loss", "distortion", "rate", "active_dimensions")  # of history.csv
# File of callbacks.IsometryMonitor, and its first columns.
ISOMETRY, OF_ISOMETRY = "isometry-history.csv", ("step", "num_examples")


def read(path: str | os.PathLike, needed: Sequence[str] = ("step",)) -> list[dict[str, str]]:
    """The complete rows of a history, as dicts of strings; none if the file is missing or empty.

    Raises:
      files.DamagedFile: if it is not a history with the columns `needed`.
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
            f"{path} was changed: its first line should begin with {','.join(needed)},... Move it "
            "elsewhere and run the command again. The training resumes from its checkpoint, and a "
            "new history starts there.")
    whole = [dict(zip(names, row)) for row in rows[1:] if len(row) == len(names)]
    return [row for row in whole if row["step"].isdecimal()]


def last_step(path: str | os.PathLike, needed: Sequence[str] = ("step",)) -> int:
    """The step of the last complete row; 0 if there is none."""
    return max((int(row["step"]) for row in read(path, needed)), default=0)


def go_on(path: str | os.PathLike, step: int, columns: Sequence[str] = COLUMNS,
          needed: Sequence[str] = ("step",)) -> list[dict[str, str]]:
    """Drops the rows after a step, or starts a new history; returns the remaining rows.

    Other columns of other versions are dropped, and missing columns stay empty.

    Raises:
      files.DamagedFile: if the file is not a history with the columns `needed`.
    """
    rows = [row for row in read(path, needed) if int(row["step"]) <= step]
    with files.replacing(path, newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return rows


def append(path: str | os.PathLike, row: Mapping[str, Any]) -> None:
    """Appends a row, numbers with 8 digits. The entries of `row` must be the columns, in order."""
    with open(path, "a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow(
            [f"{value:.8g}" if isinstance(value, float) else value for value in row.values()])


def event_writer(directory: str | os.PathLike, step: int) -> tf.summary.SummaryWriter:
    """A writer of TensorBoard events. Events of steps after `step` are purged."""
    writer = tf.summary.create_file_writer(os.fspath(directory))
    restart = tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START)
    event = tf.compat.v1.Event(wall_time=time.time(), step=step + 1, session_log=restart)
    with writer.as_default(step):
        tf.raw_ops.ImportEvent(writer=writer._resource, event=event.SerializeToString())
    return writer
