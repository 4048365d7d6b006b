"""Pruning: what is kept is the same, what is left out costs what theory says, and what is refused.
"""
import json

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import small_celeba
from tfisovae import Autoencoder, networks, theory
from tfisovae.metrics.posteriors import PosteriorMeans
from tfisovae.training import devices, runs
from tfisovae.vae import pruning, slicing
from tfisovae.vae.pruning import chosen

layers = tf.keras.layers
BETA = 0.1
VARIANCES = np.array([0.25, 4.0, 0.01, 1.0])  # the third is below beta / 2: it collapses
X = np.random.default_rng(0).standard_normal((1_000, 4)).astype(np.float32)
X = ((X - X.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(X.T, bias=True))).T).astype(
    np.float32) * np.float32(VARIANCES**0.5)
OPTIMUM = theory.LinearVAE(VARIANCES, BETA)


def means(kl):
    """`PosteriorMeans` of which only these matter."""
    kl = np.array(kl, float)
    return PosteriorMeans(0 * kl, 0 * kl, 0 * kl, kl, 0 * kl, 10)


@pytest.fixture(scope="module")
def linear(make_linear_vae):
    """The optimal linear VAE of data whose sample has exactly these variances."""
    return make_linear_vae(np.diag(OPTIMUM.encoder_gain), np.diag(OPTIMUM.decoder_gain),
                           OPTIMUM.scale, 1 / BETA)


@pytest.mark.parametrize("keep, kept", [([1, 3], [1, 3]), ([3, 1], [1, 3]), (2, [1, 3]), (1, [1]),
                                        (0.9, [1, 3]), (0.99, [0, 1, 3]), (0.7, [1]),
                                        ("active", [0, 1, 3]), (3, [0, 1, 3]),
                                        (np.int64(2), [1, 3]), (np.float32(0.9), [1, 3]),
                                        (np.array([0]), [0])])
def test_which_are_kept(linear, keep, kept):
    """Shares of 5.1: 3.95 of it .775, 4.9 of it .961. The collapsed variable is the last, and no
    part of the whole.
    """
    cost = np.where(VARIANCES > BETA / 2, VARIANCES - BETA / 2, 0)
    assert chosen(keep, 4, means(OPTIMUM.rate), cost).tolist() == kept


@pytest.mark.parametrize("keep", [2, 0.99])
def test_active_variables_come_first(keep):
    """Noise can make an inactive variable cost a little, and a weak one less than nothing."""
    cost = np.array([0.1, 0.2, 5.0])
    assert chosen(keep, 3, means([1.0, 0.001, 2.0]), cost).tolist() == [0, 2]
    assert chosen(2, 3, means([1.0, 0.001, 2.0]), -cost).tolist() == [0, 2]


def test_the_cost_on_gaussian_data_is_that_of_theory(linear):
    """A left-out variable costs v - beta / 2 and saves log(2 v / beta) / 2, and both have the noise
    of 1,000 examples in them. Axes at right angles: removed together they cost what they cost
    alone.
    """
    small = tfisovae.prune(linear, [1], X)
    record, gone = small.pruning, [0, 3]
    costs, saved = np.sum(VARIANCES[gone] - BETA / 2), np.sum(
        np.log(2 * VARIANCES[gone] / BETA) / 2)
    for change in (record.distortion, record.rate, record.loss):
        assert change.predicted == pytest.approx(change.difference, rel=1e-3)
    assert record.rate.difference == pytest.approx(-saved, rel=1e-4)
    assert record.distortion.difference == pytest.approx(costs,
                                                         abs=4 * record.distortion.standard_error)
    assert record.distortion.standard_error < 0.1 * costs
    # What of the KL is not the same for every example.
    kl = np.sum((X[:, gone] * OPTIMUM.encoder_gain[gone]) ** 2 / 2, 1)
    assert record.rate.standard_error == pytest.approx(
        np.std(kl, ddof=1) / np.sqrt(1_000), rel=1e-3)
    assert record.distortion.before == pytest.approx(OPTIMUM.distortion.sum(), rel=0.05)
    assert record.distortion.after == pytest.approx(0.05 + np.sum(VARIANCES[[0, 2, 3]]), rel=0.05)
    assert record.rate.before == pytest.approx(OPTIMUM.rate.sum(), rel=1e-3)
    assert record.loss.difference == pytest.approx(
        10 * record.distortion.difference + record.rate.difference, rel=1e-6)
    assert (record.num_examples, record.encoder_sliced, record.decoder_sliced) == (1_000, True,
                                                                                   True)
    assert record.kept.tolist() == [1] and record.left_out.tolist() == [0, 2, 3]
    assert record.share == pytest.approx(3.95 / 5.1, rel=0.02)
    said = record.sentences()
    assert said.startswith(
        f"1 of 4 dimensions kept: 1, with {100 * record.share:.4g} % of the cost of removal of "
        "all.\ndistortion 0.1")
    assert f"predicted +{record.distortion.predicted:.3g}" in said


