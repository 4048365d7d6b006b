"""The table of odd inputs: how well each score tells a digit that was never shown from the others.
"""
import os

import numpy as np

from results import layout, odd
from tfisovae import files


def odd_table(directories):
    """Areas under the ROC curve: their mean over the digits with its standard error, and
    the area of each digit left out.
    """
    saved = files.read_json(os.path.join(layout.only(directories), "odd.json"))
    digits = [entry["digit"] for entry in saved["digits"]]
    lines = [
        f"| score | mean | {' | '.join(f'without {digit}' for digit in digits)} |", "| --- " *
        (2 + len(digits)) + "|"
    ]
    for name, values in odd.by_score(saved).items():
        error = f" +- {values.std(ddof=1) / np.sqrt(len(values)):.3f}" if len(values) > 1 else ""
        lines.append(
            f"| {odd.words(name)} | {values.mean():.3f}{error} | "
            f"{' | '.join(f'{value:.3f}' for value in values)} |"
        )
    return "\n".join(lines)
