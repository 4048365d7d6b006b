"""Shared parts of compressing and decompressing: the codecs in RUN/codec/, next to a run's model.
"""
import argparse
import os
import sys
import typing
from typing import Any

from tfisovae import files
from tfisovae.codec import QUANTIZATIONS
from tfisovae.commands import options

if typing.TYPE_CHECKING:
    from tfisovae import VAE, Codec
    from tfisovae.sources import Source

DIRECTORY = "codec"
FITTED_TO = 20_000  # training examples


def add_options(p: argparse.ArgumentParser) -> None:
    """Adds the options of commands with a codec."""
    codec = options.group(p, "codec")
    codec.add_argument("--quantization", choices=QUANTIZATIONS, default="universal",
                       help="universal: with a dither, whose noise is independent of the data")
    codec.add_argument(
        "--train_data", type=os.path.expanduser,
        help="the new place of the training data, for a run without a codec (default: as before)")


def check_named(output: str | None) -> None:
    """Raises ValueError for an output without a name, such as an unset shell variable."""
    if not output:
        raise ValueError("--output is empty; give a name.")


def opened(directory: str, config: dict[str, Any], vae: "VAE", source: "Source | None" = None, *,
           step_factor: float = 1.0, quantization: str = "universal", prior: str = "normal",
           train_data: Any = None, cache_dir: str | None = None, keep: bool = True) -> "Codec":
    """The codec of a run with these options: from RUN/codec/, or a new one, which is saved there.

    A new one uses the maps of an existing codec, without data. Otherwise it is fitted to training
    examples.

    Args:
      directory: of the run.
      config, vae: its manifest and model.
      source: an open `Source`; useful if it is the run's own.
      train_data, cache_dir: for opening the run's own data, if needed.
      keep: whether a new one must be saved there (decompressing needs it); otherwise saving is only
        tried.

    Raises:
      ValueError: if a codec must be fitted, but the run's training data cannot be found.
    """
    from tfisovae.codec import Codec

    choices = {"quantization": quantization, "step_factor": float(step_factor), "prior": prior}
    path = os.path.join(directory, DIRECTORY, f"{quantization}-{prior}-{float(step_factor)!r}")
    for candidate in dict.fromkeys([path, *saved(directory)]):
        found = _loaded(candidate, vae)
        if found is not None:
            if candidate == path and all(
                    getattr(found, name) == value for name, value in choices.items()):
                return found
            found = found.at(**choices)
            break
    else:
        examples = _training_examples(directory, config, source, train_data, cache_dir)
        found = Codec.fit(vae, examples, **choices, progress=True)
        if os.path.exists(path) and (other := _loaded(path, vae)) is not None:
            return other  # from another process, whose files need it
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.sweep(os.path.dirname(path))
        found.save(path)
    except OSError as error:
        if keep:
            raise
        print(f"The codec is not saved, and will be fitted again: {error}", file=sys.stderr)
    return found


def _loaded(path, vae):
    """The codec at `path`; None if it is missing or from another model (with a message)."""
    from tfisovae.codec import Codec

    try:
        return Codec.load(path, vae)
    except FileNotFoundError:
        return None
    # From an earlier state of the model, damaged, or from another version.
    except ValueError as error:
        print(f"Passed over: {error}", file=sys.stderr)
        return None


def of_file(directory: str, vae: "VAE", reader: Any) -> "Codec":
    """The codec in RUN/codec/ that wrote a file.

    Args:
      directory: of the run.
      vae: its model.
      reader: `container.Reader` of the file.

    Raises:
      container.OtherModel, container.OtherCodec: if none of them wrote it.
      container.Altered: if the file claims more examples than it can hold.
      FileNotFoundError: if the run has no codec.
    """
    from tfisovae.autoencoder.autoencoder import as_autoencoder
    from tfisovae.codec import Codec, container
    from tfisovae.codec import directory as stored
    from tfisovae.codec.identity import Functions

    header, said, unread = reader.header, {}, []
    for path in saved(directory):
        try:
            said[path] = stored.settings(path)
        # Damaged, or from another version: the file may belong to an intact one.
        except ValueError as error:
            unread.append(str(error))
    if not said and not unread:
        raise FileNotFoundError(
            f"{directory} has no codec: {os.path.join(directory, DIRECTORY)} is missing. Copy it "
            "from the run that compressed the file.")
    for path, entry in said.items():
        if (entry["fingerprint"], entry["model_fingerprint"]) == (header.codec, header.model):
            codec = Codec.load(path, vae)
            codec.check(reader)
            return codec
    if Functions(as_autoencoder(vae), vae.example_shape,
                 vae.n).fingerprint()[:len(header.model)] != header.model:
        raise container.OtherModel(
            f"{reader.path} is not from the present model of {directory}. Decompress it with the "
            "model that compressed it.")
    if unread:
        raise ValueError(
            f"{reader.path} belongs to none of the readable codecs in "
            f"{os.path.join(directory, DIRECTORY)}: {unread[0]}")
    raise container.OtherCodec(
        f"{reader.path} needs a codec that is not in {os.path.join(directory, DIRECTORY)}. Copy "
        "the codec from the run that compressed the file: a newly fitted codec has other tables.")


def saved(directory: str) -> list[str]:
    """The names of the codec directories of a run; other files are ignored."""
    from tfisovae.codec.directory import is_codec

    place = os.path.join(directory, DIRECTORY)
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    paths = [os.path.join(place, name) for name in names if not files.is_temporary(name)]
    return [path for path in paths if is_codec(path)]


def _training_examples(directory, config, source, train_data, cache_dir):
    from tfisovae import sources
    from tfisovae.training import batches

    trained_on = config["data_manifest"]["fingerprint"]
    if source is None or source.manifest["fingerprint"] != trained_on:
        try:
            source = sources.of_run(config, train_data, cache_dir)
            sources.check_split(config, source)
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{directory} has no codec yet, and fitting one needs its training data: {error} "
                "If they have moved, give their new place: train_data=PATH.") from None
        if source.manifest["fingerprint"] != trained_on:
            raise ValueError(
                f"train_data must be the training data of {directory}; {train_data} is not."
            )
    return batches.drawn_batches(source.train, FITTED_TO, config["seed"])
