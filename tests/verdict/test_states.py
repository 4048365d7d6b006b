"""The states of a verdict, each with an example that leads to it; their JSON and their words."""
import dataclasses
import json
import math
import re

import numpy as np
import pytest
import scipy.stats

from tests.support import AT_REST, KNOWN, ROOT, isometry, stationarity
from tfisovae import files
from tfisovae.verdict import (
    IsometryState,
    Part,
    Reason,
    ReasonKind,
    State,
    Verdict,
    checks,
    convergence,
    headlines,
    tests_of_means,
    words,
)
from tfisovae.verdict.gains import Probe, Residual
from tfisovae.verdict.states import Cause
from tfisovae.verdict.tests_of_means import Moments

GOOD = stationarity(4, 5000)
OFF = stationarity(4, 5000, deviation=0.6)
MOVING = dataclasses.replace(AT_REST, squared_norm=2.0, noise_scale=5.0, p_value=1e-5)
FALLING = tests_of_means.LossFall(0.2, 0.01, 1e-8, 100, 200, 20)
NOT_FINITE = dataclasses.replace(
    GOOD, latent_mean=dataclasses.replace(GOOD.latent_mean, mean=np.array([0, np.nan, 0, 0])))
# Whose gradient is not known to be the one that was trained.
DROPOUT = checks.Why(Cause.RANDOM, "decoder", "dropout", "Dropout")
UNTOLD = dataclasses.replace(KNOWN, gradient=False, gradient_why=DROPOUT)
PARTIAL = checks.Conditions(False, checks.Why(Cause.NO_BIAS, "decoder", "dense"))
LITTLE = Probe(1000, 1000, 0, 10.0, 9.995, 0.005, 0.001, 5000)
MUCH = dataclasses.replace(LITTLE, after=9.5, gain=0.5)
UNSURE = dataclasses.replace(LITTLE, after=9.9, gain=0.1, standard_error=0.05)
RISING = dataclasses.replace(LITTLE, after=10.5, gain=-0.5)
SHORT = dataclasses.replace(LITTLE, steps=100)
AVERAGED = dataclasses.replace(LITTLE, averaged_gain=0.3, averaged_standard_error=0.01)
DEAD = Residual(np.array([1.0, 0.5]), np.array([0.02, 0.01]), 1, 0.01, 5000)
FULL = dataclasses.replace(DEAD, free=0)
TAILS = dataclasses.replace(GOOD, latent_second_moment=dataclasses.replace(
    GOOD.latent_second_moment, kurtosis=np.array([15.0, 4000.0, 15.0, 15.0])))
HEAVY = dataclasses.replace(TAILS, latent_second_moment=dataclasses.replace(
    TAILS.latent_second_moment, mean=np.array([1.0, 0.4, 1.0, 1.0])))

