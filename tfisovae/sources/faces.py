"""Faces drawn by this package: 64 x 64 RGB, anti-aliased, from factors whose distributions are
known.

With them, every experiment on images runs anywhere, and measured importances can be compared with
the factors that made the images. They are not photographs. Results on them say nothing about
CelebA.
"""
import typing
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfisovae import arguments

SIZE = 64

# Name, distribution: uniform on [-1, 1], or normal(0, 1) cut at +-2.5. Ordered roughly by weight in
# the image.
FACTORS = (
    ("background", "uniform"),    # from dark blue to a light wall
    ("light", "normal"),          # from the left or from the right
    ("hair_color", "uniform"),    # black to blond
    ("hair_length", "uniform"),   # short to over the shoulders
    ("skin", "uniform"),          # dark to light
    ("shirt", "uniform"),         # red to blue
    ("head_angle", "normal"),     # looking left or right
    ("head_height", "normal"),    # low or high in the frame
    ("face_width", "normal"),
    ("fringe", "uniform"),        # high forehead to covered
    ("smile", "normal"),
    ("mouth_open", "uniform"),
    ("brows", "normal"),          # lowered and slanted to raised
    ("eyes_open", "normal"),
    ("gaze", "normal"),
)


class Faces(typing.NamedTuple):
    """Drawn faces and their factors.

    Attributes:
      images: `[N, 64, 64, 3]`, uint8.
      factors: `[N, k]`, float32.
      factor_names: k names.
    """

    images: np.ndarray
    factors: np.ndarray
    factor_names: tuple[str, ...]


def sample_factors(num_examples: int, seed: int) -> np.ndarray:
    """Independent factors `[num_examples, k]`, float32, from the distributions of `FACTORS`."""
    generator = np.random.default_rng(seed)
    columns = []
    for _, distribution in FACTORS:
        if distribution == "uniform":
            columns.append(generator.uniform(-1, 1, num_examples))
        else:
            columns.append(np.clip(generator.standard_normal(num_examples), -2.5, 2.5))
    return np.stack(columns, -1).astype(np.float32).reshape(num_examples, len(FACTORS))


def faces(num_examples: int, seed: int = 0,
          progress: Callable[[int], object] | None = None) -> Faces:
    """Draws faces.

    Args:
      num_examples: how many.
      seed: seed of the factors.
      progress: called with the number drawn so far, after each block.

    Returns:
      `Faces`.

    Example:
      >>> data = tfisovae.sources.faces(num_examples=4, seed=0)
      >>> data.images.shape
      (4, 64, 64, 3)
      >>> print(data.factor_names)
    """
    arguments.integer("num_examples", num_examples)
    factors = sample_factors(num_examples, seed)
    images = np.empty([num_examples, SIZE, SIZE, 3], np.uint8)
    block = 256
    for start in range(0, num_examples, block):
        part = factors[start:start + block]
        padded = np.pad(part, [[0, block - len(part)], [0, 0]])  # one shape: compiled once
        images[start:start + block] = _draw(padded).numpy()[:len(part)]
        if progress:
            progress(start + len(part))
    return Faces(images, factors, tuple(name for name, _ in FACTORS))


def _coverage(signed_distance):
    """The part of a pixel inside a shape: 1 inside, 0 outside, a ramp of one pixel at the edge."""
    return tf.clip_by_value(0.5 - signed_distance * (SIZE / 2), 0.0, 1.0)


def _ellipse(x, y, a, b):
    """The approximate signed distance to an axis-aligned ellipse with half-axes a, b."""
    u, v = x / a, y / b
    radius = tf.sqrt(u * u + v * v + 1e-9)
    slope = tf.sqrt(tf.square(u / a) + tf.square(v / b) + 1e-9)
    return (radius - 1) * radius / slope


def _blend(canvas, color, coverage):
    return canvas + coverage[..., None] * (color - canvas)


def _mix(low, high, t):
    """The color at `t` in [-1, 1] between two colors, `[B, 1, 1, 3]`."""
    low, high = tf.constant(low), tf.constant(high)
    return low + (high - low) * (0.5 + 0.5 * t[..., None])


