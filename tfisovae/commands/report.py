"""Write one page with the results of a run, its latent dimensions and the conclusions: report.html.
"""
import argparse
import csv
import os
import typing
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np

from tfisovae import files
from tfisovae.commands import density, isometry, longer, measuring, rate, wording
from tfisovae.commands.training import command_line
from tfisovae.geometry.estimated import LARGEST_EXACT

if typing.TYPE_CHECKING:
    from tfisovae.commands.measuring import Trained

_EXAMPLES = 12  # of reconstructions


EXAMPLES = (
    "tfisovae report runs/toy",
    "tfisovae report runs/faces --out reports",
)


def add_arguments(p: argparse.ArgumentParser) -> None:
    """Adds the options."""
    measuring.add_arguments(
        p, "run directory. A run without a measurement is measured first. An older report.html is "
           "replaced")
    measuring.add_method(p)


def read_measurement(path: str, command: str) -> dict[str, Any] | None:
    """The content of an `isometry.json`; `None` if there is none."""
    from tfisovae.analysis import storage

    try:
        return storage.read(path, f"Measure again: {command}")
    except (FileNotFoundError, NotADirectoryError):
        return None


def measured_in(args: argparse.Namespace, out: str, suffix: str = "") -> str:
    """The place of the measurement: the directory of the results, or the run for its own data."""
    places = [out] if args.data or args.split else [out, args.directory]
    return next(
        (place for place in places if os.path.isfile(os.path.join(place,
                                                                  isometry.names(suffix)[0]))), out)


def commands_of(args: argparse.Namespace) -> dict[str, str]:
    """Commands for missing parts of a report, by command name."""
    given = {name: getattr(args, name) for name in ("data", "split", "out") if getattr(args, name)}
    places = {name: os.path.abspath(value) for name, value in given.items()
              if name == "out" or name == "data" and os.path.exists(value)}
    asked = [text for name, value in {**given, **places}.items() for text in (f"--{name}", value)]
    run = os.path.abspath(args.directory)
    made = {
        name: command_line(name, run, *asked)
        for name in ("isometry", "density", "rate", "report")
    }
    return {**made, "prune": command_line("prune", run, "--share", ".99"),
            "probe": command_line("isometry", run, "--probe", *asked)}


def records(out: str, suffix: str, directory: str, steps: int,
            fingerprint: str) -> tuple[dict[str, Any], list[str]]:
    """The results next to `isometry.json`: parts of a report, and a sentence for each file that is
    left out.

    Args:
      out, suffix: of the results.
      directory: of the run.
      steps: of its training.
      fingerprint: of the data on the page.
    """
    from tfisovae.callbacks import history
    from tfisovae.codec.breakdown import Ledger
    from tfisovae.show import Densities

    parts, notes = {}, []
    readers = {"densities": lambda: Densities(*density.load(out, suffix)),
               "rate": lambda: Ledger.load(os.path.join(out, rate.names(suffix)[0])),
               "history": lambda: history.read(os.path.join(directory, "history.csv"))}
    measured = {"densities": density.names(suffix)[1], "rate": rate.names(suffix)[0]}
    for name, read in readers.items():
        try:
            record = files.read_json(os.path.join(out, measured[name])) if name in measured else {}
            if not measuring.is_current(record, steps, fingerprint):
                notes.append(
                    f"Results of {name} belong to other data or to an earlier model, and are left "
                    "out. Measure again.")
                continue
            parts[name] = read()
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
            notes.append(f"What was measured of {name} cannot be read: {error}")
    return parts, notes


def notes_on(saved: dict[str, Any], config: dict[str, Any], command: str) -> list[str]:
    """Notes on a measurement for the reader, a sentence each."""
    from tfisovae.show import Measured

    notes, missing = [], Measured(saved).missing
    if missing:
        notes.append(
            "These numbers come from an older version, which did not measure "
            f"{', '.join(missing)}. Measure again, and make this report again: {command}")
    if saved.get("steps", config["steps"]) != config["steps"]:
        notes.append(
            f"These numbers belong to the model after {saved['steps']} steps of training; it has "
            f"{config['steps']} now. Measure again, and make this report again: {command}")
    return notes + measuring.gradient_notes(saved)


