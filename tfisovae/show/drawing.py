"""Shared parts of all pictures: colours and marks, PNG files, and SVG for a page.

A drawing function takes `ax=None`. It returns the given axes, or a new `Figure`, which a notebook
shows by itself.
"""
import dataclasses
import functools
import io
import os
import re
from collections.abc import Callable
from xml.etree import ElementTree

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import figure as matplotlib_figure
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from matplotlib.transforms import ScaledTranslation

from tfisovae import files
from tfisovae.show.contents import tick_label

# The page's style sheet gives each name a colour for light mode (this one) and one for dark mode.
COLORS = {
    "ink": "#1c2127", "quiet": "#55606b", "grid": "#e6eaee", "main": "#2a62a8", "faint": "#6f92c2",
    "other": "#a8500c", "good": "#1f6e3d", "bad": "#ab2430", "doubt": "#7d5600"
}
INK, QUIET, GRID, MAIN, FAINT, OTHER, GOOD, BAD, DOUBT = COLORS.values()
FONT = 9  # points
_MARKS = 400  # bars or dots in a picture
# From transparent at 0 to the full colour, so that the page's background shows.
_SHADES = LinearSegmentedColormap.from_list("shades", [f"{MAIN}00", MAIN])
WIDE, NARROW = 720, 343  # pixels: the column of the page, and a phone of 375 without its margins
_INCH = 100  # pixels of the page
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 14, 32, 46  # margins of a chart of the page, pixels
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Figure(matplotlib_figure.Figure):
    """A figure of matplotlib's that a notebook shows by itself. It needs neither pyplot nor a
    display.
    """

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        _write(self, picture)
        return picture.getvalue()


def _write(figure, file):
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight", pil_kwargs={"optimize": True})


def save(figure: matplotlib_figure.Figure, path: str | os.PathLike) -> None:
    """Writes any figure of matplotlib as PNG, without a display, completely or not at all."""
    with files.replacing(path, "wb") as file:
        _write(figure, file)


def canvas(ax: Axes | None, size: tuple[float, float] = (7.2, 3.0)) -> tuple[Axes, Axes | Figure]:
    """Axes to draw on, and the result to return: the given axes, or a new figure of `size`, inches.
    """
    if ax is not None:
        return ax, ax
    figure = Figure(figsize=size)
    return figure.subplots(), figure


def panels(count: int, size: tuple[float, float], title: str = "",
           columns: int | None = None) -> tuple[Figure, list[Axes]]:
    """A figure of several axes.

    Args:
      count: of the axes.
      size: of one of them, inches.
      title: above all of them; any text.
      columns: axes side by side; by default all.
    """
    columns = columns or count
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in axes[count:]:
        unused.set_visible(False)
    figure.suptitle(title, fontsize=FONT + 1, parse_math=False)
    return figure, axes[:count]


def label(ax: Axes, x: str, y: str, title: str = "", legend: bool = True) -> None:
    """Writes the axis labels, and the legend below the axes. All texts are literal: `$` is `$`."""
    ax.set_axisbelow(True)
    ax.grid(axis="y", color=GRID, linewidth=0.8, gid="grid")
    ax.tick_params(labelsize=FONT, labelcolor=QUIET, color=QUIET, width=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set(color=QUIET, linewidth=0.8)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: tick_label(value)))
        axis.set_minor_locator(NullLocator())
        if axis.get_scale() == "linear":
            axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10]))
        else:
            low, high = axis.get_view_interval()
            axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    ax.set_xlabel(_literal(x))
    ax.set_ylabel(_literal(y), rotation=0, ha="left", va="bottom")
    ax.yaxis.set_label_coords(0, 1.02)
    ax.set_title(_literal(title), pad=20 if y else 6, fontsize=FONT + 1)
    texts = [ax.xaxis.label, ax.yaxis.label]
    if legend and ax.get_legend_handles_labels()[1]:
        below = ScaledTranslation(0, -36 / 72, ax.figure.dpi_scale_trans)
        drawn = ax.legend(loc="upper left", bbox_to_anchor=(0, 0), frameon=False, fontsize=FONT,
                          bbox_transform=ax.transAxes + below, borderaxespad=0)
        texts += drawn.get_texts()
    for text in texts:
        text.set(fontsize=FONT, color=QUIET)
    for text in (*texts, ax.title):
        text.set_parse_math(False)


