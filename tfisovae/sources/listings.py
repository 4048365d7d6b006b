"""Lists of image files: a directory, a zip file, or a data set of TFDS.

A listing has a length, a name (`str`), a cache key, and yields `(name, open_file)` in the order of
the names.
"""
import io
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from typing import BinaryIO

from tfisovae import files
from tfisovae.sources import decoding, prepared

# Version of the decoding of files: which are left out, orientation, bits, transparency, crop,
# filter.
_VERSION = "2"
_TFDS_VERSION = "1"  # of the decoding of CelebA: upright, opaque, 8 bits
_LARGEST = 2 ** 28  # limit in bytes for an image in a zip file
_LARGE = 2 ** 26  # larger members (bytes) are in memory one at a time
_ONE_LARGE = threading.Lock()
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_THREE_OTHER_WAYS = (
    "Give the images in another form: data=DIRECTORY with the image files, "
    "data=img_align_celeba.zip (any .zip of images), or data=faces for faces drawn by this "
    "package.")


def open_listing(data: str,
                 data_dir: str | os.PathLike | None = None) -> "Prepared | Directory | Zip":
    """The listing of "celeb_a", a directory or a zip file. For anything else, ValueError describes
    `data`.
    """
    if data == "celeb_a":
        return Prepared(data_dir)
    path = os.path.expanduser(data)
    if os.path.isdir(path):
        return Directory(path)
    if not os.path.exists(path):
        raise ValueError(
            f"Unknown data {data!r}: use 'celeb_a', 'faces', a directory of images, or a .zip of "
            "images. No file or directory has this name.")
    if not os.path.isfile(path):
        raise ValueError(f"{path} is neither a directory nor a zip file of images.")
    if zipfile.is_zipfile(path):
        return Zip(path)
    with open(path, "rb") as file:
        kind = decoding.recognised(file.read(4096))
    if kind is None:
        raise ValueError(f"{path} is neither a directory nor a zip file of images.")
    if kind.startswith("an HTML page"):
        raise ValueError(
            f"{path} is {kind}, not a zip file. The server sent a page instead of the data, for "
            "example since its quota is used up. Download it again later, or with a browser.")
    if kind == "a zip file":
        raise ValueError(
            f"{path} is an incomplete zip file: its end is missing. Download or copy it again."
        )
    raise ValueError(f"{path} is {kind}, not a directory or a zip file of images." + (
        " Unpack it, and give the directory." if is_archive(kind) else ""))


def is_archive(kind: str | None) -> bool:
    """Whether a file kind of `decoding.recognised` may hold images."""
    return kind is not None and kind.endswith((" file", " archive")) and kind != "an empty file"


def _hidden(name):
    return any(part.startswith(".") for part in name.replace("\\", "/").split("/"))


