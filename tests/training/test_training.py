"""Runs: their directories, their data, their strategies, and how they survive."""
import os
import signal
import subprocess
import sys
import time
import types

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import CONFIG, Stop, equal, make_vae, table, train
from tfisovae import networks
from tfisovae.training import callbacks, loop, runs


@pytest.mark.parametrize("stops", [[7], [3, 12, 19]])
def test_a_run_that_was_stopped_ends_like_one_that_was_not(tmp_path, stops):
    """Weights, optimizer and history, bit for bit."""
    whole = train(tmp_path / "whole")
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", extra_callbacks=[Stop(stop)])
    parts = train(tmp_path / "parts", save=True)
    assert equal(whole, parts)
    for a, b in zip(whole.optimizer.variables, parts.optimizer.variables):
        np.testing.assert_array_equal(a, b)
    histories = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "parts")]
    assert histories[0] == histories[1]
    assert [line.split(",")[0]
            for line in histories[0].splitlines()] == ["step", "5", "10", "15", "20"]
    assert equal(tfisovae.load(tmp_path / "parts" / "model"), whole)


@pytest.mark.parametrize("options", [{}, *(
    pytest.param(options, marks=pytest.mark.slow)
    for options in ({"averaging": 0.9}, {"log_every": 20, "checkpoint_every": 20}))])
def test_standardized_latents(tmp_path, options):
    """When the annealing is over, and at the end of all; a run that was stopped between does the
    same.
    """
    options = {**options, "standardize_latents": True, "anneal_steps": 8, "steps": 40}
    whole = train(tmp_path / "whole", options, save=True)
    for stop in (9, 13, 27):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts", options, extra_callbacks=[Stop(stop)])
    assert equal(whole, train(tmp_path / "parts", options))
    posterior = tfisovae.load(tmp_path / "whole" / "model").encode(table()[:250])
    mean, scale = (np.asarray(value) for value in posterior)
    np.testing.assert_allclose(mean.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose((mean**2 + scale**2).mean(0), 1, rtol=1e-5)


@pytest.fixture
def standardized(monkeypatch):
    """The steps at which latent variables were standardized."""
    steps = []
    real = loop.standardize_latents
    monkeypatch.setattr(loop, "standardize_latents", lambda vae, *args, **kw: (
        steps.append(int(vae.optimizer.iterations.numpy())), real(vae, *args, **kw))[1])
    return steps


@pytest.mark.parametrize(
    "annealing, options, expected", [(10, {}, [10, 20]), (11, {}, [11, 20]),
                                     (11, {"log_every": 10, "checkpoint_every": 10}, [11, 20]),
                                     (None, {}, [20]), (20, {}, [20]), (30, {}, [20]),
                                     (11, {"averaging": 0.9}, [20])])
def test_when_latents_are_standardized(tmp_path, standardized, annealing, options, expected):
    """After the step that ends the annealing, wherever lines of the history fall, and at the end;
    averages, at the end alone.
    """
    train(tmp_path / "run", {"standardize_latents": True, "anneal_steps": annealing, **options})
    assert standardized == expected


@pytest.mark.slow
def test_latents_are_standardized_once_in_a_run_that_goes_on(tmp_path, standardized):
    """More steps, other lines of the history: the weights are those of a run that had them from the
    beginning.
    """
    options = {"standardize_latents": True, "anneal_steps": 11}
    train(tmp_path / "parts", {**options, "steps": 12})
    parts = train(tmp_path / "parts", {**options, "log_every": 10, "checkpoint_every": 10})
    assert standardized == [11, 12, 20]
    assert equal(train(tmp_path / "whole", options), parts)


@pytest.mark.slow
def test_latents_of_resident_data_are_standardized_after_the_call(tmp_path, standardized):
    train(tmp_path / "run", {"standardize_latents": True, "anneal_steps": 8}, resident=True)
    assert standardized == [10, 20]


def test_networks_whose_latents_cannot_be_standardized_are_told_before_the_first_step(tmp_path):
    def make():
        encoder, decoder = networks.toy()
        return tfisovae.VAE(encoder,
                            tf.keras.Sequential([tf.keras.layers.BatchNormalization(), decoder]),
                            "sse", 10.0)

    with refuses(ValueError):
        train(tmp_path / "run", {"standardize_latents": True}, make=make)
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def test_a_model_whose_moments_are_not_finite_is_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(loop, "standardize_latents", lambda *_, **__:
                        (_ for _ in ()).throw(ValueError("z_0 has the mean inf.")))
    vae = train(tmp_path / "run", {"standardize_latents": True}, save=True)
    assert "z_0 has the mean inf. They stay unchanged." in capsys.readouterr().err
    assert equal(tfisovae.load(tmp_path / "run" / "model"), vae)


@pytest.mark.slow
def test_resident_data_train_as_ordinary_batches(tmp_path):
    """Weights and history within float tolerance, an interval that is left over and every option of
    the optimizer included.
    """
    config = {"steps": 23, "schedule": "cosine", "averaging": 0.9, "clipnorm": 1.0}
    ordinary, resident = (train(tmp_path / str(r), config, resident=r) for r in (False, True))
    for a, b in zip(ordinary.get_weights(), resident.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-5)
    rows = [
        np.loadtxt(tmp_path / str(r) / "history.csv", delimiter=",", skiprows=1)
        for r in (False, True)
    ]
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-4)


