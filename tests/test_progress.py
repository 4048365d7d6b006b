"""Progress bars are for people who watch."""
import io
import sys
import types

import pytest

from tfisovae import progress


class Terminal(io.StringIO):
    """Standard error that says it is a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize("make, notebook, asked, shown", [
    (Terminal, False, True, True), (Terminal, False, False, False),
    (io.StringIO, False, True, False), (io.StringIO, True, True, True)])
def test_bars_show_at_terminals_and_in_notebooks_alone(monkeypatch, make, notebook, asked, shown):
    stream = make()
    monkeypatch.setattr(sys, "stderr", stream)
    if notebook:
        monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    else:
        monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    assert list(progress.bar(range(3), desc="counting", progress=asked)) == [0, 1, 2]
    assert ("counting: 100%" in stream.getvalue()) is shown
