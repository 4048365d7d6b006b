"""Gradients of blocks and the test of their mean: null distributions, unbiased sizes, networks at
rest and not.
"""
import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from results import verdict as simulated
from tests.messages import refuses
from tfisovae import networks
from tfisovae.analysis import conditions, mean_gradient
from tfisovae.autoencoder import autoencoder
from tfisovae.metrics.measurement import measure
from tfisovae.vae.batch import Mode
from tfisovae.verdict import ReasonKind, State, checks, tests_of_means
from tfisovae.verdict.model_words import why

LMBDA = 25.0
# Deviations of a gradient: a few directions hold nearly all noise.
STEEP = np.concatenate([[100.0, 50, 20], np.ones(400)])


def blocks(rng, mean, count=32):
    draw = rng.standard_normal((count, len(STEEP)))
    return draw * STEEP + mean


def test_a_mean_of_0_is_rarely_found():
    """100 data sets: at the 5 % and the 20 % level at most three errors more. The test averages
    over halves and is conservative, yet not blind.
    """
    rng, found = np.random.default_rng(0), []
    for _ in range(100):
        g = blocks(rng, 0.0)
        found.append(tests_of_means.mean_gradient(g @ g.T, 320, num_splits=10).p_value)
    for level in (0.05, 0.2):
        assert np.mean(np.array(found) <= level) < level + 3 * math.sqrt(level * (1 - level) / 100)
    assert 0.3 < np.median(found) < 0.7  # t has mean 0


@pytest.mark.parametrize("kind", simulated.FEATURES)
def test_gradients_of_optimal_models_on_data_that_are_not_smooth(kind):
    """20 data sets of 4,096 examples: at most 3 alarms, which has probability .98 at 5 %. With
    Gaussians all are decided.
    """
    rng, alarms, undecided = np.random.default_rng(8), 0, 0
    for _ in range(20):
        g = simulated.gradients(simulated.features(kind, 4096, rng), rng)
        g = g.reshape(64, 64, -1).mean(1)
        check, = checks.checks(None, gradient=tests_of_means.mean_gradient(g @ g.T, 4096, 10))
        alarms += check.decided and check.p_value < 0.05
        undecided += not check.decided
    assert alarms <= 3
    assert not undecided or kind != "gaussian"


def test_its_size_and_its_noise_are_without_bias():
    """K blocks of 10 examples: E|g|^2 = |mean|^2, and the noise of an example is 10 times that of a
    block.
    """
    rng, mean = np.random.default_rng(1), np.full(len(STEEP), 3.0)
    found = [
        tests_of_means.mean_gradient(g @ g.T, 320, num_splits=1)
        for g in (blocks(rng, mean) for _ in range(400))
    ]
    squared = np.array([one.squared_norm for one in found])
    assert abs(squared.mean() - mean @ mean) < 3 * squared.std() / 20
    assert np.mean([one.noise for one in found]) == pytest.approx(10 * np.sum(STEEP**2), rel=0.05)
    null = [
        tests_of_means.mean_gradient(g @ g.T, 320, num_splits=1)
        for g in (blocks(rng, 0.0) for _ in range(400))
    ]
    assert np.mean([one.standard_error for one in null]) == pytest.approx(
        np.std([one.squared_norm for one in null]), rel=0.15)


def test_whitening_finds_what_steep_directions_hide():
    """A mean of .5 in the flat directions, whose noise is 1, is far below the noise of the steep
    ones.
    """
    rng = np.random.default_rng(2)
    mean = 0.5 * (STEEP == 1)
    g = blocks(rng, mean, 64)
    found = tests_of_means.mean_gradient(g @ g.T, 640)
    assert abs(found.squared_norm) < 2 * found.standard_error
    assert found.p_value < 1e-3


def test_limits():
    with refuses(ValueError):
        tests_of_means.mean_gradient(np.eye(7), 70)
    assert tests_of_means.mean_gradient(np.zeros([9, 9]), 90).p_value == 1
    assert math.isnan(tests_of_means.mean_gradient(np.full([9, 9], np.nan), 90).p_value)


