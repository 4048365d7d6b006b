"""Turns an image file into a uint8 array of a chosen form (`Framing`).

It reads the first frame, upright (EXIF), with 8 bits. Transparent pixels show a background.

- 16 bits (grey): 65,535 is white. 16 bits (colour): Pillow keeps the high byte, less than one level
  of 255 off.
- Floating-point and 32-bit values have no fixed white: each image is scaled by its own range.
  An image with one value everywhere has no range, and cannot be read.
- Colour profiles are not applied; CMYK becomes RGB by (255 - C)(255 - K) / 255.
"""
import contextlib
import dataclasses
import os
import re
import threading
import typing
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageColor

from tfisovae import arguments
from tfisovae.sources.source import printable

SMALLEST = 11  # the window of SSIM
LARGEST = 4096  # height and width of all images
_MOST_PIXELS = 100_000_000  # limit for an image that is read
_MANY_PIXELS = 16_000_000  # larger images are decoded one at a time
_ONE_LARGE = threading.Lock()
CELEBA = (178, 218)  # width and height of the aligned images of CelebA
CROPS = ("center", "none", "celeba")
# No EPS: Pillow starts Ghostscript for it. HEIF works if the user has registered pillow-heif.
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "JPEG2000", "AVIF", "ICO",
            "SGI", "PCX", "HEIF")
_NAMED_FORMATS = {".tga": "TGA"}  # has no signature: any file could be one
# Of cameras; Pillow would read the preview.
_RAW = frozenset((".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"))
_HEIC = frozenset((".heic", ".heif", ".hif"))
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")
_KINDS = ((b"PK\3\4", "a zip file"), (b"PK\5\6", "a zip file"), (b"\x1f\x8b", "a gzip file"),
          (b"BZh", "a bzip2 file"), (b"\xfd7zXZ", "an xz file"), (b"7z\xbc\xaf", "a 7z archive"),
          (b"Rar!",
           "a RAR archive"), (b"version https://git-lfs",
                              "a Git LFS pointer without its file (run git lfs pull)"))
_ORIENTATIONS = {  # EXIF's number -> the operation that makes the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM, 5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_90
}
# Tags of EXIF and TIFF.
_EXIF_ORIENTATION, _BITS, _PHOTOMETRIC, _SAMPLE_FORMAT = 0x0112, 258, 262, 339


class UnsuitableSize(ValueError):
    """An image has an unsuitable size; the message names it."""


