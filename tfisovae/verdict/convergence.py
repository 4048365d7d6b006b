"""Decides whether a training has converged (NumPy and SciPy only).

`checks` turns measurements into tests, each with a p-value; `judge` decides over all of them
together; `words` makes sentences of it. An alarm is raised on a stationary model in at most 5 % of
all data sets, over all dimensions and all checks together, from 300 independent examples and for 1
to 256 dimensions (results/verdict/false_alarms.json).
"""
import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from tfisovae.verdict.checks import (
    FALL,
    GRADIENT,
    LEVEL,
    MIN_EXAMPLES,
    MIN_GRADIENT_EXAMPLES,
    TOLERANCE,
    Check,
    Conditions,
    Stationarity,
    checks,
    differences,
)
from tfisovae.verdict.isometry import Isometry, isometry_of
from tfisovae.verdict.record import Reason, ReasonKind, Verdict
from tfisovae.verdict.states import IsometryState, State
from tfisovae.verdict.tests_of_means import LossFall, MeanGradient, holm

RESOLUTION = 0.2  # checks that would have seen only larger deviations show nothing
# Means that must be finite.
LOSSES = ("rate", "distortion", "loss", "coding_loss", "transform_loss")
_UNREADABLE = (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)


class _Tested(NamedTuple):
    """Checks by what they say; `firm` and `soft`: those of dimensions that apply, and that may."""

    alarms: list[Check]
    hints: list[Check]
    broken: list[Check]
    heavy: list[Check]
    firm: list[Check]
    soft: list[Check]
    resolution: float


def _tested(stationarity, conditions, gradient, fall, num_train, annealed, tolerance, level,
            losses):
    found = checks(stationarity, conditions, gradient, fall, num_train, annealed, tolerance)
    found += [Check(f"the {name.replace('_', ' ')}", None, value, 0.0, 0.0, 0.0, 1.0, False)
              for name, value in losses.items()]
    enough = stationarity is None or stationarity.num_examples >= MIN_EXAMPLES
    finite = [c for c in found if c.finite]
    heavy = [c for c in finite if c.dimension is not None and not c.decided]
    usable = [c for c in finite if c.decided and (c.dimension is None or enough)]
    firm = [c for c in usable if c.applies and c.dimension is not None]
    soft = [c for c in usable if not c.applies]
    network = [c for c in usable if c.applies and c.name in (GRADIENT, FALL)]
    # The one number of the whole network weighs as much as those of all dimensions together: it is
    # the one that sees most.
    share = level / 2 if firm and network else level

    def failing(some, part):
        return [c for c, p in zip(some, holm([c.p_value for c in some])) if p < part and c.matters]

    quantile = scipy.stats.norm.isf((share if firm else level) / 2 / max(1, len(firm) or len(soft)))
    resolution = max((max(tolerance, _found(quantile, c.standard_error))
                      for c in usable if c.dimension is not None), default=math.nan)
    return _Tested(failing(firm, share) + failing(network, share), failing(soft, level),
                   [c for c in found if not c.finite], heavy, firm, soft, float(resolution))


def _found(quantile, error):
    """The deviation that a test at this normal quantile finds in 90 %: that of a factor widens the
    error of what it multiplies.
    """
    step = (quantile + scipy.stats.norm.isf(0.1)) * error
    return step / (1 - step) if step < 1 else math.inf


def judge(stationarity: Stationarity | None = None, conditions: Conditions | None = None,
          gradient: MeanGradient | None = None, fall: LossFall | None = None,
          num_train: int | None = None, annealed: bool = False, tolerance: float = TOLERANCE,
          level: float = LEVEL, losses: Mapping[str, float] | None = None,
          training: Stationarity | None = None, num_active: int | None = None,
          isometry: Isometry | None = None) -> Verdict:
    """Decides over all checks together.

    Where there are both, half of the false alarms allowed are for the checks of dimensions and half
    for those of the whole network; among each, Holm's adjustment.

    Args:
      stationarity, conditions, gradient, fall, num_train, annealed, tolerance: as of `checks`.
      level: of false alarms.
      losses: means by their names, which only have to be finite.
      training: the `Stationarity` of examples of training, where `stationarity` is of held-out
        ones or `None`. They then decide, as an optimum is that of its training examples.
      num_active: number of active dimensions, where it is known.
      isometry: the verdict on the embedding, which becomes part of this one.
    """
    conditions, apart, broken, heavy = conditions or Conditions(), [], [], []
    if stationarity is not None and training is not None:
        held_out = _tested(stationarity, conditions, None, None, num_train, annealed, tolerance,
                           level, {})
        apart, broken = differences(*(
            checks(one, conditions, tolerance=tolerance) for one in (stationarity, training)),
            level, tolerance), held_out.broken
    if stationarity is None or training is not None:
        stationarity, num_train = training, None
    found = _tested(stationarity, conditions, gradient, fall, num_train, annealed, tolerance, level,
                    losses or {})
    broken, heavy = broken + found.broken, found.heavy
    count = None if stationarity is None else stationarity.num_examples
    reasons = [Reason.of(kind, c) for kind, some in (
        (ReasonKind.NOT_FINITE, broken), (ReasonKind.OFF, found.alarms),
        (ReasonKind.HINT, found.hints), (ReasonKind.HEAVY_TAILS, heavy),
        (ReasonKind.HELD_OUT, apart)) for c in some]
    state, why = _state(found, bool(broken), count, conditions, gradient, fall, annealed,
                        num_active, losses or {})
    if isometry is not None and state is State.NOT_FINITE:
        isometry = dataclasses.replace(isometry, state=IsometryState.NOT_FINITE, failing=())
    return Verdict(state, (*reasons, *why), isometry, count, level, found.resolution, gradient,
                   fall, annealed)


