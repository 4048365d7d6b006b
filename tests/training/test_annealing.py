"""lmbda while training: a variable that every step reads, and its schedules."""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import Stop, equal, train
from tfisovae import networks
from tfisovae.callbacks import LambdaSchedule
from tfisovae.callbacks.annealing import Annealing
from tfisovae.training import runs


def points(rows=32):
    return np.random.default_rng(0).standard_normal((rows, 16)).astype(np.float32)


def make_vae(optimizer=None, **kwargs):
    tf.keras.utils.set_random_seed(0)
    vae = tfisovae.VAE(*networks.toy(), "sse", 10.0)
    vae.compile(optimizer or tf.keras.optimizers.Adam(1e-3), **kwargs)
    return vae


def implied(history):
    """The lmbda of each epoch's loss, lmbda D + KL."""
    return (np.array(history["loss"]) - history["rate"]) / np.array(history["distortion"])


class Set(tf.keras.callbacks.Callback):
    def __init__(self, values):
        super().__init__()
        self.values = values

    def on_epoch_begin(self, epoch, logs=None):
        self.model.lmbda = self.values[epoch]


@pytest.mark.slow
def test_a_callback_that_sets_lmbda_is_obeyed():
    """In training, in its validation, in evaluation afterwards, in what is saved; and lmbda is none
    of the weights.
    """
    x, vae = points(), make_vae()
    values = [10.0, 1000.0, 0.25]
    data = tf.data.Dataset.from_tensors(x)
    history = vae.fit(data, epochs=3, validation_data=data, callbacks=[Set(values)],
                      verbose=0).history
    np.testing.assert_allclose(implied(history), values, rtol=1e-4)
    measured = {name: history[f"val_{name}"] for name in ("loss", "rate", "distortion")}
    np.testing.assert_allclose(implied(measured), values, rtol=1e-4)
    assert (float(vae.lmbda), vae.beta, vae.get_config()["lmbda"]) == (0.25, 4.0, 0.25)
    vae.lmbda = 0.1  # not a float32
    logs = vae.evaluate(data, verbose=0, return_dict=True)
    np.testing.assert_allclose(implied(logs), 0.1, rtol=1e-4)
    # In a graph of the user's own, too.
    objective = tf.function(lambda x: tf.reduce_mean(vae.measure(x).objective))
    np.testing.assert_allclose(objective(x), logs["loss"], rtol=1e-5)
    vae.lmbda = 20.0
    np.testing.assert_allclose(objective(x), 20 * logs["distortion"] + logs["rate"], rtol=1e-5)
    vae.lmbda = 0.1
    assert vae.get_config()["lmbda"] == 0.1 and tfisovae.as_autoencoder(vae).beta == 10.0
    assert len(vae.weights) == 12 and isinstance(vae.lmbda, tf.Variable) and len(
        vae.trainable_variables) == 12
    for bad in (0, -1.0, np.nan, "3"):
        with refuses(ValueError, "lmbda"):
            vae.lmbda = bad


@pytest.mark.parametrize("kind", ["linear", "cosine", "cyclical"])
def test_the_weight_of_the_kl_grows_as_it_says(kind):
    """end / lmbda at some steps, counted from 0, in closed form."""
    steps, start, end, cycles = 40, 500.0, 10.0, 2
    lmbda = LambdaSchedule(kind, steps, start, cycles=cycles).annealing(end)
    first = end / start
    progress = {"linear": {0: 1 / 40, 9: 1 / 4, 19: 1 / 2, 39: 1},
                "cosine": {9: (1 - np.sqrt(0.5)) / 2, 19: 1 / 2, 39: 1},
                "cyclical": {0: 0, 5: 1 / 2, 10: 1, 19: 1, 20: 0, 25: 1 / 2, 30: 1, 39: 1}}[kind]
    for step, p in {**progress, 40: 1, 1000: 1}.items():
        np.testing.assert_allclose(end / float(lmbda(step)), first + (1 - first) * p, rtol=1e-12)
        assert float(tf.function(lmbda)(tf.constant(step, tf.int64))) == float(lmbda(step))
    assert LambdaSchedule().annealing(3.0) == Annealing("linear", 10_000, 300.0, 3.0, 4)


@pytest.mark.slow
def test_every_step_has_its_own_lmbda_and_the_last_one_stays():
    x, vae = points(), make_vae()
    data = tf.data.Dataset.from_tensors(x)
    schedule = LambdaSchedule("linear", 4, start=1000.0)
    history = vae.fit(data, epochs=3, callbacks=[schedule], verbose=0).history
    expected = [10 / (0.01 + 0.99 * t / 4) for t in (1, 2, 3)]
    np.testing.assert_allclose(implied(history), expected, rtol=1e-4)
    np.testing.assert_allclose(float(vae.lmbda), expected[-1], rtol=1e-12)
    # Gone on with: the same schedule at the steps that follow. Then another one, which is not the
    # one that was compiled; then none.
    np.testing.assert_allclose(
        implied(vae.fit(data, epochs=2, callbacks=[schedule], verbose=0).history), 10, rtol=1e-4)
    other = vae.fit(data, epochs=1, callbacks=[LambdaSchedule("cosine", 6, start=70.0, end=7.0)],
                    verbose=0).history
    np.testing.assert_allclose(implied(other), 7, rtol=1e-4)
    vae.lmbda = 2.0
    np.testing.assert_allclose(implied(vae.fit(data, verbose=0).history), 2, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["steps_per_execution", "resident", "replicas"])
