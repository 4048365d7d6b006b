"""What the measuring commands share: the run that they measure, its data, and how they refuse."""
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
    """What was asked for does not exist of this run, whose measurement is no failure otherwise."""


class Trained(NamedTuple):
    """A finished run, opened for measurement."""

    directory: str
    config: dict
    vae: "VAE"
    source: "sources.Source"  # whose `eval` is what is measured
    out: str  # where results are written
    suffix: str = ""  # of the names of results
    cache_dir: str | None = None  # of decoded images

    def path(self, name: str) -> str:
        """Where a result of that name is written."""
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
    """The options of a measuring command of which nothing but the run is given."""
    p = argparse.ArgumentParser()
    command.add_arguments(p)
    return p.parse_args([directory])


def open_run(directory: str, data: str | None = None, cache_dir: str | None = None,
             split: str | None = None, out: str | None = None) -> "Trained":
    """Loads the model of a run and its data.

    Args:
      directory: of the run.
      data: other data to measure on, or the place that the run's own have moved to.
      cache_dir: of decoded images.
      split: "eval", "train" or "all"; by default what is held out of the run's own data, or of data
        that have a split of their own, and all of a table or of images that are given.
      out: directory for the results, made if it is missing.
    Raises:
      ValueError: if there is no whole run, the data are not to be found, or have another shape.
      OSError: if nothing can be written into the directory of the results.
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
    # And so split by us, where asked for.
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
    """Where the results on other data go: a directory of their name; where that is of others of
    this name, one with their hash.
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
            f"{error} The run {directory} was trained on it; where it lies elsewhere now, name "
            f"the place with "
            "--data.") from None


def chosen(source: "Source", split: str | None) -> "Source":
    """A source whose `eval` is the examples of a split. What is known of the examples is known of
    those held out alone.
    """
    if split == "eval":
        return source
    rows = source.train.rows if split == "train" else np.sort(
        np.concatenate([source.train.rows, source.eval.rows]))
    chosen = type(source.eval)(source.eval.array, rows)
    return dataclasses.replace(source, eval=chosen, factors=None, log_density=None)


