#!/usr/bin/env python
"""Measure the cells of an ablation that are not measured yet, and draw Figs. 11-22: ablation-measured.json and pictures."""
import argparse
import contextlib
import io
import json
import os
import sys

import ablation_tables  # beside this file, as density, isometry and shared are
import density
import isometry
import numpy as np
import shared
import tqdm

from tfisovae import figures_ablation, runs, sources


def parser():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("ablation", help="directory, as train/ablation.py writes it")
    p.add_argument("--num_examples", type=int, default=10_000, help="held-out examples to measure of each cell, at most")
    return p


def cell_directories(directory):
    """The finished cells of an ablation; raises RunError where it holds none."""
    if not os.path.exists(os.path.join(directory, "ablation.json")):
        raise runs.RunError(f"{directory} holds no ablation: it has no ablation.json. It is what train/ablation.py writes.")
    found = [path for path in sorted(os.path.join(directory, name) for name in os.listdir(directory))
             if os.path.isdir(os.path.join(path, "model"))]
    if not found:
        raise runs.RunError(f"{directory} has no finished cell yet.")
    for path in found:
        config = runs.load_config(path)
        if (config["data"], config["distortion"]) not in ablation_tables.FIGURES:
            raise runs.RunError(f"{path} is no cell of the ablation: its data are {config['data']!r}, its loss "
                                f"{config['distortion']!r}. Move it elsewhere.")
    return found


def measure(directory, num_examples=10_000):
    """Measures what is not measured, and returns the cells: a list of dicts, also written to `ablation-measured.json`."""
    cells = []
    for path in tqdm.tqdm(cell_directories(directory), desc="measuring", unit="cell", file=sys.stderr):
        with contextlib.redirect_stderr(io.StringIO()):  # one progress display, not one for each cell
            _measure_cell(path, num_examples)
        cells.append(_summary(path))
    runs.write_atomically(os.path.join(directory, "ablation-measured.json"), json.dumps(cells, indent=1) + "\n")
    return cells


def _measure_cell(path, num_examples):
    if not _is_measured(path, num_examples):
        trained = shared.open_run(path)
        if isometry.measure(trained, num_examples).num_active:  # without an active dimension there are no densities
            density.measure(trained, num_examples)


def _is_measured(path, num_examples):
    """Whether a cell has all that `_measure_cell` makes, of as many of its own examples."""
    manifest = runs.load_config(path)["data_manifest"]
    count = min(num_examples, manifest["num_eval"])
    try:
        saved = shared.load_json(path, "isometry.json")
        if (saved["num_examples"], saved["data_fingerprint"]) != (count, manifest["fingerprint"]):
            return False
        return not any(saved["active"]) or (shared.load_json(path, "density.json")["num_examples"] == count
                                            and os.path.exists(os.path.join(path, "density.png")))
    except FileNotFoundError:
        return False


def _summary(path):
    config = runs.load_config(path)
    predicted = sources.predicted_precision(config["data"], config["distortion"], 1 / config["lmbda"])
    saved, correlations = shared.load_json(path, "isometry.json"), {}
    if any(saved["active"]):
        comparison = shared.load_json(path, "density.json")["comparison"]
        correlations = {form: entry["correlation"] for form, entry in comparison.items()}
    ascending = saved["ranking"][::-1]
    vectors = {"norm": "norm_mean", "one_minus_variance": "one_minus_variance", "precision": "precision_mean", "kl": "kl_mean"}
    return {"source": config["data"], "distortion_name": config["distortion"], "lmbda": config["lmbda"],
            **{name: [saved[key][j] for j in ascending] for name, key in vectors.items()}, "predicted_precision": predicted,
            "correlations": correlations,
            **{name: saved[name] for name in ("coding_loss", "transform_loss", "rate", "distortion")},
            "num_active": int(np.sum(saved["active"]))}


def draw(directory):
    """Draws the pictures from `ablation-measured.json`; returns their paths."""
    groups = ablation_tables.grouped(shared.load_json(directory, "ablation-measured.json"))
    paths = []
    for (source, distortion), cells in groups.items():
        paths.append(os.path.join(directory, f"{source}-{distortion}.png"))
        figures_ablation.against_lmbda(cells, paths[-1], f"{source}, {distortion.replace('_', '-')}")
    at = {f"{source} {distortion}": cell for (source, distortion), cells in groups.items()
          for cell in cells if cell["lmbda"] == 100}
    if at:
        paths.append(os.path.join(directory, "ratios.png"))
        figures_ablation.ratios_at(at, paths[-1], 100)
    squared = {source: cells for (source, distortion), cells in groups.items() if distortion == "sse"}
    if squared:
        paths.append(os.path.join(directory, "losses.png"))
        figures_ablation.losses(squared, [shape.var() for shape in sources.TOYS["norm"]], paths[-1])
    return paths


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        shared.check_at_least_1(num_examples=args.num_examples)
        cells = measure(args.ablation, args.num_examples)
        paths = draw(args.ablation)
    except (ValueError, OSError, runs.RunError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(ablation_tables.cells_table(cells))
    print(f"Written: {', '.join([os.path.join(args.ablation, 'ablation-measured.json'), *paths])}")


if __name__ == "__main__":
    main()
