"""What is known about the networks of a model: one reader, one record, one place that decides."""
import ast
import dataclasses
import pathlib
import types

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import Autoencoder, as_autoencoder, distortions
from tfisovae.analysis import conditions, mean_gradient
from tfisovae.autoencoder import graph, inspection
from tfisovae.autoencoder.networks import Networks

layers = tf.keras.layers
PACKAGE = pathlib.Path(tfisovae.__file__).parent
N, M = 2, 4
X = np.random.default_rng(0).normal(size=(64, M)).astype(np.float32)
# `as_autoencoder` alone asks a foreign object what it has.
DOOR = "autoencoder/autoencoder.py"
DECLARED = {field.name for cls in (Networks, Autoencoder) for field in dataclasses.fields(cls)} | {
    "owner", "precision", "lmbda", "scale"}


def pair():
    encoder = tf.keras.Sequential([layers.Input((M,)), layers.Dense(2 * N)])
    return encoder, tf.keras.Sequential([layers.Input((N,)), layers.Dense(M)])


def asked_by_name(tree):
    """The literal names in calls of getattr, hasattr and setattr."""
    return {node.args[1].value for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            and node.func.id in ("getattr", "hasattr", "setattr")
            and isinstance(node.args[1], ast.Constant)}


def test_no_attribute_of_a_model_is_read_by_its_name():
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        found = asked_by_name(ast.parse(path.read_text())) & DECLARED
        assert not found or name == DOOR, f"{name} asks for {found}: Networks declares them"
    assert asked_by_name(ast.parse("getattr(model.encode, 'owner', None)")) == {"owner"}


def test_a_vae_and_a_pair_say_the_same_of_their_networks():
    encoder, decoder = pair()
    vae = tfisovae.VAE(encoder, decoder, "sse", 10.0, scale="log_scale", seed=3)
    foreign = as_autoencoder((encoder, decoder), "sse", 0.1, "log_scale").networks
    for known in (vae.networks, as_autoencoder(vae).networks, foreign):
        assert known.encoder is encoder and known.decoder is decoder
        assert (known.reading, known.n, known.example_shape) == ("log_scale", N, (M,))
        assert list(map(id, known.weights)) == list(map(id, vae.trainable_variables))
        np.testing.assert_array_equal(known.parameters(X)[0], vae.encode(X).mean)
    assert foreign.model is foreign.training_objective is None
    known = as_autoencoder(vae).networks
    assert known.model is vae and known.seed == 3 and known.treats_examples_apart
    np.testing.assert_array_equal(known.training_objective(X, 0, 3),
                                  vae.training_objective(X, 0, 3))


@pytest.mark.parametrize("given", [{"beta": 0.5}, {"distortion": "mse"}, {"decomposed": True}])
def test_another_loss_is_not_that_of_training(given):
    known = as_autoencoder(tfisovae.VAE(*pair(), "sse", 10.0), **given).networks
    assert known.training_objective is None and known.model is None and known.n == N


def test_an_object_with_the_five_attributes_has_no_known_networks():
    vae = tfisovae.VAE(*pair(), "sse", 10.0)
    model = types.SimpleNamespace(encode=vae.encode, decode=vae.decode, beta=0.1,
                                  distortion=distortions.SumSquaredError(), decomposed=False,
                                  networks=["not", "ours"])
    assert as_autoencoder(model).networks is None
    assert mean_gradient.weights_of(model) == [] and inspection.inspect(model, X) == []
    assert conditions.of_model(model).moments is None
    np.testing.assert_allclose(tfisovae.analyze(model, X).norm_mean,
                               tfisovae.analyze(vae, X).norm_mean, rtol=1e-6)


def test_an_object_of_keras_with_the_five_attributes_has_its_weights():
    class Own(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = pair()
            self.distortion, self.beta, self.decomposed = distortions.SumSquaredError(), 0.1, False

        def encode(self, x):
            mean, log_variance = tf.split(self.encoder(x), 2, -1)
            return mean, tf.exp(log_variance / 2)

        def decode(self, z):
            return self.decoder(z)

    model = Own()
    assert list(map(id, mean_gradient.weights_of(model))) == list(
        map(id, model.trainable_variables))
    assert conditions.of_model(model).moments is True


def test_a_bad_mean_is_refused_in_the_same_words_by_a_vae():
    encoder = tf.keras.Sequential([layers.Input((M,)), layers.Reshape((1, M))])
    vae = tfisovae.VAE(encoder, pair()[1], "sse", 10.0)
    said = []
    for model in (vae, as_autoencoder((encoder, pair()[1]), "sse", 0.1)):
        with refuses(ValueError) as error:
            model.encode(X)
        said.append(str(error.value))
    assert said[0] == said[1]


def test_a_spread_of_one_row_is_broadcast_over_a_batch():
    """A Keras encoder whose spread is one variable."""
    class Shared(layers.Layer):
        def build(self, shape):
            self.spread = self.add_weight(name="spread", shape=[1, N])

        def call(self, x):
            return self.spread

    x = layers.Input((M,))
    encoder = tf.keras.Model(x, [layers.Dense(N)(x), Shared()(x)])
    for model in (tfisovae.VAE(encoder, pair()[1], "sse", 10.0),
                  as_autoencoder((encoder, pair()[1]), "sse", 0.1)):
        assert model.encode(X)[1].shape == (64, N)


def test_walks_see_through_layers_that_change_nothing():
    """Two heads behind dropout in a model within a model; a first layer behind dropout of 0."""
    x, z = layers.Input((M,)), layers.Input((N,))
    heads = [layers.Dense(N, name=name) for name in ("z_mean", "z_log_var")]
    inner = tf.keras.Model(x, [layers.Dropout(0.5)(head(x)) for head in heads])
    encoder = tf.keras.Model(x, inner(x))
    assert [list(graph.sources(tensor)) for tensor in encoder.outputs] == [[h] for h in heads]
    assert graph.heads(encoder) == [inner, inner] and graph.heads(lambda x: x) == []
    first, dropped = layers.Dense(3), layers.Dropout(0.5)
    within = tf.keras.Sequential([layers.Input((N,)), layers.Dropout(0.0), first])
    decoder = tf.keras.Model(z, [layers.Dense(M)(within(z)), dropped(z)])
    assert set(graph.first_layers(decoder)) == {first, dropped}
    assert [node.layer for node in graph.takers(decoder, z)] == [within, dropped]
    assert [layer.units for layer in graph.after(decoder, [within])] == [M]


def test_what_is_left_out_of_a_vae_behind_the_door_is_known():
    vae = tfisovae.VAE(*pair(), "sse", 10.0)
    known = tfisovae.prune(as_autoencoder(vae), [1]).networks
    assert known.n == 1 and known.model is None and known.training_objective is None
    assert known.encoder is vae.encoder
    np.testing.assert_array_equal(known.parameters(X)[0][:, 0], vae.encode(X).mean[:, 1])