CASES = {
    "twice the steps gain little": (State.CONVERGED, dict(probes=[LITTLE])),
    "hints decide nothing": (State.CONVERGED, dict(probes=[LITTLE], gradient=MOVING, fall=FALLING)),
    "no dimension is free": (State.CONVERGED, dict(probes=[LITTLE], residual=FULL)),
    "a wide margin": (State.CONVERGED, dict(probes=[MUCH], margin=1.0)),
    "moments that need not hold": (State.CONVERGED, dict(
        probes=[LITTLE], stationarity=OFF, conditions=PARTIAL)),
    "twice the steps gain much": (State.IMPROVING, dict(probes=[MUCH])),
    "a few steps gain much": (State.IMPROVING, dict(probes=[
        dataclasses.replace(MUCH, steps=100)])),
    "standardizing gains": (State.IMPROVING, dict(stationarity=OFF)),
    "standardizing gains, and not more steps": (State.IMPROVING, dict(
        stationarity=OFF, probes=[LITTLE])),
    "a dead dimension": (State.SADDLE, dict(residual=DEAD, probes=[LITTLE, AVERAGED])),
    "averages gain": (State.JITTERS, dict(probes=[AVERAGED], stationarity=OFF)),
    "the loss rises": (State.JITTERS, dict(probes=[RISING])),
    "no active dimension": (State.COLLAPSED, dict(num_active=0, residual=DEAD)),
    "a mean": (State.NOT_FINITE, dict(stationarity=NOT_FINITE, num_active=0)),
    "a loss": (State.NOT_FINITE, dict(probes=[LITTLE], losses={"loss": math.nan})),
    "a probe that is not finite": (State.NOT_FINITE, dict(probes=[
        dataclasses.replace(LITTLE, after=math.nan)])),
    "a wide interval": (State.UNDECIDED, dict(probes=[UNSURE])),
    "a few steps gain little": (State.UNDECIDED, dict(probes=[SHORT])),
    "a few examples make up the variance": (State.UNDECIDED, dict(
        probes=[LITTLE], stationarity=HEAVY)),
    "heavy tails that cannot gain the margin": (State.CONVERGED, dict(
        probes=[LITTLE], stationarity=TAILS)),
    "few examples": (State.UNDECIDED, dict(probes=[LITTLE], stationarity=stationarity(4, 200))),
    "few examples, and no probe": (State.NOT_JUDGED, dict(
        stationarity=stationarity(4, 200, deviation=2.0))),
    "no probe": (State.NOT_JUDGED, dict(gradient=AT_REST)),
    "no probe, and the gradient of other networks": (State.NOT_JUDGED, dict(
        gradient=AT_REST, conditions=UNTOLD)),
    "no probe, and a dead dimension that is worth nothing": (State.NOT_JUDGED, dict(
        residual=dataclasses.replace(DEAD, variance=np.array([0.009, 0.008])))),
    "nothing": (State.NOT_JUDGED, dict(stationarity=None)),
}


def judged(**given):
    given = {"stationarity": GOOD, "conditions": KNOWN, "isometry": isometry()} | given
    return convergence.judge(**given)


@pytest.mark.parametrize("name", CASES)
def test_what_leads_to_each_state(name):
    """And it comes back from JSON with the same words, without options of the command line."""
    state, given = CASES[name]
    found = judged(**given)
    assert found.state is state
    back = Verdict.from_dict(json.loads(json.dumps(found.to_dict())))
    assert back.to_dict() == found.to_dict() and back.state is state
    text = [str(line) for line in words.lines(found)]
    assert [str(line) for line in words.lines(back)] == text and "--" not in " ".join(text)
    assert headlines.summary(back) == headlines.summary(found)
    assert text[0].startswith(f"Training: {words.LABELS[state]}: ")
    assert words.health(found) == text[0].partition(" ")[2]
    assert [line.state for line in words.lines(found)] == [
        state.value, found.isometry.state.value, ""]


def test_every_state_has_an_example_and_a_label():
    assert {state for state, _ in CASES.values()} == set(State)
    assert set(words.LABELS) == set(State) | set(IsometryState)


def test_the_first_state_that_holds_is_given():
    """In the order of the enumeration: each state holds still when a later one does too."""
    leading = [
        dict(stationarity=NOT_FINITE), dict(num_active=0), dict(residual=DEAD),
        dict(probes=[AVERAGED]), dict(probes=[MUCH]), dict(probes=[LITTLE]), dict(probes=[UNSURE])
    ]
    for order, (given, state) in enumerate(zip(leading, State)):
        assert judged(**given).state is state
        for later in leading[order + 1:]:
            both = later | given
            if "probes" in given and "probes" in later:
                continue
            assert judged(**both).state is state, (given, later)


def test_a_training_is_converged_only_by_a_doubling():
    """Whatever else was measured and is in order."""
    rich = dict(gradient=AT_REST, residual=FULL, training=GOOD, num_train=5000)
    assert judged(**rich).state is State.NOT_JUDGED
    assert judged(**rich, probes=[SHORT]).state is State.UNDECIDED
    unknown = dataclasses.replace(LITTLE, trained_steps=None)
    assert judged(**rich, probes=[unknown]).state is State.UNDECIDED
    assert judged(**rich, probes=[LITTLE]).state is State.CONVERGED
    assert judged(**rich, probes=[SHORT, LITTLE]).state is State.CONVERGED


