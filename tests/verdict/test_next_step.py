"""A verdict in one sentence, and what to do after it."""
import dataclasses
import itertools
import math

import pytest

from tfisovae.verdict import headlines, next_step, words
from tfisovae.verdict.checks import BALANCE
from tfisovae.verdict.gains import Gain, GainKind
from tfisovae.verdict.isometry import Isometry
from tfisovae.verdict.next_step import Action
from tfisovae.verdict.record import Reason, ReasonKind, Verdict
from tfisovae.verdict.states import IsometryState, State

GOOD = {"converged", "isometric"}  # states that pages show in green


def isometry(state):
    values = {field.name: math.nan for field in dataclasses.fields(Isometry)}
    return Isometry(**{**values, "state": state, "failing": (), "num_examples": 500,
                       "num_dimensions": 3, "worst": 0, "other_prior": False,
                       "beta_differs": False})


def verdict(state, embedding=None, reasons=(), **gains):
    made = tuple(Gain(GainKind[name], value, 0.01) for name, value in gains.items())
    return Verdict(state, tuple(Reason(kind) for kind in reasons),
                   embedding and isometry(embedding), gains=made, margin=0.1)


def contradicted(state, **gains):
    """The same, with a beta that the posterior contradicts."""
    made = verdict(state, IsometryState.NOT_ISOMETRIC, **gains)
    return dataclasses.replace(made, isometry=dataclasses.replace(made.isometry, beta_differs=True))


@pytest.mark.parametrize("state, embedding", itertools.product(State, [None, *IsometryState]))
def test_every_verdict_has_a_headline_and_at_most_three_actions(state, embedding):
    made = verdict(state, embedding, DEAD=0.5, SCALE=0.1)
    colour, said = headlines.sentences(made)
    assert said.endswith(".") and "{" not in said and len(said) < 200
    todo = next_step.steps(made)
    assert 1 <= len(todo) <= next_step.MOST and len({step.action for step in todo}) == len(todo)
    assert all(step.words and not step.words.endswith(".") for step in todo)
    if colour in GOOD:  # green is for what was shown
        assert state is State.CONVERGED
        assert embedding in (None, IsometryState.ISOMETRIC)


def test_every_action_is_suggested_by_something():
    suggested = set()
    for state, embedding, reason, gain in itertools.product(
            State, IsometryState, ReasonKind, ("SCALE", "DOUBLING")):
        suggested |= {step.action for step in next_step.steps(
            verdict(state, embedding, [reason], **{gain: 0.9}))}
    far = dataclasses.replace(verdict(State.IMPROVING, BALANCE=2.0), reasons=(
        Reason(ReasonKind.OFF, BALANCE, 0, 0.1, 1.0, 0.01),))
    suggested |= {step.action for step in next_step.steps(far)}
    assert suggested == set(Action)


@pytest.mark.parametrize("made, first", [
    (verdict(State.IMPROVING, SCALE=2.0, DOUBLING=1.0), Action.STANDARDIZE),
    (verdict(State.IMPROVING, SCALE=1.0, DOUBLING=2.0), Action.TRAIN_LONGER),
    (verdict(State.NOT_JUDGED), Action.PROBE),
    (verdict(State.NOT_JUDGED, None, [ReasonKind.OTHER_DATA]), Action.MEASURE_OWN),
    (verdict(State.UNDECIDED, None, [ReasonKind.TOO_FEW]), Action.MEASURE_MORE),
    (verdict(State.NOT_FINITE), Action.FIND_INPUT),
    (contradicted(State.NOT_JUDGED), Action.CHECK_BETA),
    (contradicted(State.IMPROVING, DOUBLING=2.0), Action.CHECK_BETA),
    (contradicted(State.NOT_FINITE), Action.FIND_INPUT),
])
def test_the_first_action(made, first):
    assert next_step.steps(made)[0].action is first


def test_the_headline_gives_the_size():
    assert "at least 1.98 nats".replace("1.98", "2") in headlines.sentences(
        verdict(State.IMPROVING, DOUBLING=2.0))[1]
    assert "at most 0.04 nats" in headlines.sentences(verdict(State.CONVERGED, DOUBLING=0.02))[1]
    assert "about 0.5 nats" in headlines.sentences(verdict(State.SADDLE, DEAD=0.5))[1]


def test_percentages_are_rounded_up_and_huge_ones_are_not_digits():
    said = {0.0001: "1 %", 0.031: "4 %", 1.21: "121 %", 9.99: "999 %", 526.2: "over 1000 %",
            math.nan: "nan %", math.inf: "over 1000 %"}
    assert {value: words.percent(value) for value in said} == said
