"""Conditional VAEs: one model with a condition has the numbers of one plain model for each class.

The plain models get (x, c) too, and ignore c.
"""
import concurrent.futures
import copy

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae.analysis import mean_gradient
from tfisovae.analysis.monitor import Meter
from tfisovae.autoencoder.inspection import inspect
from tfisovae.codec import Codec
from tfisovae.geometry.isometric_variable import IsometricVariable
from tfisovae.geometry.traversals import traverse
from tfisovae.metrics.measurement import measure

CLASSES, M, N, BETA = 2, 5, 2, 0.1
COUNTS = np.array([60, 40])
# Without posterior noise, whose values depend on the number of an example in the data.
EXACT = ("norm_mean", "gram_mean", "derivative_mean", "one_minus_variance", "precision_mean",
         "kl_mean", "latent_mean", "latent_second_moment", "rate", "transform_loss")


def linear(seed=0):
    """The matrices, offsets and scales of three linear VAEs, and their data (x, c), shuffled."""
    rng = np.random.default_rng(seed)
    decoders = np.array([np.linalg.qr(rng.standard_normal((M, M)))[0][:N] * (1 + 0.3 * k)
                         for k in range(CLASSES)], np.float32)
    offsets = rng.standard_normal((CLASSES, M)).astype(np.float32)
    scales = (np.array([[0.3, 0.4]]) * (1 + 0.2 * np.arange(CLASSES)[:, None])).astype(np.float32)
    c = rng.permutation(np.repeat(np.arange(CLASSES), COUNTS))
    z = rng.standard_normal((len(c), N))
    x = np.einsum("bn,bnm->bm", z, decoders[c]) + offsets[c] + 0.1 * rng.standard_normal(
        (len(c), M))
    return (decoders, offsets, scales), x.astype(np.float32), c


def functions(matrices):
    """`encode(x, c)` and `decode(z, c)`."""
    decoders, offsets, scales = map(tf.constant, matrices)
    encoders = tf.linalg.pinv(decoders)

    def encode(x, c):
        return (tf.einsum("bm,bmn->bn", x - tf.gather(offsets, c), tf.gather(encoders, c)),
                2 * tf.math.log(tf.gather(scales, c)))

    def decode(z, c):
        return tf.einsum("bn,bnm->bm", z, tf.gather(decoders, c)) + tf.gather(offsets, c)

    return encode, decode


def plain(pair, k):
    """The pair at one class."""
    def of_class(rows):
        return tf.fill([tf.shape(rows)[0]], k)

    return (lambda x: pair[0](x, of_class(x))), (lambda z: pair[1](z, of_class(z)))


@pytest.fixture(scope="module")
def measured():
    """The whole data set by the conditional model, and each class by a plain model."""
    matrices, x, c = linear()
    pair = functions(matrices)
    model = tfisovae.as_autoencoder(pair, "sse", BETA, conditional=True)
    by_class = [tfisovae.analyze(plain(pair, k), (x[c == k], c[c == k]), distortion="sse",
                                 beta=BETA) for k in range(CLASSES)]
    return model, pair, x, c, by_class


def test_pooled_numbers_are_the_weighted_means_of_classes(measured):
    model, _, x, c, by_class = measured
    pooled = tfisovae.analyze(model, (x, c))
    for name in EXACT:
        expected = sum(COUNTS[k] / len(c) * getattr(by_class[k], name) for k in range(CLASSES))
        np.testing.assert_allclose(getattr(pooled, name), expected, rtol=1e-5, atol=1e-6,
                                   err_msg=name)


