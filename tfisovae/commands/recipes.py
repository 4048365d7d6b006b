"""Named training settings: sets of options that reach a better model in fewer steps than the
paper's (measured).

Options on the command line override the recipe, with a message.
"""
import argparse
import sys
from collections.abc import Sequence
from typing import Any

from tfisovae.commands import options

# By command, and name. Measured in results/quality/README.md.
RECIPES = {
    "celeba": {
        "fast": {
            "batch_size": 16, "learning_rate": 2e-3, "schedule": "cosine",
            "learning_rate_warmup": 1000, "clipnorm": 1.0, "anneal_steps": 10_000,
            "standardize_latents": True, "steps": 20_000, "mixed_precision": "auto"
        }
    },
    "mnist": {
        "fast": {
            "learning_rate": 1e-3, "schedule": "cosine", "learning_rate_warmup": 500,
            "clipnorm": 1.0, "standardize_latents": True, "steps": 12_500
        }
    },
    "toy": {
        "fast": {
            "schedule": "cosine", "learning_rate": 3e-3, "learning_rate_warmup": 1000,
            "clipnorm": 1.0, "epochs": 200
        }
    },
    # Its cells get the other options from the toy recipe of the same name.
    "ablation": {"fast": {"schedule": "cosine", "epochs": 100}},
}
_LENGTHS = ("steps", "epochs")
# These scale with the length.
_PARTS = ("learning_rate_warmup", "anneal_steps")
_NOT_GIVEN = object()
BOOKKEEPING = ("run", "command", "given")  # in a command's namespace, but not options


def add_argument(p: argparse.ArgumentParser, command: str) -> None:
    """Adds `--recipe` to the options of a training command."""
    known = "; ".join(f"{name} is {in_words(settings)}"
                      for name, settings in RECIPES[command].items())
    options.group(p, "run").add_argument(
        "--recipe", choices=("paper", *RECIPES[command]), default="paper",
        help=f"a set of options: {known}. Options that you give win")
    p.set_defaults(command=command)


def in_words(settings: dict[str, Any]) -> str:
    """The options of a recipe as command-line text."""
    def typed(name, value):
        if isinstance(value, bool):
            return f"--{name}" if value else f"--no-{name}"
        return f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}"

    return " ".join(typed(name, value) for name, value in settings.items() if value is not None)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """The options of a command line with its recipe; reports overridden ones and why."""
    args = parser.parse_args(argv)
    if not hasattr(args, "recipe"):
        return args
    args.given = ()
    settings = RECIPES[args.command].get(args.recipe)
    if settings is None:
        return args
    parser.set_defaults(**dict.fromkeys(settings, _NOT_GIVEN))
    asked = vars(parser.parse_args(argv))
    given = {name: asked[name] for name in settings if asked[name] is not _NOT_GIVEN}
    shared = proportional(settings, given)
    parser.set_defaults(**{**settings, **shared})
    others = {name: value for name, value in given.items() if value != settings[name]}
    if others:
        said = (
            f"--recipe {args.recipe} has {in_words({name: settings[name] for name in others})}; "
            f"the given value is used: {in_words(others)}.")
        print(
            said + (f" Scaled accordingly: {in_words(shared)}." if any(shared.values()) else ""),
            file=sys.stderr)
    args = parser.parse_args(argv)
    args.given = tuple(given)
    return args


def warmup_within(args: argparse.Namespace, warmup: int | None, steps: int) -> int | None:
    """The warm-up of a training whose length depends on its data. In a shorter training, a recipe's
    warm-up is a tenth.

    Args:
      args: of the command.
      warmup: steps, or `None`.
      steps: of the training.
    """
    chosen = args.recipe == "paper" or "learning_rate_warmup" in args.given
    if chosen or not warmup or warmup < steps:
        return warmup
    print(
        f"--recipe {args.recipe}: of the {steps} steps that these data make, a tenth warm the "
        f"learning rate up, instead of "
        f"{warmup}.", file=sys.stderr)
    return steps // 10 or None


def proportional(settings: dict[str, Any], given: Any) -> dict[str, int | None]:
    """The parts of a training that scale with its length, such as the warm-up, unless they were
    given.
    """
    length = next(name for name in _LENGTHS if name in settings)
    share = given.get(length, settings[length]) / settings[length]
    parts = [name for name in _PARTS if name in settings and name not in given]
    return {name: round(share * settings[name]) or None
            for name in parts} if share != 1 and share > 0 else {}
