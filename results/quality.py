"""Time to quality: how long a recipe takes to reach the final loss of the paper's settings: `python
-m results.quality`.

    python -m results.quality mnist --paper results/mnist/n32 --recipe runs/mnist-3k runs/mnist-6k
    runs/mnist-12k --data mnist.npz

All runs have been trained and measured (`tfisovae isometry`). A cosine schedule has no final loss
before its end, so a recipe has several lengths, each a separate training. Seconds per step are
measured here, in turn, each training in its own process. It writes NAME.json and NAME.png into
--out; with --draw only the picture, from the JSON.
"""
import argparse
import glob
import os
import statistics
import subprocess
import sys
import tempfile

import numpy as np
import tensorflow as tf

from results import layout, palette
from tfisovae import files, sources
from tfisovae.callbacks import history
from tfisovae.commands.longer import options
from tfisovae.show import drawing
from tfisovae.training import runs, stopping

_PAPER, _RECIPE = palette.VERMILION, palette.BLUE
_EVERY, _INTERVALS = 20, 12  # steps that are timed together, and how many times


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.quality", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("name", help="of the files to write")
    p.add_argument("--paper", help="run directory of the paper's settings")
    p.add_argument("--recipe", nargs="+", help="run directories of the recipe, of several lengths")
    p.add_argument("--data", help="where the data of the runs lie (default: as in their manifests)")
    p.add_argument("--rounds", type=int, default=3,
                   help="of the measurement of seconds (default: 3)")
    p.add_argument("--out", default="results/quality",
                   help="directory to write (default: results/quality)")
    p.add_argument("--draw", action="store_true",
                   help="draw the picture again, of the JSON that is there")
    return p


def command_of(config):
    """The training command of a manifest: networks are named as the commands are."""
    name = config["network"].removesuffix("_large")
    if name not in ("celeba", "mnist"):
        raise ValueError(
            f"Time to quality is of runs of celeba and mnist, whose length is in steps; got {name}."
        )
    return name


def clock(directory):
    """The times at which a training wrote the rows of its history, of TensorBoard's events."""
    records = tf.data.TFRecordDataset(sorted(glob.glob(os.path.join(directory, "events*"))))
    events = map(tf.compat.v1.Event.FromString, records.as_numpy_iterator())
    return [
        event.wall_time for event in events
        if any(value.tag == "loss" for value in event.summary.value)
    ]


def seconds_per_step(configs, rounds, data=None):
    """Seconds of a step of each configuration, `[rounds, configs]`, all measured in turn, each
    training a process of its own.

    Of a training, the median over its intervals of `_EVERY` steps, but for the first, by the times
    of its rows for TensorBoard.
    """
    measured = []
    for config in configs:
        # Decoded images are in the cache before anything is timed.
        sources.of_run(config, data, None)
    for _ in range(rounds):
        row = []
        for config in configs:
            with tempfile.TemporaryDirectory() as directory:
                run = os.path.join(directory, "run")
                instead = {
                    "steps": _INTERVALS * _EVERY,
                    "run_dir": run,
                    "num_eval": 0,
                    "log_every": _EVERY,
                    # Of whatever rate, a step takes as long.
                    "checkpoint_every": _INTERVALS * _EVERY,
                    "learning_rate": 1e-6,
                    "learning_rate_warmup": None,
                    "anneal_steps": None,
                    "anneal": None,
                    "warmup_steps": 0 if config.get("decomposed") else None,
                    "monitor_every": None,
                    "monitor_share": None,
                    **({"data": data} if data else {})
                }
                done = subprocess.run([
                    sys.executable, "-m", "tfisovae",
                    command_of(config), *options(config, **instead)
                ], capture_output=True, text=True)
                if done.returncode:
                    why = stopping.why_it_ended(done.returncode, done.stderr)
                    raise ValueError(f"Training to measure its seconds failed: {why}")
                row.append(
                    statistics.median(np.diff(clock(os.path.join(run, "tensorboard")))) / _EVERY)
        measured.append(row)
    return np.array(measured)


def read(directory):
    """The compared numbers of a run: its length, its held-out measurement, and its curve."""
    config = runs.load_config(directory)
    measured = layout.measured(directory)
    rows = history.read(os.path.join(directory, "history.csv"))
    return {
        "name": layout.name(directory),
        "steps": config["steps"],
        "batch_size": config["batch_size"],
        "loss": measured["loss"],
        "loss_standard_error": measured.get("loss_standard_error"),
        "num_examples": measured["num_examples"],
        "active": int(np.sum(measured["active"])),
        # At the final lmbda, whatever it was annealed from.
        "curve": {
            "step": [int(row["step"]) for row in rows], "loss": [
                config["lmbda"] * float(row["distortion"]) + float(row["rate"]) for row in rows
            ]
        }
    }


