"""Shared parts of the measuring commands: the run, its data, and their errors."""
import argparse
import contextlib
import dataclasses
import glob
import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tfisovae import files
from tfisovae.commands import choices, options

if TYPE_CHECKING:
    from tfisovae import VAE, sources
    from tfisovae.sources import Source

NUM_EXAMPLES = (
    "examples to measure, at most (default: 1,000 images, or 10,000 vectors; all of other data)")
SPLITS = ("eval", "train", "all")


class NotOfThisRun(ValueError):
    """This result does not exist for this run, but other measurements may succeed."""


class Trained(NamedTuple):
    """A finished run, opened for measurement."""

    directory: str
    config: dict
    vae: "VAE"
    source: "sources.Source"  # `eval` has the measured examples
    out: str  # directory of the results
    suffix: str = ""  # suffix of the names of results
    cache_dir: str | None = None  # of decoded images

    def path(self, name: str) -> str:
        """The path of a result."""
        stem, ending = os.path.splitext(name)
        return os.path.join(self.out, f"{stem}{self.suffix}{ending}")

    @property
    def own(self) -> bool:
        """Whether these are the data of the run itself."""
        return self.source.manifest["fingerprint"] == self.config["data_manifest"]["fingerprint"]

    @property
    def has_images(self) -> bool:
        """Whether an example can be drawn as an image."""
        from tfisovae import sources

        return sources.kind_of(self.config) in ("images", "mnist")


def add_arguments(p: argparse.ArgumentParser,
                  run: str = "run directory, as the training commands write it") -> None:
    """Adds the options of every measuring command."""
    p.add_argument("directory", metavar="RUN", type=os.path.expanduser, help=run)
    options.in_order(p, "data", "measuring", "output")
    data, output = options.group(p, "data"), options.group(p, "output")
    data.add_argument(
        "--data", "--source", type=os.path.expanduser,
        help="other data to measure, or the new place of the run's own data (default: the run's "
             "own)")
    data.add_argument(
        "--split", choices=SPLITS,
        help="which examples: held out (eval), training (train), or all (default: eval for the "
             "run's own data, all for other files)")
    add_cache_dir(data)
    output.add_argument(
        "--out", type=os.path.expanduser,
        help="directory for the results (default: RUN; for other data, a directory in RUN)")


def add_cache_dir(p: Any) -> None:
    """Adds `--cache_dir` to a parser or a group."""
    p.add_argument("--cache_dir", type=os.path.expanduser,
                   help="directory for decoded images (default: TFISOVAE_CACHE, or the user's "
                        "directory for caches)")


def add_num_examples(p: argparse.ArgumentParser) -> None:
    """Adds `--num_examples` to the options of a measuring command."""
    options.group(p, "measuring").add_argument("--num_examples", type=int, help=NUM_EXAMPLES)


def add_method(p: argparse.ArgumentParser) -> None:
    """Adds `--method` to the options of a measuring command."""
    options.group(p, "measuring").add_argument(
        "--method", choices=choices.METHODS, default="auto",
        help="exact, or estimated with errors; auto: exact up to 300 latent dimensions")


def default_options(command: Any, directory: str) -> argparse.Namespace:
    """The options of a measuring command with only the run given."""
    p = argparse.ArgumentParser()
    command.add_arguments(p)
    return p.parse_args([directory])


