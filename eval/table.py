#!/usr/bin/env python
"""Print what runs measured as Markdown tables, beside the paper's figures."""
import argparse
import csv
import json
import os
import sys

import numpy as np
import paper  # beside this file

import tfisovae
from tfisovae import runs

HEADER = """| | active | norm | E[1 - sigma^2] | cosines | balance | rate (nats) | distortion |
| --- | --- | --- | --- | --- | --- | --- | --- |"""
PAPER = ("| paper, Fig. 4: CelebA, conventional | 26 of 32 | 1.83 +- .13 | - | - | - | - | - |",
         "| paper, Fig. 5: CelebA, decomposed | 32 of 32 | .92 +- .04 | - | - | - | - | - |")


def _load(directory, name):
    with open(os.path.join(directory, name)) as file:
        return json.load(file)


def _config_but_for_seed(directories):
    """The configuration that runs share; raises ValueError where they differ in more than the seed."""
    first, *others = [runs.load_config(directory) for directory in directories]
    differ = [key for key in first if key not in ("seed", "data_manifest", "versions")
              and any(other.get(key) != first[key] for other in others)]
    if differ:
        raise ValueError(f"A table is over runs that differ in the seed alone; these differ in {', '.join(differ)}.")
    return first


def _across(values):
    """Text of each column of `[runs, columns]`: mean, and with several runs its standard error."""
    values = np.asarray(values, float)
    if len(values) == 1:
        return [f"{v:.4g}" for v in values[0]]
    return [f"{m:.4g} +- {e:.2g}" for m, e in zip(values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values)))]


def isometry_table(directories, threshold=0.1):
    """One row for each measured run, over the dimensions whose mean KL exceeds `threshold` nats.

    The norm is given with its deviation between dimensions, as the paper does; cosines are root mean squares over pairs.
    """
    rows = [HEADER, *PAPER]
    for directory in directories:
        a = tfisovae.Analysis.load(os.path.join(directory, "isometry.json"))
        active = np.flatnonzero(a.kl_mean > threshold)
        cosines = a.gram_cosine[np.ix_(active, active)][~np.eye(len(active), dtype=bool)]
        rows.append(f"| ours, {_name(directory)} | {len(active)} of {len(a.active)} | "
                    f"{a.norm_mean[active].mean():.2f} +- {a.norm_mean[active].std():.2f} | "
                    f"{a.one_minus_variance[active].mean():.2f} | {np.sqrt(np.mean(cosines**2)):.2f} | "
                    f"{a.balance[active].mean():.2f} | {a.rate:.2f} | {a.distortion:.4f} |")
    return "\n".join(rows)


def factors(run, count=3):
    """For each dimension the true factors that it follows, as text; `None` where the factors are not known."""
    saved = _load(run, "isometry.json")
    if "factor_correlations" not in saved:
        return None
    return [", ".join(f"{saved['factor_names'][k]} {row[k]:+.2f}" for k in np.argsort(-np.abs(row))[:count])
            for row in np.array(saved["factor_correlations"])]


def factor_table(directory, rows=12):
    """The factors that the leading dimensions follow, by absolute correlation with the posterior mean."""
    a = tfisovae.Analysis.load(os.path.join(directory, "isometry.json"))
    follows = factors(directory)
    lines = ["| rank | E[sigma^-2] | norm | factors (correlation) |", "| --- | --- | --- | --- |"]
    lines += [f"| {rank} | {a.precision_mean[j]:.1f} +- {a.precision_standard_error[j]:.1f} | {a.norm_mean[j]:.2f} +- "
              f"{a.norm_std[j]:.2f} | {follows[j] if follows else '-'} |" for rank, j in enumerate(a.ranking[:rows], 1)]
    return "\n".join(lines)


