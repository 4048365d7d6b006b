"""Where the time of a toy training step goes, microseconds: its matrix products each alone, its
noise, all of it, and Keras.

    python benchmarks/toy_parts.py [--json FILE]

The products are timed as XLA runs them, in a loop that feeds each result back. What a step takes
beyond them and the noise is pointwise work (tanh, the loss and their gradients) and Adam.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it sets the oneDNN option)
import numpy as np
import tensorflow as tf
import timing

from tfisovae.vae.optimizers import FusedAdam
from tfisovae.autoencoder.noise import noise_steps
from tfisovae.training import batches
from tfisovae.training import devices

BATCH, STEPS = 128, 2000
# The decoder's 3 inputs are filled up to 4.
WIDTHS = [(16, 128), (128, 64), (64, 6), (4, 64), (64, 128), (128, 16)]


def product_microseconds(a, b, **transposed):
    """Of one product in a compiled loop."""
    @tf.function(jit_compile=True)
    def loop(a, b):
        def body(step, a, total):
            y = tf.matmul(a, b, **transposed)
            return step + 1, tf.tensor_scatter_nd_update(a, [[0, 0]],
                                                         1e-9 * y[0, :1]), total + y[0, 0]

        return tf.while_loop(lambda step, *_: step < STEPS, body, (0, a, 0.0))[2]

    return timing.seconds(lambda: loop(a, b).numpy()) / STEPS * 1e6


def products_microseconds():
    """Of all products of a step: forward, and backward to weights and (but for the first layer) to
    inputs.
    """
    total = 0
    for layer, (inputs, outputs) in enumerate(WIDTHS):
        x, w, y = (tf.random.normal(shape)
                   for shape in ([BATCH, inputs], [inputs, outputs], [BATCH, outputs]))
        total += product_microseconds(x, w) + product_microseconds(x, y, transpose_a=True)
        total += product_microseconds(y, w, transpose_b=True) if layer else 0
    return total


def warm_vae(steps):
    """A toy VAE on resident data that has trained for two calls of `steps` steps, and its data set.
    """
    devices.prepare_cpu(128, "one_device")
    x = np.random.default_rng(0).standard_normal((50_000, 16)).astype(np.float32)
    strategy = devices.make_strategy("one_device")
    with strategy.scope():
        vae = tfisovae.VAE(*tfisovae.networks.toy(), "sse", 100.0)
        vae.compile(FusedAdam(1e-3), resident=x)
    data = batches.resident_batches(len(x), 128, 0, 0, steps, strategy)
    vae.fit(data, epochs=2, steps_per_epoch=1, verbose=0)
    return vae, data


def main(argv=None):
    args = timing.parser(__doc__).parse_args(argv)
    vae, data = warm_vae(STEPS)
    rows, first = next(iter(data)), tf.constant(0, tf.int64)
    noise = tf.function(lambda: noise_steps(tf.constant(STEPS), first, BATCH, vae.n, 0))
    step = tf.function(lambda: vae.train_step(rows)["loss"])

    def of_a_step(function):
        return round(timing.seconds(function) / STEPS * 1e6, 1)

    timing.report(
        {
            "products_us": round(products_microseconds(),
                                 1), "noise_us": of_a_step(lambda: noise().numpy()),
            "train_step_us": of_a_step(lambda: step().numpy()), "fit_us": round(
                of_a_step(lambda: vae.fit(data, epochs=3, steps_per_epoch=1, verbose=0)) / 3, 1)
        }, args.json)


if __name__ == "__main__":
    main()
