"""Training a run, and going on with it after it was stopped.

Everything random is a function of the seed and the step, so a run that was killed and started again ends with the weights of
one that never stopped.
"""
import re
import shutil
import sys
import tempfile

import numpy as np
import tensorflow as tf

from tfisovae.examples import as_float
from tfisovae.optimizers import FusedAdam
from tfisovae.sources import Source
from tfisovae.training import batches, callbacks, devices, runs

SCHEDULES = ("constant", "cosine")


def train(run, make_vae, source: Source, strategy, extra_callbacks=(), resident=False):
    """Trains to `run.config["steps"]` steps, going on from the last checkpoint if there is one.

    Args:
      run: `Run`. Its config has `steps`, `batch_size`, `learning_rate`, `clipnorm`, `seed`, `log_every`, `checkpoint_every`,
        and may have `schedule` ("constant" or "cosine") and `averaging` (momentum of the average of the weights).
      make_vae: function of no arguments that makes the `VAE`; called under the strategy's scope after seeding.
      source: `Source`.
      strategy: of `devices.make_strategy`, made before TensorFlow computes anything.
      extra_callbacks: Keras callbacks beside those of the run.
      resident: whether to keep the data on the device and to do the `log_every` steps of an interval in one call compiled by
        XLA: several times faster for small networks on small examples. Takes a single replica.
    Returns:
      The trained `VAE`, which is also saved in `model/`.
    Raises:
      RunError: if the loss or a weight became non-finite; the last finite checkpoint is kept.
    """
    config, chief = run.config, devices.is_chief(strategy)
    if resident and strategy.num_replicas_in_sync > 1:
        raise ValueError(f"Resident data take a single replica; the strategy has {strategy.num_replicas_in_sync}.")
    if config["log_every"] < 1:
        raise ValueError(f"log_every must be at least 1 step; got {config['log_every']}.")
    tf.keras.utils.set_random_seed(config["seed"])
    step = runs.trained_step(run.directory)
    _check_all_at(step, strategy)
    with strategy.scope():
        vae = make_vae()
        vae.compile(_optimizer(config),
                    num_parts=1 if resident else devices.num_parts(config["batch_size"], strategy),
                    resident=as_float(source.train[np.arange(len(source.train))]) if resident else None)
        vae.optimizer.build(vae.trainable_variables)
        checkpoint = tf.train.Checkpoint(encoder=vae.encoder, decoder=vae.decoder, optimizer=vae.optimizer)
        if step:
            latest = tf.train.latest_checkpoint(run.path("checkpoints"))
            checkpoint.restore(latest).assert_existing_objects_matched()
    # Saving is collective: every worker saves, all but the chief to where it is thrown away.
    checkpoints = run.path("checkpoints") if chief else tempfile.mkdtemp()
    keeper = callbacks.Checkpoints(checkpoint, checkpoints, config["checkpoint_every"], config["steps"])
    attached = [callbacks.StopAtNonFinite(), *extra_callbacks]
    if not chief:
        attached.append(keeper)
    else:
        if step < config["steps"]:
            shutil.rmtree(run.path("model"), ignore_errors=True)  # of fewer steps: half a run must not pass for a whole one
        if step:
            print(f"{run.directory}: going on from step {step}." if step < config["steps"]
                  else f"{run.directory}: already trained to step {step}.", file=sys.stderr)
        examples = as_float(source.eval[np.arange(min(8, len(source.eval)))])
        # History before checkpoint: killed between the two, a run goes on from before the row, which is then dropped.
        attached += [callbacks.History(run.path("history.csv"), step), keeper,
                     callbacks.TensorBoard(run.path("tensorboard"), examples), callbacks.Progress(config),
                     callbacks.CollapseWarning(config)]
    _fit(vae, source.train, strategy, config, attached, resident)
    if config.get("averaging"):
        optimizer = getattr(vae.optimizer, "inner_optimizer", vae.optimizer)  # mixed precision wraps it
        optimizer.use_averages(vae.trainable_variables)
    if chief:
        vae.save(run.path("model"))
    else:
        shutil.rmtree(checkpoints, ignore_errors=True)
    return vae


def _optimizer(config):
    """Adam with the learning rate, its schedule, clipping and averaging of a configuration."""
    rate, averaging = config["learning_rate"], config.get("averaging", 0.0)
    if config.get("schedule", "constant") not in SCHEDULES:
        raise ValueError(f"Unknown schedule {config['schedule']!r}; there are {', '.join(map(repr, SCHEDULES))}.")
    if config.get("schedule") == "cosine":
        rate = tf.keras.optimizers.schedules.CosineDecay(rate, config["steps"])
    return FusedAdam(rate, clipnorm=config["clipnorm"], use_ema=bool(averaging), ema_momentum=averaging or 0.99)


def _check_all_at(step, strategy):
    """Raises where the workers of a run do not all see the same checkpoint: they would train different models."""
    if strategy.cluster_resolver is None:
        return
    own = strategy.run(lambda: tf.constant([step, step**2], tf.float64))
    mean, square = strategy.reduce("MEAN", own, axis=None).numpy()
    if square != mean**2:
        raise runs.RunError(f"This worker goes on from step {step}, the mean over all is {mean:g}. Every worker must see the same "
                            "run directory: put it on a file system that they share.")


def _fit(vae, rows, strategy, config, attached, resident):
    """Keras `fit` over epochs of `log_every` steps, shorter at the ends where they are no multiples."""
    every, steps, step = config["log_every"], config["steps"], int(vae.optimizer.iterations.numpy())
    try:
        while step < steps:
            length, epochs = every, (steps - step) // every
            if step % every or epochs == 0:  # up to the next multiple of `every`, or to the end
                length, epochs = min(every - step % every, steps - step), 1
            if resident:
                data = batches.resident_batches(len(rows), config["batch_size"], config["seed"], step, length, strategy)
            else:
                data = batches.training_batches(rows, config["batch_size"], config["seed"], step, strategy)
            vae.fit(data, initial_epoch=step // every, epochs=step // every + epochs, steps_per_epoch=1 if resident else length,
                    verbose=0, callbacks=attached)
            step += length * epochs
    except tf.errors.InvalidArgumentError as error:
        message = " ".join(error.message.split())
        if "loss is not finite" not in message:
            raise
        step = re.search(r"not finite at step\D*(\d+)", message)[1]
        raise runs.RunError(f"The loss is not finite at step {step}. Checkpoints from before are kept. Lower --learning_rate, or "
                            "set --clipnorm 1; in the first steps, the data's values may be too large for this --lmbda.") from None
