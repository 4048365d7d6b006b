"""Standardized latent variables: what is decoded stays, the KL falls by what is said, and what cannot be is refused."""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tfisovae import theory

layers = tf.keras.layers
N = 3
X = np.random.default_rng(0).standard_normal((400, 5)).astype(np.float32)


def spread_of(reading, scale):
    """What an encoder whose second output is `reading` would return for these scales."""
    return {"log_variance": 2 * np.log(scale), "variance": scale**2, "log_scale": np.log(scale), "scale": scale}[reading]


def a_vae(reading="log_variance", heads=1, bias=True, activation=None, first=layers.Dense, distortion="sse"):
    """Means up to 2 and second moments from .1 to 30 over X."""
    rng = np.random.default_rng(1)
    kernel = rng.standard_normal((5, N)) * [0.1, 1, 2]
    mean_bias, scale = np.array([0.2, -2, 1]), np.array([0.3, 0.2, 0.1])
    spread_kernel = 0.01 * rng.standard_normal((5, N)) * (spread_of(reading, scale) if reading in ("variance", "scale") else 1)
    x = tf.keras.Input((5,))
    ends = [layers.Dense(units, activation, use_bias=bias, name=name) for units, name in
            ([(2 * N, "both")] if heads == 1 else [(N, "mean"), (N, "spread")])]
    encoder = tf.keras.Model(x, [end(x) for end in ends] if heads == 2 else ends[0](x))
    weights = [(kernel, mean_bias), (spread_kernel, spread_of(reading, scale))]
    weights = weights if heads == 2 else [tuple(map(np.concatenate, zip(*((k.T, b) for k, b in weights))))]
    for end, (k, b) in zip(ends, weights):
        end.set_weights([k.T if heads == 1 else k, *([b] if bias else [])])
    decoder = tf.keras.Sequential([layers.Input((N,)), first(7, "tanh"), layers.Dense(5)])
    return tfisovae.VAE(encoder, decoder, distortion, 20.0, scale=reading)


def means(vae, x=X):
    found = vae.measure(tf.constant(x))
    return found.posterior, found.kl.numpy(), found.x_hat.numpy(), found.x_check.numpy(), found.distortion.numpy()


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("reading", ["log_variance", "variance", "log_scale", "scale"])
def test_moments_are_standard_and_nothing_else_changes(reading, heads):
    """x_hat with its noise, x_check and D are the same, the KL falls by the gain, which is what theory says, dimension by
    dimension; z was (z - mean) / scale."""
    vae = a_vae(reading, heads)
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


def test_the_verdict_advises_it_where_it_helps(make_linear_vae):
    """An optimum whose latent variables were shifted and scaled: NOT CONVERGED, and what to do; done, there is no sign any more.
    Where the balance is off too, it is not advised."""
    optimum = theory.LinearVAE(np.array([4.0, 1.0, 2.0]), 0.1)
    x = np.random.default_rng(2).standard_normal((4000, 3)).astype(np.float32) * np.sqrt([4, 1, 2]).astype(np.float32)
    vae = make_linear_vae(np.diag(optimum.encoder_gain * [1.5, 1, 0.8]), np.diag(optimum.decoder_gain / [1.5, 1, 0.8]),
                          optimum.scale * [1.5, 1, 0.8], 10.0)
    said = tfisovae.analyze(vae, x).health()
    assert said.startswith("NOT CONVERGED: E[mu^2 + sigma^2] of z_0") and "To do: tfisovae.standardize_latents(vae, " in said
    tfisovae.standardize_latents(vae, x)
    assert tfisovae.analyze(vae, x).health().startswith("No sign against convergence in scale, shift and noise")
    off = make_linear_vae(np.diag(optimum.encoder_gain), np.diag(optimum.decoder_gain), optimum.scale * 1.5, 10.0)
    said = tfisovae.analyze(off, x).health()
    assert said.startswith("NOT CONVERGED: ") and "balance" in said and "standardize_latents" not in said


class Layer(layers.Dense):
    """A dense layer that might do anything."""


@pytest.mark.parametrize("options, said", [({"bias": False}, "encoder"), ({"activation": "tanh"}, "encoder"),
                                           ({"first": Layer}, "decoder")])
def test_other_networks_are_refused(options, said):
    vae = a_vae(**options)
    before = vae.get_weights()
    with pytest.raises(ValueError, match=f"the {said} must"):
        tfisovae.standardize_latents(vae, X)
    for a, b in zip(before, vae.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_a_mean_that_is_not_finite_changes_nothing():
    vae = a_vae()
    head = vae.encoder.layers[-1]
    head.set_weights([head.get_weights()[0], np.full(2 * N, 1e38)])
    before = vae.get_weights()
    with pytest.raises(ValueError, match="not finite"):
        tfisovae.standardize_latents(vae, X)
    for a, b in zip(before, vae.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("network", ["toy", "mnist", "celeba"])
def test_the_networks_of_the_package_can_be(network):
    make = {"toy": lambda: tfisovae.networks.toy(2, 4), "mnist": lambda: tfisovae.networks.mnist(2, 16),
            "celeba": lambda: tfisovae.networks.celeba(2, image_size=16)}[network]
    vae = tfisovae.VAE(*make(), "mse", 10.0)
    x = np.random.default_rng(0).uniform(size=(20, *vae.example_shape)).astype(np.float32)
    before = means(vae, x)
    gain = tfisovae.standardize_latents(vae, x).gain
    after = means(vae, x)
    np.testing.assert_allclose((before[1] - after[1]).mean(0), gain, atol=1e-5)
    np.testing.assert_allclose(after[2], before[2], atol=1e-4)
