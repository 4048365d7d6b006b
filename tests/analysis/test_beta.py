"""beta found in trained models: exact linear VAEs, error rates over many seeds, and what cannot be
told.
"""
import re
import types

import numpy as np
import pytest
import tensorflow as tf

from tests.messages import refuses
from tfisovae import BetaEstimate, as_autoencoder, distortions, estimate_beta, theory
from tfisovae.autoencoder.posterior import Posterior
from tfisovae.verdict import model_words


def autoencoder(encode, decode, distortion, decomposed=False):
    """Whatever has the five attributes; its beta is not known."""
    return types.SimpleNamespace(encode=encode, decode=decode,
                                 distortion=distortions.get(distortion), beta=None,
                                 decomposed=decomposed)


def linear(variance, beta, **kwargs):
    """The optimal linear VAE of x from N(0, diag(variance)) for the sum of squares."""
    optimum = theory.LinearVAE(np.asarray(variance, np.float64), beta)
    a, b, scale = (np.asarray(v, np.float32)
                   for v in (optimum.encoder_gain, optimum.decoder_gain, optimum.scale))
    return autoencoder(lambda x: Posterior(a * x, tf.broadcast_to(scale, tf.shape(x))),
                       lambda z: b * z, "sse", **kwargs)


def gaussian(num_examples, variance, seed=0):
    x = np.random.default_rng(seed).standard_normal((num_examples, len(variance)))
    return (x * np.sqrt(variance)).astype(np.float32)


def batched(x, size):
    return tf.data.Dataset.from_tensor_slices(x).batch(size)


def test_an_optimal_linear_vae_gives_its_beta_in_each_dimension():
    """The fourth dimension has collapsed: its variance is below beta / 2."""
    variance = [3.0, 1.0, 0.3, 0.04]
    made = estimate_beta(linear(variance, 0.1), gaussian(4000, variance))
    np.testing.assert_array_equal(made.strong, [True, True, True, False])
    assert np.isnan(made.values[3]) and np.isnan(made.errors[3])
    assert np.all(np.abs(made.values[:3] - 0.1) < 4 * made.errors[:3])
    assert abs(made.value - 0.1) < 4 * made.error
    assert made.error < 0.001  # 1 % on 4,000 examples
    assert made.num_examples == 4000
    np.testing.assert_allclose(made.kl, theory.LinearVAE(variance, 0.1).rate, rtol=0.05, atol=1e-6)
    assert not made.differs_from(0.1) and made.differs_from(0.11) and made.differs_from(0.09)


def test_the_decomposed_loss_of_a_linear_vae_is_in_balance_in_every_example():
    """Measured from x_check, the noise's work is 2 b^2 sigma^2 eps^2 = beta (1 - sigma^2) eps^2 and
    sums of Gamma's off-diagonals, which a diagonal decoder has not: no noise is left, and beta is
    exact on ten examples.
    """
    variance = [3.0, 1.0]
    made = estimate_beta(linear(variance, 0.1, decomposed=True), gaussian(10, variance))
    np.testing.assert_allclose([made.value, *made.values], 0.1, rtol=1e-5)
    assert made.error < 1e-6


def test_beta_comes_in_the_unit_of_the_distortion():
    """In the mean of squares over 2 entries it is half that of the sum; twice the likelihood's
    variance, it is 1.
    """
    variance = [3.0, 1.0]
    model, x = linear(variance, 0.1), gaussian(200, variance)
    by_sum = estimate_beta(model, x).value
    for distortion, factor in (("mse", 0.5), (distortions.GaussianNLL(0.05), 10.0)):
        other = autoencoder(model.encode, model.decode, distortion)
        assert estimate_beta(other, x).value == pytest.approx(factor * by_sum, rel=1e-5)


def test_batches_do_not_matter():
    """Noise is addressed by the example's number: unequal batches, data sets and arrays give one
    estimate; the seed another.
    """
    variance = [3.0, 1.0]
    model, more = linear(variance, 0.1), gaussian(300, variance)
    x = more[:230]
    whole = estimate_beta(model, x)
    for other in (estimate_beta(model, batched(x, 64)), estimate_beta(model, batched(x, 230)),
                  estimate_beta(model, more, num_examples=230)):
        np.testing.assert_allclose([other.value, other.error, *other.values],
                                   [whole.value, whole.error, *whole.values], rtol=1e-5)
    assert estimate_beta(model, x, seed=1).value != pytest.approx(whole.value, rel=1e-5)


