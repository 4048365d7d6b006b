"""A verdict and its reasons, as data that JSON can hold (NumPy and SciPy only)."""
import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

from tfisovae import files
from tfisovae.verdict.checks import LEVEL, Check, Why
from tfisovae.verdict.gains import LEAST_MARGIN, Gain, GainKind, Z
from tfisovae.verdict.isometry import Isometry
from tfisovae.verdict.states import State
from tfisovae.verdict.tests_of_means import LossFall, MeanGradient


class ReasonKind(enum.Enum):
    """What a reason says."""

    NOT_FINITE = "not_finite"  # the number is not finite
    OFF = "off"  # it differs from what is expected
    HINT = "hint"  # likewise, but `why` it need not be as expected is known
    HEAVY_TAILS = "heavy_tails"  # a few examples dominate its mean
    TAILS_DECIDE = "tails_decide"  # dimensions with such tails may gain up to `value` nats
    HELD_OUT = "held_out"  # held-out examples have this `value`, those of training `expected`
    WITHIN_NOISE = "within_noise"  # it does not differ from what is expected
    COLLAPSED = "collapsed"  # `value` is the rate, nats
    TOO_FEW = "too_few_examples"  # `value` examples of `expected`
    NO_GRADIENT = "no_gradient"  # measured on `value` examples, of `expected` or more
    GRADIENT_TELLS_NOTHING = "gradient_tells_nothing"  # because of `why`
    NO_PROBE = "no_probe"  # the training was not continued to see what that gains
    SHORT_PROBE = "short_probe"  # it was continued for fewer steps than it had
    MORE_DIMENSIONS = "more_dimensions"  # one more dimension would gain `value` nats
    OTHER_DATA = "other_data"  # `note` is the command that measures the run's own
    PRUNED = "pruned"  # of the run `note`, and not trained since


@dataclasses.dataclass(frozen=True)
class Reason:
    """One reason of a verdict.

    Attributes:
      kind: `ReasonKind`.
      check: the name of what was checked, one of those in `tfisovae.verdict.checks`, or of a loss.
      dimension: j, or `None` for the whole network.
      value, expected, standard_error, p_value: in the unit of `check`; NaN where there is none.
      note: text that goes with it; in files of older versions, also what `why` holds now.
      why: a test of this number shows nothing.
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
        """That something is the case with a `Check`."""
        return cls(kind, check.name, check.dimension, check.value, check.expected,
                   check.standard_error, check.p_value,
                   why=check.why if kind is ReasonKind.HINT else None)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Reason":
        """From `Verdict.to_dict`."""
        kinds = {"kind": ReasonKind, "check": str, "dimension": int, "note": str,
                 "why": Why.from_saved}
        return cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})


@dataclasses.dataclass(frozen=True, repr=False)
class Verdict:
    """What the checks say together; `tfisovae.verdict.words` makes sentences of it.

    Attributes:
      state: whether the training has converged. reasons: what was found.
      isometry: the verdict on the embedding, or `None`.
      num_examples: of those that decide. level: of false alarms.
      resolution: the deviation that is found, in any dimension, with probability .9; NaN without
        such checks.
      gradient, fall, annealed: as given to `tfisovae.verdict.convergence.judge`.
      gains: what the loss can still fall by, and where that comes from. margin: gains up to this do
        not matter, nats. averaging: the gain of averaged weights, or `None`.
      on_own_data: whether the state is that on the data of the run, where these are others.
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
        from tfisovae.verdict import html, words  # which are made of this

        return html.of(repr(self), lines=[words.summary(self)])

    def gain_of(self, kind: GainKind) -> Gain | None:
        """The gain of this kind; `None` where it was not measured."""
        return next((gain for gain in self.gains if gain.kind is kind), None)

    @property
    def gain(self) -> tuple[float, float]:
        """The sum of all gains and its standard error, nats."""
        return (sum(gain.value for gain in self.gains),
                math.sqrt(sum(gain.standard_error**2 for gain in self.gains)))

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of 95 % of the sum of all gains, nats."""
        value, error = self.gain
        return value - Z * error, value + Z * error

    def of(self, *kinds: ReasonKind) -> tuple[Reason, ...]:
        """The reasons of these kinds."""
        return tuple(reason for reason in self.reasons if reason.kind in kinds)

    @property
    def unfinished(self) -> bool:
        """Whether it is shown that the loss can be lower by more than the margin."""
        return self.state in (State.NOT_FINITE, State.SADDLE, State.JITTERS, State.IMPROVING)

    def to_dict(self) -> dict[str, Any]:
        """Plain Python values, as JSON holds them; what is unknown is left out."""
        return _plain(dataclasses.asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Verdict":
        """From `to_dict`.

        Raises:
          ValueError, KeyError, TypeError, AttributeError: if that did not write it.
        """
        kinds = {
            "state": State, "isometry": Isometry.from_dict, "num_examples": int,
            "reasons": lambda reasons: tuple(map(Reason.from_dict, reasons)),
            "gradient": MeanGradient.from_dict, "fall": LossFall.from_dict, "annealed": bool,
            "on_own_data": bool, "gains": lambda gains: tuple(map(Gain.from_dict, gains)),
            "averaging": Gain.from_dict
        }
        values["margin"]  # of a verdict without it, another version judged by other rules
        return cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})


_WHOLE = ("gradient", "fall")  # whose numbers that are not finite stay, as null


def _plain(value, whole=False):
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, dict):
        made = {name: _plain(entry, name in _WHOLE) for name, entry in value.items()}
        return {name: entry for name, entry in made.items()
                if whole or (entry is not None and entry != "")}
    return files.plain(value)