def collapsed_pair(kind):
    """A network of each kind with 24 latent variables of which 20 have collapsed: their heads give
    N(0, 1), the decoder is deaf to them.
    """
    tf.keras.utils.set_random_seed(1)
    if kind == "toy":
        encoder, decoder = networks.toy(24)
        shape = (16,)
    elif kind == "celeba":
        encoder, decoder = small_celeba(24)
        shape = (16, 16, 3)
    else:
        shape, x, z = (5,), tf.keras.Input((5,)), tf.keras.Input((24,))
        h = layers.Dense(12, "tanh")(x)
        encoder = tf.keras.Model(
            x, [layers.Dense(24, name="mean")(h),
                layers.Dense(24, name="log_variance")(h)])
        first = layers.Dense(12, "tanh", use_bias=False)
        decoder = tf.keras.Model(
            z,
            layers.Dense(5)(first(layers.Activation("linear")(z) if kind == "behind" else z)))
    dead = np.arange(24) % 6 != 2
    for head in [encoder.layers[-1]] if kind in ("toy",
                                                 "celeba") else map(encoder.get_layer,
                                                                    ("mean", "log_variance")):
        columns = np.tile(dead, len(head.get_weights()[1]) // 24)
        head.set_weights([np.where(columns, 0, weight) for weight in head.get_weights()])
    taker = next(layer for layer in decoder.layers if isinstance(layer, layers.Dense))
    kernel, *bias = taker.get_weights()
    taker.set_weights([np.where(dead[:, None], 0, kernel), *bias])
    return encoder, decoder, shape, dead


@pytest.mark.slow
@pytest.mark.parametrize("kind, sliced", [("toy", (True, True)), ("celeba", (True, True)),
                                          ("two heads", (True, True)), ("behind", (True, False))])
@pytest.mark.parametrize("policy", [None, "bfloat16"])
def test_pruning_what_has_collapsed_changes_nothing(kind, sliced, policy, tmp_path):
    """Twenty collapsed variables: reconstructions within 1e-3 (here: to rounding), the rate not at
    all, the model itself untouched; and the smaller one is saved with both signatures, and loaded.
    """
    with devices.using_precision(policy):
        encoder, decoder, shape, dead = collapsed_pair(kind)
        vae = tfisovae.VAE(encoder, decoder, "sse", 50.0)
        x = np.random.default_rng(2).uniform(size=(20, *shape)).astype(np.float32)
        before = [w.numpy().copy() for w in vae.weights]
        small = tfisovae.prune(vae, "active", x)
    assert small.n == 4 and small.pruning.left_out.tolist() == np.flatnonzero(dead).tolist()
    assert (small.pruning.encoder_sliced, small.pruning.decoder_sliced) == sliced
    np.testing.assert_allclose(small(x), vae(x), atol=1e-5)
    np.testing.assert_allclose(
        small.encode(x).mean,
        vae.encode(x).mean.numpy()[:, ~dead], atol=1e-6)
    np.testing.assert_allclose(
        small.encode(x).scale,
        vae.encode(x).scale.numpy()[:, ~dead], atol=1e-6)
    record = small.pruning
    assert record.rate.difference == pytest.approx(0, abs=1e-5) and abs(
        record.distortion.difference) < 1e-5
    assert record.rate.predicted == pytest.approx(
        0, abs=1e-6) and record.distortion.predicted == pytest.approx(0, abs=1e-6)
    if all(sliced):
        assert small.count_params() < vae.count_params()
    small.save(tmp_path / "small")
    for now, was in zip(vae.weights, before):
        np.testing.assert_array_equal(now, was)
    loaded = tfisovae.load(tmp_path / "small")
    np.testing.assert_array_equal(loaded(x), small(x))
    bare = tf.saved_model.load(str(tmp_path / "small")).signatures
    z = bare["encode"](x=tf.constant(x))["mean"]
    assert z.shape == (20, 4)
    np.testing.assert_allclose(bare["decode"](z=z)["x_hat"], vae(x), atol=1e-5)


@pytest.mark.parametrize("kind", ["toy", "two heads", "behind"])
def test_what_is_left_out_stands_at_its_mean(kind):
    """Decoders of active variables, with and without a bias: the decoder of z is that of z and the
    means of the others.
    """
    encoder, decoder, shape, _ = collapsed_pair(kind)
    taker = next(layer for layer in decoder.layers if isinstance(layer, layers.Dense))
    taker.set_weights(
        [np.random.default_rng(3).standard_normal(w.shape) for w in taker.get_weights()])
    vae = tfisovae.VAE(encoder, decoder, "sse", 50.0)
    x = np.random.default_rng(2).uniform(size=(30, *shape)).astype(np.float32) + 1
    kept = [2, 8, 20]  # of which 14, which is active and has a mean, is left out
    small = tfisovae.prune(vae, kept, x)
    means = np.mean(vae.encode(x).mean, 0)
    assert abs(means[14]) > 0.05
    z = np.tile(means, (30, 1)).astype(np.float32)
    z[:, kept] = np.random.default_rng(4).standard_normal((30, 3))
    np.testing.assert_allclose(small.decode(z[:, kept]), vae.decode(z), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(small.pruning.values, np.delete(means, kept), atol=1e-6)
    nowhere = tfisovae.prune(vae, kept)
    z = np.where(np.isin(np.arange(24), kept), z, 0).astype(np.float32)
    np.testing.assert_allclose(nowhere.decode(z[:, kept]), vae.decode(z), rtol=1e-4, atol=1e-4)
    assert nowhere.pruning.distortion is None and np.isnan(nowhere.pruning.share)
    assert nowhere.pruning.sentences() == "3 of 24 dimensions kept: 2, 8, 20."


class Sampling(layers.Layer):
    def call(self, inputs):
        mean, log_variance = inputs
        return mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))


