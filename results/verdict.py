"""Simulate the tests of the verdict on exactly stationary linear VAEs:
results/verdict/false_alarms.json, and tables of it (NumPy only).
"""
import argparse
import math
import os
import sys

import numpy as np

from tfisovae import files
from tfisovae.verdict import checks
from tfisovae.verdict.tests_of_means import Moments, mean_gradient

SHAPES = ("gaussian", "uniform", "laplace", "exponential", "sparse", "t3", "log-normal", "binary")
LATENTS = (1, 4, 32, 256)
# N, and simulated dimensions.
SIZES = {100: 150_000, 200: 150_000, 300: 400_000, 1000: 150_000, 10_000: 30_000}
VARIANCES = (0.02, 0.5)  # sigma^2 of a leading and of a weak dimension
DEVIATIONS = (0.03, 0.04, 0.05, 0.06, 0.08, 0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4)
# Data of four features for the mean gradient, and how many data sets are simulated at each N.
FEATURES = ("gaussian", "t3", "log-normal", "binary", "one binary")
GRADIENTS = {4096: 400, 50_176: 100}
_RARE = 0.01  # how often a sparse or binary value is not 0
_NUM_BLOCKS, BETA = 256, 0.1
# Deviations of the mean of Gaussian gradients of so many weights, in units of its noise.
_WEIGHTS, _STRENGTHS = (20, 400), (0.0, 3.5, 4.5, 6.0)
_AT_ONCE = 1_000_000  # numbers of one array


