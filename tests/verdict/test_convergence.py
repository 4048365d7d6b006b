"""Verdicts: error rates by simulation, words for what is known, and NaN that nothing hides."""
import dataclasses
import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
import tensorflow as tf

import tfisovae
from results import verdict as simulated
from tfisovae import files, metrics, networks
from tfisovae.analysis import conditions
from tfisovae.autoencoder.autoencoder import as_autoencoder
from tfisovae.metrics.measurement import measure
from tfisovae.metrics.stationarity import AggregateMoments
from tfisovae.verdict import checks, convergence, tests_of_means
from tfisovae.verdict.isometry import Isometry, summary
from tfisovae.verdict.tests_of_means import Moments

KNOWN = checks.Conditions(True, "", True, "")
AT_REST = tests_of_means.MeanGradient(0.0, 1.0, 10.0, math.inf, 0.5, 5000)


def stationarity(n=4, num_examples=1000, shape="gaussian", deviation=0.0, seed=0, variance=0.02):
    """What is measured of an exactly stationary linear VAE, the first dimension of which is off by
    `deviation`.
    """
    rng = np.random.default_rng(seed)
    parts = [np.array(part) for part in simulated.quantities(shape, variance, num_examples, n, rng)]
    for part, off in zip(parts,
                         simulated.quantities(shape, variance, num_examples, 1, rng, deviation)):
        part[:, :1] = off
    return checks.Stationarity(*map(Moments.of, parts), np.full(n, 1 - variance), np.full(n, True))


@pytest.mark.parametrize("shape", simulated.SHAPES)
def test_at_most_five_per_cent_of_false_alarms(shape):
    """Of 3 n checks on n stationary dimensions, from 300 examples on; within the error of the
    simulation.
    """
    rng = np.random.default_rng(0)
    for num_examples, count in ((300, 24_000), (1000, 6000)):
        smallest = simulated.p_values(shape, 0.02, num_examples, count, rng).min(0)
        for n in (1, 32, 256):
            one = np.mean(smallest < checks.LEVEL / (3 * n))
            expected = 1 - (1 - checks.LEVEL) ** (1 / n)
            assert one < expected + 3 * math.sqrt(expected / count), (num_examples, n)


def test_the_errors_are_those_of_the_decision_itself():
    """300 data sets of 8 exponential dimensions, judged whole: at most 5 % alarms, beyond chance.
    """
    alarms = sum(
        convergence.judge(stationarity(8, 300, "exponential", seed=seed), KNOWN).unfinished
        for seed in range(300))
    assert alarms <= scipy.stats.binom.isf(0.003, 300, checks.LEVEL)


def test_deviations_are_seen():
    """In 9 of 10 data sets and more: .2 with 1,000 examples, .08 with 10,000, in one of 32
    dimensions; the worst is named.
    """
    for num_examples, deviation, repeats in ((1000, 0.3, 40), (10_000, 0.09, 20)):
        found = [
            convergence.judge(stationarity(32, num_examples, deviation=deviation, seed=seed), KNOWN)
            for seed in range(repeats)
        ]
        for name in (checks.MEAN, checks.SECOND, checks.BALANCE):
            seen = [any((c.name, c.dimension) == (name, 0) for c in one.alarms) for one in found]
            assert np.mean(seen) >= 0.9, (num_examples, name)
    assert convergence.health(found[0]).startswith("NOT CONVERGED: E[mu] of z_0 is 0.")


def test_a_deviation_that_does_not_matter_is_not_an_alarm():
    """.02 of a million examples is sure, and within the tolerance of .05."""
    sure = Moments(10**6, np.array([0.02]), np.array([1.0]), np.array([0.0]))
    measured = checks.Stationarity(sure, dataclasses.replace(sure, mean=np.array([1.02])), sure,
                                   np.ones(1), np.array([True]))
    assert sure.p_value(0) < 1e-9
    assert not convergence.judge(measured, KNOWN).alarms
    assert len(convergence.judge(measured, KNOWN, tolerance=0.01).alarms) == 3


