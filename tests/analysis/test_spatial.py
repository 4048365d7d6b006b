"""Channels, places and leading directions of spatial latent spaces."""
import numpy as np
import pytest

from tfisovae.analysis.spatial import Spatial, directions

H, W, C = 3, 4, 2


@pytest.fixture
def found():
    """A dimension is worth 10 row + column, and 100 times as much in channel 1."""
    rows, columns, channels = np.indices([H, W, C])
    values = ((10 * rows + columns + 1) * np.where(channels, 100, 1)).ravel().astype(float)
    active = np.ones(H * W * C, bool)
    active[:2] = False
    return Spatial.of({"latent_shape": [H, W, C], "importance": values, "kl_mean": values / 100,
                       "norm_mean": np.full(H * W * C, 0.5), "active": active,
                       "channel_cost": None})


def test_channels_and_places_are_ranked(found):
    assert found.channels.tolist() == [1, 0]
    assert found.places[0].tolist() == [2, 3] and found.places[-1].tolist() == [0, 0]
    assert found.place_of(1) == "channel 1, row 0, column 0"
    assert found.place_of(H * W * C - 2) == "channel 0, row 2, column 3"
    assert found.num_active.tolist() == [11, 11]


def test_the_kl_is_a_sum_and_importance_a_mean(found):
    values = found.maps("importance")
    np.testing.assert_allclose(found.by_channel("importance"), values.mean((0, 1)))
    np.testing.assert_allclose(found.by_place("importance"), values.mean(2))
    np.testing.assert_allclose(found.by_channel("kl_mean"), values.sum((0, 1)) / 100)
    assert found.by_channel("kl_mean").sum() == pytest.approx(found.by_place("kl_mean").sum())
    # Norms are those of active dimensions; what was not measured is not a number.
    assert np.isnan(found.by_place("norm_mean")[0, 0])
    np.testing.assert_allclose(found.by_channel("norm_mean"), 0.5)
    assert np.isnan(found.by_channel("nothing")).all() and np.isnan(found.channel_cost).all()


def test_a_table_has_dashes_for_what_was_not_measured(found):
    lines = found.table(12).splitlines()
    assert lines[2].split()[0] == "1" and lines[-1].split() == ["0", "0", "50.5", "1.010", "-"]
    assert Spatial.of({"latent_shape": None}) is None


def test_leading_directions_are_those_of_the_means():
    """Means of channel 1 move along one pattern with a deviation of 3, and along another, which is
    orthogonal to it, with 1. In units of y a channel of importance 4 has twice these.
    """
    rng, count = np.random.default_rng(0), 4000
    first, second = np.linalg.qr(rng.standard_normal([H * W, 2]))[0].T
    t = rng.standard_normal([count, 2])
    means = np.zeros([count, H * W, C])
    means[:, :, 1] = 3 * t[:, :1] * first + t[:, 1:] * second
    importance = np.tile([1.0, 4.0], H * W)
    found = directions(means.reshape(count, -1), importance, C)
    assert found.vectors.shape == (C, 3, H * W) and (found.vectors[0] == 0).all()
    for k, (pattern, deviation) in enumerate(((first, 3), (second, 1))):
        vector = found.vectors[1, k]
        np.testing.assert_allclose(np.linalg.norm(vector), deviation, rtol=0.1)  # 512 examples: 3 %
        assert abs(vector @ pattern) / np.linalg.norm(vector) > 0.99
    np.testing.assert_allclose(found.share[1], [0.9, 0.1, 0], atol=0.02)
    assert (found.share[0] == 0).all()
