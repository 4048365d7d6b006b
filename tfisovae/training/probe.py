"""How much a run would gain from more training: a copy of its model trains further, and the losses
before and after are compared.
"""
import dataclasses
import itertools
import json
import os
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import _keras, arguments, files
from tfisovae._autograph import compiled
from tfisovae.autoencoder import inspection, streaming
from tfisovae.autoencoder.autoencoder import (
    AutoencoderLike,
    Measurable,
    as_autoencoder,
    refuse,
)
from tfisovae.autoencoder.data import Data, whole
from tfisovae.autoencoder.data import batches as data_batches
from tfisovae.autoencoder.networks import Networks
from tfisovae.distortions.base import Distortion
from tfisovae.metrics.measurement import measure
from tfisovae.progress import bar as progress_bar
from tfisovae.sources import Source
from tfisovae.training import batches, devices, loop, runs
from tfisovae.vae.vae import VAE, load
from tfisovae.verdict.gains import Probe

_AVERAGED_OVER = 0.1  # last part of a probe at a constant rate, over which weights are averaged
_SEEDS = 1_000_003  # a probe draws other batches than the training


def losses(model: Measurable, data: Data, num_examples: int | None = None, seed: int = 0,
           progress: bool = False, loss: Callable[..., tf.Tensor] | None = None) -> np.ndarray:
    """The training loss of each example, `[N]`, nats.

    The noise of an example depends only on the seed and on its index, so losses of two models can
    be compared in pairs.

    Args:
      model: a `VAE` or an `Autoencoder`.
      data: examples, in the same order each time.
      num_examples: how many; all by default.
      seed: of the posterior noise.
      progress: whether to show a progress bar.
      loss: as for `probe`.
    """
    loss = loss or _objective(model)
    rows = streaming.examples_of(model, data, num_examples, "losses", progress)
    found = streaming.run(rows, lambda x, first_row: loss(x, first_row, seed), replicas=False)
    return np.concatenate([part for part, _ in found]).astype(np.float64)


def _objective(model):
    known = model.networks or Networks()
    return known.training_objective or (lambda *of: measure(model, *of).objective)


def probe(model: AutoencoderLike, data: Data, steps: int, trained_steps: int | None = None, *,
          loss: Callable[..., tf.Tensor] | None = None,
          optimizer: tf.keras.optimizers.Optimizer | None = None, batch_size: int = 128,
          num_examples: int = 50_000, seed: int = 0, progress: bool = False,
          distortion: Distortion | str | None = None, beta: float | None = None,
          scale: str = "log_variance", inspect: bool = True) -> Probe:
    """Shows what more training would gain: trains a Keras model further, measures the fall of its
    loss, and restores its weights.

    Layers are in inference mode, as in all measurements. The cost is the cost of the training
    steps.

    Args:
      model: anything that `as_autoencoder` takes, with trainable weights.
      data: training data: an array `[N, ...]`, or a `tf.data.Dataset` of batches.
      steps: how many. As many as in the training show the gain of a doubling; fewer show a lower
        bound.
      trained_steps: how many steps the training had, if known.
      loss: `(x, first_row, seed)` -> the training loss, `[B]`, nats. By default D / beta + KL.
      optimizer: a new one, as in your training. By default Adam with a rate that falls from .001 to
        0 along a cosine.
      batch_size: of the training steps, for an array.
      num_examples: at most, over which the losses are compared.
      seed: of the order of an array's examples, and of the posterior noise.
      progress: whether to show progress bars.
      distortion, beta, scale: as `as_autoencoder` takes them.
      inspect: as of `tfisovae.analyze`.

    Returns:
      `Probe`, for the `probes` of `Analysis.judge`.

    Raises:
      ValueError: if the model has no trainable weights, or there are too few examples.

    Example:
      >>> found = tfisovae.probe(vae, x, steps=3, trained_steps=3)
      >>> verdict = tfisovae.analyze(vae, x).judge(probes=[found])
    """
    arguments.integer("steps", steps)
    autoencoder = as_autoencoder(model, distortion, beta, scale)
    refuse(autoencoder, "probe", "conditional", "prior", "covariance")
    weights = _keras.variables((autoencoder.networks or Networks()).weights)
    if not weights:
        raise ValueError("model must have trainable weights to continue training; it has none. "
                         "Give the Keras models.")
    optimizer = optimizer or tf.keras.optimizers.Adam(
        tf.keras.optimizers.schedules.CosineDecay(1e-3, steps))
    objective = loss or _objective(autoencoder)
    data = whole(data)
    some = _first(data, num_examples, seed)
    if inspect:
        inspection.check(autoencoder, some)
    before = losses(autoencoder, some, seed=seed, progress=progress, loss=objective)

    def step(x, first_row):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            mean = tf.reduce_mean(objective(x, first_row, seed + 1))
        optimizer.apply_gradients(zip(tape.gradient(mean, weights), weights))

    optimizer.build(weights)
    step, kept, row = compiled(step, reduce_retracing=True), [w.numpy() for w in weights], 0
    try:
        drawn = itertools.islice(_endless(data, batch_size, seed), steps)
        for x in progress_bar(drawn, total=steps, desc="probe", unit=" steps", progress=progress):
            step(x, tf.constant(row))
            row += len(x)
        after = losses(autoencoder, some, seed=seed, progress=progress, loss=objective)
    finally:
        for variable, value in zip(weights, kept):
            variable.assign(value)
    return Probe.of(steps, trained_steps, seed, before, after)


