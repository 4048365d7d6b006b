"""Tables as people have them: what is guessed is said, what cannot be told is asked, and no value
changes in silence.
"""
import ast
import gzip
import io
import json
import pathlib
import time
import warnings

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

import tfisovae
from tests.messages import refuses
from tfisovae import sources
from tfisovae.sources import headers
from tfisovae.sources.source import fingerprint

RNG = np.random.default_rng(0)
FLOATS = RNG.normal(size=(30, 3))
DIGITS = RNG.integers(0, 256, (30, 12))


TABLE = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32) * [1, 2, 3, 4, 5] + 7


@pytest.mark.parametrize("ending", ["npy", "npz", "csv", "header.csv"])
def test_tables(tmp_path, ending):
    path = tmp_path / f"table.{ending}"
    if ending == "npy":
        np.save(path, TABLE)
    elif ending == "npz":
        np.savez(path, x=TABLE, labels=np.arange(40))
    else:
        np.savetxt(path, TABLE, delimiter=",", header="a,b,c,d,e" if "header" in ending else "",
                   comments="", fmt="%.8g")
    source = sources.load_vectors(str(path))
    assert len(source.train) == 36 and len(source.eval) == 4 and source.log_density is None
    np.testing.assert_allclose(source.train[np.arange(36)], TABLE[source.train.rows], rtol=1e-6)
    scaled = sources.load_table(str(path), standardize=True)
    np.testing.assert_allclose(scaled.train[np.arange(36)].mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.train[np.arange(36)].std(0), 1, rtol=1e-5)
    again = sources.load_table(str(path), scaled.manifest["standardization"])
    np.testing.assert_array_equal(again.eval[np.arange(4)], scaled.eval[np.arange(4)])
    assert scaled.manifest["fingerprint"] == source.manifest["fingerprint"]


@pytest.mark.parametrize("content, argument", [
    ("a,b\n1,2\n3,x\n", ""),
    ("1,2\n3\n4,5\n", ""),
    ("1,2\n3,nan\n4,5\n",
     ""),
    ("a,b\n", ""),
    ("", ""),
])
def test_bad_csv(tmp_path, content, argument):
    path = tmp_path / "table.csv"
    path.write_text(content)
    with refuses(ValueError, argument):
        sources.load_table(str(path))


def test_bad_tables(tmp_path):
    def refused(message, **saved):
        np.savez(tmp_path / "t.npz", **saved)
        with pytest.raises(ValueError, match=message):
            sources.load_table(str(tmp_path / "t.npz"), standardize=True)

    refused("must be named 'x'", a=TABLE, b=TABLE)
    refused(r"must hold a table \[N, m\].*its shape is \[40\]", a=TABLE[:, 0])
    refused("must hold real numbers; its type is <U1", a=np.array([["a", "b"]]))
    refused("Column 1 of .* is constant", a=TABLE * [1, 0, 1, 1, 1])
    (tmp_path / "latin.csv").write_bytes("größe\n1\n2\n".encode("latin-1"))
    with refuses(ValueError, "latin.csv"):
        sources.load_table(str(tmp_path / "latin.csv"))
    (tmp_path / "broken.npy").write_bytes(b"nothing")
    with refuses(ValueError):
        sources.load_table(str(tmp_path / "broken.npy"))
    with refuses(ValueError):
        sources.load_vectors(str(tmp_path / "missing.csv"))
    with refuses(ValueError):
        sources.load_vectors("mixx")
    with refuses(ValueError, "standardize"):
        sources.load_vectors("mix", standardize=True)
    with refuses(ValueError, "header"):
        sources.load_vectors("mix", reading={"header": "no"})


def values(source):
    """The rows of a source in their order in the file."""
    x = np.empty((len(source.train) + len(source.eval), source.train.shape[1]), np.float32)
    for rows in (source.train, source.eval):
        x[rows.rows] = rows[np.arange(len(rows))]
    return x


@pytest.fixture
def load(tmp_path):
    def load(content, name="table.csv", **options):
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        return sources.load_table(str(tmp_path / name), **options)

    return load


def frame(x, names=None):
    return pd.DataFrame(x, columns=names)


