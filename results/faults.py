"""Faults, and what the commands make of them: `python -m results.faults results/faults` tries all,
and writes `faults.json`.

Each fault strikes a training of a small network by the real command: a kill between any two file
operations, a signal, a full disk, a file of the run that is damaged, a clock that jumps, a
directory that may only be read. Then the same command is given again. It survives if the weights
and the optimizer equal, bit for bit, a run that was never stopped. It has refused if it ended in
one line and every file is as it was. Anything else is a loss.
"""
import argparse
import dataclasses
import os
import pathlib
import resource
import shutil
import signal
import sys
import tempfile
import time
from unittest import mock

import numpy as np
import tensorflow as tf

from results.striking import (
    LONGER,
    OPTIONS,
    Nobody,
    command,
    contents,
    damage,
    damages,
    is_one_line,
    snapshots,
    struck,
    train,
)
from tfisovae import files
from tfisovae.training import checkpoints

SECONDS_TO_STOP = 10.0


def weights(directory):
    """All that a trained run has learned: the tensors of its model and of its newest checkpoint."""
    found = checkpoints.newest(os.path.join(directory, "checkpoints"))
    prefixes = {"model": os.path.join(directory, "model", "variables", "variables")}
    if found:
        prefixes[f"ckpt-{found.step}"] = found.prefix
    tensors = {}
    for part, prefix in prefixes.items():
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            if "OBJECT_GRAPH" not in name:
                tensors[f"{part}/{name}"] = np.asarray(reader.get_tensor(name))
    return tensors


def same(a, b):
    """Whether the model and, where both have a checkpoint of the last step, the checkpoint are
    equal, bit for bit.
    """
    models = [{name for name in tensors if name.startswith("model/")} for tensors in (a, b)]
    return models[0] == models[1] and all(np.array_equal(a[name], b[name]) for name in a
                                          if name in b)


@dataclasses.dataclass
class Tally:
    """Faults of a kind, and how they ended."""

    tried: int = 0
    survived: int = 0
    refused: int = 0
    lost: list = dataclasses.field(default_factory=list)

    def count(self, fault, whole, directory, options=OPTIONS, history=None):
        """Gives the command again, and counts how it ends.

        Args:
          fault: its name.
          whole: `weights` of the run that was never stopped.
          directory: of the run that was struck.
          options: of the command.
          history: what `history.csv` should hold, or `None`.
        """
        before = contents(directory)
        ended = train(directory, options)
        self.tried += 1
        if ended.status == 0:
            if same(whole, weights(directory)) and (history is None
                                                    or _text(directory, "history.csv") == history):
                self.survived += 1
                return ended
        elif is_one_line(ended) and all(
                contents(directory).get(name) == digest for name, digest in before.items()):
            self.refused += 1
            return ended
        self.lost.append(
            f"{fault}: status {ended.status}, {ended.stderr.strip().splitlines()[-1:]}")
        return ended

    def as_dict(self):
        return {
            "tried": self.tried, "survived": self.survived, "refused": self.refused,
            "lost": len(self.lost)
        }


def _text(directory, name):
    path = pathlib.Path(directory) / name
    return path.read_text() if path.exists() else None


