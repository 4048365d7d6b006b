"""From rows on disk to batches on devices. Each batch depends only on the seed and the step."""
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder.data import as_float
from tfisovae.sources import Rows


def training_batches(rows: Rows, batch_size: int, seed: int, first_step: int,
                     strategy: tf.distribute.Strategy) -> tf.data.Dataset:
    """Endless batches of float32 examples, which depend only on the seed and the step.

    Epochs are permutations of all rows, one after the other without a gap; step t takes positions t
    * batch_size onwards. Each replica on each worker reads its own rows of the global batch; shares
    differ by one row if the batch cannot be divided.

    Args:
      rows: `Rows`, or any array that can be indexed by an integer array.
      batch_size: of the global batch.
      seed: integer.
      first_step: the step to begin with.
      strategy: `tf.distribute.Strategy`.

    Returns:
      A distributed data set.
    """
    replicas, size = strategy.num_replicas_in_sync, len(rows)
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1; got {batch_size!r}.")
    cuts = [batch_size * replica // replicas for replica in range(replicas + 1)]
    share = None if batch_size % replicas else batch_size // replicas
    rows_at = _order(size, seed)

    def for_worker(context):
        local = replicas // context.num_input_pipelines
        first_replica = context.input_pipeline_id * local

        def read(element):
            step, replica = divmod(int(element), local)
            start, end = cuts[first_replica + replica:][:2]
            return rows[rows_at(step * batch_size + start, end - start)]

        def load(element):
            batch = tf.numpy_function(read, [element], rows.dtype)
            return as_float(tf.ensure_shape(batch, (share, *rows.shape[1:])))

        elements = tf.data.Dataset.range(first_step * local, tf.int64.max)
        return elements.map(load, num_parallel_calls=2, deterministic=True).prefetch(2 * local)

    return strategy.distribute_datasets_from_function(for_worker)


def resident_batches(size: int, batch_size: int, seed: int, first_step: int, steps: Sequence[int],
                     strategy: tf.distribute.Strategy) -> tf.data.Dataset:
    """Endless elements `[steps, batch_size]` of row numbers, int32: the rows of `training_batches`
    for `steps` steps at once.

    For `fit` of a VAE compiled with `resident` data, which stay on the device. `steps` is a number,
    or a list of numbers that the elements use in turn.
    """
    rows_at, lengths = _order(size, seed), np.atleast_1d(steps)
    ends = np.cumsum(lengths)
    known = int(lengths[0]) if len(set(lengths.tolist())) == 1 else None

    def read(call):
        turn, place = divmod(int(call), len(lengths))
        count = int(lengths[place])
        start = first_step + turn * int(ends[-1]) + int(ends[place]) - count
        return rows_at(start * batch_size, count * batch_size).astype(np.int32).reshape(
            count, batch_size)

    def load(call):
        return tf.ensure_shape(tf.numpy_function(read, [call], tf.int32), (known, batch_size))

    elements = tf.data.Dataset.range(tf.int64.max)
    # Distributed by hand: Keras' own distribution would treat the first axis as the batch.
    return strategy.distribute_datasets_from_function(
        lambda context: elements.map(load).prefetch(2))


def call_lengths(done: int, length: int, longest: int) -> list[int]:
    """The lengths of the calls for the last `length` steps of an interval after `done` steps, a
    list.

    They end at the same steps as in a whole interval, so that sums have the same order.
    """
    total = done + length
    size = -(-total // -(-total // longest))
    ends = [*range(size, total, size), total]
    return [int(count) for count in np.diff([done, *(end for end in ends if end > done)])]


def _order(size, seed):
    """The function from a position in the endless sequence of epochs, and a count, to row numbers.
    """
    @functools.lru_cache(2)
    def permutation(epoch):
        return np.random.default_rng([seed, epoch]).permutation(size)

    def rows_at(start, count):
        first, last = start // size, max(start, start + count - 1) // size
        joined = np.concatenate([permutation(epoch) for epoch in range(first, last + 1)])
        return joined[start - first * size:][:count]

    return rows_at


def drawn(size: int, count: int, seed: int) -> np.ndarray:
    """`count` random numbers below `size`, ascending; all of them if `count` is `None`."""
    return np.sort(np.random.default_rng(seed).permutation(size)[:count])


def drawn_batches(rows: Rows, count: int, seed: int) -> tf.data.Dataset:
    """As `evaluation_batches`, for at most `count` of the `Rows`, drawn at random."""
    return evaluation_batches(rows.chosen(drawn(len(rows), count, seed)))


def evaluation_batches(rows: Any, batch_size: int = 100) -> tf.data.Dataset:
    """The rows in order, float32, as a finite data set of known length."""
    starts = tf.data.Dataset.range(0, len(rows), batch_size)

    def load(start):
        batch = tf.numpy_function(lambda s: rows[np.arange(s, min(s + batch_size, len(rows)))],
                                  [start], rows.dtype)
        return as_float(tf.ensure_shape(batch, (None, *rows.shape[1:])))

    return starts.map(load).prefetch(2).apply(
        tf.data.experimental.assert_cardinality(-(-len(rows) // batch_size)))
