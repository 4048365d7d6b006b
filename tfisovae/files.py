"""Writes files and directories completely or not at all. Also locks, JSON, and the cache directory.

A file or a directory is written in a directory of its own, `.NAME.writing-TOKEN`, and then renamed.
After a crash it is there completely or not at all. The writer holds the lock
`.NAME.writing-TOKEN.lock` meanwhile. `sweep` removes the remains of dead writers: everything that
it can lock.
"""
import contextlib
import enum
import errno
import hashlib
import json
import math
import os
import re
import secrets
import shutil
import socket
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, TypeVar

import filelock
import numpy as np
import platformdirs
import tqdm

# Older versions wrote host and process number in place of the token, and held no lock.
_TEMPORARY = re.compile(
    r"(?P<temporary>(?:\.(?P<name>.+)|[0-9a-f]{20})\.writing-(?:[0-9a-f]{16}|[\w.]+-\d+-\w+))"
    r"(?:\.lock(?:\.owner)?)?", re.DOTALL)
_BEFORE = "before"  # the former directory, between the two renames that exchange it
_DAY = 24 * 3600  # seconds until `sweep` removes a directory of an older version, which has no lock
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
_KEY_DIGITS = 20  # digits of a cache entry's name, out of the 64 of its key
# File managers leave these in a directory that is empty otherwise.
OF_DESKTOPS = frozenset({".DS_Store", "desktop.ini", ".directory"})

_Path = str | os.PathLike
_Result = TypeVar("_Result")


class DamagedFile(ValueError):
    """A file is damaged or of another kind; the message names it."""


class Held(OSError):
    """Another process holds the lock; the message says which one, if it is known."""


def this_process() -> str:
    """The `holder` of a `Lock`: this process, in words."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class Lock:
    """A lock that this process holds until `release`, or until the process ends.

    The kernel releases it when the process ends. On a file system without locks, the file
    `<path>.owner` is the lock instead. Such a file survives a kill -9; the next process removes it
    if it can see that its owner, on the same host and in the same container, has ended.

    Args:
      path: of the lock file, which stays after `release`.
      wait: whether to wait while another process holds the lock.
      holder: what to write into the file, for the message of `Held`.

    Attributes:
      owner: path of the file that is the lock, on a file system without locks; else None.

    Raises:
      Held: if another process holds the lock.
      OSError: if the file cannot be made.
    """

    def __init__(self, path: _Path, wait: bool = False, holder: str | None = None) -> None:
        self._path, self.owner = os.fspath(path), None
        try:
            self._take(filelock.FileLock(self._path, fallback_to_soft=False, thread_local=False),
                       -1 if wait else 0)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            self.owner = f"{self._path}.owner"
            # The first try removes the file of a dead owner; the next takes the lock.
            self._take(filelock.SoftFileLock(self.owner, thread_local=False), -1 if wait else 0.2)
        if holder:
            try:
                with open(self._path, "w", encoding="utf-8") as file:
                    file.write(holder)
            except BaseException:
                self.release()
                raise

    def _take(self, lock, timeout):
        try:
            lock.acquire(timeout)
        except filelock.Timeout:
            by = "another process"
            with contextlib.suppress(OSError, UnicodeDecodeError), \
                    open(self._path, encoding="utf-8") as file:
                by = file.read() or by
            way_out = f"; if it has ended, remove {self.owner}" if self.owner else ""
            raise Held(f"{by}{way_out}") from None
        self._lock = lock

    def release(self) -> None:
        self._lock.release()

    def remove(self) -> None:
        """Removes the lock's file, and releases the lock."""
        remove(self._path)
        self.release()


@contextlib.contextmanager
def replacing(path: _Path, mode: str = "w", **kwargs: Any) -> Iterator[IO]:
    """Opens a new file, which replaces `path` when the block ends.

    If the block fails, nothing has changed. The new file has the mode of the one before. A symbolic
    link stays, and the file that it leads to is replaced.

    Raises:
      ValueError: if `path` is empty.
    """
    with _unfinished(os.path.realpath(path) if os.path.islink(path) else path) as (temporary, path):
        new = os.path.join(temporary, "new")
        with open(new, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):
            os.chmod(new, stat.S_IMODE(os.stat(path).st_mode))
        os.replace(new, path)


