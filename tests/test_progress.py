"""Progress bars are for people who watch."""
import io
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
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


@pytest.mark.parametrize("decode, refused", [
    (lambda z: z, False), (lambda z: z + tf.random.normal(tf.shape(z)), True),
    (lambda z: tf.round(10 * z), True)])
def test_a_refusal_leaves_no_bar_behind(monkeypatch, decode, refused):
    """It would move every later bar of a notebook down a line."""
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    x = np.random.default_rng(0).standard_normal((20, 2)).astype(np.float32)
    model = tfisovae.Autoencoder(lambda x: (x, 0.1 * tf.ones_like(x)), decode, "sse", 0.1)
    try:
        tfisovae.analyze(model, x, progress=True)
    except ValueError as error:
        assert refused, error
    assert ("measuring" in stream.getvalue()) is not refused
