"""The full words for verdicts. `headlines` has three short lines, `next_step` the next step, and
`model_words` the words for models. Only these four modules make such words.

No code reads these words back: all that it needs is in the data behind them.
"""
import dataclasses
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tfisovae.verdict import model_words, next_step
from tfisovae.verdict.gains import Gain, GainKind
from tfisovae.verdict.isometry import CLOSE, FEW, SHARE, Isometry, Part
from tfisovae.verdict.record import ReasonKind, Verdict
from tfisovae.verdict.states import IsometryState, State

LABELS = {
    State.NOT_FINITE: "NOT FINITE", State.COLLAPSED: "COLLAPSED",
    State.SADDLE: "SADDLE", State.JITTERS: "JITTERS", State.IMPROVING: "IMPROVING",
    State.CONVERGED: "Converged", State.UNDECIDED: "UNDECIDED", State.NOT_JUDGED: "Not judged",
    IsometryState.NOT_FINITE: "NOT FINITE",
    IsometryState.NONE: "none", IsometryState.NOT_JUDGED: "Not judged",
    IsometryState.NOT_ISOMETRIC: "not isometric", IsometryState.ISOMETRIC: "isometric"
}
_PARTS = {Part.STRETCH: "stretch", Part.LENGTHS: "lengths", Part.ANGLES: "right angles",
          Part.FLATNESS: "flatness along single axes", Part.POSTERIOR: "the posterior"}
OTHER_PRIOR = "for a prior other than N(0, I), nothing predicts the norm"
_SOURCES = {GainKind.DOUBLING: "by {steps:,} more steps", GainKind.PROBE: "by {steps:,} more steps",
            GainKind.DEAD: "by dimensions that carry nothing", GainKind.SCALE: "by standardizing",
            GainKind.BALANCE: "by the posterior widths"}


class Line(NamedTuple):
    """A line of a verdict: its name, the value of the state ("" without one), the words that name
    the state, and the rest.
    """

    name: str
    state: str
    label: str
    rest: str

    def __str__(self) -> str:
        return f"{self.name}: {self.label}{self.rest}"


def lines(verdict: Verdict | None) -> list[Line]:
    """The whole verdict in up to three lines: whether training has converged, whether the embedding
    is isometric, and what not to conclude. `headlines` has the short form.
    """
    if verdict is None:
        return []
    made = [Line("Training", verdict.state.value, *_training(verdict))]
    if verdict.isometry is not None:
        made.append(Line("Embedding", verdict.isometry.state.value, *_embedding(verdict)))
        made.append(Line("Caution", "", "", f"{'; '.join(cautions(verdict))}."))
    return made


def health(verdict: Verdict) -> str:
    """Whether training has converged, with all numbers and reasons."""
    return "".join(_training(verdict))


def _training(verdict):
    """The label of the state, and the rest of the line."""
    rest = {
        State.NOT_FINITE: _broken, State.COLLAPSED: _collapsed, State.SADDLE: _saddle,
        State.JITTERS: _jitters, State.IMPROVING: _improving, State.CONVERGED: _converged,
        State.UNDECIDED: _undecided, State.NOT_JUDGED: _not_judged
    }[verdict.state](verdict)
    rest = " ".join([rest, *notes(verdict)])
    where = " (on the run's own data)" if verdict.on_own_data else ""
    return LABELS[verdict.state], f"{where}: {rest}"


def notes(verdict: Verdict) -> Iterator[str]:
    """What else was found: hints, held-out examples that differ, and removed dimensions."""
    if verdict.state is not State.NOT_FINITE:
        yield from _hints(verdict)
        yield from _more_dimensions(verdict)
    held_out = verdict.of(ReasonKind.HELD_OUT)
    if held_out:
        yield (f"On the held-out examples {'; '.join(_differing(held_out))}. They differ from the "
               f"training examples, or the model overfits.")
    for pruned in verdict.of(ReasonKind.PRUNED):
        yield (f"This model is {pruned.note} without some of its dimensions. It was not trained "
               f"since. See the verdict on {pruned.note} for the training.")


