"""A verdict and its reasons, as data that JSON can hold (NumPy and SciPy only)."""
import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

from tfisovae import files
from tfisovae.verdict.checks import LEVEL, Check, Why
from tfisovae.verdict.gains import LEAST_MARGIN, OF_TRAINING, Gain, GainKind, Z
from tfisovae.verdict.isometry import Isometry
from tfisovae.verdict.states import State
from tfisovae.verdict.tests_of_means import LossFall, MeanGradient


class ReasonKind(enum.Enum):
    """The kinds of reasons."""

    NOT_FINITE = "not_finite"  # the number is not finite
    OFF = "off"  # it differs from its expected value
    HINT = "hint"  # it differs, but need not be as expected, because of `why`
    HEAVY_TAILS = "heavy_tails"  # a few examples dominate its mean
    TAILS_DECIDE = "tails_decide"  # dimensions with such tails may gain up to `value` nats
    HELD_OUT = "held_out"  # held-out examples have this `value`, training examples have `expected`
    WITHIN_NOISE = "within_noise"  # it does not differ from its expected value
    COLLAPSED = "collapsed"  # `value` is the rate, nats
    TOO_FEW = "too_few_examples"  # `value` examples of `expected`
    NO_GRADIENT = "no_gradient"  # measured on `value` examples, of `expected` or more
    GRADIENT_TELLS_NOTHING = "gradient_tells_nothing"  # because of `why`
    NO_PROBE = "no_probe"  # no probe continued the training
    SHORT_PROBE = "short_probe"  # the probe had fewer steps than the training
    MORE_DIMENSIONS = "more_dimensions"  # one more dimension would gain `value` nats
    OTHER_DATA = "other_data"  # `note` is the command that measures the run's own data
    PRUNED = "pruned"  # made from the run `note`, and not trained since


@dataclasses.dataclass(frozen=True)
class Reason:
    """One reason of a verdict.

    Attributes:
      kind: `ReasonKind`.
      check: the name of a check in `tfisovae.verdict.checks`, or of a loss.
      dimension: j, or `None` for the whole network.
      value, expected, standard_error, p_value: in the unit of `check`; NaN if missing.
      note: more text; in files of older versions, also the reason that `why` holds now.
      why: the reason that a test of this number shows nothing.
    """

    kind: ReasonKind
    check: str = ""
    dimension: int | None = None
    value: float = math.nan
    expected: float = math.nan
    standard_error: float = math.nan
    p_value: float = math.nan
    note: str = ""
    why: Why | None = None

    @classmethod
    def of(cls, kind: ReasonKind, check: Check) -> "Reason":
        """A reason that comes from a `Check`."""
        return cls(kind, check.name, check.dimension, check.value, check.expected,
                   check.standard_error, check.p_value,
                   why=check.why if kind is ReasonKind.HINT else None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Reason":
        """From `Verdict.to_dict`."""
        kinds = {"kind": ReasonKind, "check": str, "dimension": int, "note": str,
                 "why": Why.from_saved}
        return cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})


def _sum(gains, value):
    """The sum of gains and its standard error."""
    return sum(map(value, gains)), math.sqrt(sum(gain.standard_error**2 for gain in gains))


