"""A run directory: its manifest, its lock, and its model.

It holds `config.json` (every option resolved, seeds, versions, fingerprint of the data),
`history.csv` (and `isometry-history.csv` with a monitor), `checkpoints/`, `tensorboard/` and
`model/` (the SavedModel); the measuring commands add their results. Each checkpoint and the model
have a copy of the manifest, so a damaged `config.json` can be restored.
"""
import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import _keras, files
from tfisovae.callbacks import history
from tfisovae.training import checkpoints
from tfisovae.vae.vae import VAE, load

# Options that may change within a run:
_MAY_CHANGE = ("steps", "epochs", "checkpoint_every", "log_every", "monitor_every", "monitor_share",
               "versions")
# The place of the data and the devices, which may change for the same data and weights.
_PLACES = ("data", "data_dir", "strategy")
_OF_A_RUN = ("config.json", "history.csv", history.ISOMETRY, "checkpoints", "tensorboard", "model",
             "lock")
# In the model: its step, its digests, and the manifest.
_COPY = os.path.join("assets.extra", "run.json")


class RunError(ValueError):
    """A run cannot start or resume; the message says why and what to do."""


class Run:
    """A run directory, held by one process at a time.

    Args:
      directory: made if it is missing.
      config: every option of the run, JSON-serialisable; the manifest.
      chief: whether this process writes. Other workers of the same run only read.

    Raises:
      RunError: if another process uses the directory, it holds a run with another configuration, or
        a run without an intact checkpoint. Then nothing has been changed.
      files.DamagedFile: if its history is damaged.
    """

    def __init__(self, directory: str | os.PathLike, config: dict[str, Any],
                 chief: bool = True) -> None:
        self.directory = os.path.abspath(os.path.expanduser(os.fspath(directory)))
        self.config = {**config, "versions": versions()}
        self._lock = None
        if not chief:
            return
        can = "made"
        try:
            os.makedirs(self.directory, exist_ok=True)
            can = "written"
            self._check_what_is_there()
            self._lock = files.Lock(self.path("lock"), holder=files.this_process())
        except files.Held as error:
            raise RunError(
                f"Another process is writing {self.directory} now ({error}). Wait for it, or "
                "choose another run_dir.") from None
        except OSError as error:
            raise RunError(
                f"The run directory {self.directory} cannot be {can} ({error.strerror}). Choose "
                "another run_dir.") from None
        if self._lock.owner:
            print(f"The file system of {self.directory} has no locks. The file "
                  f"{self._lock.owner} is the lock.", file=sys.stderr)
        try:
            files.sweep(self.directory)
            self._write_manifest()
        except BaseException:
            self.close()
            raise

    def path(self, *names: str) -> str:
        return os.path.join(self.directory, *names)

    def close(self) -> None:
        if self._lock:
            self._lock.release()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def save_model(self, vae: VAE) -> None:
        """Writes the trained `VAE` to `model/`, with its step and digests; an existing model stays
        until this one is complete.
        """
        with files.replacing_directory(self.path("model")) as new:
            vae.save(new)
            files.write_json(
                os.path.join(new, _COPY),
                {"step": self.config["steps"], "files": _digests(new), "manifest": self.config},
                digits=None)

    def _check_what_is_there(self):
        others = {
            name
            for name in os.listdir(self.directory)
            if not files.is_temporary(name) and name not in files.OF_DESKTOPS
        }
        strange = {
            name
            for name in others
            if not any(name == one or name.startswith(f"{one}.") for one in _OF_A_RUN)
        }
        if "config.json" not in others and strange:
            raise RunError(
                f"{self.directory} is not empty and is not a run directory (no config.json). "
                "Choose another run_dir."
            )

    def _write_manifest(self):
        before, path = _manifest(self.directory), self.path("config.json")
        # They raise if they cannot read it, before anything is changed:
        reached = history.last_step(self.path("history.csv"))
        history.read(self.path(history.ISOMETRY), history.OF_ISOMETRY)
        found = checkpoints.newest(self.path("checkpoints"))
        written = checkpoints.was_one(self.path("checkpoints")) or os.path.exists(
            self.path("model"))
        if before is None and (found or written or reached > 0):
            raise RunError(
                f"{path} is missing or damaged, and so is every copy of it, so the run is unknown. "
                "Choose another run_dir; nothing has been changed.")
        if before is not None:
            if not _is_manifest(_read(path)):
                print(f"{path} was missing or damaged; it was restored from a copy.",
                      file=sys.stderr)
            self._check_same(before)
            trained = found.step if found else 0
            if trained > self.config.get("steps", trained):
                raise RunError(
                    f"{self.directory} has been trained to step {trained}; {self.config['steps']} "
                    "steps end before that. Give more steps, or choose another run_dir.")
            lost = not found and (written or 0 < before.get("checkpoint_every", 0) < reached)
            if lost and not is_finished(self.directory, self.config):
                raise RunError(
                    f"{self.directory} has been trained, but none of its checkpoints is intact, so "
                    "it cannot resume. Restore a copy of checkpoints/, or train again in another "
                    "run_dir. Nothing has been changed."
                )
            self._mark_model(before["steps"])
        files.write_json(path, self.config, digits=None)

    def _mark_model(self, step):
        """Adds the step to a model of an older version, so that it is not mistaken for a later one.
        """
        model = self.path("model")
        if os.path.isdir(model) and not isinstance(
            (_read(os.path.join(model, _COPY)) or {}).get("step"), int):
            os.makedirs(os.path.join(model, os.path.dirname(_COPY)), exist_ok=True)
            files.write_json(os.path.join(model, _COPY), {"step": step}, digits=None)

    def _check_same(self, before):
        now = json.loads(json.dumps(self.config))
        data, other = (manifest.get("data_manifest") or {} for manifest in (now, before))
        # Older manifests lack it.
        known = {key for key in ("held_out",) if key not in data or key not in other}
        # Other files next to the examples are not part of the run.
        passed = {*known, "num_skipped", "num_not_images"}
        same_data = {k: v
                     for k, v in data.items()
                     if k not in passed} == {k: v
                                             for k, v in other.items() if k not in passed}
        skipped = {*_MAY_CHANGE, *(("data_manifest",) if same_data else ())}
        if same_data and not known:
            skipped |= {*_PLACES}
        differences = [
            f"  {key}: {before.get(key, '(unset)')!r} there, {now.get(key, '(unset)')!r} here"
            for key in sorted({*before, *now} - skipped) if before.get(key) != now.get(key)
        ]
        if differences:
            cosine = [
                "A cosine schedule ends at its last step: more steps would change it from the "
                "first step on."
            ] * (before.get("schedule_steps") != now.get("schedule_steps")
                 and before.get("schedule") == now.get("schedule"))
            raise RunError("\n".join([
                f"{self.directory} holds a run with another configuration:", *differences, *cosine,
                "Choose another run_dir, or remove this one."
            ]))


