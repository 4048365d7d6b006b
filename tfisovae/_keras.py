"""All differences between Keras 2 (TensorFlow 2.14, 2.15) and Keras 3 (TensorFlow 2.16 and later),
and all uses of their private names.
"""
import importlib.metadata
import inspect
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import tensorflow as tf

# Keras 2.14 does not have it in its public module.
VERSION = getattr(tf.keras, "__version__", None) or importlib.metadata.version("keras")
KERAS_3 = int(VERSION.partition(".")[0]) >= 3

_layers = tf.keras.layers

# Layers that look at more than one example of a batch, or hide what they do.
TOGETHER = (_layers.BatchNormalization, _layers.Lambda, _layers.SpectralNormalization,
            *([] if KERAS_3 else [_layers.experimental.SyncBatchNormalization]))

# Options of an optimizer whose updates XLA does not compile: Keras 3 never does.
WITHOUT_XLA = {} if KERAS_3 else {"jit_compile": False}
# The argument of `fit` for `evaluate`, with data that are already checked.
CALLED_BY_FIT = "_use_cached_eval_dataset"


def fault(error: Exception) -> str:
    """The line of an error that names the fault. Keras 3 puts it below the name of the call, in
    bold.
    """
    text = str(error.args[0] if isinstance(error, KeyError) and error.args else error)
    lines = [re.sub(r"\x1b\[\d*m", "", line).strip() for line in text.splitlines()]
    said = [line for line in lines if line and not line.startswith("Exception encountered when")]
    return said[0] if said else type(error).__name__


class Trained(tf.keras.Model):
    """A model that builds itself: the base of `VAE`."""

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Keras 3 calls this before `fit` and `evaluate` under a strategy. Its own version averages
        over replicas, and so needs equal numbers of examples.
        """
        if self.optimizer is not None and self.trainable_variables:
            with self.distribute_strategy.scope():
                build(self.optimizer, self.trainable_variables)


def fed(data: Any) -> Any:
    """Data for `fit`: in Keras 3 a Python generator must yield tuples."""
    if KERAS_3 and inspect.isgenerator(data):
        return (part if isinstance(part, tuple) else (part,) for part in data)
    return data


# Layers.


def layers(network: object) -> list[tf.keras.layers.Layer]:
    """The Keras layers in a network, at any depth, and last the network itself."""
    if not isinstance(network, (tf.Module, _layers.Layer)):
        return []
    if not KERAS_3:
        return [part for part in (*network.submodules, network) if isinstance(part, _layers.Layer)]
    # Layers of Keras 3 are not TensorFlow modules, and have no `submodules`.
    parts = [network] if isinstance(network, _layers.Layer) else [
        part for part in tf.train.TrackableView(network).descendants()
        if isinstance(part, _layers.Layer)]
    return list({id(layer): layer for part in parts
                 for layer in (*part._flatten_layers(include_self=False), part)}.values())


def is_random(layer: tf.keras.layers.Layer) -> bool:
    """Whether a layer of Keras draws random numbers."""
    if KERAS_3:
        return any(isinstance(part, tf.keras.random.SeedGenerator) for part in vars(layer).values())
    return isinstance(layer, tf.keras.__internal__.layers.BaseRandomLayer)


def takes_training(layer: tf.keras.layers.Layer) -> bool:
    """Whether a call with `training=` reaches the layers inside: in Keras 3 it always does."""
    return KERAS_3 or layer._expects_training_arg


def set_policy(layer: tf.keras.layers.Layer, policy: Any) -> None:
    """Changes the policy of a layer that may be built."""
    if KERAS_3:
        layer.dtype_policy = policy
    else:
        layer._set_dtype_policy(policy)


def built_shape(layer: tf.keras.layers.Layer) -> tuple[int | None, ...] | None:
    """The input shape of a built layer, with the batch axis; None if unknown."""
    if not layer.built:
        return None
    if not KERAS_3:
        shape = layer._build_input_shape
        return None if shape is None else tuple(tf.TensorShape(shape))
    shapes = list((layer._build_shapes_dict or {}).values())
    known = len(shapes) == 1 and isinstance(shapes[0], (tuple, list)) and all(
        size is None or isinstance(size, int) for size in shapes[0])
    return tuple(shapes[0]) if known else None


# Graphs of layers.


class Node(NamedTuple):
    """One call of a layer, or of an operation of Keras 3, in a graph.

    Attributes:
      layer: the called one.
      inputs, outputs: symbolic tensors.
    """

    layer: Any
    inputs: list[Any]
    outputs: list[Any]


def is_graph(network: object) -> bool:
    """Whether a network is a built functional or Sequential Keras model."""
    return _graph(network) is not None


def nodes(network: tf.keras.Model) -> list[Node]:
    """The calls of layers in a graph, from the input on."""
    depths = sorted(_graph(network)._nodes_by_depth.items(), reverse=True)
    return [_node(node) for _, some in depths for node in some]


def operations(network: object) -> list[Any]:
    """The operations other than layers in the graphs of a network, at any depth: `keras.ops`."""
    return [node.layer for layer in (layers(network) if KERAS_3 else []) if is_graph(layer)
            for node in nodes(layer) if not isinstance(node.layer, _layers.Layer)]


def origin(tensor: Any) -> tuple[Node, int]:
    """The call that returned a symbolic tensor, and which of its outputs it is."""
    layer, index, place = tensor._keras_history
    return _node(layer._inbound_nodes[index]), place


def outputs(network: tf.keras.Model) -> Any:
    """The symbolic outputs of a graph, in their structure."""
    graph = _graph(network)
    return graph._outputs_struct if KERAS_3 else graph.output


def output_names(network: tf.keras.layers.Layer) -> list[str] | None:
    """The output names of a model; None for other layers."""
    graph = _graph(network) if KERAS_3 else network
    return getattr(graph, "output_names", None)


def _graph(network):
    """The functional model with the nodes; None for other networks."""
    if not isinstance(network, tf.keras.Model):
        return None
    if not KERAS_3:
        return network if network._is_graph_network else None
    graph = network._functional if isinstance(network, tf.keras.Sequential) else network
    return graph if hasattr(graph, "_nodes_by_depth") else None


def _node(node):
    if KERAS_3:
        return Node(node.operation, list(node.input_tensors), list(node.output_tensors))
    return Node(node.layer, list(node.keras_inputs), tf.nest.flatten(node.outputs))


# Variables and optimizers.


def variables(weights: Iterable[Any]) -> list[tf.Variable]:
    """TensorFlow's variables behind Keras 3's variables. In Keras 2 they are TensorFlow's own."""
    return [weight if isinstance(weight, tf.Variable) else weight.value for weight in weights]


