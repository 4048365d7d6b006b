#!/usr/bin/env python
"""Measure the isometry of a trained run: isometry.json, isometry.png (Figs. 4-5), gram.png, and a table."""
import argparse
import os
import sys

import numpy as np
import table  # beside this file

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
        extra["predicted_precision"] = sources.predicted_precision(source.manifest["toy"], config["distortion"], vae.beta)
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


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        result = measure(args.run, args.num_examples, args.data, args.cache_dir)
    except (ValueError, OSError, runs.RunError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(result.table(args.rows))
    print(result.accounting())
    print(result.health())
    toy = table.toy_table([args.run])
    if toy:
        print(f"\n{toy}\n")
    correlations = table.factors(args.run)
    for rank, j in enumerate(result.ranking[:args.rows] if correlations else (), 1):
        print(f"rank {rank:2d} follows {correlations[j]}")
    written = ("isometry.json", "isometry.png", "gram.png")[:3 if result.num_active else 2]
    print(f"Written: {', '.join(os.path.join(args.run, name) for name in written)}")


if __name__ == "__main__":
    main()
