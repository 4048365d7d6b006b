"""Keras networks as functions of tensors: any models, with any outputs, in training or in inference
mode.

In inference mode they compute in float32, whatever the training used: 16 bits have 3 digits, and
differences of such outputs are noise.
"""
import contextlib
import functools
import inspect
from collections.abc import Callable

import tensorflow as tf

from tfisovae import _keras
from tfisovae.autoencoder import graph
from tfisovae.autoencoder.outputs import Outputs, Part, PartError, check_one_input


def keras_part(network: tf.keras.layers.Layer, role: str) -> Part:
    """The `Part` of a Keras network."""
    return Part(functools.partial(called, network), input_shape(network, role), network)


def called(network: tf.keras.layers.Layer, x: tf.Tensor, training: bool = False) -> Outputs:
    """The output of a Keras network for a tensor, in training or in inference mode."""
    _build(network, x.shape)
    with contextlib.nullcontext() if training else _computing_in_float32(network):
        result = _in_mode(network, [x], training)
    return outputs_of(network, result)


def called_with_condition(network: tf.keras.layers.Layer, role: str) -> Callable[..., Outputs]:
    """A Keras network with two inputs as a function of x or z, c, and the mode.

    The inputs go in as a list, unless `call` has a parameter for each.
    """
    if graph.is_graph(network):
        if len(network.inputs) != 2:
            raise ValueError(
                f"With conditional=True, the {role} must take two inputs, "
                f"{'x' if role == 'encoder' else 'z'} and c; it takes {len(network.inputs)}: "
                f"{', '.join(x.name for x in network.inputs)}. Join several conditions to one.")
        spread = False
    else:
        names = list(inspect.signature(network.call).parameters)
        spread = len([name for name in names if name not in ("training", "mask")]) > 1

    return functools.partial(_called_with_condition, network, spread)


def _called_with_condition(network, spread, first, c, training=False):
    given = [first, c] if spread else [[first, c]]
    if not network.built:
        zeros = tf.nest.map_structure(lambda x: tf.zeros([1, *x.shape[1:]], x.dtype), given)
        with tf.init_scope():
            _in_mode(network, zeros, False)
    with contextlib.nullcontext() if training else _computing_in_float32(network):
        return outputs_of(network, _in_mode(network, given, training))


def outputs_of(network: tf.keras.layers.Layer, result: object) -> Outputs:
    """A Keras network's result as `Outputs`, with the network's names."""
    return Outputs.of(result, _keras.output_names(network))


def built_by_zeros(network: tf.keras.layers.Layer, shape: tuple[int, ...]) -> Outputs:
    """The output of a network for an example of zeros. It makes variables under the network's own
    mixed-precision policy.
    """
    return outputs_of(network, _in_mode(network, [tf.zeros([1, *shape])], False))


def input_shape(network: tf.keras.layers.Layer,
                role: str) -> tuple[int | None, ...] | None:
    """The shape of one input example of a network; open entries are None. None if unknown."""
    if graph.is_graph(network):
        check_one_input(role, [x.name for x in network.inputs])
        return tuple(network.inputs[0].shape[1:])
    built = _keras.built_shape(network)
    return None if built is None else built[1:]


class _InMode(tf.keras.layers.Layer):
    """Calls a network without a `training` argument. Its layers find the mode in Keras' context."""

    def __init__(self, network):
        super().__init__(dtype="float32", autocast=False)
        self.network = network

    def call(self, inputs, training=None):
        return self.network(*inputs)


def _in_mode(network, inputs, training):
    """The network's result for a list of arguments."""
    if _keras.takes_training(network):
        return network(*inputs, training=training)
    return _InMode(network)(inputs, training=training)


def _build(network, shape):
    """Makes variables outside of the calling graph, under the network's own policy."""
    known = shape.rank is not None and None not in shape.as_list()[1:]
    if known and not (network.built
                      and all(layer.built for layer in graph.narrow_layers(network))):
        with tf.init_scope():
            built_by_zeros(network, shape[1:])


def computing_in_float32(owner: object) -> Callable[[], contextlib.AbstractContextManager]:
    """A function that makes a context in which the Keras network `owner` computes in float32; for
    other objects the context does nothing.
    """
    if isinstance(owner, tf.keras.layers.Layer):
        return functools.partial(_computing_in_float32, owner)
    return contextlib.nullcontext


@contextlib.contextmanager
def _computing_in_float32(network):
    """In the block, layers with a mixed-precision policy compute in float32, with their existing
    variables.
    """
    layers = [layer for layer in graph.layers(network) if layer.compute_dtype in graph.NARROW]
    for layer in layers:
        if layer.variable_dtype in graph.NARROW and layer.weights:
            kind = layer.variable_dtype
            raise PartError(
                f"The layer {layer.name} has its weights in {kind}, with 3 digits, so measurements "
                f"would only show rounding errors. Train with the policy mixed_{kind}, which keeps "
                "float32 weights, or copy the weights into layers of float32.")
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            _keras.set_policy(layer, "float32")
        yield
    finally:
        for layer, policy in zip(layers, policies):
            _keras.set_policy(layer, policy)
