"""From rows on disk to batches on devices, each a function of the seed and the step."""
import functools

import numpy as np
import tensorflow as tf


def training_batches(rows, batch_size, seed, first_step, strategy):
    """Endless batches of float32 examples, a function of the seed and the step alone.

    Epochs are permutations of all rows, one after the other without a gap; step t takes positions t * batch_size onwards.
    Each replica, on whichever worker, reads its own rows of the global batch.

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
    if batch_size < 1 or batch_size % replicas:
        raise ValueError(f"batch_size must be a positive multiple of the {replicas} replica(s); got {batch_size!r}.")
    share = batch_size // replicas

    @functools.lru_cache(2)
    def order(epoch):
        return np.random.default_rng([seed, epoch]).permutation(size)

    def for_worker(context):
        local = replicas // context.num_input_pipelines
        first_replica = context.input_pipeline_id * local

        def read(element):
            step, replica = divmod(int(element), local)
            start = step * batch_size + (first_replica + replica) * share
            positions = np.arange(start, start + share)
            index = np.concatenate([order(epoch)[positions[positions // size == epoch] % size]
                                    for epoch in range(positions[0] // size, positions[-1] // size + 1)])
            return rows[index]

        def load(element):
            batch = tf.numpy_function(read, [element], rows.dtype)
            return as_float(tf.ensure_shape(batch, (share, *rows.shape[1:])))

        elements = tf.data.Dataset.range(first_step * local, tf.int64.max)
        return elements.map(load, num_parallel_calls=2, deterministic=True).prefetch(2 * local)

    return strategy.distribute_datasets_from_function(for_worker)


def evaluation_batches(rows, batch_size=100):
    """The rows in order, float32, as a finite data set of known length."""
    starts = tf.data.Dataset.range(0, len(rows), batch_size)

    def load(start):
        batch = tf.numpy_function(lambda s: rows[np.arange(s, min(s + batch_size, len(rows)))], [start], rows.dtype)
        return as_float(tf.ensure_shape(batch, (None, *rows.shape[1:])))

    return starts.map(load).prefetch(2).apply(tf.data.experimental.assert_cardinality(-(-len(rows) // batch_size)))


def as_float(batch):
    """float32; 8-bit images are scaled to [0, 1]."""
    return tf.cast(batch, tf.float32) / 255 if batch.dtype == tf.uint8 else tf.cast(batch, tf.float32)
