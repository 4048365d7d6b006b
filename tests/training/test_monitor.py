"""Isometry while training: what is measured, when, at what cost, wherever it is trained; and a
training that goes on.
"""
import csv
import math

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import CONFIG, Stop, equal, run_workers, source, train
from tfisovae import files, networks
from tfisovae.analysis.monitor import Meter, spectrum_image
from tfisovae.callbacks import IsometryMonitor, history
from tfisovae.callbacks import monitor as monitor_lib
from tfisovae.callbacks.monitor import time
from tfisovae.training import devices, runs
from tfisovae.vae import resident

NORMALISED = ("""
import tensorflow as tf, tfisovae
def make_vae():
    encoder, decoder = tfisovae.networks.toy()
    layers = tf.keras.layers
    normalised = tf.keras.Sequential([layers.Input((16,)), layers.BatchNormalization(), encoder])
    return tfisovae.VAE(normalised, decoder, "sse", 10.0, seed=3)
""")
MEASURED = ("norm", "predicted_norm", "cosine", "balance", "rate", "distortion")


def points(rows=64, size=16):
    return np.random.default_rng(0).standard_normal((rows, size)).astype(np.float32)


def small_vae(**kwargs):
    vae = tfisovae.VAE(*networks.toy(), "sse", 10.0, **kwargs)
    vae.compile(tf.keras.optimizers.Adam(1e-3))
    return vae


