"""Files that are written whole or not at all, and JSON: what every part of the package writes, it writes by these."""
import contextlib
import json
import math
import os
import tempfile

import numpy as np


class DamagedFile(ValueError):
    """A file that is not what it should be; the message names it."""


@contextlib.contextmanager
def replacing(path, mode="w", **kwargs):
    """Opens a new file that takes the place of `path` when the block ends, so that a reader, or a crash, finds one of them whole.

    The new file has a name of its own until then, and is removed where the block fails.
    """
    directory, name = os.path.split(os.path.abspath(os.fspath(path)))
    handle, temporary = tempfile.mkstemp(prefix=f".{name}.writing-{os.getpid()}-", dir=directory)
    try:
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp's own is for the owner alone
        with open(handle, mode, **kwargs) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


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
    lines = [f" {json.dumps(str(key))}: {json.dumps(plain(value, digits), allow_nan=False)}" for key, value in values.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def plain(value, digits=None):
    """A value as JSON holds it: lists for NumPy's arrays, `None` for numbers that are not finite, floats of so many digits."""
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


def read_json(path):
    """What a JSON file holds.

    Raises:
      FileNotFoundError: if there is none.
      DamagedFile: if it is no whole JSON.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise DamagedFile(f"{path} is no whole JSON file ({error}). Make it again with the command that wrote it.") from None
