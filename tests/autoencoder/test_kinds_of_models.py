"""The table of docs/models-and-data.md: what takes another prior, a full covariance or a condition.
"""
import re

import numpy as np
import tensorflow as tf

import tfisovae
from tests import pages
from tests.autoencoder.linear_pair import BETA, SHIFT, WIDTH, X, moved, pair
from tfisovae.analysis.monitor import Meter
from tfisovae.geometry.traversals import traverse
from tfisovae.show.observed import observe

FEW = X[:120]


def models():
    """By the column's name: the model and its data."""
    encode, decode = pair()
    covariance = (lambda x: (encode(x)[0], tf.linalg.diag(tf.exp(encode(x)[1]))), decode)
    given = (lambda x, c: encode(x), lambda z, c: decode(z))
    return {
        "N(0, I), diagonal": (tfisovae.as_autoencoder((encode, decode), "sse", BETA), FEW),
        "another prior": (
            tfisovae.as_autoencoder(pair(SHIFT, WIDTH), "sse", BETA, prior=moved), FEW),
        "full covariance": (tfisovae.as_autoencoder(covariance, "sse", BETA, "covariance"), FEW),
        "conditional": (tfisovae.as_autoencoder(given, "sse", BETA, conditional=True),
                        (FEW, np.arange(len(FEW)) % 2)),
    }


# By the name in the table. `standardize_latents` is missing, since it takes a `VAE` alone.
CALLS = {
    "analyze": tfisovae.analyze,
    "measure_totals": tfisovae.measure_totals,
    "log_densities": tfisovae.density.log_densities,
    "corrected_volume": lambda model, data: tfisovae.density.log_densities(
        model, data, "corrected_volume"),
    "estimate_beta": tfisovae.estimate_beta,
    "traverse": lambda model, data: traverse(model, [0], at=np.zeros(4), limit=1.0, steps="z"),
    "observe": lambda model, data: observe(model, {}, FEW[:4]),
    "prune": lambda model, data: tfisovae.prune(model, 2, data),
    "Codec": tfisovae.Codec.fit,
    "probe": lambda model, data: tfisovae.probe(model, data, 1),
    "IsometryMonitor": lambda model, data: Meter(model, tf.constant(FEW)),
}


def refuses_it(call, model, data):
    try:
        call(model, data)
    except ValueError as error:
        assert re.search(r"prior|covariance|conditional", str(error)), error
        return True
    return False


def test_what_says_no_is_refused():
    made, seen = models(), set()
    for name, column, cell in pages.kinds_of_models():
        seen.add(name)
        if cell == "no" and name in CALLS:
            assert refuses_it(CALLS[name], *made[column]), (name, column)
        if "corrected_volume" in cell:
            assert refuses_it(CALLS["corrected_volume"], *made[column]), column
    assert set(CALLS) - {"corrected_volume"} == seen - {"standardize_latents"}
