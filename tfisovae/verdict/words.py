"""The words for verdicts; `model_words` has those for models. Words are made nowhere else.

Nothing reads these words back: whatever must be known is in the data that they are made from.
"""
import dataclasses
import math
from typing import NamedTuple

import numpy as np

from tfisovae.verdict import model_words
from tfisovae.verdict.checks import BALANCE
from tfisovae.verdict.gains import GainKind
from tfisovae.verdict.isometry import CLOSE, FEW, Isometry, Part
from tfisovae.verdict.model_words import FAR
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
_LONGER = "train longer, and let learning_rate fall to 0 only at the end"
_STANDARDIZE = (
    f"call tfisovae.standardize_latents(vae, training_examples). If that was done, {_LONGER}")
_PRIOR = (
    "ask whether the prior is N(0, I). The moments of the posterior contradict it. With another "
    "prior, such as a VampPrior or a flow, neither the rate nor this verdict holds. If it is "
    "N(0, I), ")
_FAR_MOMENTS = 1.0  # nats by standardizing, above which another prior is likely
_PROBE = "train on for as many steps again, and see what that gains (tfisovae.probe)"
_SOURCES = {GainKind.DOUBLING: "by {steps:,} more steps", GainKind.PROBE: "by {steps:,} more steps",
            GainKind.DEAD: "by dimensions that carry nothing", GainKind.SCALE: "by standardizing",
            GainKind.BALANCE: "by the widths of the posterior"}


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
    """Up to three: has training converged; is the embedding isometric; what not to conclude."""
    if verdict is None:
        return []
    made = [Line("Training", verdict.state.value, *_training(verdict))]
    if verdict.isometry is not None:
        made.append(Line("Embedding", verdict.isometry.state.value, *_embedding(verdict)))
        made.append(Line("Do not conclude", "", "", _warnings(verdict)))
    return made


def summary(verdict: Verdict) -> str:
    """`lines` as text."""
    return "\n".join(map(str, lines(verdict)))


def health(verdict: Verdict) -> str:
    """Whether training has converged, in a line."""
    return "".join(_training(verdict))


def _training(verdict):
    """The label of the state, and the rest of the line."""
    rest = {
        State.NOT_FINITE: _not_finite, State.COLLAPSED: _collapsed, State.SADDLE: _saddle,
        State.JITTERS: _jitters, State.IMPROVING: _improving, State.CONVERGED: _converged,
        State.UNDECIDED: _undecided, State.NOT_JUDGED: _not_judged
    }[verdict.state](verdict)
    if verdict.state is not State.NOT_FINITE:
        rest += "".join(f" {said}" for said in (*_hints(verdict), *_more_dimensions(verdict)))
    held_out = verdict.of(ReasonKind.HELD_OUT)
    if held_out:
        rest += (
            f" On the held-out examples {'; '.join(_differing(held_out))}. They differ from the "
            f"training examples, or the model overfits.")
    for pruned in verdict.of(ReasonKind.PRUNED):
        rest += (
            f" This model is {pruned.note} without some of its dimensions, and was not trained "
            f"since: for the training, see the verdict on {pruned.note}.")
    where = " (on the run's own data)" if verdict.on_own_data else ""
    return LABELS[verdict.state], f"{where}: {rest}"


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


def _not_finite(verdict):
    broken = "; ".join(_listed(verdict.of(ReasonKind.NOT_FINITE)))
    return f"{broken}. No other number here means anything."


def _collapsed(verdict):
    rate = next((reason.value for reason in verdict.of(ReasonKind.COLLAPSED)), math.nan)
    said = f"no dimension carries information (rate {rate:.3f} nats)."
    dead = verdict.gain_of(GainKind.DEAD)
    if dead is not None and dead.interval[1] <= 0:
        return (f"{said} No direction of the data is worth a linear dimension at this lmbda. Raise "
                f"lmbda.")
    worth = f" Using the dimensions would gain {_about(dead)}." if dead is not None else ""
    return f"{said}{worth} Raise lmbda, or lower learning_rate."


