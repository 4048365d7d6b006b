"""Ctrl-C and SIGTERM end a training after a whole step, with a checkpoint. Also why another process
has ended.
"""
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stopped(KeyboardInterrupt):
    """A signal ended a training; the message names the step. `status` is the exit status for the
    shell.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.status = 128 + signum


class Watch:
    """Signals since `watching` began.

    Attributes:
      received: the number of the first, or `None`.
      at_stake: whether there was a step since `watching` began. Then a signal waits for the end of
        the current step and a checkpoint.
    """

    def __init__(self, directory: str | os.PathLike) -> None:
        self.directory, self.received, self.at_stake = directory, None, False

    def stop(self, step: int, kept: int | None) -> None:
        """Ends the training at a step. `kept` is the step of the last checkpoint, or 0."""
        there = "There is no checkpoint: the same command starts again."
        if kept:
            there = (f"The same command resumes from the checkpoint of step {kept} in "
                     f"{self.directory}.")
        raise Stopped(f"stopped by {_NAMES[self.received]} at step {step}. {there}", self.received)


@contextlib.contextmanager
def watching(directory: str | os.PathLike, alone: bool = True) -> Iterator[Watch]:
    """A `Watch`, for a training in `directory`. A second Ctrl-C ends the process at once.

    With several workers the first signal ends the process at once, since a checkpoint needs all
    workers. Only the main thread can handle signals; in other threads nothing is watched.

    Args:
      directory: of the run, for messages.
      alone: whether this process is the only one of the run.
    """
    watch = Watch(directory)
    if threading.current_thread() is not threading.main_thread():
        yield watch
        return

    def handle(signum, _):
        watch.received = watch.received or signum
        # Python's handlers wait for TensorFlow to return; the kernel's does not.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if not watch.at_stake:
            raise Stopped(f"stopped by {_NAMES[signum]} before a new step was done; {directory} is "
                          "unchanged.", signum)
        # A stream may be closed, or in use just now.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            print(f"{_NAMES[signum]}: stopping. Ctrl-C again ends at once.", file=sys.stderr,
                  flush=True)

    # Workers wait for each other inside TensorFlow, where no Python handler would run.
    before = {signum: signal.signal(signum, handle if alone else signal.SIG_DFL)
              for signum in _NAMES}
    try:
        yield watch
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def why_it_ended(code: int, printed: str) -> str:
    """The reason why a process failed: its signal, or its last printed line."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}" + (", perhaps out of memory"
                                                           if code == -signal.SIGKILL else "")
    lines = printed.strip().splitlines()
    return lines[-1] if lines else f"exit status {code}"
