"""The states of a verdict, each with an example that leads to it; their JSON and their words."""
import dataclasses
import json
import math
import re

import numpy as np
import pytest

from tests.support import AT_REST, KNOWN, ROOT, isometry, stationarity
from tfisovae import files
from tfisovae.verdict import (
    IsometryState,
    Part,
    ReasonKind,
    State,
    Verdict,
    checks,
    convergence,
    tests_of_means,
    words,
)
from tfisovae.verdict.tests_of_means import Moments

GOOD = stationarity(4, 5000)
MOVING = dataclasses.replace(AT_REST, squared_norm=2.0, noise_scale=5.0, p_value=1e-5)
FALLING = tests_of_means.LossFall(0.2, 0.01, 1e-8, 100, 200, 20)
LEVEL = dataclasses.replace(FALLING, fall=0.001, p_value=0.9)
COARSE = dataclasses.replace(LEVEL, fall=-9.8, standard_error=40.0, loss=80.0)
NOT_FINITE = dataclasses.replace(
    GOOD, latent_mean=dataclasses.replace(GOOD.latent_mean, mean=np.array([0, np.nan, 0, 0])))
# Whose gradient is not known to be the one that was trained.
UNTOLD = dataclasses.replace(KNOWN, gradient=False, gradient_why="dropout is on")
PARTIAL = checks.Conditions(False, "no bias", None, "the encoder is not known")

CASES = {
    "gradient within its noise": (State.CONVERGED, dict(gradient=AT_REST)),
    "annealed, so the loss fell to the end":
        (State.CONVERGED, dict(gradient=AT_REST, fall=FALLING, annealed=True)),
    "gradient alone": (State.CONVERGED, dict(stationarity=None, gradient=AT_REST)),
    "no gradient": (State.NO_SIGN, {}),
    "gradient of few examples":
        (State.NO_SIGN, dict(gradient=dataclasses.replace(MOVING, num_examples=3999))),
    "gradient of other networks": (State.NO_SIGN, dict(gradient=AT_REST, conditions=UNTOLD)),
    "a moment": (State.NOT_CONVERGED, dict(stationarity=stationarity(4, 5000, deviation=0.3))),
    "the gradient": (State.NOT_CONVERGED, dict(gradient=MOVING)),
    "the loss": (State.NOT_CONVERGED, dict(gradient=AT_REST, fall=FALLING)),
    "gradient, and a loss that is not known well":
        (State.NOT_CONVERGED, dict(gradient=MOVING, fall=COARSE)),
    "gradient of an annealed training":
        (State.NOT_CONVERGED, dict(gradient=MOVING, fall=LEVEL, annealed=True)),
    "a level loss whose gradient is not 0": (State.JITTERS, dict(gradient=MOVING, fall=LEVEL)),
    "no active dimension": (State.COLLAPSED, dict(num_active=0, gradient=MOVING)),
    "a mean": (State.NOT_FINITE, dict(stationarity=NOT_FINITE, num_active=0)),
    "a loss": (State.NOT_FINITE, dict(gradient=AT_REST, losses={"loss": math.nan})),
    "off, where it may be": (State.UNDECIDED, dict(
        stationarity=stationarity(4, 5000, deviation=0.3), conditions=PARTIAL, gradient=AT_REST)),
    "few examples": (State.NOT_JUDGED, dict(stationarity=stationarity(4, 200, deviation=2.0))),
    "only large deviations": (State.NOT_JUDGED, dict(stationarity=stationarity(4, 350))),
    "large deviations, and the gradient of other networks": (State.NOT_JUDGED, dict(
        stationarity=stationarity(4, 350), gradient=AT_REST, conditions=UNTOLD)),
    "nothing that applies": (State.NOT_JUDGED, dict(conditions=PARTIAL)),
    "nothing": (State.NOT_JUDGED, dict(stationarity=None)),
}


def judged(**given):
    given = {"stationarity": GOOD, "conditions": KNOWN, "isometry": isometry()} | given
    return convergence.judge(**given)