@pytest.mark.slow
def test_a_resident_run_that_was_stopped_ends_like_one_that_was_not(tmp_path):
    class Break(tf.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if self.model.optimizer.iterations.numpy() == 10:
                raise KeyboardInterrupt

    whole = train(tmp_path / "whole", {"averaging": 0.9}, resident=True)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", {"averaging": 0.9}, extra_callbacks=[Break()], resident=True)
    assert runs.trained_step(tmp_path / "parts") == 5
    parts = train(tmp_path / "parts", {"averaging": 0.9}, resident=True, save=True)
    assert equal(parts, whole)
    assert equal(tfisovae.load(tmp_path / "parts" / "model"), whole)


@pytest.mark.slow
def test_a_resident_run_that_diverges_names_the_step(tmp_path):
    """A loss that overflows in the middle of a compiled interval."""
    def exploding():
        vae = make_vae()
        vae.decoder.layers[-1].kernel.assign(tf.fill([128, 16], 1e25))  # squared, beyond float32
        return vae

    with refuses(runs.RunError, "loss"):
        train(tmp_path / "run", make=exploding, resident=True)
    assert runs.trained_step(tmp_path / "run") == 0


def test_resident_data_take_row_numbers():
    vae = make_vae()
    vae.compile("adam", resident=table())
    with refuses(ValueError):
        vae.train_step(tf.zeros([2, 16]))
    with refuses(ValueError, "x"):
        vae.compile("adam", resident=table()[:, :5])


@pytest.mark.parametrize("schedule", loop.SCHEDULES)
def test_the_rate_grows_linearly_and_goes_on_as_without_warmup(schedule):
    """At every step; the cosine then has the steps that are left."""
    config = {
        "learning_rate": 4e-3, "learning_rate_warmup": 8, "steps": 40, "schedule": schedule,
        "clipnorm": None
    }
    rate = loop._optimizer(config)._learning_rate
    rates = np.array([float(rate(step)) for step in range(41)])
    rest = np.arange(33) / 32
    after = 4e-3 * (np.cos(np.pi * rest) + 1) / 2 if schedule == "cosine" else np.full(33, 4e-3)
    np.testing.assert_allclose(rates[8:], after, rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(rates[:8], 5e-4 + 3.5e-3 * np.arange(8) / 8, rtol=1e-5)


@pytest.mark.slow
def test_schedule_and_averaging(tmp_path):
    """A cosine ends at 0: the last steps move nothing. The average is that of the definition."""
    weights = []

    class Keep(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            weights.append(self.model.get_weights()[0])

    train(tmp_path / "cosine", {"schedule": "cosine", "steps": 40}, extra_callbacks=[Keep()])
    moved = [np.abs(b - a).max() for a, b in zip(weights, weights[1:])]
    assert moved[-1] < 0.02 * moved[20]
    weights.clear()
    averaged = train(tmp_path / "averaged", {"averaging": 0.8}, extra_callbacks=[Keep()])
    tf.keras.utils.set_random_seed(CONFIG["seed"])
    mean = make_vae().get_weights()[0]
    for value in weights:
        mean = 0.8 * mean + 0.2 * value
    np.testing.assert_allclose(averaged.get_weights()[0], mean, atol=1e-6)
    with refuses(ValueError):
        train(tmp_path / "linear", {"schedule": "linear"})


@pytest.mark.slow
def test_more_steps_go_on_from_where_the_run_ended(tmp_path, capsys):
    """Also where an interval is left over: 20 and then 33 steps are 33."""
    train(tmp_path / "a")
    longer = train(tmp_path / "a", {"steps": 33}, save=True)
    assert "resuming from step 20" in capsys.readouterr().err
    assert equal(longer, train(tmp_path / "b", {"steps": 33}))
    again = train(tmp_path / "a", {"steps": 33})
    assert "already trained to step 33" in capsys.readouterr().err
    assert equal(again, longer)
    assert equal(train(tmp_path / "a", {"steps": 50}), train(tmp_path / "c", {"steps": 50}))
    assert tf.train.latest_checkpoint(tmp_path / "a" / "checkpoints").endswith("ckpt-50")
    with refuses(runs.RunError):
        train(tmp_path / "a", {"steps": 33})
    # A refused command leaves the manifest as it was.
    assert runs.load_config(tmp_path / "a")["steps"] == 50


@pytest.mark.slow
def test_kill_9(tmp_path, script):
    """The script itself, killed while it trains: the same weights as never killed."""
    images = np.random.default_rng(0).integers(0, 256, [60, 28, 28], np.uint8)
    np.savez(tmp_path / "images.npz", x_train=images[:50], x_test=images[50:])
    options = [
        "--data", tmp_path / "images.npz", "--latent_dim", 3, "--steps", 400, "--batch_size", 10,
        "--log_every", 50, "--checkpoint_every", 50, "--num_eval", 0, "--decomposed",
        "--warmup_steps", 70, "--run_dir"
    ]
    script("train/mnist.py", *options, tmp_path / "whole")
    killed = subprocess.Popen(
        [sys.executable, "train/mnist.py", *map(str, options), str(tmp_path / "killed")],
        env={**os.environ, "PYTHONPATH": os.getcwd()}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    deadline = time.time() + 200
    while not (tmp_path / "killed" / "checkpoints"
               / "ckpt-100.index").exists() and time.time() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "model").exists()
    resumed = script("train/mnist.py", *options, tmp_path / "killed")
    assert "resuming from step" in resumed.stderr
    assert equal(*(tfisovae.load(tmp_path / name / "model") for name in ("whole", "killed")))
    assert (tmp_path / "whole" / "history.csv").read_text() == (tmp_path / "killed"
                                                                / "history.csv").read_text()


@pytest.mark.slow
def test_half_a_checkpoint_is_never_loaded(tmp_path):
    """Files of a checkpoint that was being written when the power went: the last whole one is
    taken.
    """
    whole = train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", extra_callbacks=[Stop(12)])
    checkpoints = tmp_path / "run" / "checkpoints"
    data = (checkpoints / "ckpt-10.data-00000-of-00001").read_bytes()
    (checkpoints / "ckpt-15.data-00000-of-00001").write_bytes(data[:1000])
    (checkpoints / "ckpt-15.index").write_bytes((checkpoints / "ckpt-10.index").read_bytes())
    (tmp_path / "run" / "history.csv").open("a").write("13,1.0,2")
    assert equal(train(tmp_path / "run"), whole)
    assert (tmp_path / "run" / "history.csv").read_text() == (tmp_path / "whole"
                                                              / "history.csv").read_text()


@pytest.mark.slow
def test_a_run_that_diverges_names_the_step_and_keeps_the_last_finite_checkpoint(tmp_path):
    class Explode(tf.keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations.numpy() == 12:
                self.model.optimizer.learning_rate = 1e30

    with refuses(runs.RunError):
        train(tmp_path / "run", extra_callbacks=[Explode()], save=True)
    assert tf.train.latest_checkpoint(tmp_path / "run" / "checkpoints").endswith("ckpt-10")
    assert not (tmp_path / "run" / "model").exists()
    vae = train(tmp_path / "run")
    assert all(np.isfinite(w).all() for w in vae.get_weights())


def test_the_manifest_is_written_before_the_first_step(tmp_path):
    with runs.Run(tmp_path / "run", CONFIG):
        saved = runs.load_config(tmp_path / "run")
    assert saved["steps"] == 20 and saved["versions"]["tensorflow"] == tf.__version__


def test_a_run_that_died_before_its_manifest_can_begin_again(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json.writing").write_text("{")
    runs.Run(tmp_path / "run", CONFIG).close()
    assert runs.load_config(tmp_path / "run")["steps"] == 20


def test_one_process_at_a_time(tmp_path):
    with runs.Run(tmp_path / "run", CONFIG):
        with refuses(runs.RunError):
            runs.Run(tmp_path / "run", CONFIG)
    runs.Run(tmp_path / "run", CONFIG).close()


def test_a_directory_of_another_configuration_is_refused(tmp_path):
    runs.Run(tmp_path / "run", CONFIG).close()
    with refuses(runs.RunError, "learning_rate"):
        runs.Run(tmp_path / "run", {**CONFIG, "learning_rate": 0.01, "steps": 50})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("")
    with refuses(runs.RunError):
        runs.Run(tmp_path / "full", CONFIG)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.tex"]


def test_runs_without_a_model(tmp_path):
    with refuses(runs.RunError):
        runs.load_run(tmp_path)
    runs.Run(tmp_path / "run", CONFIG).close()
    with refuses(runs.RunError):
        runs.load_run(tmp_path / "run")


@pytest.mark.slow
def test_collapse_is_said_in_words(tmp_path, capsys):
    """A VAE whose distortion weighs nothing collapses; one that learns says nothing."""
    def collapsing():
        return tfisovae.VAE(*networks.toy(), "sse", 1e-6, seed=3)

    train(tmp_path / "dead",
          {"steps": 1000, "log_every": 100, "checkpoint_every": 500, "learning_rate": 1e-2},
          make=collapsing)
    said = capsys.readouterr().err
    assert said.count("The VAE has collapsed") == 1 and "raise lmbda" in said
    train(tmp_path / "alive", {"steps": 500, "log_every": 100, "checkpoint_every": 500})
    assert "collapsed" not in capsys.readouterr().err
    warning = callbacks.CollapseWarning({})
    warning.set_model(types.SimpleNamespace(optimizer=tf.keras.optimizers.SGD()))
    for _ in range(5):  # as of the optimum at a small lmbda
        warning.on_epoch_end(0, {"rate": 0.86, "active_dimensions": 2})
    assert "collapsed" not in capsys.readouterr().err
    message = callbacks.collapse_message(0.02, 300, {"decomposed": True, "warmup_steps": 0})
    assert "rate is 0.020 nats" in message and "warmup_steps more than 0" in message


def test_tensorboard_gets_scalars_and_reconstructions(tmp_path):
    writer = callbacks.TensorBoard(str(tmp_path), tf.fill([2, 4, 4, 3], 0.5), image_every=1)

    class Model:
        optimizer = tf.keras.optimizers.SGD()

        def __call__(self, x):
            return x

    writer.set_model(Model())
    writer.on_epoch_end(0, {"loss": 1.5, "distortion": 0.5, "rate": 1.0, "active_dimensions": 2})
    tags = {
        value.tag
        for path in tmp_path.iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {"loss", "distortion", "rate", "active_dimensions"} < tags
    assert any(tag.startswith("reconstructions") for tag in tags)
