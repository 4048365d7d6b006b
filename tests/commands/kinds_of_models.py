"""Small VAEs of many kinds, for `--model tests/commands/kinds_of_models.py:NAME`. Each function
returns the same weights in every process.
"""
import numpy as np
import tensorflow as tf

import tfisovae

keras, layers = tf.keras, tf.keras.layers
N, M = 2, 6
W = np.random.default_rng(0).standard_normal((M, 2 * N)).astype(np.float32) / 3
V = np.random.default_rng(1).standard_normal((N, M)).astype(np.float32) / 3


def _dense(kernel, activation=None, **options):
    """One layer with this kernel."""
    made = keras.Sequential([layers.Input(kernel.shape[:1]),
                             layers.Dense(kernel.shape[1], activation, **options)])
    made.set_weights([kernel, 0 * kernel[0]])
    return made


def _encoder(**options):
    return _dense(W, **options)


def _decoder(**options):
    return _dense(V, "tanh", **options)


def keras_pair():
    return _encoder(), _decoder()


def object_with_a_sample():
    class Sampling(layers.Layer):
        def call(self, mean):
            return mean + tf.random.normal(tf.shape(mean))

    x = keras.Input((M,))
    mean, log_variance = (_dense(half)(x) for half in np.split(W, 2, 1))

    class Theirs:
        encoder = keras.Model(x, [mean, log_variance, Sampling()(mean)])
        decoder = _decoder()

    return Theirs()


class _Methods(keras.Model):
    def __init__(self, **options):
        super().__init__()
        self.first, self.second = _encoder(**options), _decoder(**options)

    def encode(self, x):
        return tf.split(self.first(x), 2, 1)

    def decode(self, z):
        return self.second(z)

    def call(self, x):
        return self.decode(self.encode(x)[0])


def methods_of_keras():
    return _Methods()


def methods_in_16_bits():
    return _Methods(dtype="mixed_bfloat16")


def numpy_in_float64():
    return lambda x: np.split(x @ W.astype(float), 2, 1), lambda z: np.tanh(z @ V.astype(float))


def signatures_in_float64():
    def of(function, size):
        return tf.function(function, input_signature=[tf.TensorSpec([None, size], tf.float64)])

    return (of(lambda x: tf.matmul(x, tf.cast(W, x.dtype)), M),
            of(lambda z: tf.tanh(tf.matmul(z, tf.cast(V, z.dtype))), N))


def distribution_taken_apart():
    import tensorflow_probability as tfp

    layer, encoder = tfp.layers.IndependentNormal(N), _encoder()

    def encode(x):
        found = layer(encoder(x))
        return found.mean(), 2 * tf.math.log(found.stddev())

    return encode, _decoder()


def recurrent():
    constant = keras.initializers.Constant
    return _encoder(), keras.Sequential([
        layers.Input((N,)), layers.RepeatVector(2), layers.SimpleRNN(
            3, kernel_initializer=constant(0.3), recurrent_initializer=constant(0.2)),
        layers.Dense(M, kernel_initializer=constant(0.4))])


def own_options():
    """What `as_autoencoder` returns, with a distortion that no option of the command names."""
    return tfisovae.as_autoencoder(
        keras_pair(), tfisovae.distortions.ColumnBlocks([("sse", 4), ("sse", M - 4, 0.5)]), 0.1)


# Refused.


def full_covariance():
    import tensorflow_probability as tfp

    layer = tfp.layers.MultivariateNormalTriL(N)
    wider = layers.Dense(layer.params_size(N))
    return lambda x: layer(wider(x)), _decoder()


def hierarchical():
    encoder = _encoder()
    return lambda x: ([encoder(x), encoder(x)[:, :1]], [encoder(x), encoder(x)[:, :1]]), _decoder()


def two_inputs():
    return lambda x, c: (x[:, :N], x[:, :N] + c), _decoder()


def no_latents():
    return lambda x: (x[:, :0], x[:, :0]), lambda z: tf.zeros([len(z), M])


def sample_first():
    encoder = _encoder()

    def encode(x):
        mean, log_variance = tf.split(encoder(x), 2, 1)
        return mean + tf.random.normal(tf.shape(mean)), mean, log_variance

    return encode, _decoder()


def jumps():
    decoder = _decoder()
    return _encoder(), lambda z: tf.one_hot(tf.argmax(decoder(z), -1), M)


def half_precision():
    return lambda x: (x @ W).astype(np.float16), _decoder()


def fails():
    def decode(z):
        raise KeyError("no such weights")

    return _encoder(), decode


def fails_in_keras():
    class Broken(layers.Layer):
        def call(self, z):
            raise RuntimeError("no such weights")

    return _encoder(), Broken()


def returns_objects():
    return _encoder(), lambda z: object()


def fewer_rows():
    decoder = _decoder()
    return _encoder(), lambda z: decoder(z)[:-1]


def cannot_be_made():
    raise RuntimeError("no file of weights")


MEASURED = [keras_pair, object_with_a_sample, methods_of_keras, methods_in_16_bits,
            numpy_in_float64, signatures_in_float64, distribution_taken_apart, recurrent,
            own_options]
REFUSED = [full_covariance, hierarchical, two_inputs, no_latents, sample_first, jumps,
           half_precision, fails, fails_in_keras, returns_objects, fewer_rows, cannot_be_made]
