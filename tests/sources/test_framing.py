"""The form that images are brought into: background, crop, size, channels."""
import io
import itertools

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae.sources.decoding import Framing, UnsuitableSize, decode


def framed(pixels, **options):
    """The pixels of an array, written as PNG and read again."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return decode("x.png", lambda: io.BytesIO(buffer.getvalue()), Framing(**options)).pixels


@pytest.mark.parametrize("background, color", [("white", [255, 255, 255]),
                                               ("#ff8000", [255, 128, 0]), ("black", [0, 0, 0])])
def test_the_background_is_seen_through(background, color):
    """Also after resizing: hidden colours do not bleed over the edge of what is opaque."""
    pixels = np.zeros((4 * 64, 4 * 64, 4), np.uint8)
    pixels[:, :126] = [*color, 255]
    pixels[:, 126:] = [1, 200, 33, 0]
    np.testing.assert_array_equal(framed(pixels, background=background),
                                  np.broadcast_to(color, (64, 64, 3)))


def test_crops():
    """Of 218 x 178 pixels, the 178 in the middle; "none" keeps the margins, and squeezes them by 64
    / 218.
    """
    pixels = np.zeros((218, 178, 3), np.uint8)
    pixels[:20], pixels[20:-20], pixels[-20:] = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    for crop in ("center", "celeba"):
        np.testing.assert_array_equal(framed(pixels, crop=crop),
                                      np.broadcast_to([0, 255, 0], (64, 64, 3)))
    whole = framed(pixels, crop="none").astype(float) / 255
    # Levels; the filter's edge.
    np.testing.assert_allclose(whole.mean((0, 1)), [20 / 218, 178 / 218, 20 / 218], atol=2e-3)
    with refuses(UnsuitableSize, "x.png"):
        framed(pixels[1:], crop="celeba")
    assert framed(pixels[1:], crop="center").shape == (64, 64, 3)


@pytest.mark.parametrize("size, grayscale", itertools.product((16, 28, 48, 128), (False, True)))
def test_sizes_and_grey(size, grayscale):
    """A linear ramp stays one at every size: pixel i is the mean of what it covers. Grey is the
    luma of Rec. 601.
    """
    ramp = np.broadcast_to(np.arange(256)[None, :, None] * [.5, .8, .2],
                           (256, 256, 3)).round().astype(np.uint8)
    pixels = framed(ramp, image_size=size, grayscale=grayscale)
    assert pixels.shape == (size, size, 1 if grayscale else 3)
    weights = [[.299 * .5 + .587 * .8 + .114 * .2]] if grayscale else [[.5, .8, .2]]
    expected = ((np.arange(size) + .5) * (256 / size) - .5)[:, None] * weights
    inside = slice(size // 16 + 1, -size // 16 - 1)  # the filter is cut off at the edges
    assert np.abs(pixels[0] - expected)[inside].max() < 1.5


@pytest.mark.parametrize("options, argument", [
    ({"image_size": 10
      }, "image_size"),
    ({"image_size": 0}, "image_size"),
    ({"image_size": True}, "image_size"),
    ({"image_size": 64.0}, "image_size"),
    ({"crop": "centre"}, "crop"),
    ({"grayscale": 1}, "grayscale"),
    ({"background": "blurple"
      }, "background"),
    ({"background": "#ff800080"}, "background"),
    ({"background": (1, 2, 3)}, "background"),
])
def test_framings_that_make_no_sense(options, argument):
    with refuses(ValueError, argument):
        Framing(**options)
