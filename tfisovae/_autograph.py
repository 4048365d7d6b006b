"""AutoGraph for code of users, and not for code of this package.

`tf.function` rewrites the source of every function, so that Python's `if` and `for` work on
tensors. In a first small measurement this takes two thirds of the time. The code of this package
has no such `if` and `for`. Layers, distortions and functions of users may have them.
"""
import functools
import inspect
from collections.abc import Callable
from typing import Any

import tensorflow as tf

# The state outside of every `tf.function`. In it, Keras converts the layers of users.
_OUTSIDE = tf.__internal__.autograph.control_status_ctx()


def unconverted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that AutoGraph does not convert. Keras still converts the layers that it calls."""
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
    """A function or method that AutoGraph converts inside of a graph; unchanged in eager mode.

    Functions of this package, and callables that are not Python functions, come back unchanged.
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