def _saddle(verdict):
    gain = verdict.gain_of(GainKind.DEAD)
    others = [other for other in verdict.gains if other is not gain]
    rest = sum(other.value for other in others)
    if rest > verdict.margin:
        advice = f"train longer first, as other gains of {rest:.2g} nats are there too"
    elif not any(other.steps for other in others):
        advice = (f"{_PROBE}. If that is little, train again with another seed, or with KL "
                  f"annealing (anneal_steps)")
    else:
        advice = "train again with another seed, or with KL annealing (anneal_steps)"
    return (f"some latent dimensions carry nothing, though the data have directions for them. "
            f"Using them would gain {_about(gain)}, more than the margin of {_margin(verdict)}. "
            f"This is an estimate. At such a point all gradients can be 0. To do: {advice}.")


def _jitters(verdict):
    gain = verdict.averaging
    if gain is not None and gain.interval[0] > verdict.margin:
        return (f"the loss of averaged weights is lower by {_about(gain)}, more than the margin of "
                f"{_margin(verdict)}. The learning rate keeps the weights moving. To do: average "
                f"the weights, or let learning_rate fall to 0.")
    gain = verdict.gain_of(GainKind.DOUBLING)
    rise = dataclasses.replace(gain, value=-gain.value)
    return (f"the loss rose by {_about(rise)} in {gain.steps:,} more steps, more than the margin "
            f"of {_margin(verdict)}. To do: lower learning_rate, and let it fall to 0.")


def _improving(verdict):
    largest = max(verdict.gains, key=lambda gain: gain.value).kind
    advice = _STANDARDIZE if largest is GainKind.SCALE else _LONGER
    if any(gain.kind is GainKind.SCALE and gain.value > _FAR_MOMENTS for gain in verdict.gains):
        advice = _PRIOR + advice
    ratios = [reason.value for reason in verdict.of(ReasonKind.OFF) if reason.check == BALANCE]
    if largest is GainKind.BALANCE and ratios and not 1 / FAR < np.median(ratios) < FAR:
        advice = (f"compare the beta given with the loss that was trained. The balance is "
                  f"{np.median(ratios):.3g}, not 1, and more training does not change such a "
                  f"factor. See tfisovae.estimate_beta")
    return f"{_total(verdict)} That is more than the margin of {_margin(verdict)}. To do: {advice}."


def _converged(verdict):
    return f"{_total(verdict)} That is less than the margin of {_margin(verdict)}."


def _undecided(verdict):
    said = f"{_total(verdict)} The margin is {_margin(verdict)}."
    for _ in verdict.of(ReasonKind.SHORT_PROBE):
        return (f"{said} A probe that is shorter than the training shows a lower bound only: it "
                f"starts again at the full learning rate, and the loss can end above that of the "
                f"model. To do: {_PROBE}.")
    for reason in verdict.of(ReasonKind.TOO_FEW):
        return f"{said} {_sentence(_too_few(reason.value, reason.expected))}"
    for reason in verdict.of(ReasonKind.TAILS_DECIDE):
        return (f"{said}{_heavy(verdict)} These dimensions may gain up to {reason.value:.2g} nats "
                f"more.")
    return f"{said} To do: measure more examples, or probe with more seeds."


def _not_judged(verdict):
    for reason in verdict.of(ReasonKind.OTHER_DATA):
        return f"these are not the run's own data. Measure it on its own: {reason.note}"
    few = "".join(f" {_sentence(_too_few(reason.value, reason.expected))}"
                  for reason in verdict.of(ReasonKind.TOO_FEW))
    return (f"nothing that was measured shows what more training would gain.{few} To do: {_PROBE}."
            f"{_heavy(verdict)}")


def _about(gain):
    """A gain with its interval."""
    low, high = gain.interval
    return f"about {gain.value:.2g} nats ({low:.2g} to {high:.2g}, 95 %)"


def _margin(verdict):
    return f"{verdict.margin:.2g} nats"


