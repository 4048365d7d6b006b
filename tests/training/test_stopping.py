"""Ctrl-C, SIGTERM, and what a run does then; checkpoints that are damaged; what a directory may
hold.
"""
import json
import os
import shutil
import signal

import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import CONFIG, equal, make_vae, train
from tfisovae import files
from tfisovae.training import batches, checkpoints, devices, loop, runs, stopping


class Send(tf.keras.callbacks.Callback):
    """Sends this process a signal in a step."""

    def __init__(self, signum, step):
        super().__init__()
        self.signum, self.step = signum, step

    def on_train_batch_begin(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.step:
            os.kill(os.getpid(), self.signum)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """A run that was stopped at step 15, with checkpoints of steps 10 and 15; and its whole, and
    the history of that.
    """
    path = tmp_path_factory.mktemp("half")
    with pytest.raises(stopping.Stopped):
        train(path / "run", {"steps": 20}, extra_callbacks=[Send(signal.SIGTERM, 14)])
    return path / "run", train(path / "whole"), (path / "whole" / "history.csv").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("signum, status, at, step", [(signal.SIGINT, 130, 6, 7),
                                                      (signal.SIGTERM, 143, 12, 13),
                                                      (signal.SIGTERM, 143, 14, 15)])
def test_a_signal_ends_a_run_after_the_step_with_a_checkpoint(half, tmp_path, signum, status, at,
                                                              step):
    """In the middle of an interval, and at its end; the run then ends as if it had not been
    stopped, history and all.
    """
    before = signal.getsignal(signum)
    with pytest.raises(
            stopping.Stopped,
            match=rf"at step {step}. The same command resumes from the checkpoint of step") as e:
        train(tmp_path / "run", {"checkpoint_every": 10}, extra_callbacks=[Send(signum, at)])
    assert e.value.status == status and isinstance(e.value, KeyboardInterrupt)
    assert signal.getsignal(signum) is before
    assert runs.trained_step(tmp_path / "run") == step
    assert equal(train(tmp_path / "run", {"checkpoint_every": 10}), half[1])
    assert (tmp_path / "run" / "history.csv").read_text() == half[2]


def test_a_signal_before_the_first_step_leaves_the_run_as_it_was(tmp_path):
    def interrupted():
        os.kill(os.getpid(), signal.SIGTERM)
        return make_vae()

    with refuses(stopping.Stopped) as e:
        train(tmp_path / "run", make=interrupted)
    assert e.value.status == 143 and not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_second_ctrl_c_ends_the_process_at_once(first, capsys):
    """The kernel's own handler takes it, which does not wait for TensorFlow to return."""
    before = signal.getsignal(signal.SIGINT)
    with stopping.watching("run") as watch:
        watch.at_stake = True
        signal.raise_signal(first)
        assert watch.received == first and "stopping. Ctrl-C again" in capsys.readouterr().err
        assert signal.getsignal(signal.SIGINT) == signal.SIG_DFL
        signal.raise_signal(signal.SIGTERM)  # no reason to lose the step
        assert watch.received == first
    assert signal.getsignal(signal.SIGINT) is before


def test_one_of_several_workers_ends_at_the_first_signal():
    """It may wait for the others inside TensorFlow, where no handler of Python runs."""
    with stopping.watching("run", alone=False):
        assert {signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)} == {signal.SIG_DFL}


@pytest.mark.slow
def test_a_signal_in_a_resident_run_waits_for_a_short_call_alone(tmp_path, monkeypatch):
    """An interval of ten steps in calls of four: stopped after the second, it ends as a run that
    was not, history and all.
    """
    monkeypatch.setattr(loop, "_EXAMPLES_OF_A_CALL", 4 * CONFIG["batch_size"])
    config = {"steps": 10, "log_every": 10, "checkpoint_every": 10}
    whole = train(tmp_path / "whole", config, resident=True)
    with refuses(stopping.Stopped):
        train(tmp_path / "run", config, extra_callbacks=[Send(signal.SIGTERM, 4)], resident=True)
    assert equal(train(tmp_path / "run", config, resident=True), whole)
    assert (tmp_path / "run" / "history.csv").read_text() == (tmp_path / "whole"
                                                              / "history.csv").read_text()


@pytest.mark.parametrize("done, length, longest, expected", [(0, 10, 100, [10]),
                                                             (0, 10, 4, [4, 4, 2]),
                                                             (4, 6, 4, [4, 2]), (8, 2, 4, [2]),
                                                             (0, 12, 4, [4, 4, 4]),
                                                             (0, 7, 1, [1] * 7), (5, 5, 4, [3, 2])])
def test_calls_end_where_they_would_without_a_stop(done, length, longest, expected):
    assert batches.call_lengths(done, length, longest) == expected
    assert sum(expected) == length and max(expected) <= longest


def test_a_resident_run_needs_the_strategy_of_one_device(tmp_path):
    one = tf.distribute.MirroredStrategy(["CPU:0"])
    assert one.num_replicas_in_sync == 1 and not devices.keeps_data(one)
    with refuses(ValueError, "strategy"):
        train(tmp_path / "run", strategy=one, resident=True)
    assert devices.keeps_data(devices.make_strategy("one_device"))


