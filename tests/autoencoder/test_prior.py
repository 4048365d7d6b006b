"""Models with a prior other than N(0, I): `as_autoencoder(prior=)`."""
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfisovae
from tests.autoencoder.linear_pair import BETA, SHIFT, WIDTH, X, moved, pair, standard
from tests.messages import refuses
from tfisovae import show
from tfisovae.analysis import mean_gradient
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.posterior import Posterior, information
from tfisovae.autoencoder.prior import Prior
from tfisovae.show import importance
from tfisovae.verdict.states import IsometryState, State


def mixture(z):
    """Two Gaussians, in each dimension."""
    both = [-0.5 * ((z - centre) / width)**2 - np.log(2 * width * np.sqrt(2 * np.pi))
            for centre, width in ((-1.5, 0.5), (1.0, 0.7))]
    return tf.reduce_sum(tf.reduce_logsumexp(both, 0), -1)


def made(prior, *of):
    return tfisovae.as_autoencoder(pair(*of), "sse", BETA, prior=prior)


def test_the_rate_under_a_gaussian_is_the_closed_form():
    """With signs as noise it is exact, since log p is a quadratic."""
    rng = np.random.default_rng(1)
    q = Posterior(*(tf.constant(part, tf.float32) for part in (
        rng.normal(size=(50, 4)), rng.uniform(0.1, 2, (50, 4)))))
    noise = tf.constant(rng.normal(size=(50, 4)), tf.float32)
    signs = tf.sign(noise)
    np.testing.assert_allclose(q.rate(standard, signs), np.sum(q.kl(), 1), rtol=1e-5)
    units = Posterior((q.mean - SHIFT) / WIDTH, q.scale / WIDTH)
    exact = np.sum(units.kl(), 1)
    np.testing.assert_allclose(q.rate(moved, noise), units.rate(standard, noise), rtol=1e-4)
    np.testing.assert_allclose(q.rate(moved, signs), exact, rtol=1e-5)


def test_the_rate_under_a_mixture_is_the_integral():
    """Over 40,000 samples of each posterior, within four standard errors."""
    means, scales = np.array([-1.5, 0.0, 2.0]), np.array([0.1, 0.8, 1.5])
    z = np.linspace(-15, 15, 200_001)
    q = np.exp(-0.5 * ((z - means[:, None]) / scales[:, None])**2) / (
        scales[:, None] * np.sqrt(2 * np.pi))
    log_q = -0.5 * ((z - means[:, None]) / scales[:, None])**2 - np.log(
        scales[:, None] * np.sqrt(2 * np.pi))
    log_p = mixture(tf.constant(z[:, None])).numpy()
    exact = np.sum(q * (log_q - log_p), 1) * (z[1] - z[0])
    rows = [np.repeat(part, 40_000)[:, None].astype(np.float32) for part in (means, scales)]
    noise = tf.random.stateless_normal(rows[0].shape, [0, 0])
    found = Posterior(*rows).rate(mixture, noise).numpy().reshape(3, -1)
    error = found.std(1) / np.sqrt(found.shape[1])
    assert (np.abs(found.mean(1) - exact) < 4 * error + 1e-4).all()


def test_information_is_the_kl_from_the_gaussian_of_the_same_moments():
    """And so does not depend on the units of z."""
    rng = np.random.default_rng(2)
    mean, scale = rng.normal(size=(5000, 4)), rng.uniform(0.1, 0.5, (5000, 4))
    deviation = np.sqrt(np.var(mean, 0) + np.mean(scale**2, 0))
    units = Posterior(tf.constant((mean - mean.mean(0)) / deviation),
                      tf.constant(scale / deviation))
    found = information(np.log(scale).mean(0), deviation**2)
    np.testing.assert_allclose(found, np.mean(units.kl(), 0), rtol=1e-6)


@pytest.mark.parametrize("shift, width", [(5000.0, 1.0), (0.0, 1000.0), (1000.0, 100.0)])
def test_units_far_from_1_lose_no_digits(shift, width):
    def far(z):
        return standard((z - shift) / width) - 4 * np.log(width)

    found = tfisovae.analyze(made(far, np.float32(shift), np.float32(width)), X, inspect=False)
    before = tfisovae.analyze(tfisovae.as_autoencoder(pair(), "sse", BETA), X)
    variance = before.latent_second_moment - before.latent_mean**2
    np.testing.assert_array_equal(found.active, before.active)
    np.testing.assert_allclose(found.importance, before.importance * variance, rtol=2e-3)
    found = tfisovae.density.log_densities(made(far, np.float32(shift), np.float32(width)), X[:300],
                                           "volume", inspect=False)
    assert np.isfinite(found["volume"]).all()


