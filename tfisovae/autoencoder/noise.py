"""Normal noise with values that depend only on their address."""
import numbers

import tensorflow as tf

_STEPS_TOGETHER = 10


def check_seed(seed: int) -> None:
    """Raises ValueError for a seed that does not fit 64 bits."""
    if isinstance(seed, numbers.Integral) and not -2**63 <= seed < 2**63:
        raise ValueError(f"seed must be an integer of 64 bits, below 2^63; got {seed}.")


def noise_rows(num_rows: int | tf.Tensor, dimension: int, seed: int, step: int | tf.Tensor,
               first_row: int | tf.Tensor = 0) -> tf.Tensor:
    """Standard normal noise that depends only on its address: row r of step t under a seed.

    Rows are the same for any partition (batches, replicas, workers). So a resumed or a distributed
    run equals a run on one device. Row r is the counter range of a Philox generator keyed by (seed,
    step).

    Args:
      num_rows: rows to draw, an integer or scalar tensor.
      dimension: n, an integer.
      seed: integer.
      step: integer or scalar integer tensor.
      first_row: address of the first row, an integer or scalar tensor.

    Returns:
      `[num_rows, dimension]`, float32.
    """
    check_seed(seed)
    blocks = -(-dimension // 4)  # Philox yields four numbers per count
    key_seed = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    keyed = tf.raw_ops.StatelessRandomGetKeyCounter(seed=key_seed)
    offset = tf.cast(first_row, tf.uint64) * blocks
    # The key depends on the whole seed; the counter then only addresses rows.
    counter = tf.stack([keyed.counter[0] + offset, keyed.counter[1]])
    rows = tf.raw_ops.StatelessRandomNormalV2(
        shape=tf.stack([tf.cast(num_rows, tf.int32), 4 * blocks]), key=keyed.key, counter=counter,
        alg=1)
    return rows[:, :dimension]


def noise_steps(num_steps: int, first_step: tf.Tensor, num_rows: int | tf.Tensor, dimension: int,
                seed: int) -> tf.Tensor:
    """`noise_rows` for `num_steps` consecutive steps from `first_step` on: `[num_steps, num_rows,
    dimension]`, float32.
    """
    # Several steps per iteration of the loop, whose overhead exceeds the drawing: a third of the
    # time.
    rounds = -(-num_steps // _STEPS_TOGETHER)
    steps = first_step + tf.range(tf.cast(rounds * _STEPS_TOGETHER, first_step.dtype))
    drawn = tf.map_fn(
        lambda some: tf.stack(
            [noise_rows(num_rows, dimension, seed, step) for step in tf.unstack(some)]),
        tf.reshape(steps, [rounds, _STEPS_TOGETHER]), fn_output_signature=tf.float32)
    return tf.reshape(drawn, [-1, num_rows, dimension])[:num_steps]
