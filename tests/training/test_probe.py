"""Probes: a copy of a model is trained on, and the model stays as it is."""
import math
import shutil
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
    """And where the rate is constant it compares the last weights with their averages."""
    before = contents(run)
    one, same, other = (probe.probe_run(run, source(), 20, seed) for seed in (1, 1, 2))
    assert contents(run) == before and not list((run / "probes").iterdir())
    assert one.doubles and one.num_examples == 250
    assert one.gain > 5 * one.standard_error > 0  # 20 steps are not the end of a training
    assert one.before == pytest.approx(one.after + one.gain)
    assert math.isfinite(one.averaged_gain) and one.averaged_standard_error > 0
    assert_alike(vars(one), vars(same), rtol=0, atol=0)
    assert other.before == one.before and other.after != one.after


@pytest.mark.slow
def test_a_probe_that_was_killed_goes_on(run):
    whole = probe.probe_run(run, source(), 20)
    as_it_is = loop.train
    with mock.patch.object(loop, "train", lambda *args: as_it_is(
            *args[:4], [*args[4], Stop(12)], *args[5:])), pytest.raises(KeyboardInterrupt):
        probe.probe_run(run, source(), 20)
    assert (run / "probes").is_dir() and list((run / "probes").iterdir())
    assert_alike(vars(probe.probe_run(run, source(), 20)), vars(whole), rtol=0, atol=0)
    with mock.patch.object(probe, "losses", side_effect=KeyboardInterrupt), pytest.raises(
            KeyboardInterrupt):  # after the last step
        probe.probe_run(run, source(), 20)
    assert_alike(vars(probe.probe_run(run, source(), 20)), vars(whole), rtol=0, atol=0)


def test_steps_of_no_length_gain_nothing(run):
    """The losses are paired: the same examples, with the same noise. A rate that falls to 0 leaves
    nothing to average.
    """
    config = {**runs.load_config(run), "learning_rate": 1e-30, "schedule": "cosine"}
    with mock.patch.object(runs, "load_config", lambda directory: config):
        found = probe.probe_run(run, source(), 3)
    assert abs(found.gain) < 1e-6 and found.standard_error < 1e-6
    assert math.isnan(found.averaged_gain)


def test_the_schedule_starts_again_and_warm_ups_do_not():
    config = {**CONFIG, "schedule": "cosine", "learning_rate_warmup": 4, "anneal_steps": 10,
              "anneal": "linear", "decomposed": True, "warmup_steps": 5}
    made = probe.recipe(config, 20, 0)
    assert made["learning_rate_warmup"] == 4 and made["schedule"] == "cosine"
    assert not made["anneal_steps"] and not made["warmup_steps"] and not made.get("averaging")
    assert probe.recipe(config, 10, 0)["learning_rate_warmup"] == 2
    assert made["seed"] != CONFIG["seed"] != probe.recipe(config, 20, 1)["seed"] != made["seed"]
    assert probe.recipe(CONFIG, 100, 0)["averaging"] == pytest.approx(0.9)


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
    """Plain gradient steps of a square: the gain follows by arithmetic."""
    model = pair()
    weights = model.networks.weights

    def loss(x, first_row, seed):
        return tf.reduce_sum(weights[0] ** 2) * tf.ones(tf.shape(x)[:1])

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


@pytest.mark.slow
def test_the_command_probes_once_and_judges_by_it(toy_run, tmp_path, main):
    copy = tmp_path / "toy"
    shutil.copytree(toy_run, copy)
    digest = runs.model_digest(copy)
    options = ["--num_examples", 300, "--gradient_examples", 0]
    first = main("isometry", copy, "--probe", 5, "--probe_seeds", 2, *options).stdout
    assert first.count("Probe with seed") == 2 and "2 seeds of the probe differ by" in first
    assert [made.seed for made in probe.read(copy)] == [0, 1]
    with mock.patch.object(probe, "probe_run", None):  # is not made again, and still counts
        again = main("isometry", copy, "--probe", 5, "--margin", 1000, *options).stdout
    assert "UNDECIDED" in again and "margin 1e+03" in again
    saved = files.read_json(copy / "isometry.json")
    assert saved["evidence"]["margin"] == 1000 and len(saved["evidence"]["probes"]) == 2
    assert saved["verdict"]["state"] == "undecided" and runs.model_digest(copy) == digest
    np.savetxt(tmp_path / "other.csv", np.zeros((20, 16)), delimiter=",")
    for bad, argument in (("--probe", 0), "probe"), (("--probe_seeds", 0), "probe_seeds"), (
            ("--margin", 0), "margin"), (("--probe", 5, "--data", tmp_path / "other.csv"), "data"):
        said = main("isometry", copy, *bad, check=False)
        assert said.code != 0 and f"--{argument}" in said.stderr
