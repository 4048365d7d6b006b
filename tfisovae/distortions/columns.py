"""The distortion of a mixed table: a sum over blocks of columns."""
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfisovae import arguments
from tfisovae.distortions import standard
from tfisovae.distortions.base import Distortion


@tf.keras.utils.register_keras_serializable(package="tfisovae")
class ColumnBlocks(Distortion):
    """A sum of weight_k D_k over blocks of columns of x `[B, m]`; G_x is block-diagonal.

        ColumnBlocks([("sse", 4), ("cce", 3), ("bce", 1, 0.5)])

    is the distortion of 4 numbers, one category of 3 classes, and a binary column at half weight.

    Args:
      blocks: for each block in order, the `Distortion` or its name, the number of columns, and its
        weight (1 by default). Together the blocks have all m columns.
    """

    def __init__(self, blocks: Sequence[Sequence[Any]]) -> None:
        if not blocks:
            raise ValueError("blocks must have at least one (distortion, columns); got none.")
        self.blocks = [self._block(block) for block in blocks]
        self._ends = np.cumsum([width for _, width, _ in self.blocks])

    @staticmethod
    def _block(block):
        if not isinstance(block, Sequence) or isinstance(block, str) or len(block) not in (2, 3):
            raise ValueError(
                "blocks must be a list of (distortion, columns) or (distortion, columns, weight); "
                f"got {block!r}.")
        distortion, width, weight = (*block, 1.0)[:3]
        if isinstance(distortion, dict):
            distortion = tf.keras.utils.deserialize_keras_object(distortion)
        return (standard.get(distortion), arguments.integer("columns of a block", width),
                arguments.positive("weight of a block", weight))

    def __call__(self, x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
        return self._summed(lambda distortion, *parts: distortion(*parts), x, x_hat)

    def excess(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return self._summed(lambda distortion, *parts: distortion.excess(*parts), x, v)

    def metric_product(self, x: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
        return tf.concat([weight * distortion.metric_product(*parts)
                          for (distortion, _, weight), *parts in self._parts(x, v)], -1)

    def check(self, x: np.ndarray | tf.Tensor) -> None:
        x = tf.convert_to_tensor(x)
        if x.shape.rank != 2 or x.shape[-1] != self._ends[-1]:
            raise ValueError(f"ColumnBlocks expects x of shape [batch, {self._ends[-1]}], with all "
                             f"columns of its blocks; got {tuple(x.shape)}.")
        for (distortion, _, _), part in self._parts(x):
            distortion.check(part)

    @property
    def domain_words(self) -> str:
        ends = ", ".join(f"{distortion.domain_words} up to column {end}" for (distortion, _, _), end
                         in zip(self.blocks, self._ends))
        return f"by blocks: {ends}"

    @property
    def activation(self) -> str:
        return "FUNCTION"  # an activation for each block

    @property
    def strict(self) -> bool:
        return any(distortion.strict for distortion, _, _ in self.blocks)

    def outside(self, x_hat: np.ndarray) -> np.ndarray:
        return self._joined(lambda distortion, part: distortion.outside(part), x_hat)

    def into_domain(self, x_hat: np.ndarray) -> np.ndarray:
        return self._joined(lambda distortion, part: distortion.into_domain(part), x_hat)

    def inner_point(self, x: np.ndarray, share: float) -> np.ndarray:
        return self._joined(lambda distortion, part: distortion.inner_point(part, share), x)

    def tangent(self, v: tf.Tensor) -> tf.Tensor:
        return tf.concat([distortion.tangent(part)
                          for (distortion, _, _), part in self._parts(tf.convert_to_tensor(v))], -1)

    def _joined(self, function: Callable[..., np.ndarray], x: np.ndarray) -> np.ndarray:
        return np.concatenate([function(distortion, part)
                               for (distortion, _, _), part in self._parts(x)], -1)

    def _summed(self, function, *arrays):
        return tf.add_n([tf.cast(weight, arrays[0].dtype) * function(distortion, *parts)
                         for (distortion, _, weight), *parts in self._parts(*arrays)])

    def _parts(self, *arrays):
        """Each block with its columns of each array."""
        for block, end in zip(self.blocks, self._ends):
            yield block, *(array[..., end - block[1]:end] for array in arrays)

    def get_config(self) -> dict[str, Any]:
        return {"blocks": [[tf.keras.utils.serialize_keras_object(distortion), width, weight]
                           for distortion, width, weight in self.blocks]}

    def __repr__(self) -> str:
        return f"ColumnBlocks({self.blocks!r})"