class Subclassed(tf.keras.Model):
    """An encoder whose layers no graph shows."""

    def __init__(self):
        super().__init__()
        self.head = layers.Dense(6)

    def call(self, x):
        return self.head(x)


def encoders():
    x = tf.keras.Input((4,))
    h = layers.Dense(5, "tanh")(x)
    mean, log_variance = layers.Dense(3, name="z_mean")(h), layers.Dense(3, name="z_log_var")(h)
    both = layers.Dense(6)(h)
    yield "sampling", tf.keras.Model(
        x, [mean, log_variance, Sampling()([mean, log_variance])]), True
    yield "joined", tf.keras.Model(x, layers.Concatenate()([mean, log_variance])), True
    yield "joined by another axis", tf.keras.Model(
        x,
        layers.Concatenate(axis=1)([mean, layers.Dense(3)(h)])), True
    yield "three joined", tf.keras.Model(
        x,
        layers.Concatenate()([mean, layers.Dense(2)(h),
                              layers.Dense(1)(h)])), False
    yield "activation", tf.keras.Model(x, layers.Activation("linear", dtype="float32")(both)), False
    yield "softmax", tf.keras.Model(x, layers.Dense(6, "softmax")(h)), False
    yield "one spread", tf.keras.Model(x, [mean, layers.Dense(1, name="spread")(h)]), True
    yield "used twice", tf.keras.Model(x, [mean, layers.Dense(3, name="log_variance")(mean)]), False
    yield "subclassed", Subclassed(), False


def decoders():
    z = tf.keras.Input((3,))
    hidden = layers.Dense(5, "relu")(z)
    yield "dense", tf.keras.Model(z, layers.Dense(4)(hidden)), True
    yield "skip", tf.keras.Model(z, layers.Dense(4)(layers.Concatenate()([hidden, z]))), False
    yield "normalised", tf.keras.Sequential(
        [tf.keras.Input((3, )), layers.BatchNormalization(),
         layers.Dense(4)]), False
    yield "nested", tf.keras.Sequential(
        [tf.keras.Input((3, )), tf.keras.Sequential([layers.Dense(4)])]), False


@pytest.mark.parametrize("name, encoder, sliced", encoders(), ids=lambda value: value
                         if isinstance(value, str) else "")