def _listed(reasons):
    """The worst of each kind of check."""
    said = []
    for name in dict.fromkeys(reason.check for reason in reasons):
        same = [reason for reason in reasons if reason.check == name]
        off = [abs(reason.value - reason.expected) for reason in same]
        worst = same[int(np.argmax(np.where(np.isfinite(off), off, np.inf)))]
        finite = math.isfinite(worst.value) and math.isfinite(worst.standard_error)
        if worst.dimension is None:
            said.append(f"{name} is larger than its noise" if finite else f"{name} is not finite")
            continue
        others = f" (and {len(same) - 1} more)" if len(same) > 1 else ""
        number = (f"{worst.value:.3f} +- {worst.standard_error:.3f}, not {worst.expected:g}"
                  if finite else "not finite")
        said.append(f"{name} of z_{worst.dimension} is {number}{others}")
    return said


def _differing(reasons):
    """The largest difference between held-out and training examples, of each kind of check."""
    said = []
    for name in dict.fromkeys(reason.check for reason in reasons):
        same = [reason for reason in reasons if reason.check == name]
        worst = max(same, key=lambda reason: abs(reason.value - reason.expected))
        others = f", and {len(same) - 1} more" if len(same) > 1 else ""
        said.append(f"{name} of z_{worst.dimension} is {worst.value:.3f}, not {worst.expected:.3f} "
                    f"as in training (difference +- {worst.standard_error:.3f}{others})")
    return said


def _broken(verdict):
    broken = "; ".join(_listed(verdict.of(ReasonKind.NOT_FINITE)))
    return f"{broken}. No other number here means anything."


def not_finite(verdict: Verdict) -> str:
    """The first number that is not finite, and how many more there are."""
    first, *others = verdict.of(ReasonKind.NOT_FINITE)
    place = "" if first.dimension is None else f" of z_{first.dimension}"
    more = f" (and {len(others)} more)" if others else ""
    return f"{first.check}{place} is not finite{more}"


def _collapsed(verdict):
    dead = verdict.gain_of(GainKind.DEAD)
    worth = ""
    if dead is not None:
        worth = (" No direction of the data is worth a linear dimension at this lmbda."
                 if dead.interval[1] <= 0 else f" Using the dimensions would gain {_about(dead)}.")
    return (f"no dimension carries information (rate {rate(verdict):.3f} nats).{worth} "
            f"{_to_do(verdict)}")


def rate(verdict: Verdict) -> float:
    """The rate of a model that has collapsed, nats."""
    return next((reason.value for reason in verdict.of(ReasonKind.COLLAPSED)), math.nan)


def _saddle(verdict):
    return (f"some latent dimensions carry nothing, though the data have directions for them. "
            f"Using them would gain {_about(verdict.gain_of(GainKind.DEAD))}, more than the margin "
            f"of {_margin(verdict)}. This is an estimate. At such a point all gradients can be 0. "
            f"{_to_do(verdict)}")


def _jitters(verdict):
    gain, averaged = jitter(verdict)
    if averaged:
        return (f"the loss of averaged weights is lower by {_about(gain)}, more than the margin of "
                f"{_margin(verdict)}. The learning rate keeps the weights moving. "
                f"{_to_do(verdict)}")
    return (f"the loss rose by {_about(gain)} in {gain.steps:,} more steps, more than the margin "
            f"of {_margin(verdict)}. {_to_do(verdict)}")


def jitter(verdict: Verdict) -> tuple[Gain, bool]:
    """The gain of averaged weights, or else the rise of the loss; and whether it is the first."""
    if verdict.averages_better:
        return verdict.averaging, True
    gain = verdict.gain_of(GainKind.DOUBLING)
    return dataclasses.replace(gain, value=-gain.value), False


def _improving(verdict):
    other_prior = ""
    if next_step.prior_is_doubtful(verdict):
        other_prior = (" The moments of the posterior contradict the prior N(0, I). With another "
                       "prior, such as a VampPrior, neither the rate nor this verdict holds; give "
                       "it as prior= of as_autoencoder.")
    return (f"{_total(verdict)} That is more than the margin of {_margin(verdict)}.{other_prior} "
            f"{_to_do(verdict)}")


