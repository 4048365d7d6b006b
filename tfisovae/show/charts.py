"""Numbers to pictures of a page: scales, ticks, and the paths of SVG, drawn at the width at which
they are shown.

A `Chart` holds geometry alone. What it looks like, and the escaping of its texts, is the
template's. Every chart of a figure is drawn twice, for a desk and for a telephone: a drawing that
is made smaller has letters that nobody can read.
"""
import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

WIDE, NARROW = 720, 343  # pixels: of the column of the page, and of a telephone of 375
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 20, 26, 40  # margins, pixels


@dataclasses.dataclass(frozen=True)
class Scale:
    """A range of numbers laid along pixels.

    Attributes:
      low, high: the range, `low < high`; both positive where `log`.
      start, end: pixels of `low` and `high`.
      log: whether equal ratios are equally far apart.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, values: npt.ArrayLike) -> np.ndarray:
        """Pixels of values of any shape; what is not finite, or not positive on a logarithmic
        scale, becomes NaN.
        """
        values = np.asarray(values, np.float64)
        low, high = self.low, self.high
        if self.log:
            with np.errstate(divide="ignore", invalid="ignore"):
                values = np.log(np.where(values > 0, values, np.nan))
            low, high = math.log(low), math.log(high)
        inside = np.clip(values, low, high)  # NaN stays
        return self.start + (inside - low) / (high - low) * (self.end - self.start)

    def ticks(self, count: int) -> list[float]:
        """About `count` round numbers in the range."""
        if self.log:
            return _log_ticks(self.low, self.high, count)
        step = _round_step((self.high - self.low) / max(1, count))
        first = math.ceil(self.low / step - 1e-9)
        return [round(k * step, 12) for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _round_step(step):
    """The smallest of 1, 2, 5 times a power of 10 that is at least `step`."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= step * (1 - 1e-9))


def _log_ticks(low, high, count):
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    every = max(1, math.ceil((last - first) / max(1, count)))
    factors = (1, 2, 5) if last - first <= 2 else (1,)
    return [10.0**power * factor for power in range(first, last + 1, every) for factor in factors
            if low * (1 - 1e-9) <= 10.0**power * factor <= high * (1 + 1e-9)]


def span(*values: npt.ArrayLike, include: Iterable[float] = (), log: bool = False,
         room: float = 0.06) -> tuple[float, float]:
    """A range `(low, high)` that holds all finite values, and a little room; some range where there
    are none.

    Args:
      *values: arrays.
      include: numbers that are to be in it.
      log: of a logarithmic scale, which leaves out what is not positive.
      room: share of the range that is added at each end, but not beyond a number of `include`.
    """
    found = np.concatenate(
        [np.ravel(np.asarray(part, np.float64)) for part in (*values, list(include))])
    found = found[np.isfinite(found) & ((found > 0) | (not log))]
    if not len(found):
        return (0.1, 1.0) if log else (0.0, 1.0)
    low, high = float(found.min()), float(found.max())
    if log:
        ratio = (high / low) ** room if high > low else 2.0
        return low / ratio, high * ratio
    extra = room * (high - low) or max(abs(high), 1e-12) / 2
    ends = set(include)
    return (low if low in ends else low - extra), (high if high in ends and high > low else high
                                                   + extra)


@dataclasses.dataclass(frozen=True)
class Text:
    """A text at a point, pixels; `anchor` is "start", "middle" or "end"."""

    x: float
    y: float
    text: str
    anchor: str = "middle"


@dataclasses.dataclass(frozen=True)
class Path:
    """The `d` of a path of SVG, and a word for its look, which the style sheet knows."""

    look: str
    d: str


@dataclasses.dataclass(frozen=True)
class Raster:
    """A picture of greys by its `uri`, through which a colour shows: nothing where it is black.
    `name` is its own on the page.
    """

    name: str
    x: float
    y: float
    width: float
    height: float
    uri: str


