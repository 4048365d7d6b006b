"""Measure the isometry of a trained run: isometry.json, isometry.png (Figs. 4-5), scree.png,
gram.png, and a table.
"""
import argparse
import contextlib
import dataclasses
import math
import os
import typing
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tfisovae import files
from tfisovae.commands import measuring, options

if typing.TYPE_CHECKING:
    from tfisovae import Analysis
    from tfisovae.commands.measuring import Trained
    from tfisovae.verdict.gains import Probe


# Of pictures, by name.
TITLES = {
    "isometry": "Precision and norm of each latent dimension",
    "scree": "How much each latent dimension carries",
    "gram": "Mean Gram matrix (isometric: the identity)",
}
EXAMPLES = (
    "tfisovae isometry runs/toy",
    "tfisovae isometry runs/faces --probe 1000 --out measured",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    options.in_order(p, "data", "measuring", "more training", "output")
    measuring.add_arguments(p)
    measuring.add_num_examples(p)
    measuring.add_method(p)
    measure, more = options.group(p, "measuring"), options.group(p, "more training")
    measure.add_argument(
        "--gradient_examples", type=int,
        help="training examples for the mean gradient, at most; 0: take the stored one (default: "
             "4,096 images, or 50,000 vectors)")
    measure.add_argument("--margin", type=float,
                         help="nats that do not matter (default: the larger of 0.1 nat and 0.5 %% "
                              "of the loss that training can change)")
    more.add_argument(
        "--probe", type=int, nargs="?", const=math.inf, metavar="STEPS",
        help="train a copy for STEPS more steps, and measure the gain. Without STEPS: as many as "
             "the training had. The run does not change")
    more.add_argument("--probe_seeds", type=int, default=1, help="how many probes to make")
    options.group(p, "output").add_argument("--rows", type=int, default=10,
                                            help="dimensions in the table")


def factor_correlations(means: npt.ArrayLike, factors: npt.ArrayLike) -> np.ndarray:
    """Pearson's correlation of each latent mean with each true factor.

    Args:
      means: posterior means, `[N, n]`.
      factors: `[N, k]`.

    Returns:
      `[n, k]`; 0 if one of the two is constant.
    """
    means, factors = np.asarray(means, np.float64), np.asarray(factors, np.float64)
    means, factors = means - means.mean(0), factors - factors.mean(0)
    norms = np.sqrt(np.sum(means**2, 0))[:, None] * np.sqrt(np.sum(factors**2, 0))
    return np.divide(means.T @ factors, norms, out=np.zeros_like(norms), where=norms > 0)


def compute(trained: "Trained", num_examples: int | None = None,
            method: str = "auto") -> tuple["Analysis", dict[str, Any]]:
    """Measures a run: an `Analysis`, and the other content of `isometry.json`."""
    from tfisovae import sources
    from tfisovae.analysis import components
    from tfisovae.analysis.measuring import analyze
    from tfisovae.autoencoder import streaming
    from tfisovae.autoencoder.data import as_float
    from tfisovae.training import batches

    _, config, vae, source, *_ = trained
    count = measuring.num_examples(trained, num_examples)
    examples = batches.evaluation_batches(source.eval)
    result = analyze(vae, examples, count, progress=True, method=method)
    extra = {
        "data": source.manifest["source"], "data_fingerprint": source.manifest["fingerprint"],
        "steps": config["steps"]
    }
    known = len(source.eval) if num_examples is None else count
    enough = components.enough(known, math.prod(source.eval.shape[1:]))
    if enough > 3:
        x = as_float(source.eval[components.spread_out(enough, known)])
        extra["principal_components"] = components.to_save(
            components.principal_components(x, vae.distortion))
    if source.factors is not None:
        every = streaming.examples_of(vae, examples, None, "factors", progress=True)
        means = np.concatenate([
            mean for mean, _ in streaming.run(every, lambda x, _: vae.encode(x).mean)])
        extra["factor_names"] = list(source.factor_names)
        extra["factor_correlations"] = factor_correlations(means, source.factors).tolist()
    if source.log_density is not None and trained.own:
        extra["predicted_precision"] = sources.predicted_precision(source.manifest["toy"],
                                                                   config["distortion"], vae.beta)
        if config["distortion"] == "sse" and not vae.decomposed:
            extra["least_loss"] = sources.least_loss(source.manifest["toy"], vae.beta)
    return result, extra


def write(trained: "Trained", result: "Analysis", extra: dict[str, Any]) -> None:
    """Writes `isometry.json` and its pictures."""
    result.save(trained.path("isometry.json"), **extra)
    draw(trained.out, trained.suffix)


def measure(trained: "Trained", num_examples: int | None = None) -> "Analysis":
    """Measures a run and writes `isometry.json` and its pictures; returns the `Analysis`."""
    result, extra = compute(trained, num_examples)
    found = judge(trained, result, **measuring.known_evidence(trained))
    write(trained, result, {**extra, "verdict": found.to_dict()})
    return result


def names(suffix: str = "") -> tuple[str, ...]:
    """The files of a measurement: the JSON, and three pictures."""
    return tuple(f"{name.format(suffix)}" for name in (
        "isometry{}.json", "isometry{}.png", "scree{}.png", "gram{}.png"))


def draw(out: str, suffix: str = "") -> None:
    """Draws the pictures of a measurement from its `isometry.json`, which is in the directory
    `out`.
    """
    from tfisovae import Analysis
    from tfisovae.analysis import storage
    from tfisovae.analysis.scree import Scree
    from tfisovae.show import drawing, gram, importance, norms

    path, isometry_png, scree_png, gram_png = (os.path.join(out, name) for name in names(suffix))
    saved = storage.read(path)
    result = Analysis.from_dict(saved)
    setting = (
        f"{result.distortion_name}, lmbda {result.lmbda:g}, "
        f"{'decomposed' if result.decomposed else 'conventional'} loss"
    )
    setting += {"-train": ", training examples", "-all": ", all examples"}.get(suffix, "")
    drawing.save(norms.isometry(result, f"{TITLES['isometry']}: {setting}"), isometry_png)
    drawing.save(importance.both(Scree.from_saved(saved), f"{TITLES['scree']}: {setting}"),
                 scree_png)
    if result.num_active:
        drawing.save(gram.gram(result, title=TITLES["gram"]), gram_png)
    else:
        files.remove(gram_png)  # from an earlier model


def theory(extra: dict[str, Any], result: "Analysis", rows: int) -> list[str]:
    """Known values and factors for the leading dimensions, if the data have them, as lines of text.
    """
    lines = []
    if extra.get("predicted_precision"):
        predicted = ", ".join(
            f"{value:.4g}" for value in sorted(extra["predicted_precision"], reverse=True))
        measured = ", ".join(f"{value:.4g}" for value in result.precision_mean[result.ranking])
        lines.append(f"E[sigma^-2] {measured}; {predicted} predicted from the shapes of the "
                     "sources")
    if extra.get("least_loss"):
        lines.append(f"no loss is below {extra['least_loss']:.4g} nats on these data (Shannon's "
                     f"bound); this one is {result.loss - extra['least_loss']:.2g} above it")
    if "factor_correlations" in extra:
        correlations = follows(extra)
        lines += [
            f"rank {rank:2d} follows {correlations[j]}"
            for rank, j in enumerate(result.ranking[:rows], 1)
        ]
    return lines


def follows(saved: dict[str, Any], count: int = 3) -> list[str]:
    """For each dimension of an `isometry.json`, the `count` true factors with the largest
    correlations, as text.
    """
    return [
        ", ".join(f"{saved['factor_names'][k]} {row[k]:+.2f}"
                  for k in np.argsort(-np.abs(row))[:count])
        for row in np.array(saved["factor_correlations"])
    ]


def _is_there(trained):
    """Whether there is a measurement with all its evidence for this model and these data."""
    with contextlib.suppress(FileNotFoundError, files.DamagedFile):
        saved = files.read_json(trained.path("isometry.json"))
        return "evidence" in saved and measuring.is_current(saved, trained.config["steps"],
                                                            trained.source.manifest["fingerprint"])
    return False


def judge(trained: "Trained", result: "Analysis", **evidence: Any) -> Any:
    """The verdict on a run. Moments of other data say nothing about its training. For other data
    the state is taken from the run's own data.

    Args:
      trained: `Trained`.
      result: `Analysis`.
      **evidence: as for `Analysis.judge`.
    """
    from tfisovae.verdict import Reason, ReasonKind, State

    if trained.own:
        found = result.judge(**evidence)
    else:
        found = dataclasses.replace(result, stationarity=None).judge()
        if found.state is not State.NOT_FINITE:
            own = measuring.own_verdict(trained)
            found = dataclasses.replace(own, isometry=found.isometry)
    made = trained.config.get("pruned")
    if made and not found.of(ReasonKind.PRUNED):
        reasons = (*found.reasons, Reason(ReasonKind.PRUNED, note=made["from"]))
        found = dataclasses.replace(found, reasons=reasons)
    return found


def report(trained: "Trained", args: argparse.Namespace) -> Iterator[str]:
    """Measures a run; yields the results as text."""
    from tfisovae.analysis import storage
    from tfisovae.analysis.scree import Scree
    from tfisovae.verdict import headlines

    steps = None if args.probe == math.inf else args.probe
    measuring.check_at_least_1(rows=args.rows, probe=steps, probe_seeds=args.probe_seeds)
    if args.margin is not None and not 0 < args.margin < math.inf:
        raise ValueError(f"--margin must be positive and finite; got {args.margin}.")
    measuring.check_gradient_examples(args.gradient_examples)
    result, extra = compute(trained, args.num_examples, args.method)
    counted = Scree.from_saved({**result.to_dict(), **extra}).sentences()
    yield "\n".join(
        [result.table(args.rows),
         result.accounting(), counted, *theory(extra, result, args.rows)])
    if args.probe is not None:
        yield from probes(trained, steps, args.probe_seeds)
    evidence = measuring.known_evidence(trained)
    if args.margin is not None:
        evidence["margin"] = args.margin
    if not _is_there(trained):  # even if the other evidence, which takes long, fails
        write(trained, result, {**extra, "verdict": judge(trained, result, **evidence).to_dict()})
    if args.gradient_examples == 0:
        stored, where = measuring.stored_evidence(trained)
        evidence |= stored
        extra |= {"gradient_from": where} if where else {}
    else:
        evidence |= measuring.training_evidence(trained, args.gradient_examples)
    found = judge(trained, result, **evidence)
    extra |= {
        "evidence": {name: _saved(value) for name, value in evidence.items()},
        "verdict": found.to_dict()
    }
    notes = measuring.gradient_notes(extra) + how_to_probe(trained, evidence.get("probes", ()))
    yield "\n".join([*notes, headlines.numbers(found), headlines.summary(found)])
    write(trained, result, extra)
    _, *pictures = names(trained.suffix)[:4 if result.num_active else 3]
    yield measuring.written(trained.out, *storage.names(trained.path("isometry.json")), *pictures)


def _saved(value):
    """Evidence for JSON."""
    if isinstance(value, (list, tuple)):
        return [_saved(entry) for entry in value]
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else value


def probes(trained: "Trained", steps: int | None, seeds: int) -> Iterator[str]:
    """Makes the missing probes of a run and writes them to its `probes.json`; yields their gains.
    """
    from tfisovae.training import probe

    if not trained.own:
        raise ValueError("--probe trains on the run's own data: leave out --data.")
    steps = trained.config["steps"] if steps is None else steps
    found = {(one.steps, one.seed): one for one in probe.read(trained.directory)}
    for seed in range(seeds):
        if (steps, seed) not in found:
            found[steps, seed] = probe.probe_run(trained.directory, trained.source, steps, seed,
                                                 progress=True)
            probe.write(trained.directory, list(found.values()))
        made = found[steps, seed]
        yield (f"Probe with seed {seed}: after {steps:,} more steps the loss is {made.after:.4f} "
               f"nats, and was {made.before:.4f}: a gain of {made.gain:.2g} +- "
               f"{made.standard_error:.1g}.")


def how_to_probe(trained: "Trained", probes: Iterable["Probe"]) -> list[str]:
    """The command that measures what more training gains, if no probe did."""
    from tfisovae.commands.training import command_line

    if not trained.own or any(made.doubles for made in probes):
        return []
    command = command_line("isometry", os.path.abspath(trained.directory), "--probe")
    return [f"To see what as many steps again would gain: {command}"]


def run(args: argparse.Namespace) -> None:
    if args.probe is not None:
        from tfisovae.training import devices, runs

        devices.prepare_cpu(runs.load_config(args.directory)["batch_size"], "one_device")
    measuring.run(args, report, ends_with_verdict=True)
