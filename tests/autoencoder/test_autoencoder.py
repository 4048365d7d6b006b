"""One VAE, known in closed form, through every door: each kind of model gives the same mean, scale,
x_hat and metric.
"""
import dataclasses
import json
import math
import re

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import distortions, geometry
from tfisovae.analysis import mean_gradient
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.autoencoder import Autoencoder, as_autoencoder
from tfisovae.geometry import pullback

layers = tf.keras.layers
SSE = distortions.SumSquaredError()
RNG = np.random.default_rng(3)
M, H, N = 4, 5, 2
SHAPES = [(M, H), (H,), (H, N), (N,), (H, N), (N,), (N, H), (H,), (H, M), (M,)]
W, w, A, a, V, v, P, p, Q, q = (RNG.normal(0, 0.6, shape).astype(np.float32) for shape in SHAPES)
X, Z = RNG.normal(size=(6, M)).astype(np.float32), RNG.normal(size=(6, N)).astype(np.float32)


def mean_and_log_variance(x, tanh=np.tanh):
    hidden = tanh(x @ W + w)
    return hidden @ A + a, hidden @ V + v


def reconstruct(z, tanh=np.tanh):
    return tanh(z @ P + p) @ Q + q


MEAN, LOG_VARIANCE = mean_and_log_variance(X.astype(np.float64))
X_HAT = reconstruct(Z.astype(np.float64))
_JACOBIAN = np.einsum("nh,bh,hm->bmn", P, 1 - np.tanh(Z.astype(np.float64) @ P + p)**2, Q)
METRIC = np.einsum("bmi,bmj->bij", _JACOBIAN, _JACOBIAN)


class Sampling(layers.Layer):
    def call(self, inputs):
        mean, log_variance = inputs
        return mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))


def keras_encoder(outputs="mean log_var", names=("z_mean", "z_log_var"), dtype=None):
    x = tf.keras.Input((M,), name="pixels")
    h = layers.Dense(H, "tanh", name="hidden", dtype=dtype)(x)
    mean, log_variance = layers.Dense(N, name=names[0], dtype=dtype)(h), layers.Dense(
        N, name=names[1], dtype=dtype)(h)
    z = Sampling(name="z")([mean, log_variance])
    made = {
        "both": layers.Concatenate()([mean, log_variance]), "mean": mean, "log_var": log_variance,
        "z": z
    }
    result = [made[name] for name in outputs.split()]
    model = tf.keras.Model(x, result[0] if len(result) == 1 else result)
    for name, weights in zip(("hidden", *names), ([W, w], [A, a], [V, v])):
        model.get_layer(name).set_weights(weights)
    return model


def keras_decoder(dtype=None):
    model = tf.keras.Sequential(
        [layers.Input((N, )),
         layers.Dense(H, "tanh", dtype=dtype),
         layers.Dense(M, dtype=dtype)])
    model.set_weights([P, p, Q, q])
    return model


def keras_pair(**kwargs):
    return keras_encoder(**kwargs), keras_decoder()


def constant(values):
    return tf.keras.initializers.Constant(values)


class Encoder(tf.keras.Model):
    """Subclassed and not built; its `call` has no mode."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(H, "tanh", kernel_initializer=constant(W),
                                   bias_initializer=constant(w))
        self.mean = layers.Dense(N, kernel_initializer=constant(A), bias_initializer=constant(a))
        self.log_variance = layers.Dense(N, kernel_initializer=constant(V),
                                         bias_initializer=constant(v))

    def call(self, x):
        h = self.hidden(x)
        return self.mean(h), self.log_variance(h)


class Decoder(tf.keras.Model):
    """Subclassed and not built; its `call` takes `training`, and needs it to be False."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(H, "tanh", kernel_initializer=constant(P),
                                   bias_initializer=constant(p))
        self.output_layer = layers.Dense(M, kernel_initializer=constant(Q),
                                         bias_initializer=constant(q))
        self.dropout = layers.Dropout(0.5)

    def call(self, z, training=True):
        return self.dropout(self.output_layer(self.hidden(z)), training=training)


