"""Latent variables of mean 0 and second moment 1, in closed form: what training comes to last, at no cost to what is decoded.

A VAE whose encoder ends, and whose decoder begins, with dense layers can shift and scale every latent variable without changing
what it decodes. Among all shifts and scales the KL is least where E[mu_j] = 0 and E[mu_j^2 + sigma_j^2] = 1, which every optimum
fulfils (PAPER_NOTES 3). Gradient descent is slow to get there: a scale that is off by a tenth costs .01 nats.
"""
import dataclasses

import numpy as np
import tensorflow as tf

from tfisovae import slicing, streaming
from tfisovae.examples import Data
from tfisovae.vae import VAE

# By what the second output of the encoder is: the power of the scale by which it is divided, or whose logarithm is taken off it.
_POWERS = {"variance": 2, "scale": 1}
_LOGARITHMS = {"log_variance": 2, "log_scale": 1}


@dataclasses.dataclass(frozen=True)
class Standardization:
    """What the latent variables were before: z_j is (z_j - mean_j) / scale_j now. Vectors are `[n]`.

    Attributes:
      mean: E[mu_j].
      scale: of mu_j about its mean and sigma_j together, sqrt(Var[mu_j] + E[sigma_j^2]).
      gain: nats, by which the KL of z_j has fallen in the mean over the examples: (E[mu_j^2 + sigma_j^2] - 1) / 2 - log scale_j.
      num_examples: N.
    """

    mean: np.ndarray
    scale: np.ndarray
    gain: np.ndarray
    num_examples: int

    def sentence(self) -> str:
        """In a line of plain words."""
        return (f"Latent variables standardized over {self.num_examples} examples: scales were {self.scale.min():.3g} to "
                f"{self.scale.max():.3g}, means up to {np.abs(self.mean).max():.2g}; the rate falls by {self.gain.sum():.3g} nats, "
                "and what is decoded stays")


def standardize_latents(vae: VAE, data: Data, num_examples: int | None = None, progress: bool = False) -> Standardization:
    """Shifts and scales each latent variable of a VAE, in place, to E[mu_j] = 0 and E[mu_j^2 + sigma_j^2] = 1 over the data.

    What is decoded stays, number for number to rounding: the mean's layer and the decoder's first one undo each other. The KL falls
    by `Standardization.gain`. sigma_j, and with it E[sigma_j^-2] and the derivative by z_j, change by the scale; the isometric norm
    does not. An optimizer's momenta stay as they are.

    Args:
      vae: `VAE` of graphs of layers: the encoder's last layers, and the decoder's first, are dense with a bias, and the encoder's
        are linear.
      data: examples of training, as `analyze` takes them.
      num_examples: how many; all by default.
      progress: whether to show a progress bar.
    Returns:
      `Standardization`.
    Raises:
      ValueError: if the networks are others, or a moment is not finite; the VAE is then as it was.
    """
    heads, first = _layers(vae)
    total = np.zeros([3, vae.n])
    count = 0

    @tf.function(reduce_retracing=True)
    def moments(x):
        mean, scale = (tf.cast(value, tf.float64) for value in vae.encode(x))
        return tf.stack([tf.reduce_sum(value, 0) for value in (mean, mean**2, scale**2)])

    for x, _ in streaming.examples_of(vae, data, num_examples, "standardizing", progress):
        total += moments(x).numpy()
        count += len(x)
    mean, square, variance = total / count
    scale = np.sqrt(square - mean**2 + variance)
    if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("The latent variables cannot be standardized: a mean or variance over the data is not finite, or is 0.")
    _rescale_encoder(heads, vae.scale, mean, scale)
    kernel, bias = (weight.astype(np.float64) for weight in first.get_weights())
    first.set_weights([kernel * scale[:, None], bias + mean @ kernel])
    return Standardization(mean, scale, (square + variance - 1) / 2 - np.log(scale), count)


def _layers(vae):
    """The encoder's heads and the decoder's first layer; raises ValueError where they are not dense ones of one use."""
    heads, first = slicing.heads_of(vae.encoder), slicing.first_of(vae.decoder)
    means = [len(heads) == 1 and head.units == 2 * vae.n or head.units == vae.n for head in heads if type(head) in slicing.DENSE]
    fit = heads and len(means) == len(heads) and all(means) and all(
        head.use_bias and tf.keras.activations.serialize(head.activation) == "linear" and len(head._inbound_nodes) == 1
        for head in heads)
    if not fit or first is None or not first.use_bias or len(first._inbound_nodes) != 1:
        what = "decoder must begin with a Dense layer" if fit else "encoder must end in a linear Dense layer for mean and spread"
        raise ValueError(f"To standardize the latent variables, the {what}, which has a bias and is used once, and the network "
                         "must be a functional or Sequential model.")
    return heads, first


def _rescale_encoder(heads, reading, mean, scale):
    """Shifts and scales what the heads return: the mean, and the spread as `reading` says."""
    ones, zeros = np.ones_like(mean), np.zeros_like(mean)
    gains = [1 / scale, scale ** -_POWERS[reading] if reading in _POWERS else ones]
    shifts = [-mean / scale, -_LOGARITHMS[reading] * np.log(scale) if reading in _LOGARITHMS else zeros]
    if len(heads) == 1:
        gains, shifts = [np.concatenate(gains)], [np.concatenate(shifts)]
    for head, gain, shift in zip(heads, gains, shifts):
        kernel, bias = (weight.astype(np.float64) for weight in head.get_weights())
        head.set_weights([kernel * gain, bias * gain + shift])
