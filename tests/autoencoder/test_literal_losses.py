"""Small models trained by other code, with losses as people write them: their posterior gives the
beta that `objective` reads.
"""
import numpy as np
import pytest
import tensorflow as tf

from tfisovae import as_autoencoder, estimate_beta, geometry, objective, theory

K = tf.keras.losses
L = tf.keras.layers


def train(encoder, decoder, loss, x, steps=2000, learning_rate=0.02, variables=()):
    """Adam with a cosine schedule on the whole of x, by no code of the package.

    `loss(x, x_hat, mean, log_var, z)`; `encoder` gives the mean and the log-variance.
    """
    variables = [*encoder.trainable_variables, *decoder.trainable_variables, *variables]
    optimizer = tf.keras.optimizers.Adam(
        tf.keras.optimizers.schedules.CosineDecay(learning_rate, steps))
    optimizer.build(variables)

    @tf.function(jit_compile=True)
    def run():
        for step in tf.range(steps):
            with tf.GradientTape() as tape:
                mean, log_var = tf.split(encoder(x), 2, -1)
                noise = tf.exp(log_var / 2) * tf.random.stateless_normal(tf.shape(mean), [step, 0])
                value = sum(
                    loss(x, decoder(z), mean, log_var, z) for z in (mean + noise, mean - noise)) / 2
            optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))

    run()


def trained(encoder, decoder, distortion):
    return as_autoencoder((encoder, decoder), distortion, needs_beta=False)


def linear_networks(x, n):
    """They start near the data's principal axes: turning towards them would be most of the
    training.
    """
    shape, flat = x.shape[1:], x.reshape(len(x), -1)
    axes = np.linalg.eigh(flat.T @ flat)[1][:, ::-1][:, :n]
    size, noise = len(axes), 0.1 * np.random.default_rng(0).standard_normal((len(axes), 2 * n))
    encoder = tf.keras.Sequential([L.Input(shape), L.Flatten(), L.Dense(2 * n)])
    decoder = tf.keras.Sequential([L.Input((n,)), L.Dense(size), L.Reshape(shape)])
    encoder.set_weights([np.concatenate([0.5 * axes, 0 * axes], 1) + noise, np.zeros(2 * n)])
    decoder.set_weights([axes.T + noise[:, :n].T, np.zeros(size)])
    return encoder, decoder


def sphered(num_examples, variance, shape):
    """Gaussian data whose sample covariance is diag(variance) exactly, turned about: the theory of
    the sample is that of v.
    """
    rng, m = np.random.default_rng(0), len(variance)
    x = rng.standard_normal((num_examples, m))
    x -= x.mean(0)
    x = np.linalg.solve(np.linalg.cholesky(x.T @ x / num_examples), x.T).T * np.sqrt(variance)
    rotation = np.linalg.qr(rng.standard_normal((m, m)))[0]
    return (x @ rotation).reshape(-1, *shape).astype(np.float32)


def kl(mean, log_var, reduce=tf.reduce_sum):
    return -0.5 * reduce(1 + log_var - mean**2 - tf.exp(log_var), -1)


def half_squares(x, x_hat, mean, log_var, z):
    return tf.reduce_mean(0.5 * tf.reduce_sum((x - x_hat)**2, (1, 2, 3)) + 0.25 * kl(mean, log_var))


def keras_last_axis(x, x_hat, mean, log_var, z):
    """keras.losses.mse averages the two channels; the KL is averaged over the latent dimensions."""
    return tf.reduce_mean(tf.reduce_sum(K.mse(
        x, x_hat), (1, 2))) + 0.6 * tf.reduce_mean(kl(mean, log_var, tf.reduce_mean))


def mse_and_summed_kl(x, x_hat, mean, log_var, z):
    """PyTorch's mse_loss averages over everything, the KL is a sum over the batch."""
    return 100 * tf.reduce_mean((x - x_hat) ** 2) + 0.005 * tf.reduce_sum(kl(mean, log_var))


def gaussian_and_sampled_kl(x, x_hat, mean, log_var, z):
    """A Gaussian likelihood of deviation .4, and log q(z|x) - log p(z) of the one sample."""
    log_p_x = -0.5 * tf.reduce_sum((x - x_hat) ** 2, (1, 2, 3)) / 0.4**2
    log_ratio = tf.reduce_sum(0.5 * (z - mean)**2 / tf.exp(log_var) + 0.5 * log_var - 0.5 * z**2,
                              -1)
    return -tf.reduce_mean(log_p_x + log_ratio)


LINEAR_SHAPE, LATENTS, EXAMPLES = (2, 2, 2), 4, 1000
LITERAL = {
    half_squares: (dict(reconstruction="sse", weight=0.5, kl_weight=0.25), 0.5),
    keras_last_axis: (dict(reconstruction="mse", reduction="last_axis_mean", shape=LINEAR_SHAPE,
                           kl_weight=0.6, kl_reduction="mean", latent_dim=LATENTS), 0.3),
    mse_and_summed_kl: (dict(reconstruction="mse", weight=100, kl_weight=0.005,
                             kl_batch_reduction="sum", batch_size=EXAMPLES), 0.4),
    gaussian_and_sampled_kl: (dict(reconstruction="gaussian_nll", reduction="sum",
                                   variance=0.4**2), 0.32),
}


