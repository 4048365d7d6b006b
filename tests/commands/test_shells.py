"""What shells and notebooks do to a command: pipes that are closed, streams that are missing,
backends, paths with `~`.
"""
import json
import os
import re
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests.support import ROOT
from tfisovae import Analysis
from tfisovae import __main__ as command_line
from tfisovae.autoencoder import streaming
from tfisovae.commands import training, wording


@pytest.fixture
def broken_pipe():
    """A text stream whose reader has gone."""
    reader, writer = os.pipe()
    os.close(reader)
    stream = open(writer, "w")
    yield stream
    try:
        stream.close()
    except BrokenPipeError:
        pytest.fail("what is in the buffer still goes to the closed pipe")


@pytest.mark.skipif(os.name == "nt", reason="no such redirections")
def test_closed_streams_lead_nowhere():
    """The numbers of closed streams are not given to the files of a run."""
    code = ("from tfisovae import __main__ as m; m.open_streams(); import os, sys; "
            "file = open(sys.argv[1]); null = os.stat(os.devnull).st_rdev; "
            "ends = all(os.fstat(n).st_rdev == null for n in (0, 2)); "
            "sys.exit(not (file.fileno() > 2 and ends))")
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" "$2" <&- 2>&-', sys.executable, code,
                           __file__], env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60)
    assert done.returncode == 0


def test_a_reader_that_leaves_does_not_end_the_work(monkeypatch, broken_pipe):
    monkeypatch.setattr(sys, "stdout", broken_pipe)
    with command_line.closable():
        for _ in range(3):
            print("x" * 100_000, flush=True)
    with pytest.raises(SystemExit) as stop:
        command_line.main(["--help"])
    assert stop.value.code == 0


