"""Draw the implicit isometric variable y_j of each active latent variable (Fig. 1): variables.png,
variables.json.
"""
import argparse
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfisovae import files
from tfisovae.commands import measuring, options

if typing.TYPE_CHECKING:
    from tfisovae.commands.measuring import Trained


EXAMPLES = (
    "tfisovae variables runs/toy",
    "tfisovae variables runs/toy --rows 3 --out figures",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    measuring.add_arguments(p)
    options.group(p, "output").add_argument("--rows", type=int, default=6,
                                            help="leading dimensions to draw, at most")


def compute(trained: "Trained", rows: int = 6) -> tuple[Any, ...]:
    """Maps the held-out examples to y: the content of `variables.json` and of `variables.png`."""
    from tfisovae import sources, theory
    from tfisovae.autoencoder import posterior, streaming
    from tfisovae.geometry.isometric_variable import IsometricVariable
    from tfisovae.training import batches

    measuring.check_at_least_1(rows=rows)
    run, config, vae, source, *_ = trained

    def values(x, first_row):
        q = vae.encode(x)
        return q.mean, q.scale, q.kl()

    examples = streaming.prepare(vae, batches.evaluation_batches(source.eval))
    found = [parts for parts, _ in streaming.run(examples, values)]
    mean, scale, kl = map(np.concatenate, zip(*found))
    precision = np.mean(scale.astype(np.float64) ** -2, 0)
    active = posterior.active(kl.mean(0))
    leading = [int(j) for j in np.argsort(-precision) if active[j]][:rows]
    if not leading:
        raise measuring.NotOfThisRun(
            f"{run} has collapsed: no latent dimension is active, so y does not exist.")
    # For the metric |dx|^2, y has the unit of the data; for others, the unit of the square root of
    # the distortion.
    toy = source.log_density is not None and config["distortion"] == "sse"
    variables, references, saved = [], [], {
        "lmbda": 1 / vae.beta, "data": source.manifest["source"],
        "data_fingerprint": source.manifest["fingerprint"], "steps": config["steps"],
        "dimensions": []
    }
    for rank, j in enumerate(leading, 1):
        y = IsometricVariable(mean[:, j], scale[:, j], vae.beta).to_y(mean[:, j])
        entry = {"z": j, "precision": float(precision[j]), "variance_y": float(np.var(y)),
                 "importance": float(theory.importance(precision[j], vae.beta))}
        if toy:
            s = source.factors
            correlations = [np.corrcoef(y, column)[0, 1] for column in s.T]
            k = int(np.argmax(np.abs(correlations)))
            y = np.sign(correlations[k]) * (y - y.mean())
            entry |= {
                "follows": source.factor_names[k], "correlation": float(correlations[k]),
                "variance_s": float(np.var(s[:, k])), "rms_difference": float(
                    np.sqrt(np.mean((y - s[:, k])**2)))
            }
            shape = sources.TOYS[source.manifest["toy"]][k]
            grid = np.linspace(s[:, k].min() * 1.15, s[:, k].max() * 1.15, 400)
            references.append((grid, shape.pdf(grid)))
        variables.append((f"y_{rank} of z_{j}" +
                          (f", follows {entry['follows']}" if toy else ""), y))
        saved["dimensions"].append(entry)
    return saved, variables, references if toy else None


def write(trained: "Trained", saved: dict[str, Any], variables: Any, references: Any) -> None:
    """Writes `variables.json` and `variables.png`."""
    from tfisovae.show import drawing
    from tfisovae.show import variables as pictures

    title = f"Distribution of each isometric variable y_j: {measuring.name(saved['data'])}"
    drawing.save(pictures.variables(variables, references, title), trained.path("variables.png"))
    files.write_json(trained.path("variables.json"), saved)


def table(saved: dict[str, Any]) -> str:
    """The results as text."""
    lines = [f"{'rank':>4} {'z_j':>4} {'Var(y_j)':>10} {'importance':>11}   of the data"]
    for rank, entry in enumerate(saved["dimensions"], 1):
        follows = "" if "follows" not in entry else (
            f"   {entry['follows']}: R {abs(entry['correlation']):.4f}, variance "
            f"{entry['variance_s']:.4f}, rms |y - s| {entry['rms_difference']:.4f}")
        lines.append(
            f"{rank:4d} {entry['z']:4d} {entry['variance_y']:10.4g} "
            f"{entry['importance']:11.4g}{follows}"
        )
    return "\n".join(lines)


def report(trained: "Trained", args: argparse.Namespace) -> Iterator[str]:
    """Measures a run; yields the results as text, before writing them."""
    saved, variables, references = compute(trained, args.rows)
    yield table(saved)
    write(trained, saved, variables, references)
    yield measuring.written("", trained.path("variables.json"), trained.path("variables.png"))


def run(args: argparse.Namespace) -> None:
    measuring.run(args, report)
