"""SavedModels as functions of tensors, through their signatures."""
import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfisovae.autoencoder.outputs import Outputs, Part, PartError, check_one_input

_REMEDY = {
    "encoder": "Give x with this shape, or the pair in the order (encoder, decoder).",
    "decoder": "Give the decoder that belongs to this encoder, and the pair in the order "
               "(encoder, decoder).",
}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A loaded SavedModel, which does not list its variables, with the known ones.

    Attributes:
      kept: the loaded object. Without it the variables are gone.
      trainable_variables: the trained variables: those a signature reads, or those the object
        lists.
    """

    kept: object
    trainable_variables: tuple[tf.Variable, ...]


def load_saved_model(path: str | os.PathLike) -> Any:
    """`tf.saved_model.load`, with clear errors if it is not a SavedModel."""
    path = os.fspath(path)
    if path.rstrip(os.sep).endswith((".keras", ".h5", ".hdf5")):
        raise ValueError(
            f"{path} is a file of Keras, and only the Keras version that wrote it can rebuild the "
            "layers. Export a SavedModel with that version, model.export(DIRECTORY), and give the "
            "directory. (If this Keras reads the file, give the model that "
            "tf.keras.models.load_model returns.)")
    if not os.path.exists(path):
        raise FileNotFoundError(f"No SavedModel at {path}.")
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise ValueError(f"{path} is not a SavedModel: it has no saved_model.pb. Keras writes one "
                         "with model.export(DIRECTORY).")
    return tf.saved_model.load(path)


def pick(signatures: Mapping[str, Any], role: str) -> Any:
    """The signature for a role: by its name, the serving one, or the only one."""
    for name in (role[:-1], role, "serving_default", "serve"):  # "encode", then "encoder"
        if name in signatures:
            return signatures[name]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    raise ValueError(
        f"Which signature is the {role}? There are {', '.join(map(repr, signatures))}. Give one "
        "for each half: (loaded.signatures[NAME], loaded.signatures[NAME]).")


def signature_part(signature: Any, role: str, owner: object) -> Part:
    """The `Part` of a signature.

    Args:
      signature: `tf.types.experimental.ConcreteFunction`.
      role: "encoder" or "decoder", for error messages.
      owner: its loaded object, or None.
    """
    try:
        signature.variables  # noqa: B018  (raises where one is gone)
    except AssertionError:
        raise ValueError(
            f"The variables of the {role}'s signature are gone: the loaded object was deleted. "
            "Keep it, model = tf.saved_model.load(PATH), or give it instead of its "
            "signatures.") from None
    positional, by_name = signature.structured_input_signature
    specs = [*positional, *by_name.values()]
    check_one_input(role, list(by_name) or specs)
    spec = specs[0]
    if not isinstance(spec, tf.TensorSpec):
        raise ValueError(f"The {role}'s signature must take one tensor; it takes {spec}.")
    if not spec.dtype.is_floating:
        raise ValueError(
            f"The {role}'s signature takes {spec.dtype.name}; it must take floating-point numbers, "
            "since derivatives are needed. Export a model that takes float32.")
    if spec.shape.rank and spec.shape[0] is not None:
        raise ValueError(f"The {role}'s signature takes batches of {spec.shape[0]} only; export it "
                         "with an open batch size.")

    def function(x, training=False):
        # TensorFlow does not always check, and the process may abort.
        if not spec.shape.is_compatible_with(x.shape):
            takes, got = (None if shape.rank is None else shape.as_list()[1:]
                          for shape in (spec.shape, x.shape))
            raise PartError(f"The {role} takes {takes}, got {got} (shapes without the batch). "
                            + _REMEDY[role])
        x = tf.cast(x, spec.dtype)
        return Outputs.of(signature(**{name: x for name in by_name}) if by_name else signature(x))

    named = signature.structured_outputs
    return Part(function, tuple(spec.shape[1:]) if spec.shape.rank else None,
                Loaded(owner, tuple(signature.trainable_variables)),
                returns_scale=isinstance(named, Mapping) and set(named) == {"mean", "scale"})
