"""One pass over a data set: what data it takes, and the same numbers on any number of replicas."""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import assert_alike
from tfisovae import _keras
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.data import batches, x_of
from tfisovae.distortions import Distortion

X = np.random.default_rng(0).standard_normal((53, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def vae(make_linear_vae):
    a = np.linalg.qr(np.random.default_rng(1).standard_normal((4, 4)))[0][:, :3]
    return make_linear_vae(0.9 * a, a.T + 0.1, [0.3, 0.4, 0.5], 20.0)


@pytest.mark.slow
@pytest.mark.parametrize("batch_size", [53, 8])
def test_replicas_measure_what_one_device_measures(vae, batch_size):
    """Noise has the address of its example, so uneven shares of a batch, empty ones too, give the
    numbers of one device.
    """
    data = tf.data.Dataset.from_tensor_slices(X).batch(batch_size)
    one = tfisovae.analyze(vae, data).to_dict()
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        two = tfisovae.analyze(vae, data).to_dict()
    assert two["num_examples"] == 53
    assert_alike(two, one, rtol=1e-6, atol=1e-6)


def test_results_come_back_in_the_order_of_the_rows():
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        call = streaming.on_replicas(
            lambda x, first_row: {"x": x, "row": first_row + tf.range(tf.shape(x)[0])})
        for size in (5, 4, 1):
            got = call(tf.constant(X[:size]), 10)
            np.testing.assert_array_equal(got["x"], X[:size])
            np.testing.assert_array_equal(got["row"], 10 + np.arange(size))


@pytest.mark.parametrize("element", [
    X, (X, ), (X, np.zeros(53)), {"image": X, "label": np.zeros(53)}, {"anything": X},
    ({"image": X}, np.zeros(53)), (X, np.zeros(53), None)
], ids=str)
def test_x_of_what_data_sets_yield(element):
    assert x_of(element) is X


@pytest.mark.parametrize(
    "element, argument",
    [((X, X, X), ""),
     ({"a": X, "b": X
       }, ""),
     ({}, ""), ((X, X, X, X), "")],
    ids=["weights", "entries", "nothing", "parts"])
def test_elements_without_a_rule(element, argument):
    with refuses(ValueError, argument):
        x_of(element)


Y = np.zeros(53)


@pytest.mark.parametrize(
    "data", [(X, Y), (X, X), {"image": X, "label": Y}, {"x": X},
             X.tolist(),
             tuple(X.tolist()), [(X, Y)], [{"image": X[:20]}, {"image": X[20:]}],
             tf.constant(X)],
    ids=["pair", "itself", "dict", "entry", "lists", "tuples", "batch", "batches", "tensor"])
def test_whatever_holds_an_array_gives_its_rows(data):
    got = np.concatenate(list(batches(data, 20)))
    np.testing.assert_array_equal(got, X)


@pytest.mark.parametrize("data, argument", [
    ((X, Y[:9]),
     "data"),
    ((X, X, X), "data"),
    ([X, X], "data"),
    (list(X), "data"),
    (((X, Y), (X, Y)),
     ""),
    ({"a": X, "b": X}, ""), ([[1, 2], [3]], ""),
    ([["a", "b"]], ""), ([1, 2, 3], ""), ([], ""),
    ("mix", ""), (None, ""), (5, ""),
    (np.array([["a"]]), ""), (np.float32(1), "")
])
def test_what_holds_no_array_is_said(data, argument):
    with refuses(ValueError, argument):
        next(batches(data))


def test_a_pair_of_arrays_is_measured_by_its_first(vae):
    assert tfisovae.analyze(vae, (X, Y)).rate == tfisovae.analyze(vae, X).rate


@pytest.mark.parametrize("number", [2.5, "5", 0, -1, True])
def test_numbers_of_examples_that_make_no_sense(vae, number):
    with refuses(ValueError, "num_examples"):
        next(streaming.examples_of(vae, X, number))


@pytest.mark.parametrize("make", [
    lambda d: d, lambda d: d.map(lambda x:
                                 (x, 0.0)), lambda d: d.map(lambda x: {"image": x, "label": 1})
], ids=["x", "pair", "dict"])
def test_every_kind_of_data_set_is_measured(vae, make):
    data = make(tf.data.Dataset.from_tensor_slices(X).batch(20))
    assert tfisovae.analyze(vae, data).rate == pytest.approx(
        tfisovae.analyze(vae, X).rate, rel=1e-6)


def batches_of(*sizes):
    """A generator of batches, which can be read only once."""
    ends = np.cumsum(sizes)
    return (X[end - size:end] for end, size in zip(ends, sizes))


def test_a_pass_reads_data_once_and_traces_once(vae):
    traces = []

    def function(x, first_row):
        traces.append(x.shape)
        return x, first_row + tf.range(tf.shape(x)[0])

    rows = streaming.prepare(vae, batches_of(20, 7, 26))
    found = [values for values, _ in streaming.run(rows, function)]
    x, numbers = map(np.concatenate, zip(*found))
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(numbers, np.arange(53))
    assert [tuple(shape) for shape in traces] == [(None, 4)]
    np.testing.assert_array_equal(rows.first, X[:16])
    np.testing.assert_array_equal(rows.mean, vae.encode(X[:16])[0])


def test_unequal_batches_equal_one(vae):
    one = tfisovae.analyze(vae, X).to_dict()
    assert_alike(tfisovae.analyze(vae, batches_of(20, 7, 26)).to_dict(), one, rtol=1e-5, atol=1e-6)


def test_a_function_that_must_know_the_batch_is_traced_for_each_size(vae):
    found = streaming.run(
        streaming.prepare(vae, batches_of(20, 33)), lambda x, _: tf.reshape(x, [x.shape[0], 2, 2]))
    np.testing.assert_array_equal(np.concatenate([values for values, _ in found]),
                                  X.reshape(53, 2, 2))


def test_batches_have_one_shape(vae):
    with refuses(ValueError, "x"):
        list(streaming.prepare(vae, iter([X[:20], X[20:, :3]])))


class Plain(Distortion):
    """A user's distortion, with Python's `if` on a tensor."""

    def __call__(self, x, x_hat):
        if tf.reduce_sum(tf.abs(x)) < 0:
            x_hat = tf.zeros_like(x_hat)
        return tf.reduce_sum(tf.square(x - x_hat), 1)


class Doubled(tf.keras.layers.Layer):
    """A user's layer, with the same."""

    def call(self, x):
        if tf.reduce_sum(tf.abs(x)) < 0:
            x = tf.zeros_like(x)
        return 2 * x


def test_what_users_write_may_have_control_flow_on_tensors():
    """Inside of the graphs of a pass AutoGraph converts functions, distortions and layers; Keras 3
    takes no such layers.
    """
    halved = (lambda x: 2 * x) if _keras.KERAS_3 else tf.keras.Sequential(
        [tf.keras.Input([4]), Doubled()])

    def encode(x):
        if tf.reduce_sum(tf.abs(x)) < 0:
            x = tf.zeros_like(x)
        return halved(x) / 2, 0.1 * tf.ones_like(x)

    model = tfisovae.Autoencoder(encode, lambda z: halved(z) / 2, Plain(), 0.1)
    result = tfisovae.analyze(model, X)
    assert result.tangents == "autodiff"
    np.testing.assert_allclose(result.norm_mean, 2 / 0.1 * 0.1**2 * np.ones(4), rtol=1e-5)
