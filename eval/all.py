#!/usr/bin/env python
"""Measure and draw all that a run has, in one process: isometry, densities, isometric variables, and traversals of images."""
import density  # beside this file, as all of these
import isometry
import shared
import traverse
import variables

from tfisovae import runs


def parser():
    p = shared.parser(__doc__)
    p.add_argument("--num_examples", type=int, help=shared.NUM_EXAMPLES)
    return p


def _report_of(script, takes_count):
    def report(trained, args):
        count = ["--num_examples", str(args.num_examples)] if takes_count and args.num_examples else []
        try:
            return script.report(trained, script.parser().parse_args([args.run, *count])) + "\n"
        except (ValueError, runs.RunError) as error:  # a collapsed run has no densities, a run on vectors no traversals
            return f"Not of this run, {script.__name__}: {error}\n"

    return report


def main(argv=None):
    shared.run(parser(), argv, *[_report_of(script, script in (isometry, density))
                                 for script in (isometry, density, variables, traverse)])


if __name__ == "__main__":
    main()
