"""Training a run, and resuming it.

All random numbers depend only on the seed and the step. So a run that was killed and resumed ends
with the same weights as a run without a stop.
"""
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tfisovae import _keras
from tfisovae.autoencoder.data import as_float
from tfisovae.callbacks import IsometryMonitor, LambdaSchedule, history
from tfisovae.sources import Source
from tfisovae.training import (
    SCHEDULES,
    batches,
    callbacks,
    checkpoints,
    devices,
    runs,
    stopping,
)
from tfisovae.training.runs import Run
from tfisovae.vae.checks import NonFiniteLoss
from tfisovae.vae.optimizers import FusedAdam
from tfisovae.vae.standardizing import layers_of, standardize_latents
from tfisovae.vae.vae import VAE, load

_EXAMPLES_OF_A_CALL = 2**19  # longest wait of a signal with resident data, in seconds
# Limit of examples: gives an error of 1 % in the second moment of Gaussian variables.
_STANDARDIZED_OVER = 20_000
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
         tf.errors.DeadlineExceededError, tf.errors.InternalError)


def train(run: Run, make_vae: Callable[[], VAE], source: Source, strategy: tf.distribute.Strategy,
          extra_callbacks: Sequence[tf.keras.callbacks.Callback] = (),
          resident: bool = False) -> VAE:
    """Trains to `run.config["steps"]` steps, from the last checkpoint if there is one.

    Args:
      run: `Run`. Its config has `steps`, `batch_size`, `learning_rate`, `clipnorm`, `seed`,
        `log_every`, `checkpoint_every`, and may have `schedule` ("constant" or "cosine"),
        `learning_rate_warmup` (steps of it), `averaging` (momentum of the average of the weights),
        `anneal_steps` with `anneal` (`steps` and `kind` of a `LambdaSchedule`),
        `standardize_latents` (whether to, when annealing ends and at the end), and `monitor_every`
        with `monitor_share` (`every` and `share` of an `IsometryMonitor` on held-out examples).
      make_vae: function of no arguments that makes the `VAE`; called under the strategy's scope
        after seeding.
      source: `Source`.
      strategy: of `devices.make_strategy`, made before TensorFlow computes anything.
      extra_callbacks: more Keras callbacks.
      resident: whether to keep the data on the device and run the `log_every` steps of an interval
        in one call compiled by XLA. This is several times faster for small networks on small
        examples. It needs the one-device strategy.

    Returns:
      The trained `VAE`, which is also saved in `model/`.

    Raises:
      RunError: if the loss or a weight is not finite, the disk is full, or a worker is lost; the
        last checkpoint is kept.
      Stopped: at SIGINT or SIGTERM (a `KeyboardInterrupt`), after the current step, with a
        checkpoint.
    """
    config, chief = run.config, devices.is_chief(strategy)
    if resident and not devices.keeps_data(strategy):
        raise ValueError(
            "Resident data need one device and the strategy 'one_device'; got "
            f"{type(strategy).__name__} of {strategy.num_replicas_in_sync} replica(s).")
    if config["log_every"] < 1:
        raise ValueError(f"log_every must be at least 1 step; got {config['log_every']}.")
    found = checkpoints.newest(run.path("checkpoints"))
    finished = runs.is_finished(run.directory, config)
    step = config["steps"] if finished else found.step if found else 0
    _check_all_at(step, strategy)
    if finished:
        print(f"{run.directory}: already trained to step {step}.", file=sys.stderr)
        return load(run.path("model"))
    with stopping.watching(run.directory, alone=strategy.cluster_resolver is None) as watch:
        tf.keras.utils.set_random_seed(config["seed"])
        with strategy.scope():
            vae = make_vae()
            vae.compile(
                _optimizer(config),
                num_parts=1 if resident else devices.num_parts(config["batch_size"], strategy),
                resident=as_float(source.train[np.arange(len(source.train))]) if resident else None)
            if config.get("standardize_latents"):
                layers_of(vae)  # impossible requests fail at the start, not at the end
            _keras.build(vae.optimizer, vae.trainable_variables)
            schedule = _lambda_schedule(config, vae)
            checkpoint = tf.train.Checkpoint(encoder=vae.encoder, decoder=vae.decoder,
                                             optimizer=vae.optimizer, lmbda=vae.lmbda)
            if found:
                _restore(checkpoint, found)
        # Saving is collective: every worker saves, but only the chief's files are kept.
        thrown_away = None if chief else tempfile.mkdtemp()
        try:
            keeper = checkpoints.Keeper(checkpoint, thrown_away or run.path("checkpoints"),
                                        run.config, found, alone=chief)
            saving = callbacks.Checkpoints(keeper, config, watch, found)
            standardize = _standardizing(config, source.train, chief)
            attached = [*schedule, callbacks.StopAtNonFinite(), *extra_callbacks]
            # An average of weights from before and after would not be a model: with averaging, only
            # at the end.
            between = bool(
                schedule) and schedule[0].steps < config["steps"] and not config.get("averaging")
            if config.get("standardize_latents") and between:
                attached.append(callbacks.Standardization(standardize, schedule[0].steps))
            if chief:
                if step:
                    print(f"{run.directory}: resuming from step {step}.", file=sys.stderr)
                examples = as_float(source.eval[np.arange(min(8, len(source.eval)))])
                # History before checkpoint: a run killed between the two resumes before the row,
                # and drops it.
                monitor = _monitor(config, run.directory, source.eval, step)
                attached += [
                    *monitor,
                    callbacks.History(run.path("history.csv"), step), saving,
                    callbacks.TensorBoard(run.path("tensorboard"), examples, step=step),
                    callbacks.Progress(config),
                    callbacks.CollapseWarning(config)
                ]
            else:
                attached.append(saving)
            _fit(vae, source.train, strategy, config, attached, resident, keeper)
            if chief and monitor and monitor[0].rows:
                print(f"{monitor[0].summary()}.", file=sys.stderr)
            if config.get("averaging"):
                # Mixed precision wraps it.
                optimizer = getattr(vae.optimizer, "inner_optimizer", vae.optimizer)
                optimizer.use_averages(vae.trainable_variables)
            if config.get("standardize_latents"):
                standardize(vae)
            if chief:
                run.save_model(vae)
            else:
                vae.save(os.path.join(thrown_away, "model"))
        finally:
            if thrown_away:
                shutil.rmtree(thrown_away, ignore_errors=True)
        if watch.received:
            watch.stop(config["steps"], config["steps"])
    return vae


