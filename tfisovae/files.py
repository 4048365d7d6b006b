"""Files and directories that are written whole or not at all, and JSON: the package writes what it
writes by these.
"""
import contextlib
import errno
import hashlib
import json
import math
import os
import re
import shutil
import socket
import tempfile
import time

import numpy as np

_TEMPORARY = re.compile(r"\.(?P<name>.+)\.writing-(?P<host>[\w.]+)-(?P<pid>\d+)-\w+", re.DOTALL)
_BEFORE = "before"  # what is replaced, for the moment between two renames
_FOREIGN_AGE = 24 * 3600  # seconds after which what another host was writing counts as left over
# Which file managers leave in a directory that is empty else.
OF_DESKTOPS = frozenset({".DS_Store", "desktop.ini", ".directory"})
_ours = set()  # what this process is writing


class DamagedFile(ValueError):
    """A file that is not what it should be; the message names it."""


@contextlib.contextmanager
def replacing(path, mode="w", **kwargs):
    """Opens a new file that takes the place of `path` when the block ends, so that a reader, or a
    crash, finds one of them whole.

    The new file has a name of its own until then, and is removed where the block fails.

    Raises:
      ValueError: if `path` is empty.
    """
    _check_named(path)
    directory, name = os.path.split(os.path.abspath(os.fspath(path)))
    handle, temporary = tempfile.mkstemp(prefix=_prefix(name), dir=directory)
    _ours.add(temporary)
    try:
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's own is for the owner alone
        with open(handle, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    finally:
        _ours.discard(temporary)


@contextlib.contextmanager
def replacing_directory(path, durable=True):
    """Gives the name of a new directory, to be made by the block, that takes the place of `path`
    when the block ends.

    Every file in it is waited for until it is on the disk, which takes milliseconds a file;
    `durable=False` leaves that to the system, for thousands of files that can be made again.
    Directories above it are made where they are missing.

    A directory that was at `path` stays until the new one is whole and on the disk. Between the two
    renames that exchange them there is none of that name; `sweep` puts the former one back where a
    process died just there.

    Raises:
      ValueError: if `path` is empty.
    """
    _check_named(path)
    directory, name = os.path.split(os.path.abspath(os.fspath(path)))
    os.makedirs(directory, exist_ok=True)
    path, temporary = os.path.join(directory, name), tempfile.mkdtemp(prefix=_prefix(name),
                                                                      dir=directory)
    _ours.add(temporary)
    new, before = os.path.join(temporary, "new"), os.path.join(temporary, _BEFORE)
    try:
        yield new
        for folder, _, names in os.walk(new, topdown=False):
            for entry in (*(os.path.join(folder, entry)
                            for entry in names), folder) if durable else ():
                to_disk(entry)
        if os.path.lexists(path):
            os.rename(path, before)
        os.rename(new, path)
        to_disk(directory)
    finally:
        _put_back(temporary, path)
        shutil.rmtree(temporary, ignore_errors=True)
        _ours.discard(temporary)


def link(path, new):
    """Gives a file, or all files of a directory, a second name `new`; where the file system has no
    links, copies them.
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


def is_empty(path):
    """Whether a directory holds nothing but what file managers leave in one."""
    return OF_DESKTOPS.issuperset(os.listdir(path))


def remove(path):
    """Removes a file, where there is one."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _check_named(path):
    """An empty name would be the current directory's own, which would be replaced with all that it
    holds.
    """
    if not os.fspath(path):
        raise ValueError("The name of what is to be written is empty; give one.")


def _put_back(temporary, path):
    """Gives a directory its name again, where the one that was to replace it never got it."""
    before = os.path.join(temporary, _BEFORE)
    if os.path.lexists(before) and not os.path.lexists(path):
        os.rename(before, path)


def sweep(directory):
    """Removes what processes that are gone were writing in a directory, and puts back what they
    were about to replace.
    """
    directory = os.path.abspath(os.fspath(directory))
    for entry in os.listdir(directory) if os.path.isdir(directory) else ():
        found, temporary = _TEMPORARY.fullmatch(entry), os.path.join(directory, entry)
        if found and _is_left_over(temporary, found["host"], int(found["pid"])):
            # Of a directory that may only be read, or another process was faster.
            with contextlib.suppress(OSError):
                _put_back(temporary, os.path.join(directory, found["name"]))
                if os.path.isdir(temporary):
                    shutil.rmtree(temporary)
                else:
                    os.unlink(temporary)


def is_temporary(name):
    """Whether a file of this name is one that `replacing` and `replacing_directory` make before
    they rename it.
    """
    return bool(_TEMPORARY.fullmatch(name))


def _prefix(name):
    return f".{name}.writing-{_host()}-{os.getpid()}-"


def _host():
    return re.sub(r"[^\w.]", "_", socket.gethostname())


def _is_left_over(path, host, pid):
    """Whether the process that was writing `path` is gone; of another host, whether it has not
    written for a day.
    """
    if host == _host():
        # Process numbers come again.
        return not is_alive(pid) if pid != os.getpid() else path not in _ours
    try:
        return time.time() - os.lstat(path).st_mtime > _FOREIGN_AGE
    except OSError:
        return False


def is_alive(pid):
    """Whether a process of this host lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def to_disk(path):
    """Waits until what was written to a file, or the names in a directory, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # File systems that do not do this for directories.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(handle)


def digests(paths):
    """`{name: SHA-256}` of files, hexadecimal."""
    found = {}
    for path in paths:
        with open(path, "rb") as file:
            found[os.path.basename(path)] = hashlib.sha256(file.read()).hexdigest()
    return found


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask

def write_text(path, text):
    """Writes text, whole or not at all."""
    with replacing(path, encoding="utf-8") as file:
        file.write(text)


def write_json(path, values, digits=7):
    """Writes a dict as JSON, one entry to a line.

    Args:
      path: of the file.
      values: what JSON holds, and NumPy's arrays and numbers. What is not finite becomes `null`.
      digits: significant digits of floating-point numbers; `None` keeps all.
    """
    lines = [
        f" {json.dumps(str(key))}: {json.dumps(plain(value, digits), allow_nan=False)}"
        for key, value in values.items()
    ]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def plain(value, digits=None):
    """A value as JSON holds it: lists for NumPy's arrays, `None` for numbers that are not finite,
    floats of so many digits.
    """
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


def read_json(path, way_out="Make it again with the command that wrote it."):
    """The dict that a JSON file holds.

    Raises:
      FileNotFoundError: if there is none.
      DamagedFile: if it is no whole JSON, or holds something else; `way_out` ends the message.
    """
    with open(path, encoding="utf-8") as file:
        try:
            values = json.load(file)
        except (ValueError, RecursionError) as error:
            raise DamagedFile(f"{path} is no whole JSON file ({error}). {way_out}") from None
    if not isinstance(values, dict):
        raise DamagedFile(f"{path} holds no JSON object, but a {type(values).__name__}. {way_out}")
    return values
