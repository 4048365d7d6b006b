"""What the evaluation scripts share: the run that they measure, its data, and how they refuse."""
import argparse
import math
import os
import sys
from typing import NamedTuple

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a dozen lines at every start; what goes wrong is raised

from tfisovae import VAE, runs, sources

IMAGE_NETWORKS = ("celeba", "celeba_large", "mnist")
NUM_EXAMPLES = "held-out examples to measure, at most (default: 1,000 images, or 10,000 vectors)"


class NotOfThisRun(runs.RunError):
    """What was asked for does not exist of this run, whose measurement is no failure otherwise."""


class Trained(NamedTuple):
    """A finished run, opened for measurement."""

    directory: str
    config: dict
    vae: VAE
    source: sources.Source


def parser(description, run="run directory, as train/*.py write it"):
    """The options of every evaluation script."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("run", help=run)
    p.add_argument("--data", help="other data to measure on (default: the run's own)")
    p.add_argument("--cache_dir", help="where decoded images are kept (default: ~/.cache/tfisovae)")
    return p


def open_run(directory, data=None, cache_dir=None):
    """Loads the model of a run and its data."""
    config, vae = runs.load_run(directory)
    source = sources.of_run(config, data, cache_dir)
    trained_on, given = vae.encoder.input_shape[1:], source.eval.shape[1:]
    if given != trained_on:
        raise ValueError(f"--data {data} has examples of the shape {list(given)}; {directory} was trained on {list(trained_on)}.")
    return Trained(directory, config, vae, source)


def check_at_least_1(**counts):
    """Raises ValueError for options, by name, that count something and are below 1; `None` is an option not given."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"--{name} must be at least 1; got {count}.")


def num_examples(trained, asked=None):
    """How many held-out examples to measure: those asked for, as far as there are so many.

    Raises:
      ValueError: if it is less than 1.
    """
    if asked is None:
        asked = 1_000 if len(trained.source.eval.shape) == 4 else 10_000
    check_at_least_1(num_examples=asked)
    return min(asked, len(trained.source.eval))


def run(parser, argv, *reports):
    """Opens a run and prints what each of `reports` makes of it and the options; what makes no sense ends in one plain line."""
    args = parser.parse_args(argv)
    try:
        trained = open_run(args.run, args.data, args.cache_dir)
        for report in reports:
            print(report(trained, args))
    except (ValueError, OSError, NotImplementedError, runs.RunError) as error:
        sys.exit(f"{parser.prog}: {error}")


def as_images(x):
    """`[..., H, W, C]` of images, or of the vectors of square images that MNIST has; an array."""
    x = np.asarray(x)
    if x.ndim > 3:
        return x
    side = math.isqrt(x.shape[-1])
    return x.reshape(*x.shape[:-1], side, side, 1)


def load_json(directory, name):
    return runs.read_json(os.path.join(directory, name))


def name(path):
    """What a table calls a run, and a title its data: the last part of the path."""
    return os.path.basename(os.path.normpath(path))


def mean_and_error(values):
    """Text of each column of `[runs, columns]`: mean, and with several runs its standard error."""
    values = np.asarray(values, float)
    if len(values) == 1:
        return [f"{v:.4g}" for v in values[0]]
    return [f"{m:.4g} +- {e:.2g}" for m, e in zip(values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values)))]


def only(directories):
    """The one directory of a table that is of one; raises ValueError for more."""
    if len(directories) != 1:
        raise ValueError(f"This table is of one directory; got {len(directories)}.")
    return directories[0]


def written(directory, *names):
    return "Written: " + ", ".join(os.path.join(directory, name) for name in names)
