"""What several tests share: small models and data, small trainings, workers, damaged files."""
import functools
import json
import math
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import tensorflow as tf

import tfisovae
from results import verdict as simulated
from tfisovae import _keras, files, networks
from tfisovae.sources import Rows, Source
from tfisovae.training import devices, loop, runs
from tfisovae.verdict import State, Verdict, checks, gains, tests_of_means
from tfisovae.verdict.isometry import isometry_of, judge_isometry
from tfisovae.verdict.record import Reason, ReasonKind

ROOT = pathlib.Path(__file__).parent.parent


def assert_alike(a, b, name="", **tolerances):
    """Values as JSON has them are the same, and numbers within tolerances."""
    if isinstance(b, dict):
        assert a.keys() == b.keys(), name
        for key in b:
            assert_alike(a[key], b[key], f"{name}.{key}", **tolerances)
    elif isinstance(b, str) or b is None:
        assert a == b, name
    else:
        np.testing.assert_allclose(np.array(a, float), np.array(b, float), err_msg=name,
                                   **tolerances)


def linear_vae(encoder_matrix, decoder_matrix, scale, lmbda, distortion="sse", **kwargs):
    """A VAE with mean x A, constant posterior scale, and decoder z B: its geometry is B G B^T."""
    a, b = np.asarray(encoder_matrix, np.float32), np.asarray(decoder_matrix, np.float32)
    m, n = a.shape
    encoder = tf.keras.Sequential([tf.keras.layers.Input((m,)), tf.keras.layers.Dense(2 * n)])
    decoder = tf.keras.Sequential([tf.keras.layers.Input((n,)), tf.keras.layers.Dense(m)])
    log_variance = np.broadcast_to(2 * np.log(scale), n).astype(np.float32)
    encoder.set_weights([np.concatenate([a, np.zeros([m, n], np.float32)], 1),
                         np.concatenate([np.zeros(n, np.float32), log_variance])])
    decoder.set_weights([b, np.zeros(m, np.float32)])
    return tfisovae.VAE(encoder, decoder, distortion, lmbda, **kwargs)