def _read(path):
    """A JSON object; `None` if it is missing or unreadable."""
    try:
        return files.read_json(path)
    except (OSError, files.DamagedFile):
        return None


def _is_manifest(values):
    return isinstance(values, dict) and isinstance(values.get("steps"), int)


def _manifest(directory):
    """The manifest of a run, or its newest copy; `None` if there is none."""
    def candidates():
        yield _read(os.path.join(directory, "config.json"))
        yield from checkpoints.manifests(os.path.join(directory, "checkpoints"))
        yield (_read(os.path.join(directory, "model", _COPY)) or {}).get("manifest")

    return next(filter(_is_manifest, candidates()), None)


def load_config(directory: str | os.PathLike) -> dict[str, Any]:
    """The manifest of a run. If `config.json` is damaged, it is a copy from a checkpoint or from
    the model.

    Raises:
      RunError: if `directory` is not a run, or has no intact manifest.
    """
    path = os.path.join(directory, "config.json")
    found = _manifest(directory)
    if found is not None:
        return found
    if not os.path.exists(path):
        raise RunError(
            f"{directory} is not a run directory: it has no config.json. Give a directory that a "
            "training command wrote."
        )
    files.read_json(path, "Run the training command again.")  # it names the fault
    raise RunError(
        f"{path} does not belong to a run: it has no number of steps. Run the training command "
        "again.")