def toy_table(directories):
    """Tables 1-2 as Markdown, mean +- standard error over runs that differ in the seed alone; `None` for other data.

    Latent variables stand in ascending order of E[sigma^-2], beside the paper's figures and the prediction from the shapes of the
    sources. Norm, D' and E[sigma^-2] are averages (Av.) and deviations (SD) over the data.
    """
    saved = [_load(directory, "isometry.json") for directory in directories]
    if any("predicted_precision" not in s for s in saved):
        return None
    reported = paper.of_toy_run(_config_but_for_seed(directories)) or {}

    def row(label, values, published=None, theory=None):
        cells = _across(values)
        empty = ["-"] * len(cells)
        published = [f"{v:g}" for v in published] if published else empty
        return f"| {label} | " + " | ".join([*cells, *published, *(theory or empty)]) + " |"

    ascending = [s["ranking"][::-1] for s in saved]
    pick = {name: [np.array(s[name])[order] for s, order in zip(saved, ascending)]
            for name in ("norm_mean", "norm_std", "derivative_mean", "derivative_std", "precision_mean", "one_minus_variance")}
    n = len(ascending[0])
    columns = [*(f"z{j + 1}" for j in range(n)), *(f"paper z{j + 1}" for j in range(n)), *(f"theory z{j + 1}" for j in range(n))]
    theory = {"norm": [f"{v:.3f}" for v in np.mean(pick["one_minus_variance"], 0)]}
    predicted = saved[0]["predicted_precision"]
    if predicted and len(predicted) == n:
        theory |= {"precision": [f"{v:.4g}" for v in predicted], "ratio": [f"{v / predicted[0]:.4g}" for v in predicted]}
    lines = [f"| | {' | '.join(columns)} |", "| --- " * (3 * n + 1) + "|",
             row("norm Av.", pick["norm_mean"], reported.get("norm_mean"), theory["norm"]),
             row("norm SD", pick["norm_std"], reported.get("norm_std")),
             row("D' Av.", pick["derivative_mean"], reported.get("derivative_mean")),
             row("D' SD", pick["derivative_std"], reported.get("derivative_std")),
             row("sigma^-2 Av.", pick["precision_mean"], reported.get("precision_mean"), theory.get("precision")),
             row("ratio", [v / v[0] for v in pick["precision_mean"]],
                 [float(f"{v / reported['precision_mean'][0]:.4g}") for v in reported["precision_mean"]] if reported else None,
                 theory.get("ratio"))]
    ratio = _across([[s["transform_loss"] / s["coding_loss"]] for s in saved])[0]
    lines.append(f"\ntransform / coding loss {ratio}" + (f" (paper {reported['transform_to_coding']})" if reported else "")
                 + "; theory of the norm: the measured 1 - sigma^2; of sigma^-2: from the shapes of the sources alone.")
    return "\n".join(lines)


def density_table(directories):
    """Estimated densities beside p(x), mean +- standard error over runs that differ in the seed alone."""
    reported = (paper.of_toy_run(_config_but_for_seed(directories)) or {}).get("correlation", {})
    saved = [_load(directory, "density.json")["comparison"] for directory in directories]
    lines = ["| estimate | R with p(x) | paper | mean error of log p (nats) | rms error (nats) |",
             "| --- | --- | --- | --- | --- |"]
    for form in saved[0]:
        cells = _across([[s[form][key] for key in ("correlation", "log_error_mean", "log_error_rms")] for s in saved])
        lines.append(f"| {form.replace('_', ' ')} | {cells[0]} | {reported.get(form, '-')} | {cells[1]} | {cells[2]} |")
    return "\n".join(lines)


