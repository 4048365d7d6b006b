"""Small files that would take much memory are refused before they are unpacked."""
import io
import struct
import threading
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae.sources import decoding, listings
from tfisovae.sources.decoding import Framing


def png(side):
    """A PNG that claims `side` x `side` grey pixels; what follows its header is one line."""
    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(bytes(side + 1))) + chunk(b"IEND", b""))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_of_too_many_pixels_is_not_decoded():
    with refuses(decoding.Unreadable, "13000 x 13000"):
        decoding.decode("a.png", lambda: io.BytesIO(png(13_000)), Framing())


def test_no_image_is_brought_to_a_huge_size():
    Framing(image_size=4096)
    for size in (4097, 10**6):
        with refuses(ValueError, "image_size"):
            Framing(image_size=size)


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Members of 100 kB each, where above 1 kB is large and above 50 kB too large; and an image."""
    monkeypatch.setattr(listings, "_LARGE", 1_000)
    monkeypatch.setattr(listings, "_LARGEST", 50_000)
    small = io.BytesIO()
    noise = np.random.default_rng(0).integers(256, size=(40, 40), dtype=np.uint8)
    Image.fromarray(noise).save(small, "PNG")
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("bomb.png", bytes(100_000))
        file.writestr("notes.txt", b"text " * 20_000)
        file.writestr("image.png", small.getvalue())
    return listings.Zip(str(tmp_path / "a.zip")), small.getvalue()


def test_members_are_looked_at_before_they_are_unpacked(archive):
    """Too large for an image: refused. No image by its name: its first bytes alone."""
    opened, image = dict(archive[0]), archive[1]
    with refuses(ValueError, "100,000"):
        opened["bomb.png"]()
    assert len(opened["notes.txt"]().read()) == 4096
    with opened["image.png"]() as file:
        assert file.read() == image and len(image) > 1_000


def test_large_members_are_in_memory_one_at_a_time(archive):
    opened = dict(archive[0])["image.png"]
    first, second = opened(), []
    thread = threading.Thread(target=lambda: second.append(opened()))
    thread.start()
    thread.join(0.2)
    assert thread.is_alive() and not second
    first.close()
    first.close()  # again, which releases nothing
    thread.join(5)
    assert second
    second[0].close()
    assert not listings._ONE_LARGE.locked()
