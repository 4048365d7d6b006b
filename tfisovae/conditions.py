"""Whether the stationarities of a VAE hold for given Keras networks: their first and last layers with weights.

E[mu_j] = 0 and E[mu_j^2 + sigma_j^2] = 1 say that no shift and no scaling of z_j lowers the KL: they hold where encoder and decoder
can make one without changing x_hat. The encoder needs heads that are free affine maps, the decoder a first layer that is affine in
z with a bias of its own for each unit: z -> (z - c) / a is then absorbed by its weights. The posterior balance is the derivative
by the log-variance head's bias alone, and needs that bias.
"""
import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfisovae.outputs import Outputs, PartError
from tfisovae.verdict import Conditions

_PASSIVE = (tf.keras.layers.InputLayer, tf.keras.layers.Dropout, tf.keras.layers.Concatenate)  # at inference they change nothing
_RATES = ("rate", "stddev", "dropout", "recurrent_dropout")  # of layers that are random in training unless all are 0
_NARROW = ("bfloat16", "float16")
_FREE, _UNKNOWN = (True, ""), (None, "the networks are not Keras models of known layers")


def conditions_of(encoder: object, decoder: object, outputs: str | int | Sequence[str | int] | None = None) -> Conditions:
    """Which stationarities hold at the optimum of these networks.

    Args:
      encoder, decoder: built functional or Sequential Keras models, the encoder with outputs of which `as_autoencoder` can tell
        the mean and the log-variance. Anything else gives `None`, "unknown".
      outputs: which these are, as `encoder_outputs` of `as_autoencoder`.
    Returns:
      `tfisovae.verdict.Conditions`.
    """
    heads, first = _heads(encoder, outputs), _first_layer(decoder)
    variance = heads[-1]
    moments = _worst([*heads, first])
    if moments[0]:
        moments = (True, "both heads of the encoder and the first layer of the decoder are affine with biases")
    if variance[0]:
        variance = (True, "the log-variance head has a bias")
    return Conditions(*moments, *variance)


def of_model(model: Any) -> Conditions:
    """`conditions_of` the networks of a `VAE`, or of an `Autoencoder` of Keras models; unknown for others."""
    encode = getattr(model, "encode", None)
    if hasattr(model, "encoder"):
        networks, outputs, reading = (model.encoder, model.decoder), None, getattr(model, "scale", None)
    else:
        networks = [getattr(half, "owner", None) for half in (encode, model.decode)]
        outputs, reading = getattr(encode, "outputs", None), getattr(encode, "reading", None)
    made = conditions_of(*networks, outputs)
    if made.balance and reading in ("variance", "scale"):  # a bias then moves small scales more than large ones
        made = dataclasses.replace(made, balance=False, balance_why="the encoder's second output is no logarithm of its scale")
    whole = hasattr(model, "training_objective")
    return _of_training(made, *networks, whole, whole and model.treats_examples_apart)


def random_layers(network: object) -> list[tf.keras.layers.Layer]:
    """Keras' layers in a network, at whatever depth, that are random in training: dropout, noise, augmentation."""
    def is_random(layer):
        known = isinstance(layer, tf.keras.__internal__.layers.BaseRandomLayer) and type(layer).__module__.startswith("keras.")
        rates = [getattr(layer, name) for name in _RATES if hasattr(layer, name)]
        return known and (any(rates) or not rates)

    return [layer for layer in getattr(network, "submodules", ()) if is_random(layer)]


def narrow_layers(network: object) -> list[tf.keras.layers.Layer]:
    """Keras' layers in a network, at whatever depth, that compute in 16 bits in training (in float32 where they are measured)."""
    return [layer for layer in getattr(network, "submodules", ()) if getattr(layer, "compute_dtype", None) in _NARROW]


def _of_training(made, encoder, decoder, whole, as_trained):
    """`made`, of networks that may be trained in another mode, or with other losses, than they are measured.

    Args:
      made: `Conditions` in inference mode, of D / beta + KL alone.
      encoder, decoder: Keras models, or anything else.
      whole: whether the gradient is that of a `training_objective`, with the networks' own losses.
      as_trained: whether that is in training mode where it makes a difference.
    """
    networks = {"encoder": encoder, "decoder": decoder}

    def said(find, what):
        """Of each network, the first of the layers that `find` finds, in words."""
        first = {name: next(iter(find(network)), None) for name, network in networks.items()}
        return {name: f"{layer.name} ({type(layer).__name__}) of the {name} {what(layer)}"
                for name, layer in first.items() if layer is not None}

    def any_of(*sentences):
        return next((sentence for some in sentences for sentence in some.values()), None)

    random = said(random_layers, lambda layer: "is random in training, and not where it is measured")
    narrow = said(narrow_layers,
                  lambda layer: f"computes in {layer.compute_dtype} in training, and in float32 where it is measured")
    losses = said(_layers_with_losses, lambda layer: "adds a loss of its own")
    regular = {name: "the networks have regularizers, whose losses are not in what is measured"
               for name, network in networks.items() if getattr(network, "losses", ())}
    changes = {}
    for name, why in (("moments", random.get("encoder") or losses.get("encoder")), ("balance", any_of(random, losses)),
                      ("gradient", not as_trained and any_of(random, narrow) or not whole and any_of(losses, regular))):
        if why:
            changes |= {name: False, f"{name}_why": why}
    return dataclasses.replace(made, **changes)


