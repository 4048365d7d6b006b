"""Training mode in `fit`, inference mode and float32 wherever something is measured; networks that
have seen nothing yet.
"""
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import geometry, networks
from tfisovae.autoencoder.noise import noise_rows
from tfisovae.training import devices

layers = tf.keras.layers
SIZE, ROWS = 5, 8


def points(rows=ROWS, size=SIZE, seed=0):
    return np.random.default_rng(seed).normal(1, 2, (rows, size)).astype(np.float32)


def normalising(momentum=0.5, **kwargs):
    """The encoder normalises x, the decoder z: what they keep has a closed form."""
    norm = [
        layers.BatchNormalization(momentum=momentum, name=f"norm_{name}", **kwargs)
        for name in ("x", "z")
    ]
    encoder = tf.keras.Sequential([layers.Input((SIZE,)), norm[0], layers.Dense(4)])
    decoder = tf.keras.Sequential([layers.Input((2,)), norm[1], layers.Dense(SIZE)])
    return encoder, decoder


def statistics(network):
    norm = network.layers[0]
    return norm.moving_mean.numpy(), norm.moving_variance.numpy()


WAYS = {
    "plain": {}, "parts": {"num_parts": 4}, "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True}, "resident": {}
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_fit_moves_the_statistics_of_batch_normalisation(way):
    """By the definition, of whole batches; measuring leaves them as they are."""
    x = points()
    vae = tfisovae.VAE(*normalising(), "sse", 1.0)
    resident = x if way == "resident" else None
    vae.compile(tf.keras.optimizers.SGD(0.0), resident=resident, **WAYS[way])
    assert vae.num_parts == 1 and not vae.treats_examples_apart
    rows = np.arange(ROWS, dtype=np.int32)[None] if way == "resident" else x
    vae.fit(tf.data.Dataset.from_tensors(rows), epochs=2, verbose=0)
    mean, variance = statistics(vae.encoder)
    np.testing.assert_allclose(mean, 0.75 * x.mean(0), rtol=1e-4)
    np.testing.assert_allclose(variance, 0.25 + 0.75 * x.var(0), rtol=1e-4)
    before = vae.get_weights()
    vae.evaluate(tf.data.Dataset.from_tensors(x), verbose=0)
    vae.predict(x, verbose=0)
    tfisovae.analyze(vae, x) if way == "plain" else None
    for a, b in zip(before, vae.get_weights()):
        np.testing.assert_array_equal(a, b)


REPLICAS = """
import sys
import numpy as np, tensorflow as tf
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import tfisovae
from tfisovae import _keras
from tests.vae import test_modes as t
x = t.points()
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    for synchronized in (False, True):
        vae = tfisovae.VAE(*t.normalising(synchronized=synchronized), "sse", 1.0)
        vae.compile(tf.keras.optimizers.SGD(0.0))
        vae.fit(tf.data.Dataset.from_tensor_slices(x).batch(t.ROWS), verbose=0)
        mean, variance = t.statistics(vae.encoder)
        parts = [x] if synchronized else [x[:4]] if _keras.KERAS_3 else [x[:4], x[4:]]
        expected = [np.mean([kind(part, 0) for part in parts], 0) for kind in (np.mean, np.var)]
        np.testing.assert_allclose(mean, 0.5 * expected[0], rtol=1e-4)
        np.testing.assert_allclose(variance, 0.5 + 0.5 * expected[1], rtol=1e-4)
"""


@pytest.mark.slow
def test_batch_normalisation_on_replicas_is_that_of_keras(root):
    """Each replica its own part of the batch, unless the layer is told otherwise. Keras 2 keeps the
    mean over replicas, Keras 3 what the first has.

    In a process of its own: TensorFlow takes the reductions of two strategies on the same devices
    for those of one.
    """
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True,
                          timeout=240,
                          env={**os.environ, "TFISOVAE_TEST_WORKER": "1", "PYTHONPATH": str(root)})
    assert done.returncode == 0, done.stderr[-2500:]


