"""The form that images are brought into: their size, what is cropped away, their channels, and what
stands behind them.
"""
import dataclasses

import numpy as np
from PIL import Image, ImageColor

from tfisovae.sources.source import printable

SMALLEST = 11  # the window of SSIM
CELEBA = (178, 218)  # width and height of the aligned images of CelebA
CROPS = ("center", "none", "celeba")


class UnsuitableSize(ValueError):
    """A whole image whose size does not do; the message names it."""


@dataclasses.dataclass(frozen=True)
class Framing:
    """The form that images are brought into.

    Args:
      image_size: height and width in pixels, at least 11.
      crop: "center": the centre square of every image. "celeba": the same, 178 x 178 of 178 x 218
        pixels, and an image of another size is an error. "none": the whole image, squeezed to a
        square.
      grayscale: whether to keep one channel, the luma .299 R + .587 G + .114 B, instead of RGB.
      background: colour under what is transparent: a name ("white") or "#rrggbb".
    """

    image_size: int = 64
    crop: str = "center"
    grayscale: bool = False
    background: str = "white"

    def __post_init__(self) -> None:
        size = self.image_size
        if isinstance(size, bool) or not isinstance(size, (int, np.integer)) or size < SMALLEST:
            raise ValueError(
                f"image_size must be an integer of at least {SMALLEST}, the window of SSIM; got "
                f"{size!r}."
            )
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
        """Of one image: `(image_size, image_size, channels)`."""
        return (int(self.image_size), int(self.image_size), 1 if self.grayscale else 3)

    def key(self) -> tuple[str, ...]:
        """Strings that tell this form from others; none for the default."""
        if self == Framing(background=self.background) and self.color == (255, 255, 255):
            return ()
        return (f"image_size {self.image_size}", f"crop {self.crop}", f"channels {self.shape[-1]}",
                f"background {self.color}")

    def check(self, name: str, size: tuple[int, int]) -> None:
        """Raises UnsuitableSize for an image whose `(width, height)` does not do."""
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
