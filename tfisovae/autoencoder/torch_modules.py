"""PyTorch modules as functions of TensorFlow's tensors, with exact derivatives.

PyTorch computes the values and the derivatives, and TensorFlow calls it. Modules run in evaluation
mode, on the device and in the precision of their parameters. `torch` is imported only for modules.
"""
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import _keras
from tfisovae.autoencoder.outputs import Outputs, Part, PartError, checked

# TensorFlow may call both halves at once, and both set the mode of a shared module.
_LOCK = threading.RLock()
_HANDLES: dict[int, tuple[weakref.ref, tf.Variable]] = {}


def module_of(model: Any) -> Any:
    """The PyTorch module of a model or of its method; else None."""
    owner = getattr(model, "__self__", model)
    is_module = any(base.__module__.partition(".")[0] == "torch" and base.__name__ == "Module"
                    for base in type(owner).__mro__)
    return owner if is_module else None


def torch_part(function: Callable[[Any], Any], role: str) -> Part:
    """The `Part` of a module, or of a method of one."""
    made = TorchFunction(function, role)
    return Part(lambda x, training=False: made(x), owner=made,
                precision=lambda: made.precision, products=made.products, channels_first=True)


class TorchFunction:
    """A module, or a method of one, as a function of tensors that works inside graphs too.

    A first call on two rows finds the shapes. The gradient of this function is a vector-Jacobian
    product, and the gradient of this gradient is a Jacobian-vector product. So all code that
    differentiates TensorFlow functions can differentiate this one.

    Args:
      function: the module, or a method of one.
      role: "encoder" or "decoder", for error messages.

    Attributes:
      module: the module.
      function: as given.
      variables: handles of the parameters and buffers. A parameter has one handle in all functions
        that use it. `refresh` gives them the module's current values.
      trainable_variables: the handles of trained parameters.

    Raises:
      PartError: for weights of 16 bits.
    """

    def __init__(self, function: Callable[[Any], Any], role: str) -> None:
        self.module, self.function, self._role = module_of(function), function, role
        tensors = [*self.module.parameters(), *self.module.buffers()]
        self._tensors = [tensor for tensor in tensors if tensor.is_floating_point()]
        for tensor in self._tensors:
            if tensor.element_size() < 4:
                raise PartError(
                    f"The {role} has weights in {tensor.dtype}, with 3 digits, so measurements "
                    "would only show rounding errors. Give module.float().")
        self._trained = [tensor for tensor in self._tensors if tensor.requires_grad]
        with tf.init_scope(), tf.device("CPU:0"):
            self.variables = tuple(map(_handle, self._tensors))
            self.trainable_variables = tuple(map(_handle, self._trained))
        self._structure, self._shapes = None, []

    @property
    def precision(self) -> tf.DType:
        """float64 if the weights are, else float32."""
        double = self._tensors and self._tensors[0].element_size() == 8
        return tf.float64 if double else tf.float32

    def refresh(self) -> None:
        """Gives the handles the module's current values."""
        for variable, tensor in zip(self.variables, self._tensors):
            variable.assign(_array(tensor, np.float64).astype(variable.dtype.as_numpy_dtype))

    def __call__(self, x: tf.Tensor) -> Outputs:
        x = self._prepared(x)
        # The values are read, so that TensorFlow knows which variables a graph depends on.
        others = [variable.read_value() for variable in self.variables
                  if all(variable is not trained for trained in self.trainable_variables)]
        weights = [variable.read_value() for variable in self.trainable_variables]

        @tf.custom_gradient
        def values(x, *read):
            def gradient(cotangent):
                found = _called(self._of_weights, [x, cotangent], [x.dtype] * len(weights))
                for part, weight in zip(found, weights):
                    part.set_shape(weight.shape)
                found = [tf.cast(part, weight.dtype) for part, weight in zip(found, weights)]
                return self._vjp(x, cotangent), *found, *[None] * len(others)

            return self._sized(_called(self._value, [x], [x.dtype])[0], x.shape[:1]), gradient

        return self._outputs(values(x, *weights, *others))

    def products(self, z: tf.Tensor, directions: tf.Tensor) -> tuple[Outputs, Outputs]:
        """The function's output for z `[B, n]`, and its Jacobian times directions `[k, B, n]`, all
        at once. It takes about k + 1 calls.
        """
        z = self._prepared(z)
        x, stack = _called(self._all_forward, [z, tf.cast(directions, z.dtype)], [z.dtype] * 2)
        return (self._outputs(self._sized(x, z.shape[:1])),
                self._outputs(self._sized(stack, directions.shape[:2])))

    def _vjp(self, x, cotangent):
        """J^T cotangent, like x."""
        @tf.custom_gradient
        def product(x, cotangent):
            found, = _called(self._backward, [x, cotangent], [x.dtype])
            found.set_shape(x.shape)
            return found, lambda tangent: (self._curvature(x, cotangent, tangent),
                                           self._jvp(x, tangent))

        return product(x, cotangent)

    def _jvp(self, x, tangent):
        """J tangent, `[B, size]`."""
        @tf.custom_gradient
        def product(x, tangent):
            found, = _called(self._forward, [x, tangent], [x.dtype])
            return self._sized(found, x.shape[:1]), lambda cotangent: (
                self._curvature(x, cotangent, tangent), self._vjp(x, cotangent))

        return product(x, tangent)

    def _curvature(self, x, cotangent, tangent):
        """The gradient of cotangent^T J tangent by x."""
        found, = _called(self._second, [x, cotangent, tangent], [x.dtype])
        found.set_shape(x.shape)
        return found

    def _prepared(self, x):
        """x in the precision of the computation. The first call finds the output's form."""
        x = tf.convert_to_tensor(x)
        if x.shape.rank is None or None in x.shape[1:]:
            raise PartError(
                f"The input of the {self._role} must have a known shape, except for the batch; it "
                f"has {x.shape}.")
        if self._structure is None:
            with tf.init_scope():
                known = not tf.is_symbolic_tensor(x) and len(x) > 0
                self._try_out(x[:2].numpy() if known else np.full([2, *x.shape[1:]], 0.5))
        return tf.cast(x, tf.float64 if x.dtype == self.precision == tf.float64 else tf.float32)

    def _sized(self, flat, batch):
        flat.set_shape([*batch, sum(int(np.prod(shape)) for shape in self._shapes)])
        return flat

    def _outputs(self, flat):
        """`Outputs` of all numbers `[..., size]` that come from one row."""
        parts = tf.split(flat, [int(np.prod(shape)) for shape in self._shapes], -1)
        made = []
        for part, shape in zip(parts, self._shapes):
            made.append(tf.reshape(part, tf.concat([tf.shape(flat)[:-1], list(shape)], 0)
                                   if shape else tf.shape(flat)[:-1]))
            made[-1].set_shape([*flat.shape[:-1], *shape])
        return Outputs.of(tf.nest.pack_sequence_as(self._structure, made))

    # The code below is PyTorch on NumPy arrays. All outputs of a row are one row, `[B, size]`.

    def _try_out(self, rows):
        import torch

        with self._evaluating(), torch.no_grad():
            try:
                result = self._called(self._tensor(rows))
            except PartError:
                raise
            except Exception as error:  # of any kind: it is the user's module
                raise PartError(f"The {self._role} fails for an input of the shape {rows.shape}. "
                                f"{type(error).__name__}: {_keras.fault(error)}") from error
        leaves = tf.nest.flatten(result)
        for leaf in map(checked, leaves):
            if not isinstance(leaf, torch.Tensor):
                raise PartError(
                    f"The {self._role} must return tensors; it returned {type(leaf).__name__}. "
                    "Give functions of NumPy arrays that take the tensors out of it.")
            if leaf.ndim == 0 or len(leaf) != len(rows):
                raise PartError(
                    f"The {self._role} must return one row for each of the {len(rows)} that it "
                    f"gets; it returned a tensor of the shape {tuple(leaf.shape)}.")
        self._shapes = [tuple(leaf.shape[1:]) for leaf in leaves]
        self._structure = tf.nest.pack_sequence_as(result, range(len(leaves)))

    def _called(self, x):
        try:
            return self.function(x)
        except RuntimeError as error:  # an error of PyTorch, such as for another shape
            raise PartError(f"The {self._role} does not take an input of the shape "
                            f"{tuple(x.shape)}: {str(error).splitlines()[0]}") from error

    def _flat(self, x):
        import torch

        leaves = tf.nest.flatten(self._called(x))
        return torch.cat([leaf.reshape(len(leaf), -1).to(x.dtype) for leaf in leaves], 1)

    def _value(self, x):
        import torch

        with self._evaluating(), torch.no_grad():
            return _array(self._flat(self._tensor(x)), x.dtype)

    def _forward(self, x, tangent):
        import torch

        with self._evaluating(), torch.no_grad():
            product = torch.func.jvp(self._flat, (self._tensor(x),), (self._tensor(tangent),))[1]
            return _array(product, x.dtype)

    def _all_forward(self, x, directions):
        import torch

        with self._evaluating(), torch.no_grad():
            at = self._tensor(x)
            value, stack = torch.func.vmap(lambda v: torch.func.jvp(self._flat, (at,), (v,)),
                                           out_dims=(None, 0))(self._tensor(directions))
            return _array(value, x.dtype), _array(stack, x.dtype)

    def _backward(self, x, cotangent):
        with self._recorded(x) as (at, value):
            return _array(_gradient(value, [at], self._tensor(cotangent))[0], x.dtype)

    def _of_weights(self, x, cotangent):
        with self._recorded(x) as (_, value):
            found = _gradient(value, self._trained, self._tensor(cotangent))
            return [_array(part, x.dtype) for part in found]

    def _second(self, x, cotangent, tangent):
        with self._recorded(x) as (at, value):
            try:
                first, = _gradient(value, [at], self._tensor(cotangent), create_graph=True)
                product = (first * self._tensor(tangent)).sum()
                if not product.requires_grad:  # linear in x
                    return np.zeros_like(x)
                return _array(_gradient(product, [at])[0], x.dtype)
            except RuntimeError:  # no second derivative: the caller sees that
                return np.full_like(x, np.nan)

    @contextlib.contextmanager
    def _recorded(self, x) -> Iterator[tuple[Any, Any]]:
        """x and the module's output for it, with a graph of derivatives."""
        import torch

        with self._evaluating(), torch.enable_grad():
            at = self._tensor(x).requires_grad_()
            value = self._flat(at.clone())  # a module may write into its input
            if not value.requires_grad:
                raise LookupError(f"PyTorch has no derivative of the {self._role}: it is computed "
                                  "without a graph, such as under torch.no_grad()")
            yield at, value

    @contextlib.contextmanager
    def _evaluating(self) -> Iterator[None]:
        """Sets the evaluation mode, and restores the mode of each part after it."""
        with _LOCK:
            modes = [(part, part.training) for part in self.module.modules()]
            self.module.eval()
            try:
                yield
            finally:
                for part, mode in modes:
                    part.training = mode

    def _tensor(self, array):
        import torch

        like = self._tensors[0] if self._tensors else torch.zeros([])
        # A copy: the array is TensorFlow's own memory.
        return torch.from_numpy(np.array(array)).to(like.device, like.dtype)


