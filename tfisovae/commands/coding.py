"""What compressing and decompressing share: the codecs that stand beside a run's model, in
RUN/codec/, and how they come there.
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
FITTED_TO = 20_000  # examples of training


def add_options(p: argparse.ArgumentParser) -> None:
    """Adds the options of commands that take a codec."""
    codec = options.group(p, "codec")
    codec.add_argument("--quantization", choices=QUANTIZATIONS, default="universal",
                       help="universal: with a dither, whose noise is independent of the data")
    codec.add_argument(
        "--train_data", type=os.path.expanduser,
        help="the new place of the training data, for a run without a codec (default: as before)")


def check_named(output: str | None) -> None:
    """Raises ValueError for an output without a name, as of a variable of the shell that is not
    set.
    """
    if not output:
        raise ValueError("--output is empty; give a name.")


def opened(directory: str, config: dict[str, Any], vae: "VAE", source: "Source | None" = None, *,
           step_factor: float = 1.0, quantization: str = "universal", prior: str = "normal",
           train_data: Any = None, cache_dir: str | None = None, keep: bool = True) -> "Codec":
    """The codec of a run with these options: the one that stands in RUN/codec/, or a new one, which
    is put there.

    A new one takes the maps of any that is there, and needs no data then. Otherwise it is fitted to
    examples of training.

    Args:
      directory: of the run. config, vae: its manifest and model.
      source: a `Source` that has been opened already; of use where it is the run's own.
      train_data, cache_dir: for opening the run's own, where it must be.
      keep: whether a new one must be put there, as a file needs that is to be decompressed; else
        that is tried.
    Raises:
      ValueError: if a codec must be fitted, and the run's training data are not to be found.
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
            return other  # of another process, whose files need it
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.sweep(os.path.dirname(path))
        found.save(path)
    except OSError as error:
        if keep:
            raise
        print(f"The codec is not kept, and will be fitted again: {error}", file=sys.stderr)
    return found


def _loaded(path, vae):
    """The codec at `path`; None where there is none of this model, which is said if there is
    another.
    """
    from tfisovae.codec import Codec

    try:
        return Codec.load(path, vae)
    except FileNotFoundError:
        return None
    # Of the model before it was trained on, damaged, or of another version.
    except ValueError as error:
        print(f"Passed over: {error}", file=sys.stderr)
        return None


def of_file(directory: str, vae: "VAE", reader: Any) -> "Codec":
    """The codec in RUN/codec/ that wrote a file.

    Args:
      directory: of the run. vae: its model.
      reader: `container.Reader` of the file.
    Raises:
      container.OtherModel, container.OtherCodec: if none of them did.
      container.Altered: if the file says that it holds more examples than it can.
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
        # Damaged, or of another version: the file may be of one that is whole.
        except ValueError as error:
            unread.append(str(error))
    if not said and not unread:
        raise FileNotFoundError(
            f"{directory} has no codec: {os.path.join(directory, DIRECTORY)}, which compressing "
            f"put beside the "
            "model, is not there. Copy it from the run that compressed the file.")
    for path, entry in said.items():
        if (entry["fingerprint"], entry["model_fingerprint"]) == (header.codec, header.model):
            codec = Codec.load(path, vae)
            codec.check(reader)
            return codec
    if Functions(as_autoencoder(vae), vae.example_shape,
                 vae.n).fingerprint()[:len(header.model)] != header.model:
        raise container.OtherModel(
            f"{reader.path} is of another model than that of {directory}, or of it before it was "
            f"trained "
            "on. Decompress it with the model that compressed it.")
    if unread:
        raise ValueError(
            f"{reader.path} is of none of the codecs in {os.path.join(directory, DIRECTORY)} that "
            f"can be read: "
            f"{unread[0]}")
    raise container.OtherCodec(
        f"{reader.path} is of a codec that is not in {os.path.join(directory, DIRECTORY)}. Copy "
        f"it there "
        "from the run that compressed the file: a codec that is fitted anew has other tables.")


def saved(directory: str) -> list[str]:
    """The codecs of a run, the names of their directories; what else lies there is none of them."""
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
                f"{directory} has no codec yet, and one is fitted to the data of its training: "
                f"{error} Where they lie "
                "elsewhere now, name the place: train_data=PATH.") from None
        if source.manifest["fingerprint"] != trained_on:
            raise ValueError(
                f"train_data must be the data that {directory} was trained on; {train_data} are "
                f"others."
            )
    return batches.drawn_batches(source.train, FITTED_TO, config["seed"])
