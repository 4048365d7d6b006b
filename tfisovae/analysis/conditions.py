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
from typing import Any

from tfisovae.autoencoder.graph import _first_layer, _heads, _layers_with_losses, _worst, narrow_layers, random_layers
from tfisovae.verdict.checks import Conditions


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


def of_model(model: Any) -> Conditions:
    """`conditions_of` the networks of a `VAE`, or of an `Autoencoder` of Keras models; unknown for
    others.
    """
    encode = getattr(model, "encode", None)
    if hasattr(model, "encoder"):
        networks, outputs, reading = (model.encoder, model.decoder), None, getattr(
            model, "scale", None)
    else:
        networks = [getattr(half, "owner", None) for half in (encode, model.decode)]
        outputs, reading = getattr(encode, "outputs", None), getattr(encode, "reading", None)
    made = conditions_of(*networks, outputs)
    # A bias then moves small scales more than large ones.
    if made.balance and reading in ("variance", "scale"):
        made = dataclasses.replace(
            made, balance=False,
            balance_why="the encoder's second output is no logarithm of its scale")
    whole = hasattr(model, "training_objective")
    return _of_training(made, *networks, whole, whole and model.treats_examples_apart)






def _of_training(made, encoder, decoder, whole, as_trained):
    """`made`, of networks that may be trained in another mode, or with other losses, than they are
    measured.

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

    random = said(random_layers,
                  lambda layer: "is random in training, and not where it is measured")
    narrow = said(
        narrow_layers, lambda layer:
        f"computes in {layer.compute_dtype} in training, and in float32 where it is measured")
    losses = said(_layers_with_losses, lambda layer: "adds a loss of its own")
    regular = {name: "the networks have regularizers, whose losses are not in what is measured"
               for name, network in networks.items() if getattr(network, "losses", ())}
    changes = {}
    for name, why in (("moments", random.get("encoder")
                       or losses.get("encoder")), ("balance", any_of(
                           random, losses)), ("gradient", not as_trained and any_of(random, narrow)
                                              or not whole and any_of(losses, regular))):
        if why:
            changes |= {name: False, f"{name}_why": why}
    return dataclasses.replace(made, **changes)
