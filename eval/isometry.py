#!/usr/bin/env python
"""Measure the isometry of a trained run: isometry.json, isometry.png (Figs. 4-5), gram.png, and a table."""
import dataclasses
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
    p.add_argument("--split", choices=("eval", "train"), default="eval",
                   help="the held-out examples, or those of training, whose files then are isometry-train.json, and so on")
    return p


def measure(trained, num_examples=None, split="eval"):
    """Measures a run and writes `isometry.json` and its pictures; returns the `Analysis`."""
    run, config, vae, source = trained
    if split == "train":
        trained = trained._replace(source=dataclasses.replace(source, eval=source.train, factors=None, log_density=None))
        source = trained.source
    count = shared.num_examples(trained, num_examples)
    examples = batches.evaluation_batches(source.eval)
    result = analysis.analyze(vae, examples, count, progress=True)
    extra = {"data": source.manifest["source"], "data_fingerprint": source.manifest["fingerprint"], "steps": config["steps"]}
    if source.factors is not None:
        means = np.concatenate([vae.encode(x).mean for x in examples])  # of every held-out example
        extra["factor_names"] = list(source.factor_names)
        extra["factor_correlations"] = analysis.factor_correlations(means, source.factors).tolist()
    if source.log_density is not None and source.manifest["fingerprint"] == config["data_manifest"]["fingerprint"]:
        extra["predicted_precision"] = sources.predicted_precision(source.manifest["toy"], config["distortion"], vae.beta)
    json_name, *_ = names(split)
    result.save(os.path.join(run, json_name), **extra)
    draw(run, split)
    return result


def names(split="eval"):
    """The files of a measurement: the JSON, and two pictures."""
    suffix = "" if split == "eval" else f"-{split}"
    return f"isometry{suffix}.json", f"isometry{suffix}.png", f"gram{suffix}.png"


def draw(run, split="eval"):
    """Draws the pictures of a run from its `isometry.json`."""
    saved, isometry, gram = (os.path.join(run, name) for name in names(split))
    result = tfisovae.Analysis.load(saved)
    title = f"{result.distortion_name}, lmbda {result.lmbda:g}, {'decomposed' if result.decomposed else 'conventional'} loss"
    title += ", examples of training" if split == "train" else ""
    figures.isometry(result, isometry, title)
    if result.num_active:
        figures.gram(result, gram, title)


def report(trained, args):
    """Measures a run; returns what was measured, as text."""
    shared.check_at_least_1(rows=args.rows)
    result = measure(trained, args.num_examples, args.split)
    parts = [result.table(args.rows), result.accounting(), result.health()]
    written = shared.written(trained.directory, *names(args.split)[:3 if result.num_active else 2])
    if args.split == "train":
        return "\n".join([*parts, written])
    if result.problems():
        parts.append("On held-out examples this may also be a gap to those of training, where --split train measures.")
    toy = toy_tables.toy_table([trained.directory])
    if toy:
        parts.append(f"\n{toy}\n")
    correlations = image_tables.factors(trained.directory)
    parts += [f"rank {rank:2d} follows {correlations[j]}"
              for rank, j in enumerate(result.ranking[:args.rows] if correlations else (), 1)]
    return "\n".join([*parts, written])


def main(argv=None):
    shared.run(parser(), argv, report)


if __name__ == "__main__":
    main()
