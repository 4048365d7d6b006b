"""Gains in nats against closed forms, and how often the decision is wrong."""
import dataclasses
import json

import numpy as np
import pytest

from tests.support import KNOWN, stationarity
from tfisovae.verdict import State, Verdict, convergence, gains
from tfisovae.verdict.gains import Gain, GainKind, Probe, Residual
from tfisovae.verdict.tests_of_means import Moments

ALL = np.full(3, True)


def kl(mean, variance):
    """KL from N(0, I), nats, `[N, n]`."""
    return (mean**2 + variance - 1 - np.log(variance)) / 2


def test_standardizing_gains_what_the_kl_falls_by():
    """Means and variances that are shifted and scaled, against the KL before and after."""
    rng = np.random.default_rng(0)
    mean = rng.standard_normal((20_000, 3)) * [0.9, 0.5, 2.0] + [0.3, 0.0, -1.0]
    variance = rng.uniform(0.1, 0.3, (20_000, 3))
    m, q = mean.mean(0), np.mean(mean**2 + variance, 0)
    after = kl((mean - m) / np.sqrt(q - m**2), variance / (q - m**2))
    gain = gains.of_scale(Moments.of(mean), Moments.of(mean**2 + variance), ALL)
    assert gain.value == pytest.approx(float((kl(mean, variance) - after).mean(0).sum()), rel=1e-3)


def test_the_balance_gains_what_the_best_width_gains():
    """A linear dimension whose variance is s: the loss is (u / s) s / 2 - log(s) / 2 where the best
    width has variance s / u, so that the balance is as far off as u says.
    """
    for b, share in ((0.5, 0.9), (1.5, 0.98), (1.1, 0.3)):
        u = 1 + (b - 1) * share
        difference = np.full((1000, 1), (b - 1) * share)

        def loss(t, u=u):  # of a width of t times the variance
            return u * t / 2 - np.log(t) / 2

        best = min(loss(t) for t in np.linspace(0.2, 5, 100_001))
        gain = gains.of_balance(Moments.of(difference), np.full(1, True))
        assert gain.value == pytest.approx(loss(1.0) - best, abs=1e-6)


def test_a_dead_dimension_gains_what_a_linear_one_would():
    """Variances 4, 1, .5, .25 at beta .02: 47.197 nats for the second, 80.132 for all but one."""
    one = Residual(np.array([1.0]), np.array([0.01]), 1, 0.01, 1000)
    three = Residual(np.array([1.0, 0.5, 0.25]), np.full(3, 0.01), 3, 0.01, 1000)
    assert gains.of_dead(one).value == pytest.approx(47.197, abs=5e-4)
    assert gains.of_dead(three).value == pytest.approx(80.132, abs=5e-4)
    below = Residual(np.array([0.0099]), np.array([0.001]), 1, 0.01, 1000)
    assert gains.of_dead(below).interval == (0.0, 0.0)


def test_the_noise_of_the_estimates_averages_to_0():
    """Of stationary models the mean closed-form gain is 0, though its square terms are not."""
    for num_examples in (300, 3000):
        found = [convergence.judge(stationarity(32, num_examples, seed=seed), KNOWN).gain
                 for seed in range(100)]
        values, errors = np.array(found).T
        standard_error = values.std(ddof=1) / 10
        assert abs(values.mean()) < 4 * standard_error, num_examples
        assert values.std() == pytest.approx(np.sqrt(np.mean(errors**2)), rel=0.25)


def probe(gain, error, rng, num_examples):
    """A doubling that truly gains `gain`, measured on so many examples."""
    fall = gain + error * rng.standard_normal(num_examples)
    before = 10 + rng.standard_normal(num_examples)
    return Probe.of(100, 100, 0, before, before - fall)


@pytest.mark.parametrize("gain, right, wrong", [
    (0.08, State.CONVERGED, State.IMPROVING), (0.12, State.IMPROVING, State.CONVERGED)])
