"""What people would use instead: sizes and headers of JPEG and WebP, scalar quantisation against
its closed forms.
"""
import io
import math

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae import distortions, theory
from tfisovae.codec import baselines


def pictures(count=4, size=64, channels=3):
    """Smooth coloured images, uint8."""
    rng, grid = np.random.default_rng(0), np.linspace(0, np.pi, size)
    shape = (count, 1, 1, channels)
    waves = (rng.uniform(0.5, 3, shape) * grid[:, None, None] + rng.uniform(0, 6, shape)
             + rng.uniform(0.5, 3, shape) * grid[:, None])
    return np.rint(127.5 + 127.5 * np.sin(waves)).astype(np.uint8)


@pytest.mark.parametrize("codec", baselines.CODECS)
@pytest.mark.parametrize("channels", [1, 3])
def test_curves_of_image_codecs(codec, channels):
    """More quality: more bits and less distortion; bits are those of the files that Pillow writes.
    """
    images = pictures(channels=channels)
    points = baselines.image_curve(codec, images, (5, 30, 90))
    bits, bare, distortion = (np.array([at[key] for at in points])
                              for key in ("bits", "bits_without_headers", "distortion"))
    assert (np.diff(bits) > 0).all() and (np.diff(bare)
                                          > 0).all() and (np.diff(distortion)
                                                          < 0).all() and distortion[-1] < 0.02
    assert (bits - bare >= 8 * 20).all()  # every header has 20 bytes and more
    sizes = [8 * len(baselines.CODECS[codec](pixels, 30)[0]) for pixels in images]
    assert bits[1] == pytest.approx(np.mean(sizes))
    with Image.open(io.BytesIO(baselines.CODECS[codec](images[0], 30)[0])) as image:
        assert image.size == (64, 64) and image.format == codec.upper()


def test_a_jpeg_without_headers_is_its_scan():
    """Found from behind: what follows the last marker of the header, up to the end marker, decodes
    after the header of another.
    """
    images = pictures(2)
    files = [
        baselines._encoded(baselines._image(pixels), "JPEG", quality=40, optimize=False)
        for pixels in images
    ]
    scans = [data[len(data) - 2 - baselines._scan_bytes(data):-2] for data in files]
    headers = [data[:len(data) - 2 - len(scan)] for data, scan in zip(files, scans)]
    assert headers[0] == headers[1]  # so that it need not be sent
    again = headers[0] + scans[1] + files[0][-2:]
    assert again == files[1] and baselines.jpeg(images[1], 40)[1] == len(scans[1])


def test_a_webp_without_headers_is_its_first_partitions():
    data, payload = baselines.webp(pictures(1)[0], 40)
    # Start code of a key frame.
    assert data[:4] == b"RIFF" and data[8:12] == b"WEBP" and data[23:26] == b"\x9d\x01\x2a"
    assert len(data) - 30 - payload in (0, 1)  # the chunk is filled up to an even length


@pytest.mark.parametrize("step", [0.2, 1.0])
def test_scalar_quantisation_of_gaussians(step):
    """Two Gaussian components in R^5: bits are the entropy of the cells, D that of the conditional
    means, by direct sums.
    """
    rng = np.random.default_rng(0)
    basis, deviations = np.linalg.qr(rng.standard_normal((5, 2)))[0], np.array([2.0, 0.5])
    x = rng.standard_normal((60_000, 2)) * deviations @ basis.T + 3
    point, = baselines.principal_components(x[:40_000], x[40_000:], [step], distortions.get("sse"))
    bits = distortion = 0
    for deviation in deviations:
        edges = (np.arange(-60, 61) - 0.5) * step / deviation
        mass = np.diff([0.5 * math.erfc(-edge / math.sqrt(2)) for edge in edges])
        moment = -np.diff(np.exp(-edges**2 / 2) / math.sqrt(2 * math.pi))
        bits -= np.sum(mass[mass > 0] * np.log2(mass[mass > 0]))
        distortion += deviation**2 * (1 - np.sum(moment[mass > 0] ** 2 / mass[mass > 0]))
    assert point["bits"] == pytest.approx(bits, abs=0.03) and point["distortion"] == pytest.approx(
        distortion, rel=0.02)
    rate, _ = theory.reverse_water_filling(deviations**2, point["distortion"] / 2)
    assert point["bits"] > rate / math.log(2)
    if step == 0.2:  # 1/2 log2(pi e / 6) for each above the bound, at small steps
        assert point["bits"] - rate / math.log(2) == pytest.approx(math.log2(math.pi * math.e / 6),
                                                                   abs=0.03)


def test_values_beyond_those_of_training_can_be_sent():
    """Far from every cell that was seen: the middle of its own cell stands for it, at a finite
    number of bits.
    """
    rng = np.random.default_rng(0)
    train, test = rng.standard_normal((100, 1)), np.array([[9.2], [-7.0]])
    point, = baselines.principal_components(train, test, [0.5], distortions.get("sse"))
    center = train.mean()
    error = [(abs(v - center) / 0.5 - round(abs(v - center) / 0.5)) * 0.5 for v in (9.2, -7.0)]
    assert point["distortion"] == pytest.approx(np.mean(np.square(error)),
                                                rel=1e-3) and 5 < point["bits"] < 20


@pytest.mark.parametrize("call, argument", [
    (lambda: baselines.image_curve("png", pictures(1)),
     "codec"),
    (lambda: baselines.image_curve("jpeg",
                                   pictures(1) / 255),
     ""),
    (lambda: baselines.image_curve("jpeg",
                                   pictures(1)[0]), ""),
    (lambda: baselines.principal_components(np.ones((5, 2)), np.ones(
        (5, 3)), [1], distortions.get("sse")), ""),
])
def test_bad_input(call, argument):
    with refuses(ValueError, argument):
        call()
