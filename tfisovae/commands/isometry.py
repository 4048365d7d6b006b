"""Measure the isometry of a trained run: isometry.json, isometry.png (Figs. 4-5), scree.png,
gram.png, and a table.
"""
import contextlib
import dataclasses
import math
import os

import numpy as np

from tfisovae import files
from tfisovae.commands import measuring


def add_arguments(p):
    """The options."""
    measuring.add_arguments(p)
    p.add_argument("--num_examples", type=int, help=measuring.NUM_EXAMPLES)
    p.add_argument("--rows", type=int, default=10, help="dimensions in the table")
    p.add_argument(
        "--gradient_examples", type=int, help=
        "examples of training whose mean gradient is taken, at most (default: 4,096 images, or "
        "50,000 vectors; "
        "0: none)")


def compute(trained, num_examples=None):
    """Measures a run: an `Analysis`, and what else `isometry.json` holds."""
    from tfisovae import sources
    from tfisovae.analysis import analysis, scree
    from tfisovae.autoencoder.data import as_float
    from tfisovae.training import batches

    _, config, vae, source, *_ = trained
    count = measuring.num_examples(trained, num_examples)
    examples = batches.evaluation_batches(source.eval)
    result = analysis.analyze(vae, examples, count, progress=True)
    extra = {
        "data": source.manifest["source"], "data_fingerprint": source.manifest["fingerprint"],
        "steps": config["steps"]
    }
    components = scree.enough(count, math.prod(source.eval.shape[1:]))
    if components > 1:
        x = as_float(source.eval[np.arange(components)])
        extra["principal_components"] = scree.to_save(scree.principal_components(x, vae.distortion))
    if source.factors is not None:
        means = np.concatenate([vae.encode(x).mean for x in examples])  # of every held-out example
        extra["factor_names"] = list(source.factor_names)
        extra["factor_correlations"] = analysis.factor_correlations(means, source.factors).tolist()
    if source.log_density is not None and trained.own:
        extra["predicted_precision"] = sources.predicted_precision(source.manifest["toy"],
                                                                   config["distortion"], vae.beta)
    return result, extra


def write(trained, result, extra):
    """Writes `isometry.json` and its pictures."""
    result.save(trained.path("isometry.json"), **extra)
    draw(trained.out, trained.suffix)


def measure(trained, num_examples=None):
    """Measures a run and writes `isometry.json` and its pictures; returns the `Analysis`."""
    result, extra = compute(trained, num_examples)
    write(trained, result,
          {**extra, "summary": _summary(trained, result, **measuring.known_evidence(trained))})
    return result


def names(suffix=""):
    """The files of a measurement: the JSON, and three pictures."""
    return f"isometry{suffix}.json", f"isometry{suffix}.png", f"scree{suffix}.png", f"gram{suffix}.png"


def draw(out, suffix=""):
    """Draws the pictures of a measurement from its `isometry.json`, which is in the directory
    `out`.
    """
    from tfisovae import Analysis
    from tfisovae.analysis.scree import Scree
    from tfisovae.show import gram_figures, importance_figures, norms_figures

    path, isometry, scree, gram = (os.path.join(out, name) for name in names(suffix))
    saved = files.read_json(path)
    result = Analysis.from_dict(saved)
    title = f"{result.distortion_name}, lmbda {result.lmbda:g}, {'decomposed' if result.decomposed else 'conventional'} loss"
    title += {"-train": ", examples of training", "-all": ", all examples"}.get(suffix, "")
    norms_figures.isometry(result, title, isometry)
    importance_figures.scree(Scree.from_saved(saved), title, scree)
    if result.num_active:
        gram_figures.gram(result, title, gram)
    else:
        files.remove(gram)  # of a model of before


