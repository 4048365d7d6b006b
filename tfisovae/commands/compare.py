"""Measure several runs and show them side by side on one page: compare.html.

Each run gets a directory with its name in the results, with all files of `tfisovae isometry` and
`tfisovae report`, and of `tfisovae density` if p(x) is known. Existing results for the same model
and number of examples are used again. The runs themselves do not change.
"""
import argparse
import contextlib
import os
import typing
import urllib.parse
from collections.abc import Generator, Iterator, Mapping
from typing import Any

from tfisovae import files
from tfisovae.commands import density, isometry, measuring, options, report

if typing.TYPE_CHECKING:
    from tfisovae.commands.measuring import Trained

# Stored with the results of a run: the model, and the requested numbers of examples.
_MEASURED = "measured.json"


EXAMPLES = (
    "tfisovae compare runs/sse runs/ssim --out compared",
    "tfisovae compare runs/a runs/b --titles First Second --num_examples 500",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    p.add_argument("directories", metavar="RUN", nargs="+", type=os.path.expanduser,
                   help="run directories, as the training commands write them")
    options.in_order(p, "measuring", "output")
    measure, output = options.group(p, "measuring"), options.group(p, "output")
    measure.add_argument("--num_examples", type=int, nargs="+", metavar="N",
                         help=f"one number for all runs, or one for each: {measuring.NUM_EXAMPLES}")
    measure.add_argument(
        "--gradient_examples", type=int, nargs="+", metavar="N",
        help="training examples for the mean gradient, likewise; 0: none (default: as tfisovae "
             "isometry)")
    measuring.add_method(p)
    measuring.add_cache_dir(measure)
    output.add_argument("--out", type=os.path.expanduser, default="compare",
                        help="directory for the page, with a directory for each run")
    output.add_argument("--title", default="Side by side", help="of the page")
    output.add_argument("--titles", nargs="+", metavar="TITLE",
                        help="of the columns, one for each run (default: names of the runs)")


def check(args: argparse.Namespace) -> None:
    """Raises ValueError if runs have the same name or would be written into, or if the number of
    options is wrong.
    """
    names = list(map(measuring.name, args.directories))
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"Several runs are called {', '.join(sorted(twice))}, so their results would share one "
            "directory. Rename one, or compare them on two pages.")
    for directory in args.directories:
        within = [
            os.path.realpath(directory),
            os.path.realpath(os.path.join(args.out, measuring.name(directory)))
        ]
        if os.path.commonpath(within) == within[0]:
            raise ValueError(
                f"The results would be written into the run {directory}, which must not change. "
                "Choose another --out.")
        if os.path.exists(os.path.join(within[1], "config.json")):
            raise ValueError(
                f"The results of {directory} would be written into another run of its name, "
                f"{within[1]}, which must not change. Choose another --out.")
    if args.titles and len(args.titles) != len(names):
        raise ValueError(
            f"--titles needs one title for each of the {len(names)} runs; got {len(args.titles)}.")
    for name in ("num_examples", "gradient_examples"):
        of_each(args, name)
    for count in args.num_examples or []:
        measuring.check_at_least_1(num_examples=count)
    for count in args.gradient_examples or []:
        measuring.check_gradient_examples(count)


def of_each(args: argparse.Namespace, name: str) -> list[Any]:
    """An option with one number for all runs or one for each, as a list with one for each; `None`
    if not given.
    """
    counts, runs = getattr(args, name) or [None], len(args.directories)
    if len(counts) not in (1, runs):
        raise ValueError(
            f"--{name} needs one number for all runs, or one for each of the {runs}; got "
            f"{len(counts)}."
        )
    return counts * (runs // len(counts))


def opened(directory: str, args: argparse.Namespace) -> "Trained":
    """A run and its data, `measuring.Trained`; its results go into a directory with its name."""
    try:
        return measuring.open_run(directory, None, args.cache_dir, None,
                                  os.path.join(args.out, measuring.name(directory)))
    except ValueError as error:
        raise ValueError(
            f"{error} (All runs are measured on their own data here. Leave {directory} out, or use "
            "tfisovae report.)") from None


def measure(trained: "Trained", counts: Mapping[str, Any]) -> Iterator[str]:
    """Measures a run and yields text, unless results exist for this model and these numbers of
    examples (`counts`, by their options).
    """
    from tfisovae.training import runs

    path, now = trained.path(_MEASURED), {"model": runs.model_digest(trained.directory), **counts}
    knows_density = trained.source.log_density is not None
    needed = [isometry.names()[0], *(density.names()[:2] if knows_density else ())]
    with contextlib.suppress(FileNotFoundError, files.DamagedFile):
        if files.read_json(path) == now and all(
                os.path.exists(trained.path(name)) for name in needed):
            return
    # From another model, or from other examples.
    for name in (_MEASURED, *density.names(), *isometry.names()):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(trained.path(name))
    if knows_density:
        try:
            yield from density.report(trained, _options(density, trained, counts))
        except measuring.NotOfThisRun as error:
            yield f"Not of this run, density: {error}"
    yield from isometry.report(trained, _options(isometry, trained, counts))
    files.write_json(path, now)


def column(trained: "Trained", title: str, counts: Mapping[str, Any]) -> Generator[str, None, Any]:
    """Measures a run, yields text, and writes its report; returns its `tfisovae.show.Column`."""
    from tfisovae.show import Column, contents_of

    yield from measure(trained, counts)
    saved, parts = yield from report.gather(trained, _options(isometry, trained, counts),
                                            trained.out)
    yield report.write(trained.path("report.html"), title, saved, parts)
    return Column(contents_of(saved, title, **parts),
                  f"./{urllib.parse.quote(measuring.name(trained.out))}/report.html")


def _options(command, trained, counts):
    options = measuring.default_options(command, trained.directory)
    vars(options).update({name: value
                          for name, value in counts.items() if name in options}, out=trained.out)
    return options


def run(args: argparse.Namespace) -> None:
    from tfisovae.show import write_beside
    from tfisovae.training.runs import load_config

    check(args)
    for directory in args.directories:
        # It refuses directories that are not runs, before anything is written.
        load_config(directory)
    made = [opened(directory, args) for directory in args.directories]
    columns, titles = [], args.titles or list(map(measuring.name, args.directories))
    method = {} if args.method == "auto" else {"method": args.method}
    for trained, title, *counts in zip(made, titles, of_each(args, "num_examples"),
                                       of_each(args, "gradient_examples")):
        print(f"== {title}: {trained.directory}", flush=True)
        asked = {**dict(zip(("num_examples", "gradient_examples"), counts)), **method}
        columns.append(_printed(column(trained, title, asked)))
    path = os.path.join(args.out, "compare.html")
    write_beside(columns, path, args.title)
    print(f"\n{report.said_of(path)}")


def _printed(texts):
    """Prints each text of a generator at once; returns the generator's result."""
    while True:
        try:
            print(next(texts), flush=True)
        except StopIteration as end:
            return end.value