def _optimizer(config):
    """Adam with the learning rate, its schedule, clipping and averaging of a configuration."""
    averaging = config.get("averaging", 0.0)
    made = FusedAdam(_rate(config), clipnorm=config["clipnorm"], use_ema=bool(averaging),
                     ema_momentum=averaging or 0.99)
    made.averages_at_end = False  # a run may be several calls of `fit`
    return made


def _rate(config):
    """The learning rate of a configuration at every step: linear up to its value, then constant or
    a cosine to 0.
    """
    rate, schedule, warmup = config["learning_rate"], config.get(
        "schedule", "constant"), config.get("learning_rate_warmup")
    if schedule not in SCHEDULES:
        raise ValueError(
            f"Unknown schedule {schedule!r}; use {', '.join(map(repr, SCHEDULES))}.")
    lowest = 0.0 if schedule == "cosine" else 1.0  # of the rate at its maximum
    if warmup:
        return tf.keras.optimizers.schedules.CosineDecay(rate / warmup, config["steps"] - warmup,
                                                         lowest, warmup_target=rate,
                                                         warmup_steps=warmup)
    return tf.keras.optimizers.schedules.CosineDecay(
        rate, config["steps"]) if schedule == "cosine" else rate


def _lambda_schedule(config, vae):
    """The callbacks (one or none) that anneal lmbda to the VAE's original value; a checkpoint may
    hold a value in between.
    """
    if not config.get("anneal_steps"):
        return []
    return [
        LambdaSchedule(
            config.get("anneal") or "linear", config["anneal_steps"], end=float(vae.lmbda.numpy()))
    ]


def _standardizing(config, rows, says):
    """A function that standardizes the latent variables of a VAE over training examples, and
    reports the gain.
    """
    def standardize(vae):
        data = batches.drawn_batches(rows, _STANDARDIZED_OVER, config["seed"])
        try:
            said = standardize_latents(vae, data, progress=says and sys.stderr.isatty()).sentence()
        except ValueError as error:  # a model that diverges on some example is still the model
            said = f"{error} They stay unchanged."
        if says:
            print(said, file=sys.stderr)

    return standardize


