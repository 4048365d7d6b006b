"""A VAE on a disk: a SavedModel with its weights and signatures, and its configuration as JSON."""
import json
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfisovae import _keras, files
from tfisovae.autoencoder.autoencoder import CONFIG, FORMAT, read_saved_config

_KEYS = ("encoder", "decoder", "distortion", "lmbda")
_WRITTEN = ("saved_model.pb", "variables", "assets", "assets.extra", "fingerprint.pb",
            "keras_metadata.pb")
_WAY_OUT = "Save the VAE again, or use an intact copy."


class Weights(tf.Module):
    """The weights alone. Keras models inside would be exported layer by layer, which fails for GDN
    layers.
    """

    def __init__(self, encoder: tf.keras.Model, decoder: tf.keras.Model) -> None:
        super().__init__()
        self.encoder_weights = _keras.variables(encoder.weights)
        self.decoder_weights = _keras.variables(decoder.weights)


def is_saved_model(path: str | os.PathLike) -> bool:
    """Whether a SavedModel of any origin is at `path`."""
    return os.path.isfile(os.path.join(path, "saved_model.pb"))


def write(path: str | os.PathLike, weights: Weights,
          signatures: Mapping[str, tf.types.experimental.GenericFunction],
          config: Mapping[str, Any], overwrite: bool = True) -> None:
    """Writes a SavedModel, completely or not at all. An existing one stays until the new one is
    complete. Other files next to it stay.

    Args:
      path: directory.
      weights: `Weights`.
      signatures: dict from name to `tf.function`.
      config: JSON-serialisable dict.
      overwrite: whether a SavedModel at `path` may be replaced.

    Raises:
      FileExistsError: if something at `path` may not be replaced.
    """
    if os.path.exists(path) and (not overwrite or not is_saved_model(path)):
        raise FileExistsError(f"{path} exists" + ("" if not overwrite else " and is not a "
                                                                           "SavedModel")
                              + "; it is unchanged.")
    files.sweep(os.path.dirname(os.path.abspath(path)))
    with files.replacing_directory(path) as new:
        tf.saved_model.save(weights, new, signatures=signatures)
        os.makedirs(os.path.join(new, "assets.extra"))
        files.write_text(os.path.join(new, CONFIG),
                         json.dumps({"format": FORMAT, "keras": _keras.VERSION, **config},
                                    indent=1))
        for name in set(os.listdir(path) if os.path.isdir(path) else ()) - set(_WRITTEN):
            files.link(os.path.join(path, name), os.path.join(new, name))


def read_config(path: str | os.PathLike) -> dict[str, Any]:
    """The configuration of the VAE at `path`.

    Raises:
      FileNotFoundError: if there is nothing at `path`.
      ValueError: if it is not a VAE, has another version, or is damaged.
    """
    from tfisovae import networks  # noqa: F401  (Keras then knows its layers by name)

    path = os.fspath(path)
    if not os.path.exists(path):
        raise FileNotFoundError(f"No SavedModel at {path}.")
    config = os.path.join(path, CONFIG)
    if not os.path.isfile(config):
        kind = "a SavedModel, but not one that VAE.save wrote" if is_saved_model(
            path) else "not a SavedModel"
        raise ValueError(
            f"{path} is {kind} (it lacks {CONFIG}). tfisovae.load reads the output of "
            "vae.save(path)."
        )
    found = read_saved_config(path, _WAY_OUT)
    missing = [key for key in _KEYS if key not in found]
    if missing:
        raise files.DamagedFile(f"{config} has no {', '.join(missing)}. {_WAY_OUT}")
    return found


def class_of(name: str | None, default: type, path: str | os.PathLike,
             custom_objects: Mapping[str, type] | None) -> type:
    """The class of the VAE at `path`, by its name in Keras; None means `default`.

    Raises:
      ValueError: if that class is not known here.
    """
    if name is None:
        return default
    short = name.rpartition(">")[2]
    known = custom_objects or {}
    found = known.get(name) or known.get(short) or tf.keras.utils.get_registered_object(name)
    if found is None:
        raise ValueError(
            f"{path} has a VAE of the class {short}, which is not registered with Keras here. "
            f"Import the module that registers it, or give custom_objects={{{short!r}: {short}}}. "
            f"To measure it by its signatures: tfisovae.as_autoencoder({os.fspath(path)!r}).")
    return found


def restore(path: str | os.PathLike, weights: Weights) -> None:
    """Reads the weights at `path` into `weights`, bit for bit.

    Raises:
      files.DamagedFile: if some are missing.
    """
    variables = os.path.join(path, "variables", "variables")
    try:
        tf.train.Checkpoint(weights).read(
            variables).assert_existing_objects_matched().run_restore_ops()
    # Missing, truncated, different, or of other shapes.
    except (tf.errors.OpError, IndexError, AssertionError, ValueError) as error:
        message = " ".join(str(getattr(error, "message", error)).split())
        raise files.DamagedFile(
            f"The weights {variables}.* are damaged ({message[:200]}). {_WAY_OUT}") from None
