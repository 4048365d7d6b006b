"""Pruning: a smaller VAE with the important latent variables, and the cost of leaving out the
others.

A removed variable is fixed at its mean. The cost of removal (`tfisovae.metrics.removal`) is
measured for each variable alone. It ranks the variables. The sum over removed variables predicts
the loss of the smaller VAE. The rate falls by E[KL_j] each. On Gaussian data with a sum of squares
the cost is v_j - beta / 2, and the KL log(2 v_j / beta) / 2 nats.
"""
import dataclasses
import numbers
import os
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfisovae import arguments
from tfisovae.analysis import components, scree
from tfisovae.analysis.mean_gradient import weights_of
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import (
    CONFIG,
    Autoencoder,
    AutoencoderLike,
    as_autoencoder,
    refuse,
)
from tfisovae.autoencoder.data import Data
from tfisovae.autoencoder.networks import Composed, Networks
from tfisovae.autoencoder.posterior import Posterior
from tfisovae.distortions import Distortion
from tfisovae.geometry.estimated import LARGEST_EXACT
from tfisovae.metrics import measurement, removal
from tfisovae.metrics.posteriors import PosteriorMeans, posterior_means
from tfisovae.vae import slicing
from tfisovae.vae.vae import VAE, load
from tfisovae.verdict import html


@dataclasses.dataclass(frozen=True)
class Change:
    """A mean over the examples, before and after.

    Attributes:
      before, after: of the two models, with the same noise in the kept variables.
      standard_error: of `after - before`, for independent examples.
      predicted: the sum of `after - before` for each variable, removed alone.
    """

    before: float
    after: float
    standard_error: float
    predicted: float

    @property
    def difference(self) -> float:
        return self.after - self.before


@dataclasses.dataclass(frozen=True, repr=False)
class Pruning:
    """The removed latent variables of a VAE, and their cost.

    Attributes:
      kept, left_out: indices of the latent variables in the model before, ascending.
      values: the fixed values of the others, `[len(left_out)]`.
      share: the kept variables' share of the cost of removal of all active variables; NaN without
        data, and for more than 300 variables.
      encoder_sliced, decoder_sliced: whether the network got smaller; otherwise it is unchanged,
        with a layer that selects.
      num_examples: measured; 0 without data.
      distortion: as trained, in its own unit.
      rate: E[KL], nats.
      loss: distortion / beta + rate, nats. `Change`s, or `None`.
      weights_shared: whether the model before shares some weights, so that training one changes the
        other.
    """

    kept: np.ndarray
    left_out: np.ndarray
    values: np.ndarray
    share: float
    encoder_sliced: bool
    decoder_sliced: bool
    num_examples: int = 0
    distortion: Change | None = None
    rate: Change | None = None
    loss: Change | None = None
    weights_shared: bool = False

    def __repr__(self) -> str:
        return (f"Pruning({len(self.kept)} of {len(self.kept) + len(self.left_out)} dimensions "
                f"kept, {self.num_examples} examples)")

    def _repr_html_(self) -> str:
        changes = [(name, getattr(self, name)) for name in ("distortion", "rate", "loss")]
        rows = [(name, change.before, change.after, change.difference, change.predicted)
                for name, change in changes if change is not None]
        columns = ["", "before", "after", "difference", "predicted"] if rows else []
        return html.of(repr(self), columns, rows, [] if rows else [self.sentences()])

    def sentences(self) -> str:
        """The result in lines of plain words."""
        whole = len(self.kept) + len(self.left_out)
        said = [
            f"{len(self.kept)} of {whole} dimensions kept: {', '.join(map(str, self.kept))}" +
            (f", with {100 * self.share:.4g} % of the cost of removal of all."
             if np.isfinite(self.share) else ".")
        ]
        if self.weights_shared:
            said.append("The model before shares these weights: training one changes the other.")
        if self.distortion is None:
            return "\n".join(said)
        for name, unit in (("distortion", ""), ("rate", " nats"), ("loss", " nats")):
            change = getattr(self, name)
            predicted = (f"{change.predicted:+.3g}" if np.isfinite(change.predicted)
                         else "not known")
            error = f" +- {change.standard_error:.1g}" if np.isfinite(change.standard_error) else ""
            said.append(
                f"{name} {change.before:.5g} before, {change.after:.5g}{unit} after: "
                f"{change.difference:+.3g}{error}, "
                f"predicted {predicted}")
        examples = f"{self.num_examples} examples"
        if self.num_examples == 1:
            examples = "1 example, so without an error"
        return "\n".join([
            *said, f"on {examples}. Predicted: the cost of each one when removed alone, and its KL."
        ])