class Directory:
    """The files of a directory and its subdirectories, without hidden ones. It follows links, each
    directory once.

    Args:
      path: of the directory.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.files = dict(
            sorted((os.fsencode(name).decode("utf-8", "backslashreplace"), name)
                   for name in _walk(path)))
        if not self.files:
            raise ValueError(f"The directory {path} is empty: it should hold image files.")

    def __len__(self) -> int:
        return len(self.files)

    def __str__(self) -> str:
        return os.path.abspath(self.path)

    def __iter__(self) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
        for shown, name in self.files.items():
            yield shown, lambda name=name: open(os.path.join(self.path, name), "rb")

    def key(self) -> str:
        stamps = (f"{shown} {self._stamp(name)}" for shown, name in self.files.items())
        return files.cache_key(_VERSION, *stamps)

    def _stamp(self, name):
        try:
            status = os.stat(os.path.join(self.path, name))
        except OSError as error:  # a broken link, which will be unreadable
            return type(error).__name__
        return f"{status.st_size} {status.st_mtime_ns}"


def _walk(root):
    """Relative paths of files under `root`: real directories first, then the targets of links."""
    seen, linked, folders = set(), [], [""]
    while folders or linked:
        folder = folders.pop() if folders else linked.pop(0)
        status = os.stat(os.path.join(root, folder))
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(os.path.join(root, folder)) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if _hidden(entry.name):
                    continue
                name = os.path.join(folder, entry.name)
                if entry.is_symlink() and not os.path.exists(entry.path):
                    yield name  # a broken link, which will be unreadable
                elif entry.is_dir():
                    (linked if entry.is_symlink() else folders).append(name)
                elif entry.is_file():  # no pipe, which would wait forever, and no device
                    yield name


class Zip:
    """The members of a zip file, without hidden ones and those that macOS adds.

    Args:
      path: of the file.

    Raises:
      ValueError: for a damaged, encrypted or empty file, or if a member points outside of it.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self.file = zipfile.ZipFile(path)
        except OSError:
            raise
        except Exception as error:  # of zipfile's many kinds
            raise ValueError(f"{path} is not a complete zip file: "
                             f"{decoding.one_line(error)}.") from None
        members = [m for m in self.file.infolist() if not m.filename.endswith("/")]
        for member in members:
            parts = member.filename.replace("\\", "/").split("/")
            if ".." in parts or parts[0] == "" or ":" in parts[0]:
                raise ValueError(
                    f"{path} has the member {member.filename!r}, which points outside of the "
                    "archive. Such files are refused."
                )
        self.members = [m for m in sorted(members, key=lambda m: m.filename)
                        if not _hidden(m.filename) and not m.filename.startswith("__MACOSX/")]
        if not self.members:
            raise ValueError(f"The zip file {path} holds no files.")
        if any(m.flag_bits & 0x41 for m in self.members):  # encrypted, with strong encryption too
            raise ValueError(
                f"{path} is encrypted. Unpack it with its password, and give the directory.")
        if any(m.compress_type not in _METHODS for m in self.members):
            raise ValueError(
                f"{path} uses a compression that Python cannot read (such as Deflate64). Unpack "
                "it, and give the directory.")

    def __len__(self) -> int:
        return len(self.members)

    def __str__(self) -> str:
        return os.path.abspath(self.path)

    def __iter__(self) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
        for member in self.members:
            yield member.filename, lambda member=member: self._open(member)

    def _open(self, member):
        if member.file_size <= _LARGE:
            return io.BytesIO(self.file.read(member))
        if not decoding.is_image_name(member.filename):  # its first bytes show its type
            with self.file.open(member) as file:
                return io.BytesIO(file.read(4096))
        if member.file_size > _LARGEST:
            raise ValueError(f"it has {member.file_size:,} bytes; the limit for an image is "
                             f"{_LARGEST:,}")
        return _OneAtATime(self.file, member)

    def key(self) -> str:
        return files.cache_key(_VERSION,
                               *(f"{m.filename} {m.file_size} {m.CRC}" for m in self.members))


class _OneAtATime(io.BytesIO):
    """A large member, unpacked. All others wait until it is closed."""

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> None:
        _ONE_LARGE.acquire()
        self._held = True
        try:
            super().__init__(archive.read(member))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        super().close()
        if self._held:
            self._held = False
            _ONE_LARGE.release()


class Prepared:
    """TFDS' `celeb_a`: prepared data at once, otherwise its download.

    Args:
      data_dir: TFDS' own directory; its default if `None`.
    """

    def __init__(self, data_dir: str | os.PathLike | None) -> None:
        self.builder = prepared.builder("celeb_a", data_dir, _THREE_OTHER_WAYS)
        self.splits = sorted(self.builder.info.splits)

    def __len__(self) -> int:
        return sum(self.builder.info.splits[split].num_examples for split in self.splits)

    def __str__(self) -> str:
        return str(self.builder.info.full_name)

    def __iter__(self) -> Iterator[tuple[str, Callable[[], BinaryIO]]]:
        import tensorflow_datasets as tfds

        for split in self.splits:
            decoders = {"image": tfds.decode.SkipDecoding()}
            for i, example in enumerate(
                    self.builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)):
                yield f"{split}/{i:06d}", lambda image=example["image"]: io.BytesIO(image.numpy())

    def key(self) -> str:
        return files.cache_key(_TFDS_VERSION, str(self), str(len(self)))
