"""Traversals and reconstructions: images side by side and as an animation, vectors as curves."""
import os
import typing
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from PIL import Image, ImageDraw

from tfisovae import files
from tfisovae.analysis.components import spread_out
from tfisovae.show import drawing
from tfisovae.show.contents import limits, limits_words
from tfisovae.show.drawing import FAINT, MAIN, OTHER, Figure

if typing.TYPE_CHECKING:
    from tfisovae.geometry.traversals import Traversals

_POINTS = 200  # of a curve over the entries of a vector


def channels_last(images: npt.ArrayLike) -> np.ndarray:
    """Images `[..., H, W, C]` of images that may be `[..., C, H, W]`, with 1 or 3 channels; other
    arrays as they are.
    """
    images = np.asarray(images)
    shape = images.shape
    in_front = len(shape) >= 4 and shape[-1] not in (1, 3) and shape[-3] in (1, 3)
    return np.moveaxis(images, -3, -1) if in_front else images


def traversal(rows: "Traversals", ax: Axes | None = None, title: str = "") -> Axes | Figure:
    """Figs. 6 and 23: one row of decoded images for each latent dimension, with its share of
    the cost of removal and D from image to image.

    Columns show steps from the middle, or values of z_j if the steps are equal in z.

    Args:
      rows: `Traversals` of images, `[rows, columns, H, W, C]` or with channels first. Black and
        white are 0 and 1, or the limits of other data (`contents.limits`).
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.

    Returns:
      `ax`, or the new figure.
    """
    count = rows.z.shape[1]
    heads = [f"{value:+.1f}" for value in rows.z[0]
             ] if rows.steps == "z" else [f"{k - (count - 1) / 2:+g}" for k in range(count)]
    left, right = zip(*((f"{name}   {share}", moved) for name, share, moved in rows.words()))
    return _mosaic(rows.x, left, heads, ax, title, limits(rows.x), right_labels=right)


def animation(rows: "Traversals", path: str | os.PathLike, seconds: float = 4.0,
              width: int = 8) -> None:
    """Writes all rows of traversals as a GIF; all latent variables move back and forth together.

    Args:
      rows: `Traversals` of images, as `traversal` takes them; a frame for each column.
      path: where to write it.
      seconds: to and fro.
      width: images side by side, at most.
    """
    images = channels_last(_scaled(rows.x, limits(rows.x)))
    count, columns, height, breadth, channels = images.shape
    zoom, margin, head = -(-64 // height), 4, 14
    tall, wide = zoom * height + head + margin, zoom * breadth + margin
    size = (min(count, width) * wide + margin, -(-count // width) * tall + margin)
    labels = [
        f"z{j}" if np.isnan(share) else f"z{j}: {100 * share:.2g} %"
        for j, share in zip(rows.dimensions, rows.share)
    ]
    pixels = np.uint8(np.rint(255 * np.clip(images, 0, 1))).repeat(zoom, 2).repeat(zoom, 3)
    frames = []
    for column in range(columns):
        frame = Image.new("RGB", size, "white")
        write = ImageDraw.Draw(frame)
        for k, label in enumerate(labels):
            left, top = margin + k % width * wide, margin + k // width * tall
            write.text((left, top), label, fill="black")
            tile = pixels[k, column]
            frame.paste(Image.fromarray(tile[..., 0] if channels == 1 else tile[..., :3]),
                        (left, top + head))
        frames.append(frame)
    frames += frames[-2:0:-1]
    with files.replacing(path, "wb") as file:
        frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:], loop=0,
                       duration=max(20, round(1000 * seconds / len(frames))))


def reconstructions(rows: Sequence[np.ndarray], labels: Sequence[str], ax: Axes | None = None,
                    title: str = "", max_value: float = 1.0) -> Axes | Figure:
    """Rows of images, one above the other: inputs and their reconstructions.

    Args:
      rows: list of `[N, H, W, C]`, or `[N, C, H, W]`; the first are the inputs.
      labels: one for each row.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.
      max_value: black and white are 0 and this, or the limits of inputs in another range. The
        title then says so.

    Returns:
      `ax`, or the new figure.
    """
    return _mosaic(np.stack(rows), labels, [], ax, title, limits(rows[0], max_value), max_value)


def _scaled(images, found):
    """Images with black at 0 and white at 1."""
    low, high = found
    return np.clip((np.asarray(images) - low) / (high - low or 1.0), 0, 1)


def _mosaic(images, row_labels, column_labels, ax, title, found, max_value=1.0, right_labels=()):
    """`[rows, columns, H, W, C]` side by side in one picture, with labels at the left, above, and
    at the right; `found` are the values of black and white.
    """
    gap = 2
    images = _scaled(channels_last(images), found)
    title = "\n".join(filter(None, (title, limits_words(found, max_value))))
    images = np.pad(images, [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)], constant_values=1)
    rows, columns, height, width, channels = images.shape
    picture = images.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    ax, drawn = drawing.canvas(ax, (0.64 * columns, 0.64 * rows * height / width))
    if drawn is not ax:
        ax.set_position((0, 0, 1, 1))
    ax.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto")
    ax.set_yticks((np.arange(rows) + 0.5) * height, row_labels, fontsize=9)
    ax.set_xticks((np.arange(len(column_labels)) + 0.5) * width, column_labels, fontsize=8)
    ax.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    ax.spines[:].set_visible(False)
    for row, label in enumerate(right_labels):
        ax.annotate(label, (1, (row + 0.5) * height), (6, 0), ("axes fraction", "data"),
                    "offset points", fontsize=8, va="center")
    ax.set_title(title, fontsize=10, pad=20 if column_labels else 6, parse_math=False)
    return drawn


def curves(x: npt.ArrayLike, ax: Axes | None = None, title: str = "",
           limits: tuple[float, float] | None = None) -> Axes | Figure:
    """Decoded vectors along a latent variable, each as a curve over its entries.

    Args:
      x: `[columns, m]`.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.
      limits: of the values, which several pictures can share.

    Returns:
      `ax`, or the new figure.
    """
    ax, drawn = drawing.canvas(ax, (5.0, 2.6))
    for row in np.asarray(x):
        drawing.line(ax, *_entries(row), FAINT, width=0.9, mark="curve")
    if limits is not None:
        ax.set_ylim(*limits)
    drawing.label(ax, "", "decoded value", title)
    drawing.whole_numbers(ax, np.shape(x)[1], "entry of the vector")
    return drawn


def reconstruction(x: npt.ArrayLike, x_check: npt.ArrayLike, ax: Axes | None = None,
                   title: str = "") -> Axes | Figure:
    """A vector and its reconstruction, `[m]` each, as curves over their entries.

    Returns:
      `ax`, or the new figure.
    """
    ax, drawn = drawing.canvas(ax, (5.0, 2.6))
    drawing.line(ax, *_entries(x), OTHER, "input")
    drawing.line(ax, *_entries(x_check), MAIN, "reconstruction")
    drawing.label(ax, "", "value", title)
    drawing.whole_numbers(ax, len(x), "entry of the vector")
    return drawn


def _entries(row):
    """Places, and values, of at most `_POINTS` entries of a vector."""
    chosen = spread_out(_POINTS, len(row))
    return chosen + 1, np.asarray(row)[chosen]
