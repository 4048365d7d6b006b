"""Images as a `Source`: a data set of TFDS, a directory, a zip file, or drawn faces.

All images are decoded once into a uint8 file on disk (12,288 bytes per image of 64 x 64 RGB: 2.5 GB
for CelebA). Later this file is read row by row through a memory map.
"""
import concurrent.futures
import functools
import hashlib
import os

import numpy as np
import tqdm
from PIL import Image

from tfisovae import files
from tfisovae.progress import bar as progress_bar
from tfisovae.sources import decoding, listings
from tfisovae.sources.decoding import Framing
from tfisovae.sources.faces import SIZE as FACE_SIZE
from tfisovae.sources.faces import faces
from tfisovae.sources.source import Rows, Source, held_out, printable

NAMES = ("celeb_a", "faces")  # names that are not paths
_FACES_VERSION = "1"  # of the drawing
_TOLERATED = 0.01  # share of images that may be unreadable
_SHOWN = 5  # names in a message


def load_images(data: str | os.PathLike, cache_dir: str | os.PathLike | None = None,
                num_faces: int = 20_000, data_dir: str | os.PathLike | None = None,
                progress: bool = True, *, image_size: int = 64, crop: str = "center",
                grayscale: bool = False, background: str = "white") -> Source:
    """Opens images as a `Source` of `[image_size, image_size, channels]` uint8 rows. The first
    time, it decodes them into the cache. `decoding` describes how files become 8-bit pixels.

    Files that are not images by name and content are left out. Broken images are skipped, up to 1
    %. Both are reported, and listed in the manifest as `not_images` and `skipped`.

    Args:
      data: "celeb_a" (TFDS), a directory, a `.zip` file, or "faces".
      cache_dir: directory for decoded images; by default `$TFISOVAE_CACHE`, or the user's cache
        directory (on Linux `~/.cache/tfisovae`).
      num_faces: how many faces to draw for "faces".
      data_dir: TFDS' own directory, for "celeb_a".
      progress: whether to show a progress bar while decoding.
      image_size: height and width, at least 11. Drawn faces have 64, and can only become smaller.
      crop: "center" (the centre square), "celeba" (the same, 178 x 178, for images of exactly 178 x
        218 pixels), or "none" (the whole image squeezed to a square: its aspect changes).
      grayscale: one channel, luma, instead of three.
      background: an opaque colour ("white", "#ff8000") under transparent pixels.

    Raises:
      ValueError: for an unknown name, a directory or zip file without images, images below 11
        pixels, more than 1 % unreadable ones, or an option that makes no sense.
      ConnectionError: if "celeb_a" is neither prepared nor reachable.
    """
    framing = Framing(image_size, crop, grayscale, background)
    data = os.fspath(data)
    if data == "faces":
        name, key = "faces", _faces_key(num_faces, framing)
        write = functools.partial(_draw_all, num_faces, framing, progress)
    else:
        listing = listings.open_listing(data, data_dir)
        name, key = str(listing), _framed(listing.key(), framing)
        write = functools.partial(_decode_all, listing, framing, progress)
    return files.cached(key, files.cache_directory(cache_dir), write,
                        lambda directory: _open(directory, name, framing))


def _framed(key, framing):
    """The key of an entry; with the default framing, the listing's own key."""
    return files.cache_key(key, *framing.key()) if framing.key() else key


def _faces_key(num_faces, framing):
    framing.check("A drawn face", (FACE_SIZE, FACE_SIZE))
    if framing.image_size > FACE_SIZE:
        raise ValueError(
            f"Faces are drawn at {FACE_SIZE} x {FACE_SIZE} pixels: image_size must be at most "
            f"{FACE_SIZE}; got {framing.image_size}.")
    # Squares without transparency.
    relevant = Framing(framing.image_size, grayscale=framing.grayscale)
    return _framed(files.cache_key("faces", str(num_faces), _FACES_VERSION), relevant)


def _draw_all(num_faces, framing, progress, directory):
    with progress_bar(total=num_faces, desc="drawing faces", unit=" images",
                      progress=progress) as bar:
        drawn = faces(num_faces, seed=0, progress=lambda done: bar.update(done - bar.n))
    images = drawn.images
    if framing.key():
        images = np.stack([framing(Image.fromarray(image)) for image in images])
    images.tofile(os.path.join(directory, "images.uint8"))
    np.save(os.path.join(directory, "factors.npy"), drawn.factors)
    files.write_json(
        os.path.join(directory, "manifest.json"), {
            "names": [str(i) for i in range(num_faces)], "skipped": [], "not_images": [],
            "fingerprint": hashlib.sha256(images).hexdigest(), "factor_names": list(
                drawn.factor_names)
        })


