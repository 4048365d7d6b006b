"""Images in a directory, a zip file or TFDS: what is read, what is left out, and what is refused.
"""
import hashlib
import io
import itertools
import os
import time
import types
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae import sources
from tfisovae.sources import images, listings
from tfisovae.sources.decoding import Framing, UnsuitableSize


def jpeg(size=(178, 218), color=None, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.full(
        (size[1], size[0],
         3), color, np.uint8) if color else rng.integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    (path / "more").mkdir(parents=True)
    for i in range(20):
        (path / ("more" if i % 2 else ".") / f"{i:06d}.jpg").write_bytes(jpeg(seed=i))
    return path


def load(data, tmp_path, **kwargs):
    return sources.load_images(str(data), str(tmp_path / "cache"), progress=False, **kwargs)


def test_a_directory_is_decoded_once(folder, tmp_path):
    first = load(folder, tmp_path)
    assert (len(first.train), len(first.eval)) == (18, 2)
    assert first.train.shape == (18, 64, 64, 3) and first.manifest["skipped"] == []
    entry, = os.listdir(tmp_path / "cache")
    pixels = tmp_path / "cache" / entry / "images.uint8"
    assert pixels.stat().st_size == 20 * 64 * 64 * 3
    before = pixels.stat().st_mtime_ns
    again = load(folder, tmp_path)
    assert pixels.stat(
    ).st_mtime_ns == before and again.manifest["fingerprint"] == first.manifest["fingerprint"]
    (folder / "000000.jpg").write_bytes(jpeg(seed=99))
    assert load(folder, tmp_path).manifest["fingerprint"] != first.manifest["fingerprint"]


def test_the_centre_square_is_resized_with_anti_aliasing(tmp_path):
    """Stripes of one pixel average to gray; what lies outside the centre square does not appear."""
    pixels = np.zeros((200, 128, 3), np.uint8)
    pixels[:, ::2] = 255
    pixels[:36], pixels[-36:] = [255, 0, 0], [0, 0, 255]
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.fromarray(pixels).save(folder / name)
    image = load(folder, tmp_path).eval[np.array([0])][0].astype(int)
    assert np.abs(image - 127).max() < 20
    assert np.ptp(image[:, 2:-2]) <= 2


def test_a_zip_gives_what_its_directory_gives(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as file:
        for path in sorted(folder.rglob("*.jpg")):
            file.write(path, f"img/{path.relative_to(folder)}")
        file.writestr("__MACOSX/._x.jpg", "resource fork")
    zipped, plain = load(tmp_path / "faces.zip", tmp_path), load(folder, tmp_path)
    np.testing.assert_array_equal(zipped.train.array, plain.train.array)


@pytest.mark.parametrize(
    "name", ["../evil.jpg", "/etc/evil.jpg", "a/../../evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"])
def test_zips_that_point_outside_are_refused(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("good.jpg", jpeg())
        file.writestr(name, jpeg())
    with refuses(ValueError):
        load(tmp_path / "evil.zip", tmp_path)


def test_a_bad_file_is_named_skipped_and_counted(tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    good = jpeg((20, 20))
    for i in range(199):
        (folder / f"{i:03d}.jpg").write_bytes(good)
    (folder / "broken.jpg").write_bytes(good[:200])
    source = load(folder, tmp_path)
    assert source.manifest["skipped"] == ["broken.jpg"]
    assert len(source.train) + len(source.eval) == 199
    assert "skipped broken.jpg" in capsys.readouterr().out
    (folder / "notes.jpg").write_text("no image")
    (folder / "more.jpg").write_text("no image")
    with refuses(ValueError):
        load(folder, tmp_path)
    assert len(os.listdir(tmp_path / "cache")) == 1  # nothing half made is left


def test_images_below_the_window_of_ssim_are_an_error(folder, tmp_path):
    (folder / "tiny.png").write_bytes(jpeg((10, 200)))
    with refuses(ValueError, "tiny.png"):
        load(folder, tmp_path)


def test_what_is_no_source(tmp_path):
    (tmp_path / "empty").mkdir()
    with refuses(ValueError):
        load(tmp_path / "empty", tmp_path)
    with refuses(ValueError):
        sources.load_images("celeba", str(tmp_path))
    (tmp_path / "x.jpg").write_bytes(jpeg())
    with refuses(ValueError):
        load(tmp_path / "x.jpg", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with refuses(ValueError):
        load(tmp_path / "pipe", tmp_path)
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    with refuses(ValueError):
        load(tmp_path / "none.zip", tmp_path)


def test_celeb_a_out_of_reach_fails_at_once_and_names_the_other_ways(tmp_path, monkeypatch):
    from tfisovae.sources import prepared

    # Discard: nothing listens there.
    monkeypatch.setitem(prepared._HOSTS, "celeb_a", ("127.0.0.1", 9))
    start = time.time()
    with refuses(ConnectionError, "data"):
        sources.load_images("celeb_a", str(tmp_path), data_dir=str(tmp_path / "tfds"))
    assert time.time() - start < 10


def test_prepared_celeb_a_is_read(tmp_path, monkeypatch):
    """A stand-in for TFDS' builder, with the same interface: encoded images by split, in order, no
    network.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    class Split:
        num_examples = 6

    class Builder:
        data_dir = "prepared"

        class info:
            splits = {"train": Split, "test": Split}
            full_name = "celeb_a/2.1.0"

        def is_prepared(self):
            return True

        def as_dataset(self, split, decoders, shuffle_files):
            assert not shuffle_files and set(decoders) == {"image"}
            seeds = range(6) if split == "test" else range(6, 12)
            return tf.data.Dataset.from_tensor_slices({"image": [jpeg(seed=s) for s in seeds]})

    monkeypatch.setattr(tfds, "builder", lambda name, data_dir: Builder())
    source = sources.load_images("celeb_a", str(tmp_path / "cache"), progress=False)
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(12):
        (folder / f"{i:02d}.jpg").write_bytes(jpeg(seed=i))
    np.testing.assert_array_equal(source.train.array, load(folder, tmp_path).train.array)
    assert source.manifest["source"] == "celeb_a/2.1.0"


TABLES = {
    "list_attr_celeba.csv": b"image_id,Smiling\n",
    "Thumbs.db": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(500), "metadata.json": b"{}"
}


def packed(path, files, **kwargs):
    with zipfile.ZipFile(path, "w", **kwargs) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


def test_files_that_are_no_images_are_left_out_and_counted_apart(tmp_path, capsys):
    """The archive of CelebA as Kaggle gives it, in small: 40 images, tables beside them; the same
    unpacked.
    """
    images = {f"img_align_celeba/img_align_celeba/{i:06d}.jpg": jpeg(seed=i) for i in range(40)}
    path = packed(tmp_path / "archive.zip", {**images, **TABLES})
    zipped = load(path, tmp_path)
    assert "Left out 3 files of " + str(path) in capsys.readouterr().out
    zipfile.ZipFile(path).extractall(tmp_path / "archive")
    unpacked = load(tmp_path / "archive", tmp_path)
    said = capsys.readouterr().out
    assert "that are not images: Thumbs.db, list_attr_celeba.csv, metadata.json." in said
    for source in (zipped, unpacked, load(path, tmp_path)):
        assert len(source.train) + len(source.eval) == 40
        assert source.manifest["skipped"] == [] and sorted(
            source.manifest["not_images"]) == sorted(TABLES)
    packed(tmp_path / "broken.zip", {**images, **TABLES, "000041.jpg": jpeg()[:300]})
    with refuses(ValueError):
        load(tmp_path / "broken.zip", tmp_path)


def test_images_without_endings_are_images(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(10):
        (folder / f"{i:02d}").write_bytes(jpeg(seed=i))
    (folder / "README").write_text("ten images")
    source = load(folder, tmp_path)
    assert source.manifest["not_images"] == ["README"] and len(source.train) == 9


def test_floating_point_images_are_said_to_be_scaled(tmp_path, capsys):
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(np.random.default_rng(i).standard_normal(
            (20, 20)).astype(np.float32)).save(folder / f"{i}.tif")
    assert load(folder, tmp_path).manifest["scaled_by_range"] == 3
    assert "3 images of " in (out :=
                              capsys.readouterr().out) and "each was scaled by its own range" in out


def test_archives_inside_archives(tmp_path, capsys):
    inner = packed(tmp_path / "img_align_celeba.zip", {f"{i}.jpg": jpeg(seed=i)
                                                       for i in range(3)}).read_bytes()
    packed(tmp_path / "outer.zip", {"a/img_align_celeba.zip": inner, **TABLES})
    with refuses(ValueError):
        load(tmp_path / "outer.zip", tmp_path)
    packed(tmp_path / "both.zip",
           {**{f"{i}.jpg": jpeg(seed=i)
               for i in range(3)}, "more.tar.gz": b"\x1f\x8b\x08"})
    assert len(load(tmp_path / "both.zip", tmp_path).train) == 2
    assert "more.tar.gz is itself a gzip file. Unpack it" in capsys.readouterr().out


@pytest.mark.parametrize("content, argument", [
    (b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head>",
     ""
     ),
    (b"", ""),
    (b"\x1f\x8b\x08", ""),
    (b"version https://git-lfs.github.com/spec/v1", ""),
    (b"a,b\n", ""),
])
def test_what_was_saved_as_a_zip_file(content, argument, tmp_path):
    path = tmp_path / "img_align_celeba.zip"
    path.write_bytes(content)
    with refuses(ValueError, argument):
        load(path, tmp_path)


def test_zips_that_cannot_be_unpacked(tmp_path):
    files = {f"{i}.jpg": jpeg(seed=i) for i in range(3)}
    whole = packed(tmp_path / "whole.zip", files).read_bytes()
    (tmp_path / "short.zip").write_bytes(whole[:-300])
    with refuses(ValueError):
        load(tmp_path / "short.zip", tmp_path)
    entry = whole.index(b"PK\1\2")
    for offset, value, argument in ((8, 1, ""), (
            10, 9, "")):
        damaged = bytearray(whole)
        damaged[entry + offset] = value
        (tmp_path / "x.zip").write_bytes(damaged)
        with refuses(ValueError, argument):
            load(tmp_path / "x.zip", tmp_path)


def test_links_are_followed_once(folder, tmp_path):
    """A link to another directory, to itself, to the directory above, to a directory seen already,
    and to nothing.
    """
    other = tmp_path / "other"
    other.mkdir()
    (other / "linked.jpg").write_bytes(jpeg(seed=50))
    (other / "back").symlink_to(folder)
    (folder / "a link").symlink_to(other)
    (folder / "a second link").symlink_to(other)
    (folder / "again").symlink_to(folder / "more")
    (folder / "itself").symlink_to("itself")
    (folder / "more" / "up").symlink_to("..")
    (folder / "gone.txt").symlink_to("nowhere")
    os.mkfifo(folder / "pipe.jpg")
    source = load(folder, tmp_path)
    assert len(source.train) + len(source.eval) == 21
    assert source.manifest["skipped"] == [] and source.manifest["not_images"] == [
        "gone.txt", "itself"
    ]


def test_names_that_cannot_be_printed(folder, tmp_path, capsys):
    with open(os.path.join(os.fsencode(folder), b"caf\xe9.jpg"), "wb") as file:
        file.write(jpeg())
    (folder / "two\nlines.txt").write_text("")
    source = load(folder, tmp_path)
    assert len(source.train) + len(source.eval) == 21
    assert "are not images: two\\nlines.txt." in capsys.readouterr().out


def test_every_option_has_an_entry_of_its_own(folder, tmp_path):
    """Equal ones share it; the pixels are those asked for."""
    different = [{}, {"image_size": 32}, {"crop": "none"}, {"crop": "celeba"}, {"grayscale": True},
                 {"background": "black"}]
    entries = [load(folder, tmp_path, **options) for options in different]
    assert len({source.manifest["cache"] for source in entries}) == len(different)
    assert load(folder, tmp_path, background="#ffffff",
                image_size=64).manifest["cache"] == entries[0].manifest["cache"]
    plain, small, _, celeba, grey, _ = (source.eval[np.arange(2)].astype(float)
                                        for source in entries)
    assert small.shape == (2, 32, 32, 3) and grey.shape == (2, 64, 64, 1)
    np.testing.assert_array_equal(celeba, plain)
    # Rounded and clipped before resizing, or after.
    assert np.abs(grey[..., 0] - plain @ [.299, .587, .114]).max() <= 2
    again = load(folder, tmp_path, image_size=32)
    np.testing.assert_array_equal(again.train.array, entries[1].train.array)


def test_the_default_entries_are_those_of_before(tmp_path):
    """Caches of faces and of CelebA, whose pixels have not changed, stay what they were."""
    def before(*parts):
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    assert images._faces_key(20_000, Framing()) == before("faces", "20000", "1")
    celeb_a = listings.Prepared.__new__(listings.Prepared)
    splits = {"all": types.SimpleNamespace(num_examples=7)}
    celeb_a.splits = list(splits)
    celeb_a.builder = types.SimpleNamespace(
        info=types.SimpleNamespace(full_name="celeb_a/2.1.0", splits=splits))
    assert images._framed(celeb_a.key(), Framing()) == before("1", "celeb_a/2.1.0", "7")


@pytest.mark.filterwarnings("ignore")
def test_damaged_zip_files(tmp_path, damaged):
    """Members that are damaged count as unreadable; what has no directory of members is refused."""
    whole = packed(
        tmp_path / "whole.zip",
        {**{f"{i}.jpg": jpeg((20, 20), seed=i)
            for i in range(4)}, "a.csv": b"1,2\n" * 99}, compression=8).read_bytes()
    read_whole = 0
    versions = itertools.chain(
        *(damaged(whole, seed) for seed in range(3)),
        # Near its end.
        *((data[::-1] for data in damaged(whole[::-1], seed)) for seed in range(3, 6)))
    for i, data in enumerate(versions):
        (tmp_path / f"{i}.zip").write_bytes(data)
        try:
            source = load(tmp_path / f"{i}.zip", tmp_path)
            assert 2 <= len(source.train) + len(
                source.eval) <= 5 and source.manifest["skipped"] == []
            read_whole += 1
        except ValueError as refused:
            assert type(refused) in (ValueError, UnsuitableSize)
            assert str(refused).isprintable() and 5 < len(str(refused)) < 1000, refused
    assert read_whole
