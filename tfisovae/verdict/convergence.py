"""Decides whether a training has converged (NumPy and SciPy only).

`judge` adds up the nats that the loss can still fall by and compares them with a margin. `checks`
turns measurements into tests, which are hints; `words` makes sentences of it all.
"""
import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy.stats

from tfisovae.verdict import gains
from tfisovae.verdict.checks import (
    BALANCE,
    FALL,
    GRADIENT,
    LEVEL,
    MEAN,
    MIN_EXAMPLES,
    MIN_GRADIENT_EXAMPLES,
    SECOND,
    TOLERANCE,
    Check,
    Conditions,
    Stationarity,
    Why,
    checks,
    differences,
)
from tfisovae.verdict.gains import GainKind, Probe, Residual
from tfisovae.verdict.isometry import Isometry, isometry_of
from tfisovae.verdict.record import Reason, ReasonKind, Verdict
from tfisovae.verdict.states import Cause, IsometryState, State
from tfisovae.verdict.tests_of_means import LossFall, MeanGradient, holm

# Means that must be finite.
LOSSES = ("rate", "distortion", "loss", "coding_loss", "transform_loss")
_CHEBYSHEV = math.sqrt(1 / LEVEL)  # standard errors; few means lie beyond, at most 5 %
_UNREADABLE = (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)


class _Tested(NamedTuple):
    """Checks by their result. `firm` ones apply; `soft` ones may apply."""

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
    # The one number of the whole network gets as much weight as all dimensions together: it finds
    # the most faults.
    share = level / 2 if firm and network else level

    def failing(some, part):
        return [c for c, p in zip(some, holm([c.p_value for c in some])) if p < part and c.matters]

    quantile = scipy.stats.norm.isf((share if firm else level) / 2 / max(1, len(firm) or len(soft)))
    resolution = max((max(tolerance, _found(quantile, c.standard_error))
                      for c in usable if c.dimension is not None), default=math.nan)
    return _Tested(failing(firm, share) + failing(network, share), failing(soft, level),
                   [c for c in found if not c.finite], heavy, firm, soft, float(resolution))


def _found(quantile, error):
    """The deviation that a test at this normal quantile finds in 90 % of data sets. For a factor,
    the error of the other factor adds to it.
    """
    step = (quantile + scipy.stats.norm.isf(0.1)) * error
    return step / (1 - step) if step < 1 else math.inf


def judge(stationarity: Stationarity | None = None, conditions: Conditions | None = None,
          gradient: MeanGradient | None = None, fall: LossFall | None = None,
          num_train: int | None = None, annealed: bool = False, tolerance: float = TOLERANCE,
          level: float = LEVEL, losses: Mapping[str, float] | None = None,
          training: Stationarity | None = None, num_active: int | None = None,
          isometry: Isometry | None = None, probes: Iterable[Probe] = (),
          residual: Residual | None = None, margin: float | None = None,
          irreducible: float = 0.0) -> Verdict:
    """Decides whether a training has converged, by the nats that the loss can still fall.

    It compares gains with a margin. They come from a probe (training for as many steps again), and
    in closed form from unused dimensions, from standardizing and from the posterior balance. Both
    kinds may count the same nats. So "improving" needs one kind above the margin, and "converged"
    needs the sum of both below it. Tests of single numbers and of the mean gradient are hints. They
    decide nothing.

    Args:
      stationarity, conditions, gradient, fall, num_train, annealed, tolerance: as of `checks`.
      level: rate of false alarms of the hints, over all checks of one kind (`checks.LEVEL`).
      losses: `{name: mean}`, all of which must be finite.
      training: the `Stationarity` of training examples, if `stationarity` is of held-out ones or
        `None`. Then the training examples decide, since the optimum is theirs.
      num_active: number of active dimensions, if known.
      isometry: the verdict on the embedding, which becomes part of this one.
      probes: `Probe`s of this model.
      residual: `Residual` of this model.
      margin: nats; `gains.margin` of the loss by default.
      irreducible: lmbda D(x, x), nats.
    """
    conditions, apart, broken = conditions or Conditions(), [], []
    losses, probes = losses or {}, tuple(probes)
    if stationarity is not None and training is not None:
        pair = [checks(one, conditions, tolerance=tolerance) for one in (stationarity, training)]
        apart, broken = differences(*pair, level, tolerance), [c for c in pair[0] if not c.finite]
    if stationarity is None or training is not None:
        stationarity, num_train = training, None
    broken_probes = {f"loss of a probe of {probe.steps} steps": probe.after for probe in probes}
    found = _tested(stationarity, conditions, gradient, fall, num_train, annealed, tolerance, level,
                    losses | broken_probes)
    broken = broken + found.broken
    count = None if stationarity is None else stationarity.num_examples
    reasons = [Reason.of(kind, c) for kind, some in (
        (ReasonKind.NOT_FINITE, broken), (ReasonKind.OFF, found.alarms),
        (ReasonKind.HINT, found.hints), (ReasonKind.HEAVY_TAILS, found.heavy),
        (ReasonKind.HELD_OUT, apart)) for c in some]
    if margin is None:
        margin = gains.margin(losses.get("loss", math.nan), irreducible)
    closed, doubtful = _closed_forms(stationarity, conditions, num_train, found.heavy)
    made = [gains.of_probes(probes), None if residual is None else gains.of_dead(residual), *closed]
    verdict = Verdict(
        State.NOT_JUDGED, (), isometry, count, level, found.resolution, gradient, fall, annealed,
        gains=tuple(gain for gain in made if gain is not None), margin=margin,
        averaging=gains.of_averages(probes))
    state, why = (State.NOT_FINITE, []) if broken else _state(verdict, doubtful, num_active, losses)
    why += _hints(gradient, conditions) + _more_dimensions(residual)
    if isometry is not None and state is State.NOT_FINITE:
        isometry = dataclasses.replace(isometry, state=IsometryState.NOT_FINITE, failing=())
    return dataclasses.replace(verdict, state=state, reasons=(*reasons, *why), isometry=isometry)