class Suite:
    """The faults, in a directory for runs; of each kind all of them, or a sample of so many, spread
    evenly.
    """

    def __init__(self, where, sample=None):
        self.where, self.sample, self.tallies, self.slowest = pathlib.Path(where), sample, {}, 0.0
        self.whole, self.longer = self.where / "whole", self.where / "longer"
        self.kills = snapshots(self.whole, self._new("kills"))
        self.half = self.kills[len(self.kills) * 3 // 4]  # with two checkpoints
        self.weights, self.history = weights(self.whole), (self.whole / "history.csv").read_text()
        shutil.copytree(self.whole, self.longer)
        self.longer_kills = snapshots(self.longer, self._new("longer kills"), LONGER)
        self.longer_weights = weights(self.longer)

    def _new(self, name):
        path = self.where / name
        path.mkdir(parents=True)
        return path

    def _taken(self, faults):
        faults = list(faults)
        if self.sample is None or self.sample >= len(faults):
            return faults
        return [faults[int((i + 0.5) * len(faults) / self.sample)] for i in range(self.sample)]

    def _copy(self, source, name):
        path = self.where / "struck" / name
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(source, path)
        return path

    def _tally(self, name):
        return self.tallies.setdefault(name, Tally())

    def killed(self):
        """What kill -9 leaves between any two file operations, of a training and of one that goes
        on with more steps.
        """
        tally = self._tally("kill -9 between two file operations")
        for copy in self._taken(self.kills):
            tally.count(copy, self.weights, self._copy(copy, "killed"), history=self.history)
        for copy in self._taken(self.longer_kills):
            tally.count(copy, self.longer_weights, self._copy(copy, "killed"), LONGER)

    def signalled(self, moments=20, signals=(signal.SIGKILL, signal.SIGTERM, signal.SIGINT)):
        """Signals to the command in a process of its own, at moments spread over its file
        operations.
        """
        for signum in signals:
            tally = self._tally(f"{signal.Signals(signum).name} to a process")
            for moment in np.linspace(12, 110, moments).astype(int):
                path = self.where / "struck" / f"{signum}-{moment}"
                status, said, seconds = struck(path, signum, moment)
                if seconds is None:  # it had ended before
                    status = 128 + signum
                elif signum != signal.SIGKILL:
                    self.slowest = max(self.slowest, seconds)
                told = signum == signal.SIGKILL or seconds is None or "stopped by" in said
                if status != 128 + signum or not told or "Traceback" in said:
                    tally.tried += 1
                    tally.lost.append(f"{signum} at {moment}: status {status}, {said[-300:]}")
                else:
                    tally.count(f"{signum} at {moment}", self.weights, path, history=self.history)

    def damaged(self):
        """Each file of a run, finished or half way, damaged in each way; and a finished one that is
        to go on.
        """
        cases = [("a file damaged, training half way", self.half, OPTIONS, self.weights),
                 ("a file damaged, training over", self.whole, OPTIONS, self.weights),
                 ("a file damaged, more steps asked for", self.whole, LONGER, self.longer_weights)]
        for title, source, options, expected in cases:
            tally = self._tally(title)
            for name, kind, other in self._taken(damages(source)):
                path = self._copy(source, "damaged")
                damage(path, name, kind, other)
                tally.count(f"{name} {kind}", expected, path, options)

    def measured(self):
        """Each file of a finished run damaged in each way, and the run measured: as it was, or
        refused in one line.
        """
        tally = self._tally("a file damaged, the run measured")
        options = ["--num_examples", 64, "--gradient_examples", 0, "--out", self.where / "measured"]
        reference = _numbers(command("isometry", self.whole, *options))
        for name, kind, other in self._taken(damages(self.whole)):
            path = self._copy(self.whole, "damaged")
            damage(path, name, kind, other)
            before = contents(path)
            ended = command("isometry", path, *options)
            tally.tried += 1
            if ended.status == 0 and _numbers(ended) == reference:
                tally.survived += 1
            elif is_one_line(ended) and contents(path) == before:
                tally.refused += 1
            else:
                tally.lost.append(f"{name} {kind}: status {ended.status}, {ended.stderr[-300:]}")

    def disk_full(self, sizes=(0, 100, 300, 1000, 3000, 10_000, 40_000, 100_000, 300_000)):
        """A limit on the size of a file, at which every writing of more fails; then it is lifted.
        """
        tally = self._tally("no room on the disk")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        for size in self._taken(sizes):
            for source in (None, self.half):
                path = self._copy(source,
                                  "full") if source else self.where / "struck" / f"full-{size}"
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
                try:
                    ended = train(path)
                finally:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
                if ended.status and not is_one_line(ended):
                    tally.tried += 1
                    tally.lost.append(f"{size}: {ended.stderr[-300:]}")
                else:
                    tally.count(f"{size} bytes", self.weights, path, history=self.history)

    def clock(self):
        """A clock that goes back, or ahead, by years between a kill and the next command."""
        tally = self._tally("a clock that jumps")
        for jump in (-3e8, 3e8):
            path = self._copy(self.kills[len(self.kills) // 2], "clock")
            for file in path.rglob("*"):
                os.utime(file, (time.time() + jump,) * 2)
            with mock.patch("time.time", lambda jump=jump, now=time.time: now() - jump):
                tally.count(f"{jump:g} s", self.weights, path, history=self.history)

    def read_only(self):
        """Directories of a run that may only be read: refused, and the same command goes on when
        they may be written again.
        """
        tally = self._tally("a directory that may only be read")
        nobody = Nobody(self.where)
        for name in self._taken(["", "checkpoints", "tensorboard"]):
            path = self._copy(self.half, "locked")
            nobody.owns(path)
            (path / name).chmod(0o555)
            with nobody.acting():
                refused = train(path)
            (path / name).chmod(0o755)
            if refused.status and not is_one_line(refused):
                tally.tried += 1
                tally.lost.append(f"{name}: {refused.stderr[-300:]}")
            else:
                tally.count(f"{name or 'the run'}", self.weights, path, history=self.history)

    def run(self, moments=20):
        """Tries everything; returns what `faults.json` holds."""
        self.killed()
        self.damaged()
        self.measured()
        self.disk_full()
        self.clock()
        self.read_only()
        self.signalled(moments)
        kinds = {name: tally.as_dict() for name, tally in self.tallies.items()}
        sums = {
            key: sum(kind[key] for kind in kinds.values())
            for key in ("tried", "survived", "refused", "lost")
        }
        return {"kinds": kinds, **sums, "slowest_stop_seconds": round(self.slowest, 2)}

    def losses(self):
        return [f"{name}: {loss}" for name, tally in self.tallies.items() for loss in tally.lost]


def _numbers(ended):
    """The table of a measurement, without what the history of the training adds to its verdict."""
    return ended.stdout.partition(" examples.")[0]


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("directory", help="where to write faults.json")
    p.add_argument("--sample", type=int, help="faults of each kind to try, at most (default: all)")
    args = p.parse_args(argv)
    with tempfile.TemporaryDirectory() as where:
        suite = Suite(where, args.sample)
        measured = suite.run(*([] if args.sample is None else [args.sample]))
    os.makedirs(args.directory, exist_ok=True)
    files.write_json(os.path.join(args.directory, "faults.json"), measured)
    for loss in suite.losses():
        print(loss, file=sys.stderr)
    print("\n".join(
        f"{kind['tried']:5d} {name}: {kind['survived']} survived, {kind['refused']} refused, "
        f"{kind['lost']} lost"
        for name, kind in measured["kinds"].items()))
    sys.exit(1 if measured["lost"] else 0)


if __name__ == "__main__":
    main()