def _literal(text):
    """Text that a file of XML can hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def some(count: int) -> np.ndarray:
    """Places of at most 400 of so many marks, evenly spaced from the first to the last: as many as
    a picture can show.
    """
    return np.unique(np.linspace(0, count - 1, min(count, _MARKS)).round().astype(int))


def heat(ax: Axes, values: npt.ArrayLike, extent: tuple[float, float, float, float],
         limits: tuple[float, float]) -> None:
    """A matrix as shades, and its scale at the right. Entries that are not finite stay empty.

    Args:
      values: `[rows, columns]`.
      extent: left, right, bottom and top of the picture on the axes.
      limits: values without a shade, and with the full colour.
    """
    low, high = limits
    look = {"vmin": low, "vmax": high, "cmap": _SHADES, "interpolation": "none"}
    ax.imshow(np.nan_to_num(values, nan=low), extent=extent, **look)
    ax.grid(False)
    scale = ax.inset_axes([1.05, 0, 0.06, 1])
    scale.imshow(np.linspace(high, low, 64)[:, None], extent=(0, 1, low, high), aspect="auto",
                 **look)
    scale.set_xticks([])
    scale.tick_params(labelsize=FONT, labelcolor=QUIET, color=QUIET, right=True, labelright=True,
                      left=False, labelleft=False)
    scale.spines[:].set_visible(False)
    scale.patch.set_visible(False)


def whole_numbers(ax: Axes, n: int, words: str) -> None:
    """Lays the numbers 1 to n along x, and names them."""
    ax.set_xlim(0.4, n + 0.6)
    ax.set_xlabel(words)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def bars(ax: Axes, x: npt.ArrayLike, height: npt.ArrayLike, base: float, color: str, name: str = "",
         width: float = 0.8) -> None:
    """Bars from `base` up to `height`, as one mark; a faint colour is half transparent."""
    x, height = (np.asarray(part, np.float64) for part in (x, height))
    seen = np.isfinite(height)
    if not seen.any():
        return
    left, right, top = x[seen] - width / 2, x[seen] + width / 2, height[seen]
    low = np.full(len(top), base)
    corners = np.stack([left, low, left, top, right, top, right, low], -1).reshape(-1, 4, 2)
    filled = matplotlib.colors.to_rgba(color, 0.35 if color == FAINT else 1.0)
    ax.add_patch(PathPatch(Path.make_compound_path_from_polys(corners), facecolor=filled,
                           edgecolor=color, linewidth=0.7, label=_literal(name) or None,
                           gid="bars"))
    ax.autoscale_view()


def dashes(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, color: str, name: str = "",
           width: float = 0.7) -> None:
    """Short level strokes of `width`, in units of x."""
    x = np.asarray(x, np.float64)
    _strokes(ax, [x - width / 2, x + width / 2], [y, y], color, 1.5, "_", name)


def whiskers(ax: Axes, x: npt.ArrayLike, low: npt.ArrayLike, high: npt.ArrayLike, color: str,
             name: str = "") -> None:
    """Upright strokes from `low` to `high`."""
    _strokes(ax, [x, x], [low, high], color, 0.9, "|", name)


def _strokes(ax, x, y, color, width, marker, name):
    """Strokes between two points each, as one mark; the legend shows the marker."""
    x, y = (np.stack([*np.asarray(part, np.float64), np.full(len(part[0]), np.nan)], -1).ravel()
            for part in (x, y))
    if np.isfinite(y).any():
        ax.plot(x, y, color=color, linewidth=width, solid_capstyle="butt", gid="strokes")
        if name:
            ax.plot([], [], marker, color=color, markersize=9, label=_literal(name))


def dots(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, color: str, name: str = "",
         size: float = 5.0) -> None:
    """Points; not those that are not finite."""
    if np.isfinite(np.asarray(y, np.float64)).any():
        ax.plot(x, y, "o", color=color, markersize=size, markeredgewidth=0, gid="dots",
                label=_literal(name) or None)


def line(ax: Axes, x: npt.ArrayLike, y: npt.ArrayLike, color: str, name: str = "", style: str = "-",
         width: float = 1.3, mark: str = "line") -> None:
    """A line through points, broken where one is not finite; `mark` is its class on a page."""
    if np.isfinite(np.asarray(y, np.float64)).any():
        ax.plot(x, y, style, color=color, linewidth=width, gid=mark, markersize=4,
                label=_literal(name) or None)


def level(ax: Axes, y: float, name: str = "") -> None:
    """A dotted level line."""
    ax.axhline(y, color=QUIET, linewidth=0.9, linestyle=":", gid="rule",
               label=_literal(name) or None)


@dataclasses.dataclass(frozen=True)
class Inline:
    """A picture of a page.

    Attributes:
      draw: function that returns its figure.
      alt: the finding, in a sentence.
      caption: how to read it.
      half: whether it fills half of the column, and is drawn only at the narrow width.
      height: at the narrow width, pixels; at the wide one it is a sixth higher.
      right: its margin at the right, pixels.
    """

    draw: Callable[[], Figure]
    alt: str
    caption: str = ""
    half: bool = False
    height: int = 260
    right: int = _RIGHT

    @functools.cached_property
    def _figure(self):
        return self.draw()

    @functools.cached_property
    def charts(self) -> list[tuple[str, str, str]]:
        """`(size, view box, SVG)`; the page shows the one that fits. Sizes are "wide", "narrow" and
        "any".
        """
        self.legend  # noqa: B018, which takes it off the axes
        sizes = (("any", NARROW, 1),) if self.half else (("wide", WIDE, 7 / 6), ("narrow", NARROW,
                                                                                1))
        return [(size, *_svg(self._figure, width, round(self.height * taller), self.right))
                for size, width, taller in sizes]

    @functools.cached_property
    def legend(self) -> list[tuple[str, str, str]]:
        """`(mark, colour, words)`: a page writes its legend as text, which a phone can wrap."""
        found = []
        for ax in self._figure.axes:
            found += [(*_look(handle), words)
                      for handle, words in zip(*ax.get_legend_handles_labels())]
            if ax.get_legend():
                ax.get_legend().remove()
        return found


def _look(handle):
    if isinstance(handle, PathPatch):
        return "bars", _named(matplotlib.colors.to_hex(handle.get_edgecolor()))
    assert isinstance(handle, Line2D)
    marks = {"o": "dots", "P": "dots", ".": "dots", "|": "whiskers", "_": "dashes"}
    style = handle.get_linestyle()
    mark = (marks.get(handle.get_marker(), "line") if style == "None" else
            "line" if style == "-" else "broken")
    return mark, _named(matplotlib.colors.to_hex(handle.get_color()))


def _named(color):
    """A colour as the page names it, so that its style sheet decides on it."""
    return next((f"var(--{name})" for name, value in COLORS.items() if value == color), color)


def _svg(figure, width, height, right):
    """`(view box, elements)` of a figure at a size in pixels of the page.

    The same figure gives the same text: without a date, with ids by their content. Ids begin with
    `ID`, which the page replaces to make each unique.
    """
    figure.set_size_inches(width / _INCH, height / _INCH)
    figure.subplots_adjust(_LEFT / width, _BOTTOM / height, 1 - right / width, 1 - _TOP / height)
    figure.patch.set_visible(False)
    for ax in figure.axes:
        ax.patch.set_visible(False)
    file = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "tfisovae"}):
        FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    made = [part for child in root for part in _compact(child)]
    return root.get("viewBox"), "".join(
        ElementTree.tostring(part, encoding="unicode") for part in made)


ID = "\ue000"
_INHERITED = {
    "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-linecap",
    "stroke-linejoin", "stroke-dasharray", "stroke-dashoffset"
}


def _compact(element) -> list[ElementTree.Element]:
    """Shortens an element of matplotlib's SVG and removes style attributes, which the policy of the
    page forbids. Our group ids become classes.
    """
    tag = element.tag.rpartition("}")[2]
    if tag in ("metadata", "style"):
        return []
    made = ElementTree.Element(tag, _attributes(tag, element))
    made.text = element.text if tag == "text" else None
    made.extend(part for child in element for part in _compact(child))
    if tag == "image":
        return _masked(made)
    if tag not in ("g", "defs"):
        return [made]
    if tag == "g" and len(made) > 1:
        shared = set.intersection(*(set(child.items()) for child in made))
        for name, value in shared:
            if name in _INHERITED:
                made.set(name, value)
                for child in made:
                    del child.attrib[name]
    if tag == "g" and (not made.attrib or len(made) == 1 and not set(made.keys()) & set(
            made[0].keys())):
        for child in made:
            child.attrib.update(made.attrib)
        return list(made)
    return [made] * bool(len(made))


def _attributes(tag, element):
    """The attributes of an element, including its style, in short form."""
    made = {name.rpartition("}")[2]: value for name, value in element.items()}
    style = dict(re.findall(r"([a-z-]+):\s*([^;]+)", made.pop("style", "")))
    style.pop("font-family", None)
    if "font" in style:  # "9px 'DejaVu Sans'", of matplotlib before 3.9
        style["font-size"] = style.pop("font").partition(" ")[0]
    made |= style
    identity = made.pop("id", "")
    if tag == "g" and identity and not re.search(r"_\d+$", identity):
        made["class"] = identity
    elif tag == "image":
        made["id"] = identity
    elif tag != "g" and identity:
        made["id"] = ID + identity[:7]
    for name in ("href", "clip-path"):
        if name in made:
            made[name] = re.sub(r"#(.{7})[^)]*", rf"#{ID}\1", made[name]) if "data:" not in made[
                name] else made[name].replace("\n", "")
    for name in ("fill", "stroke"):
        if name in made:
            made[name] = _named(made[name])
    for name in made.keys() & {"d", "x", "y", "width", "height"}:
        made[name] = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.2f}".rstrip(
            "0").rstrip("."), re.sub(r"\s+(?=[A-Za-z])|(?<=[A-Za-z])\s+|\s+$", "", made[name]))
    if made.get("transform", "").startswith("rotate(-0 "):
        del made["transform"]
    return made


def _masked(image):
    """A picture whose opacity alone counts: the page's own colour shows through it."""
    place = {name: image.get(name) for name in ("x", "y", "width", "height") if image.get(name)}
    moved = image.attrib.pop("transform", "")
    name = ID + image.attrib.pop("id")[5:12]
    mask = ElementTree.Element("mask", {"id": name, "mask-type": "alpha"})
    mask.append(image)
    shown = {**place, "class": "heat", "fill": _named(MAIN), "mask": f"url(#{name})"}
    return [mask, ElementTree.Element("rect", shown | ({"transform": moved} if moved else {}))]