@pytest.mark.parametrize("name", CASES)
def test_what_leads_to_each_state(name):
    """And it comes back from JSON, with the same words: at most three lines, without options of the
    command line.
    """
    state, given = CASES[name]
    found = judged(**given)
    assert found.state is state
    back = Verdict.from_dict(json.loads(json.dumps(found.to_dict())))
    assert back.to_dict() == found.to_dict() and back.state is state
    text = words.summary(found)
    assert words.summary(back) == text and len(text.splitlines()) == 3 and "--" not in text
    assert text.startswith(f"Training: {words.LABELS[state]}: ")
    assert words.health(found) == text.splitlines()[0].partition(" ")[2]
    assert [line.state for line in words.lines(found)] == [
        state.value, found.isometry.state.value, ""]


def test_every_state_has_an_example_and_a_label():
    assert {state for state, _ in CASES.values()} == set(State)
    assert set(words.LABELS) == set(State) | set(IsometryState)


def test_why_a_training_is_not_judged():
    """Each with the number or the text that decided."""
    def reasons(name):
        return {reason.kind: reason for reason in judged(**CASES[name][1]).reasons}

    few = reasons("few examples")
    assert set(few) == {ReasonKind.TOO_FEW} and few[ReasonKind.TOO_FEW].value == 200
    coarse = reasons("only large deviations")
    assert set(coarse) == {ReasonKind.NO_GRADIENT, ReasonKind.COARSE}
    assert coarse[ReasonKind.COARSE].value > convergence.RESOLUTION
    other = reasons("large deviations, and the gradient of other networks")
    assert other[ReasonKind.GRADIENT_TELLS_NOTHING].note == "dropout is on"
    assert "no bias" in reasons("nothing that applies")[ReasonKind.NOT_KNOWN].note
    assert ReasonKind.NOT_MEASURED in reasons("nothing")


def test_the_resolution_decides_whether_no_sign_means_something():
    """The same deviations, seen to .2 and not quite: only the errors differ."""
    def of(error):
        sure = Moments(10_000, np.zeros(1), np.full(1, error * math.sqrt(9_999)), np.zeros(1))
        second = dataclasses.replace(sure, mean=np.ones(1))
        return judged(stationarity=checks.Stationarity(sure, second, sure, np.ones(1),
                                                       np.array([True])))

    at = convergence.RESOLUTION / of(0.05).resolution * 0.05
    assert of(0.99 * at).state is State.NO_SIGN and of(1.01 * at).state is State.NOT_JUDGED


@pytest.mark.parametrize("part", ["latent_mean", "latent_second_moment", "balance_difference"])
def test_nan_comes_first(part):
    """Before an alarm, and with too few examples, and in all three lines."""
    for num_examples in (50, 2000):
        good = stationarity(4, num_examples, deviation=0.5)
        values = getattr(good, part)
        broken = dataclasses.replace(
            good, **{part: dataclasses.replace(values, mean=values.mean * [1, np.nan, 1, 1])})
        found = judged(stationarity=broken)
        assert found.unfinished and found.state is State.NOT_FINITE
        assert found.isometry.state is IsometryState.NOT_FINITE
        reason, = found.of(ReasonKind.NOT_FINITE)
        assert reason.dimension == 1 and "z_1 is not finite" in words.health(found)
    nan = tests_of_means.MeanGradient(*[math.nan] * 5, 5000)
    found = convergence.judge(gradient=nan)
    assert [reason.check for reason in found.of(ReasonKind.NOT_FINITE)] == [checks.GRADIENT]
    assert math.isnan(Verdict.from_dict(files.plain(found.to_dict())).gradient.noise_scale)


def test_tails_too_heavy_for_the_number_of_examples_are_undecided():
    """Log-normal means of deviation 2: a few of the 1,000 examples make up the second moment."""
    heavy = np.exp(2 * np.random.default_rng(0).standard_normal([1000, 1]))
    measured = dataclasses.replace(stationarity(1), latent_second_moment=Moments.of(heavy**2))
    found = judged(stationarity=measured)
    reason, = found.of(ReasonKind.HEAVY_TAILS)
    assert reason.check == checks.SECOND and not found.unfinished
    assert "Not decided for z_0" in words.health(found)


