"""Whether the networks are such that moments, balance and mean gradient show convergence."""
import dataclasses
import json

import numpy as np
import pytest
import scipy.optimize
import tensorflow as tf

import tfisovae
from tests.support import KNOWN, stationarity
from tfisovae import files, networks
from tfisovae.analysis import conditions
from tfisovae.autoencoder.autoencoder import as_autoencoder
from tfisovae.verdict import ReasonKind, State, checks, convergence
from tfisovae.verdict.model_words import why
from tfisovae.verdict.states import Cause
from tfisovae.verdict.tests_of_means import Moments


def pair(first=None, head=None):
    layers = tf.keras.layers
    encoder = tf.keras.Sequential(
        [layers.Input((4, )), layers.Dense(8, "tanh"), head or layers.Dense(4)])
    decoder = tf.keras.Sequential(
        [layers.Input((2, )), first or layers.Dense(8, "tanh"),
         layers.Dense(4)])
    return encoder, decoder


def test_the_conditions_of_the_papers_networks_hold():
    for made in (networks.toy(), networks.celeba(), networks.mnist(10)):
        found = conditions.conditions_of(*made)
        assert found.moments is True and found.balance is True


def test_the_conditions_of_other_networks():
    layers = tf.keras.layers
    for first, says in ((layers.Dense(8, use_bias=False), "no bias"), (layers.Reshape(
        (1, 2)), "not a Dense"), (layers.LayerNormalization(), "not a Dense"), (layers.Dense(
            8, trainable=False), "not trained")):
        decoder = tf.keras.Sequential(
            [layers.Input((2, )), first,
             layers.Flatten(), layers.Dense(4)])
        found = conditions.conditions_of(pair()[0], decoder)
        assert found.moments is False
        assert says in why(found.moments_why)
        assert "decoder" in why(found.moments_why)
        assert found.balance is True
    for head in (layers.Dense(4, use_bias=False), layers.Dense(
            4, "tanh"), layers.Dense(4, bias_constraint="non_neg")):
        found = conditions.conditions_of(*pair(head=head))
        assert found.moments is False
        assert found.balance is False
        assert "head of the encoder" in why(found.balance_why)
    # The next layer is the first with weights.
    assert conditions.conditions_of(*pair(layers.Dropout(0.0))).moments is True
    # In training, a shift of z is then no shift of its product.
    dropped = conditions.conditions_of(*pair(layers.Dropout(0.5)))
    assert dropped.moments is False and "drops parts of z in training" in why(dropped.moments_why)
    unknown = conditions.conditions_of(lambda x: x, object())
    assert unknown.moments is None and unknown.balance is None


def test_the_conditions_of_the_keras_documentations_encoder():
    """Two heads and a sampling layer; a decoder of Dense, Reshape, transposed convolutions; and
    nested models.
    """
    layers = tf.keras.layers
    x = layers.Input((8, 8, 1))
    hidden = layers.Dense(16, "relu")(layers.Flatten()(layers.Conv2D(4, 3, 2, "same",
                                                                     activation="relu")(x)))
    mean, log_variance = layers.Dense(2, name="z_mean")(hidden), layers.Dense(
        2, name="z_log_var")(hidden)
    sample = layers.Lambda(
        lambda both: both[0] + tf.exp(0.5 * both[1]) * tf.random.normal(tf.shape(both[0])))(
            [mean, log_variance])
    encoder = tf.keras.Model(x, [mean, log_variance, sample])
    decoder = tf.keras.Sequential([
        layers.Input((2, )),
        layers.Dense(64, "relu"),
        layers.Reshape((4, 4, 4)),
        layers.Conv2DTranspose(1, 3, 2, "same", activation="sigmoid")
    ])
    assert conditions.conditions_of(encoder, decoder).moments is True
    z = layers.Input((2,))
    convolved = layers.Conv2DTranspose(1, 8)(layers.Reshape((1, 1, 2))(z))
    assert conditions.conditions_of(encoder, tf.keras.Model(z, convolved)).moments is False
    joined = tf.keras.Model(x, layers.Concatenate()([mean, log_variance]))
    assert conditions.conditions_of(joined, tf.keras.Sequential([layers.Input((2, )),
                                                                 decoder])).moments is True
    clipped = tf.keras.Model(
        x, [mean, layers.Lambda(lambda v: tf.clip_by_value(v, -5, 5))(log_variance)])
    assert conditions.conditions_of(clipped, decoder).balance is False


@pytest.mark.parametrize(
    "order", ["z_log_var z_mean", "z z_mean z_log_var", "z_mean z_log_var z", "z_mean z_log_var"])
