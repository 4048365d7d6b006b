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


@pytest.mark.parametrize("command, name", EVERY)
def test_parts_of_a_training_keep_their_proportion_to_its_length(command, name, capsys):
    """A warm-up of 1,000 of 20,000 steps is one of 50 of 1,000: said; and not where they are given."""
    settings = recipes.RECIPES[command][name]
    length = "epochs" if "epochs" in settings else "steps"
    parts = {part for part in ("learning_rate_warmup", "anneal_steps") if part in settings}
    shorter = of(command, "--recipe", name, f"--{length}", str(settings[length] // 10))
    assert parts and all(shorter[part] == round(settings[part] / 10) for part in parts)
    said = capsys.readouterr().err
    assert "In proportion to that: " in said and all(f"--{part} {shorter[part]}" in said for part in parts)
    one = of(command, "--recipe", name, f"--{length}", "1")
    assert all(one[part] >= 1 for part in parts)
    capsys.readouterr()
    given = of(command, "--recipe", name, f"--{length}", str(settings[length] // 10), "--learning_rate_warmup", "7")
    assert given["learning_rate_warmup"] == 7
    assert all(given[part] == round(settings[part] / 10) for part in parts - {"learning_rate_warmup"})
    capsys.readouterr()
    same = of(command, "--recipe", name, f"--{length}", str(settings[length]))
    assert all(same[part] == settings[part] for part in parts) and not capsys.readouterr().err


@pytest.mark.parametrize("command", recipes.RECIPES)
def test_a_recipe_that_does_not_exist_is_refused_with_those_that_do(command, capsys):
    with pytest.raises(SystemExit) as stop:
        of(command, "--recipe", "slow")
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "invalid choice: 'slow'" in said and all(f"'{name}'" in said for name in ("paper", *recipes.RECIPES[command]))
