"""The command that trains a run for twice the steps, made from its manifest."""
import importlib
import json
import pathlib

import pytest

from tfisovae.__main__ import parser
from tfisovae.commands import longer, recipes

ROOT = pathlib.Path(__file__).parents[2]
COMMANDS = ("toy", "mnist", "celeba")
GIVEN = {
    "toy": [[], ["--data", "norm", "--decomposed", "--lmbda", "20", "--epochs", "30"],
            ["--distortion", "mse", "--standardize", "--averaging", "0.99"]],
    "mnist": [[], ["--latent_dim", "8", "--clipnorm", "2.5", "--seed", "3"]],
    "celeba": [[], ["--data", "faces", "--no-output_igdn", "--grayscale", "--steps", "900"],
               ["--network", "celeba_large", "--anneal_steps", "50", "--anneal", "linear"]],
}


def resolved(command, argv):
    args = recipes.parse(parser(command), argv)
    return importlib.import_module(f"tfisovae.commands.{command}").resolve(args)


def cases():
    for command in COMMANDS:
        for recipe in ("paper", *recipes.RECIPES[command]):
            yield from ((command, ["--recipe", recipe, *given]) for given in GIVEN[command])


@pytest.mark.parametrize("command, argv", cases(), ids=lambda value: " ".join(value)
                         if isinstance(value, list) else value)
def test_all_options_are_kept_and_the_length_is_doubled(command, argv):
    config = resolved(command, argv)
    name, *again = longer.arguments(config, "runs/mine")
    assert name == command and again[-2] == "--run_dir" and again[-1].endswith("runs/mine-longer")
    made = resolved(command, again)
    length = "epochs" if command == "toy" else "steps"
    assert made.pop(length) == 2 * config.pop(length)
    kept = {key: value for key, value in config.items() if value != made[key]}
    assert not set(kept) - {"log_every", "checkpoint_every"}  # a run of toy data has them in steps


@pytest.mark.parametrize("path", sorted((ROOT / "results").glob("*/*/config.json")),
                         ids=lambda path: path.parent.name)
def test_published_runs_can_be_trained_for_longer(path):
    config = json.loads(path.read_text())
    name, *again = longer.arguments(config, str(path.parent))
    made = recipes.parse(parser(name), again)
    assert made.lmbda == config["lmbda"] and made.seed == config["seed"]


def test_a_manifest_of_an_unknown_network_gives_no_command():
    assert not longer.arguments({"network": "mine", "steps": 3}, "runs/mine")


def test_how_a_table_was_read_is_kept():
    config = {"network": "toy", "epochs": 3, "data": "mine.csv",
              "data_manifest": {"reading": {"options": {"separator": ";", "columns": ["a", "b"]}}}}
    again = longer.arguments(config, "runs/mine")
    assert again[again.index("--separator") + 1] == ";"
    assert again[again.index("--columns") + 1] == "a,b"
