"""Probes: a copy of a model is trained on, and the model stays as it is."""
import math
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import CONFIG, Stop, assert_alike, linear_vae, source, train
from tfisovae import files
from tfisovae.training import loop, probe, runs
from tfisovae.verdict.gains import Probe


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of 20 steps at a constant rate, with its model."""
    directory = tmp_path_factory.mktemp("probe") / "run"
    train(directory, save=True)
    return directory


def contents(directory):
    return files.digests(path for path in directory.rglob("*") if path.is_file())


def test_a_probe_leaves_the_run_as_it_is_and_is_a_function_of_its_seed(run):
    before = contents(run)
    one = probe.probe_run(run, source(), 20, seed=1)
    assert contents(run) == before and not list((run / "probes").iterdir())
    assert one.doubles and one.num_examples == 250
    assert one.gain > 5 * one.standard_error > 0  # 20 steps are not the end of a training
    assert one.before == pytest.approx(one.after + one.gain)
    assert_alike(vars(probe.probe_run(run, source(), 20, seed=1)), vars(one), rtol=0, atol=0)
    assert probe.probe_run(run, source(), 20, seed=2).gain != one.gain


def test_a_probe_that_was_killed_goes_on(run):
    whole = probe.probe_run(run, source(), 20)
    as_it_is = loop.train
    with mock.patch.object(loop, "train", lambda *args: as_it_is(
            *args[:4], [*args[4], Stop(12)], *args[5:])), pytest.raises(KeyboardInterrupt):
        probe.probe_run(run, source(), 20)
    assert (run / "probes").is_dir() and list((run / "probes").iterdir())
    assert_alike(vars(probe.probe_run(run, source(), 20)), vars(whole), rtol=0, atol=0)


def test_steps_of_no_length_gain_nothing(run):
    """The losses are paired: the same examples, with the same noise."""
    config = {**runs.load_config(run), "learning_rate": 1e-30}
    with mock.patch.object(runs, "load_config", lambda directory: config):
        found = probe.probe_run(run, source(), 3)
    assert found.gain == 0 and found.standard_error == 0 and found.averaged_gain == 0


def test_the_schedule_starts_again_and_warm_ups_do_not():
    config = {**CONFIG, "schedule": "cosine", "learning_rate_warmup": 4, "anneal_steps": 10,
              "anneal": "linear", "decomposed": True, "warmup_steps": 5}
    made = probe.recipe(config, 20, 0)
    assert made["learning_rate_warmup"] == 4 and made["schedule"] == "cosine"
    assert not made["anneal_steps"] and not made["warmup_steps"] and not made.get("averaging")
    assert probe.recipe(config, 10, 0)["learning_rate_warmup"] == 2
    assert made["seed"] != CONFIG["seed"] != probe.recipe(config, 20, 1)["seed"] != made["seed"]
    assert probe.recipe(CONFIG, 100, 0)["averaging"] == pytest.approx(0.9)


def test_only_a_constant_rate_is_compared_with_averages(run):
    found = probe.probe_run(run, source(), 20)
    assert math.isfinite(found.averaged_gain) and found.averaged_standard_error > 0
    config = {**runs.load_config(run), "schedule": "cosine"}
    with mock.patch.object(runs, "load_config", lambda directory: config):
        assert math.isnan(probe.probe_run(run, source(), 3).averaged_gain)


def test_probes_of_another_model_do_not_count(run):
    made = [Probe(20, 20, 0, 2.0, 1.0, 1.0, 0.1, 100)]
    probe.write(run, made)
    assert_alike(vars(probe.read(run)[0]), vars(made[0]))
    with mock.patch.object(runs, "model_digest", lambda directory: "another"):
        assert probe.read(run) == []
    (run / "probes.json").write_text("{")
    assert probe.read(run) == []
    (run / "probes.json").unlink()


def pair():
    encoder = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(4)])
    decoder = tf.keras.Sequential([tf.keras.layers.Input((2,)), tf.keras.layers.Dense(3)])
    return tfisovae.as_autoencoder((encoder, decoder), "sse", 0.1)


X = np.random.default_rng(0).standard_normal((200, 3)).astype(np.float32)


@pytest.mark.parametrize("data", [X, tf.data.Dataset.from_tensor_slices(X).batch(50)],
                         ids=["array", "dataset"])
def test_a_keras_pair_gets_its_weights_back(data):
    model = pair()
    kept = [value.numpy() for value in model.networks.weights]
    found = probe.probe(model, data, 60, trained_steps=60, batch_size=50)
    for value, before in zip(model.networks.weights, kept):
        np.testing.assert_array_equal(value.numpy(), before)
    assert found.doubles and found.num_examples == 200
    assert found.gain > 3 * found.standard_error
    assert tfisovae.analyze(model, X).judge(probes=[found]).unfinished


def test_a_loss_and_an_optimizer_of_the_users_own():
    """A plain gradient step of a loss that is known: the gain is that of the arithmetic."""
    model = pair()
    weights = model.networks.weights

    def loss(x, first_row, seed):
        return tf.reduce_sum(weights[0] ** 2) * tf.ones(len(x))

    before = float(tf.reduce_sum(weights[0] ** 2))
    found = probe.probe(model, X, 3, loss=loss, optimizer=tf.keras.optimizers.SGD(0.1))
    assert found.before == pytest.approx(before, rel=1e-5)
    assert found.after == pytest.approx(before * 0.8**6, rel=1e-5)
    assert not found.doubles


def test_an_optimum_gains_nothing():
    """A linear VAE at its optimum, trained on with a rate that falls to 0: within the error."""
    variance, beta = np.array([1.0, 0.5]), 0.02
    h = beta / 2
    x = np.random.default_rng(0).standard_normal((2000, 2))
    x = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
    x = (x * np.sqrt(variance)).astype(np.float32)
    vae = linear_vae(np.diag(np.sqrt(1 - h / variance) / np.sqrt(variance)),
                     np.diag(np.sqrt(variance - h)), np.sqrt(h / variance), 1 / beta)
    found = probe.probe(vae, x, 100, 100, batch_size=500)
    assert abs(found.gain) < 0.02
    judged = tfisovae.analyze(vae, x).judge(probes=[found])
    assert judged.state.value == "converged"


def test_what_cannot_be_trained_on_is_refused():
    functions = tfisovae.as_autoencoder((lambda x: (x[:, :2], x[:, :2] * 0), lambda z: np.pad(
        z, ((0, 0), (0, 1)))), "sse", 0.1)
    with refuses(ValueError, "model"):
        probe.probe(functions, X, 3)
    with refuses(ValueError, "steps"):
        probe.probe(pair(), X, 0)


def test_the_command_probes_once_and_judges_by_it(run, main):
    said = main("isometry", run, "--probe", 20, "--data", "x", "--num_examples", 50, check=False)
    assert said.code != 0
    with refuses(AssertionError, "--probe"):
        main("isometry", run, "--probe", 0)