def rows_of(path):
    with open(path, newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def batches(rows=64, size=8):
    return tf.data.Dataset.from_tensor_slices(points(rows)).batch(size)


def test_it_measures_what_analyze_measures(make_linear_vae):
    """Norm and cosines over the first quarter, all else over all examples; and then with a decoder
    of half the size, untraced.
    """
    vae = make_linear_vae(points(5, 3) / 3, points(3, 5), [0.3, 0.5, 0.9], 4.0, "sse")
    x = points(40, 5)
    meter = Meter(vae, x[:4])
    row, whole, few = meter(tf.constant(x)), tfisovae.analyze(vae, x), tfisovae.analyze(vae, x[:10])
    expected = {
        "norm": few.isometric_norm, "cosine": few.gram_off_diagonal_cosine,
        "balance": whole.posterior_balance, "predicted_norm": whole.one_minus_variance.mean(),
        "rate": whole.rate, "distortion": whole.distortion, "num_examples": 40,
        "active_dimensions": 3
    }
    for name, value in expected.items():
        assert row[name] == pytest.approx(value, rel=1e-5), name
    assert [row[f"importance_z{j}"] for j in range(3)] == pytest.approx(whole.importance, rel=1e-5)
    vae.decoder.set_weights([points(3, 5) / 2, np.zeros(5, np.float32)])
    half = meter(tf.constant(x[:20]))
    assert half["norm"] == pytest.approx(row["norm"] / 4) and half["cosine"] == pytest.approx(
        row["cosine"])
    assert half["num_examples"] == 20 and meter._step.experimental_get_tracing_count() == 1


@pytest.mark.slow
def test_norm_and_cosines_are_of_the_first_quarter():
    """Where sigma and the directions differ from example to example, their number shows: of 42 the
    first 11.
    """
    weights = points(3, 5)
    model = tfisovae.as_autoencoder(
        (lambda x: (x[:, :3], x[:, 2:5] - 4), lambda z: tf.sin(z @ weights)), "sse", 0.1)
    x = points(42, 5)
    row = Meter(model, x[:4])(tf.constant(x))
    for name, field in (("norm", "isometric_norm"), ("cosine", "gram_off_diagonal_cosine")):
        whole, few, fewer = (getattr(tfisovae.analyze(model, x[:count]), field)
                             for count in (42, 11, 10))
        assert row[name] == pytest.approx(few, rel=1e-4)
        assert min(abs(whole / few - 1), abs(fewer / few - 1)) > 2e-3


def test_the_lmbda_of_the_moment_counts(make_linear_vae):
    """Norm and importance of the same networks at another lmbda; a collapsed VAE has no norm."""
    vae = make_linear_vae(np.eye(4), np.eye(4), 0.1, 50.0)
    meter = Meter(vae, points(4, 4))
    one = meter(points(16, 4))
    vae.lmbda = 25.0
    half = meter(points(16, 4))
    assert half["norm"] == pytest.approx(one["norm"] / 2) and one["norm"] == pytest.approx(
        2 * 50 * 0.01)
    assert half["importance_z1"] == pytest.approx(
        2 * one["importance_z1"]) and half["importance_z1"] == pytest.approx(100 / 50)
    assert half["cosine"] == pytest.approx(0, abs=1e-6)
    vae.encoder.set_weights([np.zeros([4, 8], np.float32), np.zeros(8, np.float32)])
    gone = meter(points(16, 4))
    assert gone["active_dimensions"] == 0 and gone["rate"] == pytest.approx(0, abs=1e-6)
    assert all(math.isnan(gone[name]) for name in ("norm", "predicted_norm", "cosine", "balance"))


@pytest.mark.slow
def test_it_takes_models_of_others():
    """A Keras model with encoder, decoder and a training of its own; what it does not say is asked
    for.
    """
    class Mine(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder = tf.keras.Sequential(
                [tf.keras.layers.Input((6, )),
                 tf.keras.layers.Dense(4)])
            self.decoder = tf.keras.Sequential(
                [tf.keras.layers.Input((2, )),
                 tf.keras.layers.Dense(6)])

        def train_step(self, x):
            with tf.GradientTape() as tape:
                mean, log_variance = tf.split(self.encoder(x), 2, 1)
                kl = 0.5 * tf.reduce_sum(mean**2 + tf.exp(log_variance) - 1 - log_variance, 1)
                z = mean + tf.exp(0.5 * log_variance) * tf.random.normal(tf.shape(mean))
                loss = tf.reduce_mean(5 * tf.reduce_sum((x - self.decoder(z))**2, 1) + kl)
            self.optimizer.minimize(loss, self.trainable_variables, tape)
            return {"loss": loss}

    model, x = Mine(), points(48, 6)
    model.compile("adam")
    monitor = IsometryMonitor(x, 2, num_examples=32, share=None, distortion="sse", beta=1 / 5)
    model.fit(x, batch_size=8, verbose=0, callbacks=[monitor])
    assert [row["step"] for row in monitor.rows] == [0, 2, 4, 6]
    last = tfisovae.analyze((model.encoder, model.decoder), x[:32], distortion="sse", beta=1 / 5)
    assert monitor.rows[-1]["rate"] == pytest.approx(last.rate, rel=1e-5)
    with refuses(ValueError, "beta"):
        model.fit(x, verbose=0, callbacks=[IsometryMonitor(x, 2, distortion="sse")])


@pytest.mark.slow
def test_training_goes_on_as_without_it(tmp_path):
    """To the bit; in the file are the rows of the object."""
    without, watched = small_vae(), small_vae()
    for a, b in zip(without.weights, watched.weights):
        b.assign(a)
    without.fit(batches(), epochs=2, verbose=0)
    monitor = IsometryMonitor(points(), 3, tmp_path / "here", num_examples=20, share=None)
    watched.fit(batches(), epochs=2, verbose=0, callbacks=[monitor])
    assert equal(without, watched)
    assert [row["step"] for row in monitor.rows] == [0, 3, 6, 9, 12, 15]
    assert {row["num_examples"] for row in monitor.rows} == {20}
    written = rows_of(monitor.path)
    for a, b in zip(written, monitor.rows):
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-7)
    assert written[-1]["rate"] != written[0]["rate"] and list(written[0]) == list(monitor.rows[0])


@pytest.mark.slow
def test_a_second_fit_goes_on_and_another_training_is_refused(tmp_path):
    vae, monitor = small_vae(), IsometryMonitor(points(), 4, tmp_path, num_examples=16, share=None)
    for _ in range(2):
        vae.fit(batches(), verbose=0, callbacks=[monitor])
    assert [row["step"] for row in rows_of(monitor.path)] == [0, 4, 8, 12, 16]
    with refuses(ValueError):
        small_vae().fit(batches(), verbose=0, callbacks=[IsometryMonitor(points(), 4, tmp_path)])
    assert [row["step"] for row in rows_of(monitor.path)] == [0, 4, 8, 12, 16]
    vae.optimizer.iterations.assign(9)  # as from a checkpoint
    again = IsometryMonitor(points(), 4, tmp_path, num_examples=16, share=None)
    vae.fit(batches(), verbose=0, callbacks=[again])
    assert [row["step"] for row in rows_of(monitor.path)] == [0, 4, 8, 12, 16]
    assert [row["step"] for row in again.rows] == [12, 16]


def scalars(directory):
    """`{tag: {step: value}}` of the events in a directory, those that TensorBoard is told to forget
    left out.
    """
    found = {}
    for path in sorted(directory.iterdir(), key=lambda path: path.name):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            if event.session_log.status == tf.compat.v1.SessionLog.START:
                found = {
                    tag: {step: v
                          for step, v in at.items() if step < event.step}
                    for tag, at in found.items()
                }
            for value in event.summary.value:
                found.setdefault(value.tag, {})[event.step] = tf.make_ndarray(value.tensor)
    return found


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A run that was never stopped, measured every 4 steps, on a fixed number of examples."""
    path = tmp_path_factory.mktemp("watched")
    return train(path, {"monitor_every": 4, "monitor_share": None}), path


@pytest.mark.slow
def test_a_run_that_was_stopped_has_the_history_of_one_that_was_not(tmp_path, watched):
    """Also where it is killed between a row and the checkpoint, and before the first checkpoint; in
    TensorBoard's events too.
    """
    whole, path = watched
    for stop in (3, 9, 18):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path, {"monitor_every": 4, "monitor_share": None},
                  extra_callbacks=[Stop(stop)])
    assert equal(train(tmp_path, {"monitor_every": 4, "monitor_share": None}), whole)
    a, b = (rows_of(directory / history.ISOMETRY) for directory in (path, tmp_path))
    assert [row["step"] for row in a] == [0, 4, 8, 12, 16, 20]
    for one, other in zip(a, b, strict=True):
        one, other = ({name: value
                       for name, value in row.items() if name != "share"} for row in (one, other))
        np.testing.assert_allclose(list(one.values()), list(other.values()), rtol=1e-6)
    events = scalars(tmp_path / "tensorboard" / "isometry")
    assert list(events["isometry/norm"]) == [0, 4, 8, 12, 16, 20]
    assert float(events["isometry/norm"][12]) == pytest.approx(a[3]["norm"], rel=1e-6)
    assert events["isometry/importance"][12][2].startswith(b"\x89PNG")


def test_its_options_do_not_make_another_run_and_a_damaged_file_is_named(tmp_path):
    config = {**CONFIG, "monitor_every": 4, "monitor_share": None}
    with runs.Run(tmp_path / "a", config):
        pass
    with runs.Run(tmp_path / "a", {**config, "monitor_every": 7, "monitor_share": 0.1}):
        pass
    for damaged in ("not a history\n1,2\n", "step,loss,distortion\n5,1.0,2.0\n"):
        (tmp_path / "a" / history.ISOMETRY).write_text(damaged)
        with refuses(files.DamagedFile, "num_examples"):
            runs.Run(tmp_path / "a", config)
        assert (tmp_path / "a" / history.ISOMETRY).read_text() == damaged


@pytest.mark.slow
@pytest.mark.parametrize("way", ["mirrored", "resident"])
def test_on_replicas_and_with_resident_data(tmp_path, watched, way):
    """The numbers of one device; where an interval is one call, at its end."""
    train(tmp_path, {"monitor_every": 4, "monitor_share": None}, resident=way == "resident",
          strategy=devices.make_strategy("mirrored") if way == "mirrored" else None)
    one, other = rows_of(watched[1] / history.ISOMETRY), rows_of(tmp_path / history.ISOMETRY)
    steps = {"mirrored": [0, 4, 8, 12, 16, 20], "resident": [0, 5, 10, 15, 20]}[way]
    assert [row["step"] for row in other] == steps
    for at in (0, 20):
        a, b = (next(row for row in rows if row["step"] == at) for rows in (one, other))
        np.testing.assert_allclose([a[name] for name in MEASURED], [b[name] for name in MEASURED],
                                   rtol=2e-3)


@pytest.mark.slow
def test_of_two_workers_the_chief_measures(tmp_path, root):
    """With batch normalisation, whose averages are joined by all workers wherever one reads them in
    the scope of a strategy.
    """
    statuses, errors = run_workers([tmp_path] * 2, {"monitor_every": 4, "monitor_share": None},
                                   NORMALISED)
    assert statuses == [0, 0], "\n".join(error[-2500:] for error in errors)
    rows = rows_of(tmp_path / history.ISOMETRY)
    assert [row["step"] for row in rows] == [0, 4, 8, 12, 16, 20]
    vae = tfisovae.load(tmp_path / "model")
    x = source().eval[np.arange(50)]
    # What is saved has the means of both replicas' averages, and what is measured those of the
    # first.
    assert rows[-1]["rate"] == pytest.approx(tfisovae.analyze(vae, x).rate, rel=0.03)
    assert sum("Isometry was measured 6 times" in error for error in errors) == 1


@pytest.mark.slow
def test_arrays_stay_on_the_device_beside_it(monkeypatch):
    """`fit` of an array may keep it there, and do an epoch in a call, with this callback too."""
    monkeypatch.setattr(resident, "_LEAST_STEPS", 1)
    vae = tfisovae.VAE(*networks.toy(), "sse", 10.0)
    vae.compile("adam")
    monitor = IsometryMonitor(points(), 6, num_examples=16, share=None)
    vae.fit(points(), batch_size=16, epochs=4, verbose=0, callbacks=[monitor])
    assert vae._kept is not None and [row["step"] for row in monitor.rows] == [0, 8, 12]


class Paced:
    """A training whose steps take .1 s each, and measurements 1 ms an example, by a clock of its
    own.
    """

    beta = 0.1

    def __init__(self, monkeypatch):
        self.seconds, self.steps = 0.0, 0
        self.optimizer = self.iterations = self
        monkeypatch.setattr(time, "perf_counter", lambda: self.seconds)
        monkeypatch.setattr(monitor_lib, "Meter", lambda *_, **__: self)

    def numpy(self):
        return self.steps

    def __call__(self, x):
        self.seconds += 1e-3 * len(x)
        return {"num_examples": len(x), "importance_z0": 1.0}

    def train(self, monitor, steps, in_a_call=1):
        monitor.set_model(self)
        monitor.on_train_begin()
        for _ in range(0, steps, in_a_call):
            self.steps += in_a_call
            self.seconds += 0.1 * in_a_call
            monitor.on_train_batch_end(0)
        monitor.on_train_end()
        return [row["step"] for row in monitor.rows], [row["num_examples"] for row in monitor.rows]


@pytest.mark.parametrize("every, in_a_call, expected", [(10, 1, 16), (40, 1, 112), (1000, 1, 500),
                                                        (10, 40, 112)])
def test_the_number_of_examples_follows_from_the_time_there_is(monkeypatch, every, in_a_call,
                                                               expected):
    """.6 of .05 of 40 steps of .1 s are 120 ms: 112 examples, a multiple of 16; at least 16, at
    most all; with long calls too.
    """
    monitor = IsometryMonitor(points(500), every, share=0.05)
    steps, numbers = Paced(monkeypatch).train(monitor, 4000, in_a_call)
    interval = max(every, in_a_call)
    assert steps == list(range(0, 4001, interval)) and numbers[0] == 16
    assert set(numbers[1 if in_a_call == 1 else 2:]) == {expected}
    assert monitor._measuring <= 0.05 * monitor._training_seconds() == pytest.approx(0.05 * 400)


def test_measurements_are_left_out_where_there_is_no_time(monkeypatch):
    """16 examples take .01 of the time of 16 steps, whatever was asked for; the summary has the
    measured share.
    """
    monitor = IsometryMonitor(points(), 1, share=0.01)
    steps, numbers = Paced(monkeypatch).train(monitor, 100)
    assert steps[0] == 0 and set(np.diff(steps)) <= {16, 17
                                                     } and len(steps) == 7 and set(numbers) == {16}
    assert monitor.summary() == (
        "Isometry was measured 7 times, on 16 examples, in 1.0% of the training's time; the start "
        "took "
        "0.0 s (0.3%) once")


@pytest.mark.parametrize("arguments, argument", [
    ({"every": 0}, "every"),
    ({"every": 2.0}, "every"), ({"every": True}, "every"),
    ({"num_examples": 0}, "num_examples"),
    ({"num_examples": 99}, "data"),
    ({"share": 2}, "share"),
    ({"share": 0.0}, "share"),
    ({"data": np.zeros([0, 16])}, "data"),
    ({"data": np.full([3, 16], np.nan)}, "x")
])
def test_what_makes_no_sense(arguments, argument):
    with refuses(ValueError, argument):
        IsometryMonitor(**{"data": points(), "every": 1, **arguments})


def test_examples_of_another_shape_and_distortions_without_a_metric():
    class Absolute(tfisovae.distortions.Distortion):
        def __call__(self, x, x_hat):
            return tf.reduce_sum(tf.abs(x - x_hat), -1)

    with refuses(ValueError):
        small_vae().fit(batches(), verbose=0, callbacks=[IsometryMonitor(points(64, 7), 1)])
    vae = tfisovae.VAE(*networks.toy(), Absolute(), 10.0)
    vae.compile("adam")
    with refuses(ValueError):
        vae.fit(batches(), verbose=0, callbacks=[IsometryMonitor(points(), 1)])
    assert vae.optimizer.iterations.numpy() == 0


def test_the_picture_of_a_spectrum():
    """Heights are logarithms of E[sigma^-2], in descending order; 10^4 fills the picture."""
    beta = 0.02
    image = spectrum_image(beta / 2 * np.array([1.0, 1e4, 100.0, np.nan]), beta, height=100)
    foot = (image == spectrum_image(beta / 2 * np.array([1e4]), beta, 100)[0, 0]).all(-1)
    assert image.shape == (100, 64, 3) and image.dtype == np.uint8
    assert foot[:, 0].sum() == 100 and foot[:, 16].sum(
    ) == 50 and not foot[:, 32].any() and not foot[:, 48].any()
    assert (image[-1, 32] == 200).all() and spectrum_image(np.ones(256),
                                                           0.02).shape == (160, 512, 3)


def test_a_vae_that_has_seen_no_example():
    """Networks that say no shapes: the monitor's examples say them, before the first step."""
    encoder = tf.keras.Sequential([tf.keras.layers.Dense(4)])
    decoder = tf.keras.Sequential([tf.keras.layers.Dense(16)])
    vae = tfisovae.VAE(encoder, decoder, "sse", 1.0)
    vae.compile("adam")
    monitor = IsometryMonitor(points(), 4, num_examples=16, share=None)
    vae.fit((x for x in np.split(points(), 8)), verbose=0, callbacks=[monitor])
    assert vae.n == 2 and [row["step"] for row in monitor.rows] == [0, 4, 8]


@pytest.mark.slow
def test_a_model_compiled_anew_begins_at_step_0(tmp_path):
    """Beside the history of what it was before it is refused; without one it is measured from the
    start.
    """
    for directory in (None, tmp_path / "watched"):
        vae, monitor = small_vae(), IsometryMonitor(points(), every=4, directory=directory,
                                                    num_examples=8, share=None)
        vae.fit(batches(), verbose=0, callbacks=[monitor])
        assert [row["step"] for row in monitor.rows] == [0, 4, 8]
        vae.compile(tf.keras.optimizers.Adam(1e-3))
        if directory is None:
            vae.fit(batches(32), verbose=0, callbacks=[monitor])
            assert [row["step"] for row in monitor.rows] == [0, 4]
        else:
            with refuses(ValueError):
                vae.fit(batches(32), verbose=0, callbacks=[monitor])
            assert [row["step"] for row in rows_of(directory / history.ISOMETRY)] == [0, 4, 8]
