"""What trainings of four lengths on Mix still gain from as many steps again:
`python -m results.mix RUN ... --json results/verdict/mix.json`.

    for e in 3 8 26 77; do for s in constant cosine; do
      tfisovae toy --epochs $e --schedule $s --num_eval 0 --run_dir runs/mix/$s-$e
      tfisovae isometry runs/mix/$s-$e --probe --probe_seeds 3
    done; done
    python -m results.mix runs/mix/* --json results/verdict/mix.json
"""
import argparse
import math
import os
import sys

from results import layout
from tfisovae import files
from tfisovae.verdict import convergence
from tfisovae.verdict.gains import GainKind


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.mix", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", nargs="+", help="run directories of `tfisovae toy`, measured")
    p.add_argument("--json", required=True, help="file to write")
    return p


def row(directory):
    """The verdict on a run, and the numbers behind it."""
    saved = files.read_json(os.path.join(directory, "isometry.json"))
    found = convergence.of_saved(saved)
    schedule, averaging = layout.name(directory).split("-")[0], found.averaging
    gain = found.gain_of(GainKind.DOUBLING)
    if gain is None:
        raise ValueError(f"{directory} has no probe: measure it with tfisovae isometry {directory} "
                         f"--probe --probe_seeds 3.")
    return {
        "schedule": schedule, "steps": saved["steps"], "loss": saved["loss"],
        "missing": saved["loss"] - saved["least_loss"], "gain": gain.value,
        "standard_error": gain.standard_error, "spread": gain.spread,
        "num_seeds": gain.num_seeds,
        "averaging": averaging.value if averaging else math.nan, "state": found.state.value
    }


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        rows = sorted(map(row, args.runs), key=lambda one: (one["schedule"], one["steps"]))
        files.write_json(args.json, {"runs": rows})
    except (ValueError, OSError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(f"Written: {args.json}")


if __name__ == "__main__":
    main()
