"""Keras networks as graphs: their layers at any depth, the heads of an encoder, the first layers of
a decoder.
"""
from collections.abc import Iterable, Iterator, Sequence

import tensorflow as tf

from tfisovae import _keras
from tfisovae._keras import is_graph, layers
from tfisovae.autoencoder.outputs import Outputs

_layers = tf.keras.layers

NARROW = ("float16", "bfloat16")  # the types of 16 bits
# They have no effect in inference.
_PASSIVE = (_layers.InputLayer, _layers.Dropout, _layers.Concatenate)
# A layer with these attributes is random in training unless all are 0.
_RATES = ("rate", "stddev", "dropout", "recurrent_dropout")
# More layers like `_keras.TOGETHER`. All other layers of Keras, tensorflow-compression and this
# package treat each example separately.
_HIDDEN = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "AddLoss", "AddMetric")
_KNOWN = ("keras", "tensorflow_compression", "tfisovae")


def custom_objects(*networks: tf.keras.layers.Layer) -> dict[str, type]:
    """The classes of all layers in the networks, by name, for Keras' `custom_objects`.

    Keras' own are left out: it cannot make recurrent layers from classes that come from outside.
    """
    return {type(layer).__name__: type(layer) for network in networks for layer in layers(network)
            if not from_package(layer, "keras")}


def random_layers(network: object) -> list[tf.keras.layers.Layer]:
    """Layers of Keras that are random in training: dropout, noise, augmentation."""
    def is_random(layer):
        known = from_package(layer, "keras") and _keras.is_random(layer)
        rates = [getattr(layer, name) for name in _RATES if hasattr(layer, name)]
        return known and (any(rates) or not rates)

    return [layer for layer in layers(network) if is_random(layer)]


def narrow_layers(network: object,
                  kinds: Sequence[str] = NARROW) -> list[tf.keras.layers.Layer]:
    """Layers that compute in 16 bits in training. A graph itself computes nothing, and does not
    count.
    """
    return [layer for layer in layers(network)
            if layer.compute_dtype in kinds and not (layer is network and is_graph(layer))]


def layers_with_losses(network: object) -> list[tf.keras.layers.Layer]:
    """Layers that add a loss from their inputs."""
    return [layer for layer in layers(network)
            if type(layer).__name__ == "AddLoss" or layer.activity_regularizer is not None]


def from_package(layer: tf.keras.layers.Layer, *packages: str) -> bool:
    """Whether one of the packages defines the layer's class."""
    return type(layer).__module__.split(".")[0] in packages


def treats_examples_apart(network: tf.keras.layers.Layer) -> bool:
    """Whether each output in training mode depends only on its own example, and no loss or state on
    the batch, as far as known.
    """
    return all(
        from_package(layer, *_KNOWN) and type(layer).__name__ not in _HIDDEN
        and not isinstance(layer, _keras.TOGETHER) and not getattr(layer, "stateful", False)
        for layer in layers(network)) and not _keras.operations(network)


def can_be_made_again(network: tf.keras.layers.Layer) -> bool:
    """Whether Keras' own configuration is enough to make the network again, as far as known."""
    return all(
        from_package(layer, "keras", "tfisovae") and not isinstance(layer, _layers.Lambda)
        for layer in layers(network))


def takers(network: tf.keras.Model, tensor: tf.Tensor) -> list[_keras.Node]:
    """The calls of layers in a graph with a tensor of it as input."""
    return [node for node in _keras.nodes(network)
            if any(source is tensor for source in node.inputs)
            and not isinstance(node.layer, _layers.InputLayer)]


def after(network: tf.keras.Model,
          some: Iterable[tf.keras.layers.Layer]) -> set[tf.keras.layers.Layer]:
    """The layers of a graph that depend on outputs of some of its layers."""
    some, found = set(some), set()
    for node in _keras.nodes(network):
        if any(_keras.origin(source)[0].layer in some | found for source in node.inputs):
            found.add(node.layer)
    return found


def posterior_tensors(encoder: tf.keras.Model,
                      asked: str | int | Sequence[str | int] | None = None) -> list[tf.Tensor]:
    """The posterior's mean and second output in an encoder graph, or the one tensor of both, chosen
    as in measurements (`Outputs.parameters`).
    """
    return Outputs.of(_keras.outputs(encoder),
                      _keras.output_names(encoder)).parameters(asked)


def head_tensors(encoder: tf.keras.Model) -> list[tf.Tensor]:
    """As `posterior_tensors`, but it also finds mean and second output if a layer joins them."""
    found = posterior_tensors(encoder)
    node = _keras.origin(found[0])[0]
    # [B, k] has no other axis to join.
    if len(found) == 1 and type(node.layer) is _layers.Concatenate and len(
            node.inputs) == 2 and list(node.inputs[0].shape) == list(node.inputs[1].shape):
        return node.inputs
    return found


def heads(encoder: object) -> list[tf.keras.layers.Layer]:
    """The layers that return the posterior's mean and second output, or the one that returns both;
    empty if the encoder is not a graph.
    """
    return [_keras.origin(tensor)[0].layer
            for tensor in head_tensors(encoder)] if is_graph(encoder) else []


def sources(tensor: tf.Tensor) -> Iterator[tf.keras.layers.Layer]:
    """The layers that a tensor comes from, through layers without an effect in inference and into
    nested models.
    """
    node, place = _keras.origin(tensor)
    layer = node.layer
    if _changes_nothing(layer) and not isinstance(layer, _layers.InputLayer):
        for part in node.inputs:
            yield from sources(part)
    elif is_graph(layer):
        yield from sources(layer.outputs[place])
    else:
        yield layer


def first_layers(network: tf.keras.Model,
                 tensor: tf.Tensor | None = None) -> Iterator[tf.keras.layers.Layer]:
    """The layers of a graph with a tensor as input (by default the graph's one input), as in
    `sources`.

    Dropout counts, since it has an effect in training.
    """
    for node in takers(network, network.inputs[0] if tensor is None else tensor):
        layer = node.layer
        if isinstance(layer, _layers.Dropout) and layer.rate:
            yield layer
        elif _changes_nothing(layer):
            yield from first_layers(network, node.outputs[0])
        elif is_graph(layer) and len(layer.inputs) == 1:
            yield from first_layers(layer)
        else:
            yield layer


def _changes_nothing(layer):
    return isinstance(layer, _PASSIVE) or (isinstance(layer, _layers.Activation)
                                           and layer.activation is tf.keras.activations.linear)
