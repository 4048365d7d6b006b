"""Draw what each latent dimension does (Figs. 6 and 23): traversal.png, and reconstructions.png."""
import os

import numpy as np

from tfisovae.commands import measuring
from tfisovae.commands.training import command_line


def add_arguments(p):
    """The options."""
    measuring.add_arguments(p, "run directory that `tfisovae isometry` has measured")
    p.add_argument("--rows", type=int, help="leading dimensions to draw (default: all)")
    p.add_argument("--columns", type=int, default=9, help="values of z_j")
    p.add_argument("--limit", type=float, default=2.0, help="z_j goes from -limit to limit")


def traverse(vae, ranking, limit=2.0, columns=9):
    """Decodes z = value e_j for each dimension j of `ranking`: `(images [rows, columns, ...], values [columns])`."""
    values = np.linspace(-limit, limit, columns, dtype=np.float32)
    latents = np.zeros((len(ranking), columns, vae.n), np.float32)
    for row, j in enumerate(ranking):
        latents[row, :, j] = values
    images = np.concatenate([vae.decode(z).numpy() for z in latents])
    return images.reshape(len(ranking), columns, *images.shape[1:]), values


def draw(trained, rows=None, columns=9, limit=2.0):
    """Writes `traversal.png` and `reconstructions.png` of a run."""
    from tfisovae import Analysis, figures
    from tfisovae.examples import as_float

    run, _, vae, source, *_ = trained
    measuring.check_at_least_1(rows=rows, columns=columns)
    if not 0 < limit < float("inf"):
        raise ValueError(f"--limit must be positive and finite; got {limit}.")
    if not trained.has_images:
        raise measuring.NotOfThisRun("Traversals are drawn of images; this run's data are vectors of "
                                  f"{source.eval.shape[-1]} numbers.")
    path = next(filter(os.path.exists, (trained.path("isometry.json"), os.path.join(run, "isometry.json"))), None)
    if path is None:
        raise ValueError(f"{run} has not been measured, and the ranking orders the rows. First: "
                         f"{command_line('isometry', os.path.abspath(run))}")
    result = Analysis.load(path)
    ranking = result.ranking[:rows]
    images, values = traverse(vae, ranking, limit, columns)
    figures.traversal(measuring.as_images(images), ranking, result.precision_mean[ranking], values,
                      r"$z_j$ by importance, and $E[\sigma_j^{-2}]$", trained.path("traversal.png"))
    x = as_float(source.eval[np.arange(min(12, len(source.eval)))])
    measurement = vae.measure(x)
    rows = [measuring.as_images(v) for v in (x, measurement.x_check, measurement.x_hat)]
    figures.reconstructions(rows, ["x", "Dec(mean)", "Dec(sample)"], path=trained.path("reconstructions.png"))


def report(trained, args):
    """Draws; yields the names of the pictures, as text."""
    draw(trained, args.rows, args.columns, args.limit)
    yield measuring.written("", trained.path("traversal.png"), trained.path("reconstructions.png"))


def run(args):
    measuring.run(args, report)
