"""One pass over a data set, on all replicas of the current `tf.distribute` strategy."""
import numbers
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tqdm

from tfisovae.autoencoder.autoencoder import Measurable
from tfisovae.autoencoder.data import Data, batches, check_finite, is_endless
from tfisovae.autoencoder.outputs import PartError


def examples_of(autoencoder: Measurable, data: Data, num_examples: int | None = None,
                description: str = "measuring",
                progress: bool = False) -> Iterator[tuple[tf.Tensor, int]]:
    """Yields `(x [B, ...] float32, number of examples before)`, each batch checked, with a progress
    bar.

    Args:
      autoencoder: `Autoencoder`, whose distortion says what x may be.
      data: as `examples.batches` takes it.
      num_examples: how many examples; all by default.
      description: of the progress bar.
      progress: whether to show it.
    Raises:
      ValueError: if there are no examples, or fewer than were asked for; or for x that is not
        finite, or outside the domain.
    """
    if num_examples is not None and (isinstance(num_examples, bool)
                                     or not isinstance(num_examples, numbers.Integral)
                                     or num_examples < 1):
        raise ValueError(f"num_examples must be an integer of at least 1; got {num_examples!r}.")
    if num_examples is None and is_endless(data):
        raise ValueError(
            "The data set repeats without end: give num_examples, or leave out its repeat().")
    seen = 0
    with tqdm.tqdm(total=num_examples, desc=description, unit=" examples",
                   disable=not progress) as bar:
        for x in batches(data):
            if num_examples is not None:
                x = x[:num_examples - seen]
            check_finite(x, seen)
            autoencoder.distortion.check(x)
            if not seen:
                _check_shapes(autoencoder, x)
            yield x, seen
            seen += len(x)
            bar.update(len(x))
            if seen == num_examples:
                break
    if not seen or (num_examples is not None and seen < num_examples):
        raise ValueError(f"The data set has {seen} examples"
                         + (f", fewer than the {num_examples} asked for." if seen else "."))


def rejoined(parts: Iterable[np.ndarray], size: int) -> Iterator[np.ndarray]:
    """Arrays `[b, ...]` cut and joined to arrays of `size` rows; the last may be shorter."""
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


def _check_shapes(autoencoder, x):
    """Raises ValueError if the encoder does not take examples `x` of this shape, or the decoder
    returns another.
    """
    try:
        mean = autoencoder.encode(x)[0]
    except PartError:
        raise  # says itself what is wrong, which need not be x
    except (ValueError, tf.errors.InvalidArgumentError) as error:
        said = str(error).strip().splitlines()
        raise ValueError(
            f"x must have the shape [batch, ...] that the encoder takes; its examples have "
            f"{list(x.shape[1:])}: "
            f"{said[0] if said else type(error).__name__}") from error
    x_hat = autoencoder.decode(mean)
    if x_hat.shape != x.shape:
        raise ValueError(
            f"The decoder returns the shape {tuple(x_hat.shape)} for x of the shape "
            f"{tuple(x.shape)}: a VAE "
            "returns what it takes.")


def traced(function: tf.types.experimental.GenericFunction, *args: Any) -> Any:
    """`function(*args)` of a `tf.function` that is made anew for each model, as it must be.

    A plain call counts as a needless retracing, of which TensorFlow warns after five models.
    """
    return function.get_concrete_function(*args)(*args)


def _joined(strategy, part):
    """The rows of all replicas, in order."""
    if strategy.cluster_resolver is not None:  # of other workers too
        return strategy.gather(part, 0)
    # In one process without a collective operation: strategies that come after one another share
    # TensorFlow's numbering of those.
    return tf.concat([tf.identity(local) for local in strategy.experimental_local_results(part)], 0)


def on_replicas(function: Callable[[tf.Tensor, tf.Tensor], Any]) -> Callable[[tf.Tensor, int], Any]:
    """`function(x, first_row)` of a batch, split by rows over the replicas of the current strategy,
    as one compiled call.

    What it returns, a structure of tensors `[b, ...]`, comes back joined, in the order of the rows.
    """
    strategy = tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync

    @tf.function(reduce_retracing=True)
    def step(x, first_row):
        return strategy.run(function, args=(x, first_row))

    def call(x, first_row):
        share = -(-len(x) // replicas)

        def rows(context):
            start = context.replica_id_in_sync_group * share
            return x[start:start + share]

        def first(context):
            return tf.constant(first_row + context.replica_id_in_sync_group * share, tf.int32)

        if replicas == 1:
            return traced(step, x, tf.constant(first_row, tf.int32))
        parts = traced(step,
                       *map(strategy.experimental_distribute_values_from_function, (rows, first)))
        return None if parts is None else tf.nest.map_structure(
            lambda part: _joined(strategy, part), parts)

    return call
