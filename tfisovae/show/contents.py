"""What a report is made of: numbers as `isometry.json` holds them, what the decoder shows, and
records of the run.

Everything but the numbers may be missing, and so may any of the numbers: a measurement of an older
version has fewer.
"""
import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfisovae.verdict import Verdict

if typing.TYPE_CHECKING:
    from tfisovae.analysis.scree import Scree
    from tfisovae.codec.breakdown import Ledger
    from tfisovae.geometry.traversals import Traversals

_N_OF = ("precision_mean", "kl_mean", "norm_mean")  # by which the number of dimensions is known
_NEEDED = {  # what a section reads, beside what every measurement has
    "flatness": ("unexplained", "unexplained_standard_error"),
    "standard errors": ("rate_standard_error", ),
    "stationarity": ("stationarity", "conditions"),
    "norms": ("norm_mean", "norm_std", "one_minus_variance"),
    "the Gram matrix": ("gram_mean", "gram_cosine"),
    "importance": ("importance", "precision_mean", "precision_standard_error"),
    "rates": ("kl_mean", "rate"),
    "distortions": ("distortion", "coding_loss", "transform_loss", "beta"),
    "active dimensions": ("active", "ranking")
}


class Measured:
    """The numbers of an `isometry.json`, or of `Analysis.to_dict()`, read without trust.

    Args:
      values: the JSON's.
    Raises:
      ValueError: if they are no measurement of any latent dimension.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        sizes = [
            len(values[name]) for name in _N_OF
            if isinstance(values.get(name), list) and values[name]
        ]
        if not sizes:
            raise ValueError(
                "isometry.json holds no measurement of a latent dimension. Measure again with "
                "tfisovae isometry."
            )
        self.n = sizes[0]

    def vector(self, name: str) -> np.ndarray | None:
        """`[n]`, NaN for what was not a number; `None` where there is no such vector."""
        return self.array(name, (self.n,))

    def matrix(self, name: str) -> np.ndarray | None:
        """`[n, n]`, likewise."""
        return self.array(name, (self.n, self.n))

    def scalar(self, name: str) -> float:
        """A number, NaN where there is none."""
        value = self.values.get(name)
        return float(value) if isinstance(value,
                                          (int,
                                           float)) and not isinstance(value, bool) else float("nan")

    def text(self, name: str) -> str:
        """A text, empty where there is none."""
        value = self.values.get(name)
        return value if isinstance(value, str) else ""

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray | None:
        """An array of this shape, likewise."""
        try:
            made = np.array(self.values.get(name), dtype=np.float64)
        except (TypeError, ValueError):
            return None
        return made if made.shape == shape else None

    @property
    def ranking(self) -> np.ndarray:
        """Dimensions by descending E[sigma_j^-2], `[n]`."""
        ranking, precision = self.vector("ranking"), self.vector("precision_mean")
        if ranking is not None and np.array_equal(np.sort(ranking), np.arange(self.n)):
            return ranking.astype(int)
        return np.arange(self.n) if precision is None else np.argsort(-precision, kind="stable")

    @property
    def active(self) -> np.ndarray:
        """Whether each dimension carries information, `[n]`; none where that was not measured."""
        active = self.vector("active")
        return np.zeros(self.n, bool) if active is None else active == 1

    @property
    def active_ranking(self) -> np.ndarray:
        """The active dimensions by descending importance."""
        return self.ranking[self.active[self.ranking]]

    @property
    def missing(self) -> list[str]:
        """What this measurement, of an older version, has not got, in words."""
        return [
            words for words, names in _NEEDED.items() if any(
                self.values.get(name) is None for name in names)
        ]


@dataclasses.dataclass(frozen=True)
class Reconstructions:
    """Examples and what the model makes of them.

    Attributes:
      x, x_check: `[N, ...]`, examples and Dec(mean).
      distortion: D(x, x_check) of each, `[N]`, or `None`.
      rows: numbers of the examples in the data, `[N]`, or `None`.
    """

    x: np.ndarray
    x_check: np.ndarray
    distortion: np.ndarray | None = None
    rows: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Densities:
    """What `tfisovae density` has measured.

    Attributes:
      saved: `density.json`.
      columns: of `densities.csv`, `{name: [N]}`, nats; among them "row", and "log_density" where
        p(x) is known.
      extremes: `{"most_probable": [k, ...], "least_probable": [k, ...]}`, the inputs, or `None`.
    """

    saved: Mapping[str, Any]
    columns: Mapping[str, np.ndarray]
    extremes: Mapping[str, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Contents:
    """All that a report shows.

    Attributes:
      title: of the page; any text.
      measured: `Measured`.
      verdict: `tfisovae.verdict.Verdict`, or `None`.
      max_value: the largest value of images.
      reconstructions, densities: see there.
      scree: `tfisovae.analysis.scree.Scree`, or `None`.
      traversals: `tfisovae.geometry.traversals.Traversals`, of images `[rows, columns, H, W, C]` or
        vectors `[rows, columns, m]`, or `None`.
      rate: `tfisovae.codec.breakdown.Ledger` of `rate.json`, or `None`.
      history: rows of `history.csv`, `{name: text}`.
      manifest: `config.json`, or what else says what was measured.
      commands: how to have what is missing: `{"isometry": "tfisovae isometry RUN", ...}`.
      notes: what the reader is to know first, a sentence each.
      names: of the columns of vectors, or `None`.
    """

    title: str
    measured: Measured
    verdict: Verdict | None = None
    max_value: float = 1.0
    scree: "Scree | None" = None
    traversals: "Traversals | None" = None
    reconstructions: Reconstructions | None = None
    densities: Densities | None = None
    rate: "Ledger | None" = None
    history: Sequence[Mapping[str, str]] = ()
    manifest: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    commands: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()
    names: Sequence[str] | None = None