def test_replicas_do_not_matter():
    """An odd batch is split unevenly over two."""
    model, x = linear([3.0, 1.0], 0.1), gaussian(99, [3.0, 1.0])
    one = estimate_beta(model, x)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        two = estimate_beta(model, x)
    np.testing.assert_allclose([two.value, two.error, *two.kl], [one.value, one.error, *one.kl],
                               rtol=1e-6)


def test_a_vae_of_the_package_is_measured_by_its_attributes(make_linear_vae):
    optimum = theory.LinearVAE(1.0, 0.1)
    vae = make_linear_vae([[optimum.encoder_gain]], [[optimum.decoder_gain]], [optimum.scale],
                          lmbda=10)
    made = estimate_beta(vae, gaussian(1000, [1.0]))
    assert abs(made.value - 0.1) < 4 * made.error
    assert np.isnan(made.spread)


# ---- what the errors are worth ----

def sums(work, target):
    """What `from_sums` takes, of strong dimensions: `[N, n]` twice."""
    both = np.concatenate([work, target], 1)
    return len(work), np.ones(work.shape[1]) * len(work), both.sum(0), both.T @ both


def draw(num_examples, betas, rng, kind="normal", noise_in_target=True):
    """The balance's two sides at the optimum of linear VAEs, variances from .3 to 30 at beta .1,
    scaled to have these betas.
    """
    n, h = len(betas), 0.05
    v = np.geomspace(0.3, 30, n)
    size = (num_examples, n)
    unit = {
        "normal": lambda: rng.standard_normal(size),
        "laplace": lambda: rng.laplace(size=size) / np.sqrt(2),
        "exponential": lambda: rng.exponential(size=size) - 1
    }[kind]()
    x, eps = unit * np.sqrt(v), rng.standard_normal(size)
    b, scale = np.sqrt(v - h), np.sqrt(h / v)
    work = eps * scale * 2 * b * (b * (b / v * x + scale * eps) - x) * np.asarray(betas) / 0.1
    return work, (eps**2 if noise_in_target else 1) * (1 - scale**2) * np.ones(size)


def test_sampling_errors_are_those_of_the_jackknife():
    """For each dimension; the combined one is without spread where the dimensions agree by
    construction (one, doubled).
    """
    work, target = draw(400, [0.1, 0.1, 0.1], np.random.default_rng(0))
    made = BetaEstimate.from_sums(*sums(work, target))
    left_out = (work.sum(0) - work) / (target.sum(0) - target)
    np.testing.assert_allclose(made.errors,
                               np.sqrt(399 / 400 * ((left_out - left_out.mean(0))**2).sum(0)),
                               rtol=0.01)
    np.testing.assert_allclose(made.values, work.sum(0) / target.sum(0), rtol=1e-9)
    twice = BetaEstimate.from_sums(*sums(work[:, [0, 0]], target[:, [0, 0]]))
    assert twice.spread == 0
    # The same data twice are not more data.
    assert twice.error == pytest.approx(made.errors[0], rel=1e-6)


@pytest.mark.parametrize("kind", ["normal", "laplace", "exponential"])
@pytest.mark.parametrize("n", [1, 2, 10])
def test_two_errors_hold_the_truth_and_false_alarms_are_rare(n, kind):
    """300 examples, 400 seeds: |value - beta| < 2 errors in at least 92 % (95 % expected, binomial
    deviation 1.1 %).
    """
    rng = np.random.default_rng(n)
    made = [BetaEstimate.from_sums(*sums(*draw(300, [0.1] * n, rng, kind))) for _ in range(400)]
    inside = np.mean([abs(m.value - 0.1) < 2 * m.error for m in made])
    assert inside > 0.92
    for error_rate in (0.05, 0.2):
        alarms = np.mean([m.differs_from(0.1, tolerance=0, error_rate=error_rate) for m in made])
        assert alarms < error_rate + 3 * np.sqrt(error_rate * (1 - error_rate) / 400)
    assert not any(m.differs_from(0.1) for m in made)
    # Two dimensions that agree may agree by chance: t with one degree of freedom.
    assert np.mean([m.differs_from(0.13) for m in made]) > (0.5 if n == 2 else 0.9)


