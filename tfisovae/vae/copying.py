"""Makes a VAE from its configuration, for saving, `copy.deepcopy` and `pickle`."""
import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import _keras
from tfisovae.autoencoder import graph
from tfisovae.distortions import Distortion

_OPEN = 16  # size of an open axis, for examples to compare
_ADVICE = ("Define get_config, which returns the arguments of __init__, or build it from Keras' "
           "own layers with the functional API.")


def custom_objects(vae: Any) -> dict[str, type]:
    """The classes of a VAE's layers and distortion, by name, for Keras."""
    made = graph.custom_objects(vae.encoder, vae.decoder)
    return {**made, type(vae.distortion).__name__: type(vae.distortion)}


def checked(vae: Any, configure: Callable[[], dict[str, Any]], purpose: str) -> dict[str, Any]:
    """What `configure()` returns, a configuration of a `VAE`.

    Args:
      vae: the `VAE`.
      configure: its `get_config` or `config_now`.
      purpose: its purpose in the message: "saved" or "copied".

    Raises:
      ValueError: if it makes a different VAE: another distortion, networks with other weights, or a
        subclass that encodes or decodes differently; or if the two networks share weights, which a
        VAE from a configuration would have twice.
    """
    _check_distortion(vae, purpose)
    _check_shared(vae, purpose)
    doubtful = {role: network for role, network in (("encoder", vae.encoder),
                                                    ("decoder", vae.decoder))
                if not graph.can_be_made_again(network)}
    special = type(vae).__name__ != "VAE" or type(vae).__module__ != "tfisovae.vae.vae"
    if not doubtful and not special:
        return configure()
    try:
        config = configure()
        other = made(type(vae), config, custom_objects(vae))
        if [w.shape for w in other.weights] != [w.shape for w in vae.weights]:
            raise ValueError("other weights")
    except Exception as error:  # the user's classes may raise anything
        names = " or ".join(f"{role} ({type(part).__name__})" for role, part in doubtful.items())
        raise ValueError(
            f"The {names or type(vae).__name__} cannot be {purpose}, since it cannot be made from "
            f"its configuration. {_ADVICE}") from error
    if special and vae.n is not None:
        _give_weights(other, vae)
        x, z = examples(vae.example_shape, vae.distortion), _random((2, vae.n), -1, 1)
        for name, function, at in (("encode", "encode", x), ("decode", "decode", z)):
            one, two = (tf.nest.flatten(getattr(which, function)(at)) for which in (vae, other))
            if not all(map(_equal, one, two)):
                raise ValueError(
                    f"{type(vae).__name__} cannot be {purpose}: {name} of a VAE from its "
                    "configuration gives other numbers. Define get_config, which returns the "
                    "arguments of __init__.")
    return config


def made(cls: type, config: dict[str, Any], custom: dict[str, type]) -> Any:
    """The VAE of a configuration, which passes through JSON as on a disk."""
    return cls.from_config(json.loads(json.dumps(config)), custom)


def examples(shape: Sequence[int | None], distortion: Distortion) -> tf.Tensor:
    """Two random examples in the domain of a distortion."""
    low, high = distortion.domain or (-1.0, 1.0)
    low = max(low, -1.0)
    x = _random((2, *(size or _OPEN for size in shape)), low, min(high, low + 2))
    return tf.constant(distortion.into_domain(x.numpy()))


def _random(shape, low, high):
    return tf.constant(np.random.default_rng(0).uniform(low, high, shape), tf.float32)


def _equal(a, b):
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-7, equal_nan=True)


def _check_distortion(vae, purpose):
    """Raises ValueError if the configuration of the distortion makes another one."""
    distortion, kind = vae.distortion, type(vae.distortion)
    try:
        config = tf.keras.utils.serialize_keras_object(distortion)
        other = tf.keras.utils.deserialize_keras_object(
            json.loads(json.dumps(config)), custom_objects={kind.__name__: kind})
        cause = None if type(other) is kind else TypeError(f"it makes a {type(other).__name__}")
    except Exception as error:  # the user's class may raise anything
        cause = error
    if cause is None and vae.example_shape is not None:
        x = examples(vae.example_shape, distortion)
        try:
            expected = distortion(x, x[::-1])
        except Exception:  # not every distortion takes random examples
            return
        if not _equal(expected, other(x, x[::-1])):
            cause = ValueError("it gives other values")
    if cause is not None:
        raise ValueError(
            f"The distortion {kind.__name__} cannot be {purpose}, since it cannot be made from its "
            "configuration. Define get_config, which returns the arguments of __init__."
        ) from cause


def _check_shared(vae, purpose):
    """Raises ValueError if the encoder and the decoder have a variable in common."""
    known = set(map(id, _keras.variables(vae.encoder.weights)))
    shared = [weight.name for weight in _keras.variables(vae.decoder.weights)
              if id(weight) in known]
    if shared:
        raise ValueError(
            f"The VAE cannot be {purpose}: its encoder and decoder share the weights "
            f"{', '.join(shared[:3])}{', ...' * (len(shared) > 3)}, which would then be two. Keep "
            "the code that makes the two networks, and save their weights: "
            "vae.save_weights(\"NAME.h5\").")


def reduced(vae: Any) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The form of a VAE for `pickle` and `copy.deepcopy`: a function and its arguments."""
    config = checked(vae, vae.get_config, "copied")
    weights = [network.get_weights() for network in (vae.encoder, vae.decoder)]
    return remade, (type(vae), config, custom_objects(vae), weights, _compiled(vae), vae.pruning,
                    vae._left)


def remade(cls: type, config: dict[str, Any], custom: dict[str, type],
           weights: Sequence[list[np.ndarray]], compiled: dict[str, Any] | None, pruning: Any,
           left: tuple[float, float] | None) -> Any:
    """The VAE from the parts of `reduced`."""
    vae = made(cls, config, custom)
    for network, values in zip((vae.encoder, vae.decoder), weights):
        if values:
            network.set_weights(values)
    if compiled is not None:
        vae.compile(tf.keras.optimizers.deserialize(compiled["optimizer"]),
                    [kind.from_config(said) for kind, said in compiled["metrics"]],
                    **compiled["options"])
        if compiled["values"] and vae.trainable_variables:
            _keras.build(vae.optimizer, vae.trainable_variables)
            for variable, value in zip(_keras.variables(vae.optimizer.variables),
                                       compiled["values"], strict=True):
                variable.assign(value)
    vae.pruning, vae._left = pruning, left
    return vae


def _compiled(vae):
    """The compile options of a VAE and the state of its optimizer; None if it is not compiled."""
    optimizer = getattr(vae, "optimizer", None)
    if optimizer is None:
        return None
    if vae.trainable_variables:
        _keras.build(optimizer, vae.trainable_variables)
    return {
        "optimizer": tf.keras.optimizers.serialize(optimizer),
        "values": [variable.numpy() for variable in _keras.variables(optimizer.variables)],
        "metrics": [(type(metric), metric.get_config()) for metric in vae._measures],
        "options": {"num_parts": vae._asked_parts, "jit_compile": vae._compiled is not None or None}
    }


def _give_weights(other, vae):
    for name in ("encoder", "decoder"):
        getattr(other, name).set_weights(getattr(vae, name).get_weights())
