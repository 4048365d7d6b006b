"""What the verdicts say of runs on Mix, finished and not: `python -m results.mix RUN ... --json
results/verdict/mix.json`.

    for e in 5 13 51 500; do tfisovae toy --epochs $e --num_eval 0 --run_dir runs/mix/constant-$e;
    done for e in 5 13 51 130 500; do tfisovae toy --epochs $e --schedule cosine --num_eval 0
    --run_dir runs/mix/cosine-$e; done python -m results.mix runs/mix/* --json
    results/verdict/mix.json
"""
import argparse
import sys

import tqdm

from results.layout import name
from tfisovae import files
from tfisovae.commands import isometry, measuring


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.mix", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("runs", nargs="+", help="run directories of `tfisovae toy`")
    p.add_argument("--json", required=True, help="file to write")
    return p


def row(directory):
    """What is said of a run, and the numbers behind it."""
    trained = measuring.open_run(directory)
    result, _ = isometry.compute(trained)
    evidence = measuring.known_evidence(trained) | measuring.training_evidence(trained)
    gradient, fall, config = evidence["gradient"], evidence["fall"], trained.config
    return {
        "schedule": config["schedule"], "seed": config["seed"], "schedule_steps": config["steps"],
        "step": config["steps"], "transform_to_coding": result.transform_loss / result.coding_loss,
        "loss": result.loss, "balance": result.posterior_balance, "p": gradient.p_value,
        "noise_scale": gradient.noise_scale, "squared_norm": gradient.squared_norm, "fall":
            fall and fall.fall, "fall_error": fall and fall.standard_error, "fall_p":
                fall and fall.p_value, "state": result.judge(**evidence).state.value
    }


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        runs = tqdm.tqdm(sorted(args.runs, key=name), desc="verdicts", unit="run", file=sys.stderr)
        rows = [row(directory) for directory in runs]
        files.write_json(args.json, {"runs": rows})
    except (ValueError, OSError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(f"Written: {args.json}")


if __name__ == "__main__":
    main()