def iterations(optimizer: tf.keras.optimizers.Optimizer) -> tf.Variable:
    """The number of steps done, int64."""
    return variables([optimizer.iterations])[0]


def build(optimizer: tf.keras.optimizers.Optimizer, weights: Iterable[Any]) -> None:
    """Makes the variables of an optimizer. Keras 3 must not do this twice."""
    if not (KERAS_3 and optimizer.built):
        optimizer.build(weights)


def moments(adam: tf.keras.optimizers.Adam, weight: tf.Variable) -> list[tf.Variable]:
    """Adam's two moving averages for a weight: of its gradient and of the squared gradient."""
    index = (adam._get_variable_index(weight) if KERAS_3 else
             adam._index_dict[adam._var_key(weight)])
    return variables([adam._momentums[index], adam._velocities[index]])


def scaled_loss(optimizer: tf.keras.mixed_precision.LossScaleOptimizer,
                loss: tf.Tensor) -> tf.Tensor:
    """The loss to differentiate, in float16."""
    return optimizer.scale_loss(loss) if KERAS_3 else optimizer.get_scaled_loss(loss)


def unscaled(optimizer: tf.keras.mixed_precision.LossScaleOptimizer,
             gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Gradients of `scaled_loss` for `apply_gradients`; Keras 3 divides them there."""
    return gradients if KERAS_3 else optimizer.get_unscaled_gradients(gradients)


# Configurations.

def readable(config: Any) -> Any:
    """Translates a configuration of either Keras for this one. Unknown parts stay unchanged, and
    Keras then refuses them.
    """
    if isinstance(config, (list, tuple)):
        return [readable(value) for value in config]
    if not isinstance(config, dict):
        return config
    kind = config.get("class_name")
    if kind in ("Policy", "DTypePolicy"):
        return config["config"]["name"]
    made = {key: readable(value) for key, value in config.items()}
    options = made.get("config")
    if kind is None or not isinstance(options, dict):
        return made
    if kind == "Functional":
        made["module"] = f"keras.src.{'models' if KERAS_3 else 'engine'}.functional"
    if kind.endswith("Transpose"):
        options.pop("groups", None)  # Keras 2 writes it but does not have it
    if kind == "BatchNormalization" and isinstance(options.get("axis"), list):
        [options["axis"]] = options["axis"]
    if not KERAS_3:
        if "batch_shape" in options:
            options["batch_input_shape"] = options.pop("batch_shape")
        made["config"] = options = _without_unused(kind, options)
        if "inbound_nodes" in made:
            made["inbound_nodes"] = [_inbound(node) for node in made["inbound_nodes"]]
        for name in ("input_layers", "output_layers"):
            if options.get(name) and isinstance(options[name][0], str):
                options[name] = [options[name]]
    return made


def _without_unused(kind, options):
    """Options without unused ones (None or False) of later versions."""
    found = getattr(tf.keras.layers, kind, None) or getattr(tf.keras.initializers, kind, None)
    if found is None:
        return options
    known = {name for base in found.__mro__ if "__init__" in vars(base)
             for name in inspect.signature(base.__init__).parameters}
    return {name: value for name, value in options.items() if value or name in known}


def _inbound(node):
    """A call of a layer with its inputs, in the format of Keras 2."""
    if not isinstance(node, dict):
        return node
    said = {name: value for name, value in node["kwargs"].items() if value not in (None, False)}
    return [[*history, said] for history in _histories(node["args"])]


def _histories(args):
    """The names and numbers of the symbolic tensors among the arguments of a call."""
    if isinstance(args, list):
        return [history for one in args for history in _histories(one)]
    known = isinstance(args, dict) and args.get("class_name") == "__keras_tensor__"
    return [args["config"]["keras_history"]] if known else []
