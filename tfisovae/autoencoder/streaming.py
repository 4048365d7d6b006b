"""One pass over a data set, on all replicas of the current `tf.distribute` strategy.

    rows = prepare(model, data)             # looks at the first examples, once
    for values, first_row in run(rows, function):
        ...                                 # what `function` returns of each batch
"""
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfisovae import _keras, arguments
from tfisovae._autograph import compiled
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.autoencoder import (
    Measurable,
    bound,
    condition_of,
    has_full_covariance,
    prior_of,
)
from tfisovae.autoencoder.data import Data, batches, is_endless
from tfisovae.autoencoder.outputs import PartError
from tfisovae.progress import Later

_LOOKED_AT = 16  # examples of the first batch that are encoded before the pass

Rows: TypeAlias = Iterable[tuple[tf.Tensor, int]]
"""Batches `(x [B, ...] float32, number of examples before)`."""


@dataclasses.dataclass(frozen=True)
class Prepared:
    """Data with first examples that fit the model. It is iterated once, as `Rows`.

    Attributes:
      model: `Autoencoder`, or anything with its five attributes.
      first: the first 16 examples, or all if there are fewer, without conditions.
      mean: their posterior means, `[b, n]`.
      decode: z -> x_hat, for these examples.
    """

    model: Measurable
    first: tf.Tensor
    mean: tf.Tensor
    decode: Callable[[tf.Tensor], tf.Tensor]
    _rows: Rows

    @property
    def n(self) -> int:
        """The number of latent dimensions."""
        return self.mean.shape[-1]

    def __iter__(self) -> Iterator[tuple[tf.Tensor, int]]:
        return iter(self._rows)

    def passing(self, others: Rows) -> "Prepared":
        """The same, iterated through `others`, which pass rows on."""
        return dataclasses.replace(self, _rows=others)


def prepare(model: Measurable, data: Data, num_examples: int | None = None,
            description: str = "measuring", progress: bool = False, *,
            inspect: bool = True) -> Prepared:
    """Reads the first batch, and encodes and decodes its first 16 examples.

    Args:
      model, data, num_examples, description, progress: as for `examples_of`.
      inspect: whether to check for faults that make measurements meaningless (`inspection.check`).

    Raises:
      ValueError: as `examples_of`; if the examples do not fit the encoder or the decoder's outputs;
        or for faults of `inspection.check`.
    """
    bar = Later(total=num_examples, desc=description, unit=" examples", progress=progress)
    rows = examples_of(model, data, num_examples, bar=bar)
    x, _ = batch = next(rows)
    first = x[:_LOOKED_AT]
    try:
        posterior = model.encode(first)
    except PartError:
        raise  # names its own fault, which need not be x
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            "x must have the encoder's input shape [batch, ...]; its examples have "
            f"{list(x.shape[1:])}: {_keras.fault(error)}") from error
    if len(posterior[1].shape) > 2 and not has_full_covariance(model):
        raise ValueError(
            "encode must return the mean and the scale [batch, n]; got a scale of the shape "
            f"{list(posterior[1].shape)}. For a full covariance give "
            "tfisovae.Autoencoder(..., full_covariance=True).")
    known, alone = bound(model, first)
    mean = posterior[0] if known is model else known.encode(alone)[0]  # in the axes of `decode`
    x_hat = known.decode(mean)
    if x_hat.shape != alone.shape:
        raise ValueError(
            f"The decoder returns the shape {tuple(x_hat.shape)} for x of the shape "
            f"{tuple(alone.shape)}: the two must be equal.")
    if prior_of(model) is not None:
        _check_prior(prior_of(model), posterior[0])
    if inspect:
        inspection.check(model, first)
    return Prepared(model, alone, tf.convert_to_tensor(mean), known.decode,
                    _shown(bar, batch, rows))


def _shown(bar, batch, rows):
    """The first batch and all others, with the bar from the start."""
    bar.start()
    yield batch
    yield from rows


def _check_prior(prior, mean):
    """Raises ValueError unless `prior` gives a finite number at each posterior mean `[B, n]`."""
    try:
        found = np.asarray(prior(mean))
    except PartError:
        raise
    except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
        raise ValueError(
            f"prior must take z [batch, n] alone, here {list(mean.shape)}, and return log p(z) "
            f"[batch]: {_keras.fault(error)}") from error
    arguments.check_finite("log p(z) of prior=", found[:, None], 0,
                           "It must be finite at every posterior mean.")


def run(rows: Rows, function: Callable[[tf.Tensor, tf.Tensor], Any],
        replicas: bool = True) -> Iterator[tuple[Any, int]]:
    """Yields `(function(x, first_row), first_row)` for each batch, as NumPy arrays.

    Args:
      rows: of `prepare` or `examples_of`.
      function: from a batch and the number of examples before it to a structure of tensors `[B,
        ...]`. It is traced once.
      replicas: whether each replica takes a share of the rows. Otherwise only this process
        computes.
    """
    step = on_replicas(function) if replicas else _traced_once(function)
    for x, first_row in rows:
        yield tf.nest.map_structure(np.asarray, step(x, first_row)), first_row


