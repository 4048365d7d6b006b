"""A verdict for the terminal, in three lines of at most 100 characters, with the numbers behind
it; and for a page, in one or two sentences.
"""
import math
import textwrap

from tfisovae.verdict import next_step, words
from tfisovae.verdict.gains import GainKind
from tfisovae.verdict.isometry import FEW, Isometry, Part
from tfisovae.verdict.record import ReasonKind, Verdict
from tfisovae.verdict.states import IsometryState, State

WIDTH = 100
_SENTENCES = {
    State.NOT_FINITE: "Some numbers are not finite, so no other number means anything.",
    State.COLLAPSED: "The VAE has collapsed: no latent variable carries information.",
    State.SADDLE: "The training has not converged: unused latent variables would gain about "
                  "{gain}.",
    State.JITTERS: "The training has not converged: the learning rate keeps the weights moving.",
    State.IMPROVING: "The training has not converged: at least {low} are still to gain.",
    State.CONVERGED: "The training has converged: twice the steps gain at most {high}.",
    State.UNDECIDED: "The measurements do not decide whether the training has converged.",
    State.NOT_JUDGED: "Not judged: nothing measured so far shows whether the training has "
                      "converged."
}
_OF_EMBEDDING = {
    IsometryState.NOT_FINITE: "", IsometryState.NONE: "",
    IsometryState.NOT_JUDGED: "The measurements do not decide whether the latent space is "
                              "isometric.",
    IsometryState.NOT_ISOMETRIC: "The latent space is not an isometric copy of the data.",
    IsometryState.ISOMETRIC: "The latent space is an isometric copy of the data{to}."
}


def summary(verdict: Verdict) -> str:
    """Three lines: has training converged, is the embedding isometric, and what to do next or what
    not to conclude. Without an embedding there are two.
    """
    own = " (own data)" if verdict.on_own_data else ""
    lines = [f"Training{own}: {words.LABELS[verdict.state]}: {_training(verdict)}."]
    if verdict.isometry is not None:
        lines.append(f"Embedding: {_embedding(verdict.isometry)}.")
    to_do = next_step.training(verdict)
    if to_do:
        lines.append(f"To do: {to_do}.")
    elif verdict.isometry is not None:
        lines.append(f"Caution: {words.cautions(verdict)[0]}.")
    return "\n".join(lines)


def sentences(verdict: Verdict) -> tuple[str, str]:
    """A verdict in one or two sentences.

    Returns:
      The value of the state for its colour (the worse of the two states), and the text.
    """
    low, high = (f"{max(0.0, limit):.2g} nats" for limit in verdict.interval)
    dead = verdict.gain_of(GainKind.DEAD)
    gain = "" if dead is None else f"{dead.value:.2g} nats"
    said, state = [_SENTENCES[verdict.state].format(low=low, high=high, gain=gain)], verdict.state
    if verdict.isometry is not None and verdict.state not in (State.NOT_FINITE, State.COLLAPSED):
        embedding = verdict.isometry.state
        said.append(_OF_EMBEDDING[embedding].format(to=words.to_error(verdict.isometry)))
        if state is State.CONVERGED:
            state = embedding
    return state.value, " ".join(filter(None, said))


def numbers(verdict: Verdict) -> str:
    """The numbers and reasons of a verdict as rows of text, at most 100 characters wide, and the
    command that measures the run's own data where these are others.
    """
    rows = [("gain", f"{gain.value:.2g} +- {gain.standard_error:.1g} nats {words.source(gain)}")
            for gain in verdict.gains]
    if rows:
        rows.append(("margin", f"{verdict.margin:.2g} nats"))
    rows += [("probe", said) for said in words.seeds(verdict)]
    if verdict.isometry is not None:
        rows += [("embedding", said) for said in words.embedding_numbers(verdict.isometry)]
        rows += [("caution", said) for said in words.cautions(verdict)]
    rows += [("found", said) for said in words.notes(verdict)]
    lines = [textwrap.fill(text, WIDTH, initial_indent=f"{name:<10} ", subsequent_indent=" " * 11)
             for name, text in rows]
    lines += [f"{'command':<10} {reason.note}" for reason in verdict.of(ReasonKind.OTHER_DATA)]
    return "\n".join(lines)


def _training(verdict):
    """Why the state is what it is, in a clause."""
    gain = None
    if verdict.state is State.NOT_FINITE:
        return words.not_finite(verdict)
    if verdict.state is State.COLLAPSED:
        return f"no dimension carries information (rate {words.rate(verdict):.3f} nats)"
    if verdict.state is State.NOT_JUDGED:
        other = verdict.of(ReasonKind.OTHER_DATA)
        return ("these are not the run's own data" if other else
                "no measurement shows what more training would gain")
    if verdict.state is State.SADDLE:
        said, gain = "unused dimensions would gain", verdict.gain_of(GainKind.DEAD)
    elif verdict.state is State.JITTERS:
        gain, averaged = words.jitter(verdict)
        said = "averaged weights would gain" if averaged else "the loss rose by"
    else:
        said = "still to gain"
    value, (low, high) = (verdict.gain[0], verdict.interval) if gain is None else (
        gain.value, gain.interval)
    if gain is None:
        value, low, high = (max(0.0, number) for number in (value, low, high))
    return (f"{said} {value:.2g} nats (95 %: {low:.2g} to {high:.2g}; margin "
            f"{verdict.margin:.2g})")


def _embedding(isometry: Isometry):
    """The state, and the number that decides."""
    label = words.isometry_label(isometry)
    if isometry.state is IsometryState.NOT_FINITE:
        return f"{label}: no number means anything"
    if isometry.state is IsometryState.NONE:
        return f"{label}: no dimension is active"
    if isometry.state is IsometryState.NOT_JUDGED:
        return f"{label}: {_why_not_judged(isometry)}"
    if isometry.failing:
        return f"{label}: {', '.join(_failing(isometry, part) for part in isometry.failing)}"
    if math.isfinite(isometry.error_95):
        return (f"{label}: in 95 % of the examples, every length is right to "
                f"{words.percent(isometry.largest)}")
    return f"{label}: norms and cosines allow no larger error of a length"


def _failing(isometry, part):
    return {
        Part.STRETCH: lambda: f"some lengths are {words.percent(isometry.error_95)} off",
        Part.LENGTHS: lambda: f"axes {words.percent(isometry.length_error)} off",
        Part.ANGLES: lambda: f"cosines {isometry.cosine:.2g}",
        Part.FLATNESS: lambda: f"flatness {isometry.unexplained:.2g}",
        Part.POSTERIOR: lambda: f"the posterior of z_{isometry.worst} is wider than the prior",
    }[part]()


def _why_not_judged(isometry):
    if isometry.other_prior:
        return words.OTHER_PRIOR
    if not isometry.num_examples:
        return "these numbers lack the norms; measure again"
    if isometry.num_examples < FEW:
        return next_step.too_few(isometry.num_examples, FEW)
    if math.isfinite(isometry.error_95_bound):
        return (f"the error is between {words.percent(isometry.error_95)} and "
                f"{words.percent(isometry.error_95_bound)}; use method=\"exact\"")
    if isometry.undecided:
        return words.undecided(isometry)
    return "norms and cosines are right, but the eigenvalues of Gamma were not measured"
