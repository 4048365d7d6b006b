"""How tables are laid out: names of columns, means over seeds."""
import os
import re

import numpy as np

from tfisovae import files
from tfisovae.commands.measuring import is_current, name
from tfisovae.training import runs

__all__ = ["by_seed", "cells", "mean_and_error", "measured", "name", "only"]


def mean_and_error(values, form=".4g"):
    """Text of each column of `[runs, columns]`: mean, and with several runs its standard error; of
    those that have a number.
    """
    made = []
    for column in np.asarray(values, float).T:
        known = column[~np.isnan(column)]
        error = f" +- {known.std(ddof=1) / np.sqrt(len(known)):.2g}" if len(known) > 1 else ""
        made.append(f"{known.mean():{form}}{error}" if len(known) else "nan")
    return made


def cells(rows, forms):
    """`mean_and_error` of `[runs, columns]`, each column in its own form; "-" where no run has a
    number.
    """
    return ["-" if text == "nan" else text for column, form in zip(np.asarray(rows, float).T, forms)
            for text in mean_and_error(column[:, None], form)]


def by_seed(directories):
    """Directories that differ in an end like "-seed1" alone, together: pairs of a name, with their
    number in it, and them.
    """
    groups = {}
    for directory in directories:
        groups.setdefault(re.sub(r"-seed\d+$", "", os.path.normpath(directory)),
                          []).append(directory)
    return [(name(key) + (f", {len(runs)} seeds" if len(runs) > 1 else ""), runs)
            for key, runs in groups.items()]


def measured(directory, file="isometry.json"):
    """The `isometry.json` of a run; raises ValueError where it has not been measured since it was
    trained, on its own data.
    """
    config, path, command = runs.load_config(directory), os.path.join(
        directory, file), f"tfisovae isometry {directory}"
    if not os.path.exists(path):
        raise ValueError(f"{directory} has not been measured. Measure it first: {command}")
    found = files.read_json(path, f"Measure again: {command}")
    if not is_current(found, steps=config["steps"]):
        raise ValueError(
            f"{path} is of step {found['steps']} of a training of {config['steps']}. Measure "
            f"again: {command}"
        )
    if not is_current(found, data_fingerprint=config["data_manifest"]["fingerprint"]):
        raise ValueError(
            f"{path} is of other data ({found.get('data')}) than the run's own. Measure again: "
            f"{command}"
        )
    return found


def only(directories):
    """The one directory of a table that is of one; raises ValueError for more."""
    if len(directories) != 1:
        raise ValueError(f"This table is of one directory; got {len(directories)}.")
    return directories[0]
