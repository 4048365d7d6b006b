"""Measure the new cells of an ablation: ablation-measured.json, and a table."""
import argparse
import contextlib
import io
import os
import sys
from typing import Any

import numpy as np

from tfisovae import files
from tfisovae.commands import ablation, choices, density, isometry, measuring
from tfisovae.progress import bar as progress_bar

EXAMPLES = (
    "tfisovae measure_ablation runs/ablation",
    "tfisovae measure_ablation runs/ablation --num_examples 2000",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    p.add_argument("ablation", type=os.path.expanduser,
                   help="directory, as `tfisovae ablation` writes it")
    p.add_argument("--num_examples", type=int, default=10_000,
                   help="held-out examples to measure in each cell, at most")


def cell_directories(directory: str) -> list[str]:
    """The finished cells of an ablation; raises ValueError if there are none."""
    from tfisovae.training import runs

    if not os.path.exists(os.path.join(directory, "ablation.json")):
        raise ValueError(
            f"{directory} is not an ablation: it has no ablation.json. Give a directory that "
            "`tfisovae ablation` wrote."
        )
    found = [
        path for path in sorted(os.path.join(directory, name) for name in os.listdir(directory))
        if os.path.isdir(os.path.join(path, "model"))
    ]
    if not found:
        raise ValueError(f"{directory} has no finished cell yet.")
    for path in found:
        config = runs.load_config(path)
        if config["data"] not in choices.TOYS or config["distortion"] not in ablation.DISTORTIONS:
            raise ValueError(
                f"{path} is not a cell of this ablation: its data are {config['data']!r}, its loss "
                f"{config['distortion']!r}. Move it elsewhere.")
    return found


def measure(directory: str, num_examples: int = 10_000) -> list[dict[str, Any]]:
    """Measures new cells, and returns all cells: a list of dicts, also written to
    `ablation-measured.json`.
    """
    cells = []
    for path in progress_bar(cell_directories(directory), desc="measuring", unit="cell",
                             file=sys.stderr):
        # One progress display, not one for each cell.
        with contextlib.redirect_stderr(io.StringIO()):
            _measure_cell(path, num_examples)
        cells.append(_summary(path))
    files.write_json(os.path.join(directory, "ablation-measured.json"), {"cells": cells})
    return cells


def _measure_cell(path, num_examples):
    if not _is_measured(path, num_examples):
        trained = measuring.open_run(path)
        # Without an active dimension there are no densities.
        if isometry.measure(trained, num_examples).num_active:
            density.measure(trained, num_examples, train_examples=0)


def _is_measured(path, num_examples):
    """Whether a cell has all results of `_measure_cell`, for the same number of its own examples.
    """
    from tfisovae.training import runs

    manifest = runs.load_config(path)["data_manifest"]
    count = min(num_examples, manifest["num_eval"])
    try:
        saved = files.read_json(os.path.join(path, "isometry.json"))
        if (saved["num_examples"], saved["data_fingerprint"]) != (count, manifest["fingerprint"]):
            return False
        return not any(saved["active"]) or (files.read_json(os.path.join(
            path, "density.json"))["num_examples"] == count
                                            and os.path.exists(os.path.join(path, "density.png")))
    except FileNotFoundError:
        return False


def _summary(path):
    from tfisovae import sources
    from tfisovae.training import runs

    config = runs.load_config(path)
    predicted = sources.predicted_precision(config["data"], config["distortion"],
                                            1 / config["lmbda"])
    saved, correlations = files.read_json(os.path.join(path, "isometry.json")), {}
    if any(saved["active"]):
        comparison = files.read_json(os.path.join(path, "density.json"))["comparison"]
        correlations = {form: entry["correlation"] for form, entry in comparison.items()}
    ascending = np.argsort(saved["precision_mean"], kind="stable")
    vectors = {
        "norm": "norm_mean", "one_minus_variance": "one_minus_variance",
        "precision": "precision_mean", "kl": "kl_mean"
    }
    return {
        "source": config["data"], "distortion_name": config["distortion"], "lmbda": config["lmbda"],
        **{name: [saved[key][j] for j in ascending]
           for name, key in vectors.items()}, "predicted_precision": predicted,
        "correlations": correlations,
        **{name: saved[name]
           for name in ("coding_loss", "transform_loss", "rate", "distortion")}, "num_active": int(
            np.sum(saved["active"]))
    }


def grouped(cells: list[dict[str, Any]]) -> dict[Any, list[dict[str, Any]]]:
    """`{(source, distortion): cells of rising lmbda}`, in the order of the paper's figures."""
    order = {(source, distortion): (i, j) for i, source in enumerate(choices.TOYS)
             for j, distortion in enumerate(ablation.DISTORTIONS)}
    groups = {}
    for cell in sorted(
            cells, key=lambda cell:
        (order[cell["source"], cell["distortion_name"]], cell["lmbda"])):
        groups.setdefault((cell["source"], cell["distortion_name"]), []).append(cell)
    return groups


def slopes(cells: list[dict[str, Any]]) -> list[tuple[float, float]]:
    """`(beta, -dD/dR)` of each pair of neighbours in lmbda, equal at the optimum (Eq. 3) if no
    dimension has collapsed.

    beta is the logarithmic mean of the two: the exact slope of any step on D = n beta / 2, R =
    const - n log(beta) / 2. The slope is NaN if both cells have the same rate, as collapsed cells
    do.
    """
    return [(float((1 / a["lmbda"] - 1 / b["lmbda"]) / np.log(b["lmbda"] / a["lmbda"])),
             (a["distortion"] - b["distortion"]) /
             (b["rate"] - a["rate"]) if b["rate"] != a["rate"] else float("nan"))
            for a, b in zip(cells, cells[1:])]


def cells_table(cells: list[dict[str, Any]]) -> str:
    """Every cell: norms, ratios, R and the slope of the rate-distortion curve, as text for a
    terminal.
    """
    lines = [
        f"{'data':<5} {'loss':<16} {'lmbda':>6} {'active':>6} {'norms':>20} {'ratios':>13} "
        f"{'R posterior':>11} "
        f"{'coding/(n b/2)':>15} {'-dD/dR / beta':>14}"
    ]
    for (source, distortion), group in grouped(cells).items():
        after = [None, *slopes(group)]
        for i, cell in enumerate(group):
            norms = " ".join(f"{value:6.3f}" for value in cell["norm"])
            ratios = " ".join(
                f"{value / cell['precision'][0]:6.2f}" for value in cell["precision"][1:])
            theory_loss = len(cell["norm"]) / cell["lmbda"] / 2
            slope = f"{after[i][1] / after[i][0]:14.3f}" if i else " " * 14
            r = cell["correlations"].get("scaled_posterior", float("nan"))
            lines.append(
                f"{source:<5} {distortion:<16} {cell['lmbda']:6g} {cell['num_active']:6d} "
                f"{norms:>20} {ratios:>13} "
                f"{r:11.3f} {cell['coding_loss'] / theory_loss:15.3f} {slope}")
    return "\n".join(lines)


def run(args: argparse.Namespace) -> None:
    measuring.check_at_least_1(num_examples=args.num_examples)
    cells = measure(args.ablation, args.num_examples)
    print(cells_table(cells))
    print(measuring.written(args.ablation, "ablation-measured.json"))