def _first(data, num_examples, seed):
    """At most `num_examples` of the data, as an array: random ones of an array, the first of a data
    set.
    """
    if hasattr(data, "shape"):
        return np.asarray(data)[np.random.default_rng(seed).permutation(len(data))[:num_examples]]
    parts, count = [], 0
    for x in data_batches(data):
        parts.append(x.numpy())
        count += len(x)
        if count >= num_examples:
            break
    if not parts:
        raise ValueError("data must hold examples; got none.")
    return np.concatenate(parts)[:num_examples]


def _endless(data, batch_size, seed):
    """Endless batches of an array in random order, or of a data set."""
    for epoch in itertools.count():
        if hasattr(data, "shape"):
            order = np.random.default_rng([seed, epoch]).permutation(len(data))
            size = min(batch_size, len(data))
            for start in range(0, len(data) - size + 1, size):
                yield tf.cast(np.asarray(data)[order[start:start + size]], tf.float32)
        else:
            yield from data_batches(data)


def recipe(config: dict[str, Any], steps: int, seed: int) -> dict[str, Any]:
    """The configuration of a probe: the run's, with the learning rate's schedule from its start,
    but without the warm-up of the loss and the annealing of lmbda.
    """
    share = steps / config["steps"]
    warmup = config.get("learning_rate_warmup")
    found = {**config, "steps": steps, "schedule_steps": steps, "anneal": None,
             "anneal_steps": None, "warmup_steps": 0, "monitor_every": None,
             "learning_rate_warmup": warmup and max(1, int(warmup * min(1.0, share))),
             "seed": (config["seed"] + _SEEDS * (1 + seed)) % 2**32}
    found["log_every"] = max(1, min(config["log_every"], steps))
    found["checkpoint_every"] = found["log_every"] * max(
        1, config["checkpoint_every"] // found["log_every"])
    if config.get("schedule", "constant") == "constant" and not config.get("averaging"):
        found["averaging"] = max(0.0, 1 - 1 / (_AVERAGED_OVER * steps)) or None
    return found


class _LastWeights(tf.keras.callbacks.Callback):
    """Keeps the weights at the end of training, before averages replace them."""

    def on_train_end(self, logs=None):
        self.weights = [value.numpy() for value in self.model.weights]


def probe_run(directory: str | os.PathLike, source: Source, steps: int | None = None, seed: int = 0,
          num_examples: int = 50_000, progress: bool = False) -> Probe:
    """Trains a copy of a finished run further, and measures the fall of the loss.

    The copy is a separate run in `RUN/probes`. It can be resumed after a kill, and is removed at
    the end. The run itself does not change.

    Args:
      directory: of the run.
      source: its data.
      steps: how many; by default as many as in the run, which doubles the training.
      seed: of the batches and the noise of the probe.
      num_examples: largest number of training examples for the comparison.
      progress: whether to show progress bars.

    Returns:
      `Probe`.

    Raises:
      RunError: if the run is not finished, or the probe's loss is not finite.
    """
    config = runs.load_config(directory)
    steps = config["steps"] if steps is None else steps
    model = os.path.join(directory, "model")
    as_trained = _maker(config, model)
    rows = source.train.chosen(batches.drawn(len(source.train), num_examples, config["seed"]))
    strategy = devices.make_strategy("one_device")
    place = os.path.join(directory, "probes", f"{steps}-steps-seed{seed}")
    resident = config.get("data_kind") == "vectors" and devices.keeps_data(strategy)
    kept, compares = _LastWeights(), not config.get("averaging")
    with runs.Run(place, recipe(config, steps, seed)) as run:
        vae = loop.train(run, as_trained, source, strategy, [kept], resident)
    compares = compares and bool(run.config.get("averaging"))
    if compares and not hasattr(kept, "weights"):  # killed after the last step: they are lost
        shutil.rmtree(place)
        return probe_run(directory, source, steps, seed, num_examples, progress)

    def measured(vae):
        return losses(vae, batches.evaluation_batches(rows), len(rows), progress=progress)

    before, after = measured(as_trained()), measured(vae)
    averaged = None
    if compares:
        averaged = after
        for variable, value in zip(vae.weights, kept.weights):
            variable.assign(value)
        after = measured(vae)
    found = Probe.of(steps, config["steps"], seed, before, after, averaged)
    shutil.rmtree(place)
    return found


def _maker(config, model):
    """A function that makes the trained VAE. A VAE from a 16-bit training uses float32 if the
    processor has no units for 16 bits.
    """
    def make():
        vae = load(model)
        if config.get("mixed_precision") != "bfloat16" or devices.bfloat16_units():
            return vae
        text = json.dumps(vae.get_config()).replace('"mixed_bfloat16"', '"float32"')
        other = VAE.from_config(json.loads(text))
        other.set_weights(vae.get_weights())
        return other

    return make


def read(directory: str | os.PathLike) -> list[Probe]:
    """The measured probes of a run's present model, from `probes.json`."""
    try:
        saved = files.read_json(os.path.join(directory, "probes.json"))
        if saved["model"] != runs.model_digest(directory):
            return []
        return [Probe.from_dict(values) for values in saved["probes"]]
    except (OSError, files.DamagedFile, KeyError, TypeError, ValueError):
        return []


def write(directory: str | os.PathLike, found: list[Probe]) -> None:
    """Writes the probes of a run's present model to `probes.json`."""
    files.write_json(os.path.join(directory, "probes.json"), {
        "model": runs.model_digest(directory),
        "probes": [dataclasses.asdict(one) for one in found]})
