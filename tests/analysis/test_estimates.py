"""Large latent spaces: what is estimated, against what is exact, and closed forms."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import assert_alike
from tfisovae import theory
from tfisovae.verdict import IsometryState, Part, words

BETA = 0.02


def optimum(n, turn=None):
    """The optimal linear VAE of n Gaussian variances, and its decoder's axes turned by a matrix."""
    variance = np.linspace(0.5, 4, n)
    best = theory.LinearVAE(variance, BETA)
    decoder = np.diag(best.decoder_gain) @ (np.eye(n) if turn is None else turn)
    return variance, np.diag(best.encoder_gain), decoder, best.scale


def examples(variance, count=120):
    rng = np.random.default_rng(0)
    return (rng.standard_normal([count, len(variance)]) * np.sqrt(variance)).astype(np.float32)


@pytest.fixture(scope="module")
def both(make_linear_vae):
    """n = 32, its axes not orthogonal: exact and estimated."""
    rng = np.random.default_rng(1)
    variance, encoder, decoder, scale = optimum(32, np.eye(32) + 0.03 * rng.standard_normal(
        [32, 32]))
    vae, x = make_linear_vae(encoder, decoder, scale, 1 / BETA), examples(variance)
    return (tfisovae.analyze(vae, x, method="exact"),
            tfisovae.analyze(vae, x, method="estimated", dimensions=[3, 0]))


def test_estimated_agrees_with_exact(both):
    exact, found = both
    assert (exact.method, found.method) == ("exact", "estimated")
    for name in ("rate", "distortion", "loss", "coding_loss", "transform_loss",
                 "posterior_balance", "posterior_balance_standard_error", "kl_mean", "balance",
                 "importance", "active", "latent_second_moment"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-4,
                                   atol=1e-5, err_msg=name)
    known = found.estimates
    # Gamma is the same at every example, so all errors come from the probes and the dimensions.
    for value, estimate in ((exact.isometric_norm, known.norm),
                            (exact.isometric_norm, known.sampled_norm),
                            (exact.gram_off_diagonal, known.off_diagonal),
                            (exact.gram_off_diagonal_cosine, known.cosine)):
        assert estimate.value == pytest.approx(value, abs=4 * estimate.standard_error)
        assert 0 < estimate.standard_error < 0.2 * value
    assert found.isometric_norm == known.norm.value
    measured = known.dimensions
    assert {0, 3} < set(measured.tolist()) and len(measured) < 32
    np.testing.assert_allclose(found.gram_mean, exact.gram_mean[measured[:, None], measured],
                               atol=1e-5)
    np.testing.assert_allclose(found.gram_cosine, exact.gram_cosine[measured[:, None], measured],
                               atol=1e-4)
    for name in ("norm_mean", "derivative_mean"):
        np.testing.assert_allclose(getattr(found, name)[measured], getattr(exact, name)[measured],
                                   rtol=1e-4)
    others = np.setdiff1d(np.arange(32), measured)
    error = np.abs(found.norm_mean - exact.norm_mean)[others] / found.norm_standard_error[others]
    assert (error < 4.5).all() and (error > 0.01).any()
    # The noise of the probes is no deviation over the data. What is left is its error: a variance
    # of 120 examples is 13 % off.
    assert (found.norm_std < 0.75 * np.sqrt(119) * found.norm_standard_error)[others].all()
    leading = known.removal_dimensions
    np.testing.assert_allclose(known.removal_cost, exact.cost_of_removal[leading], rtol=1e-4)
    # 30 steps in 32 dimensions: the Ritz values are all but exact.
    assert found.stretch.longest == pytest.approx(exact.stretch.longest, rel=1e-3)
    assert found.stretch.longest <= exact.stretch.longest + 1e-5
    assert found.stretch.error_95 <= exact.stretch.error_95 + 1e-5 <= found.stretch.error_95_bound
    assert found.isometry().failing == exact.isometry().failing == (Part.STRETCH, )
    assert found.isometry().num_dimensions == 32


def test_the_table_says_how_it_was_measured(both):
    exact, found = both
    assert "Estimated at 120 examples, from 16 probes, 30 steps of Lanczos' method and " in (
        found.table())
    assert "Estimated" not in exact.table()
    assert found.estimates.norm.value == pytest.approx(found.isometric_norm)
    assert "estimated eigenvalues" in str(words.lines(found.judge())[1])


@pytest.mark.parametrize("n, stretch", [
    (512, 1.0), (512, 1.5), pytest.param(4096, 1.5, marks=pytest.mark.slow)])
