"""Draw what each latent dimension does (Figs. 6 and 23), in equal distortion: traversal.png, .gif,
.json; reconstructions.png.
"""
import argparse
import dataclasses
import os
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfisovae import files
from tfisovae.commands import measuring, options
from tfisovae.commands.training import command_line
from tfisovae.geometry import STEPS
from tfisovae.geometry.estimated import LARGEST_EXACT

if typing.TYPE_CHECKING:
    from tfisovae import Analysis
    from tfisovae.commands.measuring import Trained

_ROWS = 32  # of a large latent space


EXAMPLES = (
    "tfisovae traverse runs/faces --rows 10",
    "tfisovae traverse runs/faces --steps z --limit 3",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    measuring.add_arguments(p, "run directory that `tfisovae isometry` has measured")
    picture = options.group(p, "picture")
    picture.add_argument("--rows", type=int,
                         help="leading dimensions to draw (default: all, or 32 of more than 300)")
    picture.add_argument("--columns", type=int, default=9, help="images in a row")
    picture.add_argument("--limit", type=float, default=2.0, help="z_j goes from -limit to limit")
    picture.add_argument(
        "--steps", choices=STEPS, default="decoder",
        help="what is equal between images: the distortion, from the decoder or from the "
             "posteriors; or z, as in the paper")


def traverse(trained: "Trained", result: "Analysis", rows: int | None = None, columns: int = 9,
             limit: float = 2.0, steps: str = "decoder") -> tuple[Any, ...]:
    """The `Traversals` of the leading dimensions of a run's `Analysis`, as images: with `columns`
    steps, and with more steps.
    """
    from tfisovae.geometry import traversals
    from tfisovae.training import batches

    posterior = None
    if steps == "posterior":
        encoded = [trained.vae.encode(x) for x in batches.evaluation_batches(trained.source.eval)]
        posterior = tuple(np.concatenate(parts) for parts in zip(*encoded))
    if rows is None and len(result.ranking) > LARGEST_EXACT:
        rows = _ROWS
    fine = traversals.traverse(trained.vae, result.ranking[:rows], 2 * columns - 1, limit, steps,
                               posterior=posterior, share=result.share)
    coarse = traversals.every_other(fine, trained.vae.distortion)
    return tuple(
        dataclasses.replace(made, x=measuring.as_images(made.x)) for made in (coarse, fine))


def draw(trained: "Trained", rows: int | None = None, columns: int = 9, limit: float = 2.0,
         steps: str = "decoder") -> list[str]:
    """Writes the pictures, the animation and the numbers of a run; returns a description of the
    rows.
    """
    from tfisovae import Analysis
    from tfisovae.autoencoder.data import as_float
    from tfisovae.show import decoded, drawing

    run, config, vae, source, *_ = trained
    measuring.check_at_least_1(rows=rows)
    if columns < 2:
        raise ValueError(f"--columns must be at least 2; got {columns}.")
    if not 0 < limit < float("inf"):
        raise ValueError(f"--limit must be positive and finite; got {limit}.")
    if not trained.has_images:
        raise measuring.NotOfThisRun(
            "Traversals are drawn of images; this run's data are vectors of "
            f"{source.eval.shape[-1]} numbers.")
    path = next(
        filter(os.path.exists, (trained.path("isometry.json"), os.path.join(run, "isometry.json"))),
        None)
    if path is None:
        raise ValueError(f"{run} has not been measured, and the ranking orders the rows. First: "
                         f"{command_line('isometry', os.path.abspath(run))}")
    result, saved = Analysis.load(path), files.read_json(path)
    if saved.get("steps", config["steps"]) != config["steps"]:
        raise ValueError(
            f"{path}, whose ranking orders the rows, belongs to the model after {saved['steps']} "
            f"steps of training; it has {config['steps']} now. First: "
            f"{command_line('isometry', os.path.abspath(run))}")
    made, fine = traverse(trained, result, rows, columns, limit, steps)
    moved = "equal steps of z" if steps == "z" else f"steps of equal distortion by the {steps}"
    title = f"What each latent dimension does: {moved}, from {-limit:g} to {limit:g}"
    drawing.save(decoded.traversal(made, title=title), trained.path("traversal.png"))
    decoded.animation(fine, trained.path("traversal.gif"))
    files.write_json(trained.path("traversal.json"), {**made.to_dict(), "limit": limit})
    x = as_float(source.eval[np.arange(min(12, len(source.eval)))])
    measurement = vae.measure(x)
    rows = [measuring.as_images(v) for v in (x, measurement.x_check, measurement.x_hat)]
    drawing.save(decoded.reconstructions(rows, ["x", "Dec(mean)", "Dec(sample)"],
                                         title="Examples, and two reconstructions of each"),
                 trained.path("reconstructions.png"))
    return made.labels()


def report(trained: "Trained", args: argparse.Namespace) -> Iterator[str]:
    """Draws; yields a description of the rows and the names of the pictures."""
    yield "\n".join(draw(trained, args.rows, args.columns, args.limit, args.steps))
    yield measuring.written(
        "",
        *map(trained.path,
             ("traversal.png", "traversal.gif", "traversal.json", "reconstructions.png")))


def run(args: argparse.Namespace) -> None:
    measuring.run(args, report)
