"""Verdicts: error rates by simulation, and the tests that they rest on."""
import dataclasses
import math

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from results import verdict as simulated
from tests.support import AT_REST, KNOWN, stationarity
from tfisovae import files, metrics
from tfisovae.metrics.measurement import measure
from tfisovae.metrics.stationarity import AggregateMoments
from tfisovae.verdict import ReasonKind, checks, convergence, tests_of_means
from tfisovae.verdict.tests_of_means import Moments


@pytest.mark.parametrize("shape", simulated.SHAPES)
def test_at_most_five_per_cent_of_false_alarms(shape):
    """Of 3 n checks on n stationary dimensions, from 300 examples on; within the error of the
    simulation. On Gaussians fewer than 1 % of the dimensions are not decided.
    """
    rng = np.random.default_rng(0)
    for num_examples, count in ((300, 6000), (1000, 2000)):
        p, undecided = simulated.tested(shape, 0.02, num_examples, count, rng)
        for n in (1, 32, 256):
            one = np.mean(p.min(0) < checks.LEVEL / (3 * n))
            expected = 1 - (1 - checks.LEVEL) ** (1 / n)
            assert one < expected + 3 * math.sqrt(expected / count), (num_examples, n)
        assert undecided.any(0).mean() < 0.01 or shape != "gaussian"


def test_what_is_missing_may_be_in_examples_that_were_not_seen():
    """A latent variable that is 0 but for 1 % of the examples, none of which is among 300: E[mu^2 +
    sigma^2] is .02, without any error. With noise of .01 the sample looks Gaussian.
    """
    for noise in (0.0, 0.01):
        mu = noise * np.random.default_rng(0).standard_normal([300, 1])
        measured = dataclasses.replace(stationarity(1, 300), latent_mean=Moments.of(mu),
                                       latent_second_moment=Moments.of(mu**2 + 0.02))
        found = {check.name: check for check in checks.checks(measured, KNOWN)}
        assert found[checks.SECOND].p_value < 1e-9 and not found[checks.SECOND].decided
        assert not found[checks.MEAN].decided and found[checks.BALANCE].decided
    collapsed = dataclasses.replace(stationarity(1, 300), one_minus_variance=np.array([1e-4]),
                                    latent_mean=Moments.of(0 * mu),
                                    latent_second_moment=Moments.of(1 + 0 * mu))
    assert all(check.decided for check in checks.checks(collapsed, KNOWN))


def test_a_few_examples_that_carry_the_variance_are_not_decided():
    """By the kurtosis N / k of k equal examples among N: k of fewer than N / 100."""
    for k, heavy in ((3, True), (20, False)):
        values = np.zeros([1000, 1])
        values[:k] = 10
        found = Moments.of(values)
        assert found.kurtosis[0] == pytest.approx(scipy.stats.kurtosis(values[:, 0]) + 3)
        assert found.heavy[0] == heavy


def test_a_deviation_of_the_resolution_is_found_in_nine_of_ten():
    """Of E[mu], up and down, and of the two others upwards; 60 data sets of 4 dimensions each, with
    2,000 examples. Three binomial deviations are .12.
    """
    resolution = convergence.judge(stationarity(4, 2000), KNOWN).resolution
    found = []
    for seed in range(60):
        made = convergence.judge(stationarity(4, 2000, deviation=resolution, seed=seed), KNOWN)
        found.append([any((reason.check, reason.dimension) == (name, 0)
                          for reason in made.of(ReasonKind.OFF))
                      for name in (checks.MEAN, checks.SECOND, checks.BALANCE)])
    assert np.all(np.mean(found, 0) > 0.9 - 0.12)


def test_two_sets_that_are_alike_are_not_called_different():
    """.754 +- .008 and .753 +- .020 differ by a twentieth of an error, though both are far from 1;
    .754 and .65 differ by 4.8 of them.
    """
    def measured(value, error):
        made = checks.Check(checks.SECOND, 0, value, 1.0, error, 0.0, 1e-9, True)
        return [made]

    assert not checks.differences(measured(0.754, 0.008), measured(0.753, 0.020))
    found, = checks.differences(measured(0.754, 0.008), measured(0.65, 0.020))
    assert (found.value, found.expected) == (0.754, 0.65)
    assert found.standard_error == pytest.approx(math.hypot(0.008, 0.020))
    heavy = [dataclasses.replace(measured(0.754, 0.008)[0], decided=False)]
    assert not checks.differences(heavy, measured(0.65, 0.020))


