"""Files and directories that are whole or not there, locks, and JSON that every reader takes."""
import errno
import fcntl
import json
import multiprocessing
import os
import pathlib
import socket
import stat
import subprocess
import sys

import numpy as np
import pytest

from tests.messages import refuses
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
        with refuses(ValueError), replacing("") as new:
            os.mkdir(new)
    assert (tmp_path / "kept").read_text() == "mine"


TOKEN = "0123456789abcdef"
OLDER = f".a.json.writing-host-{os.getpid()}-xyz"  # as older versions wrote it


def test_only_what_nobody_holds_is_swept(tmp_path):
    """A living writer keeps what it writes. Leftovers go, and older versions get a day."""
    for name in (f".a.json.writing-{TOKEN}", OLDER, ".hidden", "a.json"):
        (tmp_path / name).write_text("half")
    (tmp_path / f".a.json.writing-{TOKEN}.lock").write_text("")
    (tmp_path / f".model.writing-{TOKEN}" / "new").mkdir(parents=True)
    (tmp_path / f".model.writing-{TOKEN}.lock").write_text("")
    (tmp_path / f".b.writing-{TOKEN}.lock").write_text("")  # killed before it wrote anything
    with files.replacing(tmp_path / "living") as file:
        file.write("whole")
        files.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [OLDER, ".hidden", "a.json", "living"]
    os.utime(tmp_path / OLDER, (0, 0))
    files.sweep(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".hidden", "a.json", "living"]
    files.sweep(tmp_path / "missing")


WRITER = """
import os, socket, sys, time
os.getpid, socket.gethostname = lambda: 1, lambda: "container"
from tfisovae import files
with files.replacing_directory(sys.argv[1]) as new:
    os.mkdir(new)
    open(os.path.join(new, "half"), "w").close()
    print("ready", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def writer(root):
    """Starts a process that takes itself for number 1 of the host "container", and is half way
    through a directory.
    """
    started = []

    def start(path):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=root, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_containers_do_not_remove_what_the_other_writes(tmp_path, writer, monkeypatch):
    """All three have the same host name and process number, as containers may. Each sweeps."""
    first, second = writer(tmp_path / "a"), writer(tmp_path / "b")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    monkeypatch.setattr(socket, "gethostname", lambda: "container")
    files.sweep(tmp_path)
    for process, name in ((first, "a"), (second, "b")):
        process.communicate("\n")
        assert process.returncode == 0 and os.listdir(tmp_path / name) == ["half"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_what_a_killed_process_leaves_is_swept(tmp_path, writer):
    """What it was about to replace is untouched."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "former").write_text("")
    process = writer(tmp_path / "a")
    process.kill()
    process.wait()
    assert len(os.listdir(tmp_path)) == 3 and all(
        name == "a" or files.is_temporary(name) for name in os.listdir(tmp_path))
    files.sweep(tmp_path)
    assert os.listdir(tmp_path) == ["a"] and os.listdir(tmp_path / "a") == ["former"]


@pytest.mark.parametrize("locked", [True, False])
def test_what_was_about_to_be_replaced_is_put_back(tmp_path, locked):
    """Where a process died between the two renames that exchange directories, of any version."""
    temporary = tmp_path / f".model.writing-{TOKEN if locked else 'host-1-abc'}"
    for part in ("new", "before"):
        (temporary / part).mkdir(parents=True)
        (temporary / part / part).write_text("")
    if locked:
        (tmp_path / f"{temporary.name}.lock").write_text("")
    else:
        os.utime(temporary, (0, 0))
    files.sweep(tmp_path)
    assert [p.name
            for p in tmp_path.iterdir()] == ["model"] and (tmp_path / "model" / "before").exists()


def test_a_lock_names_its_holder(tmp_path):
    held = files.Lock(tmp_path / "lock", holder="process 7 on host")
    with refuses(files.Held):
        files.Lock(tmp_path / "lock")
    held.release()
    files.Lock(tmp_path / "lock").release()


@pytest.fixture
def without_locks(monkeypatch):
    """A file system that knows no locks, as some network file systems."""
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)


