"""Checks of arguments. Each error names the argument, the expected and the given value (NumPy
only).
"""
import math
import numbers

import numpy as np
import numpy.typing as npt


def positive(name: str, value: float, meaning: str = "") -> float:
    """`value` as a float. Raises ValueError unless it is a positive, finite number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite{meaning}; got {value!r}.")
    return float(value)


def positive_array(name: str, values: npt.ArrayLike) -> np.ndarray:
    """`values`, float64. Raises ValueError unless all are positive and finite."""
    values = np.asarray(values, np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"{name} must be positive and finite; got {values!r}.")
    return values


def integer(name: str, value: int, least: int = 1, meaning: str = "") -> int:
    """`value` as an integer. Raises ValueError unless it is an integer of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}{meaning}; got {value!r}.")
    return int(value)


def check_finite(name: str, values: npt.ArrayLike, first_row: int = 0, advice: str = "") -> None:
    """Raises ValueError if an example of `values` `[B, ...]` is not finite.

    Args:
      name: of the values, for the message.
      values: one row for each example.
      first_row: the number of the first example.
      advice: sentences at the end of the message.
    """
    check_rows(f"{name} must be finite", np.isfinite(np.asarray(values)), first_row, advice)


def check_rows(expected: str, good: npt.ArrayLike, first_row: int = 0, advice: str = "") -> None:
    """Raises ValueError if an entry of `good` `[B, ...]` is false: that example is not as
    `expected`.

    The message has the number of the example. For the other arguments see `check_finite`.
    """
    good = np.asarray(good)
    good = good.reshape(len(good), -1).all(1)
    if not good.all():
        raise ValueError(f"{expected}; example {first_row + int(np.argmin(good))} (counted from "
                         f"0) is not.{' ' * bool(advice)}{advice}")