@dataclasses.dataclass(frozen=True, repr=False)
class Verdict:
    """The verdict on a trained VAE: has training converged, and is the latent space isometric?

    Attributes:
      state: whether the training has converged.
      reasons: what was found.
      isometry: the verdict on the embedding, or `None`.
      num_examples: number of examples that decide.
      level: rate of false alarms of each kind of check (`checks.LEVEL`).
      resolution: the deviation in any dimension that the checks find with probability .9; NaN
        without such checks.
      gradient, fall, annealed: as given to `tfisovae.verdict.convergence.judge`.
      gains: how far the loss can still fall, by source.
      margin: smaller gains do not matter, nats.
      averaging: the gain of averaged weights, or `None`.
      on_own_data: whether the state was measured on the run's own data, and the embedding on other
        data.

    Example:
      >>> verdict = tfisovae.analyze(vae, x).judge()
      >>> verdict.isometry.state.value
      'isometric'
      >>> print(verdict.state.value, verdict.gain, verdict.margin)
    """

    state: State
    reasons: tuple[Reason, ...]
    isometry: Isometry | None = None
    num_examples: int | None = None
    level: float = LEVEL
    resolution: float = math.nan
    gradient: MeanGradient | None = None
    fall: LossFall | None = None
    annealed: bool = False
    on_own_data: bool = False
    gains: tuple[Gain, ...] = ()
    margin: float = LEAST_MARGIN
    averaging: Gain | None = None

    def __repr__(self) -> str:
        value, error = self.gain
        embedding = "" if self.isometry is None else f", isometry={self.isometry.state.value!r}"
        return (f"Verdict(state={self.state.value!r}{embedding}, gain={value:.3g} +- {error:.2g} "
                f"nats, margin={self.margin:.3g})")

    def _repr_html_(self) -> str:
        from tfisovae.verdict import headlines, html  # which import this module

        return html.of(repr(self), lines=[headlines.summary(self)])

    def gain_of(self, kind: GainKind) -> Gain | None:
        """The gain of this kind; `None` if it was not measured."""
        return next((gain for gain in self.gains if gain.kind is kind), None)

    @property
    def gain(self) -> tuple[float, float]:
        """The sum of all gains and its standard error, nats. More training that raises the loss
        takes nothing from the other gains.
        """
        return _sum(self.gains, lambda gain: max(0.0, gain.value)
                    if gain.kind in OF_TRAINING else gain.value)

    @property
    def averages_better(self) -> bool:
        """Whether averaged weights gain more than the margin."""
        return self.averaging is not None and self.averaging.interval[0] > self.margin

    @property
    def interval(self) -> tuple[float, float]:
        """At least and at most how much is still to gain, nats, each with 97.5 % confidence.

        More training may gain the same nats as the closed forms. So the lower limit is the larger
        one of the two, and the upper limit belongs to their sum.
        """
        value, error = self.gain
        kinds = [[gain for gain in self.gains if (gain.kind in OF_TRAINING) is trained]
                 for trained in (True, False)]
        least = [of - Z * its for of, its in (
            _sum(some, lambda gain: gain.value) for some in kinds if some)]
        lower = max(least, default=0.0)
        return lower, max(lower, value + Z * error)

    def of(self, *kinds: ReasonKind) -> tuple[Reason, ...]:
        """The reasons of these kinds."""
        return tuple(reason for reason in self.reasons if reason.kind in kinds)

    @property
    def unfinished(self) -> bool:
        """Whether the loss can certainly fall by more than the margin."""
        return self.state in (State.NOT_FINITE, State.SADDLE, State.JITTERS, State.IMPROVING)

    def to_dict(self) -> dict[str, Any]:
        """As plain Python values for JSON, without unknown entries."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Verdict":
        """From `to_dict`.

        Raises:
          ValueError, KeyError, TypeError, AttributeError: if the values are of another kind.
        """
        kinds = {
            "state": State, "isometry": Isometry.from_dict, "num_examples": int,
            "reasons": lambda reasons: tuple(map(Reason.from_dict, reasons)),
            "gradient": MeanGradient.from_dict, "fall": LossFall.from_dict, "annealed": bool,
            "on_own_data": bool, "gains": lambda gains: tuple(map(Gain.from_dict, gains)),
            "averaging": Gain.from_dict
        }
        values["margin"]  # a verdict without it comes from another version with other rules
        return cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})


_WHOLE = ("gradient", "fall")  # numbers of these that are not finite stay, as null


def _plain(value, whole=False):
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        made = {name: _plain(entry, name in _WHOLE) for name, entry in value.items()}
        return {name: entry for name, entry in made.items()
                if whole or (entry is not None and entry != "")}
    return files.plain(value)
