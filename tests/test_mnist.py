"""MNIST in its three forms, and files that are not what they should be."""
import gzip
import struct

import numpy as np
import pytest

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
    assert len(source.train) == 25 and source.manifest["num_train"] == 25
    np.testing.assert_array_equal(source.eval[np.arange(10)], TEST.reshape(10, 784))


def broken(directory, name, content, message):
    (directory / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        sources.load_mnist(str(directory))


def test_broken_idx_files(directory):
    name = "train-images-idx3-ubyte"
    broken(directory, name, idx(TRAIN, magic=2049), "begins with the magic number 2049; idx images begin with 2051")
    broken(directory, name, b"", "begins with the magic number nothing")
    broken(directory, name, idx(TRAIN)[:7], "ends within its header of 16 bytes")
    broken(directory, name, idx(TRAIN)[:-5], r"announces \[40, 28, 28\], 31360 bytes, and holds 31355")
    broken(directory, name, idx(TRAIN[:39]), "has 40 labels for the 39 images")
    broken(directory, name, idx(TRAIN[:, :20]), r"must hold uint8 images \[N, 28, 28\]; got uint8 \[40, 20, 28\]")
    (directory / name).write_bytes(idx(TRAIN))
    broken(directory, "t10k-labels-idx1-ubyte.gz", b"no gzip", "is no whole gzip file")
    (directory / name).unlink()
    with pytest.raises(ValueError, match="has no train-images-idx3-ubyte .*labels train-labels-idx1-ubyte.gz without their images"):
        sources.load_mnist(str(directory))


def test_broken_npz(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, y_train=np.zeros(40), y_test=np.zeros(10))
    with pytest.raises(ValueError, match="lacks x_train and x_test; it holds y_train, y_test"):
        sources.load_mnist(str(path))
    np.savez(path, x_train=TRAIN, x_test=TEST.astype(float))
    with pytest.raises(ValueError, match=r"must hold uint8 images \[N, 28, 28\]; got float64"):
        sources.load_mnist(str(path))
    np.savez(path, x_train=TRAIN, x_test=TEST)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(ValueError, match="no whole .npz file|cannot be read"):
        sources.load_mnist(str(path))
    path.write_bytes(b"PK nothing")
    with pytest.raises(ValueError, match="no whole .npz file|cannot be read"):
        sources.load_mnist(str(path))
    np.save(tmp_path / "mnist.npy", TRAIN)
    with pytest.raises(ValueError, match="no whole .npz file; what is wanted is one with the arrays x_train and x_test"):
        sources.load_mnist(str(tmp_path / "mnist.npy"))
    with pytest.raises(ValueError, match="Unknown data 'minst'"):
        sources.load_mnist("minst")


def test_without_a_network_the_error_names_the_other_ways(monkeypatch, tmp_path):
    monkeypatch.setitem(prepared._HOSTS, "mnist", ("127.0.0.1", 9))  # discard: nothing listens there
    with pytest.raises(ConnectionError, match="mnist is not prepared in .*--data mnist.npz.*idx3-ubyte"):
        sources.load_mnist("mnist", str(tmp_path))
