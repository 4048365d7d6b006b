"""How tables are laid out: names of columns, means over seeds."""
import numpy as np

from tfisovae.commands.measuring import name

__all__ = ["mean_and_error", "name", "only"]


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
