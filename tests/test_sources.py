"""Where data come from: drawn faces, and images in a directory, a zip file or TFDS."""
import io
import os
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from tfisovae import sources
from tfisovae.sources.faces import FACTORS, sample_factors
from tfisovae.sources.source import held_out


def jpeg(size=(178, 218), color=None, seed=0):
    rng = np.random.default_rng(seed)
    pixels = np.full((size[1], size[0], 3), color, np.uint8) if color else rng.integers(0, 255, (size[1], size[0], 3), np.uint8)
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


def test_faces_are_a_function_of_the_seed():
    a, b, c = sources.faces(300, seed=1), sources.faces(40, seed=1), sources.faces(40, seed=2)
    assert a.images.shape == (300, 64, 64, 3) and a.images.dtype == np.uint8
    assert a.factors.shape == (300, len(FACTORS)) and len(a.factor_names) == len(FACTORS) >= 10
    np.testing.assert_array_equal(sources.faces(300, seed=1).images, a.images)
    assert not np.array_equal(b.images, c.images)
    with pytest.raises(ValueError, match="num_examples must be at least 1; got 0"):
        sources.faces(0)


def test_factors_have_their_distributions():
    """Kolmogorov distance from the stated distribution below its 99.9 % quantile, and no correlations."""
    from scipy.stats import norm

    factors = sample_factors(20_000, seed=0)
    for column, (_, distribution) in zip(factors.T, FACTORS):
        column = np.sort(column)
        inside = column[np.abs(column) < 2.5] if distribution == "normal" else column
        cdf = norm.cdf(inside) if distribution == "normal" else (inside + 1) / 2
        ranks = (np.searchsorted(column, inside, "right")) / len(column)
        assert np.abs(ranks - cdf).max() < 1.95 / np.sqrt(len(column)) + 1 / len(column)
    correlations = np.corrcoef(factors.T) - np.eye(len(FACTORS))
    assert np.abs(correlations).max() < 5 / np.sqrt(len(factors))


def test_every_factor_shows_and_their_weights_differ():
    """Moving one factor by its deviation changes the image: by a hundred times more for the wall than for the mouth."""
    from tfisovae.sources.faces import _draw

    base = np.zeros([256, len(FACTORS)], np.float32)
    step = np.eye(len(FACTORS), dtype=np.float32) * [0.577 if d == "uniform" else 1.0 for _, d in FACTORS]
    base[1:len(FACTORS) + 1] = step
    images = _draw(base).numpy()[:len(FACTORS) + 1].astype(np.float32)
    change = ((images[1:] - images[0]) ** 2).mean((1, 2, 3))
    assert change.min() > 1
    assert change.max() > 100 * change.min()
    assert len(set(np.round(np.log2(change)))) >= 6


def test_faces_are_anti_aliased():
    """Edges have intermediate values: a shift of a tenth of a pixel moves many pixels a little."""
    from tfisovae.sources.faces import _draw

    factors = np.zeros([256, len(FACTORS)], np.float32)
    factors[1, [name for name, _ in FACTORS].index("head_height")] = 0.1  # 0.003 of the half width: a tenth of a pixel
    a, b = _draw(factors).numpy()[:2].astype(int)
    changed = np.abs(a - b)[np.abs(a - b) > 0]
    assert len(changed) > 300 and changed.max() < 60


def test_a_directory_is_decoded_once(folder, tmp_path):
    first = load(folder, tmp_path)
    assert (len(first.train), len(first.eval)) == (18, 2)
    assert first.train.shape == (18, 64, 64, 3) and first.manifest["skipped"] == []
    entry, = os.listdir(tmp_path / "cache")
    pixels = tmp_path / "cache" / entry / "images.uint8"
    assert pixels.stat().st_size == 20 * 64 * 64 * 3
    before = pixels.stat().st_mtime_ns
    again = load(folder, tmp_path)
    assert pixels.stat().st_mtime_ns == before and again.manifest["fingerprint"] == first.manifest["fingerprint"]
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


