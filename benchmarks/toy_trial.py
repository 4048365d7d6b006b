"""Seconds of a whole toy trial (500 epochs, all statistics and figures), and of cells of the
ablation side by side.

    python benchmarks/toy_trial.py [--json FILE]

One trial alone, from the command to the last picture; then one cell to each core at once, as
train/ablation.py trains them.
"""
import pathlib
import subprocess
import sys
import tempfile
import time

import timing

from tfisovae.training import devices

ROOT = pathlib.Path(__file__).parent.parent
LMBDAS = (50, 100, 200, 500, 20, 10, 5, 1000)


def seconds(*command):
    """Of a script of the project, in a process of its own."""
    start = time.perf_counter()
    subprocess.run([sys.executable, *map(str, command)], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--epochs", type=int, default=500)
    args = p.parse_args(argv)
    workers = min(devices.num_cores(), len(LMBDAS))
    with tempfile.TemporaryDirectory() as directory:
        run = f"{directory}/run"
        trained = seconds("train/toy.py", "--epochs", args.epochs, "--num_eval", 0, "--run_dir",
                          run)
        measured = seconds("eval/all.py", run)
        beside = seconds("train/ablation.py", "--sources", "mix", "--distortions", "sse",
                         "--lmbdas", *LMBDAS[:workers], "--epochs", args.epochs, "--workers",
                         workers, "--ablation_dir", f"{directory}/ablation")
    timing.report(
        {
            "epochs": args.epochs, "train_seconds": round(trained, 1), "measure_seconds": round(
                measured, 1), "trial_seconds": round(trained + measured, 1), "workers": workers,
            "cells_per_minute": round(60 * workers / beside, 2),
            "seconds_per_cell_to_one_alone": round(beside / workers / trained, 3)
        }, args.json)


if __name__ == "__main__":
    main()