@contextlib.contextmanager
def replacing_directory(path: _Path, durable: bool = True,
                        full: bool = True) -> Iterator[str]:
    """Yields the name of a new directory, which replaces `path` when the block ends.

    Missing directories above it are made. The former directory stays until the new one is complete
    and on the disk. Two renames exchange them. If a process dies between the two, `sweep` puts the
    former one back.

    Args:
      path: of the directory.
      durable: whether to wait until every file is on the disk, which takes milliseconds per file.
        Use `False` for thousands of files that can be made again.
      full: whether a directory with files in it may be replaced.

    Raises:
      ValueError: if `path` is empty.
      FileExistsError: without `full`, if another process has filled the directory in the meantime.
    """
    with _unfinished(path, make_parents=True) as (temporary, path):
        new = os.path.join(temporary, "new")
        yield new
        for folder, _, names in os.walk(new, topdown=False) if durable else ():
            for entry in (*(os.path.join(folder, name) for name in names), folder):
                to_disk(entry)
        if full:
            _exchange(new, path, os.path.join(temporary, _BEFORE))
        else:
            _into_empty(new, path)
        to_disk(os.path.dirname(path))


def _exchange(new, path, before):
    """Renames `path` to `before`, and `new` to `path`. If another process does the same at once,
    the last one stays.
    """
    while True:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, before)
        try:
            os.rename(new, path)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        shutil.rmtree(before, ignore_errors=True)  # another process has already replaced it


def _into_empty(new, path):
    """Renames a directory to `path`, which must be missing or an empty directory."""
    try:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(path) if is_empty(path) else ():
                remove(os.path.join(path, name))  # files of file managers
            os.rmdir(path)
        os.rename(new, path)
    except OSError as error:
        if not os.path.lexists(path):
            raise
        raise FileExistsError(
            f"{path} was filled by another process in the meantime and is unchanged. Give another "
            "name.") from error


@contextlib.contextmanager
def _unfinished(path, make_parents=False):
    """A new directory next to `path`, and the absolute `path`. No other process removes it in the
    block.
    """
    if not os.fspath(path):  # it would mean the current directory and all its content
        raise ValueError("The name of the output is empty. Give a name.")
    path = os.path.abspath(os.fspath(path))
    directory, name = os.path.split(path)
    if make_parents:
        os.makedirs(directory, exist_ok=True)
    os.stat(directory)  # FileNotFoundError; filelock would make it
    temporary = os.path.join(directory, f".{name}.writing-{secrets.token_hex(8)}")
    lock = Lock(f"{temporary}.lock", wait=True)
    try:
        os.mkdir(temporary, 0o700)
        yield temporary, path
    finally:
        _discard(temporary, path, lock)


def _discard(temporary, path, lock):
    """Removes unfinished output and its lock. Gives the former directory its name back, if the new
    one never got it.
    """
    before = os.path.join(temporary, _BEFORE)
    try:
        if os.path.lexists(before) and not os.path.lexists(path):
            os.rename(before, path)
        if os.path.isdir(temporary):
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            remove(temporary)
        if not os.path.lexists(temporary):
            lock.remove()
    finally:
        lock.release()


def sweep(directory: _Path) -> None:
    """Removes the unfinished output of dead processes in a directory, and puts back directories
    that they were replacing. It touches only entries that it can lock.
    """
    directory = os.path.abspath(os.fspath(directory))
    names = os.listdir(directory) if os.path.isdir(directory) else ()
    found = filter(None, map(_TEMPORARY.fullmatch, names))
    for temporary, name in {(match["temporary"], match["name"]) for match in found}:
        path = os.path.join(directory, temporary)
        # It may belong to someone else, or another process holds it or was faster.
        with contextlib.suppress(OSError):
            if not os.path.lexists(f"{path}.lock") and time.time() - os.lstat(path).st_mtime < _DAY:
                continue
            _discard(path, os.path.join(directory, name or temporary), Lock(f"{path}.lock"))


def is_temporary(name: str) -> bool:
    """Whether a file of this name belongs to unfinished output."""
    return bool(_TEMPORARY.fullmatch(name))


def cache_directory(path: _Path | None = None) -> str:
    """The directory of the cache: `path`, `$TFISOVAE_CACHE`, or the user's cache directory (on
    Linux `~/.cache/tfisovae`).
    """
    found = os.path.expanduser(path or os.environ.get("TFISOVAE_CACHE")
                               or platformdirs.user_cache_dir("tfisovae", appauthor=False))
    if found.startswith("~"):
        raise ValueError(
            f"cache_dir {found} cannot be used: this user has no home directory. Set cache_dir or "
            "TFISOVAE_CACHE to a directory that can be written.")
    return found


