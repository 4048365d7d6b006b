"""Two logical CPU devices, so that `tf.distribute` is exercised everywhere; and small decoders with
known geometry.
"""
import contextlib
import importlib
import io
import os
import subprocess
import sys
import types

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

from tfisovae import __main__ as command_line

if "TFISOVAE_TEST_WORKER" not in os.environ:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)

from tests.support import ROOT, damaged_copy, linear_vae, measurement_of


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
        environment = {
            **os.environ, "PYTHONPATH": str(ROOT), "TFISOVAE_CACHE": str(faces_cache), **(env or {})
        }
        done = subprocess.run([sys.executable, *map(str, arguments)], cwd=ROOT, env=environment,
                              capture_output=True, text=True, timeout=timeout, **kwargs)
        assert not check or done.returncode == 0, done.stderr[-3000:]
        return done

    return run


@pytest.fixture(scope="session")
def main(faces_cache):
    """Runs a command (`celeba`), or a module of results/ (`results.tables`), here; returns its exit
    `code`, `stdout`, `stderr`.
    """
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


@pytest.fixture(scope="session")
def make_linear_vae():
    return linear_vae


@pytest.fixture(scope="session")
def make_measurement():
    return measurement_of


TRIALS = int(os.environ.get("TFISOVAE_DAMAGE_TRIALS", 12))  # damaged files for each whole one


@pytest.fixture
def damaged():
    """`damaged(data, seed)` yields copies of a file's bytes that were damaged at random."""
    return lambda data, seed: (damaged_copy(data, np.random.default_rng([seed, trial]))
                               for trial in range(TRIALS))
