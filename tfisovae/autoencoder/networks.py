"""The two halves of a VAE: `as_part` makes each a function of a tensor, `Encoder` and `Decoder`
read mean, scale and x_hat, and `Networks` holds known facts about them.
"""
import dataclasses
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfisovae.autoencoder import signatures, torch_modules
from tfisovae.autoencoder.conditional import Given
from tfisovae.autoencoder.data import as_x
from tfisovae.autoencoder.functions import PlainFunction
from tfisovae.autoencoder.keras_networks import computing_in_float32, keras_part
from tfisovae.autoencoder.outputs import Outputs, Part, PartError
from tfisovae.autoencoder.posterior import FULL, Posterior, read_scale
from tfisovae.autoencoder.signatures import Loaded
from tfisovae.autoencoder.torch_modules import TorchFunction


@dataclasses.dataclass(frozen=True, eq=False)
class Networks:
    """Known facts about the networks of a model, beyond `encode` and `decode`.

    Attributes:
      encoder, decoder: a Keras network, another `tf.Module`, a `Loaded` or a `TorchFunction`, with
        the `trainable_variables` of this half; `None` if unknown.
      parameters: x -> the encoder's mean and second output, `[B, n]` each.
      reading: the meaning of the second output: "log_variance", "variance", "log_scale", "scale",
        "covariance" or "scale_tril".
      outputs: the requested outputs of the encoder, as `encoder_outputs` of `as_autoencoder`.
      example_shape: of one x; an open axis is `None`. `None` if unknown.
      n: latent dimensions, if known.
      model: the model itself, if its beta may change from step to step: a `VAE`.
      check: raises ValueError for an x that does not fit the model.
      training_objective: `(x, first_row, seed)` -> the training loss, `[B]`, nats, with the
        networks' own losses.
      treats_examples_apart: whether no layer is known to look at a whole batch.
      seed: of the posterior noise in training.
    """

    encoder: tf.Module | Loaded | TorchFunction | None = None
    decoder: tf.Module | Loaded | TorchFunction | None = None
    parameters: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None = None
    reading: str | None = None
    outputs: str | int | Sequence[str | int] | None = None
    example_shape: tuple[int | None, ...] | None = None
    n: int | None = None
    model: Any = None
    check: Callable[[tf.Tensor], None] | None = None
    training_objective: Callable[..., tf.Tensor] | None = None
    treats_examples_apart: bool = False
    seed: int = 0

    @property
    def weights(self) -> list[tf.Variable]:
        """The trainable variables of both halves, each once."""
        found = [variable for half in (self.encoder, self.decoder) if half is not None
                 for variable in half.trainable_variables]
        return list({id(variable): variable for variable in found}.values())


def as_part(model: Any, role: str, owner: object = None) -> Part:
    """The `Part` of a Keras model, a PyTorch module, a SavedModel's directory, a loaded object, its
    signatures or one of them, or a plain function.

    Args:
      model: any of these.
      role: "encoder" or "decoder", for error messages.
      owner: the loaded object that a signature belongs to.

    Raises:
      TypeError: if it is none of these.
      ValueError: if its input is not one batch of floating-point numbers.
    """
    if isinstance(model, (str, os.PathLike)):
        path, model = os.fspath(model), signatures.load_saved_model(model)
        if not model.signatures and not callable(model):
            raise PartError(
                f"{path} has no signatures, so it is unknown how to call its {role}. Export it "
                "with one: model.export(DIRECTORY) of Keras, or tf.saved_model.save(model, "
                "DIRECTORY, signatures=FUNCTION).")
    if torch_modules.module_of(model) is not None:
        return torch_modules.torch_part(model, role)
    if isinstance(model, tf.keras.layers.Layer):
        return keras_part(model, role)
    if isinstance(model, tf.types.experimental.ConcreteFunction):
        return signatures.signature_part(model, role, owner)
    named = model if isinstance(model, Mapping) else getattr(model, "signatures", None)
    if isinstance(named, Mapping) and named:
        return as_part(signatures.pick(named, role), role, model)
    if _takes_other_precision(model):
        return signatures.signature_part(model.get_concrete_function(), role, model)
    if isinstance(model, (tf.types.experimental.GenericFunction, tf.Module)) and callable(model):
        return Part(lambda x, training=False: Outputs.of(model(x)),
                    owner=_with_variables(model if owner is None else owner))
    if callable(model):
        plain = PlainFunction(model, role)
        in_float32 = computing_in_float32(getattr(model, "__self__", None))  # a method of Keras

        def call(x, training=False):
            with in_float32():
                return Outputs.of(plain(x))

        return Part(call, precision=lambda: plain.precision)
    raise TypeError(
        f"The {role} must be a Keras model, a PyTorch module, the directory of a SavedModel, a "
        "loaded one, one of its signatures, or a function of NumPy arrays; got "
        f"{type(model).__name__}.")


