"""Train the ablation of App. E.2: every toy data set with every loss at every lmbda, on all cores.
It can be resumed.
"""
import argparse
import concurrent.futures
import itertools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from tfisovae import files
from tfisovae.commands import choices, options, recipes
from tfisovae.commands.training import command_line
from tfisovae.progress import bar as progress_bar
from tfisovae.training import SCHEDULES, stopping

LMBDAS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
DISTORTIONS = ("sse", "downward_convex", "upward_convex")
_LOW_DISK = 100 * 2**20  # bytes; a cell writes about a megabyte


EXAMPLES = (
    "tfisovae ablation --recipe fast --ablation_dir runs/ablation",
    "tfisovae ablation --sources norm --distortions sse --schedule cosine",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options. The defaults are the paper's settings."""
    options.in_order(p, "run", "cells", "training", "machine")
    cells, train = options.group(p, "cells"), options.group(p, "training")
    recipes.add_argument(p, "ablation")
    options.group(p, "run").add_argument(
        "--ablation_dir", type=os.path.expanduser, default="runs/ablation",
        help="directory with a run for each cell. The same command resumes it")
    cells.add_argument("--sources", nargs="+", choices=choices.TOYS, default=list(choices.TOYS),
                       help="toy data (default: all)")
    cells.add_argument("--distortions", nargs="+", choices=DISTORTIONS, default=list(DISTORTIONS),
                       help="losses (default: all)")
    cells.add_argument("--lmbdas", nargs="+", type=float, default=list(LMBDAS),
                       help="weights of the distortion (default: ten from 1 to 1000)")
    train.add_argument("--epochs", type=int, default=500,
                       help="passes over the training data, in each cell")
    train.add_argument("--num_examples", type=int, default=50_000, help="toy examples to train on")
    train.add_argument("--schedule", choices=SCHEDULES, default="constant",
                       help="of the learning rate")
    train.add_argument("--seed", type=int, default=0, help="of every cell")
    options.group(p, "machine").add_argument(
        "--workers", type=int,
        help="cells to train at the same time (default: one for each GPU, or core)")


def cells(settings: dict[str, Any]) -> dict[str, list[str]]:
    """The cells of an ablation by name: their options of `tfisovae toy`."""
    made = {}
    for source, distortion, lmbda in itertools.product(settings["sources"], settings["distortions"],
                                                       settings["lmbdas"]):
        made[f"{source}-{distortion}-lmbda{lmbda:g}"] = [
            "--data", source, "--distortion", distortion, "--lmbda",
            str(lmbda)
        ]
    return made


def is_finished(directory: str) -> bool:
    """Whether a cell has finished training and has its model."""
    from tfisovae.training import runs

    return runs.is_finished(directory)


def resolve(args: argparse.Namespace) -> dict[str, Any]:
    """The settings of an ablation; raises ValueError for bad ones."""
    settings = {
        key: value
        for key, value in vars(args).items()
        if key not in recipes.BOOKKEEPING + ("ablation_dir", "workers")
    }
    for name in ("epochs", "num_examples"):
        if settings[name] < 1:
            raise ValueError(f"--{name} must be at least 1; got {settings[name]}.")
    if not 0 <= args.seed < 2**32:
        raise ValueError(f"--seed must be at least 0 and below 2^32; got {args.seed}.")
    alike = [
        lmbda for lmbda in args.lmbdas
        if any(f"{lmbda:g}" == f"{other:g}" for other in args.lmbdas if other != lmbda)
    ]
    if alike:
        raise ValueError(
            f"--lmbdas must differ in their first 6 digits, which name the cells; got "
            f"{', '.join(map(repr, alike))}."
        )
    for lmbda in args.lmbdas:
        if not 0 < lmbda < float("inf"):
            raise ValueError(f"--lmbdas must be positive and finite; got {lmbda}.")
    if args.workers is not None and args.workers < 1:
        raise ValueError(f"--workers must be at least 1; got {args.workers}.")
    return settings


def open_directory(path: str, settings: dict[str, Any]) -> None:
    """Makes the directory of an ablation, or checks that it has these settings. More cells may be
    added later.
    """
    os.makedirs(path, exist_ok=True)
    manifest = os.path.join(path, "ablation.json")
    if os.path.exists(manifest):
        before = files.read_json(manifest)
        before.setdefault("recipe", "paper")  # older files have only these
        fixed = [key for key in settings if key not in ("sources", "distortions", "lmbdas")]
        differences = [
            f"  {key}: {before.get(key)!r} there, {settings[key]!r} here" for key in fixed
            if before.get(key) != settings[key]
        ]
        if differences:
            raise ValueError("\n".join([
                f"{path} holds an ablation with other settings:", *differences,
                "Choose another --ablation_dir, or remove this one."
            ]))
        for key in ("sources", "distortions", "lmbdas"):
            settings[key] = sorted({*before[key], *settings[key]})
    elif not files.is_empty(path):
        raise ValueError(
            f"{path} is not empty and is not an ablation (no ablation.json). Choose another "
            "--ablation_dir."
        )
    files.write_json(manifest, settings, digits=None)


class Cell:
    """A cell in training: a process of `tfisovae toy`, so a failure does not affect other cells."""

    def __init__(self, directory: str, options: list[str], gpu: str | None = None) -> None:
        self.directory, self.options, self.gpu = directory, options, gpu
        self.process = self.error = None

    def run(self, stop: threading.Event) -> "Cell":
        """Trains the cell; `error` then holds the error, or `None`."""
        if stop.is_set():
            self.error = "not started"
            return self
        environment = {**os.environ, "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
        if self.gpu is not None:
            environment["CUDA_VISIBLE_DEVICES"] = self.gpu
        try:
            with open(f"{self.directory}.log", "w") as log:
                command = [
                    sys.executable, "-m", "tfisovae", "toy", *self.options, "--run_dir",
                    self.directory
                ]
                self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
                while self.process.poll() is None:
                    if stop.wait(0.5):
                        self.process.terminate()
                        self.process.wait()
        except OSError as error:
            self.error = str(error)
            return self
        if not is_finished(self.directory):
            with open(f"{self.directory}.log") as log:
                self.error = "stopped" if stop.is_set() else stopping.why_it_ended(
                    self.process.returncode, log.read())
        return self


def train(path: str, settings: dict[str, Any], workers: int) -> dict[str, Any]:
    """Trains the unfinished cells; returns errors by cell name."""
    shared = [
        "--num_eval", "0", *(text
                             for name in ("recipe", "epochs", "num_examples", "seed", "schedule")
                             for text in (f"--{name}", str(settings[name])))
    ]
    waiting = {
        name: options
        for name, options in cells(settings).items() if not is_finished(os.path.join(path, name))
    }
    total, stop, errors = len(cells(settings)), threading.Event(), {}
    previous = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    gpus = visible_gpus()
    started, done = time.time(), 0
    with concurrent.futures.ThreadPoolExecutor(workers) as pool, \
            progress_bar(total=total, initial=total - len(waiting), desc="ablation", unit="cell",
                         file=sys.stderr) as bar:
        futures = {}
        for i, (name, options) in enumerate(waiting.items()):
            cell = Cell(os.path.join(path, name), [*options, *shared],
                        gpus[i % len(gpus)] if gpus else None)
            futures[pool.submit(cell.run, stop)] = name
        try:
            for future in concurrent.futures.as_completed(futures):
                cell, name = future.result(), futures[future]
                if cell.error is None:
                    done += 1
                    bar.set_postfix_str(f"{60 * done / (time.time() - started):.2f} cells/min")
                else:
                    errors[name] = cell.error
                    if cell.error not in ("not started", "stopped"):
                        bar.write(f"{name} failed: {cell.error} (see {cell.directory}.log)",
                                  file=sys.stderr)
                if shutil.disk_usage(path).free < _LOW_DISK and not stop.is_set():
                    bar.write(
                        f"The disk of {path} is full: stopping. Finished cells are kept; free "
                        "space and run the command again.", file=sys.stderr)
                    stop.set()
                bar.update(cell.error is None)
        except KeyboardInterrupt:
            bar.write("Stopping; the cells in training end at their last checkpoints.",
                      file=sys.stderr)
        finally:
            stop.set()
            signal.signal(signal.SIGTERM, previous)
    return {
        name: errors.get(name, "stopped")
        for name in cells(settings) if not is_finished(os.path.join(path, name))
    }


def visible_gpus() -> list[str]:
    """The names of the GPUs that this process may use, for CUDA_VISIBLE_DEVICES."""
    from tfisovae.training import devices

    names = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return names or [str(i) for i in range(devices.num_gpus())]


def run(args: argparse.Namespace) -> None:
    from tfisovae.training import devices

    settings = resolve(args)
    wanted = dict(settings)
    open_directory(args.ablation_dir, settings)
    errors = train(args.ablation_dir, wanted, args.workers or devices.num_gpus()
                   or devices.num_cores())
    if errors:
        raise ValueError(
            f"{len(errors)} of {len(cells(wanted))} cells are not finished: {', '.join(errors)}. "
            "Run the same command to continue.")
    print(f"{len(cells(wanted))} cells in {args.ablation_dir}. Measure them: "
          f"{command_line('measure_ablation', os.path.abspath(args.ablation_dir))}")