def test_the_words_have_the_numbers():
    moving = words.health(judged(gradient=MOVING, fall=FALLING))
    assert "the loss still falls: by 0.2 +- 0.01 nats over steps 100 to 200" in moving
    assert "p 1e-05; as large as the noise of a batch of 5 examples" in moving
    annealed = words.health(judged(gradient=MOVING, fall=FALLING, annealed=True))
    assert "the loss fell by 0.2 +- 0.01 nats over steps 100 to 200" in annealed
    assert "the loss no longer falls" in words.health(judged(gradient=MOVING, fall=LEVEL))
    assert "and the loss no longer falls" in words.health(judged(gradient=AT_REST, fall=LEVEL))
    assert "no longer falls" not in words.health(judged(gradient=AT_REST, fall=COARSE))
    off = words.health(judged(stationarity=stationarity(4, 5000, deviation=0.3)))
    assert re.search(r"E\[mu\] of z_0 is 0\.[23]\d\d \+- 0\.0\d\d, not 0;", off)
    none = words.health(judged(num_active=0, losses={"rate": 0.001}))
    assert "(rate 0.001 nats)" in none


def test_examples_of_training_decide():
    """An optimum is that of its training examples. Held-out ones that differ are named, whatever
    the state.
    """
    off = stationarity(4, 5000, deviation=0.3, seed=1)
    alone = judged(gradient=AT_REST)
    both = judged(stationarity=off, gradient=AT_REST, training=GOOD, num_train=5000)
    assert both.state is State.CONVERGED and both.of(ReasonKind.HELD_OUT)[0].dimension == 0
    assert words.health(both).startswith(
        words.health(alone) + " On the held-out examples E[mu] of z_0 is ")
    unfinished = judged(gradient=AT_REST, training=off, num_train=5000)
    assert unfinished.state is State.NOT_CONVERGED and not unfinished.of(ReasonKind.HELD_OUT)
    unfinished = judged(stationarity=off, gradient=AT_REST, training=off)
    assert unfinished.state is State.NOT_CONVERGED and unfinished.of(ReasonKind.HELD_OUT)
    few = judged(stationarity=stationarity(4, 200), gradient=AT_REST, training=GOOD)
    assert few.num_examples == 5000 and few.state is State.CONVERGED
    nan = judged(stationarity=NOT_FINITE, gradient=AT_REST, training=GOOD)
    assert nan.state is State.NOT_FINITE


@pytest.mark.parametrize("case, state, failing", [
    (dict(), IsometryState.ISOMETRIC, ()),
    (dict(norm=[1.6, 0.3], prediction=[0.92, 0.985], count=2), IsometryState.NOT_ISOMETRIC,
     (Part.LENGTHS, )),
    (dict(norm=0.95, norm_std=1.22, prediction=0.95), IsometryState.NOT_ISOMETRIC,
     (Part.LENGTHS, )),
    (dict(count=12, norm=1.5, cosine=0.2, unexplained=0.11), IsometryState.NOT_ISOMETRIC,
     (Part.LENGTHS, Part.ANGLES, Part.FLATNESS)),
    (dict(cosine=0.3), IsometryState.NOT_ISOMETRIC, (Part.ANGLES, )),
    (dict(count=1, cosine=math.nan), IsometryState.ISOMETRIC, ()),
    (dict(cosine=math.nan), IsometryState.NOT_FINITE, ()),
    (dict(prediction=-0.04, norm=1.1), IsometryState.NOT_ISOMETRIC, (Part.POSTERIOR, )),
    (dict(num_examples=1), IsometryState.NOT_JUDGED, ()),
    (dict(norm=math.nan), IsometryState.NOT_FINITE, ()),
    (dict(count=0), IsometryState.NONE, ()),
])
def test_what_leads_to_each_state_of_the_embedding(case, state, failing):
    """Norms whose sum is right, and norms that are right on average over the data alone, are not
    isometric.
    """
    found = isometry(**case)
    assert (found.state, found.failing) == (state, failing)
    given = judged(gradient=AT_REST, isometry=found)
    back = Verdict.from_dict(json.loads(json.dumps(given.to_dict())))
    assert words.summary(back) == words.summary(given)
    assert words.lines(given)[1].label == words.LABELS[state]


def test_every_state_of_the_embedding_has_an_example():
    marks, = (mark for mark in test_what_leads_to_each_state_of_the_embedding.pytestmark
              if mark.name == "parametrize")
    assert {state for _, state, _ in marks.args[1]} == set(IsometryState)


