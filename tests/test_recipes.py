"""Trainings with a short name."""
import argparse
import importlib

import pytest

from tfisovae.__main__ import parser
from tfisovae.commands import recipes

EVERY = [(command, name) for command, named in recipes.RECIPES.items() for name in named]


def of(command, *argv):
    return vars(recipes.parse(parser(command), list(argv)))


@pytest.mark.parametrize("command, name", EVERY)
def test_a_recipe_is_its_options_typed_out(command, name, capsys):
    settings = recipes.RECIPES[command][name]
    short, long = of(command, "--recipe", name), of(command, *recipes.in_words(settings).split())
    assert {**short, "recipe": "paper"} == long
    assert all(short[option] == value for option, value in settings.items())
    assert not capsys.readouterr().err
    resolve = importlib.import_module(f"tfisovae.commands.{command}").resolve
    configs = [resolve(argparse.Namespace(**options)) for options in (short, long)]
    assert configs[0] == configs[1]  # so that a run goes on by whichever words


@pytest.mark.parametrize("command, name", EVERY)
@pytest.mark.parametrize("before", [True, False])
def test_what_is_given_beside_a_recipe_wins_and_is_said(command, name, before, capsys):
    given = ["--batch_size", "8", "--learning_rate", "0.25", "--clipnorm", "7.0"]
    asked = ["--recipe", name]
    settings = recipes.RECIPES[command][name]
    options = of(command, *(given + asked if before else asked + given))
    assert (options["batch_size"], options["learning_rate"], options["clipnorm"]) == (8, 0.25, 7)
    untouched = set(settings) - {"batch_size", "learning_rate", "clipnorm"}
    assert untouched and all(options[option] == settings[option] for option in untouched)
    said = capsys.readouterr().err
    assert said.startswith(f"--recipe {name} has ") and "--learning_rate 0.25" in said.split("taken is what was given")[1]
    assert not any(f"--{option} " in said for option in untouched)


@pytest.mark.parametrize("command", recipes.RECIPES)
def test_the_default_of_an_option_given_with_a_recipe_wins_as_well(command, capsys):
    papers = of(command)["learning_rate"]
    assert of(command, "--recipe", "fast", "--learning_rate", str(papers))["learning_rate"] == papers
    assert of(command, "--recipe", "fast", "--schedule", "constant")["schedule"] == "constant"
    assert "--schedule cosine" in capsys.readouterr().err
