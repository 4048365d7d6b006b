"""One device and 2, 3 and 4 replicas, compared in a process of its own. It has four logical CPU
devices, and raises AssertionError where two numbers differ by more than rounding.

    python tests/replicas.py [DIRECTORY]
"""
import os
import sys

import numpy as np
import tensorflow as tf

import tfisovae
from tfisovae import Codec, density, metrics
from tfisovae.__main__ import main as command
from tfisovae.metrics.stationarity import AggregateMoments
from tfisovae.training import devices
from tfisovae.vae.optimizers import FusedAdam

layers = tf.keras.layers
X = np.random.default_rng(0).uniform(0.1, 0.9, [37, 6, 6, 1]).astype(np.float32)
_AS_DRAWN = X.copy()
OPTIMIZERS = {"sgd": lambda: tf.keras.optimizers.SGD(1e-3, 0.9), "adam": lambda: FusedAdam(1e-3)}
# Sums are taken in another order. Adam divides by gradients, which rounding alone can change much
# where they are near 0.
TOLERANCE = {"sgd": {"rtol": 2e-4, "atol": 2e-6}, "adam": {"rtol": 2e-3, "atol": 5e-5}}


def strategy_of(replicas):
    if replicas == 1:
        return tf.distribute.OneDeviceStrategy("CPU:0")
    # The default reduction takes all strategies of a process for one.
    return tf.distribute.MirroredStrategy([f"CPU:{number}" for number in range(replicas)],
                                          tf.distribute.ReductionToOneDevice())


def make_vae(distortion="sse", decomposed=False):
    tf.keras.utils.set_random_seed(3)
    encoder = tf.keras.Sequential([
        layers.Input((6, 6, 1)), layers.Flatten(), layers.Dense(6, kernel_regularizer="l2")])
    decoder = tf.keras.Sequential([
        layers.Input((3,)), layers.Dense(36, activation="sigmoid"), layers.Reshape((6, 6, 1))])
    return tfisovae.VAE(encoder, decoder, distortion, 5.0, decomposed, seed=3)


def everything():
    return [metrics.IsometricNorm(), metrics.GramOffDiagonal(), metrics.PosteriorPrecision(),
            metrics.PosteriorBalance(), metrics.CodingLoss(), AggregateMoments()]


def batched(x, size):
    return tf.data.Dataset.from_tensor_slices(x).batch(size)


def every_size():
    """Batches of 13 examples, of 12, and so on down to 1: all remainders, and replicas that have no
    rows, in the middle of an epoch.
    """
    def batches():
        for size in range(13, 0, -1):
            yield X[size:2 * size]  # views, which must stay as they are

    return tf.data.Dataset.from_generator(batches, output_signature=tf.TensorSpec([None, 6, 6, 1]))


def trained(replicas, optimizer, distortion="sse", decomposed=False, measured=()):
    """What `fit` and `evaluate` report, and the weights."""
    with strategy_of(replicas).scope():
        vae = make_vae(distortion, decomposed)
        vae.compile(OPTIMIZERS[optimizer](), metrics=list(measured))
    found = {"every size": vae.fit(every_size(), verbose=0).history, "array": vae.fit(
        X, batch_size=19, shuffle=False, validation_data=X, verbose=0).history}
    for size in (36, 12, 9, 6, 4):  # 37 examples: one is left
        found[f"batches of {size}"] = vae.fit(batched(X, size), verbose=0).history
    found["weights"] = vae.get_weights()
    for name, data in (("every size", every_size()), ("array", X), ("36", batched(X, 36))):
        found[f"evaluated on {name}"] = vae.evaluate(data, return_dict=True, verbose=0)
    return found


def compare(one, other, name, **tolerance):
    np.testing.assert_array_equal(X, _AS_DRAWN, err_msg=f"the examples, after {name}")
    flat = tf.nest.flatten(one)
    assert len(flat) == len(tf.nest.flatten(other)), name
    for a, b in zip(flat, tf.nest.flatten(other)):
        np.testing.assert_allclose(b, a, err_msg=name, **tolerance)


def check_training():
    # Metrics are slow to trace on many replicas.
    for optimizer, distortion, decomposed, measured, several in (
            ("sgd", "sse", False, everything, (3,)), ("adam", "bce", True, list, (2, 4))):
        one = trained(1, optimizer, distortion, decomposed, measured())
        for replicas in several:
            other = trained(replicas, optimizer, distortion, decomposed, measured())
            for name, value in one.items():
                compare(value, other[name], f"{replicas} replicas, {optimizer}, {name}",
                        **TOLERANCE[optimizer])


def measured(replicas):
    """`analyze`, log densities and a codec of one VAE."""
    with strategy_of(1).scope():
        vae = make_vae()
        vae.compile("adam")
        vae.fit(batched(X, 37), epochs=20, verbose=0)
    with strategy_of(replicas).scope():
        analysis = tfisovae.analyze(vae, every_size())
        codec = Codec.fit(vae, every_size())
        codes = codec.compress(X[:7])
        return [
            analysis.norm_mean, analysis.gram_mean, analysis.balance, analysis.loss,
            list(density.log_densities(vae, every_size()).values()), codec.predicted.exact,
            codec.predicted.distortion, [np.frombuffer(code, np.uint8) for code in codes],
            codec.decompress(codes)]


def check_measuring():
    compare(measured(1), measured(4), "measured", rtol=1e-5, atol=1e-4)


def check_commands(place):
    """Batches of 30 on four replicas, and of 3, where one has no rows."""
    for size in (30, 3):
        weights = []
        for strategy in ("one_device", "mirrored"):
            run = os.path.join(place, f"{strategy}-{size}")
            command(["toy", "--source", "mix", "--strategy", strategy, "--batch_size", str(size),
                     "--num_examples", str(10 * size), "--epochs", "2", "--num_eval", "0",
                     "--no-resident", "--run_dir", run])
            weights.append(tfisovae.load(os.path.join(run, "model")).get_weights())
        compare(*weights, f"batches of {size}", **TOLERANCE["adam"])


def main(place=None):
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4)
    check_training()
    check_measuring()
    if place:
        assert devices.make_strategy("mirrored").num_replicas_in_sync == 4
        check_commands(place)


if __name__ == "__main__":
    main(*sys.argv[1:])
