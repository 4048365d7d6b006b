"""The command line: `tfisovae NAME ...`, or `python -m tfisovae NAME ...`."""
import argparse
import importlib
import os
import sys

from tfisovae import commands


def parser(name):
    """The parser of one command; what its options name is not imported."""
    command = importlib.import_module(f"tfisovae.commands.{name}")
    made = argparse.ArgumentParser(prog=f"tfisovae {name}", description=command.__doc__,
                                   formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    command.add_arguments(made)
    made.set_defaults(run=command.run)
    return made


def main(argv=None):
    """Runs a command; what goes wrong ends in a plain line and exit status 1, options that make no sense in 2."""
    argv = sys.argv[1:] if argv is None else list(argv)
    top = argparse.ArgumentParser(prog="tfisovae", description="Measure variational autoencoders as one measures a PCA.",
                                  formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_epilog())
    top.add_argument("command", metavar="COMMAND", choices=commands.SUMMARIES, help="what to do; tfisovae COMMAND --help says more")
    top.add_argument("--version", action="version", version=_version())
    chosen = top.parse_args(argv[:1]).command
    made = parser(chosen)
    args = made.parse_args(argv[1:])
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # a dozen lines at every start; what goes wrong is raised
    try:
        args.run(args)
    except KeyboardInterrupt:
        print(f"{made.prog}: stopped.", file=sys.stderr)
        sys.exit(130)
    except MemoryError as error:
        sys.exit(f"{made.prog}: the data do not fit into memory ({error}). Take fewer examples.")
    except (ValueError, OSError, NotImplementedError) as error:
        sys.exit(f"{made.prog}: {error}")


def _epilog():
    width = max(map(len, commands.SUMMARIES))
    return "\n".join(["commands:", *(f"  {name:<{width}}  {summary}" for name, summary in commands.SUMMARIES.items())])


def _version():
    from tfisovae.version import __version__

    return f"tfisovae {__version__}"


if __name__ == "__main__":
    main()