def test_encoders_of_every_kind(name, encoder, sliced):
    """What cannot be sliced is selected: the posterior of what is kept is the same."""
    vae = tfisovae.VAE(encoder, tf.keras.Sequential([tf.keras.Input((3, )),
                                                     layers.Dense(4)]), "sse", 10.0,
                       example_shape=(4, ))
    small = tfisovae.prune(vae, [0, 2], X[:50])
    assert small.pruning.encoder_sliced == sliced and small.n == 2
    for part in ("mean", "scale"):
        whole = getattr(vae.encode(X[:9]), part).numpy()
        np.testing.assert_allclose(getattr(small.encode(X[:9]), part), whole[:, [0, 2]], atol=1e-6)


@pytest.mark.parametrize("name, decoder, sliced", decoders(), ids=lambda value: value
                         if isinstance(value, str) else "")
def test_decoders_of_every_kind(name, decoder, sliced, tmp_path):
    vae = tfisovae.VAE(tf.keras.Sequential([tf.keras.Input((4, )),
                                            layers.Dense(6)]), decoder, "sse", 10.0)
    small = tfisovae.prune(vae, [0, 2], X[:50])
    assert small.pruning.decoder_sliced == sliced
    z = np.random.default_rng(5).standard_normal((6, 3)).astype(np.float32)
    z[:, 1] = np.mean(vae.encode(X[:50]).mean, 0)[1]
    np.testing.assert_allclose(small.decode(z[:, [0, 2]]), vae.decode(z), atol=1e-5)
    small.save(tmp_path / "small")
    np.testing.assert_array_equal(
        tfisovae.load(tmp_path / "small").decode(z[:, [0, 2]]), small.decode(z[:, [0, 2]]))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["graph", "subclassed", "configured by nothing"])
def test_training_the_smaller_model_leaves_the_other_alone(kind):
    """Or it is said that it does not."""
    class Hidden(tf.keras.Model):
        def __init__(self, units):
            super().__init__()
            self.head = layers.Dense(units)

        def call(self, x):
            return self.head(x)

        def get_config(self):
            return {"units": self.head.units} if kind == "subclassed" else super().get_config()

    def network(inputs, outputs):
        return tf.keras.Sequential([tf.keras.Input(
            (inputs, )), layers.Dense(outputs)]) if kind == "graph" else Hidden(outputs)

    vae = tfisovae.VAE(network(4, 6), network(3, 4), "sse", 10.0, example_shape=(4,))
    vae.predict(X[:2], verbose=0)
    small, before = tfisovae.prune(vae, [0, 2]), vae.get_weights()
    np.testing.assert_allclose(
        small.encode(X[:9]).mean,
        vae.encode(X[:9]).mean.numpy()[:, [0, 2]], atol=1e-6)
    small.compile("adam")
    small.fit(X[:64], epochs=2, verbose=0)
    moved = any((a != b).any() for a, b in zip(before, vae.get_weights()))
    assert moved == small.pruning.weights_shared == (kind == "configured by nothing")
    assert ("training one changes the other" in small.pruning.sentences()) == moved


@pytest.mark.slow
def test_the_smaller_model_goes_on_as_the_larger_one_was(linear):
    """lmbda as it is now, the loss, a warm-up that is not over, the seed; weights of its own, which
    train without touching the others.
    """
    encoder, decoder, *_ = collapsed_pair("two heads")
    vae = tfisovae.VAE(encoder, decoder, "sse", 5.0, decomposed=True, warmup_steps=7, seed=3)
    vae.lmbda = 49.0
    x = np.random.default_rng(2).uniform(size=(40, 5)).astype(np.float32)
    small = tfisovae.prune(vae, "active", x)
    assert float(small.lmbda.numpy()
                 ) == 49.0 and small.decomposed and small.warmup_steps == 7 and small.seed == 3
    before = [w.numpy().copy() for w in vae.weights]
    small.compile("adam")
    small.fit(x, epochs=2, batch_size=20, verbose=0)
    for now, was in zip(vae.weights, before):
        np.testing.assert_array_equal(now, was)
    vae.compile("adam")
    vae.fit(x, epochs=4, batch_size=20, verbose=0)  # 8 steps: the warm-up is over
    assert tfisovae.prune(vae, [2, 8], x).warmup_steps == 0