def optimal(make_linear_vae, x, off=0.0):
    """The optimum for the data's own variances along the axes (`theory.LinearVAE`), with the
    decoder's gains off by a factor.
    """
    variances, h = np.mean(x**2, 0), 1 / LMBDA / 2
    gain = np.sqrt(variances - h)
    return make_linear_vae(np.diag(gain / variances), np.diag(gain * (1 + off)),
                           np.sqrt(h / variances), LMBDA)


def whitened_data(count=2000):
    """Uncorrelated columns of mean 0 exactly."""
    x = np.random.default_rng(3).standard_normal((count, 3))
    x -= x.mean(0)
    return (np.linalg.svd(x, full_matrices=False)[0] * math.sqrt(count) * [1, 3, 2]).astype(
        np.float32)


def test_an_optimum_is_at_rest_and_its_neighbour_is_not(make_linear_vae):
    x = whitened_data()
    rest, off = (mean_gradient.block_gradients(optimal(make_linear_vae, x, by), x).mean_gradient()
                 for by in (0.0, 0.02))
    assert rest.p_value > 0.01 and abs(rest.squared_norm) < 3 * rest.standard_error
    assert off.p_value < 1e-3 and off.squared_norm > 3 * off.standard_error


def constrained(make_linear_vae, x, kind):
    """The optimum of the linear VAE behind a layer that best is the identity, but for what a
    constraint holds.
    """
    vae = optimal(make_linear_vae, x)
    # x_hat (beta + gamma |x_hat|) wants gamma below 0: noise makes x_hat too long already.
    if kind == "gdn":
        last = networks.GDN(inverse=True)
    else:  # of two columns of opposite signs one is to be 0
        last = tf.keras.layers.Dense(
            3, kernel_constraint=None if kind == "free" else tf.keras.constraints.NonNeg())
    shaped = [tf.keras.layers.Reshape((1, 1, 3)), last, tf.keras.layers.Reshape((3,))]
    decoder = tf.keras.Sequential([*vae.decoder.layers, *shaped])
    decoder.build((None, 3))
    if kind == "gdn":
        gamma, = (weight for weight in last.trainable_weights if "gamma" in weight.name)
        gamma.assign(tf.zeros([3, 3]))
    else:
        last.set_weights([np.eye(3), np.zeros(3)])
    return tfisovae.VAE(vae.encoder, decoder, "sse", LMBDA)


def test_what_a_constraint_holds_is_left_out(make_linear_vae, monkeypatch):
    """At a constrained optimum the mean gradient is not 0, and is found not to be, if its
    components there are not left out.
    """
    x = whitened_data()
    vae = constrained(make_linear_vae, x, "gdn")
    rest = mean_gradient.block_gradients(vae, x)
    assert rest.num_weights == sum(w.shape.num_elements() for w in vae.trainable_variables) - 9
    assert rest.mean_gradient().p_value > 0.01
    monkeypatch.setattr(mean_gradient, "held",
                        lambda weights: [np.zeros(w.shape, bool) for w in weights])
    assert mean_gradient.block_gradients(vae, x).mean_gradient().p_value < 1e-3


def test_which_components_are_held(make_linear_vae, tmp_path):
    x = whitened_data(200)
    for kind, count in (("gdn", 9), ("non_negative", 6), ("free", 0)):
        vae = constrained(make_linear_vae, x, kind)
        vae.save(tmp_path / kind)
        loaded = tfisovae.as_autoencoder(str(tmp_path / kind))
        for model in (vae, tfisovae.as_autoencoder((vae.encoder, vae.decoder), "sse",
                                                   1 / LMBDA), *[loaded] * (kind == "gdn")):
            assert sum(
                some.sum() for some in mean_gradient.held(mean_gradient.weights_of(model))) == count
    unit, free = tf.Variable([3.0], constraint=tf.keras.constraints.UnitNorm()), tf.Variable(0.0)
    found = mean_gradient.held([unit, free])
    assert found[0].all() and found[1].shape == () and not found[1]
    with refuses(ValueError, "weights"):
        mean_gradient.block_gradients(vae, x, [unit])


