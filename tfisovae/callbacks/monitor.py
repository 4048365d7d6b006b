"""Keras callbacks for `vae.fit`."""
import math
import os
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import arguments
from tfisovae.analysis.monitor import Meter, spectrum_image
from tfisovae.autoencoder.data import Data, batches
from tfisovae.callbacks import history

# Examples of a measurement; where their number is found from times, it is a multiple of this.
_FEWEST = 16
_WITHOUT_LIMIT = 128
_AIM = 0.6  # of the share of time that may be spent: times vary






class IsometryMonitor(tf.keras.callbacks.Callback):
    """Measures how isometry emerges while `fit` trains: before the first step, and every `every`
    steps.

    A row of `isometry-history.csv`, and TensorBoard's scalars, have the step and what
    `monitor.Meter` measures: norm beside its prediction, cosines, balance, active dimensions, rate,
    distortion, and the importance of each dimension, which TensorBoard shows as a picture. Norm and
    cosines are of a quarter of the examples. `rows` has the same as dicts.

        vae.fit(x, callbacks=[tfisovae.callbacks.IsometryMonitor(x_test, every=500,
        directory="watched")])

    It measures in inference mode, with the weights of the step: where training averages weights
    (`use_ema`), not with the averages. Training goes on to the bit as without it. On several
    replicas or workers the first replica of this process measures, without a word to the others: of
    workers, give it to the chief alone. Where a call does many steps (resident data,
    `steps_per_execution`), measurements come at the first end of a call from a multiple of `every`
    on.

    Time is held to `share` of that of the training. By default the number of examples follows from
    the times of the first steps, from 16 to 512, and is then kept, in a training that goes on too.
    Where even they would take more, or where `num_examples` says otherwise, measurements are left
    out until there is time again. What is not counted in this is the start: compiling, once.

    A training that goes on from a step drops the rows of later ones, and TensorBoard is told to
    forget them.

    Args:
      data: held-out examples, as `analyze` takes them; the first of them are measured.
      every: steps between measurements.
      directory: where `isometry-history.csv` and `tensorboard/isometry` are written, made if it is
        missing; None: nowhere.
      num_examples: how many examples to measure; by default as many as there is time for.
      share: of the training's time that measuring may take, .02 by default; None: there is no
        limit, and 128 examples are measured by default.
      distortion, beta, scale: as `as_autoencoder` takes them, for Keras models that have an
        `encoder` and a `decoder`, and a training of their own.

    Attributes:
      rows: the measurements of this process, dicts: `step`, what `monitor.Meter` gives, and
        `share`, the time of all measurements so far, with the start, in that of the training, since
        this process began it.
      path: of the CSV, or None.
    Raises:
      ValueError: for arguments that make no sense, examples that are not what the model takes, or a
        distortion without a metric tensor; and at step 0 where `directory` has the history of a
        training that has gone further.
    """

    MOST = 512  # examples, unless num_examples says otherwise
    takes_many_steps = True

    def __init__(self, data: Data, every: int, directory: str | os.PathLike | None = None,
                 num_examples: int | None = None, share: float | None = 0.02, *,
                 distortion: Any = None, beta: float | None = None,
                 scale: str = "log_variance") -> None:
        super().__init__()
        arguments.integer("every", every)
        if num_examples is not None:
            arguments.integer("num_examples", num_examples)
        if share is not None and not 0 < share < 1:
            raise ValueError(
                f"share must be above 0 and below 1, or None for no limit; got {share!r}.")
        self.every, self.share, self.rows, self.path = int(every), share, [], None
        self._directory = None if directory is None else os.fspath(directory)
        self._said = {"distortion": distortion, "beta": beta, "scale": scale}
        self._x = _first_of(data, int(num_examples or self.MOST))
        if num_examples is not None and len(self._x) < num_examples:
            raise ValueError(
                f"data has {len(self._x)} examples, fewer than num_examples = {num_examples}.")
        self._asked = min(_WITHOUT_LIMIT, len(
            self._x)) if share is None and num_examples is None else num_examples
        self._meter = self._measured = self._writer = self._number = self._began = None
        self._starting = self._measuring = self._trained = 0.0  # seconds
        self._last = 0  # step
        self._supports_tf_logs = True  # Keras need not wait for the numbers of every step

    def on_train_begin(self, logs: Any = None) -> None:
        step = self._step()
        # Compiled anew, a model begins at step 0.
        if self._measured is not self.model or step < self._last:
            started = time.perf_counter()
            self._start(step)
            self._starting += time.perf_counter() - started
        self._last, self._mark = step, None
        self._began, self._spent_before = time.perf_counter(), self._measuring

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._step()
        if self._mark is None:  # the first call compiles
            self._mark = time.perf_counter(), step, self._measuring
        if step // self.every > self._last // self.every:
            self._find_number(step)
            if self._has_time():
                self._measure(step)
        self._last = step

    def on_train_end(self, logs: Any = None) -> None:
        self._trained, self._began = self._training_seconds(), None

    def summary(self) -> str:
        """How often was measured, and in what share of the training's time, as a line of text."""
        seconds = max(self._training_seconds(), 1e-9)
        where, count = f": {self.path}" if self.path else "", self.rows[-1][
            "num_examples"] if self.rows else 0
        return (
            f"Isometry was measured {len(self.rows)} times, on {count} examples, in "
            f"{self._measuring / seconds:.1%} of the "
            f"training's time; the start took {self._starting:.1f} s "
            f"({self._starting / seconds:.1%}) once{where}"
        )

    def _step(self):
        return int(self.model.optimizer.iterations.numpy())

    def _start(self, step):
        """Compiles, takes the time of a measurement, and opens what is written; at step 0 measures.
        """
        kept, self.path, self._number = [], None, self._asked
        if self._directory is not None:
            os.makedirs(self._directory, exist_ok=True)
            path = os.path.join(self._directory, history.ISOMETRY)
            further = history.last_step(path, history.OF_ISOMETRY)
            if step == 0 < further:
                raise ValueError(
                    f"{path} is of a training that has gone to step {further}, and this one "
                    f"begins. Give another "
                    "directory, or move that file away.")
            self.path = path
        fewest = self._x[:self._number or _FEWEST]
        self._meter = Meter(self.model, self._x, **self._said)
        self._meter(fewest)
        started = time.perf_counter()
        row = self._meter(fewest)
        self._cost = (time.perf_counter() - started) / len(fewest)
        if self.path:
            columns = ("step", *row, "share")
            kept = history.go_on(self.path, step or -1, columns, history.OF_ISOMETRY)
            self._writer = history.event_writer(
                os.path.join(self._directory, "tensorboard", "isometry"), step or -1)
        self._measured, self.rows = self.model, []
        if self._number is None and kept:
            self._number = min(int(kept[-1]["num_examples"]), len(self._x))
        if step == 0:
            self._write(step, row)

    def _training_seconds(self):
        """Seconds of training so far, without those of measuring."""
        running = 0.0 if self._began is None else time.perf_counter() - self._began - (
            self._measuring - self._spent_before)
        return self._trained + running

    def _find_number(self, step):
        """Finds the number of examples from the pace of the steps since the first call, unless it
        is known.
        """
        then, first, spent = self._mark
        if self._number is not None or step == first:
            return
        pace = (time.perf_counter() - then - (self._measuring - spent)) / (step - first)
        seconds = _AIM * self.share * pace * max(self.every, step - self._last)
        count = int(seconds / self._cost) // _FEWEST * _FEWEST
        self._number = min(max(count, _FEWEST), len(self._x))

    def _has_time(self):
        if self.share is None:
            return True
        expected = self._measuring + self._cost * (self._number or _FEWEST)
        return expected <= self.share * self._training_seconds()

    def _measure(self, step):
        started = time.perf_counter()
        row = self._meter(self._x[:self._number or _FEWEST])
        self._cost = (time.perf_counter() - started) / row["num_examples"]
        self._write(step, row)
        self._measuring += time.perf_counter() - started

    def _write(self, step, row):
        trained = self._training_seconds()
        row = {
            "step": step,
            **row, "share": (self._starting + self._measuring) / trained if trained else math.nan
        }
        self.rows.append(row)
        if self.path is None:
            return
        history.append(self.path, row)
        importance = np.array(
            [value for name, value in row.items() if name.startswith("importance_")])
        with self._writer.as_default(step):
            for name in ("norm", "predicted_norm", "cosine", "balance", "active_dimensions", "rate",
                         "distortion", "share"):
                tf.summary.scalar(f"isometry/{name}", row[name])
            tf.summary.image("isometry/importance",
                             spectrum_image(importance, self._meter.beta)[None])
        self._writer.flush()


def _first_of(data, count):
    """The first `count` examples, or all where there are fewer, as one tensor `[N, ...]`, float32.
    """
    parts, seen = [], 0
    for x in batches(data):
        parts.append(x[:count - seen])
        arguments.check_finite("x", parts[-1], seen)
        seen += len(parts[-1])
        if seen == count:
            break
    if not seen:
        raise ValueError("data has no examples.")
    return tf.concat(parts, 0)
