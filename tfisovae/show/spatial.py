"""A spatial latent space as what it is: maps over its places, and bars over its channels."""
import functools
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tfisovae.analysis.spatial import Spatial
from tfisovae.show import drawing
from tfisovae.show.contents import Measured, Numbers, number
from tfisovae.show.drawing import INK, MAIN, Figure, Inline
from tfisovae.verdict.gains import Z

_SHOWN = {"importance": "importance", "kl_mean": "KL, nats", "norm_mean": "norm"}
_PLACES = 10  # rows of the table
_WIDE = 30.0  # largest value by smallest, above which a map is of logarithms


def of(numbers: Numbers) -> Spatial | None:
    """What was measured by channel and by place; `None` where the latents are not spatial."""
    return Spatial.of(Measured.of(numbers).values)


def channels(numbers: Numbers, name: str = "importance", ax: Axes | None = None,
             title: str = "") -> Axes | Figure:
    """A bar for each channel.

    Args:
      numbers: `Analysis`, or what `isometry.json` holds, of a spatial latent space.
      name: "importance" or "norm_mean", the mean over the places of the channel; "kl_mean", the
        sum; or "channel_cost", the cost of removing it, with its interval of 95 %.
      ax: to draw on; by default of a new figure.
      title: above the picture; any text.

    Returns:
      `ax`, or the new figure.
    """
    found = of(numbers)
    ax, drawn = drawing.canvas(ax, (3.6, 2.6))
    values, error = found.channel_cost if name == "channel_cost" else (found.by_channel(name), None)
    known = np.isfinite(values)
    logarithmic = known.any() and values[known].max() > _WIDE * values[known].min() > 0
    bottom = 0.5 * values[known].min() if logarithmic else 0.0
    if logarithmic:
        ax.set_yscale("log")
    place = np.arange(len(values))
    drawing.bars(ax, place[known], values[known], bottom, MAIN)
    if error is not None and np.isfinite(error).all():
        low = values - Z * error
        drawing.whiskers(ax, place, np.maximum(low, bottom) if logarithmic else low,
                         values + Z * error, INK)
    if name == "norm_mean":
        drawing.level(ax, 1.0)
    if known.any() and values[known].min() > 0:
        ax.set_ylim(bottom=bottom)
    drawing.label(ax, "channel", _SHOWN.get(name, "cost of removal"), title, legend=False)
    ax.set_xlim(-0.6, len(values) - 0.4)
    ax.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    return drawn


def places(numbers: Numbers, name: str = "importance", ax: Axes | None = None,
           title: str = "") -> Axes | Figure:
    """A map over the places, which have the shape `[h, w]`.

    It is of logarithms to the base 10 where the largest value is more than 30 times the smallest.

    Args and Returns: as of `channels`. "importance" and "norm_mean" are means over the channels,
      "kl_mean" is the sum.
    """
    found = of(numbers)
    ax, drawn = drawing.canvas(ax, (3.6, 3.2))
    values, logarithmic = _map(found, name)
    height, width = found.shape[:2]
    known = values[np.isfinite(values)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    if not logarithmic:
        low = min(low, 0.9 * high)  # what hardly differs looks so
    room = 0.02 * (high - low) or 0.5
    drawing.heat(ax, values, (-0.5, width - 0.5, height - 0.5, -0.5), (low - room, high + room))
    drawing.label(ax, "column", _SHOWN[name] + (", log10" if logarithmic else ""), title)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    ax.grid(False)
    return drawn


def _map(found, name):
    """The values of a map, `[h, w]`, and whether they are logarithms."""
    values = found.by_place(name)
    known = values[np.isfinite(values)]
    logarithmic = len(known) > 0 and known.min() > 0 and known.max() > _WIDE * known.min()
    return (np.log10(values) if logarithmic else values), logarithmic


def both(numbers: Numbers, title: str = "") -> Figure:
    """Maps above bars, as in `spatial.png`."""
    figure, axes = drawing.panels(2 * len(_SHOWN), (3.6, 3.1), title, len(_SHOWN))
    for k, name in enumerate(_SHOWN):
        places(numbers, name, axes[k])
        channels(numbers, name, axes[len(_SHOWN) + k])
    return figure


def section(measured: Measured) -> dict[str, Any] | None:
    """The maps, bars and tables of a page; `None` where the latents are not spatial."""
    found = of(measured)
    if found is None:
        return None
    height, width, count = found.shape
    words = (f"The latents have the shape [{height}, {width}, {count}]: {count} channels at "
             f"{height} x {width} places. Dimension j is in channel j mod {count}. All is counted "
             "from 0. The KL is a sum over channels or places; importance and norm are means, the "
             "norm of the active dimensions.")
    maps = [Inline(functools.partial(places, measured, name), _said_of_map(found, name),
                   half=True, height=300, right=76)
            for name in _SHOWN if np.isfinite(found.by_place(name)).any()]
    bars = [Inline(functools.partial(channels, measured, name), _said_of_bars(found, name),
                   half=True, height=220)
            for name in ("channel_cost", *_SHOWN) if np.isfinite(_values(found, name)).any()]
    return {"words": words, "maps": maps, "bars": bars, "channels": _channels(found),
            "places": _places(found)}


def _values(found, name):
    return found.channel_cost[0] if name == "channel_cost" else found.by_channel(name)


def _said_of_map(found, name):
    values = found.by_place(name)
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    return (f"{_SHOWN[name].capitalize() if name != 'kl_mean' else _SHOWN[name]} by place: from "
            f"{number(float(np.nanmin(values)))} to {number(float(np.nanmax(values)))}, the "
            f"largest in row {row}, column {column}.")


def _said_of_bars(found, name):
    values = _values(found, name)
    words = "Cost of removal" if name == "channel_cost" else _SHOWN[name]
    words = words if name == "kl_mean" else words.capitalize()
    return (f"{words} by channel: from {number(float(np.nanmin(values)))} (channel "
            f"{np.nanargmin(values)}) to {number(float(np.nanmax(values)))} (channel "
            f"{np.nanargmax(values)}).")


def _cell(value, error=np.nan):
    if not np.isfinite(value):
        return "-"
    return number(value) + (f" \N{PLUS-MINUS SIGN} {number(error, 1)}" if np.isfinite(error)
                            else "")


def _channels(found):
    cost, error = found.channel_cost
    columns = {name: found.by_channel(name) for name in _SHOWN}
    rows = [[f"channel {k}", _cell(cost[k], error[k]),
             *(_cell(values[k]) for values in columns.values()), str(found.num_active[k])]
            for k in found.channels]
    return {"columns": ["", "cost of removal", *_SHOWN.values(), "active"], "rows": rows}


def _places(found):
    columns = {name: found.by_place(name) for name in _SHOWN}
    rows = [[f"row {row}, column {column}",
             *(_cell(values[row, column]) for values in columns.values())]
            for row, column in found.places[:_PLACES]]
    return {"columns": ["", *_SHOWN.values()], "rows": rows}
