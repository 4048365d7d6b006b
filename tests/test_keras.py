"""Keras 2 and Keras 3: what differs is in one module, and what would break without a word."""
import ast
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.support import ROOT
from tfisovae import _keras, metrics, networks
from tfisovae.analysis import mean_gradient
from tfisovae.autoencoder import graph
from tfisovae.metrics.base import MeasurementMetric

layers = tf.keras.layers

# Private names of other libraries than Keras, which have no public way.
OF_OTHERS = {"_registry", "_resource", "_is_gcs_disabled", "_upper_tail", "_lower_tail"}
OF_PYTHON = {"_fields", "_asdict", "_replace", "_getframe"}


def test_private_names_of_keras_are_in_one_module():
    """Private attributes that a file reads are defined in the package, except for a few of others.
    """
    defined, read = set(), {}
    for path in (ROOT / "tfisovae").rglob("*.py"):
        text = path.read_text()
        if path.name != "_keras.py":
            assert not re.search(r"keras\.(src|__internal__)|_keras_history", text), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                defined.add(node.id)
            elif isinstance(node, ast.alias):
                defined.add((node.asname or node.name).rpartition(".")[2])
            elif isinstance(node, ast.Attribute) and re.match(r"_(?!_)", node.attr):
                if isinstance(node.ctx, ast.Store):
                    defined.add(node.attr)
                elif path.name != "_keras.py":
                    read[node.attr] = path
    unknown = {name: str(path) for name, path in read.items()
               if name not in defined | OF_OTHERS | OF_PYTHON}
    assert not unknown


def test_metrics_sum_in_float64():
    class Mine(MeasurementMetric):
        def measure(self, measurement):
            return measurement.kl[:, 0]

        def build(self, n):
            if self.n is None:
                self.mine = self.accumulator("mine", (n,))
            super().build(n)

    kinds = [getattr(metrics, name) for name in dir(metrics) if name[0].isupper()]
    found = [kind() for kind in kinds
             if isinstance(kind, type) and issubclass(kind, MeasurementMetric)
             and kind is not MeasurementMetric]
    assert len(found) >= 8
    for metric in (*found, Mine()):
        metric.build(3)
        assert metric.variables, metric
        for variable in metric.variables:
            assert tf.as_dtype(variable.dtype) == tf.float64, (metric, variable)
            variable.assign_add(tf.ones(variable.shape, tf.float64))
            variable.assign_add(tf.fill(variable.shape, tf.constant(2.0**-40, tf.float64)))
            assert np.all(np.asarray(variable) == 1 + 2.0**-40)


class Subclassed(tf.keras.Model):
    """A network that holds its layers in a list, in a dict, and in another layer."""

    def __init__(self, inner):
        super().__init__()
        self.first = [layers.Dense(4)]
        self.second = {"inner": inner}

    def call(self, inputs):
        return self.second["inner"](self.first[0](inputs))


def held_by(kind, layer):
    """A network of 4 numbers in which `layer` is, two levels deep."""
    inner = tf.keras.Sequential([layers.Input((4,)), layer, layers.Dense(4)])
    if kind == "Sequential":
        return tf.keras.Sequential([layers.Input((4,)), inner])
    if kind == "functional":
        x = tf.keras.Input((4,))
        return tf.keras.Model(x, inner(x))
    network = Subclassed(inner)
    if kind == "subclassed":
        network(tf.zeros([1, 4]))
        return network
    module = tf.Module()
    module.parts = [network]
    return module


@pytest.mark.parametrize("kind", ["Sequential", "functional", "subclassed", "module"])
def test_layers_inside_a_network_are_found(kind):
    dropout = layers.Dropout(0.5)
    narrow = layers.Dense(4, dtype="mixed_bfloat16")
    normalized = layers.BatchNormalization()
    assert graph.random_layers(held_by(kind, dropout)) == [dropout]
    assert not graph.random_layers(held_by(kind, layers.Dropout(0.0)))
    assert graph.narrow_layers(held_by(kind, narrow)) == [narrow]
    network = held_by(kind, normalized)
    assert normalized in graph.layers(network)
    if kind != "module":
        assert not graph.treats_examples_apart(network)
    if kind in ("Sequential", "functional"):
        assert graph.treats_examples_apart(held_by(kind, layers.Dense(4)))


def test_operations_between_layers_may_look_at_the_whole_batch():
    x = tf.keras.Input((4,))
    h = layers.Dense(4)(x)
    if _keras.KERAS_3:
        mean = tf.keras.ops.mean(h, 0, keepdims=True)
    else:
        mean = tf.reduce_mean(h, 0, keepdims=True)
    assert not graph.treats_examples_apart(tf.keras.Model(x, layers.Subtract()([h, mean])))


