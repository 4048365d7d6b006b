"""MNIST (App. G): from TFDS, from Keras' `mnist.npz`, or from the four idx files of LeCun et al."""
import math
import os

import numpy as np

from tfisovae.sources import content, prepared
from tfisovae.sources.source import Rows, Source, fingerprint

NUM_TRAIN = 50_000  # the first of the 60,000 training images; the paper does not say which
SIDE = 28
_OTHER_WAYS = (
    "Give the data in another form: data=mnist.npz (as keras.datasets.mnist stores it), or "
    "data=DIRECTORY with the four files train-images-idx3-ubyte, train-labels-idx1-ubyte, "
    "t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, also with gzip."
)
_IMAGES, _LABELS = 2051, 2049  # magic numbers


def load_mnist(data: str | os.PathLike = "mnist",
               data_dir: str | os.PathLike | None = None) -> Source:
    """Opens MNIST as a `Source` of `[784]` uint8 rows: the first 50,000 training images, and the
    test images to evaluate on.

    `manifest["num_unused"]` counts the training images after the first 50,000, and
    `manifest["notes"]` mentions them.

    Args:
      data: "mnist" (TFDS), an `.npz` file with x_train and x_test, or a directory with the idx
        files. Files may be gzip, whatever their names.
      data_dir: TFDS' own directory.

    Raises:
      ValueError: for an unknown name, or for files that are broken, incomplete or of another kind.
      ConnectionError: if TFDS' data are neither prepared nor reachable.
    """
    if data == "mnist":
        train, test = _from_tfds(data_dir)
    elif os.path.isdir(data):
        train, test = (_from_idx(data, prefix) for prefix in ("train", "t10k"))
    elif os.path.isfile(data):
        train, test = _from_npz(data)
    else:
        raise ValueError(
            f"Unknown data {data!r}: use 'mnist' (TFDS), an .npz file, or a directory of idx "
            "files. No file or directory has this name.")
    images = np.concatenate([train[:NUM_TRAIN], test]).reshape(-1, SIDE * SIDE)
    count = min(NUM_TRAIN, len(train))
    manifest = {
        "source": data if data == "mnist" else os.path.abspath(data),
        "fingerprint": fingerprint(images), "skipped": [], "num_train": count,
        "num_eval": len(test), "num_unused": len(train) - count, "notes": []
    }
    if count < len(train):
        manifest["notes"].append(
            f"{data}: the first {count:,} of {len(train):,} training images are used, as in the "
            f"paper."
        )
    return Source(Rows(images, np.arange(count)), Rows(images, np.arange(count, len(images))),
                  manifest)


def _checked(images, where):
    """Checks images: `[N, 28, 28]`, uint8."""
    if images.ndim != 3 or images.shape[1:] != (
            SIDE, SIDE) or images.dtype != np.uint8 or not len(images):
        raise ValueError(
            f"{where} must hold uint8 images [N, 28, 28]; got {images.dtype} {list(images.shape)}.")
    return images


def _from_tfds(data_dir):
    builder = prepared.builder("mnist", data_dir, _OTHER_WAYS)
    return tuple(
        _checked(
            np.stack([
                example["image"][:, :, 0] for example in builder.as_dataset(
                    split=split, shuffle_files=False).as_numpy_iterator()
            ]), f"TFDS' mnist, {split}") for split in ("train", "test"))


def _from_npz(path):
    wanted = ["x_train", "x_test"]

    def choose(names):
        missing = [name for name in wanted if name not in names]
        if missing:
            raise ValueError(
                f"{path} lacks {' and '.join(missing)}; it holds {', '.join(names) or 'nothing'}.")
        return wanted

    if content.first_bytes(path, 2) != b"PK":
        raise ValueError(
            f"{path} is not a complete .npz file with the arrays x_train and x_test."
        )
    return tuple(
        _checked(images, f"{path}, {name},")
        for name, images in zip(wanted,
                                content.npz(path, choose).values()))


def _from_idx(directory, prefix):
    """The images of one split. Labels are not used, but if present they must match the images."""
    images, labels = (_find(directory, f"{prefix}-{kind}")
                      for kind in ("images-idx3-ubyte", "labels-idx1-ubyte"))
    if images is None:
        alone = (f" It holds the labels {os.path.basename(labels)} without their images."
                 if labels else "")
        raise ValueError(f"{directory} has no {prefix}-images-idx3-ubyte (or .gz).{alone}")
    read = _checked(_read_idx(images, _IMAGES), images)
    if labels is not None:
        count = len(_read_idx(labels, _LABELS))
        if count != len(read):
            raise ValueError(f"{labels} has {count} labels for the {len(read)} images of {images}.")
    return read


def _find(directory, name):
    names = (name, name.replace("-idx", ".idx"))  # some downloads use the second name
    paths = (os.path.join(directory, other + ending) for ending in ("", ".gz") for other in names)
    return next((path for path in paths if os.path.isfile(path)), None)


def _read_idx(path, magic):
    """An idx file: a magic number, the sizes of the axes, and the bytes."""
    data = content.read(path)
    size = 4 * (1 + magic % 256)
    header = np.frombuffer(data[:min(size, len(data) // 4 * 4)], ">u4")
    if len(header) < 1 or header[0] != magic:
        if path.endswith(".gz") and not content.packed(path):
            raise ValueError(f"{path} is neither a complete gzip file nor an idx file.")
        found = int(header[0]) if len(header) else "nothing"
        kind = "images" if magic == _IMAGES else "labels"
        raise ValueError(
            f"{path} begins with the magic number {found}; idx {kind} begin with {magic}.")
    if 4 * len(header) < size:
        raise ValueError(f"{path} ends within its header of {size} bytes: it is broken.")
    shape, data = tuple(int(length) for length in header[1:]), data[size:]
    if len(data) != math.prod(shape):
        raise ValueError(
            f"{path} announces {list(shape)}, {math.prod(shape)} bytes, and holds {len(data)}: it "
            f"is broken."
        )
    return np.frombuffer(data, np.uint8).reshape(shape)
