"""Whether the stationarities of a VAE must hold for given networks of Keras or PyTorch, from their
first and last layers with weights.

E[mu_j] = 0 and E[mu_j^2 + sigma_j^2] = 1 mean that no shift and no scaling of z_j lowers the KL.
They hold if encoder and decoder can shift and scale z_j without changing x_hat. The heads of the
encoder must be free affine maps. The first layer of the decoder must be affine in z, with a bias
for each unit: its weights then absorb z -> (z - c) / a. The posterior balance is the derivative by
the log-variance head's bias, and needs this bias.
"""
import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfisovae.autoencoder import graph, torch_graph
from tfisovae.autoencoder.autoencoder import Measurable, as_autoencoder
from tfisovae.autoencoder.networks import Networks
from tfisovae.autoencoder.outputs import PartError
from tfisovae.autoencoder.torch_modules import TorchFunction
from tfisovae.verdict.checks import Conditions, Why
from tfisovae.verdict.states import Cause

_layers = tf.keras.layers
_UNKNOWN = (None, Why(Cause.LAYERS_UNKNOWN))


def conditions_of(encoder: object, decoder: object,
                  outputs: str | int | Sequence[str | int] | None = None) -> Conditions:
    """Which stationarities hold at the optimum of these networks.

    Args:
      encoder, decoder: built functional or Sequential Keras models, or PyTorch modules that
        `torch.fx` can trace, from `Networks`. `as_autoencoder` must know which outputs of the
        encoder are the mean and the log-variance. Anything else gives `None`, "unknown".
      outputs: these outputs, as `encoder_outputs` of `as_autoencoder`.

    Returns:
      `tfisovae.verdict.checks.Conditions`.
    """
    heads, first = _heads(encoder, outputs), _first_layer(decoder)
    variance = heads[-1]
    moments = _worst([*heads, first])
    if moments[0]:
        moments = (True, Why(Cause.HEADS_AFFINE))
    if variance[0]:
        variance = (True, Why(Cause.BIAS))
    return Conditions(*moments, *variance)


def of_model(model: Measurable) -> Conditions:
    """`conditions_of` the networks of a `VAE`, or of an `Autoencoder` of Keras models; unknown for
    others.
    """
    known = as_autoencoder(model, needs_beta=False).networks or Networks()
    made = conditions_of(known.encoder, known.decoder, known.outputs)
    # A bias then moves small scales more than large ones.
    if made.balance and known.reading in ("variance", "scale"):
        made = dataclasses.replace(made, balance=False, balance_why=Why(Cause.NO_LOGARITHM))
    return _of_training(made, known)