def saved(x, names=None, index=False, **options):
    return frame(x, names).to_csv(index=index, **options)


@pytest.mark.parametrize(
    "content, x, names, dropped",
    [
        (saved(FLOATS), FLOATS, ["0", "1", "2"], []),  # pandas' names of columns without names
        (saved(FLOATS, header=False), FLOATS, None, []),
        (saved(FLOATS[:, :2]), FLOATS[:, :2], ["0", "1"], []),
        (saved(DIGITS), DIGITS, [str(k) for k in range(12)], []),
        (saved(DIGITS, header=False), DIGITS, None, []),
        (saved(FLOATS, [2019, 2020, 2021]), FLOATS, ["2019", "2020", "2021"], []),
        (saved(FLOATS, [1990, 2000, 2010]), FLOATS, ["1990", "2000", "2010"], []),
        (saved(FLOATS, ["x", 2020, 2021]), FLOATS, ["x", "2020", "2021"], []),
        (saved(FLOATS, ["x", "2010_01", "2010_02"]), FLOATS, ["x", "2010_01", "2010_02"], []),
        (saved(FLOATS, ["a", "b", "c"], index=True), FLOATS, ["a", "b", "c"], [""]),
        (saved(FLOATS, index=True), FLOATS, ["0", "1", "2"], [""]),
        (saved(DIGITS, index=True), DIGITS, [str(k) for k in range(12)], [""]),
        (frame(FLOATS).set_axis(pd.date_range("2020-01-01",
                                              periods=30)).to_csv(), FLOATS, ["0", "1", "2"], [""]),
        ("Unnamed: 0,a\n0,5\n1,6\n2,8\n", [[5], [6], [8]], ["a"], ["Unnamed: 0"]),
        # R's write.table.
        ('"a" "b"\n"1" 1.5 2\n"2" 2.5 3\n"3" 4 4\n', [[1.5, 2], [2.5, 3], [4, 4]], ["a", "b"], [""]
         ),
        # np.savetxt(header="a b").
        ("# a b\n1 2\n3 4\n5 7\n", [[1, 2], [3, 4], [5, 7]], ["a", "b"], []),
        ("1,2\n3,4\n", [[1, 2], [3, 4]], None, []),
        ("True,False\nFalse,True\n", [[1, 0], [0, 1]], None, []),
        ('"a\n(cm)",b\n1,2\n3,4\n', [[1, 2], [3, 4]], ["a\n(cm)", "b"], []),
        ("0,1\n0.5,0.25\n1,0\n", [[0, 1], [0.5, 0.25], [1, 0]], None, []),  # a curve
    ])
def test_headers_and_indices(load, content, x, names, dropped):
    """No name becomes an example, no example a name, and no index a variable; the resolved options
    read the same again.
    """
    source = load(content)
    np.testing.assert_array_equal(values(source), np.float32(x))
    assert not any("\n" in note for note in source.manifest["notes"])
    reading = source.manifest["reading"]
    assert (reading["names"], reading["dropped"]) == (names, dropped)
    assert (reading["num_rows"], reading["num_columns"]) == np.shape(x)
    assert reading["options"]["header"] == ("yes" if names else "no")
    assert ("left out as an index" in source.manifest["notes"][0]) == bool(dropped)
    again = sources.load_vectors(source.manifest["source"], reading=json.loads(
        json.dumps(reading["options"])))
    assert again.manifest == source.manifest


@pytest.mark.parametrize("content", [
    saved(RNG.integers(0, 9, (30, 3))),  # 0,1,2 over whole numbers of their own range
    saved(np.arange(12).reshape(4, 3), header=False),
    "0,1,2,3,4\n" + saved([RNG.permutation(5) for _ in range(30)], header=False),  # rankings
    "5,3,x\n1,2,3\n2,3,4\n", "1.5,x\n1,2\n2,3\n",
    # Wavelengths, or a rising example.
    saved(RNG.normal(size=(9, 12)), np.linspace(400, 510, 12) + 0.5),
    "2020-01-01,5,6\n2020-01-02,9,7\n",
])
def test_what_cannot_be_told_is_asked(load, content):
    with refuses(ValueError):
        load(content)
    if "x" not in content and "-01-" not in content:
        rows = content.splitlines()
        for header in ("yes", "no"):
            assert len(values(load(content, header=header))) == len(rows) - (header == "yes")