@pytest.mark.parametrize("kind", [networks.GDN, networks.OwnGDN])
def test_parameters_of_gdn_are_held_at_their_bounds(kind):
    """Each at its bound, below it, and above it."""
    layer = kind()
    layer.build((None, 1, 1, 2))
    root = 2.0**-18
    for weight, minimum in zip(layer.trainable_variables, (1e-6, 0.0)):
        for value, expected in ((minimum, True), (minimum / 2, True),
                                (1.1 * minimum + 1e-9, False)):
            weight.assign(tf.fill(weight.shape, tf.sqrt(value + root**2)))
            assert (mean_gradient.held([weight])[0] == expected).all(), (weight.name, value)


class Other(networks.OwnGDN):
    call, get_config = networks.GDN.call, networks.GDN.get_config


@pytest.mark.parametrize("inverse", [False, True])
def test_own_gdn_is_that_of_tensorflow_compression(inverse, tfc):
    """Initial weights, outputs and gradients, bit for bit, above and below the bounds."""
    rng = np.random.default_rng(0)
    x = tf.constant(rng.standard_normal((2, 3, 3, 5)), tf.float32)
    assert issubclass(networks.GDN, tfc.GDN)
    theirs, ours = networks.GDN(inverse=inverse), Other(inverse=inverse)
    theirs(x), ours(x)
    names = [[weight.name.rpartition("/")[2] for weight in layer.weights]
             for layer in (theirs, ours)]
    assert names[0] == names[1]
    for trial in range(3):
        found = []
        for layer in (theirs, ours):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x)
                loss = tf.reduce_sum(tf.sin(y))
            found.append([*layer.get_weights(), y,
                          *tape.gradient(loss, [x, *layer.trainable_variables])])
        for a, b in zip(*found):
            np.testing.assert_array_equal(a, b)
        values = [rng.uniform(-0.1 * trial, 1, weight.shape) for weight in theirs.weights]
        theirs.set_weights(values), ours.set_weights(values)


def test_own_gdn_in_the_published_model(monkeypatch, tfc):
    """The same posterior and reconstruction, bit for bit."""
    path = ROOT / "results" / "faces" / "decomposed" / "model"
    x = np.random.default_rng(0).uniform(size=(2, 64, 64, 3)).astype(np.float32)
    vae = tfisovae.load(path)
    monkeypatch.setattr(networks, "GDN", Other)
    encoder, decoder = networks.celeba(vae.n)
    assert sum(isinstance(layer, Other) for layer in graph.layers(encoder)) == 4
    encoder.set_weights(vae.encoder.get_weights()), decoder.set_weights(vae.decoder.get_weights())
    other = tfisovae.VAE(encoder, decoder, vae.distortion, float(vae.lmbda.numpy()))
    for a, b in zip(vae.encode(x), other.encode(x)):
        np.testing.assert_array_equal(a, b)
    z = vae.encode(x).mean
    np.testing.assert_array_equal(vae.decode(z), other.decode(z))


CROSSING = ROOT / "tests" / "data" / "crossing"


@pytest.mark.parametrize("name", ["keras2-image", "keras2-functional", "keras3-image",
                                  "keras3-functional"])
def test_saved_models_open_in_either_keras(name):
    """To the rounding of float32, which two versions of TensorFlow need not share."""
    vae, saved = tfisovae.load(CROSSING / name), np.load(CROSSING / f"{name}.npz")
    mean, scale = vae.encode(saved["x"])
    np.testing.assert_allclose(mean, saved["mean"], atol=5e-6)
    np.testing.assert_allclose(scale, saved["scale"], rtol=5e-6)
    np.testing.assert_allclose(vae.decode(saved["mean"]), saved["x_hat"], atol=5e-6)


def test_a_network_that_only_the_other_keras_can_make_is_refused(tmp_path):
    """Its signatures can be measured all the same."""
    shutil.copytree(CROSSING / "keras3-functional", tmp_path / "model")
    path = tmp_path / "model" / "assets.extra" / "tfisovae.json"
    config = json.loads(path.read_text())
    config["keras"] = "2.14.0" if _keras.KERAS_3 else "3.15.1"
    config["encoder"]["config"]["layers"][1]["class_name"] = "OfAnother"
    path.write_text(json.dumps(config))
    # Each Keras has its own words in the message.
    with pytest.raises(ValueError, match="was saved with Keras"):
        tfisovae.load(tmp_path / "model")
    model = tfisovae.as_autoencoder(tmp_path / "model")
    saved = np.load(CROSSING / "keras3-functional.npz")
    np.testing.assert_allclose(model.encode(saved["x"])[0], saved["mean"], atol=5e-6)
