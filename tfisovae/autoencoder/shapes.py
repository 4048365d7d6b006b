"""Input and output shapes of the two Keras networks of a VAE, and whether they fit together."""
from collections.abc import Sequence

import tensorflow as tf

from tfisovae.autoencoder import graph
from tfisovae.autoencoder.keras_networks import built_by_zeros, input_shape, outputs_of

Shape = tuple[int | None, ...]


def settle(encoder: tf.keras.layers.Layer, decoder: tf.keras.layers.Layer,
           example_shape: Sequence[int | None] | None = None) -> tuple[Shape, int] | None:
    """The shape of one example and the number of latent dimensions, from the networks or from their
    outputs for an example of zeros.

    Args:
      encoder, decoder: Keras models, built or not.
      example_shape: shape of one example, if known otherwise.

    Returns:
      `(shape, n)`, where entries of `shape` may be None; or None if the networks must see an
      example first.

    Raises:
      ValueError: if they do not fit together.
    """
    taken = _joined(input_shape(encoder, "encoder"), example_shape)
    latents = input_shape(decoder, "decoder")
    if latents is not None and len(latents) != 1:
        raise ValueError(
            f"The decoder must take z of the shape [batch, n]; it takes {[None, *latents]}. "
            "Reshape it in the decoder.")
    n = latents[0] if latents else None
    if n is not None:
        taken = _joined(taken, _reconstruction_shape(decoder, n))
    means = _means(encoder, taken)
    if means is None and n is None:
        return None
    if None not in (means, n) and means != n:
        raise ValueError(
            f"The encoder returns n = {means} means, the decoder takes n = {n}. The encoder must "
            "return [batch, 2n], means then log-variances, or both as two outputs.")
    n = means if n is None else n
    taken = _joined(taken, _reconstruction_shape(decoder, n))
    return (taken, n) if encoder.built else None


def _means(encoder, shape):
    """The number of means of the encoder, from its outputs or for an example of zeros; None if both
    are unknown.
    """
    known = outputs_of(encoder, encoder.outputs) if graph.is_graph(encoder) else None
    if known is None or any(tensor.shape[-1] is None for tensor in known.tensors):
        if shape is None or None in shape:
            return None
        known = built_by_zeros(encoder, shape)
    return known.size()


def _reconstruction_shape(decoder, latents):
    """The shape of one x_hat, from the decoder or for a latent vector of zeros."""
    static = decoder.output_shape if graph.is_graph(decoder) else None
    if isinstance(static, tuple) and None not in static[1:]:
        return static[1:]
    return tuple(built_by_zeros(decoder, (latents,)).reconstruction(None).shape[1:])


def _joined(taken, returned):
    """The shape that agrees with two shapes; each may be None or have None entries."""
    if taken is None or returned is None:
        return returned if taken is None else taken
    if len(taken) != len(returned) or any(None not in pair and pair[0] != pair[1]
                                          for pair in zip(taken, returned)):
        raise ValueError(f"The decoder returns {tuple(returned)}, the encoder takes "
                         f"{tuple(taken)}: the two must be equal.")
    return tuple(a if b is None else b for a, b in zip(taken, returned))
