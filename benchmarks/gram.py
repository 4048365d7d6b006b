"""The Gram matrix and norms of n = 32 against n + 1 decodes of the same images, and the memory
of an evaluation.

    python benchmarks/gram.py [--num_images 1000] [--bare] [--memory]

`--bare` measures the decoder as one that comes from elsewhere, the signature of a SavedModel: by
autodiff against n + 1 decodes, and by central differences against 2n + 1.
"""
import resource
import subprocess
import sys
import tempfile

import timing

import tfisovae


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--num_images", type=int, default=1000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--bare", action="store_true",
                   help="the decoder is a SavedModel's signature; also by differences")
    p.add_argument("--memory", action="store_true",
                   help="also the peak memory at 1,000 and 10,000 images (n = 2)")
    p.add_argument("--peak_of", type=int,
                   help="print the peak memory in MB of analysing that many images, and end")
    args = p.parse_args(argv)
    if args.peak_of:
        print(peak_memory(args.peak_of))
        return
    import tensorflow as tf

    _, decoder = tfisovae.networks.celeba()
    distortion, n = tfisovae.distortions.SSIM(), decoder.input_shape[-1]
    if args.bare:
        decoder = bare_decoder()
    z, scale = tf.random.normal([args.num_images, n],
                                seed=0), tf.random.uniform([args.num_images, n], seed=1)
    signature = [tf.TensorSpec([None, n])] * 2

    def gram(tangents):
        @tf.function(input_signature=signature)
        def made(z, scale):
            return tfisovae.geometry.isometry_gram(decoder, z, scale, distortion, 0.001, tangents)

        return made

    @tf.function(input_signature=signature)
    def decodes(z, scale):
        def one(shift):
            return tf.reduce_sum(decoder(z + shift))

        return tf.map_fn(one, tf.range(n + 1, dtype=tf.float32), parallel_iterations=1)

    def over_batches(function):
        return lambda: [
            function(z[i:i + 50], scale[i:i + 50])[0].numpy()
            for i in range(0, args.num_images, 50)
        ]

    grams = {
        "": gram("autodiff"), **({"_by_differences": gram("differences")} if args.bare else {})
    }
    ratios = {name: [] for name in grams}
    for round_number in range(args.rounds):
        warmup = 0 if round_number else 1
        decoding = timing.seconds(over_batches(decodes), repeats=1, warmup=warmup)
        for name, function in grams.items():
            took = timing.seconds(over_batches(function), repeats=1, warmup=warmup)
            beside = decoding * (2 * n + 1) / (n + 1) if name else decoding
            ratios[name].append(took / beside)
    measured = {"num_images": args.num_images, "decodes_seconds": decoding}
    for name, some in ratios.items():
        measured |= {
            f"ratio{name}": sorted(some)[len(some) // 2], f"ratios{name}": sorted(
                round(r, 3) for r in some)
        }
    if args.memory:
        peaks = [
            float(
                subprocess.run([sys.executable, __file__, "--peak_of",
                                str(count)], check=True, capture_output=True, text=True).stdout)
            for count in (1000, 10_000)
        ]
        measured |= {
            "peak_mb_1000": peaks[0], "peak_mb_10000": peaks[1], "memory_ratio": round(
                peaks[1] / peaks[0], 3)
        }
    timing.report(measured, args.json)


def bare_decoder():
    """The decoder of the paper's network as a stranger has it: exported, loaded, and taken by
    `as_autoencoder`.
    """
    with tempfile.TemporaryDirectory() as directory:
        tfisovae.VAE(*tfisovae.networks.celeba(), "ssim", 1000.0).save(f"{directory}/model")
        return tfisovae.as_autoencoder(f"{directory}/model").decode


def peak_memory(count):
    """Peak resident memory, MB, of a process that analyses `count` images (drawn on the fly, never
    held).
    """
    import tensorflow as tf

    vae = tfisovae.VAE(*tfisovae.networks.celeba(2), "ssim", 1000.0)
    batches = tf.data.Dataset.range(count // 100).map(
        lambda i: tf.random.stateless_uniform([100, 64, 64, 3], tf.stack([i, 0])))
    tfisovae.analyze(vae, batches)
    return resource.getrusage(
        resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    main()
