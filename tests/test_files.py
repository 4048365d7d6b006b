"""Files and directories that are whole or not there, and JSON that every reader takes."""
import json
import multiprocessing
import os
import pathlib
import stat

import numpy as np
import pytest

from tfisovae import files


def write_many(path, number):
    for i in range(200):
        files.write_json(path, {"writer": number, "turn": i, "filling": "x" * 2000})


def test_several_processes_write_one_file(tmp_path):
    """Every writing succeeds, every reading finds one of them whole, nothing is left over."""
    path = tmp_path / "results.json"
    files.write_json(path, {"writer": 0})
    writers = [
        multiprocessing.get_context("fork").Process(target=write_many, args=(path, i))
        for i in range(3)
    ]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert files.read_json(path)["writer"] in (0, 1, 2)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_a_block_that_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(RuntimeError), files.replacing(tmp_path / "a") as file:
        file.write("half")
        raise RuntimeError
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "x").write_text("before")
    with pytest.raises(RuntimeError), files.replacing_directory(tmp_path / "d") as new:
        os.mkdir(new)
        raise RuntimeError
    assert (tmp_path / "a").read_text() == (tmp_path / "d" / "x").read_text() == "before"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "d"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_new_directory_takes_the_place_of_the_old(tmp_path, durable):
    for content in ("one", "two"):
        with files.replacing_directory(tmp_path / "d", durable) as new:
            os.mkdir(new)
            pathlib.Path(new, content).write_text("")
        assert [p.name for p in (tmp_path / "d").iterdir()] == [content]
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_what_has_no_name_replaces_nothing(tmp_path, monkeypatch):
    """The name of the current directory would be made of it, and everything there replaced."""
    (tmp_path / "kept").write_text("mine")
    monkeypatch.chdir(tmp_path)
    for replacing in (files.replacing, files.replacing_directory):
        with pytest.raises(
                ValueError,
                match="The name of what is to be written is empty"), replacing("") as new:
            os.mkdir(new)
    assert (tmp_path / "kept").read_text() == "mine"


def dead_pid():
    process = multiprocessing.get_context("fork").Process(target=int)
    process.start()
    process.join()
    return process.pid


def test_what_dead_processes_were_writing_is_swept(tmp_path):
    """Of this host at once; what the living write, and what has the name of another host and is
    fresh, is left.
    """
    host, dead = files._host(), dead_pid()
    for name in (f".a.json.writing-{host}-{dead}-xyz", f".a.json.writing-{host}-{os.getppid()}-xyz",
                 ".a.json.writing-else-1-xyz", ".hidden", "a.json"):
        (tmp_path / name).write_text("half")
    (tmp_path / f".model.writing-{host}-{dead}-abc" / "new").mkdir(parents=True)
    # Of an earlier process that had our number.
    (tmp_path / f".own.writing-{host}-{os.getpid()}-abc").write_text("")
    files.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".a.json.writing-else-1-xyz", f".a.json.writing-{host}-{os.getppid()}-xyz", ".hidden",
        "a.json"
    ]
    os.utime(tmp_path / ".a.json.writing-else-1-xyz", (0, 0))
    files.sweep(tmp_path)
    assert not (tmp_path / ".a.json.writing-else-1-xyz").exists()
    files.sweep(tmp_path / "missing")


def test_what_was_about_to_be_replaced_is_put_back(tmp_path):
    """Where a process died between the two renames that exchange directories."""
    temporary = tmp_path / f".model.writing-{files._host()}-{dead_pid()}-abc"
    for part in ("new", "before"):
        (temporary / part).mkdir(parents=True)
        (temporary / part / part).write_text("")
    files.sweep(tmp_path)
    assert [p.name
            for p in tmp_path.iterdir()] == ["model"] and (tmp_path / "model" / "before").exists()


def test_what_is_written_may_be_read_by_others(tmp_path):
    mask = os.umask(0o022)
    try:
        files.write_text(tmp_path / "a", "")
        with files.replacing_directory(tmp_path / "d") as new:
            os.mkdir(new)
    finally:
        os.umask(mask)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755


def test_json_is_strict(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(
        path,
        {"correlation": float("nan"), "errors": np.array([np.inf, 1.5]), "count": np.int64(3)})

    def refuse(constant):
        raise AssertionError(constant)

    assert json.loads(path.read_text(), parse_constant=refuse) == {
        "correlation": None, "errors": [None, 1.5], "count": 3
    }
    for text, message in (("{", "is no whole JSON file"), ("", "is no whole JSON file"),
                          ("[1]", "no JSON object, but a list")):
        path.write_text(text)
        with pytest.raises(files.DamagedFile, match=f"a.json .*{message}"):
            files.read_json(path)