@pytest.mark.parametrize("free", ["z_mean", "z_log_var"])
def test_the_conditions_are_those_of_the_heads_that_are_measured(order, free):
    """By name, as `as_autoencoder` reads them: the log-variance head alone decides about the
    balance, wherever it stands.
    """
    layers = tf.keras.layers
    x = layers.Input((4,))
    heads = {
        name: layers.Dense(2, name=name, use_bias=name == free)(x)
        for name in ("z_mean", "z_log_var")
    }
    heads["z"] = layers.Lambda(tf.add_n, name="z")(list(heads.values()))
    encoder = tf.keras.Model(x, [heads[name] for name in order.split()])
    decoder = pair()[1]
    for made in (conditions.conditions_of(
            encoder, decoder), conditions.of_model(as_autoencoder((encoder, decoder), "sse", 1.0))):
        assert made.balance is (free == "z_log_var") and made.moments is False
    other = as_autoencoder((encoder, decoder), "sse", 1.0, encoder_outputs=("z_log_var", "z_mean"))
    assert conditions.of_model(other).balance is (free == "z_mean")


@pytest.mark.parametrize("scale, holds", [("log_variance", True), ("log_scale", True),
                                          ("variance", False), ("scale", False)])
def test_the_balance_is_that_of_a_bias_of_logarithms(scale, holds):
    """E[eps sigma dD/dz] = beta E[1 - sigma^2] is d/dc of the loss under sigma -> exp(c) sigma, not
    under sigma -> sigma + c.
    """
    for model in (as_autoencoder(pair(), "sse", 1.0,
                                 scale=scale), tfisovae.VAE(*pair(), "sse", 1.0, scale=scale)):
        made = conditions.of_model(model)
        assert made.balance is holds and made.moments is True


def test_conditions_are_unknown_where_the_heads_are():
    layers = tf.keras.layers
    x = layers.Input((4,))
    encoder = tf.keras.Model(x, {name: layers.Dense(2, name=name)(x) for name in ("a", "b", "c")})
    made = conditions.conditions_of(encoder, pair()[1])
    assert made.balance is None
    assert made.moments is None
    assert "which outputs of the encoder" in why(made.balance_why)
    assert conditions.conditions_of(encoder, pair()[1], ("b", "c")).balance is True


def test_why_is_stored_as_data_and_words_of_older_files_stay():
    made = conditions.conditions_of(*pair(tf.keras.layers.Dense(8, use_bias=False, name="one")))
    saved = json.loads(json.dumps(files.plain(dataclasses.asdict(made))))
    assert saved["moments_why"] == {"cause": "no_bias", "part": "decoder", "layer": "one",
                                    "kind": "Dense", "dtype": "", "said": ""}
    assert checks.Conditions.from_dict(saved) == made
    assert why(made.moments_why) == "the first layer of the decoder (one) has no bias"
    old = {"moments": False, "moments_why": "a head is odd", "balance": True, "balance_why": "",
           "gradient": True, "gradient_why": ""}
    read = checks.Conditions.from_dict(old)
    assert why(read.moments_why) == "a head is odd" and read.balance_why is None


@pytest.mark.parametrize("cause", Cause)
def test_each_cause_has_words(cause):
    said = why(checks.Why(cause, "decoder", "a_layer", "Dense", "float16", "as it was said"))
    assert said and "{" not in said and not said.endswith(".")


def test_where_the_conditions_fail_it_is_a_hint():
    """x from N(2, 1), lmbda 10, decoder b z without bias: the optimum has mu = .44497 x and E[mu] =
    .8899, which is no failure.
    """
    def loss(parameters):
        gain, shift, b, log_variance = parameters  # mu = gain x + shift
        variance, mu = np.exp(log_variance), 2 * gain + shift
        distortion = (2 - b * mu) ** 2 + (1 - b * gain) ** 2 + b**2 * variance
        return 10 * distortion + (mu**2 + gain**2 + variance - log_variance - 1) / 2

    optimum = scipy.optimize.minimize(loss, [0.5, 0.1, 2.0, -3.0], tol=1e-14).x
    np.testing.assert_allclose(optimum[:2], [0.44497, 0], atol=1e-4)
    x = 2 + np.random.default_rng(0).standard_normal([4000, 1])
    mu = 0.44497 * x
    measured = dataclasses.replace(stationarity(1, 4000), latent_mean=Moments.of(mu),
                                   latent_second_moment=Moments.of(mu**2 + np.exp(optimum[3])))
    _, decoder = pair(tf.keras.layers.Dense(8, use_bias=False))
    where = conditions.conditions_of(pair()[0], decoder)
    said = convergence.judge(measured, where)
    hints = said.of(ReasonKind.HINT)
    assert said.state is State.NOT_JUDGED and checks.MEAN in {reason.check for reason in hints}
    assert {reason.why.cause for reason in hints} == {Cause.NO_BIAS}
    assert convergence.judge(measured, KNOWN).state is State.IMPROVING
