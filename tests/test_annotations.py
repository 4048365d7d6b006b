"""What users call says what it takes and gives, in annotations that can be evaluated."""
import ast
import dataclasses
import functools
import importlib
import inspect
import pathlib
import pkgutil
import re
import types
import typing

import pytest

import tfisovae
from tfisovae.metrics.measurement import once

CALLED = ("__init__", "__call__")  # of what begins with an underscore, what users call

MODULES = sorted(info.name for info in pkgutil.walk_packages(tfisovae.__path__, "tfisovae.")
                 if info.name != "tfisovae.__main__")


def for_type_checkers(module):
    """The names that a module, and those it imports names from, import for type checkers alone."""
    names, tree = {}, ast.parse(pathlib.Path(module.__file__).read_text())
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tfisovae."):
            names.update(own_for_type_checkers(importlib.import_module(node.module)))
    return {**names, **own_for_type_checkers(module)}


@functools.cache
def own_for_type_checkers(module):
    names = {}
    for node in ast.parse(pathlib.Path(module.__file__).read_text()).body:
        if isinstance(node, ast.If) and ast.unparse(
                node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            exec(compile(ast.Module(node.body, []), module.__file__, "exec"), names)
    return names


def evaluated(annotated, module):
    """`typing.get_type_hints`, with the names that are imported for type checkers alone."""
    return typing.get_type_hints(annotated, {**for_type_checkers(module), **vars(module)})


def functions_in(value):
    """The functions behind an attribute of a class: those of methods and of properties, of the
    package's own kind too.
    """
    if isinstance(value, property):
        return [function for function in (value.fget, value.fset) if function is not None]
    if isinstance(value, (staticmethod, classmethod)):
        return functions_in(value.__func__)
    if isinstance(value, once):
        return [value.function]
    return [inspect.unwrap(value)] if isinstance(inspect.unwrap(value), types.FunctionType) else []


def own(value):
    return getattr(value, "__module__", "").split(".")[0] == "tfisovae"


def public(module):
    """Everything that is called `module.NAME` and stands in that module: `(its path, function)`,
    and classes.
    """
    functions, classes = [], []
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if not isinstance(value, type):
            functions += [(f"{module.__name__}.{name}", function)
                          for function in functions_in(value)]
            continue
        classes.append((f"{module.__name__}.{name}", value))
        # What a public class has from a private one is public too.
        for base in filter(own, value.__mro__):
            for attribute, entry in vars(base).items():
                if not attribute.startswith("_") or attribute in CALLED:
                    path = f"{module.__name__}.{name}.{attribute}"
                    functions += [(path, function) for function in functions_in(entry)
                                  if own(function)]
    return functions, classes


def not_annotated(function):
    """The parameters of a function without an annotation, and "return"."""
    signature = inspect.signature(function)
    unbound = [name for name in signature.parameters if name not in ("self", "cls")]
    missing = [
        name for name in unbound if signature.parameters[name].annotation is inspect.Parameter.empty
    ]
    return missing + (["return"] if signature.return_annotation is inspect.Signature.empty else [])


def takes_none(hint):
    return hint in (typing.Any, object, type(None)) or any(
        takes_none(part) for part in typing.get_args(hint)
        if typing.get_origin(hint) in (typing.Union, types.UnionType))


def test_every_module_is_seen():
    root = pathlib.Path(tfisovae.__file__).parent
    files = {".".join(path.relative_to(root.parent).with_suffix("").parts)
             for path in root.rglob("*.py")}
    assert {name.removesuffix(".__init__") for name in files} - {
        "tfisovae", "tfisovae.__main__"} == set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_what_is_public_is_annotated(name):
    module = importlib.import_module(name)
    functions, classes = public(module)
    for path, function in functions:
        assert not not_annotated(
            function), f"{path} has no annotation of {', '.join(not_annotated(function))}"
        hints = evaluated(function, importlib.import_module(function.__module__))
        for parameter in inspect.signature(function).parameters.values():
            assert parameter.default is not None or takes_none(
                hints[parameter.name]), f"{path}: {parameter.name} may be None"
    for path, made in classes:
        hints = evaluated(made, module)
        for field in dataclasses.fields(made) if dataclasses.is_dataclass(made) else ():
            assert field.default is not None or takes_none(
                hints[field.name]), f"{path}.{field.name} may be None"
            assert hints[field.name] not in (
                tuple, list, dict), f"{path}.{field.name} does not say of what it is a collection"


def test_the_check_sees_what_it_is_for():
    """The checks themselves, on functions and a class that lack what is asked for."""
    def bare(x, *rest: int, key: str = None):
        return x

    class Class:
        @once
        def lazy(self):
            return 1

        @property
        def value(self) -> int:
            return 1

        @staticmethod
        def call(x) -> int:
            return 1

    assert not_annotated(bare) == ["x", "return"]
    found = {
        name: [not_annotated(function) for function in functions_in(entry)]
        for name, entry in vars(Class).items() if not name.startswith("_")
    }
    assert found == {"lazy": [["return"]], "value": [[]], "call": [["x"]]}
    assert takes_none(int | None) and not takes_none(list[None]) and not takes_none(int)


def docstrings():
    for path in pathlib.Path(tfisovae.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Module)) and (
                    ast.get_docstring(node)):
                yield f"{path.name}: {getattr(node, 'name', 'module')}", ast.get_docstring(node)


def test_docstrings_have_one_argument_on_a_line_and_sections_apart():
    """So that people and tools find each argument."""
    name = r"\*{0,2}[A-Za-z_]\w*"
    for place, text in docstrings():
        section, before = None, ""
        for line in text.splitlines():
            assert not re.search(r"[.;] -( \S|$)", line), (place, line)  # an entry of a list
            header = re.match(r"(Args|Attributes|Returns|Raises|Yields|Example):", line)
            if header:
                assert not before.strip(), (place, line)
                section = header[1]
            elif section in ("Args", "Attributes") and line.startswith("  "):
                entry = re.match(rf"  {name}(, {name})*:", line)
                assert entry or line.startswith("    "), (place, line)
            elif line.strip():
                section = None
            before = line
