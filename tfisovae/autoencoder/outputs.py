"""The outputs of a VAE's networks: finds the mean, the scale and the reconstruction among them.

Outputs are matched by name, or by position if they are ordered.
"""
import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

_MEAN = re.compile(r"mean|(?<![a-z])(mu|loc)(?![a-z])")
_SPREAD = re.compile(r"var|std|sigma|scale")
# Names of distributions whose entries are independent.
_DIAGONAL = re.compile(r"Diag(WithSoftplusScale)?$|^(Normal|Independent)$")


class PartError(ValueError):
    """An encoder or a decoder is unsuitable, or gets unsuitable inputs; the message says why."""


@dataclasses.dataclass(frozen=True)
class Outputs:
    """The outputs of one call.

    Attributes:
      tensors: list of tensors.
      names: their names; "" without a name.
      ordered: whether their order is intended: from a list or tuple, or from `output_0`,
        `output_1`, ...
    """

    tensors: list[tf.Tensor]
    names: list[str]
    ordered: bool

    @classmethod
    def of(cls, result: Any, names: Sequence[str] | None = None) -> "Outputs":
        """The outputs in a tensor, a list or tuple, or a dict; dicts of one entry and lists of one
        are unwrapped.
        """
        while isinstance(result, (Mapping, list, tuple)) and len(result) == 1:
            result = result[next(iter(result))] if isinstance(result, Mapping) else result[0]
        if isinstance(result, Mapping):
            numbers = [re.fullmatch(r"output_(\d+)", str(key)) for key in result]
            ordered = all(numbers)
            keys = sorted(result, key=(lambda key: int(key.split("_")[1])) if ordered else str)
            return cls([result[key] for key in keys], [str(key) for key in keys], ordered)
        if isinstance(result, (list, tuple)):
            names = getattr(result, "_fields", names)  # of a named tuple
            known = names if names is not None and len(names) == len(result) else [""] * len(result)
            return cls(list(result), list(known), True)
        return cls([result], [""], True)

    def described(self) -> str:
        """Names or numbers, and shapes, for error messages."""
        named = [name or index for index, name in enumerate(self.names)]
        return ", ".join(
            f"{name} {list(tensor.shape) if hasattr(tensor, 'shape') else type(tensor).__name__}"
            for name, tensor in zip(named, self.tensors))

    def chosen(self, key: str | int, argument: str) -> tf.Tensor:
        """The tensor with a name or a number."""
        if key in self.names and key != "":
            return checked(self.tensors[self.names.index(key)])
        if isinstance(key, int) and not isinstance(
                key, bool) and self.ordered and 0 <= key < len(self.tensors):
            return checked(self.tensors[key])
        raise PartError(f"{argument} selects the output {key!r}; use one of {self.described()}.")

    def parameters(self, asked: str | int | Sequence[str | int] | None = None) -> list[tf.Tensor]:
        """The outputs for the posterior: two for the mean and the scale, or one with both, `[B,
        2n]`.

        Args:
          asked: `encoder_outputs` of `as_autoencoder`: a pair of names or numbers, one of an output
            `[B, 2n]`, or None.
        """
        if asked is not None:
            keys = list(asked) if isinstance(asked, (list, tuple)) else [asked]
            if not 1 <= len(keys) <= 2:
                raise PartError(
                    "encoder_outputs must be a pair for the mean and its log-variance (or as in "
                    f"scale=), or the one output [batch, 2n] with both; got {asked!r}.")
            return [self.chosen(key, "encoder_outputs") for key in keys]
        return [checked(self.tensors[index]) for index in self._positions()]

    def mean_and_spread(self, asked: str | int | Sequence[str | int] | None,
                        channels_first: bool = False) -> list[tf.Tensor]:
        """The posterior's two parameters, `[B, n]` each: the two `parameters`, or the halves of the
        one. Of maps, the halves are of the channels: `[B, h, w, 2c]`, or `[B, 2c, h, w]` with
        `channels_first`.
        """
        tensors = self.parameters(asked)
        if len(tensors) == 2:
            return tensors
        return _halves(tensors[0], 1 if channels_first and tensors[0].shape.rank == 4 else -1)

    def size(self) -> int | None:
        """n, from the shapes alone."""
        tensors = self.parameters()
        return tensors[0].shape[-1] if len(tensors) == 2 else _half(tensors[0])

    def _positions(self):
        count = len(self.tensors)
        if not count:
            raise PartError(
                "The encoder returns nothing; it must return the mean and its log-variance.")
        if count == 1:
            return [0]
        named = [(bool(_MEAN.search(name.lower())), bool(_SPREAD.search(name.lower())))
                 for name in self.names]
        means = [index for index, kind in enumerate(named) if kind == (True, False)]
        spreads = [index for index, kind in enumerate(named) if kind == (False, True)]
        if len(means) == len(spreads) == 1:
            return [means[0], spreads[0]]
        if count == 2 and len(means) + len(spreads) == 1:
            return [means[0], 1 - means[0]] if means else [1 - spreads[0], spreads[0]]
        if self.ordered and count <= 3 and means in ([], [0]) and spreads in ([], [1]):
            return [0, 1]
        raise PartError(
            "Which outputs of the encoder are the mean and its log-variance? Their names do not "
            f"show it: {self.described()}. Give encoder_outputs=(MEAN, LOG_VARIANCE) to "
            "tfisovae.as_autoencoder, by name or, if they have an order, by number."
            + " A VAE with several groups of latent variables (hierarchical) cannot be measured."
            * (count > 3))

    def reconstruction(self, asked: str | int | None) -> tf.Tensor:
        """The decoder's output, or the one of `decoder_output`."""
        if asked is not None:
            return self.chosen(asked, "decoder_output")
        if len(self.tensors) != 1:
            raise PartError(
                f"Which output of the decoder is x_hat? There are {self.described()}. Give "
                "decoder_output=NAME (or its number, if they have an order) to "
                "tfisovae.as_autoencoder.")
        return checked(self.tensors[0])


