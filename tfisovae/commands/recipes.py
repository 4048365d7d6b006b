"""Trainings with a short name: sets of options that were measured to reach a better model in fewer
steps than the paper's.

What is given on the command line wins over the recipe, and is said.
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
    # Whose cells have the other options by the toy's of the same name.
    "ablation": {"fast": {"schedule": "cosine", "epochs": 100}},
}
_LENGTHS = ("steps", "epochs")
# Of a length, which they keep their proportion to.
_PARTS = ("learning_rate_warmup", "anneal_steps")
_NOT_GIVEN = object()
BOOKKEEPING = ("run", "command", "given")  # in the namespace of a command, and no options


def add_argument(p: argparse.ArgumentParser, command: str) -> None:
    """Adds `--recipe` to the options of a training command."""
    known = "; ".join(f"{name} is {in_words(settings)}"
                      for name, settings in RECIPES[command].items())
    options.group(p, "run").add_argument(
        "--recipe", choices=("paper", *RECIPES[command]), default="paper",
        help=f"a set of options: {known}. Options that you give win")
    p.set_defaults(command=command)


def in_words(settings: dict[str, Any]) -> str:
    """The options of a recipe as they would be typed."""
    def typed(name, value):
        if isinstance(value, bool):
            return f"--{name}" if value else f"--no-{name}"
        return f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}"

    return " ".join(typed(name, value) for name, value in settings.items() if value is not None)


def parse(parser: argparse.ArgumentParser, argv: Sequence[str]) -> argparse.Namespace:
    """Options of a command line, those of its recipe among them; says which of the recipe's are
    others, and why.
    """
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
            f"taken is what was given, "
            f"{in_words(others)}.")
        print(
            said + (f" In proportion to that: {in_words(shared)}." if any(shared.values()) else ""),
            file=sys.stderr)
    args = parser.parse_args(argv)
    args.given = tuple(given)
    return args


def warmup_within(args: argparse.Namespace, warmup: int | None, steps: int) -> int | None:
    """The warm-up of a training whose length was not known before its data: that of a recipe is a
    tenth of one that is shorter.

    Args:
      args: of the command. warmup: steps, or `None`. steps: of the training.
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
    """The parts of a training, such as its warm-up, of another length than the recipe's: those that
    were not given.
    """
    length = next(name for name in _LENGTHS if name in settings)
    share = given.get(length, settings[length]) / settings[length]
    parts = [name for name in _PARTS if name in settings and name not in given]
    return {name: round(share * settings[name]) or None
            for name in parts} if share != 1 and share > 0 else {}
