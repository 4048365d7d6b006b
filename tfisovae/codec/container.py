"""A file of compressed examples: a header that names the model and codec, blocks of codes, an
index, and checksums.

Integers are little-endian, and hashes are the first 16 bytes of SHA-256:

    header      magic (8 bytes), version (u16), hash of the model, hash of the codec, coded
                dimensions (u32), axes of an example (u8), its shape (8 x u32; only these axes
                count), CRC-32 of the whole header
    block       number of examples (u32), length of the code (u32), CRC-32 of these two and the
                block's index; code, CRC-32 of it
    ...         the last block has no examples
    index       length of each code (u32 each)
    footer      start of the index (u64), blocks (u64), examples (u64), SHA-256 of everything
                before it (32 bytes)

A file is written completely or not at all. Writing and reading go block by block, with memory for
one block. `Reader` checks the whole file first, so damaged data are never decoded.
"""
import dataclasses
import hashlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO, NamedTuple

import numpy as np

from tfisovae import files
from tfisovae.progress import bar as progress_bar

MAGIC = b"\x89TFV\r\n\x1a\n"  # transfer as text would change it
VERSION = 1
HASH = 16  # bytes
_MAX_AXES = 8
_START = struct.Struct("<8sH")
_HEADER = struct.Struct(f"<8sH{HASH}s{HASH}sIB{_MAX_AXES}I")
_BLOCK, _CRC, _LENGTH = struct.Struct("<III"), struct.Struct("<I"), struct.Struct("<I")
_NUMBER = struct.Struct("<Q")
_FOOTER = struct.Struct("<QQQ32s")


class ContainerError(ValueError):
    """A file cannot be decoded; the message names it, and says why."""


class NotContainer(ContainerError):
    """It is not a file of compressed examples."""


class OtherVersion(ContainerError):
    """It has another version of the format."""


class Truncated(ContainerError):
    """It ends too early."""


class Altered(ContainerError):
    """Something in it has changed."""


class OtherModel(ContainerError):
    """It belongs to another model."""


class OtherCodec(ContainerError):
    """It belongs to another codec of the same model."""


@dataclasses.dataclass(frozen=True)
class Header:
    """The model and codec of a file.

    Attributes:
      model, codec: hashes, 32 hexadecimal digits each.
      dimensions: how many numbers code an example.
      shape: of one example.
    """

    model: str
    codec: str
    dimensions: int
    shape: tuple[int, ...]

    def pack(self) -> bytes:
        if len(self.shape) > _MAX_AXES:
            raise ValueError(f"shape must have {_MAX_AXES} axes at most; got {list(self.shape)}.")
        padded = (*self.shape, *[0] * (_MAX_AXES - len(self.shape)))
        packed = _HEADER.pack(MAGIC, VERSION, bytes.fromhex(self.model), bytes.fromhex(self.codec),
                              self.dimensions, len(self.shape), *padded)
        return packed + _CRC.pack(zlib.crc32(packed))

    @classmethod
    def unpack(cls, packed: bytes) -> "Header":
        _, _, model, codec, dimensions, axes, *shape = _HEADER.unpack_from(packed)
        return cls(model.hex(), codec.hex(), dimensions, tuple(shape[:axes]))


@dataclasses.dataclass(frozen=True)
class Block:
    """Some examples in one code.

    Attributes:
      first: how many examples come before, in the file.
      count: how many it holds.
      code: bytes.
    """

    first: int
    count: int
    code: bytes


class Written(NamedTuple):
    """Numbers of a written file: examples; bytes of the file and of its codes; mean ideal code
    length by dimension, bits.
    """

    num_examples: int
    size: int
    code_bytes: int
    bits: np.ndarray


class Writer:
    """Writes a container, in a `with` statement. The file appears at the end if there was no error.

    Args:
      path: of the file; an existing file is replaced.
      header: `Header`.

    Attributes:
      num_examples, code_bytes: written so far.
      size: bytes of the whole file, once it is written.
    """

    def __init__(self, path: str | os.PathLike, header: Header) -> None:
        self._replacing, self._header = files.replacing(path, "wb"), header
        self._lengths: list[int] = []
        self._hash = hashlib.sha256()
        self.num_examples = self.code_bytes = self.size = 0

    def __enter__(self) -> "Writer":
        self._file = self._replacing.__enter__()
        self._put(self._header.pack())
        return self

    def write(self, count: int, code: bytes) -> None:
        """Adds the code of the next `count` examples, at least one."""
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        self._block(count, code)
        self._lengths.append(len(code))
        self.num_examples += count
        self.code_bytes += len(code)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._block(0, b"")
                index = self.size
                self._put(b"".join(map(_LENGTH.pack, self._lengths)))
                self._put(
                    _FOOTER.pack(index, len(self._lengths), self.num_examples, self._hash.digest()))
        except BaseException as failure:
            self._replacing.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._replacing.__exit__(kind, error, trace)

    def _block(self, count, code):
        self._put(
            _BLOCK.pack(count, len(code), _check(len(self._lengths), count, len(code))) + code
            + _CRC.pack(zlib.crc32(code)))

    def _put(self, data):
        self._file.write(data)
        self._hash.update(data)
        self.size += len(data)