class KerasVAE(tf.keras.Model):
    """As in the Keras documentation."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = keras_encoder("mean log_var z"), keras_decoder()


def ours():
    return tfisovae.VAE(keras_encoder("both"), keras_decoder(), "sse", 50.0)


def saved(model, path):
    model.save(path / "vae")
    return path / "vae"


def exported(models, path):
    for number, model in enumerate(models):
        model.export(path / str(number))
    return path / "0", str(path / "1")


def loaded(paths):
    return tuple(tf.saved_model.load(str(path)) for path in paths)


KEPT = []  # signatures read the variables of the object that was loaded, and do not keep it


def signatures(*models):
    KEPT.extend(models)
    return tuple(model.signatures for model in models)


def encode(x):
    mean, log_variance = mean_and_log_variance(x, tf.tanh)
    return mean, tf.exp(log_variance / 2)


@tf.function
def traced_encoder(x):
    return mean_and_log_variance(x, tf.tanh)


KINDS = {
    "autoencoder": lambda path: Autoencoder(encode, lambda z: reconstruct(z, tf.tanh), "sse", 0.02),
    "ours": lambda path: ours(),
    "ours, saved": lambda path: saved(ours(), path),
    "ours, loaded": lambda path: tf.saved_model.load(str(saved(ours(), path))),
    "ours, signatures": lambda path: signatures(*loaded([saved(ours(), path)]))[0],
    "keras, one output": lambda path: keras_pair(outputs="both"),
    "keras, two outputs": lambda path: keras_pair(),
    "keras, three outputs": lambda path: keras_pair(outputs="mean log_var z"),
    "keras, other order": lambda path: keras_pair(outputs="z log_var mean"),
    "keras, no names": lambda path: keras_pair(outputs="mean log_var z", names=("first", "second")),
    "keras, one of two named": lambda path: keras_pair(outputs="log_var mean", names=("first",
                                                                                      "logvar")),
    "keras, subclassed": lambda path: (Encoder(), Decoder()),
    "keras, attributes": lambda path: KerasVAE(),
    "keras, exported": lambda path: exported(keras_pair(outputs="mean log_var z"), path),
    "keras, exported and loaded": lambda path: loaded(
        exported(keras_pair(outputs="mean log_var z"), path)),
    "keras, signatures": lambda path: signatures(*loaded(
        exported(keras_pair(outputs="mean log_var z"), path))),
    "dict of two": lambda path: dict(zip(("encoder", "decoder"), keras_pair())),
    "tf.function": lambda path: (traced_encoder, tf.function(lambda z: reconstruct(z, tf.tanh))),
    "functions of tensors": lambda path:
                            (lambda x: mean_and_log_variance(x, tf.tanh), lambda z: reconstruct(
                                z, tf.tanh)),
    "numpy": lambda path: (mean_and_log_variance, reconstruct),
    "numpy, one output": lambda path:
                         (lambda x: np.concatenate(mean_and_log_variance(x), -1), reconstruct),
    "numpy, dict": lambda path: (lambda x: dict(zip(
        ("mu", "logvar"), mean_and_log_variance(x))), lambda z: [reconstruct(z)]),
    "numpy, float64": lambda path:
                      (lambda x: mean_and_log_variance(np.float64(x)), lambda z: reconstruct(
                          np.float64(z))),
    "tensors that no graph takes": lambda path: (mean_and_log_variance, lambda z: tf.constant(
        reconstruct(np.asarray(z)))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_is_the_same_autoencoder(kind, tmp_path):
    """Mean, scale and x_hat eagerly and in a graph whose batch size is open; the metric against the
    dense Jacobian.
    """
    autoencoder = as_autoencoder(KINDS[kind](tmp_path), "sse", 0.02)
    assert isinstance(autoencoder, Autoencoder) and autoencoder.distortion.scale(X).shape == (6,)
    assert (autoencoder.beta, autoencoder.decomposed) == (0.02, False)
    encode = tf.function(lambda x: tuple(autoencoder.encode(x)),
                         input_signature=[tf.TensorSpec([None, M])])
    decode = tf.function(autoencoder.decode, input_signature=[tf.TensorSpec([None, N])])
    for mean, scale in (encode(X), autoencoder.encode(tf.constant(X))):
        assert mean.dtype == scale.dtype == tf.float32
        np.testing.assert_allclose(mean, MEAN, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(scale, np.exp(LOG_VARIANCE / 2), rtol=1e-5)
    for x_hat in (decode(Z), decode(Z[:3]), autoencoder.decode(tf.constant(Z))):
        assert x_hat.dtype == tf.float32
        np.testing.assert_allclose(x_hat, X_HAT[:len(x_hat)], rtol=1e-5, atol=1e-6)
    tangents = pullback.tangent_method(autoencoder.decode, Z)
    assert tangents == ("differences" if kind.startswith(("numpy", "tensors")) else "autodiff")
    metric = geometry.pullback_metric(autoencoder.decode, Z, SSE, tangents)
    np.testing.assert_allclose(metric, METRIC, rtol=1e-3, atol=1e-3 * METRIC.max())


def test_first_asked_inside_a_graph():
    """Shapes of NumPy functions, and variables of models that are not built, are found from inside
    a graph too.
    """
    for pair in ((mean_and_log_variance, reconstruct), (Encoder(), Decoder())):
        autoencoder = as_autoencoder(pair, "sse", 0.02)
        decoded = tf.function(autoencoder.decode, input_signature=[tf.TensorSpec([None, N])])
        assert decoded.get_concrete_function().structured_outputs.shape.as_list() == [None, M]
        np.testing.assert_allclose(decoded(Z), X_HAT, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", ["log_variance", "variance", "log_scale", "scale"])
def test_four_readings_of_the_second_output(scale):
    second = {
        "log_variance": LOG_VARIANCE, "variance": np.exp(LOG_VARIANCE),
        "log_scale": LOG_VARIANCE / 2, "scale": np.exp(LOG_VARIANCE / 2)
    }[scale].astype(np.float32)
    autoencoder = as_autoencoder((lambda x: (MEAN, second), reconstruct), "sse", 0.02, scale=scale)
    np.testing.assert_allclose(autoencoder.encode(X)[1], np.exp(LOG_VARIANCE / 2), rtol=1e-5)
    np.testing.assert_allclose(autoencoder.encode.parameters(X)[1], second)


def test_a_spread_that_all_share_is_broadcast():
    autoencoder = as_autoencoder((lambda x: (MEAN, np.zeros([len(x), 1])), reconstruct), "sse",
                                 0.02)
    np.testing.assert_array_equal(autoencoder.encode(X)[1], np.ones([6, N]))


def test_float64_functions_keep_their_digits():
    """Differences of a float64 function by steps of 1e-4: seven digits, from float32 latents; those
    of a float32 one have three.
    """
    decode = as_autoencoder((mean_and_log_variance, lambda z: reconstruct(np.float64(z))), "sse",
                            0.02).decode
    assert decode(tf.constant(Z)).dtype == tf.float32 and decode(tf.constant(
        Z, tf.float64)).dtype == tf.float64
    _, tangents = pullback.jacobian(decode, tf.constant(Z), "differences")
    assert tangents.dtype == tf.float64
    np.testing.assert_allclose(np.moveaxis(tangents, 0, -1), _JACOBIAN, rtol=1e-7, atol=1e-7)
    half = as_autoencoder((mean_and_log_variance, lambda z: reconstruct(z).astype(np.float32)),
                          "sse", 0.02).decode
    assert half(tf.constant(Z, tf.float64)).dtype == tf.float32
    _, tangents = pullback.jacobian(half, tf.constant(Z, tf.float64), "differences")
    np.testing.assert_allclose(np.moveaxis(tangents, 0, -1), _JACOBIAN, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_is_measured_in_float32(policy):
    """All digits of float32, from functional and subclassed models; afterwards the model computes
    as it did before.
    """
    pair = keras_encoder(dtype=policy), keras_decoder(policy)
    half = pair[1](Z).numpy()
    autoencoder = as_autoencoder(pair, "sse", 0.02)
    np.testing.assert_allclose(autoencoder.encode(X)[0], MEAN, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(autoencoder.decode(Z), X_HAT, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(geometry.pullback_metric(autoencoder.decode, Z, SSE), METRIC,
                               rtol=1e-4, atol=1e-5)
    assert pair[1].layers[0].compute_dtype == policy[6:] and abs(pair[1](Z)
                                                                 - X_HAT).numpy().max() > 1e-4
    np.testing.assert_array_equal(pair[1](Z), half)
    tf.keras.mixed_precision.set_global_policy(policy)
    try:
        subclassed = Encoder(), Decoder()
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    autoencoder = as_autoencoder(subclassed, "sse", 0.02)
    np.testing.assert_allclose(autoencoder.encode(X)[0], MEAN, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(autoencoder.decode(Z), X_HAT, rtol=1e-5, atol=1e-6)
    assert subclassed[0](X)[0].dtype == policy[6:]


@pytest.fixture(scope="module")
def keras3(root):
    path = root / "tests" / "data" / "keras3_vae"
    return path, np.load(path / "reference.npz")


def test_what_keras_3_exported(keras3):
    """Outputs are those that Keras 3 computed; the metric, through both kinds of UpSampling2D, that
    of differences.
    """
    path, reference = keras3
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) < 200_000
    autoencoder = as_autoencoder((path / "encoder", path / "decoder"), "sse", 0.02)
    mean, scale = autoencoder.encode(reference["x"])
    np.testing.assert_allclose(mean, reference["mean"], atol=1e-6)
    np.testing.assert_allclose(scale, np.exp(reference["log_variance"] / 2), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(autoencoder.decode(reference["z"]), reference["x_hat"], atol=1e-6)
    assert pullback.tangent_method(autoencoder.decode, reference["z"]) == "autodiff"
    exact, numerical = (geometry.pullback_metric(autoencoder.decode, reference["z"], SSE, tangents)
                        for tangents in ("autodiff", "differences"))
    assert np.linalg.eigvalsh(exact).min() > 0
    np.testing.assert_allclose(numerical, exact, rtol=1e-3, atol=1e-3 * np.max(exact))


def test_what_a_signature_does_not_take_is_refused_before_it_is_called(keras3):
    """TensorFlow ends the process on some of these (SIGABRT), with no error that could be caught.
    """
    path, reference = keras3
    encoder, decoder = path / "encoder", path / "decoder"
    takes = list(reference["x"].shape[1:])
    flat = np.zeros((50, math.prod(takes)), np.float32)
    n = reference["z"].shape[1]
    for pair, x, message in (
        ((encoder, decoder), flat,
         f"The encoder takes {takes}, got {[flat.shape[1]]} (shapes without the batch). Give x"),
        ((encoder, decoder), reference["x"][...,
                                            0], f"The encoder takes {takes}, got {takes[:-1]} "),
        ((decoder, encoder), reference["x"], f"The encoder takes [{n}], got {takes} "),
        ((lambda x: (x[:, :3, 0, 0], x[:, :3, 0, 0]), encoder), reference["x"],
         f"The encoder returns n = 3 means, the decoder takes n = {math.prod(takes)}. ")):
        model = as_autoencoder(pair, "sse", 0.02)
        for measure in (tfisovae.analyze, inspection.inspect,
                        lambda model, x: tfisovae.estimate_beta(model, x)):
            with pytest.raises(ValueError, match="^" + re.escape(message)):
                measure(model, x)
    signature = tf.function(lambda z: z @ tf.ones([2, 3])).get_concrete_function(
        tf.TensorSpec([None, 2]))
    with refuses(ValueError):
        as_autoencoder((mean_and_log_variance, signature), "sse", 0.02).decode(tf.zeros([4, 3]))


def test_errors_about_the_encoder_do_not_blame_x():
    two = as_autoencoder((lambda x: {"b": x[:, :2], "a": x[:, 2:]}, reconstruct), "sse", 0.02)
    with refuses(ValueError):
        tfisovae.analyze(two, X)
    odd = as_autoencoder((lambda x: x[:, :3], reconstruct), "sse", 0.02)
    with refuses(ValueError):
        tfisovae.analyze(odd, X)


@pytest.mark.parametrize("given", ["path", "loaded"])
def test_the_gradient_of_a_saved_model(given, tmp_path):
    """Its variables are those of the networks that were saved, and so is the gradient of the loss
    by them.
    """
    vae = ours()
    vae.save(tmp_path / "vae")
    model = tmp_path / "vae" if given == "path" else tf.saved_model.load(str(tmp_path / "vae"))
    model = as_autoencoder(model, "sse", 0.02)
    weights = mean_gradient.weights_of(model)
    assert sorted(map(tuple, (v.shape for v in weights))) == sorted(
        map(tuple, (v.shape for v in vae.trainable_variables)))
    x = np.random.default_rng(1).normal(size=(16, M)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices(x).batch(2)
    np.testing.assert_allclose(
        mean_gradient.block_gradients(model, data).gram,
        mean_gradient.block_gradients(vae, data).gram, rtol=1e-4, atol=1e-5)


def test_outputs_are_chosen_by_name_or_number(keras3, tmp_path):
    path, reference = keras3
    pair = path / "encoder", path / "decoder"
    for chosen in (("output_1", "output_0"), (1, 0)):
        mean, _ = as_autoencoder(pair, "sse", 0.02, encoder_outputs=chosen).encode(reference["x"])
        np.testing.assert_allclose(mean, reference["log_variance"], atol=1e-6)
    with refuses(ValueError):
        as_autoencoder(pair, "sse", 0.02, encoder_outputs=("mu", "logvar")).encode(reference["x"])
    unnamed = exported(keras_pair(names=("dense_7", "dense_8")), tmp_path)
    two = as_autoencoder((lambda x: {"b": x[:, :2], "a": x[:, 2:]}, lambda z: (z, 2 * z)), "sse",
                         0.02)
    with refuses(ValueError, "encoder_outputs"):
        two.encode(X)
    with refuses(ValueError, "x_hat"):
        two.decode(Z)
    named = as_autoencoder((lambda x: {"b": x[:, :2], "a": x[:, 2:]}, lambda z: (z, 2 * z)), "sse",
                           0.02, encoder_outputs=("b", "a"), decoder_output=1)
    np.testing.assert_array_equal(named.encode(X)[0], X[:, :2])
    np.testing.assert_array_equal(named.decode(Z), 2 * Z)
    numbered = as_autoencoder(unnamed, "sse", 0.02, encoder_outputs=(0, 1))
    np.testing.assert_allclose(numbered.encode(X)[0], MEAN, rtol=1e-5, atol=1e-6)


def test_what_a_model_says_is_used_and_what_is_given_wins(tmp_path):
    vae = tfisovae.VAE(keras_encoder("both"), keras_decoder(), distortions.GaussianNLL(0.25), 8.0,
                       decomposed=True)
    vae.save(tmp_path / "vae")
    for model in (vae, tmp_path / "vae", str(tmp_path / "vae"), as_autoencoder(vae)):
        said = as_autoencoder(model)
        assert (said.distortion.variance, said.beta, said.decomposed) == (0.25, 0.125, True)
        given = as_autoencoder(model, "mse", 3, decomposed=False)
        assert (type(given.distortion), given.beta,
                given.decomposed) == (distortions.MeanSquaredError, 3.0, False)
        np.testing.assert_allclose(given.encode(X)[1], np.exp(LOG_VARIANCE / 2), rtol=1e-5)


def test_a_distortion_that_is_not_registered_must_be_given(tmp_path):
    ours().save(tmp_path / "vae")
    config = tmp_path / "vae" / "assets.extra" / "tfisovae.json"
    written = json.loads(config.read_text())
    written["distortion"] = {
        **written["distortion"], "class_name": "Mine", "registered_name": "Custom>Mine",
        "module": None
    }
    config.write_text(json.dumps(written))
    with refuses(ValueError, "distortion"):
        as_autoencoder(tmp_path / "vae")
    assert as_autoencoder(tmp_path / "vae", "sse").beta == 0.02


def test_an_autoencoder_is_frozen_and_checked():
    autoencoder = Autoencoder(tf.identity, tf.identity, "bce", 1)
    assert isinstance(autoencoder.distortion, distortions.BinaryCrossentropy) and isinstance(
        autoencoder.beta, float)
    with pytest.raises(dataclasses.FrozenInstanceError):
        autoencoder.beta = 2.0
    for beta in (0, -1.0, float("nan"), float("inf"), "1", True):
        with refuses(ValueError, "beta"):
            Autoencoder(tf.identity, tf.identity, "bce", beta)
    with refuses(ValueError):
        Autoencoder(tf.identity, tf.identity, "rmse", 1)
    with pytest.raises(TypeError, match="decode must be a function of a tensor; got None"):
        Autoencoder(tf.identity, None, "bce", 1)


def test_what_is_missing_is_named():
    with refuses(ValueError, "distortion"):
        as_autoencoder(keras_pair())
    with refuses(ValueError, "beta"):
        as_autoencoder(keras_pair(), "sse")
    unknown = as_autoencoder(keras_pair(), "sse", needs_beta=False)
    assert unknown.beta is None
    with refuses(ValueError, "beta"):
        as_autoencoder(unknown)
    assert as_autoencoder(unknown, beta=0.5).beta == 0.5


def two_inputs():
    x, label = tf.keras.Input((M,)), tf.keras.Input((1,))
    return tf.keras.Model([x, label], layers.Dense(2 * N)(layers.Concatenate()([x, label])))


def without_signatures(path):
    tf.saved_model.save(tf.Module(), str(path / "bare"))
    return path / "bare"


def fixed_batch():
    return tf.function(lambda z: z).get_concrete_function(tf.TensorSpec([8, N]))


def of_bytes():
    return tf.function(lambda x: tf.cast(x, tf.float32)).get_concrete_function(
        tf.TensorSpec([None, M], tf.uint8))


REFUSED = {
    "signatures alone": (lambda path: tf.saved_model.load(str(saved(ours(), path))).signatures,
                         ValueError, "variables .* are gone.*tf.saved_model.load"),
    "a .keras file": (
        lambda path: ("encoder.keras", "decoder.keras"), ValueError, r"model\.export\(DIRECTORY\)"),
    "an .h5 file": (lambda path: "vae.h5", ValueError, r"model\.export\(DIRECTORY\)"),
    "nothing there": (lambda path: path / "no", FileNotFoundError, "No SavedModel at .*no"),
    "no SavedModel": (lambda path: path, ValueError, "no saved_model.pb"),
    "half a VAE": (
        lambda path: exported(keras_pair(), path)[0], ValueError, "Give two, .ENCODER, DECODER."),
    "no signatures": (
        without_signatures, ValueError, "bare has no signatures; .*'encode' and 'decode'"),
    "an encoder without signatures": (
        lambda path: (without_signatures(path), keras_decoder()), ValueError,
        r"bare has no signatures, so it is unknown how to call its encoder.*model\.export"),
    "an object without signatures": (lambda path: (tf.Module(), keras_decoder()), TypeError,
                                     "The encoder must be a Keras model"),
    "three parts": (lambda path: (*keras_pair(), None), ValueError, "got 3 parts"),
    "an encoder alone": (
        lambda path: keras_encoder(), TypeError, "a pair .encoder, decoder.*got Functional"),
    "a number": (lambda path:
                 (3, keras_decoder()), TypeError, "The encoder must be a Keras model.*got int"),
    "two inputs": (lambda path:
                   (two_inputs(), keras_decoder()), ValueError, "must take one tensor; it takes 2"),
    "fixed batch": (lambda path: (keras_encoder(), fixed_batch()), ValueError, "batches of 8 only"),
    "bytes": (lambda path: (of_bytes(), keras_decoder()), ValueError, "takes uint8"),
}
REFUSED_ENCODERS = {
    "other n": (
        lambda x: x[:, :2], ValueError, "The encoder returns n = 1 means, the decoder takes n = 2"),
    "odd": (lambda x: x[:, :3], ValueError, r"must return \[batch, 2n\]"),
    "maps": (lambda x: (x[:, None], x[:, None]), ValueError,
             r"mean must have the shape \[batch, n\] or \[batch, h, w, c\]; got \[6, 1, 4\]"),
    "one row": (lambda x: (x[:1], x[:1]), ValueError, "must return one row for each of the 6"),
    "None": (lambda x: None, ValueError, "The encoder returned None"),
    "words": (lambda x: ["a", "b"], ValueError, "arrays of numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_models_that_are_refused_and_how(case, tmp_path):
    make, error, message = REFUSED[case]
    model = make(tmp_path)
    with pytest.raises(error, match=message):
        as_autoencoder(model, "sse", 1)


@pytest.mark.parametrize("case", REFUSED_ENCODERS)
def test_encoders_that_return_something_else(case):
    encoder, error, message = REFUSED_ENCODERS[case]
    with pytest.raises(error, match=message):
        as_autoencoder((encoder, keras_decoder()), "sse", 1).encode(X)


def test_a_reading_that_does_not_exist():
    with refuses(ValueError, "scale"):
        as_autoencoder(keras_pair(), "sse", 1, scale="logvar")
