"""AutoGraph for what users write, and not for the code of this package.

`tf.function` rewrites the source of every function that it meets, so that Python's `if` and `for`
work on tensors. In a first small measurement that takes two thirds of the time. The code of this
package has no such `if` and `for`. Layers, distortions and functions of users may have them.
"""
import functools
import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# The state outside of every `tf.function`. In it Keras converts the layers that users wrote.
_OUTSIDE = tf.__internal__.autograph.control_status_ctx()


def unconverted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that AutoGraph does not convert; the layers that it calls Keras does convert."""
    @functools.wraps(function)
    def call(*args, **kwargs):
        with _OUTSIDE:
            return function(*args, **kwargs)

    return tf.autograph.experimental.do_not_convert(call)


def compiled(function: Callable[..., Any],
             **options: Any) -> tf.types.experimental.GenericFunction:
    """`tf.function(function, **options)`, where `function` is code of this package."""
    return tf.function(unconverted(function), autograph=False, **options)


def converted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function or method as AutoGraph converts it inside of a graph; as it is in eager mode.

    Functions of this package, and callables that are no Python functions, come back unchanged.
    """
    ours = (getattr(function, "__module__", None) or "").partition(".")[0] == "tfisovae"
    if ours or not (inspect.isfunction(function) or inspect.ismethod(function)):
        return function

    @functools.wraps(function)
    def call(*args, **kwargs):
        if tf.executing_eagerly():
            return function(*args, **kwargs)
        return tf.__internal__.autograph.tf_convert(function, _OUTSIDE)(*args, **kwargs)

    call.__module__ = __name__  # so that it is wrapped once
    return tf.autograph.experimental.do_not_convert(call)
