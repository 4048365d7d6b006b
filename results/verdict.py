"""Simulate the verdict on exactly stationary linear VAEs: results/verdict/false_alarms.json, and a
table of it (NumPy only).
"""
import argparse
import math
import os
import sys

import numpy as np

from tfisovae import files
from tfisovae.verdict import checks
from tfisovae.verdict.tests_of_means import Moments

SHAPES = ("gaussian", "uniform", "laplace", "exponential")
LATENTS = (1, 3, 32, 256)
# N, and simulated dimensions.
SIZES = {100: 150_000, 200: 150_000, 300: 400_000, 1000: 150_000, 10_000: 30_000}
VARIANCES = (0.02, 0.5)  # sigma^2 of a leading and of a weak dimension
DEVIATIONS = (0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4)
_AT_ONCE = 4_000_000  # numbers of one array


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.verdict", description=__doc__,
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("directory", nargs="?", default="runs/verdict",
                   help="where to write; files of these names are replaced")
    p.add_argument("--share", type=float, default=1.0, help="of the simulated data sets")
    return p


def draw(shape, size, rng):
    """Numbers of mean 0 and variance 1, float32."""
    if shape == "gaussian":
        return rng.standard_normal(size, np.float32)
    if shape == "uniform":
        return (rng.random(size, np.float32) - np.float32(0.5)) * np.float32(math.sqrt(12))
    exponential = rng.standard_exponential(size, np.float32)
    if shape == "exponential":
        return exponential - 1
    return exponential * (rng.integers(0, 2, size, np.int8) * 2 - 1) * np.float32(math.sqrt(0.5))


def quantities(shape, variance, num_examples, count, rng, deviation=0.0):
    """mu, mu^2 + sigma^2 and the difference of the balance of `count` dimensions of a linear VAE,
    `[N, count]` each.

    At its optimum (`theory.LinearVAE`) with sigma^2 = `variance`, a source s of variance 1 has mu =
    sqrt(1 - sigma^2) s and eps sigma dD/dz / beta = (1 - sigma^2) eps^2 - sigma sqrt(1 - sigma^2) s
    eps. Each is off by `deviation` where that is not 0: a shift of mu, and factors 1 + deviation of
    mu^2 + sigma^2 and of the balance.
    """
    s, eps = draw(shape, (num_examples, count), rng), rng.standard_normal((num_examples, count),
                                                                          np.float32)
    gain, cross = np.float32(math.sqrt(1 - variance)), np.float32(
        math.sqrt(variance * (1 - variance)))
    mu = gain * s
    work = np.float32(1 - variance) * np.square(eps) - cross * s * eps
    return (mu + np.float32(deviation), np.float32(1 + deviation) *
            (np.square(mu) + np.float32(variance)),
            np.float32(1 + deviation) * work - np.float32(1 - variance))


def moments(values, origin):
    """`Moments` of `[N, count]` by sums of powers, as the metrics make them."""
    values = values - np.float32(origin)
    squares = np.square(values)
    sums = [
        values.sum(0, np.float64),
        squares.sum(0, np.float64),
        np.einsum("ij,ij->j", squares, values, dtype=np.float64)
    ]
    return Moments.from_power_sums(len(values), np.stack(sums), origin)