@dataclasses.dataclass(frozen=True)
class Part:
    """Half of any VAE, as a function of a tensor.

    Attributes:
      function: (tensor, training) -> `Outputs`. Only Keras networks have a training mode.
      shape: of one input example, without the batch axis, if known; an open axis is `None`.
      owner: the object with its `trainable_variables`; None if unknown.
      returns_scale: whether it is the signature `encode` of this package's SavedModels, which
        returns `mean` and `scale`.
      precision: function that returns the precision of the outputs after the first call; None for
        float32.
      products: `(z, directions [k, B, n])` -> `Outputs` of z, and of its Jacobian times the
        directions; None if TensorFlow differentiates `function`.
      channels_first: whether spatial latents have the shape `[B, c, h, w]`, as in PyTorch.
    """

    function: Callable[..., Outputs]
    shape: tuple[int | None, ...] | None = None
    owner: Any = None
    returns_scale: bool = False
    precision: Callable[[], tf.DType] | None = None
    products: Callable[..., tuple[Outputs, Outputs]] | None = None
    channels_first: bool = False

    @property
    def size(self) -> int | None:
        """The numbers in a row of its input, if the shape shows it: n for a decoder."""
        return math.prod(self.shape) if self.shape and None not in self.shape else None

    def __call__(self, x: tf.Tensor, training: bool = False) -> Outputs:
        return self.function(x, training)


def check_one_input(role: str, inputs: Sequence[Any]) -> None:
    """Raises ValueError unless a network has one input; `inputs` are their names."""
    if len(inputs) != 1:
        raise ValueError(
            f"The {role} must take one tensor; it takes {len(inputs)}: "
            f"{', '.join(map(str, inputs))}. If the second is a condition, give "
            "as_autoencoder(..., conditional=True). Else give a function of one tensor.")


def checked(tensor: Any) -> Any:
    """A used output; a distribution would turn into one sample of it, a list into one tensor."""
    if isinstance(tensor, (list, tuple, Mapping)):
        raise PartError(
            f"A network returns a {type(tensor).__name__} of {len(tensor)} among its outputs; "
            "tensors were expected. A VAE with several groups of latent variables (hierarchical) "
            "cannot be measured.")
    if not (hasattr(tensor, "log_prob") and hasattr(tensor, "sample")):
        return tensor
    # TensorFlow Probability's layers return a distribution in a wrapper.
    inner = getattr(tensor, "tensor_distribution", tensor)
    kinds = [base.__name__ for base in type(inner).__mro__ if not base.__name__.startswith("_")]
    kind = kinds[0]
    said = (f"A network returns a distribution ({kind}); a function that returns numbers was "
            "expected. For a decoder, return distribution.mean(). ")
    if any(map(_DIAGONAL.search, kinds)):
        raise PartError(
            said + "For an encoder with a Gaussian posterior, return (distribution.mean(), "
            'distribution.stddev()) with scale="scale". Other posteriors cannot be measured.')
    raise PartError(
        said + "For an encoder with a Gaussian posterior, return (distribution.mean(), "
        'distribution.covariance()) with scale="covariance". Other posteriors cannot be measured.')


def _half(parameters, axis=-1):
    """n from the one output `[B, 2n]`, or the channels of maps."""
    size = parameters.shape[axis]
    if size is None or size % 2:
        raise PartError(
            "An encoder with one output must return [batch, 2n]: means, then log-variances (or as "
            f"in scale=); got the shape {list(parameters.shape)}. An encoder may also return the "
            "two as separate outputs.")
    return size // 2


def _halves(parameters, axis):
    _half(parameters, axis)
    return tf.split(parameters, 2, axis)
