"""Alternatives to a VAE: JPEG and WebP for images, scalar quantisation of principal components for
vectors.

Every function returns points of a curve: dicts with `bits` per example and `distortion`, measured
as for the VAE.
"""
import io
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from tfisovae.distortions import SSIM
from tfisovae.distortions.base import Distortion
from tfisovae.progress import bar as progress_bar

QUALITIES = (0, 1, 2, 5, 10, 20, 30, 50, 70, 85, 95)
_VP8_HEADER = 10  # bytes of the header of a WebP frame, in its chunk
_AT_ONCE = 100


def jpeg(pixels: np.ndarray, quality: int) -> tuple[bytes, int]:
    """A JPEG file of an image, and how many of its bytes would be left without headers.

    The file has its own optimal Huffman tables. Headers, quantisation tables and standard Huffman
    tables are the same for every image. The count without headers has only the scan, coded with the
    standard tables.

    Args:
      pixels: `[H, W, C]`, uint8, C of 1 or 3.
      quality: from 1 (0 is taken for 1) to 95.
    """
    image = _image(pixels)
    whole, plain = (_encoded(image, "JPEG", quality=max(quality, 1), optimize=optimize)
                    for optimize in (True, False))
    return whole, _scan_bytes(plain)


def webp(pixels: np.ndarray, quality: int) -> tuple[bytes, int]:
    """A lossy WebP file of an image, and how many of its bytes are left without the container and
    the header of its frame.

    Args:
      pixels: `[H, W, C]`, uint8, C of 1 or 3.
      quality: from 0 to 100.
    """
    data = _encoded(_image(pixels), "WEBP", quality=quality, method=6)
    if data[12:16] != b"VP8 ":
        raise ValueError(
            f"Pillow did not write a simple lossy WebP file: its first chunk is {data[12:16]!r}."
        )
    return data, int.from_bytes(data[16:20], "little") - _VP8_HEADER


CODECS = {"jpeg": jpeg, "webp": webp}


def image_curve(codec: str, images: npt.ArrayLike, qualities: Iterable[int] = QUALITIES,
                distortion: Distortion | None = None,
                progress: bool = False) -> list[dict[str, float]]:
    """Bits and distortion of images over the qualities of a common codec.

    Args:
      codec: "jpeg" or "webp".
      images: `[N, H, W, C]`, uint8, C of 1 or 3.
      qualities: of the codec.
      distortion: of images in [0, 1]; `SSIM()` by default.
      progress: whether to show a progress bar.

    Returns:
      For each quality a dict of `quality`, `bits`, `bits_without_headers` and `distortion`, means
      over the images.

    Raises:
      ValueError: for another codec, or images of another form.
    """
    if codec not in CODECS:
        raise ValueError(f"codec must be one of {', '.join(map(repr, CODECS))}; got {codec!r}.")
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in (
            1, 3) or not len(images):
        raise ValueError(
            "images must be an array [N, H, W, C] of type uint8 with C of 1 or 3 and N of at "
            "least 1; got the shape "
            f"{list(images.shape)} and the type {images.dtype}.")
    distortion, points = distortion or SSIM(), []
    for quality in progress_bar(list(qualities), desc=codec, unit=" qualities", progress=progress):
        files, payloads = zip(*(CODECS[codec](pixels, quality) for pixels in images))
        decoded = [
            np.asarray(
                Image.open(io.BytesIO(data)).convert("L" if images.shape[-1] == 1 else "RGB"))
            for data in files
        ]
        points.append({
            "quality": int(quality), "bits": 8 * float(np.mean([len(data) for data in files])),
            "bits_without_headers": 8 * float(np.mean(payloads)), "distortion": _mean_distortion(
                distortion, images / 255,
                np.stack(decoded).reshape(images.shape) / 255)
        })
    return points


def principal_components(train: npt.ArrayLike, test: npt.ArrayLike, steps: Iterable[float],
                         distortion: Distortion) -> list[dict[str, float]]:
    """Bits and distortion of vectors whose principal components are each rounded to multiples of a
    step, with an ideal coder.

    The training examples give the components, the probabilities of the coder, and the decoded value
    of each cell (the mean of its content). Bits and distortion are measured on the other examples.

    Args:
      train: `[N, m]`, examples to learn from.
      test: `[M, m]`, others.
      steps: of the quantiser, the same for all components; beta / 2 = step^2 / 12 gives the noise
        of a VAE.
      distortion: D of x and the decoded x; the result has means over `test`.

    Returns:
      For each step a dict of `step`, `bits` and `distortion`.
    """
    train, test = np.asarray(train, np.float64), np.asarray(test, np.float64)
    if train.ndim != 2 or test.ndim != 2 or train.shape[1] != test.shape[1] or len(
            train) < 2 or not len(test):
        raise ValueError(
            "train and test must be tables [N, m] of the same columns, with two examples of "
            "training or more; got the "
            f"shapes {list(train.shape)} and {list(test.shape)}.")
    center = train.mean(0)
    variances, axes = np.linalg.eigh(
        np.cov(train - center, rowvar=False).reshape(train.shape[1], -1))
    axes = axes[:, variances > 1e-10 * variances.max()]  # the others are only rounding
    known, new, points = (train - center) @ axes, (test - center) @ axes, []
    for step in steps:
        bits, decoded = 0.0, np.empty_like(new)
        for j in range(axes.shape[1]):
            lengths, decoded[:, j] = _quantized(known[:, j], new[:, j], step)
            bits += float(lengths.mean())
        points.append({"step": float(step), "bits": bits,
                       "distortion": _mean_distortion(distortion, test, decoded @ axes.T + center)})
    return points


def _quantized(known, new, step):
    """Bits `[M]` and decoded values `[M]` of `new`, by the cells of `known`."""
    cells, others = (np.rint(values / step).astype(np.int64) for values in (known, new))
    low, high = min(cells.min(), others.min()), max(cells.max(), others.max())
    counts = np.bincount(cells - low, minlength=high - low + 1)
    # Half a count for each cell, so that cells without training examples can still be sent.
    probabilities = (counts + 0.5) / np.sum(counts + 0.5)
    sums = np.bincount(cells - low, known, minlength=high - low + 1)
    points = np.where(counts > 0, sums / np.maximum(counts, 1), step * np.arange(low, high + 1))
    return -np.log2(probabilities[others - low]), points[others - low]


def _mean_distortion(distortion, x, x_hat):
    """The mean of D over arrays `[N, ...]`, some at a time."""
    total = sum(float(tf.reduce_sum(distortion(tf.constant(x[at:at + _AT_ONCE], tf.float32),
                                               tf.constant(x_hat[at:at + _AT_ONCE], tf.float32))))
                for at in range(0, len(x), _AT_ONCE))
    return total / len(x)


def _image(pixels):
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _encoded(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _scan_bytes(data):
    """The number of bytes in the scan of a JPEG file with one scan, between its header and the end
    marker.
    """
    at = 2
    while data[at + 1] != 0xDA:
        at += 2 + int.from_bytes(data[at + 2:at + 4], "big")
    return len(data) - (at + 2 + int.from_bytes(data[at + 2:at + 4], "big")) - 2
