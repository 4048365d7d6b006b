#!/usr/bin/env python
"""Print what runs measured as Markdown tables, beside the paper's figures."""
import argparse
import csv
import os
import sys

import isometry  # beside this file
import numpy as np

import tfisovae

HEADER = """| | active | norm | E[1 - sigma^2] | cosines | balance | rate (nats) | distortion |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
PAPER = ("| paper, Fig. 4: CelebA, conventional | 26 of 32 | 1.83 +- .13 | - | - | - | - | - |",
         "| paper, Fig. 5: CelebA, decomposed | 32 of 32 | .92 +- .04 | - | - | - | - | - |")


def isometry_table(directories, threshold=0.1):
    """One row for each measured run, over the dimensions whose mean KL exceeds `threshold` nats.

    The norm is given with its deviation between dimensions, as the paper does; cosines are root mean squares over pairs.
    """
    rows = [HEADER, *PAPER]
    for directory in directories:
        a = tfisovae.Analysis.load(os.path.join(directory, "isometry.json"))
        active = np.flatnonzero(a.kl_mean > threshold)
        cosines = a.gram_cosine[np.ix_(active, active)][~np.eye(len(active), dtype=bool)]
        rows.append(f"| ours, {os.path.basename(os.path.normpath(directory))} | {len(active)} of {len(a.active)} | "
                    f"{a.norm_mean[active].mean():.2f} +- {a.norm_mean[active].std():.2f} | "
                    f"{a.one_minus_variance[active].mean():.2f} | {np.sqrt(np.mean(cosines**2)):.2f} | "
                    f"{a.balance[active].mean():.2f} | {a.rate:.2f} | {a.distortion:.4f} |")
    return "\n".join(rows)


def factor_table(directory, rows=12):
    """The factors that the leading dimensions follow, by absolute correlation with the posterior mean."""
    a = tfisovae.Analysis.load(os.path.join(directory, "isometry.json"))
    follows = isometry.factors(directory)
    lines = ["| rank | E[sigma^-2] | norm | factors (correlation) |", "| --- | --- | --- | --- |"]
    lines += [f"| {rank} | {a.precision_mean[j]:.1f} +- {a.precision_standard_error[j]:.1f} | {a.norm_mean[j]:.2f} +- "
              f"{a.norm_std[j]:.2f} | {follows[j] if follows else '-'} |" for rank, j in enumerate(a.ranking[:rows], 1)]
    return "\n".join(lines)


def history_table(directories):
    """The last line of each run's history: where training stood."""
    lines = ["| run | step | rate (nats) | distortion | active |", "| --- | --- | --- | --- | --- |"]
    for directory in directories:
        with open(os.path.join(directory, "history.csv"), newline="") as file:
            *_, last = [{}, *csv.DictReader(file)]
        if not last:
            lines.append(f"| {os.path.basename(os.path.normpath(directory))} | 0 | - | - | - |")
            continue
        lines.append(f"| {os.path.basename(os.path.normpath(directory))} | {last['step']} | {float(last['rate']):.2f} | "
                     f"{float(last['distortion']):.4f} | {float(last['active_dimensions']):.0f} |")
    return "\n".join(lines)


def factor_tables(directories):
    """A `factor_table` for each run."""
    return "\n\n".join(map(factor_table, directories))


TABLES = {"isometry": isometry_table, "factors": factor_tables, "history": history_table}


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("table", choices=tuple(TABLES), help="which table")
    p.add_argument("runs", nargs="+", help="run directories (or published ones in results/)")
    args = p.parse_args(argv)
    try:
        print(TABLES[args.table](args.runs))
    except FileNotFoundError as error:
        sys.exit(f"{p.prog}: {error}; train the run first, and measure it with eval/isometry.py")


if __name__ == "__main__":
    main()
