"""Ctrl-C and SIGTERM end a training after a whole step, with a checkpoint; why one in a process of
its own has ended.
"""
import contextlib
import os
import signal
import socket
import sys
import threading

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stopped(KeyboardInterrupt):
    """A training that was told to end; the message says at which step. `status` is the exit status
    that a shell expects.
    """

    def __init__(self, message, signum):
        super().__init__(message)
        self.status = 128 + signum


class Watch:
    """Signals that have come since `watching` began.

    Attributes:
      received: the number of the first, or `None`.
      at_stake: whether steps have been done that no checkpoint holds, so that the end of the step
        under way is to be waited for.
    """

    def __init__(self, directory):
        self.directory, self.received, self.at_stake = directory, None, False

    def stop(self, step, kept):
        """Ends the training at a step; `kept` is that of the last checkpoint, 0 where there is
        none.
        """
        there = f"The same command goes on from the checkpoint of step {kept} in {self.directory}." if kept else \
            "There is no checkpoint: the same command begins anew."
        raise Stopped(f"stopped by {_NAMES[self.received]} at step {step}. {there}", self.received)


@contextlib.contextmanager
def watching(directory, alone=True):
    """A `Watch`, for a training in `directory`. A second Ctrl-C ends the process at once.

    With several workers, all of which a checkpoint would take, the first signal ends the process at
    once. Outside of the main thread, which alone may handle signals, nothing is watched.

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
        if not watch.at_stake:
            raise Stopped(
                f"stopped by {_NAMES[signum]} before a new step was done; {directory} is as it was.",
                signum)

    # Python's handlers wait for TensorFlow to return; a byte on this pipe does not.
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    thread = threading.Thread(target=_listen, args=(reader, alone), daemon=True)
    before = {signum: signal.signal(signum, handle) for signum in _NAMES}
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield watch
    finally:
        signal.set_wakeup_fd(wakeup)
        for signum, handler in before.items():
            signal.signal(signum, handler)
        writer.close()
        thread.join()
        reader.close()


def why_it_ended(code, printed):
    """Why a process has failed: the signal that ended it, or the last line that it printed."""
    if code < 0:
        return f"ended by {signal.Signals(-code).name}" + (", as where memory runs out"
                                                           if code == -signal.SIGKILL else "")
    lines = printed.strip().splitlines()
    return lines[-1] if lines else f"exit status {code}"


def _listen(reader, alone):
    """Says that a signal has come; ends the process at the second Ctrl-C, or at once where it is
    one of several.
    """
    told = False
    while True:
        received = reader.recv(1)
        if not received:
            return
        signum = received[0]
        if signum not in _NAMES:
            continue
        if alone and not told:
            _say(f"{_NAMES[signum]}: stopping. Ctrl-C again ends at once.")
        elif not alone or signum == signal.SIGINT:
            _say(f"{_NAMES[signum]}: stopped"
                 + (" at once." if alone else "; the other workers end too."))
            os._exit(128 + signum)
        told = True


def _say(text):
    with contextlib.suppress(OSError, ValueError):
        print(text, file=sys.stderr, flush=True)
