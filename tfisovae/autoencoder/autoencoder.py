"""The common interface of all VAEs, and `as_autoencoder`, which converts models to it.

The interface has two functions, a distortion, and beta. `as_autoencoder` makes them from a
`tfisovae.VAE`, Keras models, PyTorch modules, SavedModels (also of Keras 3), or functions of NumPy
arrays.
"""
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import tensorflow as tf

from tfisovae import arguments, distortions, files
from tfisovae._autograph import converted
from tfisovae.autoencoder import torch_modules
from tfisovae.autoencoder.conditional import Condition, Given, conditional_part
from tfisovae.autoencoder.covariance import Axes, in_own_axes
from tfisovae.autoencoder.networks import (
    Activated,
    Composed,
    Decoder,
    Encoder,
    Networks,
    as_part,
)
from tfisovae.autoencoder.outputs import PartError
from tfisovae.autoencoder.posterior import FULL, READINGS, Posterior, check_reading
from tfisovae.autoencoder.prior import Prior
from tfisovae.autoencoder.signatures import load_saved_model
from tfisovae.distortions import Distortion

CONFIG = os.path.join("assets.extra", "tfisovae.json")
# Format of `VAE.save`; older files without an entry have this one.
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Any variational autoencoder, in the form that all measurements use.

    Attributes:
      encode: x `[B, ...]`, a float32 tensor -> (mean `[B, n]`, scale `[B, n]`); scale is a standard
        deviation.
      decode: z `[B, n]` -> x_hat, like x. Both are called inside `tf.function`s, so they must
        consist of TensorFlow operations (`as_autoencoder` takes functions of NumPy arrays).
      distortion: `Distortion` of the loss, or its name.
      beta: 1 / lmbda, for the loss lmbda D + KL in nats (Eq. 54). `None` if unknown, for
        `estimate_beta`.
      decomposed: whether the trained distortion is D(x, x_check) + D(x_check, x_hat) (section 4.2).
      networks: known facts about the networks behind `encode` and `decode`, or `None`.
      condition: what a conditional model takes next to x, else `None`. `encode` and `decode` then
        take packed rows (`tfisovae.autoencoder.conditional`); `bound` gives them apart.
      prior: z `[B, n]` -> log p(z) `[B]`, nats, or a distribution with `log_prob`; `None` for
        N(0, I).
      full_covariance: whether the posterior has a full covariance C(x). `encode` then returns the
        mean and A `[B, n, n]` with C = A A^T.

    Raises:
      ValueError: if beta is not a positive, finite number, or the name of the distortion is
        unknown.

    Example:
      >>> model = tfisovae.Autoencoder(
      ...     encode=lambda x: (0.99 * x, 0.1 * tf.ones_like(x)), decode=lambda z: z,
      ...     distortion="sse", beta=0.02)
      >>> analysis = tfisovae.analyze(model, x[:, :3])
    """

    encode: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    decode: Callable[[tf.Tensor], tf.Tensor]
    distortion: Distortion
    beta: float | None
    decomposed: bool = False
    networks: Networks | None = dataclasses.field(default=None, compare=False, repr=False)
    condition: Condition | None = dataclasses.field(default=None, compare=False, repr=False)
    prior: Callable[[tf.Tensor], tf.Tensor] | None = None
    full_covariance: bool = False

    def __post_init__(self) -> None:
        for name in ("encode", "decode"):
            if not callable(getattr(self, name)):
                raise TypeError(
                    f"{name} must be a function of a tensor; got {getattr(self, name)!r}.")
            object.__setattr__(self, name, converted(getattr(self, name)))
        object.__setattr__(self, "distortion", distortions.get(self.distortion))
        object.__setattr__(self, "decomposed", bool(self.decomposed))
        if self.prior is not None and not isinstance(self.prior, (Given, Prior)):
            object.__setattr__(self, "prior", Prior(self.prior))
        if self.beta is not None:
            object.__setattr__(self, "beta", arguments.positive("beta", self.beta, " (1 / lmbda)"))


class Measurable(Protocol):
    """An `Autoencoder` or a `tfisovae.VAE`, for type checkers. `as_autoencoder` makes one from an
    object with only the first five attributes.
    """

    @property
    def encode(self) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]: ...

    @property
    def decode(self) -> Callable[[tf.Tensor], tf.Tensor]: ...

    @property
    def distortion(self) -> Distortion: ...

    @property
    def beta(self) -> float | tf.Tensor | None: ...

    @property
    def decomposed(self) -> bool: ...

    @property
    def networks(self) -> Networks | None: ...


AutoencoderLike: TypeAlias = (
    Autoencoder | tf.keras.Model | str | os.PathLike | Mapping[str, Any] | tuple[Any, Any] | Any)
"""Whatever `as_autoencoder` takes: an `Autoencoder`, anything with its five attributes (a
`tfisovae.VAE`), a model with `encoder` and `decoder`, a pair of the two (Keras models, PyTorch
modules, directories, loaded SavedModels, signatures, functions over NumPy arrays), the directory of
a SavedModel with the signatures `encode` and `decode`, or what `tf.saved_model.load` made of one.
"""


def as_autoencoder(model: AutoencoderLike, distortion: Distortion | str | None = None,
                   beta: float | None = None, scale: str = "log_variance",
                   decomposed: bool | None = None, *,
                   encoder_outputs: str | int | Sequence[str | int] | None = None,
                   decoder_output: str | int | None = None,
                   decoder_activation: str | Callable[[tf.Tensor], tf.Tensor] | None = None,
                   conditional: bool = False,
                   prior: Callable[[Any], Any] | Any | None = None,
                   needs_beta: bool = True) -> Autoencoder:
    """Converts any VAE (Keras, SavedModel, PyTorch, JAX, NumPy) to an `Autoencoder`, so that it can
    be measured.

    Args:
      model: one of

        - an `Autoencoder`, or anything with its five attributes, such as a `tfisovae.VAE`;
        - a pair `(encoder, decoder)`, or an object or dict with these two names. Each is a Keras
          model (built or not; called in inference mode and in float32, whatever its policy), a
          PyTorch module or a method of one (called in evaluation mode, on its own device), the
          directory of a SavedModel (`model.export` of Keras 3), a loaded SavedModel, its signatures
          or one of them, a `tf.function`, or a function of NumPy arrays in any framework;
        - a PyTorch module, or another object, with the methods `encode` and `decode`;
        - the directory of a SavedModel with the signatures `encode` and `decode`, as
          `tfisovae.VAE.save` writes it, or the loaded SavedModel, or its signatures.

        The posterior is Gaussian, with a diagonal covariance unless `scale` says otherwise. The
        prior is N(0, I), unless it is given. Other models cannot be measured.

        Encoders return `[B, 2n]`, or mean and log-variance, or these and a sample, which is not
        used. This order holds unless the names show another. Spatial latent spaces have `[B, h, w,
        2c]`, or mean and log-variance `[B, h, w, c]`. They are measured as vectors of n = h w c
        numbers; `encode.latent_shape` holds (h, w, c).
      distortion: `Distortion` of the loss, or its name. It replaces the model's own. `None`: the
        model's own.
      beta: 1 / lmbda, likewise.
      scale: the meaning of the encoder's second output: "log_variance", "variance", "log_scale" or
        "scale" (a standard deviation). For a full covariance `[B, n, n]`: "covariance", or
        "scale_tril" for its lower triangular factor; `tfisovae.measure_totals` measures such
        models. It is not used for models that define it themselves: models with five attributes,
        and SavedModels of `tfisovae.VAE.save`.
      decomposed: whether the loss was the decomposed one (section 4.2). `None`: the model's own, or
        False.
      encoder_outputs: the names or numbers of the outputs for mean and log-variance; or of the one
        output `[B, 2n]`.
      decoder_output: the name or number of the output x_hat.
      decoder_activation: the activation from the decoder's output to x_hat, such as "sigmoid" for
        logits: a function of a tensor, or a name in Keras.
      conditional: True for a pair of Keras models with two inputs, (x, c) and (z, c), or of
        functions `encode(x, c)` and `decode(z, c)`. Measurements then take data of pairs (x, c),
        and give numbers over all of them. Otherwise y in (x, y) data is a label and is ignored.
      prior: for another prior than N(0, I), such as a VampPrior: a function from z `[B, n]` to log
        p(z) `[B]` in nats, or a distribution with `log_prob`. The rate is then measured by
        sampling. Numbers that assume N(0, I) are refused.
      needs_beta: False allows a model without a known beta; its `beta` is then None.

    Returns:
      `Autoencoder`. Its `networks` has known facts about the model; `networks.parameters(x)` gives
      the encoder's own two outputs. For a converted model, so does `encode.parameters(x)`.

    Raises:
      TypeError, ValueError, FileNotFoundError: if the model is of another kind, or a missing
        argument is needed.

    Example:
      >>> model = tfisovae.as_autoencoder((encoder, decoder), distortion="sse", beta=0.01)
      >>> analysis = tfisovae.analyze(model, x)
    """
    check_reading(scale, [*READINGS, *FULL])
    given = {"distortion": distortion, "beta": beta, "decomposed": decomposed}
    condition, full = Condition() if conditional else None, scale in FULL
    if all(hasattr(model, name) for name in ("encode", "decode", "distortion")):
        if full and not has_full_covariance(model):
            raise ValueError(
                f"scale={scale!r} is for encoders, but the model has an encode of its own. Give "
                "tfisovae.Autoencoder(..., full_covariance=True), whose encode returns the mean "
                "and A [batch, n, n] with C = A A^T.")
        if conditional and condition_of(model) is None:
            raise TypeError(
                "With conditional=True, model must be a pair (encoder, decoder), or an object with "
                f"these two attributes; got {type(model).__name__}.")
        encode, decode, condition = model.encode, model.decode, condition_of(model)
        said = {name: getattr(model, name, None) for name in ("distortion", "beta", "decomposed")}
        networks, full = _known(model), has_full_covariance(model)
        prior = prior_of(model) if prior is None else prior
        if networks is not None and any(
                value is not None for value in [*given.values(), prior]):
            # Another loss than in the model's own training.
            networks = dataclasses.replace(networks, model=None, training_objective=None)
    else:
        encoder, decoder, owner = _halves(model)
        if condition is None:
            encoding = as_part(encoder, "encoder", owner)
            decoding = as_part(decoder, "decoder", owner)
        else:
            encoding = conditional_part(encoder, "encoder", condition)
            decoding = None
        reading = "scale" if encoding.returns_scale else scale
        encode = Encoder(encoding, reading, encoder_outputs, decoding and decoding.size)
        if decoding is None:
            decoding = conditional_part(decoder, "decoder", condition, encode)
        decode = Decoder(decoding, decoder_output, None if condition else encode)
        networks = Networks(encoding.owner, decoding.owner, encode.parameters, reading,
                            encoder_outputs, encoding.shape, decoding.size)
        full = reading in FULL
        said = _written_beside(model, distortion)
    if condition is not None and full:
        raise ValueError(
            "A conditional model with a full covariance cannot be measured. Give the model at one "
            "condition: a pair of functions of x and of z alone.")
    if decoder_activation is not None:
        decode = Activated(decode, decoder_activation)
        if networks is not None:  # its own training does not use it
            networks = dataclasses.replace(networks, model=None, training_objective=None)
    settled = {name: said.get(name) if value is None else value for name, value in given.items()}
    if settled["distortion"] is None:
        raise ValueError(
            "distortion is missing: the model does not have one. Give distortion=\"sse\", \"bce\", "
            "... (tfisovae.distortions). tfisovae.objective finds it from your loss.")
    if settled["beta"] is None and needs_beta:
        raise ValueError(
            "beta is missing: the model does not have one. Give beta=, which is 1 / lmbda for the "
            "loss lmbda D + KL. tfisovae.objective finds it from your loss, tfisovae.estimate_beta "
            "from the model and data.")
    return Autoencoder(encode, decode, settled["distortion"], settled["beta"],
                       bool(settled["decomposed"]), networks, condition, prior, full)


def bound(model: Measurable, x: Any) -> tuple[Measurable, Any]:
    """The model for the rows `x`, and x itself; for a conditional model, bound to their conditions;
    for a full covariance, in the own axes of their posteriors.

    Args:
      model: `Autoencoder`, or anything with its five attributes.
      x: examples `[B, ...]`; packed ones `[B, k]` for a conditional model.

    Returns:
      `(model, x)`. Its `decode` takes z `[B, n]`, or `[m B, n]` of the same rows m times.
    """
    condition, prior = condition_of(model), prior_of(model)
    if has_full_covariance(model):
        mean, matrix = model.encode(x)
        if matrix.shape.rank != 3:
            raise PartError(
                "With full_covariance=True, encode must return the mean [batch, n] and a matrix "
                f"[batch, n, n]; got {mean.shape.as_list()} and {matrix.shape.as_list()}.")
        *posterior, axes = in_own_axes(mean, matrix)
        turned = Axes(posterior[0].shape[-1])
        decode = Given(Composed(model.decode, turned), turned, axes)
        prior = prior and Given(Composed(prior, turned), turned, axes)
    elif condition is not None:
        posterior, decode = model.encode(x), Given(model.decode, condition, x)
        x = condition.unpacked(x)[0]
    else:
        return model, x
    return Autoencoder(lambda _: Posterior(*posterior), decode, model.distortion, model.beta,
                       model.decomposed, model.networks, prior=prior), x


def _known(model):
    """The `networks` of a model with the five attributes, or `None`."""
    said = getattr(model, "networks", None)
    if isinstance(said, Networks):
        return said
    pair = [getattr(model, name, None) for name in ("encoder", "decoder")]
    if all(isinstance(network, tf.keras.layers.Layer) for network in pair):
        return Networks(*pair)
    return Networks(model, model) if isinstance(model, tf.Module) else None


def _halves(model):
    """Encoder and decoder, each for `as_part`, and the object that holds their variables, if there
    is one.
    """
    if isinstance(model, (tuple, list)):
        if len(model) != 2:
            raise ValueError(f"model must be a pair (encoder, decoder); got {len(model)} parts.")
        return *model, None
    if torch_modules.module_of(model) is not None and all(
            callable(getattr(model, name, None)) for name in ("encode", "decode")):
        return model.encode, model.decode, None  # its `encoder` may be only a part of it
    owner = load_saved_model(model) if isinstance(model, (str, os.PathLike)) else model
    signatures = owner if isinstance(owner, Mapping) else getattr(owner, "signatures", {})
    for names in (("encode", "decode"), ("encoder", "decoder")):
        if all(name in signatures for name in names):
            return *(signatures[name] for name in names), owner
    if hasattr(owner, "encoder") and hasattr(owner, "decoder"):
        return owner.encoder, owner.decoder, owner
    if signatures:
        raise ValueError(
            "A SavedModel of a whole VAE has the signatures 'encode' and 'decode', which "
            f"tfisovae.VAE.save writes; this one has {', '.join(map(repr, signatures))}. Give two, "
            "(ENCODER, DECODER): directories, or signatures of loaded models.")
    if isinstance(model, (str, os.PathLike)):
        raise ValueError(
            f"{os.fspath(model)} has no signatures; a SavedModel of a whole VAE has two, 'encode' "
            "and 'decode', which tfisovae.VAE.save writes. Or give two directories, (ENCODER, "
            "DECODER), that model.export(DIRECTORY) of Keras writes.")
    if isinstance(model, type):
        raise TypeError(f"model must be a VAE; got the class {model.__name__}. Give an instance.")
    if all(callable(getattr(model, name, None)) for name in ("encode", "decode")):
        return model.encode, model.decode, owner
    raise TypeError(
        "model must be a VAE, a pair (encoder, decoder), an object with these two attributes, or "
        "with the methods encode and decode, or a SavedModel with these two signatures; got "
        f"{type(model).__name__}.")


def read_saved_config(path: str | os.PathLike,
                      way_out: str = "Save the VAE again.") -> dict[str, Any]:
    """The JSON of `tfisovae.VAE.save` in its SavedModel at `path`.

    Raises:
      FileNotFoundError, files.DamagedFile: if it is missing or damaged; `way_out` ends the message.
        ValueError: if it has another format version.
    """
    config = files.read_json(os.path.join(os.fspath(path), CONFIG), way_out)
    found = config.pop("format", FORMAT)
    if found != FORMAT:
        raise ValueError(
            f"{os.fspath(path)} was saved by another version of tfisovae, in the format "
            f"{found!r}; this version reads format {FORMAT}. Load it with the version that saved "
            "it.")
    return config


def _written_beside(model, distortion):
    """The entries in the JSON of `tfisovae.VAE.save`: distortion (unless given), beta, decomposed;
    or nothing.
    """
    path = os.path.join(os.fspath(model), CONFIG) if isinstance(model, (str, os.PathLike)) else None
    if path is None or not os.path.isfile(path):
        return {}
    config = read_saved_config(model)
    said = {"beta": 1 / config["lmbda"], "decomposed": config["decomposed"]}
    if distortion is None:
        try:
            said["distortion"] = tf.keras.utils.deserialize_keras_object(config["distortion"])
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"{model} was trained with the distortion {config['distortion']['class_name']}, "
                "which is not registered with Keras here. Give distortion=.") from error
    return said


def condition_of(model: Any) -> Condition | None:
    """What a conditional model takes next to x; `None` for all other models."""
    return getattr(model, "condition", None)


def prior_of(model: Any) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """The prior of an `Autoencoder`, if it is not N(0, I); `None` for all other models."""
    return model.prior if isinstance(model, Autoencoder) else None


def has_full_covariance(model: Any) -> bool:
    """Whether the posterior of a model has a full covariance."""
    return isinstance(model, Autoencoder) and model.full_covariance


def refuse(model: Any, name: str, *kinds: str) -> None:
    """Raises ValueError if the function `name` cannot use this model.

    Args:
      model: `Autoencoder`, or anything with its five attributes.
      name: of the function.
      kinds: "conditional", "prior" or "covariance": the kinds that it cannot use.
    """
    if "conditional" in kinds and condition_of(model) is not None:
        raise ValueError(
            f"{name} cannot use a conditional model. Give the model at one condition: a pair of "
            "functions of x and of z alone.")
    if "prior" in kinds and prior_of(model) is not None:
        raise ValueError(
            f"{name} assumes the prior N(0, I), but the model has another prior (prior=). "
            + _can_use(model))
    if "covariance" in kinds and has_full_covariance(model):
        raise ValueError(
            f"{name} cannot use a posterior with a full covariance: its axes change with x, so "
            f"numbers by dimension have no average. {_can_use(model)}")


def _can_use(model):
    """Which functions can use a model with a given prior, or a full covariance, or both."""
    if not has_full_covariance(model):
        others = "tfisovae.analyze and tfisovae.density.log_densities"
    elif prior_of(model) is None:
        others = "tfisovae.estimate_beta and tfisovae.density.log_densities"
    else:
        return "tfisovae.measure_totals can use it."
    return f"tfisovae.measure_totals, {others} can use it."
