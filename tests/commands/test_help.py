"""The `--help` of every command: defaults, groups of options, and examples."""
import importlib
import re
import shlex

import pytest

from tfisovae import commands
from tfisovae.__main__ import parser
from tfisovae.commands import recipes

every_command = pytest.mark.parametrize("name", commands.SUMMARIES)


def options_of(name):
    """The options of a command but for --help, and the text of each."""
    made = parser(name)
    return {action.dest: " ".join(made._get_formatter()._expand_help(action).split())
            for action in made._actions if action.option_strings and action.dest != "help"}


@every_command
def test_every_default_is_shown_once(name):
    made = parser(name)
    for option, text in options_of(name).items():
        assert text and "default: None" not in text and text.count("default:") <= 1, option
        default = made.get_default(option)
        if isinstance(default, (str, float, int)) and default is not False:
            assert f"(default: {default})" in text, option


@every_command
def test_many_options_are_in_groups(name):
    made = parser(name)
    groups = [group for group in made._action_groups[2:] if group._group_actions]
    assert len(options_of(name)) <= 8 or len(groups) >= 2
    loose = {action.dest for action in made._action_groups[1]._group_actions}
    assert not groups or loose == {"help"}
    assert all(len(group._group_actions) <= 10 for group in groups)


@every_command
def test_the_help_ends_with_two_examples_that_the_command_takes(name):
    text = parser(name).format_help()
    *_, shown = text.partition("\nexamples:\n")
    lines = re.findall(r"^  tfisovae .*$", shown, re.M)
    assert len(lines) == 2 and shown.splitlines() == lines
    assert all(len(line) <= 100 for line in text.splitlines() if line in lines)
    module = importlib.import_module(f"tfisovae.commands.{name}")
    for line in lines:
        program, command, *asked = shlex.split(line)
        assert command == name
        args = recipes.parse(parser(name), asked)
        if hasattr(module, "resolve"):
            module.resolve(args)
