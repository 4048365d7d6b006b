"""The simulations of what tests find: their gradients are exact, and docstrings agree with the
published file.
"""
import numpy as np
import pytest

from results import simulations, verdict
from tests.support import ROOT
from tfisovae import files


def published(part):
    return files.read_json(ROOT / "results" / "verdict" / "simulations.json")[part]


def test_gradients_have_the_mean_0_at_the_optimum_alone():
    """Each of 60 components within 5 errors; with weights that are off, some are far from it."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_000, 4)) * np.sqrt(simulations.VARIANCES)
    for change, far in ((0.0, False), (0.05, True)):
        found = simulations.gradients(x, change, rng)
        errors = np.abs(found.mean(0)) / (found.std(0) / len(x)**0.5)
        assert found.shape == (20_000, 60) and (errors.max() > 5) == far


def test_a_gradient_is_the_slope_of_the_loss():
    """By the decoder's bias and by the encoder's: differences of |x - x_hat|^2 / beta + KL of one
    example, with the noise fixed.
    """
    h, v = verdict.BETA / 2, simulations.VARIANCES
    gain, scale = np.sqrt(v - h), np.sqrt(h / v)
    x = np.array([[1.0, -2.0, 0.5, 0.3]])
    eps = np.random.default_rng(3)
    eps.standard_normal((2, 4, 4))  # the two matrices come first
    eps = eps.standard_normal((1, 4))

    def loss(before, after):
        mean = x * gain / v + before
        x_hat = (mean + scale * eps) * gain + after
        return np.sum((x - x_hat)**2) / (2 * h) + np.sum(mean**2) / 2

    made = simulations.gradients(x, 0.0, np.random.default_rng(3))[0]
    for first, at in ((16, 1), (36, 0)):  # after a matrix of 16 each: output, then mean
        step = 1e-5 * np.eye(4)
        slopes = [(loss(*(s * (k == at) for k in (0, 1))) - loss(*(-s * (k == at) for k in (0, 1))))
                  / 2e-5 for s in step]
        np.testing.assert_allclose(made[first:first + 4], slopes, rtol=1e-6)


@pytest.mark.parametrize("weights", [20, 400])
def test_the_former_test_of_gradients_is_uniform_but_for_its_factor(weights):
    """Under the null its p-value is below .3, three times .1, in a tenth of data sets: 5 errors."""
    rng = np.random.default_rng(1)
    found = [simulations.flipped(blocks @ blocks.T, rng) for blocks in
             (rng.standard_normal((40, weights)) for _ in range(200))]
    assert abs(np.mean(np.array(found) < 0.3) - 0.1) < 5 * (0.09 / 200)**0.5


def test_what_is_said_of_the_rates_agrees_with_the_file():
    """Docstrings and README: 5 % within 3 errors, 9 % where all differ, and no false cluster."""
    for row in published("intervals"):
        if (row["n"], row["differing"]) == (1, 1):
            assert row["missed"] > 0.99
        else:
            limit = 0.09 if row["how"] == "uniform" else 0.05 + 3 * (0.0475 / 1000)**0.5
            assert row["missed"] < limit and row["called_different"] <= 0.012
    assert all(row["kept"] >= 0.87 for row in published("gradient") if row["former"] >= 0.5)
    kept = [row["kept"] for row in published("moments")]
    assert 0.645 <= min(kept) < 0.8 < np.mean(kept)
    for row in published("clusters"):
        assert row["named"] == float("points" in row["shape"])
