"""The checkpoints of a run: written completely, with checksums, and never removed before a newer
one is complete.

A checkpoint of step t is TensorFlow's `ckpt-t.index` and `ckpt-t.data-...`, and `ckpt-t.json`,
written after these. The JSON has their digests, the manifest of the run, and the current interval
of logging, if any.
"""
import contextlib
import dataclasses
import glob
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import files

_NAME = re.compile(r"ckpt-(\d+)\.(index|json|data-\d+-of-\d+)")
_KEPT = 2


@dataclasses.dataclass(frozen=True)
class Found:
    """A complete checkpoint: its step, its TensorFlow name, and the content of its JSON (empty if
    missing).
    """

    step: int
    prefix: str
    said: dict[str, Any]


def newest(directory: str | os.PathLike) -> Found | None:
    """The newest complete checkpoint, `Found`; `None` if there is none."""
    for step in reversed(steps(directory)):
        said = _said(directory, step)
        if _is_whole(directory, step, said):
            return Found(step, _prefix(directory, step), said or {})
    return None


def steps(directory: str | os.PathLike) -> list[int]:
    """The steps with any file, ascending."""
    found = map(_NAME.fullmatch, os.listdir(directory) if os.path.isdir(directory) else ())
    return sorted({int(match[1]) for match in found if match})


def was_one(directory: str | os.PathLike) -> bool:
    """Whether there has been a complete checkpoint: its JSON, or TensorFlow's list, is written
    after it.
    """
    names = os.listdir(directory) if os.path.isdir(directory) else ()
    return any(name == "checkpoint" or re.fullmatch(r"ckpt-\d+\.json", name) for name in names)


def manifests(directory: str | os.PathLike) -> Iterator[dict[str, Any]]:
    """The manifests next to checkpoints, newest first."""
    for step in reversed(steps(directory)):
        said = _said(directory, step)
        if said and isinstance(said.get("manifest"), dict):
            yield said["manifest"]


class Keeper:
    """Writes checkpoints, and removes the older ones.

    Args:
      checkpoint: `tf.train.Checkpoint`.
      directory: created if missing. Unfinished files of dead processes are removed.
      manifest: of the run, stored next to each.
      found: the checkpoint to resume from, or `None`.
      alone: whether this process is the only one of the run, or the chief; files of other processes
        are discarded.
    """

    def __init__(self, checkpoint: tf.train.Checkpoint, directory: str | os.PathLike,
                 manifest: dict[str, Any], found: Found | None = None, alone: bool = True) -> None:
        self._checkpoint, self._directory = checkpoint, directory
        self._manifest, self._alone = manifest, alone
        self._whole = [found.step] if found else []
        os.makedirs(directory, exist_ok=True)
        if alone:
            files.sweep(directory)
            for temporary in glob.glob(os.path.join(glob.escape(directory), "ckpt-*_temp*")):
                shutil.rmtree(temporary, ignore_errors=True)

    @property
    def last(self) -> int:
        """The step of the last complete checkpoint; 0 if there is none."""
        return self._whole[-1] if self._whole else 0

    def save(self, step: int, interval: int | None = None) -> None:
        """Writes the checkpoint of a step; `interval` has the sums of the metrics in the current
        interval.
        """
        prefix = _prefix(self._directory, step)
        with contextlib.suppress(FileNotFoundError):
            # From a damaged checkpoint: its digests do not match the new files.
            os.unlink(f"{prefix}.json")
        try:
            self._checkpoint.write(prefix)
        except BaseException:
            if self._alone:
                self._remove(step)
            raise
        if not self._alone:
            return
        for part in _parts(prefix):
            files.to_disk(part)
        files.write_json(
            f"{prefix}.json", {
                "step": step, "files": files.digests(_parts(prefix)), "interval": interval,
                "manifest": self._manifest
            }, digits=None)
        # For TensorFlow.
        files.write_text(os.path.join(self._directory, "checkpoint"),
                         f'model_checkpoint_path: "ckpt-{step}"\n')
        self._whole.append(step)
        for other in steps(self._directory):
            if other not in self._whole[-_KEPT:]:
                self._remove(other)

    def _remove(self, step):
        # The JSON first.
        for path in sorted(glob.glob(f"{glob.escape(_prefix(self._directory, step))}.*"),
                           reverse=True):
            with contextlib.suppress(OSError):
                os.unlink(path)
        shutil.rmtree(f"{_prefix(self._directory, step)}_temp", ignore_errors=True)


def sums(metrics: Sequence[tf.keras.metrics.Metric]) -> list[list[Any]]:
    """The sums of metrics so far, as JSON."""
    return [[np.asarray(value).tolist() for value in metric.variables] for metric in metrics]


def set_sums(metrics: Sequence[tf.keras.metrics.Metric], values: Any) -> None:
    """Sets metrics to `values` of `sums`; does nothing if these belong to other metrics."""
    now = [metric.variables for metric in metrics]
    given = [[np.array(value, np.float64) for value in metric] for metric in values]
    if [[value.shape for value in metric] for metric in now] == [[value.shape for value in metric]
                                                                 for metric in given]:
        for metric, arrays in zip(metrics, given):
            for variable, array in zip(metric.variables, arrays):
                variable.assign(array)


def _prefix(directory, step):
    return os.path.join(directory, f"ckpt-{step}")


def _parts(prefix):
    return [f"{prefix}.index", *sorted(glob.glob(f"{glob.escape(prefix)}.data-*"))]


def _said(directory, step):
    """The content of a checkpoint's JSON; `None` if it is missing or unreadable."""
    try:
        return files.read_json(f"{_prefix(directory, step)}.json")
    except (OSError, files.DamagedFile):
        return None


def _is_whole(directory, step, said):
    prefix = _prefix(directory, step)
    if said and isinstance(said.get("files"), dict):
        try:
            return said.get("step") == step and files.digests(_parts(prefix)) == said["files"]
        except OSError:
            return False
    return _reads(prefix, step)


def _reads(prefix, step):
    """For a checkpoint without digests: whether all its tensors (which have their own checksums)
    can be read, and its step is right.
    """
    try:
        reader = tf.train.load_checkpoint(prefix)
        tensors = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    except (tf.errors.OpError, IndexError, ValueError, RuntimeError):
        return False
    at = [
        int(value) for name, value in tensors.items()
        if name.endswith("_iterations/.ATTRIBUTES/VARIABLE_VALUE")
    ]
    return not at or step in at