@dataclasses.dataclass
class Chart:
    """A frame with axes, to which marks are added.

    Attributes:
      width, height: pixels.
      x, y: `Scale`. marks: `Path`, in the order in which they are drawn. texts: `Text`. rasters:
        `Raster`.
    """

    width: int
    height: int
    x: Scale
    y: Scale
    marks: list[Path] = dataclasses.field(default_factory=list)
    texts: list[Text] = dataclasses.field(default_factory=list)
    rasters: list[Raster] = dataclasses.field(default_factory=list)

    def add(self, look: str, pieces: Iterable[str]) -> "Chart":
        """Adds the pieces of one path; returns the chart."""
        d = "".join(pieces)
        if d:
            self.marks.append(Path(look, d))
        return self

    def bars(self, look: str, x: npt.ArrayLike, y: npt.ArrayLike, width: float) -> "Chart":
        """Bars of `width`, in units of x, that stand on the lower end of the scale of y."""
        half, base = abs(self.x(self.x.low + width) - self.x.start) / 2, self.y.start
        return self.add(look, (f"M{_p(a - half)} {_p(base)}V{_p(b)}H{_p(a + half)}V{_p(base)}Z"
                               for a, b in self._points(x, y)))

    def dots(self, look: str, x: npt.ArrayLike, y: npt.ArrayLike) -> "Chart":
        """Points: strokes of no length, which the style sheet makes round."""
        return self.add(look, (f"M{_p(a)} {_p(b)}h0" for a, b in self._points(x, y)))

    def dashes(self, look: str, x: npt.ArrayLike, y: npt.ArrayLike, width: float) -> "Chart":
        """Short level strokes of `width`, in units of x."""
        half = abs(self.x(self.x.low + width) - self.x.start) / 2
        return self.add(look,
                        (f"M{_p(a - half)} {_p(b)}H{_p(a + half)}" for a, b in self._points(x, y)))

    def whiskers(self, look: str, x: npt.ArrayLike, low: npt.ArrayLike,
                 high: npt.ArrayLike) -> "Chart":
        """Upright strokes from `low` to `high`."""
        points = zip(self.x(x), self.y(low), self.y(high))
        return self.add(look, (f"M{_p(a)} {_p(b)}V{_p(c)}"
                               for a, b, c in points if np.isfinite([a, b, c]).all()))

    def line(self, look: str, x: npt.ArrayLike, y: npt.ArrayLike) -> "Chart":
        """A line through points, broken where one is not finite."""
        pieces, pen = [], "M"
        for a, b in zip(self.x(x), self.y(y)):
            finite = bool(np.isfinite([a, b]).all())
            pieces += [f"{pen}{_p(a)} {_p(b)}"] if finite else []
            pen = "L" if finite else "M"
        return self.add(look, pieces)

    def level(self, look: str, y: float) -> "Chart":
        """A level line over the whole width."""
        return self.line(look, [self.x.low, self.x.high],
                         [y, y]) if self.y.low <= y <= self.y.high else self

    def upright(self, look: str, x: float) -> "Chart":
        """An upright line over the whole height."""
        return self.line(look, [x, x],
                         [self.y.low, self.y.high]) if self.x.low <= x <= self.x.high else self

    def _points(self, x, y):
        return [(a, b) for a, b in zip(self.x(x), self.y(y)) if np.isfinite([a, b]).all()]


def _p(pixel):
    """A pixel with one decimal, as short as it can be."""
    text = f"{pixel:.1f}"
    return text[:-2] if text.endswith(".0") else text


def number(value: float, digits: int = 3) -> str:
    """A number as a person reads it: `digits` significant digits, whole where it is, no exponent
    from a thousandth to a million.
    """
    if value is None or not math.isfinite(value):
        return "not known"
    if value == round(value) and abs(value) < 1e6:
        return f"{value:,.0f}".replace("-", "\N{MINUS SIGN}")
    if 1e-3 <= abs(value) < 1e6:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:,.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(exponent)}".replace("-", "\N{MINUS SIGN}")


def statistic(of: Callable[[np.ndarray], float], values: npt.ArrayLike) -> float:
    """A statistic of the finite ones of some values; NaN where there are none."""
    values = np.ravel(np.asarray(values, np.float64))
    values = values[np.isfinite(values)]
    return float(of(values)) if len(values) else math.nan


def rms(values: np.ndarray) -> float:
    """The root mean square of values."""
    return float(np.sqrt(np.mean(values**2)))


def percent(share: float) -> str:
    """A share in per cent, whole from 10 % on."""
    return f"{100 * share:.0f}\N{NO-BREAK SPACE}%" if not abs(
        share) < 0.0995 else f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def _tick_label(value):
    text = f"{value:,.6g}"
    return (text if "e" not in text else number(value, 1)).replace("-", "\N{MINUS SIGN}")


def frame(width: int, height: int, x: tuple[float, float], y: tuple[float, float], x_label: str,
          y_label: str, *, x_log: bool = False, y_log: bool = False,
          whole_x: bool = False) -> Chart:
    """A chart with its axes.

    Args:
      width, height: pixels.
      x, y: the ranges.
      x_label, y_label: what they are, with the unit.
      x_log, y_log: whether the axes are logarithmic.
      whole_x: whether ticks are at whole numbers alone.
    """
    chart = Chart(width, height, Scale(*x, _LEFT, width - _RIGHT, x_log),
                  Scale(*y, height - _BOTTOM, _TOP, y_log))
    for value in chart.y.ticks(5):
        chart.level("grid", value)
        chart.texts.append(Text(_LEFT - 6, float(chart.y(value)) + 4, _tick_label(value), "end"))
    marks = chart.x.ticks(10 if width > 500 else 5)
    for value in (v for v in marks if not whole_x or v == round(v)):
        at = float(chart.x(value))
        chart.add("axis", [f"M{_p(at)} {height - _BOTTOM}v4"])
        chart.texts.append(Text(at, height - _BOTTOM + 17, _tick_label(value)))
    chart.add("axis", [f"M{_LEFT} {height - _BOTTOM}H{width - _RIGHT}"])
    chart.texts.append(Text(width - _RIGHT, height - 6, x_label, "end"))
    chart.texts.append(Text(0, 13, y_label, "start"))
    return chart


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Attributes:
      alt: what it shows: the finding, in a sentence.
      charts: `(size, Chart)`, of which the page shows the one that fits; sizes are "wide",
        "narrow", "any".
      legend: `(look, words)`.
      caption: how it is to be read.
    """

    alt: str
    charts: Sequence[tuple[str, Chart]]
    legend: Sequence[tuple[str, str]] = ()
    caption: str = ""


def figure(alt: str, draw: Callable[[int], Chart], legend: Sequence[tuple[str, str]] = (),
           caption: str = "", half: bool = False) -> Figure:
    """A figure whose chart `draw(width)` makes: at both widths, or at the narrow one alone where it
    fills half of the column.
    """
    sizes = (("any", NARROW),) if half else (("wide", WIDE), ("narrow", NARROW))
    return Figure(alt, [(size, draw(width)) for size, width in sizes], legend, caption)
