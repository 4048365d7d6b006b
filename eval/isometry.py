#!/usr/bin/env python
"""Measure the isometry of a trained run: isometry.json, isometry.png (Figs. 4-5), gram.png, and a table."""
import os

import image_tables  # beside this file, as shared and toy_tables are
import numpy as np
import shared
import toy_tables

import tfisovae
from tfisovae import analysis, batches, figures, sources


def parser():
    p = shared.parser(__doc__)
    p.add_argument("--num_examples", type=int, help=shared.NUM_EXAMPLES)
    p.add_argument("--rows", type=int, default=10, help="dimensions in the table")
    return p


def measure(trained, num_examples=None):
    """Measures a run and writes `isometry.json` and its pictures; returns the `Analysis`."""
    run, config, vae, source = trained
    count = shared.num_examples(trained, num_examples)
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


def report(trained, args):
    """Measures a run; returns what was measured, as text."""
    result = measure(trained, args.num_examples)
    parts = [result.table(args.rows), result.accounting(), result.health()]
    toy = toy_tables.toy_table([trained.directory])
    if toy:
        parts.append(f"\n{toy}\n")
    correlations = image_tables.factors(trained.directory)
    parts += [f"rank {rank:2d} follows {correlations[j]}"
              for rank, j in enumerate(result.ranking[:args.rows] if correlations else (), 1)]
    names = ("isometry.json", "isometry.png", "gram.png")[:3 if result.num_active else 2]
    return "\n".join([*parts, shared.written(trained.directory, *names)])


def main(argv=None):
    shared.run(parser(), argv, report)


if __name__ == "__main__":
    main()
