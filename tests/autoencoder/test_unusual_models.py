"""Models that other people bring and ours are not like: shared spreads, distributions, noise in the
decoder, no derivative, ...
"""
import collections
import types

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import _keras, density
from tfisovae.analysis import conditions, mean_gradient, measuring
from tfisovae.autoencoder.data import Repeated, batches
from tfisovae.autoencoder.graph import treats_examples_apart
from tfisovae.autoencoder.outputs import Outputs, PartError
from tfisovae.codec import identity
from tfisovae.distortions import base
from tfisovae.geometry import monotone, pullback
from tfisovae.verdict import checks, convergence
from tfisovae.verdict.states import Cause

layers = tf.keras.layers
N, M = 2, 4
X = np.random.default_rng(0).standard_normal((400, M)).astype(np.float32)
BASIS = np.linalg.qr(np.random.default_rng(1).standard_normal((M, N)))[0].astype(np.float32)


def networks(decoder=None, spread=N, **options):
    x = tf.keras.Input((M,))
    encoder = tf.keras.Model(
        x,
        [layers.Dense(N, name="z_mean", **options)(x),
         layers.Dense(spread, name="z_log_var")(x)])
    return encoder, decoder or tf.keras.Sequential([layers.Input((N,)), layers.Dense(M)])


def through_numpy(z):
    """A decoder that TensorFlow sees, and has no derivative of."""
    return tf.ensure_shape(
        tf.numpy_function(lambda z: (z @ BASIS.T).astype(np.float32), [z], tf.float32), [None, M])


def test_a_spread_that_all_dimensions_share_is_no_alarm():
    """At an exact optimum with one sigma no single moment and no single balance is as it is with
    one for each dimension.
    """
    shared = conditions.conditions_of(*networks(spread=1))
    assert shared.moments is False
    assert shared.balance is False
    assert shared.moments_why.cause is Cause.ONE_SPREAD
    assert conditions.conditions_of(*networks()).moments is True
    assert conditions.conditions_of(*networks(activity_regularizer="l2")).moments is False
    beta, variance = 0.1, np.array([1.0, 4.0])
    # Sigma^2 of D' = variance E[mu^2 + sigma^2] and one sigma for all.
    square = 1 / np.mean(2 / beta * variance)
    rng = np.random.default_rng(0)
    gain = np.sqrt(np.array([0.667, 1.333]) - square)
    vae = tfisovae.VAE(*networks(spread=1), "sse", 1 / beta)
    vae.encoder.set_weights(
        [np.diag([*gain, 0, 0])[:, :N],
         np.zeros(N),
         np.zeros([M, 1]),
         np.log([square])])
    found = tfisovae.analyze(vae, rng.standard_normal((4000, M)).astype(np.float32)).judge()
    assert not found.unfinished


def test_the_gradient_of_a_decoder_without_derivative_is_not_that_of_the_kl():
    for decode in (through_numpy,
                   lambda z: tf.cast(tf.argmax(tf.stack([z @ BASIS.T] * 2), 0), tf.float32)):
        model = tfisovae.as_autoencoder((networks()[0], decode), "sse", 0.1)
        with refuses(ValueError):
            mean_gradient.block_gradients(model, X)


@pytest.mark.parametrize("data, count", [((X, X[:, 0]), 400), ({"image": X}, 400),
                                         (tf.constant(X), 400)])
def test_the_gradient_takes_data_as_everything_does(data, count):
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    found, known = (mean_gradient.block_gradients(vae, one, num_blocks=16) for one in (data, X))
    assert found.num_examples == count
    np.testing.assert_allclose(found.gram, known.gram, rtol=1e-6)


def test_the_gradient_takes_batches_and_as_many_as_there_are():
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    assert mean_gradient.block_gradients(
        vae, (X[k:k + 40] for k in range(0, 400, 40))).num_examples == 400
    with refuses(ValueError):
        mean_gradient.block_gradients(vae, X, num_examples=401)


