"""The Keras metrics against NumPy on linear VAEs, over unequal batches, and over replicas."""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae.metrics import (
    ActiveDimensions,
    CodingLoss,
    GramOffDiagonal,
    IsometricNorm,
    PosteriorBalance,
    PosteriorPrecision,
    Rate,
    TransformLoss,
)
from tfisovae.metrics.base import MeasurementMetric
from tfisovae.metrics.isometry import Derivative
from tfisovae.metrics.rate_distortion import Distortion, Loss
from tfisovae.metrics.stationarity import AggregateMoments

LMBDA = 50.0
# Skewed: cosine .6.
DECODER = np.array([[1.0, 0.0, 0.0, 0.0], [0.6, 0.8, 0.0, 0.0], [0.0, 0.0, 0.3, 0.0]])
ENCODER = np.linalg.pinv(DECODER)
SCALE = np.array([0.1, 0.2, 1.0])


def everything():
    return [
        Rate(name="kl"),
        ActiveDimensions(name="active"),
        PosteriorPrecision(),
        IsometricNorm(),
        IsometricNorm("numerical", name="numerical_norm"),
        GramOffDiagonal(),
        PosteriorBalance(),
        CodingLoss(),
        TransformLoss(),
        Derivative(),
        AggregateMoments()
    ]


def examples(count=230):
    """The third dimension is collapsed: its mean is 0 and its scale 1."""
    s = np.random.default_rng(0).standard_normal((count, 2)).astype(np.float32)
    return (s @ DECODER[:2]).astype(np.float32)


def evaluated(make_linear_vae, batch_size, metrics=None, strategy=None):
    metrics = metrics or everything()
    with (strategy or tf.distribute.get_strategy()).scope():
        encoder = ENCODER.copy()
        encoder[:, 2] = 0
        vae = make_linear_vae(encoder, DECODER, SCALE, LMBDA)
        vae.compile("adam", metrics=metrics)
    logs = vae.evaluate(
        tf.data.Dataset.from_tensor_slices(examples()).batch(batch_size), return_dict=True,
        verbose=0)
    return logs, metrics, vae


