"""Which latent variables to keep: by number, by count, by share of the importance, or the active ones."""
import dataclasses
import numbers
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfisovae import posterior, scree, streaming
from tfisovae.autoencoder import Measurable
from tfisovae.examples import Data
from tfisovae.posterior import Posterior

_WAYS = 'a list of numbers, a count, a share between 0 and 1, or "active"'


@dataclasses.dataclass(frozen=True)
class PosteriorMeans:
    """Means over data of what the posteriors are, `[n]` each.

    Attributes:
      mean: E[mu_j]. kl: E[KL_j], nats. precision: E[sigma_j^-2].
      num_examples: of the data.
    """

    mean: np.ndarray
    kl: np.ndarray
    precision: np.ndarray
    num_examples: int

    @property
    def active(self) -> np.ndarray:
        return posterior.active(self.kl)

    @property
    def counted(self) -> np.ndarray:
        """E[sigma_j^-2] of the active variables, which the importance is beta / 2 times; 0 of others."""
        return np.where(self.active, self.precision, 0.0)

    def share(self, kept: np.ndarray) -> float:
        """What the variables `kept` have of the importance of all active ones; NaN where none is active."""
        return float(self.counted[kept].sum() / self.counted.sum()) if self.active.any() else np.nan


def posterior_means(model: Measurable, data: Data, num_examples: int | None = None, progress: bool = False) -> PosteriorMeans:
    """One pass over data, of the encoder alone.

    Args:
      model: `Autoencoder`.
      data: `[N, ...]` or batches.
      num_examples: how many to use; all by default.
      progress: whether to show a progress bar.
    Raises:
      ValueError: for a posterior that is not finite; and as `streaming.examples_of` does.
    """
    def update(x, first_row):
        q = Posterior(*model.encode(x))
        return tf.cast(tf.stack([q.mean, q.kl(), q.precision()], 1), tf.float64)

    step, total, count = streaming.on_replicas(update), 0.0, 0
    for x, first_row in streaming.examples_of(model, data, num_examples, "posteriors", progress):
        total = total + np.sum(step(x, first_row), 0)
        count += len(x)
    if not np.isfinite(total).all():
        raise ValueError(f"The posterior of latent variable {int(np.argmin(np.isfinite(total).all(0)))} is not finite on these "
                         "data: nothing can be said of its importance.")
    return PosteriorMeans(*(total / count), count)


def check(keep: Sequence[int] | np.ndarray | int | float | str, n: int) -> None:
    """Raises ValueError for a `keep` of `chosen` that no data would mend."""
    if isinstance(keep, (bool, np.bool_)) or isinstance(keep, str) and keep != "active":
        raise ValueError(f"keep must be {_WAYS}; got {keep!r}.")
    if isinstance(keep, str):
        return
    if isinstance(keep, numbers.Integral):
        if not 1 <= keep <= n:
            raise ValueError(f"keep must be a count from 1 to {n - 1}, of {n} latent variables; got {keep}.")
        _check_fewer(keep, n)
    elif isinstance(keep, numbers.Real):
        if not 0 < keep < 1:
            raise ValueError(f"keep must be a share above 0 and below 1, where it is no integer; got {keep!r}.")
    else:
        _check_numbers(np.asarray(keep), n)


def _check_numbers(keep, n):
    if keep.ndim != 1 or keep.dtype.kind not in "iu" or not len(keep):
        hint = " Of a mask, give numpy.flatnonzero(mask)." if keep.dtype.kind == "b" else ""
        raise ValueError(f"keep must be {_WAYS}, with one variable at least; got {keep.tolist()!r}.{hint}")
    outside = keep[(keep < 0) | (keep >= n)]
    if len(outside):
        raise ValueError(f"keep must be of numbers from 0 to {n - 1}; got {outside[0]}.")
    names, counts = np.unique(keep, return_counts=True)
    if (counts > 1).any():
        raise ValueError(f"keep must name each variable once; got {names[counts > 1][0]} more than once.")
    _check_fewer(len(keep), n)


def _check_fewer(count, n):
    if count == n:
        raise ValueError(f"There is nothing to prune: all {n} latent variables would be kept.")


def chosen(keep: Sequence[int] | np.ndarray | int | float | str, n: int, seen: PosteriorMeans | None = None) -> np.ndarray:
    """The numbers of the latent variables that `keep` means, ascending.

    Args:
      keep: as `tfisovae.prune` takes it.
      n: how many there are.
      seen: `PosteriorMeans`, which all but a list need.
    Raises:
      ValueError: for a `keep` that is none of its four kinds, leaves out nothing or everything, names a variable twice or one that
        there is not; for a model that has collapsed, and without `seen` where that is needed.
    """
    check(keep, n)
    if not isinstance(keep, (str, numbers.Real)):
        return np.sort(np.asarray(keep)).astype(int)
    if seen is None:
        raise ValueError(f"data is missing: which variables keep={keep!r} means is seen in their posteriors. Give data=, or a list "
                         "of numbers.")
    if not seen.active.any():
        raise ValueError("The model has collapsed: no latent variable is active, so none is more important than another.")
    if isinstance(keep, str):
        kept = np.flatnonzero(seen.active)
    else:
        count = int(keep) if isinstance(keep, numbers.Integral) else scree.count_for(seen.counted, keep)
        order = np.lexsort((-seen.precision, ~seen.active))  # the active ones first, each kind by precision
        kept = np.sort(order[:count])
    _check_fewer(len(kept), n)
    return kept