def test_schedules_hold_step_by_step_however_many_are_done_at_once(way):
    """The weights of one step after the other."""
    x, schedule = points(96), LambdaSchedule("cyclical", 6, start=300.0, end=10.0, cycles=2)
    batches = tf.data.Dataset.from_tensor_slices(x).batch(16)
    plain = make_vae()
    plain.fit(batches, callbacks=[schedule], verbose=0)
    if way == "replicas":
        with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
            vae = make_vae()
    else:
        vae = make_vae(**({"resident": x} if way == "resident" else {way: 3}))
    rows = tf.data.Dataset.from_tensors(np.arange(96, dtype=np.int32).reshape(6, 16))
    vae.fit(rows if way == "resident" else batches, callbacks=[schedule], verbose=0)
    for a, b in zip(plain.get_weights(), vae.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-5)
    assert vae.lmbda.numpy() == plain.lmbda.numpy() == 10.0


@pytest.mark.slow
def test_a_run_stopped_half_way_through_its_schedule_ends_like_one_that_was_not(tmp_path):
    config = {"anneal": "cosine", "anneal_steps": 16, "steps": 12}
    whole = train(tmp_path / "whole", config)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", config, extra_callbacks=[Stop(7)])
    parts = train(tmp_path / "parts", config, save=True)
    assert equal(whole, parts) and float(whole.lmbda) == float(parts.lmbda)
    expected = 10 / (0.01 + 0.99 * (1 - np.cos(np.pi * 12 / 16)) / 2)
    np.testing.assert_allclose(float(tfisovae.load(tmp_path / "parts" / "model").lmbda), expected,
                               rtol=1e-12)
    assert runs.load_config(tmp_path / "parts")["anneal_steps"] == 16


@pytest.mark.slow
def test_a_lmbda_set_by_a_callback_survives_a_stop(tmp_path):
    """The checkpoint has it."""
    class Once(tf.keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                self.model.lmbda = 50.0

    whole = train(tmp_path / "whole", extra_callbacks=[Once()])
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", extra_callbacks=[Once(), Stop(12)])
    assert equal(whole, train(tmp_path / "parts", save=True)) and float(
        tfisovae.load(tmp_path / "parts" / "model").lmbda) == 50.0


@pytest.mark.parametrize("arguments, argument",
                         [({"kind": "exponential"},
                           "kind"),
                          ({"steps": 0}, "steps"),
                          ({"cycles": 1.5}, "cycles"),
                          ({"start": -1.0}, "start")])
def test_schedules_that_make_no_sense(arguments, argument):
    with refuses(ValueError, argument):
        LambdaSchedule(**arguments)


@pytest.mark.slow
def test_a_schedule_of_several_vaes_ends_at_the_lmbda_of_each():
    schedule = LambdaSchedule("linear", steps=2)
    for lmbda in (10.0, 100.0, 1000.0):
        vae = tfisovae.VAE(*networks.toy(), "sse", lmbda)
        vae.compile(tf.keras.optimizers.Adam(1e-3))
        vae.fit(tf.data.Dataset.from_tensors(points()), epochs=3, callbacks=[schedule], verbose=0)
        assert vae.lmbda.numpy() == lmbda


@pytest.mark.slow
def test_a_schedule_begun_anew_ends_at_what_the_vae_was_given():
    """Not where the former one had left lmbda when it was stopped; what is set since then counts.
    """
    vae, data = make_vae(), tf.data.Dataset.from_tensors(points())

    class Interrupt(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        vae.fit(data, callbacks=[LambdaSchedule("linear", steps=10), Interrupt()], verbose=0)
    assert vae.lmbda.numpy() > 50
    vae.fit(data, epochs=12, callbacks=[LambdaSchedule("linear", steps=10)], verbose=0)
    assert vae.lmbda.numpy() == 10
    vae.lmbda = 3.0
    vae.fit(data, epochs=2, callbacks=[LambdaSchedule("linear", steps=10)], verbose=0)
    assert vae.lmbda.numpy() == 3


@pytest.mark.slow
def test_steps_that_xla_compiled_follow_the_schedule_of_a_later_fit():
    vae, data = make_vae(jit_compile=True), tf.data.Dataset.from_tensors(points())
    np.testing.assert_allclose(implied(vae.fit(data, epochs=2, verbose=0).history), 10, rtol=1e-4)
    values = vae.fit(data, epochs=3, callbacks=[LambdaSchedule("linear", steps=4)],
                     verbose=0).history
    expected = [float(Annealing("linear", 4, 1000.0, 10.0, 4)(step)) for step in (2, 3, 4)]
    np.testing.assert_allclose(implied(values), expected, rtol=1e-3)
    assert expected[0] > 10 == expected[-1]