def trained_step(directory: str | os.PathLike) -> int:
    """The step of the latest complete checkpoint of a run; 0 if there is none."""
    found = checkpoints.newest(os.path.join(directory, "checkpoints"))
    return found.step if found else 0


def is_finished(directory: str | os.PathLike, config: dict[str, Any] | None = None) -> bool:
    """Whether a run has been trained to its end, and its model is complete.

    Args:
      directory: of the run.
      config: its manifest, by default from the directory.
    """
    try:
        config = config or load_config(directory)
    except (RunError, files.DamagedFile):
        return False
    model = os.path.join(directory, "model")
    said = _read(os.path.join(model, _COPY)) or {}
    return said.get("step") == config["steps"] and _damage(model, said) is None


def load_run(directory: str | os.PathLike) -> tuple[dict[str, Any], VAE]:
    """The manifest and the trained `VAE` of a run.

    Raises:
      RunError: if it is not a run, its training has not ended, or its model is damaged.
    """
    config = load_config(directory)
    model = os.path.join(directory, "model")
    said = _read(os.path.join(model, _COPY)) or {}
    if "step" not in said:  # from a version without copies, or damaged
        step = config["steps"] if os.path.exists(model) and trained_step(directory) in (
            0, config["steps"]) else None
    else:
        step = said["step"]
    if step != config["steps"]:
        at = trained_step(directory)
        raise RunError(
            f"{directory} has no model yet: its training has not ended. Run the training command "
            "again"
            + (f", and it resumes from the checkpoint of step {at}." if at else "."))
    damage = _damage(model, said)
    if damage is None:
        of_damage = files.DamagedFile if said.get("files") else (FileNotFoundError, ValueError,
                                                                 TypeError, KeyError)
        try:
            return config, load(model)
        except of_damage as error:
            damage = " ".join(str(error).split())
    if trained_step(directory) == config["steps"]:
        way_out = ("Run the training command again: it makes the model from the last checkpoint.")
    else:
        way_out = ("There is no intact checkpoint to make it from. Restore a copy, or train again "
                   "in another run_dir.")
    raise RunError(f"{model} is damaged ({damage}). {way_out}")


def model_digest(directory: str | os.PathLike) -> str:
    """A digest that identifies the model of a run."""
    return hashlib.sha256(
        json.dumps(_digests(os.path.join(directory, "model")),
                   sort_keys=True).encode()).hexdigest()


def _digests(model):
    """Digests of the files of a model, except the copy of the manifest, by relative path."""
    found = {}
    for folder, _, names in os.walk(model):
        for name, digest in files.digests(os.path.join(folder, name) for name in names).items():
            found[os.path.relpath(os.path.join(folder, name), model)] = digest
    found.pop(_COPY, None)
    return found


def _damage(model, said):
    """The fault of a model by its stored digests, in words; `None` without a fault."""
    try:
        now = _digests(model)
    except OSError as error:
        return str(error)
    for name, digest in (said.get("files") or {}).items():
        if now.get(name) != digest:
            return f"{name} is missing" if name not in now else f"{name} has changed"
    return None if now else "it is empty"


def versions() -> dict[str, str]:
    """Versions of the software behind the results."""
    found = {"python": platform.python_version(), "tensorflow": tf.__version__,
             "keras": _keras.VERSION, "numpy": np.__version__}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["tensorflow-compression"] = importlib.metadata.version("tensorflow-compression")
    return found