def _takes_other_precision(model):
    """Whether it is a `tf.function` with a signature that does not take float32."""
    signature = getattr(model, "input_signature", None) if isinstance(
        model, tf.types.experimental.GenericFunction) else None
    return signature is not None and any(
        getattr(spec, "dtype", tf.float32) != tf.float32 for spec in signature)


def _with_variables(owner):
    """An object with `trainable_variables`, or None."""
    if isinstance(owner, tf.Module):
        return owner
    # A loaded SavedModel lists them if Keras exported it.
    found = getattr(owner, "trainable_variables", None)
    return None if found is None else Loaded(owner, tuple(found))


class Encoder:
    """x -> `Posterior`, from an encoder with one of six kinds of second output.

    Args:
      part: the network.
      reading: the meaning of the second output, as of `Networks`.
      outputs: which of its outputs are meant, as `encoder_outputs` of `as_autoencoder`.
      latents: n of the decoder, if known.

    Attributes:
      latent_shape: (h, w, c) of a spatial latent space, known after the first example: its means
        and variances are `[B, h, w, c]`, and `[B, n]` here. `None` for vectors.
      channels_first: whether the network has `[B, c, h, w]` instead. Modules of PyTorch do, and
        functions that take images with their channels in front.
    """

    def __init__(self, part: Part, reading: str,
                 outputs: str | int | Sequence[str | int] | None = None,
                 latents: int | None = None) -> None:
        self._part, self._reading, self._outputs, self._latents = part, reading, outputs, latents
        self.latent_shape: tuple[int, ...] | None = None
        self.channels_first = part.channels_first

    def parameters(self, x: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """The encoder's mean and second output, `[B, n]` each, float32; a second output with a full
        covariance is `[B, n, n]`.
        """
        outputs = self._part(as_x(x), training)
        of_keras = isinstance(self._part.owner, tf.keras.layers.Layer)
        first = self._part.channels_first or (not of_keras and _has_channels_first(x.shape))
        mean, spread = map(_as_float, outputs.mean_and_spread(self._outputs, first))
        if 0 in mean.shape[1:]:
            raise PartError("The encoder must return at least one latent variable; its mean has "
                            f"the shape {mean.shape.as_list()}.")
        if self._reading in FULL:
            return mean, self._matrix(mean, spread)
        if mean.shape.rank == 4 and None not in mean.shape[1:]:
            spread = tf.broadcast_to(spread, tf.shape(mean))
            self.channels_first = first
            if first:
                mean, spread = (tf.transpose(value, [0, 2, 3, 1]) for value in (mean, spread))
            self.latent_shape = tuple(mean.shape[1:])
            mean, spread = (tf.reshape(value, [-1, math.prod(self.latent_shape)])
                            for value in (mean, spread))
        if mean.shape.rank != 2 or mean.shape[-1] is None:
            raise PartError(
                "The encoder's mean must have the shape [batch, n] or [batch, h, w, c]; got "
                f"{mean.shape.as_list()}. Flatten it in the encoder.")
        if self._latents not in (None, mean.shape[-1]):
            raise PartError(
                f"The encoder returns n = {mean.shape[-1]} means, the decoder takes n = "
                f"{self._latents}. An encoder with one output returns [batch, 2n]; with several "
                "outputs, select them with encoder_outputs=.")
        if spread.shape.rank is not None and spread.shape.rank > 2:
            raise PartError(
                "The encoder's second output must have the shape [batch, n], one scale for each "
                f"dimension; got {spread.shape.as_list()}. For a full covariance [batch, n, n] "
                'give scale="covariance", or scale="scale_tril" for its lower triangular factor.')
        if spread.shape.rank == 1 and spread.shape[0] not in (None, 1, mean.shape[-1]):
            raise PartError(
                "The encoder's second output must have the shape [batch, n], or [batch, 1] for one "
                f"scale for each example; got {spread.shape.as_list()}.")
        # Static shapes of Keras networks can be trusted; other models may return one row for all
        # examples.
        trusted = isinstance(self._part.owner, tf.keras.layers.Layer) and spread.shape.rank == 2
        if trusted and spread.shape.as_list() == mean.shape.as_list():
            return mean, spread
        return mean, tf.broadcast_to(spread, tf.shape(mean))

    def _matrix(self, mean, matrix):
        """The second output of an encoder with a full covariance."""
        n = mean.shape[-1]
        if mean.shape.rank != 2 or n is None or matrix.shape.rank != 3 or (
                matrix.shape.as_list()[1:] != [n, n]):
            raise PartError(
                f"With scale={self._reading!r}, the encoder must return the mean [batch, n] and a "
                f"matrix [batch, n, n]; got {mean.shape.as_list()} and {matrix.shape.as_list()}.")
        return matrix

    def __call__(self, x: tf.Tensor, training: bool = False) -> Posterior:
        mean, spread = self.parameters(x, training)
        return Posterior(mean, read_scale(spread, self._reading))


class Decoder:
    """z -> x_hat.

    Args:
      part: the network.
      output: which of its outputs is meant, as `decoder_output` of `as_autoencoder`.
      encoder: the encoder of the same model. If its latent space is spatial, the network gets z
        `[B, h, w, c]`, unless it takes vectors.
    """

    def __init__(self, part: Part, output: str | int | None = None,
                 encoder: Encoder | None = None) -> None:
        self._part, self._output, self._encoder = part, output, encoder

    @property
    def precision(self) -> tf.DType:
        """The precision of its outputs: float64 for NumPy functions that return it."""
        return tf.float32 if self._part.precision is None else self._part.precision()

    @property
    def products(
            self) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]] | None:
        """`(z, directions [k, B, n])` -> x_hat, and its Jacobian times the directions, which is
        `[k, B, ...]`; None if TensorFlow differentiates the decoder.
        """
        if self._part.products is None:
            return None

        def products(z, directions):
            x_hat, stack = (
                made.reconstruction(self._output) for made in self._part.products(
                    self._spatial(z), self._spatial(directions)))
            return tf.cast(x_hat, z.dtype), tf.cast(stack, z.dtype)

        return products

    def __call__(self, z: tf.Tensor, training: bool = False) -> tf.Tensor:
        z = self._spatial(tf.convert_to_tensor(z))
        x_hat = self._part(z, training).reconstruction(self._output)
        # Measurements are float32 throughout, unless the caller gives float64.
        return x_hat if z.dtype == x_hat.dtype == tf.float64 else _as_float(x_hat)

    def _spatial(self, z):
        """z `[..., n]` in the shape for the network."""
        taken, encoder = self._part.shape, self._encoder
        whole = taken is not None and None not in taken
        known = taken if whole else encoder and encoder.latent_shape
        if not known or len(known) != 3:
            return z
        first = self._part.channels_first or bool(encoder and encoder.channels_first)
        if whole and first:
            known = (*taken[1:], taken[0])
        made = tf.reshape(z, tf.concat([tf.shape(z)[:-1], known], 0))
        made.set_shape([*z.shape[:-1], *known])
        if not first:
            return made
        *others, h, w, c = range(made.shape.rank)
        return tf.transpose(made, [*others, c, h, w])


