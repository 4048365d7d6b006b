"""Cost and memory of `analyze` against n: a convolutional VAE with the latents [s, s, 4] and images
of 4s x 4s x 3 pixels, the layout of AutoencoderKL.

    python benchmarks/large.py --json results/large/latents.json [--sides 2 4 8 16 32 64]
    python -m results.latents

The second command draws the curve from the file of the first. Each n is measured in a process of
its own, and what the file already holds is not measured again. The weights are random: the cost
does not depend on them. A KL weight of 1e-6 makes sigma small.
"""
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

import timing

_OPTIONS = ("num_examples", "method", "filters")


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--sides", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64],
                   help="s; n is 4 s^2, from 16 to 16,384 by default")
    p.add_argument("--num_examples", type=int, default=10)
    p.add_argument("--method", default="auto")
    p.add_argument("--filters", type=int, default=32, help="of the layers of largest size")
    p.add_argument("--side", type=int, help="print what one s costs, and end")
    args = p.parse_args(argv)
    asked = {name: getattr(args, name) for name in _OPTIONS}
    if args.side:
        print(json.dumps(costs(args.side, **asked)))
        return
    rows = _already(args.json)
    for side in args.sides:
        key = {"n": 4 * side**2, **asked}
        if any(key.items() <= row.items() for row in rows):
            continue
        options = [f"--{name}={value}" for name, value in asked.items()]
        said = subprocess.run([sys.executable, __file__, f"--side={side}", *options], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        rows.append({**key, **json.loads(said.splitlines()[-1])})
        print(rows[-1], file=sys.stderr, flush=True)
        timing.report({"rows": rows}, args.json)


def _already(path):
    """What a file holds from an earlier call."""
    if not path or not os.path.exists(path):
        return []
    with open(path) as file:
        return json.load(file)["rows"]


def costs(side, num_examples, method, filters):
    """What one s costs: seconds, CPU seconds, peak memory in MB, passes through the decoder for
    each example of the estimated method, multiply-adds of a decode, and the size of the JSON file
    in MB.
    """
    import numpy as np

    import tfisovae
    from tfisovae.geometry.estimated import LARGEST_EXACT

    encoder, decoder = networks(side, filters)
    x = np.random.default_rng(0).uniform(size=[num_examples, 4 * side, 4 * side, 3])
    model = tfisovae.as_autoencoder((encoder, decoder), "sse", 1e-6)
    estimated = method == "estimated" or method == "auto" and 4 * side**2 > LARGEST_EXACT
    counted, passes = counting(model.decode) if estimated else (model.decode, lambda: None)
    model = tfisovae.Autoencoder(model.encode, counted, model.distortion, model.beta)
    start, used = time.perf_counter(), time.process_time()
    found = tfisovae.analyze(model, x.astype(np.float32), method=method, inspect=False,
                             tangents="autodiff")
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    unit = 1024**2 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    with tempfile.TemporaryDirectory() as directory:
        found.save(os.path.join(directory, "isometry.json"))
        size = os.path.getsize(os.path.join(directory, "isometry.json"))
    return {"used": found.method, "seconds": round(seconds, 2), "cpu_seconds": round(cpu, 2),
            "peak_mb": round(peak), "passes": passes() and round(passes() / num_examples, 1),
            "decoder_multiply_adds": multiply_adds(decoder), "json_mb": round(size / 1e6, 3)}


def counting(decode):
    """A decoder that counts, and a function that gives the count: rows that were decoded, and rows
    of products with its Jacobian J and with J^T.
    """
    import tensorflow as tf

    count = tf.Variable(0, dtype=tf.int64, trainable=False)

    def counts(value):
        """The value, when its rows are counted."""
        with tf.control_dependencies([count.assign_add(tf.shape(value, tf.int64)[0])]):
            return tf.identity(value)

    @tf.custom_gradient
    def forward(z):
        return counts(z), backward

    @tf.custom_gradient
    def backward(cotangent):
        return counts(cotangent), counts

    return lambda z: decode(forward(z)), lambda: int(count.numpy())


def networks(side, filters):
    """Encoder and decoder, with a factor of 4 between the sides of latents and images."""
    import tensorflow as tf

    layers, silu = tf.keras.layers, tf.nn.silu
    encoder = tf.keras.Sequential([
        layers.Input((4 * side, 4 * side, 3)),
        layers.Conv2D(filters, 3, 2, "same", activation=silu),
        layers.Conv2D(2 * filters, 3, 2, "same", activation=silu),
        layers.Conv2D(8, 1, bias_initializer=_small_variance)])
    decoder = tf.keras.Sequential([
        layers.Input((side, side, 4)), layers.Conv2D(2 * filters, 3, 1, "same", activation=silu),
        layers.Conv2DTranspose(2 * filters, 4, 2, "same", activation=silu),
        layers.Conv2DTranspose(filters, 4, 2, "same", activation=silu),
        layers.Conv2D(3, 3, 1, "same")])
    return encoder, decoder


def _small_variance(shape, dtype=None):
    import tensorflow as tf

    return tf.constant([0.0] * 4 + [-8.0] * 4, dtype)


def multiply_adds(decoder):
    """Of the convolutions of one decode."""
    total, shape = 0, decoder.input_shape[1:]
    for layer in decoder.layers:
        after = layer.compute_output_shape((1, *shape))[1:]
        kernel = int(layer.kernel.shape.num_elements())
        # A transposed convolution uses its kernel at each place of its input.
        places = shape if type(layer).__name__ == "Conv2DTranspose" else after
        total += int(places[0] * places[1] * kernel)
        shape = after
    return total


if __name__ == "__main__":
    main()