def open_run(directory: str, data: str | None = None, cache_dir: str | None = None,
             split: str | None = None, out: str | None = None) -> "Trained":
    """Loads the model of a run and its data.

    Args:
      directory: of the run.
      data: other data to measure, or the new place of the run's own data.
      cache_dir: of decoded images.
      split: "eval", "train" or "all"; by default the held-out part of the run's own data or of data
        with their own split, and all of a given table or given images.
      out: directory for the results, created if missing.

    Raises:
      ValueError: if the run is incomplete, or the data cannot be found or have another shape.
      OSError: if the directory of the results cannot be written.
    """
    from tfisovae import sources
    from tfisovae.training import runs

    config, vae = runs.load_run(directory)
    source = _source(directory, config, data, cache_dir)
    trained_on, given = vae.encoder.input_shape[1:], source.eval.shape[1:]
    if given != trained_on:
        raise ValueError(
            f"{data} has examples of the shape {list(given)}; {directory} was trained on "
            f"{list(trained_on)}."
        )
    own = source.manifest["fingerprint"] == config["data_manifest"]["fingerprint"]
    # So this code splits them if needed.
    given = not own and os.path.exists(data) and sources.kind_of(config) != "mnist"
    usual = "all" if given else "eval"
    split = split or usual
    if split != "all":
        sources.check_split(config, source)
    if out is None:
        out = directory if own else _place(directory, data, source.manifest["fingerprint"])
    check_writable(out)
    for note in () if own else source.manifest.get("notes", ())[:1]:
        print(note, file=sys.stderr)
    return Trained(directory, config, vae, chosen(source, split), out,
                   "" if split == usual else f"-{split}", cache_dir)


def _place(directory, data, fingerprint):
    """The directory for results on other data: named after the data, with their hash if the name is
    taken.
    """
    place = os.path.join(directory, f"on-{os.path.splitext(name(data))[0]}")
    for path in glob.glob(os.path.join(glob.escape(place), "*.json")):
        with contextlib.suppress(OSError, files.DamagedFile):
            if not is_current(files.read_json(path), data_fingerprint=fingerprint):
                return f"{place}-{fingerprint[:8]}"
    return place


def _source(directory, config, data, cache_dir):
    from tfisovae import sources

    try:
        return sources.of_run(config, data, cache_dir)
    except (ValueError, OSError) as error:
        if data or os.path.exists(config["data"]):
            raise
        raise ValueError(
            f"{error} The run {directory} was trained on it. If it has moved, give its new place "
            "with --data.") from None


def chosen(source: "Source", split: str | None) -> "Source":
    """A source with the examples of a split as `eval`. Factors and densities are known only for
    held-out examples.
    """
    if split == "eval":
        return source
    rows = source.train.rows if split == "train" else np.sort(
        np.concatenate([source.train.rows, source.eval.rows]))
    chosen = type(source.eval)(source.eval.array, rows)
    return dataclasses.replace(source, eval=chosen, factors=None, log_density=None)


@contextlib.contextmanager
def writing(out: str) -> Iterator[None]:
    """Holds the directory of the results in the block. Two processes would mix theirs.

    Raises:
      ValueError: if another process holds it.
      OSError: if it cannot be written.
    """
    check_writable(out)
    try:
        lock = files.Lock(os.path.join(out, ".lock"), holder=files.this_process())
    except files.Held as error:
        raise ValueError(
            f"Another process is writing {out} now ({error}). Wait for it, or give another "
            "directory with --out.") from None
    try:
        yield
    finally:
        lock.remove()


def check_writable(out: str, option: str = "out") -> None:
    """Raises OSError, before any measurement, if a directory cannot be written. It is created if
    missing.

    The message names the option for it.
    """
    try:
        os.makedirs(out, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"{out} cannot be written ({error.strerror}): give another directory for the results "
            f"with --{option}.") from None


def check_at_least_1(**counts: int | None) -> None:
    """Raises ValueError for counting options, by name, that are below 1; `None` means not given."""
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"--{name} must be at least 1; got {count}.")


def check_gradient_examples(count: int | None) -> None:
    """Raises ValueError if `--gradient_examples` is too small for a mean gradient and not 0 (none).
    """
    from tfisovae.verdict.tests_of_means import MIN_BLOCKS

    if count and count < MIN_BLOCKS:
        raise ValueError(
            f"--gradient_examples must be 0 (none), or at least {MIN_BLOCKS}; got {count}.")


