"""Black and white of pictures: of data outside [0, 1] too."""
import numpy as np
import pytest

from tfisovae.show import decoded, tiles
from tfisovae.show.contents import limits, limits_words

UNIT = np.random.default_rng(0).uniform(size=(3, 8, 8, 1))
RANGES = {"dB": (-80.0, 0.0), "tanh": (-1.0, 1.0), "bytes": (0.0, 255.0), "negative": (-9.0, -8.0)}


@pytest.mark.parametrize("name", RANGES)
def test_images_of_another_range_look_as_in_their_own(name):
    """Brought to [0, 1] they have the same bytes; the words say black and white."""
    low, high = RANGES[name]
    unit = (UNIT - UNIT.min()) / (UNIT.max() - UNIT.min())
    images = low + (high - low) * unit
    np.testing.assert_allclose(limits(images), (low, high))
    shown = tiles.to_bytes(images, limits(images)).astype(int)
    assert np.abs(shown - tiles.to_bytes(unit)).max() <= 1 and shown.max() == 255
    words = limits_words(limits(images))
    assert f"{high:.3g}" in words
    ax = decoded.reconstructions([images, images], ["x", "Dec(mean)"]).axes[0]
    assert words in ax.get_title()
    picture = ax.images[0].get_array()
    assert picture.min() == 0 and np.ptp(picture[:8, :8]) > 0.5


def test_unit_images_stay_as_they_are():
    """A little overshoot of a decoder, bytes with their largest value, and nothing at all."""
    for images, largest in ((UNIT, 1.0), (1.05 * UNIT - 0.02, 1.0), (255 * UNIT, 255.0),
                            (np.full((1, 2, 2, 1), np.nan), 1.0)):
        assert limits(images, largest) == (0.0, largest)
        assert not limits_words((0.0, largest), largest)
    assert limits(np.full((1, 2, 2, 1), 5.0)) == (5.0, 5.0)
    assert not tiles.to_bytes(np.full((1, 2, 2, 1), 5.0), (5.0, 5.0)).any()
