"""A verdict in one sentence, and what to do after it: at most three actions, most useful first."""
import enum

from tfisovae.verdict import words
from tfisovae.verdict.gains import GainKind
from tfisovae.verdict.record import ReasonKind, Verdict
from tfisovae.verdict.states import IsometryState, State

MOST = 3  # actions that are shown


class Action(enum.Enum):
    """What a person can do next."""

    FIND_INPUT = "find_input"
    RAISE_LMBDA = "raise_lmbda"
    OTHER_SEED = "other_seed"
    LOWER_RATE = "lower_rate"
    STANDARDIZE = "standardize"
    TRAIN_LONGER = "train_longer"
    PROBE = "probe"
    MEASURE_OWN = "measure_own"
    MEASURE_MORE = "measure_more"
    MORE_DIMENSIONS = "more_dimensions"
    PRUNE = "prune"
    DENSITY = "density"


WORDS = {
    Action.FIND_INPUT: "Find the input whose outputs are not finite. Nothing else counts until "
                       "then.",
    Action.RAISE_LMBDA: "Train again with a larger lmbda: the latent variables carry nothing.",
    Action.OTHER_SEED: "Train again with another seed or with KL annealing, so that no latent "
                       "variable stays unused.",
    Action.LOWER_RATE: "Train again with a learning rate that falls to 0 at the end.",
    Action.STANDARDIZE: "Standardize the latent variables: tfisovae.standardize_latents(vae, x).",
    Action.TRAIN_LONGER: "Train for twice the steps.",
    Action.PROBE: "Find out what more training would gain: continue a copy for as many steps "
                  "again.",
    Action.MEASURE_OWN: "Measure the model on the data of its own run.",
    Action.MEASURE_MORE: "Measure more examples.",
    Action.MORE_DIMENSIONS: "Train again with more latent dimensions: all of them are in use.",
    Action.PRUNE: "See which dimensions matter, and keep only these.",
    Action.DENSITY: "Find the least probable inputs.",
}
_OF_STATE = {
    State.NOT_FINITE: (Action.FIND_INPUT,), State.COLLAPSED: (Action.RAISE_LMBDA,),
    State.SADDLE: (Action.OTHER_SEED,), State.JITTERS: (Action.LOWER_RATE,),
    State.IMPROVING: (Action.TRAIN_LONGER,), State.CONVERGED: (),
    State.UNDECIDED: (Action.PROBE,), State.NOT_JUDGED: (Action.PROBE,)
}
_BROKEN = (State.NOT_FINITE, State.COLLAPSED)


def actions(verdict: Verdict | None) -> tuple[Action, ...]:
    """At most three actions that a verdict suggests, most useful first; `()` without a verdict."""
    if verdict is None:
        return ()
    found = list(_OF_STATE[verdict.state])
    largest = max(verdict.gains, key=lambda gain: gain.value, default=None)
    if verdict.state is State.IMPROVING and largest.kind is GainKind.SCALE:
        found.insert(0, Action.STANDARDIZE)
    if verdict.of(ReasonKind.OTHER_DATA):
        found.insert(0, Action.MEASURE_OWN)
    elif verdict.of(ReasonKind.TOO_FEW) or verdict.of(ReasonKind.TAILS_DECIDE) or (
            verdict.isometry is not None and verdict.isometry.state is IsometryState.NOT_JUDGED):
        found.insert(0, Action.MEASURE_MORE)
    if verdict.of(ReasonKind.MORE_DIMENSIONS):
        found.append(Action.MORE_DIMENSIONS)
    if verdict.state not in _BROKEN:
        found += [Action.PRUNE, Action.DENSITY]
    return tuple(dict.fromkeys(found))[:MOST]


_TRAINING = {
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
_EMBEDDING = {
    IsometryState.NOT_FINITE: "", IsometryState.NONE: "",
    IsometryState.NOT_JUDGED: "The measurements do not decide whether the latent space is "
                              "isometric.",
    IsometryState.NOT_ISOMETRIC: "The latent space is not an isometric copy of the data.",
    IsometryState.ISOMETRIC: "The latent space is an isometric copy of the data{to}."
}


def headline(verdict: Verdict) -> tuple[str, str]:
    """A verdict in one or two sentences.

    Returns:
      The value of the state for its colour (the worse of the two states), and the text.
    """
    low, high = (f"{max(0.0, limit):.2g} nats" for limit in verdict.interval)
    dead = verdict.gain_of(GainKind.DEAD)
    gain = "" if dead is None else f"{dead.value:.2g} nats"
    said, state = [_TRAINING[verdict.state].format(low=low, high=high, gain=gain)], verdict.state
    if verdict.isometry is not None and verdict.state not in _BROKEN:
        embedding = verdict.isometry.state
        to = words.to_error(verdict.isometry)
        said.append(_EMBEDDING[embedding].format(to=to))
        if state is State.CONVERGED:
            state = embedding
    return state.value, " ".join(filter(None, said))
