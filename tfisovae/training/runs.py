"""A run directory: its manifest, its lock, and its model.

It holds `config.json` (every option resolved, seeds, versions, fingerprint of the data), `history.csv`, `checkpoints/`,
`tensorboard/` and `model/` (the SavedModel); `eval/*.py` add what they measure and draw.
"""
import fcntl
import importlib.metadata
import json
import os
import platform

import tensorflow as tf

from tfisovae import files
from tfisovae.vae import load

_MAY_CHANGE = ("steps", "epochs", "checkpoint_every", "log_every", "versions")  # without making it another run


class RunError(ValueError):
    """A run that cannot start or go on; the message says why and what to do."""


class Run:
    """A run directory, held by one process at a time.

    Args:
      directory: made if it is missing.
      config: every option of the run, JSON-serialisable; the manifest.
      chief: whether this process writes. The other workers of a multi-worker run share the directory and only read.
    Raises:
      RunError: if the directory belongs to another process now, or holds a run of another configuration.
    """

    def __init__(self, directory, config, chief=True):
        self.directory = os.path.abspath(os.fspath(directory))
        self.config = {**config, "versions": versions()}
        self._lock = None
        if not chief:
            return
        try:
            os.makedirs(self.directory, exist_ok=True)
        except OSError as error:
            raise RunError(f"The run directory {self.directory} cannot be made ({error.strerror}). Choose another "
                           "--run_dir.") from None
        # What a run that died before its manifest leaves is hidden, or the lock.
        others = [name for name in os.listdir(self.directory) if name != "lock" and not name.startswith(".config.json.")]
        if others and not os.path.exists(self.path("config.json")):
            raise RunError(f"{self.directory} is not empty and holds no run (no config.json). Choose another --run_dir.")
        self._lock = open(self.path("lock"), "a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the kernel lets go of it when the process dies
        except OSError:
            self._lock.close()
            raise RunError(f"Another process is writing {self.directory} now. Wait for it, or choose another --run_dir.") from None
        self._write_manifest()

    def path(self, *names):
        return os.path.join(self.directory, *names)

    def close(self):
        if self._lock:
            self._lock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _write_manifest(self):
        if os.path.exists(self.path("config.json")):
            before = load_config(self.directory)
            now = json.loads(json.dumps(self.config))
            differences = [f"  {key}: {before.get(key, '(unset)')!r} there, {now.get(key, '(unset)')!r} here"
                           for key in sorted({*before, *now} - {*_MAY_CHANGE})
                           if before.get(key) != now.get(key)]
            if differences:
                raise RunError("\n".join([f"{self.directory} holds a run of another configuration:", *differences,
                                          "Choose another --run_dir, or remove that one."]))
            trained = trained_step(self.directory)
            if trained > self.config.get("steps", trained):
                raise RunError(f"{self.directory} has been trained to step {trained}; {self.config['steps']} steps end before "
                               "that. Ask for more, or choose another --run_dir.")
        files.write_json(self.path("config.json"), self.config, digits=None)


def load_config(directory):
    """The manifest of a run.

    Raises:
      RunError: if `directory` holds no run.
    """
    try:
        return files.read_json(os.path.join(directory, "config.json"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{directory} holds no run: it has no config.json. A run directory is what train/*.py write.") from None


def trained_step(directory):
    """The step of the latest checkpoint of a run; 0 where there is none."""
    latest = tf.train.latest_checkpoint(os.path.join(directory, "checkpoints"))
    return int(latest.rpartition("-")[2]) if latest else 0


def load_run(directory):
    """The manifest and the trained `VAE` of a run.

    Raises:
      RunError: if there is no run, or its training has not ended.
    """
    config = load_config(directory)
    model = os.path.join(directory, "model")
    if trained_step(directory) not in (0, config["steps"]) or not os.path.exists(model):
        raise RunError(f"{directory} has no model yet: its training has not ended. Give the training command again, and it goes "
                       "on from the last checkpoint.")
    try:
        return config, load(model)
    except tf.errors.OpError as error:
        raise RunError(f"{model} is damaged ({error.message}). Remove it, and give the training command again: it is made anew "
                       "from the last checkpoint.") from None


def versions():
    """Versions of what computes the results."""
    packages = ("tensorflow", "tensorflow-compression", "keras", "numpy")
    return {"python": platform.python_version(), **{name: importlib.metadata.version(name) for name in packages}}