def test_the_products_of_gradients_are_exact():
    """Also where they are summed in several parts."""
    encoder = tf.keras.Sequential([layers.Input((M,)), layers.Dense(9000), layers.Dense(2 * N)])
    vae = tfisovae.VAE(encoder, networks()[1], "sse", 10.0)
    found = mean_gradient.block_gradients(vae, X[:64], num_blocks=8)
    order = np.random.default_rng(0).permutation(64)
    sums = []
    for block in range(8):
        x = tf.constant(X[:64][order[8 * block:8 * block + 8]])
        with tf.GradientTape() as tape:
            from tfisovae.metrics.measurement import measure

            loss = tf.reduce_sum(measure(vae, x, tf.constant(8 * block), 0).objective)
        sums.append(
            np.concatenate([
                part.numpy().ravel() for part in tape.gradient(loss, mean_gradient.weights_of(vae))
            ]) / 8)
    blocks = np.array(sums, np.float64)
    assert found.num_weights > 2 * mean_gradient._AT_ONCE
    np.testing.assert_allclose(found.gram, blocks @ blocks.T, rtol=1e-4,
                               atol=1e-5 * np.abs(found.gram).max())


def test_a_random_decoder_without_derivative_is_refused():
    """Differences of its noise are none of its."""
    rng = np.random.default_rng(0)

    def decode(z):
        return z @ BASIS.T + 0.1 * rng.standard_normal((len(z), M))

    with refuses(ValueError):
        tfisovae.analyze((networks()[0], decode), X, distortion="sse", beta=0.1)


class Distribution:
    """As TensorFlow Probability's layers return them: taken for a tensor, one sample."""

    def __init__(self, loc):
        self.loc = loc

    def mean(self):
        return self.loc

    def sample(self):
        return self.loc + 1

    def log_prob(self, x):
        return x


def test_distributions_are_not_sampled():
    with refuses(PartError):
        Outputs.of(Distribution(tf.zeros([2, M]))).reconstruction(None)
    # The sample, which is not used.
    unused = [tf.zeros([2, N]), tf.ones([2, N]), Distribution(tf.zeros([2, N]))]
    assert float(Outputs.of(unused).mean_and_spread(None)[1][0, 0]) == 1


def test_a_full_covariance_is_refused_and_not_advised_away():
    """Means and deviations are proposed for distributions with independent entries alone."""
    for name in ("MultivariateNormalTriL", "MultivariateNormalFullCovariance", "Mixture",
                 "VonMises", "MultivariateNormal", "MultivariateNormalDiagPlusLowRank",
                 "MultivariateNormalDiag", "Normal", "Independent"):
        kind = type(name, (Distribution,), {})
        for made in (kind, type("_TensorCoercible", (kind,), {})):
            with refuses(PartError, name) as error:
                Outputs.of(made(tf.zeros([2, N]))).mean_and_spread(None)
            independent = name in ("MultivariateNormalDiag", "Normal", "Independent")
            assert ("stddev()" in str(error.value)) is independent
            assert ("covariance()" in str(error.value)) is not independent
            assert "Gaussian" in str(error.value)
    full = (lambda x: (x[:, :N], tf.zeros([len(x), N, N])), networks()[1])
    with refuses(ValueError, 'scale="covariance"'):
        tfisovae.as_autoencoder(full, "sse", 0.1).encode(tf.constant(X[:4]))


def test_layers_of_tensorflow_probability_are_not_sampled():
    tfp = pytest.importorskip("tensorflow_probability")
    encoder, decoder = networks()
    z = tf.keras.Input((N,))
    ends = tf.keras.Model(z, tfp.layers.IndependentNormal(M)(layers.Dense(2 * M)(z)))
    x = tf.keras.Input((M,))
    begins = tf.keras.Model(x, tfp.layers.IndependentNormal(N)(layers.Dense(2 * N)(x)))
    for pair in ((encoder, ends), (begins, decoder)):
        with refuses(ValueError):
            tfisovae.analyze(pair, X, distortion="sse", beta=0.1)


@tf.custom_gradient
def halved(x):
    return x, lambda upstream: upstream / 2


