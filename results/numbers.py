"""Measure six models, and write every number: `python -m results.numbers OUT.json`.

A refactoring must not change a number. Run this before it and after it; `--against` compares the
two files. The script uses promised names alone, so it runs in both. All randomness is seeded.

The models: toy and faces (published weights), MNIST (trained here once; `--weights` keeps the
weights), a pair of Keras models, the same pair as SavedModels, and two functions over NumPy arrays.

Give both runs as many cores: sums over convolutions are rounded otherwise on one core than on two.
"""
import argparse  # noqa: I001  (tfisovae before TensorFlow: it turns oneDNN on)
import dataclasses
import hashlib
import json
import os
import sys
import tempfile
import time

import tfisovae
import numpy as np
import tensorflow as tf

from tfisovae import callbacks, density, distortions, geometry, metrics, networks, sources, theory

HERE = os.path.dirname(os.path.abspath(__file__))
GAUSSIAN = theory.LinearVAE(np.array([4.0, 1.0, 0.25, 0.02]), 0.1)  # the fourth collapses
BASIS = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 4)))[0].T


def plain(value):
    """The value as Python's json holds it, which also writes NaN and Infinity."""
    value = value.numpy() if hasattr(value, "numpy") else value
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if dataclasses.is_dataclass(value):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    elif hasattr(value, "to_dict"):
        value = value.to_dict()
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def thinned(x):
    """About 500 entries of each example, evenly spaced."""
    rows = np.reshape(x, [len(x), -1])
    return rows[:, ::-(-rows.shape[1] // 500)]


def losses(d, x, x_hat):
    """What a distortion gives of examples and their reconstructions."""
    return {"value": d(x, x_hat), "excess": d.excess(x, x_hat - x),
            "metric_product": thinned(d.metric_product(x, x_hat - x))}


def measured(model, x, tangents="autodiff"):
    """What every model gives. `x` is `[N, ...]`; densities take 50 examples, geometry takes 5."""
    analysis, few = tfisovae.analyze(model, x), tf.constant(x[:5])
    mean, scale = model.encode(few)
    decode, d = model.decode, model.distortion
    try:
        beta = tfisovae.estimate_beta(model, x)
    except ValueError as error:
        beta = f"none: {error}"
    return {
        "analysis": analysis, "texts": [analysis.table(), analysis.summary(), analysis.health()],
        "beta": beta, "beta_works": not isinstance(beta, str),
        "log_densities": density.log_densities(model, x[:50]),
        "paper_density": density.log_densities(model, x[:50], "objective", pairs="paper"),
        "mean": mean, "scale": scale, "decoded": thinned(decode(mean)),
        "distortion": losses(d, few, decode(mean)),
        "numerical_derivatives": geometry.numerical_derivatives(decode, mean, d),
        "pullback_metric": geometry.pullback_metric(decode, mean, d, tangents=tangents),
        "isometry_gram": geometry.isometry_gram(decode, mean, scale, d, model.beta,
                                                tangents=tangents)}


def evaluated(vae, x):
    """The Keras metrics of a VAE by `evaluate`: the scalars, and the vectors behind them."""
    measures = [metrics.IsometricNorm(), metrics.IsometricNorm("numerical", name="numerical_norm"),
                metrics.GramOffDiagonal(), metrics.PosteriorPrecision(),
                metrics.PosteriorBalance(), metrics.ActiveDimensions(),
                metrics.Rate(name="measured_rate"), metrics.CodingLoss(), metrics.TransformLoss()]
    vae.compile(metrics=measures)
    return {"scalars": vae.evaluate(x, batch_size=64, verbose=0, return_dict=True),
            "vectors": {m.name: {"mean": m.mean, "std": m.std} for m in measures}}


def toy(_):
    """The published model of the toy data: as it is, pruned, standardized, and as a codec."""
    run = os.path.join(HERE, "toy", "recipe-sse-seed0")
    with open(os.path.join(run, "config.json"), encoding="utf-8") as file:
        x = sources.toy(json.load(file)["data"], 2_000, 0).x
    path = os.path.join(run, "model")
    vae, moved = tfisovae.load(path), tfisovae.load(path)
    small, codec = tfisovae.prune(vae, 2, x), tfisovae.Codec.fit(vae, x)
    codes = codec.compress(x[:20])
    joined = b"".join(codes)
    return {"toy": {
        **measured(vae, x), "metrics": evaluated(vae, x),
        "by_path": tfisovae.analyze(tfisovae.as_autoencoder(path), x[:300]),
        "pruned": {"analysis": tfisovae.analyze(small, x), "pruning": small.pruning},
        "standardized": {"moved": tfisovae.standardize_latents(moved, x),
                         "analysis": tfisovae.analyze(moved, x)},
        "codec": {"total_bytes": len(joined), "lengths": [len(code) for code in codes],
                  "bytes": list(joined), "sha256": hashlib.sha256(joined).hexdigest(),
                  "decompressed": codec.decompress(codes)}}}


def mnist(args):
    """A VAE of MNIST: measured with the stored weights, saved and loaded, trained for 3 steps."""
    x = np.random.default_rng(3).random([512, 784], np.float32)
    real = os.path.isfile(args.mnist)
    if real:
        with np.load(args.mnist) as arrays:
            x = arrays["x_train"][:512].reshape(-1, 784).astype(np.float32) / 255

    def made(**options):
        tf.keras.utils.set_random_seed(0)
        vae = tfisovae.VAE(*networks.mnist(latent_dim=8), "bce", lmbda=2000.0, **options)
        vae.compile(tf.keras.optimizers.Adam(1e-3))
        return vae

    def steps(vae, *watching):
        return vae.fit(x[:64], batch_size=64, epochs=3, shuffle=False, verbose=0,
                       callbacks=list(watching)).history

    vae = made()
    if args.weights and os.path.exists(args.weights):
        with np.load(args.weights) as kept:
            vae.set_weights([kept[f"arr_{k}"] for k in range(len(kept.files))])
    else:
        if real:
            vae.fit(x, batch_size=64, epochs=19, verbose=0)  # 152 steps
        if args.weights:
            np.savez(args.weights, *vae.get_weights())
    with tempfile.TemporaryDirectory() as temporary:
        vae.save(os.path.join(temporary, "model"))
        loaded = tfisovae.load(os.path.join(temporary, "model"))
    return {"mnist": {
        **measured(vae, x[:300]), "metrics": evaluated(vae, x[:300]), "real_data": real,
        "loaded": list(loaded.encode(tf.constant(x[:5]))), "pixel_means": x.mean(1)[:20],
        "training": {"plain": steps(made()), "decomposed": steps(made(decomposed=True)),
                     "annealed": steps(made(), callbacks.LambdaSchedule("linear", 3))}}}


def faces(_):
    """The published model of drawn faces, whose loss was the decomposed one with SSIM."""
    drawn = sources.faces(100, 7)
    x = drawn.images.astype(np.float32) / 255
    vae = tfisovae.load(os.path.join(HERE, "faces", "decomposed", "model"))
    return {"faces": {**measured(vae, x), "factors": drawn.factors[:5], "images": thinned(x[:5]),
                      "metrics": evaluated(vae, x)}}


def keras_pair(_):
    """A plain pair of Keras models, and the same pair as two SavedModels."""
    layers, generator = tf.keras.layers, np.random.default_rng(1)
    x, z = layers.Input((6,)), layers.Input((3,))
    hidden = layers.Dense(8, "tanh")(x)
    encoder = tf.keras.Model(x, [layers.Dense(3, name="mean")(hidden),
                                 layers.Dense(3, name="log_variance")(hidden)])
    decoder = tf.keras.Model(z, layers.Dense(6)(layers.Dense(8, "tanh")(z)))
    for network in (encoder, decoder):
        network.set_weights([generator.normal(0, 0.5, weight.shape).astype(np.float32)
                             for weight in network.get_weights()])
    *others, bias = encoder.get_weights()
    encoder.set_weights([*others, bias - 2])  # small scales: every dimension carries information
    data = np.random.default_rng(2).standard_normal([300, 6]).astype(np.float32)
    found = {"keras_pair": measured(tfisovae.as_autoencoder((encoder, decoder), "sse", 0.2), data)}
    with tempfile.TemporaryDirectory() as temporary:
        paths = tuple(os.path.join(temporary, name) for name in ("encoder", "decoder"))
        for network, path in zip((encoder, decoder), paths):
            tf.saved_model.save(network, path)
        model = tfisovae.as_autoencoder(paths, "sse", 0.2)
        return {**found, "saved_model": measured(model, data)}


def numpy_functions(_):
    """The optimum on Gaussian data, as two functions over NumPy arrays."""
    def encode(x):
        mean = x @ BASIS.T * GAUSSIAN.encoder_gain
        return mean, np.broadcast_to(2 * np.log(GAUSSIAN.scale), mean.shape)

    def decode(z):
        return z * GAUSSIAN.decoder_gain @ BASIS

    x = np.random.default_rng(4).standard_normal([300, 4]) * [2, 1, 0.5, 0.02**0.5] @ BASIS
    model = tfisovae.as_autoencoder((encode, decode), *tfisovae.objective("sse", weight=10))
    return {"numpy": measured(model, x.astype(np.float32), tangents="differences")}


def closed_forms(_):
    """What needs no model: the linear VAE, a loss as people write it, and every distortion."""
    x, y = tf.constant(np.random.default_rng(5).uniform(0.1, 0.9, [2, 3, 12, 12, 1]), tf.float32)
    found = {name: tfisovae.Autoencoder(tf.identity, tf.identity, name, 1.0).distortion
             for name in ("sse", "mse", "bce", "downward_convex", "upward_convex")}
    found["nll"] = tfisovae.objective("gaussian_nll", reduction="sum", variance=0.5).distortion
    keras = tfisovae.objective("bce", reduction="last_axis_mean", shape=(28, 28, 1))
    return {"theory": vars(GAUSSIAN), "distortions": {
        "ssim": losses(distortions.SSIM(), x, y), "beta_of_keras": keras.beta,
        **{name: losses(d, tf.reshape(x, [3, -1]), tf.reshape(y, [3, -1]))
           for name, d in found.items()}}}


def leaves(value, key=""):
    """Pairs of a key and a text, or an array of numbers (`None` is NaN)."""
    if isinstance(value, list) and any(isinstance(entry, str | dict) for entry in value):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for name, entry in value.items():
            yield from leaves(entry, f"{key}/{name}")
    else:
        yield key[1:], value if isinstance(value, str) else np.array(value, np.float64)


def difference(one, other):
    """The largest relative difference of two leaves; infinite where they cannot be compared."""
    if isinstance(one, str) or isinstance(other, str) or one.shape != other.shape:
        return np.inf
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    with np.errstate(all="ignore"):
        relative = np.abs(one - other) / np.maximum(np.abs(one), np.abs(other))
    relative = np.where(np.isfinite(relative), relative, np.inf)
    return float(np.max(np.where(same, 0.0, relative), initial=0.0))


def compare(before, after, rtol):
    """Prints how two records differ. Returns whether a number differs by more than `rtol`."""
    before, after = dict(leaves(before)), dict(leaves(after))
    both = [key for key in before if key in after]
    texts = [key for key in both if isinstance(before[key], str) and isinstance(after[key], str)]
    off = {key: difference(before[key], after[key]) for key in both if key not in texts}
    for model in dict.fromkeys(key.split("/")[0] for key in off):
        mine = {key: value for key, value in off.items() if key.split("/")[0] == model}
        worst = max(mine, key=mine.get)
        print(f"{model}: {sum(np.size(after[key]) for key in mine):,} numbers, largest relative "
              f"difference {mine[worst]:.3g}" + (f" ({worst})" if mine[worst] else ""))
    bad = [f"{key}: {value:.3g}" for key, value in off.items() if value > rtol]
    for name, keys in (
            (f"texts of {len(texts)} that differ", [k for k in texts if before[k] != after[k]]),
            ("missing now", sorted(before.keys() - after)), ("new", sorted(after.keys() - before)),
            (f"numbers that differ beyond {rtol:g}", bad)):
        print(f"{name}: {len(keys)}", *keys, sep="\n  ")
    return bool(bad)


def main():
    """Measures, writes, and compares. Returns the exit code."""
    p = argparse.ArgumentParser(prog="python -m results.numbers", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", help="the JSON file to write")
    p.add_argument("--weights", help="an .npz with the weights of MNIST; the first run makes it")
    p.add_argument("--mnist", default="mnist.npz",
                   help="mnist.npz; without it, images are noise, and nothing is trained")
    p.add_argument("--against", help="an earlier JSON file to compare with")
    p.add_argument("--rtol", type=float, default=0.0,
                   help="the relative difference that is allowed to each number (default: 0)")
    args = p.parse_args()
    tf.get_logger().setLevel("ERROR")
    print(f"Measuring with {tfisovae.__file__}.")
    for path in filter(None, (args.out, args.weights)):
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {"setup": {"cores": f"{cores} cores", "tensorflow": tf.__version__}}
    for job in (closed_forms, numpy_functions, keras_pair, toy, mnist, faces):
        start = time.perf_counter()
        found |= plain(job(args))
        print(f"{job.__name__}: {time.perf_counter() - start:.0f} s", flush=True)
    with open(args.out, "w", encoding="utf-8") as file:
        json.dump(found, file)
    if args.against:
        with open(args.against, encoding="utf-8") as file:
            return int(compare(json.load(file), found, args.rtol))
    return 0


if __name__ == "__main__":
    sys.exit(main())
