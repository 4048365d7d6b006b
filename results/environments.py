"""Compare trainings of one recipe in two environments, seed by seed: do their numbers differ?

    python -m results.environments runs/new-toy-0 runs/new-toy-1 runs/new-toy-2 \\
        --against results/toy/recipe-sse-seed0 results/toy/recipe-sse-seed1 \\
        results/toy/recipe-sse-seed2 --out results/toy/environments.json
"""
import argparse
import os
import sys

import numpy as np
import scipy.stats

from tfisovae import files

NUMBERS = ("loss", "rate", "distortion", "isometric_norm", "gram_off_diagonal_cosine",
           "posterior_balance")


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.environments", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", nargs="+", help="measured runs of one environment, of several seeds")
    p.add_argument("--against", nargs="+", required=True,
                   help="measured runs of the other environment")
    p.add_argument("--out", default="results/toy/environments.json", help="file to write")
    return p


def numbers(run):
    """The numbers of a measured run: scalars, and E[sigma^-2] in descending order."""
    saved = files.read_json(os.path.join(run, "isometry.json"))
    precision = sorted(saved["precision_mean"], reverse=True)
    return {**{name: saved[name] for name in NUMBERS},
            **{f"precision_{j}": value for j, value in enumerate(precision)}}


def compared(runs, others):
    """Each number of both sides, `[seeds]`, and the p-value of Welch's t-test that their means are
    the same.
    """
    sides = [[numbers(run) for run in side] for side in (runs, others)]
    made = {}
    for name in sides[0][0]:
        one, other = ([row[name] for row in side] for side in sides)
        test = scipy.stats.ttest_ind(one, other, equal_var=False)
        made[name] = {"here": one, "there": other, "p_value": float(test.pvalue)}
    return made


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        versions = [files.read_json(os.path.join(side[0], "config.json"))["versions"]
                    for side in (args.runs, args.against)]
        found = compared(args.runs, args.against)
        files.write_json(args.out, {"here": versions[0], "there": versions[1], "numbers": found})
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"python -m results.environments: {error}")
    for name, row in found.items():
        print(f"{name:<25} {np.mean(row['here']):.5g} and {np.mean(row['there']):.5g}, p = "
              f"{row['p_value']:.2f}")


if __name__ == "__main__":
    main()