def _layers_with_losses(network):
    return [layer for layer in getattr(network, "submodules", ())
            if type(layer).__name__ == "AddLoss" or getattr(layer, "activity_regularizer", None) is not None]


def _is_graph(model):
    """Whether `model` is a built functional or Sequential Keras model."""
    return isinstance(model, tf.keras.Model) and getattr(model, "_is_graph_network", False)


def _affine(layer, where):
    """Whether `layer` is a Dense layer with weights that are free to move: (`True`, `False` or `None`, why)."""
    if isinstance(layer, tf.keras.layers.Dense):
        if not layer.use_bias:
            return False, f"{where} ({layer.name}) has no bias"
        if not layer.trainable:
            return False, f"{where} ({layer.name}) is not trained"
        if any((layer.kernel_constraint, layer.bias_constraint, layer.kernel_regularizer, layer.bias_regularizer,
                layer.activity_regularizer)):
            return False, f"{where} ({layer.name}) has a constraint or a regularizer"
        return _FREE
    if type(layer).__module__.startswith("keras."):
        return False, f"{where} ({layer.name}, {type(layer).__name__}) is not a Dense layer"
    return None, f"{where} ({layer.name}, {type(layer).__name__}) is of an unknown kind"


def _worst(parts):
    parts = list(parts)
    return min(parts, key=lambda part: {False: 0, None: 1, True: 2}[part[0]]) if parts else _UNKNOWN


def _heads(encoder, asked):
    """Of the mean and of the log-variance: (`True`, `False` or `None`, why) each."""
    if not _is_graph(encoder):
        return [(None, "the encoder is not a functional Keras model")] * 2
    try:  # the very choice that measuring makes, which goes by names first
        outputs = Outputs.of(encoder.output, encoder.output_names).parameters(asked)
    except PartError:
        return [(None, "which outputs of the encoder are the mean and the log-variance is not known")] * 2
    if len(outputs) == 2 and outputs[0].shape[-1] != outputs[1].shape[-1]:  # no shift and scale of one dimension alone
        return [_source(outputs[0]), (False, "all dimensions share one spread")]
    return [_source(output) for output in outputs] * (2 // len(outputs))


def _source(tensor):
    """Of the layers that an output comes from."""
    layer, index, output = tensor._keras_history.layer, tensor._keras_history.node_index, tensor._keras_history.tensor_index
    if isinstance(layer, tf.keras.layers.Dense):
        if layer.activation is not tf.keras.activations.linear:
            return False, f"a head of the encoder ({layer.name}) has an activation"
        return _affine(layer, "a head of the encoder")
    if isinstance(layer, _PASSIVE) or _is_linear_activation(layer):
        inputs = tf.nest.flatten(layer.get_input_at(index))
        return _worst(_source(part) for part in inputs) if not isinstance(layer, tf.keras.layers.InputLayer) else _UNKNOWN
    if _is_graph(layer):
        return _source(layer.outputs[output])
    return _affine(layer, "a head of the encoder")


def _is_linear_activation(layer):
    return isinstance(layer, tf.keras.layers.Activation) and layer.activation is tf.keras.activations.linear


def _first_layer(decoder):
    """Of all layers that take z."""
    if not _is_graph(decoder):
        return None, "the decoder is not a functional Keras model"
    if len(decoder.inputs) != 1:
        return None, "the decoder has more than one input"
    return _worst(_takers(decoder, decoder.inputs[0]))


def _takers(model, tensor):
    """Of each layer of `model` that takes `tensor`, seen through layers that change nothing."""
    for depth in model._nodes_by_depth.values():
        for node in depth:
            if any(source is tensor for source in node.keras_inputs) and not isinstance(node.layer, tf.keras.layers.InputLayer):
                if isinstance(node.layer, tf.keras.layers.Dropout) and node.layer.rate:
                    yield False, f"{node.layer.name} drops parts of z in training, which no affine layer absorbs"
                elif isinstance(node.layer, _PASSIVE) or _is_linear_activation(node.layer):
                    yield from _takers(model, tf.nest.flatten(node.outputs)[0])
                elif _is_graph(node.layer):
                    yield _first_layer(node.layer)
                else:
                    yield _affine(node.layer, "the first layer of the decoder")