def test_moments_against_scipy():
    values = np.random.default_rng(0).standard_exponential([500, 3]) + [0, 1, -3]
    for made in (Moments.of(values),
                 Moments.from_power_sums(500, [np.sum((values - 1)**k, 0) for k in (1, 2, 3)],
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


@pytest.mark.parametrize("part", ["latent_mean", "latent_second_moment", "balance_difference"])
def test_nan_comes_first(part):
    """Beside an alarm, and with too few examples, and in all three lines."""
    for num_examples in (50, 2000):
        good = stationarity(4, num_examples, deviation=0.5)
        values = getattr(good, part)
        broken = dataclasses.replace(
            good, **{part: dataclasses.replace(values, mean=values.mean * [1, np.nan, 1, 1])})
        said = convergence.judge(broken, KNOWN)
        assert said.unfinished
        assert convergence.health(said).startswith(
            "NOT FINITE: ") and "z_1 is not finite" in convergence.health(said)
        assert summary(said, isometry(4, norm=math.nan)).count("NOT FINITE") == 2
    nan = tests_of_means.MeanGradient(*[math.nan] * 5, 5000)
    assert convergence.health(convergence.judge(gradient=nan)) == (
        "NOT FINITE: the mean gradient is not finite. Nothing else here is a measurement.")


def test_below_300_examples_there_is_no_verdict():
    said = convergence.judge(stationarity(4, 200, deviation=2.0), KNOWN)
    assert not said.alarms and convergence.health(said).startswith(
        "No verdict: 200 examples are too few to tell, measure 300 or more.")


def test_tails_too_heavy_for_the_number_of_examples_are_undecided():
    """Log-normal means of deviation 2: the second moment of 1,000 examples is that of a few."""
    heavy = np.exp(2 * np.random.default_rng(0).standard_normal([1000, 1]))
    measured = dataclasses.replace(stationarity(1), latent_second_moment=Moments.of(heavy**2))
    said = convergence.judge(measured, KNOWN)
    assert [c.name for c in said.undecided] == [checks.SECOND] and not said.alarms
    assert "a few examples make up the moments of z_0" in convergence.health(said)


def test_held_out_examples_have_wider_errors():
    """sqrt(1 + N / N_train): 2 where training had a third of the examples."""
    measured = stationarity(3, 900)
    plain, wide = (checks.checks(measured, KNOWN, num_train=size) for size in (None, 300))
    np.testing.assert_allclose([c.standard_error for c in wide],
                               [2 * c.standard_error for c in plain], rtol=1e-12)


def test_the_states_of_a_training():
    moving = dataclasses.replace(AT_REST, squared_norm=2.0, noise_scale=5.0, p_value=1e-5)
    falling = tests_of_means.LossFall(0.2, 0.01, 1e-8, 100, 200, 20)
    level = dataclasses.replace(falling, fall=0.001, p_value=0.9)
    good = stationarity(4, 5000)

    def said(**kwargs):
        return convergence.health(convergence.judge(good, KNOWN, **kwargs), 4)

    assert said().startswith("No sign against convergence in scale, shift and noise"
                             ) and "measure the mean gradient too" in said()
    assert said(gradient=AT_REST, fall=level).startswith(
        "Converged, as far as the examples show: the mean gradient is within its")
    assert said(gradient=moving, fall=level).startswith(
        "JITTERS: the mean gradient stands out of its noise (p 1e-05, as large as")
    # Whose fall would not have been seen.
    coarse = dataclasses.replace(level, fall=-9.8, standard_error=40.0, loss=80.0)
    assert said(gradient=moving, fall=coarse).startswith("NOT CONVERGED: the mean gradient")
    assert "no longer falls" not in said(gradient=moving, fall=coarse) + said(
        gradient=AT_REST, fall=coarse)
    assert "the loss still falls, by 0.2 +- 0.01 nats over steps 100 to 200" in said(
        gradient=moving, fall=falling)
    assert said(gradient=AT_REST, fall=falling).startswith("NOT CONVERGED")
    # It fell with the rate, which is 0 now.
    assert said(gradient=AT_REST, fall=falling, annealed=True).startswith("Converged")
    # What the end of the training brought, as far as that tells.
    annealed = said(gradient=moving, fall=falling, annealed=True)
    assert annealed.startswith("NOT CONVERGED: the mean gradient"
                               ) and "; over steps 100 to 200 the loss fell by 0.2 +-" in annealed
    assert convergence.health(convergence.judge(good, KNOWN), 0, 0.001).startswith("Collapsed")
    assert not any("--" in said(gradient=g, fall=f) for g in (None, moving)
                   for f in (None, falling, level))


def test_examples_of_training_decide():
    """An optimum is that of its training examples. Held-out ones of another kind are told apart,
    whatever the state.
    """
    good, off = stationarity(4, 5000), stationarity(4, 5000, deviation=0.3, seed=1)
    apart = " On the held-out examples E[mu] of z_0 is "
    alone, both = (convergence.health(convergence.judge(good, KNOWN, AT_REST)),
                   convergence.health(
                       convergence.judge(off, KNOWN, AT_REST, training=good, num_train=5000)))
    assert alone.startswith("Converged") and both.startswith(
        alone + apart) and "they are not as those of training" in both
    unfinished = convergence.judge(good, KNOWN, AT_REST, training=off, num_train=5000)
    assert unfinished.unfinished and not unfinished.apart
    assert convergence.health(unfinished).startswith("NOT CONVERGED: E[mu] of z_0 is ")
    unfinished = convergence.health(convergence.judge(off, KNOWN, AT_REST, training=off))
    assert unfinished.startswith("NOT CONVERGED") and apart in unfinished
    few = convergence.judge(stationarity(4, 200), KNOWN, AT_REST, training=good)
    assert few.num_examples == 5000 and convergence.health(few).startswith("Converged")
    nan = dataclasses.replace(
        good, latent_mean=dataclasses.replace(good.latent_mean, mean=np.array([0, np.nan, 0, 0])))
    assert convergence.health(convergence.judge(
        nan, KNOWN, AT_REST, training=good)).startswith("NOT FINITE: E[mu] of z_1 is not finite")
    assert "another kind" in summary(convergence.judge(off, KNOWN, AT_REST, training=good),
                                     isometry()).splitlines()[0]


def test_held_out_examples_of_the_same_kind_are_rarely_told_apart():
    """Of 300 pairs of data sets of one stationary model at most 5 % beyond chance, where the
    optimum is the training examples' own: their moments are exact, and the held-out ones have the
    errors of both.
    """
    count, said = 300, 0
    for seed in range(count):
        rng = np.random.default_rng(seed)
        train, held_out = (simulated.quantities("exponential", 0.02, 1000, 8, rng)
                           for _ in range(2))
        moved = [
            np.array(b) - np.mean(a, 0) + np.mean(expected)
            for a, b, expected in zip(train, held_out, (0.0, 1.0, 0.0))
        ]
        moved = checks.Stationarity(*map(Moments.of, moved), np.full(8, 0.98), np.full(8, True))
        said += bool(
            convergence.judge(moved, KNOWN, training=stationarity(8, 1000, "exponential",
                                                                  seed=seed), num_train=1000).apart)
    assert said <= scipy.stats.binom.isf(0.003, count, checks.LEVEL)


def isometry(count=3, norm=0.95, norm_std=0.02, prediction=0.96, cosine=0.02, **kwargs):
    """An `Isometry` of many examples; `norm` and `prediction` may be of each dimension."""
    vectors = (np.broadcast_to(np.asarray(value, float), count)
               for value in (norm, norm_std, prediction))
    settings = {"num_examples": 5000, "rate": 9.0, "unexplained": 0.01, "unexplained_error": 0.001
                } | kwargs
    norm, norm_std, prediction = vectors
    return Isometry(np.arange(count), norm=norm, norm_std=norm_std, prediction=prediction,
                    cosine=cosine, **settings)


def test_three_lines():
    good = convergence.judge(stationarity(4, 5000), KNOWN, AT_REST)
    flat = summary(good, isometry())
    assert flat.splitlines()[0].startswith("Training: Converged") and flat.count("\n") == 2
    assert flat.splitlines()[1] == (
        "Embedding: isometric to 2 % (lengths along the axes are 2 % off those of 1 - sigma^2, rms "
        "over data and "
        "dimensions, most in z_0, 2 %: norm 0.950 +- 0.02 for 0.960; cosines 0.020 rms; log sigma "
        "unexplained "
        "by its own z 0.010 +- 0.001).")
    curved = summary(good, isometry(12, norm=1.5, cosine=0.2, unexplained=0.11,
                                    quadratic=False)).splitlines()
    assert curved[1].startswith(
        "Embedding: not isometric: what is missing are the lengths, the right angles, flatness "
        "along "
        "single")
    assert "up to 3 dimensions only" in curved[2] and "no isometric embedding at all" in curved[2]


@pytest.mark.parametrize("case, words", [
    (dict(norm=[1.6, 0.3], prediction=[0.92, 0.985],
          count=2), "not isometric: what is missing are the lengths"),
    (dict(norm=0.95, norm_std=1.22,
          prediction=0.95), "not isometric: what is missing are the lengths"),
    (dict(num_examples=1), "1 example is too few to tell"),
    (dict(cosine=0.3), "not isometric: what is missing are the right angles"),
    (dict(prediction=-0.04, norm=1.1), "the posterior of z_0 is wider than the prior"),
])
def test_what_is_not_isometric_is_not_called_so(case, words):
    """Norms whose sum is right, and norms that are right on average over the data alone, among
    them.
    """
    good = convergence.judge(stationarity(4, 5000), KNOWN, AT_REST)
    assert words in summary(good, isometry(**case)).splitlines()[1]


def test_the_share_that_is_said_is_the_one_that_was_measured():
    """Length errors of sizes drawn at random: the per cent in the words bounds the largest part,
    and is within one of it.
    """
    good, rng = convergence.judge(stationarity(4, 5000), KNOWN, AT_REST), np.random.default_rng(0)
    for _ in range(200):
        off, spread, cosine, unexplained = rng.uniform(0, 0.09, 4)
        made = isometry(2, norm=0.96 * (1 + off), norm_std=0.96 * spread, cosine=cosine,
                        unexplained=unexplained)
        largest = 100 * max(np.hypot(off, spread) / 2, cosine, unexplained)
        said = int(
            summary(good, made).splitlines()[1].removeprefix("Embedding: isometric to ").split()[0])
        assert largest <= said + 1e-6 and said <= largest + 1


def test_the_third_line_agrees_with_the_first():
    few, hints = convergence.judge(stationarity(4, 200), KNOWN), convergence.judge(
        stationarity(4, 2000, deviation=1.0))
    for said in (few, hints):
        assert "no sign against convergence" not in summary(said, isometry())
    assert hints.hints
    good = convergence.judge(stationarity(4, 5000), KNOWN, AT_REST)
    assert "no sign against convergence" in summary(good, isometry())
    assert "neither the balance nor the norms" in summary(few, isometry(beta_found=True))
    assert "which the posterior contradicts" in summary(few, isometry(beta_differs=True))


def test_losses_that_are_not_finite_come_first():
    """Moments may be in order where the distortion is not: the gradient is blind to tf.where."""
    said = convergence.judge(stationarity(4, 5000), KNOWN, AT_REST,
                             losses={"the rate": 3.0, "the distortion": math.nan})
    assert convergence.health(said, 0, 3.0).startswith("NOT FINITE: the distortion is not finite")


def pair(first=None, head=None):
    layers = tf.keras.layers
    encoder = tf.keras.Sequential(
        [layers.Input((4, )), layers.Dense(8, "tanh"), head or layers.Dense(4)])
    decoder = tf.keras.Sequential(
        [layers.Input((2, )), first or layers.Dense(8, "tanh"),
         layers.Dense(4)])
    return encoder, decoder


def test_the_conditions_of_the_papers_networks_hold():
    for made in (networks.toy(), networks.celeba(), networks.mnist(10)):
        found = conditions.conditions_of(*made)
        assert found.moments is True and found.balance is True


def test_the_conditions_of_other_networks():
    layers = tf.keras.layers
    for first, says in ((layers.Dense(8, use_bias=False), "no bias"), (layers.Reshape(
        (1, 2)), "not a Dense"), (layers.LayerNormalization(), "not a Dense"), (layers.Dense(
            8, trainable=False), "not trained")):
        decoder = tf.keras.Sequential(
            [layers.Input((2, )), first,
             layers.Flatten(), layers.Dense(4)])
        found = conditions.conditions_of(pair()[0], decoder)
        assert found.moments is False and says in found.moments_why and "decoder" in found.moments_why
        assert found.balance is True
    for head in (layers.Dense(4, use_bias=False), layers.Dense(
            4, "tanh"), layers.Dense(4, bias_constraint="non_neg")):
        found = conditions.conditions_of(*pair(head=head))
        assert found.moments is False and found.balance is False and "head of the encoder" in found.balance_why
    # The next layer is the first with weights.
    assert conditions.conditions_of(*pair(layers.Dropout(0.0))).moments is True
    # In training, a shift of z is then no shift of its product.
    dropped = conditions.conditions_of(*pair(layers.Dropout(0.5)))
    assert dropped.moments is False and "drops parts of z in training" in dropped.moments_why
    unknown = conditions.conditions_of(lambda x: x, object())
    assert unknown.moments is None and unknown.balance is None


def test_the_conditions_of_the_keras_documentations_encoder():
    """Two heads and a sampling layer; a decoder of Dense, Reshape, transposed convolutions; and
    nested models.
    """
    layers = tf.keras.layers
    x = layers.Input((8, 8, 1))
    hidden = layers.Dense(16, "relu")(layers.Flatten()(layers.Conv2D(4, 3, 2, "same",
                                                                     activation="relu")(x)))
    mean, log_variance = layers.Dense(2, name="z_mean")(hidden), layers.Dense(
        2, name="z_log_var")(hidden)
    sample = layers.Lambda(
        lambda both: both[0] + tf.exp(0.5 * both[1]) * tf.random.normal(tf.shape(both[0])))(
            [mean, log_variance])
    encoder = tf.keras.Model(x, [mean, log_variance, sample])
    decoder = tf.keras.Sequential([
        layers.Input((2, )),
        layers.Dense(64, "relu"),
        layers.Reshape((4, 4, 4)),
        layers.Conv2DTranspose(1, 3, 2, "same", activation="sigmoid")
    ])
    assert conditions.conditions_of(encoder, decoder).moments is True
    z = layers.Input((2,))
    convolved = layers.Conv2DTranspose(1, 8)(layers.Reshape((1, 1, 2))(z))
    assert conditions.conditions_of(encoder, tf.keras.Model(z, convolved)).moments is False
    joined = tf.keras.Model(x, layers.Concatenate()([mean, log_variance]))
    assert conditions.conditions_of(joined, tf.keras.Sequential([layers.Input((2, )),
                                                                 decoder])).moments is True
    clipped = tf.keras.Model(
        x, [mean, layers.Lambda(lambda v: tf.clip_by_value(v, -5, 5))(log_variance)])
    assert conditions.conditions_of(clipped, decoder).balance is False


@pytest.mark.parametrize(
    "order", ["z_log_var z_mean", "z z_mean z_log_var", "z_mean z_log_var z", "z_mean z_log_var"])
@pytest.mark.parametrize("free", ["z_mean", "z_log_var"])
def test_the_conditions_are_those_of_the_heads_that_are_measured(order, free):
    """By name, as `as_autoencoder` reads them: the log-variance head alone decides about the
    balance, wherever it stands.
    """
    layers = tf.keras.layers
    x = layers.Input((4,))
    heads = {
        name: layers.Dense(2, name=name, use_bias=name == free)(x)
        for name in ("z_mean", "z_log_var")
    }
    heads["z"] = layers.Lambda(tf.add_n, name="z")(list(heads.values()))
    encoder = tf.keras.Model(x, [heads[name] for name in order.split()])
    decoder = pair()[1]
    for made in (conditions.conditions_of(
            encoder, decoder), conditions.of_model(as_autoencoder((encoder, decoder), "sse", 1.0))):
        assert made.balance is (free == "z_log_var") and made.moments is False
    other = as_autoencoder((encoder, decoder), "sse", 1.0, encoder_outputs=("z_log_var", "z_mean"))
    assert conditions.of_model(other).balance is (free == "z_mean")


@pytest.mark.parametrize("scale, holds", [("log_variance", True), ("log_scale", True),
                                          ("variance", False), ("scale", False)])
def test_the_balance_is_that_of_a_bias_of_logarithms(scale, holds):
    """E[eps sigma dD/dz] = beta E[1 - sigma^2] is d/dc of the loss under sigma -> exp(c) sigma, not
    under sigma -> sigma + c.
    """
    for model in (as_autoencoder(pair(), "sse", 1.0,
                                 scale=scale), tfisovae.VAE(*pair(), "sse", 1.0, scale=scale)):
        made = conditions.of_model(model)
        assert made.balance is holds and made.moments is True


def test_conditions_are_unknown_where_the_heads_are():
    layers = tf.keras.layers
    x = layers.Input((4,))
    encoder = tf.keras.Model(x, {name: layers.Dense(2, name=name)(x) for name in ("a", "b", "c")})
    made = conditions.conditions_of(encoder, pair()[1])
    assert made.balance is None and made.moments is None and "which outputs of the encoder" in made.balance_why
    assert conditions.conditions_of(encoder, pair()[1], ("b", "c")).balance is True


def test_where_the_conditions_fail_it_is_a_hint():
    """x from N(2, 1), lmbda 10, decoder b z without bias: the optimum has mu = .44497 x and E[mu] =
    .8899, which is no failure.
    """
    def loss(parameters):
        gain, shift, b, log_variance = parameters  # mu = gain x + shift
        variance, mu = np.exp(log_variance), 2 * gain + shift
        distortion = (2 - b * mu) ** 2 + (1 - b * gain) ** 2 + b**2 * variance
        return 10 * distortion + (mu**2 + gain**2 + variance - log_variance - 1) / 2

    optimum = scipy.optimize.minimize(loss, [0.5, 0.1, 2.0, -3.0], tol=1e-14).x
    np.testing.assert_allclose(optimum[:2], [0.44497, 0], atol=1e-4)
    x = 2 + np.random.default_rng(0).standard_normal([4000, 1])
    mu = 0.44497 * x
    measured = dataclasses.replace(stationarity(1, 4000), latent_mean=Moments.of(mu),
                                   latent_second_moment=Moments.of(mu**2 + np.exp(optimum[3])))
    _, decoder = pair(tf.keras.layers.Dense(8, use_bias=False))
    where = conditions.conditions_of(pair()[0], decoder)
    said = convergence.judge(measured, where)
    assert not said.alarms and checks.MEAN in {c.name for c in said.hints}
    assert "NOT CONVERGED" not in convergence.health(
        said) and "E[mu] of z_0 is 0.8" in convergence.health(said)
    assert "has no bias" in convergence.health(said)
    assert convergence.judge(measured, KNOWN).alarms


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
    assert balance.result_standard_error == pytest.approx(jackknife, rel=0.01)
    assert balance.strong.all()


@pytest.mark.parametrize("p_value, alarm", [(0.024, True), (0.026, False)])
def test_the_whole_network_has_half_of_the_false_alarms(p_value, alarm):
    """However many dimensions there are: one number of the whole network is not drowned by 3 n of
    them.
    """
    gradient = dataclasses.replace(AT_REST, squared_norm=1.0, noise_scale=10.0,
                                   p_value=p_value / checks.GRADIENT_CAUTION)
    assert convergence.judge(stationarity(64, 5000), KNOWN, gradient,
                             losses={"the rate": 1.0}).unfinished == alarm
    assert convergence.judge(None, None,
                             dataclasses.replace(
                                 gradient, p_value=0.049 / checks.GRADIENT_CAUTION)).unfinished


def test_both_together_have_no_more_false_alarms():
    """400 data sets of 8 exponential dimensions, with a gradient whose p-value is uniform."""
    rng, alarms = np.random.default_rng(5), 0
    for seed in range(400):
        gradient = dataclasses.replace(AT_REST, squared_norm=1.0,
                                       p_value=rng.uniform() / checks.GRADIENT_CAUTION)
        alarms += convergence.judge(stationarity(8, 300, "exponential", seed=seed), KNOWN,
                                    gradient).unfinished
    assert 0.01 * 400 < alarms <= scipy.stats.binom.isf(0.003, 400, checks.LEVEL)