def add_known(saved: dict[str, Any], config: dict[str, Any], run: str, commands: dict[str, str],
              parts: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The parts of a page, with parts from the measurement and the manifest."""
    from tfisovae.analysis.scree import Scree

    try:
        parts["scree"] = Scree.from_saved(saved)
    except (ValueError, KeyError, TypeError):  # from an older version, as the notes say
        pass
    names = (config.get("data_manifest") or {}).get("reading", {}).get("names")
    again = longer.arguments(config, run)
    if len(saved.get("kl_mean") or ()) > LARGEST_EXACT:  # costs of single dimensions are not known
        commands = {**commands, "prune": command_line("prune", os.path.abspath(run), "--active")}
    return {
        **parts, "manifest": config,
        "commands": {**commands, "longer": command_line(*again) if again else ""},
        "notes": [*notes_on(saved, config, commands["isometry"]), *notes], "names": names
    }


def write(path: str, title: str, saved: dict[str, Any], parts: dict[str, Any]) -> str:
    """Writes the page; returns a message."""
    from tfisovae import show

    show.write(saved, path, title, **parts)
    return said_of(path)


def said_of(path: str) -> str:
    """The message for a written page."""
    return (
        f"Written: {path} ({os.path.getsize(path) / 1e6:.1f} MB). Open it in a browser; it needs "
        f"no network."
    )


def pictures(trained: "Trained", saved: dict[str, Any], densities: Any) -> dict[str, Any]:
    """The parts of a report that need the model: decoded images, and densities with their inputs.
    """
    from tfisovae import show
    from tfisovae.autoencoder.data import as_float

    rows = trained.source.eval
    chosen = np.arange(min(_EXAMPLES, len(rows)))
    view = measuring.as_images if trained.has_images else np.asarray
    parts = show.observe(trained.vae, saved, as_float(rows[chosen]), rows.rows[chosen], view,
                         progress=True)
    if densities is not None:
        parts["densities"] = with_inputs(densities, rows.array, view)
    return parts


def with_inputs(densities: Any, array: np.ndarray, view: Any) -> Any:
    """Densities with the most and least probable inputs, if the data have such rows."""
    import dataclasses

    from tfisovae.autoencoder.data import as_float

    found = densities.saved.get("extremes") or {}
    inputs = {
        name: np.array(found[name])
        for name in ("most_probable", "least_probable") if found.get(name)
    }
    if any(rows.min() < 0 or rows.max() >= len(array) for rows in inputs.values()):
        return densities
    return dataclasses.replace(
        densities, extremes={name: view(as_float(array[rows]))
                             for name, rows in inputs.items()})


def gather(trained: "Trained", args: argparse.Namespace,
           home: str) -> Generator[str, None, tuple[dict[str, Any], dict[str, Any]]]:
    """Measures missing results and yields text; returns the measurement and the parts of a page.

    Args:
      trained: `Trained`.
      args: the options of a measuring command.
      home: directory of earlier results.
    """
    commands = commands_of(args)
    path = os.path.join(home, isometry.names(trained.suffix)[0])
    saved = read_measurement(path, commands["isometry"])
    fingerprint = trained.source.manifest["fingerprint"]
    if saved is not None and not measuring.is_current(saved, data_fingerprint=fingerprint):
        yield f"{path} belongs to other data, {saved.get('data')}. It is measured again."
        saved = None
    if saved is None:
        options = measuring.default_options(isometry, args.directory)
        options.method = args.method
        yield from isometry.report(trained, options)
        home, saved = trained.out, read_measurement(
            trained.path("isometry.json"), commands["isometry"])
    parts, notes = records(home, trained.suffix, args.directory, trained.config["steps"],
                           fingerprint)
    parts |= pictures(trained, saved, parts.get("densities"))
    parts["verdict"] = measuring.saved_verdict(trained, saved)
    return saved, add_known(saved, trained.config, args.directory, commands, parts,
                            notes)


def report(trained: "Trained", args: argparse.Namespace) -> Iterator[str]:
    """Measures missing results, and writes the page; yields messages."""
    saved, parts = yield from gather(trained, args, measured_in(args, trained.out, trained.suffix))
    yield write(trained.path("report.html"), measuring.name(args.directory), saved, parts)


def run(args: argparse.Namespace) -> None:
    from tfisovae.training import runs

    commands = commands_of(args)
    try:
        trained = measuring.open_run(args.directory, args.data, args.cache_dir, args.split,
                                     args.out)
    except (ValueError, OSError) as error:
        out = args.out or args.directory
        home = measured_in(args, out)
        saved = None if args.data or args.split else read_measurement(
            os.path.join(home, "isometry.json"), commands["isometry"])
        if saved is None:
            raise
        config = runs.load_config(args.directory)
        fingerprint = config["data_manifest"]["fingerprint"]
        if not measuring.is_current(saved, data_fingerprint=fingerprint):
            raise
        measuring.check_writable(out)
        parts, notes = records(home, "", args.directory, config["steps"], fingerprint)
        lacking = f"There are no pictures here: {wording.as_options(str(error), vars(args))}"
        parts = add_known(saved, config, args.directory, commands, parts, [lacking, *notes])
        print(write(os.path.join(out, "report.html"), measuring.name(args.directory), saved, parts))
        return
    for text in report(trained, args):
        print(text, flush=True)
