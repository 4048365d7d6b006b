"""Train the VAE of App. D.2 (or F.2) on images of faces: CelebA, your own, or the faces drawn by
the package.
"""
import argparse
import os
import sys
import typing
from typing import Any

from tfisovae.commands import choices, options, training
from tfisovae.training import PRECISIONS

if typing.TYPE_CHECKING:
    import tensorflow as tf

    from tfisovae.sources import Source


EXAMPLES = (
    "tfisovae celeba --data faces --recipe fast --run_dir runs/faces",
    "tfisovae celeba --data img_align_celeba.zip --lmbda 1000 --decomposed",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options. The defaults are the paper's settings."""
    training.add_arguments(p, "celeba", lmbda=1000.0, batch_size=64)
    data, model = options.group(p, "data"), options.group(p, "model and loss")
    data.add_argument("--data", type=os.path.expanduser, default="celeb_a",
                      help="celeb_a (TFDS), a directory or .zip of images, or faces (drawn)")
    data.add_argument("--num_faces", type=int, default=20_000, help="faces to draw")
    data.add_argument("--image_size", type=int, default=64,
                      help="height and width of the images, a multiple of 16")
    data.add_argument(
        "--crop", choices=choices.CROPS, default="center",
        help="center: the centre square; none: the whole image, stretched; celeba: images of "
             "178 x 218 only")
    data.add_argument("--grayscale", action="store_true", help="one channel instead of three")
    data.add_argument("--background", default="white",
                      help="color behind transparent pixels: a name, or #rrggbb")
    data.add_argument("--data_dir", type=os.path.expanduser,
                      help="directory of TFDS, for celeb_a (default: TFDS' own)")
    model.add_argument("--network", choices=("celeba", "celeba_large"), default="celeba",
                       help="App. D.2 or F.2")
    model.add_argument("--latent_dim", type=int,
                       help="latent dimensions (default: 32, or 256 for celeba_large)")
    model.add_argument("--output_igdn", action=argparse.BooleanOptionalAction, default=True,
                       help="an IGDN layer on the 3-channel output")
    model.add_argument("--distortion", choices=("ssim", "mse", "sse"), default="ssim",
                       help="distortion to train")
    training.add_steps(p, steps=300_000, log_every=100, checkpoint_every=500)
    options.group(p, "machine").add_argument(
        "--mixed_precision", choices=PRECISIONS, default="none",
        help="train in 16 bits, and measure in float32; auto: bfloat16 where the processor has it")
    options.group(p, "measuring").add_argument(
        "--num_eval", type=int, default=100,
        help="held-out images to measure at the end; 0: none")


def resolve(args: argparse.Namespace) -> dict[str, Any]:
    """The configuration of a run: every option with its value; raises ValueError for bad ones."""
    if args.image_size < 16 or args.image_size % 16:  # four layers of stride 2
        raise ValueError(
            f"image_size must be a multiple of 16, at least 16; got {args.image_size}.")
    if args.latent_dim is None:
        args.latent_dim = 256 if args.network == "celeba_large" else 32
    config = training.resolve(args, ("steps", "log_every", "checkpoint_every", "num_faces"))
    training.check_intervals(config)
    data = args.data if args.data in choices.IMAGES else os.path.abspath(args.data)
    config.update(data_kind="images", data=data)
    return config


def prepare(args: argparse.Namespace) -> tuple[dict[str, Any], "Source", str, bool]:
    """The configuration, the data, and the default directory of a run."""
    from tfisovae import sources
    from tfisovae.training import devices

    config = resolve(args)
    config["mixed_precision"], note = devices.choose_precision(args.mixed_precision,
                                                               args.strategy == "multi_worker")
    if note:
        print(note, file=sys.stderr)
    source = sources.load_images(args.data, args.cache_dir, args.num_faces, args.data_dir,
                                 image_size=args.image_size, crop=args.crop,
                                 grayscale=args.grayscale, background=args.background)
    run_dir = (f"runs/celeba-lmbda{args.lmbda:g}{'-decomposed' if args.decomposed else ''}"
               f"-seed{args.seed}")
    return config, source, run_dir, False


def networks(config: dict[str, Any]) -> tuple["tf.keras.Model", "tf.keras.Model"]:
    """Encoder and decoder of a configuration."""
    from tfisovae import networks

    return getattr(networks,
                   config["network"])(config["latent_dim"], config["output_igdn"],
                                      config["image_size"], 1 if config["grayscale"] else 3)


def run(args: argparse.Namespace) -> None:
    training.run(args, prepare, networks)
