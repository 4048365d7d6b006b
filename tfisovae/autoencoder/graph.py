"""Keras networks as graphs: their layers at any depth, the heads of an encoder, the first layers of
a decoder.
"""
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfisovae.autoencoder.outputs import Outputs

_layers = tf.keras.layers

NARROW = ("float16", "bfloat16")  # the types of 16 bits
# At inference they change nothing.
_PASSIVE = (_layers.InputLayer, _layers.Dropout, _layers.Concatenate)
# A layer with these attributes is random in training unless all are 0.
_RATES = ("rate", "stddev", "dropout", "recurrent_dropout")
# Layers of Keras that look at more than one example of a batch, or hide what they do. All other
# layers of Keras, of tensorflow-compression and of this package treat each example on its own.
_TOGETHER = (_layers.BatchNormalization, _layers.experimental.SyncBatchNormalization,
             _layers.Lambda, _layers.SpectralNormalization)
_HIDDEN = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "AddLoss", "AddMetric")
_KNOWN = ("keras", "tensorflow_compression", "tfisovae")


def layers(network: object) -> list[tf.keras.layers.Layer]:
    """The Keras layers in a network, at any depth, and last the network itself."""
    if not isinstance(network, tf.Module):
        return []
    return [part for part in (*network.submodules, network) if isinstance(part, _layers.Layer)]


def custom_objects(*networks: tf.keras.layers.Layer) -> dict[str, type]:
    """The classes of all layers in the networks, by name, as Keras takes `custom_objects`."""
    return {type(layer).__name__: type(layer) for network in networks for layer in layers(network)}


def random_layers(network: object) -> list[tf.keras.layers.Layer]:
    """Layers of Keras that are random in training: dropout, noise, augmentation."""
    def is_random(layer):
        known = isinstance(layer, tf.keras.__internal__.layers.BaseRandomLayer) and from_package(
            layer, "keras")
        rates = [getattr(layer, name) for name in _RATES if hasattr(layer, name)]
        return known and (any(rates) or not rates)

    return [layer for layer in layers(network) if is_random(layer)]


def narrow_layers(network: object,
                  kinds: Sequence[str] = NARROW) -> list[tf.keras.layers.Layer]:
    """Layers that compute in 16 bits in training. A graph computes nothing itself: it is none."""
    return [layer for layer in layers(network)
            if layer.compute_dtype in kinds and not (layer is network and is_graph(layer))]


def layers_with_losses(network: object) -> list[tf.keras.layers.Layer]:
    """Layers that add a loss of what passes through them."""
    return [layer for layer in layers(network)
            if type(layer).__name__ == "AddLoss" or layer.activity_regularizer is not None]


def from_package(layer: tf.keras.layers.Layer, *packages: str) -> bool:
    """Whether one of the packages defines the layer's class."""
    return type(layer).__module__.split(".")[0] in packages


def treats_examples_apart(network: tf.keras.layers.Layer) -> bool:
    """Whether each output in training mode is known to depend on its own example alone, and no loss
    or state on the batch.
    """
    return all(
        from_package(layer, *_KNOWN) and type(layer).__name__ not in _HIDDEN
        and not isinstance(layer, _TOGETHER) and not getattr(layer, "stateful", False)
        for layer in layers(network))


def can_be_made_again(network: tf.keras.layers.Layer) -> bool:
    """Whether Keras' own configuration is known to be enough to make the network again."""
    return all(
        from_package(layer, "keras", "tfisovae") and not isinstance(layer, _layers.Lambda)
        for layer in layers(network))


def is_graph(network: object) -> bool:
    """Whether `network` is a built functional or Sequential Keras model."""
    return isinstance(network, tf.keras.Model) and network._is_graph_network


def nodes(network: tf.keras.Model, layer: tf.keras.layers.Layer | None = None) -> list[Any]:
    """The calls of layers in a graph, from the input on; or those of one layer."""
    depths = sorted(network._nodes_by_depth.items(), reverse=True)
    return [node for _, some in depths for node in some if layer is None or node.layer is layer]


def takers(network: tf.keras.Model, tensor: tf.Tensor) -> list[Any]:
    """The calls of layers in a graph that take a tensor of it."""
    return [node for node in nodes(network)
            if any(source is tensor for source in node.keras_inputs)
            and not isinstance(node.layer, _layers.InputLayer)]


def after(network: tf.keras.Model,
          some: Iterable[tf.keras.layers.Layer]) -> set[tf.keras.layers.Layer]:
    """The layers of a graph that depend on what some layers of it return."""
    some, found = set(some), set()
    for node in nodes(network):
        if any(source._keras_history.layer in some | found for source in node.keras_inputs):
            found.add(node.layer)
    return found


def posterior_tensors(encoder: tf.keras.Model,
                      asked: str | int | Sequence[str | int] | None = None) -> list[tf.Tensor]:
    """The posterior's mean and spread in an encoder that is a graph, or the one tensor of both: the
    choice that measuring makes (`Outputs.parameters`).
    """
    return Outputs.of(encoder.output, encoder.output_names).parameters(asked)


def head_tensors(encoder: tf.keras.Model) -> list[tf.Tensor]:
    """As `posterior_tensors`, but mean and spread are also found where a layer joins them."""
    found = posterior_tensors(encoder)
    history = found[0]._keras_history
    if len(found) == 1 and type(history.layer) is _layers.Concatenate:
        halves = tf.nest.flatten(history.layer.get_input_at(history.node_index))
        # [B, k] has no other axis to join.
        if len(halves) == 2 and halves[0].shape.as_list() == halves[1].shape.as_list():
            return halves
    return found


def heads(encoder: object) -> list[tf.keras.layers.Layer]:
    """The layers that return the posterior's mean and its spread, or the one that returns both;
    empty where the encoder is no graph.
    """
    return [tensor._keras_history.layer for tensor in head_tensors(encoder)
            ] if is_graph(encoder) else []


def sources(tensor: tf.Tensor) -> Iterator[tf.keras.layers.Layer]:
    """The layers that a tensor comes from, seen through layers that change nothing at inference and
    into models within the model.
    """
    layer, node_index, tensor_index = tensor._keras_history
    if _changes_nothing(layer) and not isinstance(layer, _layers.InputLayer):
        for part in tf.nest.flatten(layer.get_input_at(node_index)):
            yield from sources(part)
    elif is_graph(layer):
        yield from sources(layer.outputs[tensor_index])
    else:
        yield layer


def first_layers(network: tf.keras.Model,
                 tensor: tf.Tensor | None = None) -> Iterator[tf.keras.layers.Layer]:
    """The layers of a graph that take a tensor, by default its one input, seen as in `sources`.

    Dropout is one of them, as it changes something in training.
    """
    for node in takers(network, network.inputs[0] if tensor is None else tensor):
        layer = node.layer
        if isinstance(layer, _layers.Dropout) and layer.rate:
            yield layer
        elif _changes_nothing(layer):
            yield from first_layers(network, tf.nest.flatten(node.outputs)[0])
        elif is_graph(layer) and len(layer.inputs) == 1:
            yield from first_layers(layer)
        else:
            yield layer


def _changes_nothing(layer):
    return isinstance(layer, _PASSIVE) or (isinstance(layer, _layers.Activation)
                                           and layer.activation is tf.keras.activations.linear)