def test_parameters_of_gdn_are_held_at_their_bounds_alone(tfc):
    """All four of tensorflow-compression's, at their bounds, below, and a little above."""
    layer = tfc.GDN(alpha_parameter=None, epsilon_parameter=None)
    layer.build((None, 1, 1, 2))
    for name, minimum in (("alpha", 1.0), ("beta", 1e-6), ("gamma", 0.0), ("epsilon", 1e-6)):
        parameter = getattr(layer, f"{name}_parameter")
        assert parameter.minimum == minimum
        shape = parameter.variable.shape
        for value, expected in ((minimum, True), (minimum / 2, True), (1.1 * minimum + 1e-9,
                                                                       False)):
            parameter.variable.assign(tf.fill(shape, tf.sqrt(value + parameter.offset**2)))
            assert (mean_gradient.held([parameter.variable])[0] == expected).all(), (name, value)


def test_a_scalar_weight(make_linear_vae):
    """Of a decoder with a gain that is one number: its gradient is one component more."""
    x = whitened_data(200)
    vae = optimal(make_linear_vae, x)
    gain = tf.Variable(1.0)
    bare = autoencoder.Autoencoder(vae.encode, lambda z: gain * vae.decode(z), vae.distortion,
                                   vae.beta)
    found = mean_gradient.block_gradients(bare, x, [*vae.trainable_variables, gain])
    assert found.num_weights == mean_gradient.block_gradients(vae, x).num_weights + 1


def test_blocks_add_up_to_the_whole_gradient(make_linear_vae):
    """Batches that do not divide the data, over more batches than blocks: 1^T M 1 / K^2 is |g|^2 of
    all examples.
    """
    x = whitened_data(530)
    vae = optimal(make_linear_vae, x, 0.1)
    data = tf.data.Dataset.from_tensor_slices(x).batch(40)
    found = mean_gradient.block_gradients(vae, data, num_blocks=9)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(measure(vae, x).objective)
    whole = np.concatenate(
        [g.numpy().ravel() for g in tape.gradient(loss, vae.trainable_variables)])
    assert found.gram.sum() / 9**2 == pytest.approx(whole @ whole, rel=1e-4)
    assert (found.num_examples, found.num_weights, len(found.gram)) == (530, len(whole), 9)


def test_folding_is_linear_and_keeps_lengths(monkeypatch):
    """Of 300,000 numbers to 1,000, over vectors with a common part: inner products to 1 /
    sqrt(1000) of the lengths.
    """
    monkeypatch.setattr(mean_gradient, "_KEPT", 1000)
    rng = np.random.default_rng(4)
    signs = rng.choice(np.array([-1, 1], np.int8), 300_100)
    a = rng.standard_normal(300_100)
    b = a + rng.standard_normal(300_100)
    f, g = mean_gradient._folded(a, signs), mean_gradient._folded(b, signs)
    assert f.shape == (1000,)
    np.testing.assert_allclose(mean_gradient._folded(2 * a - b, signs), 2 * f - g, atol=1e-9)
    np.testing.assert_allclose([f @ f, f @ g], [a @ a, a @ b], rtol=0.15)


def test_weights_of_any_functions(make_linear_vae):
    """An `Autoencoder` has none of its own; those of the VAE behind it do the same."""
    x = whitened_data(200)
    vae = optimal(make_linear_vae, x)
    bare = autoencoder.Autoencoder(vae.encode, vae.decode, vae.distortion, vae.beta)
    with refuses(ValueError, "weights"):
        mean_gradient.block_gradients(bare, x)
    with refuses(ValueError):
        mean_gradient.block_gradients(bare, x, [tf.Variable([1.0])])
    with refuses(ValueError):
        mean_gradient.block_gradients(vae, tf.data.Dataset.from_tensor_slices(x).batch(100))
    own, given = mean_gradient.block_gradients(vae, x), mean_gradient.block_gradients(
        bare, x, vae.trainable_variables)
    np.testing.assert_allclose(given.gram, own.gram, rtol=1e-5)


def history(rng, rows, fall=0.0, correlation=0.0, deviation=0.01):
    noise = rng.standard_normal(rows)
    for row in range(1, rows):
        noise[row] = correlation * noise[row - 1] + math.sqrt(1 - correlation**2) * noise[row]
    return np.arange(1, rows + 1) * 100, 8 - fall * np.arange(rows) / rows + deviation * noise


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.8, 0.95])
def test_a_loss_at_rest_falls_in_five_per_cent(correlation):
    """Of 90 rows, the last 30, and three binomial deviations; of rows that are alike, most
    histories are not decided.
    """
    rng = np.random.default_rng(5)
    found = [tests_of_means.loss_fall(*history(rng, 90, correlation=correlation))
             for _ in range(300)]
    assert np.mean([one.p_value < 0.05 for one in found]) < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)
    undecided = np.mean([not one.decided for one in found])
    assert undecided < 0.3 if not correlation else correlation < 0.8 or undecided > 0.8