def balance_table(directories, rows=12):
    """The norm of Eq. 15 beside the curvature of the trained loss in the same unit, by latent dimension, for each run.

    "seen" is E[eps_j sigma_j dD/dz_j] / beta, by Stein's identity the norm as the loss sees it: sigma_j^2 / beta times the second
    derivative of D(x, Dec(z)) along z_j, averaged over the posterior. At a stationary point it is E[1 - sigma_j^2], for every loss.
    """
    tables = []
    for directory in directories:
        a = tfisovae.Analysis.load(os.path.join(directory, "isometry.json"))
        seen = a.balance * a.one_minus_variance
        lines = [f"| {_name(directory)}: rank | norm, of D(x_check, .) | seen, of the trained loss | E[1 - sigma^2] |",
                 "| --- | --- | --- | --- |"]
        lines += [f"| {rank} | {a.norm_mean[j]:.2f} | {seen[j]:.2f} | {a.one_minus_variance[j]:.2f} |"
                  for rank, j in enumerate(a.ranking[:rows], 1)]
        strong = a.kl_mean > 0.1
        lines.append(f"| mean above 0.1 nat | {a.norm_mean[strong].mean():.2f} | {seen[strong].mean():.2f} | "
                     f"{a.one_minus_variance[strong].mean():.2f} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def speed_table(directories):
    """What the benchmarks measured, from the JSON files that they write into one directory."""
    directory, = directories
    names = ("train_step", "mnist_step", "ssim", "gram", "images", "toy_step")
    step, mnist, ssim, gram, images, toy = (_load(directory, f"{name}.json") for name in names)
    rows = [
        ("a training step of App. D.2, batch 64, beside PyTorch (eager)",
         f"{step['ratio']:.2f} of its time ({step['ratios'][0]:.2f} to {step['ratios'][-1]:.2f}); {step['share_of_peak']:.0%} of "
         "the machine's matrix-product peak"),
        ("a training step of App. D.1, batch 128, beside Keras' `fit`",
         f"{toy['ratio_to_keras']:.2f} of its time ({toy['ratios_to_keras'][0]:.2f} to {toy['ratios_to_keras'][-1]:.2f})"),
        ("the same, beside PyTorch (eager)",
         f"{toy['ratio_to_torch']:.2f} of its time ({toy['ratios_to_torch'][0]:.2f} to {toy['ratios_to_torch'][-1]:.2f}); "
         f"{toy['share_of_peak']:.0%} of the peak"),
        ("a training step of App. G, batch 256, beside PyTorch (eager)",
         f"{mnist['ratio']:.2f} of its time ({mnist['ratios'][0]:.2f} to {mnist['ratios'][-1]:.2f}); "
         f"{mnist['share_of_peak']:.0%} of the peak"),
        ("SSIM with its gradient, beside `tf.image.ssim`", f"{ssim['times_as_fast']:.1f} times as fast "
         f"({1 / ssim['ratios'][-1]:.1f} to {1 / ssim['ratios'][0]:.1f})"),
        (f"Gram matrix and norms at n = 32 of {gram['num_images']} images, beside 33 decodes of them",
         f"{gram['ratio']:.2f} of their time"),
        ("training batches from the image cache", f"{images['cached_images_per_second']:,} images/s"),
        ("faces drawn", f"{images['faces_drawn_per_second']:,} images/s"),
    ]
    if "memory_ratio" in gram:
        rows.append(("peak memory of an analysis, 10,000 images beside 1,000", f"{gram['memory_ratio']:.2f}"))
    return "\n".join(["| what | measured |", "| --- | --- |", *(f"| {what} | {measured} |" for what, measured in rows)])


def _name(directory):
    return os.path.basename(os.path.normpath(directory))


def history_table(directories):
    """The last line of each run's history: where training stood."""
    lines = ["| run | step | rate (nats) | distortion | active |", "| --- | --- | --- | --- | --- |"]
    for directory in directories:
        with open(os.path.join(directory, "history.csv"), newline="") as file:
            *_, last = [{}, *csv.DictReader(file)]
        if not last:
            lines.append(f"| {_name(directory)} | 0 | - | - | - |")
            continue
        lines.append(f"| {_name(directory)} | {last['step']} | {float(last['rate']):.2f} | "
                     f"{float(last['distortion']):.4f} | {float(last['active_dimensions']):.0f} |")
    return "\n".join(lines)


def factor_tables(directories):
    """A `factor_table` for each run."""
    return "\n\n".join(map(factor_table, directories))


TABLES = {"isometry": isometry_table, "factors": factor_tables, "history": history_table, "toy": toy_table,
          "density": density_table, "balance": balance_table, "speed": speed_table}


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("table", choices=tuple(TABLES), help="which table")
    p.add_argument("runs", nargs="+", help="run directories (or published ones in results/); for speed, that of the benchmarks")
    args = p.parse_args(argv)
    try:
        print(TABLES[args.table](args.runs))
    except (FileNotFoundError, ValueError, runs.RunError) as error:
        sys.exit(f"{p.prog}: {error}; train the run first, and measure it with eval/isometry.py")


if __name__ == "__main__":
    main()
