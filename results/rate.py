"""Draw the rates of published runs in one picture: `rates.png`, of `rate.json` as `tfisovae rate`
writes it, one panel a directory.

    for d in mix ramp norm; do tfisovae toy --data $d --schedule cosine --run_dir runs/$d; tfisovae
    rate runs/$d; done python -m results.rate runs/mix runs/ramp runs/norm --directory results/rate
"""
import argparse
import os
import shutil
import sys

from results.layout import name
from tfisovae import files
from tfisovae.codec.breakdown import Ledger
from tfisovae.show import drawing
from tfisovae.show.rate import curves

PUBLISHED = ("config.json", "rate.json", "rate.png")
ORDER = ("faces", "mnist", "mix", "ramp", "norm")  # of panels; others follow


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.rate", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "runs", nargs="*",
        help="run directories that were measured, to be published: files with their names are "
        "replaced")
    p.add_argument("--directory", default="results/rate",
                   help="directory of the published files (default: results/rate)")
    return p


def ordered(directory):
    """The published directories, in the order of the panels and of the rows of tables."""
    found = [
        entry for entry in os.listdir(directory)
        if os.path.exists(os.path.join(directory, entry, "rate.json"))
    ]
    return [os.path.join(directory, entry) for entry in sorted(found, key=place)]


def place(directory):
    """The sort key of a directory."""
    return ORDER.index(name(directory)) if name(directory) in ORDER else len(ORDER), name(directory)


def publish(run, directory):
    """Copies the published files of a run; the manifest names its data without their directory."""
    made = os.path.join(directory, name(run))
    os.makedirs(made, exist_ok=True)
    for file in PUBLISHED:
        if not file.endswith(".json"):
            shutil.copyfile(os.path.join(run, file), os.path.join(made, file))
            continue
        values = files.read_json(os.path.join(run, file))
        files.write_json(os.path.join(made, file), {**values, "data": name(values["data"])},
                         digits=None)


def draw(directory):
    """Draws `rates.png` of all that is published."""
    ledgers = [(name(path), Ledger.load(os.path.join(path, "rate.json")))
               for path in ordered(directory)]
    if not ledgers:
        raise ValueError(
            f"{directory} has no directory with a rate.json. Measure runs (tfisovae rate RUN), "
            f"and name them."
        )
    title = "Distortion against bits: files of trained models, and other codecs"
    drawing.save(curves(ledgers, title), os.path.join(directory, "rates.png"))


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        os.makedirs(args.directory, exist_ok=True)
        for run in args.runs:
            publish(run, args.directory)
        draw(args.directory)
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(f"Written: {os.path.join(args.directory, 'rates.png')}")


if __name__ == "__main__":
    main()
