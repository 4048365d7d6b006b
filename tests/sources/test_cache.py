"""The cache of decoded images: entries are whole or missing, damaged ones are made again, leftovers
are removed.
"""
import json
import os
import re
import shutil
import signal

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae import files, sources


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "images"
    path.mkdir()
    for i in range(12):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (20, 20, 3),
                                                          np.uint8)).save(path / f"{i:02d}.png")
    return path


def load(folder, tmp_path, **options):
    return sources.load_images(folder, tmp_path / "cache", progress=False, **options)


def replaced(change):
    """Damage that changes the manifest's values."""
    def damage(path):
        with open(path / "manifest.json") as file:
            manifest = json.load(file)
        change(manifest)
        (path / "manifest.json").write_text(json.dumps(manifest))
    return damage


DAMAGE = {
    "short pixels": (lambda path: os.truncate(path / "images.uint8", 1000),
                     r"images.uint8 has 1000 bytes, not 147456"),
    "no pixels": (lambda path: os.remove(path / "images.uint8"), "images.uint8 is missing"),
    "empty pixels": (
        lambda path: os.truncate(path / "images.uint8", 0), "images.uint8 has 0 bytes"),
    "no manifest": (lambda path: os.remove(path / "manifest.json"), "manifest.json is missing"),
    "half a manifest": (lambda path: os.truncate(path / "manifest.json", 30),
                        "manifest.json was changed"),
    "another manifest": (lambda path: (path / "manifest.json").write_text("[1]"),
                         "manifest.json was changed"),
    "binary manifest": (lambda path: (path / "manifest.json").write_bytes(b"\xff\xfe{}"),
                        "manifest.json was changed"),
    "no names": (replaced(lambda m: m.pop("names")), "manifest.json was changed"),
    "names that are none": (
        replaced(lambda m: m.update(names=[1] * 12)), "manifest.json was changed"),
    "a name too few": (
        replaced(lambda m: m["names"].pop()), "images.uint8 has 147456 bytes, not 135168"),
    "an empty directory": (lambda path: [os.remove(path / name)
                                         for name in os.listdir(path)], "manifest.json is missing"),
    "a file": (lambda path: (shutil.rmtree(path), path.write_text("x")), "is missing"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_entry_is_named_and_made_again(kind, folder, tmp_path, capsys):
    damage, message = DAMAGE[kind]
    whole = load(folder, tmp_path)
    pixels = whole.train.array[:].copy()
    path = tmp_path / "cache" / os.path.basename(whole.manifest["cache"])
    damage(path)
    again = load(folder, tmp_path)
    assert f"The cache entry {path} is damaged (" in (
        out := capsys.readouterr().out) and "It is made again" in out
    assert re.search(message, out)
    np.testing.assert_array_equal(again.train.array, pixels)
    assert again.manifest == whole.manifest
    assert os.listdir(tmp_path / "cache") == [path.name]


@pytest.mark.parametrize("damage, message", [
    (lambda path: os.remove(path), "factors.npy is missing"),
    (lambda path: os.truncate(path, 100), "factors.npy is not a complete"),
    (lambda path: path.write_bytes(b"PK"), "factors.npy is not a complete"),
    (lambda path: os.truncate(path, 0), "factors.npy is no"),
    (lambda path: np.save(path, np.zeros([3, 2])),
     r"factors.npy has the shape \(3, 2\), not \(12, 15\)"),
])
def test_damaged_factors_are_drawn_again(damage, message, tmp_path, capsys):
    def faces():
        return sources.load_images("faces", tmp_path, num_faces=12, progress=False)

    whole = faces()
    damage(tmp_path / os.path.basename(whole.manifest["cache"]) / "factors.npy")
    np.testing.assert_array_equal(faces().factors, whole.factors)
    assert re.search(message, capsys.readouterr().out)


def forked(function):
    """Runs a function in a process of its own, and gives its number at once."""
    pid = os.fork()
    if not pid:
        try:
            function()
        finally:
            os._exit(0)
    return pid


KEY = "0123456789abcdef" * 4


def filled(directory):
    with open(os.path.join(directory, "x"), "w") as file:
        file.write("whole")


def content(directory):
    with open(os.path.join(directory, "x")) as file:
        return file.read()


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_what_a_killed_process_leaves_is_swept(end, tmp_path):
    """But not while its process lives; and what has another name stays."""
    ready = os.pipe()

    def fill(directory):
        filled(directory)
        os.write(ready[1], b".")
        signal.pause()

    pid = forked(lambda: files.cached(KEY, tmp_path, fill, content))
    os.read(ready[0], 1)
    left = sorted(os.listdir(tmp_path))
    assert len(left) == 2 and all(name.startswith(f".{KEY[:20]}.writing-") for name in left)
    (tmp_path / "photographs.writing-of-1-00ff").mkdir()
    files.sweep(tmp_path)
    assert set(left) < set(os.listdir(tmp_path))
    os.kill(pid, end)
    os.waitpid(pid, 0)
    assert files.cached(KEY, tmp_path, filled, content) == "whole"
    assert sorted(os.listdir(tmp_path)) == [KEY[:20], "photographs.writing-of-1-00ff"]


def test_what_this_process_is_filling_stays(tmp_path):
    def fill(directory):
        files.sweep(tmp_path)
        filled(directory)

    assert files.cached(KEY, tmp_path, fill, content) == "whole"
    assert os.listdir(tmp_path) == [KEY[:20]]


def test_processes_that_fill_one_entry_at_once(tmp_path):
    """Each finds it missing, each fills its own, one is kept: nobody fails, and nothing is left."""
    barrier = [os.pipe() for _ in range(8)]
    results = tmp_path / "results"
    results.mkdir()

    def fill(directory):
        filled(directory)
        os.write(barrier[0][1], b".")
        os.read(barrier[1][0], 1)  # until all of them are here

    def work():
        made = files.cached(KEY, tmp_path / "cache", fill, content)
        (results / str(os.getpid())).write_text(made)

    pids = [forked(work) for _ in range(8)]
    for _ in pids:
        os.read(barrier[0][0], 1)
    os.write(barrier[1][1], b"." * len(pids))
    for pid in pids:
        os.waitpid(pid, 0)
    assert [path.read_text() for path in results.iterdir()] == ["whole"] * 8
    assert os.listdir(tmp_path / "cache") == [KEY[:20]]


def test_a_failure_leaves_nothing_and_is_not_kept(tmp_path):
    def fill(directory):
        filled(directory)
        raise OSError(28, "No space left on device")

    with refuses(OSError):
        files.cached(KEY, tmp_path, fill, content)
    assert os.listdir(tmp_path) == []
    assert files.cached(KEY, tmp_path, filled, content) == "whole"
