"""Images of faces for the CelebA network: a data set of TFDS, a directory, a zip file, or the faces drawn here.

Whatever the form, images are decoded once into an uint8 file on disk (12,288 bytes an image: 2.5 GB for CelebA), which is
then read row by row through a memory map.
"""
import concurrent.futures
import hashlib
import io
import json
import os
import shutil
import tempfile
import zipfile

import numpy as np
import tqdm
from PIL import Image

from tfisovae.sources import prepared
from tfisovae.sources.faces import faces
from tfisovae.sources.source import Rows, Source, held_out

NAMES = ("celeb_a", "faces")  # what is no path
SIZE = 64
SMALLEST = 11  # the window of SSIM
_VERSION = 1  # of the cache's content: crop, filter, drawing
_TOLERATED = 0.01  # share of files that may be unreadable
_THREE_OTHER_WAYS = (
    "Give the images in another way: --data DIRECTORY with the image files, --data img_align_celeba.zip (any .zip of images), "
    "or --data faces for the faces drawn by this package.")


def load_images(data, cache_dir=None, num_faces=20_000, data_dir=None, progress=True):
    """Opens images as a `Source` of `[64, 64, 3]` uint8 rows, decoding them into the cache if they are not there yet.

    Args:
      data: "celeb_a" (TFDS), a directory, a `.zip` file, or "faces".
      cache_dir: where decoded images are kept; by default `$TFISOVAE_CACHE`, or `~/.cache/tfisovae`.
      num_faces: how many faces to draw for "faces".
      data_dir: TFDS' own directory, for "celeb_a".
      progress: whether to show a progress bar while decoding.
    Raises:
      ValueError: for an unknown name, an empty directory, images below 11 pixels, or more than 1 % unreadable files.
      ConnectionError: if "celeb_a" is neither prepared nor within reach.
    """
    cache_dir = cache_dir or os.environ.get("TFISOVAE_CACHE") or os.path.expanduser("~/.cache/tfisovae")
    if data == "faces":
        return _faces(num_faces, cache_dir, progress)
    if data == "celeb_a":
        listing = _TFDS(data_dir)
    elif os.path.isdir(data):
        listing = _Directory(data)
    elif os.path.isfile(data) and zipfile.is_zipfile(data):
        listing = _Zip(data)
    elif os.path.exists(data):
        raise ValueError(f"{data} is neither a directory nor a zip file of images.")
    else:
        raise ValueError(f"Unknown data {data!r}: there are 'celeb_a', 'faces', a directory of images, or a .zip of images; "
                         "no file or directory of that name exists.")
    path = _cached(listing.key(), cache_dir, lambda directory: _decode_all(listing, directory, progress))
    return _open(path)


def _faces(num_faces, cache_dir, progress):
    key = _hash("faces", str(num_faces), str(_VERSION))

    def write(directory):
        with tqdm.tqdm(total=num_faces, desc="drawing faces", unit=" images", disable=not progress) as bar:
            drawn = faces(num_faces, seed=0, progress=lambda done: bar.update(done - bar.n))
        drawn.images.tofile(os.path.join(directory, "images.uint8"))
        np.save(os.path.join(directory, "factors.npy"), drawn.factors)
        return {"source": "faces", "names": [str(i) for i in range(num_faces)], "skipped": [],
                "fingerprint": hashlib.sha256(drawn.images).hexdigest(), "factor_names": list(drawn.factor_names)}

    return _open(_cached(key, cache_dir, write))


def _hash(*parts):
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _cached(key, cache_dir, write):
    """The directory of a cache entry, which `write(directory) -> manifest` fills if it is missing; half a one is never seen."""
    path = os.path.join(cache_dir, key[:20])
    if not os.path.exists(path):
        os.makedirs(cache_dir, exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=f"{key[:20]}.writing-", dir=cache_dir)
        try:
            manifest = write(temporary)
            with open(os.path.join(temporary, "manifest.json"), "w") as file:
                json.dump(manifest, file)
            try:
                os.rename(temporary, path)
            except OSError:  # another process was faster
                if not os.path.exists(path):
                    raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return path


def _open(path):
    with open(os.path.join(path, "manifest.json")) as file:
        manifest = json.load(file)
    names = manifest.pop("names")
    images = np.memmap(os.path.join(path, "images.uint8"), np.uint8, "r", shape=(len(names), SIZE, SIZE, 3))
    train, evaluation = held_out(names)
    factors = None
    if os.path.exists(os.path.join(path, "factors.npy")):
        factors = np.load(os.path.join(path, "factors.npy"))[evaluation]
    manifest.update(num_train=len(train), num_eval=len(evaluation), cache=path)
    return Source(Rows(images, train), Rows(images, evaluation), manifest, factors, tuple(manifest.get("factor_names", ())))