@dataclasses.dataclass(frozen=True)
class Framing:
    """The form that all images get.

    Args:
      image_size: height and width in pixels, at least 11.
      crop: "center": the centre square of every image. "celeba": the same, 178 x 178 of 178 x 218
        pixels; other sizes are an error. "none": the whole image, squeezed to a square.
      grayscale: whether to keep one channel, the luma .299 R + .587 G + .114 B, instead of RGB.
      background: colour under transparent pixels: a name ("white") or "#rrggbb".
    """

    image_size: int = 64
    crop: str = "center"
    grayscale: bool = False
    background: str = "white"

    def __post_init__(self) -> None:
        arguments.integer("image_size", self.image_size, SMALLEST, ", the window of SSIM")
        if self.image_size > LARGEST:
            raise ValueError(f"image_size must be at most {LARGEST}; got {self.image_size}.")
        if self.crop not in CROPS:
            raise ValueError(
                f"crop must be one of {', '.join(map(repr, CROPS))}; got {self.crop!r}.")
        if not isinstance(self.grayscale, (bool, np.bool_)):
            raise ValueError(f"grayscale must be True or False; got {self.grayscale!r}.")
        try:
            opaque = len(self.color) == 3
        except (ValueError, AttributeError, TypeError):
            opaque = False
        if not opaque:
            raise ValueError(
                f"background must be an opaque colour, such as 'white' or '#ff8000'; got "
                f"{self.background!r}."
            )

    @property
    def color(self) -> tuple[int, ...]:
        """The background's R, G and B."""
        return ImageColor.getrgb(self.background)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: `(image_size, image_size, channels)`."""
        return (int(self.image_size), int(self.image_size), 1 if self.grayscale else 3)

    def key(self) -> tuple[str, ...]:
        """Strings that identify this form; none for the default."""
        if self == Framing(background=self.background) and self.color == (255, 255, 255):
            return ()
        return (f"image_size {self.image_size}", f"crop {self.crop}", f"channels {self.shape[-1]}",
                f"background {self.color}")

    def check(self, name: str, size: tuple[int, int]) -> None:
        """Raises UnsuitableSize if `(width, height)` does not fit."""
        found = f"{printable(name)} has {size[0]} x {size[1]} pixels"
        if min(size) < SMALLEST:
            raise UnsuitableSize(
                f"{found}; images need at least {SMALLEST} x {SMALLEST}, the window of SSIM.")
        if self.crop == "celeba" and size != CELEBA:
            raise UnsuitableSize(
                f"{found}; crop 'celeba' is for CelebA's aligned images, 178 x 218. Use 'center' "
                f"for others."
            )

    def __call__(self, image: Image.Image) -> np.ndarray:
        """A PIL image, RGB and upright, to `[image_size, image_size, channels]` uint8, with
        anti-aliasing.
        """
        if self.crop != "none":
            side = min(image.size)
            left, top = (image.width - side) // 2, (image.height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        if self.grayscale:
            image = image.convert("L")
        # Pillow's resize widens its filter when it shrinks.
        image = image.resize(self.shape[:2], Image.Resampling.BICUBIC)
        return np.asarray(image).reshape(self.shape)


OPTIONS = tuple(field.name for field in dataclasses.fields(Framing))


class Unreadable(Exception):
    """An image is broken or of an unsupported kind; the message says why, in one line."""


class NoImage(Exception):
    """A file is not an image, by name and by content. `kind` names its type, or is `None`."""

    def __init__(self, kind: str | None) -> None:
        super().__init__(kind)
        self.kind = kind


class Decoded(typing.NamedTuple):
    """Attributes: pixels: `[image_size, image_size, channels]` uint8.  scaled: whether values were
    scaled by their range.
    """

    pixels: np.ndarray
    scaled: bool


def decode(name: str, open_file: Callable[[], typing.BinaryIO], framing: Framing) -> Decoded:
    """Reads an image.

    Args:
      name: of the file, for messages and for its extension.
      open_file: function without arguments that returns a binary file.
      framing: `Framing`.

    Returns:
      `Decoded`.

    Raises:
      NoImage: if neither the name nor the content belongs to an image.
      Unreadable: if the image is broken or of an unsupported kind.
      UnsuitableSize: if the framing does not take its size.
    """
    ending, head = _ending(name), b""
    try:
        if ending in _RAW:
            raise Unreadable("camera raw files are not read; convert them to JPEG or TIFF")
        with open_file() as file:
            head = file.read(4096)
            file.seek(0)
            with _opened(file, ending, head) as image:
                pixels = image.width * image.height
                if pixels > _MOST_PIXELS:
                    raise Unreadable(
                        f"it has {image.width} x {image.height} pixels; the limit is "
                        f"{_MOST_PIXELS:,}. Make it smaller")
                with _ONE_LARGE if pixels > _MANY_PIXELS else contextlib.nullcontext():
                    picture, scaled = _rgb(image, framing.color)
                    framing.check(name, picture.size)
                    return Decoded(framing(picture), scaled)
    except (NoImage, Unreadable, UnsuitableSize):
        raise
    # Pillow's decoders raise many kinds of errors, and so does the file system.
    except Exception as error:
        if not head and not is_image_name(name):
            raise NoImage(None) from None
        raise Unreadable(one_line(error)) from None


def _opened(file, ending, head):
    """The image in a file, its header read."""
    Image.init()
    formats = [name for name in (*_FORMATS, _NAMED_FORMATS.get(ending)) if name in Image.OPEN]
    try:
        return Image.open(file, formats=formats)
    except Exception as error:
        kind = recognised(head)
        if not is_image_name(ending) and not head.startswith(_SIGNATURES):
            raise NoImage(kind) from None
        if ending in _HEIC:
            raise Unreadable("HEIC is not read; convert it to JPEG") from None
        if isinstance(error, Image.UnidentifiedImageError):
            raise Unreadable(f"it is {kind}"
                             if kind else "its content is not a known image format") from None
        raise


def is_image_name(name: str) -> bool:
    """Whether a name (or an extension alone) belongs to an image file."""
    Image.init()
    ending = _ending(name)
    return (ending in _RAW or ending in _HEIC or ending in _NAMED_FORMATS
            or Image.registered_extensions().get(ending) in _FORMATS)


def _ending(name):
    return os.path.splitext(f"_{os.path.basename(name)}")[1].lower()


def _rgb(image, background):
    """The first frame: RGB on 8 bits, upright, over the background; and whether its values were
    scaled by their range.
    """
    tile, info = image.tile, image.info
    # Pillow widens 2 and 4 bits and cuts 16 off, but not in the colour that is transparent.
    if image.format == "PNG" and tile:
        sample = {
            "L;2": lambda v: v * 85, "L;4": lambda v: v * 17,
            "RGB;16B": lambda v: tuple(c >> 8 for c in v)
        }.get(tile[0][3])
        if sample and "transparency" in info:
            info["transparency"] = sample(info["transparency"])
    image.load()
    try:
        # After load, which turns a TIFF by itself.
        orientation = image.getexif().get(_EXIF_ORIENTATION)
    except Exception:  # damaged EXIF in a whole image
        orientation = None
    scaled = False
    if image.mode.startswith(("I", "F")):
        image, scaled = _eight_bits(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        layer = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", layer.size, (*background, 255)), layer)
    image = image.convert("RGB")
    return image.transpose(
        _ORIENTATIONS[orientation]) if orientation in _ORIENTATIONS else image, scaled


def _eight_bits(image):
    """A grey image of 16 or 32 bits as "L" or "LA", and whether it was scaled by its range."""
    values, tags = np.asarray(image), getattr(image, "tag_v2", {})
    scaled = not (image.mode.startswith("I;16")
                  or image.format in ("PNG", "PPM") and image.mode == "I")
    if scaled:
        if image.mode == "I" and _first(tags.get(_SAMPLE_FORMAT, 1)) == 1:
            values = values.view(np.uint32)  # Pillow reads unsigned values as signed ones
        if not np.isfinite(values).all():
            raise Unreadable("it holds NaN or infinite values")
        low, high = float(values.min()), float(values.max())
        if low == high:
            raise Unreadable(
                f"every pixel is {low:g}, but images of such values are scaled by their range")
    else:
        low, high = 0.0, 2.0 ** _first(tags.get(_BITS, 16)) - 1
    grey = (values.astype(np.float64) - low) * (255 / (high - low))
    if tags.get(_PHOTOMETRIC) == 0:  # 0 is white; Pillow knows this for 8 bits only
        grey = 255 - grey
    result = Image.fromarray(np.rint(grey).astype(np.uint8))
    transparent = image.info.get("transparency")
    if transparent is not None:
        result.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return result, scaled


def _first(value):
    return value[0] if isinstance(value, tuple) else value


def recognised(head: bytes) -> str | None:
    """The type of a file that is not an image, in words, from its first bytes (4096 are enough);
    `None` if unknown.
    """
    if not head:
        return "an empty file"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")):
        title = re.search(rb"<title[^>]*>(.*?)</title", head, re.IGNORECASE | re.DOTALL)
        words = printable(" ".join(title.group(1).decode("utf-8",
                                                         "replace").split())) if title else ""
        return f"an HTML page ({words})" if words else "an HTML page"
    if head[257:262] == b"ustar":
        return "a tar archive"
    return next((kind for start, kind in _KINDS if head.startswith(start)), None)


def one_line(error: BaseException) -> str:
    """The message of an error, on one line."""
    return printable(" ".join(str(error).split()) or type(error).__name__)
