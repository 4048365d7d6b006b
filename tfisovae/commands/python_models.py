"""Models in Python code, for the command line: FILE.py:NAME, or MODULE:NAME."""
import contextlib
import importlib.util
import inspect
import os
import pathlib
import site
import sys
import traceback
import typing
from typing import Any

import numpy as np

if typing.TYPE_CHECKING:
    from tfisovae import Autoencoder


def is_in_python(model: str | None) -> bool:
    """Whether the option names Python code, not a directory."""
    return model is not None and ":" in model and not os.path.exists(model)


def found(model: str | None) -> Any:
    """The value of the option: a path, or a model in Python. NAME may be a model, or a function
    without arguments that returns one.

    Raises:
      ValueError: if there is no such module, or no such name in it.
    """
    if not is_in_python(model):
        return model
    place, _, name = model.rpartition(":")
    try:
        module = _imported(place)
    except ModuleNotFoundError as error:
        raise ValueError(f"--model {model}: {error}. Give FILE.py:NAME, or MODULE:NAME of an "
                         "importable module.") from error
    if not hasattr(module, name):
        raise ValueError(f"--model {model}: {place} has no {name!r}.")
    made = getattr(module, name)
    return made() if inspect.isroutine(made) or inspect.isclass(made) else made


def absolute(model: str) -> str:
    """The option with the whole path of its file or directory."""
    if not is_in_python(model):
        return os.path.abspath(model)
    place, _, name = model.rpartition(":")
    return f"{_file(place) or place}:{name}"


def blamed(error: BaseException, model: str | None) -> str | None:
    """What an error in the user's own file says, and where; None for other errors.

    Args:
      error: any exception.
      model: the option.
    """
    from tfisovae import _keras

    if not isinstance(model, str) or not is_in_python(model):
        return None
    file = _file(model.rpartition(":")[0])
    lines = [number for frame, number in traceback.walk_tb(error.__traceback__)
             if file is not None and frame.f_code.co_filename == file]
    if isinstance(error, SyntaxError) and error.filename == file:
        lines = [error.lineno]
    if not lines:
        return None
    return f"--model {model}: line {lines[-1]}: {type(error).__name__}: {_keras.fault(error)}"


def as_taken(model: "Autoencoder", x: np.ndarray) -> np.ndarray:
    """Images `[N, H, W, C]` in the layout of a PyTorch module, perhaps with channels first. Other
    examples, and examples for other models, stay unchanged.
    """
    from tfisovae.autoencoder.networks import Networks
    from tfisovae.autoencoder.outputs import PartError
    from tfisovae.autoencoder.torch_modules import TorchFunction

    known = model.networks or Networks()
    if x.ndim == 4 and isinstance(known.encoder, TorchFunction):
        for view in (x, np.moveaxis(x, -1, 1)):
            with contextlib.suppress(PartError):
                if model.decode(model.encode(view[:2])[0]).shape[1:] == view.shape[1:]:
                    return view
    return x


def condition_as_taken(model: "Autoencoder", x: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Conditions in the first form that the model takes, better one in which TensorFlow
    differentiates the decoder. Files do not say which it is.

    The forms are: as in the file, as integers, as float32. One number for each example is `[N]` or
    `[N, 1]`. If the model takes none of them, c stays unchanged.

    Args:
      model: a conditional `Autoencoder`.
      x: examples, `[N, ...]`.
      c: their conditions, `[N, ...]`.
    """
    from tfisovae.autoencoder.autoencoder import bound
    from tfisovae.geometry.pullback import tangent_method

    taken, whole = [], c.dtype.kind in "iub" or (c == np.rint(c)).all()
    one = c.reshape(len(c), -1).shape[1] == 1 and c.ndim < 3
    forms = [c, *((c.reshape(len(c)), c.reshape(len(c), 1)) if one else ())]
    kinds = [c.dtype, *([np.int64] if whole else []), np.float32]
    for made in (form.astype(kind) for kind in kinds for form in forms):
        # Two counts, so that no count is the number of something else.
        with contextlib.suppress(Exception):  # of the model's own code
            for count in (2, 3):
                known, some = bound(model, model.condition.packed(x[:count], made[:count]))
                mean, scale = known.encode(some)
                if len(mean) != len(some) or known.decode(mean).shape != some.shape:
                    raise ValueError
            taken.append(made)
            if tangent_method(known.decode, mean) == "autodiff":
                return made
    return [*taken, c][0]


def _file(place):
    """The full path of the file for FILE.py or MODULE; None if there is none."""
    path = place if place.endswith(".py") else place.replace(".", os.sep) + ".py"
    return os.path.abspath(path) if os.path.isfile(path) else None


def _imported(place):
    file = _file(place)
    if file is None:
        return importlib.import_module(place)
    site.addsitedir(os.path.dirname(file))  # modules next to the file can be imported
    spec = importlib.util.spec_from_file_location(pathlib.Path(file).stem, file)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