def _monitor(config, directory, held_out, step):
    """The callbacks that measure isometry, one or none."""
    if not config.get("monitor_every"):
        return []
    if not step:  # existing rows come from a training that was killed before its first checkpoint
        history.go_on(os.path.join(directory, history.ISOMETRY), -1, history.OF_ISOMETRY,
                      history.OF_ISOMETRY)
    data = as_float(held_out[np.arange(min(IsometryMonitor.MOST, len(held_out)))])
    return [
        IsometryMonitor(data, config["monitor_every"], directory, share=config["monitor_share"])
    ]


def _restore(checkpoint, found):
    """Reads a checkpoint. Older ones have no lmbda; the configuration has it."""
    prefix, versions = found.prefix, found.said.get("manifest", {}).get("versions", {})
    writer = versions.get("keras", _keras.VERSION)
    if writer.partition(".")[0] != _keras.VERSION.partition(".")[0]:
        raise runs.RunError(
            f"The checkpoint {prefix} was written with Keras {writer}, and Keras {_keras.VERSION} "
            "cannot resume from it: its optimizers store other numbers. Use TensorFlow "
            f"{versions.get('tensorflow')} again, or start another run. The model of a finished "
            "run opens in both.")
    if not tf.train.load_checkpoint(prefix).has_tensor("lmbda/.ATTRIBUTES/VARIABLE_VALUE"):
        checkpoint = tf.train.Checkpoint(
            encoder=checkpoint.encoder, decoder=checkpoint.decoder, optimizer=checkpoint.optimizer)
    checkpoint.read(prefix).assert_existing_objects_matched().run_restore_ops()


def _check_all_at(step, strategy):
    """Raises if the workers of a run see different checkpoints: they would train different models.
    """
    if strategy.cluster_resolver is None:
        return

    @tf.function
    def means():
        return strategy.reduce(
            "MEAN", strategy.run(lambda: tf.constant([step, step**2], tf.float64)), axis=None)

    mean, square = means().numpy()
    if square != mean**2:
        raise runs.RunError(
            f"This worker resumes from step {step}, but the mean over all workers is {mean:g}. "
            "Every worker must see the same run directory. Put it on a shared file system.")


def _fit(vae, rows, strategy, config, attached, resident, keeper):
    """Keras `fit` over epochs of `log_every` steps, with shorter ones at the ends if needed."""
    every, steps, step = config["log_every"], config["steps"], int(vae.optimizer.iterations.numpy())
    longest = max(1, _EXAMPLES_OF_A_CALL // config["batch_size"])
    try:
        while step < steps:
            length, epochs = every, (steps - step) // every
            if step % every or epochs == 0:  # up to the next multiple of `every`, or to the end
                length, epochs = min(every - step % every, steps - step), 1
            calls = length
            if resident:
                lengths = batches.call_lengths(step % every, length, longest)
                data = batches.resident_batches(len(rows), config["batch_size"], config["seed"],
                                                step, lengths, strategy)
                calls = len(lengths)
            else:
                data = batches.training_batches(rows, config["batch_size"], config["seed"], step,
                                                strategy)
            vae.fit(data, initial_epoch=step // every, epochs=step // every + epochs,
                    steps_per_epoch=calls, verbose=0, callbacks=attached)
            step += length * epochs
    except (NonFiniteLoss, tf.errors.OpError, OSError) as error:
        kept = (f"The checkpoint of step {keeper.last} is kept."
                if keeper.last else "There is no checkpoint yet.")
        raise runs.RunError(_words(error, kept, strategy)) from error


def _words(error, kept, strategy):
    """An error of the training, and what to do, in a line."""
    if isinstance(error, NonFiniteLoss):
        return (
            f"The loss is not finite at step {error.step}. {kept} Lower learning_rate, or set "
            f"clipnorm=1; in the first "
            "steps, the data's values may be too large for this lmbda.")
    message = " ".join(str(getattr(error, "message", error)).split())
    if strategy.cluster_resolver is not None and isinstance(error, _LOST):
        return (f"Another worker has ended or is not reachable. {kept} Start all workers again, "
                "with the same commands.")
    if isinstance(error, tf.errors.ResourceExhaustedError) and "OOM" in message:
        return f"The memory is full ({message[:200]}). {kept} Take a smaller batch_size."
    return f"{message[:300]}. {kept} Correct this, then run the same command to resume."