def test_why_a_training_is_not_judged():
    """Each with the number or the text that decided."""
    def reasons(name):
        return {reason.kind: reason for reason in judged(**CASES[name][1]).reasons}

    few = reasons("few examples, and no probe")
    assert few[ReasonKind.TOO_FEW].value == 200 and ReasonKind.NO_PROBE in few
    other = reasons("no probe, and the gradient of other networks")
    assert other[ReasonKind.GRADIENT_TELLS_NOTHING].why == DROPOUT
    assert reasons("a few steps gain little")[ReasonKind.SHORT_PROBE].value == 100
    assert ReasonKind.NO_PROBE in reasons("nothing")


def test_a_short_probe_that_ends_higher_shows_a_lower_bound():
    """It starts again at the full learning rate, so a rise does not tell that weights jitter."""
    found = judged(probes=[dataclasses.replace(RISING, steps=100)])
    said = words.health(found)
    assert found.state is State.UNDECIDED and re.search(r"at least [\d.e-]+ nats are still", said)
    assert " 0 by 100 more steps" in said and "a lower bound only" in said


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
    """Log-normal means of deviation 2: a few of the 1,000 examples make up the second moment. What
    standardizing would gain is then not known.
    """
    heavy = np.exp(2 * np.random.default_rng(0).standard_normal([1000, 1]))
    measured = dataclasses.replace(stationarity(1), latent_second_moment=Moments.of(heavy**2))
    found = judged(stationarity=measured)
    assert found.state is State.NOT_JUDGED and not found.unfinished
    assert found.of(ReasonKind.HEAVY_TAILS)[0].check == checks.SECOND
    found = judged(stationarity=measured, probes=[LITTLE])
    assert found.state is State.UNDECIDED and "Not decided for z_0" in words.health(found)


def test_the_words_have_the_numbers():
    def said(**given):
        return words.health(judged(**given))

    improving = said(probes=[MUCH])
    assert "nats are still to gain per doubling of the training (at least 0.5" in improving
    assert "by 1,000 more steps" in improving and "margin of 0.1 nats" in improving
    assert "one probe, not other seeds" in improving
    seeds = [dataclasses.replace(LITTLE, seed=seed, gain=gain) for seed, gain in
             enumerate([0.01, 0.02, 0.03])]
    assert "3 seeds of the probe differ by 0.01 nats" in said(probes=seeds)
    converged = said(probes=[LITTLE], gradient=MOVING)
    assert "per doubling of the training (at most 0.00" in converged
    assert f"Hints: {checks.GRADIENT} is larger than its noise." in converged
    assert "about 47 nats (45 to 49, 95 %)" in said(residual=DEAD)
    assert "One more would gain about 47 nats (an estimate)." in said(residual=FULL)
    assert "lower by about 0.3 nats (0.28 to 0.32, 95 %)" in said(probes=[AVERAGED])
    assert "rose by about 0.5 nats" in said(probes=[RISING])
    off = said(stationarity=OFF)
    assert re.search(r"E\[mu\] of z_0 is 0\.[56]\d\d \+- 0\.0\d\d, not 0[;.]", off)
    assert "standardize_latents" in off and "per doubling" not in off
    none = said(num_active=0, losses={"rate": 0.001})
    assert "(rate 0.001 nats)" in none
    assert "gain about 47 nats" in said(num_active=0, residual=DEAD)
    worthless = dataclasses.replace(DEAD, variance=np.array([0.009, 0.008]))
    assert "No direction of the data is worth" in said(num_active=0, residual=worthless)