@pytest.mark.parametrize(
    "step, damage",
    [(10, lambda p: (p / "ckpt-15.index").unlink()),
     (10, lambda p: os.truncate(p / "ckpt-15.data-00000-of-00001", 999)),
     (10,
      lambda p: shutil.copy(p / "ckpt-10.data-00000-of-00001", p / "ckpt-15.data-00000-of-00001")),
     (10, lambda p: shutil.copy(p / "ckpt-10.json", p / "ckpt-15.json")),
     (15, lambda p: (p / "checkpoint").unlink()), (15, lambda p: (p / "checkpoint").write_text("")),
     (15, lambda p: (p / "ckpt-15.json").unlink()),
     (15, lambda p: (p / "ckpt-15.json").write_text("{")),
     (10, lambda p:
      ((p / "ckpt-15.json").unlink(), os.truncate(p / "ckpt-15.data-00000-of-00001", 999))),
     (10, lambda p:
      ((p / "ckpt-15.json").unlink(), shutil.copy(p / "ckpt-10.index", p / "ckpt-15.index"),
       shutil.copy(p / "ckpt-10.data-00000-of-00001", p / "ckpt-15.data-00000-of-00001")))])
def test_the_newest_whole_checkpoint_is_found(half, tmp_path, step, damage):
    """What is whole says so by its digests, or where these are lost by TensorFlow's own checksums
    and its step.
    """
    shutil.copytree(half[0], tmp_path / "run")
    damage(tmp_path / "run" / "checkpoints")
    assert runs.trained_step(tmp_path / "run") == step


def test_a_damaged_checkpoint_costs_steps_and_nothing_else(half, tmp_path):
    shutil.copytree(half[0], tmp_path / "run")
    (tmp_path / "run" / "checkpoints" / "ckpt-15.index").unlink()
    assert equal(train(tmp_path / "run"), half[1])
    assert (tmp_path / "run" / "history.csv").read_text() == half[2]


def test_without_a_whole_checkpoint_a_run_that_was_trained_is_refused(half, tmp_path):
    """It never begins anew in silence; in a copy whose checkpoints are gone its history says that
    there were some.
    """
    for name, remove in (("all", shutil.rmtree),
                         ("data", lambda p: [f.unlink() for f in p.glob("*.data*")])):
        shutil.copytree(half[0], tmp_path / name)
        remove(tmp_path / name / "checkpoints")
        before = {
            p: p.read_bytes()
            for p in (tmp_path / name).rglob("*") if p.is_file() and p.name != "lock"
        }
        with refuses(runs.RunError):
            train(tmp_path / name)
        assert all(path.read_bytes() == content for path, content in before.items())


@pytest.mark.slow
def test_extending_keeps_the_model_until_the_new_one_is_written(tmp_path):
    train(tmp_path / "run", save=True)
    with pytest.raises(stopping.Stopped):
        train(tmp_path / "run", {"steps": 40}, extra_callbacks=[Send(signal.SIGTERM, 31)],
              save=True)
    assert (tmp_path / "run" / "model" / "saved_model.pb").exists()
    with refuses(runs.RunError):
        runs.load_run(tmp_path / "run")
    longer = train(tmp_path / "run", {"steps": 40}, save=True)
    assert equal(longer, runs.load_run(tmp_path / "run")[1])
    # As an older version left it: a model that does not say of which step it is.
    shutil.rmtree(tmp_path / "run" / "model" / "assets.extra" / "run.json", ignore_errors=True)
    (tmp_path / "run" / "model" / "assets.extra" / "run.json").unlink()
    assert runs.load_run(tmp_path / "run")[0]["steps"] == 40
    runs.Run(tmp_path / "run", {**CONFIG, "steps": 60}).close()
    with refuses(runs.RunError):
        runs.load_run(tmp_path / "run")


def test_a_lost_manifest_is_made_anew_from_a_copy(half, tmp_path, capsys):
    for text in (None, "", "{}", '{"steps": 20'):
        path = tmp_path / repr(text)
        shutil.copytree(half[0], path)
        (path / "config.json").unlink() if text is None else (path / "config.json").write_text(text)
        runs.Run(path, CONFIG).close()
        assert json.loads((path / "config.json").read_text()) == json.loads(
            (half[0] / "config.json").read_text())
        assert "it was restored from a copy" in capsys.readouterr().err
        with refuses(runs.RunError):
            runs.Run(path, {**CONFIG, "seed": 9})


