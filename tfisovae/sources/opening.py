"""Opens the data of a run again, from its manifest."""
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from tfisovae.sources.columnar import OF_TESTS
from tfisovae.sources.decoding import OPTIONS
from tfisovae.sources.images import load_images
from tfisovae.sources.mnist import load_mnist
from tfisovae.sources.source import Source
from tfisovae.sources.tables import ENDINGS, TEXT, ending, load_table
from tfisovae.sources.toy import SHAPES, load_toy


def load_vectors(name: str | os.PathLike, num_examples: int = 50_000, seed: int = 0,
                 standardize: bool | Sequence[npt.ArrayLike] = False,
                 reading: Mapping[str, Any] | None = None) -> Source:
    """Opens vectors as a `Source`: toy data by name, or the table in a file.

    Args:
      name: "mix", "ramp", "norm", or the path of a table.
      num_examples: for toy data, how many training examples to draw.
      seed: of the toy data.
      standardize: for tables, see `load_table`.
      reading: a dict of the other options of `load_table`. The `options` of a manifest's `reading`
        read the same data again.
    """
    name = os.fspath(name)
    if name in SHAPES:
        if standardize:
            raise ValueError(
                f"standardize is for tables; the toy data {name!r} would lose their known "
                "densities."
            )
        if reading:
            raise ValueError(f"{', '.join(reading)} are for tables; {name!r} is toy data.")
        return load_toy(name, num_examples, seed)
    if not os.path.exists(name) and ending(name) not in ENDINGS:
        raise ValueError(
            f"Unknown source {name!r}; use {', '.join(map(repr, SHAPES))}, or a table in a file "
            f"that ends in {', '.join(ENDINGS)}.")
    return load_table(name, standardize, **(reading or {}))


def kind_of(config: Mapping[str, Any]) -> str:
    """The kind of data of a run: "images", "mnist" or "vectors".

    For older runs, their network decides.
    """
    return config.get("data_kind") or {"toy": "vectors", "mnist": "mnist"}.get(
        config["network"], "images")


def _options(config, name):
    """The options that read a run's table. For another file format only the columns, as it has its
    own separator.
    """
    options = config["data_manifest"].get("reading", {}).get("options") or {}
    before, now = ending(config["data"]), ending(name)
    kept = options if now == before else (
        "columns", "drop_index") if {now, before} <= set(TEXT) else ("columns", )
    return {key: options[key] for key in kept if key in options}


def of_run(config: Mapping[str, Any], data: str | None = None,
           cache_dir: str | os.PathLike | None = None) -> Source:
    """The `Source` that a run of this configuration was trained on; or `data`, read with the same
    options.

    Raises:
      ValueError: if the run's data have changed.
    """
    name, trained_on = data or config["data"], config["data_manifest"]
    if kind_of(config) == "vectors":
        standardize = (trained_on.get("standardization")
                       or True) if config["standardize"] else False
        before = trained_on.get("reading", {})
        options = _options(config, name)
        source = load_vectors(name, config["num_examples"], config["seed"], standardize, options)
        # Not the training data.
        if ending(name) == ".npz" and source.manifest["fingerprint"] != trained_on["fingerprint"]:
            source = load_vectors(name, config["num_examples"], config["seed"], standardize,
                                  {**options, "arrays": OF_TESTS})
        names, now = before.get("names"), source.manifest.get("reading", {}).get("names")
        if names and now and names != now:
            raise ValueError(
                f"{name} has the columns {', '.join(now)}; the run was trained on "
                f"{', '.join(names)}, in this order."
            )
    elif kind_of(config) == "mnist":
        source = load_mnist(name, config.get("data_dir"))
    else:
        # Older runs have the defaults.
        framing = {option: config[option] for option in OPTIONS if option in config}
        source = load_images(name, cache_dir, config["num_faces"], config.get("data_dir"),
                             **framing)
    if not data and source.manifest["fingerprint"] != trained_on["fingerprint"]:
        raise ValueError(
            f"{config['data']} no longer holds the data that the run was trained on, so its "
            "held-out examples are not known. Use data=PATH to give the data to measure.")
    return source


def check_split(config: Mapping[str, Any], source: Source) -> None:
    """Raises ValueError if `source` has the examples of a run under other names, so that others are
    held out.
    """
    trained_on = config["data_manifest"]
    own = source.manifest["fingerprint"] == trained_on["fingerprint"]
    if own and trained_on.get("held_out", source.held_out) != source.held_out:
        raise ValueError(
            f"{source.manifest['source']} holds the examples of the run under other names than "
            f"{config['data']} had, and names decide which examples are held out. Examples held "
            "out now were used in training. Give the same directory or .zip, with the same paths.")
