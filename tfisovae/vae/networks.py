"""The two networks of a VAE as people bring them: any Keras models, with any outputs, in training
or in inference mode.

In inference mode they compute in float32 whatever they were trained in: half precision has 3
digits, and differences of its outputs are noise.
"""
import tensorflow as tf

from tfisovae.autoencoder.networks import computing_in_float32
from tfisovae.autoencoder.outputs import Outputs
from tfisovae.autoencoder.posterior import Posterior, read_scale

layers = tf.keras.layers

# Layers of Keras' that look at more than one example of a batch, or hide what they do. All other
# layers of Keras, of tensorflow-compression and of this package treat every example on its own.
_TOGETHER = (layers.BatchNormalization, layers.experimental.SyncBatchNormalization, layers.Lambda,
             layers.SpectralNormalization)
_HIDDEN = ("TFOpLambda", "SlicingOpLambda", "ClassMethod", "AddLoss", "AddMetric")
_KNOWN = ("keras", "tensorflow_compression", "tfisovae")


class _InMode(layers.Layer):
    """Calls a network whose own `call` takes no `training`, with the mode that its layers then find
    in Keras' context.
    """

    def __init__(self, network):
        super().__init__(dtype="float32", autocast=False)
        self.network = network

    def call(self, inputs, training=None):
        return self.network(inputs)


def _call(network, inputs, training):
    if network._expects_training_arg:
        return network(inputs, training=training)
    return _InMode(network)(inputs, training=training)


def outputs(network, inputs, training=False):
    """What a network returns of a tensor, as `Outputs`, in training or in inference mode."""
    if training:
        result = _call(network, inputs, True)
    else:
        with computing_in_float32(network):
            result = _call(network, inputs, False)
    return Outputs.of(result, getattr(network, "output_names", None))


def encode(encoder, x, scale="log_variance", training=False):
    """The `Posterior` of `x` `[B, ...]`, float32.

    Args:
      encoder: Keras model that returns `[B, 2n]`, or mean and log-variance, or these and a sample,
        which is not used.
      x: `[B, ...]`.
      scale: what the second output is, as in `as_autoencoder`.
      training: whether the layers are in training mode.
    """
    both = outputs(encoder, tf.cast(x, tf.float32), training).mean_and_spread(None)
    mean, spread = (tf.cast(value, tf.float32) for value in both)
    if mean.shape.rank != 2 or mean.shape[-1] is None:
        raise ValueError(
            f"The encoder's mean must have the shape [batch, n]; got {mean.shape.as_list()}. "
            "Flatten it in the encoder.")
    if spread.shape[-1] != mean.shape[-1]:
        spread = tf.broadcast_to(spread, tf.shape(mean))
    return Posterior(mean, read_scale(spread, scale))


def decode(decoder, z, training=False):
    """x_hat of `z` `[B, n]`, float32."""
    return tf.cast(outputs(decoder, z, training).reconstruction(None), tf.float32)


def parts(network):
    """A network and all layers in it, at whatever depth."""
    return [network, *(module for module in network.submodules if isinstance(module, layers.Layer))]


def treats_examples_apart(network):
    """Whether each output in training mode is known to depend on its own example alone, and no loss
    or state on the batch.
    """
    def apart(layer):
        known = type(layer).__module__.split(".")[0] in _KNOWN and type(
            layer).__name__ not in _HIDDEN
        return known and not isinstance(layer, _TOGETHER) and not getattr(layer, "stateful", False)

    return all(apart(layer) for layer in parts(network))


def can_be_made_anew(network):
    """Whether Keras' own configuration is known to be enough to make the network again."""
    known = ("keras", "tfisovae")
    return all(
        type(layer).__module__.split(".")[0] in known and not isinstance(layer, layers.Lambda)
        for layer in parts(network))


def classes(*networks):
    """The classes of all layers in the networks, by name, as Keras takes `custom_objects`."""
    return {type(layer).__name__: type(layer) for network in networks for layer in parts(network)}


def input_shape(network, role):
    """The shape of one example that a network takes; entries that it leaves open are None. None
    where it says nothing.
    """
    inputs = getattr(network, "inputs", None)
    if inputs:
        if len(inputs) != 1:
            names = ", ".join(x.name for x in inputs)
            raise ValueError(f"The {role} must take one tensor; it takes {len(inputs)}: {names}.")
        return tuple(inputs[0].shape[1:])
    built = getattr(network, "_build_input_shape", None)
    return tuple(tf.TensorShape(built))[1:] if network.built and built is not None else None


def _zeros(shape):
    return tf.zeros([1, *shape])


def _reconstruction_shape(decoder, latents):
    """The shape of one x_hat: as the decoder says it, or of that of a zero."""
    static = getattr(decoder, "output_shape", None) if getattr(decoder, "inputs", None) else None
    if isinstance(static, tuple) and None not in static[1:]:
        return static[1:]
    return tuple(
        Outputs.of(_call(decoder, _zeros([latents]), False)).reconstruction(None).shape[1:])


def _means(encoder, shape):
    """How many means the encoder returns: as its outputs say, or of a zero example; None where
    neither is to be had.
    """
    shapes = getattr(encoder, "outputs", None)
    known = Outputs.of(shapes, encoder.output_names) if shapes else None
    if known is None or any(tensor.shape[-1] is None for tensor in known.tensors):
        if shape is None or None in shape:
            return None
        known = Outputs.of(_call(encoder, _zeros(shape), False),
                           getattr(encoder, "output_names", None))
    return known.mean_and_spread(None)[0].shape[-1] if len(
        known.tensors) > 1 else known.tensors[0].shape[-1] / 2


def _joined(taken, returned):
    """The shape that agrees with two, each of which may be None or have entries None."""
    if taken is None or returned is None:
        return returned if taken is None else taken
    if len(taken) != len(returned) or any(None not in pair and pair[0] != pair[1]
                                          for pair in zip(taken, returned)):
        raise ValueError(
            f"The decoder returns {tuple(returned)}, the encoder takes {tuple(taken)}: a VAE "
            f"returns what it takes."
        )
    return tuple(a if b is None else b for a, b in zip(taken, returned))


def settle(encoder, decoder, example_shape=None):
    """The shape of one example and the number of latent dimensions, from what the networks say, or
    do to a zero example.

    Args:
      encoder, decoder: Keras models, built or not.
      example_shape: shape of one example, where it is known from elsewhere.
    Returns:
      `(shape, n)`, where entries of `shape` may be None; or None where the networks must see an
      example first.
    Raises:
      ValueError: if they do not fit together.
    """
    taken = _joined(input_shape(encoder, "encoder"), example_shape)
    latents = input_shape(decoder, "decoder")
    if latents is not None and len(latents) != 1:
        raise ValueError(
            f"The decoder must take z of the shape [batch, n]; it takes {[None, *latents]}. "
            f"Reshape it in the "
            "decoder.")
    n = latents[0] if latents else None
    if n is not None:
        taken = _joined(taken, _reconstruction_shape(decoder, n))
    means = _means(encoder, taken)
    if means is None and n is None:
        return None
    n = means if n is None else n
    if means not in (None, n):
        raise ValueError(
            "The encoder must return [batch, 2n], means then log-variances, or both as two "
            "outputs, for the "
            f"decoder's n inputs; the encoder returns {2 * means:g} numbers, the decoder takes {n}."
        )
    if n != int(n):
        raise ValueError("The encoder must return [batch, 2n], means then log-variances; "
                         f"it returns {2 * n:g} numbers, which is odd.")
    n = int(n)
    taken = _joined(taken, _reconstruction_shape(decoder, n))
    return (taken, n) if encoder.built else None