def test_examples_of_training_are_measured_as_all_others_are():
    """A wrong derivative, or none, is found there too."""
    encoder, decoder = networks()
    wrong = tfisovae.as_autoencoder((encoder, lambda z: halved(decoder(z))), "sse", 0.1)
    right = tfisovae.as_autoencoder((encoder, decoder), "sse", 0.1)
    found, known = (measuring.measure_stationarity(one, X).balance_difference.mean
                    for one in (wrong, right))
    np.testing.assert_allclose(found, known, rtol=0.02)
    none = tfisovae.as_autoencoder(
        (encoder, lambda z: tf.matmul(z, BASIS, transpose_b=True) + 0 * through_numpy(z)), "sse",
        0.1)
    assert np.isfinite(measuring.measure_stationarity(none, X).balance_difference.mean).all()


def test_the_reading_of_the_scale_is_not_lost():
    encoder, decoder = networks()
    pair = tfisovae.as_autoencoder((encoder, decoder), "sse", 0.1, scale="variance")
    assert conditions.of_model(pair).balance is False
    assert conditions.of_model(tfisovae.prune(pair, [0])).balance is False

    class Theirs(tf.keras.Model):
        scale = 255.0

        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = encoder, decoder

        def encode(self, x):
            return tf.split(self.encoder(x), 2, 1)

        def decode(self, z):
            return self.decoder(z)

    small = tfisovae.prune(Theirs(), [0], distortion="sse", beta=0.1)
    assert small.scale == "log_variance" and small.n == 1


def test_one_scale_for_each_example_has_a_column():
    """[batch] would be taken for n scales wherever batch is n."""
    encode = networks()[0]
    column = tfisovae.as_autoencoder((lambda x: (encode(x)[0], encode(x)[1][:, :1]), lambda z: z),
                                     "sse", 0.1)
    scale = column.encode(tf.constant(X[:5]))[1]
    np.testing.assert_allclose(scale, np.tile(scale[:, :1], [1, N]))
    flat = tfisovae.as_autoencoder((lambda x: (encode(x)[0], encode(x)[1][:, 0]), lambda z: z),
                                   "sse", 0.1)
    with refuses(PartError, "[batch, 1]"):
        flat.encode(tf.constant(X[:5]))


def test_active_are_booleans():
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    with refuses(ValueError, "active"):
        density.log_densities(vae, X, active=[0, 1])


def test_named_tuples_say_which_output_is_which():
    named = collections.namedtuple("named",
                                   "z mean log_var")(*(k + tf.zeros([3, N]) for k in range(3)))
    mean, spread = Outputs.of(named).mean_and_spread(None)
    assert float(mean[0, 0]) == 1 and float(spread[0, 0]) == 2
    with refuses(PartError):
        Outputs.of([]).mean_and_spread(None)


def test_posteriors_as_wide_as_the_prior():
    """Of heads that begin at 0: sigma is 1, and a ratio of the balance is 0 by 0."""
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    weights = vae.encoder.get_weights()
    vae.encoder.set_weights([*weights[:2], np.zeros([M, N]), np.zeros(N)])
    with np.errstate(all="raise"):
        assert np.isnan(checks.overall_balance([np.inf, np.nan], [0.0, 0.0], [True, True]))
        assert checks.overall_balance([np.inf, 3.0], [0.0, 0.5], [True, True]) == 3
    analysis = tfisovae.analyze(vae, X)
    assert "NOT FINITE" not in analysis.summary() and np.isnan(analysis.posterior_balance)


@pytest.mark.slow
def test_recurrent_decoders_are_measured():
    """Their derivatives exist, and cannot be taken of many tangents at once."""
    z = tf.keras.Input((N,))
    decoder = tf.keras.Model(z, layers.Dense(M)(layers.SimpleRNN(3)(layers.RepeatVector(2)(z))))
    model = tfisovae.as_autoencoder((networks()[0], decoder), "sse", 0.1)
    analysis = tfisovae.analyze(model, X[:60])
    differences = tfisovae.geometry.pullback_metric(decoder, tf.zeros([1, N]), model.distortion,
                                                    "differences")
    assert np.isfinite(analysis.norm_mean).all() and differences.shape == (1, N, N)