@pytest.mark.parametrize("loss", LITERAL, ids=lambda loss: loss.__name__)
def test_a_linear_vae_trained_with_the_literal_loss(loss):
    """Its posterior gives the beta that `objective` read, and its scales and norms are those of
    theory at that beta.

    The last latent dimension collapses: the fourth variance is below beta / 2.
    """
    words, beta_of_squares = LITERAL[loss]
    made = objective(**words)
    variance = np.array([9.0, 3.0, 1.0, 0.05, 0.02, 0.02, 0.01, 0.01])
    x = sphered(EXAMPLES, variance, LINEAR_SHAPE)
    encoder, decoder = linear_networks(x, LATENTS)
    train(encoder, decoder, loss, x)
    model = trained(encoder, decoder, made.distortion)
    found = estimate_beta(model, x)
    assert found.strong.sum() == 3
    assert not found.differs_from(made.beta, tolerance=0.01)
    assert found.differs_from(1.1 * made.beta, tolerance=0.01) and found.differs_from(
        0.9 * made.beta, tolerance=0.01)
    optimum = theory.LinearVAE(variance[:LATENTS], beta_of_squares)
    mean, scale = model.encode(x)
    precision = np.mean(scale.numpy() ** -2.0, 0)
    order = np.argsort(-precision)
    np.testing.assert_allclose(precision[order], optimum.precision, rtol=0.02)
    pullback = geometry.pullback_metric(model.decode, mean[:1], made.distortion)
    norms = 2 / made.beta * np.mean(scale.numpy() ** 2, 0) * np.diag(pullback[0])
    np.testing.assert_allclose(norms[order], optimum.norm, rtol=0.02, atol=0.005)


def test_a_gaussian_likelihood_whose_variance_is_learned():
    """At the end its variance is the mean squared error over the entries; with that number beta is
    1.
    """
    variance = np.array([9.0, 3.0, 1.0, *[0.1] * 5])
    x = sphered(EXAMPLES, variance, LINEAR_SHAPE)
    encoder, decoder = linear_networks(x, LATENTS)
    log_variance = tf.Variable(0.0)

    def loss(x, x_hat, mean, log_var, z):
        nll = 0.5 * tf.reduce_sum((x - x_hat) ** 2 / tf.exp(log_variance) + log_variance, (1, 2, 3))
        return tf.reduce_mean(nll + kl(mean, log_var))

    train(encoder, decoder, loss, x, variables=[log_variance])
    made = objective("gaussian_nll", reduction="sum", variance=tf.exp(log_variance))
    assert made.beta == 1
    # With theory: D = sum of squares at beta = 2 variance, whose mean over 8 entries is the
    # variance again. That holds at .1, where the likelihood is that of probabilistic PCA: 5 entries
    # of .1 unexplained and 3 dimensions of .1 = beta / 2 each.
    assert made.distortion.variance == pytest.approx(0.1, rel=0.02)
    found = estimate_beta(trained(encoder, decoder, made.distortion), x)
    assert found.strong.sum() == 3
    assert not found.differs_from(1, tolerance=0.01) and found.differs_from(1.1, tolerance=0.01)


def test_a_network_trained_with_the_loss_of_the_keras_documentation():
    """Cross-entropy of two channels, averaged over these and summed over the rest, beside 1 KL:
    beta is 2, not 1.
    """
    rng = np.random.default_rng(0)
    logits = rng.uniform(-1, 1, (500, 2)) @ rng.standard_normal((2, 32)) * 3
    x = (1 / (1 + np.exp(-logits))).reshape(-1, 4, 4, 2).astype(np.float32)
    encoder = tf.keras.Sequential(
        [L.Input((4, 4, 2)), L.Flatten(),
         L.Dense(16, "tanh"), L.Dense(4)])
    decoder = tf.keras.Sequential(
        [L.Input((2, )),
         L.Dense(16, "tanh"),
         L.Dense(32, "sigmoid"),
         L.Reshape((4, 4, 2))])

    def loss(x, x_hat, mean, log_var, z):
        return tf.reduce_mean(tf.reduce_sum(K.binary_crossentropy(x, x_hat),
                                            (1, 2))) + tf.reduce_mean(kl(mean, log_var))

    train(encoder, decoder, loss, x)
    made = objective("bce", reduction="last_axis_mean", shape=(4, 4, 2))
    # More noise, not more data.
    found = estimate_beta(trained(encoder, decoder, made.distortion), np.tile(x, [8, 1, 1, 1]))
    assert made.beta == 2
    assert not found.differs_from(2, tolerance=0.03) and found.differs_from(2.4, tolerance=0.03)
