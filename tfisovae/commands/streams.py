"""Standard output and error that a reader may close: what is written then is lost, and the work
goes on.
"""
import contextlib
import os
import sys


class _Closable:
    """A stream whose reader may have gone: from then on it leads nowhere."""

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        with self._survived():
            self._stream.write(text)
        return len(text)

    def flush(self):
        with self._survived():
            self._stream.flush()

    def __getattr__(self, name):
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _survived(self):
        try:
            yield
        except UnicodeEncodeError:
            raise
        # A pipe without a reader, a terminal that is gone, a closed file.
        except (OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:  # what is still in the buffer, too: the interpreter writes it when it ends
                os.dup2(nowhere, self._stream.fileno())
            except (OSError, ValueError, AttributeError):
                self._stream = open(os.devnull, "w")
            finally:
                os.close(nowhere)


@contextlib.contextmanager
def closable():
    """Standard output and error are `_Closable` in the block; where a shell has closed one, it
    leads nowhere.
    """
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        sys.stdout, sys.stderr = (_Closable(stream or stack.enter_context(open(os.devnull, "w")))
                                  for stream in before)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdout, sys.stderr = before
