"""Whether the stationarities of a VAE hold for given Keras networks: their first and last layers
with weights.

E[mu_j] = 0 and E[mu_j^2 + sigma_j^2] = 1 say that no shift and no scaling of z_j lowers the KL:
they hold where encoder and decoder can make one without changing x_hat. The encoder needs heads
that are free affine maps, the decoder a first layer that is affine in z with a bias of its own for
each unit: z -> (z - c) / a is then absorbed by its weights. The posterior balance is the derivative
by the log-variance head's bias alone, and needs that bias.
"""
import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfisovae.autoencoder import graph
from tfisovae.autoencoder.autoencoder import Measurable, as_autoencoder
from tfisovae.autoencoder.networks import Networks
from tfisovae.autoencoder.outputs import PartError
from tfisovae.verdict.checks import Conditions

_layers = tf.keras.layers
_UNKNOWN = (None, "the networks are not Keras models of known layers")


def conditions_of(encoder: object, decoder: object,
                  outputs: str | int | Sequence[str | int] | None = None) -> Conditions:
    """Which stationarities hold at the optimum of these networks.

    Args:
      encoder, decoder: built functional or Sequential Keras models, the encoder with outputs of
        which `as_autoencoder` can tell the mean and the log-variance. Anything else gives `None`,
        "unknown".
      outputs: which these are, as `encoder_outputs` of `as_autoencoder`.
    Returns:
      `tfisovae.verdict.checks.Conditions`.
    """
    heads, first = _heads(encoder, outputs), _first_layer(decoder)
    variance = heads[-1]
    moments = _worst([*heads, first])
    if moments[0]:
        moments = (
            True,
            "both heads of the encoder and the first layer of the decoder are affine with biases")
    if variance[0]:
        variance = (True, "the log-variance head has a bias")
    return Conditions(*moments, *variance)


def of_model(model: Measurable) -> Conditions:
    """`conditions_of` the networks of a `VAE`, or of an `Autoencoder` of Keras models; unknown for
    others.
    """
    known = as_autoencoder(model, needs_beta=False).networks or Networks()
    made = conditions_of(known.encoder, known.decoder, known.outputs)
    # A bias then moves small scales more than large ones.
    if made.balance and known.reading in ("variance", "scale"):
        made = dataclasses.replace(
            made, balance=False,
            balance_why="the encoder's second output is no logarithm of its scale")
    return _of_training(made, known)


def _heads(encoder, asked):
    """Whether the layers of the mean and of the log-variance are free: (`True`, `False` or `None`,
    why) for each.
    """
    if not graph.is_graph(encoder):
        return [(None, "the encoder is not a functional Keras model")] * 2
    try:
        outputs = graph.posterior_tensors(encoder, asked)
    except PartError:
        return [
            (None, "which outputs of the encoder are the mean and the log-variance is not known")
        ] * 2
    found = [_worst(_head(layer) for layer in graph.sources(output)) for output in outputs]
    # One dimension alone cannot be shifted and scaled.
    if len(outputs) == 2 and outputs[0].shape[-1] != outputs[1].shape[-1]:
        return [found[0], (False, "all dimensions share one spread")]
    return found * (2 // len(outputs))


def _head(layer):
    if isinstance(layer, _layers.Dense) and layer.activation is not tf.keras.activations.linear:
        return False, f"a head of the encoder ({layer.name}) has an activation"
    return _affine(layer, "a head of the encoder")


def _first_layer(decoder):
    if not graph.is_graph(decoder):
        return None, "the decoder is not a functional Keras model"
    if len(decoder.inputs) != 1:
        return None, "the decoder has more than one input"
    return _worst(_affine(layer, "the first layer of the decoder")
                  for layer in graph.first_layers(decoder))


def _affine(layer, where):
    """Whether `layer` is a Dense layer with weights that are free to move: (`True`, `False` or
    `None`, why).
    """
    if isinstance(layer, _layers.InputLayer) or graph.is_graph(layer):
        return _UNKNOWN
    if isinstance(layer, _layers.Dropout):
        return False, f"{layer.name} drops parts of z in training, which no affine layer absorbs"
    if isinstance(layer, _layers.Dense):
        if not layer.use_bias:
            return False, f"{where} ({layer.name}) has no bias"
        if not layer.trainable:
            return False, f"{where} ({layer.name}) is not trained"
        if any((layer.kernel_constraint, layer.bias_constraint, layer.kernel_regularizer,
                layer.bias_regularizer, layer.activity_regularizer)):
            return False, f"{where} ({layer.name}) has a constraint or a regularizer"
        return True, ""
    if graph.from_package(layer, "keras"):
        return False, f"{where} ({layer.name}, {type(layer).__name__}) is not a Dense layer"
    return None, f"{where} ({layer.name}, {type(layer).__name__}) is of an unknown kind"


def _worst(parts):
    parts = list(parts)
    return min(parts, key=lambda part: {False: 0, None: 1, True: 2}[part[0]]) if parts else _UNKNOWN


def _of_training(made, known):
    """`made`, for networks that may be trained in another mode, or with other losses, than they are
    measured.

    Args:
      made: `Conditions` in inference mode, of D / beta + KL alone.
      known: `Networks`. With a `training_objective` the gradient has the networks' own losses in
        it.
    """
    networks = {"encoder": known.encoder, "decoder": known.decoder}
    whole = known.training_objective is not None

    def said(find, what):
        """For each network, the first of the layers that `find` finds, in words."""
        first = {name: next(iter(find(network)), None) for name, network in networks.items()}
        return {name: f"{layer.name} ({type(layer).__name__}) of the {name} {what(layer)}"
                for name, layer in first.items() if layer is not None}

    def any_of(*sentences):
        return next((sentence for some in sentences for sentence in some.values()), None)

    random = said(graph.random_layers,
                  lambda layer: "is random in training, and not where it is measured")
    narrow = said(
        graph.narrow_layers, lambda layer:
        f"computes in {layer.compute_dtype} in training, and in float32 where it is measured")
    losses = said(graph.layers_with_losses, lambda layer: "adds a loss of its own")
    regular = {name: "the networks have regularizers, whose losses are not in what is measured"
               for name, network in networks.items()
               if isinstance(network, _layers.Layer) and network.losses}
    # A training objective in training mode has the layers of both kinds as they are trained.
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
