"""Files damaged at random: each is read, or refused on one line; none ends in anything else."""
import os
import zlib

import numpy as np
import pytest
from test_images import CASES, jpeg_of, read
from test_listings import jpeg, load, packed

from tfisovae.sources.decoding import NoImage, Unreadable
from tfisovae.sources.framing import UnsuitableSize

TRIALS = int(os.environ.get("TFISOVAE_DAMAGE_TRIALS", 12))  # damaged files for each whole one
FILES = {**{name: data for name, (data, _, _) in CASES.items()}, "photograph.jpg": jpeg_of(exif=True),
         "progressive.jpg": jpeg_of(progressive=True)}


def damaged(data, rng):
    """Bytes changed, cut off, left out, put in or zeroed, more often near the start, where the headers are."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = int(len(data) * rng.uniform() ** rng.choice([1, 3, 6]))
        length = int(rng.choice([1, 2, 4, 16, 100]))
        kind = rng.integers(6)
        if kind == 0:
            data[at:at + length] = rng.bytes(length)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            del data[at:at + length]
        elif kind == 3:
            data[at:at] = rng.bytes(length)
        elif kind == 4:
            data[at:at + length] = bytes(length)
        elif at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


@pytest.mark.filterwarnings("ignore")  # of Pillow on what it finds in the files
@pytest.mark.parametrize("name", FILES)
def test_damaged_images(name):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for _ in range(TRIALS):
        data = damaged(FILES[name], rng)
        try:
            pixels = read(data, name, image_size=32).pixels
            assert pixels.shape == (32, 32, 3) and pixels.dtype == np.uint8
        except (Unreadable, UnsuitableSize) as refused:
            assert str(refused).isprintable() and 5 < len(str(refused)) < 300, refused
        try:
            read(data, "no ending")
        except (NoImage, Unreadable, UnsuitableSize):
            pass


@pytest.mark.filterwarnings("ignore")
def test_damaged_zip_files(tmp_path, capsys):
    """Members that are damaged count as unreadable; what has no directory of members is refused."""
    whole = packed(tmp_path / "whole.zip", {**{f"{i}.jpg": jpeg((20, 20), seed=i) for i in range(4)}, "a.csv": b"1,2\n" * 99},
                   compression=8).read_bytes()
    rng, read_whole = np.random.default_rng(0), 0
    for i in range(5 * TRIALS):
        data = damaged(whole[::-1], rng)[::-1] if i % 2 else damaged(whole, rng)  # the directory of members stands at the end
        (tmp_path / f"{i}.zip").write_bytes(data)
        try:
            source = load(tmp_path / f"{i}.zip", tmp_path)
            assert 2 <= len(source.train) + len(source.eval) <= 5 and source.manifest["skipped"] == []
            read_whole += 1
        except ValueError as refused:
            assert type(refused) in (ValueError, UnsuitableSize)
            assert str(refused).isprintable() and 5 < len(str(refused)) < 1000, refused
    assert read_whole
