r"""How isometry emerges while a VAE trains, drawn from what `--monitor_every` wrote: `python -m
results.emergence RUN ...`.

    tfisovae mnist --data mnist.npz --schedule cosine --steps 3000 --batch_size 128 --monitor_every
      20 --monitor_share 0.1 \ --num_eval 0 --run_dir runs/emergence/mnist python -m
      results.emergence runs/emergence/mnist --out results/emergence

Every RUN gives NAME.csv and NAME.png in the directory --out. Of a NAME.csv there, the picture is
drawn again.
"""
import argparse
import os
import sys

import numpy as np
from matplotlib.ticker import NullFormatter

from results import layout, palette
from tfisovae import files
from tfisovae.callbacks import history
from tfisovae.show import drawing

_NORM, _PREDICTED, _COSINE = palette.VERMILION, palette.BLACK, palette.BLUE
_BALANCE, _RATE, _DISTORTION = palette.GREEN, palette.BLUE, palette.VERMILION
_HEADROOM = 1.25  # space above the curves, for the legend
_SMOOTHED = 0.08  # of log(step): the width of the running means


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.emergence", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", nargs="+",
                   help="run directories of a training command with --monitor_every, or CSV files")
    p.add_argument("--out", default="results/emergence",
                   help="directory to write (default: results/emergence)")
    return p


def columns(path):
    """An `isometry-history.csv`: dict from name to `[rows]`, and under "importance" `[rows, n]`.

    Raises:
      ValueError: if there is no such file, or fewer than two measurements in it.
    """
    rows = history.read(path, history.OF_ISOMETRY)
    if len(rows) < 2:
        raise ValueError(
            f"{path} has {len(rows)} measurements, and a picture takes two. They come from a "
            f"training command with "
            "--monitor_every.")
    names = [name for name in rows[0] if not name.startswith("importance_")]
    found = {name: np.array([float(row[name]) for row in rows]) for name in names}
    found["importance"] = np.array(
        [[float(row[name]) for name in row if name.startswith("importance_")] for row in rows])
    return found


def smoothed(steps, values):
    """Running means over steps of a logarithmic axis, as a measurement on few examples scatters;
    NaNs are left out.

    Args:
      steps, values: `[rows]`; steps ascend.
    Returns:
      `[rows]`; each a mean with Gaussian weights of the difference of log(step), NaN where there is
      nothing but NaNs.
    """
    at = np.log(np.maximum(steps, 1))
    weights = np.exp(-0.5 * ((at[:, None] - at) / _SMOOTHED) ** 2) * np.isfinite(values)
    total = weights.sum(1)
    return np.divide(weights @ np.nan_to_num(values), total, out=np.full(len(at), np.nan),
                     where=total > 0)


