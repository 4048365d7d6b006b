"""Packages that import their public names when these are first used: TensorFlow takes seconds to
import.
"""
import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy(package: str, homes: Mapping[str, str]) -> tuple[Callable, Callable, list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package.

    Args:
      package: its `__name__`.
      homes: for each public name the module that defines it, relative to the package. A name whose
        home is its own name is that module.
    """
    def fetch(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{homes[name]}")
        return module if homes[name] == name else getattr(module, name)

    return fetch, lambda: sorted(homes), sorted(homes)
