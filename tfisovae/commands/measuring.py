"""What the measuring commands share: the run that they measure, its data, and how they refuse."""
import math
import os
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from tfisovae import VAE, sources

NUM_EXAMPLES = "held-out examples to measure, at most (default: 1,000 images, or 10,000 vectors)"


class NotOfThisRun(ValueError):
    """What was asked for does not exist of this run, whose measurement is no failure otherwise."""


class Trained(NamedTuple):
    """A finished run, opened for measurement."""

    directory: str
    config: dict
    vae: "VAE"
    source: "sources.Source"

    @property
    def has_images(self):
        """Whether an example can be drawn as an image."""
        from tfisovae import sources

        return sources.kind_of(self.config) in ("images", "mnist")


def add_arguments(p, run="run directory, as the training commands write it"):
    """The options of every measuring command."""
    p.add_argument("directory", metavar="RUN", help=run)
    p.add_argument("--data", "--source", help="other data to measure on (default: the run's own)")
    p.add_argument("--cache_dir", help="where decoded images are kept (default: ~/.cache/tfisovae)")


def open_run(directory, data=None, cache_dir=None):
    """Loads the model of a run and its data."""
    from tfisovae import sources
    from tfisovae.training import runs

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


def run(args, *reports):
    """Opens a run and prints what each of `reports` makes of it and the options."""
    trained = open_run(args.directory, args.data, args.cache_dir)
    for report in reports:
        print(report(trained, args))


def as_images(x):
    """`[..., H, W, C]` of images, or of the vectors of square images that MNIST has; an array."""
    x = np.asarray(x)
    if x.ndim > 3:
        return x
    side = math.isqrt(x.shape[-1])
    return x.reshape(*x.shape[:-1], side, side, 1)


def name(path):
    """What a title calls data, or a run: the last part of the path."""
    return os.path.basename(os.path.normpath(path))


def written(directory, *names):
    """The files that a command has written, as text."""
    return "Written: " + ", ".join(os.path.join(directory, name) for name in names)