def test_the_errors_are_those_of_the_decision_itself():
    """300 data sets of 8 exponential dimensions, judged whole: at most 5 % alarms, beyond chance.
    """
    alarms = sum(
        bool(convergence.judge(stationarity(8, 300, "exponential", seed=seed), KNOWN
                               ).of(ReasonKind.OFF))
        for seed in range(300))
    assert alarms <= scipy.stats.binom.isf(0.003, 300, checks.LEVEL)


def test_deviations_are_seen():
    """In 9 of 10 data sets and more: .3 with 1,000 examples, .09 with 10,000, in one of 32
    dimensions.
    """
    for num_examples, deviation, repeats in ((1000, 0.3, 40), (10_000, 0.09, 20)):
        found = [
            convergence.judge(stationarity(32, num_examples, deviation=deviation, seed=seed), KNOWN)
            for seed in range(repeats)
        ]
        for name in (checks.MEAN, checks.SECOND, checks.BALANCE):
            seen = [any((reason.check, reason.dimension) == (name, 0)
                        for reason in one.of(ReasonKind.OFF)) for one in found]
            assert np.mean(seen) >= 0.9, (num_examples, name)


def test_a_deviation_that_does_not_matter_is_not_an_alarm():
    """.02 of a million examples is sure, and within the tolerance of .05."""
    sure = Moments(10**6, np.array([0.02]), np.array([1.0]), np.array([0.0]))
    measured = checks.Stationarity(sure, dataclasses.replace(sure, mean=np.array([1.02])), sure,
                                   np.ones(1), np.array([True]))
    assert sure.p_value(0) < 1e-9
    assert not convergence.judge(measured, KNOWN).of(ReasonKind.OFF)
    assert len(convergence.judge(measured, KNOWN, tolerance=0.01).of(ReasonKind.OFF)) == 3


def test_moments_against_scipy():
    values = np.random.default_rng(0).standard_exponential([500, 3]) + [0, 1, -3]
    for made in (Moments.of(values),
                 Moments.from_power_sums(500, [np.sum((values - 1)**k, 0) for k in (1, 2, 3, 4)],
                                         1.0)):
        np.testing.assert_allclose(made.mean, values.mean(0), rtol=1e-12)
        np.testing.assert_allclose(made.standard_error, scipy.stats.sem(values), rtol=1e-9)
        np.testing.assert_allclose(made.skewness, scipy.stats.skew(values), rtol=1e-7)


def test_without_skewness_it_is_the_t_test():
    values = np.random.default_rng(1).standard_normal([400, 50])
    symmetric = dataclasses.replace(Moments.of(values), skewness=np.zeros(50))
    np.testing.assert_allclose(symmetric.p_value(0.03),
                               scipy.stats.ttest_1samp(values, 0.03).pvalue, rtol=1e-9)


def test_constants_are_as_expected_or_not():
    """A collapsed dimension has mu = 0 and sigma = 1 throughout, in float32: no deviation, and no
    division by it.
    """
    values = np.stack([np.zeros(300), np.full(300, 0.7), np.full(300, 1 + 1e-7)], 1)
    np.testing.assert_array_equal(Moments.of(values).p_value(np.array([0, 0, 1])), [1, 0, 1])


def test_holm_by_hand():
    """.01 x 4, .02 x 3, .03 x 2, .5; each at least the one before."""
    np.testing.assert_allclose(tests_of_means.holm([0.03, 0.01, 0.5, 0.02]),
                               [0.06, 0.04, 0.5, 0.06])


def test_balance_is_a_ratio_of_sums(root):
    """A short training on drawn faces: the mean of the ratios over the active dimensions is 1.389,
    ruled by those of .01 nat.
    """
    measured = files.read_json(root / "tests/data/weak_dimensions.json")
    kl, balance, weight = (np.array(measured[name])
                           for name in ("kl_mean", "balance", "one_minus_variance"))
    assert balance[kl > 0.01].mean() == pytest.approx(1.389, abs=0.001)
    assert checks.overall_balance(balance, weight, kl > 0.01) == pytest.approx(0.955, abs=0.001)
    assert math.isnan(checks.overall_balance(balance, weight, kl > 100))


def test_held_out_examples_have_wider_errors():
    """sqrt(1 + N / N_train): 2 where training had a third of the examples."""
    measured = stationarity(3, 900)
    plain, wide = (checks.checks(measured, KNOWN, num_train=size) for size in (None, 300))
    np.testing.assert_allclose([c.standard_error for c in wide],
                               [2 * c.standard_error for c in plain], rtol=1e-12)