def _converged(verdict):
    return f"{_total(verdict)} That is less than the margin of {_margin(verdict)}."


def _undecided(verdict):
    said = f"{_total(verdict)} The margin is {_margin(verdict)}."
    if verdict.of(ReasonKind.SHORT_PROBE):
        said += (" A probe that is shorter than the training shows a lower bound only. It starts "
                 "again at the full learning rate, so the loss can end above the model's loss.")
    elif verdict.of(ReasonKind.TOO_FEW):
        said += "".join(f" {few}." for few in _few(verdict))
    else:
        for reason in verdict.of(ReasonKind.TAILS_DECIDE):
            said += (f"{_heavy(verdict)} These dimensions may gain up to {reason.value:.2g} nats "
                     "more.")
    return f"{said} {_to_do(verdict)}"


def _not_judged(verdict):
    for reason in verdict.of(ReasonKind.OTHER_DATA):
        return f"these are not the run's own data. Measure it on its own: {reason.note}"
    few = "".join(f" {said}." for said in _few(verdict))
    return (f"no measurement shows what more training would gain.{few} {_to_do(verdict)}"
            f"{_heavy(verdict)}")


def _to_do(verdict):
    return f"To do: {next_step.training(verdict)}."


def _about(gain):
    """A gain with its interval."""
    low, high = gain.interval
    return f"about {gain.value:.2g} nats ({low:.2g} to {high:.2g}, 95 %)"


def _margin(verdict):
    return f"{verdict.margin:.2g} nats"


def source(gain: Gain) -> str:
    """Where a gain comes from."""
    return _SOURCES[gain.kind].format(steps=gain.steps)


def _total(verdict):
    """The total gain and its sources."""
    value = verdict.gain[0]
    low, high = (max(0.0, limit) for limit in verdict.interval)
    doubling = verdict.gain_of(GainKind.DOUBLING)
    per = " per doubling of the training" if doubling is not None else ""
    bound = {State.CONVERGED: f"at most {high:.2g}", State.IMPROVING: f"at least {low:.2g}"}.get(
        verdict.state, f"{low:.2g} to {high:.2g}")
    short = doubling is None and verdict.gain_of(GainKind.PROBE) is not None
    said = [f"{'at least' if short else 'about'} {max(0.0, value):.2g} nats are still to gain{per} "
            f"({bound}, 95 %)."]
    if len(verdict.gains) > 1:
        parts = [f"{max(0.0, gain.value):.2g} {source(gain)}"
                 for gain in verdict.gains]
        said.append(f"Of these: {', '.join(parts)}.")
    return " ".join([*said, *seeds(verdict)])


def seeds(verdict: Verdict) -> Iterator[str]:
    """How far the error of a probe goes: one seed, or several."""
    probe = verdict.gain_of(GainKind.DOUBLING) or verdict.gain_of(GainKind.PROBE)
    if probe is not None and probe.num_seeds == 1:
        yield "The error covers the examples of one probe, not other seeds."
    elif probe is not None:
        yield f"{probe.num_seeds} seeds of the probe differ by {probe.spread:.2g} nats."


def gain_label(verdict: Verdict) -> str:
    """The nats that as many steps again gain, for a table; "-" where that was not measured."""
    gain = verdict.gain_of(GainKind.DOUBLING)
    return "-" if gain is None else f"{gain.value:.2g} +- {gain.standard_error:.1g}"


