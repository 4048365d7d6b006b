#!/usr/bin/env python
"""Measure the isometry of a trained run: isometry.json, isometry.png (Figs. 4-5), gram.png, and a table."""
import argparse
import json
import os
import sys

import numpy as np
import paper  # beside this file

import tfisovae
from tfisovae import analysis, batches, figures, runs, sources


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("run", help="run directory, as train/*.py write it")
    p.add_argument("--num_examples", type=int, help="held-out examples to measure, at most (default: 1000 images, or all vectors)")
    p.add_argument("--data", help="other data to measure on (default: the run's own)")
    p.add_argument("--cache_dir", help="where decoded images are kept (default: ~/.cache/tfisovae)")
    p.add_argument("--rows", type=int, default=10, help="dimensions in the table")
    return p


def measure(run, num_examples=None, data=None, cache_dir=None):
    """Measures a run and writes `isometry.json` and its pictures; returns the `Analysis`."""
    config, vae = runs.load_run(run)
    source = sources.of_run(config, data, cache_dir)
    if num_examples is None:
        num_examples = 1000 if len(source.eval.shape) == 4 else len(source.eval)
    count = min(num_examples, len(source.eval))
    examples = batches.evaluation_batches(source.eval)
    result = analysis.analyze(vae, examples, count, progress=True)
    extra = {"data": source.manifest["source"], "data_fingerprint": source.manifest["fingerprint"], "steps": config["steps"]}
    if source.factors is not None:
        means = np.concatenate([vae.encode(x).mean for x in examples])  # of every held-out example
        extra["factor_names"] = list(source.factor_names)
        extra["factor_correlations"] = analysis.factor_correlations(means, source.factors).tolist()
    if source.log_density is not None:
        extra["predicted_precision"] = sources.predicted_precision(config["data"], config["distortion"], vae.beta)
    result.save(os.path.join(run, "isometry.json"), **extra)
    draw(run)
    return result


def draw(run):
    """Draws the pictures of a run from its `isometry.json`."""
    result = tfisovae.Analysis.load(os.path.join(run, "isometry.json"))
    title = f"{result.distortion_name}, lmbda {result.lmbda:g}, {'decomposed' if result.decomposed else 'conventional'} loss"
    figures.isometry(result, os.path.join(run, "isometry.png"), title)
    if result.num_active:
        figures.gram(result, os.path.join(run, "gram.png"), title)


def factors(run, count=3):
    """For each dimension the true factors that it follows, as text; `None` where the factors are not known."""
    with open(os.path.join(run, "isometry.json")) as file:
        saved = json.load(file)
    if "factor_correlations" not in saved:
        return None
    return [", ".join(f"{saved['factor_names'][k]} {row[k]:+.2f}" for k in np.argsort(-np.abs(row))[:count])
            for row in np.array(saved["factor_correlations"])]


def toy_table(directories):
    """Tables 1-2 as Markdown, mean +- standard error over runs that differ in the seed alone; `None` for other data.

    Latent variables stand in ascending order of E[sigma^-2], beside the paper's figures and the prediction from the shapes of the
    sources. Norm, D' and E[sigma^-2] are averages (Av.) and deviations (SD) over the data.
    """
    configs, saved = [runs.load_config(d) for d in directories], []
    for directory in directories:
        with open(os.path.join(directory, "isometry.json")) as file:
            saved.append(json.load(file))
    if any("predicted_precision" not in s for s in saved):
        return None
    differ = [key for key in configs[0] if key not in ("seed", "data_manifest", "versions")
              and any(c.get(key) != configs[0][key] for c in configs)]
    if differ:
        raise ValueError(f"A table is over runs that differ in the seed alone; these differ in {', '.join(differ)}.")
    reported = paper.of_toy_run(configs[0]) or {}

    def across(values):
        """Text of each column of `[runs, columns]`: mean, and with several runs its standard error."""
        values = np.asarray(values, float)
        if len(values) == 1:
            return [f"{v:.4g}" for v in values[0]]
        return [f"{m:.4g} +- {e:.2g}" for m, e in zip(values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values)))]

    def row(label, values, published=None, theory=None):
        cells = across(values)
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
    ratio = across([[s["transform_loss"] / s["coding_loss"]] for s in saved])[0]
    lines.append(f"\ntransform / coding loss {ratio}" + (f" (paper {reported['transform_to_coding']})" if reported else "")
                 + "; theory of the norm: the measured 1 - sigma^2; of sigma^-2: from the shapes of the sources alone.")
    return "\n".join(lines)


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        result = measure(args.run, args.num_examples, args.data, args.cache_dir)
    except (ValueError, OSError, runs.RunError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(result.table(args.rows))
    print(result.health())
    toy = toy_table([args.run])
    if toy:
        print(f"\n{toy}\n")
    correlations = factors(args.run)
    for rank, j in enumerate(result.ranking[:args.rows] if correlations else (), 1):
        print(f"rank {rank:2d} follows {correlations[j]}")
    written = ("isometry.json", "isometry.png", "gram.png")[:3 if result.num_active else 2]
    print(f"Written: {', '.join(os.path.join(args.run, name) for name in written)}")


if __name__ == "__main__":
    main()
