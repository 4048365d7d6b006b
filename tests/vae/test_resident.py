"""`fit` of an array that it keeps on the device by itself: the same training, in one call an epoch.
"""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import networks
from tfisovae.vae import resident
from tfisovae.vae.checks import NonFiniteLoss


def points(rows=70):
    return (np.random.default_rng(0).standard_normal(
        (rows, 16)) @ np.diag([2.0] * 3 + [0.1] * 13)).astype(np.float32)


def make_vae(**kwargs):
    tf.keras.utils.set_random_seed(0)
    vae = tfisovae.VAE(*networks.toy(), "sse", 10.0)
    vae.compile(tf.keras.optimizers.Adam(1e-3), **kwargs)
    return vae


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(resident, "_LEAST_STEPS", 1)


@pytest.mark.slow
def test_the_steps_are_those_of_ordinary_batches(few_steps):
    """In the order of the rows: weights, logs, validation and the number of steps, a shorter last
    batch included.
    """
    x, results = points(), []
    for choice in (False, None):
        vae = make_vae(resident=choice)
        history = vae.fit(x, batch_size=32, epochs=3, shuffle=False, validation_data=x[:40],
                          verbose=0).history
        assert (vae._kept is not None) == (choice is None) and vae.optimizer.iterations.numpy() == 9
        results.append((vae, history))
    (plain, before), (kept, after) = results
    assert set(before) == set(after)
    for name in before:
        np.testing.assert_allclose(before[name], after[name], rtol=1e-4)
    for a, b in zip(plain.get_weights(), kept.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)
    # Other values in the same array, then an ordinary step of another data set.
    x *= 0.5
    for vae in (plain, kept):
        vae.fit(x, batch_size=32, shuffle=False, verbose=0)
        vae.fit(tf.data.Dataset.from_tensors(x), verbose=0)
    for a, b in zip(plain.get_weights(), kept.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_every_epoch_is_a_permutation():
    """Of all rows, another one each time, and the same ones again after the same seed."""
    def epochs():
        np.random.seed(3)
        data = resident.epoch_rows(70, 32, shuffle=True)
        return [[rows.numpy() for rows in data] for _ in range(2)]

    first, second = epochs()
    assert [rows.shape
            for rows in first] == [(2, 32), (1, 6)] and len(resident.epoch_rows(64, 32, True)) == 1
    flat = [np.concatenate([rows.ravel() for rows in epoch]) for epoch in (first, second)]
    for order in flat:
        np.testing.assert_array_equal(np.sort(order), np.arange(70))
    assert np.any(flat[0] != flat[1])
    np.testing.assert_array_equal(np.concatenate([rows.ravel() for rows in epochs()[1]]), flat[1])


def test_where_it_does_not_pay_or_would_change_something():
    """Few steps, large networks, layers that are not dense, callbacks that count batches."""
    x, vae = points(640), make_vae()

    class Counts(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    assert resident.pays(vae, x, 32, 100, [tf.keras.callbacks.History()])
    assert not resident.pays(vae, x, 32, 99, [])
    assert not resident.pays(vae, x, 32, 100, [Counts()])
    assert not resident.pays(vae, x[:20], 32, 3000, [])
    assert not resident.pays(tfisovae.VAE(*networks.mnist(2, 16), "sse", 1.0), x, 32, 100, [])
    encoder, decoder = networks.toy()
    noisy = tf.keras.Sequential([encoder, tf.keras.layers.BatchNormalization()])
    assert not resident.pays(tfisovae.VAE(noisy, decoder, "sse", 1.0), x, 32, 100, [])


@pytest.mark.slow
@pytest.mark.parametrize("way", ["kept", "resident", "compiled", "plain"])
def test_a_loss_that_is_not_finite_leaves_the_weights_before_it(way, few_steps):
    """However the steps are compiled: those of the steps before are done, this one and all after it
    are not.
    """
    x = points(96)
    options = {
        "kept": {}, "resident": {"resident": x}, "compiled": {"jit_compile": True},
        "plain": {"resident": False}
    }[way]

    def make():
        tf.keras.utils.set_random_seed(0)
        vae = tfisovae.VAE(*networks.toy(), "sse", 10.0)
        vae.compile(
            tf.keras.optimizers.SGD(
                tf.keras.optimizers.schedules.PiecewiseConstantDecay([0, 1], [1e-5, 1e20, 1e-5])),
            **options)
        return vae

    def data(rows):
        if way == "resident":
            return tf.data.Dataset.from_tensors(np.arange(rows, dtype=np.int32).reshape(-1, 32))
        return x[:rows]

    fit = {"verbose": 0, **({} if way == "resident" else {"batch_size": 32, "shuffle": False})}
    before, vae = make(), make()
    before.fit(data(64), **fit)
    with refuses(NonFiniteLoss):
        vae.fit(data(96), **fit)
    assert vae.optimizer.iterations.numpy() == 2
    for a, b in zip(before.get_weights(), vae.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options, message",
    [({"jit_compile": True}, "example 8 .counted from 0. of the batch of step 2"),
     ({"resident": None}, "example 40 .counted from 0. is not")])
def test_examples_that_are_not_finite_are_named_where_xla_compiles(options, message):
    x = points(64)
    x[40] = np.nan
    with pytest.raises(ValueError, match=f"^x must be finite; {message}"):
        vae = make_vae(**{name: x if value is None else value for name, value in options.items()})
        vae.fit(tf.data.Dataset.from_tensor_slices(x).batch(32), verbose=0)


@pytest.mark.slow
def test_a_lambda_callback_of_batches_is_called_for_each(few_steps):
    vae, calls = make_vae(), []
    assert resident.pays(vae, points(64), 32, 3,
                         [tf.keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: None)])
    callback = tf.keras.callbacks.LambdaCallback(on_batch_end=lambda *_, **__: calls.append(0))
    vae.fit(points(64), batch_size=32, epochs=3, callbacks=[callback], verbose=0)
    assert len(calls) == 6