def theory(extra, result, rows):
    """What the leading dimensions should be or follow, where the data tell, as lines of text."""
    lines = []
    if extra.get("predicted_precision"):
        predicted = ", ".join(
            f"{value:.4g}" for value in sorted(extra["predicted_precision"], reverse=True))
        measured = ", ".join(f"{value:.4g}" for value in result.precision_mean[result.ranking])
        lines.append(f"E[sigma^-2] {measured}; {predicted} by the shapes of the sources alone")
    if "factor_correlations" in extra:
        correlations = follows(extra)
        lines += [
            f"rank {rank:2d} follows {correlations[j]}"
            for rank, j in enumerate(result.ranking[:rows], 1)
        ]
    return lines


def follows(saved, count=3):
    """For each dimension of an `isometry.json` the `count` true factors that it follows most, with
    correlations, as text.
    """
    return [
        ", ".join(f"{saved['factor_names'][k]} {row[k]:+.2f}"
                  for k in np.argsort(-np.abs(row))[:count])
        for row in np.array(saved["factor_correlations"])
    ]


def pruned(config):
    """Of the manifest of a pruned run: what the verdict on its training is not of, a line of text;
    nothing of other runs.
    """
    made = config.get("pruned")
    return [
        f"Pruned: this model is {made['from']} without some of its dimensions, and has not been "
        f"trained since. Whether that "
        "training had ended, the run it was made of shows; a gradient here is what pruning left."
    ] if made else []


def _is_there(trained):
    """Whether a measurement with all its evidence stands there, of this model and these data."""
    with contextlib.suppress(FileNotFoundError, files.DamagedFile):
        saved = files.read_json(trained.path("isometry.json"))
        return "evidence" in saved and measuring.is_current(saved, trained.config["steps"],
                                                            trained.source.manifest["fingerprint"])
    return False


def _summary(trained, result, **evidence):
    """The three lines; of other data than the run's own, whose moments say nothing of the training,
    the first is the run's own.
    """
    if trained.own:
        said = result.summary(**evidence)
    else:
        first, *others = dataclasses.replace(result, stationarity=None).summary().split("\n")
        said = "\n".join(
            [first if first.startswith("Training: NOT FINITE") else _of_its_own(trained), *others])
    return "\n".join([said, *pruned(trained.config)])


def _of_its_own(trained):
    """What was said of the training of a run on its own data, or how to have it."""
    from tfisovae.commands.training import command_line

    with contextlib.suppress(OSError, files.DamagedFile, KeyError):
        saved = files.read_json(os.path.join(trained.directory, "isometry.json"))
        if measuring.is_current(saved, trained.config["steps"],
                                trained.config["data_manifest"]["fingerprint"]):
            return "Training: by the run's own data: " + saved["summary"].split(
                "\n")[0].removeprefix("Training: ")
    return ("Training: not judged, as these are other data than the run's own: "
            f"{command_line('isometry', os.path.abspath(trained.directory))}")


def report(trained, args):
    """Measures a run; yields what was measured, as text."""
    from tfisovae.analysis.scree import Scree

    measuring.check_at_least_1(rows=args.rows)
    measuring.check_gradient_examples(args.gradient_examples)
    result, extra = compute(trained, args.num_examples)
    counted = Scree.from_saved({**result.to_dict(), **extra}).sentences()
    yield "\n".join(
        [result.table(args.rows),
         result.accounting(), counted, *theory(extra, result, args.rows)])
    evidence = measuring.known_evidence(trained)
    if not _is_there(trained):  # whatever becomes of the rest of the evidence, which takes long
        write(trained, result, {**extra, "summary": _summary(trained, result, **evidence)})
    evidence |= measuring.training_evidence(trained, args.gradient_examples)
    extra |= {
        "evidence": {
            name: dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value
            for name, value in evidence.items()
        }, "summary": _summary(trained, result, **evidence)
    }
    yield extra["summary"]
    write(trained, result, extra)
    yield measuring.written(trained.out, *names(trained.suffix)[:4 if result.num_active else 3])


def run(args):
    measuring.run(args, report)
