"""Train the VAE of App. D.1 on the toy data of section 4.1, or on your own table of numbers."""
import argparse
import os
import sys
import typing
from typing import Any

from tfisovae.commands import choices, options, recipes, training

if typing.TYPE_CHECKING:
    import tensorflow as tf

    from tfisovae.sources import Source

_READING = ("header", "separator", "decimal", "columns", "drop_index")  # options of tables
NUM_EXAMPLES = 50_000  # of toy data
_STEPS_OF_A_CALL = 2000  # smallest interval of the history: Keras needs about 20 ms per call


EXAMPLES = (
    "tfisovae toy --recipe fast --run_dir runs/toy",
    "tfisovae toy --data mine.csv --standardize --latent_dim 5",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options. The defaults are the paper's settings."""
    training.add_arguments(p, "toy", lmbda=100.0, batch_size=128)
    data, model, run = (options.group(p, title) for title in ("data", "model and loss", "run"))
    data.add_argument("--data", "--source", type=os.path.expanduser, default="mix",
                      help="mix, ramp, norm, or a table [N, m]: .csv, .parquet, .npy or .npz")
    data.add_argument("--num_examples", type=int, default=NUM_EXAMPLES,
                      help="toy examples to train on")
    data.add_argument("--standardize", action="store_true",
                      help="bring each column of a table to mean 0 and deviation 1")
    data.add_argument("--header", choices=("auto", "yes", "no"), default="auto",
                      help="does the first line of a table name its columns?")
    data.add_argument(
        "--separator",
        help="between the columns of a table: a character, tab, or whitespace (default: detected)")
    data.add_argument("--decimal", help="decimal point of a table, '.' or ',' (default: detected)")
    data.add_argument(
        "--columns",
        help="columns of a table to take, by name or by number from 0: a,b,c (default: all)")
    data.add_argument(
        "--drop_index", choices=("auto", "yes", "no"), default="auto",
        help="leave out a first column that numbers the rows; auto: if it has no name")
    model.add_argument("--distortion",
                       choices=("sse", "mse", "downward_convex", "upward_convex"), default="sse",
                       help="distortion to train")
    model.add_argument("--latent_dim", type=int, default=3, help="latent dimensions")
    options.group(p, "training").add_argument("--epochs", type=int, default=500,
                                              help="passes over the training data")
    run.add_argument(
        "--log_every", type=int,
        help="epochs between lines of history.csv (default: as many as make 2,000 steps)")
    run.add_argument("--checkpoint_every", type=int,
                     help="epochs between checkpoints (default: 10 lines of history.csv)")
    options.group(p, "machine").add_argument(
        "--resident", action=argparse.BooleanOptionalAction, default=True,
        help="keep the data on the device, and compile many steps into one call")
    options.group(p, "measuring").add_argument(
        "--num_eval", type=int,
        help="held-out examples to measure at the end; 0: none (default: all)")


def resolve(args: argparse.Namespace) -> dict[str, Any]:
    """The configuration of a run, except for values that depend on the size of the data."""
    config = training.resolve(args, ("epochs", "num_examples"))
    for name in ("resident", *_READING):  # how a table was read is in the manifest of the data
        config.pop(name)
    config.update(network="toy", data_kind="vectors",
                  data=args.data if args.data in choices.TOYS else os.path.abspath(args.data))
    return config


def reading(args: argparse.Namespace) -> dict[str, Any] | None:
    """The given options of `sources.load_table`, or `None`."""
    options = {
        name: getattr(args, name)
        for name in _READING if getattr(args, name) not in (None, "auto")
    }
    if "columns" in options:
        options["columns"] = options["columns"].split(",")
    return options or None


def prepare(args: argparse.Namespace) -> tuple[dict[str, Any], "Source", str, bool]:
    """The configuration, the data, the default directory of a run, and whether the data stay on the
    device.
    """
    from tfisovae import sources

    config = resolve(args)
    source = sources.load_vectors(args.data, args.num_examples, args.seed, args.standardize,
                                  reading(args))
    inputs = source.train.shape[1]
    if args.data not in choices.TOYS and args.num_examples != NUM_EXAMPLES:
        print(
            f"--num_examples applies to toy data: all {len(source.train) + len(source.eval)} rows "
            f"of {args.data} are used.",
            file=sys.stderr)
    if args.latent_dim > inputs:
        raise ValueError(
            f"--latent_dim must be at most the {inputs} columns of the data; got {args.latent_dim}."
        )
    for name in ("log_every", "checkpoint_every"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f"--{name} must be at least 1 epoch; got {getattr(args, name)}.")
    # Intervals are given in epochs, and kept in steps.
    epoch = max(1, len(source.train) // args.batch_size)
    log_every = args.log_every or -(-_STEPS_OF_A_CALL // epoch)
    checkpoint_every = args.checkpoint_every or 10 * log_every
    training.check_intervals({"log_every": log_every, "checkpoint_every": checkpoint_every},
                             " epochs")
    steps = args.epochs * epoch
    config["learning_rate_warmup"] = recipes.warmup_within(args, config["learning_rate_warmup"],
                                                           steps)
    config.update(steps=steps, log_every=log_every * epoch,
                  checkpoint_every=checkpoint_every * epoch, input_dim=inputs)
    name = os.path.splitext(os.path.basename(args.data))[0]
    loss = "-decomposed" if args.decomposed else ""
    run_dir = f"runs/toy-{name}-{args.distortion}-lmbda{args.lmbda:g}{loss}-seed{args.seed}"
    return config, source, run_dir, args.resident


def networks(config: dict[str, Any]) -> tuple["tf.keras.Model", "tf.keras.Model"]:
    """Encoder and decoder of a configuration."""
    from tfisovae import networks

    return networks.toy(config["latent_dim"], config["input_dim"])


def run(args: argparse.Namespace) -> None:
    training.run(args, prepare, networks)
