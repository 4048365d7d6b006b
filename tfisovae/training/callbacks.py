"""Keras callbacks of a run. An "epoch" of `fit` is one interval of logging, `log_every` steps."""
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from tfisovae.analysis.monitor import as_first_replica
from tfisovae.callbacks import history
from tfisovae.callbacks.history import COLUMNS
from tfisovae.progress import bar as progress_bar
from tfisovae.training import checkpoints
from tfisovae.training.checkpoints import Found, Keeper
from tfisovae.training.runs import RunError
from tfisovae.training.stopping import Watch
from tfisovae.vae.vae import VAE
from tfisovae.verdict.tests_of_means import LossFall, loss_fall


def _step(model):
    return int(model.optimizer.iterations.numpy())


class StopAtNonFinite(tf.keras.callbacks.Callback):
    """Stops the run when a weight is no longer finite, before it reaches a checkpoint."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        check_finite(self.model)


def check_finite(model: tf.keras.Model) -> None:
    """Raises RunError where a weight is not finite."""
    for weight in model.trainable_variables:
        if not np.isfinite(weight.numpy()).all():
            raise RunError(
                f"The weight {weight.name} is not finite after step {_step(model)}. The last "
                f"checkpoint is "
                "kept. Lower learning_rate, or set clipnorm=1.")


class Checkpoints(tf.keras.callbacks.Callback):
    """Saves weights, optimizer and step every `every` steps, at the last step, and when a signal
    ends the run.

    In the middle of an interval a checkpoint also holds the sums of the metrics, so that the row of
    the history is the same.

    Args:
      keeper: `checkpoints.Keeper`.
      config: of the run.
      watch: `stopping.Watch`.
      found: the checkpoint to resume from, or `None`.
    """

    def __init__(self, keeper: Keeper, config: dict[str, Any], watch: Watch,
                 found: Found | None = None) -> None:
        super().__init__()
        self.keeper, self.watch = keeper, watch
        self.steps, self.every, self.log_every = (config[name]
                                                  for name in ("steps", "checkpoint_every",
                                                               "log_every"))
        self.interval = found.said.get("interval") if found else None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if self.interval is not None:  # Keras has set the metrics to 0
            checkpoints.set_sums(self.model.metrics, self.interval)
            self.interval = None

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.watch.at_stake = True
        if self.watch.received:
            step = _step(self.model)
            # At the end of an interval its row comes first.
            if step % self.log_every and step < self.steps:
                check_finite(self.model)
                self.keeper.save(step, checkpoints.sums(self.model.metrics))
                self.watch.stop(step, self.keeper.last)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        step = _step(self.model)
        if step % self.every == 0 or step >= self.steps or self.watch.received:
            self.keeper.save(step)
        if self.watch.received and step < self.steps:  # after the last, the model is written first
            self.watch.stop(step, self.keeper.last)


class Standardization(tf.keras.callbacks.Callback):
    """Standardizes the latent variables once: after the last step of the annealing, or after the
    call with this step.

    Args:
      standardize: function of the `VAE`.
      step: the last of the annealing.
    """

    def __init__(self, standardize: Callable[[VAE], Any], step: int) -> None:
        super().__init__()
        self.standardize, self.step = standardize, step

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self.waiting = _step(self.model) < self.step

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self.waiting and _step(self.model) >= self.step:
            self.waiting = False
            self.standardize(self.model)


class History(tf.keras.callbacks.Callback):
    """Appends a row to `history.csv` after each interval. First it drops the rows after the step of
    resuming.
    """

    def __init__(self, path: str | os.PathLike, step: int) -> None:
        super().__init__()
        self.path = path
        history.go_on(path, step)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        history.append(
            self.path,
            {"step": _step(self.model), **{name: float(logs[name])
                                           for name in COLUMNS[1:]}})


def fall_of_the_loss(directory: str | os.PathLike, config: dict[str, Any]) -> LossFall | None:
    """The `LossFall` of a run's history at its final lmbda, after any annealing; `None` if the
    history is too short.

    Args:
      directory: of the run.
      config: its manifest.
    """
    rows = [row for row in history.read(os.path.join(directory, "history.csv")) if row.get("loss")]
    losses = [
        config["lmbda"] * float(row["distortion"])
        + float(row["rate"]) if config.get("anneal_steps") else float(row["loss"]) for row in rows
    ]
    return loss_fall([int(row["step"]) for row in rows], losses)


class Progress(tf.keras.callbacks.Callback):
    """A progress bar on a terminal, a line for each interval elsewhere: losses, images/s, time
    left.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.steps, self.batch_size = config["steps"], config["batch_size"]
        self.bar = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        step = _step(self.model)
        self.bar = progress_bar(total=self.steps, initial=step, desc="training", unit="step",
                                file=sys.stderr, dynamic_ncols=True)
        self.started, self.first = time.perf_counter(), step

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        step = _step(self.model)
        self.bar.update(step - self.bar.n)  # if a call does many steps
        seconds = (time.perf_counter() - self.started) / max(1, step - self.first)
        text = (
            f"loss {float(logs['loss']):.2f}  distortion {float(logs['distortion']):.4g}  rate "
            f"{float(logs['rate']):.2f} nats  "
            f"active {int(logs['active_dimensions'])}/{self.model.n}  "
            f"{self.batch_size / seconds:.0f} examples/s"
        )
        if self.bar.disable:
            left = tqdm.tqdm.format_interval(seconds * (self.steps - step))
            print(f"step {step}/{self.steps}  {text}  {left} left", file=sys.stderr, flush=True)
        else:
            self.bar.set_postfix_str(text)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.bar.close()


class TensorBoard(tf.keras.callbacks.Callback):
    """Scalars of every interval, and every `image_every` intervals inputs above their
    reconstructions.

    When a run resumes, TensorBoard events of later steps are purged.
    """

    def __init__(self, directory: str | os.PathLike, examples: np.ndarray, image_every: int = 10,
                 step: int = 0) -> None:
        super().__init__()
        self.writer = history.event_writer(directory, step)
        self.examples, self.image_every = examples, image_every

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        step = _step(self.model)
        with self.writer.as_default(step):
            for name in COLUMNS[1:]:
                tf.summary.scalar(name, logs[name])
            if self.examples.shape.rank == 4 and (epoch + 1) % self.image_every == 0:
                with as_first_replica():
                    pairs = tf.concat([self.examples, self.model(self.examples)], 1)
                tf.summary.image("reconstructions", tf.clip_by_value(pairs, 0, 1),
                                 max_outputs=len(self.examples))
        self.writer.flush()


class CollapseWarning(tf.keras.callbacks.Callback):
    """Reports a collapse: no active dimension for three intervals in a row."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.config, self.low = config, 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.low = 0 if logs["active_dimensions"] else self.low + 1
        if self.low == 3:
            tqdm.tqdm.write(collapse_message(float(logs["rate"]), _step(self.model), self.config),
                            file=sys.stderr)


def collapse_message(rate: float, step: int, config: dict[str, Any]) -> str:
    """The message for a collapse, and what to do."""
    remedies = ["raise lmbda", "lower learning_rate"]
    if config.get("decomposed"):
        remedies.insert(
            0,
            f"give warmup_steps more than {config.get('warmup_steps', 0)} steps of the "
            f"conventional loss"
        )
    return (
        f"The VAE has collapsed: at step {step} no dimension is active and its rate is {rate:.3f} "
        "nats, so the latent variables carry no information, and the numbers below mean nothing. "
        f"To do: {'; '.join(remedies)}."
    )
