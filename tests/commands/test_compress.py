"""`tfisovae compress` and `decompress`: vectors and images there and back, in order; and what they
refuse.
"""
import json
import shutil
from unittest import mock

import numpy as np
import pytest
from PIL import Image

import tfisovae
from tfisovae import files, progress, sources
from tfisovae.codec import container, directory
from tfisovae.commands import coding

COUNT = 700


@pytest.fixture(scope="module")
def mix(root, tmp_path_factory):
    """A copy of the published run on Mix."""
    path = tmp_path_factory.mktemp("mix") / "run"
    shutil.copytree(root / "results" / "verdict" / "mix-cosine", path)
    return path


def watched():
    """As at a terminal, where progress is shown."""
    return mock.patch.object(progress, "visible", lambda: True)


@pytest.fixture(scope="module")
def packed(mix, main):
    """10,000 held-out examples of it, compressed; the file, and what was printed."""
    path = mix.parent / "x.tfv"
    with watched():
        done = main("compress", mix, "mix", "-o", path, "--split", "eval")
    assert "fitting the codec" in done.stderr and "compressing" in done.stderr
    return path, done.stdout


@pytest.fixture(scope="module")
def digits(digits_run, tmp_path_factory):
    """A copy of the run on images of a bar; the file of the images, and the images."""
    bars = digits_run.parent / "bars.npz"
    run = shutil.copytree(digits_run, tmp_path_factory.mktemp("digits") / "run")
    images = np.load(bars)
    return run, bars, np.concatenate([images["x_train"], images["x_test"]])


def test_vectors_there_and_back(mix, packed, main, tmp_path):
    """The file, what was said of it, and the rows: those of the library, near the data, in order.
    """
    path, said = packed
    with container.Reader(path) as reader:
        assert reader.num_examples == 10_000
        bits = 8 * reader.size / 10_000
    assert (f"10,000 examples of mix in {path.stat().st_size:,} bytes, {bits:.4g} bits per "
            f"example") in said
    assert "3 of 3 dimensions: KL 10.1" in said
    assert "with 1/2 log2(pi e / 6) each 10.9" in said
    assert "would save about 0.0" in said
    # Ideal, and what a container has.
    assert bits == pytest.approx(11.0 + 8 * (83 + 16 + 3 * 20 + 56) / 10_000, abs=0.05)
    with watched():
        done = main("decompress", mix, path, "-o", tmp_path / "new" / "out")
    assert done.stdout == f"10,000 rows of x.npy: {tmp_path / 'new' / 'out'}\n"
    assert "decompressing" in done.stderr
    table = np.load(tmp_path / "new" / "out" / "x.npy")
    x = sources.load_toy("mix").eval[np.arange(10_000)]
    assert table.dtype == np.float32 and np.mean(np.sum(
        (table - x)**2, 1)) == pytest.approx(0.0150, rel=0.06)
    made, = coding.saved(mix)[:1]
    again = tfisovae.Codec.load(made, tfisovae.load(mix / "model"))
    np.testing.assert_allclose(table, np.concatenate(list(again.read(path))), atol=1e-6)


def test_a_codec_is_fitted_once_and_made_over(mix, packed, main, tmp_path, monkeypatch):
    """The same options find the same codec; others take its maps, and need no data of training.
    Each file finds its own.
    """
    first = (mix / "codec" / "universal-normal-1.0" / "codec.json").read_bytes()
    again = main("compress", mix, "mix", "-o", tmp_path / "again.tfv", "--split", "eval")
    assert "fitting" not in again.stderr and (tmp_path
                                              / "again.tfv").read_bytes() == packed[0].read_bytes()
    monkeypatch.setattr(coding, "_training_examples", None)
    other = main("compress", mix, "mix", "-o", tmp_path / "other.tfv", "--num_examples", 500,
                 "--step_factor", 2, "--quantization", "rounding", "--prior", "empirical")
    assert "500 examples" in other.stdout and "distribution saves about" in other.stdout
    assert (tmp_path / "other.tfv").stat().st_size < 500 * 8.3 / 8 + 175
    assert (mix / "codec" / "universal-normal-1.0" / "codec.json").read_bytes() == first
    for name, count in (("other", 500), ("again", 10_000)):
        assert f"{count:,} rows" in main("decompress", mix, tmp_path / f"{name}.tfv", "-o",
                                         tmp_path / name).stdout
    x = sources.load_toy("mix").train[np.arange(500)]
    assert np.mean(np.sum((np.load(tmp_path / "other" / "x.npy") - x)**2, 1)) == pytest.approx(
        0.06, rel=0.15)


