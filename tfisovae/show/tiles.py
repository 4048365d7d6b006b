"""Decoded pictures on a page: traversals, reconstructions and inputs of extreme density. Images are
tiles in few pictures, within a budget of bytes.
"""
import base64
import dataclasses
import functools
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image

from tfisovae.analysis.spatial import Spatial
from tfisovae.show import decoded
from tfisovae.show.contents import Contents, count, limits_words, number, percent
from tfisovae.show.drawing import Inline
from tfisovae.show.norms import followed

MAX_SIDE = 96  # pixels of a tile on the page
_QUALITIES = (82, 65, 45)  # of WebP, tried in turn
_EXAMPLES, _CURVES = 12, 4  # reconstructions of images, and of vectors, at most
_CRISP = 48  # pixels of a side, below which pixels are shown as squares
_EQUAL_IN = {  # by `Traversals.steps`
    "decoder": "equally far apart in distortion", "posterior": "equally far apart in distortion",
    "z": "equally far apart in z"
}
_NUMBERS = 4  # of a condition that is shown, at most
_THIRDS = ("upper", "middle", "lower"), ("left", "centre", "right")


def to_bytes(images: np.ndarray, limits: tuple[float, float] = (0.0, 1.0)) -> np.ndarray:
    """`[..., H, W, C]`, of 1 or 3 channels, as uint8 `[..., H, W, 3]`; `limits` are black and
    white; entries that are not finite are black.
    """
    low, high = limits
    scaled = (np.asarray(images, np.float64) - low) / (high - low or 1.0)
    scaled = np.clip(np.nan_to_num(scaled, posinf=0.0, neginf=0.0), 0, 1)
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


def uri(picture: np.ndarray, quality: int) -> str:
    """A picture `[H, W, 3]`, uint8, as a data URI of WebP."""
    file = io.BytesIO()
    PIL.Image.fromarray(np.ascontiguousarray(picture)).save(file, "webp", quality=quality, method=4)
    return f"data:image/webp;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


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


def are_images(x: np.ndarray) -> bool:
    """Whether examples `[N, ...]` are images of 1 or 3 channels."""
    return x.ndim == 4 and x.shape[-1] in (1, 3)


