"""The audit of conditional models: pairs (x, c) from files, and what the page shows of them."""
import argparse
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae.commands import audit, examples, python_models
from tfisovae.show import tiles

CLASSES, BETA = 3, 0.1
FILE = '''
import tensorflow as tf

import tfisovae

SHIFT = tf.constant([[0.0, 0.0], [3.0, 1.0], [-1.0, 2.0]])
GAIN = tf.constant([2.0, 1.0])


def encode(x, c):
    mean = (x - tf.gather(SHIFT, c)) / GAIN
    return mean, tf.zeros_like(mean) - 3


def decode(z, c):
    return GAIN * z + tf.gather(SHIFT, c)


pair = encode, decode
whole = tfisovae.as_autoencoder(pair, "sse", 0.1, conditional=True)
plain = (lambda x: encode(x, tf.zeros(len(x), tf.int32))), lambda z: z
'''
SHIFT = np.array([[0, 0], [3, 1], [-1, 2]], np.float32)


def data(count=300):
    rng = np.random.default_rng(0)
    c = rng.integers(0, CLASSES, count)
    x = rng.standard_normal((count, 2)) * [2, 1] + SHIFT[c]
    return x.astype(np.float32), c


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A file with models, and the same data in files of several kinds."""
    path = tmp_path_factory.mktemp("conditional")
    (path / "vae.py").write_text(FILE)
    x, c = data()
    np.savez(path / "named.npz", x=x, c=c)
    np.savez(path / "keras.npz", x_train=x[:200], y_train=c[:200].astype(np.uint8),
             x_test=x[200:], y_test=c[200:].astype(np.uint8))
    np.savez(path / "short.npz", x=x, c=c[:-1])
    np.savez(path / "text.npz", x=x, c=np.array(["a", "b", "c"])[c])
    np.savez(path / "alone.npz", x=x)
    np.save(path / "table.npy", np.concatenate([x, c[:, None]], 1))
    table = pd.DataFrame({"a": x[:, 0], "kind": c, "b": x[:, 1]})
    table.to_csv(path / "table.csv", index=False)
    table.to_parquet(path / "table.parquet")
    hot = pd.DataFrame({"a": x[:, 0], "b": x[:, 1]} | {
        name: (c == k).astype(int) for k, name in enumerate("uvw")})
    hot.to_csv(path / "hot.csv", index=False)
    table.assign(kind=np.array(["a", "b", "c"])[c]).to_csv(path / "text.csv", index=False)
    table.assign(kind=np.array(["a", "b", "c"])[c]).to_parquet(path / "text.parquet")
    return path


def options(*given):
    parser = argparse.ArgumentParser()
    audit.add_arguments(parser)
    return parser.parse_args(["--data", "d", *map(str, given)])


@pytest.mark.parametrize("name, condition", [
    ("named.npz", None), ("named.npz", "c"), ("table.csv", "kind"), ("table.csv", "1"),
    ("table.parquet", "kind"), ("table.npy", "2")])
def test_pairs_of_files(place, name, condition):
    x, c = data()
    args = options(*(("--condition", condition) if condition else ()))
    found = examples.load(args, str(place / name), conditional=True)
    np.testing.assert_array_equal(found.x, x)
    np.testing.assert_array_equal(found.c, c)
    assert found.c.dtype == np.int64 and found.first(5).data[1].shape == (5,)


def test_arrays_of_training_and_of_tests_stay_together(place):
    x, c = data()
    for condition in (None, "y", "y_test", "y_train"):
        args = options(*(("--condition", condition) if condition else ()))
        for option, rows in (("data", slice(200, None)), ("train_data", slice(200))):
            found = examples.load(args, str(place / "keras.npz"), option=option, conditional=True)
            np.testing.assert_array_equal(found.x, x[rows])
            np.testing.assert_array_equal(found.c, c[rows])
    hot = examples.load(options("--condition", "u,v,w"), str(place / "hot.csv"), conditional=True)
    np.testing.assert_array_equal(np.argmax(hot.c, 1), c)


@pytest.mark.parametrize("name, condition", [
    ("text.csv", "kind"), ("text.parquet", "kind"), ("text.npz", None), ("alone.npz", None),
    ("named.npz", "label"), ("short.npz", "c"), ("table.csv", "color"), ("table.csv", None),
    ("table.npy", None), ("mix", None), ("table.csv", "a,kind,b")])
def test_data_without_a_condition_are_refused(place, name, condition):
    args = options(*(("--condition", condition) if condition else ()))
    with refuses(ValueError, "colum" if name == "table.csv" and condition else "condition"):
        examples.load(args, name if name == "mix" else str(place / name), conditional=True)


@pytest.mark.parametrize("given", [
    ["--model", "vae.py:plain", "--condition", "kind"], ["--model", "vae.py:pair"],
    ["--model", "vae.py:whole"],
    ["--model", "model", "--condition", "kind"],
    ["--encoder", "e", "--decoder", "d", "--condition", "kind"]])
def test_other_models_are_refused(main, place, monkeypatch, given):
    """Before anything is measured, and in a line."""
    monkeypatch.chdir(place)
    done = main("audit", *given, "--data", "table.csv", "--distortion", "sse", "--beta", BETA,
                check=False)
    assert done.code != 0 and "Traceback" not in done.stderr and "rank" not in done.stdout
    assert done.stderr.count("\n") == 1 and not (place / "audit").exists()


def test_the_form_of_a_condition_is_the_models():
    """Whatever form a file has: the model gets class numbers, a column of floats, or one-hot rows.
    """
    x, c = data(20)
    one_hot = np.eye(CLASSES, dtype=np.float32)[c]

    def numbers(first, c):
        return first + tf.gather(SHIFT, c)

    def column(first, c):
        return tf.concat([first, c], 1)[:, :2] + c * 0.0

    def rows(first, c):
        return first + tf.matmul(c, SHIFT)

    for function, files, dtype, shape in (
            (numbers, [c.astype(np.float64), c[:, None].astype(np.uint8)], "i", (20,)),
            (column, [c], "f", (20, 1)),
            (rows, [one_hot.astype(np.int64)], "f", (20, CLASSES))):
        model = tfisovae.as_autoencoder(
            (lambda x, c, f=function: (f(x, c), f(x, c) * 0 - 3.0), function), "sse", BETA,
            conditional=True)
        for stored in files:
            found = python_models.condition_as_taken(model, x, stored)
            assert found.dtype.kind == dtype and found.shape == shape
            np.testing.assert_array_equal(found.reshape(stored.shape), stored)


@pytest.mark.slow
def test_an_audit_of_a_whole_data_set(main, place, tmp_path, monkeypatch):
    """It has the numbers of `analyze`, from the array of an .npz and from a column of a table. The
    page says which condition a traversal has.
    """
    monkeypatch.chdir(place)
    x, c = data()
    model = tfisovae.as_autoencoder(python_models.found("vae.py:pair"), "sse", BETA,
                                    conditional=True)
    expected = tfisovae.analyze(model, (x, c))
    done = main("audit", "--model", "vae.py:pair", "--condition", "kind", "--data", "table.csv",
                "--distortion", "sse", "--beta", BETA, "--out", tmp_path / "out")
    measured = json.loads((tmp_path / "out" / "isometry.json").read_text())
    np.testing.assert_allclose(measured["norm_mean"], expected.norm_mean, rtol=1e-5)
    assert measured["rate"] == pytest.approx(expected.rate, rel=1e-5)
    assert measured["condition"] == "kind" and measured["findings"] == []
    assert "takes no conditional model" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"The condition is fixed: c = {c[0]}, as for the first" in page
    assert f"Row 0, c = {c[0]}" in page
    assert "tfisovae.prune(model" not in page


def test_words_of_a_condition():
    for c, said in ((7, "c = 7"), ([7], "c = 7"), ([0.5, 2], "c = (0.5, 2)"),
                    ([0, 0, 1], "class 2"), ([[0.5, 0.1]], ""), (np.arange(9), "")):
        assert tiles.condition(np.array(c)) == said


def test_arrays_of_every_type_are_read_or_refused(tmp_path):
    """As data, and as conditions. Bytes are pixels from 0 to 255."""
    values = np.arange(12).reshape(6, 2) % 4
    for kind in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
                 "float16", "float32", "float64", "longdouble", ">f4", ">i8"):
        array = values.astype(kind)
        np.savez(tmp_path / "d.npz", x=array, c=array[:, 0])
        found = examples.load(options(), str(tmp_path / "d.npz"), conditional=True)
        scale = 255 if kind == "uint8" else 1
        np.testing.assert_allclose(found.x, array.astype(np.float32) / scale, rtol=1e-6)
        np.testing.assert_array_equal(found.c, array[:, 0])
    whole = values.astype(np.float32)
    for array in (values + 1j, values.astype("S1"), values.astype("U1"), values.astype(object),
                  values.astype("datetime64[s]"), values.astype("timedelta64[s]"),
                  np.zeros(6, [("a", "f4")]), np.zeros((6, 2), "V4"), np.full((6, 2), np.inf),
                  1e39 * values, values * 2**60):
        np.save(tmp_path / "d.npy", array)
        with refuses(ValueError, "d.npy"):
            examples.load(options(), str(tmp_path / "d.npy"))
        if array.dtype.kind in "fi":
            continue
        np.savez(tmp_path / "d.npz", x=whole, c=array)
        with refuses(ValueError, "d.npz"):
            examples.load(options(), str(tmp_path / "d.npz"), conditional=True)