def measurement_of(n=6, num_active=4, beta=0.01, seed=0):
    """What `isometry.json` holds of a VAE of Gaussian data: `num_active` variances from 1 down to
    1/16, the rest collapsed.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(n)
    precision = np.ones(n)
    precision[order[:num_active]] = 2 / beta * 2.0 ** -np.linspace(0, 4, num_active)
    active = precision > 1
    cosine = np.abs(rng.uniform(-0.3, 0.3, [n, n]))
    cosine = np.triu(cosine, 1) + np.triu(cosine, 1).T + np.eye(n)
    target = 1 - 1 / precision
    norm = np.where(active, target * rng.uniform(0.8, 1.2, n), 0.01)
    kl = np.log(precision) / 2
    cost = np.where(active, beta / 2 * (precision - 1), 1e-6)
    means = np.rint(80 * np.exp(-np.linspace(-3, 3, 40) ** 2 / 2))
    distortion = {
        "coding_loss": beta / 2 * float(target.sum()), "transform_loss": 0.1 * beta,
        "rate": float(kl.sum())
    }
    values = {
        "cost_of_removal": cost, "cost_of_removal_standard_error": 0.02 * cost,
        "removal_examples": 1000, "mean_counts": np.tile(means, [n, 1]),
        "mean_limits": np.tile([-3.0, 3.0], [n, 1]),
        "norm_mean": norm, "norm_std": 0.1 * norm, "norm_standard_error": 0.01 * norm,
        "one_minus_variance": target, "derivative_mean": norm * precision * beta / 2,
        "derivative_std": 0.1 * norm, "precision_mean": precision,
        "precision_standard_error": 0.01 * precision,
        "importance": beta / 2 * precision, "kl_mean": kl, "active": active, "ranking": np.argsort(
            -precision, kind="stable"), "gram_mean": cosine * np.sqrt(np.outer(norm, norm)),
        "gram_cosine": cosine, "balance": np.ones(n), "balance_standard_error": np.full(
            n, 0.01), "latent_mean": np.zeros(n), "latent_second_moment":
                np.ones(n), "isometric_norm": float(norm[active].mean()) if num_active else None,
        "isometric_norm_spread": float(norm[active].std()) if num_active else None,
        "gram_off_diagonal": 0.15, "gram_off_diagonal_cosine": 0.17 if num_active > 1 else None,
        "posterior_balance": 1.01 if num_active else None,
        **distortion, "distortion": distortion["coding_loss"] + distortion["transform_loss"],
        "loss": 5.0, "lmbda": 1 / beta, "beta": beta, "decomposed": False,
        "distortion_name": "SumSquaredError()", "num_examples": 1000, "active_threshold": 0.01,
        "tangents": "autodiff", "quadratic": True, **{
            f"{name}_standard_error": 0.01
            for name in ("rate", "distortion", "loss", "coding_loss", "transform_loss",
                         "posterior_balance")
        }, "unexplained": np.linspace(
            0.05, 0.1, n), "unexplained_standard_error": np.full(n, 0.01), "log_scale_std": np.full(
                n, 0.3), "stationarity": {}, "conditions": {
                }, "factor_names": ["smile", "hat"], "factor_correlations": rng.uniform(
                    -1, 1, [n, 2]), "steps": 100, "principal_components": {
                        "eigenvalue": 2.0**-np.arange(n), "standard_error": np.full(n, 0.01),
                        "num_examples": 1000, "constant": False, "whole": 2.0
                    }
    }
    off = Reason(ReasonKind.OFF, checks.MEAN, 1, 0.3, 0.0, 0.01, 1e-9)
    found = Verdict(State.IMPROVING, (off, ), isometry_of(values), 1000,
                    gains=(gains.Gain(gains.GainKind.SCALE, 0.3, 0.01), ))
    return files.plain({**values, "verdict": found.to_dict()})


def damaged_copy(data, rng):
    """Bytes changed, cut off, left out, put in or zeroed, more often near the start, where the
    headers are.
    """
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = int(len(data) * rng.uniform() ** rng.choice([1, 3, 6]))
        length = int(rng.choice([1, 2, 4, 16, 100]))
        kind = rng.integers(6)
        if kind == 0:
            data[at:at + length] = rng.bytes(length)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at:at + length]
        elif kind == 3:
            data[at:at] = rng.bytes(length)
        elif kind == 4:
            data[at:at + length] = bytes(length)
        elif at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


CONFIG = {
    "steps": 20, "batch_size": 32, "learning_rate": 1e-3, "clipnorm": None, "seed": 3,
    "log_every": 5, "checkpoint_every": 5, "decomposed": False, "warmup_steps": 0
}


def table(count=300):
    rng = np.random.default_rng(0)
    return (rng.standard_normal((count, 3)) @ rng.standard_normal((3, 16))).astype(np.float32)


def source():
    x = table()
    return Source(Rows(x, np.arange(250)), Rows(x, np.arange(250, 300)), {"fingerprint": "x"})


def make_vae():
    return tfisovae.VAE(*networks.toy(), "sse", 10.0, seed=3)


def small_celeba(latent_dim=3, output_igdn=True, image_size=16, channels=3):
    """A convolutional pair with GDN that takes the arguments of `networks.celeba`: two layers each
    way, of 8 filters.
    """
    layers, side = tf.keras.layers, image_size // 4
    encoder = [layers.Input((image_size, image_size, channels))]
    for kernel_size in (9, 5):
        encoder += [layers.Conv2D(8, kernel_size, 2, "same"), networks.GDN()]
    encoder += [layers.Flatten(), layers.Dense(2 * latent_dim, dtype="float32", name="posterior")]
    decoder = [layers.Input((latent_dim,)), layers.Dense(8 * side**2, "softplus"),
               layers.Reshape((side, side, 8)), layers.Conv2DTranspose(8, 5, 2, "same"),
               networks.GDN(inverse=True), networks.Upsample2(channels, 9)]
    decoder.append(networks.GDN(inverse=True, dtype="float32", name="output") if output_igdn
                   else layers.Activation("linear", dtype="float32", name="output"))
    return (tf.keras.Sequential(encoder, name="encoder"),
            tf.keras.Sequential(decoder, name="decoder"))


class KeptVAE(tfisovae.VAE):
    """A VAE that is traced once: each later `compile` sets it back to its first state instead.

    Its weights, lmbda, optimizer and metrics then have the values of a new one. The optimizer and
    the other arguments of `compile` must be equal each time.
    """

    _first = None

    def compile(self, optimizer, **kwargs):
        if self._first is None:
            super().compile(optimizer, **kwargs)
            _keras.build(self.optimizer, self.trainable_variables)
            counter = [] if _keras.KERAS_3 else [self._train_counter]
            own = [*self.optimizer.variables, self._lmbda, *counter,
                   *(value for metric in self.metrics for value in metric.variables)]
            rate = self.optimizer._learning_rate
            variables = [*self.weights, *own, *([rate] if isinstance(rate, tf.Variable) else [])]
            self.__dict__["_first"] = [(variable, variable.numpy()) for variable in variables]
        for variable, value in self._first:
            variable.assign(value)
        self._left = None

    def save(self, filepath, **kwargs):
        """As a plain VAE, which commands in other processes load."""
        plain = tfisovae.VAE.from_config(self.config_now())
        plain.set_weights(self.get_weights())
        plain.save(filepath, **kwargs)


class Pool:
    """VAEs of `make_vae` by what was compiled for them; each is used by one training at a time."""

    def __init__(self):
        self.free, self.used = {}, []

    def take(self, config, resident):
        schedule = [config.get(name) for name in ("seed", "anneal", "anneal_steps")]
        optimizer = loop._optimizer(config).get_config()
        key = json.dumps([schedule, optimizer, resident, config["batch_size"]], default=str)
        free = self.free.setdefault(key, [])
        vae = free.pop() if free else None
        if vae is None:
            tf.keras.utils.set_random_seed(config["seed"])
            with one_device().scope():
                vae = KeptVAE(*networks.toy(), "sse", 10.0, seed=3)
        self.used.append((key, vae))
        return vae

    def give_back(self, count):
        """Takes back all but the first `count` that are in use."""
        while len(self.used) > count:
            key, vae = self.used.pop()
            self.free[key].append(vae)


POOL = Pool()


@functools.cache
def one_device():
    return devices.make_strategy("one_device")


class WithoutModel(runs.Run):
    """A run that does not write its model: for tests that do not read it."""

    def save_model(self, vae):
        pass


def train(directory, config=None, strategy=None, extra_callbacks=(), make=make_vae, resident=False,
          save=False):
    """Trains a run; its model is written if `save`. With the defaults of `strategy` and `make` the
    VAE comes out of a pool, and is as good as new; it belongs to the test until that is over.
    """
    config, before = {**CONFIG, **(config or {})}, len(POOL.used)
    with (runs.Run if save else WithoutModel)(directory, config) as run:
        if make is make_vae and strategy is None and config.get("schedule") in (None, "cosine"):
            def make():
                return POOL.take(config, resident)
        try:
            return loop.train(run, make, source(), strategy or one_device(), extra_callbacks,
                              resident)
        except BaseException:
            POOL.give_back(before)
            raise


class Stop(tf.keras.callbacks.Callback):
    """Breaks a run off in the middle of an interval, as a crash would."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_end(self, batch, logs=None):
        if self.model.optimizer.iterations.numpy() == self.step:
            raise KeyboardInterrupt


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a.get_weights(), b.get_weights()))


