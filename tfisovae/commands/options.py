"""How the options of a command are grouped, and how its `--help` shows them."""
import argparse
import weakref
from collections.abc import Sequence
from typing import Any

_groups: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()


def group(p: argparse.ArgumentParser, title: str) -> Any:
    """The group of options with this title; a new one if the parser has none."""
    known = _groups.setdefault(p, {})
    if title not in known:
        known[title] = p.add_argument_group(title)
    return known[title]


def in_order(p: argparse.ArgumentParser, *titles: str) -> None:
    """Makes groups, so that the help shows them in this order. It leaves out the empty ones."""
    for title in titles:
        group(p, title)


def examples(lines: Sequence[str]) -> str:
    """The last lines of a help text: commands that a reader can copy."""
    return "\n".join(["examples:", *(f"  {line}" for line in lines)])


class HelpFormatter(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """Shows each default once, and none for options that are off."""

    def _get_help_string(self, action):
        shown = "(default:" in (action.help or "")
        if shown or action.default is None or action.default is False:
            return action.help
        return super()._get_help_string(action)