@dataclasses.dataclass(frozen=True)
class PrunedAutoencoder(Autoencoder):
    """An `Autoencoder` with some of the latent variables of another.

    Attributes:
      pruning: `Pruning`.
    """

    pruning: Pruning | None = None


def prune(model: AutoencoderLike, keep: Sequence[int] | int | float | str, data: Data | None = None,
          num_examples: int | None = None, progress: bool = False, *,
          distortion: Distortion | str | None = None, beta: float | None = None,
          scale: str = "log_variance", decomposed: bool | None = None,
          inspect: bool = True) -> VAE | PrunedAutoencoder:
    """Makes a smaller VAE from the important latent variables, and measures the cost.

    The other variables are fixed at their mean over `data` (at 0 without data).

    The posterior of the kept variables stays the same, number for number. In Keras networks, dense
    heads and a dense first layer of the decoder are sliced. Other networks get a layer that selects
    (`tfisovae.vae.slicing`). The model itself does not change. The smaller one has its own weights
    and can be trained further. Networks that cannot be copied (subclassed ones without
    `get_config`, SavedModels, functions) share the model's weights; `Pruning` says so.

    Args:
      model: whatever `as_autoencoder` takes.
      keep: which variables, in one of four ways:

        - a list of their numbers, in any order (the smaller model has them in ascending order).
          For more than 300 variables, this or "active";
        - an integer: this many, by their cost of removal;
        - a float between 0 and 1: the fewest with this share of the cost of removal of all active
          ones (`scree.Scree.count`);
        - "active": all with a mean KL above .01 nat.
      data: `[N, ...]` or batches, read twice. Only a list works without data. With data the cost is
        measured.
      num_examples: how many to use; all by default.
      progress: whether to show progress bars.
      distortion, beta, scale, decomposed: as `as_autoencoder` takes them.
      inspect: as of `tfisovae.analyze`.

    Returns:
      For Keras networks a `VAE`, not compiled, with the model's present lmbda and loss. For other
      models (SavedModels, functions) an `Autoencoder`. Its `pruning` is a `Pruning`: kept
      variables, cost and prediction.

    Raises:
      ValueError: for a `keep` that removes nothing or everything, repeats a variable, names a
        missing one, or is not a share; for a collapsed model, missing data or a generator, or a
        distortion that is not finite.

    Example:
      >>> smaller = tfisovae.prune(vae, 2, x)
      >>> smaller.n
      2
      >>> print(smaller.pruning)
    """
    if isinstance(model, (str, os.PathLike)) and os.path.isfile(os.path.join(model, CONFIG)):
        model = load(model)
    before = as_autoencoder(model, distortion, beta, scale, decomposed, needs_beta=False)
    refuse(before, "prune", "conditional", "prior", "covariance")
    pair = _keras_pair(model, before)
    if pair is not None or data is not None:
        before = as_autoencoder(before)  # it raises if beta is missing
    if isinstance(data, Iterator):
        raise ValueError(
            f"data is read twice, but a {type(data).__name__} can be read only once. Give an array "
            "[N, ...] or a tf.data.Dataset of batches.")
    if isinstance(model, VAE) and model.n is not None:
        check(keep, model.n)  # before the data are read
    seen, alone = None, None
    if data is not None:
        rows = streaming.prepare(before, data, num_examples, "posteriors", progress,
                                 inspect=inspect)
        sample = removal.Sample(rows)
        seen = posterior_means(rows.passing(sample))
        if rows.n <= LARGEST_EXACT:
            alone = removal.removal(before, sample.x, seen.mean, progress).cost
        elif isinstance(keep, numbers.Real):
            raise ValueError(
                f"keep={keep!r} needs the cost of removal of each of the {rows.n} latent "
                f"variables, each with a decode of every example. Above {LARGEST_EXACT} give a "
                "list of numbers, such as analysis.ranking[:500], or \"active\".")
    n = len(seen.mean) if seen else _size(before)
    kept = chosen(keep, n, seen, alone)
    left_out = np.setdiff1d(np.arange(n), kept)
    values = np.zeros(n) if seen is None else seen.mean
    if getattr(before.encode, "latent_shape", None) is not None:
        pair = None  # a VAE has vectors
    made, sliced = _smaller(model, pair, before, kept, values, scale)
    share = np.nan
    if alone is not None and seen.active.any():
        share = float(scree.shares_of(alone, seen.active)[kept].sum())
    shared = {id(weight) for weight in weights_of(made)
              } & {id(weight) for weight in weights_of(before)}
    record = Pruning(kept, left_out, values[left_out], share, *sliced, weights_shared=bool(shared))
    if seen is not None:
        record = dataclasses.replace(
            record, **_cost(before, made, kept, float(
                np.nan if alone is None else np.sum(alone[left_out])),
                            float(np.sum(seen.kl[left_out])), data, num_examples, progress))
    if isinstance(made, VAE):
        made.pruning = record
        return made
    return dataclasses.replace(made, pruning=record)


