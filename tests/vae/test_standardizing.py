"""Standardized latent variables: what is decoded stays, the KL falls by what is said, and what
cannot be is refused.
"""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import networks, theory
from tfisovae.analysis import mean_gradient
from tfisovae.autoencoder import posterior
from tfisovae.verdict import ReasonKind, State, checks, words

layers = tf.keras.layers
N = 3
X = np.random.default_rng(0).standard_normal((400, 5)).astype(np.float32)


def spread_of(reading, scale):
    """What an encoder whose second output is `reading` would return for these scales."""
    return {
        "log_variance": 2 * np.log(scale), "variance": scale**2, "log_scale": np.log(scale),
        "scale": scale
    }[reading]


def a_vae(reading="log_variance", heads=1, bias=True, activation=None, first=layers.Dense,
          distortion="sse", joined=False):
    """Means up to 2 and second moments from .1 to 30 over X."""
    rng = np.random.default_rng(1)
    kernel = rng.standard_normal((5, N)) * [0.1, 1, 2]
    mean_bias, scale = np.array([0.2, -2, 1]), np.array([0.3, 0.2, 0.1])
    spread_kernel = 0.01 * rng.standard_normal(
        (5, N)) * (spread_of(reading, scale) if reading in ("variance", "scale") else 1)
    x = tf.keras.Input((5,))
    ends = [layers.Dense(units, activation, use_bias=bias, name=name) for units, name in
            ([(2 * N, "both")] if heads == 1 else [(N, "mean"), (N, "spread")])]
    returned = [end(x) for end in ends]
    encoder = tf.keras.Model(x, layers.Concatenate()(returned) if joined else returned)
    weights = [(kernel, mean_bias), (spread_kernel, spread_of(reading, scale))]
    weights = weights if heads == 2 else [
        tuple(map(np.concatenate, zip(*((k.T, b) for k, b in weights))))
    ]
    for end, (k, b) in zip(ends, weights):
        end.set_weights([k.T if heads == 1 else k, *([b] if bias else [])])
    decoder = tf.keras.Sequential([layers.Input((N,)), first(7, "tanh"), layers.Dense(5)])
    return tfisovae.VAE(encoder, decoder, distortion, 20.0, scale=reading)


def means(vae, x=X):
    found = vae.measure(tf.constant(x))
    return found.posterior, found.kl.numpy(), found.x_hat.numpy(), found.x_check.numpy(
    ), found.distortion.numpy()