class Composed:
    """decode(first(z)), in the precision of `decode`."""

    def __init__(self, decode: Callable[[tf.Tensor], tf.Tensor],
                 first: Callable[[tf.Tensor], tf.Tensor]) -> None:
        self._decode, self._first = decode, first

    @property
    def precision(self) -> tf.DType:
        """The precision of its outputs."""
        return precision_of(self._decode)

    def __call__(self, z: tf.Tensor) -> tf.Tensor:
        return self._decode(self._first(tf.convert_to_tensor(z)))


class Activated:
    """activation(decode(z)), in the precision of `decode`: for a decoder that returns logits.

    Args:
      decode: z -> the input of the activation.
      activation: a function of a tensor, or a name in Keras.
    """

    def __init__(self, decode: Callable[[tf.Tensor], tf.Tensor],
                 activation: str | Callable[[tf.Tensor], tf.Tensor]) -> None:
        try:
            self._activation = tf.keras.activations.get(activation)
        except (TypeError, ValueError):
            raise ValueError(
                "decoder_activation must be the name of an activation of Keras, such as "
                "\"sigmoid\" or \"softmax\", or a function of a tensor; got "
                f"{activation!r}.") from None
        self._decode = decode

    @property
    def precision(self) -> tf.DType:
        """The precision of its outputs."""
        return precision_of(self._decode)

    def __call__(self, z: tf.Tensor) -> tf.Tensor:
        return self._activation(self._decode(z))


def precision_of(decode: Callable[[tf.Tensor], tf.Tensor]) -> tf.DType:
    """The precision of the outputs of `decode`: float32 unless known to be higher."""
    if isinstance(decode, Given):
        return precision_of(decode.inner)
    known = isinstance(decode, (Activated, Composed, Decoder))
    return decode.precision if known else tf.float32


def _has_channels_first(shape):
    """Whether the shape of a batch is a shape of channels-first images."""
    return len(shape) == 4 and shape[1] in (1, 3) and min(shape[2:]) > 3


def _as_float(value):
    return tf.cast(value, tf.float32)