def _hints(verdict):
    """Hints from single tests. They decide nothing."""
    said = _listed(verdict.of(ReasonKind.OFF))
    if said:
        yield f"Hints: {'; '.join(said)}."
    elif math.isfinite(verdict.resolution) and not verdict.of(ReasonKind.HINT):
        yield ("E[mu], E[mu^2 + sigma^2] and the balance show no deviation. The tests find a "
               f"deviation of {verdict.resolution:.2g} in 90 % of data sets.")
    hints = verdict.of(ReasonKind.HINT)
    if hints:
        why = "; ".join(dict.fromkeys(map(_why, hints)))
        yield (f"{_sentence('; '.join(_listed(hints)))}. It is unknown whether this must hold at "
               f"the optimum of these networks ({why}).")
    for reason in verdict.of(ReasonKind.GRADIENT_TELLS_NOTHING):
        yield f"The mean gradient tells nothing here ({_why(reason)})."


def _why(reason):
    """Why its test shows nothing. Files of older versions have a note instead."""
    return reason.note if reason.why is None else model_words.why(reason.why)


def _more_dimensions(verdict):
    for reason in verdict.of(ReasonKind.MORE_DIMENSIONS):
        yield (f"All dimensions are in use. One more would gain about {reason.value:.2g} nats (an "
               f"estimate).")


def _heavy(verdict):
    heavy = sorted({reason.dimension for reason in verdict.of(ReasonKind.HEAVY_TAILS)})
    if not heavy:
        return ""
    named = ", ".join(f"z_{j}" for j in heavy[:4])
    others = f" and {len(heavy) - 4} more" if len(heavy) > 4 else ""
    return f" Not decided for {named}{others}: a few examples dominate the moments. Measure more."


def _sentence(text):
    return text[:1].upper() + text[1:]


def _few(verdict):
    for reason in verdict.of(ReasonKind.TOO_FEW):
        yield _sentence(next_step.too_few(reason.value, reason.expected))


def percent(value: float) -> str:
    """A fraction in per cent, rounded up, at least 1; above ten times, only that."""
    if value > 10:
        return "over 1000 %"
    return f"{max(1, math.ceil(100 * value - 1e-9)):d} %" if math.isfinite(value) else "nan %"


def isometry_label(isometry: Isometry) -> str:
    """The state of an embedding in a few words, with the size of its errors where it is isometric.
    """
    return LABELS[isometry.state] + to_error(isometry)


def to_error(isometry: Isometry) -> str:
    """Such as " to 4 %": the size of the errors of an isometric embedding; "" for others."""
    known = isometry.state is IsometryState.ISOMETRIC and math.isfinite(isometry.largest)
    return f" to {percent(isometry.largest)}" if known else ""


def _embedding(verdict):
    """The label of the state, and the rest of the line."""
    isometry = verdict.isometry
    rest = {
        IsometryState.NOT_FINITE: lambda: "no number means anything.",
        IsometryState.NONE: lambda: "no dimension is active.",
        IsometryState.NOT_JUDGED: lambda: _embedding_not_judged(isometry)
    }
    if isometry.state in rest:
        return LABELS[isometry.state], f": {rest[isometry.state]()}"
    if isometry.failing == (Part.POSTERIOR, ):
        return LABELS[isometry.state], (
            f": the posterior of z_{isometry.worst} is wider than the prior (1 - sigma^2 = "
            f"{isometry.prediction:.3g}). With the prior N(0, I) this is not possible after "
            "training.")
    label = LABELS[isometry.state]
    if isometry.failing:
        first = f" in {', '.join(_PARTS[part] for part in isometry.failing)}"
    else:
        first = f" to {percent(isometry.largest)}"
    unfinished = " (the loss can still fall)" if verdict.unfinished else ""
    return label, f"{first}{unfinished}: {'; '.join(embedding_numbers(isometry))}."


