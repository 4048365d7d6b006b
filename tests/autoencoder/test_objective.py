"""Losses as public code writes them, against the distortion and beta that `objective` reads:
algebra, and training.
"""
import pickle

import numpy as np
import pytest
import tensorflow as tf

from tests.messages import refuses
from tfisovae import distortions, objective
from tfisovae.autoencoder import posterior

SHAPE, N, BATCH = (4, 6, 3), 5, 7
ENTRIES = 4 * 6 * 3
SIGMA = 0.3
K = tf.keras.losses


def per_example(values):
    return tf.reduce_sum(tf.reshape(values, [len(values), -1]), -1)


def kl(mean, log_var):
    return -0.5 * tf.reduce_sum(1 + log_var - mean**2 - tf.exp(log_var), -1)


def log_normal_pdf(sample, mean, log_var):
    return tf.reduce_sum(
        -0.5 * ((sample - mean)**2 / tf.exp(log_var) + log_var + np.log(2 * np.pi)), -1)


# Each takes x, the decoder's output before its last activation (`y`), and the posterior's mean and
# log-variance.

def half_sum_of_squares(x, y, mean, log_var):
    return tf.reduce_mean(0.5 * per_example((x - y) ** 2) + 4 * kl(mean, log_var))


def keras_documentation(x, y, mean, log_var):
    """The convolutional VAE of keras.io: the loss averages over the channels, the rest is summed.
    """
    reconstruction = tf.reduce_mean(
        tf.reduce_sum(K.binary_crossentropy(x, tf.sigmoid(y)), axis=(1, 2)))
    divergence = -0.5 * (1 + log_var - tf.square(mean) - tf.exp(log_var))
    return reconstruction + tf.reduce_mean(tf.reduce_sum(divergence, axis=1))


def early_keras(x, y, mean, log_var):
    """Flat pixels, the averaged loss times their number, and a KL averaged over the latent
    dimensions.
    """
    flat = [tf.reshape(v, [len(v), -1]) for v in (x, tf.sigmoid(y))]
    reconstruction = ENTRIES * K.binary_crossentropy(*flat)
    return tf.reduce_mean(reconstruction - 0.5
                          * tf.reduce_mean(1 + log_var - tf.square(mean) - tf.exp(log_var), -1))


def pytorch_example(x, y, mean, log_var):
    """The basic VAE of pytorch/examples: both terms are sums over everything."""
    p = tf.sigmoid(y)
    reconstruction = -tf.reduce_sum(x * tf.math.log(p) + (1 - x) * tf.math.log(1 - p))
    return reconstruction - 0.5 * tf.reduce_sum(1 + log_var - mean**2 - tf.exp(log_var))


def pytorch_mixed(x, y, mean, log_var):
    """mse_loss with its default reduction beside a KL that is summed over the batch."""
    return tf.reduce_mean((y - x) ** 2) + 0.001 * tf.reduce_sum(kl(mean, log_var))


def beta_vae(x, y, mean, log_var):
    """A weight on the averaged squared error, beta = 4, both averaged over the batch."""
    return 10 * tf.reduce_mean(K.mse(x, y)) + 4 * tf.reduce_mean(kl(mean, log_var))


def kl_over_everything(x, y, mean, log_var):
    """Squared errors summed over everything, the KL averaged over examples and dimensions, and
    without its 1/2.
    """
    return tf.reduce_sum((x - y) ** 2) - tf.reduce_mean(1 + log_var - mean**2 - tf.exp(log_var))


def tensorflow_tutorial(x, y, mean, log_var):
    """Cross-entropy from logits and a KL of samples; the mean of two opposite ones is its
    expectation, for it is quadratic.
    """
    log_p_x = -tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(logits=y, labels=x),
                             axis=[1, 2, 3])
    ratio = 0
    for sign in (-1.0, 1.0):
        z = mean + sign * tf.exp(log_var / 2)
        ratio += 0.5 * (log_normal_pdf(z, tf.zeros_like(z), tf.zeros_like(z))
                        - log_normal_pdf(z, mean, log_var))
    return -tf.reduce_mean(log_p_x + ratio)


def gaussian_likelihood(x, y, mean, log_var):
    squares = per_example((x - y) ** 2)
    log_likelihood = -0.5 * squares / SIGMA**2 - 0.5 * ENTRIES * np.log(2 * np.pi * SIGMA**2)
    return tf.reduce_mean(kl(mean, log_var) - log_likelihood)


def averaged_gaussian(x, y, mean, log_var):
    """torch.nn.GaussianNLLLoss averages over everything."""
    nll = 0.5 * (np.log(SIGMA**2) + (x - y) ** 2 / SIGMA**2)
    return tf.reduce_mean(nll) + 0.01 * tf.reduce_mean(kl(mean, log_var))


