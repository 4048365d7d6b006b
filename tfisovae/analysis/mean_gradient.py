"""Whether a whole network has converged: gradients of its loss over blocks of examples, and their
inner products.

Scale, shift and noise of a VAE converge after 1 % of a training. The mean gradient of the loss
includes every weight. `tfisovae.verdict.tests_of_means.mean_gradient` separates it from its noise.
"""
import dataclasses
import math
import re
from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tfisovae import _keras
from tfisovae._autograph import compiled
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import Measurable, as_autoencoder, refuse
from tfisovae.autoencoder.data import Data, whole
from tfisovae.autoencoder.networks import Networks
from tfisovae.metrics.measurement import measure
from tfisovae.verdict import tests_of_means

# For the parameters of tensorflow-compression's GDN.
_MINIMA = {"gamma": 0.0, "beta": 1e-6, "alpha": 1.0, "epsilon": 1e-6}
_OFFSET = 2.0**-18  # its variables are the square roots of a parameter plus the square of this
_KEPT = 2**18  # stored numbers of a gradient: 1 MB
_FOLD_SEED = 0
_AT_ONCE = 2**15  # components of all blocks in float64


class NoGradient(ValueError):
    """TensorFlow has no derivative of a decoder, so only the KL would have a gradient."""


@dataclasses.dataclass(frozen=True)
class BlockGradients:
    """Mean gradients of K blocks of examples, by their inner products.

    Attributes:
      gram: `[K, K]`, nats^2 per squared unit of the weights.
      num_examples: of all blocks together.
      num_weights: components of a gradient, without constrained ones.
    """

    gram: np.ndarray
    num_examples: int
    num_weights: int

    def mean_gradient(self) -> tests_of_means.MeanGradient:
        """`tfisovae.verdict.tests_of_means.MeanGradient` of them."""
        return tests_of_means.mean_gradient(self.gram, self.num_examples)


def weights_of(model: Measurable) -> list[tf.Variable]:
    """The trainable variables of a `VAE`, or of the Keras models or loaded objects behind an
    `Autoencoder`, each once.
    """
    known = as_autoencoder(model, needs_beta=False).networks
    return [] if known is None else known.weights


def held(weights: Iterable[tf.Variable]) -> list[np.ndarray]:
    """Which components of each weight are constrained, so that their gradient need not be 0 at an
    optimum: boolean arrays.

    These are: parameters of tensorflow-compression's GDN (recognized by variable name) at their
    lower bounds, where the gradient passes only one way; weights with Keras' `NonNeg` at 0; and all
    of a weight with another Keras constraint. A SavedModel does not show its constraints.

    Args:
      weights: list of `tf.Variable`.
    """
    def of(weight):
        value, constraint = np.asarray(weight, np.float64), getattr(weight, "constraint", None)
        parameter = re.search(r"(?:^|/)reparam_(\w+?)(?::\d+)?$", weight.name)
        if parameter and parameter[1] in _MINIMA:
            return value**2 - _OFFSET**2 <= 1.001 * _MINIMA[parameter[1]] + 3 * _OFFSET**2
        if isinstance(constraint, tf.keras.constraints.NonNeg):
            return value <= 0
        return np.full(value.shape, constraint is not None)

    return [of(weight) for weight in weights]


