"""The encoder and decoder pairs of the paper's appendices D.1, D.2, F.2 and G.

An encoder maps `x` to `[B, 2n]`: the posterior's mean and log-variance. A decoder maps `z` `[B, n]`
to `x_hat`. Heads and outputs are float32 under every mixed-precision policy.
"""
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import arguments

try:
    from tensorflow_compression import GDN as _Compression
except Exception:  # with a TensorFlow that it was not built for, loading fails in many ways
    _Compression = None

__all__ = ["celeba", "celeba_large", "mnist", "toy"]

layers = tf.keras.layers
_PEDESTAL = 2.0**-36  # from tensorflow-compression's `GDNParameter`


@tf.custom_gradient
def _at_least(values, bound):
    """max(values, bound). Below the bound the gradient still passes if a descent step leads up."""
    def gradient(upstream):
        passes = (values >= bound) | (upstream < 0)
        return tf.cast(passes, upstream.dtype) * upstream, None

    return tf.maximum(values, bound), gradient


class OwnGDN(layers.Layer):
    """The parameters of tensorflow-compression's GDN, if that package is not installed.

    beta >= 1e-6 and gamma >= 0 are stored as square roots, in weights with the same names, values
    and order.
    """

    def __init__(self, inverse: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.inverse = bool(inverse)

    def build(self, input_shape: tf.TensorShape) -> None:
        channels = int(input_shape[-1])
        for name, start in (("reparam_beta", np.ones(channels, np.float32)),
                            ("reparam_gamma", np.float32(0.1) * np.eye(channels,
                                                                       dtype=np.float32))):
            root = np.sqrt(start + np.float32(_PEDESTAL))
            weight = self.add_weight(name=name, shape=root.shape,
                                     initializer=tf.keras.initializers.Constant(root))
            setattr(self, name, weight)
        super().build(input_shape)

    @property
    def beta(self) -> tf.Tensor:
        return self._of_root(self.reparam_beta, 1e-6)

    @property
    def gamma(self) -> tf.Tensor:
        return self._of_root(self.reparam_gamma, 0.0)

    def _of_root(self, root, minimum):
        root = tf.cast(tf.convert_to_tensor(root), self.compute_dtype)
        bound = tf.constant((minimum + _PEDESTAL)**0.5, root.dtype)
        return tf.square(_at_least(root, bound)) - tf.constant(_PEDESTAL, root.dtype)


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class GDN(_Compression or OwnGDN):
    """Generalised divisive normalisation of Balle et al. (2016), with the parameters of
    tensorflow-compression (`OwnGDN` if it is not installed):

        y_i = x_i / (beta_i + sum_j gamma_ji |x_j|)          (IGDN: x_i times the same pool)

    tensorflow-compression's own `call` branches on tensors, which puts conditionals into the graph
    and breaks SavedModel export and forward-mode differentiation. The paper's alpha = epsilon = 1
    needs no branch.
    """

    def __init__(self, inverse: bool = False, name: str | None = None, dtype: Any = None,
                 trainable: bool = True) -> None:
        super().__init__(inverse=inverse, name=name, dtype=dtype, trainable=trainable)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        pool = tf.nn.conv2d(tf.abs(inputs), self.gamma[None, None], 1, "VALID")
        pool = tf.nn.bias_add(pool, self.beta)
        return inputs * pool if self.inverse else inputs / pool

    # Keras does not see variables of the modules in a layer.
    def save_own_variables(self, store: Any) -> None:
        for number, weight in enumerate(self.weights):
            store[str(number)] = weight.numpy()

    def load_own_variables(self, store: Any) -> None:
        if len(store) != len(self.weights):
            raise ValueError(
                f"The file lacks the weights of the GDN layer {self.name!r}: an older version "
                "wrote it. Save the model again.")
        for number, weight in enumerate(self.weights):
            weight.assign(store[str(number)])

    def get_config(self) -> dict[str, Any]:
        # The parent writes its parameters into the configuration, and reads them back untrained.
        config = tf.keras.layers.Layer.get_config(self)
        return {**config, "inverse": self.inverse}


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class Upsample2(layers.Layer):
    """`Conv2DTranspose(filters, kernel_size, strides=2, padding="same")`, computed by output phase.

    Output pixel 2 q + p takes the taps of phase p only, so the layer is one plain convolution to 4
    * filters channels at the input's resolution, followed by `depth_to_space`. For few filters and
    large kernels this is far faster (9 x 9 to 3 channels: half the time). Variables, their shapes
    and the outputs equal those in the Keras layer.

    Args:
      filters: output channels.
      kernel_size: 5, 9, 13 ... (other sizes align the phases otherwise).
    """

    def __init__(self, filters: int, kernel_size: int, **kwargs: Any) -> None:
        if kernel_size % 4 != 1:
            raise ValueError(
                f"kernel_size must be 5, 9, 13, ...; got {kernel_size!r}. Use Conv2DTranspose "
                f"instead."
            )
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size

    def build(self, input_shape: tf.TensorShape) -> None:
        size = (self.kernel_size, self.kernel_size, self.filters, input_shape[-1])
        self.kernel = self.add_weight(name="kernel", shape=size, initializer="glorot_uniform")
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        taps, channels = (self.kernel_size + 1) // 2, inputs.shape[-1]
        kernel = tf.pad(self.kernel, [[1, 0], [1, 0], [0, 0], [0, 0]])
        kernel = tf.reverse(tf.reshape(kernel, [taps, 2, taps, 2, self.filters, channels]), [0, 2])
        kernel = tf.reshape(tf.transpose(kernel, [0, 2, 5, 1, 3, 4]),
                            [taps, taps, channels, 4 * self.filters])
        phases = tf.nn.conv2d(inputs, kernel, 1, "SAME")
        return tf.nn.bias_add(tf.nn.depth_to_space(phases, 2), self.bias)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "kernel_size": self.kernel_size}


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class Dense(layers.Dense):
    """`tf.keras.layers.Dense` on vectors. It pads fewer than 4 inputs with zeros.

    On a CPU, XLA's matrix product takes ten times as long over 2 or 3 terms as over 4: 8 of the 170
    us of a toy training step.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        missing = max(0, 4 - inputs.shape[-1])
        y = tf.matmul(tf.pad(inputs, [[0, 0], [0, missing]]),
                      tf.pad(self.kernel, [[0, missing], [0, 0]]))
        return self.activation(tf.nn.bias_add(y, self.bias))


def _dense_pair(input_dim, hidden, latent_dim, activation, output_activation=None):
    """A dense encoder with the widths `hidden`, and a decoder with the same widths reversed."""
    encoder = [layers.Input((input_dim,)), *(Dense(w, activation) for w in hidden)]
    decoder = [layers.Input((latent_dim,)), *(Dense(w, activation) for w in reversed(hidden))]
    encoder.append(layers.Dense(2 * latent_dim, dtype="float32", name="posterior"))
    decoder.append(layers.Dense(input_dim, output_activation, dtype="float32", name="output"))
    return (tf.keras.Sequential(encoder, name="encoder"),
            tf.keras.Sequential(decoder, name="decoder"))


def toy(latent_dim: int = 3,
        input_dim: int = 16) -> tuple[tf.keras.Sequential, tf.keras.Sequential]:
    """Small dense encoder and decoder for the toy data: 16-128-64-3x2 and back, tanh (App. D.1).

    Example:
      >>> encoder, decoder = tfisovae.networks.toy()
      >>> tuple(encoder(x).shape), tuple(decoder(tf.zeros([1, 3])).shape)
      ((300, 6), (1, 16))
    """
    arguments.integer("latent_dim", latent_dim)
    return _dense_pair(input_dim, (128, 64), latent_dim, "tanh")


def _celeba(latent_dim, width, output_igdn, image_size, channels):
    arguments.integer("latent_dim", latent_dim)
    if not isinstance(image_size, int) or image_size < 16 or image_size % 16:
        raise ValueError(
            f"image_size must be a multiple of 16, at least 16, for four layers of stride 2; got "
            f"{image_size!r}."
        )
    arguments.integer("channels", channels)
    smallest = image_size // 16  # height and width of the innermost features

    def down(kernel_size):
        return layers.Conv2D(64, kernel_size, 2, "same"), GDN()

    def up():
        return layers.Conv2DTranspose(64, 5, 2, "same"), GDN(inverse=True)

    encoder = [
        layers.Input((image_size, image_size, channels)), *down(9), *down(5), *down(5), *down(5),
        layers.Flatten(),
        layers.Dense(width, "softplus"),
        layers.Dense(2 * latent_dim, dtype="float32", name="posterior")
    ]
    decoder = [
        layers.Input((latent_dim, )),
        layers.Dense(width, "softplus"),
        layers.Dense(64 * smallest**2, "softplus"),
        layers.Reshape((smallest, smallest, 64)), *up(), *up(), *up(),
        Upsample2(channels, 9),
        GDN(inverse=True, dtype="float32", name="output") if output_igdn else layers.Activation(
            "linear", dtype="float32", name="output")
    ]
    return (tf.keras.Sequential(encoder, name="encoder"),
            tf.keras.Sequential(decoder, name="decoder"))


def celeba(latent_dim: int = 32, output_igdn: bool = True, image_size: int = 64,
           channels: int = 3) -> tuple[tf.keras.Sequential, tf.keras.Sequential]:
    """The paper's convolutional encoder and decoder for faces.

    Four GDN convolutions each way on 64 x 64 x 3, and two dense layers of 1024 (App. D.2).

    Args:
      latent_dim: n.
      output_igdn: whether the output passes an IGDN over its channels, as in the paper's text.
      image_size: height and width of the images, a multiple of 16. The innermost features are
        image_size / 16 high and wide with 64 channels (1024 values in the paper). They grow with
        it; the other widths of the layers do not.
      channels: 3 for RGB, 1 for grey images.

    Example:
      >>> encoder, decoder = tfisovae.networks.celeba(latent_dim=8, image_size=32)
      >>> vae = tfisovae.VAE(encoder, decoder, "ssim", lmbda=1000.0)
    """
    return _celeba(latent_dim, 1024, output_igdn, image_size, channels)


def celeba_large(latent_dim: int = 256, output_igdn: bool = True, image_size: int = 64,
                 channels: int = 3) -> tuple[tf.keras.Sequential, tf.keras.Sequential]:
    """A larger `celeba` network: 256 latent dimensions and dense layers of 2048 (App. F.2).

    Example:
      >>> encoder, decoder = tfisovae.networks.celeba_large()
      >>> vae = tfisovae.VAE(encoder, decoder, "ssim", lmbda=1000.0)
    """
    return _celeba(latent_dim, 2048, output_igdn, image_size, channels)


def mnist(latent_dim: int, input_dim: int = 784) -> tuple[tf.keras.Sequential, tf.keras.Sequential]:
    """Dense encoder and decoder for MNIST: 784-1024-1024, relu, with a sigmoid output (App. G).

    Example:
      >>> encoder, decoder = tfisovae.networks.mnist(latent_dim=32)
      >>> vae = tfisovae.VAE(encoder, decoder, "bce", lmbda=2000.0)
    """
    arguments.integer("latent_dim", latent_dim)
    return _dense_pair(input_dim, (1024, 1024), latent_dim, "relu", "sigmoid")