def _closed_forms(stationarity, conditions, num_train, heavy):
    """The gains by standardizing and by the balance, over dimensions with reliable moments; and the
    most nats that the other dimensions can gain. That limit comes from Chebyshev's inequality,
    which holds for every distribution.
    """
    if stationarity is None or stationarity.num_examples < MIN_EXAMPLES:
        return [], 0.0
    mean, second, difference = (
        part.held_out(num_train) for part in (
            stationarity.latent_mean, stationarity.latent_second_moment,
            stationarity.balance_difference))
    every, found, doubtful = np.full(len(mean.mean), True), [], 0.0
    for applies, names, looked_at, gain in (
            (conditions.moments, (MEAN, SECOND), every,
             lambda among: gains.of_scale(mean, second, among)),
            (conditions.balance, (BALANCE, ), stationarity.strong,
             lambda among: gains.of_balance(difference, among))):
        if applies:
            trusted = every.copy()
            trusted[[c.dimension for c in heavy if c.name in names]] = False
            found.append(gain(looked_at & trusted))
            doubtful += sum(max(0.0, one.value + _CHEBYSHEV * one.standard_error) for one in (
                gain(every & (np.arange(len(every)) == j))
                for j in np.flatnonzero(looked_at & ~trusted)))
    return found, doubtful


def _state(verdict, doubtful, num_active, losses):
    """The state, and its reasons other than the checks."""
    if num_active == 0:
        return State.COLLAPSED, [Reason(ReasonKind.COLLAPSED, value=losses.get("rate", math.nan))]
    dead, doubling = verdict.gain_of(GainKind.DEAD), verdict.gain_of(GainKind.DOUBLING)
    margin, (low, high) = verdict.margin, verdict.interval
    if dead is not None and dead.interval[0] > margin:
        return State.SADDLE, []
    rises = doubling is not None and doubling.interval[1] < -margin
    if rises or verdict.averages_better:
        return State.JITTERS, []
    if low > margin:
        return State.IMPROVING, []
    why = _missing(verdict, doubling)
    if doubling is not None and high < margin <= high + doubtful:
        why.append(Reason(ReasonKind.TAILS_DECIDE, value=doubtful))
    if doubling is not None and not why and high < margin:
        return State.CONVERGED, []
    if doubling is not None or verdict.gain_of(GainKind.PROBE) is not None:
        return State.UNDECIDED, why
    return State.NOT_JUDGED, why


def _missing(verdict, doubling):
    """Reasons for what the gains leave open."""
    why = []
    if doubling is None:
        probe = verdict.gain_of(GainKind.PROBE)
        why.append(Reason(ReasonKind.NO_PROBE) if probe is None else
                   Reason(ReasonKind.SHORT_PROBE, value=probe.steps))
    count = verdict.num_examples
    if count is not None and count < MIN_EXAMPLES:
        why.append(Reason(ReasonKind.TOO_FEW, value=count, expected=MIN_EXAMPLES))
    return why