def test_data_that_moved_are_the_same_data(tmp_path):
    """Told by what they are; which are held out is a part of it."""
    manifest = {"fingerprint": "a", "num_train": 9, "num_eval": 1, "held_out": "b"}
    before = {
        **CONFIG, "data": "/old/x.npy", "data_dir": None, "strategy": "auto",
        "data_manifest": manifest
    }
    moved = {**before, "data": "/new/y.npy", "data_dir": "/z", "strategy": "one_device"}
    runs.Run(tmp_path / "run", before).close()
    runs.Run(tmp_path / "run", moved).close()
    assert runs.load_config(tmp_path / "run")["data"] == "/new/y.npy"
    for key in ("fingerprint", "held_out"):
        with refuses(runs.RunError, "y.npy"):
            runs.Run(tmp_path / "run", {**before, "data_manifest": {**manifest, key: "c"}})
    older = {key: value for key, value in manifest.items() if key != "held_out"}
    runs.Run(tmp_path / "older", {**before, "data_manifest": older}).close()
    # Of the same path: what it holds out is then known, too.
    runs.Run(tmp_path / "older", before).close()
    runs.Run(tmp_path / "older", moved).close()


def test_more_steps_of_a_cosine_are_refused_with_the_reason(tmp_path):
    cosine = {**CONFIG, "schedule": "cosine", "schedule_steps": 20}
    runs.Run(tmp_path / "run", cosine).close()
    with refuses(runs.RunError):
        runs.Run(tmp_path / "run", {**cosine, "steps": 40, "schedule_steps": 40})


def test_a_history_of_another_form_is_refused_and_the_remedy_works(half, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(half[0], run)
    text = (run / "history.csv").read_text()
    (run / "history.csv").write_text(text.replace(",", ";"))
    with refuses(files.DamagedFile, "history.csv"):
        train(run)
    with refuses(files.DamagedFile):
        train(run, {"steps": 30})
    assert runs.load_config(run)["steps"] == 20  # nothing has been changed
    (run / "history.csv").rename(tmp_path / "history.csv")
    assert equal(train(run), half[1])


def test_a_damaged_model_is_refused_and_the_remedy_works(tmp_path):
    whole = train(tmp_path / "run", save=True)
    for name in ("variables/variables.index", "variables/variables.data-00000-of-00001",
                 "assets.extra/tfisovae.json"):
        os.truncate(tmp_path / "run" / "model" / name, 50)
        with pytest.raises(
                runs.RunError,
                match=rf"model is damaged \({name} has changed\). Run the training"):
            runs.load_run(tmp_path / "run")
        assert equal(train(tmp_path / "run", save=True), whole)
        assert equal(runs.load_run(tmp_path / "run")[1], whole)


def test_a_damaged_saved_model_is_named(tmp_path):
    """By `tfisovae.load`, wherever the model lies."""
    make_vae().save(tmp_path / "model")
    for name in ("variables/variables.index", "variables/variables.data-00000-of-00001"):
        for damage in (lambda path: os.truncate(path, 50), lambda path: os.truncate(path, 0),
                       os.unlink):
            shutil.copytree(tmp_path / "model", tmp_path / "copy")
            damage(tmp_path / "copy" / name)
            with refuses(files.DamagedFile):
                tfisovae.load(tmp_path / "copy")
            shutil.rmtree(tmp_path / "copy")
    config = tmp_path / "model" / "assets.extra" / "tfisovae.json"
    for text, message in (("{", "is not a complete JSON file"), ("[1]", "it holds a list"),
                          ("{}", "has no encoder, decoder")):
        config.write_text(text)
        with pytest.raises(files.DamagedFile, match=f"tfisovae.json .*{message}"):
            tfisovae.load(tmp_path / "model")


def test_a_checkpoint_is_only_removed_when_a_newer_one_is_whole(tmp_path, monkeypatch):
    """A disk that is full at the third: two are kept, and nothing of the third."""
    variable = tf.Variable(1.0)
    keeper = checkpoints.Keeper(tf.train.Checkpoint(v=variable), tmp_path / "c", {"steps": 9})
    for step in (1, 2):
        keeper.save(step)
    with monkeypatch.context() as patched:
        def full(path, values, digits=7):
            raise OSError(28, "No space left on device")

        patched.setattr(files, "write_json", full)
        with pytest.raises(OSError):
            keeper.save(3)
    assert checkpoints.newest(tmp_path / "c").step in (2, 3)
    assert {1, 2} <= set(checkpoints.steps(tmp_path / "c"))
    keeper.save(4)
    assert checkpoints.steps(tmp_path / "c") == [2, 4]


def test_tensorboard_forgets_what_was_written_after_the_step_gone_on_from(tmp_path):
    with pytest.raises(stopping.Stopped):
        train(tmp_path / "run", {"checkpoint_every": 10},
              extra_callbacks=[Send(signal.SIGTERM, 12)])
    train(tmp_path / "run", {"checkpoint_every": 10})
    restarts = [
        event.step for path in sorted((tmp_path / "run" / "tensorboard").iterdir())
        for event in tf.compat.v1.train.summary_iterator(str(path))
        if event.WhichOneof("what") == "session_log"
    ]
    assert restarts == [1, 14]


def test_why_a_process_ended_is_said():
    """By a signal, what it printed last is no reason."""
    assert stopping.why_it_ended(
        -9, "step 40000/195000  loss 12") == "ended by SIGKILL, perhaps out of memory"
    assert stopping.why_it_ended(-15, "") == "ended by SIGTERM"
    assert stopping.why_it_ended(1, "line\nValueError: why\n") == "ValueError: why"
    assert stopping.why_it_ended(3, "") == "exit status 3"