def test_headers_by_chance():
    """Of 6,000 tables of random numbers without a header, none loses its first example."""
    rng = np.random.default_rng(1)
    for _ in range(3000):
        width, top = rng.integers(1, 9), rng.integers(2, 12)
        assert headers.guess(*split(rng.integers(0, top, (12, width)).astype(str))) is not True
        assert headers.guess(*split(np.char.mod("%.2g", rng.normal(size=(12, width))))) is not True


def split(cells):
    return cells[0].tolist(), cells[1:].tolist()


@pytest.mark.parametrize("content, message", [
    ("NA,NA,NA\n1,2,3\n4,5,6\n", "line 1, column 1: 'NA' is a missing value"),
    ("a,b\n1,2\n3,\n", "line 3, column 2: '' is a missing value"),
    ("a,b\n1,2\n\n3,4\n",
     "line 3 is empty. Remove it or fill it: otherwise the rows below"),
    ("a,b\n1,2\n,\n3,4\n", "line 3 is empty"),
    ("a\n1\n\n3\n", "line 3 is empty"),
    ("\na,b\n1,2\n", "line 1 is empty"),
    ("a,b\n\n1,2\n", "the line under the header is empty"),
    ("a,b\n2010_01,1\n2,3\n", "line 2, column 1: '2010_01' is not a number"),
    ("a,b\n1,0x10\n", "line 2, column 2: '0x10' is not a number"),
    ("a,b\n1,1e400\n2,3\n", "line 2, column 2: '1e400' is too large"),
    ('a,b\n"1,234",2\n"3,456",4\n',
     "line 2, column 1: '1,234' is not a number with the decimal sign '.'. Remove thousands sep"),
    ("a;b\n1,234.5;2\n3;4\n", "'1,234.5' is not a number with the decimal sign '.'"),
    ("a;b\n1.234,5;2\n3,5;4\n", "'1.234,5' is not a number"),
    ("a;b\n1,234;2\n3,456;4\n",
     "has numbers like 1,234, where the comma may be a decimal sign or a thousands separator"),
    ("a,b\n1,2,3\n", "the header names 2 columns, and the row under it has 3"),
    ("a,b\n1,2\n3,4,5\n", "line 3: 3 columns, but the first row has 2"),
    ("2020-01-01,1.5\n2020-01-02,2.5\n",
     "line 1, column 1: '2020-01-01' is not a number. Leave text columns out"),
    ("a,b\nTrue,1\n2,3\n", "line 3, column 1: '2' is in a column of True and False"),
    ("a,b\n2,1\n2,False\n", "line 3, column 2: 'False' is in a column of numbers"),
    ('a,b\n1,"2\n3,4\n', r"is not a number"),
    ("a,b\n1,2\n".encode("utf-16-le"), "holds zero bytes. Is it UTF-16"),
    (b"\xff\xfea", "is no CSV file in UTF-16"),
    ("<!DOCTYPE html>\n<html>", "is a web page by its content"),
    (b"PK\x03\x04...", "is a zip file or an Excel workbook by its content"),
])
def test_what_is_refused(load, content, message):
    with pytest.raises(ValueError, match=f"table.csv.*{message}") as caught:
        load(content)
    assert "\n" not in str(caught.value)


def test_one_row_can_be_measured_but_not_standardized(load):
    """Such as one new input, whose density is asked for."""
    source = load("a,b\n1,2\n")
    assert (len(source.train), len(source.eval)) == (0, 1)
    np.testing.assert_array_equal(values(source), [[1, 2]])
    with pytest.raises(ValueError, match="1 row; standardizing needs at least 2"):
        load("a,b\n1,2\n", standardize=True)


