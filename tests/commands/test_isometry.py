"""What the command `isometry` adds to a measurement."""
import numpy as np

from tfisovae.commands import isometry


def test_factor_correlations():
    rng = np.random.default_rng(0)
    means, factors = rng.standard_normal((200, 3)), rng.standard_normal((200, 2))
    means[:, 2] = 4.0
    expected = np.corrcoef(means[:, :2].T, factors.T)[:2, 2:]
    found = isometry.factor_correlations(means, factors)
    np.testing.assert_allclose(found[:2], expected, rtol=1e-9)
    np.testing.assert_array_equal(found[2], 0)
