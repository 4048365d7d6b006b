"""Every promised name has an example in its docstring, and the examples run.

They see `tfisovae`, `np`, `tf`, data `x` `[300, 16]`, and an optimal linear VAE of them: `vae`,
`encoder` and `decoder`. Printed values are compared where an example shows them.
"""
import contextlib
import doctest
import importlib
import io
import types

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.promised import PROMISED
from tests.support import linear_vae
from tfisovae import theory

PARSER, CHECKER = doctest.DocTestParser(), doctest.OutputChecker()
MOST_LINES = 6
LMBDA = 50.0


def promised():
    """`{name: object}` of every promised name that is not a namespace."""
    found = {}
    for module, names in PROMISED.items():
        for name in names.split():
            one = getattr(importlib.import_module(module), name)
            if not isinstance(one, types.ModuleType):
                found[f"{module}.{name}"] = one
    return found


@pytest.fixture(scope="module")
def shared():
    """What the examples see."""
    data = tfisovae.sources.toy("mix", 300, 0)
    ideal = theory.LinearVAE(np.array([8 / 3, 2 / 3, 1 / 6]), 1 / LMBDA)
    basis = data.basis[np.argsort(-data.s.var(0))]
    vae = linear_vae(basis.T * ideal.encoder_gain, ideal.decoder_gain[:, None] * basis,
                     ideal.scale, LMBDA)
    return {"tfisovae": tfisovae, "np": np, "tf": tf, "x": data.x, "vae": vae,
            "encoder": vae.encoder, "decoder": vae.decoder}


@pytest.fixture
def eagerly():
    """Small models and data take less time without tracing."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.parametrize("name", promised())
def test_the_example_of_a_promised_name_runs(name, shared, eagerly, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    examples = PARSER.get_examples(promised()[name].__doc__)
    assert examples, f"{name} has no example"
    assert sum(one.source.count("\n") for one in examples) <= MOST_LINES
    weights = shared["vae"].get_weights()
    scope = dict(shared)
    for one in examples:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(one.source, f"<{name}>", "single"), scope)
        if one.want:
            assert CHECKER.check_output(one.want, printed.getvalue(), 0), printed.getvalue()
    shared["vae"].set_weights(weights)  # an example may have trained it
