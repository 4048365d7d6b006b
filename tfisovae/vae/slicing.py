"""Encoders and decoders with fewer latent variables, made from a VAE's Keras networks.

If the heads of the encoder and the first layer of the decoder are dense, their columns and rows are
removed, and the networks get smaller. For the kept variables they return the same, number for
number. Other networks stay unchanged, with a layer that removes or inserts the other variables.
"""
import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import networks
from tfisovae.autoencoder import graph
from tfisovae.autoencoder.keras_networks import called, outputs_of

layers = tf.keras.layers
DENSE = (layers.Dense, networks.Dense)  # exactly these, since a subclass may do anything
_APART = ("linear", "relu", "tanh", "sigmoid", "softplus", "elu", "selu", "exponential", "softsign",
          "swish", "gelu", "hard_sigmoid")
_AGREEMENT = 1e-4  # relative to the largest output: float32 sums in another order


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class Columns(layers.Layer):
    """Some columns of `[B, k]`.

    Args:
      columns: their numbers.
    """

    def __init__(self, columns: Sequence[int], **kwargs: Any) -> None:
        # Whatever the policy: it only moves numbers, and must not round them.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.columns = tuple(map(int, columns))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.gather(inputs, tf.constant(self.columns, tf.int32), axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "columns": list(self.columns)}


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class Restored(layers.Layer):
    """All n latent variables, from the kept ones; the others are fixed.

    Args:
      kept: indices of the kept ones, ascending.
      values: fixed values of the others, `[n]`.
    """

    def __init__(self, kept: Sequence[int], values: Sequence[float], **kwargs: Any) -> None:
        # Whatever the policy: it only moves numbers, and must not round them.
        super().__init__(**{"dtype": "float32", **kwargs})
        self.kept, self.values = tuple(map(int, kept)), tuple(map(float, values))

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        size = len(self.values)
        still = tf.broadcast_to(tf.constant(self.values, inputs.dtype), [tf.shape(inputs)[0], size])
        places = np.arange(size) + len(self.kept)
        places[list(self.kept)] = np.arange(len(self.kept))
        return tf.gather(tf.concat([inputs, still], 1), tf.constant(places, tf.int32), axis=1)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "kept": list(self.kept), "values": list(self.values)}


def encoder_of(encoder: tf.keras.Model, kept: np.ndarray, n: int,
               example_shape: Sequence[int | None]) -> tuple[tf.keras.Model, bool]:
    """An encoder for some latent variables: `(network, whether it was sliced)`.

    Args:
      encoder: built Keras model, as `VAE` takes it.
      kept: numbers of the variables, ascending.
      n: how many there are.
      example_shape: of one x.

    Returns:
      A network with its own weights, if the encoder's configuration allows it. Otherwise it shares
      the weights of `encoder`.
    """
    def selected(network, x):
        outputs = outputs_of(network, network(x)).parameters()
        if len(outputs) == 1:
            return Columns([*kept, *(n + kept)], name="kept")(outputs[0])
        names = ("kept_mean", "kept_spread")
        return [
            Columns(kept, name=name)(value) if value.shape[-1] == n else value
            for name, value in zip(names, outputs)
        ]

    sliced = _attempt(_sliced_encoder, encoder, kept, n)
    if sliced is not None and _agree(lambda x: _parameters(sliced, x),
                                     lambda x: _selected_columns(_parameters(encoder, x), kept, n),
                                     example_shape):
        return sliced, True
    x = tf.keras.Input(tuple(example_shape))
    own = _anew(encoder, x, _parameters, example_shape)
    return tf.keras.Model(x, selected(own, x), name=encoder.name), False


def decoder_of(decoder: tf.keras.Model, kept: np.ndarray,
               values: np.ndarray) -> tuple[tf.keras.Model, bool]:
    """A decoder for some latent variables, with the others fixed: `(network, whether it was
    sliced)`.

    Args:
      decoder: built Keras model, as `VAE` takes it.
      kept: numbers of the variables, ascending.
      values: fixed values of the others, `[n]` (entries of kept ones are not used).

    Returns:
      As for `encoder_of`.
    """
    values = np.where(np.isin(np.arange(len(values)), kept), 0.0, values)
    sliced = _attempt(_sliced_decoder, decoder, kept, values)
    restore = Restored(kept, values)
    if sliced is not None and _agree(lambda z: _decoded(sliced, z),
                                     lambda z: _decoded(decoder, restore(z)), [len(kept)]):
        return sliced, True
    z = tf.keras.Input((len(kept),))
    own = _anew(decoder, restore(z), _decoded, [len(values)])
    return tf.keras.Model(z, own(restore(z)), name=decoder.name), False