def _heads(encoder, asked):
    """Whether the layers of the mean and of the log-variance are free: (`True`, `False` or `None`,
    why) for each.
    """
    if isinstance(encoder, TorchFunction):
        return _torch_heads(encoder, asked)
    if not graph.is_graph(encoder):
        return [(None, Why(Cause.NOT_FUNCTIONAL, "encoder"))] * 2
    try:
        outputs = graph.posterior_tensors(encoder, asked)
    except PartError:
        return [(None, Why(Cause.OUTPUTS_UNKNOWN))] * 2
    found = [_worst(_head(layer) for layer in graph.sources(output)) for output in outputs]
    # One dimension alone cannot be shifted and scaled.
    if len(outputs) == 2 and outputs[0].shape[-1] != outputs[1].shape[-1]:
        return [found[0], (False, Why(Cause.ONE_SPREAD))]
    return found * (2 // len(outputs))


def _torch_heads(encoder, asked):
    """The same of a PyTorch module."""
    try:
        layers = torch_graph.heads(encoder, asked)
    except PartError:
        return [(None, Why(Cause.OUTPUTS_UNKNOWN))] * 2
    if layers is None:
        return [(None, Why(Cause.NOT_TRACED, "encoder"))] * 2
    found = [_worst(_torch_affine(layer, "encoder") for layer in some) for some in layers]
    sizes = {layer.module.out_features for some in layers for layer in some
             if hasattr(layer.module, "out_features")}
    if len(sizes) > 1:  # one dimension alone cannot be shifted and scaled
        return [found[0], (False, Why(Cause.ONE_SPREAD))]
    return found * (2 // len(found))


def _head(layer):
    if isinstance(layer, _layers.Dense) and layer.activation is not tf.keras.activations.linear:
        return False, Why(Cause.ACTIVATION, "encoder", layer.name)
    return _affine(layer, "encoder")


def _first_layer(decoder):
    if isinstance(decoder, TorchFunction):
        layers = torch_graph.first_layers(decoder)
        if layers is None:
            return None, Why(Cause.NOT_TRACED, "decoder")
        return _worst(_torch_affine(layer, "decoder") for layer in layers)
    if not graph.is_graph(decoder):
        return None, Why(Cause.NOT_FUNCTIONAL, "decoder")
    if len(decoder.inputs) != 1:
        return None, Why(Cause.MORE_INPUTS)
    return _worst(_affine(layer, "decoder") for layer in graph.first_layers(decoder))


def _affine(layer, part):
    """Whether `layer` of "encoder" or "decoder" is a Dense layer with free weights: (`True`,
    `False` or `None`, `Why` or `None`).
    """
    def why(cause):
        return Why(cause, part, layer.name, type(layer).__name__)

    if isinstance(layer, _layers.InputLayer) or graph.is_graph(layer):
        return _UNKNOWN
    if isinstance(layer, _layers.Dropout):
        return False, why(Cause.DROPS)
    if isinstance(layer, _layers.Dense):
        if not layer.use_bias:
            return False, why(Cause.NO_BIAS)
        if not layer.trainable:
            return False, why(Cause.NOT_TRAINED)
        if any((layer.kernel_constraint, layer.bias_constraint, layer.kernel_regularizer,
                layer.bias_regularizer, layer.activity_regularizer)):
            return False, why(Cause.HELD)
        return True, None
    if graph.from_package(layer, "keras"):
        return False, why(Cause.NOT_DENSE)
    return None, why(Cause.UNKNOWN_KIND)


def _torch_affine(layer, part):
    """`_affine` for a layer of PyTorch."""
    import torch

    def why(cause):
        return Why(cause, part, layer.name, layer.kind)

    module = layer.module
    if module is None or torch.nn.utils.parametrize.is_parametrized(module):
        return None, why(Cause.UNKNOWN_KIND)
    if isinstance(module, torch.nn.Linear):
        if module.bias is None:
            return False, why(Cause.NO_BIAS)
        if not (module.weight.requires_grad and module.bias.requires_grad):
            return False, why(Cause.NOT_TRAINED)
        return True, None
    if torch_graph.is_dropout(module):
        return False, why(Cause.DROPS)
    if type(module).__module__.startswith("torch.nn."):
        return False, why(Cause.NOT_LINEAR)
    return None, why(Cause.UNKNOWN_KIND)


def _worst(parts):
    parts = list(parts)
    return min(parts, key=lambda part: {False: 0, None: 1, True: 2}[part[0]]) if parts else _UNKNOWN


def _of_training(made, known):
    """`made`, adapted for networks with another mode or other losses in training than in
    measurements.

    Args:
      made: `Conditions` in inference mode, for D / beta + KL alone.
      known: `Networks`. With a `training_objective` the gradient includes the networks' own losses.
    """
    networks = {"encoder": known.encoder, "decoder": known.decoder}
    whole = known.training_objective is not None

    def first(find, cause):
        """`Why`, from the first layer that `find` finds in a network."""
        found = {name: next(iter(find(network)), None) for name, network in networks.items()}
        return {name: Why(cause, name, layer.name, layer.kind)
                if isinstance(layer, torch_graph.Layer) else
                Why(cause, name, layer.name, type(layer).__name__, layer.compute_dtype)
                for name, layer in found.items() if layer is not None}

    def any_of(*causes):
        return next((why for some in causes for why in some.values()), None)

    random = first(lambda network: (torch_graph if isinstance(network, TorchFunction) else
                                    graph).random_layers(network), Cause.RANDOM)
    narrow = first(graph.narrow_layers, Cause.NARROW)
    losses = first(graph.layers_with_losses, Cause.OWN_LOSS)
    regular = {name: Why(Cause.REGULARIZERS) for name, network in networks.items()
               if isinstance(network, _layers.Layer) and network.losses}
    # A training objective in training mode has both kinds of layers as in training.
    as_trained = whole and known.treats_examples_apart
    why = {
        "moments": random.get("encoder") or losses.get("encoder"),
        "balance": any_of(random, losses),
        "gradient": (not as_trained and any_of(random, narrow)
                     or not whole and any_of(losses, regular)),
    }
    changes = {name: value for kind, reason in why.items() if reason
               for name, value in ((kind, False), (f"{kind}_why", reason))}
    return dataclasses.replace(made, **changes)