def test_closed_forms(make_linear_vae):
    """Norm (2/beta) sigma^2 |row|^2, cosine .6 between the two active rows, everything else by
    hand.
    """
    logs, metrics, vae = evaluated(make_linear_vae, 64)
    by_name = {m.name: m for m in metrics}
    norms = 2 * LMBDA * SCALE**2 * (DECODER**2).sum(1)
    np.testing.assert_allclose(by_name["isometric_norm"].mean, norms, rtol=1e-5)
    np.testing.assert_allclose(by_name["isometric_norm"].std, 0, atol=1e-4)
    np.testing.assert_allclose(by_name["numerical_norm"].mean, norms, rtol=1e-3)
    np.testing.assert_allclose(logs["isometric_norm"], norms[:2].mean(), rtol=1e-5)
    np.testing.assert_allclose(logs["isometric_norm_spread"], norms[:2].std(), rtol=1e-4)
    np.testing.assert_allclose(by_name["derivative"].mean, (DECODER**2).sum(1), rtol=1e-5)
    gamma = 2 * LMBDA * SCALE[0] * SCALE[1] * 0.6
    np.testing.assert_allclose(logs["gram_off_diagonal"], gamma, rtol=1e-5)
    np.testing.assert_allclose(logs["gram_off_diagonal_cosine"], 0.6, rtol=1e-5)
    np.testing.assert_allclose(by_name["gram_off_diagonal"].mean[0, 1], gamma, rtol=1e-5)
    np.testing.assert_allclose(by_name["posterior_precision"].mean, SCALE**-2.0, rtol=1e-5)
    np.testing.assert_allclose(logs["posterior_precision"], np.mean(SCALE[:2] ** -2.0), rtol=1e-5)
    mu = examples() @ ENCODER
    mu[:, 2] = 0
    kl = 0.5 * (mu**2 + SCALE**2 - np.log(SCALE**2) - 1)
    np.testing.assert_allclose(by_name["kl"].mean, kl.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(by_name["kl"].standard_error,
                               kl.std(0) / np.sqrt(230), rtol=1e-4, atol=1e-6)
    moments = (mu**2 + SCALE**2).mean(0)
    np.testing.assert_allclose(by_name["aggregate_moments"].mean, moments, rtol=1e-5)
    np.testing.assert_allclose(by_name["aggregate_moments"].first, mu.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(logs["aggregate_moments"], np.abs(moments - 1).max(), rtol=1e-4)
    np.testing.assert_allclose(logs["aggregate_moments_mean"], np.abs(mu.mean(0)).max(), rtol=1e-4)
    np.testing.assert_allclose([logs["kl"], logs["rate"]], kl.sum(1).mean(), rtol=1e-5)
    np.testing.assert_array_equal(by_name["kl"].active, [True, True, False])
    assert logs["active"] == logs["active_dimensions"] == 2
    np.testing.assert_allclose(logs["transform_loss"], 0, atol=1e-10)
    expected_coding = (SCALE**2) @ (DECODER**2).sum(1)
    noise = (np.sqrt(2) * np.linalg.norm(np.outer(SCALE, SCALE) *
                                         (DECODER @ DECODER.T))) / np.sqrt(230)
    assert abs(logs["coding_loss"] - expected_coding) < 5 * noise
    # x_check = x here.
    np.testing.assert_allclose(logs["distortion"], logs["coding_loss"], rtol=1e-4)
    np.testing.assert_allclose(logs["loss"], LMBDA * logs["distortion"] + logs["rate"], rtol=1e-6)
    assert by_name["kl"].num_examples == 230


def test_posterior_balance_is_one_at_the_optimum_and_not_elsewhere(make_linear_vae):
    """Linear VAE of variance v with the true KL: sigma^2 = (beta/2) / v balances; twice that scale
    does not.
    """
    beta, v = 1 / LMBDA, 1.0
    b = np.sqrt(v - beta / 2)
    x = np.sqrt(v) * np.random.default_rng(0).standard_normal((40_000, 1)).astype(np.float32)
    ratios = []
    for factor in (1.0, 2.0):
        vae = make_linear_vae([[b / v]], [[b]], [factor * np.sqrt(beta / 2 / v)], LMBDA)
        balance = PosteriorBalance()
        vae.compile("adam", metrics=[balance])
        ratios.append(
            vae.evaluate(
                tf.data.Dataset.from_tensor_slices(x).batch(4000), return_dict=True,
                verbose=0)["posterior_balance"])
    np.testing.assert_allclose(ratios[0], 1, atol=0.03)  # four standard errors of the sampled noise
    # 2 b^2 sigma^2 / (beta (1 - sigma^2)).
    np.testing.assert_allclose(ratios[1], 4 * b**2 / (1 - 2 * beta), rtol=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [7, 64, 229])
def test_unequal_batches_equal_one_batch(make_linear_vae, batch_size):
    whole, _, _ = evaluated(make_linear_vae, 230)
    parts, _, _ = evaluated(make_linear_vae, batch_size)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


@pytest.mark.slow
def test_metrics_cover_every_replica(make_linear_vae):
    """A batch of 229 is cut into 115 and 114 examples, and the last one into one and none."""
    one, metrics, _ = evaluated(make_linear_vae, 229)
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        mirrored = everything()
    two, mirrored, _ = evaluated(make_linear_vae, 229, mirrored, strategy)
    assert mirrored[0].num_examples == 230
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-5, atol=1e-7, err_msg=name)
    for a, b in zip(metrics, mirrored):
        if hasattr(a, "std"):
            np.testing.assert_allclose(a.mean, b.mean, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_a_second_evaluation_starts_afresh(make_linear_vae):
    first, metrics, vae = evaluated(make_linear_vae, 64)
    again = vae.evaluate(
        tf.data.Dataset.from_tensor_slices(examples()).batch(64), return_dict=True, verbose=0)
    assert again == first
    assert metrics[0].num_examples == 230


@pytest.mark.slow
def test_without_active_dimensions_there_is_nothing_to_average(make_linear_vae):
    vae = make_linear_vae(np.zeros([4, 2]), np.zeros([2, 4]), [1.0, 1.0], LMBDA)
    vae.compile("adam", metrics=everything())
    logs = vae.evaluate(
        tf.data.Dataset.from_tensor_slices(examples(20)).batch(20), return_dict=True, verbose=0)
    assert logs["active_dimensions"] == 0 and logs["rate"] == 0
    for name in ("isometric_norm", "gram_off_diagonal", "posterior_precision", "posterior_balance"):
        assert np.isnan(logs[name]), name


def test_threshold(make_linear_vae):
    metric = IsometricNorm(threshold=100.0)
    evaluated(make_linear_vae, 64, [metric])
    assert not metric.active.any()
    assert tfisovae.metrics.IsometricNorm.from_config(metric.get_config()).threshold == 100.0


def test_bad_arguments(make_linear_vae):
    with refuses(ValueError, "method"):
        IsometricNorm("exact")
    with refuses(ValueError, "threshold"):
        Rate(threshold=-1)
    metric = Rate()
    metric.build(3)
    with refuses(ValueError):
        metric.build(4)
    vae = make_linear_vae(ENCODER, DECODER, SCALE, LMBDA)
    with refuses(ValueError, "metrics"):
        vae.compile("adam", metrics=["mse"])


def test_a_metric_of_the_users_own(make_linear_vae):
    """`measure` and `shape` are all that it takes: means and standard errors by dimension, and the
    mean over the active ones.
    """
    class MeanSize(MeasurementMetric):
        shape = staticmethod(lambda n: (n,))

        def measure(self, measurement):
            return tf.abs(measurement.posterior.mean)

    class Constant(MeasurementMetric):
        def measure(self, measurement):
            return tf.fill([tf.shape(measurement.x)[0]], 3.0)

    logs, (size, constant), _ = evaluated(make_linear_vae, 64, [MeanSize(), Constant()])
    mu = np.abs(examples() @ ENCODER)
    mu[:, 2] = 0
    np.testing.assert_allclose(size.mean, mu.mean(0), rtol=1e-5)
    np.testing.assert_allclose(size.standard_error, mu.std(0) / np.sqrt(230), rtol=1e-4)
    assert logs["mean_size"] == pytest.approx(mu[:, :2].mean(), rel=1e-5)
    assert logs["constant"] == 3 and constant.standard_error == pytest.approx(0, abs=1e-6)
    assert size.num_examples == constant.num_examples == 230


def test_every_scalar_has_its_standard_error(make_linear_vae):
    """Losses and the total rate too; of a single example there is none."""
    _, metrics, _ = evaluated(
        make_linear_vae, 64,
        [Rate(), TransformLoss(), CodingLoss(),
         Distortion(), Loss()])
    mu = examples() @ ENCODER
    mu[:, 2] = 0
    kl = 0.5 * (mu**2 + SCALE**2 - np.log(SCALE**2) - 1).sum(1)
    assert metrics[0].total_standard_error == pytest.approx(kl.std() / np.sqrt(230), rel=1e-4)
    losses = metrics[-1]
    assert 0 < losses.standard_error < losses.mean
    one = Loss()
    vae = make_linear_vae(ENCODER, DECODER, SCALE, LMBDA)
    vae.compile("adam", metrics=[one])
    vae.evaluate(tf.data.Dataset.from_tensor_slices(examples(1)).batch(1), verbose=0)
    assert np.isnan(one.standard_error)