def _attempt(make: Callable[..., tf.keras.Model | None], network: tf.keras.Model, *args:
             Any) -> tf.keras.Model | None:
    """The result of `make` for a graph of layers; None for other networks, or if a layer cannot be
    copied.
    """
    if not graph.is_graph(network):
        return None
    with contextlib.suppress(ValueError, TypeError, NotImplementedError):
        return make(network, *args)
    return None


def _anew(network, inputs, call, shape):
    """A copy of the network with its own weights, if possible; otherwise the network itself.

    Args:
      network: Keras model.
      inputs: a symbolic tensor for the network.
      call: function of a network and a tensor; its results are compared.
      shape: of one input example.
    """
    def copied(network):
        return _cloned(network, {}, {})

    made = _attempt(copied, network)
    if made is None and not graph.is_graph(network):
        with contextlib.suppress(Exception):  # the user's classes may raise anything
            other = type(network).from_config(network.get_config())
            other(inputs)
            other.set_weights(network.get_weights())
            made = other if _agree(lambda x: call(other, x), lambda x: call(network, x),
                                   shape) else None
    return network if made is None else made


def _cloned(network, configs, weights, inputs=None):
    """A copy of the network on other `inputs`, with some layers' configuration and weights
    replaced.
    """
    made = {}

    def anew(layer):
        config = {**layer.get_config(), **configs.get(layer, {})}
        if layer in configs:
            config.pop("batch_input_shape", None)
        made[layer] = type(layer).from_config(config)
        return made[layer]

    clone = tf.keras.models.clone_model(network, inputs, anew)
    for before, after in made.items():
        after.set_weights(weights.get(before, before.get_weights()))
    return clone


def first_of(decoder: tf.keras.Model) -> tf.keras.layers.Layer | None:
    """The dense layer that is the only one on the latent variables; None for other networks."""
    if not graph.is_graph(decoder):
        return None
    takers = [node.layer for node in graph.takers(decoder, decoder.inputs[0])]
    return takers[0] if len(takers) == 1 and type(takers[0]) in DENSE else None


def _sliced_encoder(encoder, kept, n):
    found = graph.heads(encoder)
    columns = kept if len(found) == 2 else np.concatenate([kept, n + kept])
    heads = {
        head
        for head, tensor in zip(found, graph.head_tensors(encoder))
        if len(found) == 1 or tensor.shape[-1] == n
    }
    if not all(
            type(head) in DENSE and tf.keras.activations.serialize(head.activation) in _APART
            for head in heads):
        return None
    return _cloned(encoder, {head: {"units": len(columns)}
                             for head in heads},
                   {head: [weight[..., columns] for weight in head.get_weights()]
                    for head in heads})


def _sliced_decoder(decoder, kept, values):
    first = first_of(decoder)
    if first is None:
        return None
    kernel, *bias = first.get_weights()
    # The removed variables.
    shift = (values @ kernel.astype(np.float64)).astype(kernel.dtype)
    weights = [kernel[kept]]
    if bias or shift.any():
        weights.append(shift + (bias[0] if bias else 0))
    z = tf.keras.Input((len(kept),), dtype=decoder.inputs[0].dtype)
    return _cloned(decoder, {first: {"use_bias": len(weights) > 1}}, {first: weights}, z)


def _parameters(encoder, x):
    return called(encoder, x).parameters()


def _decoded(decoder, z):
    return called(decoder, z).reconstruction(None)


def _selected_columns(outputs, kept, n):
    columns = kept if len(outputs) == 2 else np.concatenate([kept, n + kept])
    return [
        value if value.shape[-1] < n else tf.gather(value, columns, axis=-1) for value in outputs
    ]


def _agree(one, other, shape):
    """Whether two functions return the same for two examples of a shape, to rounding; True if the
    shape is open.
    """
    if None in shape:
        return True
    x = tf.constant(np.random.default_rng(0).uniform(size=[2, *shape]), tf.float32)
    pairs = zip(tf.nest.flatten(one(x)), tf.nest.flatten(other(x)))
    return all(a.shape == b.shape and np.abs(a - b).max() <= _AGREEMENT * (np.abs(b).max() + 1e-6)
               for a, b in ((np.asarray(a), np.asarray(b)) for a, b in pairs))
