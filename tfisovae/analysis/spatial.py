"""A spatial latent space `[h, w, c]`: its channels, its places, and the leading directions of each
channel (NumPy only).

Dimension j is in channel j % c. Its place has the index j // c, row by row.
"""
import typing
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfisovae.analysis.components import spread_out

_EXAMPLES = 512  # examples for the directions: enough for a few of each channel
COUNT = 3  # directions of a channel


class Directions(typing.NamedTuple):
    """The directions of each channel with the largest variance of the posterior means: a PCA of y_j
    = sqrt(importance_j) z_j. Squares of y_j are in units of D.

    Attributes:
      vectors: z at the places of the channel, for one standard deviation, `[c, k, h w]`.
      share: of the variance of the channel, `[c, k]`.
    """

    vectors: np.ndarray
    share: np.ndarray


def directions(means: npt.ArrayLike, importance: npt.ArrayLike, channels: int,
               count: int = COUNT) -> Directions:
    """The leading directions of each channel.

    Args:
      means: posterior means of some examples, `[N, n]`; at most 512 are used.
      importance: `[n]`.
      channels: c.
      count: k, at most.
    """
    means = np.asarray(means, np.float64)
    means = means[spread_out(_EXAMPLES, len(means))]
    slope = np.sqrt(np.asarray(importance, np.float64))
    y = (means - means.mean(0)) * slope / np.sqrt(max(len(means) - 1, 1))
    vectors, share = [], []
    for channel in range(channels):
        part, scale = y[:, channel::channels], slope[channel::channels]
        # The same as a singular value decomposition, and cheap for few examples.
        values, left = np.linalg.eigh(part @ part.T)
        values, left = np.maximum(values[::-1], 0), left[:, ::-1]
        size = min(count, len(values), part.shape[1])
        along = left[:, :size].T @ part  # sqrt(eigenvalue) times the unit vectors
        largest = along[np.arange(size), np.argmax(np.abs(along), 1)]
        vectors.append(along * np.where(largest < 0, -1.0, 1.0)[:, None] / scale)
        share.append(values[:size] / (values.sum() or 1.0))
    return Directions(np.array(vectors), np.array(share))


class Spatial:
    """Measurements of a spatial latent space, by channel and by place.

    Args:
      values: the fields of an `Analysis`, or of an isometry.json.

    Attributes:
      shape: (h, w, c).
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.shape = tuple(int(size) for size in values["latent_shape"])

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Spatial | None":
        """The same; `None` if the latent space is not spatial."""
        shape = values.get("latent_shape")
        return None if shape is None or len(shape) != 3 else cls(values)

    def maps(self, name: str) -> np.ndarray:
        """A vector `[n]` as `[h, w, c]`, NaN if not measured. Only active dimensions have norms."""
        found = self._values.get(name)
        if found is None:
            return np.full(self.shape, np.nan)
        values = np.array(found, np.float64)
        if name == "norm_mean":
            values = np.where(np.array(self._values["active"], bool), values, np.nan)
        return values.reshape(self.shape)

    def by_channel(self, name: str) -> np.ndarray:
        """`[c]`: the sum of the KL over the places, the mean of other numbers."""
        return _over(self.maps(name), (0, 1), name)

    def by_place(self, name: str) -> np.ndarray:
        """`[h, w]`: the sum of the KL over the channels, the mean of other numbers."""
        return _over(self.maps(name), 2, name)

    @property
    def channel_cost(self) -> np.ndarray:
        """The cost of removal of each channel and its error, `[2, c]`; NaN if not measured."""
        return np.array([np.full(self.shape[2], np.nan) if self._values.get(name) is None
                         else np.array(self._values[name], np.float64)
                         for name in ("channel_cost", "channel_cost_standard_error")])

    @property
    def num_active(self) -> np.ndarray:
        """How many dimensions of each channel are active, `[c]`."""
        return np.array(self._values["active"], bool).reshape(self.shape).sum((0, 1))

    @property
    def channels(self) -> np.ndarray:
        """Channels by descending cost of removal, or by importance if that was not measured."""
        cost = self.channel_cost[0]
        sizes = cost if np.isfinite(cost).all() else self.by_channel("importance")
        return np.argsort(-sizes, kind="stable")

    @property
    def places(self) -> np.ndarray:
        """Rows and columns of the places by descending importance, `[h w, 2]`."""
        order = np.argsort(-self.by_place("importance").ravel(), kind="stable")
        return np.stack(np.unravel_index(order, self.shape[:2]), 1)

    def place_of(self, j: int) -> str:
        """The place of dimension j, in words."""
        row, column, channel = np.unravel_index(int(j), self.shape)
        return f"channel {channel}, row {row}, column {column}"

    def table(self, rows: int = 5) -> str:
        """The channels, and the leading places, as text."""
        cost, error = self.channel_cost
        importance, kl, norm = (self.by_channel(name) for name in
                                ("importance", "kl_mean", "norm_mean"))
        height, width, channels = self.shape
        lines = [f"{channels} channels at {height} x {width} places. "
                 "Counted from 0: dimension j is in channel "
                 f"j mod {channels}.",
                 f"{'channel':>7} {'cost of removal':>20} {'importance':>11} {'KL (nats)':>10} "
                 f"{'norm':>7} {'active':>7}"]
        for k in self.channels:
            lines.append(f"{k:7d} {cost[k]:11.3g} +-{error[k]:7.1g} {importance[k]:11.3g} "
                         f"{kl[k]:10.3f} {_or_dash(norm[k], '7.3f')} {self.num_active[k]:7d}")
        importance, kl, norm = (self.by_place(name) for name in
                                ("importance", "kl_mean", "norm_mean"))
        lines.append(f"{'row':>7} {'column':>7} {'importance':>12} {'KL (nats)':>10} {'norm':>7}")
        for at in map(tuple, self.places[:rows]):
            lines.append(f"{at[0]:7d} {at[1]:7d} {importance[at]:12.3g} {kl[at]:10.3f} "
                         f"{_or_dash(norm[at], '7.3f')}")
        return "\n".join(lines)


def _or_dash(value, form):
    width = int(form.partition(".")[0])
    return f"{value:{form}}" if np.isfinite(value) else f"{'-':>{width}}"


def _over(values, axis, name):
    """The sum of the KL, and the mean of other numbers, over measured dimensions."""
    known = np.isfinite(values)
    total = np.sum(np.where(known, values, 0), axis)
    count = known.sum(axis)
    made = total if name == "kl_mean" else np.divide(total, count, out=np.zeros_like(total),
                                                     where=count > 0)
    return np.where(count > 0, made, np.nan)