def test_streams_that_a_shell_has_closed(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with command_line.closable():
        print("lost", file=sys.stderr, flush=True)
        assert not sys.stderr.isatty()
    assert sys.stderr is None


def test_other_errors_of_a_stream_are_not_swallowed(tmp_path, monkeypatch):
    with open(tmp_path / "ascii", "w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with command_line.closable(), pytest.raises(UnicodeEncodeError):
            print("\u03c3")


@pytest.mark.slow
def test_training_with_a_closed_stderr_and_a_notebooks_backend(script, tmp_path):
    """One process: it trains, measures at the end, and says so; nothing of TensorFlow's log is
    said.
    """
    code = (
        "import os, sys; os.close(2); sys.stderr = None\nfrom tfisovae.__main__ import main\n"
        "main(['toy', '--data', 'norm', '--num_examples', '256', '--epochs', '2', '--num_eval', "
        "'64', '--no-resident',"
        f" '--run_dir', {str(tmp_path / 'run')!r}])\nmain(['isometry', {str(tmp_path / 'run')!r}, "
        f"'--num_examples', '64'])\n"
        "print(sorted(name for name in sys.modules if name.startswith('matplotlib.pyplot')))")
    done = script("-c", code, env={"MPLBACKEND": "module://matplotlib_inline.backend_inline"})
    assert done.stdout.count("on 64 examples.") == 2 and (tmp_path / "run"
                                                          / "isometry.png").exists()
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_says_nothing_and_silences_nobody(imported):
    """Neither the package nor TensorFlow behind it; a level that the user has set stays."""
    assert imported["said"] == "" and imported["log_levels"] == ["3", "0"]


def test_home_directories(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, options in (("toy", ["--run_dir", "~/x", "--data", "~/t.npy", "--cache_dir",
                                   "~/c"]), ("isometry", [
                                       "~/x", "--data", "~/t.npy", "--out", "~/o"
                                   ]), ("measure_ablation", ["~/a"])):
        args = vars(command_line.parser(name).parse_args(options))
        given = [value for value in args.values() if isinstance(value, str) and os.sep in value]
        assert len(given) == len([o for o in options if o.startswith("~")]) and all(
            v.startswith(str(tmp_path)) for v in given)


def test_printed_commands_can_be_pasted():
    line = training.command_line("isometry", "/tmp/my runs/$x")
    assert line.endswith("isometry '/tmp/my runs/$x'")


@pytest.fixture(scope="module")
def table_run(tmp_path_factory, main):
    """A short run on a table of 300 rows, and another table of 50."""
    path = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((350, 2)) @ rng.standard_normal((2, 4))).astype(np.float32)
    np.save(path / "mine.npy", x[:300])
    np.save(path / "test.npy", x[300:])
    main("toy", "--data", path / "mine.npy", "--latent_dim", 2, "--epochs", 150, "--batch_size", 30,
         "--num_eval", 0, "--no-resident", "--run_dir", path / "run")
    return path


def counted(done):
    return [int(count) for count in re.findall(r"on (\d+) examples\.", done.stdout)]


@pytest.mark.slow
def test_data_given_are_measured_whole_and_apart(table_run, main):
    run = table_run / "run"
    assert counted(main("isometry", run)) == [30]
    own = (run / "isometry.json").read_bytes()
    assert counted(main("isometry", run, "--data", table_run / "test.npy")) == [50]
    assert (run / "on-test" / "isometry.json").exists() and (run
                                                             / "isometry.json").read_bytes() == own
    assert counted(
        main("isometry", run, "--data", table_run / "test.npy", "--split", "eval", "--out",
             table_run / "out")) == [5]
    assert {p.name
            for p in (table_run / "out").iterdir()} == {
                "isometry-eval.json", "isometry-eval.png", "scree-eval.png", "gram-eval.png"
            }
    main("density", run, "--data", table_run / "test.npy")
    rows = np.genfromtxt(run / "on-test" / "densities.csv", delimiter=",", names=True)["row"]
    np.testing.assert_array_equal(rows, np.arange(50))
    assert counted(main("isometry", run, "--split", "all", "--out", table_run / "all")) == [300]


@pytest.mark.slow
def test_data_that_moved(table_run, main, tmp_path):
    """The evaluation names --data, takes the same examples from the new place, and the training
    goes on there.
    """
    run = tmp_path / "run"
    (table_run / "mine.npy").rename(tmp_path / "moved.npy")
    try:
        shutil.copytree(table_run / "run", run)
        refused = main("isometry", run, check=False)
        assert refused.code != 0
        assert "File not found" in refused.stderr
        assert "give its new place with --data" in refused.stderr
        assert counted(main("isometry", run, "--data", tmp_path / "moved.npy")) == [30]
        assert not (run / "on-moved").exists()
        done = main("toy", "--data", tmp_path / "moved.npy", "--latent_dim", 2, "--epochs", 150,
                    "--batch_size", 30, "--num_eval", 0, "--no-resident", "--strategy",
                    "one_device", "--run_dir", run)
        assert "already trained" in done.stderr
    finally:
        (tmp_path / "moved.npy").rename(table_run / "mine.npy")


def test_numbers_are_said_before_they_are_written(table_run, main, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "isometry.json")

    monkeypatch.setattr(Analysis, "save", full)
    done = main("isometry", table_run / "run", check=False)
    assert counted(done) == [30] and done.code != 0
    assert done.stderr.strip().splitlines(
    )[-1] == "tfisovae isometry: isometry.json: No space left on device."


def test_a_directory_that_cannot_be_written_is_refused_before_anything_is_measured(
        table_run, main, tmp_path):
    (tmp_path / "file").write_text("")
    done = main("isometry", table_run / "run", "--out", tmp_path / "file", check=False)
    assert done.code != 0
    assert "give another directory for the results with --out" in done.stderr
    assert not counted( done)


def test_measuring_again_and_again_warns_of_nothing(caplog):
    """Each measurement traces anew: its variables are others. TensorFlow takes a plain call for a
    mistake from the fifth on.
    """
    def measure(call):
        @tf.function
        def step(x):
            return x + 1

        return call(step, tf.constant(1.0))

    with mock.patch.object(tf.get_logger(), "propagate", True):
        for _ in range(7):
            assert measure(streaming.traced) == 2
        assert not caplog.records
        for _ in range(7):
            measure(lambda step, x: step(x))
        assert "retracing" in caplog.records[0].getMessage()


@pytest.mark.slow
def test_one_example_has_no_correlation_and_no_standard_error(table_run, main):
    main("isometry", table_run / "run", "--num_examples", 1, "--out", table_run / "one")
    saved = json.loads((table_run / "one" / "isometry.json").read_text(),
                       parse_constant=lambda name: pytest.fail(name))
    assert saved["norm_standard_error"] == [None, None
                                            ] and saved["precision_standard_error"] == [None, None]


@pytest.mark.parametrize("said, printed", [
    ("Lower learning_rate, or set clipnorm=1; too large for this lmbda.",
     "Lower --learning_rate, or set --clipnorm 1; too large for this --lmbda."),
    ("Choose another run_dir; nothing has been changed.",
     "Choose another --run_dir; nothing has been changed."),
    ("Give the data in another way: data=mnist.npz, or data=DIRECTORY.",
     "Give the data in another way: --data mnist.npz, or "
     "--data DIRECTORY."),
    ("say which: header='yes' or header='no'.", "say which: --header yes or --header no."),
    ("Standardise it (standardize=True).", "Standardise it (--standardize)."),
    ("/tmp/run_dir/x holds no data; --run_dir is taken",
     "/tmp/run_dir/x holds no data; --run_dir is taken"),
    ("  learning_rate: 0.001 there, 0.01 here", "  --learning_rate: 0.001 there, 0.01 here"),
    ("distortion is missing. Give distortion=.", "distortion is missing. Give distortion=."),
    ('Then give as_autoencoder(..., distortion="bce").', "Then give --distortion bce."),
    ("Give tfisovae.as_autoencoder(..., standardize=True).", "Give --standardize."),
    ("Give as_autoencoder(..., conditional=True).",
     "Give as_autoencoder(..., conditional=True). With --model FILE.py:NAME, NAME may be what "
     "tfisovae.as_autoencoder returns."),
])
def test_arguments_are_printed_as_options(said, printed):
    names = ("learning_rate", "clipnorm", "lmbda", "run_dir", "data", "header", "standardize",
             "distortion", "model")
    assert wording.as_options(said, names) == printed


def test_a_deleted_directory_and_a_name_that_is_not_utf8_are_said(tmp_path, monkeypatch, capsys):
    for argv, word in ((["isometry", "run\udcff"], "UTF-8"), (["--help"], "deleted")):
        if word == "deleted":
            gone = tmp_path / "gone"
            gone.mkdir()
            monkeypatch.chdir(gone)
            gone.rmdir()
        with pytest.raises(SystemExit) as stop:
            command_line.main(argv)
        assert word in str(stop.value.code) and str(stop.value.code).isprintable()
    monkeypatch.chdir(tmp_path)
