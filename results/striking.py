"""Striking a command: a kill, a signal or a copy before each file operation; files that are
damaged; users who may not write.
"""
import builtins
import contextlib
import dataclasses
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from unittest import mock

import tensorflow as tf

from tfisovae import __main__ as command_line
from tfisovae import files

OPTIONS = [
    "--data", "norm", "--num_examples", "256", "--batch_size", "64", "--epochs", "6", "--log_every",
    "2", "--checkpoint_every", "2", "--num_eval", "0", "--no-resident"
]
LONGER = [*OPTIONS, "--epochs", "8"]
DAMAGES = ("truncated", "emptied", "removed", "replaced")
_OPERATIONS = ("os.replace", "os.rename", "os.unlink", "os.remove", "os.rmdir", "os.mkdir",
               "os.fsync", "tempfile.mkstemp", "tempfile.mkdtemp")


@dataclasses.dataclass
class Ended:
    """How a command ended: exit status, and what it said."""

    status: int
    stdout: str
    stderr: str


def command(name, *arguments):
    """Runs a command in this process."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            command_line.main([name, *map(str, arguments)])
        except SystemExit as stop:
            status = stop.code or 0
            if isinstance(status, str):
                print(status, file=sys.stderr)
                status = 1
        except Exception as error:  # a page of traceback
            print(f"Traceback: {type(error).__name__}: {error}", file=sys.stderr)
            status = 1
    return Ended(status, out.getvalue(), err.getvalue())


def train(directory, options=OPTIONS):
    return command("toy", *options, "--run_dir", directory)


def contents(directory):
    """`{path: digest}` of all files of a run, without the lock and files that were left half
    written.
    """
    root = pathlib.Path(directory)
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*")) if path.is_file() and path.name != "lock"
        and not any(map(files.is_temporary,
                        path.relative_to(root).parts))
    }


def is_one_line(ended):
    """Whether a command has ended as it should where it refuses."""
    said = [line for line in ended.stderr.strip().splitlines() if line.startswith("tfisovae ")]
    return ended.status not in (0, None) and len(said) == 1 and "Traceback" not in ended.stderr


@contextlib.contextmanager
def striking(directory, strike):
    """Calls `strike(name)` before each file operation of Python in a directory, and before each
    file that TensorFlow writes.
    """
    directory = str(directory)

    def wrapped(name, operation):
        def call(*args, **kwargs):
            if _concerns(directory, args, kwargs):
                strike(name)
            return operation(*args, **kwargs)

        return call

    def opening(path, mode="r", *args, **kwargs):
        if set(mode) & set("wax+") and _concerns(directory, (path,), {}):
            strike("open")
        return before_open(path, mode, *args, **kwargs)

    before_open = builtins.open
    with contextlib.ExitStack() as stack:
        for name in _OPERATIONS:
            module, _, function = name.partition(".")
            operation = getattr({"os": os, "tempfile": tempfile}[module], function)
            stack.enter_context(mock.patch(name, wrapped(name, operation)))
        for owner, function in ((tf.train.Checkpoint, "write"), (tf.saved_model, "save")):
            operation = getattr(owner, function)
            stack.enter_context(mock.patch.object(owner, function, wrapped(function, operation)))
        stack.enter_context(mock.patch.object(builtins, "open", opening))
        yield


def _concerns(directory, args, kwargs):
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and not isinstance(value, bool):
            with contextlib.suppress(OSError):
                value = os.readlink(f"/proc/self/fd/{value}")
        if isinstance(value, (str, os.PathLike)) and str(value).startswith(directory):
            return True
    return False


def snapshots(directory, into, options=OPTIONS):
    """Trains, and copies what a kill would leave before each file operation: the paths of copies,
    no two alike.
    """
    made, seen = [], set()

    def strike(name):
        state = _state(directory)
        if state and state not in seen:
            seen.add(state)
            copy = os.path.join(into, f"{len(made):03d}-{name}")
            with stopped:
                shutil.copytree(directory, copy, symlinks=True)
            made.append(copy)

    stopped = _Pause()
    with striking(directory, stopped.guarded(strike)):
        ended = train(directory, options)
    assert ended.status == 0, ended.stderr
    return made


class _Pause:
    """A switch that keeps the striker from striking itself."""

    def __init__(self):
        self.on = False

    def __enter__(self):
        self.on = True

    def __exit__(self, *_):
        self.on = False

    def guarded(self, strike):
        def guarded(name):
            if not self.on:
                strike(name)

        return guarded


def _state(directory):
    """A digest of names and contents of all there is; empty where there is nothing."""
    root, digest, any_there = pathlib.Path(directory), hashlib.sha256(), False
    for path in sorted(root.rglob("*")) if root.exists() else ():
        any_there = True
        digest.update(repr(str(path.relative_to(root))).encode())
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and "tfevents" not in path.name:
                digest.update(path.read_bytes())
    return digest.hexdigest() if any_there else ""


def damage(directory, name, kind, other):
    """Damages the file `name` of a run; `other` is what it is replaced by."""
    path = pathlib.Path(directory) / name
    content = path.read_bytes()
    if kind == "removed":
        path.unlink()
    else:
        path.write_bytes({"truncated": content[:len(content) // 2], "emptied": b"",
                          "replaced": (pathlib.Path(directory) / other).read_bytes()}[kind])


def damages(directory):
    """Every damage of every file of a run: `(name, kind, name of the file that replaces it)`."""
    names = list(contents(directory))
    return [(name, kind, names[(i + 1) % len(names)]) for i, name in enumerate(names)
            for kind in DAMAGES]


def hooked(signum, moment, options):
    """In a process of its own: the command, which is sent a signal before its file operation of
    number `moment`.
    """
    directory, count = options[options.index("--run_dir") + 1], 0

    def strike(_):
        nonlocal count
        count += 1
        if count == moment:
            print(f"struck {time.time()}", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signum)

    with striking(directory, strike):
        command_line.main(["toy", *options])


def struck(directory, signum, moment, options=OPTIONS):
    """Runs `hooked` in a process: its exit status as a shell gives it, its standard error, and
    seconds from signal to end.
    """
    code = (
        f"from results import striking; striking.hooked({int(signum)}, {moment}, "
        f"{[*options, '--run_dir', str(directory)]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600,
        env={**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parent.parent)})
    ended = time.time()
    at = [float(line.split()[1]) for line in done.stderr.splitlines() if line.startswith("struck ")]
    code = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return code, done.stderr, ended - at[0] if at else None


class Nobody:
    """Acts as a user who may not write everywhere, where this process is root's."""

    def __init__(self, where):
        self.where, self.root = pathlib.Path(where), os.geteuid() == 0

    def owns(self, path):
        if self.root:
            for file in (path, *path.rglob("*")):
                os.chown(file, 65534, 65534)

    @contextlib.contextmanager
    def acting(self):
        if not self.root:
            yield
            return
        modes = [(parent, parent.stat().st_mode) for parent in (self.where, *self.where.parents)
                 if parent.stat().st_uid == 0]
        for parent, mode in modes:
            parent.chmod(mode | 0o111)
        os.seteuid(65534)
        try:
            yield
        finally:
            os.seteuid(0)
            for parent, mode in modes:
                parent.chmod(mode & 0o7777)