@pytest.mark.parametrize("content, separator, said", [
    ("a;b\n1,5;2\n-3,25e1;-4\n", ";", "decimal sign ','"),  # European
    ("1,5\t2\n-3,25e1\t-4\n", "tab", "decimal sign ','"),
    ("1,5 2\n-3,25e1 -4\n", "whitespace", "decimal sign ','"),
    ("1.5;2\n-32.5;-4\n", ";", "no header"),
    ("a\tb\n1.5\t2\n-32.5\t-4\n", "tab", "a header"),
    ("1.5|2\n-32.5|-4\n", "|", "separator '|'"),
    (" 1.5000e+00   2\n-3.2500e+01  -4\n", "whitespace", "separator 'whitespace'"),
    ('"a","b"\n"1.5", "2"\n"-32.5","-4"\n', ",", "(a, b)"),
    ("a,b\r\n1.5,2\r\n-32.5,-4\r\n\r\n,\r\n  \r\n", ",", "2 rows"),  # as spreadsheets end them
    ("a,b\r1.5,2\r-32.5,-4", ",", "2 rows"),
    (b"\xef\xbb\xbfa,b\n1.5,2\n-32.5,-4\n", ",", "(a, b)"),
    ("a\tb\n1.5\t2\n-32.5\t-4\n".encode("utf-16"), "tab", "UTF-16"),
    (gzip.compress(b"a,b\n1.5,2\n-32.5,-4\n", mtime=0), ",", "2 columns"),  # under a plain name
    ("a,a\n1.5,2\n-32.5,-4\n", ",", "some names twice"),
])
def test_text_as_people_have_it(load, content, separator, said):
    source = load(content)
    np.testing.assert_array_equal(values(source), np.float32([[1.5, 2], [-32.5, -4]]))
    assert source.manifest["reading"]["options"]["separator"] == separator
    assert said in source.manifest["notes"][0]
    assert "2 rows, 2 columns" in source.manifest["notes"][0]
    assert load(content, **source.manifest["reading"]["options"]).manifest == source.manifest


def test_options(load):
    assert values(load("a;b\n1,234;2\n3,456;4\n", decimal=","))[0, 0] == np.float32(1.234)
    text = "a,b,c,a\n1,x,2,5\n3,y,4,6\n"
    np.testing.assert_array_equal(values(load(text, columns=["c", 0])), [[2, 1], [4, 3]])
    # A name, a number.
    np.testing.assert_array_equal(values(load("id,0,1\n7,2,3\n9,4,5\n", columns=["0", "2"])),
                                  [[2, 3], [4, 5]])
    np.testing.assert_array_equal(values(load("id,b\n7,2\n9,4\n", drop_index="yes")), [[2], [4]])
    np.testing.assert_array_equal(values(load(",b\n7,2\n9,4\n", drop_index="no")), [[7, 2], [9, 4]])
    np.testing.assert_array_equal(values(load(",b\n7,2\n9,4\n", columns=[0])), [[7], [9]])
    assert "column 0 ('id') counts the rows" in load("id,b\n0,2\n1,4\n2,9\n").manifest["notes"][1]
    with refuses(ValueError):
        load("a,b,c\n1,2,3\n1,3\n", columns=["a", "b"])  # the cells behind a lost one would move
    for options, argument in [
        ({"columns": ["a"]}, ""),
        ({"columns":
            ["d"]}, ""),
        ({"columns": [4]}, ""),
        ({"columns": []}, ""),
        ({"columns": [0, 0]}, ""),
        ({"columns": "c"}, "columns"),
        ({"header": True}, "header"),
        ({"separator": "x"}, "separator"),
        ({"decimal": "x"}, "decimal"),
        ({"decimal": ","}, ""),
        ({"drop_index": 1}, "drop_index"),
    ]:
        with refuses(ValueError, argument):
            load(text, **{"separator": ",", **options})
    with refuses(ValueError, "header"):
        load(b"", "table.npy", header="yes")