@pytest.mark.slow
def test_a_standardised_table_comes_back_in_its_own_units(main, tmp_path):
    """Columns of other means and deviations; a row's error is within the steps of its own column.
    """
    rng = np.random.default_rng(0)
    table = rng.normal(size=(2_000, 1)) * [[3.0, -100, 0.01]] + [[1000, 5, -2]]
    np.save(tmp_path / "t.npy", table)
    main("toy", "--data", tmp_path / "t.npy", "--standardize", "--latent_dim", 1, "--epochs", 60,
         "--num_eval", 0, "--run_dir", tmp_path / "run")
    # What a killed process was writing is removed.
    for command in ("compress", "decompress"):
        left = tmp_path / f".{command}.writing-0123456789abcdef"
        left.mkdir()
        (tmp_path / f"{left.name}.lock").write_text("")
        if command == "compress":
            main("compress", tmp_path / "run", tmp_path / "t.npy", "-o", tmp_path / "t.tfv")
            assert not left.exists()
    main("decompress", tmp_path / "run", tmp_path / "t.tfv", "-o", tmp_path / "out")
    assert not left.exists()
    error = np.sqrt(np.mean((np.load(tmp_path / "out" / "x.npy") - table) ** 2, 0)) / table.std(0)
    assert error.max() < 0.25 and (tmp_path / "t.tfv").stat().st_size < 2_000


def test_images_there_and_back(digits, main, tmp_path):
    """Of a file of their own: as PNG, 8 bits, in the order of the data, and near it."""
    run, data, images = digits
    done = main("compress", run, data, "-o", tmp_path / "x.tfv")
    assert f"{COUNT} examples of {data}" in done.stdout
    assert f"{COUNT} images: " in main("decompress", run, tmp_path / "x.tfv", "-o",
                                       tmp_path / "out").stdout
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"{k:05d}.png" for k in range(COUNT)]
    decoded = np.stack([np.asarray(Image.open(tmp_path / "out" / name)) for name in names])
    assert decoded.shape == images.shape and decoded.dtype == np.uint8
    vae = tfisovae.load(run / "model")
    x_hat = np.concatenate(
        list(tfisovae.Codec.load(coding.saved(run)[0], vae).read(tmp_path / "x.tfv")))
    # The nearest of 256 levels.
    assert np.abs(decoded - 255 * x_hat.reshape(decoded.shape)).max() < 0.501
    centres = [
        np.sum(np.arange(28)[:, None] * block, (1, 2)) / np.sum(block, (1, 2))
        for block in (decoded / 255, images / 255)
    ]
    assert np.corrcoef(*centres)[0, 1] > 0.95
    assert (tmp_path / "x.tfv").stat().st_size < COUNT * 4