def check_alike(paper, recipe):
    """Raises ValueError if runs differ in loss or data set, or the recipe's runs differ in more
    than their length.
    """
    def of(config, names):
        return {
            name: config["data_manifest"]["fingerprint"] if name == "data" else config.get(name)
            for name in names
        }

    first, *others = recipe
    alike = [(paper, one, ("lmbda", "distortion", "decomposed", "latent_dim", "network", "data"))
             for one in recipe]
    alike += [(first, one, ("batch_size", "learning_rate", "schedule", "clipnorm", "averaging",
                            "mixed_precision", "standardize_latents")) for one in others]
    for a, b, names in alike:
        differ = [name for name, value in of(a, names).items() if of(b, names)[name] != value]
        if differ:
            raise ValueError(
                f"Runs to be compared differ in {', '.join(differ)}: {of(a, differ)}, "
                f"{of(b, differ)}."
            )


def compare(paper, recipe, rounds=3, data=None):
    """What the JSON holds.

    Args:
      paper: run directory of the paper's settings.
      recipe: run directories of the recipe.
      rounds: of the measurement of seconds.
      data: where the data lie; by default as the manifests say.
    Returns:
      Dict of "paper" and "recipe" (see `read`, with "seconds", of the whole training), "reached":
      the shortest of the recipe that ends at the paper's held-out loss or below, by name, or
      `None`; with its shares of the paper's steps, examples and seconds.
    """
    check_alike(runs.load_config(paper), list(map(runs.load_config, recipe)))
    papers, recipes = read(paper), [
        read(one) for one in sorted(recipe, key=lambda one: runs.load_config(one)["steps"])
    ]
    counts = {one["num_examples"] for one in (papers, *recipes)}
    if len(counts) > 1:
        raise ValueError(
            f"Runs to be compared were measured on {', '.join(map(str, sorted(counts)))} "
            f"examples: measure all on as "
            "many (tfisovae isometry RUN --num_examples N).")
    seconds = seconds_per_step([runs.load_config(paper), runs.load_config(recipe[0])], rounds, data)
    for one, taken in ((papers, seconds[:, 0]), *((one, seconds[:, 1]) for one in recipes)):
        one["seconds_per_step"] = [float(value) for value in taken]
        one["seconds"] = one["steps"] * statistics.median(one["seconds_per_step"])
    best = next((one for one in recipes if one["loss"] <= papers["loss"]), None)
    ratio = statistics.median(seconds[:, 1] / seconds[:, 0])
    reached = None if best is None else {
        "name": best["name"], "steps": best["steps"] / papers["steps"],
        "seconds": ratio * best["steps"]
                   / papers["steps"], "examples": best["steps"] * best["batch_size"] /
                                                  (papers["steps"] * papers["batch_size"])
    }
    return {"paper": papers, "recipe": recipes, "reached": reached}


def draw(saved, path):
    """Curves of the training loss, and held-out losses at the ends, against time."""
    drawn = drawing.Figure(figsize=(8, 4.6), layout="constrained")
    axes = drawn.subplots()
    paper, *recipes = saved["paper"], *saved["recipe"]
    for one in (paper, *recipes):
        whose, color = ("the paper's settings", _PAPER) if one is paper else ("the recipe", _RECIPE)
        step, last = np.array(one["curve"]["step"]), one is paper or one is recipes[-1]
        minutes = one["seconds"] / one["steps"] / 60
        axes.plot(step * minutes, one["curve"]["loss"], color=color, lw=1,
                  label=f"{whose}, in training" if last else None)
        axes.plot(one["steps"] * minutes, one["loss"], "o", color=color,
                  label=f"{whose}, held out, at the end" if last else None)
    axes.axhline(paper["loss"], color=_PAPER, ls=":", lw=1)
    losses = [one["loss"] for one in (paper, *recipes)]
    axes.set(
        xlabel="minutes of training", ylabel="loss, nats",
        ylim=(0.85 * min(losses), 1.3 * max(losses)), title=(
            f"Loss against time: {len(recipes)} trainings by the recipe, and the paper's settings"))
    axes.legend()
    drawing.save(drawn, path)


def main(argv=None):
    args = parser().parse_args(argv)
    path = os.path.join(args.out, f"{args.name}.json")
    try:
        if not args.draw:
            if not (args.paper and args.recipe):
                raise ValueError(
                    "Both are needed: --paper RUN and --recipe RUN [RUN ...]; or --draw, of a "
                    "JSON that is there."
                )
            if args.rounds < 1:
                raise ValueError(f"--rounds must be at least 1; got {args.rounds}.")
            os.makedirs(args.out, exist_ok=True)
            files.write_json(path, compare(args.paper, args.recipe, args.rounds, args.data))
        draw(files.read_json(path), os.path.join(args.out, f"{args.name}.png"))
    except (ValueError, OSError) as error:
        sys.exit(f"python -m results.quality: {error}")
    print(f"Written: {path}, {os.path.join(args.out, args.name)}.png")


if __name__ == "__main__":
    main()