def test_examples_of_training_decide():
    """An optimum is that of its training examples. Held-out ones that differ are named, whatever
    the state.
    """
    off = stationarity(4, 5000, deviation=0.6, seed=1)
    alone = judged(probes=[LITTLE])
    both = judged(stationarity=off, probes=[LITTLE], training=GOOD, num_train=5000)
    assert both.state is State.CONVERGED and both.of(ReasonKind.HELD_OUT)[0].dimension == 0
    said = words.health(both)
    assert said.startswith(words.health(alone) + " On the held-out examples E[mu] of z_0 is 0.")
    assert re.search(r"not -?0\.0\d\d as in training \(difference \+- 0\.0\d\d\)", said)
    unfinished = judged(probes=[LITTLE], training=off, num_train=5000)
    assert unfinished.state is State.IMPROVING and unfinished.of(ReasonKind.HELD_OUT)
    alike = judged(stationarity=stationarity(4, 5000, deviation=0.6, seed=2), probes=[LITTLE],
                   training=off)
    assert alike.state is State.IMPROVING and not alike.of(ReasonKind.HELD_OUT)
    few = judged(stationarity=stationarity(4, 200), probes=[LITTLE], training=GOOD)
    assert few.num_examples == 5000 and few.state is State.CONVERGED
    nan = judged(stationarity=NOT_FINITE, probes=[LITTLE], training=GOOD)
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
    (dict(count=12), IsometryState.NOT_JUDGED, ()),
    (dict(count=12, error_95=0.09), IsometryState.ISOMETRIC, ()),
    (dict(error_95=0.11), IsometryState.NOT_ISOMETRIC, (Part.STRETCH, )),
    (dict(error_95=0.09, share_off=0.04), IsometryState.ISOMETRIC, ()),
    (dict(error_95=0.09, share_off=0.049), IsometryState.NOT_JUDGED, ()),
    (dict(error_95=0.11, share_off=0.051), IsometryState.NOT_JUDGED, ()),
    (dict(error_95=0.11, share_off=0.06), IsometryState.NOT_ISOMETRIC, (Part.STRETCH, )),
    (dict(share_off=0.0, share_off_bound=0.06, error_95_bound=0.2, error_95=0.05),
     IsometryState.NOT_JUDGED, ()),
    (dict(share_off=0.0, unexplained=0.098, unexplained_error=0.005), IsometryState.NOT_JUDGED, ()),
    (dict(share_off=0.0, unexplained=0.102, unexplained_error=0.005), IsometryState.NOT_JUDGED, ()),
    (dict(share_off=0.0, unexplained=0.111, unexplained_error=0.005),
     IsometryState.NOT_ISOMETRIC, (Part.FLATNESS, )),
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
    given = judged(probes=[LITTLE], isometry=found)
    back = Verdict.from_dict(json.loads(json.dumps(given.to_dict())))
    assert headlines.summary(back) == headlines.summary(given)
    assert words.lines(given)[1].label == words.LABELS[state]


@pytest.mark.parametrize("num_examples", [100, 400, 4096])
def test_an_embedding_is_wrongly_judged_in_at_most_5_percent(num_examples):
    """The exact binomial probability of each answer, where 5 % of all inputs are off; and that the
    right answer comes at other shares.
    """
    states = [isometry(num_examples=num_examples, error_95=0.1, share_off=count / num_examples
                       ).state for count in range(num_examples + 1)]

    def probability(state, share):
        weights = scipy.stats.binom.pmf(np.arange(num_examples + 1), num_examples, share)
        return weights[[one is state for one in states]].sum()

    assert probability(IsometryState.ISOMETRIC, 0.05) <= 0.05
    assert probability(IsometryState.NOT_ISOMETRIC, 0.05) <= 0.05
    assert probability(IsometryState.ISOMETRIC, 0.001) > 0.9
    assert probability(IsometryState.NOT_ISOMETRIC, 0.2) > 0.9