@pytest.mark.slow
def test_pairs_of_keras_models_and_vaes_on_a_disk(linear, tmp_path):
    pair = (linear.encoder, linear.decoder)
    for given in (pair, {"encoder": pair[0], "decoder": pair[1]}):
        small = tfisovae.prune(given, 2, X, distortion="sse", beta=BETA)
        assert isinstance(small, tfisovae.VAE) and float(small.lmbda.numpy()) == pytest.approx(10)
    linear.save(tmp_path / "model")
    loaded = tfisovae.prune(tmp_path / "model", 2, X)
    assert isinstance(
        loaded,
        tfisovae.VAE) and loaded.pruning.kept.tolist() == small.pruning.kept.tolist() == [1, 3]
    np.testing.assert_allclose(loaded(X[:5]), small(X[:5]),
                               atol=1e-6)
    with refuses(ValueError, "distortion"):
        tfisovae.prune(pair, 2, X)


def functions():
    a, b = np.diag(OPTIMUM.encoder_gain), np.diag(OPTIMUM.decoder_gain)
    return lambda x: (x @ a, np.broadcast_to(2 * np.log(OPTIMUM.scale), x.shape)
                      ), lambda z: z.astype(np.float64) @ b


@pytest.mark.slow
def test_models_of_other_kinds(linear, tmp_path):
    """SavedModels by their signatures and functions over arrays: an `Autoencoder` behind a
    selection, with the same numbers, which can be measured (by differences of float64, where the
    function returns that).
    """
    expected = tfisovae.prune(linear, "active", X)
    linear.save(tmp_path / "bare")
    for model in (tf.saved_model.load(str(tmp_path / "bare")), functions()):
        small = tfisovae.prune(model, "active", X, distortion="sse", beta=BETA)
        assert isinstance(
            small,
            Autoencoder) and not (small.pruning.encoder_sliced or small.pruning.decoder_sliced)
        assert small.pruning.kept.tolist() == [0, 1, 3] and small.decode(np.ones(
            [2, 3], np.float32)).shape == (2, 4)
        np.testing.assert_allclose([small.pruning.distortion.after, small.pruning.rate.after],
                                   [expected.pruning.distortion.after, expected.pruning.rate.after],
                                   rtol=1e-4)
        analysis = tfisovae.analyze(small, X[:200])
        np.testing.assert_allclose(analysis.norm_mean, OPTIMUM.norm[[0, 1, 3]], rtol=1e-3)
    assert analysis.tangents == "differences"


@pytest.mark.parametrize("keep, argument", [
    ([], ""),
    ([0, 4], "keep"),
    ([-1], "keep"),
    ([1, 2, 1], "keep"),
    ([3, 2, 1, 0], ""),
    ([0.5], "keep"),
    (np.array([True, False, True, False]), ""),
    ([[0, 1]], "keep"),
    (0, "keep"),
    (-2, "keep"),
    (5, "keep"),
    (4, ""),
    (0.0, "keep"),
    (1.0, "keep"),
    (1.5, "keep"),
    (np.nan, "keep"),
    (True,
     "keep"),
    ("all", "keep"),
    (None, "keep"),
    ({0, 1}, "keep"),
])
def test_what_is_refused(keep, argument):
    with refuses(ValueError, argument):
        chosen(keep, 4, means([1, 2, 0, 1]), np.array([3, 5, 1, 4]))


def test_nothing_to_prune_no_data_and_a_collapsed_model(linear):
    every = means([1, 1]), np.array([3, 2])
    for keep in ("active", 0.999):
        with refuses(ValueError):
            chosen(keep, 2, *every)
    for keep in ("active", 2, 0.9):
        with refuses(ValueError, "data"):
            tfisovae.prune(linear, keep)
    encoder, decoder, *_ = collapsed_pair("two heads")
    for name in ("mean", "log_variance"):
        encoder.get_layer(name).set_weights(
            [0 * weight for weight in encoder.get_layer(name).get_weights()])
    vae, x = tfisovae.VAE(encoder, decoder, "sse", 5.0), np.ones((10, 5), np.float32)
    for keep in ("active", 2, 0.9):
        with refuses(ValueError):
            tfisovae.prune(vae, keep, x)
    assert tfisovae.prune(vae, [0, 1], x).n == 2  # by number there is no question


@pytest.mark.parametrize("keep, argument", [(0, ""), (5, ""),
                                           (4, ""), ([0, 0], ""),
                                           (1.5, ""), ([4], "")])