def pixels_to_255(x, y, mean, log_var):
    return tf.reduce_mean(per_example((255 * x - 255 * y) ** 2)) + tf.reduce_mean(kl(mean, log_var))


def gaussian_of_255(x, y, mean, log_var):
    return tf.reduce_mean(0.5 * per_example((255 * x - 255 * y) ** 2) / 400 + kl(mean, log_var))


def last_axis_of_mse(x, y, mean, log_var):
    return tf.reduce_mean(tf.reduce_sum(K.MSE(x, y),
                                        (1, 2))) + 0.5 * tf.reduce_mean(kl(mean, log_var))


STYLES = {
    half_sum_of_squares: (dict(reconstruction="sse", weight=0.5, kl_weight=4), "sse", 8),
    keras_documentation: (dict(reconstruction="bce", reduction="last_axis_mean",
                               shape=SHAPE), "bce sum", 3),
    early_keras: (dict(reconstruction="bce", reduction="mean", weight=ENTRIES, kl_reduction="mean",
                       latent_dim=N), "bce", 1 / ENTRIES / N),
    pytorch_example: (dict(reconstruction="bce", reduction="sum", batch_reduction="sum",
                           kl_batch_reduction="sum"), "bce sum", 1),
    pytorch_mixed: (dict(reconstruction="mse", kl_weight=0.001, kl_batch_reduction="sum",
                         batch_size=BATCH), "mse", 0.007),
    beta_vae: (dict(reconstruction="mse", weight=10, kl_weight=4), "mse", 0.4),
    kl_over_everything: (dict(reconstruction="sse", kl_weight=2, kl_reduction="mean", latent_dim=N,
                              batch_reduction="sum", batch_size=BATCH), "sse", 2 / N / BATCH),
    tensorflow_tutorial: (dict(reconstruction="bce", reduction="sum"), "bce sum", 1),
    gaussian_likelihood: (dict(reconstruction="gaussian_nll", reduction="sum",
                               variance=SIGMA**2), "gaussian_nll", 1),
    averaged_gaussian: (dict(reconstruction="gaussian_nll", reduction="mean", variance=SIGMA**2,
                             kl_weight=0.01, shape=SHAPE), "gaussian_nll", 0.01 * ENTRIES),
    pixels_to_255: (dict(reconstruction="sse", data_scale=255), "sse", 255**-2),
    gaussian_of_255: (dict(reconstruction="gaussian_nll", reduction="sum", variance=400,
                           data_scale=255), "gaussian_nll", 1),
    last_axis_of_mse: (dict(reconstruction="mse", reduction="last_axis_mean", shape=SHAPE,
                            kl_weight=0.5), "sse", 1.5),
}
KINDS = {
    "sse": distortions.SumSquaredError, "mse": distortions.MeanSquaredError,
    "bce": distortions.BinaryCrossentropy, "gaussian_nll": distortions.GaussianNLL
}


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.__name__)
def test_the_literal_loss_is_that_of_eq_54_up_to_a_factor_and_a_constant(style):
    """Over random outputs for the same x, the loss is affine in the means of D and KL; beta is the
    ratio of the two slopes.
    """
    words, kind, beta = STYLES[style]
    made = objective(**words)
    assert isinstance(made.distortion, KINDS[kind.split()[0]])
    assert made.beta == pytest.approx(beta, rel=1e-12)
    assert made.lmbda == pytest.approx(1 / beta, rel=1e-12)
    if kind.startswith("bce"):
        assert made.distortion.reduction == ("sum" if kind.endswith("sum") else "mean")
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 1, (BATCH, *SHAPE)))
    literal, canonical = [], []
    for _ in range(12):
        y = x + rng.uniform(0.1, 2) * rng.standard_normal((BATCH, *SHAPE))
        mean, log_var = (tf.constant(rng.standard_normal((BATCH, N)) * s)
                         for s in (rng.uniform(0.3, 3), rng.uniform(0.3, 2)))
        d = made.distortion(x, tf.sigmoid(y) if kind.startswith("bce") else y)
        divergence = tf.reduce_sum(posterior.Posterior(mean, tf.exp(log_var / 2)).kl(), -1)
        literal.append(float(style(x, y, mean, log_var)))
        canonical.append([np.mean(d), np.mean(divergence)])
    design = np.concatenate([canonical, np.ones([12, 1])], 1)
    slopes = np.linalg.lstsq(design / design.max(0), np.array(literal),
                             rcond=None)[0] / design.max(0)
    # Keras adds 1e-7 to probabilities before it takes their logarithms.
    np.testing.assert_allclose(design @ slopes, literal, rtol=0, atol=2e-6 * np.ptp(literal))
    assert slopes[1] > 0
    assert slopes[1] / slopes[0] == pytest.approx(made.beta, rel=1e-5)


