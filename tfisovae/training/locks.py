"""A lock on a directory that writing processes share: of the kernel where the file system has one,
else a file of its own.
"""
import contextlib
import errno
import json
import os
import socket
import sys

from tfisovae import files

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Held(OSError):
    """Another process holds the lock; the message says which, as far as it is known."""


class Lock:
    """Held from its making to `close`, or to the end of the process.

    Where the file system knows `flock`, the kernel lets go of it when the process dies. Elsewhere a
    file `<path>.owner` with host and process id stands for it, which the next process on that host
    removes if its process is gone; a warning says so.

    Args:
      path: of the lock file, which stays.
    Raises:
      Held: if another process holds it.
      OSError: if the file cannot be made.
    """

    def __init__(self, path):
        self._owner = None
        self._file = open(path, "a+", encoding="utf-8")
        try:
            if fcntl is None:
                raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _holder(self._file)
            self._file.close()
            raise Held(holder) from None
        except OSError as error:
            self._file.close()
            self._take(f"{path}.owner", error)
            return
        self._file.seek(0)
        self._file.truncate()
        json.dump(_self(), self._file)
        self._file.flush()

    def close(self):
        self._file.close()
        if self._owner:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._owner)
            self._owner = None

    def _take(self, path, error):
        """Takes the lock by a file that is made only where there is none."""
        for _ in range(2):
            try:
                with open(path, "x", encoding="utf-8") as file:
                    json.dump(_self(), file)
            except FileExistsError:
                with open(path, encoding="utf-8") as file:
                    other = _read(file)
                    holder = _holder(file)
                if not (other.get("host") == socket.gethostname()
                        and not files.is_alive(other["pid"])):
                    raise Held(f"{holder}; if it is gone, remove {path}") from None
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
                continue
            self._owner = path
            print(
                f"The file system of {path} has no locks ({error.strerror}): {path} stands for "
                f"one. Start no second command on "
                "this directory while one runs.", file=sys.stderr)
            return
        raise Held("another process, which took it just now")


def _self():
    return {"host": socket.gethostname(), "pid": os.getpid()}


def _read(file):
    """Host and process of a lock file; an empty dict where it says nothing that can be understood.
    """
    try:
        file.seek(0)
        said = json.load(file)
        return said if isinstance(said.get("pid"), int) and isinstance(said.get("host"),
                                                                       str) else {}
    except (ValueError, OSError, AttributeError):
        return {}


def _holder(file):
    said = _read(file)
    return f"process {said['pid']} on {said['host']}" if said else "another process"