def test_what_compress_refuses(mix, packed, main, tmp_path):
    path = packed[0]
    before = path.read_bytes()

    def refused(*arguments):
        done = main("compress", mix, *arguments, check=False)
        assert done.code != 0 and done.stderr.count("tfisovae compress: ") == 1
        return done.stderr

    assert f"{path} exists; it is unchanged. Give another name, or --overwrite." in refused(
        "mix", "-o", path)
    assert path.read_bytes() == before
    assert f"{tmp_path} is a directory" in refused("mix", "-o", tmp_path, "--overwrite")
    np.save(tmp_path / "data.npy", sources.load_toy("mix").eval[np.arange(40)])
    kept = (tmp_path / "data.npy").read_bytes()
    assert "is the input" in refused(tmp_path / "data.npy", "-o",
                                                    tmp_path / "data.npy", "--overwrite")
    assert (tmp_path / "data.npy").read_bytes() == kept
    assert "--output is empty; give a name" in refused("mix", "-o", "")
    assert "for the results with --output." in refused("mix", "-o", "/proc/none/y.tfv")
    assert "Unknown source 'none'" in refused("none", "-o", tmp_path / "y.tfv")
    assert "--step_factor must be positive and finite; got 0.0" in refused(
        "mix", "-o", tmp_path / "y.tfv", "--step_factor", 0)
    assert "--num_examples must be at least 1; got 0" in refused("mix", "-o", tmp_path / "y.tfv",
                                                                 "--num_examples", 0)
    np.save(tmp_path / "narrow.npy", np.ones([30, 5], np.float32) * np.arange(30)[:, None])
    assert "has examples of the shape [5]" in refused(tmp_path / "narrow.npy", "-o",
                                                      tmp_path / "y.tfv")
    far = sources.load_toy("mix").eval[np.arange(40)]
    far[5, 3] = np.nan
    np.save(tmp_path / "nan.npy", far)
    assert "nan.npy" in refused(tmp_path / "nan.npy", "-o", tmp_path / "y.tfv")
    assert not (tmp_path / "y.tfv").exists() and not list(tmp_path.glob(".y*"))
    done = main("compress", tmp_path, "mix", "-o", tmp_path / "y.tfv", check=False)
    assert done.code != 0 and "is not a run directory" in done.stderr


def test_what_decompress_refuses(mix, packed, digits, main, tmp_path, monkeypatch):
    path = packed[0]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("mine")

    def refused(*arguments, run=mix, out=tmp_path / "out"):
        done = main("decompress", run, *arguments, "-o", out, check=False)
        assert done.code != 0 and done.stderr.count("tfisovae decompress: ") == 1
        assert not (tmp_path / "out").exists()
        return done.stderr

    assert f"{tmp_path / 'full'} is not empty; it is unchanged" in refused(
        path, out=tmp_path / "full")
    assert (tmp_path / "full" / "kept").read_text() == "mine" and len(
        list((tmp_path / "full").iterdir())) == 1
    assert "is a file; the output is a directory" in refused(path, out=path)
    assert "No such file" in refused(tmp_path / "none.tfv")
    assert "is a directory" in refused(tmp_path)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert ". is the current directory" in refused(path, out=".")
    (tmp_path / "here" / "kept").write_text("mine")
    assert "--output is empty; give a name" in refused(path, out="")
    assert (tmp_path / "here" / "kept").read_text() == "mine"
    whole = path.read_bytes()
    flipped = whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:]
    for data, said in ((whole[:-9], "is truncated"), (flipped, "has been altered: block 0"),
                       (b"PK" + whole, "not a file of compressed"),
                       (whole[:8] + b"\x02" + whole[9:], "has version 2 of")):
        (tmp_path / "bad.tfv").write_bytes(data)
        assert said in refused(tmp_path / "bad.tfv")
    main("compress", digits[0], digits[1], "-o", tmp_path / "bars.tfv", "--num_examples", 10)
    assert "bars.tfv is not from the present model of" in refused(tmp_path / "bars.tfv")
    assert "x.tfv is not from the present model of" in refused(path, run=digits[0])


