"""The content of a report: the numbers of `isometry.json` and their text, decoded pictures, and
records of the run.

Everything except the numbers may be missing. Older measurements also have fewer numbers.
"""
import dataclasses
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfisovae.geometry.estimated import LARGEST_EXACT
from tfisovae.verdict import Verdict

if typing.TYPE_CHECKING:
    from tfisovae.analysis.analysis import Analysis
    from tfisovae.analysis.components import PrincipalComponents
    from tfisovae.analysis.scree import Scree
    from tfisovae.codec.breakdown import Ledger
    from tfisovae.geometry.traversals import Traversals

_N_OF = ("precision_mean", "kl_mean", "norm_mean")  # these give the number of dimensions
_NEEDED = {  # extra fields that a section reads
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


# The argument of drawing functions: an `Analysis`, or the content of `isometry.json`.
Numbers: typing.TypeAlias = typing.Union["Analysis", "Measured", Mapping[str, Any]]


def number(value: float, digits: int = 3) -> str:
    """A number for readers: `digits` significant digits, whole numbers as such, no exponent from a
    thousandth to a million.
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


def tick_label(value: float) -> str:
    """A number on an axis."""
    text = f"{value:,.6g}"
    return (text if "e" not in text else number(value, 1)).replace("-", "\N{MINUS SIGN}")


def percent(share: float) -> str:
    """A share in per cent, whole from 10 % on."""
    digits = 1 if abs(share) < 0.0995 else 0
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count(how_many: int, noun: str = "dimension") -> str:
    """ "1 dimension", "3 dimensions"."""
    return f"{how_many:,} {noun}" + ("" if how_many == 1 else "s")


def statistic(of: Callable[[np.ndarray], float], values: npt.ArrayLike) -> float:
    """A statistic of the finite values; NaN if there are none."""
    values = np.ravel(np.asarray(values, np.float64))
    values = values[np.isfinite(values)]
    return float(of(values)) if len(values) else math.nan


def rms(values: np.ndarray) -> float:
    """The root mean square of values."""
    return float(np.sqrt(np.mean(values**2)))


class Measured:
    """The numbers of an `isometry.json` or of `Analysis.to_dict()`, with checks.

    Args:
      values: the JSON's.

    Raises:
      ValueError: if they do not measure any latent dimension.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        sizes = [
            len(values[name]) for name in _N_OF
            if isinstance(values.get(name), list) and values[name]
        ]
        if not sizes:
            raise ValueError(
                "isometry.json must hold measurements of latent dimensions; it has none. Measure "
                "again with tfisovae isometry."
            )
        self.n = sizes[0]

    @classmethod
    def of(cls, found: Numbers) -> "Measured":
        """From an `Analysis`, or from the content of `isometry.json`."""
        if isinstance(found, Measured):
            return found
        return cls(found if isinstance(found, Mapping) else found.to_dict())

    def vector(self, name: str) -> np.ndarray | None:
        """`[n]`, with NaN for other entries; `None` if there is no such vector."""
        return self.array(name, (self.n,))

    def vectors(self, *names: str) -> list[np.ndarray]:
        """`[n]` each, NaN if there is no such vector."""
        found = (self.vector(name) for name in names)
        return [np.full(self.n, np.nan) if one is None else one for one in found]

    def matrix(self, name: str) -> np.ndarray | None:
        """`[n, n]`, likewise."""
        return self.array(name, (self.n, self.n))

    def gram(self, name: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The active dimensions in the Gram matrix, in the order of the ranking, `[k]`, and this
        matrix in the same order, `[k, k]`. For a large latent space it is a sample.
        """
        held = self.sampled
        order = self.active_ranking[np.isin(self.active_ranking, held)]
        found = self.array(name, (len(held), len(held)))
        places = np.argsort(held)[np.searchsorted(np.sort(held), order)]
        return order, None if found is None else found[np.ix_(places, places)]

    @property
    def method(self) -> str:
        """"exact" or "estimated"; "exact" in a measurement of an older version."""
        return self.text("method") or "exact"

    @property
    def sampled(self) -> np.ndarray:
        """The dimensions that were measured exactly, `[m]`: all, or a sample of a large latent
        space.
        """
        try:
            return np.array(self.values["estimates"]["dimensions"], int).ravel()
        except (KeyError, TypeError, ValueError):
            return np.arange(self.n)

    @property
    def is_large(self) -> bool:
        """Whether the latent space is large: not all dimensions are shown one by one."""
        return self.n > LARGEST_EXACT

    def estimate(self, name: str) -> str:
        """An estimate with its error, in words; empty where it was not estimated."""
        try:
            found = self.values["estimates"][name]
            value, error = float(found["value"]), float(found["standard_error"])
        except (KeyError, TypeError, ValueError):
            return ""
        return f"{number(value)} \N{PLUS-MINUS SIGN} {number(error, 1)}"

    def scalar(self, name: str) -> float:
        """A number, NaN if missing."""
        value = self.values.get(name)
        return float(value) if isinstance(value,
                                          (int,
                                           float)) and not isinstance(value, bool) else float("nan")

    def text(self, name: str) -> str:
        """A text, empty if missing."""
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
    def components(self) -> "PrincipalComponents | None":
        """The PCA in the same metric; `None` if not measured."""
        from tfisovae.analysis.components import PrincipalComponents

        try:
            made = PrincipalComponents.from_saved(self.values["principal_components"])
        except (KeyError, TypeError, ValueError):
            return None
        return made if made.eigenvalue.ndim == 1 and made.eigenvalue.size else None

    @property
    def ranking(self) -> np.ndarray:
        """Dimensions by descending cost of removal, in older files by E[sigma_j^-2], `[n]`."""
        ranking, precision = self.vector("ranking"), self.vector("precision_mean")
        if ranking is not None and np.array_equal(np.sort(ranking), np.arange(self.n)):
            return ranking.astype(int)
        return np.arange(self.n) if precision is None else np.argsort(-precision, kind="stable")

    @property
    def rank_name(self) -> str:
        """The quantity of the ranking, in words."""
        return "importance" if self.vector("cost_of_removal") is None else "cost of removal"

    @property
    def active(self) -> np.ndarray:
        """Whether each dimension carries information, `[n]`; all False if not measured."""
        active = self.vector("active")
        return np.zeros(self.n, bool) if active is None else active == 1

    @property
    def active_ranking(self) -> np.ndarray:
        """The active dimensions in this order."""
        return self.ranking[self.active[self.ranking]]

    @property
    def missing(self) -> list[str]:
        """Missing parts of a measurement of an older version, in words."""
        return [
            words for words, names in _NEEDED.items() if any(
                self.values.get(name) is None for name in names)
        ]


@dataclasses.dataclass(frozen=True)
class Reconstructions:
    """Examples and their reconstructions.

    Attributes:
      x, x_check: `[N, ...]`, examples and Dec(mean).
      distortion: D(x, x_check) of each, `[N]`, or `None`.
      rows: indices of the examples in the data, `[N]`, or `None`.
      c: their conditions, `[N, ...]`, for a conditional model; else `None`.
    """

    x: np.ndarray
    x_check: np.ndarray
    distortion: np.ndarray | None = None
    rows: np.ndarray | None = None
    c: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Densities:
    """The results of `tfisovae density`.

    Attributes:
      saved: `density.json`.
      columns: of `densities.csv`, `{name: [N]}`, nats; with "row", and "log_density" if p(x) is
        known.
      extremes: `{"most_probable": [k, ...], "least_probable": [k, ...]}`, the inputs, or `None`.
    """

    saved: Mapping[str, Any]
    columns: Mapping[str, np.ndarray]
    extremes: Mapping[str, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True)
class Contents:
    """The full content of a report.

    Attributes:
      title: of the page; any text.
      measured: `Measured`.
      verdict: `tfisovae.verdict.Verdict`, or `None`.
      max_value: the largest value of images.
      reconstructions, densities: see there.
      scree: `tfisovae.analysis.scree.Scree`, or `None`.
      traversals: `tfisovae.geometry.traversals.Traversals`, of images `[rows, columns, H, W, C]` or
        vectors `[rows, columns, m]`, or `None`.
      channel_traversals: the same along the leading directions of the channels of a spatial latent
        space, k rows for each channel, or `None`.
      rate: `tfisovae.codec.breakdown.Ledger` of `rate.json`, or `None`.
      history: rows of `history.csv`, `{name: text}`.
      manifest: `config.json`, or another description of the measured model.
      commands: commands for missing parts: `{"isometry": "tfisovae isometry RUN", ...}`.
      notes: remarks for the reader, a sentence each.
      names: names of the columns of vectors, or `None`.
    """

    title: str
    measured: Measured
    verdict: Verdict | None = None
    max_value: float = 1.0
    scree: "Scree | None" = None
    traversals: "Traversals | None" = None
    channel_traversals: "Traversals | None" = None
    reconstructions: Reconstructions | None = None
    densities: Densities | None = None
    rate: "Ledger | None" = None
    history: Sequence[Mapping[str, str]] = ()
    manifest: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    commands: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: Sequence[str] = ()
    names: Sequence[str] | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """The values that are black and white in all pictures; see `limits`."""
        shown = (self.reconstructions, self.traversals)
        known = [one.x for one in shown if one is not None]
        return limits(known[0], self.max_value) if known else (0.0, self.max_value)


def limits(images: npt.ArrayLike, max_value: float = 1.0) -> tuple[float, float]:
    """The values that are black and white in images.

    They are 0 and `max_value`. If more than 1 % of the entries are outside by more than a tenth of
    that (as in spectrograms in dB), they are the smallest and the largest value.
    """
    values = np.asarray(images, np.float64)
    values = values[np.isfinite(values)]
    outside = (values < -0.1 * max_value) | (values > 1.1 * max_value)
    if not len(values) or outside.mean() <= 0.01:
        return 0.0, float(max_value)
    return float(values.min()), float(values.max())


def limits_words(found: tuple[float, float], max_value: float = 1.0) -> str:
    """The values of black and white, if they are not 0 and `max_value`; otherwise ""."""
    return "" if found == (0.0, max_value) else f"Black is {found[0]:.3g}, white is {found[1]:.3g}."