def cache_key(*parts: str) -> str:
    """A key of 64 digits from strings."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def cached(key: str, directory: _Path, write: Callable[[str], object],
           read: Callable[[str], _Result]) -> _Result:
    """Reads an entry of a cache. A missing or damaged entry is made first.

    Args:
      key: of the entry.
      directory: of the cache.
      write: `write(path)` fills the empty directory `path`.
      read: `read(path)` gives the result, or raises `DamagedFile`.
    """
    sweep(directory)
    path = os.path.join(directory, key[:_KEY_DIGITS])
    if os.path.lexists(path):
        try:
            return read(path)
        except DamagedFile as error:
            tqdm.tqdm.write(f"The cache entry {path} is damaged ({error}). It is made again.")
            # Another process may have moved it already.
            with _unfinished(path) as (away, _), contextlib.suppress(FileNotFoundError):
                os.rename(path, os.path.join(away, "damaged"))
    try:
        os.makedirs(directory, exist_ok=True)
        if not os.access(directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise type(error)(
            f"The cache {directory} cannot be written ({error.strerror}). Give cache_dir, the name "
            "of a directory that can be written, or set TFISOVAE_CACHE.") from error
    with _unfinished(path) as (temporary, _):
        new = os.path.join(temporary, "new")
        os.mkdir(new)
        write(new)
        try:
            os.rename(new, path)
        except OSError:  # another process was faster
            if not os.path.exists(path):
                raise
    return read(path)


def link(path: _Path, new: _Path) -> None:
    """Gives a file, or all files of a directory, a second name `new`. Copies them on a file system
    without links.
    """
    def one(source, target):
        try:
            os.link(source, target)
        except OSError:
            shutil.copy2(source, target)

    if os.path.isdir(path):
        shutil.copytree(path, new, copy_function=one)
    else:
        one(path, new)


def is_empty(path: _Path) -> bool:
    """Whether a directory is empty, except for files of file managers."""
    return OF_DESKTOPS.issuperset(os.listdir(path))


def remove(path: _Path) -> None:
    """Removes a file, if there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def to_disk(path: _Path) -> None:
    """Waits until a file's content, or a directory's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot do this for directories.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def digests(paths: Iterable[_Path]) -> dict[str, str]:
    """`{name: SHA-256}` of files, hexadecimal."""
    found = {}
    for path in paths:
        with open(path, "rb") as file:
            found[os.path.basename(path)] = hashlib.sha256(file.read()).hexdigest()
    return found


def write_text(path: _Path, text: str) -> None:
    """Writes text, completely or not at all."""
    with replacing(path, encoding="utf-8") as file:
        file.write(text)


def write_json(path: _Path, values: Mapping[str, Any], digits: int | None = 7) -> None:
    """Writes a dict as JSON, one entry per line.

    Args:
      path: of the file.
      values: JSON values, and arrays and numbers of NumPy. NaN and infinity become `null`.
      digits: significant digits of floating-point numbers; `None` keeps all.
    """
    lines = [
        f" {json.dumps(str(key))}: {json.dumps(plain(value, digits), allow_nan=False)}"
        for key, value in values.items()
    ]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def plain(value: Any, digits: int | None = None) -> Any:
    """A value for JSON: lists for arrays, values for members of enumerations, `None` for NaN and
    infinity. Floats are rounded to `digits` significant digits.
    """
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): plain(entry, digits) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry, digits) for entry in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return value if digits is None else float(f"{value:.{digits}g}")
    return value


def read_json(path: _Path,
              way_out: str = "Make it again with the command that wrote it.") -> dict[str, Any]:
    """The dict that a JSON file holds.

    Raises:
      FileNotFoundError: if there is none.
      DamagedFile: if it is not complete JSON, or not an object; `way_out` ends the message.
    """
    with open(path, encoding="utf-8") as file:
        try:
            values = json.load(file)
        except (ValueError, RecursionError) as error:
            raise DamagedFile(f"{path} is not a complete JSON file ({error}). {way_out}") from None
    if not isinstance(values, dict):
        raise DamagedFile(f"{path} must hold a JSON object; it holds a {type(values).__name__}. "
                          f"{way_out}")
    return values