def test_every_state_of_the_embedding_has_an_example():
    marks, = (mark for mark in test_what_leads_to_each_state_of_the_embedding.pytestmark
              if mark.name == "parametrize")
    assert {state for _, state, _ in marks.args[1]} == set(IsometryState)


def every_verdict():
    """Every state of a verdict with every state of the embedding, and numbers of many digits."""
    marks, = (mark for mark in test_what_leads_to_each_state_of_the_embedding.pytestmark
              if mark.name == "parametrize")
    embeddings = [isometry(**case) for case, _, _ in marks.args[1]]
    embeddings += [isometry(beta_found=True), isometry(beta_differs=True),
                   isometry(quadratic=True), isometry(64, cosine=0.095, error_95=0.08,
                                                      error_95_bound=0.12),
                   dataclasses.replace(isometry(), num_examples=0, state=IsometryState.NOT_JUDGED)]
    many = dataclasses.replace(RISING, steps=1_234_567, trained_steps=1_234_567, gain=-12345.678,
                               standard_error=0.0012345)
    far = dataclasses.replace(GOOD, latent_second_moment=dataclasses.replace(
        GOOD.latent_second_moment, mean=np.full(4, 1.2345e7)))
    balance = dataclasses.replace(GOOD, balance_difference=dataclasses.replace(
        GOOD.balance_difference, mean=np.full(4, 1.2345e6)))
    for given in [*(given for _, given in CASES.values()), dict(probes=[many]),
                  dict(probes=[dataclasses.replace(many, gain=12345.678)]),
                  dict(stationarity=far), dict(stationarity=balance), dict(residual=DEAD),
                  dict(residual=DEAD, probes=[MUCH]), dict(num_active=0)]:
        for embedding in embeddings:
            found = judged(**given | {"isometry": embedding})
            yield found
            yield dataclasses.replace(found, on_own_data=True)
    reasons = [Reason(kind, checks.SECOND, 1234, 0.5, 1.0, 0.001, 1e-9, "a_long_name" * 20)
               for kind in ReasonKind]
    for state in State:
        for kind in reasons:
            probes = () if state in (State.NOT_JUDGED, State.COLLAPSED) else (LITTLE, )
            found = judged(probes=probes, residual=DEAD)
            yield dataclasses.replace(found, state=state, reasons=(
                *found.reasons, kind, *reasons[:1] * (state is State.NOT_FINITE)))


def test_a_verdict_takes_three_lines_of_100_characters():
    """The last line is what to do, or what not to conclude. The numbers are as wide at most, but
    for a name that cannot be broken.
    """
    seen = set()
    for found in every_verdict():
        text = headlines.summary(found).splitlines()
        seen.add((found.state, found.isometry.state))
        assert len(text) == 3, text
        assert max(map(len, text)) <= 100, max(text, key=len)
        assert text[0].startswith("Training") and words.LABELS[found.state] in text[0]
        assert text[1].startswith(f"Embedding: {words.LABELS[found.isometry.state]}")
        assert text[2].startswith(("To do: ", "Caution: "))
        assert max(map(len, headlines.numbers(found).splitlines()), default=0) <= 100 or (
            "a_long_name" in headlines.numbers(found))
    assert {state for state, _ in seen} == set(State)
    assert {state for _, state in seen} == set(IsometryState)


def test_an_unfinished_training_has_a_next_step():
    for found in every_verdict():
        if found.unfinished and found.state is not State.NOT_FINITE:
            assert headlines.summary(found).splitlines()[2].startswith("To do: ")


def test_the_words_for_an_embedding():
    flat = words.lines(judged(probes=[LITTLE]))
    assert str(flat[1]) == (
        "Embedding: isometric to 4 %: lengths along the axes are 2 % off (rms over data and "
        "dimensions), most in z_0 (2 %: norm 0.950 +- 0.02, predicted 0.960); cosines 0.020 rms; "
        "log sigma unexplained by its own z 0.010 +- 0.001.")
    curved = words.lines(judged(probes=[LITTLE], isometry=isometry(
        12, norm=1.5, cosine=0.2, unexplained=0.11, quadratic=False)))
    assert str(curved[1]).startswith(
        "Embedding: not isometric in lengths, right angles, flatness along single axes: ")
    assert "only up to 3 dimensions" in curved[2].rest
    assert "has no isometric embedding" in curved[2].rest


