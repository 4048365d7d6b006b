"""Directories that are made once and kept. Half a one is never seen, and a damaged one is made
anew.

A directory is filled under a name of its own, which holds the host and the process that fills it,
and then renamed. What a process that was killed leaves is removed by the next one on that host.
"""
import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
from collections.abc import Callable
from typing import TypeVar

import tqdm

from tfisovae import files

_LENGTH = 20  # of the name, of the 64 digits of the key
_HOST = re.sub(r"[^\w.]", "_", socket.gethostname())
_ours = set()  # what this process is filling

_Result = TypeVar("_Result")


def key(*parts: str) -> str:
    """A key of 64 digits from strings."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def entry(key: str, cache_dir: str, write: Callable[[str], object],
          read: Callable[[str], _Result]) -> _Result:
    """What `read` gives of an entry, which is made first if it is missing or damaged.

    Args:
      key: of the entry.
      cache_dir: the directory that entries are kept in.
      write: `write(directory)` fills an empty directory.
      read: `read(directory)` gives the result, or raises `files.DamagedFile`.
    """
    sweep(cache_dir)
    path = os.path.join(cache_dir, key[:_LENGTH])
    if os.path.lexists(path):
        try:
            return read(path)
        except files.DamagedFile as error:
            tqdm.tqdm.write(f"The cache entry {path} is damaged ({error}): it is made anew.")
            # Another process may be as far.
            with _temporary(path) as away, contextlib.suppress(FileNotFoundError):
                os.rename(path, os.path.join(away, "damaged"))
    os.makedirs(cache_dir, exist_ok=True)
    with _temporary(path) as directory:
        write(directory)
        try:
            os.rename(directory, path)
        except OSError:  # another process was faster
            if not os.path.exists(path):
                raise
    return read(path)


@contextlib.contextmanager
def _temporary(path):
    """An empty directory beside an entry, removed at the end if it is still there."""
    directory = f"{path}.writing-{_HOST}-{os.getpid()}-{secrets.token_hex(4)}"
    os.mkdir(directory)
    _ours.add(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        _ours.discard(directory)


def sweep(cache_dir: str) -> None:
    """Removes what processes of this host that are gone were filling."""
    try:
        names = os.listdir(cache_dir)
    except OSError:
        return
    for name in names:
        match = re.fullmatch(r"[0-9a-f]{20}\.writing-([\w.]+)-(\d+)-[0-9a-f]+", name)
        if match and match[1] == _HOST:
            path = os.path.join(cache_dir, name)
            # Process numbers come again.
            if path not in _ours and (int(match[2]) == os.getpid() or _gone(int(match[2]))):
                shutil.rmtree(path, ignore_errors=True)


def _gone(pid):
    if os.name != "posix":  # elsewhere, asking would end the process
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