def embedding_numbers(isometry: Isometry) -> list[str]:
    """The numbers of an embedding, a clause for each kind."""
    if not math.isfinite(isometry.length_error):
        return []
    said = [] if not math.isfinite(isometry.error_95) else [
        f"at the median example lengths change {isometry.shortest:.3g}-fold to "
        f"{isometry.longest:.3g}-fold, by direction; the largest error is "
        f"{percent(isometry.error_median)} there, {percent(isometry.error_95)} at the 95th "
        f"percentile over the examples, {percent(isometry.error_largest)} at most"
    ]
    if math.isfinite(isometry.error_95_bound):
        said.append("these use estimated eigenvalues; the 95th percentile is at most "
                    f"{percent(isometry.error_95_bound)}")
    said += [
        f"lengths along the axes are {percent(isometry.length_error)} off (rms over data and "
        f"dimensions), most in z_{isometry.worst} ({percent(isometry.worst_error)}: norm "
        f"{isometry.norm:.3f} +- {isometry.norm_std:.2g}, predicted {isometry.prediction:.3f})"
    ]
    if isometry.num_dimensions > 1:
        said.append(f"cosines {isometry.cosine:.3f} rms")
    if math.isfinite(isometry.unexplained):
        said.append(f"log sigma unexplained by its own z {isometry.unexplained:.3f} +- "
                    f"{isometry.unexplained_error:.1g}")
    return said


def undecided(isometry: Isometry) -> str:
    """What the examples are too few to decide, in a clause."""
    said = {
        Part.STRETCH: f"{isometry.share_off:.1%} of {isometry.num_examples} examples are more than "
                      f"{CLOSE:.0%} off, too near {SHARE:.0%}",
        Part.FLATNESS: f"flatness {isometry.unexplained:.3f} +- {isometry.unexplained_error:.1g} "
                       f"is too near {CLOSE:g}"
    }
    return "; ".join(said[part] for part in isometry.undecided)


def _embedding_not_judged(isometry):
    """Why the state of an embedding is not known."""
    if isometry.other_prior:
        return f"{OTHER_PRIOR}."
    if not isometry.num_examples:
        return "these numbers lack the norms. Measure again."
    if isometry.num_examples < FEW:
        return f"{next_step.too_few(isometry.num_examples, FEW)}."
    if math.isfinite(isometry.error_95_bound):
        return (f"the largest error is between {percent(isometry.error_95)} and "
                f"{percent(isometry.error_95_bound)} at the 95th percentile over the examples. "
                f"Measure with method=\"exact\" to know it.")
    if isometry.undecided:
        return f"{undecided(isometry)}. Measure more examples."
    if not math.isfinite(isometry.bound):
        return ("norms and mean cosines of a sample of dimensions are right. The eigenvalues of "
                "Gamma were not measured: the decoder has no derivatives.")
    return (f"norms and mean cosines are right, but in {isometry.num_dimensions} dimensions they "
            f"allow an error of {percent(isometry.bound)} in some direction. The eigenvalues of "
            f"Gamma were not measured. Measure again.")


def cautions(verdict: Verdict) -> list[str]:
    """What not to conclude: clauses of at most 90 characters, the most important one first."""
    isometry = verdict.isometry
    if isometry.state is IsometryState.NOT_FINITE:
        return ["conclude nothing; find the input whose outputs are not finite"]
    if isometry.state is IsometryState.NONE:
        return ["conclude nothing from norms, cosines or densities of this model"]
    said = []
    if isometry.beta_differs:
        said.append("norms use the given beta, which the posterior contradicts")
    if isometry.beta_found:
        said.append("beta was estimated from these data, so balance and average norm test nothing")
    if verdict.state is State.NOT_JUDGED:
        said.append("nothing here shows that training has converged")
    if not math.isfinite(isometry.unexplained):
        said.append("flatness was not measured")
    elif isometry.unexplained > CLOSE:
        said.append("a curved data manifold has no isometric embedding, however long you train")
    if isometry.num_dimensions >= 4 and isometry.cosine > CLOSE:
        said.append("cosines need not be 0: in general only up to 3 dimensions can be orthogonal")
    if isometry.other_prior:
        said.append("where sigma is small, a norm near 1 shows a balanced sigma, not an isometry")
    elif isometry.quadratic is not None:
        said.append(
            "norms equal to 1 - sigma^2 show a balanced sigma, not an isometric embedding"
            if isometry.quadratic else
            "with this loss the norm need not be 1 - sigma^2, even at the optimum")
    if verdict.state is State.CONVERGED:
        said.append("a plateau can last longer than a doubling of the training")
    return said or ["the numbers hold for data like these"]