def check_writable(out: str, option: str = "out") -> None:
    """Raises OSError, before anything is measured, where nothing can be written into a directory,
    which is made if missing.

    The message names the option that says where.
    """
    try:
        os.makedirs(out, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        raise OSError(
            f"{out} cannot be written ({error.strerror}): name another directory for the results "
            f"with "
            f"--{option}.") from None


def check_at_least_1(**counts: int | None) -> None:
    """Raises ValueError for options, by name, that count something and are below 1; `None` is an
    option not given.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"--{name} must be at least 1; got {count}.")


def check_gradient_examples(count: int | None) -> None:
    """Raises ValueError for `--gradient_examples` that no mean gradient can be taken of, and are
    not 0, which is none.
    """
    from tfisovae.verdict.tests_of_means import MIN_BLOCKS

    if count and count < MIN_BLOCKS:
        raise ValueError(
            f"--gradient_examples must be 0, which is none, or at least {MIN_BLOCKS}; got {count}.")


def num_examples(trained: "Trained", asked: int | None = None) -> int:
    """How many held-out examples to measure: those asked for, as far as there are so many.

    Raises:
      ValueError: if it is less than 1.
    """
    if asked is None:
        asked = _usual_number(trained.source) if trained.own else len(trained.source.eval)
    check_at_least_1(num_examples=asked)
    return min(asked, len(trained.source.eval))


def known_evidence(trained: "Trained") -> dict[str, Any]:
    """What tells of the training at no cost: the schedule, the fall of the loss, how many were
    trained on, and the probes that were made.
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
    """What examples of training tell of it, beside `known_evidence`: with it, the arguments of
    `Analysis.judge`.

    Args:
      trained: `Trained`.
      num_examples: of training, whose mean gradient is taken; by default 50,000 vectors or 4,096
        images, as far as there are so many; 0: none, and no other numbers of examples of training.
    """
    from tfisovae.analysis.mean_gradient import block_gradients
    from tfisovae.analysis.measuring import measure_stationarity
    from tfisovae.autoencoder.data import as_float
    from tfisovae.training import batches
    from tfisovae.verdict.tests_of_means import MIN_BLOCKS

    train, config, evidence = trained.source.train, trained.config, {}
    if not trained.own:  # whose moments are of these data alone
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
    """Some of the examples that a run was trained on, `sources.Rows`, drawn at random by the seed
    of the run.

    Args:
      trained: `Trained`, of whatever data.
      count: at most; by default 1,000 images or 10,000 vectors.
    Returns:
      The rows; or `None` where the run's data are not to be found.
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
    """Opens a run and prints what each of `reports` makes of it and the options, piece by piece, as
    soon as it is known. The verdict is the last that is printed, by the last of the reports if it
    `ends_with_verdict`.
    """
    trained = open_run(args.directory, args.data, args.cache_dir, args.split, args.out)
    for report in reports:
        for text in report(trained, args):
            print(text, flush=True)
    if not ends_with_verdict:
        print(verdict_of(trained))


def verdict_of(trained: "Trained") -> str:
    """The verdict of the measurement of isometry in words, or how to have it."""
    from tfisovae.commands.training import command_line
    from tfisovae.verdict import headlines

    saved = _measured(trained.path("isometry.json"), trained.config["steps"],
                      trained.source.manifest["fingerprint"])
    if saved is not None:
        return headlines.summary(saved_verdict(trained, saved))
    return (f"To see whether training has converged, measure the isometry: "
            f"{command_line('isometry', trained.directory)}")


def saved_verdict(trained: "Trained", saved: dict[str, Any]) -> Any:
    """The `Verdict` of an `isometry.json` of a run. One that an older version wrote is judged again
    from its numbers, which say nothing about the training if they are of other data.
    """
    from tfisovae.verdict.convergence import of_saved

    found = of_saved(saved)
    if trained.own or "verdict" in saved:
        return found
    return dataclasses.replace(own_verdict(trained), isometry=found.isometry)


def own_verdict(trained: "Trained") -> Any:
    """The `Verdict` that a run has on its own data; not judged, with the command that measures it,
    where that was not measured.
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
    """The mean gradient, and the moments on training examples, that the `isometry.json` in a run's
    own directory holds, if it is of this model; and the path of that file, or `None`.
    """
    from tfisovae.verdict.convergence import evidence_of

    found = evidence_of((_measured_of_its_own(trained) if trained.own else None) or {})
    if found["gradient"] is None:
        return {}, None
    return ({name: found[name] for name in ("gradient", "training") if found[name] is not None},
            os.path.join(trained.directory, "isometry.json"))


def gradient_notes(saved: dict[str, Any]) -> list[str]:
    """That the mean gradient of a measurement was taken from an older one, a sentence, if it was.
    """
    where = saved.get("gradient_from")
    return [f"The mean gradient was not measured again. It comes from {where}, and was measured "
            f"for the same model."] if isinstance(where, str) else []


def _measured_of_its_own(trained):
    return _measured(os.path.join(trained.directory, "isometry.json"), trained.config["steps"],
                     trained.config["data_manifest"]["fingerprint"])


def _measured(path, steps, fingerprint):
    """What an `isometry.json` holds, or `None` where there is none of this model and these data."""
    from tfisovae.analysis import storage

    with contextlib.suppress(OSError, files.DamagedFile):
        saved = storage.read(path)
        return saved if is_current(saved, steps, fingerprint) else None
    return None


def is_current(saved: dict[str, Any], steps: int | None = None,
               data_fingerprint: str | None = None) -> bool:
    """Whether what was measured is of a model after so many steps and of data of this hash, as far
    as it says so; `None`: any.
    """
    now = {"steps": steps, "data_fingerprint": data_fingerprint}
    return all(value is None or saved.get(name, value) == value for name, value in now.items())


def as_images(x: np.ndarray) -> np.ndarray:
    """`[..., H, W, C]` of images, or of the vectors of square images that MNIST has; an array."""
    x = np.asarray(x)
    if x.ndim > 3:
        return x
    side = math.isqrt(x.shape[-1])
    return x.reshape(*x.shape[:-1], side, side, 1)


def name(path: str) -> str:
    """What a title calls data, or a run: the last part of the path."""
    return os.path.basename(os.path.abspath(path))


def written(directory: str, *names: str) -> str:
    """The files that a command has written, as text."""
    return "Written: " + ", ".join(os.path.join(directory, name) for name in names)
