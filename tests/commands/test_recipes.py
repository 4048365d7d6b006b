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
    configs = [
        resolve(argparse.Namespace(**options)) for options in (short, {**long, "recipe": name})
    ]
    assert configs[0] == configs[1]  # so that a run goes on by whichever words


@pytest.mark.parametrize("command", recipes.RECIPES)
@pytest.mark.parametrize("recipe", ["paper", "fast"])
def test_a_manifest_has_options_and_nothing_of_how_they_were_given(command, recipe):
    """Or a run of before this was kept would be another."""
    made = parser(command)
    config = importlib.import_module(f"tfisovae.commands.{command}").resolve(
        recipes.parse(made, ["--recipe", recipe]))
    known = {action.dest for action in made._actions}
    assert set(config) - known <= {"data_kind", "network"
                                   } and not set(config) & set(recipes.BOOKKEEPING)


def test_results_say_what_the_recipes_are(root):
    said = (root / "results" / "quality" / "README.md").read_text()
    for command, name in EVERY:
        assert f"\n{command:<11} {recipes.in_words(recipes.RECIPES[command][name])}\n" in said


@pytest.mark.parametrize("command, name", EVERY)
@pytest.mark.parametrize("before", [True, False])
def test_what_is_given_beside_a_recipe_wins_and_is_said(command, name, before, capsys):
    settings, known = recipes.RECIPES[command][name], of(command)
    others = {"learning_rate": 0.25, "clipnorm": 7.0, "batch_size": 8, "schedule": "constant"}
    others = {option: value for option, value in others.items() if option in known}
    given, asked = [
        text for option, value in others.items() for text in (f"--{option}", str(value))
    ], ["--recipe", name]
    options = of(command, *(given + asked if before else asked + given))
    assert others and all(options[option] == value for option, value in others.items())
    untouched = set(settings) - set(others)
    assert untouched and all(options[option] == settings[option] for option in untouched)
    said = capsys.readouterr().err
    assert said.startswith(f"--recipe {name} has ") and "--schedule constant" in said.split(
        "the given value is used")[1]
    assert not any(f"--{option} " in said for option in untouched)


@pytest.mark.parametrize("command", recipes.RECIPES)
def test_the_default_of_an_option_given_with_a_recipe_wins_as_well(command, capsys):
    papers = of(command)
    for option in {"learning_rate", "epochs", "steps"} & set(papers):
        assert of(command, "--recipe", "fast", f"--{option}",
                  str(papers[option]))[option] == papers[option]
    assert of(command, "--recipe", "fast", "--schedule", "constant")["schedule"] == "constant"
    assert "--schedule cosine" in capsys.readouterr().err


@pytest.mark.parametrize("command, name", EVERY)
def test_parts_of_a_training_keep_their_proportion_to_its_length(command, name, capsys):
    """A warm-up of 1,000 of 20,000 steps is one of 50 of 1,000: said; and not where they are given.
    """
    settings = recipes.RECIPES[command][name]
    length = "epochs" if "epochs" in settings else "steps"
    parts = {part for part in ("learning_rate_warmup", "anneal_steps") if part in settings}
    shorter = of(command, "--recipe", name, f"--{length}", str(settings[length] // 10))
    assert all(shorter[part] == round(settings[part] / 10) for part in parts)
    said = capsys.readouterr().err
    assert ("Scaled accordingly: " in said) == bool(parts) and all(
        f"--{part} {shorter[part]}" in said for part in parts)
    one = of(command, "--recipe", name, f"--{length}", "1")
    assert all(one[part] is None or 1 <= one[part] for part in parts)  # and none in so short a one
    importlib.import_module(f"tfisovae.commands.{command}").resolve(argparse.Namespace(**one))
    capsys.readouterr()
    for one in parts:
        given = of(command, "--recipe", name, f"--{length}", str(settings[length] // 10),
                   f"--{one}", "7")
        assert given[one] == 7 and all(given[part] == round(settings[part] / 10)
                                       for part in parts - {one})
    capsys.readouterr()
    same = of(command, "--recipe", name, f"--{length}", str(settings[length]))
    assert all(same[part] == settings[part] for part in parts) and not capsys.readouterr().err


@pytest.mark.parametrize("command", recipes.RECIPES)
def test_a_recipe_that_does_not_exist_is_refused_with_those_that_do(command, capsys):
    with pytest.raises(SystemExit) as stop:
        of(command, "--recipe", "slow")
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert "invalid choice: 'slow'" in said and all(
        f"'{name}'" in said for name in ("paper", *recipes.RECIPES[command]))