@tf.function(jit_compile=True)
def _draw(factors):
    """`[B, k]` factors to `[B, 64, 64, 3]` uint8."""
    f = {name: factors[:, i][:, None, None] for i, (name, _) in enumerate(FACTORS)}
    grid = (tf.range(SIZE, dtype=tf.float32) + 0.5) * (2 / SIZE) - 1
    x0, y0 = grid[None, None, :], grid[None, :, None]
    x, y = x0 - 0.03 * f["head_angle"], y0 + 0.03 * f["head_height"] - 0.02
    turn = 0.055 * f["head_angle"]  # features move further than the outline

    width = 0.40 * (1 + 0.07 * f["face_width"])
    skin = _mix([0.42, 0.27, 0.19], [0.98, 0.83, 0.72], f["skin"])
    hair = _mix([0.07, 0.05, 0.05], [0.88, 0.68, 0.32], f["hair_color"])
    shirt = _mix([0.75, 0.20, 0.18], [0.15, 0.28, 0.72], f["shirt"])
    wall = _mix([0.10, 0.15, 0.30], [0.93, 0.90, 0.84], f["background"])
    canvas = wall * (1 - 0.12 * (y0 + 0 * x0))[..., None]

    # Hair behind the head: a crown, and a fall as far down as it is long.
    bottom = 0.25 + 0.55 * f["hair_length"]
    crown = _ellipse(x, y + 0.12, width + 0.13, 0.62 + 0 * width)
    sides = tf.maximum(tf.abs(x) - (width + 0.11), tf.maximum(-0.1 - y, y - bottom))
    behind = tf.minimum(tf.maximum(crown, y - tf.maximum(bottom, 0.0)), sides)
    canvas = _blend(canvas, hair * 0.8, _coverage(behind))

    # Shoulders, neck.
    canvas = _blend(canvas, shirt, _coverage(_ellipse(x0, y0 - 1.10, 0.78 + 0 * width, 0.42)))
    neck = tf.maximum(tf.abs(x) - 0.15, tf.maximum(0.2 - y, y0 - 0.80 + 0.6 * tf.abs(x0)))
    canvas = _blend(canvas, skin * 0.82, _coverage(neck))

    # Head, ears and features.
    head = _ellipse(x, y, width, 0.55 + 0 * width)
    for side in (-1.0, 1.0):
        ear = _ellipse(x - side * (width + 0.005) + 0.6 * turn, y - 0.03, 0.06 + 0 * width, 0.11)
        canvas = _blend(canvas, skin * 0.88, _coverage(ear))
    canvas = _blend(canvas, skin, _coverage(head))
    spacing = width * 0.45
    openness = 0.062 * (1 + 0.28 * f["eyes_open"])
    for side in (-1.0, 1.0):
        ex, ey = x - side * spacing - turn, y + 0.04
        eye = _ellipse(ex, ey, 0.105 + 0 * width, openness)
        iris = _ellipse(ex - 0.028 * f["gaze"], ey, 0.052 + 0 * width, 0.052 + 0 * width)
        canvas = _blend(canvas, tf.constant([0.97, 0.97, 0.97]), _coverage(eye))
        canvas = _blend(canvas, tf.constant([0.16, 0.11, 0.09]), _coverage(tf.maximum(iris, eye)))
        lift = 0.165 + 0.028 * f["brows"]
        slant = -0.12 * f["brows"] * side
        brow = tf.maximum(tf.abs(ey + lift - slant * ex - 0.9 * ex * ex) - 0.024, tf.abs(ex) - 0.13)
        canvas = _blend(canvas, hair * 0.65, _coverage(brow))
    nose = _ellipse(x - 1.35 * turn, y - 0.13, 0.045 + 0 * width, 0.085)
    canvas = _blend(canvas, skin * 0.80, 0.8 * _coverage(nose))
    mx, my = (x - turn) / 0.17, y - 0.30
    curve = -0.045 * f["smile"] * (mx * mx - 0.4)
    inside = tf.maximum(1 - mx * mx, 0.0)
    opening = (0.022 + 0.022 * (1 + f["mouth_open"])) * inside
    mouth = tf.maximum(tf.abs(my - curve) - opening, (tf.abs(mx) - 1) * 0.17)
    canvas = _blend(canvas, tf.constant([0.62, 0.16, 0.18]), _coverage(mouth))

    # Hair in front: the part of the crown above the hairline.
    hairline = y + 0.36 - 0.09 * f["fringe"] - 0.55 * tf.square(x - 0.5 * turn)
    canvas = _blend(canvas, hair, _coverage(tf.maximum(tf.maximum(crown, hairline), -0.72 - y)))

    lit = 1 + 0.16 * f["light"] * x0 * tf.exp(-0.5 * tf.square(y0))
    return tf.cast(tf.clip_by_value(canvas * lit[..., None], 0.0, 1.0) * 255 + 0.5, tf.uint8)
