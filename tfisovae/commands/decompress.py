"""Decompress a file that `tfisovae compress` wrote: images as 00000.png, 00001.png, ..., vectors as
the rows of x.npy, in order.

The file is checked before decoding: a damaged file, or one from another model, is refused.
"""
import argparse
import contextlib
import os

import numpy as np

from tfisovae import files
from tfisovae.codec import container
from tfisovae.commands import coding, measuring
from tfisovae.progress import bar as progress_bar

_TABLE = "x.npy"


EXAMPLES = (
    "tfisovae decompress runs/faces images.tfv -o images",
    "tfisovae decompress runs/toy mix.tfv --output mix",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    p.add_argument("directory", metavar="RUN", type=os.path.expanduser,
                   help="run directory that compressed the file")
    p.add_argument("file", metavar="FILE", type=os.path.expanduser,
                   help="a file that `tfisovae compress` wrote")
    p.add_argument("-o", "--output", metavar="DIR", type=os.path.expanduser, required=True,
                   help="directory to write, which must be empty or not exist yet")


def run(args: argparse.Namespace) -> None:
    coding.check_named(args.output)
    _check_empty(args.output)
    output = os.path.realpath(args.output)  # a link to a directory stays a link
    with container.Reader(args.file, progress=True) as reader:
        from tfisovae import sources
        from tfisovae.training import runs

        config, vae = runs.load_run(args.directory)
        codec = coding.of_file(args.directory, vae, reader)
        parent = os.path.dirname(output)
        measuring.check_writable(parent, "output")
        files.sweep(parent)
        with files.replacing_directory(output, durable=False, full=False) as new:
            os.makedirs(new)
            if sources.kind_of(config) == "vectors":
                kind = f"rows of {_TABLE}"
                _write_table(os.path.join(new, _TABLE), codec, reader,
                             config["data_manifest"].get("standardization"))
            else:
                kind = "images"
                _write_images(new, codec, reader)
    print(f"{reader.num_examples:,} {kind}: {args.output}")


def _check_empty(path):
    if os.path.lexists(path) and not os.path.isdir(path):
        raise ValueError(f"{path} is a file; the output is a directory. Give another name.")
    if os.path.isdir(path) and not files.is_empty(path):
        raise ValueError(
            f"{path} is not empty; it is unchanged. Give an empty or a new directory.")
    if os.path.isdir(path) and os.path.samefile(path, os.getcwd()):
        raise ValueError(
            f"{path} is the current directory. Give a new one, in it or elsewhere."
        )


def _write_table(path, codec, reader, standardization):
    """The examples as a table `[N, m]`, float32, in the original units of the run's data."""
    mean, deviation = standardization or (0.0, 1.0)
    table = np.lib.format.open_memmap(path, "w+", np.float32,
                                      (reader.num_examples, *codec.example_shape))
    row = 0
    for x in _with_progress(codec, reader):
        table[row:row + len(x)] = x * np.asarray(deviation) + np.asarray(mean)
        row += len(x)
    table.flush()


def _write_images(directory, codec, reader):
    """Each example as an 8-bit image; the names keep the order of the examples."""
    from PIL import Image

    digits, row = max(5, len(str(reader.num_examples - 1))), 0
    for x in _with_progress(codec, reader):
        for image in np.rint(np.clip(measuring.as_images(x), 0, 1) * 255).astype(np.uint8):
            Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
                os.path.join(directory, f"{row:0{digits}d}.png"))
            row += 1


def _with_progress(codec, reader):

    with contextlib.closing(
            progress_bar(total=reader.num_examples, desc="decompressing", unit=" examples")) as bar:
        for x in codec.decoded(reader):
            yield x
            bar.update(len(x))
