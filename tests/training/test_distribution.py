"""Replicas and workers train as one device does; their strategies."""

import numpy as np
import pytest

import tfisovae
from tests.messages import refuses
from tests.support import run_workers, train
from tfisovae.training import devices

STANDARDIZED = {"standardize_latents": True, "anneal_steps": 8}


@pytest.mark.slow
@pytest.mark.parametrize("config", [{}, STANDARDIZED], ids=["plain", "standardized"])
def test_two_replicas_train_as_one_device(tmp_path, config):
    one = train(tmp_path / "one", config)
    two = train(tmp_path / "two", config, devices.make_strategy("mirrored"))
    for a, b in zip(one.get_weights(), two.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-5)
    rows = [
        np.loadtxt(tmp_path / name / "history.csv", delimiter=",", skiprows=1)
        for name in ("one", "two")
    ]
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("config", [{}, STANDARDIZED], ids=["plain", "standardized"])
def test_two_workers_train_as_one_device(tmp_path, root, config):
    """Two processes on loopback, one replica each: the global batch, the noise and so the weights
    are those of one.
    """
    one = train(tmp_path / "one", config)
    statuses, errors = run_workers([tmp_path / "two"] * 2, config)
    assert statuses == [0, 0], "\n".join(error[-2500:] for error in errors)
    two = tfisovae.load(tmp_path / "two" / "model")
    for a, b in zip(one.get_weights(), two.get_weights()):
        np.testing.assert_allclose(a, b, atol=2e-5)
    rows = [
        np.loadtxt(tmp_path / name / "history.csv", delimiter=",", skiprows=1)
        for name in ("one", "two")
    ]
    np.testing.assert_allclose(rows[0], rows[1], rtol=1e-4)


@pytest.mark.slow
def test_workers_that_do_not_share_the_run_directory_stop(tmp_path, root):
    train(tmp_path / "chief")
    statuses, errors = run_workers([tmp_path / "chief", tmp_path / "other"], {"steps": 40})
    assert 0 not in statuses
    assert "resumes from step 20, but the mean over all workers is 10" in errors[
        0] and "resumes from step 0" in errors[1]


@pytest.mark.slow
def test_any_number_of_replicas_computes_as_one_device(script, tmp_path):
    """All remainders of a batch on two to four, in one process: `fit`, `evaluate`, `analyze`, log
    densities, a codec and a command.
    """
    script("tests/replicas.py", tmp_path, timeout=1500)


def test_strategies(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert devices.make_strategy("auto").num_replicas_in_sync == 1
    assert devices.make_strategy("mirrored").num_replicas_in_sync == 2
    with refuses(ValueError):
        devices.make_strategy("tpu")
    with refuses(ValueError):
        devices.make_strategy("multi_worker")
