#!/usr/bin/env python
"""Train the VAE of App. G on MNIST, with binary cross-entropy averaged over the pixels."""
import os

import command  # beside this file

import tfisovae
from tfisovae import sources


def parser():
    """The options, with the paper's settings as defaults."""
    p = command.parser(__doc__, lmbda=2000.0, batch_size=256)
    p.add_argument("--data", default="mnist", help="mnist (TFDS), mnist.npz, or a directory with the four idx files")
    p.add_argument("--latent_dim", type=int, default=32, help="n; the paper has 32 with lmbda 2000, and 64 with lmbda 10000")
    p.add_argument("--distortion", choices=("bce", "mse", "sse"), default="bce", help="distortion that is trained")
    command.add_steps(p, steps=50_000, log_every=200, checkpoint_every=1000)
    p.add_argument("--num_eval", type=int, default=1000, help="test images to measure for the table at the end; 0: no table")
    p.add_argument("--data_dir", help="TFDS' directory")
    return p


def resolve(args):
    """The configuration of a run: every option with its value; raises ValueError for those that make no sense."""
    config = command.resolve(args, ("steps", "log_every", "checkpoint_every"))
    command.check_intervals(config)
    if args.latent_dim > 784:
        raise ValueError(f"--latent_dim must be at most the 784 pixels; got {args.latent_dim}.")
    config.update(network="mnist", data=args.data if args.data == "mnist" else os.path.abspath(args.data))
    return config


def prepare(args):
    config = resolve(args)
    source = sources.load_mnist(args.data, args.data_dir)
    run_dir = f"runs/mnist-n{args.latent_dim}-lmbda{args.lmbda:g}{'-decomposed' if args.decomposed else ''}-seed{args.seed}"
    return config, source, run_dir, False


def networks(config):
    """Encoder and decoder of a configuration."""
    return tfisovae.networks.mnist(config["latent_dim"])


def main(argv=None):
    command.run(parser(), parser().parse_args(argv), prepare, networks)


if __name__ == "__main__":
    main()