def test_random_walks_fall_throughout_as_rarely_as_their_p_value_says():
    """Of 5,000 walks, within 3.5 binomial deviations; of white noise hardly any."""
    noise = np.random.default_rng(9).standard_normal((5000, 180))
    p = tests_of_means._monotone(-np.arange(180.0))
    found = np.mean([tests_of_means._monotone(walk) == p for walk in np.cumsum(noise, 1)])
    assert found == pytest.approx(p, abs=3.5 * math.sqrt(p * (1 - p) / 5000))
    assert np.mean([tests_of_means._monotone(rows) == p for rows in noise]) < 0.001


def test_a_bent_fall_is_no_noise():
    """3.07 nats, exponentially, over the last 30 rows: found each time with noise of .002, and
    nearly each time with .2.
    """
    rng, steps = np.random.default_rng(8), np.arange(1, 91) * 100
    bent = np.concatenate([np.zeros(60), np.exp(-np.arange(30) / 10) - 1]) * 3.07 / 0.945
    for noise, least in ((0.002, 1.0), (0.2, 0.8)):
        found = [tests_of_means.loss_fall(steps, 8 + bent + noise * rng.standard_normal(90))
                 for _ in range(50)]
        assert np.mean([one.p_value < 0.05 and one.decided for one in found]) >= least
        assert all(one.fall > 2 for one in found)


def test_a_falling_loss_is_seen():
    """.3 nats over all steps are .1 over the last third, but for the last row, with noise of .01.
    """
    found = tests_of_means.loss_fall(*history(np.random.default_rng(6), 90, fall=0.3))
    assert found.fall == pytest.approx(0.3 * 29 / 90, abs=3 * found.standard_error)
    assert found.p_value < 1e-4 and found.num_rows == 30 and (found.first_step,
                                                              found.last_step) == (6100, 9000)
    exact = tests_of_means.loss_fall(*history(np.random.default_rng(6), 90, fall=0.3, deviation=0))
    assert exact.fall == pytest.approx(0.3 * 29 / 90, rel=1e-9)


def test_spikes_do_not_hide_a_fall():
    """Two rows of 30 that are 40 times the fall off, as at a constant rate; without any, nothing is
    changed.
    """
    steps, losses = history(np.random.default_rng(6), 90, fall=0.3)
    plain = tests_of_means.loss_fall(steps, losses)
    t, y = steps[60:], losses[60:]
    assert plain.fall == pytest.approx(-np.polyfit(t, y, 1)[0] * (t[-1] - t[0]), rel=1e-9)
    assert plain.loss == pytest.approx(np.polyval(np.polyfit(t, y, 1), t[-1]), rel=1e-9)
    losses[[66, 76]] += 4
    spiked = tests_of_means.loss_fall(steps, losses)
    assert spiked.fall == pytest.approx(plain.fall,
                                        abs=3 * spiked.standard_error) and spiked.p_value < 1e-2


def test_a_short_or_broken_history():
    assert tests_of_means.loss_fall([], []) is None
    assert tests_of_means.loss_fall(*history(np.random.default_rng(7), 15)) is None
    steps, losses = history(np.random.default_rng(7), 90)
    losses[-2] = np.nan
    assert math.isnan(tests_of_means.loss_fall(steps, losses).fall)
    with refuses(ValueError):
        tests_of_means.loss_fall([1, 2], [1])


@pytest.fixture(scope="module")
def gaussian():
    return (np.random.default_rng(0).standard_normal((4000, 3)) * [2, 0.5, 0.3]).astype(np.float32)


