"""Make a smaller VAE from the important latent dimensions of a run. The result is a run directory
that can be measured like any other.
"""
import argparse
import dataclasses
import os
import typing
from typing import Any

from tfisovae import files
from tfisovae.commands import measuring, options
from tfisovae.commands.training import command_line
from tfisovae.geometry.estimated import LARGEST_EXACT

if typing.TYPE_CHECKING:
    from tfisovae import VAE


EXAMPLES = (
    "tfisovae prune runs/faces --share .99",
    "tfisovae prune runs/faces --count 10 --out runs/small",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    p.add_argument("directory", metavar="RUN", type=os.path.expanduser,
                   help="run directory, as the training commands write it")
    options.in_order(p, "dimensions", "data", "measuring", "output")
    data = options.group(p, "data")
    which = options.group(p, "dimensions").add_mutually_exclusive_group()
    which.add_argument("--active", action="store_true",
                       help="keep the active dimensions. Without an option, this is done")
    which.add_argument(
        "--share", type=float,
        help="keep the fewest dimensions with this share of the total cost of removal, such as .99")
    which.add_argument("--count", type=int, help="keep this many dimensions, by cost of removal")
    which.add_argument("--keep", type=int, nargs="+", metavar="J", help="keep these dimensions")
    data.add_argument("--data", type=os.path.expanduser,
                      help="other data to measure costs on, or the new place of the run's own "
                           "data (default: the run's own)")
    measuring.add_cache_dir(data)
    measuring.add_num_examples(p)
    options.group(p, "output").add_argument(
        "--out", type=os.path.expanduser,
        help="directory for the smaller VAE (default: RUN-pruned)")


def asked(args: argparse.Namespace) -> dict[str, Any]:
    """The `keep` argument of `tfisovae.prune`, from the options."""
    given = next((value for value in (args.share, args.count, args.keep) if value is not None),
                 "active")
    if args.share is not None and not 0 < args.share < 1:
        raise ValueError(f"--share must be above 0 and below 1; got {args.share:g}.")
    measuring.check_at_least_1(count=args.count)
    return given


def write(out: str, directory: str, config: dict[str, Any], vae: "VAE") -> None:
    """Writes a run directory for a pruned VAE, completely or not at all.

    Args:
      out: the new directory.
      directory: the original run.
      config: the manifest of that run.
      vae: `VAE` from `tfisovae.prune`.
    """
    from tfisovae.training import runs

    record = dataclasses.asdict(vae.pruning)
    config = {
        **config, "latent_dim": vae.n,
        "pruned": {"from": directory, "kept": record["kept"].tolist()}
    }
    files.sweep(os.path.dirname(out))
    with files.replacing_directory(out, full=False) as new:
        os.makedirs(new)
        with runs.Run(new, config) as opened:
            opened.save_model(vae)
        files.write_json(os.path.join(new, "pruning.json"), record)


def run(args: argparse.Namespace) -> None:
    keep = asked(args)
    measuring.check_at_least_1(num_examples=args.num_examples)
    out = os.path.abspath(args.out or f"{os.path.abspath(args.directory)}-pruned")
    if os.path.lexists(out):
        raise ValueError(f"{out} exists; it is unchanged. Give another directory with --out.")

    from tfisovae import prune
    from tfisovae.training import batches

    trained = measuring.open_run(args.directory, args.data, args.cache_dir,
                                 out=os.path.dirname(out))
    if args.count is not None and args.count > trained.vae.n:
        raise ValueError(
            f"--count must be at most the {trained.vae.n} latent dimensions; got {args.count}."
        )
    if trained.vae.n > LARGEST_EXACT and not isinstance(keep, (str, list)):
        raise ValueError(
            f"--{'count' if args.share is None else 'share'} needs the cost of removal of each of "
            f"the {trained.vae.n} latent dimensions, each with a decode of every example. Above "
            f"{LARGEST_EXACT} give --active, or --keep with the numbers of the dimensions.")
    examples = batches.evaluation_batches(trained.source.eval)
    made = prune(trained.vae, keep, examples, measuring.num_examples(trained, args.num_examples),
                 progress=True)
    print(made.pruning.sentences(), flush=True)
    write(out, os.path.abspath(args.directory), trained.config, made)
    print(measuring.written(out, "pruning.json", "model"))
    print(f"Measure it: {command_line('isometry', out)}")