def _keras_pair(model, autoencoder):
    """The two Keras networks of a VAE or of a pair; None for other models, and for an
    `Autoencoder`, which may use only some of their outputs.
    """
    known = autoencoder.networks
    if isinstance(model, Autoencoder) or known is None:
        return None
    pair = known.encoder, known.decoder
    return pair if all(isinstance(network, tf.keras.Model) for network in pair) else None


def _size(autoencoder):
    """n of a model that has seen no data."""
    known = autoencoder.networks or Networks()
    n, shape = known.n, known.example_shape
    if n is None and shape is not None and None not in shape:
        n = autoencoder.encode(tf.zeros([1, *shape]))[0].shape[-1]
    if n is None:
        raise ValueError(
            "data is missing: the model does not state its number of latent variables. Give some "
            "examples as data=.")
    return int(n)


def _smaller(model, pair, before, kept, values, scale):
    """The model with the variables `kept`, and whether its encoder and its decoder were sliced."""
    if pair is None:
        return _selected(before, kept, values), (False, False)
    known = {
        "lmbda": 1 / before.beta, "decomposed": before.decomposed,
        "scale": model.scale if isinstance(model, VAE) else scale
    }
    if isinstance(model, VAE):
        config = model.config_now()
        known |= {name: config[name] for name in ("warmup_steps", "seed", "name")}
        if model.beta == before.beta:
            known["lmbda"] = config["lmbda"]  # 1 / beta may differ in the last digit
    else:
        # It knows shapes, or reports missing ones.
        model = VAE(*pair, before.distortion, **known)
    encoder, first = slicing.encoder_of(pair[0], kept, model.n, model.example_shape)
    decoder, second = slicing.decoder_of(pair[1], kept, values)
    return VAE(encoder, decoder, before.distortion, example_shape=model.example_shape,
               **known), (first, second)


def _selected(before, kept, values):
    """An `Autoencoder` with some latent variables; the others are fixed."""
    def chosen_of(function):
        return lambda x: tuple(tf.gather(part, kept, axis=1) for part in function(x))

    select, known = chosen_of(before.encode), before.networks
    if known is not None:
        known = dataclasses.replace(
            known, n=len(kept), parameters=known.parameters and chosen_of(known.parameters),
            model=None, training_objective=None)
    restore = slicing.Restored(kept, values, dtype=tf.float64, autocast=False)
    return PrunedAutoencoder(lambda x: Posterior(*select(x)), Composed(before.decode, restore),
                             before.distortion, before.beta, before.decomposed, known)


