"""Measure the isometry of a trained run: isometry.json, isometry.png (Figs. 4-5), gram.png, and a table."""
import dataclasses
import os

import numpy as np

from tfisovae import files
from tfisovae.commands import measuring


def add_arguments(p):
    """The options."""
    measuring.add_arguments(p)
    p.add_argument("--num_examples", type=int, help=measuring.NUM_EXAMPLES)
    p.add_argument("--rows", type=int, default=10, help="dimensions in the table")
    p.add_argument("--split", choices=("eval", "train"), default="eval",
                   help="the held-out examples, or those of training, whose files then are isometry-train.json, and so on")


def measure(trained, num_examples=None, split="eval"):
    """Measures a run and writes `isometry.json` and its pictures; returns the `Analysis`."""
    from tfisovae import analysis, sources
    from tfisovae.training import batches

    run, config, vae, source = trained
    if split == "train":
        trained = trained._replace(source=dataclasses.replace(source, eval=source.train, factors=None, log_density=None))
        source = trained.source
    count = measuring.num_examples(trained, num_examples)
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
    from tfisovae import Analysis, figures

    saved, isometry, gram = (os.path.join(run, name) for name in names(split))
    result = Analysis.load(saved)
    title = f"{result.distortion_name}, lmbda {result.lmbda:g}, {'decomposed' if result.decomposed else 'conventional'} loss"
    title += ", examples of training" if split == "train" else ""
    figures.isometry(result, title, isometry)
    if result.num_active:
        figures.gram(result, title, gram)


def theory(run, result, rows):
    """What the leading dimensions should be or follow, where the data tell, as lines of text."""
    saved = files.read_json(os.path.join(run, names()[0]))
    lines = []
    if saved.get("predicted_precision"):
        predicted = ", ".join(f"{value:.4g}" for value in sorted(saved["predicted_precision"], reverse=True))
        measured = ", ".join(f"{value:.4g}" for value in result.precision_mean[result.ranking])
        lines.append(f"E[sigma^-2] {measured}; {predicted} by the shapes of the sources alone")
    if "factor_correlations" in saved:
        correlations = follows(saved)
        lines += [f"rank {rank:2d} follows {correlations[j]}" for rank, j in enumerate(result.ranking[:rows], 1)]
    return lines


def follows(saved, count=3):
    """For each dimension of an `isometry.json` the `count` true factors that it follows most, with correlations, as text."""
    return [", ".join(f"{saved['factor_names'][k]} {row[k]:+.2f}" for k in np.argsort(-np.abs(row))[:count])
            for row in np.array(saved["factor_correlations"])]


def report(trained, args):
    """Measures a run; returns what was measured, as text."""
    measuring.check_at_least_1(rows=args.rows)
    result = measure(trained, args.num_examples, args.split)
    parts = [result.table(args.rows), result.accounting(), result.health()]
    written = measuring.written(trained.directory, *names(args.split)[:3 if result.num_active else 2])
    if args.split == "train":
        return "\n".join([*parts, written])
    if result.problems():
        parts.append("On held-out examples this may also be a gap to those of training, where --split train measures.")
    parts += theory(trained.directory, result, args.rows)
    return "\n".join([*parts, written])


def run(args):
    measuring.run(args, report)
