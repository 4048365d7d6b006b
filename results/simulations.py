"""Simulate what the tests of the verdict find, and how often intervals and clusters are wrong:
results/verdict/simulations.json, and tables of it (NumPy only, but for the estimate of beta).
"""
import functools
import math
import os
import sys

import numpy as np
import scipy.stats

from results import verdict
from tfisovae import files
from tfisovae.analysis.beta import BetaEstimate
from tfisovae.analysis.clusters import has_clusters
from tfisovae.verdict import checks
from tfisovae.verdict.tests_of_means import mean_gradient

# Of moments: N and simulated dimensions, and deviations from 0 or 1.
MOMENTS = {300: 4000, 1000: 3000, 10_000: 500}
DEVIATIONS = (-0.2, -0.15, -0.1, -0.06, 0.06, 0.1, 0.15, 0.2, 0.3)
LATENTS = (1, 32, 256)
# Of the linear VAE: variances of its features, and deviations of its weights.
VARIANCES, CHANGES = np.array([4.0, 1.0, 0.5, 0.25]), (0.0, 0.003, 0.004, 0.006)
_FLIPS, _FORMER_CAUTION = 5000, 3
# Of beta: N; and dimensions, how many of them differ, and how.
INTERVALS = (300, 1000, 4096)
DIFFERING = ((1, 0, "-"), (3, 0, "-"), (10, 0, "-"), (1, 1, "10 %"), (2, 1, "10 %"), (3, 1, "10 %"),
             (10, 1, "10 %"), (3, 2, "10 %"), (10, 2, "10 %"), (3, 3, "normal"), (10, 10, "normal"),
             (3, 3, "uniform"), (10, 10, "uniform"))
# Of clusters: N of data with one mode, and of equal points.
SHAPES, POINTS, SIZES = ("gaussian", "uniform", "laplace", "exponential", "sparse", "t3",
                         "log-normal"), (2, 3, 4, 10), (100, 1000, 10_000)


def former_p(moments, expected):
    """p-values of `Moments` by the test before it was mended for heavy tails: Hall's, alone; 1
    where it gave no answer.
    """
    n, skewness = moments.num_examples, moments.skewness
    t = (moments.mean - expected) / (moments.standard_deviation * math.sqrt(n / (n - 1)))
    g = np.where(t * skewness < 0, 1.5, 1.0) * skewness
    h = math.sqrt(n) * (t + g * t**2 / 3 + g**2 * t**3 / 27 + g / (6 * n))
    return np.where(np.abs(skewness) > 0.6 * math.sqrt(n), 1.0,
                    2 * scipy.stats.t.sf(np.abs(h), n - 1))


def moments_kept(share=1.0, seed=4):
    """Rows of how often one Gaussian dimension that is off is found, by the former test and now,
    and the share of the former detections that remains; where the former finds half or more.
    """
    rng, rows = np.random.default_rng(seed), []
    for num_examples, count in MOMENTS.items():
        count = max(200, int(share * count))
        for variance in verdict.VARIANCES:
            for off in DEVIATIONS:
                parts = verdict.quantities("gaussian", variance, num_examples, count, rng, off)
                measured = [verdict.moments(values, origin)
                            for values, origin in zip(parts, (0, 1, 0))]
                made = checks.checks(checks.Stationarity(
                    *measured, np.full(count, 1 - variance), np.full(count, True)))
                now = np.array([one.p_value if one.matters and one.decided else 1.0
                                for one in made]).reshape(3, count)
                matters = np.array([one.matters for one in made]).reshape(3, count)
                for at, name in enumerate((checks.MEAN, checks.SECOND, checks.BALANCE)):
                    p = np.where(matters[at], former_p(measured[at], (0, 1, 0)[at]), 1.0)
                    for n in LATENTS:
                        level = checks.LEVEL / (3 * n)
                        if np.mean(p < level) >= 0.5:
                            rows.append({"num_examples": num_examples, "variance": variance,
                                         "deviation": off, "check": name, "n": n,
                                         **_kept(p < level, now[at] < level)})
    return rows


def _kept(former, now):
    return {"former": float(np.mean(former)), "now": float(np.mean(now)),
            "kept": float(np.sum(former & now) / max(1, np.sum(former)))}


def gradients(x, change, rng):
    """Gradients of |x - x_hat|^2 / beta + KL of each example `[N, 4]` of variances `VARIANCES`,
    over the weights and biases of a linear VAE: `[N, 60]`. Its matrices are optimal but for
    `change` times a normal number in each entry.
    """
    h = verdict.BETA / 2
    gain, scale = np.sqrt(VARIANCES - h), np.sqrt(h / VARIANCES)
    encoder = np.diag(gain / VARIANCES) + change * rng.standard_normal((4, 4))
    decoder = np.diag(gain) + change * rng.standard_normal((4, 4))
    eps = rng.standard_normal(x.shape)
    mean = x @ encoder
    z = mean + scale * eps
    by_output = (z @ decoder - x) / h
    by_sample = by_output @ decoder.T
    by_log_variance = (scale * eps * by_sample + scale**2 - 1) / 2
    return verdict.by_weights(x, z, by_output, by_sample + mean, by_log_variance)