def _hints(gradient, conditions):
    """Reasons that a measured mean gradient gives."""
    if gradient is None:
        return []
    if not conditions.gradient:
        return [Reason(ReasonKind.GRADIENT_TELLS_NOTHING, GRADIENT, why=conditions.gradient_why)]
    if gradient.heavy:
        return [Reason(ReasonKind.GRADIENT_TELLS_NOTHING, GRADIENT,
                       why=Why(Cause.FEW_BLOCKS))]
    if gradient.num_examples < MIN_GRADIENT_EXAMPLES:
        return [Reason(ReasonKind.NO_GRADIENT, GRADIENT, value=gradient.num_examples,
                       expected=MIN_GRADIENT_EXAMPLES)]
    return [Reason(ReasonKind.WITHIN_NOISE, GRADIENT, None, gradient.squared_norm, 0.0,
                   gradient.standard_error, gradient.p_value)] if gradient.p_value > LEVEL else []


def _more_dimensions(residual):
    """That one more dimension would pay, if all are in use."""
    if residual is None or residual.free or not len(residual.variance):
        return []
    best = int(np.argmax(residual.worth))
    worth, error = residual.worth[best], residual.worth_error[best]
    return [Reason(ReasonKind.MORE_DIMENSIONS, value=float(worth), standard_error=float(error))
            ] if worth - gains.Z * error > 0 else []


def judge_measurement(values: Mapping[str, Any], stationarity: Stationarity | None,
                      conditions: Conditions | None, *, beta_found: bool = False,
                      beta_differs: bool = False, **evidence: Any) -> Verdict:
    """Decides on a measurement.

    Args:
      values: the fields of an `Analysis`, or of an isometry.json; some may be missing.
      stationarity, conditions, **evidence: as of `judge`.
      beta_found, beta_differs: as of `Isometry`.
    """
    try:
        isometry = isometry_of(values, beta_found, beta_differs)
    except _UNREADABLE:  # from an older version, or damaged
        isometry = Isometry(IsometryState.NOT_JUDGED)
    losses = {name: _number(values[name]) for name in LOSSES if name in values}
    active = np.array(values.get("active"), object)
    num_active = sum(entry == 1 for entry in active) if active.ndim == 1 and len(active) else None
    return judge(stationarity, conditions, losses=losses, num_active=num_active, isometry=isometry,
                 irreducible=_irreducible(values), **evidence)


def _irreducible(values):
    """lmbda E[D(x, x)], nats; an approximation for files of older versions."""
    if values.get("irreducible") is not None:
        return _number(values["irreducible"])
    parts = [_number(values.get(name)) for name in ("distortion", "coding_loss", "transform_loss",
                                                    "lmbda")]
    total, coding, transform, lmbda = parts
    found = lmbda * (total - coding - transform)
    return max(0.0, found) if math.isfinite(found) else 0.0


def of_saved(values: Mapping[str, Any]) -> Verdict:
    """The verdict of an isometry.json. Files of older versions without a verdict are judged again
    from the numbers that they hold.
    """
    try:
        return Verdict.from_dict(values["verdict"])
    except _UNREADABLE:
        pass
    found = values.get("beta_found")  # by an audit
    beta_found = isinstance(found, dict) and found.get("value") == values.get("beta")
    return judge_measurement(values, _read(Stationarity.from_dict, values.get("stationarity")),
                             _read(Conditions.from_dict, values.get("conditions")),
                             beta_found=beta_found, **evidence_of(values),
                             residual=_read(Residual.from_dict, values.get("residual")))


def evidence_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """The evidence in an isometry.json about the training, as arguments of `judge`: `gradient`,
    `fall`, `annealed`, `training`, `num_train`, `margin` and `probes`. Missing evidence is `None`.
    """
    kept = values.get("evidence") if isinstance(values.get("evidence"), dict) else {}
    kinds = {"gradient": MeanGradient.from_dict, "fall": LossFall.from_dict,
             "training": Stationarity.from_dict, "num_train": int, "margin": float,
             "probes": lambda probes: tuple(map(Probe.from_dict, probes))}
    found = {name: _read(kind, kept.get(name)) for name, kind in kinds.items()}
    return found | {"annealed": bool(kept.get("annealed")), "probes": found["probes"] or ()}


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