def _cost(before, after, kept, costs, saved, data, num_examples, progress):
    """The measured entries of a `Pruning`; `costs` and `saved` are predictions."""
    smaller = as_autoencoder(after)

    def update(x, first_row):
        whole = measurement.measure(before, x, first_row)
        part = measurement.Measurement(smaller, x, tf.gather(whole.noise, kept, axis=1))
        rates = (tf.reduce_sum(one.kl, -1) for one in (whole, part))
        return tf.cast(tf.stack([whole.distortion, part.distortion, *rates], 1), tf.float64)

    examples = streaming.examples_of(before, data, num_examples, "pruned", progress)
    rows = np.concatenate([values for values, _ in streaming.run(examples, update)])
    arguments.check_finite("The distortion", rows, 0,
                           "Leave the example out, or repair the decoder.")
    rows = np.concatenate([rows, rows[:, :2] / before.beta + rows[:, 2:]], 1)
    changes = {}
    for k, (name, predicted) in enumerate(
        (("distortion", costs), ("rate", -saved), ("loss", costs / before.beta - saved))):
        one, other = rows[:, 2 * k], rows[:, 2 * k + 1]
        error = float(np.std(other - one, ddof=1) / np.sqrt(len(rows))) if len(rows) > 1 else np.nan
        changes[name] = Change(float(one.mean()), float(other.mean()), error, predicted)
    return {"num_examples": len(rows), **changes}


_WAYS = 'a list of numbers, a count, a share between 0 and 1, or "active"'


def check(keep: Sequence[int] | np.ndarray | int | float | str, n: int) -> None:
    """Raises ValueError for a bad `keep`, whatever the data."""
    if isinstance(keep, (bool, np.bool_)) or isinstance(keep, str) and keep != "active":
        raise ValueError(f"keep must be {_WAYS}; got {keep!r}.")
    if isinstance(keep, str):
        return
    if isinstance(keep, numbers.Integral):
        if not 1 <= keep <= n:
            raise ValueError(
                f"keep must be a count from 1 to {n - 1}, of {n} latent variables; got {keep}.")
        _check_fewer(keep, n)
    elif isinstance(keep, numbers.Real):
        if not 0 < keep < 1:
            raise ValueError(
                f"keep must be an integer, or a share above 0 and below 1; got {keep!r}.")
    else:
        _check_numbers(np.asarray(keep), n)


def _check_numbers(keep, n):
    if keep.ndim != 1 or keep.dtype.kind not in "iu" or not len(keep):
        hint = " For a mask, give numpy.flatnonzero(mask)." if keep.dtype.kind == "b" else ""
        raise ValueError(
            f"keep must be {_WAYS}, with at least one variable; got {keep.tolist()!r}.{hint}")
    outside = keep[(keep < 0) | (keep >= n)]
    if len(outside):
        raise ValueError(f"keep must have numbers from 0 to {n - 1}; got {outside[0]}.")
    names, counts = np.unique(keep, return_counts=True)
    if (counts > 1).any():
        raise ValueError(
            f"keep must name each variable once; got {names[counts > 1][0]} more than once.")
    _check_fewer(len(keep), n)


def _check_fewer(count, n):
    if count == n:
        raise ValueError(f"There is nothing to prune: all {n} latent variables would be kept.")


def chosen(keep: Sequence[int] | np.ndarray | int | float | str, n: int,
           seen: PosteriorMeans | None = None, cost: np.ndarray | None = None) -> np.ndarray:
    """The indices of the latent variables in `keep`, ascending.

    Args:
      keep: as `tfisovae.prune` takes it.
      n: how many there are.
      seen: `PosteriorMeans`; only a list works without it.
      cost: the cost of removal of each, `[n]`, for counts and shares.

    Raises:
      ValueError: for a `keep` of another kind, one that removes nothing or everything, repeats a
        variable or names a missing one; for a collapsed model; or if `seen` is missing but needed.
    """
    check(keep, n)
    if not isinstance(keep, (str, numbers.Real)):
        return np.sort(np.asarray(keep)).astype(int)
    if seen is None:
        raise ValueError(
            f"data is missing: keep={keep!r} needs the posteriors to choose variables. Give data=, "
            "or a list of numbers.")
    if not seen.active.any():
        raise ValueError(
            "The model has collapsed: no latent variable is active, so all are equally unimportant."
        )
    if isinstance(keep, str):
        kept = np.flatnonzero(seen.active)
    else:
        count = int(keep) if isinstance(keep, numbers.Integral) else components.count_for(
            scree.counted(cost, seen.active), keep)
        # The active ones first, each kind by cost.
        order = np.lexsort((-cost, ~seen.active))
        kept = np.sort(order[:count])
    _check_fewer(len(kept), n)
    return kept