def test_more_examples_do_not_turn_a_verdict_round(gain, right, wrong):
    """True gains on both sides of a margin of .1: the wrong state comes in at most 5 % of
    repetitions, and the right one in all with many examples.
    """
    rng = np.random.default_rng(0)
    states = {size: [convergence.judge(probes=[probe(gain, 1.0, rng, size)], margin=0.1).state
                     for _ in range(200)] for size in (100, 1000, 10_000, 100_000)}
    for size, found in states.items():
        assert np.mean([state is wrong for state in found]) <= 0.05, size
    assert all(state is right for state in states[100_000])
    assert np.mean([state is State.UNDECIDED for state in states[100]]) > 0.8


def test_seeds_widen_the_interval():
    """Three seeds that differ by s: Student's quantile for 2 degrees, over sqrt(3)."""
    made = [Probe(10, 10, seed, 1.0, 1.0 - gain, gain, 1e-6, 100)
            for seed, gain in enumerate((0.1, 0.2, 0.3))]
    found = gains.of_probes(made)
    low, high = found.interval
    assert found.value == pytest.approx(0.2) and found.num_seeds == 3
    assert found.spread == pytest.approx(0.1)
    assert (high - low) / 2 == pytest.approx(4.3027 * 0.1 / np.sqrt(3), rel=1e-4)
    assert gains.of_probes(made[:1]).standard_error == pytest.approx(1e-6)


def test_seeds_hold_the_true_gain():
    """Gains of seeds that differ: the interval of 95 % misses in about 5 % of repetitions."""
    rng, missed = np.random.default_rng(1), 0
    for _ in range(400):
        made = [Probe(10, 10, seed, 1.0, 1.0, 0.2 + 0.05 * rng.standard_normal(), 1e-3, 100)
                for seed in range(3)]
        low, high = gains.of_probes(made).interval
        missed += not low <= 0.2 <= high
    assert missed / 400 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)


def test_a_short_probe_is_never_below_0_and_a_longer_one_counts():
    short = Probe(10, 100, 0, 1.0, 1.5, -0.5, 0.01, 100)
    assert gains.of_probes([short]).value == 0
    found = gains.of_probes([short, dataclasses.replace(short, steps=100)])
    assert found.kind is GainKind.DOUBLING and found.value == -0.5


def test_the_margin():
    """.5 % of what training can change, and never below .1 nat."""
    assert gains.margin(8.5) == 0.1 and gains.margin(200.0, 60.0) == pytest.approx(0.7)
    assert gains.margin() == gains.margin(np.inf) == 0.1


@pytest.mark.parametrize("record", [
    Gain(GainKind.DOUBLING, 0.1, 0.01, 100, 0.02, 3), Gain(GainKind.DEAD, 1.0, 0.1),
    Probe(100, None, 1, 2.0, 1.0, 1.0, 0.1, 10),
    Probe(100, 50, 1, 2.0, 1.0, 1.0, 0.1, 10, 0.5, 0.1),
    Residual(np.array([1.0, 0.5]), np.array([0.1, 0.2]), 2, 0.01, 100)])
def test_records_come_back_from_json(record):
    from tfisovae import files

    saved = json.loads(json.dumps(files.plain(dataclasses.asdict(record), None), default=str))
    if isinstance(record, Gain):
        saved = {"kind": record.kind.value} | {
            name: value for name, value in saved.items() if name != "kind" and value is not None}
    assert files.plain(dataclasses.asdict(type(record).from_dict(saved))) == files.plain(
        dataclasses.asdict(record))


@pytest.mark.parametrize("doubling, scale, least, most", [
    (-0.091, 0.153, 0.153, 0.153), (0.069, 0.067, 0.069, 0.136), (0.3, -0.001, 0.3, 0.3),
    (0.05, None, 0.05, 0.05), (None, 0.2, 0.2, 0.2), (None, None, 0.0, 0.0)])
def test_gains_of_both_kinds_may_be_the_same_nats(doubling, scale, least, most):
    """A rise of the loss takes nothing from a closed form; a sum is only an upper limit."""
    made = tuple(Gain(kind, value, 1e-9) for kind, value in (
        (GainKind.DOUBLING, doubling), (GainKind.SCALE, scale)) if value is not None)
    found = Verdict(State.NOT_JUDGED, (), gains=made)
    np.testing.assert_allclose(found.interval, (least, most), atol=1e-7)
