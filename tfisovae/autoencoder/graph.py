"""Walks through Keras networks: layers, heads, first layers."""
import tensorflow as tf

from tfisovae.autoencoder.outputs import Outputs, PartError

# At inference they change nothing.
_PASSIVE = (tf.keras.layers.InputLayer, tf.keras.layers.Dropout, tf.keras.layers.Concatenate)
# Of layers that are random in training unless all are 0.
_RATES = ("rate", "stddev", "dropout", "recurrent_dropout")
_NARROW = ("bfloat16", "float16")
_FREE, _UNKNOWN = (True, ""), (None, "the networks are not Keras models of known layers")


def random_layers(network: object) -> list[tf.keras.layers.Layer]:
    """Keras' layers in a network, at whatever depth, that are random in training: dropout, noise,
    augmentation.
    """
    def is_random(layer):
        known = isinstance(layer, tf.keras.__internal__.layers.BaseRandomLayer) and type(
            layer).__module__.startswith("keras.")
        rates = [getattr(layer, name) for name in _RATES if hasattr(layer, name)]
        return known and (any(rates) or not rates)

    return [layer for layer in getattr(network, "submodules", ()) if is_random(layer)]


def narrow_layers(network: object) -> list[tf.keras.layers.Layer]:
    """Keras' layers in a network, at whatever depth, that compute in 16 bits in training (in
    float32 where they are measured).
    """
    return [
        layer for layer in getattr(network, "submodules", ())
        if getattr(layer, "compute_dtype", None) in _NARROW
    ]


def _layers_with_losses(network):
    return [
        layer for layer in getattr(network, "submodules", ()) if type(layer).__name__ == "AddLoss"
        or getattr(layer, "activity_regularizer", None) is not None
    ]


def _is_graph(model):
    """Whether `model` is a built functional or Sequential Keras model."""
    return isinstance(model, tf.keras.Model) and getattr(model, "_is_graph_network", False)


def _affine(layer, where):
    """Whether `layer` is a Dense layer with weights that are free to move: (`True`, `False` or
    `None`, why).
    """
    if isinstance(layer, tf.keras.layers.Dense):
        if not layer.use_bias:
            return False, f"{where} ({layer.name}) has no bias"
        if not layer.trainable:
            return False, f"{where} ({layer.name}) is not trained"
        if any((layer.kernel_constraint, layer.bias_constraint, layer.kernel_regularizer,
                layer.bias_regularizer, layer.activity_regularizer)):
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
        return [
            (None, "which outputs of the encoder are the mean and the log-variance is not known")
        ] * 2
    # No shift and scale of one dimension alone.
    if len(outputs) == 2 and outputs[0].shape[-1] != outputs[1].shape[-1]:
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
        return _worst(
            _source(part)
            for part in inputs) if not isinstance(layer, tf.keras.layers.InputLayer) else _UNKNOWN
    if _is_graph(layer):
        return _source(layer.outputs[output])
    return _affine(layer, "a head of the encoder")


def _is_linear_activation(layer):
    return isinstance(
        layer, tf.keras.layers.Activation) and layer.activation is tf.keras.activations.linear


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
            if any(source is tensor for source in node.keras_inputs) and not isinstance(
                    node.layer, tf.keras.layers.InputLayer):
                if isinstance(node.layer, tf.keras.layers.Dropout) and node.layer.rate:
                    yield False, f"{node.layer.name} drops parts of z in training, which no affine layer absorbs"
                elif isinstance(node.layer, _PASSIVE) or _is_linear_activation(node.layer):
                    yield from _takers(model, tf.nest.flatten(node.outputs)[0])
                elif _is_graph(node.layer):
                    yield _first_layer(node.layer)
                else:
                    yield _affine(node.layer, "the first layer of the decoder")
