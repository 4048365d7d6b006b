"""Records of a run: the curves of its training, and its manifest."""
import functools
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes

from tfisovae.analysis.components import spread_out
from tfisovae.show import drawing
from tfisovae.show.contents import number
from tfisovae.show.drawing import MAIN, Figure, Inline

_POINTS = 500  # limit for a curve: more cannot be seen
_LONGEST = 400  # characters of an entry of the manifest
_CURVES = (("loss", "loss, nats"), ("distortion", "distortion"), ("rate", "rate, nats"),
           ("active_dimensions", "active dimensions"))
_LOG_FROM = 30  # a curve whose ends are further apart than this is drawn on a logarithmic axis


def curve(steps: npt.ArrayLike, values: npt.ArrayLike, name: str, ax: Axes | None = None,
          title: str = "") -> Axes | Figure:
    """A quantity over the steps of a training, on a logarithmic axis if it varies much.

    Args:
      steps, values: `[N]`.
      name: of the quantity, with its unit.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.

    Returns:
      `ax`, or the new figure.
    """
    ax, drawn = drawing.canvas(ax, (5.0, 2.6))
    steps, values = (np.asarray(part, np.float64) for part in (steps, values))
    chosen = spread_out(_POINTS, len(steps))
    drawing.line(ax, steps[chosen], values[chosen], MAIN)
    if (values > 0).all() and values.max() > _LOG_FROM * values.min():
        ax.set_yscale("log")
    ax.set_xlim(steps[0], steps[-1])
    drawing.label(ax, "step", name, title)
    return drawn


def history(rows: Sequence[Mapping[str, str]]) -> list[Inline]:
    """The curves of a training, from the rows of `history.csv`."""
    steps, made = np.array([_number(row.get("step")) for row in rows]), []
    for name, label in _CURVES:
        values = np.array([_number(row.get(name)) for row in rows])
        seen = np.isfinite(values) & np.isfinite(steps)
        x, y = steps[seen], values[seen]
        if len(x) < 2 or x[-1] <= x[0]:
            continue
        half = y[len(y) // 2:]
        said = (f"{label.capitalize()}: from {number(y[0])} at step {x[0]:,.0f} to {number(y[-1])} "
                f"at step {x[-1]:,.0f}")
        said += (f"; between {number(half.min())} and {number(half.max())} over the last half."
                 if len(half) > 2 else ".")
        made.append(Inline(functools.partial(curve, x, y, label), said, half=True, height=220))
    return made


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return math.nan


def manifest(entries: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The entries of a manifest as text, nested ones by path; very long ones are cut."""
    rows = []
    for key, value in entries.items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{key}.{inner}", text) for inner, text in manifest(value)]
            continue
        text = value if isinstance(value, str) else json.dumps(value, default=str)
        more = len(text) - _LONGEST
        rows.append((str(key), text if more <= 0 else
                     f"{text[:_LONGEST]} \N{HORIZONTAL ELLIPSIS} ({more:,} characters more)"))
    return rows