@pytest.mark.slow
def test_held_out_examples_of_the_same_kind_are_rarely_told_apart():
    """Of 150 pairs of data sets of one stationary model at most 5 % beyond chance, where the
    optimum is the training examples' own: their moments are exact, and the held-out ones have the
    errors of both.
    """
    count, said = 150, 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        train, held_out = (simulated.quantities("exponential", 0.02, 1000, 8, rng)
                           for _ in range(2))
        held_out, train = (
            checks.Stationarity(*(Moments.of(part - np.mean(own, 0) + np.mean(expected)) for
                                  part, own, expected in zip(parts, train, (0.0, 1.0, 0.0))),
                                np.full(8, 0.98), np.full(8, True)) for parts in (held_out, train))
        said += bool(convergence.judge(held_out, KNOWN, training=train, num_train=1000
                                       ).of(ReasonKind.HELD_OUT))
    assert said <= scipy.stats.binom.isf(0.003, count, checks.LEVEL)


def test_the_metrics_sums_against_each_example(make_linear_vae):
    """Over unequal batches: `Moments` of power sums, and the error of the overall balance by its
    jackknife.
    """
    gain = np.array([0.9, 0.8, 1.5])
    vae = make_linear_vae(np.diag(0.9 / gain), np.diag(gain), [0.3, 0.5, 0.2], 25.0)
    x = np.random.default_rng(0).standard_normal((300, 3)).astype(np.float32)
    balance, aggregate = metrics.PosteriorBalance(), AggregateMoments()
    works, targets, means = [], [], []
    for rows in (slice(0, 100), slice(100, 300)):
        measurement = measure(vae, tf.constant(x[rows]), rows.start)
        for metric in (balance, aggregate):
            metric.build(3)
            metric.update_state(measurement)
        works.append(measurement.noise_work.numpy() * 25.0)
        targets.append(1 - measurement.posterior.scale.numpy() ** 2)
        means.append(measurement.posterior.mean.numpy())
    work, target, mu = (np.concatenate(parts).astype(np.float64)
                        for parts in (works, targets, means))
    for sums, origin, values in ((balance.differences, 0, work - target),
                                 (aggregate.first_powers, 0, mu), (aggregate.second_powers, 1,
                                                                   mu**2 + 1 - target)):
        found, direct = Moments.from_power_sums(300, sums, origin), Moments.of(values)
        for name in ("mean", "standard_error", "skewness"):
            np.testing.assert_allclose(getattr(found, name), getattr(direct, name), rtol=1e-4,
                                       atol=1e-6)
    ratio = work.sum() / target.sum()
    assert float(balance.result()) == pytest.approx(ratio, rel=1e-5)
    left_out = (work.sum() - work.sum(1)) / (target.sum() - target.sum(1))
    jackknife = math.sqrt(299 / 300 * np.sum((left_out - left_out.mean()) ** 2))
    error = checks.overall_balance_error(work, target, np.ones(3, bool), 300)
    assert error == pytest.approx(jackknife, rel=0.01)
    # From half of the examples: the same, but for the spread between halves.
    half = checks.overall_balance_error(work[:150], target[:150], np.ones(3, bool), 300)
    assert half == pytest.approx(jackknife, rel=0.3)
    assert balance.strong.all()


@pytest.mark.parametrize("p_value, alarm", [(0.024, True), (0.026, False)])
def test_the_whole_network_has_half_of_the_false_alarms(p_value, alarm):
    """However many dimensions there are: one number of the whole network is not drowned by 3 n of
    them.
    """
    gradient = dataclasses.replace(AT_REST, squared_norm=1.0, noise_scale=10.0,
                                   p_value=p_value)
    assert bool(convergence.judge(stationarity(64, 5000), KNOWN, gradient, losses={"rate": 1.0}
                                  ).of(ReasonKind.OFF)) == alarm
    close = dataclasses.replace(gradient, p_value=0.049)
    assert convergence.judge(None, None, close).of(ReasonKind.OFF)


def test_both_together_have_no_more_false_alarms():
    """400 data sets of 8 exponential dimensions, with a gradient whose p-value is uniform."""
    rng, alarms = np.random.default_rng(5), 0
    for seed in range(400):
        gradient = dataclasses.replace(AT_REST, squared_norm=1.0,
                                       p_value=rng.uniform())
        alarms += convergence.judge(stationarity(8, 300, "exponential", seed=seed), KNOWN,
                                    gradient).of(ReasonKind.OFF) != ()
    assert 0.01 * 400 < alarms <= scipy.stats.binom.isf(0.003, 400, checks.LEVEL)
