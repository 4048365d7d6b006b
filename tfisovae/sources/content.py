"""What a file holds, whatever its name says; what a damaged one raises, in one line that names it.
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


@contextlib.contextmanager
def naming(path: str | os.PathLike, kind: str) -> Iterator[None]:
    """Turns whatever a library raises of a damaged file into a `ValueError` of one line.

    A random byte in a file makes NumPy, zipfile, pandas and pyarrow raise far more than they
    document: `zlib.error`, `tokenize.TokenError`, `NotImplementedError`, `MemoryError` of an absurd
    shape, ... Only calls of such libraries belong inside: an error of ours is no damage.

    Args:
      path: the file, as the user knows it.
      kind: what it should be: ".npz", "CSV".
    Raises:
      ValueError: in place of any `Exception`.
    """
    try:
        with warnings.catch_warnings():
            # A damaged header that is half Python warns before it fails.
            warnings.simplefilter("ignore")
            yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        if isinstance(error, MemoryError):
            reason = "it asks for more memory than there is; a damaged file may do so"
        reason = reason if len(reason) <= 200 else reason[:200] + "..."
        raise ValueError(f"{path} cannot be read as {kind}: {reason.rstrip('.')}.") from None


def first_bytes(path: str | os.PathLike, count: int) -> bytes:
    """The first bytes of what a file holds, behind gzip where it is gzip.

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
    """The file, open to read bytes; behind gzip where its first bytes say so, under any name.

    Raises:
      ValueError: if there is no such file, or it may not be read.
    """
    if not os.path.isfile(path):
        raise ValueError(f"There is no file {path}.")
    return gzip.open(path, "rb") if packed(path) else open(path, "rb")


def read(path: str | os.PathLike) -> bytes:
    """All bytes that a file holds, unpacked where they are gzip.

    Raises:
      ValueError: if it is no file, or is gzip and damaged.
    """
    with opened(path) as file, naming(path,
                                      "gzip" if isinstance(file, gzip.GzipFile) else "a file"):
        return file.read()


def npy(path: str | os.PathLike) -> np.ndarray:
    """The array of a `.npy` file.

    Raises:
      ValueError: if it is damaged, or holds Python objects, which are not loaded: they may run any
        code.
    """
    with whole(path) as file, naming(path, ".npy"):
        return _array(file)


def npz(path: str | os.PathLike, choose: Callable[[list[str]], list[str]]) -> dict[str, np.ndarray]:
    """Chosen arrays of a `.npz` file.

    Args:
      path: the file.
      choose: from the names of its arrays to those that are wanted; raises `ValueError` itself
        where they are not there.
    Returns:
      A dict of arrays, in the order that was asked for.
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
    """As `opened`, and unpacked into memory where it is gzip, for formats that are read from their
    end.
    """
    file = opened(path)
    if isinstance(file, gzip.GzipFile):
        file.close()
        file = io.BytesIO(read(path))
    return file


def _array(file):
    array = np.lib.format.read_array(file, allow_pickle=False)
    if file.read(1):  # in a .npz, this byte is what makes zipfile compare its checksum, too
        raise ValueError(
            f"it goes on behind its array {array.dtype} {list(array.shape)}, as a damaged header "
            f"makes it"
        )
    return array
