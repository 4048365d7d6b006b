"""Nothing of the data is dropped in silence: all that float32 does not hold is refused, by every
road.
"""
import numpy as np
import pytest
import scipy.sparse
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import linear_vae
from tfisovae.autoencoder.data import as_x, batches
from tfisovae.metrics.measurement import measure

X = np.arange(12.0).reshape(3, 4)
MASKED = np.ma.masked_greater(X, 10)
REFUSED = {
    "complex64": X.astype(np.complex64), "complex128": X + 1j,
    "complex tensor": tf.constant(X + 1j),
    "masked": MASKED, "ragged": tf.ragged.constant([[1.0], [2.0, 3.0]]),
    "sparse tensor": tf.sparse.from_dense(X), "sparse matrix": scipy.sparse.csr_matrix(X),
    "text": np.array([["1", "2"]]), "text tensor": tf.constant([["1", "2"]]),
    "objects": np.array([[1, None]], object), "dates": np.array([["2020-01-01"]], "datetime64[s]"),
    "beyond float32": 1e39 * X, "int64": np.array([[2**53 + 1, 2**53 + 3]]),
    "uint64": np.array([[2**63, 2**63 + 5]], np.uint64),
    "slices": tf.IndexedSlices(tf.constant(X), tf.range(3)),
    "int64 tensor": tf.constant([[2**60, -2**60]], tf.int64),
}
KINDS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
         "uint32", "uint64", "bool")


def test_all_real_types_are_taken_as_they_are():
    for kind in KINDS:
        array = X.astype(kind)
        for data in (array, tf.constant(array), np.ma.array(array)):
            x = as_x(data)
            assert x.dtype == tf.float32
            np.testing.assert_array_equal(x, array.astype(np.float32))
    np.testing.assert_array_equal(as_x(tf.cast(X, tf.bfloat16)), X)
    assert not np.isfinite(as_x(np.array([[np.inf, np.nan]]))).any()  # which others refuse


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_lose_something_is_refused(name):
    """As an array, and as the batches of a data set."""
    data = REFUSED[name]
    for given in (data, iter([data])):
        with refuses(ValueError, "real numbers"):
            list(batches(given))


def test_every_road_refuses_it():
    vae = linear_vae(np.eye(4)[:, :2], np.eye(4)[:2], 0.1, 5.0)
    vae.compile()
    for data in (X + 1j, MASKED, 1e39 * X):
        for road in (vae.fit, vae.evaluate, vae.encode, lambda x: tfisovae.analyze(vae, x),
                     lambda x: tfisovae.estimate_beta(vae, x)):
            with refuses(ValueError, "real numbers"):
                road(data)


def test_weights_of_examples_are_refused():
    vae = linear_vae(np.eye(4)[:, :2], np.eye(4)[:2], 0.1, 5.0)
    vae.compile()
    for name, value in (("sample_weight", np.ones(3)), ("class_weight", {0: 1.0})):
        with refuses(ValueError, name):
            vae.fit(X, **{name: value})
    for call in (lambda: vae.evaluate(X, sample_weight=np.ones(3)),
                 lambda: vae.evaluate(X, None, 2, 0, np.ones(3))):
        with refuses(ValueError, "sample_weight"):
            call()


def test_training_takes_arrays_alone():
    vae = linear_vae(np.eye(4)[:, :2], np.eye(4)[:2], 0.1, 5.0)
    vae.compile()
    for data in (3, 0.5, "mix", b"mix", np.float32(3), tf.constant(3.0)):
        for road in (vae.fit, vae.evaluate):
            with refuses(ValueError, "x"):
                road(data, verbose=0)
    assert len(vae.evaluate(tf.Variable(X.astype(np.float32)), verbose=0)) == 4


def test_a_function_of_arrays_measures_examples_of_several_shapes_in_turn():
    """Each pixel of the first row is a latent variable, and is in each row of the output."""
    def encode(x):
        return x[:, 0], 0 * x[:, 0] - 4

    def decode(z):
        return np.repeat(z[:, None], z.shape[1], 1)

    model = tfisovae.as_autoencoder((encode, decode), "sse", 0.1)
    for size in (3, 5, 3):
        x = np.random.default_rng(0).random((20, size, size)).astype(np.float32)
        gram = measure(model, tf.constant(x), tangents="differences").gram
        np.testing.assert_allclose(gram[0], 20 * np.exp(-4) * size * np.eye(size), atol=1e-3)