WORKER = """
from tfisovae.training import devices, loop, runs
strategy = devices.make_strategy("multi_worker")
from tests import support as t
{make}
with runs.Run({directory!r}, {{**t.CONFIG, **{config!r}}}, devices.is_chief(strategy)) as run:
    loop.train(run, make_vae, t.source(), strategy)
"""


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def run_workers(directories, config=None, make="make_vae = t.make_vae"):
    """One worker process for each directory: their exit statuses and what they said. `make` is code
    that defines `make_vae`.
    """
    cluster = {"worker": [f"127.0.0.1:{port}" for port in free_ports(len(directories))]}
    workers = []
    for index, directory in enumerate(directories):
        code = WORKER.format(directory=str(directory), config=config or {}, make=make)
        tf_config = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        workers.append(
            subprocess.Popen(
                [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, env={
                    **os.environ, "TF_CONFIG": tf_config, "TFISOVAE_TEST_WORKER": "1",
                    "PYTHONPATH": str(ROOT)
                }))
    errors = [worker.communicate(timeout=240)[1] for worker in workers]
    return [worker.returncode for worker in workers], errors


KNOWN = checks.Conditions(True, None, True, None)  # the networks are such that all checks apply
AT_REST = tests_of_means.MeanGradient(0.0, 1.0, 10.0, math.inf, 0.5, 5000, 3.0)


def stationarity(n=4, num_examples=1000, shape="gaussian", deviation=0.0, seed=0, variance=0.02):
    """What is measured of an exactly stationary linear VAE, the first dimension of which is off by
    `deviation`.
    """
    rng = np.random.default_rng(seed)
    parts = [np.array(part) for part in simulated.quantities(shape, variance, num_examples, n, rng)]
    off = simulated.quantities(shape, variance, num_examples, 1, rng, deviation)
    for part, values in zip(parts, off):
        part[:, :1] = values
    return checks.Stationarity(*map(tests_of_means.Moments.of, parts), np.full(n, 1 - variance),
                               np.full(n, True))


def isometry(count=3, norm=0.95, norm_std=0.02, prediction=0.96, cosine=0.02, **known):
    """An `Isometry` of many examples; `norm` and `prediction` may be of each dimension."""
    vectors = (np.broadcast_to(np.asarray(value, float), count)
               for value in (norm, norm_std, prediction))
    known = {"num_examples": 5000, "unexplained": 0.01, "unexplained_error": 0.001,
             "quadratic": True} | known
    return judge_isometry(np.arange(count), *vectors, cosine, **known)
