"""MNIST in its three forms, and files that are not what they should be."""
import gzip
import io
import struct

import numpy as np
import pytest

from tests.messages import refuses
from tfisovae import sources
from tfisovae.sources import mnist, prepared

RNG = np.random.default_rng(0)
TRAIN = RNG.integers(0, 256, (40, 28, 28), np.uint8)
TEST = RNG.integers(0, 256, (10, 28, 28), np.uint8)


def idx(array, magic=None):
    magic = magic or 0x800 + array.ndim
    return struct.pack(f">{1 + array.ndim}I", magic, *array.shape) + array.tobytes()


@pytest.fixture
def directory(tmp_path):
    for prefix, images in (("train", TRAIN), ("t10k", TEST)):
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(idx(images))
        with gzip.open(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", "wb") as file:
            file.write(idx(np.zeros(len(images), np.uint8)))
    return tmp_path


def test_the_forms_agree(directory, tmp_path):
    """idx files (plain and .gz) and an npz of the same images are the same source."""
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=TRAIN, x_test=TEST, y_train=np.zeros(40), y_test=np.zeros(10))
    a, b = sources.load_mnist(str(directory)), sources.load_mnist(str(path))
    assert a.manifest["fingerprint"] == b.manifest["fingerprint"]
    assert len(a.train) == 40 and len(a.eval) == 10 and a.train.shape[1:] == (784,)
    np.testing.assert_array_equal(b.eval[np.arange(10)], TEST.reshape(10, 784))
    np.testing.assert_array_equal(a.train[np.arange(40)], TRAIN.reshape(40, 784))


def test_the_first_50000_train(monkeypatch, directory):
    monkeypatch.setattr(mnist, "NUM_TRAIN", 25)
    source = sources.load_mnist(str(directory))
    assert len(
        source.train
    ) == 25 and source.manifest["num_train"] == 25 and source.manifest["num_unused"] == 15
    assert source.manifest["notes"] == [
        f"{directory}: the first 25 of 40 training images are used, as in the paper."
    ]
    np.testing.assert_array_equal(source.eval[np.arange(10)], TEST.reshape(10, 784))


def test_all_that_there_is_needs_no_note(directory):
    manifest = sources.load_mnist(str(directory)).manifest
    assert manifest["num_unused"] == 0 and manifest["notes"] == []


@pytest.mark.parametrize("name, packed", [("train-images.idx3-ubyte.gz", True),
                                          ("train-images.idx3-ubyte", False),
                                          ("train-images-idx3-ubyte", True),
                                          ("train-images-idx3-ubyte.gz", False)])
def test_names_and_gzip(directory, name, packed):
    """Whether a file is gzip, its content says: browsers unpack, and keep the name, or the other
    way round.
    """
    expected = sources.load_mnist(str(directory)).manifest["fingerprint"]
    (directory / "train-images-idx3-ubyte").unlink()
    (directory / name).write_bytes(gzip.compress(idx(TRAIN)) if packed else idx(TRAIN))
    assert sources.load_mnist(str(directory)).manifest["fingerprint"] == expected


def test_a_packed_npz(tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, x_train=TRAIN, x_test=TEST)
    (tmp_path / "mnist.npz").write_bytes(gzip.compress(buffer.getvalue()))
    assert sources.load_mnist(str(tmp_path / "mnist.npz")).manifest["num_eval"] == 10


def test_damaged_files(directory):
    """Read, or refused in one line that names the file."""
    rng = np.random.default_rng(0)
    buffer, refused = io.BytesIO(), 0
    np.savez_compressed(buffer, x_train=TRAIN, x_test=TEST)
    files = [("train-images-idx3-ubyte", idx(TRAIN)),
             ("t10k-labels-idx1-ubyte.gz", gzip.compress(idx(np.zeros(10, np.uint8)))),
             ("mnist.npz", buffer.getvalue())]
    for k in range(150):
        name, whole = files[k % 3]
        content, at = bytearray(whole), int(
            rng.integers(min(len(whole), 200) if k % 2 else len(whole)))
        if rng.random() < 0.5:
            content[at] = int(rng.integers(256))
        else:
            del content[at:at + int(rng.integers(1, 1000))]
        (directory / name).write_bytes(content)
        try:
            sources.load_mnist(str(directory / name if name == "mnist.npz" else directory))
        except ValueError as error:
            refused += 1
            assert name in str(error) and "\n" not in str(error), (k, name)
        (directory / name).write_bytes(whole)
    assert refused > 75


def broken(directory, name, content, message):
    (directory / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        sources.load_mnist(str(directory))


def test_broken_idx_files(directory):
    name = "train-images-idx3-ubyte"
    broken(directory, name, idx(TRAIN, magic=2049),
           "begins with the magic number 2049; idx images begin with 2051")
    broken(directory, name, b"", "begins with the magic number nothing")
    broken(directory, name, idx(TRAIN)[:7], "ends within its header of 16 bytes")
    broken(directory, name,
           idx(TRAIN)[:-5], r"announces \[40, 28, 28\], 31360 bytes, and holds 31355")
    broken(directory, name,
           struct.pack(">4I", 2051, *[2**32 - 1] * 3) + b"0", "announces .* and holds 1")
    broken(directory, name, idx(TRAIN[:39]), "has 40 labels for the 39 images")
    broken(directory, name, idx(TRAIN[:, :20]),
           r"must hold uint8 images \[N, 28, 28\]; got uint8 \[40, 20, 28\]")
    (directory / name).write_bytes(idx(TRAIN))
    broken(directory, "t10k-labels-idx1-ubyte.gz", b"no gzip", "is neither a complete gzip file")
    (directory / name).unlink()
    with refuses(ValueError):
        sources.load_mnist(str(directory))


def test_broken_npz(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, y_train=np.zeros(40), y_test=np.zeros(10))
    with refuses(ValueError):
        sources.load_mnist(str(path))
    np.savez(path, x_train=TRAIN, x_test=TEST.astype(float))
    with refuses(ValueError):
        sources.load_mnist(str(path))
    np.savez(path, x_train=TRAIN, x_test=TEST)
    path.write_bytes(path.read_bytes()[:2000])
    with refuses(ValueError):
        sources.load_mnist(str(path))
    path.write_bytes(b"PK nothing")
    with refuses(ValueError):
        sources.load_mnist(str(path))
    np.save(tmp_path / "mnist.npy", TRAIN)
    with refuses(ValueError):
        sources.load_mnist(str(tmp_path / "mnist.npy"))
    with refuses(ValueError):
        sources.load_mnist("minst")


def test_without_a_network_the_error_names_the_other_ways(monkeypatch, tmp_path):
    # Discard: nothing listens there.
    monkeypatch.setitem(prepared._HOSTS, "mnist", ("127.0.0.1", 9))
    with refuses(ConnectionError, "data"):
        sources.load_mnist("mnist", str(tmp_path))
