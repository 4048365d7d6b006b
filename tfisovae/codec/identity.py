"""The identity of a model: a fingerprint of its weights, and its outputs at a few points.

A fingerprint is a hash of the floating-point variables that `encode` and `decode` read. It is the
same before and after saving, in any form. Functions of NumPy arrays have no visible variables, and
outputs differ in their last digits between machines. So points and outputs are kept as well, and
compared within a tolerance.
"""
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfisovae._autograph import compiled
from tfisovae.autoencoder.autoencoder import Measurable
from tfisovae.autoencoder.torch_modules import TorchFunction

_PREFIX, _ARRAYS = "identity_", ("z", "x_hat", "mean", "scale")
_POINTS = 2
# Relative to the range of the outputs: larger than effects of processors and threads, smaller than
# effects of training.
_RELATIVE = 1e-3
_OF_SCALE = 1e-2  # of the posterior's scale, likewise


class Functions:
    """The two functions of an autoencoder, traced once for examples of one shape.

    Args:
      autoencoder: `Autoencoder`, or anything with its five attributes.
      example_shape: of one x.
      n: latent dimensions.
    """

    def __init__(self, autoencoder: Measurable, example_shape: Sequence[int], n: int) -> None:
        self.autoencoder = autoencoder
        self._encode, self._decode = (
            compiled(function).get_concrete_function(tf.TensorSpec([None, *shape], tf.float32))
            for function, shape in ((lambda x: tuple(autoencoder.encode(x)), example_shape),
                                    (lambda z: autoencoder.decode(z), (n,))))

    def encode(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Mean and scale, `[B, n]` each."""
        return self._encode(x)

    def decode(self, z: tf.Tensor) -> tf.Tensor:
        """x_hat `[B, ...]`."""
        return self._decode(z)

    def fingerprint(self) -> str | None:
        """A hash of the values of all floating-point variables that the two read, in any order;
        None if there are none.
        """
        networks = self.autoencoder.networks
        for half in (networks.encoder, networks.decoder) if networks else ():
            if isinstance(half, TorchFunction):
                half.refresh()
        variables = {
            id(variable): variable
            for function in (self._encode, self._decode)
            for variable in function.variables
        }
        parts = []
        for variable in variables.values():
            if variable.dtype.is_floating:  # others count, or are states of random generators
                value = np.ascontiguousarray(variable.numpy())
                parts.append(
                    hashlib.sha256(repr((value.shape, value.dtype.str)).encode()
                                   + value.tobytes()).digest())
        return hashlib.sha256(b"".join(sorted(parts))).hexdigest() if parts else None


def _range(values):
    """The range of the finite values; 0 if there are none."""
    known = values[np.isfinite(values)]
    return np.ptp(known) if known.size else 0.0


def _same(found, known, tolerance):
    """Whether all are within a tolerance, or not finite in the same places."""
    there = np.isfinite(known)
    with np.errstate(invalid="ignore"):
        near = np.abs(found - known) <= np.where(np.isfinite(tolerance), tolerance, 0)
    return bool((np.isfinite(found) == there).all() and (near | ~there).all())


@dataclasses.dataclass(frozen=True)
class Identity:
    """The stored identity of a model.

    Attributes:
      fingerprint: of its weights; None if none are visible.
      z: points `[2, n]`.
      x_hat: `decode(z)`, `[2, ...]`.
      mean, scale: `encode(x_hat)`, `[2, n]` each.
    """

    fingerprint: str | None
    z: np.ndarray
    x_hat: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, functions: Functions, n: int) -> "Identity":
        z = np.random.Generator(np.random.Philox(0)).uniform(-1, 1, [_POINTS, n]).astype(np.float32)
        x_hat = functions.decode(tf.constant(z))
        mean, scale = functions.encode(x_hat)
        return cls(functions.fingerprint(), z, x_hat.numpy(), mean.numpy(), scale.numpy())

    @property
    def digest(self) -> str:
        """64 hexadecimal digits: the fingerprint, or a hash of the outputs on one machine."""
        return self.fingerprint or hashlib.sha256(self.x_hat.tobytes()
                                                  + self.mean.tobytes()).hexdigest()

    def arrays(self) -> dict[str, np.ndarray]:
        """All but the fingerprint, as arrays for `from_arrays`."""
        return {f"{_PREFIX}{name}": getattr(self, name) for name in _ARRAYS}

    @classmethod
    def from_arrays(cls, fingerprint: str | None, arrays: Mapping[str, np.ndarray]) -> "Identity":
        return cls(fingerprint, *(arrays[f"{_PREFIX}{name}"] for name in _ARRAYS))

    def difference(self, functions: Functions, thorough: bool = True) -> str | None:
        """The difference between a model and this one, in words; None if they are the same.

        Args:
          functions: of the model.
          thorough: whether to compare outputs even if the weights are equal.
        """
        found = functions.fingerprint()
        if found != self.fingerprint:
            return "its weights differ"
        if found is not None and not thorough:
            return None
        x_hat = functions.decode(tf.constant(self.z)).numpy()
        # These points are not data, so an encoder may have no finite mean there. Then it must have
        # none again.
        if not _same(x_hat, self.x_hat, _RELATIVE * max(_range(self.x_hat), 1e-6)):
            return "its decoder gives another x_hat for the same z"
        mean = functions.encode(tf.constant(self.x_hat))[0].numpy()
        if not _same(mean, self.mean, _OF_SCALE * self.scale + 1e-5):
            return "its encoder gives another mean for the same x"
        return None