def test_what_no_data_would_mend_is_refused_before_they_are_read(linear, keep, argument):
    with refuses(ValueError, argument):
        tfisovae.prune(linear, keep, np.full((5, 4), np.nan, np.float32))


def test_what_is_read_twice_is_no_generator(linear):
    with refuses(ValueError, "data"):
        tfisovae.prune(linear, 2, (x for x in np.split(X, 10)))


def test_a_cost_that_is_not_finite_is_named():
    def decode(z):
        return np.where(z[:, :1] > 2.5, np.nan, z.astype(np.float64))

    x = np.zeros((20, 2), np.float32)
    x[13, 0] = 30
    with refuses(ValueError):
        tfisovae.prune((lambda x: (x, np.full_like(x, -6)), decode), [0], x, distortion="sse",
                       beta=BETA)


def test_a_single_example_has_no_error(linear):
    """A mean of one: its numbers are said, and that their error is not known."""
    record = tfisovae.prune(linear, [1, 3], X[:1]).pruning
    assert np.isnan(record.distortion.standard_error)
    said = record.sentences()
    assert "nan" not in said and "on 1 example, so without an error" in said


def test_a_posterior_that_is_not_finite_and_data_that_are_gone(linear):
    broken = Autoencoder(lambda x: (x, tf.where(tf.range(4) == 2, np.nan, tf.ones_like(x))),
                         lambda z: z, "sse", BETA)
    with refuses(ValueError):
        tfisovae.prune(broken, "active", X[:20])
    with refuses(ValueError):
        tfisovae.prune(linear, "active", X, num_examples=2_000)
    assert tfisovae.prune(linear, "active", X, num_examples=150).pruning.num_examples == 150


def test_layers_there_and_back():
    """Restored puts each where it was; Columns takes them out again; both are made anew by their
    configuration.
    """
    z = tf.constant(np.random.default_rng(0).standard_normal((5, 3)), tf.float32)
    restored, columns = slicing.Restored([1, 2, 4], [7.0, 0, 0, -8, 0]), slicing.Columns([4, 1])
    full = restored(z).numpy()
    np.testing.assert_array_equal(full[:, [0, 3]], np.tile([7, -8], (5, 1)))
    np.testing.assert_array_equal(full[:, [1, 2, 4]], z)
    np.testing.assert_array_equal(columns(full), z.numpy()[:, [2, 0]])
    for layer, argument in ((restored, z), (columns, full)):
        anew = tf.keras.utils.deserialize_keras_object(
            json.loads(json.dumps(tf.keras.utils.serialize_keras_object(layer))))
        np.testing.assert_array_equal(anew(argument), layer(argument))


@pytest.fixture(scope="module")
def run(tmp_path_factory, main):
    """A run on toy data with 6 latent variables, of which 3 are put to death after it."""
    trained, path = (tmp_path_factory.mktemp("runs") / name for name in ("trained", "toy"))
    main("toy", "--source", "mix", "--num_examples", 2_000, "--latent_dim", 6, "--epochs", 10,
         "--num_eval", 0, "--run_dir", trained)
    vae, dead = tfisovae.load(trained / "model"), np.isin(np.arange(6), [0, 3, 4])
    head, first = vae.encoder.layers[-1], vae.decoder.layers[0]
    head.set_weights([np.where(np.tile(dead, 2), 0, weight) for weight in head.get_weights()])
    first.set_weights([np.where(dead[:, None], 0, first.get_weights()[0]), first.get_weights()[1]])
    with runs.Run(path, json.loads((trained / "config.json").read_text())) as opened:
        opened.save_model(vae)
    return path