def test_float64_is_kept_until_standardised(load):
    """2,000 UTM coordinates and an hour of Unix times keep their values; without standardising,
    what float32 merges is said.
    """
    rng = np.random.default_rng(0)
    x = np.stack([
        5_000_000 + 3 * rng.random(2000),
        np.linspace(1.7e9, 1.7e9 + 3600, 2000),
        rng.normal(size=2000)
    ], 1)
    text = saved(x, ["northing", "time", "z"], float_format="%.17g")
    source = load(text, standardize=True)
    train = source.train.rows
    exact = (x - x[train].mean(0)) / x[train].std(0)
    # Float64 resolves the northing to 1e-9 of its deviation.
    np.testing.assert_allclose(values(source), exact, atol=2e-6)
    assert [len(np.unique(column)) for column in values(source).T] == pytest.approx([2000] * 3,
                                                                                    abs=2)
    assert len(source.manifest["notes"]) == 1
    plain = load(text)
    warned = plain.manifest["notes"][1:]
    counts = [len(np.unique(np.float32(column))) for column in x.T]
    assert counts[0] <= 7 and counts[1] <= 30
    assert [note[:78] for note in warned] == [
        f"Warning: float32 merges the 2,000 values of column {k} ('{name}') into {count}. "
        f"Standardise"[:78] for k, (name, count) in enumerate(zip(["northing", "time"], counts))
    ]
    # Such tables are told apart by what float32 does not hold.
    x[0, 0] += 1e-3
    assert load(
        saved(x, ["northing", "time", "z"],
              float_format="%.17g")).manifest["fingerprint"] != plain.manifest["fingerprint"]
    large = saved(FLOATS * 1e39, ["a", "b", "c"], float_format="%.17g")
    np.testing.assert_allclose(values(load(large, standardize=True)).std(0), 1, rtol=0.3)
    with refuses(ValueError):
        load(large)


def test_fingerprints_are_those_of_float32(load):
    """Text, arrays and Parquet of the same numbers are the same data, as they were before other
    formats could be read.
    """
    x = np.float32(FLOATS)
    files = {
        "t.csv": saved(x, list("abc")).encode(), "t.npy": stored(np.save, x), "d.npy": stored(
            np.save, x.astype(float)), "z.npz": stored(np.savez_compressed, x),
        "i.npy": gzip.compress(stored(np.save, x)), "t.parquet": parquet(frame(x, list("abc")))
    }
    assert {load(content, name).manifest["fingerprint"]
            for name, content in files.items()} == {fingerprint(x)}


def test_constant_columns_are_named(load):
    """In any precision: the deviation of a constant 0.1 need not come out as 0."""
    text = "a,b,c\n" + "".join(f"1,{k * k},0.1\n" for k in range(50))
    assert "Columns 0 ('a'), 2 ('c') are constant over the training rows" in load(
        text).manifest["notes"][1]
    with refuses(ValueError, "table.csv"):
        load(text, standardize=True)
    assert load(text, standardize=True, columns=["b"]).train.shape == (45, 1)


def stored(save, *arrays, **named):
    buffer = io.BytesIO()
    save(buffer, *arrays, **named)
    return buffer.getvalue()


def parquet(table, **options):
    table = table if isinstance(table, pyarrow.Table) else pyarrow.Table.from_pandas(table)
    return stored(lambda buffer: pyarrow.parquet.write_table(table, buffer, **options))


def test_parquet(load):
    table = frame(FLOATS, list("abc"))
    source = load(parquet(table), "t.parquet")
    np.testing.assert_array_equal(values(source), np.float32(FLOATS))
    assert source.manifest["reading"]["names"] == [
        "a", "b", "c"
    ] and "30 rows, 3 columns (a, b, c)" in source.manifest["notes"][0]
    indexed = load(parquet(table.set_index("a")), "t.parquet")  # pandas keeps an index as a column
    np.testing.assert_array_equal(values(indexed), np.float32(FLOATS[:, 1:]))
    assert indexed.manifest["reading"]["dropped"] == [
        "a"
    ] and "left out as an index: 'a'" in indexed.manifest["notes"][0]
    assert load(parquet(table.set_index("a")), "t.parquet", drop_index="no").train.shape == (27, 3)
    np.testing.assert_array_equal(values(load(parquet(table), "t.parquet", columns=["c", 0])),
                                  np.float32(FLOATS[:, [2, 0]]))
    mixed = pyarrow.table(
        {"i": [1, 2, 3], "b": [True, False, True], "s": ["x", "y", "z"], "m": [1.0, None, 2.0]})
    np.testing.assert_array_equal(values(load(parquet(mixed), "t.parquet", columns=["i", "b"])),
                                  [[1, 1], [2, 0], [3, 1]])
    for name, argument in [("s", ""),
                          ("m", "")]:
        with refuses(ValueError, argument):
            load(parquet(mixed), "t.parquet", columns=[name])


