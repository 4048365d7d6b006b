"""What to do next, in clauses of at most 92 characters: a line of the terminal holds each."""
import numpy as np

from tfisovae.verdict.checks import BALANCE
from tfisovae.verdict.gains import GainKind
from tfisovae.verdict.model_words import FAR
from tfisovae.verdict.record import ReasonKind, Verdict
from tfisovae.verdict.states import State

_FAR_MOMENTS = 1.0  # nats by standardizing, above which another prior is likely
_LONGER = "train longer, and let learning_rate fall to 0 only at the end"
_PROBE = "train a copy for as many steps again, and see what that gains (tfisovae.probe)"


def training(verdict: Verdict) -> str:
    """What to do about the training; "" where there is nothing to do."""
    return {
        State.COLLAPSED: _collapsed, State.SADDLE: _saddle, State.JITTERS: _jitters,
        State.IMPROVING: _improving, State.UNDECIDED: _undecided, State.NOT_JUDGED: _not_judged
    }.get(verdict.state, lambda verdict: "")(verdict)


def too_few(count: float, needed: float) -> str:
    """That there are too few examples, and how many to measure."""
    few = "1 example is" if count == 1 else f"{count:.0f} examples are"
    return f"{few} too few; measure {needed:.0f} or more"


def prior_is_doubtful(verdict: Verdict) -> bool:
    """Whether the moments are so far from a prior of N(0, I) that another prior is likely."""
    gain = verdict.gain_of(GainKind.SCALE)
    return gain is not None and gain.value > _FAR_MOMENTS


def _collapsed(verdict):
    dead = verdict.gain_of(GainKind.DEAD)
    worthless = dead is not None and dead.interval[1] <= 0
    return "raise lmbda" if worthless else "raise lmbda, or lower learning_rate"


def _saddle(verdict):
    others = [gain for gain in verdict.gains if gain.kind is not GainKind.DEAD]
    rest = sum(gain.value for gain in others)
    if rest > verdict.margin:
        return f"train longer first: other gains of {rest:.2g} nats are there too"
    if not any(gain.steps for gain in others):
        return ("train a copy for as many steps again (tfisovae.probe); if it gains little, use "
                "another seed")
    return "train again with another seed, or with KL annealing (anneal_steps)"


def _jitters(verdict):
    gain = verdict.averaging
    if gain is not None and gain.interval[0] > verdict.margin:
        return "average the weights, or let learning_rate fall to 0"
    return "lower learning_rate, and let it fall to 0"


def _improving(verdict):
    if prior_is_doubtful(verdict):
        return "check that the prior is N(0, I); if it is, call tfisovae.standardize_latents"
    largest = max(verdict.gains, key=lambda gain: gain.value).kind
    ratios = [reason.value for reason in verdict.of(ReasonKind.OFF) if reason.check == BALANCE]
    if largest is GainKind.BALANCE and ratios and not 1 / FAR < np.median(ratios) < FAR:
        return (f"compare beta with the trained loss (tfisovae.estimate_beta): balance "
                f"{np.median(ratios):.3g}, not 1")
    if largest is GainKind.SCALE:
        return "call tfisovae.standardize_latents(vae, training_examples); if done, train longer"
    return _LONGER


def _undecided(verdict):
    if verdict.of(ReasonKind.SHORT_PROBE):
        return _PROBE
    for reason in verdict.of(ReasonKind.TOO_FEW):
        return f"measure {reason.expected:.0f} examples or more"
    if verdict.of(ReasonKind.TAILS_DECIDE):
        return "measure more examples"
    return "measure more examples, or probe with more seeds"


def _not_judged(verdict):
    if verdict.of(ReasonKind.OTHER_DATA):
        return "measure the run on its own data"
    return _PROBE
