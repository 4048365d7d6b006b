"""Cost and memory of `analyze` against n: a convolutional VAE with the latents [s, s, 4] and images
of 4s x 4s x 3 pixels, the layout of AutoencoderKL.

    python benchmarks/large.py [--sides 2 4 8 16 32 64] [--num_examples 10] [--method auto]

Each n is measured in a process of its own. The weights are random: the cost does not depend on
them. A KL weight of 1e-6 makes sigma small.
"""
import json
import resource
import subprocess
import sys
import time

import timing


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--sides", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64],
                   help="s; n is 4 s^2, from 16 to 16,384 by default")
    p.add_argument("--num_examples", type=int, default=10)
    p.add_argument("--method", default="auto")
    p.add_argument("--filters", type=int, default=32, help="of the layers of largest size")
    p.add_argument("--side", type=int, help="print what one s costs, and end")
    args = p.parse_args(argv)
    if args.side:
        print(json.dumps(costs(args.side, args.num_examples, args.method, args.filters)))
        return
    options = [f"--num_examples={args.num_examples}", f"--method={args.method}",
               f"--filters={args.filters}"]
    rows = []
    for side in args.sides:
        said = subprocess.run([sys.executable, __file__, f"--side={side}", *options], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        rows.append(json.loads(said.splitlines()[-1]))
        print(rows[-1], file=sys.stderr, flush=True)
    timing.report({"num_examples": args.num_examples, "rows": rows}, args.json)


def costs(side, num_examples, method, filters):
    """Seconds, CPU seconds, peak memory in MB, and multiply-adds of a decode, for one s."""
    import numpy as np

    import tfisovae

    encoder, decoder = networks(side, filters)
    x = np.random.default_rng(0).uniform(size=[num_examples, 4 * side, 4 * side, 3])
    autoencoder = tfisovae.as_autoencoder((encoder, decoder), "sse", 1e-6)
    start, used = time.perf_counter(), time.process_time()
    found = tfisovae.analyze(autoencoder, x.astype(np.float32), method=method)
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return {
        "n": 4 * side**2, "method": found.method,
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(time.process_time() - used, 2),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit),
        "decoder_multiply_adds": multiply_adds(decoder)
    }


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