@pytest.mark.slow
def test_a_pruned_run_measures_as_a_run(run, main):
    """The command: what is active, into a directory of its own, that the measuring commands take;
    its numbers are those of the run.
    """
    done = main("prune", run)
    small = run.parent / "toy-pruned"
    assert "3 of 6 dimensions kept" in done.stdout
    assert "with 100 % of the cost of removal of all" in done.stdout
    assert str( small) in done.stdout
    main("isometry", run)
    said = main("isometry", small).stdout
    assert "3 of 3 dimensions active" in said
    words = " ".join(said.split())
    assert f"This model is {run} without some of its dimensions. It was not trained since" in words
    before, after = (json.loads((path / "isometry.json").read_text()) for path in (run, small))
    record = json.loads((small / "pruning.json").read_text())
    np.testing.assert_allclose(after["precision_mean"],
                               np.array(before["precision_mean"])[record["kept"]], rtol=1e-4)
    np.testing.assert_allclose(after["norm_mean"],
                               np.array(before["norm_mean"])[record["kept"]], rtol=0.02)
    assert after["rate"] == pytest.approx(before["rate"], abs=0.05)
    assert record["rate"]["after"] == pytest.approx(after["rate"], rel=1e-3)
    assert abs(record["distortion"]["after"] / record["distortion"]["before"] - 1) < 0.01
    config = json.loads((small / "config.json").read_text())
    assert config["latent_dim"] == 3 and config["pruned"] == {
        "from": str(run), "kept": record["kept"]
    }
    refused = main("prune", run, check=False)
    assert refused.code != 0
    assert (f"{small} exists; it is unchanged. Give another directory with --out."
            in refused.stderr)


@pytest.mark.parametrize("options, message", [
    (["--share", "1"], "--share must be above 0 and below 1; got 1."),
    (["--share", "0"], "--share must be above 0 and below 1; got 0."),
    (["--count", "6"], "There is nothing to prune: all 6 latent variables would be kept"),
    (["--count", "40"], "--count must be at most the 6 latent dimensions; got 40"),
    (["--count", "0"], "--count must be at least 1; got 0"),
    (["--keep", "0", "9"], "must have numbers from 0 to 5; got 9"),
    (["--keep", "0", "0"], "must name each variable once; got 0 more than once"),
    (["--num_examples", "0"], "--num_examples must be at least 1; got 0"),
    (["--share", ".9", "--active"], "not allowed with argument"),
])
def test_bad_options_write_nothing(run, main, tmp_path, options, message):
    refused = main("prune", run, "--out", tmp_path / "small", *options, check=False)
    assert refused.code != 0 and message in refused.stderr and not list(tmp_path.iterdir())


def test_the_words_need_no_model():
    change = pruning.Change(1.0, 1.5, 0.01, 0.4)
    record = pruning.Pruning(np.array([0]), np.array([1]), np.array([0.0]), 0.9, True, True, 10,
                             change, change, change)
    lines = record.sentences().splitlines()
    assert lines[0] == (
        "1 of 2 dimensions kept: 0, with 90 % of the cost of removal of all.")
    assert lines[1] == "distortion 1 before, 1.5 after: +0.5 +- 0.01, predicted +0.4"
    assert lines[2].startswith("rate 1 before, 1.5 nats after")


def test_large_latent_spaces_are_pruned_by_a_list():
    """Costs of more than 300 dimensions would take as many decodes: a count or a share is refused.
    """
    best = theory.LinearVAE(np.full(301, 2.0), 0.1)
    model = Autoencoder(lambda x: (best.encoder_gain * x, 0 * x + best.scale),
                        lambda z: best.decoder_gain * z, "sse", 0.1)
    x = np.random.default_rng(0).standard_normal([40, 301]).astype(np.float32)
    for keep in (5, 0.9):
        with refuses(ValueError, "keep"):
            tfisovae.prune(model, keep, x, inspect=False)
    made = tfisovae.prune(model, list(range(300)), x, inspect=False)
    assert made.pruning.left_out.tolist() == [300] and np.isnan(made.pruning.share)
    assert made.pruning.distortion.difference > 0 and "not known" in made.pruning.sentences()


def test_a_spatial_latent_space_is_pruned():
    """A decoder of [h, w, c] stays as it is: z is put together before it."""
    pair = []
    for outputs in (4, 2):
        pair.append(tf.keras.Sequential([layers.Input((3, 2, 2)), layers.Conv2D(outputs, 1)]))
    x = np.random.default_rng(0).standard_normal([30, 3, 2, 2]).astype(np.float32)
    made = tfisovae.prune(tuple(pair), [0, 3, 11], x, distortion="sse", beta=0.1, inspect=False)
    mean, scale = made.encode(tf.constant(x))
    whole = tfisovae.as_autoencoder(tuple(pair), "sse", 0.1).encode(tf.constant(x))
    np.testing.assert_allclose(mean, np.asarray(whole[0])[:, [0, 3, 11]], rtol=1e-5)
    assert scale.shape == (30, 3) and made.decode(mean).shape == x.shape
