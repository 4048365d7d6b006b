"""Time to quality: options typed from a manifest make the same run; what is said to be reached is;
bad input.
"""
import copy
import importlib
import json

import numpy as np
import pytest

from results import quality
from tfisovae.__main__ import parser

SMALL = [
    "--data", "faces", "--num_faces", "64", "--latent_dim", "3", "--batch_size", "4", "--num_eval",
    "0", "--image_size", "16"
]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def runs(tmp_path_factory, main, small_networks):
    """A run as the paper trains, and two by the recipe, of 6 and 9 steps; all measured."""
    path = tmp_path_factory.mktemp("runs")
    with small_networks():
        main("celeba", *SMALL, "--steps", 8, "--log_every", 2, "--checkpoint_every", 8,
             "--run_dir", path / "paper")
        for steps in (9, 6):
            main("celeba", "--recipe", "fast", *SMALL, "--steps", steps, "--learning_rate_warmup",
                 3, "--log_every", 3, "--checkpoint_every", 9, "--run_dir",
                 path / f"recipe-{steps}")
    for run in path.iterdir():
        main("isometry", run, "--num_examples", 6, "--gradient_examples", 0)
    return path


@pytest.fixture
def timed(monkeypatch):
    """Two seconds of a step of the paper's, one of the recipe's."""
    monkeypatch.setattr(quality, "seconds_per_step",
                        lambda configs, rounds, data: np.tile([2.0, 1.0], (rounds, 1)))


@pytest.mark.parametrize(
    "command, given",
    [("celeba", ["--recipe", "fast", "--decomposed", "--no-output_igdn", "--data", "faces"]),
     ("celeba", ["--data", "faces"]), ("mnist", ["--recipe", "fast", "--latent_dim", "64"])])
def test_options_typed_from_a_manifest_are_its_run(command, given):
    resolve = importlib.import_module(f"tfisovae.commands.{command}").resolve
    config = resolve(parser(command).parse_args([*given, "--recipe", "paper"]))
    typed = quality.options({"network": command, **config})
    assert resolve(parser(command).parse_args(typed)) == config
    again = resolve(
        parser(command).parse_args(quality.options({"network": command, **config}, steps=77)))
    assert again == {**config, "steps": 77}


def test_the_two_side_by_side(runs, timed, main, tmp_path):
    main("results.quality", "faces", "--paper", runs / "paper", "--recipe", runs / "recipe-9",
         runs / "recipe-6", "--rounds", 2, "--out", tmp_path)
    saved = json.loads((tmp_path / "faces.json").read_text())
    assert [one["steps"] for one in saved["recipe"]] == [6, 9] and saved["paper"]["seconds"] == 16
    for one, name in ((saved["paper"], "paper"), *zip(saved["recipe"], ("recipe-6", "recipe-9"))):
        assert one["loss"] == json.loads((runs / name / "isometry.json").read_text())["loss"]
        assert one["curve"]["step"][-1] == one["steps"]
    picture = (tmp_path / "faces.png").read_bytes()
    main("results.quality", "faces", "--draw", "--out", tmp_path)
    assert (tmp_path / "faces.png").read_bytes() == picture


def test_what_is_reached_is_the_shortest_that_is_as_good(runs, timed, monkeypatch):
    """By the held-out loss, with its share of the steps, the examples and the seconds."""
    losses = {"paper": 100.0, "recipe-6": 101.0, "recipe-9": 99.0}
    plain = quality.read

    def read(directory):
        one = copy.deepcopy(plain(directory))
        return {
            **one, "loss": losses[one["name"]], "batch_size": 2 if one["name"] != "paper" else 4
        }

    monkeypatch.setattr(quality, "read", read)
    recipe = [str(runs / "recipe-9"), str(runs / "recipe-6")]
    assert quality.compare(str(runs / "paper"), recipe)["reached"] == {
        "name": "recipe-9", "steps": 9 / 8, "seconds": 9 / 16, "examples": 9 / 16}
    losses["recipe-6"] = 100.0
    assert quality.compare(str(runs / "paper"), recipe)["reached"]["name"] == "recipe-6"
    losses.update({"recipe-6": 100.1, "recipe-9": 100.1})
    assert quality.compare(str(runs / "paper"), recipe)["reached"] is None