def _decode_all(listing, directory, progress):
    """Decodes every image of a listing into `images.uint8`; unreadable ones are named, skipped and counted."""
    names, skipped, digest = [], [], hashlib.sha256()
    with open(os.path.join(directory, "images.uint8"), "wb") as file, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, \
            tqdm.tqdm(total=len(listing), desc="decoding images", unit=" images", disable=not progress) as bar:
        for name, outcome in _in_order(pool, _decoded, listing):
            bar.update()
            if isinstance(outcome, _Unreadable):
                skipped.append(name)
                bar.write(f"skipped {name}: {outcome}")
                continue
            names.append(name)
            digest.update(outcome)
            file.write(outcome)
    if len(skipped) > _TOLERATED * len(listing):
        shown = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        raise ValueError(f"{len(skipped)} of {len(listing)} files in {listing} are no readable images ({shown}); at most "
                         f"{_TOLERATED:.0%} may be. Remove them, or point --data at the images alone.")
    return {"source": str(listing), "names": names, "skipped": skipped, "fingerprint": digest.hexdigest()}


def _in_order(pool, function, items, ahead=256):
    """`function` over `items` in the pool, yielded in order, with a bounded number in flight."""
    pending = []
    for item in items:
        pending.append(pool.submit(function, *item))
        if len(pending) >= ahead:
            yield pending.pop(0).result()
    for future in pending:
        yield future.result()


class _Unreadable(Exception):
    """A file that is no image, or a broken one."""


def _decoded(name, read):
    try:
        with Image.open(io.BytesIO(read())) as image:
            image.load()
            if min(image.size) >= SMALLEST:
                return name, _crop(image).tobytes()
            size = image.size
    except Exception as error:  # Pillow raises whatever its many decoders raise
        return name, _Unreadable(str(error) or type(error).__name__)
    raise ValueError(f"{name} has {size[0]} x {size[1]} pixels; images need at least {SMALLEST} x {SMALLEST}, the window of "
                     "SSIM.")


def _crop(image):
    """The centre square, resized to 64 x 64 with anti-aliasing, RGB."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.convert("RGB").crop((left, top, left + side, top + side))
    return square.resize((SIZE, SIZE), Image.Resampling.BICUBIC)  # Pillow's resize widens its filter when it shrinks


def _hidden(name):
    return any(part.startswith(".") for part in name.replace("\\", "/").split("/"))


class _Directory:
    """The files of a directory and its subdirectories, hidden files and directories left out."""

    def __init__(self, path):
        self.path = path
        self.names = sorted(
            os.path.relpath(os.path.join(folder, name), path) for folder, _, names in os.walk(path) for name in names
            if not _hidden(os.path.relpath(os.path.join(folder, name), path)))
        if not self.names:
            raise ValueError(f"The directory {path} is empty: it should hold image files.")

    def __len__(self):
        return len(self.names)

    def __str__(self):
        return os.path.abspath(self.path)

    def __iter__(self):
        for name in self.names:
            yield name, lambda name=name: open(os.path.join(self.path, name), "rb").read()

    def key(self):
        stats = [os.stat(os.path.join(self.path, name)) for name in self.names]
        return _hash(str(_VERSION), *(f"{n} {s.st_size} {s.st_mtime_ns}" for n, s in zip(self.names, stats)))


class _Zip:
    """The members of a zip file."""

    def __init__(self, path):
        self.path = path
        try:
            self.file = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise ValueError(f"{path} is no whole zip file: {error}.") from None
        members = [m for m in self.file.infolist() if not m.is_dir()]
        for member in members:
            parts = member.filename.replace("\\", "/").split("/")
            if ".." in parts or parts[0] == "" or ":" in parts[0]:
                raise ValueError(f"{path} has the member {member.filename!r}, which points out of the archive: refused.")
        self.members = [m for m in sorted(members, key=lambda m: m.filename)
                        if not _hidden(m.filename) and not m.filename.startswith("__MACOSX/")]
        if not self.members:
            raise ValueError(f"The zip file {path} holds no files.")

    def __len__(self):
        return len(self.members)

    def __str__(self):
        return os.path.abspath(self.path)

    def __iter__(self):
        for member in self.members:
            yield member.filename, lambda member=member: self.file.read(member)

    def key(self):
        return _hash(str(_VERSION), *(f"{m.filename} {m.file_size} {m.CRC}" for m in self.members))


class _TFDS:
    """TFDS' `celeb_a`: prepared data at once, otherwise its download."""

    def __init__(self, data_dir):
        self.builder = prepared.builder("celeb_a", data_dir, _THREE_OTHER_WAYS)
        self.splits = sorted(self.builder.info.splits)

    def __len__(self):
        return sum(self.builder.info.splits[split].num_examples for split in self.splits)

    def __str__(self):
        return str(self.builder.info.full_name)

    def __iter__(self):
        import tensorflow_datasets as tfds

        for split in self.splits:
            decoders = {"image": tfds.decode.SkipDecoding()}
            for i, example in enumerate(self.builder.as_dataset(split=split, decoders=decoders, shuffle_files=False)):
                yield f"{split}/{i:06d}", example["image"].numpy

    def key(self):
        return _hash(str(_VERSION), str(self), str(len(self)))
