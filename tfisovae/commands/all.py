"""Measure and draw everything of a run in one process: isometry, densities, isometric variables,
traversals of images, report.
"""
import argparse

from tfisovae.commands import density, isometry, measuring, report, traverse, variables

EXAMPLES = (
    "tfisovae all runs/toy",
    "tfisovae all runs/faces --num_examples 200 --out measured",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    measuring.add_arguments(p)
    measuring.add_num_examples(p)


def _report_of(command):
    """The report of a command with the options of this one, or a message that it does not apply to
    this run.
    """
    def report(trained, args):
        options = measuring.default_options(command, args.directory)
        for name in ("data", "split", "out", "cache_dir"):
            setattr(options, name, getattr(args, name))
        if args.num_examples is not None:
            options.num_examples = args.num_examples
        try:
            yield from command.report(trained, options)
            yield ""
        except measuring.NotOfThisRun as error:
            yield f"Not of this run, {command.__name__.rpartition('.')[2]}: {error}\n"

    return report


def run(args: argparse.Namespace) -> None:
    measuring.run(args, *map(_report_of, (isometry, density, variables, traverse, report)))
