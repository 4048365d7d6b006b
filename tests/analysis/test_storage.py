"""A measurement on disk: small JSON at any n, and old files."""
import json
import os

import numpy as np
import pytest

import tfisovae
from tests.messages import refuses
from tests.support import assert_alike
from tfisovae import files
from tfisovae.analysis import storage


def values(n, vectors=30):
    """As many numbers as `isometry.json` has for n latent dimensions, and a Gram matrix of 300."""
    rng = np.random.default_rng(0)
    some = {f"vector_{k}": rng.standard_normal(n) for k in range(vectors)}
    nested = {name: {part: rng.standard_normal(n) for part in ("mean", "error")}
              for name in ("first", "second")}
    return {**some, "active": rng.uniform(size=n) < 0.5, "ranking": rng.permutation(n),
            "mean_counts": rng.integers(0, 99, [n, 40]), "gram_mean": np.eye(min(n, 300)),
            "channel_directions": rng.standard_normal([4, 3, n // 4]),
            "stationarity": {**nested, "num_examples": 3}, "rate": 2.5, "stretch": None,
            "name": "x"}


@pytest.mark.parametrize("n, large", [
    (64, []), (300, ["mean_counts", "gram_mean"]),
    (2048, ["mean_counts", "gram_mean", "channel_directions", "stationarity/first/mean",
            "stationarity/first/error", "stationarity/second/mean",
            "stationarity/second/error"])])
def test_json_has_at_most_1_mb(tmp_path, n, large):
    """Large arrays are next to it, and both come back as one."""
    written, path = values(n), tmp_path / "isometry.json"
    storage.write(path, written)
    assert os.path.getsize(path) < 1e6
    assert json.loads(path.read_text()).get("arrays", []) == large
    assert storage.names(path) == ["isometry.json", *(["isometry.npz"] if large else [])]
    assert_alike(storage.read(path), files.plain(written), rtol=1e-6)


def test_vectors_above_2048_are_next_to_it(tmp_path):
    path = tmp_path / "isometry.json"
    storage.write(path, values(4096))
    assert os.path.getsize(path) < 1e4
    assert len(storage.read(path)["vector_3"]) == 4096
    storage.write(path, values(10))  # the large file of before is gone
    assert os.listdir(tmp_path) == ["isometry.json"]


def test_what_is_not_a_number_is_null(tmp_path):
    path, norms = tmp_path / "isometry.json", np.arange(4096.0)
    norms[5] = np.nan
    storage.write(path, {"norm_mean": norms, "short": norms[:10]})
    assert storage.read(path)["norm_mean"][4:7] == [4.0, None, 6.0]
    assert storage.read(path)["short"][5] is None


def test_a_missing_or_damaged_file_of_arrays_is_refused(tmp_path):
    path = tmp_path / "isometry.json"
    storage.write(path, values(4096))
    (tmp_path / "isometry.npz").write_bytes(b"no archive")
    with refuses(files.DamagedFile, "isometry.npz"):
        storage.read(path)
    (tmp_path / "isometry.npz").unlink()
    with refuses(files.DamagedFile, "isometry.npz"):
        storage.read(path)


def test_a_negative_standard_error_is_refused(tmp_path):
    """At any depth, and in the file of large arrays."""
    path = tmp_path / "isometry.json"
    for entries in ({"rate_standard_error": -1e-9}, {"a": {"standard_error": [1.0, [-2.0]]}},
                    {"gains": [{"value": 1.0, "standard_error": -0.1}]},
                    {"norm_standard_error": -np.ones(4096)}):
        storage.write(path, {"n": 1, **entries})
        with refuses(files.DamagedFile, "standard_error"):
            storage.read(path)
    storage.write(path, {"rate_standard_error": 0.0, "norm_standard_error": [None, 0.1],
                         "standard_errors_of": -1.0})
    assert storage.read(path)["rate_standard_error"] == 0


def test_files_of_older_versions_open(tmp_path, make_measurement):
    """All in one JSON file, of whatever size."""
    old = make_measurement(80, 70)
    files.write_json(tmp_path / "old.json", old)
    found = tfisovae.Analysis.load(tmp_path / "old.json")
    assert found.method is None and found.estimates is None and found.gram_mean.shape == (80, 80)
    found.save(tmp_path / "new.json")
    assert storage.names(tmp_path / "new.json") == ["new.json", "new.npz"]
    again = tfisovae.Analysis.load(tmp_path / "new.json")
    np.testing.assert_allclose(again.gram_mean, found.gram_mean, rtol=1e-6)
