"""The Keras half of a VAE: `compile`, `fit` and `evaluate`, and their steps."""
import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import _keras, arguments
from tfisovae.autoencoder import graph
from tfisovae.autoencoder.data import check_kind, x_of
from tfisovae.autoencoder.noise import noise_rows
from tfisovae.callbacks import LambdaSchedule
from tfisovae.metrics import rate_distortion as metrics_lib
from tfisovae.metrics.measurement import measure
from tfisovae.vae import checks, resident
from tfisovae.vae.batch import Batch, Mode, Share, share_of
from tfisovae.vae.resident import Compiled, Resident

_ROWS = 4096  # rows of an array that are checked together
_WITH_KEPT = {
    "shuffle", "initial_epoch", "validation_data", "validation_freq", "validation_batch_size",
    "validation_steps"
}


class Trainable(_keras.Trained):
    """The training part of `VAE`."""

    def __init__(self, name: str) -> None:
        # It has no own layers: mixed precision belongs to the networks.
        super().__init__(name=name, dtype="float32")
        self._trackers = [
            metrics_lib.Loss(),
            metrics_lib.Distortion(),
            metrics_lib.Rate(),
            metrics_lib.ActiveDimensions()
        ]
        self._measures, self._asked_parts, self._resident, self._annealing = [], 1, None, None
        # An array that `fit` was given, and the steps compiled for it.
        self._may_keep, self._kept = False, None
        self._compiled = None  # the steps, where XLA compiles them one by one
        self._left = None  # lmbda from the schedule, and the original lmbda

    def compile(self, optimizer: tf.keras.optimizers.Optimizer | str = "adam",
                metrics: Sequence[tf.keras.metrics.Metric] | None = None, num_parts: int = 1,
                resident: np.ndarray | tf.Tensor | bool | None = None, **kwargs: Any) -> None:
        """Sets the optimizer and metrics for `fit` and `evaluate`.

        Args:
          optimizer: a Keras optimizer, or the name of one.
          metrics: instances of `tfisovae.metrics`, measured by `evaluate`.
          num_parts: number of nearly equal parts of a batch that `fit` computes in parallel. The
            step is the same to rounding. On a CPU, one part per core is faster than all cores on
            one operation after the other. Networks with layers that look at a whole batch (batch
            normalisation), or may do so (your own layers, `Lambda`, `add_loss`), get whole batches.
          resident: `[N, ...]`, examples to keep on the device. None: `fit` keeps its array there if
            that is faster (`tfisovae.vae.resident.pays`: small dense networks on a CPU, at least
            2,000 steps); then an epoch is one call. False: never. With examples, `fit` takes data
            sets of row numbers `[steps, B]`, int32 (`tfisovae.training.batches.resident_batches`),
            and runs the steps of each element in one call compiled by XLA. The weights equal
            ordinary training to rounding; small networks train several times faster.
          **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile` of `tf.keras.Model.compile`;
            `jit_compile` applies to training steps, between the checks of data and loss, which XLA
            would drop.
        """
        for name in ("loss", "loss_weights", "weighted_metrics"):
            if kwargs.pop(name, None) is not None:
                raise ValueError(
                    f"compile({name}=...) cannot be used with a VAE: its loss is lmbda D + KL, "
                    "with the distortion of the VAE's constructor.")
        for metric in metrics or []:
            if not hasattr(metric, "measure"):
                raise ValueError(
                    f"metrics must be instances of tfisovae.metrics; got {metric!r}."
                )
            if self.n is not None:
                metric.build(self.n)
        if num_parts < 1:
            raise ValueError(f"num_parts must be at least 1; got {num_parts!r}.")
        self._measures, self._asked_parts = list(metrics or []), int(num_parts)
        compiled, kwargs = kwargs.get("jit_compile"), {**kwargs, "jit_compile": False}
        super().compile(optimizer=self._with_loss_scale(optimizer), **kwargs)
        self._compiled = Compiled(self) if compiled else None
        self._may_keep = resident is None and not compiled and not any(kwargs.values())
        self._resident = None
        if resident is not None and resident is not False:
            arguments.check_finite("x", resident)
            self._resident = Resident(self, self._prepare(resident))
        self._kept = None

    @property
    def num_parts(self) -> int:
        """The number of parts of a batch in `fit`. Several replicas do not split their rows."""
        alone = self.distribute_strategy.num_replicas_in_sync == 1
        return self._asked_parts if alone and self.treats_examples_apart else 1

    @property
    def metrics(self) -> list[tf.keras.metrics.Metric]:
        return [*self._trackers, *self._measures]

    def _check_data(self, data):
        """Checks the data for `fit` or `evaluate`, as far as possible before the start."""
        spec = getattr(data, "element_spec", None)
        if spec is not None:
            shape = getattr(x_of(spec), "shape", None) if self._resident is None else None
            if shape is not None and shape.rank is not None:
                self._settle_by(tf.TensorSpec(shape))
            return
        x = x_of(data)
        if isinstance(x, (str, bytes, int, float)) or (hasattr(x, "shape") and x.shape == ()):
            raise ValueError(
                "x must be an array [N, ...], a tf.data.Dataset of batches, or a generator of "
                f"them; got {type(x).__name__}.")
        if hasattr(x, "shape") and hasattr(x, "dtype"):
            check_kind(x)
            for first in range(0, int(x.shape[0]), _ROWS):
                rows = x[first:first + _ROWS]
                arguments.check_finite("x", rows, first)
                self._prepare(rows)

    def fit(self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1,
            verbose: int | str = "auto", callbacks: Any = None,
            **kwargs: Any) -> tf.keras.callbacks.History:
        """Trains the VAE: `tf.keras.Model.fit`, for data as in the class docstring.

        Arrays are checked as a whole before the first step, data sets batch by batch.

        Raises:
          ValueError: for an example that is not finite or outside the distortion's domain.
          NonFiniteLoss: at a step with a loss that is not finite; the weights stay as before this
            step.
        """
        _refuse_weights(kwargs)
        self._check_data(x)
        if kwargs.get("validation_data") is not None:
            self._check_data(kwargs["validation_data"])
            # Keras takes only pairs, and tests arrays for truth.
            if hasattr(kwargs["validation_data"], "dtype"):
                kwargs["validation_data"] = (kwargs["validation_data"],)
        attached = [
            callback for callback in tf.nest.flatten(getattr(callbacks, "callbacks", callbacks))
            if callback is not None
        ]
        self._anneal(attached)
        with checks.plain_errors(), self._keeping(x, batch_size or 32, epochs, attached,
                                                  kwargs) as kept:
            if kept is not None:
                x, y, batch_size = kept, None, None
            # Data sets have their own order, and Keras 3 warns of True, its default.
            if hasattr(x, "element_spec"):
                kwargs["shuffle"] = False
            try:
                return super().fit(_keras.fed(x), y, batch_size, epochs, verbose, callbacks,
                                   **kwargs)
            finally:
                if self._annealing is not None:
                    self._left = float(self.lmbda.numpy()), self._annealing.end

    @contextlib.contextmanager
    def _keeping(self, x, batch_size, epochs, callbacks, kwargs):
        """Keeps an array on the device while `fit` trains, if that pays: the data set of its rows,
        or None.
        """
        x = None if hasattr(x, "element_spec") else x_of(x)
        plain = self._may_keep and hasattr(x, "shape") and hasattr(
            x, "dtype") and set(kwargs) <= _WITH_KEPT
        if not plain or not resident.pays(self, np.asarray(x), batch_size, epochs, callbacks):
            yield None
            return
        x = np.asarray(x, np.float32)
        if self._kept is None or self._kept[0].examples.shape != x.shape:
            self._kept = Resident(self, tf.Variable(x, trainable=False)), None
        outer = self.train_function
        (self._resident, self.train_function) = self._kept
        self._resident.examples.assign(x)
        try:
            yield resident.epoch_rows(len(x), batch_size, kwargs.get("shuffle", True))
        finally:
            self._kept = self._resident, self.train_function
            self._resident, self.train_function = None, outer

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Measures the losses and metrics: `tf.keras.Model.evaluate`, for data as in the class
        docstring.
        """
        _refuse_weights({**dict(zip(("y", "batch_size", "verbose", "sample_weight"), args)),
                         **kwargs})
        if _keras.CALLED_BY_FIT not in kwargs:
            self._check_data(x)
        with checks.plain_errors():
            return super().evaluate(_keras.fed(x), *args, **kwargs)

    def _anneal(self, callbacks):
        """Follows the `LambdaSchedule` among the callbacks, if there is one. Steps compiled for
        another schedule are compiled again.
        """
        schedules = [callback for callback in callbacks if isinstance(callback, LambdaSchedule)]
        lmbda = float(self.lmbda.numpy())
        # A training that was stopped half-way resumes.
        given = self._left[1] if self._left and self._left[0] == lmbda else lmbda
        annealing = schedules[0].annealing(given) if schedules else None
        if annealing != self._annealing:
            self._annealing, self.train_function, self._kept = annealing, None, None
            if self._resident is not None:
                self._resident = Resident(self, self._resident.examples)
            if self._compiled is not None:
                self._compiled = Compiled(self)

    def make_train_function(self, force: bool = False) -> Any:
        """Keras' own function. The optimizer's variables are made before it is traced, since a
        function that makes variables is traced twice.
        """
        if all(layer.built for network in (self.encoder, self.decoder)
               for layer in graph.layers(network)):
            self._build_optimizer()
        return super().make_train_function(force)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        if self._resident is not None:
            return self._report([self._resident.train(data)], self._trackers)
        x = self._prepare(data)
        share = share_of(x)
        noise = noise_rows(
            tf.shape(x)[0], self.n, self.seed, _keras.iterations(self.optimizer), share.first_row)
        done = [self._compiled.train_batch(x, noise)] if self._compiled else self.train_on(
            x, noise, share)[0]
        return self._report(done, self._trackers)

    def train_on(self, x: tf.Tensor, noise: tf.Tensor, share: Share,
                 alive: tf.Tensor | None = None) -> tuple[list[Batch], tf.Tensor | bool]:
        """One step of the optimizer on `x` `[B, ...]` with posterior `noise` `[B, n]`.

        Args:
          x, noise: examples of this replica, and their noise.
          share: `share_of(x)`.
          alive: None: a loss that is not finite is an error. If XLA compiles the step, a scalar
            tensor, bool: whether to do the step at all.

        Returns:
          `(the Measurements of its parts, whether the step was done)`; a step is not done if its
          loss is not finite.
        """
        step = _keras.iterations(self.optimizer)
        lmbda = self._annealing(step) if self._annealing is not None else None
        if lmbda is not None:
            self.lmbda.assign(lmbda)
        mode = Mode(self, True, lmbda)
        batches, losses, gradients = [], [], []
        # Parts have no data in common: on a CPU the executor runs them side by side, one to a core.
        size = tf.cast(share.size, tf.float32)
        for x_part, noise_part in zip(*(checks.parts(value, self.num_parts)
                                        for value in (x, noise))):
            with tf.GradientTape() as tape:
                batch = Batch(mode, x_part, noise_part)
                loss = tf.reduce_sum(self._training_loss(batch)) / size
                scaled = _keras.scaled_loss(self.optimizer, loss) if self._scales_loss() else loss
            batches.append(batch)
            losses.append(loss)
            gradients.append(tape.gradient(scaled, self.trainable_variables))
        # Weights without effect on an output, such as the head of an unused sample, stay unchanged.
        moved = [(tf.add_n([tf.convert_to_tensor(part) for part in parts]), variable)
                 for *parts, variable in zip(*gradients, self.trainable_variables)
                 if parts[0] is not None]

        def move():
            total = [gradient for gradient, _ in moved]
            if self._scales_loss():
                total = _keras.unscaled(self.optimizer, total)
            self.optimizer.apply_gradients(zip(total, [variable for _, variable in moved]))
            return True

        self._build_optimizer()
        loss = tf.add_n(losses)
        if alive is None:
            with tf.control_dependencies([checks.finite_loss(loss, x, share.first_row, step)]):
                return batches, move()
        # XLA drops assertions, so the caller checks the result.
        return batches, tf.cond(alive & tf.math.is_finite(loss), move, lambda: False)

    def _build_optimizer(self):
        """Makes the optimizer's variables for each weight, also for weights that no loss moves:
        Keras needs the averages of all.
        """
        if hasattr(self.optimizer, "build"):
            with tf.init_scope():
                _keras.build(self.optimizer, self.trainable_variables)

    def _with_loss_scale(self, optimizer):
        """The optimizer, with loss scaling if a network computes in float16, since small gradients
        would be 0.
        """
        optimizer = tf.keras.optimizers.get(optimizer)
        narrow = any(graph.narrow_layers(network, ["float16"])
                     for network in (self.encoder, self.decoder))
        if not narrow or isinstance(optimizer, tf.keras.mixed_precision.LossScaleOptimizer):
            return optimizer
        return tf.keras.mixed_precision.LossScaleOptimizer(optimizer)

    def _scales_loss(self):
        return isinstance(self.optimizer, tf.keras.mixed_precision.LossScaleOptimizer)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        x = self._prepare(data)
        first_row = share_of(x, tf.cast(self._trackers[0].count, tf.int32)).first_row

        def update():
            batch = measure(Mode(self, False), checks.finite_examples(x, first_row), first_row,
                            self.seed, kind=Batch)
            # First of all, since the networks' own losses are from the last call.
            batch.objective  # noqa: B018
            self._update([batch], self.metrics)
            return True

        if self.distribute_strategy.num_replicas_in_sync == 1:
            update()
        else:  # a replica may have no rows, which some decoders and distortions do not accept
            tf.cond(tf.shape(x)[0] > 0, update, lambda: False)
        return self._results(self.metrics)

    def training_objective(self, x: tf.Tensor, first_row: int | tf.Tensor = 0,
                           seed: int = 0) -> tf.Tensor:
        """The loss that `fit` minimizes, for the examples `x` `[B, ...]`: `[B]`, nats, with the
        networks' own losses.

        Layers that are random in training (dropout), or compute in 16 bits, do so here too, if no
        layer looks at the whole batch; otherwise all are in inference mode.
        """
        otherwise = any(found(network) for network in (self.encoder, self.decoder)
                        for found in (graph.random_layers, graph.narrow_layers))
        mode = Mode(self, otherwise and self.treats_examples_apart)
        return measure(mode, x, first_row, seed, kind=Batch).objective

    def _training_loss(self, batch):
        """lmbda D + KL + the networks' own losses, `[B]`, for the D of this step."""
        if not (self.decomposed and self.warmup_steps):
            return batch.objective
        warming_up = _keras.iterations(self.optimizer) < self.warmup_steps
        return batch.loss(
            tf.where(warming_up, self.distortion(batch.x, batch.x_hat), batch.distortion))

    def _report(self, measurements, metrics):
        self._update(measurements, metrics)
        return self._results(metrics)

    def _update(self, measurements, metrics):
        for metric in metrics:
            for measurement in measurements:
                metric.update_state(measurement)

    def _results(self, metrics):
        logs = {}
        for metric in metrics:
            result = metric.result()
            logs.update(result if isinstance(result, dict) else {metric.name: result})
        return logs


def _refuse_weights(given):
    """Raises ValueError for weights of examples, which Keras drops without a y."""
    for name in ("sample_weight", "class_weight"):
        if given.get(name) is not None:
            raise ValueError(
                f"{name} cannot be used with a VAE: its loss, lmbda D + KL, has no weights. Remove "
                "it, or repeat examples that should count more.")