@pytest.mark.parametrize("kind", ["tensor", "numpy", "distribution"])
def test_a_model_in_other_units_has_the_same_numbers(kind):
    """z moved and stretched, with the prior of the moved z. What does not depend on units of z is
    the same, as the importance. E[sigma^-2] is divided by the squared width.
    """
    priors = {
        "tensor": moved, "numpy": lambda z: np.asarray(moved(tf.constant(z))).astype(np.float32),
        "distribution": scipy_like()
    }
    before = tfisovae.analyze(tfisovae.as_autoencoder(pair(), "sse", BETA), X)
    found = tfisovae.analyze(made(priors[kind], SHIFT, WIDTH), X)
    for name in ("distortion", "norm_mean", "gram_cosine", "cost_of_removal", "isometric_norm"):
        np.testing.assert_allclose(getattr(found, name), getattr(before, name), rtol=5e-3,
                                   atol=2e-3, err_msg=name)
    for name in ("rate", "loss"):  # the noise of sampling is part of the error
        error = getattr(found, f"{name}_standard_error")
        assert getattr(before, f"{name}_standard_error") < error < 0.05
        assert abs(getattr(found, name) - getattr(before, name)) < 3 * error, name
    variance = before.latent_second_moment - before.latent_mean**2
    np.testing.assert_allclose(found.importance, before.importance * variance, rtol=1e-4)
    np.testing.assert_allclose(found.precision_mean * WIDTH**2, before.precision_mean, rtol=1e-4)
    np.testing.assert_array_equal(found.active, [True, True, True, False])


def scipy_like():
    class Distribution:
        def log_prob(self, z):
            return moved(z)

    return Distribution()


def test_what_assumes_the_standard_prior_is_left_out():
    found = tfisovae.analyze(made(moved, SHIFT, WIDTH), X)
    for name in ("kl_mean", "one_minus_variance", "balance"):
        assert np.isnan(getattr(found, name)).all(), name
    assert np.isnan(found.posterior_balance)
    assert found.stationarity is found.residual is found.stretch is None
    verdict = found.judge()
    assert verdict.state is State.NOT_JUDGED
    assert verdict.isometry.state is IsometryState.NOT_JUDGED
    assert "KL by dimension, 1 - sigma^2, tests" in found.table()
    assert "nan" not in found.table() + found.summary() + found.health() + repr(found)
    assert "prior other than N(0, I)" in found.summary()
    for advised in ("probe", "standardize", "prune"):
        assert advised not in found.summary() + found.health()


def test_it_is_saved_with_its_prior(tmp_path):
    found = tfisovae.analyze(made(moved, SHIFT, WIDTH), X)
    found.save(tmp_path / "isometry.json")
    again = tfisovae.Analysis.load(tmp_path / "isometry.json")
    assert again.standard_prior is False and again.summary() == found.summary()
    assert again.table() == found.table()


def test_densities_follow_the_prior():
    """The same as in units where the prior is N(0, I), but for the density of z itself."""
    before = tfisovae.density.log_densities(tfisovae.as_autoencoder(pair(), "sse", BETA), X[:300])
    found = tfisovae.density.log_densities(made(moved, SHIFT, WIDTH), X[:300])
    assert set(before) - set(found) == {"corrected_volume"}
    # A direction that is left out has its posterior's density, not 1: the means differ slightly.
    np.testing.assert_allclose(found["prior"] + np.log(WIDTH[:3]).sum(), before["prior"], atol=1e-3)
    for form in ("posterior", "volume", "scaled_posterior"):
        np.testing.assert_allclose(found[form], before[form], atol=5e-3, err_msg=form)
    for form in ("objective", "scaled_objective"):  # eight pairs of samples, one idle dimension
        off = found[form] - before[form]
        assert abs(off.mean()) < 4 * off.std() / np.sqrt(300) and 0 < off.std() < 0.4, form


def test_totals_of_the_standard_prior_and_of_a_given_one():
    before = tfisovae.measure_totals(tfisovae.as_autoencoder(pair(), "sse", BETA), X)
    analysis = tfisovae.analyze(tfisovae.as_autoencoder(pair(), "sse", BETA), X)
    found = tfisovae.measure_totals(made(moved, SHIFT, WIDTH), X)
    for name in ("rate", "distortion", "loss", "coding_loss", "transform_loss"):
        for part in (name, f"{name}_standard_error"):
            np.testing.assert_allclose(getattr(before, part), getattr(analysis, part), rtol=1e-5)
        assert abs(getattr(found, name) - getattr(before, name)) < 3 * getattr(
            found, f"{name}_standard_error"), name
    np.testing.assert_allclose(before.posterior_balance, analysis.posterior_balance, atol=0.01)
    assert np.isnan(found.posterior_balance) and "nan" not in str(found)


def test_the_mean_gradient_needs_a_prior_that_can_be_differentiated():
    layers = tf.keras.layers
    networks = [tf.keras.Sequential([layers.Input((m,)), layers.Dense(n)]) for m, n in ((4, 4),
                                                                                       (2, 4))]

    def of(prior):
        model = tfisovae.as_autoencoder(networks, "sse", BETA, prior=prior)
        return mean_gradient.block_gradients(model, X, num_blocks=20, inspect=False)

    def two(z):
        return -0.5 * tf.reduce_sum((z - 1.0)**2, -1)

    assert of(two).num_examples == len(X)
    with refuses(mean_gradient.NoGradient, "prior"):
        of(lambda z: two(z).numpy())


