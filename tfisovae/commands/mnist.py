"""Train the VAE of App. G on MNIST, with binary cross-entropy averaged over the pixels."""
import argparse
import os
import typing
from typing import Any

from tfisovae.commands import options, training

if typing.TYPE_CHECKING:
    import tensorflow as tf

    from tfisovae.sources import Source


EXAMPLES = (
    "tfisovae mnist --data mnist.npz --recipe fast",
    "tfisovae mnist --data mnist.npz --latent_dim 64 --lmbda 10000 --run_dir runs/n64",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options. The defaults are the paper's settings."""
    training.add_arguments(p, "mnist", lmbda=2000.0, batch_size=256)
    data, model = options.group(p, "data"), options.group(p, "model and loss")
    data.add_argument("--data", type=os.path.expanduser, default="mnist",
                      help="mnist (TFDS), mnist.npz, or a directory with the four idx files")
    data.add_argument("--data_dir", type=os.path.expanduser,
                      help="directory of TFDS (default: TFDS' own)")
    model.add_argument("--latent_dim", type=int, default=32,
                       help="latent dimensions; the paper has 32, or 64 with lmbda 10000")
    model.add_argument("--distortion", choices=("bce", "mse", "sse"), default="bce",
                       help="distortion to train")
    training.add_steps(p, steps=50_000, log_every=200, checkpoint_every=1000)
    options.group(p, "measuring").add_argument(
        "--num_eval", type=int, default=1000, help="test images to measure at the end; 0: none")


def resolve(args: argparse.Namespace) -> dict[str, Any]:
    """The configuration of a run: every option with its value; raises ValueError for bad ones."""
    config = training.resolve(args, ("steps", "log_every", "checkpoint_every"))
    training.check_intervals(config)
    if args.latent_dim > 784:
        raise ValueError(f"--latent_dim must be at most the 784 pixels; got {args.latent_dim}.")
    config.update(network="mnist", data_kind="mnist",
                  data=args.data if args.data == "mnist" else os.path.abspath(args.data))
    return config


def prepare(args: argparse.Namespace) -> tuple[dict[str, Any], "Source", str, bool]:
    """The configuration, the data, and the default directory of a run."""
    from tfisovae import sources

    config = resolve(args)
    source = sources.load_mnist(args.data, args.data_dir)
    loss = "-decomposed" if args.decomposed else ""
    run_dir = f"runs/mnist-n{args.latent_dim}-lmbda{args.lmbda:g}{loss}-seed{args.seed}"
    return config, source, run_dir, False


def networks(config: dict[str, Any]) -> tuple["tf.keras.Model", "tf.keras.Model"]:
    """Encoder and decoder of a configuration."""
    from tfisovae import networks

    return networks.mnist(config["latent_dim"])


def run(args: argparse.Namespace) -> None:
    training.run(args, prepare, networks)
