#!/usr/bin/env python
"""Train the VAE of App. D.2 (or F.2) on images of faces: CelebA, your own, or the faces drawn by the package."""
import argparse
import os
import sys

import tfisovae
from tfisovae import batches, devices, runs, sources, training


def parser():
    """The options, with the paper's settings as defaults."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("--data", default="celeb_a", help="celeb_a (TFDS), a directory of images, a .zip of images, or faces")
    p.add_argument("--run_dir", help="directory of the run (default: runs/celeba-...); the same command goes on where it stopped")
    p.add_argument("--lmbda", type=float, default=1000.0, help="weight of the distortion; beta = 1 / lmbda")
    p.add_argument("--network", choices=("celeba", "celeba_large"), default="celeba", help="App. D.2 or F.2")
    p.add_argument("--latent_dim", type=int, help="n (default: 32, or 256 for celeba_large)")
    p.add_argument("--output_igdn", action=argparse.BooleanOptionalAction, default=True, help="IGDN on the 3-channel output")
    p.add_argument("--distortion", choices=("ssim", "mse", "sse"), default="ssim", help="distortion that is trained")
    p.add_argument("--decomposed", action="store_true", help="train D(x, x_check) + D(x_check, x_hat) of section 4.2")
    p.add_argument("--warmup_steps", type=int,
                   help="steps of the conventional loss before the decomposed one (default: 500 with --decomposed, else 0)")
    p.add_argument("--steps", type=int, default=300_000, help="training steps")
    p.add_argument("--batch_size", type=int, default=64, help="of the global batch")
    p.add_argument("--learning_rate", type=float, default=1e-3, help="of Adam")
    p.add_argument("--clipnorm", type=float, help="clip each gradient to this norm (default: off)")
    p.add_argument("--mixed_precision", choices=("float16", "bfloat16"), help="compute in 16 bits (default: float32)")
    p.add_argument("--strategy", choices=devices.STRATEGIES, default="auto",
                   help="auto: every visible GPU; mirrored: also over logical CPUs; multi_worker: see TF_CONFIG")
    p.add_argument("--seed", type=int, default=0, help="of weights, data order and posterior noise")
    p.add_argument("--log_every", type=int, default=100, help="steps between lines of history.csv")
    p.add_argument("--checkpoint_every", type=int, default=500, help="steps between checkpoints, a multiple of log_every")
    p.add_argument("--num_faces", type=int, default=20_000, help="faces to draw for --data faces")
    p.add_argument("--num_eval", type=int, default=100, help="held-out images to measure for the table at the end; 0: no table")
    p.add_argument("--cache_dir", help="where decoded images are kept (default: ~/.cache/tfisovae)")
    p.add_argument("--data_dir", help="TFDS' directory, for celeb_a")
    return p


def resolve(args):
    """The configuration of a run: every option with its value; raises ValueError for those that make no sense."""
    config = {key: value for key, value in vars(args).items() if key not in ("run_dir", "cache_dir", "num_eval")}
    if config["latent_dim"] is None:
        config["latent_dim"] = 256 if args.network == "celeba_large" else 32
    if config["warmup_steps"] is None:
        config["warmup_steps"] = 500 if args.decomposed else 0
    for name in ("steps", "batch_size", "log_every", "checkpoint_every", "num_faces", "latent_dim"):
        if config[name] < 1:
            raise ValueError(f"--{name} must be at least 1; got {config[name]}.")
    for name in ("lmbda", "learning_rate", "clipnorm"):
        if config[name] is not None and not 0 < config[name] < float("inf"):
            raise ValueError(f"--{name} must be positive and finite; got {config[name]}.")
    for name in ("warmup_steps", "num_eval", "seed"):
        if not 0 <= (config if name in config else vars(args))[name] < 2**32:
            raise ValueError(f"--{name} must be at least 0 and below 2^32; got {vars(args)[name]}.")
    if config["warmup_steps"] and not args.decomposed:
        raise ValueError("--warmup_steps goes with --decomposed: the conventional loss needs no warm-up.")
    if config["checkpoint_every"] % config["log_every"]:
        raise ValueError(f"--checkpoint_every must be a multiple of --log_every ({config['log_every']}); "
                         f"got {config['checkpoint_every']}.")
    return config


def make_vae(config):
    """The VAE of a configuration."""
    encoder, decoder = getattr(tfisovae.networks, config["network"])(config["latent_dim"], config["output_igdn"])
    return tfisovae.VAE(encoder, decoder, config["distortion"], config["lmbda"], config["decomposed"],
                        warmup_steps=config["warmup_steps"], seed=config["seed"])


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        config = resolve(args)
        devices.prepare_cpu(args.batch_size, args.strategy)
        strategy = devices.make_strategy(args.strategy)
        source = sources.load_images(args.data, args.cache_dir, args.num_faces, args.data_dir)
        if config["batch_size"] % strategy.num_replicas_in_sync:
            raise ValueError(f"--batch_size must be a multiple of the {strategy.num_replicas_in_sync} replicas; "
                             f"got {args.batch_size}.")
        config["data"] = args.data if args.data in sources.NAMES else os.path.abspath(args.data)
        config["data_manifest"] = {k: source.manifest[k] for k in ("fingerprint", "num_train", "num_eval")}
        config["data_manifest"]["num_skipped"] = len(source.manifest["skipped"])
        run_dir = args.run_dir or f"runs/celeba-lmbda{args.lmbda:g}{'-decomposed' if args.decomposed else ''}-seed{args.seed}"
        devices.set_mixed_precision(args.mixed_precision)
        with runs.Run(run_dir, config, devices.is_chief(strategy)) as run:
            training.train(run, lambda: make_vae(config), source, strategy)
    except (ValueError, OSError, runs.RunError) as error:
        sys.exit(f"{parser().prog}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{parser().prog}: stopped; the same command goes on from the last checkpoint")
    if devices.is_chief(strategy):
        report(source, run, args.num_eval)


def report(source, run, num_eval):
    """Prints the leading dimensions, measured on held-out images, and where the model is."""
    if num_eval:
        vae = tfisovae.load(run.path("model"))  # on one device, whatever it was trained on
        count = min(num_eval, len(source.eval))
        print(tfisovae.analyze(vae, batches.evaluation_batches(source.eval), count, progress=True).table())
    print(f"SavedModel: {run.path('model')}. Measure it in full: python eval/isometry.py {run.directory}")


if __name__ == "__main__":
    main()
