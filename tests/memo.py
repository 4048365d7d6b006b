"""Measurements that several tests ask for. Each is made once in a session, for all workers.

A measurement is a function of the model, the data and the options. Tests of commands look at the
files, the words and the pictures that are made of it; they may share it.
"""
import contextlib
import functools
import hashlib
import pathlib
import pickle
import types
from unittest import mock

import filelock
import numpy as np

import tfisovae
from tfisovae import density
from tfisovae.analysis import mean_gradient, measuring
from tfisovae.autoencoder.data import batches

# The function, by where the commands find it; and what of its result they read.
SHARED = ((measuring, "analyze", None), (measuring, "measure_stationarity", None),
          (density, "log_densities", None), (mean_gradient, "block_gradients", "mean_gradient"))


def key_of(name, model, data, arguments):
    """A digest of all that the measurement depends on; the data are read once."""
    digest = hashlib.sha256(repr((name, arguments, model.get_config(), float(model.lmbda),
                                  type(model).__name__)).encode())
    for value in (*(weight.numpy() for weight in model.weights), *batches(data)):
        array = np.ascontiguousarray(value)
        digest.update(repr((array.shape, array.dtype)).encode() + array.tobytes())
    return digest.hexdigest()


def kept(function, part, place):
    """`function`, or what it returned before for the same model, data and options."""
    @functools.wraps(function)
    def call(model, data, *args, progress=False, **options):
        if not isinstance(model, tfisovae.VAE):
            return function(model, data, *args, progress=progress, **options)
        file = place / key_of(function.__name__, model, data, (args, sorted(options.items())))
        with filelock.FileLock(f"{file}.lock"):
            if not file.exists():
                made = function(model, data, *args, progress=progress, **options)
                file.write_bytes(pickle.dumps(getattr(made, part)() if part else made))
            found = pickle.loads(file.read_bytes())
        return types.SimpleNamespace(**{part: lambda: found}) if part else found

    return call


@contextlib.contextmanager
def shared(place: pathlib.Path):
    """Inside, commands share their measurements with all others that name the same `place`. A
    function that a test has replaced is left alone.
    """
    with contextlib.ExitStack() as stack:
        for module, name, part in SHARED:
            function = getattr(module, name)
            if function.__module__ == module.__name__:
                stack.enter_context(
                    mock.patch.object(module, name, kept(function, part, place)))
        yield