def test_networks_with_weights_of_few_digits_are_refused():
    encoder = tf.keras.Sequential([layers.Input((M,)), layers.Dense(2 * N, dtype="bfloat16")])
    with refuses(ValueError):
        tfisovae.analyze((encoder, networks()[1]), X, distortion="sse", beta=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("rows, parts", [(101, 2), (101, 4), (96, 4)])
def test_parts_of_a_last_batch_of_any_size(rows, parts):
    """101 examples in batches of 32 end with 5; the steps are those of whole batches."""
    found = []
    for count in (1, parts):
        tf.keras.utils.set_random_seed(0)
        vae = tfisovae.VAE(*networks(), "sse", 10.0)
        vae.compile(tf.keras.optimizers.SGD(1e-3), num_parts=count, resident=False)
        history = vae.fit(X[:rows], batch_size=32, epochs=2, verbose=0, shuffle=False).history
        assert np.isfinite(history["loss"]).all()
        found.append(
            (np.concatenate([w.ravel() for w in vae.get_weights()]), history["distortion"]))
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-6)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-5)


def test_a_batch_smaller_than_its_parts_is_refused():
    """Convolutions have no gradient of no examples."""
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    vae.compile("sgd", num_parts=4, resident=False)
    with refuses(ValueError):
        vae.fit(X[:33], batch_size=32, verbose=0)


def test_convolutions_take_a_last_batch_of_any_size():
    x = np.random.default_rng(0).uniform(size=(7, 8, 8, 1)).astype(np.float32)
    encoder = tf.keras.Sequential(
        [layers.Input((8, 8, 1)),
         layers.Conv2D(3, 3, 2),
         layers.Flatten(),
         layers.Dense(2 * N)])
    decoder = tf.keras.Sequential([
        layers.Input((N, )),
        layers.Dense(64),
        layers.Reshape((8, 8, 1)),
        layers.Conv2D(1, 3, 1, "same")
    ])
    vae = tfisovae.VAE(encoder, decoder, "sse", 10.0)
    vae.compile("sgd", num_parts=2)
    assert np.isfinite(vae.fit(x, batch_size=4, verbose=0).history["loss"]).all()


def test_whatever_has_rows_is_sliced_by_them():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, index=np.arange(400.0) / 3)
    for data in (frame, tf.Variable(X)):
        found = list(batches(data))
        assert [len(x) for x in found] == [100] * 4
        np.testing.assert_array_equal(np.concatenate(found), X)


class InFloat32(base.Distortion):
    """As a user may write it: with constants of one type."""

    def __call__(self, x, x_hat):
        return tf.reduce_sum(tf.constant([1.0, 2, 3, 4]) * tf.square(x - x_hat), -1)


def test_distortions_of_one_type_take_decoders_of_another():
    model = tfisovae.as_autoencoder(
        (networks()[0], lambda z: z.astype(np.float64) @ BASIS.T.astype(np.float64)), InFloat32(),
        0.1)
    analysis = tfisovae.analyze(model, X[:100])
    expected = np.diag(BASIS.T @ np.diag([1.0, 2, 3, 4]) @ BASIS)
    np.testing.assert_allclose(analysis.derivative_mean, expected, rtol=1e-3)


def test_data_sets_without_end_are_told():
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    data = tf.data.Dataset.from_tensor_slices(X).repeat().batch(50)
    for measure in (tfisovae.analyze, tfisovae.estimate_beta, density.log_densities):
        with refuses(ValueError, "num_examples"):
            measure(vae, data)
    assert tfisovae.analyze(vae, data, 120).num_examples == 120


def test_arrays_are_read_in_slices_and_empty_batches_passed_over():
    """Of a memory map as large as a data set nothing is copied but the batch."""
    seen = []

    class Watched:
        shape = (10**9, M)

        def __len__(self):
            return self.shape[0]

        def __getitem__(self, index):
            seen.append(index)
            return X[:index.stop - index.start]

    first = next(batches(Watched()))
    assert first.shape == (100, M) and seen == [slice(0, 100)]
    assert [len(x) for x in batches(part for part in (X[:3], X[:0], X[3:5]))] == [3, 2]


