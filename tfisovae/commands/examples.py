"""The examples of a command that measures any model, and their conditions."""
import argparse
import os
import sys
from typing import Any, NamedTuple

import numpy as np

from tfisovae.commands import choices, measuring

_HOW_TO_GIVE_C = (
    "The model is conditional, so it needs a condition c for each example. Give an .npz with the "
    "arrays x and c, or a table and --condition COLUMN.")
_NUMBERS = (
    "--condition {}: {} holds no real numbers there. The model needs the numbers of its training: "
    "save categories as one column of class numbers, or as a column of 0 and 1 for each.")


class Examples(NamedTuple):
    """Some examples of the data.

    Attributes:
      x: `[N, ...]`, float32.
      rows: the row of each in its file, `[N]`.
      c: their conditions, `[N, ...]`, for a conditional model; else `None`.
    """

    x: np.ndarray
    rows: np.ndarray
    c: np.ndarray | None = None

    @property
    def data(self) -> Any:
        """What measurements take: x, or (x, c)."""
        return self.x if self.c is None else (self.x, self.c)

    def first(self, count: int) -> "Examples":
        """At most the first `count` examples."""
        return Examples(*(part if part is None else part[:count] for part in self))


def load(args: argparse.Namespace, name: str, count: int | None = None, option: str = "data",
         conditional: bool = False) -> Examples:
    """At most `count` random examples of `name` (as for `--data`).

    Args:
      args: the options.
      name: of the data.
      count: by default 1,000 images or 10,000 vectors.
      option: that gave the name.
      conditional: whether to read conditions too, as `--condition` says.

    Raises:
      ValueError: also for an example that is not finite, with the option and its row.
    """
    from tfisovae import sources
    from tfisovae.autoencoder.data import check_kind
    from tfisovae.sources import columnar
    from tfisovae.training import batches

    ending, c = os.path.splitext(name)[1].lower(), None
    columns = args.condition.split(",") if conditional and args.condition else None
    if name in choices.TOYS:
        toy = sources.load_toy(name)
        rows = toy.train if option == "train_data" else toy.eval
        print(f"--{option} {name}: drawn with the seed 0, as by `tfisovae toy --seed 0`.",
              file=sys.stderr)
    elif name in choices.IMAGES or os.path.isdir(name) or ending == ".zip":
        rows = measuring.chosen(
            sources.load_images(name, args.cache_dir, image_size=args.image_size, crop=args.crop,
                                grayscale=args.grayscale), "all").eval
    elif columns and ending != ".npz":
        rows, c = _table(name, columns)
    elif ending in (".npy", ".npz") and os.path.isfile(name):
        wanted = columnar.OF_TRAINING[:2] if option == "train_data" else columnar.OF_TESTS
        rows, array = columnar.numpy_array(name, wanted)  # a table, or images
        if rows.ndim < 2 or not rows.size:
            raise ValueError(
                f"{name} must hold examples [N, ...]; its shape is {list(rows.shape)}.")
        if array and conditional:
            c, of_c = _array(name, array, args.condition, len(rows))
            print(f"--{option} {name}: x is {array!r}, and c is {of_c!r}.", file=sys.stderr)
        elif array:
            print(f"--{option} {name}: the array {array!r}.", file=sys.stderr)
    else:
        rows = measuring.chosen(sources.load_vectors(name), "all").eval
    if conditional and c is None:
        raise ValueError(f"--{option} {name}: {_HOW_TO_GIVE_C}")
    count = count or (1_000 if len(rows.shape) > 2 else 10_000)
    chosen = batches.drawn(len(rows), count, 0)
    x, c = np.asarray(rows[chosen]), c if c is None else np.asarray(c[chosen])
    x = x.astype(np.float64) if x.dtype == np.longdouble else x
    check_kind(x, f"--{option} {name}")
    x = x.astype(np.float32) * np.float32(args.max_value / 255 if x.dtype == np.uint8 else 1)
    finite = np.isfinite(x).reshape(len(x), -1).all(1)
    if c is not None:
        finite &= np.isfinite(c).reshape(len(c), -1).all(1)
    if not finite.all():
        raise ValueError(
            f"--{option} {name}: row {chosen[np.argmin(finite)]} (counted from 0) is not finite. "
            "Leave it out, or fill missing values.")
    return Examples(x, chosen, c)


def _array(name, x, condition, count):
    """The condition in a `.npz`, and the name of its array."""
    from tfisovae.sources import columnar, content

    try:
        c, found = columnar.condition_array(name, x, condition)
    except content.TextColumn:
        raise ValueError(_NUMBERS.format(condition or "c", name)) from None
    if c.ndim == 0 or len(c) != count:
        raise ValueError(
            f"{name}: the array {found!r} has the shape {list(c.shape)}; the condition needs a row "
            f"for each of the {count} examples in {x!r}.")
    return c, found


def _table(name, columns):
    """The rows of a table without the columns of the condition, and these: `[N]` for one column,
    `[N, k]` for more. Whole numbers are integers, as in pandas.
    """
    from tfisovae import sources
    from tfisovae.sources import content

    def rows(**options):
        return measuring.chosen(sources.load_vectors(name, reading=options), "all").eval

    try:
        c = rows(columns=columns)[:]
    except content.TextColumn:
        raise ValueError(_NUMBERS.format(",".join(columns), name)) from None
    c = c[:, 0] if len(columns) == 1 else c
    return rows(without=columns), c.astype(np.int64) if (c == np.rint(c)).all() else c