@pytest.mark.slow
@pytest.mark.parametrize("heads, joined", [(1, False), (2, False), (2, True)])
@pytest.mark.parametrize("reading", ["log_variance", "variance", "log_scale", "scale"])
def test_moments_are_standard_and_nothing_else_changes(reading, heads, joined):
    """x_hat with its noise, x_check and D are the same, the KL falls by the gain, which is what
    theory says, dimension by dimension; z was (z - mean) / scale.
    """
    vae = a_vae(reading, heads, joined=joined)
    before = means(vae)
    norm = tfisovae.analyze(vae, X[:100]).norm_mean
    found = tfisovae.standardize_latents(vae, X)
    after = means(vae)
    mean, scale = (value.numpy().astype(np.float64) for value in after[0])
    np.testing.assert_allclose(mean.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose((mean**2 + scale**2).mean(0), 1, rtol=1e-5)
    np.testing.assert_allclose((before[0].mean - found.mean) / found.scale, mean, atol=1e-5)
    np.testing.assert_allclose((before[1] - after[1]).mean(0), found.gain, rtol=1e-3, atol=1e-4)
    assert (found.gain > 0).all() and found.num_examples == len(X)
    for a, b in zip(before[2:], after[2:]):
        np.testing.assert_allclose(b, a, rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(tfisovae.analyze(vae, X[:100]).norm_mean, norm, rtol=1e-3)


def test_it_is_the_least_of_all_shifts_and_scales():
    """No further shift or scale lowers the KL: the second time it finds nothing."""
    vae = a_vae()
    tfisovae.standardize_latents(vae, X)
    again = tfisovae.standardize_latents(vae, tf.data.Dataset.from_tensor_slices(X).batch(70), 350)
    np.testing.assert_allclose(again.gain, 0, atol=2e-2)
    assert again.num_examples == 350
    again = tfisovae.standardize_latents(vae, X)
    again = tfisovae.standardize_latents(vae, X)
    np.testing.assert_allclose([again.mean, again.scale - 1, again.gain], 0, atol=1e-5)
    assert "400 examples" in again.sentence()


@pytest.mark.slow
def test_the_verdict_advises_it_where_it_helps(make_linear_vae):
    """An optimum whose latent variables were shifted and scaled: IMPROVING, and what to do; done,
    there is nothing to gain. Where the balance is off it is not advised.
    """
    optimum = theory.LinearVAE(np.array([4.0, 1.0, 2.0]), 0.1)
    x = np.random.default_rng(2).standard_normal(
        (4000, 3)).astype(np.float32) * np.sqrt([4, 1, 2]).astype(np.float32)
    vae = make_linear_vae(np.diag(optimum.encoder_gain * [1.5, 1, 0.8]),
                          np.diag(optimum.decoder_gain / [1.5, 1, 0.8]),
                          optimum.scale * [1.5, 1, 0.8], 10.0)

    def judged(vae, measured=True):
        gradient = mean_gradient.block_gradients(
            vae, x, num_blocks=32).mean_gradient() if measured else None
        return tfisovae.analyze(vae, x).judge(gradient=gradient)

    for measured in (False, True):
        found = judged(vae, measured)
        assert found.state is State.IMPROVING
        assert "To do: call tfisovae.standardize_latents(vae, " in words.health(found)
        off = [reason.check for reason in found.of(ReasonKind.OFF)]
        assert off[0] == checks.SECOND and (checks.GRADIENT in off) == measured
    tfisovae.standardize_latents(vae, x)
    assert judged(vae, False).state is State.NOT_JUDGED
    off = make_linear_vae(np.diag(optimum.encoder_gain), np.diag(optimum.decoder_gain),
                          optimum.scale * 1.5, 10.0)
    said = tfisovae.analyze(off, x).health()
    assert said.startswith("IMPROVING: ") and "by the posterior widths" in said
    assert "standardize_latents" not in said


class Layer(layers.Dense):
    """A dense layer that might do anything."""


class Sampling(layers.Layer):
    """As Keras' example of a VAE has it."""

    def call(self, inputs):
        mean, log_variance = inputs
        return mean + tf.exp(0.5 * log_variance)


def of_outputs(outputs, options=None, decoder=None, n=N):
    """A VAE whose encoder returns `outputs(features)`."""
    x = tf.keras.Input((5,))
    encoder = tf.keras.Model(x, outputs(layers.Dense(6, "tanh")(x)))
    decoder = decoder or tf.keras.Sequential(
        [layers.Input((n, )),
         layers.Dense(7, "tanh", **(options or {})),
         layers.Dense(5)])
    return tfisovae.VAE(encoder, decoder, "sse", 20.0)


def heads(features):
    return layers.Dense(N, name="z_mean")(features), layers.Dense(N, name="z_log_var")(features)


def sampled(features):
    mean, log_variance = heads(features)
    return [mean, log_variance, Sampling()([mean, log_variance])]


def used(features):
    mean, _ = heads(features)
    return [mean, layers.Dense(N, name="z_log_var")(mean)]


def by_way(features):
    ends = heads(features)
    return [*ends, layers.Dense(2)(layers.Activation("tanh")(ends[0]))]


def twice(features):
    head = layers.Dense(N)
    return [head(features), head(layers.Dense(6)(features))]


REFUSED = {
    "no bias": (lambda: a_vae(bias=False), "has no bias"),
    "an activation": (lambda: a_vae(activation="tanh"), "has an activation"),
    "a layer that might do anything": (lambda: a_vae(first=Layer), "other layers lie"),
    "a head that feeds the other": (lambda: of_outputs(used), "takes the output of a head"),
    "one spread of all": (
        lambda: of_outputs(lambda h: [heads(h)[0], layers.Dense(1)(h)]), "share one scale"),
    "two heads joined with a third": (
        lambda: of_outputs(lambda h: layers.Concatenate()
                           ([*heads(h), layers.Dense(2 * N)(h)]), n=6), "other layers lie"),
    "one head joined with itself": (lambda: of_outputs(lambda h: layers.Concatenate()
                                                       ([heads(h)[0]] * 2)), "used more than once"),
    "classes by way of another layer": (lambda: of_outputs(by_way), "takes the output of a head"),
    "one layer as both heads": (lambda: of_outputs(twice), "used more than once"),
    "a constraint": (lambda: of_outputs(heads, {"kernel_constraint": "unit_norm"}),
                     "has a constraint or a regularizer"),
    "a regularizer": (
        lambda: of_outputs(heads, {"bias_regularizer": "l2"}), "has a constraint or a regularizer"),
    "a frozen layer": (lambda: of_outputs(heads, {"trainable": False}), "is not trained"),
    "two layers that take z": (lambda: of_outputs(heads, decoder=two_takers()), "other layers lie"),
}


def two_takers():
    z = tf.keras.Input((N,))
    return tf.keras.Model(z, layers.Dense(5)(z) + layers.Dense(5)(z))


@pytest.mark.parametrize("which", REFUSED)
def test_other_networks_are_refused(which):
    make, said = REFUSED[which]
    vae = make()
    before = vae.get_weights()
    with pytest.raises(ValueError, match=f"cannot be standardized: .*{said}"):
        tfisovae.standardize_latents(vae, X)
    for a, b in zip(before, vae.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_model_that_is_no_vae_is_refused():
    vae = a_vae()
    with pytest.raises(TypeError, match="vae must be a tfisovae.VAE.*got Autoencoder"):
        tfisovae.standardize_latents(
            tfisovae.as_autoencoder((vae.encoder, vae.decoder), "sse", 0.05), X)


def called_elsewhere():
    """Keras' own way: layers of the decoder are called in the whole model, and again in the
    generator.
    """
    vae = of_outputs(sampled)
    whole = tf.keras.Input((5,))
    vae.decoder(vae.encoder(whole)[2])
    z, hidden = tf.keras.Input((N,)), vae.decoder.layers
    generator = tf.keras.Model(z, hidden[1](hidden[0](z)))
    return tfisovae.VAE(vae.encoder, generator, "sse", 20.0)


ACCEPTED = {
    "with a sample": lambda: of_outputs(sampled),
    "names in another order": lambda: of_outputs(lambda h: heads(h)[::-1]),
    "by name": lambda: of_outputs(lambda h: dict(zip(
        ("z_mean", "z_log_var"), heads(h)))), "called elsewhere too": called_elsewhere,
    "the package's own dense layer": lambda: a_vae(first=networks.Dense)
}


@pytest.mark.parametrize("which", ACCEPTED)
def test_usual_networks_can_be(which):
    vae = ACCEPTED[which]()
    before = means(vae)
    gain = tfisovae.standardize_latents(vae, X).gain
    after = means(vae)
    np.testing.assert_allclose((before[1] - after[1]).mean(0), gain, atol=1e-4)
    np.testing.assert_allclose(after[2], before[2], atol=1e-4)
    np.testing.assert_allclose(np.mean(after[0].mean.numpy()**2 + after[0].scale.numpy()**2, 0), 1,
                               rtol=1e-5)


def test_no_other_shift_or_scale_has_less_kl():
    """100 of them near the one that is found, in every dimension."""
    vae, rng = a_vae(), np.random.default_rng(3)
    tfisovae.standardize_latents(vae, X)
    mean, scale = (value.numpy() for value in vae.encode(tf.constant(X)))
    least = posterior.Posterior(mean, scale).kl().numpy().mean(0)
    for size in np.repeat([0.001, 0.1], 50):
        shift, factor = size * rng.standard_normal(N), np.exp(size * rng.standard_normal(N))
        moved = posterior.Posterior(((mean - shift) * factor).astype(np.float32),
                                    (scale * factor).astype(np.float32))
        assert (moved.kl().numpy().mean(0) > least - 1e-6).all()


def test_a_mean_that_is_not_finite_changes_nothing():
    vae = a_vae()
    head = vae.encoder.layers[-1]
    head.set_weights([head.get_weights()[0], np.full(2 * N, np.inf)])
    before = vae.get_weights()
    with refuses(ValueError):
        tfisovae.standardize_latents(vae, X)
    for a, b in zip(before, vae.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["toy", "mnist", "celeba"])
def test_the_networks_of_the_package_can_be(network):
    make = {
        "toy": lambda: tfisovae.networks.toy(2, 4), "mnist": lambda: tfisovae.networks.mnist(2, 16),
        "celeba": lambda: tfisovae.networks.celeba(2, image_size=16)
    }[network]
    vae = tfisovae.VAE(*make(), "mse", 10.0)
    x = np.random.default_rng(0).uniform(size=(20, *vae.example_shape)).astype(np.float32)
    before = means(vae, x)
    gain = tfisovae.standardize_latents(vae, x).gain
    after = means(vae, x)
    np.testing.assert_allclose((before[1] - after[1]).mean(0), gain, atol=1e-5)
    np.testing.assert_allclose(after[2], before[2], atol=1e-4)


def test_a_few_examples_are_no_training_data():
    """Over one of them every mean would be that example's, and every scale its posterior's."""
    vae = a_vae()
    before = vae.get_weights()
    with refuses(ValueError, "data"):
        tfisovae.standardize_latents(vae, X[:1])
    for a, b in zip(before, vae.get_weights()):
        np.testing.assert_array_equal(a, b)
