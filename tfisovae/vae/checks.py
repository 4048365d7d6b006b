"""Checks inside the steps: finite examples, a finite loss, and errors in one line."""
import contextlib
import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

_CUT = "cannot be cut into"
_OURS = ("expects x between", "x must be finite", "loss is not finite", _CUT)


class NonFiniteLoss(ValueError):
    """The loss of a training step is not finite.

    Attributes:
      step: number of the step, counted from 1.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


def parts(x: tf.Tensor, count: int) -> list[tf.Tensor]:
    """`x` `[B, ...]` cut into `count` parts of nearly equal size, none of them empty."""
    if count == 1:
        return [x]
    size = tf.shape(x)[0] if x.shape[0] is None else x.shape[0]
    check = tf.debugging.Assert(size >= count, [
        "A batch of", size, "examples", _CUT, count, "parts: use drop_remainder=True for the end "
        "of an epoch, or fewer num_parts"
    ])
    with tf.control_dependencies([check] if check is not None else []):
        cuts = [size * k // count for k in range(count + 1)]
        return [x[start:end] for start, end in zip(cuts, cuts[1:])]


def finite_examples(x: tf.Tensor, first_row: int | tf.Tensor, *where: Any) -> tf.Tensor:
    """`x`, with the assertion that every example is finite; the message counts them from
    `first_row`, and says `where`.
    """
    rows = tf.reduce_all(tf.math.is_finite(x), tf.range(1, tf.rank(x)))
    # A replica may have no rows, and so no minimum.
    broken = tf.cast(first_row, tf.int64) + tf.argmin(
        tf.cast(tf.concat([rows, [False]], 0), tf.int32))
    check = tf.debugging.Assert(
        tf.reduce_all(rows),
        ["x must be finite; example", broken, "(counted from 0)", *where, "is not"])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(x)


def finite_loss(loss: tf.Tensor, x: tf.Tensor, first_row: int | tf.Tensor,
                step: tf.Tensor) -> tf.Tensor:
    """`loss`, with assertions that its examples `x` and then the loss are finite. The message
    counts examples from `first_row`.
    """
    x = finite_examples(x, first_row, "of the batch of step", step + 1)
    with tf.control_dependencies([x]), tf.control_dependencies(
            loss_check(tf.math.is_finite(loss), step + 1)):
        return tf.identity(loss)


def loss_check(finite: tf.Tensor, number: int | tf.Tensor) -> list[tf.Operation]:
    """A list with the assertion that the loss of step `number`, counted from 1, is finite; empty if
    it exists already.
    """
    check = tf.debugging.Assert(
        finite,
        ["The loss is not finite at step", number, "- lower the learning rate, or set clipnorm"])
    return [] if check is None else [check]


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turns assertions of this package that fail inside a graph into a `ValueError` of one line.

    Raises:
      NonFiniteLoss: for a loss that is not finite.
    """
    try:
        yield
    except tf.errors.InvalidArgumentError as error:
        found = re.search(r"assertion failed: (\[[^\n]*)", error.message)
        parts = re.findall(r"\[([^\[\]]*)\]", found[1].partition("[[")[0]) if found else []
        message = " ".join(part for part in parts if part)
        if not any(ours in message for ours in _OURS):
            raise
        if "loss is not finite" in message:
            raise NonFiniteLoss(f"{message}.", int(re.search(r"at step (\d+)",
                                                             message)[1])) from None
        raise ValueError(f"{message}.") from None