def test_a_curve_is_of_the_final_lmbda(runs, main, small_networks, tmp_path):
    """Annealed, the loss of the history is of another lmbda in each row, and cannot stand beside a
    held-out one.
    """
    with small_networks():
        main("celeba", *SMALL, "--steps", 4, "--log_every", 2, "--checkpoint_every", 4,
             "--anneal_steps", 4, "--run_dir", tmp_path / "a")
    main("isometry", tmp_path / "a", "--num_examples", 6, "--gradient_examples", 0)
    rows = quality.history.read(tmp_path / "a" / "history.csv")
    curve = quality.read(str(tmp_path / "a"))["curve"]["loss"]
    assert curve[0] < 0.5 * float(rows[0]["loss"])
    assert curve == pytest.approx(
        [1000 * float(row["distortion"]) + float(row["rate"]) for row in rows])


def test_seconds_are_those_of_steps(digits_run, monkeypatch):
    """By the clock of the trainings' own rows: neither what a process takes to start, nor one slow
    interval is in them.
    """
    config = quality.runs.load_config(digits_run)
    # 200 steps, a row for each hundred.
    assert len(quality.clock(str(digits_run / "tensorboard"))) == 2
    monkeypatch.setattr(quality, "_EVERY", 2)
    monkeypatch.setattr(quality, "_INTERVALS", 3)
    measured = quality.seconds_per_step([config], 1)
    assert measured.shape == (1, 1) and 0 < measured < 60
    assert config["steps"] == 200  # the run itself is left alone
    monkeypatch.setattr(quality, "clock", lambda directory: [100.0, 101.0, 131.0, 132.0])
    assert quality.seconds_per_step([config], 2).tolist() == [[0.5], [0.5]]


def test_bad_input(runs, main, tmp_path):
    paper = runs / "paper"
    for options, message in ((["--paper", paper], "Both are needed"), (["--draw"], "faces.json"), ([
            "--paper", paper, "--recipe", paper, "--rounds", 0
    ], "--rounds must be at least 1"), (["--paper", tmp_path, "--recipe", paper],
                                         "is not a run directory")):
        done = main("results.quality", "faces", *options, "--out", tmp_path / "out", check=False)
        assert done.code and message in done.stderr
    measured = runs / "recipe-6" / "isometry.json"
    measured.write_text(measured.read_text().replace('"steps": 6', '"steps": 5'))
    done = main("results.quality", "faces", "--paper", paper, "--recipe", runs / "recipe-6",
                "--out", tmp_path, check=False)
    assert done.code and "is of step 5 of a training of 6. Measure again" in done.stderr
    main("isometry", runs / "recipe-9", "--num_examples", 5, "--gradient_examples", 0)
    done = main("results.quality", "faces", "--paper", paper, "--recipe", runs / "recipe-9",
                "--out", tmp_path, check=False)
    assert done.code and "were measured on 5, 6 examples: measure all on as many" in done.stderr
    other = runs / "recipe-9" / "isometry.json"
    whole = other.read_text()
    saved = json.loads(whole)
    other.write_text(json.dumps({**saved, "data_fingerprint": "0" * 64, "data": "/elsewhere"}))
    done = main("results.quality", "faces", "--paper", paper, "--recipe", runs / "recipe-9",
                "--out", tmp_path, check=False)
    assert done.code
    assert "is of other data (/elsewhere) than the run's own. Measure again" in done.stderr
    other.write_text(whole)
    config = runs / "recipe-9" / "config.json"
    config.write_text(config.read_text().replace('"lmbda": 1000.0', '"lmbda": 10.0'))
    done = main("results.quality", "faces", "--paper", paper, "--recipe", runs / "recipe-9",
                "--out", tmp_path, check=False)
    assert done.code and "differ in lmbda: {'lmbda': 1000.0}, {'lmbda': 10.0}" in done.stderr
    config.write_text(config.read_text().replace('"lmbda": 10.0', '"lmbda": 1000.0').replace(
        '"clipnorm": 1.0', '"clipnorm": 2.0'))
    recipe = [runs / "recipe-6", runs / "recipe-9"]
    done = main("results.quality", "faces", "--paper", paper, "--recipe", *recipe, "--out",
                tmp_path, check=False)
    assert done.code and "differ in clipnorm" in done.stderr
    measured.unlink()
    done = main("results.quality", "faces", "--paper", paper, "--recipe", runs / "recipe-6",
                "--out", tmp_path, check=False)
    assert done.code and "Measure it first: tfisovae isometry" in done.stderr
