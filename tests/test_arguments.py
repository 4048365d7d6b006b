"""Checks of arguments: what passes, and what each error names."""
import numpy as np
import pytest

from tests.messages import refuses
from tfisovae import arguments


@pytest.mark.parametrize("value", [1, 0.5, np.float32(2), np.int64(3)])
def test_positive_numbers_pass(value):
    assert arguments.positive("beta", value) == value


@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, True, None, "1", [1.0]])
def test_other_values_are_not_positive(value):
    with refuses(ValueError, "beta"):
        arguments.positive("beta", value)


def test_arrays_are_positive_in_every_entry():
    np.testing.assert_array_equal(arguments.positive_array("variances", [1, 2]), [1.0, 2.0])
    for bad in (0, np.nan, np.inf):
        with refuses(ValueError, "variances"):
            arguments.positive_array("variances", [1, bad])


def test_integers_pass_from_the_least_on():
    assert arguments.integer("rows", np.int32(2), 2) == 2
    for bad in (1, 2.0, True, "2", None):
        with refuses(ValueError, "rows"):
            arguments.integer("rows", bad, 2)


def test_the_first_example_that_is_not_finite_is_named():
    values = np.zeros([4, 2, 3])
    arguments.check_finite("x", values, 10)
    values[2, 1, 0], values[3] = np.inf, np.nan
    with refuses(ValueError, "x"):
        arguments.check_finite("x", values, 10, "Fill it.")