def num_examples(trained: "Trained", asked: int | None = None) -> int:
    """The number of held-out examples to measure: the requested number, or all if there are fewer.

    Raises:
      ValueError: if it is less than 1.
    """
    if asked is None:
        asked = _usual_number(trained.source) if trained.own else len(trained.source.eval)
    check_at_least_1(num_examples=asked)
    return min(asked, len(trained.source.eval))


def known_evidence(trained: "Trained") -> dict[str, Any]:
    """Free evidence on the training: the schedule, the fall of the loss, the number of training
    examples, and existing probes.
    """
    from tfisovae.training import probe
    from tfisovae.training.callbacks import fall_of_the_loss

    evidence = {"annealed": trained.config.get("schedule", "constant") != "constant"}
    try:
        evidence["fall"] = fall_of_the_loss(trained.directory, trained.config)
    except files.DamagedFile as error:
        print(f"Whether the loss still falls is not known: {error}", file=sys.stderr)
    if trained.own:
        evidence["probes"] = probe.read(trained.directory)
    if trained.own and not trained.suffix:
        evidence["num_train"] = len(trained.source.train)
    return evidence


def training_evidence(trained: "Trained", num_examples: int | None = None) -> dict[str, Any]:
    """Evidence from training examples. Together with `known_evidence` it has the arguments of
    `Analysis.judge`.

    Args:
      trained: `Trained`.
      num_examples: number of training examples for the mean gradient; by default at most 50,000
        vectors or 4,096 images; 0: no numbers from training examples.
    """
    from tfisovae.analysis.mean_gradient import block_gradients
    from tfisovae.analysis.measuring import measure_stationarity
    from tfisovae.autoencoder.data import as_float
    from tfisovae.training import batches
    from tfisovae.verdict.tests_of_means import MIN_BLOCKS

    train, config, evidence = trained.source.train, trained.config, {}
    if not trained.own:  # its moments come only from these data
        return evidence
    count = min(
        len(train),
        (4_096 if len(train.shape) == 4 else 50_000) if num_examples is None else num_examples)
    if count >= MIN_BLOCKS:
        x = as_float(train[batches.drawn(len(train), count, config["seed"])])
        evidence["gradient"] = block_gradients(trained.vae, x, progress=True).mean_gradient()
        if not trained.suffix:
            evidence["training"] = measure_stationarity(
                trained.vae, batches.evaluation_batches(examples_of_training(trained)),
                progress=True)
    return evidence


def _usual_number(source):
    return 1_000 if len(source.eval.shape) == 4 else 10_000


def examples_of_training(trained: "Trained", count: int | None = None) -> Any:
    """Random training examples of a run, `sources.Rows`, drawn with the seed of the run.

    Args:
      trained: `Trained`, of whatever data.
      count: at most; by default 1,000 images or 10,000 vectors.

    Returns:
      The rows; or `None` if the run's data cannot be found.
    """
    from tfisovae.training import batches

    source = trained.source
    if not trained.own:
        from tfisovae import sources

        try:
            source = sources.of_run(trained.config, None, trained.cache_dir)
            sources.check_split(trained.config, source)
        except (ValueError, OSError):
            return None
    count = min(len(source.train), _usual_number(source) if count is None else count)
    return source.train.chosen(batches.drawn(len(source.train), count, trained.config["seed"]))


def run(args: argparse.Namespace, *reports: Callable[..., Iterator[str]],
        ends_with_verdict: bool = False) -> None:
    """Opens a run and prints the texts of each of `reports`, as soon as each is known. The verdict
    comes last; the last report prints it if it `ends_with_verdict`.
    """
    trained = open_run(args.directory, args.data, args.cache_dir, args.split, args.out)
    for report in reports:
        for text in report(trained, args):
            print(text, flush=True)
    if not ends_with_verdict:
        print(verdict_of(trained))


