"""What to do next, in clauses of at most 92 characters: a line of the terminal holds each."""
import enum
from typing import NamedTuple

import numpy as np

from tfisovae.verdict.checks import BALANCE
from tfisovae.verdict.gains import GainKind
from tfisovae.verdict.model_words import FAR
from tfisovae.verdict.record import ReasonKind, Verdict
from tfisovae.verdict.states import IsometryState, State

MOST = 3  # actions for a page

_FAR_MOMENTS = 1.0  # nats by standardizing, above which another prior is likely
_LONGER = "train longer, and let learning_rate fall to 0 only at the end"
_PROBE = "train a copy for as many steps again, and see what that gains (tfisovae.probe)"


class Action(enum.Enum):
    """The kinds of next steps. A page adds a command to some of them."""

    FIND_INPUT = "find_input"
    CHANGE_TRAINING = "change_training"
    STANDARDIZE = "standardize"
    CHECK_BETA = "check_beta"
    TRAIN_LONGER = "train_longer"
    PROBE = "probe"
    MEASURE_OWN = "measure_own"
    MEASURE_MORE = "measure_more"
    MORE_DIMENSIONS = "more_dimensions"
    PRUNE = "prune"
    DENSITY = "density"


class Step(NamedTuple):
    """A next step: its kind, and a clause without a full stop."""

    action: Action
    words: str


_USES = (Step(Action.PRUNE, "see which dimensions matter, and keep only these"),
         Step(Action.DENSITY, "find the least probable inputs"))


def steps(verdict: Verdict) -> list[Step]:
    """At most three next steps, most useful first."""
    found = list(filter(None, [_training(verdict)]))
    few = verdict.of(ReasonKind.TOO_FEW)
    unknown = (verdict.isometry is not None and not _other_prior(verdict)
               and verdict.isometry.state is IsometryState.NOT_JUDGED)
    if (few or unknown) and not verdict.of(ReasonKind.OTHER_DATA):
        found.insert(0, Step(Action.MEASURE_MORE, "measure more examples"))
    for reason in verdict.of(ReasonKind.MORE_DIMENSIONS):
        found.append(Step(Action.MORE_DIMENSIONS,
                          "train again with more latent dimensions: one more would gain about "
                          f"{reason.value:.2g} nats"))
    if not verdict.unfinished and verdict.state is not State.COLLAPSED:
        found += [use for use in _USES if use.action is not Action.PRUNE or not _other_prior(
            verdict)]
    return list({step.action: step for step in reversed(found)}.values())[::-1][:MOST]


def training(verdict: Verdict) -> str:
    """What to do about the training; "" where there is nothing to do."""
    step = None if verdict.state is State.NOT_FINITE else _training(verdict)
    return "" if step is None else step.words


def _training(verdict):
    if verdict.isometry is not None and verdict.isometry.beta_differs and verdict.state not in (
            State.NOT_FINITE, State.COLLAPSED):
        return Step(Action.CHECK_BETA, "compare distortion and beta with the trained loss: the "
                                       "posterior contradicts beta")
    return {
        State.NOT_FINITE: _not_finite, State.COLLAPSED: _collapsed, State.SADDLE: _saddle,
        State.JITTERS: _jitters, State.IMPROVING: _improving, State.UNDECIDED: _undecided,
        State.NOT_JUDGED: _not_judged
    }.get(verdict.state, lambda verdict: None)(verdict)


def too_few(count: float, needed: float) -> str:
    """That there are too few examples, and how many to measure."""
    few = "1 example is" if count == 1 else f"{count:.0f} examples are"
    return f"{few} too few; measure {needed:.0f} or more"


def _other_prior(verdict):
    """Whether the model has a given prior, which `probe` and `prune` cannot use."""
    return verdict.isometry is not None and verdict.isometry.other_prior


def prior_is_doubtful(verdict: Verdict) -> bool:
    """Whether the moments are so far from a prior of N(0, I) that another prior is likely."""
    gain = verdict.gain_of(GainKind.SCALE)
    return gain is not None and gain.value > _FAR_MOMENTS


def _not_finite(verdict):
    return Step(Action.FIND_INPUT, "find the input with outputs that are not finite")


def _collapsed(verdict):
    dead = verdict.gain_of(GainKind.DEAD)
    worthless = dead is not None and dead.interval[1] <= 0
    return Step(Action.CHANGE_TRAINING,
                "raise lmbda" if worthless else "raise lmbda, or lower learning_rate")


def _saddle(verdict):
    others = [gain for gain in verdict.gains if gain.kind is not GainKind.DEAD]
    rest = sum(gain.value for gain in others)
    if rest > verdict.margin:
        return Step(Action.TRAIN_LONGER,
                    f"train longer first: other gains of {rest:.2g} nats are there too")
    if not any(gain.steps for gain in others):
        return Step(Action.PROBE, "train a copy for as many steps again (tfisovae.probe); if it "
                                  "gains little, use another seed")
    return Step(Action.CHANGE_TRAINING,
                "train again with another seed, or with KL annealing (anneal_steps)")


def _jitters(verdict):
    return Step(Action.CHANGE_TRAINING,
                "average the weights, or let learning_rate fall to 0"
                if verdict.averages_better else
                "lower learning_rate, and let it fall to 0")


def _improving(verdict):
    if prior_is_doubtful(verdict):
        return Step(Action.STANDARDIZE, "if the prior is not N(0, I), give prior=; if it is, call "
                                        "tfisovae.standardize_latents")
    largest = max(verdict.gains, key=lambda gain: gain.value).kind
    ratios = [reason.value for reason in verdict.of(ReasonKind.OFF) if reason.check == BALANCE]
    if largest is GainKind.BALANCE and ratios and not 1 / FAR < np.median(ratios) < FAR:
        return Step(Action.CHECK_BETA, "compare beta with the trained loss "
                    f"(tfisovae.estimate_beta): balance {np.median(ratios):.3g}, not 1")
    if largest is GainKind.SCALE:
        return Step(Action.STANDARDIZE, "call tfisovae.standardize_latents(vae, "
                                        "training_examples); if done, train longer")
    return Step(Action.TRAIN_LONGER, _LONGER)


def _undecided(verdict):
    if verdict.of(ReasonKind.SHORT_PROBE):
        return Step(Action.PROBE, _PROBE)
    for reason in verdict.of(ReasonKind.TOO_FEW):
        return Step(Action.MEASURE_MORE, f"measure {reason.expected:.0f} examples or more")
    if verdict.of(ReasonKind.TAILS_DECIDE):
        return Step(Action.MEASURE_MORE, "measure more examples")
    return Step(Action.PROBE, "measure more examples, or probe with more seeds")


def _not_judged(verdict):
    if verdict.of(ReasonKind.OTHER_DATA):
        return Step(Action.MEASURE_OWN, "measure the run on its own data")
    if _other_prior(verdict):  # no function probes it
        return Step(Action.TRAIN_LONGER, "train for as many steps again, and compare the loss")
    return Step(Action.PROBE, _PROBE)