def test_a_run_that_was_trained_on(mix, packed, main, tmp_path):
    """Its old codec is passed over, a new one is fitted; files of before are refused, by the name
    of what is wrong.
    """
    run = tmp_path / "run"
    shutil.copytree(mix, run)
    vae = tfisovae.load(run / "model")
    vae.decoder.layers[-1].kernel.assign(vae.decoder.layers[-1].kernel * 1.001)
    said = json.loads((run / "model" / "assets.extra" / "run.json").read_text())
    vae.save(run / "model")
    said.pop("files")
    files.write_json(run / "model" / "assets.extra" / "run.json", said, None)
    # Of the run as it was: with its codec.
    done = main("decompress", run, packed[0], "-o", tmp_path / "out", check=False)
    assert done.code != 0
    assert "was fitted to another model, or to this one before it changed" in done.stderr
    done = main("compress", run, "mix", "-o", tmp_path / "new.tfv", "--num_examples", 100)
    assert "Passed over: " in done.stderr
    assert "100 rows" in main("decompress", run, tmp_path / "new.tfv", "-o",
                              tmp_path / "out").stdout
    done = main("decompress", run, packed[0], "-o", tmp_path / "more", check=False)
    assert done.code != 0 and "is not from the present model of" in done.stderr
    shutil.rmtree(run / "codec")
    done = main("decompress", run, packed[0], "-o", tmp_path / "more", check=False)
    assert done.code != 0 and "has no codec" in done.stderr and not (tmp_path / "more").exists()


def test_what_else_lies_beside_the_codecs(mix, packed, main, tmp_path):
    """Files of a desktop, and a codec that was damaged, are passed over where the one that wrote
    the file is whole.
    """
    shutil.copytree(mix, tmp_path / "run")
    place = tmp_path / "run" / "codec"
    (place / ".DS_Store").write_text("")
    (place / "a-notes").mkdir()
    shutil.copytree(place / "universal-normal-1.0", place / "a-damaged")
    (place / "a-damaged" / "codec.json").write_text("{}")
    assert "10,000 rows" in main("decompress", tmp_path / "run", packed[0], "-o",
                                 tmp_path / "out").stdout
    for path in coding.saved(tmp_path / "run"):
        if path != str(place / "a-damaged"):
            shutil.rmtree(path)
    done = main("decompress", tmp_path / "run", packed[0], "-o", tmp_path / "more", check=False)
    assert done.code != 0
    assert "belongs to none of the readable codecs in" in done.stderr
    assert "a-damaged" in done.stderr


@pytest.mark.slow
def test_a_codec_without_its_data(mix, main, tmp_path):
    """Where a codec must be fitted, and the data of training are gone, it says whose they are and
    how to name them.
    """
    rng = np.random.default_rng(0)
    np.save(tmp_path / "t.npy", rng.normal(size=(600, 3)))
    main("toy", "--data", tmp_path / "t.npy", "--latent_dim", 3, "--epochs", 2, "--num_eval", 0,
         "--run_dir", tmp_path / "run")
    np.save(tmp_path / "other.npy", rng.normal(size=(50, 3)))
    (tmp_path / "t.npy").rename(tmp_path / "moved.npy")
    arguments = ("compress", tmp_path / "run", tmp_path / "other.npy", "-o", tmp_path / "x.tfv")
    done = main(*arguments, check=False)
    assert done.code != 0
    assert "has no codec yet, and fitting one needs its training data" in done.stderr
    assert "--train_data" in done.stderr
    done = main(*arguments, "--train_data", tmp_path / "other.npy", check=False)
    assert done.code != 0 and "--train_data must be the training data of" in done.stderr
    done = main(*arguments, "--train_data", tmp_path / "moved.npy", check=False)
    assert done.code == 0 and "50 examples" in done.stdout or "has collapsed" in done.stderr


def test_settings_are_read_without_tensorflow(packed, imported, mix):
    settings, modules = imported["codec"]
    assert settings["quantization"] == "universal" and "tensorflow" not in modules
    assert directory.settings(mix / "codec" / "universal-normal-1.0")["step_factor"] == 1.0