@pytest.mark.parametrize("n", [2, 3, 10])
def test_the_interval_includes_the_spread_between_dimensions(n):
    """Balances that differ by 10 %, as in training that goes on: sampling's errors alone miss the
    mean in most cases; the interval in 5 %, with a binomial deviation of 1.1 %.
    """
    rng, inside, by_sampling, spreads, alarms = np.random.default_rng(0), [], [], [], []
    for _ in range(400):
        made = BetaEstimate.from_sums(*sums(*draw(1000, 0.1
                                                  * (1 + 0.1 * rng.standard_normal(n)), rng)))
        low, high = made.interval()
        inside.append(low < 0.1 < high)
        by_sampling.append(abs(made.value - 0.1) < 2 * np.sqrt(np.sum(made.errors**2)) / n)
        spreads.append(made.spread)
        alarms.append(made.differs_from(0.1))
    assert np.mean(inside) > 0.95 - 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.mean(by_sampling) < 0.5
    assert np.mean(alarms) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 400)
    assert np.sqrt(np.mean(np.square(spreads))) == pytest.approx(0.01, rel=0.15)


def test_noise_in_the_right_side_takes_away_most_of_the_left_sides():
    """At a linear optimum the relative deviation of w - beta u is that of sigma / sqrt(1 - sigma^2)
    eps, against sqrt(2).
    """
    rng = np.random.default_rng(0)
    with_noise = BetaEstimate.from_sums(*sums(*draw(20_000, [0.1] * 3, rng)))
    without = BetaEstimate.from_sums(*sums(*draw(20_000, [0.1] * 3, rng, noise_in_target=False)))
    variance = 0.05 / np.geomspace(0.3, 30, 3)
    per_root = 0.1 * np.sqrt(variance / (1 - variance) / 20_000)
    np.testing.assert_allclose(with_noise.errors, per_root, rtol=0.05)
    np.testing.assert_allclose(without.errors, np.sqrt(per_root**2 + 0.1**2 * 2 / 20_000),
                               rtol=0.05)


def test_noise_that_is_not_the_posteriors_is_not_called_a_want_of_training():
    """Trained with .01 of sigma, the optimum has 1e4 times as much work of the noise: the ratio is
    named, and what gives it. A ratio of 1.4 may come from training that goes on.
    """
    made = BetaEstimate.from_sums(*sums(*draw(1000, [1000.0] * 3, np.random.default_rng(0))))
    said = model_words.beta(made, 0.1)
    assert "times as large" in said and "about 0.01 of sigma" in said
    assert 0.99e4 < float(re.search(r"one, ([\d.e+]+) times", said)[1]) < 1.01e4
    assert "has not converged" not in said and "More training does not change" in said
    assert "training has not converged" in model_words.beta(made, 700.0)


# ---- what cannot be told ----

def test_a_collapsed_model_has_no_beta():
    x = gaussian(100, [1.0, 1.0])
    model = autoencoder(lambda x: Posterior(0 * x, 0 * x + 1), lambda z: 0 * z, "sse")
    with refuses(ValueError):
        estimate_beta(model, x)


def test_a_wrong_reading_of_the_scale_is_seen_where_it_is_impossible():
    """A scale above 1 in a dimension that carries information."""
    x = gaussian(100, [1.0, 1.0])
    with refuses(ValueError, "scale"):
        estimate_beta(autoencoder(lambda x: Posterior(x, 0 * x + 3), lambda z: z, "sse"), x)


def test_an_untrained_balance_is_not_called_a_beta():
    """A decoder that runs away from x: noise lowers the distortion on average."""
    work, target = draw(100, [-0.1], np.random.default_rng(0))
    with refuses(ValueError):
        BetaEstimate.from_sums(*sums(work, target))