@pytest.mark.parametrize("shape, message", [
    ((10**13, 5), "more memory than there is"),
    ((10**20, 5), ""),
    ((41, 5), "cannot reshape"),
    ((39, 5), "continues after its"),
])
def test_absurd_headers(load, shape, message):
    """A header that announces more, or less, than the file holds; 400 TB are not waited for."""
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer,
                                         {"descr": "<f8", "fortran_order": False, "shape": shape})
    with pytest.raises(ValueError, match=f"t.npy cannot be read as .npy: .*{message}"):
        load(buffer.getvalue() + np.ones((40, 5)).tobytes(), "t.npy")


def test_python_objects_are_not_loaded(load):
    objects = np.array([[object()]], dtype=object)
    for save, name in [(np.save, "t.npy"), (np.savez, "t.npz")]:
        with pytest.raises(ValueError,
                           match=f"{name} cannot be read as .*Object arrays cannot be loaded"):
            load(stored(save, objects), name)


def damage(content, rng):
    """Bytes changed, cut off, taken out or put in; half of the time among the first 300, where
    headers are.
    """
    content, kind = bytearray(content), rng.integers(4)
    at = int(rng.integers(min(300, len(content)) if rng.random() < 0.5 else len(content)))
    some = rng.integers(0, 256, int(rng.integers(1, 40)), np.uint8).tobytes()
    if kind == 0:
        content[at] = some[0]
    elif kind == 1:
        del content[at:]
    elif kind == 2:
        del content[at:at + len(some)]
    else:
        content[at:at] = some
    return bytes(content)


def test_damaged_files(load):
    """Every damaged file is read or refused in one line that names it: no traceback of a library,
    no warning, no long wait.
    """
    rng = np.random.default_rng(0)
    text = saved(FLOATS, list("abc")).encode()
    files = {
        "t.npy": stored(np.save, FLOATS), "t.npz": stored(np.savez, x=FLOATS, y=DIGITS),
        "z.npz": stored(np.savez_compressed, FLOATS), "t.csv": text, "t.txt": text.replace(
            b",", b" "), "u.csv": text.decode().encode("utf-16"), "g.csv": gzip.compress(text),
        "t.parquet": parquet(frame(FLOATS, list("abc"))), "g.parquet": parquet(
            pyarrow.table({"a": FLOATS[:, 0]}), compression="gzip", use_dictionary=False)
    }
    refused, start = 0, time.time()
    for k in range(360):
        name = list(files)[k % len(files)]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                load(damage(files[name], rng), name, standardize=bool(k % 2))
        except ValueError as error:
            refused += 1
            assert name in str(error) and "\n" not in str(error), (k, name)
    assert refused > 250 and time.time() - start < 30


def test_pandas_and_pyarrow_are_imported_when_a_table_is_read():
    for path in pathlib.Path(tfisovae.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [getattr(node, "module", None) or "", *(alias.name for alias in node.names)]
                assert not {name.split(".")[0] for name in names} & {"pandas", "pyarrow"}, path


@pytest.mark.parametrize("space", ["\u00a0", "\u2009", "\u202f"])
def test_spaces_that_are_none_are_named(load, space):
    """With the line, the column and the character."""
    for cell in (f"{space}2", f"1{space}000"):
        with refuses(ValueError, f"U+{ord(space):04X}") as error:
            load(f"1;2\n3;4\n{cell};6\n")
        assert "line 3, column 1" in str(error.value)


def test_integers_that_become_one_number_are_not_called_constant(load):
    """2^60 + 1 and 2^60 + 2 are the same in 64 bits of floating point."""
    rows = "\n".join(f"{2**60 + k},{k}" for k in range(40))
    with refuses(ValueError, "2^53"):
        load(rows)


def test_names_of_columns_cannot_command_a_terminal(load):
    source = load("a\x1b[31mred,b\n" + "\n".join(f"{k},{k * k}" for k in range(20)))
    assert "\x1b" in source.manifest["reading"]["names"][0]
    assert all(note.isprintable() for note in source.manifest["notes"])
    assert "red, b" in source.manifest["notes"][0]