def test_one_class_has_the_numbers_of_the_plain_model(measured):
    """With the noise, which is the same here. Data sets of pairs and differences of NumPy functions
    give the same numbers.
    """
    model, pair, x, c, by_class = measured
    one = tf.data.Dataset.from_tensor_slices((x[c == 1], c[c == 1])).batch(32)
    arrays = tfisovae.as_autoencoder(
        (lambda x, c: [part.numpy() for part in pair[0](x, c)],
         lambda z, c: pair[1](z, c).numpy()), "sse", BETA, conditional=True)
    for some in (model, arrays):
        found = tfisovae.analyze(some, one)
        for name in (*EXACT, "coding_loss", "cost_of_removal", "balance"):
            np.testing.assert_allclose(getattr(found, name), getattr(by_class[1], name), rtol=2e-3,
                                       atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_every_measurement_takes_a_whole_data_set(measured):
    model, pair, x, c, by_class = measured
    exact = tfisovae.analyze(model, (x, c), method="estimated")
    np.testing.assert_allclose(exact.norm_mean, sum(
        COUNTS[k] / len(c) * by_class[k].norm_mean for k in range(CLASSES)), rtol=1e-5)
    known = np.ones(N, bool)
    densities = tfisovae.density.log_densities(model, (x, c), active=known,
                                               forms=("objective", "volume"))
    for k in range(CLASSES):
        alone = tfisovae.density.log_densities(
            plain(pair, k), x[c == k], active=known, forms=("objective", "volume"),
            distortion="sse", beta=BETA)
        for form, values in alone.items():
            np.testing.assert_allclose(densities[form][c == k], values, rtol=1e-4)
    assert tfisovae.estimate_beta(model, (x, c)).num_examples == len(c)
    assert not inspect(model, (x, c))


def test_keras_networks_take_the_condition_as_a_second_input(measured):
    """A graph, a model with an argument for each, and one with a list of both; c is a class number
    for an embedding, or a vector.
    """
    layers = tf.keras.layers

    class Apart(tf.keras.Model):
        def __init__(self, size):
            super().__init__()
            self.table, self.dense = layers.Embedding(CLASSES, 3), layers.Dense(size)

        def call(self, first, c):
            return self.dense(tf.concat([first, self.table(c)], -1))

    class Listed(Apart):
        def call(self, inputs):
            return super().call(*inputs)

    def graph(width, size):
        first, c = layers.Input((width,)), layers.Input((1,), dtype="int64")
        table = layers.Flatten()(layers.Embedding(CLASSES, 3)(c))
        return tf.keras.Model([first, c], layers.Dense(size)(
            layers.Concatenate()([first, table])))

    _, _, x, c, _ = measured
    for pair, given in (((graph(M, 2 * N), graph(N, M)), c[:, None]), ((Apart(2 * N), Apart(M)), c),
                        ((Listed(2 * N), Listed(M)), c)):
        model = tfisovae.as_autoencoder(pair, "sse", BETA, conditional=True)
        found = measure(model, model.condition.packed(x, given))
        outputs = pair[0](x, c) if type(pair[0]) is Apart else pair[0]([x, given])
        mean, log_variance = np.split(np.asarray(outputs), 2, 1)
        np.testing.assert_allclose(found.posterior.mean, mean, rtol=1e-4, atol=1e-5)
        scale, gram = np.exp(log_variance / 2), found.gram
        rows = pair[1].layers[-1].kernel.numpy()[:N]
        np.testing.assert_allclose(
            gram, 2 / BETA * scale[:, :, None] * scale[:, None] * (rows @ rows.T), rtol=1e-3,
            atol=1e-5)
        assert len(model.networks.weights) == 6
    blocks = mean_gradient.block_gradients(model, (x, c), num_blocks=20, inspect=False)
    assert blocks.num_examples == len(x)


def kinds(x, c):
    """The same data with c as a class number of two types, as one-hot rows, and as a column."""
    one_hot = np.eye(CLASSES, dtype=np.float32)[c]
    return [(x, c.astype(np.int32)), (x, c.astype(np.uint8)), (x, one_hot),
            (x, c[:, None].astype(np.float32))]


def any_kind(pair):
    """The pair for every kind of c: it must get c exactly as it is in the data."""
    seen = set()

    def number(c):
        c = tf.convert_to_tensor(c)
        seen.add((c.dtype.name, len(c.shape)))
        if c.dtype.is_integer:
            return tf.cast(c, tf.int32)
        return tf.argmax(c, -1) if c.shape[-1] == CLASSES else tf.cast(c[:, 0], tf.int32)

    return (lambda x, c: pair[0](x, number(c))), (lambda z, c: pair[1](z, number(c))), seen


def test_data_of_several_kinds_do_not_mix(measured):
    """In turn, in turn batch by batch, and in threads: each kind gives the same numbers, as a model
    for it alone does, and a copy of the model.
    """
    _, pair, x, c, by_class = measured
    *pair, seen = any_kind(pair)
    model = tfisovae.as_autoencoder(tuple(pair), "sse", BETA, conditional=True)
    expected = sum(COUNTS[k] / len(c) * by_class[k].norm_mean for k in range(CLASSES))

    def norms(data, model=model):
        gram = measure(model, model.condition.packed(*data)).gram
        return np.diagonal(gram, axis1=1, axis2=2).mean(0)

    for data in [*kinds(x, c), *kinds(x, c)]:
        np.testing.assert_allclose(norms(data), expected, rtol=1e-5)
    assert seen == {("int32", 1), ("uint8", 1), ("float32", 2)}
    together = [model.condition.batches(data, 30) for data in kinds(x, c)]
    for first, batches in enumerate(zip(*together)):
        for (_, given), packed in zip(kinds(x, c), batches):
            rows, found = model.condition.unpacked(packed)
            np.testing.assert_array_equal(rows, x[30 * first:30 * first + 30])
            np.testing.assert_array_equal(found, given[30 * first:30 * first + 30])
            assert found.dtype == given.dtype
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for found in pool.map(norms, kinds(x, c)):
            np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(norms(kinds(x, c)[2], copy.deepcopy(model)), expected, rtol=1e-5)


def test_a_copy_has_networks_of_its_own(measured):
    """It measures the same, and then with weights of its own."""
    _, _, x, c, _ = measured
    layers = tf.keras.layers

    def graph(width, size):
        first, c = layers.Input((width,)), layers.Input((1,))
        return tf.keras.Model([first, c], layers.Dense(size)(layers.Concatenate()([first, c])))

    model = tfisovae.as_autoencoder((graph(M, 2 * N), graph(N, M)), "sse", BETA, conditional=True)
    same = copy.deepcopy(model)
    packed = same.condition.packed(x, c[:, None])
    before = measure(model, packed).distortion
    np.testing.assert_array_equal(measure(same, packed).distortion, before)
    for weight in same.networks.weights:
        weight.assign(0 * weight)
    np.testing.assert_array_equal(measure(model, packed).distortion, before)
    np.testing.assert_allclose(measure(same, packed).distortion, (x**2).sum(1), rtol=1e-5)


def test_one_data_set_has_one_kind_of_condition(measured):
    model, _, x, c, _ = measured
    with refuses(ValueError, "x"):
        tfisovae.analyze(model, [(x[:50], c[:50]), (x[50:], c[50:].astype(np.int32))])


@pytest.mark.parametrize("call", [
    lambda model, x, c: tfisovae.prune(model, 1, (x, c)),
    lambda model, x, c: Codec.fit(model, (x, c)),
    lambda model, x, c: tfisovae.probe(model, (x, c), 1),
    lambda model, x, c: traverse(model, [0], at=[0.0, 0.0], limit=1.0, steps="z"),
    lambda model, x, c: IsometricVariable.along_axis(model, 0, [0.0, 1.0], [0.0, 0.0]),
    lambda model, x, c: Meter(model, tf.constant(x)),
    lambda model, x, c: tfisovae.analyze(model, x),
    lambda model, x, c: tfisovae.analyze(model, (x, c[:-1])),
    lambda model, x, c: tfisovae.analyze(model, (x, c + 2**25)),
    lambda model, x, c: tfisovae.analyze(model, [x, x]),
])
def test_what_takes_no_condition_refuses_it(measured, call):
    model, _, x, c, _ = measured
    with refuses(ValueError, ""):
        call(model, x, c)


def test_other_models_are_refused(measured):
    model, pair, *_ = measured
    one = tf.keras.Sequential([tf.keras.layers.Input((M,), name="x"),
                               tf.keras.layers.Dense(2 * N)])
    with refuses(ValueError, ""):
        tfisovae.as_autoencoder((one, pair[1]), "sse", BETA, conditional=True)
    with refuses(ValueError, "conditional"):  # of two arguments
        tfisovae.as_autoencoder(pair, "sse", BETA)
    for some in (plain(pair, 0), plain(pair, 0) + (0,), ("somewhere", pair[1]), model.distortion):
        with refuses((TypeError, ValueError), ""):
            tfisovae.as_autoencoder(some, "sse", BETA, conditional=True)
    assert tfisovae.as_autoencoder(model, beta=2.0).condition is model.condition
