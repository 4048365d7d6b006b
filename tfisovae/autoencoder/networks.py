"""Encoders and decoders of other origin as functions of tensors: Keras models, signatures of
SavedModels, plain functions.

A `part` is either half of a VAE. `as_part(model, role)` gives a function from a tensor to
`outputs.Outputs`, whatever the half is made of.
"""
import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae.autoencoder.outputs import Outputs, PartError

_LOW_PRECISION = ("float16", "bfloat16")
_REMEDY = {
    "encoder": "Give x of that shape, or the pair in the order (encoder, decoder).",
    "decoder": "Give the decoder that belongs to this encoder, and the pair in the order "
               "(encoder, decoder).",
}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What `tf.saved_model.load` made, which does not say its variables, with those that a
    signature of it reads.

    Attributes:
      kept: the loaded object, without which the variables would be gone.
      trainable_variables: those of the signature that were trained.
    """

    kept: object
    trainable_variables: tuple[tf.Variable, ...]


@dataclasses.dataclass(frozen=True)
class Part:
    """Half of a VAE as a function of a tensor.

    Attributes:
      function: tensor -> `Outputs`.
      inputs: how many numbers a row of its input has, where that is known and rows are vectors: n,
        for a decoder.
      shape: of one example of its input, without the batch axis, where that is known; an open axis
        is `None`.
      plain: the `PlainFunction` inside, if it is one.
      returns_scale: whether it is the signature `encode` of this package's SavedModels, which
        returns `mean` and `scale`.
      owner: what its variables are of, a Keras model, a `tf.Module` or a `Loaded`, kept alive; None
        where that is not known.
    """

    function: Callable[[tf.Tensor], Outputs]
    inputs: int | None = None
    plain: "PlainFunction | None" = None
    shape: tuple[int | None, ...] | None = None
    returns_scale: bool = False
    owner: object = None

    def __call__(self, x: tf.Tensor) -> Outputs:
        return self.function(x)


def as_part(model: Any, role: str, owner: object = None) -> Part:
    """The `Part` of a Keras model, a SavedModel's directory, a loaded object, its signatures or one
    of them, or a plain function.

    Args:
      model: any of these.
      role: "encoder" or "decoder", which error messages speak of.
      owner: the loaded object that a signature is of.
    Raises:
      TypeError: if it is none of these.
      ValueError: if it takes anything but one batch of floating-point numbers.
    """
    if isinstance(model, (str, os.PathLike)):
        path, model = os.fspath(model), load_saved_model(model)
        if not model.signatures and not callable(model):
            raise PartError(
                f"{path} has no signatures, so nothing says how its {role} is called. Export it "
                f"with one: "
                "model.export(DIRECTORY) of Keras, or tf.saved_model.save(model, DIRECTORY, "
                "signatures=FUNCTION)."
            )
    if isinstance(model, tf.keras.layers.Layer):
        return _keras_part(model, role)
    if isinstance(model, tf.types.experimental.ConcreteFunction):
        return _signature_part(model, role, owner)
    signatures = model if isinstance(model, Mapping) else getattr(model, "signatures", None)
    if isinstance(signatures, Mapping) and signatures:
        return as_part(_pick(signatures, role), role, model)
    if isinstance(model, (tf.types.experimental.GenericFunction, tf.Module)) and callable(model):
        return Part(lambda x: Outputs.of(model(x)), owner=model if owner is None else owner)
    if any(
            base.__module__.split(".")[0] == "torch" and base.__name__ == "Module"
            for base in type(model).__mro__):
        raise TypeError(
            f"The {role} is a PyTorch module. Give a function over NumPy arrays: "
            "lambda x: module(torch.from_numpy(x)).detach().cpu().numpy(), with module.eval() "
            "called before."
        )
    if callable(model):
        plain = PlainFunction(model, role)
        return Part(lambda x: Outputs.of(plain(x)), plain=plain)
    raise TypeError(
        f"The {role} must be a Keras model, the directory of a SavedModel, a loaded one, one of "
        f"its signatures, or a "
        f"function over NumPy arrays; got {type(model).__name__}.")


def load_saved_model(path: str | os.PathLike) -> Any:
    """`tf.saved_model.load`, with words for what is not a SavedModel."""
    path = os.fspath(path)
    if path.rstrip(os.sep).endswith((".keras", ".h5", ".hdf5")):
        raise ValueError(
            f"{path} is a file of Keras', whose layers only its own version can make anew. There, "
            f"export it as a "
            "SavedModel, model.export(DIRECTORY), and give that directory. (A file that this "
            "Keras reads: give the "
            "model that tf.keras.models.load_model returns.)")
    if not os.path.exists(path):
        raise FileNotFoundError(f"No SavedModel at {path}.")
    if not os.path.isfile(os.path.join(path, "saved_model.pb")):
        raise ValueError(
            f"{path} is not a SavedModel: it has no saved_model.pb. Keras writes one by "
            f"model.export(DIRECTORY)."
        )
    return tf.saved_model.load(path)


def _pick(signatures, role):
    """The signature for a role: by its name, the one that is served, or the only one."""
    for name in (role[:-1], role, "serving_default", "serve"):  # "encode", then "encoder"
        if name in signatures:
            return signatures[name]
    if len(signatures) == 1:
        return next(iter(signatures.values()))
    raise ValueError(
        f"Which signature is the {role}? There are {', '.join(map(repr, signatures))}. Give it "
        f"alone: "
        "(loaded.signatures[NAME], loaded.signatures[NAME]).")


def _signature_part(signature, role, owner):
    try:
        signature.variables  # noqa: B018  (raises where one is gone)
    except AssertionError:
        raise ValueError(
            f"The variables of the {role}'s signature are gone: it does not keep the object that "
            f"it was loaded with. "
            "Keep that, model = tf.saved_model.load(PATH), or give it instead of its signatures."
        ) from None
    positional, by_name = signature.structured_input_signature
    specs = [*positional, *by_name.values()]
    if len(specs) != 1 or not isinstance(specs[0], tf.TensorSpec):
        raise ValueError(
            f"The {role}'s signature must take one tensor; it takes {', '.join(by_name) or specs}. "
            "Export a model that takes one, or give a function of one that fills in the rest.")
    spec = specs[0]
    if not spec.dtype.is_floating:
        raise ValueError(
            f"The {role}'s signature takes {spec.dtype.name}; it must take floating-point "
            f"numbers, as the measures "
            "are taken of real ones. Export a model that takes float32.")
    if spec.shape.rank and spec.shape[0] is not None:
        raise ValueError(
            f"The {role}'s signature takes batches of {spec.shape[0]} only; export it with an "
            f"open batch size."
        )

    def function(x):
        # TensorFlow does not always look, and the process may end in an abort.
        if not spec.shape.is_compatible_with(x.shape):
            takes, got = (None if shape.rank is None else shape.as_list()[1:]
                          for shape in (spec.shape, x.shape))
            raise PartError(f"The {role} takes {takes}, got {got} (shapes without the batch). "
                            + _REMEDY[role])
        x = tf.cast(x, spec.dtype)
        return Outputs.of(signature(**{name: x for name in by_name}) if by_name else signature(x))

    named = signature.structured_outputs
    shape = tuple(spec.shape[1:]) if spec.shape.rank else None
    return Part(function, spec.shape[-1] if spec.shape.rank == 2 else None, shape=shape,
                owner=Loaded(owner, signature.trainable_variables),
                returns_scale=isinstance(named, Mapping) and set(named) == {"mean", "scale"})


def _keras_part(model, role):
    inputs = getattr(model, "inputs", None)
    if inputs is not None and len(inputs) != 1:
        raise ValueError(
            f"The {role} must take one tensor; it takes {len(inputs)}: "
            f"{', '.join(x.name for x in inputs)}. "
            "Give a function of one that fills in the rest.")
    shape = getattr(inputs[0], "shape", None) if inputs else None

    def function(x):
        if not model.built or any(not layer.built for layer in _low_precision_layers(model)):
            # Variables are made outside of whatever graph asks first, and under the model's own
            # policy.
            with tf.init_scope():
                _call(model, tf.zeros([1, *x.shape[1:]], tf.float32))
        with computing_in_float32(model):
            result = _call(model, x)
        return Outputs.of(result, getattr(model, "output_names", None))

    return Part(function, shape[-1] if shape is not None and len(shape) == 2 else None,
                shape=tuple(shape[1:]) if shape else None, owner=model)


def _call(model, x):
    """In inference mode, for models whose `call` says what mode it is in."""
    return model(x, training=False) if model._expects_training_arg else model(x)


def _low_precision_layers(model):
    return [layer for layer in (model, *model.submodules)
            if isinstance(layer, tf.keras.layers.Layer) and layer.compute_dtype in _LOW_PRECISION]


@contextlib.contextmanager
def computing_in_float32(model: tf.keras.layers.Layer) -> Iterator[None]:
    """Layers of `model` with a mixed-precision policy compute in float32 while inside, with the
    variables that they have.

    Half precision has 3 digits: differences of what it returns are noise.
    """
    layers = _low_precision_layers(model)
    for layer in layers:
        if layer.variable_dtype in _LOW_PRECISION and layer.weights:
            kind = layer.variable_dtype
            raise PartError(
                f"The layer {layer.name} has its weights in {kind}, of 3 digits, and what is "
                f"measured of it would be "
                f"rounding. Train with the policy mixed_{kind}, which keeps float32 weights, or "
                f"copy the weights into "
                "layers of float32.")
    policies = [layer.dtype_policy for layer in layers]
    try:
        for layer in layers:
            # Keras has no public way to change the policy of a layer that is built.
            layer._set_dtype_policy("float32")
        yield
    finally:
        for layer, policy in zip(layers, policies):
            layer._set_dtype_policy(policy)


class PlainFunction:
    """A function over arrays, of whatever framework, as a function of tensors that works inside
    graphs too.

    It is called with NumPy arrays, float32, and may return an array, a tuple or a dict of arrays.
    One that returns TensorFlow's tensors and can be traced is called with tensors from then on, and
    has derivatives. Shapes and types are those of a first call, outside of any graph, on two rows.

    Attributes:
      precision: float64 if the function returns that, once it has been called; float64 tensors then
        go in and come out as they are. Everything else is float32.
    """

    def __init__(self, function: Callable[[Any], Any], role: str) -> None:
        self._function, self._role = function, role
        self._template = self._traceable = None
        self.precision = tf.float32

    def __call__(self, x: tf.Tensor) -> Any:
        if self._template is None:
            self._try_out(x)
        if self._traceable:
            return self._function(x)
        dtype = tf.float64 if x.dtype == self.precision == tf.float64 else tf.float32
        arrays = tf.numpy_function(self._run, [tf.cast(x, dtype)],
                                   [dtype] * len(tf.nest.flatten(self._template)))
        arrays = [arrays] if tf.is_tensor(arrays) else arrays
        for array, shape in zip(arrays, tf.nest.flatten(self._template)):
            array.set_shape([x.shape[0], *shape.as_list()[1:]])
        return tf.nest.pack_sequence_as(self._template, arrays)

    def _run(self, x):
        # Copies, both ways: the array is TensorFlow's own memory, and a function may write into it,
        # or keep what it returns.
        arrays = [
            np.array(array, x.dtype) for array in tf.nest.flatten(self._function(np.array(x)))
        ]
        for array in arrays:
            if array.ndim == 0 or len(array) != len(x):
                raise PartError(
                    f"The {self._role} must return one row for each of the {len(x)} that it gets; "
                    f"it returned an "
                    f"array of the shape {array.shape}.")
        return arrays

    def _try_out(self, x):
        if x.shape.rank is None or None in x.shape[1:]:
            raise PartError(
                f"The shape of what the {self._role} gets must be known but for the batch; it is "
                f"{x.shape}."
            )
        with tf.init_scope():
            known = not tf.is_symbolic_tensor(x) and len(x) > 0
            rows = x[:2].numpy() if known else np.full([2, *x.shape[1:]], 0.5)
            result = self._function(rows.astype(np.float32))
            if result is None:
                raise PartError(
                    f"The {self._role} returned None for an array of the shape {rows.shape}.")
            leaves = tf.nest.flatten(result)
            self._traceable = all(map(tf.is_tensor, leaves)) and self._can_be_traced(x)
            arrays = [np.asarray(leaf) for leaf in leaves]
        for array in arrays:
            if array.dtype.kind not in "fiub":
                raise TypeError(
                    f"The {self._role} must return arrays of numbers; it returned "
                    f"{type(leaves[0]).__name__}."
                )
        if any(array.dtype == np.float64 for array in arrays):
            self.precision = tf.float64
        self._template = tf.nest.map_structure(lambda leaf: tf.TensorShape(np.shape(leaf)), result)

    def _can_be_traced(self, x):
        try:
            tf.function(self._function).get_concrete_function(
                tf.TensorSpec([None, *x.shape[1:]], tf.float32))
        except Exception:  # .numpy() of a tensor, say, in whatever way it shows
            return False
        return True