def test_one_direction_of_many_dimensions_may_be_stretched(n, stretch, tmp_path):
    """Gamma = (1 - sigma^2) (I + (s^2 - 1) q q^T), with q along (1, ..., 1): norms are right to
    (s^2 - 1) / n, and only the eigenvalues show the stretch.
    """
    scale = 0.1
    gain = np.sqrt((1 - scale**2) * BETA / 2) / scale

    def decode(z):
        along = tf.reduce_mean(z, -1, keepdims=True)  # q (q^T z)
        return gain * (z + (stretch - 1) * along)

    def encode(x):
        mean = x * np.sqrt(1 - scale**2)
        return mean, scale * tf.ones_like(mean)

    x = np.random.default_rng(0).standard_normal([110, n]).astype(np.float32)
    found = tfisovae.analyze(tfisovae.Autoencoder(encode, decode, "sse", BETA), x, seed=5)
    assert found.method == "estimated" and found.num_active == n
    assert found.gram_mean.shape == (24, 24) and found.norm_mean.shape == (n, )
    known, excess = found.estimates, (1 - scale**2) * (stretch**2 - 1)
    np.testing.assert_allclose(found.norm_mean[known.dimensions], 1 - scale**2 + excess / n,
                               rtol=1e-4)
    assert known.norm.value == pytest.approx(1 - scale**2 + excess / n,
                                             abs=4 * known.norm.standard_error + 1e-6)
    pairs = np.sqrt(n * (n - 1))
    assert known.off_diagonal.value * pairs == pytest.approx(
        excess * pairs / n, abs=4 * known.off_diagonal.standard_error * pairs + 1e-3)
    assert found.stretch.longest == pytest.approx(stretch, rel=1e-3)
    found.save(tmp_path / "isometry.json")
    assert (tmp_path / "isometry.json").stat().st_size < 1e6
    again = tfisovae.Analysis.load(tmp_path / "isometry.json")
    assert_alike(again.to_dict(), found.to_dict(), rtol=1e-6)
    assert again.isometry().state is found.isometry().state
    isometry = found.isometry()
    if stretch == 1:
        assert isometry.state is IsometryState.ISOMETRIC and isometry.error_95_bound < 0.01
        assert words.isometry_label(isometry) == "isometric to 1 %"
    else:
        assert isometry.failing == (Part.STRETCH, ) and isometry.worst_error < 0.01


def test_what_is_between_the_bounds_is_not_judged(both):
    """The Ritz values allow "isometric", and the bound from outside does not."""
    found = dataclasses.replace(both[1], stretch=dataclasses.replace(
        both[1].stretch, error_95=0.08, error_95_bound=0.12, share_off=0.0, share_off_bound=0.5))
    assert found.isometry().state is IsometryState.NOT_JUDGED
    assert "between 8 % and 12 %" in found.summary()
    sure = dataclasses.replace(found, stretch=dataclasses.replace(
        found.stretch, error_95_bound=0.09, share_off_bound=0.0))
    assert words.isometry_label(sure.isometry()) == "isometric to 9 %"


def test_a_decoder_without_derivatives_has_norms_of_a_sample():
    """By differences, which are exact for a straight decoder. No eigenvalues, no verdict."""
    variance, encoder, decoder, scale = optimum(30, np.eye(30) + 0.002)
    pair = (lambda x: (x @ encoder, np.broadcast_to(scale, x.shape)), lambda z: z @ decoder)
    found = tfisovae.analyze(pair, examples(variance), distortion="sse", beta=BETA, scale="scale",
                             method="estimated")
    gram = 2 / BETA * scale[:, None] * scale * (decoder @ decoder.T)
    measured = found.estimates.dimensions
    assert found.tangents == "differences" and found.stretch is None
    np.testing.assert_allclose(found.gram_mean, gram[measured[:, None], measured], rtol=1e-3,
                               atol=1e-4)
    np.testing.assert_allclose(found.norm_mean[measured], np.diag(gram)[measured], rtol=1e-3)
    assert np.isnan(np.delete(found.norm_mean, measured)).all() and len(measured) == 24
    assert found.estimates.num_probes == 0 and "no eigenvalues" in found.table()
    assert found.isometry().state is IsometryState.NOT_JUDGED
    # The balance is known in all, at three decodes for each example.
    exact = tfisovae.analyze(pair, examples(variance), distortion="sse", beta=BETA, scale="scale",
                             method="exact")
    assert found.posterior_balance == pytest.approx(exact.posterior_balance, rel=1e-3)
    assert found.posterior_balance_standard_error == pytest.approx(
        exact.posterior_balance_standard_error, rel=1e-2)
    assert np.isnan(found.balance).all() and not found.stationarity.strong.any()


def test_a_collapsed_model_is_estimated_too():
    """No active dimension: there is nothing to probe."""
    encode = lambda x: (0 * x, tf.ones_like(x))  # noqa: E731
    found = tfisovae.analyze(tfisovae.Autoencoder(encode, lambda z: 0.1 * z, "sse", BETA),
                             np.ones([5, 3], np.float32), method="estimated")
    assert np.isnan(found.isometric_norm) and np.isnan(found.norm_mean).all()
    assert found.isometry().state is IsometryState.NONE
    assert "0 of 3 dimensions active" in found.table()


def test_bad_arguments_are_refused(make_linear_vae):
    variance, encoder, decoder, scale = optimum(2)
    vae, x = make_linear_vae(encoder, decoder, scale, 1 / BETA), examples(variance, 5)
    with refuses(ValueError, "method"):
        tfisovae.analyze(vae, x, method="fast")
    with refuses(ValueError, "dimensions"):
        tfisovae.analyze(vae, x, dimensions=[2])
    with refuses(ValueError, "num_examples"):
        tfisovae.analyze(vae, x[:1], method="estimated")
