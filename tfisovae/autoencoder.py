"""What of any variational autoencoder can be measured: two functions, a distortion, and beta."""
import dataclasses
from collections.abc import Callable

from tfisovae.distortions import Distortion


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """A variational autoencoder as the measuring half sees it.

    Attributes:
      encode: x `[B, ...]` -> (mean `[B, n]`, scale `[B, n]`); scale is a standard deviation.
      decode: z `[B, n]` -> x_hat, like x.
      distortion: `Distortion`.
      beta: 1 / lmbda.
      decomposed: whether the trained distortion is D(x, x_check) + D(x_check, x_hat).
    """

    encode: Callable
    decode: Callable
    distortion: Distortion
    beta: float
    decomposed: bool = False


def as_autoencoder(model) -> Autoencoder:
    """The `Autoencoder` of whatever has its five attributes."""
    return Autoencoder(model.encode, model.decode, model.distortion, model.beta, model.decomposed)
