"""A first run of the package: train on toy data and on drawn faces, measure both and a published
model, and print the results in plain words.

    python -m results.first_run runs/first
"""
import argparse
import contextlib
import os
import subprocess
import sys
import time

from tfisovae import files
from tfisovae.training import runs
from tfisovae.verdict import State, convergence, words

FACES_STEPS = 320
PUBLISHED = "results/faces/decomposed"
FACES_PROBE = 120  # steps


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.first_run", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("directory", nargs="?", default="runs/first",
                   help="directory for everything (default: runs/first)")
    return p


def trainings(directory):
    """For each run: what it is, the command that trains it, and the steps of its probe (`None`: as
    many as the training had).
    """
    toy, faces = (os.path.join(directory, name) for name in ("toy", "faces"))
    return [
        ("Train on toy data",
         ["toy", "--recipe", "fast", "--epochs", "40", "--num_eval", "0", "--run_dir", toy], None),
        ("Train on drawn faces (a minute on two cores)",
         ["celeba", "--data", "faces", "--num_faces", "2000", "--recipe", "fast", "--decomposed",
          "--steps", str(FACES_STEPS), "--warmup_steps", "100", "--learning_rate_warmup", "100",
          "--num_eval", "0", "--run_dir", faces], FACES_PROBE),
    ]


def measuring(directory):
    """The command that measures the three models and writes the page."""
    return ["compare", os.path.join(directory, "toy"), os.path.join(directory, "faces"), PUBLISHED,
            "--num_examples", "5000", "150", "150", "--gradient_examples", "0",
            "--out", os.path.join(directory, "measured"), "--title", "A first run of tfisovae",
            "--titles", "Toy data, where p(x) is known", f"Faces, after {FACES_STEPS} steps",
            "Faces, after 20,000 steps: the published model"]


def conclusions(directory):
    """What was seen, as lines of text, from the files of the measurements."""
    toy, faces, published = (
        files.read_json(os.path.join(directory, "measured", name, "isometry.json"))
        for name in ("toy", "faces", os.path.basename(PUBLISHED)))
    return ["What this run showed:", *_of_toy_data(toy), *_of_faces(faces),
            *_of_the_published(published)]


def _of_toy_data(saved):
    measured, theory = sorted(saved["precision_mean"]), sorted(saved["predicted_precision"])
    worst = max(abs(a / b - 1) for a, b in zip(measured, theory))
    listed = [", ".join(f"{value:.4g}" for value in values) for values in (measured, theory)]
    found = convergence.of_saved(saved)
    return [
        f"- Toy data, where theory gives the numbers. They agree to {100 * worst:.1f} %:",
        f"    E[sigma^-2] of the three dimensions is {listed[0]}; theory says {listed[1]}.",
        f"    Verdict on the training: {words.LABELS[found.state]}."]


def _of_faces(saved):
    probe = max(saved["evidence"]["probes"], key=lambda one: one["steps"])
    gain, error = probe["gain"], probe["standard_error"]
    said = ("Most of the training is still to come." if gain > max(2 * error, 1) else
            "So short a probe decides nothing.")
    change = f"{'falls' if gain > 0 else 'rises'} by {abs(gain):.2g} +- {error:.1g} nats"
    return [
        f"- Faces, after {saved['steps']} steps: the loss is {saved['loss']:.0f} nats on held-out "
        f"faces.",
        f"    In a probe of {probe['steps']} more steps the loss of training {change}.",
        f"    {said}"]


def _of_the_published(saved):
    found = convergence.of_saved(saved)
    known = ("It is not known whether this training has converged."
             if found.state is State.NOT_JUDGED else
             f"Verdict on the training: {words.LABELS[found.state]}.")
    return [
        f"- Faces, the published model, after {saved['steps']:,} steps: the loss is "
        f"{saved['loss']:.0f} nats.",
        f"    {known}",
        f"    Verdict on the latent space: {words.isometry_label(found.isometry)}."]


@contextlib.contextmanager
def _timed(what):
    """Prints what begins, and how long it took."""
    print(f"{what} ...", flush=True)
    started = time.perf_counter()
    yield
    print(f"    {time.perf_counter() - started:.0f} s", flush=True)


def _train(log, command, probe):
    """Trains a run and a copy of it for the probe; what the commands say goes into `log`."""
    from tfisovae.__main__ import main as tfisovae
    from tfisovae.commands import isometry
    from tfisovae.commands.measuring import open_run

    with _said_into(log):
        tfisovae(command)
        trained = open_run(command[-1])
        steps = runs.load_config(command[-1])["steps"] if probe is None else probe
        for said in isometry.probes(trained, steps, 1):
            print(said, flush=True)


@contextlib.contextmanager
def _said_into(log):
    """In the block, everything that the process writes to standard output and error goes into a
    file. Native code writes to the descriptors.
    """
    before = [os.dup(number) for number in (1, 2)]
    sys.stdout.flush()
    try:
        for number in (1, 2):
            os.dup2(log.fileno(), number)
        with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
            yield
    finally:
        log.flush()
        for number, kept in zip((1, 2), before):
            os.dup2(kept, number)
            os.close(kept)


def main(argv=None):
    args = parser().parse_args(argv)
    os.makedirs(args.directory, exist_ok=True)
    path = os.path.join(args.directory, "log.txt")
    try:
        with open(path, "w") as log:
            for what, command, probe in trainings(args.directory):
                with _timed(f"{what}. Then train a copy on, to see the gain"):
                    _train(log, command, probe)
            with _timed("Measure both models, and a published one"):
                # In a process of its own, whose threads are set for measuring.
                subprocess.run([sys.executable, "-m", "tfisovae", *measuring(args.directory)],
                               stdout=log, stderr=log, check=True)
    except (SystemExit, subprocess.CalledProcessError):
        with open(path) as log:
            sys.exit("".join(["A command failed. Its last lines:\n", *log.readlines()[-8:]]))
    print("\n".join([
        "", *conclusions(args.directory),
        f"All numbers and pictures: {os.path.join(args.directory, 'measured', 'compare.html')} "
        f"(open it in a browser)",
        f"What the commands said: {path}"]))


if __name__ == "__main__":
    main()