def test_data_and_outputs_are_checked():
    model, x = linear([3.0, 1.0], 0.1), gaussian(100, [3.0, 1.0])
    bad = x.copy()
    bad[70, 0] = np.nan
    with refuses(ValueError, "x"):
        estimate_beta(model, bad)
    # Undefined where x is large; the gradient through tf.where does not see it.
    outside = np.arange(100) == 30
    x[30], x[:30] = [9, 9], x[:30] / 9
    broken = autoencoder(model.encode, lambda z: tf.where(tf.abs(z) > 3, np.nan, z), "sse")
    with pytest.raises(ValueError, match=f"outputs .* finite; example {int(np.argmax(outside))} "):
        estimate_beta(broken, x)
    with refuses(ValueError):
        estimate_beta(model, x, num_examples=200)
    with refuses(ValueError):
        estimate_beta(model, x[:1])
    with pytest.raises(TypeError, match="model must be a VAE, a pair.*got Sequential"):
        estimate_beta(tf.keras.Sequential(), x)
    with refuses(ValueError):
        estimate_beta(autoencoder(model.encode, model.decode, "bce"), x)


def test_comparing_checks_its_arguments_and_says_it_in_words():
    made = estimate_beta(linear([3.0, 1.0], 0.1), gaussian(300, [3.0, 1.0]))
    for arguments, argument in (((-1.0, ), "beta"), ((0.1, 1.5), "tolerance"),
                               ((0.1, 0.05, 0), "error_rate")):
        with refuses(ValueError, argument):
            made.differs_from(*arguments)
    assert "from 2 dimensions above 0.1 nats" in str(made) and "on 300 examples" in str(made)
    low, high = made.interval(0.05)
    lower, higher = made.interval(0.01)
    assert lower < low < made.value < high < higher


def test_decoders_without_derivatives():
    """NumPy functions give the beta that the same functions of tensors give, which have
    derivatives.
    """
    rng = np.random.default_rng(0)
    basis, x = np.linalg.qr(rng.normal(size=(5, 2)))[0].T.astype(
        np.float32), rng.normal(size=(300, 5)).astype(np.float32)

    def model(sin, constant):
        def encode(x):
            mean = x @ constant(0.9 * basis.T)
            return mean, 0 * mean - 2

        return as_autoencoder((encode, lambda z: (z + 0.1 * sin(z)) @ constant(basis)), "sse",
                              needs_beta=False)

    exact = estimate_beta(model(tf.sin, tf.constant), x)
    numerical = estimate_beta(model(np.sin, np.asarray), x)
    assert numerical.value == pytest.approx(
        exact.value, rel=1e-3) and numerical.error == pytest.approx(exact.error, rel=1e-2)


def test_a_large_latent_space_has_the_same_errors_without_products():
    """Sums of squares, and the examples themselves, in place of a matrix of `[2n, 2n]`."""
    rng, count, n = np.random.default_rng(0), 300, 8
    target = rng.chisquare(1, [count, n])
    work = 0.1 * target * rng.uniform(0.5, 1.5, [1, n]) + 0.1 * rng.standard_normal([count, n])
    work += 0.05 * rng.standard_normal([count, 1])  # dimensions are not independent
    both, kl = np.concatenate([work, target], 1), np.full(n, 1.0 * count)
    exact = BetaEstimate.from_sums(count, kl, both.sum(0), both.T @ both)
    squares = np.stack([(work**2).sum(0), (target**2).sum(0), (work * target).sum(0)])
    found = BetaEstimate.from_sums(count, kl, both.sum(0), squares, rows=both)
    for name in ("value", "error", "spread", "degrees_of_freedom", "values", "errors"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-9,
                                   err_msg=name)


def test_large_latent_spaces():
    """301 dimensions: by gradients; a decoder without derivatives is refused."""
    best, x = theory.LinearVAE(np.full(301, 2.0), 0.1), gaussian(60, np.full(301, 2.0))
    found = estimate_beta(linear(np.full(301, 2.0), 0.1), x, inspect=False)
    assert found.value == pytest.approx(0.1, rel=0.05) and found.strong.all()
    numpy_pair = (lambda x: (np.asarray(x) * best.encoder_gain, np.broadcast_to(
        best.scale, np.shape(x))), lambda z: np.asarray(z) * best.decoder_gain)
    with refuses(ValueError, "beta"):
        estimate_beta(numpy_pair, x, distortion="sse", scale="scale", inspect=False)
