"""What of any variational autoencoder can be measured, and the one door through which every other
kind of model becomes that.

Behind the door there are two functions, a distortion, and beta. `as_autoencoder` makes them of a
`tfisovae.VAE`, of Keras models, of PyTorch modules, of SavedModels (those of Keras 3 among them),
or of functions over NumPy arrays.
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
from tfisovae.autoencoder.networks import Activated, Decoder, Encoder, Networks, as_part
from tfisovae.autoencoder.posterior import read_scale
from tfisovae.autoencoder.signatures import load_saved_model
from tfisovae.distortions import Distortion

CONFIG = os.path.join("assets.extra", "tfisovae.json")
# Of what `VAE.save` writes; files without a word of it, of earlier versions, have this one.
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """A variational autoencoder as the measuring half sees it.

    Attributes:
      encode: x `[B, ...]`, a float32 tensor -> (mean `[B, n]`, scale `[B, n]`); scale is a standard
        deviation.
      decode: z `[B, n]` -> x_hat, like x. Both are called inside `tf.function`s: they are made of
        TensorFlow's operations (`as_autoencoder` takes functions over NumPy arrays).
      distortion: `Distortion`, or the name of one: that of the loss.
      beta: 1 / lmbda, where the loss is lmbda D + KL in nats (Eq. 54). `None` says that it is not
        known: for `estimate_beta`.
      decomposed: whether the trained distortion is D(x, x_check) + D(x_check, x_hat) (section 4.2).
      networks: what is known about the networks behind `encode` and `decode`; `None` where nothing
        is.
      condition: what a conditional model takes next to x, else `None`. `encode` and `decode` then
        take packed rows (`tfisovae.autoencoder.conditional`); `bound` gives them apart.
    Raises:
      ValueError: if beta is no positive, finite number, or no distortion has that name.
    """

    encode: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    decode: Callable[[tf.Tensor], tf.Tensor]
    distortion: Distortion
    beta: float | None
    decomposed: bool = False
    networks: Networks | None = dataclasses.field(default=None, compare=False, repr=False)
    condition: Condition | None = dataclasses.field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("encode", "decode"):
            if not callable(getattr(self, name)):
                raise TypeError(
                    f"{name} must be a function of a tensor; got {getattr(self, name)!r}.")
            object.__setattr__(self, name, converted(getattr(self, name)))
        object.__setattr__(self, "distortion", distortions.get(self.distortion))
        object.__setattr__(self, "decomposed", bool(self.decomposed))
        if self.beta is not None:
            object.__setattr__(self, "beta", arguments.positive("beta", self.beta, " (1 / lmbda)"))


class Measurable(Protocol):
    """An `Autoencoder` or a `tfisovae.VAE`, for type checkers. `as_autoencoder` makes one of an
    object that has only the five attributes before `networks`.
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
                   conditional: bool = False, needs_beta: bool = True) -> Autoencoder:
    """The `Autoencoder` of a model of whatever origin.

    Args:
      model: one of

        - an `Autoencoder`, or anything with its five attributes, such as a `tfisovae.VAE`;
        - a pair `(encoder, decoder)`, or an object or dict with these two names. Each is a Keras
          model (built or not; called in inference mode, and in float32 whatever its policy), a
          PyTorch module or a method of one (called in evaluation mode, on its own device), the
          directory of a SavedModel (`model.export` of Keras 3), a loaded SavedModel, its signatures
          or one of them, a `tf.function`, or a function over NumPy arrays of whatever framework;
        - a PyTorch module with the methods `encode` and `decode`;
        - the directory of a SavedModel with the signatures `encode` and `decode`, as
          `tfisovae.VAE.save` writes it, or what `tf.saved_model.load` makes of it, or its
          signatures.

        The posterior is Gaussian with a diagonal covariance, and the prior N(0, I). Others are not
        measured: another prior changes the rate, beta and every moment.

        Encoders return `[B, 2n]`, or mean and log-variance, or these and a sample, which is not
        used: in that order, unless their names say another. Spatial latent spaces have
        `[B, h, w, 2c]`, or mean and log-variance `[B, h, w, c]`. They are measured as vectors of
        n = h w c numbers; `encode.latent_shape` holds (h, w, c).
      distortion: `Distortion`, or the name of one: that of the loss. None: what the model says.
      beta: 1 / lmbda. None: what the model says.
      scale: what the encoder's second output is: "log_variance", "variance", "log_scale" or "scale"
        (a standard deviation). Of no concern to models that say it themselves: those with five
        attributes, and SavedModels of `tfisovae.VAE.save`.
      decomposed: whether the loss was the decomposed one (section 4.2). None: what the model says,
        or False.
      encoder_outputs: the names, or numbers, of the outputs that are mean and log-variance; or of
        the one that is `[B, 2n]`.
      decoder_output: the name, or number, of the output that is x_hat.
      decoder_activation: what makes x_hat of the decoder's output, such as "sigmoid" for a decoder
        that returns logits: a function of a tensor, or the name of one that Keras has.
      conditional: True for a pair of Keras models with two inputs, (x, c) and (z, c), or of
        functions `encode(x, c)` and `decode(z, c)`. Measures then take data of pairs (x, c), and
        give numbers over all of them. Otherwise (x, y) data are x with labels, which are ignored.
      needs_beta: False lets a model without a known beta pass; its `beta` is then None.
    Returns:
      `Autoencoder`. Its `networks` say what is known about the model; `networks.parameters(x)` are
      the encoder's own two outputs. A model that was adapted here has them as
      `encode.parameters(x)` too.
    Raises:
      TypeError, ValueError, FileNotFoundError: if the model is none of these, or something that it
        leaves open is not given.
    """
    read_scale(tf.zeros([]), scale)
    given = {"distortion": distortion, "beta": beta, "decomposed": decomposed}
    condition = Condition() if conditional else None
    if all(hasattr(model, name) for name in ("encode", "decode", "distortion")):
        if conditional and getattr(model, "condition", None) is None:
            raise TypeError(
                "With conditional=True, model must be a pair (encoder, decoder), or an object with "
                f"these two attributes; got {type(model).__name__}.")
        encode, decode, condition = model.encode, model.decode, getattr(model, "condition", None)
        said = {name: getattr(model, name, None) for name in ("distortion", "beta", "decomposed")}
        networks = _known(model)
        if networks is not None and any(value is not None for value in given.values()):
            # Another loss than that of the model's own training.
            networks = dataclasses.replace(networks, model=None, training_objective=None)
    else:
        encoder, decoder, owner = _halves(model)
        if condition is None:
            encoding = as_part(encoder, "encoder", owner)
            decoding = as_part(decoder, "decoder", owner)
        else:
            encoding = conditional_part(encoder, "encoder", condition)
            decoding = conditional_part(decoder, "decoder", condition,
                                        lambda: encode.latent_shape)
        reading = "scale" if encoding.returns_scale else scale
        encode = Encoder(encoding, reading, encoder_outputs, decoding.size)
        decode = Decoder(decoding, decoder_output, None if condition else encode)
        networks = Networks(encoding.owner, decoding.owner, encode.parameters, reading,
                            encoder_outputs, encoding.shape, decoding.size)
        said = _written_beside(model, distortion)
    if decoder_activation is not None:
        decode = Activated(decode, decoder_activation)
        if networks is not None:  # whose own training knows nothing of it
            networks = dataclasses.replace(networks, model=None, training_objective=None)
    settled = {name: said.get(name) if value is None else value for name, value in given.items()}
    if settled["distortion"] is None:
        raise ValueError(
            "distortion is missing: nothing in the model says which D it was trained with. Give "
            "distortion=\"sse\", \"bce\", ... (tfisovae.distortions). tfisovae.objective finds it "
            "from the loss as you wrote it.")
    if settled["beta"] is None and needs_beta:
        raise ValueError(
            "beta is missing: nothing in the model says it. Give beta=, which is 1 / lmbda where "
            "the loss is lmbda D + KL. tfisovae.objective finds it from the loss as you wrote it, "
            "tfisovae.estimate_beta from the model and data.")
    return Autoencoder(encode, decode, settled["distortion"], settled["beta"],
                       bool(settled["decomposed"]), networks, condition)