def test_both_points_of_the_decomposed_loss_are_normalised_together():
    """Once a step, over Dec(mean) and Dec(mean + scale * noise): otherwise they would come from two
    decoders.
    """
    x = points()
    vae = tfisovae.VAE(*normalising(), "sse", 1.0, decomposed=True)
    vae.compile(tf.keras.optimizers.SGD(0.0))
    posterior = vae.encode(x, training=True)
    vae.encoder.layers[0].set_weights(normalising()[0].layers[0].get_weights())
    z = tf.concat(
        [posterior.mean,
         posterior.sample(noise_rows(len(x), vae.n, vae.seed, 0))], 0).numpy()
    logs = vae.fit(tf.data.Dataset.from_tensors(x), verbose=0).history
    mean, variance = statistics(vae.decoder)
    np.testing.assert_allclose(mean, 0.5 * z.mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(variance, 0.5 + 0.5 * z.var(0), rtol=1e-4)
    kernel, bias = vae.decoder.layers[1].get_weights()
    x_check, x_hat = np.split((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-3) @ kernel + bias, 2)
    np.testing.assert_allclose(logs["distortion"],
                               np.mean(np.sum((x - x_check)**2 + (x_check - x_hat)**2, 1)),
                               rtol=1e-4)


class Ones(tf.keras.Model):
    """x_hat = 1 with half of it dropped and the rest doubled in training; its `call` has no
    argument `training`.
    """

    def __init__(self, size=SIZE, **kwargs):
        super().__init__(**kwargs)
        self.ones, self.dropout = layers.Dense(size, kernel_initializer="zeros",
                                               bias_initializer="ones"), layers.Dropout(0.5)

    def call(self, z):
        return self.dropout(self.ones(z))

    def get_config(self):
        return {"size": self.ones.units}


@pytest.mark.slow
@pytest.mark.parametrize("subclassed", [False, True])
def test_dropout_is_on_in_fit_and_off_where_something_is_measured(subclassed):
    """Against x = 1 every entry of x_hat, 0 or 2, is off by 1; without dropout none is."""
    encoder = tf.keras.Sequential([layers.Input((SIZE,)), layers.Dense(4)])
    ones = Ones()
    decoder = ones if subclassed else tf.keras.Sequential(
        [layers.Input((2, )), ones.ones, ones.dropout])
    vae = tfisovae.VAE(encoder, decoder, "sse", 1.0, seed=1)
    vae.compile(tf.keras.optimizers.SGD(0.0))
    x = np.ones([ROWS, SIZE], np.float32)
    assert vae.fit(x, verbose=0).history["distortion"] == [SIZE]
    assert vae.evaluate(x, verbose=0, return_dict=True)["distortion"] == 0
    np.testing.assert_array_equal(vae.predict(x, verbose=0), x)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_what_is_trained_in_half_precision_is_measured_in_float32(policy, tmp_path):
    """The same numbers as of a float32 network with the same weights: in memory, loaded, and in the
    bare signatures.
    """
    def make():
        return tfisovae.VAE(*networks.toy(2, SIZE), "sse", 10.0, warmup_steps=0)

    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        vae = make()
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert vae.decoder.layers[0].compute_dtype == policy.removeprefix("mixed_")
    vae.save(tmp_path / "model")
    exact = make()
    exact.set_weights(vae.get_weights())
    x = points()
    z = exact.encode(x).mean
    half = vae.decode(z, training=True) - exact.decode(z)
    assert np.abs(half).max() > 1e-5  # it does train in half precision
    derivatives = geometry.numerical_derivatives(exact.decode, z, exact.distortion)
    for measured in (vae, tfisovae.load(tmp_path / "model")):
        for a, b in zip(measured.encode(x), exact.encode(x)):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(
            geometry.numerical_derivatives(measured.decode, z, exact.distortion), derivatives)
        np.testing.assert_array_equal(measured.measure(x).coding_loss, exact.measure(x).coding_loss)
        np.testing.assert_array_equal(measured.predict(x, verbose=0), exact.predict(x, verbose=0))
        # And goes on in it.
        assert measured.decoder.layers[0].compute_dtype == policy.removeprefix("mixed_")
    bare = tf.saved_model.load(str(tmp_path / "model")).signatures["decode"](z=z)["x_hat"]
    np.testing.assert_allclose(bare, exact.decode(z), rtol=1e-5, atol=1e-6)


def subclassed_encoder(name, with_config):
    """A class that no module has: Keras cannot import it."""
    class Encoder(tf.keras.Model):
        def __init__(self, latents):
            super().__init__()
            self.latents = latents
            self.heads = [layers.Dense(int(latents)), layers.Dense(int(latents))]

        def call(self, x):
            return [head(x) for head in self.heads]

        if with_config:
            def get_config(self):
                return {"latents": self.latents}

    return type(name, (Encoder,), {})


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["array", "data set", "shape"])
def test_networks_that_say_nothing_learn_it_from_the_data(kind, tmp_path):
    """Both subclassed and never called."""
    KnownEncoder = subclassed_encoder("KnownEncoder", True)
    vae = tfisovae.VAE(KnownEncoder(3), Ones(), "sse", 1.0,
                       example_shape=(SIZE, ) if kind == "shape" else None)
    assert (vae.n, vae.example_shape) == ((3, (SIZE,)) if kind == "shape" else (None, None))
    vae.compile("adam", metrics=[tfisovae.metrics.PosteriorPrecision()])
    x = points()
    vae.fit(tf.data.Dataset.from_tensor_slices(x).batch(4) if kind == "data set" else x, verbose=0)
    assert vae.n == 3 and vae.example_shape == (SIZE,) and len(vae.weights) == 6
    precision = vae.evaluate(x, verbose=0, return_dict=True)["posterior_precision"]
    np.testing.assert_allclose(precision, np.mean(1 / np.square(vae.encode(x).scale)), rtol=1e-5)
    if kind != "array":
        return
    vae.save(tmp_path / "model")
    with refuses(ValueError):
        tfisovae.load(tmp_path / "model")
    loaded = tfisovae.load(tmp_path / "model", {"KnownEncoder": KnownEncoder, "Ones": Ones})
    for a, b in zip((*vae.encode(x), *vae.weights), (*loaded.encode(x), *loaded.weights)):
        np.testing.assert_array_equal(a, b)


def test_networks_that_cannot_be_made_anew_are_refused_before_anything_is_written(tmp_path):
    decoder = networks.toy(3, SIZE)[1]
    encoder = subclassed_encoder("Encoder", False)(tf.constant(3).numpy())
    vae = tfisovae.VAE(encoder, decoder, "sse", 1.0)
    with refuses(ValueError):
        vae.save(tmp_path / "model")
    hidden = tf.keras.Sequential(
        [layers.Input((SIZE, )),
         layers.Lambda(lambda x: 2 * x),
         layers.Dense(6)])
    vae = tfisovae.VAE(hidden, decoder, "sse", 1.0)
    with refuses(ValueError):
        vae.save(tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("cores, batch_size, parts", [
    (1, 64, 1), (2, 64, 2), (3, 64, 2), (2, 63, 1), (64, 64, 8), (64, 100, 5), (7, 63, 7)])
def test_parts_have_a_core_each_and_are_at_most_8(monkeypatch, cores, batch_size, parts):
    monkeypatch.setattr(devices, "num_cores", lambda: cores)
    assert devices.num_parts(batch_size, tf.distribute.get_strategy()) == parts
