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
