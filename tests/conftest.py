"""Two logical CPU devices, so that `tf.distribute` is exercised everywhere; runs that many tests
share; and the commands.
"""
import contextlib
import importlib
import io
import json
import os
import shutil
import subprocess
import sys
import types
from unittest import mock

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# TensorFlow 2.14 with oneDNN aborts in bfloat16 on processors without AVX-512. The processes that
# tests start inherit the setting: their numbers are compared bit for bit.
if os.path.exists("/proc/cpuinfo"):
    with open("/proc/cpuinfo") as flags:
        if "avx512f" not in flags.read():
            os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import tfisovae  # noqa: F401, I001  (before TensorFlow: it turns oneDNN on)
import filelock
import numpy as np
import pytest
import tensorflow as tf

from tfisovae import __main__ as command_line
from tfisovae import networks
from tfisovae.codec import container, directory

if "TFISOVAE_TEST_WORKER" not in os.environ:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)

from tests import memo
from tests.messages import MESSAGES
from tests.support import POOL, ROOT, damaged_copy, linear_vae, measurement_of, small_celeba

COLLECTED = set()  # names of all tests, those that are not run too
SMALL_FACES = ["--num_faces", 64, "--latent_dim", 3, "--batch_size", 4, "--image_size", 16,
               "--steps", 4]


def pytest_addoption(parser):
    parser.addoption("--update-messages", action="store_true",
                     help="write the wording of the refusals into tests/messages.json")
    parser.addoption("--update-pages", action="store_true",
                     help="write what their code prints into the README and docs/")


def pytest_configure(config):
    MESSAGES.updating = config.getoption("update_messages")


def pytest_sessionfinish(session):
    """Workers hand over what they found, and the process that started them writes it."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["messages"] = MESSAGES.found
    elif MESSAGES.updating:
        whole = COLLECTED and not any("::" in argument for argument in session.config.args)
        MESSAGES.write(MESSAGES.found, COLLECTED if whole else None)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    MESSAGES.found.update(getattr(node, "workeroutput", {}).get("messages", {}))


def name_of(item):
    """As pytest has it, without the group that pytest-xdist appends."""
    return f"{item.path.relative_to(ROOT).as_posix()}::{item.name}"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Tests that share a fixture of their module are done by one worker."""
    for item in items:
        COLLECTED.add(name_of(item))
        found = item._fixtureinfo.name2fixturedefs.values()
        if any(fixture.scope == "module" for one in found for fixture in one):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))


@pytest.fixture(autouse=True)
def _seeded():
    tf.keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _messages(request, tmp_path_factory):
    MESSAGES.base = str(tmp_path_factory.getbasetemp())
    MESSAGES.begin(name_of(request.node))


@pytest.fixture(autouse=True)
def _pooled():
    """Models that a test trained are free again when it is over."""
    count = len(POOL.used)
    yield
    POOL.give_back(count)


@pytest.fixture(scope="session")
def tfc():
    """tensorflow-compression, where a test compares with it."""
    return pytest.importorskip("tensorflow_compression", reason=(
        "tensorflow-compression is the reference here, and is not published for this Python"))


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def faces_cache(everywhere):
    """A cache directory that the tests share: the faces are drawn once."""
    return everywhere / "cache"


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
def main(faces_cache, everywhere):
    """Runs a command (`celeba`), or a module of results/ (`results.tables`), here; returns its exit
    `code`, `stdout`, `stderr`. Equal measurements are made once.
    """
    place = everywhere / "memo"
    place.mkdir(exist_ok=True)

    def run(name, *arguments, check=True):
        os.environ["TFISOVAE_CACHE"] = str(faces_cache)
        arguments = [str(argument) for argument in arguments]
        out, err, code = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), memo.shared(place):
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
def everywhere(tmp_path_factory):
    """A directory that all workers of this session share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def once(everywhere):
    """`once(name, make)` is a directory that `make(directory)` filled, in one worker for all. Tests
    only read it.
    """
    def made(name, make):
        place = everywhere / "once" / name
        place.parent.mkdir(exist_ok=True)
        with filelock.FileLock(f"{place}.lock"):
            if not (place / "whole").exists():
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir()
                make(place)
                (place / "whole").touch()
        return place

    return made


@pytest.fixture(scope="session")
def small_networks():
    """A context in which the command `celeba` trains a small network."""
    return lambda: mock.patch.object(networks, "celeba", small_celeba)


@pytest.fixture(scope="session")
def imported(once, script):
    """What tests/imports.py found in one process; `said` is what that wrote to stderr."""
    def make(place):
        directory.write(place / "codec", {"quantization": "universal"}, {})
        with container.Writer(place / "x.tfv", container.Header("0" * 32, "0" * 32, 1, (1,))):
            pass
        done = script("tests/imports.py", place)
        found = {**json.loads(done.stdout.splitlines()[-1]), "said": done.stderr}
        (place / "found.json").write_text(json.dumps(found))

    return json.loads((once("imports", make) / "found.json").read_text())


@pytest.fixture(scope="session")
def toy_run(once, main):
    """A short run on toy data with everything that can be measured on it; what was said is beside
    it, in trained.txt and measured.txt.
    """
    def make(place):
        trained = main("toy", "--source", "mix", "--epochs", 20, "--schedule", "cosine",
                       "--num_eval", 2000, "--run_dir", place / "toy")
        (place / "trained.txt").write_text(trained.stdout + trained.stderr)
        measured = main("all", place / "toy", "--num_examples", 2000)
        (place / "measured.txt").write_text(measured.stdout)

    return once("toy", make) / "toy"


@pytest.fixture(scope="session")
def table_run(once, main):
    """A run on a table whose columns have names that are markup; measured, with its densities, and
    reported.
    """
    def make(place):
        x = np.random.default_rng(0).standard_normal(
            (300, 2)) @ np.random.default_rng(1).standard_normal((2, 3))
        np.savetxt(place / "mine.csv", x, delimiter=",",
                   header="<script>a()</script>,b&amp;,<i>c", comments="")
        main("toy", "--data", place / "mine.csv", "--latent_dim", 2, "--epochs", 150,
             "--batch_size", 30, "--num_eval", 0, "--no-resident", "--run_dir", place / "table")
        for command in ("isometry", "density", "report"):
            main(command, place / "table")

    return once("table", make) / "table"


@pytest.fixture(scope="session")
def faces_run(once, main, small_networks):
    """A run of four steps of a small network on drawn faces; reported, which measures it, and
    traversed. What was said is beside it.
    """
    def make(place):
        run = place / "a<b>run"
        with small_networks():
            main("celeba", "--data", "faces", *SMALL_FACES, "--num_eval", 0, "--run_dir", run)
        (place / "reported.txt").write_text(main("report", run).stdout)
        main("traverse", run, "--rows", 2, "--columns", 3)

    return once("faces", make) / "a<b>run"


@pytest.fixture(scope="session")
def digits_run(once, main):
    """A run on images of a bar that goes up and down, trained for a moment; the images are beside
    it, in bars.npz.
    """
    def make(place):
        at = np.random.default_rng(0).uniform(4, 24, [700, 1, 1])
        bars = np.exp(-((np.arange(28)[:, None] - at) / 4)**2) * np.ones(28)
        images = (255 * bars).astype(np.uint8)
        np.savez(place / "bars.npz", x_train=images[:500], x_test=images[500:])
        main("mnist", "--data", place / "bars.npz", "--latent_dim", 2, "--batch_size", 50,
             "--steps", 200, "--log_every", 100, "--checkpoint_every", 200, "--num_eval", 0,
             "--run_dir", place / "digits")

    return once("digits", make) / "digits"


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
