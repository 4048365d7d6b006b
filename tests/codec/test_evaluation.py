"""What files cost and lose, on models whose numbers are known in closed form, and the command."""
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.messages import refuses
from tfisovae import theory
from tfisovae.autoencoder.autoencoder import Autoencoder
from tfisovae.codec import Codec, claims, evaluation
from tfisovae.codec.breakdown import QUANTIZATION
from tfisovae.verdict import ClaimState

BETA = 0.02
# The last is below beta / 2: its dimension has collapsed.
VARIANCES = np.array([1 / 6, 2 / 3, 8 / 3, 0.005])
LINEAR = theory.LinearVAE(VARIANCES, BETA)
COUNT = 20_000


def linear(scale=lambda x: 1.0, decoder_gain=LINEAR.decoder_gain, encoder_gain=LINEAR.encoder_gain,
           **kwargs):
    """The linear VAE of independent Gaussian columns, with `scale(x)` times its posterior scale."""
    a, b, s = (tf.constant(values, tf.float32)
               for values in (encoder_gain, decoder_gain, LINEAR.scale))
    return Autoencoder(lambda x: (a * x, tf.broadcast_to(s * scale(x), tf.shape(x))),
                       lambda z: b * z, "sse", BETA, **kwargs)


def data(seed=0, count=COUNT):
    return (np.random.default_rng(seed).standard_normal([count, 4]) * np.sqrt(VARIANCES)).astype(
        np.float32)


def batched(x, size=2000):
    return tf.data.Dataset.from_tensor_slices(x).batch(size)


def measured(model, quantization="universal", **kwargs):
    codec = Codec.fit(model, batched(data(1)), quantization=quantization)
    return evaluation.measure_files(codec, batched(data(0)), **kwargs)


@pytest.fixture(scope="module")
def exact():
    return measured(linear())


def test_bits_of_the_linear_vae(exact):
    """KL + 1/2 log2(pi e / 6) of three dimensions, to .3 %; all else that bits go to is nothing;
    and it is said to hold.
    """
    kl = LINEAR.rate / math.log(2)
    np.testing.assert_allclose(exact.kl_bits, kl, atol=0.02)
    assert exact.coded.tolist() == [True, True, True, False] and exact.num_coded == 3
    np.testing.assert_allclose(exact.table_bits[:3], kl[:3] + QUANTIZATION, atol=0.02)
    assert exact.coded_bits == pytest.approx(kl.sum() + 3 * QUANTIZATION, rel=0.003)
    terms = exact.bit_terms
    assert sum(terms.values()) == pytest.approx(exact.file_bits)
    assert abs(exact.coded_bits
               - exact.predicted_bits) < 4 * exact.bits_difference_standard_error < 0.05
    assert all(
        abs(terms[name]) < 0.015
        for name in ("finite sigma", "sigma beside z", "sigma within a step", "coder"))
    assert 0 < terms["container"] < 0.2
    assert claims.claims(exact)[0].state is ClaimState.HOLDS


def test_distortion_of_the_linear_vae(exact):
    """Coding and transform loss in closed form, within four errors; noise of beta / 2 in y of every
    dimension.
    """
    error = exact.difference_standard_error
    rest = VARIANCES[3]  # of what is not coded
    assert exact.distortion == pytest.approx(LINEAR.distortion[:3].sum() + rest, abs=4 * error)
    assert exact.posterior_distortion == pytest.approx(LINEAR.distortion[:3].sum() + rest, rel=0.02)
    assert exact.transform_loss == pytest.approx(LINEAR.transform_loss[:3].sum() + rest, rel=0.05)
    assert exact.coding_loss == pytest.approx(LINEAR.coding_loss.sum(), abs=4 * error)
    np.testing.assert_allclose(exact.coding_losses[:3], LINEAR.coding_loss[:3],
                               atol=4 * exact.coding_losses_standard_error[:3].max())
    np.testing.assert_allclose(exact.posterior_coding_losses[:3], LINEAR.coding_loss[:3], rtol=0.05)
    np.testing.assert_allclose(exact.noise[:3], 1, atol=4 * math.sqrt(0.8 / COUNT))
    np.testing.assert_allclose(exact.one_minus_variance, 1 - LINEAR.scale**2, atol=1e-6)
    assert np.isnan(exact.noise[3]) and np.isnan(exact.coding_losses[3])
    assert sum(exact.distortion_terms.values()) == pytest.approx(exact.distortion)


def test_the_curve_of_the_linear_vae(exact):
    """Over steps of 1/4 to 4: D = transform + f^2 coding loss, as predicted; bits as predicted;
    slope -beta at 1.
    """
    for at in exact.curve:
        coding = at.factor**2 * LINEAR.coding_loss.sum()
        assert at.distortion == pytest.approx(
            LINEAR.transform_loss[:3].sum() + VARIANCES[3] + coding, rel=0.02)
        assert at.predicted_distortion == pytest.approx(at.distortion, rel=0.03)
        assert at.bits == pytest.approx(at.predicted_bits, abs=0.1 if at.factor == 4 else 0.03)
        assert at.coded_bits == pytest.approx(at.bits, abs=0.01) and at.dissimilarity is None
    assert abs(exact.slope - 1) < 3 * exact.slope_standard_error < 0.03 and abs(
        exact.predicted_slope - 1) < 0.03
    assert exact.coded_bits == exact.trained.coded_bits


def test_what_is_decoded_is_read_from_the_file(monkeypatch):
    """One that decodes to other things shows in D, whatever the codec itself would have made of y.
    """
    codec = Codec.fit(linear(), batched(data(1, 2000)))
    monkeypatch.setattr(codec, "read", lambda path: iter([np.zeros([2000, 4], np.float32)]))
    found = evaluation.measure_files(codec, batched(data(0, 2000)))
    assert found.distortion == pytest.approx(np.mean(np.sum(data(0, 2000)**2, 1)), rel=1e-5)


