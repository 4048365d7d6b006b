"""Reads files by their content, whatever their name. Errors of damaged files become one line that
names the file.
"""
import contextlib
import gzip
import io
import os
import warnings
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

import numpy as np

_GZIP = b"\x1f\x8b"


class TextColumn(ValueError):
    """A column of a table holds text where numbers are needed."""


@contextlib.contextmanager
def naming(path: str | os.PathLike, kind: str) -> Iterator[None]:
    """Turns every exception of a library about a damaged file into a `ValueError` of one line.

    A random byte in a file makes NumPy, zipfile, pandas and pyarrow raise far more than they
    document: `zlib.error`, `tokenize.TokenError`, `NotImplementedError`, `MemoryError` of an absurd
    shape, ... Only calls of such libraries belong inside.

    Args:
      path: the file, as the user knows it.
      kind: what it should be: ".npz", "CSV".

    Raises:
      ValueError: instead of any `Exception`.
    """
    try:
        with warnings.catch_warnings():
            # A damaged header that is half Python warns before it fails.
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, MemoryError):
            reason = "it needs more memory than there is; the file may be damaged"
        reason = reason if len(reason) <= 200 else reason[:200] + "..."
        raise ValueError(f"{path} cannot be read as {kind}: {reason.rstrip('.')}.") from None


def first_bytes(path: str | os.PathLike, count: int) -> bytes:
    """The first bytes of a file, after unpacking gzip.

    Raises:
      ValueError: if the file cannot be opened, or is gzip and damaged at once.
    """
    with opened(path) as file, naming(path, "gzip"):
        return file.read(count)


def packed(path: str | os.PathLike) -> bool:
    """Whether a file is gzip, by its first bytes."""
    with naming(path, "a file"), open(path, "rb") as file:
        return file.read(2) == _GZIP


def opened(path: str | os.PathLike) -> BinaryIO | gzip.GzipFile:
    """The file, open to read bytes. Gzip is unpacked under any name.

    Raises:
      ValueError: if the file does not exist or cannot be read.
    """
    if not os.path.isfile(path):
        raise ValueError(f"File not found: {path}.")
    return gzip.open(path, "rb") if packed(path) else open(path, "rb")


def read(path: str | os.PathLike) -> bytes:
    """All bytes of a file, after unpacking gzip.

    Raises:
      ValueError: if it is not a file, or is damaged gzip.
    """
    with opened(path) as file, naming(path,
                                      "gzip" if isinstance(file, gzip.GzipFile) else "a file"):
        return file.read()


def npy(path: str | os.PathLike) -> np.ndarray:
    """The array of a `.npy` file.

    Raises:
      ValueError: if it is damaged, or holds Python objects. These are not loaded, since they may
        run any code.
    """
    with whole(path) as file, naming(path, ".npy"):
        return _array(file)


def npz(path: str | os.PathLike, choose: Callable[[list[str]], list[str]]) -> dict[str, np.ndarray]:
    """Chosen arrays of a `.npz` file.

    Args:
      path: the file.
      choose: function from the names of all arrays to the chosen ones; raises `ValueError` if they
        are missing.

    Returns:
      A dict of arrays, in the chosen order.

    Raises:
      ValueError: if it is damaged, or holds Python objects.
    """
    with whole(path) as file:
        with naming(path, ".npz"):
            archive = zipfile.ZipFile(file)
            entries = {name.removesuffix(".npy"): name for name in archive.namelist()}
        wanted = choose(list(entries))
        arrays = {}
        for name in wanted:
            with naming(path, f".npz (array {name!r})"), archive.open(entries[name]) as entry:
                arrays[name] = _array(entry)
        return arrays


def whole(path: str | os.PathLike) -> BinaryIO:
    """As `opened`, with gzip unpacked into memory, for formats that are read from their end."""
    file = opened(path)
    if isinstance(file, gzip.GzipFile):
        file.close()
        file = io.BytesIO(read(path))
    return file


def _array(file):
    array = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):  # in a .npz, this byte makes zipfile compare the checksum too
        raise ValueError(
            f"it continues after its array {array.dtype} {list(array.shape)}; the header may be "
            "damaged"
        )
    return array