def walks(contents: Contents, budget: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of the traversals and their captions; pictures or curves of at most `budget`
    characters.
    """
    moved, measured = contents.traversals, contents.measured
    if moved is None:
        command = contents.commands.get("report")
        return [], [
            "There are no traversals here, since they need the model." +
            (f" To have them: {command}" if command else "")
        ]
    follows, found = followed(measured) or [], Spatial.of(measured.values)
    rank = {int(j): place for place, j in enumerate(measured.ranking, 1)}

    def named(j, share):
        words = [f"rank {rank[j]}"]
        if found is not None:
            words.append(found.place_of(j))
        if np.isfinite(share):
            words.append(f"{percent(share)} of the {measured.rank_name}")
        return f"z{j}", f"z_{j}", words + ["inactive"] * (not measured.active[j]) + [
            f"follows {one}" for one in follows[j:j + 1]
        ]

    made = _rows(contents, moved, named, "z", budget)
    return made, _said_of_all(contents, len(made), are_images(moved.x[0]))


def channel_walks(contents: Contents, budget: int) -> tuple[list[dict[str, Any]], list[str]]:
    """The same along the leading directions of the channels of a spatial latent space."""
    moved, found = contents.channel_traversals, Spatial.of(contents.measured.values)
    if moved is None or found is None:
        return [], []
    count = len(moved.dimensions) // found.shape[2]

    def named(j, share):
        channel, k = divmod(j, count)
        words = [f"{percent(share)} of the variance of the channel"] if np.isfinite(share) else []
        return f"c{j}", f"channel {channel}, direction {k + 1}", words

    made = _rows(contents, moved, named, "deviations", budget)
    words = ["Each row moves all places of one channel together, along a direction in which its "
             "means vary most over the data. It goes from "
             f"{number(moved.z.min())} to {number(moved.z.max())} standard deviations about the "
             f"mean, {moved.x.shape[1]} points {_EQUAL_IN[moved.steps]}."]
    if len(made) < len(moved.x):
        words.append(f"{len(made)} of {len(moved.x)} rows are shown, so that the page stays small.")
    return made, words


def _rows(contents, moved, named, unit, budget):
    """The rows of traversals, with pictures, or curves, of at most `budget` characters."""
    columns, images = moved.x.shape[1], are_images(moved.x[0])
    if images:
        tiles = [to_bytes(row, contents.limits) for row in moved.x]
        drawn = strips(tiles, budget)
        crisp = max(moved.x.shape[2:4]) < _CRISP
    else:
        drawn = _curves(moved.x.reshape(*moved.x.shape[:2], -1), moved.dimensions, contents.names,
                        budget)
    made = []
    for at, one in enumerate(drawn):
        j, z, between = int(moved.dimensions[at]), moved.z[at], moved.distortion[at]
        identity, name, words = named(j, float(moved.share[at]))
        words.append("the decoder is constant" if moved.still[at]
                     else f"D {_range(between)} a step")
        texts = [f"{unit} = {number(z[0], 3)}"] + [
            f"{unit} = {number(value, 3)}, D {number(step, 2)} from the step before"
            for value, step in zip(z[1:], between)
        ]
        walk = {
            "id": identity, "name": name, "words": "; ".join(words), "texts": texts,
            "strip": None, "figure": None, "crisp": False, "alt": ""
        }
        if images:
            alt = (f"{name} from {number(z[0])} to {number(z[-1])} in {columns} pictures, left to "
                   f"right. {_changes(tiles[at])}")
            walk |= {"strip": one, "crisp": crisp, "alt": alt}
        else:
            walk["figure"] = one
        made.append(walk)
    return made


def _from_to(moved, measured):
    if measured.values.get("standard_prior") is False:
        return "two standard deviations of the data each way"
    return f"from {number(moved.z.min())} to {number(moved.z.max())}"


def _said_of_all(contents, shown, images):
    moved, measured = contents.traversals, contents.measured
    columns = moved.x.shape[1]
    words = [
        f"Each row moves one latent variable {_from_to(moved, measured)}, {columns} points "
        f"{_EQUAL_IN[moved.steps]}, and keeps the others fixed. The slider, or the arrow keys on "
        "it, shows one point at a time. D is the distortion between neighbours."
    ]
    total = len(moved.x)
    if shown < total:
        words.append(
            f"{shown} of {count(total)} are shown, the most important ones: the page must stay "
            "below 5 MB."
        )
    others = np.setdiff1d(np.arange(measured.n), moved.dimensions)
    if len(others):
        words.append(f"The other {count(len(others))} of {measured.n}: "
                     f"{int(measured.active[others].sum())} of them active.")
    given = contents.reconstructions
    if given is not None and given.c is not None and len(given.c):
        said = condition(given.c[0])
        words.append(f"The condition is fixed{': ' * bool(said)}{said}, as for the first of the "
                     "reconstructions.")
    if not measured.active.any():
        words.append("No dimension is active, so z holds nothing about the input.")
    if images and contents.limits != (0.0, contents.max_value):
        words.append(limits_words(contents.limits, contents.max_value))
    sides = moved.x.shape[2:4] if images else (0,)
    if max(sides) > MAX_SIDE:
        words.append(
            f"The pictures are made smaller, from {sides[1]} x {sides[0]} pixels to "
            f"{MAX_SIDE} at most."
        )
    return words


def condition(c: np.ndarray) -> str:
    """The condition of one example in words; one-hot rows are classes from 0. It is "" for a long
    one, such as an image.
    """
    c = np.asarray(c)
    values = c.ravel()
    if len(values) > 1 and np.all((values == 0) | (values == 1)) and values.sum() == 1:
        return f"class {np.argmax(values)}"
    if c.ndim > 1 or len(values) > _NUMBERS:
        return ""
    said = ", ".join(f"{value:.4g}" for value in values)
    return f"c = {said}" if len(values) == 1 else f"c = ({said})"


def _range(values):
    low, high = number(float(np.min(values)), 2), number(float(np.max(values)), 2)
    return low if low == high else f"{low} to {high}"


def _changes(tiles):
    """A sentence on where a row `[columns, H, W, 3]`, uint8, changes, and whether it gets brighter.
    """
    light = tiles.mean(-1, dtype=np.float64) / 255
    spread = light.std(0)
    if spread.max() < 1 / 255:
        return "Nothing can be seen to change."
    rows, columns = (np.array_split(np.arange(size), 3) for size in spread.shape)
    cells = np.array(
        [[spread[np.ix_(a, b)].mean() if len(a) and len(b) else 0 for b in columns] for a in rows])
    row, column = np.unravel_index(np.argmax(cells), cells.shape)
    place = "centre" if (row, column) == (1, 1) else f"{_THIRDS[0][row]} {_THIRDS[1][column]}"
    even = cells.min() > 0.6 * cells.max()
    said = "The whole picture changes" if even else f"Most changes in the {place}"
    brighter = float(light[-1].mean() - light[0].mean())
    if abs(brighter) < 0.01:
        return f"{said}; it stays as bright."
    change = "brighter" if brighter > 0 else "darker"
    return f"{said}; it gets {change} by {percent(abs(brighter))} of white."


def _curves(x, dimensions, names, budget):
    """A picture for each row `[columns, m]` of decoded vectors, of at most `budget` characters in
    all.
    """
    shown = x[np.isfinite(x)]  # a row is NaN if the decoder does not change
    low, high = (float(shown.min()), float(shown.max())) if len(shown) else (0.0, 0.0)
    room = 0.06 * (high - low) or 0.5
    limits, figure = (low - room, high + room), None
    made, used = [], 0
    for j, row in zip(dimensions, x):
        moves = np.ptp(row, axis=0)
        most = [_entry(k, names) for k in np.argsort(-moves, kind="stable")[:3] if moves[k] > 0]
        said = (f"Decoded vectors along z_{j}: " + (
            f"{', '.join(most)} move most, by {number(float(moves.max()))} at most."
            if most else "nothing moves."))
        if figure is None:
            figure = decoded.curves(row, limits=limits)
        else:  # the same axes again, since new ones take most of the time
            for line in list(figure.axes[0].lines):
                line.remove()
            decoded.curves(row, figure.axes[0], limits=limits)
        one = Inline(lambda figure=figure: figure, said, half=True, height=230)
        used += sum(len(elements) for *_, elements in one.charts)
        if used > budget:
            break
        made.append(one)
    return made


def _entry(k, names):
    return f"entry {k + 1}" if names is None or k >= len(names) else str(names[k])


def reconstructed(contents: Contents, budget: int) -> dict[str, Any] | None:
    """Inputs above their reconstructions: pictures, or curves of vectors."""
    found = contents.reconstructions
    if found is None:
        return None
    images = are_images(np.asarray(found.x))
    size = min(len(found.x), _EXAMPLES if images else _CURVES)
    distortion = np.full(size, np.nan) if found.distortion is None else np.asarray(
        found.distortion, np.float64)[:size]
    names = [f"input {k}" if found.rows is None else f"row {found.rows[k]}" for k in range(size)]
    if found.c is not None:
        names = [", ".join(filter(None, (name, condition(c)))) for name, c in zip(names, found.c)]
    words = f"{count(size, 'input')} above what the decoder makes of the posterior's mean"
    words += f"; their distortion is {_range(distortion)}." if np.isfinite(
        distortion).all() else "."
    x, x_check = np.asarray(found.x)[:size], np.asarray(found.x_check)[:size]
    if images:
        words = f"{words} {limits_words(contents.limits, contents.max_value)}".rstrip()
        pairs = [
            np.stack(pair)
            for pair in zip(*(to_bytes(part, contents.limits) for part in (x, x_check)))
        ]
        columns = [pair.reshape(1, -1, *pair.shape[2:]) for pair in pairs]
        alts = [
            f"{name.capitalize()}, above its reconstruction" +
            (f": distortion {number(value)}" if np.isfinite(value) else "")
            for name, value in zip(names, distortion)
        ]
        said = [
            name + (f": D {number(value, 2)}" if np.isfinite(value) else "")
            for name, value in zip(names, distortion)
        ]
        return {
            "words": words, "figures": [], "examples": _examples(columns, alts, said, budget,
                                                                 x.shape[2])
        }
    flat = [part.reshape(size, -1) for part in (x, x_check)]
    return {"words": words.replace("above", "next to"), "examples": [], "figures": [
        _vector(name, *pair, value) for name, *pair, value in zip(names, *flat, distortion)]}


def _vector(name, x, x_check, distortion):
    off = np.abs(x - x_check)
    said = (f"{name.capitalize()}: the reconstruction is {number(float(off.max()))} off at most, "
            f"in entry {int(np.argmax(off)) + 1}")
    said += f"; distortion {number(distortion)}." if np.isfinite(distortion) else "."
    draw = functools.partial(decoded.reconstruction, x, x_check)
    return Inline(draw, said, half=True, height=220)


def _examples(tiles, alts, words, budget, side):
    """Pictures with their words, as far as the budget goes."""
    made = strips(tiles, budget)
    return [{
        "uri": one.uri, "width": one.width, "height": one.height, "alt": alt, "words": said,
        "crisp": side < _CRISP
    } for one, alt, said in zip(made, alts, words)]


def extremes(contents: Contents, budget: int) -> list[dict[str, Any]]:
    """The most and the least probable inputs: pictures, or a table of rows, with their log
    densities.
    """
    found = contents.densities
    saved: Mapping[str, Any] = (found.saved.get("extremes") or {}) if found else {}
    form, made = saved.get("form"), []
    known = found is not None and form in found.columns and "row" in found.columns
    values = {int(row): value
              for row, value in zip(found.columns["row"], found.columns[form])} if known else {}
    for name, title in (("most_probable", "Most probable"), ("least_probable", "Least probable")):
        rows = list(saved.get(name) or ())
        if not rows:
            continue
        table = {
            "columns": ["row", "log p, nats"],
            "rows": [[str(row), number(values.get(row, np.nan), 4)] for row in rows]
        }
        examples, images = [], (found.extremes or {}).get(name)
        if images is not None and are_images(np.asarray(images)) and len(images) == len(rows):
            tiles = [
                image[None] for image in to_bytes(np.asarray(images), contents.limits)
            ]
            said = [
                f"row {row}" + (f": {number(values[row], 4)}" if row in values else "")
                for row in rows
            ]
            alts = [
                f"{title} input {place}, row {row}: log p {number(values.get(row, np.nan), 4)} nats"
                for place, row in enumerate(rows, 1)
            ]
            examples = _examples(tiles, alts, said, budget // 2, images.shape[2])
        made.append({"name": title, "examples": examples, "table": table})
    return made