def block_gradients(model: Measurable, data: Data, weights: Iterable[tf.Variable] | None = None,
                    num_examples: int | None = None, num_blocks: int = 256, seed: int = 0,
                    progress: bool = False, *, inspect: bool = True) -> BlockGradients:
    """Gradients of the loss over the weights, in blocks of examples. The loss is D / beta + KL (Eq.
    54), or a `VAE`'s `training_objective`.

    Give *training* examples in random order: on held-out examples the gradient of an optimum is not
    0. Each batch of a data set belongs to one block, so about 256 batches of any size are best. The
    pass costs as much as the same number of training steps. Gradients of more than 262,144 weights
    are folded to this number with random signs, a linear map that keeps a mean of 0. Memory is
    little more than `num_blocks` MB. Constrained components (`held`) are left out.

    Args:
      model: `VAE`, `Autoencoder`, or anything with its five attributes.
      data: as for `tfisovae.autoencoder.data.batches`; an array `[N, ...]` is shuffled and divided
        into `num_blocks`.
      weights: list of `tf.Variable`, which `encode` and `decode` must use; by default
        `weights_of(model)`.
      num_examples: how many to measure; all by default.
      num_blocks: K at most.
      seed: of the order of an array's examples, and of the posterior noise.
      progress: whether to show a progress bar.
      inspect: as of `tfisovae.analyze`.

    Returns:
      `BlockGradients`.

    Raises:
      NoGradient: if TensorFlow has no derivative of the decoder.
      ValueError: if there are no free weights, the loss does not depend on any, or there are too
        few examples or fewer than 8 batches.
    """
    autoencoder = as_autoencoder(model)
    refuse(autoencoder, "block_gradients", "covariance")
    known = autoencoder.networks or Networks()
    weights = known.weights if weights is None else list(weights)
    if not weights:
        raise ValueError(
            "weights must be the variables that encode and decode use; the model has no "
            "trainable_variables. Give the variables of its Keras models or loaded SavedModels.")
    if autoencoder.condition is not None and isinstance(data, tuple):
        data = np.concatenate(list(autoencoder.condition.batches(data)))
    data = whole(data)
    if hasattr(data, "shape"):
        data = np.asarray(data)
        if num_examples is not None and num_examples > len(data):
            raise ValueError(
                f"The data have {len(data)} examples, fewer than the {num_examples} asked for.")
        data = data[np.random.default_rng(seed).permutation(len(data))[:num_examples]]
        num_examples = None
        data = tf.data.Dataset.from_tensor_slices(data).batch(
            max(1, math.ceil(len(data) / num_blocks)))
    objective = known.training_objective or (lambda *of: measure(autoencoder, *of).objective)
    free = [~components.ravel() for components in held(weights)]
    weights = _keras.variables(weights)
    total = int(sum(map(np.sum, free)))
    if not total:
        raise ValueError(
            "weights must have components without a constraint, so that their gradient is 0 at an "
            "optimum; got none."
        )
    signs = np.random.default_rng(_FOLD_SEED).integers(0, 2, total, np.int8) * np.int8(2) - np.int8(
        1) if total > _KEPT else None

    def gradient(x, first_row):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = tf.reduce_sum(objective(x, first_row, seed))
        parts = tape.gradient(loss, weights)
        if all(part is None for part in parts):
            raise ValueError(
                "The loss does not depend on any of the weights: give the weights that encode and "
                "decode use."
            )
        parts = [
            tf.reshape(tf.zeros_like(weight) if part is None else part, [-1])
            for part, weight in zip(parts, weights)
        ]
        return tf.concat([
            part if kept.all() else tf.boolean_mask(part, kept) for part, kept in zip(parts, free)
        ], 0)

    rows = streaming.prepare(autoencoder, data, num_examples, "gradients", progress,
                             inspect=inspect)
    _check_differentiable(rows)
    gradient, sums, counts = compiled(gradient, reduce_retracing=True), [], []
    for batch, (x, first_row) in enumerate(rows):
        found = _folded(gradient(x, tf.constant(first_row)).numpy(), signs)
        block = batch % num_blocks
        if block == len(sums):
            sums.append(found)
            counts.append(len(x))
        else:
            sums[block] += found
            counts[block] += len(x)
    if len(sums) < tests_of_means.MIN_BLOCKS:
        raise ValueError(
            f"The mean gradient needs at least {tests_of_means.MIN_BLOCKS} batches of examples; "
            f"got {len(sums)}. Give more examples, or smaller batches.")
    # Sums over the mean size of a block: so blocks of unequal sizes still give the mean over all
    # examples.
    gram = np.zeros([len(sums)] * 2)
    for start in range(0, len(sums[0]), _AT_ONCE):
        part = np.array([one[start:start + _AT_ONCE] for one in sums], np.float64)
        gram += part @ part.T
    return BlockGradients(gram * (len(counts) / sum(counts)) ** 2, sum(counts), total)


def _check_differentiable(rows):
    """Raises ValueError if the distortion has no derivative through the decoder, or a given prior
    has none: only the rest would have a gradient.
    """
    prior = rows.model.prior
    with tf.GradientTape(persistent=True) as tape:
        z = rows.mean[:1]
        tape.watch(z)
        distortion = rows.model.distortion(rows.first[:1], rows.decode(z))
        log_prior = None if prior is None else prior(z)
    if prior is not None and tape.gradient(log_prior, z) is None:
        raise NoGradient("The mean gradient cannot be measured: prior must consist of TensorFlow "
                         "operations of z.")
    try:
        found = tape.gradient(distortion, z)
        why = ("it uses operations without one, such as tf.numpy_function, or does not depend on z")
    except (LookupError, tf.errors.OpError) as error:
        found, why = None, " ".join(str(error).split())
    if found is None:
        raise NoGradient(
            f"The mean gradient cannot be measured: TensorFlow has no derivative of decode: {why}.")


def _folded(gradient, signs):
    """A long gradient folded to `_KEPT` numbers, each a sum with random signs."""
    if signs is None:
        return gradient
    gradient = np.pad(gradient * signs, (0, -len(gradient) % _KEPT))
    return gradient.reshape(-1, _KEPT).sum(0)
