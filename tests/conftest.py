"""Two logical CPU devices, so that `tf.distribute` is exercised everywhere; and small decoders with known geometry."""
import contextlib
import importlib
import io
import os
import pathlib
import subprocess
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tfisovae  # noqa: I001  (before TensorFlow: sets the oneDNN option)
import numpy as np
import pytest
import tensorflow as tf

from tfisovae import __main__ as command_line
from tfisovae import files

ROOT = pathlib.Path(__file__).parent.parent
if "TFISOVAE_TEST_WORKER" not in os.environ:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)


@pytest.fixture(autouse=True)
def _seeded():
    tf.keras.utils.set_random_seed(0)


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def faces_cache(tmp_path_factory):
    """A cache directory shared by the tests: the faces are drawn once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def script(faces_cache):
    """Runs a script of the project in a fresh process; returns its `CompletedProcess`."""
    def run(*arguments, env=None, check=True, timeout=300, **kwargs):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TFISOVAE_CACHE": str(faces_cache), **(env or {})}
        done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, env=environment, capture_output=True, text=True,
                              timeout=timeout, **kwargs)
        assert not check or done.returncode == 0, done.stderr[-3000:]
        return done

    return run


@pytest.fixture(scope="session")
def main(faces_cache):
    """Runs a command (`celeba`), or a module of results/ (`results.tables`), here; returns its exit `code`, `stdout`, `stderr`."""
    def run(name, *arguments, check=True):
        os.environ["TFISOVAE_CACHE"] = str(faces_cache)
        arguments = [str(argument) for argument in arguments]
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                if name.startswith("results."):
                    importlib.import_module(name).main(arguments)
                else:
                    command_line.main([name, *arguments])
            except SystemExit as stop:
                code = stop.code or 0
                if isinstance(code, str):  # as the interpreter does
                    print(code, file=sys.stderr)
        assert not check or code == 0, err.getvalue()[-3000:]
        return types.SimpleNamespace(code=code, stdout=out.getvalue(), stderr=err.getvalue())

    return run


def assert_alike(a, b, name="", **tolerances):
    """Values as JSON has them are the same, and numbers within tolerances."""
    if isinstance(b, dict):
        assert a.keys() == b.keys(), name
        for key in b:
            assert_alike(a[key], b[key], f"{name}.{key}", **tolerances)
    elif isinstance(b, str) or b is None:
        assert a == b, name
    else:
        np.testing.assert_allclose(np.array(a, float), np.array(b, float), err_msg=name, **tolerances)


def linear_vae(encoder_matrix, decoder_matrix, scale, lmbda, distortion="sse", **kwargs):
    """A VAE with mean x A, constant posterior scale, and decoder z B: its geometry is B G B^T."""
    a, b = np.asarray(encoder_matrix, np.float32), np.asarray(decoder_matrix, np.float32)
    m, n = a.shape
    encoder = tf.keras.Sequential([tf.keras.layers.Input((m,)), tf.keras.layers.Dense(2 * n)])
    decoder = tf.keras.Sequential([tf.keras.layers.Input((n,)), tf.keras.layers.Dense(m)])
    log_variance = np.broadcast_to(2 * np.log(scale), n).astype(np.float32)
    encoder.set_weights([np.concatenate([a, np.zeros([m, n], np.float32)], 1),
                         np.concatenate([np.zeros(n, np.float32), log_variance])])
    decoder.set_weights([b, np.zeros(m, np.float32)])
    return tfisovae.VAE(encoder, decoder, distortion, lmbda, **kwargs)


@pytest.fixture(scope="session")
def make_linear_vae():
    return linear_vae


def measurement_of(n=6, num_active=4, beta=0.01, seed=0):
    """What `isometry.json` holds of a VAE of Gaussian data: `num_active` variances from 1 down to 1/16, the rest collapsed."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    precision = np.ones(n)
    precision[order[:num_active]] = 2 / beta * 2.0 ** -np.linspace(0, 4, num_active)
    active = precision > 1
    cosine = np.abs(rng.uniform(-0.3, 0.3, [n, n]))
    cosine = np.triu(cosine, 1) + np.triu(cosine, 1).T + np.eye(n)
    target = 1 - 1 / precision
    norm = np.where(active, target * rng.uniform(0.8, 1.2, n), 0.01)
    kl = np.log(precision) / 2
    distortion = {"coding_loss": beta / 2 * float(target.sum()), "transform_loss": 0.1 * beta, "rate": float(kl.sum())}
    values = {
        "norm_mean": norm, "norm_std": 0.1 * norm, "norm_standard_error": 0.01 * norm, "one_minus_variance": target,
        "derivative_mean": norm * precision * beta / 2, "derivative_std": 0.1 * norm, "precision_mean": precision,
        "precision_standard_error": 0.01 * precision, "importance": beta / 2 * precision, "kl_mean": kl, "active": active,
        "ranking": np.argsort(-precision, kind="stable"), "gram_mean": cosine * np.sqrt(np.outer(norm, norm)),
        "gram_cosine": cosine,
        "balance": np.ones(n), "balance_standard_error": np.full(n, 0.01), "latent_mean": np.zeros(n),
        "latent_second_moment": np.ones(n), "isometric_norm": float(norm[active].mean()) if num_active else None,
        "isometric_norm_spread": float(norm[active].std()) if num_active else None, "gram_off_diagonal": 0.15,
        "gram_off_diagonal_cosine": 0.17 if num_active > 1 else None, "posterior_balance": 1.01 if num_active else None,
        "numerical_norm_difference": 0.001, **distortion, "distortion": distortion["coding_loss"] + distortion["transform_loss"],
        "loss": 5.0, "lmbda": 1 / beta, "beta": beta, "decomposed": False, "distortion_name": "SumSquaredError()",
        "num_examples": 1000, "active_threshold": 0.01, "tangents": "autodiff", "quadratic": True,
        **{f"{name}_standard_error": 0.01 for name in ("rate", "distortion", "loss", "coding_loss", "transform_loss",
                                                       "posterior_balance")},
        "unexplained": np.linspace(0.05, 0.1, n), "unexplained_standard_error": np.full(n, 0.01), "log_scale_std": np.full(n, 0.3),
        "stationarity": {}, "conditions": {},
        "factor_names": ["smile", "hat"], "factor_correlations": rng.uniform(-1, 1, [n, 2]), "steps": 100,
        "principal_components": {"eigenvalue": 2.0 ** -np.arange(n), "standard_error": np.full(n, 0.01),
                                 "num_examples": 1000, "constant": False},
        "summary": "Training: NOT CONVERGED: E[mu] of z_1 is 0.3. To do: train longer.\nEmbedding: isometric to 3 % (lengths).\n"
                   "Do not conclude: no sign against convergence is not a proof of it."}
    return files.plain(values)


@pytest.fixture(scope="session")
def make_measurement():
    return measurement_of


TRIALS = int(os.environ.get("TFISOVAE_DAMAGE_TRIALS", 12))  # damaged files for each whole one


@pytest.fixture
def damaged():
    """`damaged(data, seed)` yields copies of a file's bytes that were damaged at random."""
    return lambda data, seed: (_damaged(data, np.random.default_rng([seed, trial])) for trial in range(TRIALS))


def _damaged(data, rng):
    """Bytes changed, cut off, left out, put in or zeroed, more often near the start, where the headers are."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = int(len(data) * rng.uniform() ** rng.choice([1, 3, 6]))
        length = int(rng.choice([1, 2, 4, 16, 100]))
        kind = rng.integers(6)
        if kind == 0:
            data[at:at + length] = rng.bytes(length)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at:at + length]
        elif kind == 3:
            data[at:at] = rng.bytes(length)
        elif kind == 4:
            data[at:at + length] = bytes(length)
        elif at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)