def test_ssim_with_a_weight_and_with_pixels_in_0_to_255():
    """1 - SSIM is the same number at both scales; (1 - SSIM) / 2 and -SSIM are this loss with other
    factors and constants.
    """
    rng = np.random.default_rng(0)
    x = tf.constant(rng.uniform(0, 1, (3, 16, 16, 1)), tf.float32)
    y = tf.clip_by_value(x + 0.2 * tf.constant(rng.standard_normal(x.shape), tf.float32), 0, 1)
    made = objective("ssim", weight=0.5, kl_weight=0.01)
    assert made.beta == pytest.approx(0.02)
    literal = 0.5 * (1 - tf.image.ssim(x, y, 1.0)) / 0.01
    np.testing.assert_allclose(made.distortion(x, y) / made.beta, literal, rtol=1e-4)
    wide = objective(distortions.SSIM(max_val=255), weight=0.5, kl_weight=0.01)
    np.testing.assert_allclose(wide.distortion(255 * x, 255 * y) / wide.beta, literal, rtol=1e-4)


def test_a_distortion_of_ones_own():
    class Weighted(distortions.Distortion):
        def __call__(self, x, x_hat):
            return tf.reduce_sum([1.0, 2.0] * tf.square(x - x_hat), -1)

    mine = Weighted()
    assert objective(mine, weight=4, kl_weight=2) == (mine, 0.5)


def test_it_unpacks_and_says_what_was_derived():
    distortion, beta = made = objective("sse", weight=0.5, kl_weight=4)
    assert isinstance(distortion, distortions.SumSquaredError) and beta == 8
    assert str(made) == made.explain()
    assert "loss = 0.5 sum((x - x_hat)^2) + 4 KL" in str(made) and "sum of squares" in str(
        made) and "beta = 8" in str(made)
    assert str(pickle.loads(pickle.dumps(made))) == str(made)
    text = str(
        objective("bce", reduction="last_axis_mean", shape=(28, 28, 3), kl_reduction="mean",
                  latent_dim=20, kl_batch_reduction="sum", batch_size=64))
    assert "sum(BCE) / 3 + KL / 20 * 64" in text
    assert "BinaryCrossentropy(reduction='sum')" in text
    assert "beta = 9.6" in text
    assert "sum((255 x - 255 x_hat)^2)" in str(objective("sse", data_scale=255))


@pytest.mark.parametrize("words, argument", [
    (dict(reconstruction="mae"),
     "reconstruction"),
    (dict(reconstruction=["mse"]), "reconstruction"),
    (dict(reconstruction="bce"), ""),
    (dict(reconstruction="bce", reduction="batchmean"), "reduction"),
    (dict(reconstruction="sse", reduction="mean"), ""),
    (dict(reconstruction="mse", reduction="last_axis_mean"), "shape"),
    (dict(reconstruction="mse", reduction="last_axis_mean",
          shape=(None, 28, 28, 1)), ""),
    (dict(reconstruction="gaussian_nll", reduction="mean", variance=1.0), "shape"),
    (dict(reconstruction="gaussian_nll", reduction="sum"), ""),
    (dict(reconstruction="gaussian_nll", reduction="sum",
          variance=[0.1, 0.2]), "variance"),
    (dict(reconstruction="gaussian_nll", reduction="sum",
          variance=-1.0), "variance"),
    (dict(reconstruction="mse", variance=1.0), ""),
    (dict(reconstruction="mse", kl_reduction="mean"), "latent_dim"),
    (dict(reconstruction="mse", kl_reduction="mean",
          latent_dim=2.5), "latent_dim"),
    (dict(reconstruction="mse", kl_batch_reduction="sum"), "batch_size"),
    (dict(reconstruction="mse", kl_batch_reduction="none"), "kl_batch_reduction"),
    (dict(reconstruction="mse", weight=0), "weight"),
    (dict(reconstruction="mse", kl_weight=np.nan), "kl_weight"),
    (dict(reconstruction="mse", kl_weight=True), "kl_weight"),
    (dict(reconstruction="bce", reduction="sum", data_scale=255), ""),
    (dict(reconstruction="ssim", data_scale=255), "max_val"),
    (dict(reconstruction="ssim", reduction="sum"), "reduction"),
    (dict(reconstruction=distortions.SumSquaredError(),
          reduction="sum"), "reduction"),
])
def test_wrong_or_missing_words_are_errors_that_say_what_to_give(words, argument):
    with refuses(ValueError, argument):
        objective(**words)


def test_numbers_may_come_as_tensors_and_arrays():
    """A learned variance is a variable."""
    log_variance = tf.Variable(-2.0)
    made = objective("gaussian_nll", reduction="sum", variance=tf.exp(log_variance),
                     kl_weight=np.float32(0.5))
    assert made.distortion.variance == pytest.approx(np.exp(-2), rel=1e-6)
    assert made.beta == 0.5
