"""Trainings with a short name: sets of options that were measured to reach a better model in fewer steps than the paper's.

What is given on the command line wins over the recipe, and is said.
"""
import sys

# By command, and name. Measured in results/README.md, "Time to quality".
RECIPES = {
    "celeba": {"fast": {"batch_size": 16, "learning_rate": 1e-3, "schedule": "cosine", "learning_rate_warmup": 1000,
                        "clipnorm": 1.0, "steps": 40_000, "mixed_precision": "auto"}},
    "mnist": {"fast": {"learning_rate": 1e-3, "schedule": "cosine", "learning_rate_warmup": 500, "clipnorm": 1.0, "steps": 12_500}},
    "toy": {"fast": {"schedule": "cosine", "learning_rate": 3e-3, "learning_rate_warmup": 500, "clipnorm": 1.0, "epochs": 100}},
}


def add_argument(p, command):
    """Adds `--recipe` to the options of a training command."""
    p.add_argument("--recipe", choices=("paper", *RECIPES[command]), default="paper",
                   help="; ".join([f"{name}: {in_words(settings)}" for name, settings in RECIPES[command].items()])
                   + "; what is given beside it wins")
    p.set_defaults(command=command)


def in_words(settings):
    """The options of a recipe as they would be typed."""
    return " ".join(f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}" for name, value in settings.items())


def parse(parser, argv):
    """Options of a command line, those of its recipe among them; says which of the recipe's were given otherwise."""
    args = parser.parse_args(argv)
    settings = RECIPES.get(getattr(args, "command", None), {}).get(getattr(args, "recipe", None))
    if settings is None:
        return args
    parser.set_defaults(**settings)
    args = parser.parse_args(argv)
    others = {name: vars(args)[name] for name, value in settings.items() if vars(args)[name] != value}
    if others:
        print(f"--recipe {args.recipe} has {in_words({name: settings[name] for name in others})}; taken is what was given, "
              f"{in_words(others)}.", file=sys.stderr)
    return args
