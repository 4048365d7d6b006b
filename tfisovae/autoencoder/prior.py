"""A prior p(z) other than N(0, I), such as a mixture or a VampPrior."""
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfisovae.autoencoder import torch_modules
from tfisovae.autoencoder.functions import PlainFunction, accepts, required
from tfisovae.autoencoder.outputs import PartError


class Prior:
    """z `[B, n]` -> log p(z), nats, `[B]`, float32.

    Args:
      prior: a function from z to log p(z), in any framework, or a distribution with `log_prob`.
        Distributions and modules of PyTorch get its tensors, other functions NumPy arrays.
    """

    def __init__(self, prior: Callable[[Any], Any] | Any) -> None:
        function = getattr(prior, "log_prob", prior)
        if not callable(function):
            raise TypeError(
                "prior must be a function from z [batch, n] to log p(z) [batch] in nats, or a "
                f"distribution with log_prob; got {type(prior).__name__}.")
        if not accepts(function, 1):
            raise ValueError(
                f"prior must take z alone; it takes {', '.join(required(function))}. A prior that "
                "depends on a condition cannot be used.")
        if torch_modules.module_of(function) is not None:
            part = torch_modules.torch_part(function, "prior")
            self._function = lambda z: part(z).reconstruction(None)
        elif type(getattr(function, "__self__", prior)).__module__.startswith("torch."):
            self._function = PlainFunction(lambda z: _of_torch(function, z), "prior")
        else:
            self._function = PlainFunction(function, "prior")

    def __call__(self, z: tf.Tensor) -> tf.Tensor:
        found = tf.cast(self._function(tf.cast(z, tf.float32)), tf.float32)
        if found.shape.rank != 1 or not found.shape.is_compatible_with(z.shape[:1]):
            raise PartError(
                "prior must return one number for each row, log p(z) [batch] in nats; got the "
                f"shape {found.shape.as_list()} for z of the shape {z.shape.as_list()}. Sum over "
                "the dimensions.")
        return found


def _of_torch(function, z):
    import torch

    return function(torch.as_tensor(z)).detach().numpy()