class Reader:
    """Reads a container, in a `with` statement. Opening checks the whole file.

    Args:
      path: of the file.
      progress: whether to show a progress bar during this check.

    Attributes:
      header: `Header`.
      num_examples, num_blocks, code_bytes, size: of the file.
      sizes: for each block, its stated number of examples and the bytes of its code.

    Raises:
      FileNotFoundError: if there is none.
      NotContainer, OtherVersion, Truncated, Altered: each a `ContainerError`, which is a
        ValueError.
    """

    def __init__(self, path: str | os.PathLike, progress: bool = False) -> None:
        self.path = os.fspath(path)
        if stat.S_ISDIR(mode := os.stat(self.path).st_mode):
            raise NotContainer(f"{self.path} is a directory; a file is needed.")
        if not stat.S_ISREG(mode):  # a pipe would block
            raise NotContainer(
                f"{self.path} is a pipe or a device; a file on a disk is needed. Save it as a file "
                "first."
            )
        self._file: BinaryIO = open(self.path, "rb")
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self._hash = hashlib.sha256()
            with progress_bar(total=self.size, desc="checking", unit="B", unit_scale=True, delay=1,
                              progress=progress) as bar:
                self._bar = bar
                self.header = self._read_header()
                self._look_through()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def blocks(self, first_block: int = 0) -> Iterator[Block]:
        """Yields the blocks in order, starting at this index. Each is checked again.

        Raises:
          Altered, Truncated: if the file has changed since opening.
        """
        start, first = self._places[first_block] if first_block < self.num_blocks else (None, 0)
        if start is None:
            return
        self._file.seek(start)
        for number in range(first_block, self.num_blocks):
            block = self._read_block(number, first)
            yield block
            first += block.count

    def _read_header(self):
        start = self._file.read(_START.size)
        if not start:
            raise Truncated(f"{self.path} is empty.")
        if not MAGIC.startswith(start[:len(MAGIC)]):
            raise NotContainer(
                f"{self.path} is not a file of compressed examples: its first bytes are different.")
        if len(start) == _START.size and (version := _START.unpack(start)[1]) != VERSION:
            raise OtherVersion(
                f"{self.path} has version {version} of the format, but this tfisovae reads version "
                f"{VERSION}. Decompress it with the version of tfisovae that wrote it.")
        self._file.seek(0)
        packed = self._exactly(_HEADER.size + _CRC.size)
        self._hashed(packed)
        if zlib.crc32(packed[:_HEADER.size]) != _CRC.unpack_from(packed, _HEADER.size)[0]:
            raise self._altered("its header has changed")
        return Header.unpack(packed)

    def _look_through(self):
        """Reads everything once, with each check at its place, so that a fault can be named."""
        self._places, self.sizes, first = [], [], 0
        while True:
            place = self._file.tell()
            block = self._read_block(len(self.sizes), first, self._hashed)
            if not block.count:
                break
            self._places.append((place, first))
            self.sizes.append((block.count, len(block.code)))
            first += block.count
        index, lengths = self._file.tell(), [length for _, length in self.sizes]
        written = b"".join(map(_LENGTH.pack, lengths))
        data = self._exactly(len(written) + _FOOTER.size)
        self._hashed(data[:len(written)])
        expected = _FOOTER.pack(index, len(lengths), first, self._hash.digest())
        if data[:len(written)] != written:
            raise self._altered("its index has changed")
        if data[len(written):] != expected:
            raise self._altered("its footer has changed")
        if self._file.read(1):
            raise self._altered(
                f"there is more after its end ({self.size - index - len(data):,} bytes)")
        self.num_blocks, self.num_examples, self.code_bytes = len(lengths), first, sum(lengths)

    def _read_block(self, number, first, seen=lambda data: None):
        head = self._exactly(_BLOCK.size)
        count, length, check = _BLOCK.unpack(head)
        if check != _check(number, count, length):
            raise self._altered(
                f"the head of block {number}, which begins with example {first} (counted from 0), "
                f"is not as it was "
                "written")
        rest = self._exactly(length + _CRC.size)
        code = rest[:length]
        if zlib.crc32(code) != _CRC.unpack_from(rest, length)[0]:
            where = (f"block {number}, examples {first} to {first + count - 1} (counted from 0),"
                     if count else "its last block")
            raise self._altered(f"{where} has changed")
        seen(head + rest)
        return Block(first, count, code)

    def _exactly(self, size):
        if size > self.size - self._file.tell():
            raise self._truncated()
        data = self._file.read(size)
        if len(data) < size:
            raise self._truncated()
        return data

    def _hashed(self, data):
        self._hash.update(data)
        self._bar.update(len(data))

    def _truncated(self):
        return Truncated(
            f"{self.path} is truncated: it ends after {self.size:,} bytes. Use an intact copy."
        )

    def _altered(self, what):
        return Altered(f"{self.path} has been altered: {what}. Use an intact copy.")


def _check(number, count, length):
    return zlib.crc32(_NUMBER.pack(number) + _NUMBER.pack(count) + _NUMBER.pack(length))