def examples_of(autoencoder: Measurable, data: Data, num_examples: int | None = None,
                description: str = "measuring", progress: bool = False,
                shape: tuple[int, ...] | None = None,
                bar: Later | None = None) -> Iterator[tuple[tf.Tensor, int]]:
    """Yields `(x [B, ...] float32, number of examples before)`, each batch checked, with a progress
    bar. Examples of a conditional model are packed with their conditions.

    Args:
      autoencoder: `Autoencoder`; its distortion defines the domain of x.
      data: as for `data.batches`.
      num_examples: how many examples; all by default.
      description: of the progress bar.
      progress: whether to show it.
      shape: of one example; by default the shape of the first.
      bar: a bar that the caller starts, instead of one with this description.

    Raises:
      ValueError: if there are no examples, or fewer than `num_examples`; or for x that is not
        finite, outside the domain, or of another shape.
    """
    if num_examples is not None:
        arguments.integer("num_examples", num_examples)
    elif is_endless(data):
        raise ValueError(
            "The data set repeats without end: give num_examples, or remove its repeat().")
    seen, condition = 0, condition_of(autoencoder)
    read = batches if condition is None else condition.batches
    if bar is None:
        bar = Later(total=num_examples, desc=description, unit=" examples", progress=progress)
        bar.start()
    with contextlib.closing(bar):
        for x in read(data):
            if num_examples is not None:
                x = x[:num_examples - seen]
            shape = tuple(x.shape[1:]) if shape is None else shape
            if tuple(x.shape[1:]) != shape:
                said = list if condition is None else condition.described
                raise ValueError(
                    f"x must have examples of the shape {said(shape)}; from example {seen} "
                    f"(counted from 0) on they have {said(x.shape[1:])}.")
            arguments.check_finite("x", x, seen)
            autoencoder.distortion.check(x if condition is None else condition.unpacked(x)[0])
            yield x, seen
            seen += len(x)
            bar.update(len(x))
            if seen == num_examples:
                break
    if not seen or (num_examples is not None and seen < num_examples):
        raise ValueError(f"The data set has {seen} examples"
                         + (f", fewer than the {num_examples} asked for." if seen else "."))


def slices(x: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """An array `[N, ...]` in batches of `size` rows; the last may be shorter."""
    return (x[start:start + size] for start in range(0, len(x), size))


def parts(rows: Rows, size: int) -> Rows:
    """The same rows in batches of at most `size`."""
    for x, first_row in rows:
        for start in range(0, len(x), size):
            yield x[start:start + size], first_row + start


def rejoined(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Arrays `[b, ...]` regrouped to arrays of `size` rows; the last may be shorter."""
    kept: list[np.ndarray] = []
    for part in parts:
        kept.append(part)
        if sum(map(len, kept)) >= size:
            joined = np.concatenate(kept)
            whole = len(joined) // size * size
            yield from np.split(joined[:whole], whole // size)
            kept = [joined[whole:]] if whole < len(joined) else []
    if kept:
        yield np.concatenate(kept)


def traced(function: tf.types.experimental.GenericFunction, *args: Any) -> Any:
    """`function(*args)` for a `tf.function` that must be made again for each model.

    With a plain call TensorFlow would warn of retracing after five models.
    """
    return function.get_concrete_function(*args)(*args)


def _joined(strategy, part):
    """The rows of all replicas, in order."""
    if strategy.cluster_resolver is not None:  # of other workers too
        return strategy.gather(part, 0)
    # In one process, no collective operation: successive strategies share TensorFlow's numbering of
    # these.
    return tf.concat([tf.identity(local) for local in strategy.experimental_local_results(part)], 0)


def _traced_once(function):
    """`function(x, first_row)`, compiled once for batches of every size.

    A function that must know the size of a batch is traced for each size.
    """
    step, trace = compiled(function), None

    def call(x, first_row):
        nonlocal trace
        x, first_row = tf.convert_to_tensor(x), tf.constant(first_row, tf.int32)
        if trace is None:
            try:
                trace = step.get_concrete_function(
                    tf.TensorSpec([None, *x.shape[1:]], x.dtype), tf.TensorSpec([], tf.int32))
            except (TypeError, ValueError):
                trace = functools.partial(traced, step)
        return trace(x, first_row)

    return call


def on_replicas(function: Callable[[tf.Tensor, tf.Tensor], Any]) -> Callable[[tf.Tensor, int], Any]:
    """`function(x, first_row)` of a batch, split by rows over the replicas of the current strategy,
    as one compiled call.

    Its result, a structure of tensors `[b, ...]`, is joined in the order of the rows.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync

    def shared(x, first_row):
        return strategy.run(function, args=(x, first_row))

    if replicas == 1:
        return _traced_once(shared)
    step = compiled(shared, reduce_retracing=True)

    def call(x, first_row):
        share = -(-len(x) // replicas)

        def rows(context):
            start = context.replica_id_in_sync_group * share
            return x[start:start + share]

        def first(context):
            return tf.constant(first_row + context.replica_id_in_sync_group * share, tf.int32)

        parts = traced(step,
                       *map(strategy.experimental_distribute_values_from_function, (rows, first)))
        return tf.nest.map_structure(lambda part: _joined(strategy, part), parts)

    return call
