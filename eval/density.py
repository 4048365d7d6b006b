#!/usr/bin/env python
"""Give log densities of held-out inputs: densities.csv, density.json and density.png (Figs. 3 and 8 where p(x) is known)."""
import csv
import json
import os

import numpy as np
import shared  # beside this file

import tfisovae
from tfisovae import batches, density, figures, runs, sources

EXTREMES = 10  # most and least probable inputs


def parser():
    p = shared.parser(__doc__)
    p.add_argument("--num_examples", type=int, help=shared.NUM_EXAMPLES)
    p.add_argument("--forms", nargs="+", metavar="FORM",
                   help=f"which of {', '.join(density.FORMS)} (default: all that the distortion has)")
    return p


def measure(trained, num_examples=None, forms=None):
    """Measures a run and writes `densities.csv`, `density.json` and the pictures; returns what the JSON holds."""
    run, config, vae, source = trained
    count = shared.num_examples(trained, num_examples)
    kl = np.concatenate([vae.encode(x).kl() for x in batches.evaluation_batches(source.eval)]).mean(0)
    active = kl > tfisovae.metrics.ACTIVE_KL
    if not active.any():
        raise shared.NotOfThisRun(f"{run} has collapsed: no latent dimension is active, so there are no densities.")
    rows = sources.Rows(source.eval.array, source.eval.rows[:count])
    estimates = density.log_densities(vae, batches.evaluation_batches(rows), forms, active, progress=True)
    saved = {"distortion_name": repr(vae.distortion), "lmbda": vae.lmbda, "decomposed": vae.decomposed, "steps": config["steps"],
             "data": source.manifest["source"], "num_examples": count, "num_active": int(active.sum()), "n": vae.n}
    columns = {"row": rows.rows, **estimates}
    if source.log_density is not None:
        columns["log_density"] = source.log_density[:count]
        saved["comparison"] = density.comparison(estimates, columns["log_density"])
    else:
        best = next(form for form in ("volume", "scaled_posterior", "posterior", *estimates) if form in estimates)
        order = np.argsort(estimates[best], kind="stable")
        saved["extremes"] = {"form": best, "most_probable": rows.rows[order[::-1][:EXTREMES]].tolist(),
                             "least_probable": rows.rows[order[:EXTREMES]].tolist()}
        if config["network"] in shared.IMAGE_NETWORKS:
            pictures = [shared.as_images(batches.as_float(rows.array[saved["extremes"][name]]))
                        for name in ("most_probable", "least_probable")]
            figures.reconstructions(pictures, ["most probable", "least probable"], os.path.join(run, "extremes.png"))
    with open(os.path.join(run, "densities.csv"), "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([int(row), *(f"{value:.6f}" for value in values)] for row, *values in zip(*columns.values()))
    runs.write_atomically(os.path.join(run, "density.json"), json.dumps(saved, indent=1) + "\n")
    draw(run)
    return saved


def draw(run):
    """Draws `density.png` from `densities.csv` and `density.json`."""
    saved = shared.load_json(run, "density.json")
    with open(os.path.join(run, "densities.csv"), newline="") as file:
        names = next(csv.reader(file))
        values = np.array([[float(v) for v in row] for row in csv.reader(file)]).reshape(-1, len(names))
    columns = {name: column for name, column in zip(names, values.T) if name != "row"}
    title = f"{shared.name(saved['data'])}, {saved['distortion_name']}, lmbda {saved['lmbda']:g}"
    path, truth = os.path.join(run, "density.png"), columns.pop("log_density", None)
    for form in ("posterior", "objective"):  # where a_x is 1, the scaled form is the same
        if form in columns and np.array_equal(columns[form], columns.get(f"scaled_{form}")):
            del columns[f"scaled_{form}"]
    if truth is None:
        figures.density_histograms(columns, path, title)
    else:
        correlations = {form: entry["correlation"] for form, entry in saved["comparison"].items()}
        figures.densities(columns, truth, correlations, path, title)


def table(saved):
    """What was measured, as text."""
    lines = [f"{saved['num_examples']} examples; {saved['num_active']} of {saved['n']} dimensions active: the densities are over "
             "these alone."]
    if "comparison" in saved:
        lines += [f"{'estimate':<17} {'R with p(x)':>12} {'mean error':>12} {'rms error (nats)':>17}"]
        lines += [f"{form:<17} {entry['correlation']:12.3f} {entry['log_error_mean']:12.3f} {entry['log_error_rms']:17.3f}"
                  + ("   of another unit: density of z" if form == "prior" else "") for form, entry in saved["comparison"].items()]
    else:
        lines += [f"{name.replace('_', ' ')} by {saved['extremes']['form']!r}: rows {', '.join(map(str, saved['extremes'][name]))}"
                  for name in ("most_probable", "least_probable")]
    return "\n".join(lines)


def report(trained, args):
    """Measures a run; returns what was measured, as text."""
    saved = measure(trained, args.num_examples, args.forms)
    return f"{table(saved)}\n{shared.written(trained.directory, 'densities.csv', 'density.json', 'density.png')}"


def main(argv=None):
    shared.run(parser(), argv, report)


if __name__ == "__main__":
    main()