def figure(measured, title="", path=None):
    """Four panels over the steps (log axis): norm and its prediction; cosines and balance;
    importance; rate and distortion.

    Args:
      measured: as `columns` gives it.
      title: above the picture.
      path: where to write it, or `None`.
    """
    steps = measured["step"]
    shown = np.maximum(steps, 0.7 * steps[steps > 0].min())  # step 0 at the left end
    drawn = drawing.Figure(figsize=(11, 6.4), layout="constrained")
    (norms, angles), (spectrum, losses) = drawn.subplots(2, 2)

    def curve(axes, name, color, label):
        axes.plot(shown, measured[name], ".", color=color, markersize=3, alpha=0.3)
        axes.plot(shown, smoothed(steps, measured[name]), color=color, linewidth=1.6, label=label)

    curve(norms, "norm", _NORM, r"norm $\frac{2}{\beta}\sigma_j^2 D'_j$")
    curve(norms, "predicted_norm", _PREDICTED, r"$E[1-\sigma_j^2]$")
    norms.axhline(1, color="black", linewidth=0.8, linestyle=":")
    norms.set_ylim(0, min(3, max(1.6, 1.2 * np.nanmax(measured["norm"]))))
    norms.set_title("lengths: mean norm of the active dimensions", fontsize=10)
    norms.set_ylabel("squared norm", fontsize=9)
    curve(angles, "cosine", _COSINE, "cosines (rms)")
    curve(angles, "balance", _BALANCE, "posterior balance")
    angles.axhline(1, color="black", linewidth=0.8, linestyle=":")
    angles.set_ylim(0, 1.6)
    angles.set_title("angles, and the balance of training", fontsize=10)
    angles.set_ylabel("cosine; balance", fontsize=9)
    last = measured["importance"][-1]
    order = np.argsort(-last)
    for rank, j in enumerate(order):
        color = (0.1 + 0.75 * rank / max(1, len(order) - 1),) * 2 + (0.75,)
        spectrum.plot(shown, smoothed(steps, measured["importance"][:, j]), color=color,
                      linewidth=0.9)
    spectrum.set_yscale("log")
    spectrum.set_title(f"importance of each of the {len(last)} dimensions (dark: first in the end)",
                       fontsize=10)
    spectrum.set_ylabel(r"$\frac{\beta}{2} E[\sigma_j^{-2}]$, units of D")
    curve(losses, "rate", _RATE, "rate (nats, left)")
    losses.set_ylim(0, _HEADROOM * np.nanmax(measured["rate"]))
    right = losses.twinx()
    curve(right, "distortion", _DISTORTION, "distortion (right)")
    right.set_ylim(0, _HEADROOM * np.nanmax(measured["distortion"]))
    count = losses.twinx()
    count.set_axis_off()
    count.step(shown, measured["active_dimensions"], where="post", color=_PREDICTED, linewidth=1,
               linestyle="--")
    count.set_ylim(0, _HEADROOM * len(last))
    losses.plot([], [], color=_PREDICTED, linewidth=1, linestyle="--",
                label=f"active dimensions (of {len(last)})")
    losses.plot([], [], color=_DISTORTION, label="distortion (right)")
    losses.set_title("rate, distortion, and active dimensions", fontsize=10)
    losses.set_ylabel("rate, nats", fontsize=9)
    right.set_ylabel("distortion D", fontsize=9)
    for axes in (norms, angles, spectrum, losses):
        axes.set_xscale("log")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("step (0 at the left end)", fontsize=9)
        if axes is not spectrum:
            row = {"fontsize": 7.5, "ncols": 3} if axes is losses else {"fontsize": 9}
            axes.legend(frameon=False, loc="upper right", **row)
    drawn.suptitle(title, fontsize=11, parse_math=False)
    if path is not None:
        drawing.save(drawn, path)
    return drawn


def publish(source, out):
    """Copies the history of a run to `out` and draws it; of a CSV file, draws it there. Returns the
    picture's path.
    """
    is_file = os.path.isfile(source)
    path = source if is_file else os.path.join(source, history.ISOMETRY)
    measured = columns(path)
    name = os.path.splitext(layout.name(source))[0] if is_file else layout.name(source)
    copy, picture = (os.path.join(out, f"{name}{ending}") for ending in (".csv", ".png"))
    if not (os.path.exists(copy) and os.path.samefile(path, copy)):
        with open(path, encoding="utf-8") as file:
            files.write_text(copy, file.read().replace("\r\n", "\n"))
    share, count = measured["share"][-1], int(measured["num_examples"][-1])
    figure(
        measured,
        f"How isometry emerges on {name}: {len(measured['step'])} measurements on {count} "
        f"held-out examples, in {share:.1%} of the training's time", picture)
    return picture


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        os.makedirs(args.out, exist_ok=True)
        for source in args.runs:
            print(f"Written: {publish(source, args.out)}")
    except (ValueError, OSError) as error:
        sys.exit(f"{parser().prog}: {error}")


if __name__ == "__main__":
    main()