def test_a_page_has_its_rate_and_its_units(tmp_path):
    """Rows of traversals cover the data, not -2 to 2; no rate of single dimensions is drawn."""
    model = made(moved, SHIFT, WIDTH)
    analysis = tfisovae.analyze(model, X)
    shown = show.observe(model, analysis, X[:3])
    rows = shown["traversals"]
    deviation = np.sqrt(analysis.latent_second_moment - analysis.latent_mean**2)
    order = rows.dimensions
    np.testing.assert_allclose(rows.z[:, 0], (analysis.latent_mean - 2 * deviation)[order],
                               rtol=.01)
    np.testing.assert_allclose(rows.z[:, -1], (analysis.latent_mean + 2 * deviation)[order],
                               rtol=.01)
    show.write(analysis, tmp_path / "report.html", "model", analysis.judge(), **shown)
    said = (tmp_path / "report.html").read_text()
    assert "0 nats in all" not in said and "two standard deviations of the data" in said
    for numbers in (analysis, analysis.to_dict()):
        found = importance.scree_of(numbers)
        np.testing.assert_allclose(found.slope[:3], np.sort(found.predicted[:3])[::-1], rtol=0.02)


def test_a_large_latent_space():
    """By estimates, with a page; the leading dimensions follow the importance, not E[sigma^-2]."""
    n = 320
    width = np.ones(n, np.float32)
    width[:20] = 100
    gain = np.float32(0.9) * np.ones(n, np.float32)
    gain[:20] = 3

    def encode(x):
        return width * x / gain, tf.zeros_like(x) + 2 * np.log(width * 0.2 / gain)

    def prior(z):
        return tf.reduce_sum(-0.5 * (z / width)**2, -1) - np.log(width * np.sqrt(2 * np.pi)).sum()

    x = np.random.default_rng(0).normal(size=(120, n)).astype(np.float32) * gain
    model = tfisovae.as_autoencoder((encode, lambda z: tf.constant(gain / width) * z), "sse", 0.1,
                                    prior=prior)
    analysis = tfisovae.analyze(model, x)
    assert analysis.method == "estimated" and set(analysis.ranking[:20]) == set(range(20))
    assert set(analysis.estimates.dimensions) & set(range(20))
    assert "nan" not in analysis.table() + analysis.summary()
    assert show.observe(model, analysis, x[:2])["traversals"].z.std() > 10


@pytest.mark.parametrize("examples", [X[:1], np.repeat(X[:1], 3, 0)])
def test_too_few_examples(examples):
    model = made(moved, SHIFT, WIDTH)
    if len(examples) == 1:
        with refuses(ValueError, "1 example"):
            tfisovae.analyze(model, examples)
    assert np.isfinite(tfisovae.measure_totals(model, examples, inspect=False).rate)


def test_a_prior_that_is_0_somewhere():
    """At samples, not at means: the rate has no finite value."""
    def holed(z):
        return tf.where(tf.abs(z[:, 0]) < 4.0, moved(z), float("-inf"))

    model = made(lambda z: holed(z - SHIFT), SHIFT, WIDTH)
    for measure in (tfisovae.analyze, tfisovae.measure_totals):
        with refuses(ValueError, "prior"):
            measure(model, X)


@pytest.mark.parametrize("prior, error", [
    (3.0, TypeError), (lambda z, c: moved(z), ValueError),
    (lambda z: tf.reduce_sum(-0.5 * z**2, 0), ValueError),
    (lambda z: moved(tf.concat([z, z], 1)), ValueError), (lambda z: moved(z)[:, None], ValueError),
    (lambda z: -0.5 * z**2, ValueError), (lambda z: tf.reduce_sum(z), ValueError),
    (lambda z: moved(z) * np.nan, ValueError), (lambda z: None, ValueError)])
def test_what_is_no_log_density_is_refused(prior, error):
    with refuses(error, "prior"):
        tfisovae.analyze(made(prior), X)


def test_a_model_that_was_trained_with_another_prior_is_not_suspected():
    """E[mu^2 + sigma^2] is not 1, which would suggest another reading of the scale."""
    model = made(moved, SHIFT, WIDTH)
    assert not [one for one in inspection.inspect(model, X) if one.part == "encode"]


def test_a_prior_is_part_of_a_model():
    model = made(moved, SHIFT, WIDTH)
    assert isinstance(model.prior, Prior)
    assert tfisovae.as_autoencoder(model, beta=0.2).prior is model.prior
    other = tfisovae.as_autoencoder(model, prior=standard)
    assert other.prior is not model.prior
    assert scipy.stats.norm.logpdf(np.zeros(4)).sum() == pytest.approx(
        float(other.prior(tf.zeros([1, 4]))[0]))