def test_a_sigma_that_z_does_not_determine():
    """sigma e^(u t), t a Gaussian that other dimensions hold: u^2 / 2 nats each, and noise less by
    e^(2 u^2) - e^(-u^2).
    """
    spread = 0.3

    def scale(x):
        other = x[:, 2:3] / math.sqrt(VARIANCES[2])
        return tf.concat([tf.exp(spread * other), tf.ones_like(x[:, 1:])], 1)

    found = measured(linear(scale))
    terms = found.bit_terms
    assert terms["sigma beside z"] == pytest.approx(spread**2 / 2 / math.log(2), abs=0.01)
    assert abs(terms["sigma within a step"]) < 0.015 and found.unexplained[0] == pytest.approx(
        spread, rel=0.03)
    np.testing.assert_allclose(found.unexplained[1:3], 0, atol=0.01)
    lost = LINEAR.coding_loss[0] * (math.exp(-spread**2) - math.exp(2 * spread**2))
    assert found.distortion_terms["sigma beside z"] == pytest.approx(lost, rel=0.15)
    assert found.coding_losses[0] == pytest.approx(LINEAR.coding_loss[0] * math.exp(-spread**2),
                                                   rel=0.03)


def test_means_that_are_not_the_priors():
    """Half the encoder's gain: z_j is off N(0, 1) by the KL of Gaussians, which tables of the
    data's own y save.
    """
    gain = LINEAR.encoder_gain / 2
    found = measured(linear(encoder_gain=gain, decoder_gain=2 * LINEAR.decoder_gain))
    variance = gain**2 * VARIANCES + LINEAR.scale**2
    off = (variance - 1 - np.log(variance)) / 2 / math.log(2)
    np.testing.assert_allclose(found.aggregate_kl_bits[:3], off[:3], atol=0.01)
    assert found.table_bits.sum() - found.fitted_bits == pytest.approx(off[:3].sum(), rel=0.05)
    line, = (one.words for one in claims.lines(found) if one.name == "Prior")
    assert f"{found.aggregate_kl_bits[:3].sum():.3f} bits from N(0, 1)" in line
    assert "Tables for the data's own y save 1." in line


def test_noise_of_what_is_not_coded():
    """A decoder that listens to a collapsed dimension: its noise is in the posterior's D, and not
    in the files'.
    """
    gain = np.where(VARIANCES < 0.01, 0.1, LINEAR.decoder_gain)
    found = measured(linear(decoder_gain=gain))
    assert found.distortion_terms["no noise where nothing is coded"] == pytest.approx(
        -0.01, rel=0.05)
    claim = claims.claims(found)[1]
    assert claim.state is ClaimState.DOES_NOT_HOLD
    assert claim.cause == "no noise where nothing is coded" and -0.1 < claim.cause_value < 0


def test_the_decomposed_loss_and_rounding(exact):
    """D(x, x_check) + D(x_check, x_hat): the same of a sum of squares whose cross term vanishes;
    and rounding costs no more.
    """
    found = measured(linear(decomposed=True), "rounding", factors=(0.5, 1, 2))
    assert found.decomposed and found.quantization == "rounding" and [
        at.factor for at in found.curve
    ] == [0.5, 1, 2]
    assert found.distortion == pytest.approx(exact.distortion, rel=0.02)
    assert found.distortion == pytest.approx(found.transform_loss + found.coding_loss, rel=1e-4)
    assert found.coded_bits == pytest.approx(exact.coded_bits, rel=0.01)


def test_weights_of_a_slope():
    """Exact for parabolas in f^2 and in log f, whatever the neighbours of 1, in any order."""
    for factors in (evaluation.FACTORS, (2, 1, 0.3), (0.9, 1, 1.1)):
        f = np.array(factors, float)
        distortions, rates = evaluation.slope_weights(factors)
        assert distortions @ (3 + 2 * f**2 + 0.5 * f**4) == pytest.approx(2 * 2 + 4 * 0.5)
        assert rates @ (7 - 3 * np.log(f) + 0.4 * np.log(f)**2) == pytest.approx(-3)
        assert np.count_nonzero(distortions) <= 3


def test_few_examples_are_measured_as_far_as_they_go():
    """Flatness and the prior take more; the rest is there, and is the same in other batches."""
    codec = Codec.fit(linear(), data(1, 1000))
    one, other = (evaluation.measure_files(codec, batched(data(0, 150), size))
                  for size in (150, 40))
    assert np.isnan(one.unexplained).all() and np.isnan(one.aggregate_kl_bits).all()
    assert claims.lines(one)[-1].name == "Prior"
    assert "needs 400 examples or more" in claims.lines(one)[-1].words
    np.testing.assert_allclose(one.table_bits, other.table_bits, rtol=1e-9)
    np.testing.assert_allclose(one.coding_losses, other.coding_losses, rtol=1e-5)
    assert one.slope == pytest.approx(other.slope, rel=1e-5) and one.coded_bits == other.coded_bits


@pytest.mark.parametrize("change, argument", [
    ({"step_factor": 2.0}, "step_factor"),
    ({"prior": "empirical"}, "prior"),
])
def test_other_codecs_are_refused(change, argument):
    with refuses(ValueError, argument):
        evaluation.measure_files(Codec.fit(linear(), data(1, 1000)).at(**change), data(0, 100))


@pytest.mark.parametrize("factors", [(0.5, 2), (1, 2), (0.5, 1), (1,), (0.5, 1, 1, 2)])
def test_a_slope_takes_neighbours(factors):
    with refuses(ValueError, "factors"):
        evaluation.slope_weights(factors)