def test_three_lines():
    flat = words.summary(judged(gradient=AT_REST)).splitlines()
    assert flat[1] == (
        "Embedding: isometric to 2 %: lengths along the axes are 2 % off (rms over data and "
        "dimensions), most in z_0 (2 %: norm 0.950 +- 0.02, predicted 0.960); cosines 0.020 rms; "
        "log sigma unexplained by its own z 0.010 +- 0.001.")
    curved = words.summary(judged(gradient=AT_REST, isometry=isometry(
        12, norm=1.5, cosine=0.2, unexplained=0.11, quadratic=False))).splitlines()
    assert curved[1].startswith(
        "Embedding: not isometric in lengths, right angles, flatness along single axes: ")
    assert "only up to 3 dimensions" in curved[2] and "has no isometric embedding" in curved[2]


def test_the_share_that_is_said_is_the_one_that_was_measured():
    """Length errors of sizes drawn at random: the per cent in the words bounds the largest part,
    and is within one of it.
    """
    rng = np.random.default_rng(0)
    for _ in range(200):
        off, spread, cosine, unexplained = rng.uniform(0, 0.09, 4)
        made = isometry(2, norm=0.96 * (1 + off), norm_std=0.96 * spread, cosine=cosine,
                        unexplained=unexplained)
        largest = 100 * max(np.hypot(off, spread) / 2, cosine, unexplained)
        said = int(words.isometry_label(made).split()[2])
        assert largest <= said + 1e-6 and said <= largest + 1


def test_the_third_line_agrees_with_the_first():
    no_proof = "no sign against convergence is not a proof of it"
    for name, (state, given) in CASES.items():
        text = words.lines(judged(**given))[2].rest
        assert (no_proof in text) == (state in (State.CONVERGED, State.NO_SIGN)), name
        assert ("nothing here shows" in text) == (state is State.NOT_JUDGED), name
    found = words.lines(judged(isometry=isometry(beta_found=True)))[2].rest
    assert "neither the balance nor the average norm" in found
    differs = words.lines(judged(isometry=isometry(beta_differs=True)))[2].rest
    assert "which the posterior contradicts" in differs


PUBLISHED = sorted(path for path in (ROOT / "results").glob("**/isometry.json"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_measurements_are_judged_from_their_numbers(path):
    """They were written before verdicts were data. The state is the one that was said then, except
    that what nothing could have shown is not judged.
    """
    saved = files.read_json(path)
    assert "verdict" not in saved
    found = convergence.of_saved(saved)
    said = saved.get("summary", "Training: -").partition(": ")[2]
    if "summary" not in saved:  # measured before there was any verdict
        assert found.state is State.NOT_JUDGED and found.of(ReasonKind.NOT_MEASURED)
    elif said.startswith("No sign"):
        assert found.state is State.NOT_JUDGED and found.resolution > convergence.RESOLUTION
    else:
        assert said.startswith(words.LABELS[found.state])
    assert found.isometry.state in (IsometryState.ISOMETRIC, IsometryState.NOT_ISOMETRIC)
    if "summary" in saved:
        assert f"Embedding: {words.LABELS[found.isometry.state]}" in saved["summary"]


def test_a_measurement_of_which_little_is_left_is_not_judged():
    for saved in ({}, {"verdict": "x"}, {"verdict": {"state": "x", "reasons": []}},
                  {"stationarity": [1], "conditions": "x", "evidence": 3, "active": None}):
        found = convergence.of_saved(saved)
        assert found.state is State.NOT_JUDGED and found.isometry.state is IsometryState.NOT_JUDGED
        assert len(words.summary(found).splitlines()) == 3


def test_nothing_reads_the_words_of_a_verdict():
    """Whatever must be known of a verdict is in its data."""
    labels = "|".join(re.escape(label) for label in {
        *words.LABELS.values(), "Training", "Embedding", "Do not conclude", "No verdict", "HOLDS",
        "WRONG", "DOUBTFUL"})
    reading = re.compile(
        rf"(startswith|removeprefix|partition|split|index|find|match|search)\(\(?[rf]?\"({labels})"
        rf"|\"({labels})[^\"]*\" (not )?in ")
    for folder in ("tfisovae", "results", "benchmarks", "train", "eval", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert not reading.search(text), path
            assert path.match("tfisovae/verdict/*.py") or "NOT CONVERGED" not in text, path
