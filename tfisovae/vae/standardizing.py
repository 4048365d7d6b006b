"""Standardizes latent variables to mean 0 and second moment 1, in closed form, without a change of
decoded outputs.

If the encoder ends and the decoder begins with dense layers, each latent variable can be shifted
and scaled without changing decoded outputs. The KL is smallest if E[mu_j] = 0 and E[mu_j^2 +
sigma_j^2] = 1, which holds at every optimum of such networks. Gradient descent gets there slowly: a
scale that is off by a tenth costs .01 nats.
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
# For each kind of second output: the power of the scale that divides it, or whose logarithm is
# subtracted.
_POWERS = {"variance": 2, "scale": 1}
_LOGARITHMS = {"log_variance": 2, "log_scale": 1}


@dataclasses.dataclass(frozen=True)
class Standardization:
    """The change of the latent variables: the new z_j is (z_j - mean_j) / scale_j. Vectors are
    `[n]`.

    Attributes:
      mean: E[mu_j].
      scale: sqrt(Var[mu_j] + E[sigma_j^2]).
      gain: nats, the mean fall of the KL of z_j over the examples: (E[mu_j^2 + sigma_j^2] - 1) / 2
        - log scale_j.
      num_examples: N.
    """

    mean: np.ndarray
    scale: np.ndarray
    gain: np.ndarray
    num_examples: int

    def sentence(self) -> str:
        """One line in plain words."""
        return (
            f"Latent variables standardized over {self.num_examples} examples: scales were "
            f"{self.scale.min():.3g} to {self.scale.max():.3g}, means up to "
            f"{np.abs(self.mean).max():.2g}; the rate falls by {self.gain.sum():.3g} nats, and "
            "decoded outputs stay.")


def standardize_latents(vae: VAE, data: Data, num_examples: int | None = None,
                        progress: bool = False, *, inspect: bool = True) -> Standardization:
    """Shifts and scales each latent variable of a VAE, in place, to mean 0 and second moment 1 over
    the data.

    E[mu_j] becomes 0 and E[mu_j^2 + sigma_j^2] becomes 1. Decoded outputs stay the same to
    rounding: the changes of the mean's layer and of the decoder's first layer cancel. The KL falls
    by `Standardization.gain`. sigma_j, E[sigma_j^-2] and the derivative by z_j change by the scale;
    the isometric norm does not. An optimizer's momenta stay unchanged.

    Args:
      vae: `VAE` of functional or Sequential networks. The encoder must end in linear Dense layers:
        one of 2 n units or two of n (which may be concatenated). The decoder must begin with one.
        All need a bias and no constraint, and must be used once.
      data: training examples, as for `analyze`.
      num_examples: how many; all by default.
      progress: whether to show a progress bar.
      inspect: as of `tfisovae.analyze`.

    Returns:
      `Standardization`.

    Raises:
      TypeError, ValueError: for other networks (`layers_of`), fewer than 20 examples, or a moment
        that is not finite. Then the VAE is unchanged.

    Example:
      >>> change = tfisovae.standardize_latents(vae, x)
      >>> print(change)
    """
    heads, first = layers_of(vae)
    # Only in this process: a callback of `fit` calls this in the scope of a strategy.
    means = posterior_means(
        streaming.prepare(vae, data, num_examples, "standardizing", progress, inspect=inspect),
        replicas=False)
    mean, count = means.mean, means.num_examples
    if count < MIN_EXAMPLES:
        raise ValueError(
            f"data must hold at least {MIN_EXAMPLES} examples, and should hold thousands, since it "
            f"estimates moments of the whole training set; got {count}.")
    # It is positive, since finite posteriors have a positive scale.
    scale = np.sqrt(means.square - mean**2 + means.variance)
    _rescale_encoder(heads, vae.scale, mean, scale)
    kernel, bias = (weight.astype(np.float64) for weight in first.get_weights())
    first.set_weights([kernel * scale[:, None], bias + mean @ kernel])
    gain = (means.square + means.variance - 1) / 2 - np.log(scale)
    return Standardization(mean, scale, gain, count)


def layers_of(vae: VAE) -> tuple[list[tf.keras.layers.Layer], tf.keras.layers.Layer]:
    """The layers that `standardize_latents` changes: the heads of the encoder and the first layer
    of the decoder.

    Raises:
      TypeError: if it is no `VAE`.
      ValueError: if the networks do not allow it.
    """
    if not isinstance(vae, VAE):
        raise TypeError(
            f"vae must be a tfisovae.VAE with weights that can be set; got {type(vae).__name__}. "
            "Make one from your Keras networks: tfisovae.VAE(encoder, decoder, distortion, "
            "lmbda).")
    known = conditions.conditions_of(vae.encoder, vae.decoder)
    heads, first = graph.heads(vae.encoder), slicing.first_of(vae.decoder)
    why = None
    if not known.moments:
        why = model_words.why(known.moments_why)
    elif not all(
            type(head) in slicing.DENSE and head.units == vae.n * (3 - len(heads))
            for head in heads) or first is None:
        why = ("other layers lie between the latent variables and the Dense layers, or all share "
               "one scale")
    elif any(
            sum(node.layer is layer for node in _keras.nodes(network)) != 1
            for network, some in ((vae.encoder, heads), (vae.decoder, [first]))
            for layer in some) or len(set(heads)) < len(heads):
        why = "a Dense layer at the latent variables is used more than once"
    elif any(getattr(layer, "weights", ()) for layer in graph.after(vae.encoder, heads)):
        why = "a layer with weights takes the output of a head of the encoder"
    if why:
        raise ValueError(
            f"The latent variables of this VAE cannot be standardized: {why}. The encoder must end "
            "in linear Dense layers, one of 2 n units or two of n, concatenated or not, and the "
            "decoder must begin with one. All need a bias and no constraints, and must be used "
            "once.")
    return heads, first


def _rescale_encoder(heads, reading, mean, scale):
    """Shifts and scales the outputs of the heads: the mean, and the scale according to `reading`.
    """
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
