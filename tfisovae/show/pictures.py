"""Arrays of images as data URIs of a page, within a budget of bytes."""
import base64
import dataclasses
import io
from collections.abc import Sequence

import numpy as np
import PIL.Image

MAX_SIDE = 96  # pixels of a tile on the page
_QUALITIES = (82, 65, 45)  # of WebP, tried in turn


def to_bytes(images: np.ndarray, max_value: float = 1.0) -> np.ndarray:
    """`[..., H, W, C]` in [0, max_value], of 1 or 3 channels, as uint8 `[..., H, W, 3]`; what is
    not finite is black.
    """
    scaled = np.clip(
        np.nan_to_num(np.asarray(images, np.float64) / max_value, posinf=0.0, neginf=0.0), 0, 1)
    return np.broadcast_to(np.uint8(np.rint(255 * scaled)), (*scaled.shape[:-1], 3))


def _smaller(tiles):
    """Tiles `[N, H, W, 3]` whose sides are at most `MAX_SIDE`."""
    height, width = tiles.shape[1:3]
    factor = MAX_SIDE / max(height, width)
    if factor >= 1:
        return tiles
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return np.stack([
        np.asarray(PIL.Image.fromarray(tile).resize(size, PIL.Image.Resampling.LANCZOS))
        for tile in tiles
    ])


def uri(picture: np.ndarray, quality: int | None = None) -> str:
    """A picture `[H, W, 3]` or `[H, W]`, uint8, as a data URI: WebP of a quality, or PNG without
    one.
    """
    file, image = io.BytesIO(), PIL.Image.fromarray(np.ascontiguousarray(picture))
    kind = "png" if quality is None else "webp"
    image.save(file, kind,
               **({"optimize": True} if quality is None else {"quality": quality, "method": 4}))
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


@dataclasses.dataclass(frozen=True)
class Strip:
    """Tiles side by side in one picture: `uri`, of `columns` tiles of `width` x `height` pixels."""

    uri: str
    columns: int
    width: int
    height: int


def strip(tiles: np.ndarray, quality: int = _QUALITIES[0]) -> Strip:
    """Tiles `[N, H, W, 3]`, uint8, as one picture."""
    tiles = _smaller(tiles)
    columns, height, width, _ = tiles.shape
    return Strip(uri(tiles.transpose(1, 0, 2, 3).reshape(height, columns * width, 3), quality),
                 columns, width, height)


def strips(rows: Sequence[np.ndarray], budget: int) -> list[Strip]:
    """Rows of tiles, each `[N, H, W, 3]` uint8, as pictures whose URIs are at most `budget`
    characters together.

    All rows in the best quality that fits; in the lowest, as many of the first rows as fit.
    """
    made = []
    for quality in _QUALITIES:
        made, used = [], 0
        for row in rows:
            next_one = strip(row, quality)
            used += len(next_one.uri)
            if used > budget:
                break
            made.append(next_one)
        else:
            break
    return made