def parser(name="verdict", description=__doc__):
    """The options of a module of results/ that simulates."""
    p = argparse.ArgumentParser(prog=f"python -m results.{name}", description=description,
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("directory", nargs="?", default="runs/verdict",
                   help="where to write; files of these names are replaced")
    p.add_argument("--share", type=float, default=1.0, help="of the simulated data sets")
    return p


def draw(shape, size, rng):
    """Numbers of mean 0 and variance 1, float32.

    "sparse" is Gaussian in 1 % of the examples and 0 in the others; "binary" is 0 or 1, 1 in 1 %,
    standardised; "t3" is Student's t with 3 degrees.
    """
    if shape == "gaussian":
        return rng.standard_normal(size, np.float32)
    if shape == "uniform":
        return (rng.random(size, np.float32) - np.float32(0.5)) * np.float32(math.sqrt(12))
    if shape == "sparse":
        return rng.standard_normal(size, np.float32) * (
            rng.random(size, np.float32) < _RARE) / np.float32(math.sqrt(_RARE))
    if shape == "binary":
        return ((rng.random(size, np.float32) < _RARE) - np.float32(_RARE)) / np.float32(
            math.sqrt(_RARE * (1 - _RARE)))
    if shape == "t3":
        return np.float32(rng.standard_t(3, size) / math.sqrt(3))
    if shape == "log-normal":
        return np.float32((np.exp(rng.standard_normal(size)) - math.exp(0.5))
                          / math.sqrt((math.e - 1) * math.e))
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
    pairs = ((values, np.ones_like(values)), (values, values), (squares, values),
             (squares, squares))
    sums = [np.einsum("ij,ij->j", one, other, dtype=np.float64) for one, other in pairs]
    return Moments.from_power_sums(len(values), np.stack(sums), origin)


def tested(shape, variance, num_examples, count, rng, deviation=0.0):
    """p-values `[3, count]` of the three checks of independent dimensions, 1 where a deviation does
    not matter or is not decided; and which are not decided, `[3, count]`.
    """
    found = []
    for at in range(0, count, max(1, _AT_ONCE // num_examples)):
        some = min(count - at, max(1, _AT_ONCE // num_examples))
        parts = quantities(shape, variance, num_examples, some, rng, deviation)
        measured = checks.Stationarity(
            *(moments(values, origin) for values, origin in zip(parts, (0, 1, 0))),
            np.full(some, 1 - variance), np.full(some, True))
        made = checks.checks(measured)
        p = [check.p_value if check.matters and check.decided else 1.0 for check in made]
        undecided = [not check.decided for check in made]
        found.append(np.array([p, undecided]).reshape(2, 3, some))
    p, undecided = np.concatenate(found, 2)
    return p, undecided > 0


def false_alarms(share=1.0, seed=0):
    """Rows of the chance of any alarm on a stationary VAE of n independent dimensions, 3 n checks,
    with its Monte Carlo error; and the chance that any check is not decided.
    """
    rng, rows = np.random.default_rng(seed), []
    for num_examples, count in SIZES.items():
        count = max(1000, int(share * count))
        for shape in SHAPES:
            for variance in VARIANCES:
                p, undecided = tested(shape, variance, num_examples, count, rng)
                for n in LATENTS:
                    alarms = np.sum(p.min(0) < checks.LEVEL / (3 * n))
                    one = alarms / count
                    rows.append({
                        "num_examples": num_examples, "distribution": shape, "variance": variance,
                        "n": n, "false_alarms": 1 - (1 - one)**n,
                        "error": n * (1 - one)**(n - 1) * math.sqrt(max(alarms, 1)) / count,
                        "undecided": 1 - (1 - float(undecided.any(0).mean()))**n
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
                tested(shape, VARIANCES[0], num_examples, max(200, int(share * 2000)), rng, off)[0]
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


def features(kind, num_examples, rng):
    """Four independent features of mean 0 and variance 1, `[N, 4]`; of "one binary" the other three
    are Gaussian.
    """
    x = draw("binary" if kind == "one binary" else kind, (num_examples, 4), rng)
    if kind == "one binary":
        x[:, 1:] = draw("gaussian", (num_examples, 3), rng)
    return x.astype(np.float64)


def gradients(x, rng):
    """Gradients of |x - x_hat|^2 / beta + KL over the weights and biases of the optimal linear VAE
    of features of variance 1, of each example `[N, 4]`: `[N, 60]`.
    """
    h = BETA / 2
    gain, variance = math.sqrt(1 - h), h
    mu, eps = gain * x, rng.standard_normal(x.shape)
    z = mu + math.sqrt(variance) * eps
    by_output = 2 / BETA * (gain * z - x)
    by_sample = gain * by_output
    by_mean = by_sample + mu
    by_log_variance = (math.sqrt(variance) * eps * by_sample + variance - 1) / 2

    return by_weights(x, z, by_output, by_mean, by_log_variance)


def by_weights(x, z, by_output, by_mean, by_log_variance):
    """Gradients over the weights and biases of a linear VAE, from those over what its layers give,
    of each example: `[N, 60]` for four features.
    """
    def weights(outer, inner):
        return (outer[:, :, None] * inner[:, None]).reshape(len(x), -1)

    return np.concatenate([weights(by_output, z), by_output, weights(by_mean, x), by_mean,
                           weights(by_log_variance, x), by_log_variance], 1)


def gradient_alarms(share=1.0, seed=2):
    """Rows of how often the mean gradient of a stationary VAE is found not to be 0, at the whole
    level and at half of it, and how often that is not decided.
    """
    rng, rows = np.random.default_rng(seed), []
    for num_examples, count in GRADIENTS.items():
        count = max(20, int(share * count))
        for kind in FEATURES:
            found = []
            for _ in range(count):
                per_example = gradients(features(kind, num_examples, rng), rng)
                blocks = per_example.reshape(_NUM_BLOCKS, -1, per_example.shape[1]).mean(1)
                found.append(_judged(blocks, num_examples))
            rows.append({"num_examples": num_examples, "data": kind, "data_sets": count}
                        | _rates(found))
    return rows


def gradient_detected(share=1.0, seed=3):
    """Rows of the same for Gaussian gradients with a mean off 0: N |E[g]|^2 over the variance of a
    component is `strength` times sqrt(2 * weights), its deviation where the mean is 0.
    """
    rng, rows, count = np.random.default_rng(seed), [], max(20, int(share * 200))
    for weights in _WEIGHTS:
        for strength in _STRENGTHS:
            found = []
            for _ in range(count):
                found.append(_judged(shifted_blocks(weights, strength, rng), 4096))
            rows.append({"weights": weights, "strength": strength, "data_sets": count}
                        | _rates(found))
    return rows


def shifted_blocks(weights, strength, rng):
    """Means of blocks of Gaussian gradients, `[256, weights]`, as `gradient_detected` says."""
    mean = rng.standard_normal(weights)
    mean *= math.sqrt(strength * math.sqrt(2 * weights) / _NUM_BLOCKS / (mean @ mean))
    return rng.standard_normal((_NUM_BLOCKS, weights)) + mean


def _judged(blocks, num_examples):
    found = mean_gradient(blocks @ blocks.T, num_examples)
    return found.p_value, found.heavy


def _rates(found):
    p, heavy = np.array(found).T
    return {
        "alarms": float(np.mean((p < checks.LEVEL) & (heavy == 0))),
        "alarms_at_half": float(np.mean((p < checks.LEVEL / 2) & (heavy == 0))),
        "undecided": float(np.mean(heavy))
    }


def table(alarms, seen):
    """Both as Markdown: the larger of the false alarms over sigma^2, in per cent, and in brackets
    how often some check is not decided.
    """
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
                cells.append(f"{100 * worst['false_alarms']:.2f} +- {100 * worst['error']:.2f} "
                             f"({100 * worst['undecided']:.3g})")
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
            "min_examples": checks.MIN_EXAMPLES, "false_alarms": alarms, "detected": seen,
            "gradient": gradient_alarms(args.share), "gradient_detected":
                gradient_detected(args.share)
        }
        files.write_json(os.path.join(args.directory, "false_alarms.json"), values)
    except OSError as error:
        sys.exit(f"{parser().prog}: {error}")
    print(table(alarms, seen))
    for row in values["gradient"] + values["gradient_detected"]:
        print(row)


if __name__ == "__main__":
    main()
