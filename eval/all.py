#!/usr/bin/env python
"""Measure and draw all that a run has, in one process: isometry, densities, isometric variables, and traversals of images."""
import density  # beside this file, as all of these
import isometry
import shared
import traverse
import variables


def parser():
    p = shared.parser(__doc__)
    p.add_argument("--num_examples", type=int, help=f"of isometry and densities: {shared.NUM_EXAMPLES}")
    return p


def _report_of(script):
    """The report of a script on the options of this one, or the word that this run has nothing of it."""
    def report(trained, args):
        options = script.parser().parse_args([args.run])
        if args.num_examples is not None:
            options.num_examples = args.num_examples
        try:
            return f"{script.report(trained, options)}\n"
        except shared.NotOfThisRun as error:
            return f"Not of this run, {script.__name__}: {error}\n"

    return report


def main(argv=None):
    shared.run(parser(), argv, *map(_report_of, (isometry, density, variables, traverse)))


if __name__ == "__main__":
    main()