def verdict_of(trained: "Trained") -> str:
    """The verdict from the measurement of isometry in words, or the command that gives it."""
    from tfisovae.commands.training import command_line
    from tfisovae.verdict import headlines

    saved = _measured(trained.path("isometry.json"), trained.config["steps"],
                      trained.source.manifest["fingerprint"])
    if saved is not None:
        return headlines.summary(saved_verdict(trained, saved))
    if not trained.own and _measured_of_its_own(trained) is not None:
        return headlines.summary(own_verdict(trained))
    return (f"To see whether training has converged, measure the isometry: "
            f"{command_line('isometry', trained.directory)}")


def saved_verdict(trained: "Trained", saved: dict[str, Any]) -> Any:
    """The `Verdict` from an `isometry.json` of a run. A file of an older version is judged again
    from its numbers. Numbers of other data say nothing about the training.
    """
    from tfisovae.verdict.convergence import of_saved

    found = of_saved(saved)
    if trained.own or "verdict" in saved:
        return found
    return dataclasses.replace(own_verdict(trained), isometry=found.isometry)


def own_verdict(trained: "Trained") -> Any:
    """The `Verdict` of a run on its own data. If that was not measured, it is "not judged", with
    the command to measure it.
    """
    from tfisovae.commands.training import command_line
    from tfisovae.verdict import Reason, ReasonKind, State, Verdict
    from tfisovae.verdict.convergence import of_saved

    saved = _measured_of_its_own(trained)
    if saved is not None:
        return dataclasses.replace(of_saved(saved), on_own_data=True)
    command = command_line("isometry", os.path.abspath(trained.directory))
    return Verdict(State.NOT_JUDGED, (Reason(ReasonKind.OTHER_DATA, note=command), ))


def stored_evidence(trained: "Trained") -> tuple[dict[str, Any], str | None]:
    """The mean gradient and training moments in the `isometry.json` of a run's own directory, if it
    is from this model; and the path of this file, or `None`.
    """
    from tfisovae.verdict.convergence import evidence_of

    found = evidence_of((_measured_of_its_own(trained) if trained.own else None) or {})
    if found["gradient"] is None:
        return {}, None
    return ({name: found[name] for name in ("gradient", "training") if found[name] is not None},
            os.path.join(trained.directory, "isometry.json"))


def gradient_notes(saved: dict[str, Any]) -> list[str]:
    """A sentence if the mean gradient comes from an older measurement."""
    where = saved.get("gradient_from")
    return [f"The mean gradient was not measured again. It comes from {where}, and was measured "
            f"for the same model."] if isinstance(where, str) else []


def _measured_of_its_own(trained):
    return _measured(os.path.join(trained.directory, "isometry.json"), trained.config["steps"],
                     trained.config["data_manifest"]["fingerprint"])


def _measured(path, steps, fingerprint):
    """The content of an `isometry.json`, or `None` if there is none for this model and these data.
    """
    from tfisovae.analysis import storage

    with contextlib.suppress(OSError, files.DamagedFile):
        saved = storage.read(path)
        return saved if is_current(saved, steps, fingerprint) else None
    return None


def is_current(saved: dict[str, Any], steps: int | None = None,
               data_fingerprint: str | None = None) -> bool:
    """Whether a measurement has this number of steps and this data hash, as far as it holds them;
    `None`: any.
    """
    now = {"steps": steps, "data_fingerprint": data_fingerprint}
    return all(value is None or saved.get(name, value) == value for name, value in now.items())


def as_images(x: np.ndarray) -> np.ndarray:
    """An array `[..., H, W, C]` from images, or from MNIST's vectors of square images."""
    x = np.asarray(x)
    if x.ndim > 3:
        return x
    side = math.isqrt(x.shape[-1])
    return x.reshape(*x.shape[:-1], side, side, 1)


def name(path: str) -> str:
    """The name of data or of a run in a title: the last part of the path."""
    return os.path.basename(os.path.abspath(path))


def written(directory: str, *names: str) -> str:
    """A text with the files that a command has written."""
    return "Written: " + ", ".join(os.path.join(directory, name) for name in names)
