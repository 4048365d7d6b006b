"""Compress data with a trained run into one file. Prints bytes and bits per example, next to the
prediction.

The codec is saved in RUN/codec/. Decompressing needs it: copy it together with the model.
"""
import argparse
import os
import typing
from typing import Any

from tfisovae import files
from tfisovae.codec import PRIORS, claims
from tfisovae.commands import coding, measuring, options

if typing.TYPE_CHECKING:
    from tfisovae import Codec


EXAMPLES = (
    "tfisovae compress runs/faces images/ -o images.tfv",
    "tfisovae compress runs/toy mix -o mix.tfv --step_factor 2 --split eval",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    p.add_argument("directory", metavar="RUN", type=os.path.expanduser,
                   help="run directory, as the training commands write it")
    p.add_argument("data", metavar="DATA", type=os.path.expanduser,
                   help="data to compress, in the form of the run's own data")
    options.in_order(p, "data", "codec", "output")
    data, codec, output = (options.group(p, title) for title in ("data", "codec", "output"))
    data.add_argument("--split", choices=measuring.SPLITS, default="all",
                      help="which examples: held out (eval), training (train), or all")
    data.add_argument("--num_examples", type=int, help="how many of them (default: all)")
    measuring.add_cache_dir(data)
    codec.add_argument(
        "--step_factor", type=float, default=1.0,
        help="factor on the step of the quantizer. Above 1: fewer bits, more distortion")
    codec.add_argument(
        "--prior", choices=PRIORS, default="normal",
        help="normal: N(0, 1); empirical: the distribution of the means of the training data")
    coding.add_options(p)
    output.add_argument("-o", "--output", metavar="FILE", type=os.path.expanduser, required=True,
                        help="the file to write")
    output.add_argument("--overwrite", action="store_true", help="replace FILE if it exists")


def report(written: Any, codec: "Codec", path: str, data: str | None) -> str:
    """The size of the output and the prediction, as text."""
    n, predicted = written.num_examples, codec.predicted
    bits = written.size * 8 / n
    lines = [
        f"{path}: {n:,} examples of {data} in {written.size:,} bytes, {bits:.4g} bits per example "
        f"({written.code_bytes * 8 / n:.4g} by the range coder, {written.bits.sum():.4g} by the "
        "ideal lengths of its tables).",
        f"Predicted from the training data, {len(codec.dimensions)} of {codec.n} dimensions: KL "
        f"{predicted.kl.sum():.4g} bits, with 1/2 log2(pi e / 6) each "
        f"{predicted.high_rate.sum():.4g}, exact {predicted.exact.sum():.4g}; distortion "
        f"{predicted.distortion:.4g}."
    ]
    if predicted.saving is not None:
        lines.append(
            "The means' own distribution "
            f"{'saves' if codec.prior == 'empirical' else 'would save'} about "
            f"{claims.divergence(predicted.saving.sum()):.3g} bits of that, and more for sigma "
            "near 1 (--prior empirical)."
        )
    return "\n".join(lines)


def run(args: argparse.Namespace) -> None:
    import tfisovae  # noqa: F401  (before TensorFlow)
    from tfisovae.training import batches

    measuring.check_at_least_1(num_examples=args.num_examples)
    coding.check_named(args.output)
    if os.path.exists(args.output) and not args.overwrite:
        raise ValueError(
            f"{args.output} exists; it is unchanged. Give another name, or overwrite=True.")
    if os.path.isdir(args.output):
        raise ValueError(
            f"{args.output} is a directory; the output is one file. Give its name.")
    if os.path.exists(args.output) and os.path.exists(args.data) and os.path.samefile(
            args.output, args.data):
        raise ValueError(
            f"{args.output} is the input; it is unchanged. Give another name for the output.")
    out = os.path.dirname(os.path.abspath(args.output))
    measuring.check_writable(out, "output")
    files.sweep(out)
    trained = measuring.open_run(args.directory, args.data, args.cache_dir, args.split, out)
    codec = coding.opened(args.directory, trained.config, trained.vae, trained.source,
                          step_factor=args.step_factor, quantization=args.quantization,
                          prior=args.prior, train_data=args.train_data, cache_dir=args.cache_dir)
    rows = trained.source.eval
    count = min(args.num_examples or len(rows), len(rows))
    written = codec.write(args.output, batches.evaluation_batches(rows, 256), count, progress=True)
    print(report(written, codec, args.output, args.data))
