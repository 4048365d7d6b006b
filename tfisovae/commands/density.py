"""Give log densities of held-out inputs, with percentiles among training inputs: densities.csv,
density.json, density.png.

Figs. 3 and 8 if p(x) is known.
"""
import argparse
import csv
import os
import sys
import typing
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfisovae import files
from tfisovae.commands import choices, measuring, options

if typing.TYPE_CHECKING:
    from tfisovae.commands.measuring import Trained

PERCENTILE = "percentile"  # column of densities.csv
# Percentiles and extremes use the first of these. Unlike the others, the objective contains the
# distortion, so it finds inputs far from everything that the decoder can draw.
_RANKING = ("objective", "scaled_objective", "corrected_volume", "volume", "scaled_posterior",
            "posterior", "prior")
EXTREMES = 10  # most and least probable inputs


EXAMPLES = (
    "tfisovae density runs/toy",
    "tfisovae density runs/mnist --data other.npy --forms objective volume",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    measuring.add_arguments(p)
    measuring.add_num_examples(p)
    measure = options.group(p, "measuring")
    measure.add_argument(
        "--forms", nargs="+", metavar="FORM",
        help=f"which of {', '.join(choices.FORMS)} (default: all that the distortion has)")
    measure.add_argument(
        "--train_examples", type=int,
        help="training examples to compare each input with, at most; 0: no percentiles (default: "
             "1,000 images, or 10,000 vectors)")


def compute(trained: "Trained", num_examples: int | None = None, forms: Sequence[str] | None = None,
            train_examples: int | None = None) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Measures a run: the content of `density.json`, the columns of `densities.csv`, and the
    pictures of extremes or `None`.
    """
    from tfisovae import density
    from tfisovae.autoencoder import streaming
    from tfisovae.autoencoder.data import as_float
    from tfisovae.metrics.posteriors import posterior_means
    from tfisovae.training import batches

    run, config, vae, source, *_ = trained
    if train_examples is not None and train_examples < 0:
        raise ValueError(
            f"--train_examples must be at least 0 (0: none); got {train_examples}.")
    count = measuring.num_examples(trained, num_examples)
    rows = source.eval.chosen(np.arange(count))  # the examples of `tfisovae isometry`
    train = None if train_examples == 0 else measuring.examples_of_training(trained, train_examples)
    if train is None and train_examples != 0:
        missing = (
            f"the training data of {run} cannot be found, so there are no percentiles"
        )
        if train_examples is not None:
            raise ValueError(f"--train_examples: {missing}. Leave it out.")
        print(f"Note: {missing}, and these examples decide which dimensions are active.",
              file=sys.stderr)
    # Other data may be few or unusual, so the run's own data decide which dimensions count.
    own = rows if trained.own or train is None else train
    means = posterior_means(streaming.prepare(vae, batches.evaluation_batches(own)))
    active, variance = means.active, means.variance
    if not active.any():
        raise measuring.NotOfThisRun(
            f"{run} has collapsed: no latent dimension is active, so there are no densities.")
    estimates = density.log_densities(vae, batches.evaluation_batches(rows), forms, active,
                                      variance=variance, progress=True)
    best = next(form for form in _RANKING if form in estimates)
    saved = {
        "distortion_name": repr(vae.distortion), "lmbda": 1 / vae.beta,
        "decomposed": vae.decomposed, "steps": config["steps"], "data": source.manifest["source"],
        "data_fingerprint": source.manifest["fingerprint"], "num_examples": count,
        "num_active": int(active.sum()), "n": vae.n
    }
    columns, pictures = {"row": rows.rows, **estimates}, None
    if train is not None:
        among = density.log_densities(vae, batches.evaluation_batches(train), best, active,
                                      variance=variance, progress=True)[best]
        columns[PERCENTILE] = density.percentiles(estimates[best], among)
        saved["percentiles"] = {
            "form": best, "num_train": len(train), "median": float(np.median(columns[PERCENTILE])),
            "below_1": float(np.mean(columns[PERCENTILE] < 1)), "log_density_at_1": float(
                np.quantile(among, 0.01))
        }
    if source.log_density is not None:
        columns["log_density"] = source.log_density[:count]
        saved["comparison"] = density.comparison(estimates, columns["log_density"])
    else:
        order = np.argsort(estimates[best], kind="stable")
        saved["extremes"] = {
            "form": best, "most_probable": rows.rows[order[::-1][:EXTREMES]].tolist(),
            "least_probable": rows.rows[order[:EXTREMES]].tolist()
        }
        if trained.has_images:
            pictures = [measuring.as_images(as_float(rows.array[saved["extremes"][name]]))
                        for name in ("most_probable", "least_probable")]
    return saved, columns, pictures


def write(trained: "Trained", saved: dict[str, Any], columns: dict[str, Any],
          pictures: Any) -> None:
    """Writes `densities.csv`, `density.json` and the pictures."""
    from tfisovae.show import decoded, drawing

    if pictures is not None:
        drawing.save(decoded.reconstructions(pictures, ["most probable", "least probable"],
                                             title="The most and the least probable inputs"),
                     trained.path("extremes.png"))
    with files.replacing(trained.path("densities.csv"), newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([int(row), *(f"{value:.6f}" for value in values)]
                         for row, *values in zip(*columns.values()))
    files.write_json(trained.path("density.json"), saved)
    draw(trained.out, trained.suffix)


def measure(trained: "Trained", num_examples: int | None = None, forms: Sequence[str] | None = None,
            train_examples: int | None = None) -> dict[str, Any]:
    """Measures a run and writes `densities.csv`, `density.json` and the pictures; returns the
    content of the JSON.
    """
    saved, columns, pictures = compute(trained, num_examples, forms, train_examples)
    write(trained, saved, columns, pictures)
    return saved


def names(suffix: str = "") -> tuple[str, ...]:
    """The files of a measurement."""
    return f"densities{suffix}.csv", f"density{suffix}.json", f"density{suffix}.png"


def load(out: str, suffix: str = "") -> tuple[dict[str, Any], dict[str, Any]]:
    """The content of `density.json`, and the columns of `densities.csv`, `{name: [N]}` (empty if
    missing).

    Raises:
      FileNotFoundError, files.DamagedFile: if `density.json` is missing, or one of the two is
        damaged.
    """
    table, numbers, _ = (os.path.join(out, name) for name in names(suffix))
    saved = files.read_json(numbers)
    try:
        with open(table, newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        values = np.array(rows, np.float64).reshape(-1, len(header))
    except FileNotFoundError:
        return saved, {}
    except ValueError as error:
        raise files.DamagedFile(
            f"{table} is not a complete table of numbers ({error}). Measure again with tfisovae "
            "density."
        ) from None
    return saved, dict(zip(header, values.T))


def draw(out: str, suffix: str = "") -> None:
    """Draws `density.png` from `densities.csv` and `density.json`, which are in the directory
    `out`.
    """
    from tfisovae.show import density, drawing

    saved, columns = load(out, suffix)
    for name in ("row", PERCENTILE):
        columns.pop(name, None)
    path = os.path.join(out, names(suffix)[2])
    setting = (f"{measuring.name(saved['data'])}, {saved['distortion_name']}, lmbda "
               f"{saved['lmbda']:g}")
    truth = columns.pop("log_density", None)
    for form in ("posterior", "objective"):  # for a_x = 1, the scaled form is the same
        if form in columns and np.array_equal(columns[form], columns.get(f"scaled_{form}")):
            del columns[f"scaled_{form}"]
    if truth is None:
        figure = density.histogram(columns, title=f"Log densities of inputs: {setting}")
    else:
        correlations = {form: entry["correlation"] for form, entry in saved["comparison"].items()}
        figure = density.densities(columns, truth, correlations,
                                   f"Estimates of p(x) against its true value: {setting}")
    drawing.save(figure, path)


def table(saved: dict[str, Any]) -> str:
    """The results as text."""
    lines = [
        f"{saved['num_examples']} example{'s' * (saved['num_examples'] > 1)}; "
        f"{saved['num_active']} of {saved['n']} dimensions active: the densities use only these."
    ]
    if "comparison" in saved:
        lines += [
            f"{'estimate':<17} {'R with p(x)':>12} {'mean error':>12} {'rms error (nats)':>17}"
        ]
        lines += [
            f"{form:<17} {entry['correlation']:12.3f} {entry['log_error_mean']:12.3f} "
            f"{entry['log_error_rms']:17.3f}"
            + ("   in another unit: density of z" if form == "prior" else "")
            for form, entry in saved["comparison"].items()
        ]
    else:
        lines += [
            f"{name.replace('_', ' ')} by {saved['extremes']['form']!r}: rows "
            f"{', '.join(map(str, saved['extremes'][name]))}"
            for name in ("most_probable", "least_probable")
        ]
    if "percentiles" in saved:
        among = saved["percentiles"]
        lines.append(
            f"Among {among['num_train']:,} random training examples, by {among['form']!r}: the "
            f"median input is at percentile {among['median']:.1f}; {among['below_1']:.1%} are "
            f"below the first ({among['log_density_at_1']:.2f} nats).")
    return "\n".join(lines)


def report(trained: "Trained", args: argparse.Namespace) -> Iterator[str]:
    """Measures a run; yields the results as text, before writing them."""
    saved, columns, pictures = compute(trained, args.num_examples, args.forms, args.train_examples)
    yield table(saved)
    write(trained, saved, columns, pictures)
    pictures = [] if pictures is None else [os.path.basename(trained.path("extremes.png"))]
    yield measuring.written(trained.out, *names(trained.suffix), *pictures)


def run(args: argparse.Namespace) -> None:
    measuring.run(args, report)
