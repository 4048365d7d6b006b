"""Training a run, and going on with it after it was stopped.

Everything random is a function of the seed and the step, so a run that was killed and started again
ends with the weights of one that never stopped.
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

_EXAMPLES_OF_A_CALL = 2**19  # at most, with resident data: seconds, for which a signal waits
# Examples at most: an error of 1 % at the second moment of Gaussian variables.
_STANDARDIZED_OVER = 20_000
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
         tf.errors.DeadlineExceededError, tf.errors.InternalError)


def train(run: Run, make_vae: Callable[[], VAE], source: Source, strategy: tf.distribute.Strategy,
          extra_callbacks: Sequence[tf.keras.callbacks.Callback] = (),
          resident: bool = False) -> VAE:
    """Trains to `run.config["steps"]` steps, going on from the last checkpoint if there is one.

    Args:
      run: `Run`. Its config has `steps`, `batch_size`, `learning_rate`, `clipnorm`, `seed`,
        `log_every`, `checkpoint_every`, and may have `schedule` ("constant" or "cosine"),
        `learning_rate_warmup` (steps of it), `averaging` (momentum of the average of the weights),
        `anneal_steps` with `anneal` (`steps` and `kind` of a `LambdaSchedule`),
        `standardize_latents` (whether to, when annealing ends and at the end), and `monitor_every`
        with `monitor_share` (`every` and `share` of an `IsometryMonitor` of held-out examples).
      make_vae: function of no arguments that makes the `VAE`; called under the strategy's scope
        after seeding.
      source: `Source`.
      strategy: of `devices.make_strategy`, made before TensorFlow computes anything.
      extra_callbacks: Keras callbacks beside those of the run.
      resident: whether to keep the data on the device and to do the `log_every` steps of an
        interval in one call compiled by XLA: several times faster for small networks on small
        examples. Takes the strategy of one device.
    Returns:
      The trained `VAE`, which is also saved in `model/`.
    Raises:
      RunError: if the loss or a weight became non-finite, or the disk full, or a worker was lost;
        the last checkpoint is kept.
      Stopped: at SIGINT or SIGTERM, a `KeyboardInterrupt`, after the step under way; a checkpoint
        holds it.
    """
    config, chief = run.config, devices.is_chief(strategy)
    if resident and not devices.keeps_data(strategy):
        raise ValueError(
            f"Resident data take one device and its strategy, 'one_device'; got "
            f"{type(strategy).__name__} of "
            f"{strategy.num_replicas_in_sync} replica(s).")
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
                layers_of(vae)  # what cannot be done at the end is said at the beginning
            _keras.build(vae.optimizer, vae.trainable_variables)
            schedule = _lambda_schedule(config, vae)
            checkpoint = tf.train.Checkpoint(encoder=vae.encoder, decoder=vae.decoder,
                                             optimizer=vae.optimizer, lmbda=vae.lmbda)
            if found:
                _restore(checkpoint, found)
        # Saving is collective: every worker saves, all but the chief to where it is thrown away.
        thrown_away = None if chief else tempfile.mkdtemp()
        try:
            keeper = checkpoints.Keeper(checkpoint, thrown_away or run.path("checkpoints"),
                                        run.config, found, alone=chief)
            saving = callbacks.Checkpoints(keeper, config, watch, found)
            standardize = _standardizing(config, source.train, chief)
            attached = [*schedule, callbacks.StopAtNonFinite(), *extra_callbacks]
            # Averages of weights of before and after would be of no model: with averaging, at the
            # end alone.
            between = bool(
                schedule) and schedule[0].steps < config["steps"] and not config.get("averaging")
            if config.get("standardize_latents") and between:
                attached.append(callbacks.Standardization(standardize, schedule[0].steps))
            if chief:
                if step:
                    print(f"{run.directory}: going on from step {step}.", file=sys.stderr)
                examples = as_float(source.eval[np.arange(min(8, len(source.eval)))])
                # History before checkpoint: killed between the two, a run goes on from before the
                # row, which is then dropped.
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
    """The learning rate of a configuration at every step: linear to its value, and from there
    constant, or by a cosine to 0.
    """
    rate, schedule, warmup = config["learning_rate"], config.get(
        "schedule", "constant"), config.get("learning_rate_warmup")
    if schedule not in SCHEDULES:
        raise ValueError(
            f"Unknown schedule {schedule!r}; there are {', '.join(map(repr, SCHEDULES))}.")
    lowest = 0.0 if schedule == "cosine" else 1.0  # of what the rate was at its height
    if warmup:
        return tf.keras.optimizers.schedules.CosineDecay(rate / warmup, config["steps"] - warmup,
                                                         lowest, warmup_target=rate,
                                                         warmup_steps=warmup)
    return tf.keras.optimizers.schedules.CosineDecay(
        rate, config["steps"]) if schedule == "cosine" else rate


def _lambda_schedule(config, vae):
    """The callbacks that anneal lmbda, one or none, to what the VAE was made with; a checkpoint may
    hold what it is half-way.
    """
    if not config.get("anneal_steps"):
        return []
    return [
        LambdaSchedule(
            config.get("anneal") or "linear", config["anneal_steps"], end=float(vae.lmbda.numpy()))
    ]


def _standardizing(config, rows, says):
    """The function that standardizes the latent variables of a VAE over examples of training, and
    says what that was worth.
    """
    def standardize(vae):
        data = batches.drawn_batches(rows, _STANDARDIZED_OVER, config["seed"])
        try:
            said = standardize_latents(vae, data, progress=says and sys.stderr.isatty()).sentence()
        except ValueError as error:  # a model that diverges on some example is still the model
            said = f"{error} They stay as they are."
        if says:
            print(said, file=sys.stderr)

    return standardize


def _monitor(config, directory, held_out, step):
    """The callbacks that measure isometry, one or none."""
    if not config.get("monitor_every"):
        return []
    if not step:  # what is there is of a training that was killed before its first checkpoint
        history.go_on(os.path.join(directory, history.ISOMETRY), -1, history.OF_ISOMETRY,
                      history.OF_ISOMETRY)
    data = as_float(held_out[np.arange(min(IsometryMonitor.MOST, len(held_out)))])
    return [
        IsometryMonitor(data, config["monitor_every"], directory, share=config["monitor_share"])
    ]


def _restore(checkpoint, found):
    """Reads a checkpoint; those of earlier versions have no lmbda, which was that of the
    configuration.
    """
    prefix, versions = found.prefix, found.said.get("manifest", {}).get("versions", {})
    writer = versions.get("keras", _keras.VERSION)
    if writer.partition(".")[0] != _keras.VERSION.partition(".")[0]:
        raise runs.RunError(
            f"The checkpoint {prefix} was written with Keras {writer}, and Keras {_keras.VERSION} "
            "cannot go on from it: its optimizers keep other numbers. Use TensorFlow "
            f"{versions.get('tensorflow')} again, or begin another run. The model of a finished "
            "run opens in both.")
    if not tf.train.load_checkpoint(prefix).has_tensor("lmbda/.ATTRIBUTES/VARIABLE_VALUE"):
        checkpoint = tf.train.Checkpoint(
            encoder=checkpoint.encoder, decoder=checkpoint.decoder, optimizer=checkpoint.optimizer)
    checkpoint.read(prefix).assert_existing_objects_matched().run_restore_ops()


def _check_all_at(step, strategy):
    """Raises where the workers of a run do not all see the same checkpoint: they would train
    different models.
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
            f"This worker goes on from step {step}, the mean over all is {mean:g}. Every worker "
            f"must see the same "
            "run directory: put it on a file system that they share.")


def _fit(vae, rows, strategy, config, attached, resident, keeper):
    """Keras `fit` over epochs of `log_every` steps, shorter at the ends where they are no
    multiples.
    """
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
    """What was raised in training, and what to do, in a line."""
    if isinstance(error, NonFiniteLoss):
        return (
            f"The loss is not finite at step {error.step}. {kept} Lower learning_rate, or set "
            f"clipnorm=1; in the first "
            "steps, the data's values may be too large for this lmbda.")
    message = " ".join(str(getattr(error, "message", error)).split())
    if strategy.cluster_resolver is not None and isinstance(error, _LOST):
        return (f"Another worker is gone, or out of reach. {kept} Start all workers again, with "
                "the same commands.")
    if isinstance(error, tf.errors.ResourceExhaustedError) and "OOM" in message:
        return f"The memory is full ({message[:200]}). {kept} Take a smaller batch_size."
    return f"{message[:300]}. {kept} The same command goes on when this is mended."
