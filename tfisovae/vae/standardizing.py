"""Latent variables of mean 0 and second moment 1, in closed form: what training comes to last, at
no cost to what is decoded.

A VAE whose encoder ends, and whose decoder begins, with dense layers can shift and scale every
latent variable without changing what it decodes. Among all shifts and scales the KL is least where
E[mu_j] = 0 and E[mu_j^2 + sigma_j^2] = 1, which every optimum of such networks fulfils. Gradient
descent is slow to get there: a scale that is off by a tenth costs .01 nats.
"""
import dataclasses

import numpy as np
import tensorflow as tf

from tfisovae import _keras
from tfisovae.analysis import conditions
from tfisovae.autoencoder import graph, streaming
from tfisovae.autoencoder.data import Data
from tfisovae.metrics.posteriors import posterior_means
from tfisovae.vae import slicing
from tfisovae.vae.vae import VAE
from tfisovae.verdict import model_words

MIN_EXAMPLES = 20
# By what the second output of the encoder is: the power of the scale by which it is divided, or
# whose logarithm is taken off it.
_POWERS = {"variance": 2, "scale": 1}
_LOGARITHMS = {"log_variance": 2, "log_scale": 1}


@dataclasses.dataclass(frozen=True)
class Standardization:
    """What the latent variables were before: z_j is (z_j - mean_j) / scale_j now. Vectors are
    `[n]`.

    Attributes:
      mean: E[mu_j].
      scale: of mu_j about its mean and sigma_j together, sqrt(Var[mu_j] + E[sigma_j^2]).
      gain: nats, by which the KL of z_j has fallen in the mean over the examples: (E[mu_j^2 +
        sigma_j^2] - 1) / 2 - log scale_j.
      num_examples: N.
    """

    mean: np.ndarray
    scale: np.ndarray
    gain: np.ndarray
    num_examples: int

    def sentence(self) -> str:
        """In a line of plain words."""
        return (
            f"Latent variables standardized over {self.num_examples} examples: scales were "
            f"{self.scale.min():.3g} to "
            f"{self.scale.max():.3g}, means up to {np.abs(self.mean).max():.2g}; the rate falls "
            f"by {self.gain.sum():.3g} nats, "
            "and what is decoded stays.")


def standardize_latents(vae: VAE, data: Data, num_examples: int | None = None,
                        progress: bool = False, *, inspect: bool = True) -> Standardization:
    """Shifts and scales each latent variable of a VAE, in place, to E[mu_j] = 0 and E[mu_j^2 +
    sigma_j^2] = 1 over the data.

    What is decoded stays, number for number to rounding: the mean's layer and the decoder's first
    one undo each other. The KL falls by `Standardization.gain`. sigma_j, and with it E[sigma_j^-2]
    and the derivative by z_j, change by the scale; the isometric norm does not. An optimizer's
    momenta stay as they are.

    Args:
      vae: `VAE` of functional or Sequential networks: the encoder ends in linear Dense layers, one
        of 2 n units or two of n (which may be concatenated), and the decoder begins with one; all
        have a bias and no constraint, and are used once.
      data: examples of training, as `analyze` takes them.
      num_examples: how many; all by default.
      progress: whether to show a progress bar.
      inspect: as of `tfisovae.analyze`.
    Returns:
      `Standardization`.
    Raises:
      TypeError, ValueError: if the networks are others (`layers_of`), there are fewer than 20
        examples, or a moment is not finite; the VAE is then as it was.
    """
    heads, first = layers_of(vae)
    # In this process alone: a callback of `fit` calls this in the scope of a strategy.
    means = posterior_means(
        streaming.prepare(vae, data, num_examples, "standardizing", progress, inspect=inspect),
        replicas=False)
    mean, count = means.mean, means.num_examples
    if count < MIN_EXAMPLES:
        raise ValueError(
            f"data must hold at least {MIN_EXAMPLES} examples, and should hold thousands, as "
            f"their moments are to be "
            f"those of all training; got {count}.")
    # Positive: posteriors that are finite have a positive scale.
    scale = np.sqrt(means.square - mean**2 + means.variance)
    _rescale_encoder(heads, vae.scale, mean, scale)
    kernel, bias = (weight.astype(np.float64) for weight in first.get_weights())
    first.set_weights([kernel * scale[:, None], bias + mean @ kernel])
    gain = (means.square + means.variance - 1) / 2 - np.log(scale)
    return Standardization(mean, scale, gain, count)


def layers_of(vae: VAE) -> tuple[list[tf.keras.layers.Layer], tf.keras.layers.Layer]:
    """The heads of the encoder, and the first layer of the decoder, that `standardize_latents`
    changes.

    Raises:
      TypeError: if it is no `VAE`.
      ValueError: if the networks do not allow it.
    """
    if not isinstance(vae, VAE):
        raise TypeError(
            f"vae must be a tfisovae.VAE, whose weights can be set; got {type(vae).__name__}. "
            f"Make one of your Keras "
            "networks: tfisovae.VAE(encoder, decoder, distortion, lmbda).")
    known = conditions.conditions_of(vae.encoder, vae.decoder)
    heads, first = graph.heads(vae.encoder), slicing.first_of(vae.decoder)
    why = None
    if not known.moments:
        why = model_words.why(known.moments_why)
    elif not all(
            type(head) in slicing.DENSE and head.units == vae.n * (3 - len(heads))
            for head in heads) or first is None:
        why = ("between the latent variables and the Dense layers there are others, or all share "
               "one spread")
    elif any(
            sum(node.layer is layer for node in _keras.nodes(network)) != 1
            for network, some in ((vae.encoder, heads), (vae.decoder, [first]))
            for layer in some) or len(set(heads)) < len(heads):
        why = "a Dense layer at the latent variables is used more than once"
    elif any(getattr(layer, "weights", ()) for layer in graph.after(vae.encoder, heads)):
        why = "a layer with weights takes what a head of the encoder returns"
    if why:
        raise ValueError(
            f"The latent variables of this VAE cannot be standardized: {why}. The encoder must "
            f"end in linear Dense "
            "layers, one of 2 n units or two of n, concatenated or not, and the decoder begin "
            "with one, all with a "
            "bias, without constraints, and used once.")
    return heads, first


def _rescale_encoder(heads, reading, mean, scale):
    """Shifts and scales what the heads return: the mean, and the spread as `reading` says."""
    ones, zeros = np.ones_like(mean), np.zeros_like(mean)
    gains = [1 / scale, scale ** -_POWERS[reading] if reading in _POWERS else ones]
    shifts = [
        -mean / scale, -_LOGARITHMS[reading] * np.log(scale) if reading in _LOGARITHMS else zeros
    ]
    if len(heads) == 1:
        gains, shifts = [np.concatenate(gains)], [np.concatenate(shifts)]
    for head, gain, shift in zip(heads, gains, shifts):
        kernel, bias = (weight.astype(np.float64) for weight in head.get_weights())
        head.set_weights([kernel * gain, bias * gain + shift])