def trained(x, kind):
    """A linear VAE of one variable, but for what its `kind` says, trained to rest on all examples
    at once.
    """
    layers, l2 = tf.keras.layers, tf.keras.regularizers.L2(0.3)
    tf.keras.utils.set_random_seed(1)
    encoder = [layers.Input((3,))] + [layers.Dropout(0.2)] * (kind == "encoder") + [layers.Dense(2)]
    hidden = [layers.Dense(8), layers.Dropout(0.2)] if kind == "decoder" else []
    last = layers.Dense(3, kernel_regularizer=l2 if kind == "weights" else None,
                        activity_regularizer=l2 if kind == "outputs" else None)
    decoder = tf.keras.Sequential([layers.Input((1,)), *hidden, last])
    vae = tfisovae.VAE(tf.keras.Sequential(encoder), decoder, "sse", 10.0)
    vae.compile(tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(5e-2, 2000)),
                resident=False)
    vae.fit(tf.data.Dataset.from_tensors(x).repeat(2000), verbose=0)
    return vae


@pytest.mark.slow
@pytest.mark.parametrize("kind, moments, balance", [("encoder", False, False),
                                                    ("decoder", True, False),
                                                    ("weights", False, True),
                                                    ("outputs", False, False)])
def test_networks_that_are_trained_otherwise_than_measured_are_no_alarm(
        gaussian, kind, moments, balance):
    """With dropout, or losses of their own: at rest by the loss that they were trained with, and
    not by that of measuring.

    Of a `VAE` the gradient is that of its loss; of the networks alone, or with moments and balances
    that need not hold, what stands out is a hint at most.
    """
    vae = trained(gaussian, kind)
    made = tfisovae.analyze(vae, gaussian)
    assert (made.conditions.moments, made.conditions.balance,
            made.conditions.gradient) == (moments, balance, True)
    found = mean_gradient.block_gradients(vae, gaussian).mean_gradient()
    assert found.p_value > 0.02
    assert not made.judge(found).unfinished, made.health(gradient=found)
    bare = tfisovae.as_autoencoder((vae.encoder, vae.decoder), "sse", 0.1)
    other = mean_gradient.block_gradients(bare, gaussian).mean_gradient()
    assert other.p_value < 1e-3
    alone = tfisovae.analyze(bare, gaussian)
    judged = alone.judge(other)
    assert alone.conditions.gradient is False and judged.state is State.NOT_JUDGED
    assert checks.GRADIENT in [reason.check for reason in judged.of(ReasonKind.HINT)]
    within = alone.judge(dataclasses.replace(other, p_value=1.0))
    assert within.state is not State.CONVERGED


def test_the_training_objective_is_the_loss_of_fit(gaussian):
    """With what regularizers add to it."""
    layers = tf.keras.layers
    decoder = tf.keras.Sequential(
        [layers.Input((2, )),
         layers.Dense(3, kernel_regularizer=tf.keras.regularizers.L2(3.0))])
    vae = tfisovae.VAE(tf.keras.Sequential([layers.Input((3, )),
                                            layers.Dense(4)]), decoder, "sse", 10.0)
    vae.compile("sgd")
    reported = vae.evaluate(gaussian[:32], verbose=0, return_dict=True)["loss"]
    assert np.mean(vae.training_objective(gaussian[:32])) == pytest.approx(reported, rel=1e-5)
    assert np.mean(measure(vae, tf.constant(gaussian[:32])).objective) < reported - 0.1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_the_gradient_of_networks_that_train_in_16_bits_is_that_of_training(gaussian, policy):
    """Their optimum is not that of float32, in which everything else is measured."""
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        pair = networks.toy(2, 3)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    vae, x = tfisovae.VAE(*pair, "sse", 10.0), tf.constant(gaussian[:64])
    trained, measured = (measure(Mode(vae, training), x, 0, 0).objective.numpy()
                         for training in (True, False))
    assert (trained != measured).any()
    np.testing.assert_array_equal(vae.training_objective(x), trained)
    np.testing.assert_array_equal(vae.measure(x).objective, measured)
    assert conditions.of_model(vae).gradient is True
    alone = conditions.of_model(tfisovae.as_autoencoder(pair, "sse", 0.1))
    narrow = policy.removeprefix("mixed_")
    assert alone.gradient is False
    assert (f"computes in {narrow} in training, and in float32 in measurements"
            in why(alone.gradient_why))
    assert alone.balance is True and alone.moments is conditions.of_model(vae).moments
