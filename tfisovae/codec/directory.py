"""A codec on a disk: a directory with its settings as JSON, its arrays, and digests."""
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfisovae import files

VERSION = 1
_SETTINGS, _ARRAYS = "codec.json", "arrays.npz"
_WAY_OUT = "Fit the codec again, or use an intact copy."


def is_codec(path: str | os.PathLike) -> bool:
    """Whether a codec, complete or not, is at `path`."""
    return os.path.exists(os.path.join(path, _SETTINGS))


def write(path: str | os.PathLike, settings: Mapping[str, Any],
          arrays: Mapping[str, np.ndarray]) -> None:
    """Writes both, completely or not at all; an existing codec is replaced.

    Raises:
      FileExistsError: if something else is there.
    """
    if os.path.lexists(path) and not is_codec(path) and not (os.path.isdir(path)
                                                             and files.is_empty(path)):
        raise FileExistsError(
            f"{os.fspath(path)} exists and is not a codec; it is unchanged. Give another directory."
        )
    with files.replacing_directory(path) as new:
        os.makedirs(new)
        np.savez(os.path.join(new, _ARRAYS), **arrays)
        said = {
            "version": VERSION, **settings, "files": files.digests([os.path.join(new, _ARRAYS)])
        }
        files.write_json(os.path.join(new, _SETTINGS), {**said, "digest": _digest(said)},
                         digits=None)


def settings(path: str | os.PathLike) -> dict[str, Any]:
    """The settings at `path`.

    Raises:
      FileNotFoundError: if there are none.
      files.DamagedFile: if they have changed. ValueError: if they have another version.
    """
    name = os.path.join(path, _SETTINGS)
    if not is_codec(path):
        raise FileNotFoundError(f"No codec at {os.fspath(path)}.")
    said = files.read_json(name, _WAY_OUT)
    digest, version = said.pop("digest", None), said.get("version")
    if digest != _digest(said):
        raise files.DamagedFile(f"{name} is not as it was written. {_WAY_OUT}")
    if version != VERSION:
        raise ValueError(
            f"{name} has version {version!r}, but this tfisovae reads version {VERSION}. Use the "
            "version that wrote it, or fit the codec again.")
    return said


def read(path: str | os.PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The settings and the arrays at `path`. Raises the errors of `settings`."""
    said, name = settings(path), os.path.join(path, _ARRAYS)
    try:
        if files.digests([name]) != said["files"]:
            raise files.DamagedFile(f"{name} is not as it was written. {_WAY_OUT}")
    except FileNotFoundError:
        raise files.DamagedFile(f"{name} is missing. {_WAY_OUT}") from None
    with np.load(name, allow_pickle=False) as arrays:
        return said, dict(arrays)


def _digest(said):
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
