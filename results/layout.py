"""How tables are laid out: names of columns, means over seeds."""
import re

import numpy as np

from tfisovae.commands.measuring import name

__all__ = ["by_seed", "mean_and_error", "name", "only"]


def mean_and_error(values, form=".4g"):
    """Text of each column of `[runs, columns]`: mean, and with several runs its standard error."""
    values = np.asarray(values, float)
    if len(values) == 1:
        return [f"{v:{form}}" for v in values[0]]
    return [f"{m:{form}} +- {e:.2g}" for m, e in zip(values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values)))]


def by_seed(directories):
    """Directories whose names differ in an end like "-seed1" alone, together: `{name: [directories]}`, with their number in it."""
    groups = {}
    for directory in directories:
        groups.setdefault(re.sub(r"-seed\d+$", "", name(directory)), []).append(directory)
    return {key + (f", {len(runs)} seeds" if len(runs) > 1 else ""): runs for key, runs in groups.items()}


def only(directories):
    """The one directory of a table that is of one; raises ValueError for more."""
    if len(directories) != 1:
        raise ValueError(f"This table is of one directory; got {len(directories)}.")
    return directories[0]
