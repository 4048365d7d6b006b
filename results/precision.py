"""Train faces in float32 and in bfloat16, and compare the two: `python -m
results.precision --steps 2000`.

Both start from the same weights and see the same batches and noise; only rounding makes them
differ. With several --seeds, the difference of two trainings in float32 gives the scale for the
difference of float32 and bfloat16.
"""
import argparse
import os
import subprocess
import sys

import numpy as np

import tfisovae
from tfisovae import files
from tfisovae.autoencoder.posterior import active
from tfisovae.verdict.checks import overall_balance

POLICIES = ("float32", "bfloat16")
# Blocks of held-out examples; their scatter gives errors for numbers that are not means over
# examples.
_BLOCKS = 10


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.precision", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--steps", type=int, default=2000, help="of each training (default: 2000)")
    p.add_argument("--seeds", type=int, nargs="+", default=[0],
                   help="one training in each precision for each (default: 0)")
    p.add_argument("--num_faces", type=int, default=20_000,
                   help="faces to draw, a tenth of them held out (default: 20000)")
    p.add_argument("--num_eval", type=int, default=1000,
                   help="held-out faces to measure, a multiple of 10 (default: 1000)")
    p.add_argument("--batch_size", type=int, default=64, help="(default: 64)")
    p.add_argument("--runs", default="runs/precision",
                   help="directory of the runs, which go on where they stopped")
    p.add_argument("--json", default="results/faces/precision.json", help="file to write")
    return p


def train(directory, policy, seed, args):
    """Trains a run in a process of its own, as a user does."""
    options = {
        "data": "faces", "num_faces": args.num_faces, "lmbda": 1000, "learning_rate": 3e-4,
        "batch_size": args.batch_size, "steps": args.steps, "seed": seed,
        "mixed_precision": "none" if policy == "float32" else policy, "num_eval": 0,
        "run_dir": directory
    }
    subprocess.run([
        sys.executable, "-m", "tfisovae", "celeba", *(f"--{name}={value}"
                                                      for name, value in options.items())
    ], check=True, stdout=subprocess.DEVNULL)


def measure(vae, images):
    """The compared numbers of a model, each a mean over blocks of held-out images with its standard
    error.

    Args:
      vae: `VAE`.
      images: `[N, 64, 64, 3]`; N is a multiple of 10.
    Returns:
      Dict from "loss", "distortion", "rate", "norm", "cosines" and "balance" to (mean, standard
      error); and "active". Norm, cosines and balance are over the dimensions active on all images,
      the same ones in every block.
    """
    parts = [
        tfisovae.analyze(vae, images[rows]) for rows in np.split(np.arange(len(images)), _BLOCKS)
    ]
    among = active(np.mean([part.kl_mean for part in parts], 0))
    pairs = np.outer(among, among) & ~np.eye(len(among), dtype=bool)

    def over(values):
        values = np.asarray(values, float)
        return [float(values.mean()), float(values.std(ddof=1) / np.sqrt(_BLOCKS))]

    def cosines(part):
        return np.sqrt(np.mean(part.gram_cosine[pairs] ** 2)) if pairs.any() else np.nan

    measured = {
        name: over([getattr(part, name) for part in parts])
        for name in ("loss", "distortion", "rate")
    }
    measured["norm"] = over(
        [part.norm_mean[among].mean() if among.any() else np.nan for part in parts])
    measured["cosines"] = over([cosines(part) for part in parts])
    measured["balance"] = over(
        [overall_balance(part.balance, part.one_minus_variance, among) for part in parts])
    return {**measured, "active": int(among.sum())}


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        if args.num_eval < 2 * _BLOCKS or args.num_eval % _BLOCKS:
            raise ValueError(
                f"--num_eval must be a multiple of {_BLOCKS}, at least {2 * _BLOCKS}; got "
                f"{args.num_eval}."
            )
        from tfisovae import sources
        from tfisovae.autoencoder.data import as_float

        held_out = sources.load_images("faces", num_faces=args.num_faces).eval
        if args.num_eval > len(held_out):
            raise ValueError(
                f"--num_eval must be at most the {len(held_out)} faces held out; got "
                f"{args.num_eval}."
            )
        images, rows = as_float(held_out[np.arange(args.num_eval)]).numpy(), []
        for seed in args.seeds:
            for policy in POLICIES:
                directory = os.path.join(args.runs, f"{policy}-seed{seed}")
                train(directory, policy, seed, args)
                rows.append({
                    "policy": policy, "seed": seed, **measure(
                        tfisovae.load(os.path.join(directory, "model")), images)
                })
        files.write_json(args.json, {
            "steps": args.steps, "batch_size": args.batch_size, "num_eval": args.num_eval,
            "runs": rows
        })
    except subprocess.CalledProcessError as error:
        sys.exit(f"{parser().prog}: the training failed: {' '.join(map(str, error.cmd))}")
    except (ValueError, OSError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(f"Written: {args.json}")


if __name__ == "__main__":
    main()