def p_values(shape, variance, num_examples, count, rng, deviation=0.0):
    """p-values `[3, count]` of the three checks of independent dimensions; 1 where nothing matters,
    or N is too small.
    """
    found = []
    for at in range(0, count, max(1, _AT_ONCE // num_examples)):
        some = min(count - at, max(1, _AT_ONCE // num_examples))
        parts = []
        for values, expected, unit in zip(
                quantities(shape, variance, num_examples, some, rng, deviation), (0, 1, 0),
            (1, 1, 1 - variance)):
            of = moments(values, expected)
            silent = (np.abs(of.mean - expected) <= checks.TOLERANCE * unit) | of.heavy
            parts.append(np.where(silent, 1, of.p_value(expected)))
        found.append(np.stack(parts))
    return np.concatenate(found, 1)


def false_alarms(share=1.0, seed=0):
    """Rows of the chance of any alarm on a stationary VAE of n independent dimensions, 3 n checks,
    with its Monte Carlo error.
    """
    rng, rows = np.random.default_rng(seed), []
    for num_examples, count in SIZES.items():
        count = max(1000, int(share * count))
        for shape in SHAPES:
            for variance in VARIANCES:
                smallest = p_values(shape, variance, num_examples, count, rng).min(0)
                for n in LATENTS:
                    alarms = np.sum(smallest < checks.LEVEL / (3 * n))
                    one = alarms / count
                    rows.append({
                        "num_examples": num_examples, "distribution": shape, "variance": variance,
                        "n": n, "false_alarms": 1 - (1 - one)**n,
                        "error": n * (1 - one)**(n - 1) * math.sqrt(max(alarms, 1)) / count
                    })
    return rows


def detected(share=1.0, seed=1):
    """Rows of the least deviation of one dimension that 90 % of data sets show, for each check;
    `None` beyond the last tried.
    """
    rng, rows = np.random.default_rng(seed), []
    for num_examples in (300, 1000, 10_000):
        for shape in ("gaussian", "exponential"):
            tried = [
                p_values(shape, VARIANCES[0], num_examples, max(200, int(share * 2000)), rng, off)
                for off in DEVIATIONS
            ]
            for n in LATENTS:
                for check, name in enumerate((checks.MEAN, checks.SECOND, checks.BALANCE)):
                    seen = [
                        off for off, p in zip(DEVIATIONS, tried)
                        if np.mean(p[check] < checks.LEVEL / (3 * n)) >= 0.9
                    ]
                    rows.append({
                        "num_examples": num_examples, "distribution": shape, "n": n, "check": name,
                        "deviation": seen[0] if seen else None
                    })
    return rows


def table(alarms, seen):
    """Both as Markdown: the larger of the false alarms over sigma^2, in per cent."""
    lines = [
        "| N | means | " + " | ".join(f"n = {n}" for n in LATENTS) + " |", "| --- " *
        (2 + len(LATENTS)) + "|"
    ]
    for size in SIZES:
        for shape in SHAPES:
            cells = []
            for n in LATENTS:
                worst = max((r for r in alarms
                             if (r["num_examples"], r["distribution"], r["n"]) == (size, shape, n)),
                            key=lambda r: r["false_alarms"])
                cells.append(f"{100 * worst['false_alarms']:.2f} +- {100 * worst['error']:.2f}")
            lines.append(f"| {size} | {shape} | " + " | ".join(cells) + " |")
    lines += [
        "", "| N | means | n | " + " | ".join((checks.MEAN, checks.SECOND, checks.BALANCE)) + " |",
        "| --- " * 6 + "|"
    ]
    for row in seen[::3]:
        key = (row["num_examples"], row["distribution"], row["n"])
        cells = [
            r["deviation"] for r in seen if (r["num_examples"], r["distribution"], r["n"]) == key
        ]
        lines.append("| " + " | ".join(map(str, key)) + " | "
                     + " | ".join(f"above {DEVIATIONS[-1]}" if c is None else f"{c:g}"
                                  for c in cells) + " |")
    return "\n".join(lines)


def main(argv=None):
    args = parser().parse_args(argv)
    if not 0 < args.share <= 100:
        sys.exit(f"{parser().prog}: --share must be positive; got {args.share}.")
    try:
        os.makedirs(args.directory, exist_ok=True)
        alarms, seen = false_alarms(args.share), detected(args.share)
        values = {
            "level": checks.LEVEL, "tolerance": checks.TOLERANCE,
            "min_examples": checks.MIN_EXAMPLES, "false_alarms": alarms, "detected": seen
        }
        files.write_json(os.path.join(args.directory, "false_alarms.json"), values)
    except OSError as error:
        sys.exit(f"{parser().prog}: {error}")
    print(table(alarms, seen))


if __name__ == "__main__":
    main()