def test_a_data_set_that_is_shuffled_anew_is_not_paired_with_its_own_past():
    ordered, shuffled = (tf.data.Dataset.from_tensor_slices(X).shuffle(400, 0, anew).batch(50)
                         for anew in (False, True))
    for data, fails in ((ordered, False), (X, False), (shuffled, True)):
        twice = Repeated(data)
        first = np.concatenate(list(twice))
        if fails:
            with refuses(ValueError):
                list(twice)
        else:
            np.testing.assert_array_equal(np.concatenate(list(twice)), first)


def test_a_mean_that_is_constant_has_a_map():
    found = monotone.from_normal(np.full(1000, 0.7))
    assert (np.diff(found.y) > 0).all() and (found.slopes > 0).all() and np.isfinite(
        found(np.linspace(-9, 9, 99))).all()


def test_a_codec_of_an_encoder_that_is_not_defined_everywhere_is_known_again():
    def functions(shift=0.0):
        return types.SimpleNamespace(fingerprint=lambda: None, decode=lambda z: z,
                                     encode=lambda x: (tf.math.log(x) + shift, tf.ones_like(x)))

    known = identity.Identity.of(functions(), 3)
    assert np.isnan(known.mean).any() and np.isfinite(known.mean).any()
    assert known.difference(functions()) is None
    assert "another mean" in known.difference(functions(0.5))


def test_what_was_measured_of_training_decides_where_nothing_else_was():
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    training = measuring.measure_stationarity(vae, X)
    assert convergence.judge(None, training=training).num_examples == 400


def test_models_are_saved_into_directories_that_are_not_there_yet(tmp_path):
    vae = tfisovae.VAE(*networks(), "sse", 10.0)
    vae.save(tmp_path / "a" / "b" / "model")
    assert tfisovae.load(tmp_path / "a" / "b" / "model").n == N
    assert pullback.tangent_method(vae.decode, tf.zeros([4, N])) == "autodiff"


def test_functions_may_write_into_what_they_get_and_keep_what_they_return():
    """In-place work on x, and one buffer for all outputs: the same numbers as of functions that do
    neither.
    """
    weights = np.random.default_rng(1).standard_normal((4, 2)).astype(np.float32)
    data = np.random.default_rng(2).standard_normal((600, 4)).astype(np.float32) + 3
    buffer = np.zeros([600, 4], np.float32)

    def encode(x):
        return (x - 3) @ weights / 9, np.full((len(x), 2), -3.0, np.float32)

    def encode_in_place(x):
        x -= 3
        return x @ weights / 9, np.full((len(x), 2), -3.0, np.float32)

    def decode(z):
        return z @ weights.T + 3

    def decode_into_buffer(z):
        np.matmul(z, weights.T, out=buffer[:len(z)])
        buffer[:len(z)] += 3
        z *= 0
        return buffer[:len(z)]

    plain, other = (tfisovae.analyze(tfisovae.as_autoencoder(pair, "sse", 0.1), data)
                    for pair in ((encode, decode), (encode_in_place, decode_into_buffer)))
    for name in ("distortion", "rate", "balance", "norm_mean", "gram_mean", "latent_mean"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(other, name), err_msg=name)


def test_a_batch_is_not_split_for_layers_that_look_at_all_of_it():
    kinds = [tf.keras.layers.BatchNormalization]
    if not _keras.KERAS_3:
        kinds.append(tf.keras.layers.experimental.SyncBatchNormalization)
    for kind in kinds:
        assert not treats_examples_apart(tf.keras.Sequential([tf.keras.layers.Input((3,)),
                                                              kind()]))


class Sampled:
    """What a distribution of TensorFlow Probability is known by."""

    def __init__(self, mean):
        self.mean = lambda: mean

    def sample(self):
        return self.mean()

    def log_prob(self, x):
        return x


class Independent(Sampled):
    pass


class MultivariateNormalTriL(Sampled):
    pass


@pytest.mark.parametrize("encode, said", [
    (lambda x: Independent(x), "stddev()"),
    (lambda x: MultivariateNormalTriL(x), "covariance()"),
    (lambda x: (x, x, x[:, :1], x[:, :1]), "hierarchical")
])
def test_other_posteriors_of_functions_are_refused_by_name(encode, said):
    model = tfisovae.as_autoencoder((encode, lambda z: z), "sse", 1.0)
    with refuses(PartError, said):
        model.encode(tf.zeros([3, 4]))
