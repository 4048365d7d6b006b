"""What trainings of four lengths on Mix still gain from as many steps again:
`python -m results.mix RUN ... --json results/verdict/mix.json`.

    for e in 3 8 26 77; do
      tfisovae toy --epochs $e --schedule cosine --num_eval 0 --run_dir runs/mix/cosine-$e
      tfisovae isometry runs/mix/cosine-$e --probe --probe_seeds 3
    done
    python -m results.mix runs/mix/* --json results/verdict/mix.json
"""
import argparse
import os
import sys

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
    gain = next((gain for gain in found.gains if gain.kind is GainKind.DOUBLING), None)
    if gain is None:
        raise ValueError(f"{directory} has no probe: measure it with tfisovae isometry {directory} "
                         f"--probe --probe_seeds 3.")
    return {
        "steps": saved["steps"], "loss": saved["loss"],
        "missing": saved["loss"] - saved["least_loss"], "gain": gain.value,
        "standard_error": gain.standard_error, "spread": gain.spread,
        "num_seeds": gain.num_seeds, "state": found.state.value
    }


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        rows = sorted(map(row, args.runs), key=lambda one: one["steps"])
        files.write_json(args.json, {"runs": rows})
    except (ValueError, OSError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(f"Written: {args.json}")


if __name__ == "__main__":
    main()