def flipped(gram, rng):
    """The former p-value of a mean gradient of 0: by flips of signs, threefold."""
    values, vectors = np.linalg.eigh(gram / np.diag(gram).mean())
    values = np.maximum(values, 0)
    whitened = (vectors * (values / (values + max(np.median(values), 1e-12)))) @ vectors.T
    np.fill_diagonal(whitened, 0)
    signs = rng.integers(0, 2, (_FLIPS, len(gram))) * 2.0 - 1
    beyond = np.sum(np.sum((signs @ whitened) * signs, 1) >= whitened.sum())
    return min(1.0, _FORMER_CAUTION * (1 + beyond) / (1 + _FLIPS))


def gradient_kept(share=1.0, seed=5):
    """Rows of the same for the mean gradient at the level of 5 %: Gaussian gradients whose mean is
    off (`results.verdict.gradient_detected`), and linear VAEs whose weights are.
    """
    rng, rows, count = np.random.default_rng(seed), [], max(20, int(share * 100))

    def row(name, blocks):
        former, now = [], []
        for _ in range(count):
            made = blocks()
            gram = made @ made.T
            found = mean_gradient(gram, 4096)
            former.append(flipped(gram, rng) < checks.LEVEL)
            now.append(found.p_value < checks.LEVEL and not found.heavy)
        rows.append({"data": name, "data_sets": count, **_kept(np.array(former), np.array(now))})

    for weights in (20, 400):
        for strength in (3.5, 4.5, 6.0):
            row(f"{weights} Gaussian weights, {strength:g} deviations",
                functools.partial(verdict.shifted_blocks, weights, strength, rng))
    for change in CHANGES:
        row(f"linear VAE, weights off by {change:g}", functools.partial(_blocks, change, rng))
    return rows


def _blocks(change, rng):
    x = rng.standard_normal((4096, 4)) * np.sqrt(VARIANCES)
    return gradients(x, change, rng).reshape(256, -1, 60).mean(1)


def intervals(share=1.0, seed=6):
    """Rows of how often the interval of beta misses it, and how often a beta is called different
    that is not. Linear VAEs of sigma^2 = .05, at the optimum but for the balance of some
    dimensions. One is off by 10 %; two by 10 %, up or down; all by normal numbers of deviation 5 %,
    or by uniform ones of up to 10 %.
    """
    rng, rows, count = np.random.default_rng(seed), [], max(100, int(share * 1000))
    for num_examples in INTERVALS:
        for n, differing, how in DIFFERING:
            found = [_estimate(num_examples, n, differing, how, rng) for _ in range(count)]
            limits = np.array([one.interval() for one in found])
            rows.append({
                "num_examples": num_examples, "n": n, "differing": differing, "how": how,
                "data_sets": count,
                "missed": float(np.mean((limits[:, 0] > 1) | (limits[:, 1] < 1))),
                "called_different": float(np.mean([one.differs_from(1.0) for one in found]))
            })
    return rows


def _estimate(num_examples, n, differing, how, rng, variance=0.05):
    off = np.zeros(n)
    off[:differing] = (0.05 * rng.standard_normal(differing) if how == "normal" else
                       rng.uniform(-0.1, 0.1, differing) if how == "uniform" else
                       0.1 * rng.choice([-1, 1], differing))
    s, eps = rng.standard_normal((2, num_examples, n))
    target = (1 - variance) * eps**2
    work = (target - math.sqrt(variance * (1 - variance)) * s * eps) * (1 + off)
    both = np.concatenate([work, target], 1)
    return BetaEstimate.from_sums(num_examples, np.full(n, num_examples), both.sum(0),
                                  both.T @ both)


def clusters(share=1.0, seed=7):
    """Rows of how often posterior means of these shapes are called clustered: with one mode,
    a false alarm; at equal points, right.
    """
    rng, rows = np.random.default_rng(seed), []
    for size in SIZES:
        count = max(100, int(share * 2000))
        for shape in SHAPES:
            named = sum(has_clusters(np.histogram(verdict.draw(shape, size, rng), 40)[0])
                        for _ in range(count))
            rows.append({"num_examples": size, "shape": shape, "data_sets": count,
                         "named": named / count})
        for number in POINTS:
            named = sum(has_clusters(np.histogram(rng.integers(0, number, size), 40)[0])
                        for _ in range(count))
            rows.append({"num_examples": size, "shape": f"{number} points", "data_sets": count,
                         "named": named / count})
    return rows


def main(argv=None):
    args = verdict.parser("simulations", __doc__).parse_args(argv)
    if not 0 < args.share <= 100:
        sys.exit(f"python -m results.simulations: --share must be positive; got {args.share}.")
    try:
        os.makedirs(args.directory, exist_ok=True)
        values = {"level": checks.LEVEL}
        for name, made in (("moments", moments_kept), ("gradient", gradient_kept),
                           ("intervals", intervals), ("clusters", clusters)):
            values[name] = made(args.share)
            for row in values[name]:
                print(name, row, flush=True)
        files.write_json(os.path.join(args.directory, "simulations.json"), values)
    except OSError as error:
        sys.exit(f"python -m results.simulations: {error}")


if __name__ == "__main__":
    main()
