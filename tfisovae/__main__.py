"""The command line: `tfisovae NAME ...`, or `python -m tfisovae NAME ...`."""
import argparse
import contextlib
import importlib
import os
import sys
import warnings

from tfisovae import commands
from tfisovae.commands import options, recipes, wording


class _Closable:
    """A stream whose reader may close it, as `head` does. After that, output is discarded."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        self._tried(self._stream.write, text)
        return len(text)

    def flush(self):
        self._tried(self._stream.flush)

    def _tried(self, call, *arguments):
        try:
            call(*arguments)
        except UnicodeEncodeError:
            raise
        except (OSError, ValueError):  # a pipe without a reader, a lost terminal, or closed
            with open(os.devnull, "w") as nowhere:
                # The interpreter flushes the old stream at its end, so that must be discarded too.
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    os.dup2(nowhere.fileno(), self._stream.fileno())
                    return
            self._stream = open(os.devnull, "w")


def open_streams():
    """Opens the null device for each closed standard stream, as in a daemon.

    Otherwise the next opened file would get the number of that stream, and TensorFlow would log
    into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number


@contextlib.contextmanager
def closable():
    """In the block, output is discarded once its reader has left or the shell has closed the
    stream, and the work continues.
    """
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w") as nowhere:
        sys.stdout, sys.stderr = (_Closable(stream or nowhere) for stream in before)
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            sys.stdout, sys.stderr = before


def parser(name):
    """The parser of one command. It does not import what its options name."""
    command = importlib.import_module(f"tfisovae.commands.{name}")
    made = argparse.ArgumentParser(prog=f"tfisovae {name}", description=command.__doc__,
                                   epilog=options.examples(command.EXAMPLES), allow_abbrev=False,
                                   formatter_class=options.HelpFormatter)
    command.add_arguments(made)
    made.set_defaults(run=command.run)
    return made


def main(argv=None):
    """Runs a command. Errors become a plain line and exit status 1; bad options give status 2."""
    open_streams()
    # A notebook sets its own backend, which its shell commands do not have.
    os.environ["MPLBACKEND"] = "Agg"
    with closable():
        status = _run(sys.argv[1:] if argv is None else list(argv))
    if status:
        sys.exit(status)


def _run(argv):
    """Runs a command; returns its exit status, or the message of its failure."""
    top = argparse.ArgumentParser(
        prog="tfisovae", description="Measure variational autoencoders like a PCA.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=_epilog())
    top.add_argument("command", metavar="COMMAND", choices=commands.SUMMARIES,
                     help="command; see tfisovae COMMAND --help")
    top.add_argument("--version", action="version", version=_version())
    try:
        os.getcwd()
    except FileNotFoundError:
        return "tfisovae: the working directory was deleted. Change to another one, and try again."
    for argument in argv:
        if not argument.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in argument):
            return f"tfisovae: {argument!a} is not a name in UTF-8. Rename it, and try again."
    chosen = top.parse_args(argv[:1]).command
    made = parser(chosen)
    args = recipes.parse(made, argv[1:])
    try:
        with _plain_warnings(made.prog):
            args.run(args)
    except KeyboardInterrupt as error:
        print(f"{made.prog}: {str(error) or 'stopped.'}", file=sys.stderr)
        return getattr(error, "status", 130)
    except MemoryError as error:
        return f"{made.prog}: the data do not fit into memory ({error}). Take fewer examples."
    except Exception as error:
        if not _is_said(error):
            from tfisovae.commands import python_models  # imports NumPy

            blamed = python_models.blamed(error, vars(args).get("model"))
            if blamed is None:
                raise
            return f"{made.prog}: {blamed}"
        return f"{made.prog}: {wording.as_options(str(_words(error)), vars(args))}"
    return 0


@contextlib.contextmanager
def _plain_warnings(name):
    """In the block, warnings of the package become lines of text."""
    with warnings.catch_warnings():
        before = warnings.showwarning

        def show(message, category, *place):
            if category is UserWarning:
                print(f"{name}: {message}", file=sys.stderr)
            else:
                before(message, category, *place)

        warnings.showwarning = show
        yield


def _is_said(error):
    """Whether the message of an exception is enough, without a traceback: it concerns the data, the
    files or the machine.
    """
    tf = sys.modules.get("tensorflow")
    return isinstance(
        error, (ValueError, OSError, NotImplementedError, *([tf.errors.OpError] if tf else ())))


def _words(error):
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    # TensorFlow's error, with a page about the graph.
    if hasattr(error, "message") and hasattr(error, "op"):
        return " ".join(str(error.message).split())[:500]
    return error


def _epilog():
    width = max(map(len, commands.SUMMARIES))
    return "\n".join([
        "commands:",
        *(f"  {name:<{width}}  {summary}" for name, summary in commands.SUMMARIES.items())
    ])


def _version():
    from tfisovae.version import __version__

    return f"tfisovae {__version__}"


if __name__ == "__main__":
    main()
