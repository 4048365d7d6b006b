"""The Keras callback `IsometryMonitor` for `vae.fit`."""
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

# Examples of a measurement; if times set their number, it is a multiple of this.
_FEWEST = 16
_WITHOUT_LIMIT = 128
_AIM = 0.6  # part of the allowed time that is planned, since times vary


class IsometryMonitor(tf.keras.callbacks.Callback):
    """Measures isometry while `fit` trains: before the first step, and every `every` steps.

    Each measurement is a row of `isometry-history.csv` and a set of TensorBoard scalars: the step,
    norm and its prediction, cosines, balance, active dimensions, rate, distortion, and the
    importance of each dimension (a picture in TensorBoard). Norm and cosines use a quarter of the
    examples. `rows` has the same as dicts.

        monitor = tfisovae.callbacks.IsometryMonitor(x_test, every=500, directory="watched")
        vae.fit(x, callbacks=[monitor])

    It measures in inference mode, with the weights of the step, not with averaged weights
    (`use_ema`). The training result is bit for bit the same as without it. With several replicas,
    the first replica of this process measures. With several workers, give it to the chief only. If
    a call runs many steps (resident data, `steps_per_execution`), it measures at the first end of a
    call after a multiple of `every`.

    Measuring takes at most `share` of the training time. By default the times of the first steps
    set the number of examples, from 16 to 512. A resumed training keeps this number. If measuring
    would still take too long, measurements are skipped until there is time again. The start
    (compiling, once) does not count.

    A resumed training drops the rows of later steps, also in TensorBoard.

    Args:
      data: held-out examples, as for `analyze`; it measures the first ones.
      every: steps between measurements.
      directory: directory for `isometry-history.csv` and `tensorboard/isometry`, created if
        missing; None: no files.
      num_examples: how many examples to measure; by default as many as the time allows.
      share: largest share of the training time for measuring, .02 by default. None: no limit, and
        128 examples by default.
      distortion, beta, scale: as for `as_autoencoder`, for Keras models with an `encoder`, a
        `decoder` and their own training.

    Attributes:
      rows: the measurements of this process as dicts: `step`, the numbers of `monitor.Meter`, and
        `share`: the time of all measurements so far, including the start, over the training time of
        this process.
      path: of the CSV file, or None.

    Raises:
      ValueError: for bad arguments, examples that do not fit the model, or a distortion without a
        metric tensor; and at step 0 if `directory` has the history of a longer training.

    Example:
      >>> vae.compile("adam")
      >>> monitor = tfisovae.callbacks.IsometryMonitor(x[:50], every=5, num_examples=20)
      >>> history = vae.fit(x, epochs=1, verbose=0, callbacks=[monitor])
      >>> print(monitor.rows[-1]["norm"])
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
        # After a new compile, a model starts at step 0.
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
        """The number of measurements and their share of the training time, as a line of text."""
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
        """Compiles, times a measurement, and opens the output files; measures at step 0."""
        kept, self.path, self._number = [], None, self._asked
        if self._directory is not None:
            os.makedirs(self._directory, exist_ok=True)
            path = os.path.join(self._directory, history.ISOMETRY)
            further = history.last_step(path, history.OF_ISOMETRY)
            if step == 0 < further:
                raise ValueError(
                    f"{path} belongs to a training that has reached step {further}, and this "
                    "training starts at 0. Give another directory, or move that file away.")
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
        """Seconds of training so far, without measuring."""
        running = 0.0 if self._began is None else time.perf_counter() - self._began - (
            self._measuring - self._spent_before)
        return self._trained + running

    def _find_number(self, step):
        """Chooses the number of examples from the pace of the steps since the first call, unless it
        is given.
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
    """The first `count` examples, or all if there are fewer, as one tensor `[N, ...]`, float32."""
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