def _state(found, broken, count, conditions, gradient, fall, annealed, num_active, losses):
    """The state, and its reasons beside the checks."""
    if broken:
        return State.NOT_FINITE, []
    if num_active == 0:
        return State.COLLAPSED, [Reason(ReasonKind.COLLAPSED, value=losses.get("rate", math.nan))]
    if found.alarms:
        names = {c.name for c in found.alarms}
        level = GRADIENT in names and FALL not in names and not annealed
        return (State.JITTERS if level and fall is not None and fall.is_over
                else State.NOT_CONVERGED), []
    if count is not None and count < MIN_EXAMPLES:
        return State.NOT_JUDGED, [Reason(ReasonKind.TOO_FEW, value=count, expected=MIN_EXAMPLES)]
    why = [_gradient(gradient, conditions)]
    seen = why[0].kind is ReasonKind.WITHIN_NOISE
    if found.hints:
        return State.UNDECIDED, why if seen else []
    if seen:
        return State.CONVERGED, why
    if found.firm and found.resolution <= RESOLUTION:
        return State.NO_SIGN, why
    if found.firm:
        why += [Reason(ReasonKind.COARSE, value=found.resolution, expected=RESOLUTION)]
    elif any(c.dimension is not None for c in found.soft):
        notes = dict.fromkeys(c.why for c in found.soft if c.dimension is not None)
        why += [Reason(ReasonKind.NOT_KNOWN, note="; ".join(notes))]
    else:
        why += [Reason(ReasonKind.NOT_MEASURED)]
    return State.NOT_JUDGED, why


def _gradient(gradient, conditions):
    """What a mean gradient shows that is no alarm."""
    if gradient is not None and not conditions.gradient:
        return Reason(ReasonKind.GRADIENT_TELLS_NOTHING, GRADIENT, note=conditions.gradient_why)
    if gradient is not None and gradient.heavy:
        return Reason(ReasonKind.GRADIENT_TELLS_NOTHING, GRADIENT,
                      note="a few blocks of examples carry its variance")
    if gradient is None or gradient.num_examples < MIN_GRADIENT_EXAMPLES:
        return Reason(ReasonKind.NO_GRADIENT, GRADIENT,
                      value=gradient.num_examples if gradient else 0,
                      expected=MIN_GRADIENT_EXAMPLES)
    return Reason(ReasonKind.WITHIN_NOISE, GRADIENT, None, gradient.squared_norm, 0.0,
                  gradient.standard_error, gradient.p_value)


def judge_measurement(values: Mapping[str, Any], stationarity: Stationarity | None,
                      conditions: Conditions | None, *, beta_found: bool = False,
                      beta_differs: bool = False, **evidence: Any) -> Verdict:
    """Decides on a measurement.

    Args:
      values: the fields of an `Analysis`, or of an isometry.json, which may lack some.
      stationarity, conditions, **evidence: as of `judge`.
      beta_found, beta_differs: as of `Isometry`.
    """
    try:
        isometry = isometry_of(values, beta_found, beta_differs)
    except _UNREADABLE:  # of an older version, or damaged
        isometry = Isometry(IsometryState.NOT_JUDGED)
    losses = {name: _number(values[name]) for name in LOSSES if name in values}
    active = np.array(values.get("active"), object)
    num_active = sum(entry == 1 for entry in active) if active.ndim == 1 and len(active) else None
    return judge(stationarity, conditions, losses=losses, num_active=num_active, isometry=isometry,
                 **evidence)


def of_saved(values: Mapping[str, Any]) -> Verdict:
    """The verdict of an isometry.json. One that an older version wrote without a verdict is judged
    again from its numbers, as far as they are there.
    """
    try:
        return Verdict.from_dict(values["verdict"])
    except _UNREADABLE:
        pass
    found = values.get("beta_found")  # by an audit
    beta_found = isinstance(found, dict) and found.get("value") == values.get("beta")
    return judge_measurement(values, _read(Stationarity.from_dict, values.get("stationarity")),
                             _read(lambda known: Conditions(**known), values.get("conditions")),
                             beta_found=beta_found, **evidence_of(values))


def evidence_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What an isometry.json holds about the training, as `judge` takes it: `gradient`, `fall`,
    `annealed`, `training` and `num_train`, `None` where it is not there.
    """
    kept = values.get("evidence") if isinstance(values.get("evidence"), dict) else {}
    kinds = {"gradient": MeanGradient.from_dict, "fall": LossFall.from_dict,
             "training": Stationarity.from_dict, "num_train": int}
    return {name: _read(kind, kept.get(name)) for name, kind in kinds.items()
            } | {"annealed": bool(kept.get("annealed"))}


def _read(kind, value):
    try:
        return None if value is None else kind(value)
    except _UNREADABLE:
        return None


def _number(value):
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
