"""PyTorch modules as graphs: the heads of an encoder, the first layers of a decoder, layers that
are random in training. `torch.fx` traces them.
"""
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tfisovae.autoencoder.outputs import Outputs
from tfisovae.autoencoder.torch_modules import TorchFunction


class Layer(NamedTuple):
    """A module in another, or an operation, whose `module` is None."""

    name: str
    module: Any

    @property
    def kind(self) -> str:
        """The name of its class."""
        return "an operation" if self.module is None else type(self.module).__name__


def random_layers(function: TorchFunction) -> list[Layer]:
    """Dropout of any kind with a rate above 0 in the function's calls; in its whole module if
    `torch.fx` cannot trace it.
    """
    root, graph = _traced(function)
    called = [("", function.module)] if graph is None else [
        (layer.name, layer.module) for layer in (_layer(root, node) for node in graph.nodes
                                                 if node.op == "call_module")]
    return [Layer(".".join(filter(None, (name, inner))), module) for name, part in called
            for inner, module in part.named_modules() if is_dropout(module) and module.p > 0]


def heads(function: TorchFunction,
          asked: str | int | Sequence[str | int] | None = None) -> list[list[Layer]] | None:
    """The layers behind the mean and the second output of an encoder, or behind the one output of
    both; None if `torch.fx` cannot trace the encoder.

    Raises:
      PartError: if it is unknown which outputs they are.
    """
    root, graph = _traced(function)
    if graph is None:
        return None
    output = next(node for node in graph.nodes if node.op == "output")
    return [list(_sources(root, node)) for node in Outputs.of(output.args[0]).parameters(asked)]


def first_layers(function: TorchFunction) -> list[Layer] | None:
    """The layers on the input; None if `torch.fx` cannot trace the function."""
    root, graph = _traced(function)
    if graph is None:
        return None
    return list(_takers(root, next(node for node in graph.nodes if node.op == "placeholder")))


def _traced(function):
    """A module that calls the function, and its graph; None twice without a graph."""
    import torch

    called = function.function

    class Root(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.module = function.module

        def forward(self, x):
            return self.module(x) if called is self.module else called(x)

    root = Root()
    try:
        return root, torch.fx.Tracer().trace(root)
    except Exception:  # a module may raise anything
        return None, None


def _sources(root, node):
    """The layers behind a value, through operations that change nothing or select a part."""
    if _takes_a_part(node) or (node.op == "call_module"
                               and _is_passive(root.get_submodule(node.target))):
        yield from _sources(root, node.args[0])
    elif _name(node) in ("cat", "concat"):
        for part in node.args[0]:
            yield from _sources(root, part)
    else:
        yield _layer(root, node)


def _takers(root, node) -> Iterator[Layer]:
    for taker in node.users:
        layer = _layer(root, taker)
        if layer.module is not None and _is_passive(layer.module) and not getattr(
                layer.module, "p", 0):
            yield from _takers(root, taker)
        else:
            yield layer


def _layer(root, node):
    if node.op == "call_module":
        return Layer(node.target.removeprefix("module."), root.get_submodule(node.target))
    return Layer(_name(node), None)


def _name(node):
    return getattr(node.target, "__name__", str(node.target))


def _takes_a_part(node):
    return node.op in ("call_function", "call_method") and _name(node) in (
        "getitem", "chunk", "split", "tensor_split")


def _is_passive(module):
    import torch

    return is_dropout(module) or isinstance(module, torch.nn.Identity)


def is_dropout(module: Any) -> bool:
    """Whether a module is a dropout layer of PyTorch."""
    import torch

    nn = torch.nn
    return isinstance(module, (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d,
                               nn.AlphaDropout, nn.FeatureAlphaDropout))