def _total(verdict):
    """How much is to gain, and where it comes from."""
    value = verdict.gain[0]
    low, high = (max(0.0, limit) for limit in verdict.interval)
    doubling = verdict.gain_of(GainKind.DOUBLING)
    per = " per doubling of the training" if doubling is not None else ""
    bound = {State.CONVERGED: f"at most {high:.2g}", State.IMPROVING: f"at least {low:.2g}"}.get(
        verdict.state, f"{low:.2g} to {high:.2g}")
    short = doubling is None and verdict.gain_of(GainKind.PROBE) is not None
    said = [f"{'at least' if short else 'about'} {max(0.0, value):.2g} nats are still to "
            f"gain{per} ({bound}, 95 %)."]
    if len(verdict.gains) > 1:
        parts = [f"{max(0.0, gain.value):.2g} {_SOURCES[gain.kind].format(steps=gain.steps)}"
                 for gain in verdict.gains]
        said.append(f"Of these: {', '.join(parts)}.")
    probe = doubling or verdict.gain_of(GainKind.PROBE)
    if probe is not None and probe.num_seeds == 1:
        said.append("The error covers the examples of one probe, not the spread between seeds.")
    elif probe is not None:
        said.append(f"{probe.num_seeds} seeds of the probe differ by {probe.spread:.2g} nats.")
    return " ".join(said)


def gain_label(verdict: Verdict) -> str:
    """The nats that as many steps again gain, for a table; "-" where that was not measured."""
    gain = verdict.gain_of(GainKind.DOUBLING)
    return "-" if gain is None else f"{gain.value:.2g} +- {gain.standard_error:.1g}"


def _hints(verdict):
    """What single tests show. They decide nothing."""
    said = _listed(verdict.of(ReasonKind.OFF))
    if said:
        yield f"Hints: {'; '.join(said)}."
    elif math.isfinite(verdict.resolution) and not verdict.of(ReasonKind.HINT):
        yield (f"E[mu], E[mu^2 + sigma^2] and the balance show no deviation; one of "
               f"{verdict.resolution:.2g} is found in 90 % of data sets.")
    hints = verdict.of(ReasonKind.HINT)
    if hints:
        why = "; ".join(dict.fromkeys(map(_why, hints)))
        yield (f"{_sentence('; '.join(_listed(hints)))}. It is not known whether this must be so "
               f"at the optimum of these networks ({why}).")
    for reason in verdict.of(ReasonKind.GRADIENT_TELLS_NOTHING):
        yield f"The mean gradient tells nothing here ({_why(reason)})."


def _why(reason):
    """Why a test of it shows nothing; a note is of an older version."""
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


def _too_few(count, needed):
    few = "1 example is" if count == 1 else f"{count:.0f} examples are"
    return f"{few} too few. Measure {needed:.0f} or more."


def _percent(value):
    return f"{max(1, math.ceil(100 * value - 1e-9)):d} %" if math.isfinite(value) else "nan %"


def isometry_label(isometry: Isometry) -> str:
    """The state of an embedding in a few words, with the size of its errors where it is isometric.
    """
    label = LABELS[isometry.state]
    known = isometry.state is IsometryState.ISOMETRIC and math.isfinite(isometry.largest)
    return f"{label} to {_percent(isometry.largest)}" if known else label


