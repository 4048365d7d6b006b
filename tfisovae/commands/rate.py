"""Measure the rate and distortion of a run's codec, next to theory and common codecs: rate.json,
rate.png, a table.

Every held-out example is coded and decoded at step factors from 1/4 to 4. The last lines say which
claims of the theory hold for these files, and why others do not.
"""
import argparse
import os
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfisovae import files
from tfisovae.commands import coding, measuring, options

if typing.TYPE_CHECKING:
    from tfisovae.commands.measuring import Trained

BESIDE = 1_000  # images, or 20,000 vectors to learn components from
_LEVELS = 60  # points of a bound


EXAMPLES = (
    "tfisovae rate runs/toy",
    "tfisovae rate runs/faces --num_examples 200 --no-beside",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    measuring.add_arguments(p)
    measuring.add_num_examples(p)
    options.group(p, "measuring").add_argument(
        "--beside", action=argparse.BooleanOptionalAction, default=True,
        help="also measure JPEG and WebP (images), or quantized principal components (vectors)")
    coding.add_options(p)
    options.group(p, "output").add_argument("--rows", type=int, default=10,
                                            help="dimensions in the table")


def compute(trained: "Trained", num_examples: int | None = None, quantization: str = "universal",
            beside: bool = True, train_data: Any = None,
            cache_dir: str | None = None) -> tuple[Any, dict[str, Any]]:
    """Measures a run: a `Ledger`, and the other content of `rate.json`."""
    from tfisovae.codec import evaluation
    from tfisovae.training import batches

    count = measuring.num_examples(trained, num_examples)
    codec = coding.opened(trained.directory, trained.config, trained.vae, trained.source,
                          quantization=quantization, train_data=train_data, cache_dir=cache_dir,
                          keep=False)
    shape = measuring.as_images(trained.source.eval[:1]).shape[1:] if trained.has_images else None
    shape = shape if shape is not None and min(shape[:2]) >= 11 else None  # the size for SSIM
    ledger = evaluation.measure_files(codec, batches.evaluation_batches(trained.source.eval), count,
                                      image_shape=shape, progress=True)
    if beside:
        ledger.beside.update(_images(trained, count) if shape else _vectors(trained, ledger, count))
    return ledger, {
        "data": trained.source.manifest["source"],
        "data_fingerprint": trained.source.manifest["fingerprint"],
        "steps": trained.config["steps"], "num_beside": min(count, BESIDE) if shape else count
    }


def _images(trained, count):
    """Curves of JPEG and WebP on the first of the images, with headers and without."""
    from tfisovae.codec import baselines

    x = measuring.as_images(trained.source.eval[np.arange(min(count, BESIDE))])
    pixels = x if x.dtype == np.uint8 else np.rint(255 * x).astype(np.uint8)
    found = {}
    for codec, name in (("jpeg", "JPEG"), ("webp", "WebP")):
        points = baselines.image_curve(codec, pixels, progress=True)
        found[name] = [{
            "bits": at["bits"], "distortion": at["distortion"], "quality": at["quality"]
        } for at in points]
        found[f"{name} without headers"] = [{**at, "bits": point["bits_without_headers"]}
                                            for at, point in zip(found[name], points)]
    return found


def _vectors(trained, ledger, count):
    """The curve of quantised principal components, and of toy data the bound below every code."""
    from tfisovae import sources, theory
    from tfisovae.codec import baselines
    from tfisovae.training import batches

    if trained.vae.decomposed:  # for these, D depends on more than x and x_hat
        return {}
    train, test = trained.source.train, trained.source.eval
    known = train[batches.drawn(len(train), 20 * BESIDE, trained.config["seed"])]
    low, high = ledger.curve[0].distortion, ledger.curve[-1].distortion
    deviation = float(
        np.sqrt(np.linalg.eigvalsh(np.cov(known, rowvar=False).reshape(known.shape[1], -1)).max()))
    points = baselines.principal_components(known, test[np.arange(count)],
                                            deviation * np.geomspace(0.005, 4, 40),
                                            trained.vae.distortion)
    near = [at for at in points if 0.5 * low <= at["distortion"] <= 2 * high]
    found = {"principal components, quantised": near} if near else {}
    toy = trained.source.manifest.get("toy")
    if toy is not None and trained.config["distortion"] == "sse":
        name = "rate-distortion bound" if toy == "norm" else "Shannon's lower bound"
        levels = np.geomspace(low / 6, high, _LEVELS)
        bound = [theory.shannon_lower_bound(sources.toy_entropies(toy), level) for level in levels]
        found[name] = [{"bits": bits / np.log(2), "distortion": distortion}
                       for bits, distortion in bound if bits > 0]
    return found


def names(suffix: str = "") -> tuple[str, ...]:
    """The files of a measurement."""
    return f"rate{suffix}.json", f"rate{suffix}.png"


def draw(out: str, suffix: str = "") -> None:
    """Draws `rate.png` from `rate.json`, which is in the directory `out`."""
    from tfisovae.codec.breakdown import Ledger
    from tfisovae.show import drawing, rate

    path, picture = (os.path.join(out, name) for name in names(suffix))
    saved = files.read_json(path)
    ledger = Ledger.from_dict(saved)
    title = (
        f"What files cost and lose: {measuring.name(saved['data'])}, {ledger.distortion_name}, "
        f"lmbda {ledger.lmbda:g}, "
        f"{'decomposed' if ledger.decomposed else 'conventional'} loss")
    drawing.save(rate.rate(ledger, title), picture)


def report(trained: "Trained", args: argparse.Namespace) -> Iterator[str]:
    """Measures a run; yields the results as text, before writing them."""
    from tfisovae.codec import claims

    measuring.check_at_least_1(rows=args.rows)
    ledger, extra = compute(trained, args.num_examples, args.quantization, args.beside,
                            args.train_data, args.cache_dir)
    yield f"{claims.table(ledger, args.rows)}\n\n{claims.summary(ledger)}"
    ledger.save(trained.path("rate.json"), **extra,
                claims=[claim.to_dict() for claim in claims.claims(ledger)])
    draw(trained.out, trained.suffix)
    yield measuring.written(trained.out, *names(trained.suffix))


def run(args: argparse.Namespace) -> None:
    measuring.run(args, report)
