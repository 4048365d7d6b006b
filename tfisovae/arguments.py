"""Checks of arguments: each error names the argument, what was expected and what came (NumPy)."""
import math
import numbers

import numpy as np
import numpy.typing as npt


def positive(name: str, value: float, meaning: str = "") -> float:
    """`value` as a float. Raises ValueError if it is no positive, finite number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive and finite{meaning}; got {value!r}.")
    return float(value)


def positive_array(name: str, values: npt.ArrayLike) -> np.ndarray:
    """`values`, float64. Raises ValueError if one of them is not positive and finite."""
    values = np.asarray(values, np.float64)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError(f"{name} must be positive and finite; got {values!r}.")
    return values


def integer(name: str, value: int, least: int = 1, meaning: str = "") -> int:
    """`value` as an integer. Raises ValueError if it is none, or below `least`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ValueError(f"{name} must be an integer of at least {least}{meaning}; got {value!r}.")
    return int(value)


def check_finite(name: str, values: npt.ArrayLike, first_row: int = 0, advice: str = "") -> None:
    """Raises ValueError if an example of `values` `[B, ...]` is not finite.

    Args:
      name: what the values are, for the message.
      values: one row for each example.
      first_row: the number of the first example.
      advice: sentences at the end of the message.
    """
    check_rows(f"{name} must be finite", np.isfinite(np.asarray(values)), first_row, advice)


def check_rows(expected: str, good: npt.ArrayLike, first_row: int = 0, advice: str = "") -> None:
    """Raises ValueError if an example is not as `expected`, by what is true of its `good`
    `[B, ...]`.

    The message has the number of the example. The other arguments are those of `check_finite`.
    """
    good = np.asarray(good)
    good = good.reshape(len(good), -1).all(1)
    if not good.all():
        raise ValueError(f"{expected}; example {first_row + int(np.argmin(good))} (counted from "
                         f"0) is not.{' ' * bool(advice)}{advice}")