def bound(model: Measurable, x: Any) -> tuple[Measurable, Any]:
    """The model for the rows `x`, and x itself: of a conditional model with their conditions.

    Args:
      model: `Autoencoder`, or anything with its five attributes.
      x: examples `[B, ...]`; of a conditional model packed ones, `[B, k]`.
    Returns:
      `(model, x)`. Its `decode` takes z `[B, n]`, or `[m B, n]` of the same rows m times.
    """
    condition = getattr(model, "condition", None)
    if condition is None:
        return model, x
    posterior = model.encode(x)
    return Autoencoder(lambda _: posterior, Given(model.decode, condition, x), model.distortion,
                       model.beta, model.decomposed, model.networks), condition.unpacked(x)[0]


def _known(model):
    """What a model with the five attributes says about its networks, or `None`."""
    said = getattr(model, "networks", None)
    if isinstance(said, Networks):
        return said
    pair = [getattr(model, name, None) for name in ("encoder", "decoder")]
    if all(isinstance(network, tf.keras.layers.Layer) for network in pair):
        return Networks(*pair)
    return Networks(model, model) if isinstance(model, tf.Module) else None


def _halves(model):
    """Encoder and decoder, each as `as_part` takes it, and the object that keeps their variables,
    if there is one.
    """
    if isinstance(model, (tuple, list)):
        if len(model) != 2:
            raise ValueError(f"model must be a pair (encoder, decoder); got {len(model)} parts.")
        return *model, None
    if torch_modules.module_of(model) is not None and all(
            callable(getattr(model, name, None)) for name in ("encode", "decode")):
        return model.encode, model.decode, None  # whose `encoder` may be a part of that alone
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
    raise TypeError(
        "model must be a VAE, a pair (encoder, decoder), an object with these two attributes, or "
        f"a SavedModel with the signatures 'encode' and 'decode'; got {type(model).__name__}.")


def read_saved_config(path: str | os.PathLike,
                      way_out: str = "Save the VAE again.") -> dict[str, Any]:
    """What `tfisovae.VAE.save` wrote beside its SavedModel at `path`.

    Raises:
      FileNotFoundError, files.DamagedFile: if there is none, or it is not whole; `way_out` ends the
      message. ValueError: if another version, of another format, wrote it.
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
    """What `tfisovae.VAE.save` wrote beside its SavedModel: distortion (unless it is given), beta,
    decomposed; or nothing.
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