def test_the_split_goes_by_name():
    names = [f"{i:06d}.jpg" for i in range(1000)]
    train, evaluation = held_out(names)
    assert len(evaluation) == 100 and sorted([*train, *evaluation]) == list(range(1000))
    fewer = held_out(names[:900])[1]
    kept = set(evaluation[evaluation < 900])
    assert len(kept & set(fewer)) > 0.9 * min(len(kept), len(fewer))  # the same names fall on the same side
    np.testing.assert_array_equal(held_out(names)[1], evaluation)
    assert [len(part) for part in held_out(["a", "b"])] == [1, 1]
    with pytest.raises(ValueError, match="At least 2 examples"):
        held_out(["a"])


def test_a_zip_gives_what_its_directory_gives(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "faces.zip", "w") as file:
        for path in sorted(folder.rglob("*.jpg")):
            file.write(path, f"img/{path.relative_to(folder)}")
        file.writestr("__MACOSX/._x.jpg", "resource fork")
    zipped, plain = load(tmp_path / "faces.zip", tmp_path), load(folder, tmp_path)
    np.testing.assert_array_equal(zipped.train.array, plain.train.array)


@pytest.mark.parametrize("name", ["../evil.jpg", "/etc/evil.jpg", "a/../../evil.jpg", "..\\evil.jpg", "C:\\evil.jpg"])
def test_zips_that_point_outside_are_refused(name, tmp_path):
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as file:
        file.writestr("good.jpg", jpeg())
        file.writestr(name, jpeg())
    with pytest.raises(ValueError, match="points out of the archive: refused"):
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
    (folder / "notes.txt").write_text("no image")
    (folder / "more.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"3 of 202 files .*broken.jpg, more.txt, notes.txt.*at most 1% may be"):
        load(folder, tmp_path)
    assert len(os.listdir(tmp_path / "cache")) == 1  # nothing half made is left


def test_images_below_the_window_of_ssim_are_an_error(folder, tmp_path):
    (folder / "tiny.png").write_bytes(jpeg((10, 200)))
    with pytest.raises(ValueError, match=r"tiny.png has 10 x 200 pixels; images need at least 11 x 11"):
        load(folder, tmp_path)


def test_what_is_no_source(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is empty"):
        load(tmp_path / "empty", tmp_path)
    with pytest.raises(ValueError, match="Unknown data 'celeba': there are 'celeb_a', 'faces', a directory .* or a .zip"):
        sources.load_images("celeba", str(tmp_path))
    (tmp_path / "x.jpg").write_bytes(jpeg())
    with pytest.raises(ValueError, match="neither a directory nor a zip"):
        load(tmp_path / "x.jpg", tmp_path)
    with zipfile.ZipFile(tmp_path / "none.zip", "w"):
        pass
    with pytest.raises(ValueError, match="holds no files"):
        load(tmp_path / "none.zip", tmp_path)


def test_celeb_a_out_of_reach_fails_at_once_and_names_the_other_ways(tmp_path, monkeypatch):
    from tfisovae.sources import prepared

    monkeypatch.setitem(prepared._HOSTS, "celeb_a", ("127.0.0.1", 9))  # discard: nothing listens there
    start = time.time()
    with pytest.raises(ConnectionError, match=r"(?s)not prepared in .*--data DIRECTORY.*img_align_celeba.zip.*--data faces"):
        sources.load_images("celeb_a", str(tmp_path), data_dir=str(tmp_path / "tfds"))
    assert time.time() - start < 10


def test_prepared_celeb_a_is_read(tmp_path, monkeypatch):
    """A stand-in for TFDS' builder, with the same interface: encoded images by split, in order, no network."""
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


def test_drawn_faces_bring_their_factors(tmp_path):
    source = load("faces", tmp_path, num_faces=50)
    drawn = sources.faces(50, seed=0)
    np.testing.assert_array_equal(source.eval[np.arange(5)], drawn.images[source.eval.rows])
    np.testing.assert_array_equal(source.factors, drawn.factors[source.eval.rows])
    assert source.factor_names == drawn.factor_names