def test_a_file_system_without_locks(tmp_path, without_locks):
    """A file is the lock. A dead owner's is removed; another host's is named, and stays."""
    held = files.Lock(tmp_path / "lock", holder="me")
    assert held.owner == str(tmp_path / "lock.owner")
    with refuses(files.Held):
        files.Lock(tmp_path / "lock")
    content = (tmp_path / "lock.owner").read_text().splitlines()
    held.release()
    assert not (tmp_path / "lock.owner").exists()
    child = multiprocessing.get_context("fork").Process(target=os._exit, args=(0,))
    child.start()
    child.join()
    (tmp_path / "lock.owner").write_text("\n".join([str(child.pid), *content[1:2], ""]))
    files.Lock(tmp_path / "lock").release()
    (tmp_path / "lock.owner").write_text(f"{child.pid}\nelsewhere\n")
    with refuses(files.Held):
        files.Lock(tmp_path / "lock")


def test_writing_without_locks(tmp_path, without_locks):
    with files.replacing_directory(tmp_path / "d") as new:
        os.mkdir(new)
        files.write_text(os.path.join(new, "x"), "whole")
        files.sweep(tmp_path)
    assert os.listdir(tmp_path) == ["d"] and (tmp_path / "d" / "x").read_text() == "whole"


def test_the_place_of_the_cache(tmp_path, monkeypatch):
    """The argument, then the variable, then the system's place for caches."""
    monkeypatch.delenv("TFISOVAE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert files.cache_directory() == str(tmp_path / "tfisovae")
    monkeypatch.setenv("TFISOVAE_CACHE", "~/mine")
    assert files.cache_directory() == os.path.expanduser("~/mine")
    assert files.cache_directory("/other") == "/other"


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
    for text, message in (("{", "is not a complete JSON file"), ("", "is not a complete JSON file"),
                          ("[1]", "it holds a list")):
        path.write_text(text)
        with pytest.raises(files.DamagedFile, match=f"a.json .*{message}"):
            files.read_json(path)


def test_a_file_that_is_replaced_keeps_its_mode_and_a_link_stays(tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    files.write_text(target, "one")
    target.chmod(0o640)
    link.symlink_to("target")
    for path, text in ((target, "two"), (link, "three")):
        files.write_text(path, text)
        assert target.read_text() == text and stat.S_IMODE(target.stat().st_mode) == 0o640
    assert link.is_symlink() and sorted(p.name for p in tmp_path.iterdir()) == ["link", "target"]
    dangling = tmp_path / "dangling"
    dangling.symlink_to("new")
    files.write_text(dangling, "four")
    assert (tmp_path / "new").read_text() == "four" and dangling.is_symlink()


def test_of_two_that_replace_one_directory_the_last_stays(tmp_path, monkeypatch):
    """Even if the other writes between the two renames of one."""
    path, rename, others = tmp_path / "d", os.rename, []

    def fill(name):
        with files.replacing_directory(path) as new:
            os.mkdir(new)
            open(os.path.join(new, name), "w").close()

    def between(old, new):
        rename(old, new)
        if os.fspath(old) == os.fspath(path) and not others:
            others.append(True)
            fill("other")

    fill("former")
    monkeypatch.setattr(os, "rename", between)
    fill("last")
    assert others and os.listdir(path) == ["last"] and os.listdir(tmp_path) == ["d"]


def test_of_two_that_fill_one_directory_the_first_stays(tmp_path):
    """The second says so, and nothing of it is left over."""
    for name, there in (("new", False), ("empty", True)):
        path = tmp_path / name
        if there:
            path.mkdir()
            (path / ".DS_Store").write_text("")
        with refuses(FileExistsError, "another process"):
            with files.replacing_directory(path, full=False) as one:
                os.mkdir(one)
                pathlib.Path(one, "one").write_text("1")
                with files.replacing_directory(path, full=False) as two:
                    os.mkdir(two)
                    pathlib.Path(two, "two").write_text("2")
        assert [p.name for p in path.iterdir()] == ["two"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "new"]


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    """What it holds already is still read."""
    (tmp_path / "file").write_text("")
    with refuses(OSError, "cache_dir"):
        files.cached("0" * 64, tmp_path / "file" / "cache", os.mkdir, os.listdir)


def test_without_a_home_there_is_no_cache_named_after_one(monkeypatch):
    monkeypatch.delenv("TFISOVAE_CACHE", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(files.platformdirs, "user_cache_dir", lambda *_, **__: "~/.cache/tfisovae")
    with refuses(ValueError, "cache_dir"):
        files.cache_directory()
    assert files.cache_directory("/somewhere") == "/somewhere"