def _embedding(verdict):
    """The label of the state, and the rest of the line."""
    isometry = verdict.isometry
    rest = {
        IsometryState.NOT_FINITE: lambda: "nothing can be said.",
        IsometryState.NONE: lambda: "no dimension is active.",
        IsometryState.NOT_JUDGED: lambda: _embedding_not_judged(isometry)
    }
    if isometry.state in rest:
        return LABELS[isometry.state], f": {rest[isometry.state]()}"
    if isometry.failing == (Part.POSTERIOR, ):
        return LABELS[isometry.state], (
            f": the posterior of z_{isometry.worst} is wider than the prior (1 - sigma^2 = "
            f"{isometry.prediction:.3g}), which no trained posterior is.")
    said = [] if not math.isfinite(isometry.error_95) else [
        f"at the median example lengths change {isometry.shortest:.3g}-fold to "
        f"{isometry.longest:.3g}-fold, by direction; the largest error is "
        f"{_percent(isometry.error_median)} there, {_percent(isometry.error_95)} at the 95th "
        f"percentile over the examples, {_percent(isometry.error_largest)} at most"
    ]
    if math.isfinite(isometry.error_95_bound):
        said.append(f"these come from estimated eigenvalues, and the 95th percentile is at most "
                    f"{_percent(isometry.error_95_bound)}")
    said += [
        f"lengths along the axes are {_percent(isometry.length_error)} off (rms over data and "
        f"dimensions), most in z_{isometry.worst} ({_percent(isometry.worst_error)}: norm "
        f"{isometry.norm:.3f} +- {isometry.norm_std:.2g}, predicted {isometry.prediction:.3f})"
    ]
    if isometry.num_dimensions > 1:
        said.append(f"cosines {isometry.cosine:.3f} rms")
    if math.isfinite(isometry.unexplained):
        said.append(f"log sigma unexplained by its own z {isometry.unexplained:.3f} +- "
                    f"{isometry.unexplained_error:.1g}")
    label = LABELS[isometry.state]
    if isometry.failing:
        first = f" in {', '.join(_PARTS[part] for part in isometry.failing)}"
    else:
        first = f" to {_percent(isometry.largest)}"
    unfinished = " (the loss can still fall)" if verdict.unfinished else ""
    return label, f"{first}{unfinished}: {'; '.join(said)}."


def _embedding_not_judged(isometry):
    """Why the state of an embedding is not known."""
    if not isometry.num_examples:
        return "these numbers lack the norms. Measure again."
    if isometry.num_examples < FEW:
        return _too_few(isometry.num_examples, FEW)
    if math.isfinite(isometry.error_95_bound):
        return (f"the largest error is between {_percent(isometry.error_95)} and "
                f"{_percent(isometry.error_95_bound)} at the 95th percentile over the examples. "
                f"Measure with method=\"exact\" to know it.")
    if not math.isfinite(isometry.bound):
        return ("norms and mean cosines of a sample of dimensions are right. The eigenvalues of "
                "Gamma were not measured: the decoder has no derivatives.")
    return (f"norms and mean cosines are right, but in {isometry.num_dimensions} dimensions they "
            f"allow an error of {_percent(isometry.bound)} in some direction. The eigenvalues of "
            f"Gamma were not measured. Measure again.")


def _warnings(verdict):
    """What not to conclude, one clause for each reason."""
    isometry = verdict.isometry
    if isometry.state is IsometryState.NOT_FINITE:
        return "anything. Find the input whose outputs are not finite."
    if isometry.state is IsometryState.NONE:
        return "anything from norms, cosines or densities of this model."
    said = []
    if isometry.quadratic is not None:
        said.append(
            "norms equal to 1 - sigma^2 show that sigma is balanced, not that the embedding is "
            "isometric" if isometry.quadratic else
            "with this loss the norm need not be 1 - sigma^2 at the optimum, so part of the "
            "difference may come from the loss")
    if isometry.beta_found:
        said.append("beta was estimated from these data, so neither the balance nor the average "
                    "norm tests it")
    if isometry.beta_differs:
        said.append("norms use the given beta, which the posterior contradicts")
    if isometry.num_dimensions >= 4 and isometry.cosine > CLOSE:
        said.append("cosines need not be 0: only up to 3 dimensions have orthogonal coordinates "
                    "in general")
    if not math.isfinite(isometry.unexplained):
        said.append("flatness was not measured")
    elif isometry.unexplained > CLOSE:
        said.append("a curved data manifold has no isometric embedding, however long you train")
    if verdict.state is State.CONVERGED:
        said.append("a plateau can hide behind a doubling")
    if verdict.state is State.NOT_JUDGED:
        said.append("nothing here shows that training has converged")
    return f"{'; '.join(said)}."