def test_the_share_that_is_said_is_the_one_that_was_measured():
    """The per cent in the words bounds the error at the 95th percentile, and is within one of it.
    """
    for error in np.random.default_rng(0).uniform(0, 0.1, 200):
        said = int(words.isometry_label(isometry(2, error_95=error)).split()[2])
        assert 100 * error <= said + 1e-6 and said <= 100 * error + 1


def test_a_stretched_direction_is_named():
    found = isometry(64, cosine=0.095, error_median=1.6, error_95=1.643, error_largest=1.7,
                     longest=2.643, shortest=0.951)
    text = words.lines(judged(isometry=found))[1]
    assert text.label == "not isometric" and text.rest.startswith(" in stretch: at the median")
    assert "lengths change 0.951-fold to 2.64-fold" in text.rest
    assert "160 % there, 165 % at the 95th percentile over the examples, 170 % at most" in text.rest
    unknown = words.lines(judged(isometry=isometry(64, cosine=0.095)))[1]
    assert unknown.label == "Not judged" and "eigenvalues of Gamma were not" in unknown.rest


def test_the_third_line_agrees_with_the_first():
    for name, (state, given) in CASES.items():
        text = words.lines(judged(**given))[2].rest
        assert ("a plateau can last" in text) == (state is State.CONVERGED), name
        assert ("nothing here shows" in text) == (state is State.NOT_JUDGED), name
    found = words.lines(judged(isometry=isometry(beta_found=True)))[2].rest
    assert "balance and average norm test nothing" in found
    differs = words.lines(judged(isometry=isometry(beta_differs=True)))[2].rest
    assert "which the posterior contradicts" in differs


PUBLISHED = sorted(path for path in (ROOT / "results").glob("**/isometry.json"))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.parent.name)
def test_published_measurements_are_judged_from_their_numbers(path):
    """They were written before a verdict compared nats with a margin. No probe was stored, so none
    of them is called converged.
    """
    saved = files.read_json(path)
    assert "summary" not in saved  # words are made when they are shown
    found = convergence.of_saved(saved)
    probed = bool(convergence.evidence_of(saved)["probes"])
    assert probed or found.state in (State.NOT_JUDGED, State.IMPROVING, State.SADDLE)
    assert found.isometry.state in (IsometryState.ISOMETRIC, IsometryState.NOT_ISOMETRIC)


def test_a_measurement_of_which_little_is_left_is_not_judged():
    for saved in ({}, {"verdict": "x"}, {"verdict": {"state": "x", "reasons": []}},
                  {"stationarity": [1], "conditions": "x", "evidence": 3, "active": None}):
        found = convergence.of_saved(saved)
        assert found.state is State.NOT_JUDGED and found.isometry.state is IsometryState.NOT_JUDGED
        assert len(headlines.summary(found).splitlines()) == 3


def test_nothing_reads_the_words_of_a_verdict():
    """Whatever must be known of a verdict is in its data."""
    labels = "|".join(re.escape(label) for label in {
        *words.LABELS.values(), "Training", "Embedding", "Caution", "To do", "No verdict", "HOLDS",
        "WRONG", "DOUBTFUL"})
    reading = re.compile(
        rf"(startswith|removeprefix|partition|split|index|find|match|search)\(\(?[rf]?\"({labels})"
        rf"|\"({labels})[^\"]*\" (not )?in ")
    for folder in ("tfisovae", "results", "benchmarks", "train", "eval", "examples"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text()
            assert not reading.search(text), path
            assert path.match("tfisovae/verdict/*.py") or (
                "IMPROVING" not in text.replace("State.IMPROVING", "")), path