def _called(function: Callable[..., Any], inputs: Sequence[tf.Tensor],
            types: Sequence[tf.DType]) -> list[tf.Tensor]:
    """A function of arrays, in TensorFlow. Graphs without a use of it leave it out."""
    if not types:
        return []
    found = tf.numpy_function(function, inputs, list(types), stateful=False)
    return list(found) if isinstance(found, (list, tuple)) else [found]


def _array(tensor, dtype):
    kept = tensor.detach().cpu()
    return kept.numpy().astype(dtype)


def _gradient(value, inputs, cotangent=None, **options):
    """Gradients; zeros without a path."""
    import torch

    found = torch.autograd.grad(value, inputs, cotangent, allow_unused=True, **options)
    return [torch.zeros_like(given) if part is None else part
            for part, given in zip(found, inputs)]


def _handle(tensor):
    """The variable of a parameter or a buffer."""
    reference, variable = _HANDLES.get(id(tensor), (lambda: None, None))
    if reference() is not tensor:
        variable = tf.Variable(_array(tensor, np.float64 if tensor.element_size() == 8
                                      else np.float32), trainable=tensor.requires_grad)
        key = id(tensor)
        _HANDLES[key] = weakref.ref(tensor, lambda _: _HANDLES.pop(key, None)), variable
    return variable