def _open(path, source, framing):
    """The `Source` of a cache entry; raises `files.DamagedFile`."""
    try:
        manifest = files.read_json(os.path.join(path, "manifest.json"))
        names = manifest.pop("names")
        fingerprint, factor_names = manifest["fingerprint"], tuple(manifest.get("factor_names", ()))
        size, expected = os.path.getsize(os.path.join(
            path, "images.uint8")), len(names) * int(np.prod(framing.shape))
        if not isinstance(fingerprint, str) or not all(isinstance(name, str) for name in names):
            raise ValueError("names and a fingerprint are expected")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise files.DamagedFile(f"{os.path.basename(error.filename)} is missing") from None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise files.DamagedFile("manifest.json was changed") from None
    if size != expected:
        raise files.DamagedFile(f"images.uint8 has {size} bytes, not {expected}")
    train, evaluation = held_out(names)
    factors = _factors(path, len(names), len(factor_names))[evaluation] if factor_names else None
    images = np.memmap(os.path.join(path, "images.uint8"), np.uint8, "r",
                       shape=(len(names), *framing.shape))
    manifest.setdefault("not_images", [])
    manifest.update(source=source, num_train=len(train), num_eval=len(evaluation), cache=path)
    return Source(Rows(images, train), Rows(images, evaluation), manifest, factors, factor_names)


def _factors(path, count, columns):
    try:
        factors = np.load(os.path.join(path, "factors.npy"))
    except FileNotFoundError:
        raise files.DamagedFile("factors.npy is missing") from None
    except OSError:
        raise
    except Exception:  # of NumPy's many kinds
        raise files.DamagedFile("factors.npy is not a complete array") from None
    if factors.shape != (count, columns):
        raise files.DamagedFile(
            f"factors.npy has the shape {factors.shape}, not {(count, columns)}")
    return factors


def _decode_all(listing, framing, progress, directory):
    """Decodes every image of a listing into `images.uint8`. Unreadable images are named, skipped
    and counted.
    """
    names, skipped, others, scaled, digest = [], [], {}, 0, hashlib.sha256()
    with open(os.path.join(directory, "images.uint8"), "wb") as file, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool, \
            progress_bar(total=len(listing), desc="decoding images", unit=" images",
                         progress=progress) as bar:
        for name, outcome in _in_order(pool, lambda *item: _outcome(*item, framing), listing):
            bar.update()
            if isinstance(outcome, decoding.NoImage):
                others[name] = outcome.kind
            elif isinstance(outcome, decoding.Unreadable):
                skipped.append(name)
                bar.write(f"skipped {printable(name)}: {outcome}")
            else:
                names.append(name)
                scaled += outcome.scaled
                digest.update(outcome.pixels)
                file.write(outcome.pixels)
    if not names and not skipped:
        raise ValueError(f"{listing} holds no images: {_listed(others)}.{_packed(others)}")
    if len(skipped) > _TOLERATED * (len(names) + len(skipped)):
        raise ValueError(
            f"{len(skipped)} of {len(names) + len(skipped)} images in {listing} are unreadable "
            f"({_listed(skipped)}); "
            f"at most {_TOLERATED:.0%} may be. Remove or replace them.")
    if others:
        tqdm.tqdm.write(
            f"Left out {len(others)} files of {listing} that are not images: "
            f"{_listed(others)}.{_packed(others)}"
        )
    if scaled:
        tqdm.tqdm.write(
            f"{scaled} images of {listing} hold floating-point or 32-bit values: each was scaled "
            f"by its own range."
        )
    files.write_json(os.path.join(directory, "manifest.json"), {
        "names": names, "skipped": skipped, "not_images": list(others), "scaled_by_range": scaled,
        "fingerprint": digest.hexdigest()})


def _listed(names):
    names = list(names)
    return ", ".join(map(printable, names[:_SHOWN])) + (", ..." if len(names) > _SHOWN else "")


def _packed(others):
    """A sentence about archives among the files that are not images."""
    archives = [name for name, kind in others.items() if listings.is_archive(kind)]
    if not archives:
        return ""
    return (f" {printable(archives[0])} is itself {others[archives[0]]}. Unpack it, and give the "
            "unpacked files.")


def _outcome(name, open_file, framing):
    try:
        return name, decoding.decode(name, open_file, framing)
    except (decoding.NoImage, decoding.Unreadable) as outcome:
        return name, outcome


def _in_order(pool, function, items, ahead=256):
    """`function` over `items` in the pool, yielded in order, with a bounded number in flight."""
    pending = []
    for item in items:
        pending.append(pool.submit(function, *item))
        if len(pending) >= ahead:
            yield pending.pop(0).result()
    for future in pending:
        yield future.result()
