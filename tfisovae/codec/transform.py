"""The data for coding with a trained VAE: the maps between z_j and y_j, the range of the means, and
their cost.

The isometric variable y_j has the posterior noise beta / 2 in every dimension, whatever the input
(section 3.3), so one step fits all of them. Unused dimensions are not coded, and are decoded at
their mean.
"""
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae import theory
from tfisovae.analysis.components import spread_out
from tfisovae.autoencoder import posterior, streaming
from tfisovae.autoencoder.autoencoder import Measurable
from tfisovae.autoencoder.data import Data
from tfisovae.geometry import monotone
from tfisovae.geometry.isometric_variable import IsometricVariable
from tfisovae.geometry.monotone import Monotone
from tfisovae.metrics.measurement import measure
from tfisovae.metrics.posteriors import check_posteriors

MIN_EXAMPLES = 20  # posteriors for a map
_KEPT = 512  # stored posteriors, to predict the cost of other steps
_DECODED = 2_000  # examples with a measured distortion
_LOG2 = math.log(2)


@dataclasses.dataclass(frozen=True)
class Prediction:
    """The predicted rate and distortion of a codec. Vectors are `[n_active]`, in bits per example.

    Attributes:
      kl: E[KL_j] over the data of `fit`.
      high_rate: kl + 1/2 log2(pi e / 6) - log2 f, for sigma << 1; f is the step factor.
      exact: kl and the exact excess at finite sigma: `theory.exact_quantizer_rate`, over posteriors
        and dither.
      saving: KL of the aggregate posterior from the prior: the saving of the prior "empirical" for
        sigma << 1. For sigma near 1 it saves more, as the means vary less than z. None if there
        were too few data.
      coding_loss: n_active f^2 beta / 2, in units of D: the cost of noise for an isometric
        embedding and small sigma. At a low rate it is too large.
      distortion: E[D(x, Dec(mean))] + f^2 E[D(x_check, x_hat)], with the coding loss of posterior
        samples. It holds at every rate.
    """

    kl: np.ndarray
    high_rate: np.ndarray
    exact: np.ndarray
    saving: np.ndarray | None
    coding_loss: float
    distortion: float


@dataclasses.dataclass(frozen=True)
class Transform:
    """The maps of the n_active coded dimensions, and measurements on the data of `fit`.

    Attributes:
      active: `[n]`, bool: which dimensions are coded.
      dimensions: their indices.
      resting: `[n]`, E[mu_j]; the other dimensions are decoded there.
      maps: z_j -> y_j, n_active `Monotone`.
      means: N(0, 1) -> the distribution of mu_j, likewise; None for fewer than 400 examples.
      kl: `[n]`, E[KL_j], bits.
      divergence: `[n_active]`, KL of the aggregate posterior E_x[q(z_j|x)] from the prior, bits;
        None as `means`.
      mean, scale: `[M, n_active]`, float32, posteriors of some of the examples.
      distortion: E[D(x, Dec(mean))].
      coding_loss: E[D(x_check, x_hat)] of posterior samples, the excess.
      num_examples: of the data.
    """

    active: np.ndarray
    resting: np.ndarray
    maps: tuple[Monotone, ...]
    means: tuple[Monotone, ...] | None
    kl: np.ndarray
    divergence: np.ndarray | None
    mean: np.ndarray
    scale: np.ndarray
    distortion: float
    coding_loss: float
    num_examples: int

    @property
    def dimensions(self) -> np.ndarray:
        return np.flatnonzero(self.active)

    @classmethod
    def fit(cls, model: Measurable, data: Data, active: npt.ArrayLike | None = None,
            num_examples: int | None = None, progress: bool = False,
            inspect: bool = True) -> tuple["Transform", tuple[int, ...]]:
        """Fits a transform in one pass; returns it, and the shape of one example.

        Args:
          model: `Autoencoder`, or anything with its five attributes.
          data, num_examples, progress, inspect: as for `streaming.prepare`.
          active: `[n]`, bool; by default, dimensions with a mean KL over the data above
            `posterior.ACTIVE_KL`.

        Raises:
          ValueError: for data that are too few, not finite or of other shapes; posteriors that are
            not finite; a bad `active`; or if no dimension is active.
        """
        def values(x, row):
            found = measure(model, x, row)
            encoded = tf.stack([*found.posterior, found.kl], 1)

            def losses():
                return tf.stack([model.distortion(x, found.x_check), found.coding_loss], 1)

            # The examples beyond are not decoded.
            return encoded, tf.cond(row < _DECODED, losses, lambda: tf.zeros([0, 2]))

        rows = streaming.prepare(model, data, num_examples, "fitting the codec", progress,
                                 inspect=inspect)
        parts, losses = [], []
        for (part, loss), row in streaming.run(rows, values, replicas=False):
            check_posteriors(part, row)
            parts.append(part)
            losses.append(loss)
        mean, scale, kl = np.concatenate(parts).transpose(1, 0, 2)
        count, n = mean.shape
        if count < MIN_EXAMPLES:
            raise ValueError(
                f"data must hold at least {MIN_EXAMPLES} examples to fit a codec, and should hold "
                f"thousands; got {count}.")
        mean_kl = kl.mean(0, np.float64)
        active = _checked_active(active, mean_kl)
        kept = spread_out(_KEPT, count)
        maps = [
            IsometricVariable(mean[:, j], scale[:, j], float(model.beta)).map
            for j in np.flatnonzero(active)
        ]
        means = divergence = None
        if count >= monotone.MIN_EXAMPLES:
            noise = np.random.Generator(np.random.Philox(0)).standard_normal([count, n], np.float32)
            z = (mean + scale * noise)[:, active]
            means = tuple(map(monotone.from_normal, mean[:, active].T))
            divergence = np.array(list(map(monotone.divergence_from_normal, z.T))) / _LOG2
        distortion, coding_loss = np.concatenate(losses).mean(0, np.float64)
        return cls(active, mean.mean(0, np.float64), tuple(maps), means, mean_kl / _LOG2,
                   divergence, mean[kept][:, active], scale[kept][:, active], float(distortion),
                   float(coding_loss), count), tuple(rows.first.shape[1:])

    def to_y(self, mean: npt.ArrayLike) -> np.ndarray:
        """y `[B, n_active]` of z or means `[B, n]`, float64."""
        mean = np.asarray(mean, np.float64)
        return np.stack([mapped(mean[:, j]) for mapped, j in zip(self.maps, self.dimensions)], 1)

    def to_z(self, y: npt.ArrayLike) -> np.ndarray:
        """z `[B, n]` of y `[B, n_active]`, float64; dimensions that are not coded stay at their
        means.
        """
        z = np.tile(self.resting, (len(y), 1))
        for column, (mapped, j) in enumerate(zip(self.maps, self.dimensions)):
            z[:, j] = mapped.inverse(np.asarray(y)[:, column])
        return z

    def pushed(self, empirical: bool) -> list[Monotone]:
        """The maps from N(0, 1) to the distribution of each y: for z from the prior, or for the
        actual means.
        """
        if not empirical:
            return list(self.maps)
        return [mapped.after(means) for mapped, means in zip(self.maps, self.means)]

    def predict(self, beta: float, step_factor: float) -> Prediction:
        """`Prediction` of rate and distortion at a step of f sqrt(6 beta).

        The exact excess is `theory.exact_quantizer_rate` at 2 sqrt(3) f sigma_j minus KL_j. It is a
        mean over the stored posteriors, each with its own sigma, and over the dither.
        """
        mean, scale = self.mean.astype(np.float64), self.scale.astype(np.float64)
        rate = theory.dithered_quantizer_rate(mean, step_factor * scale)
        excess = np.mean(rate - (mean**2 + scale**2 - 1) / 2 + np.log(scale), 0) / _LOG2
        kl, coding_loss = self.kl[self.active], len(self.dimensions) * step_factor**2 * beta / 2
        high_rate = kl + theory.QUANTIZATION_BITS - math.log2(step_factor)
        return Prediction(kl, high_rate, kl + excess, self.divergence, coding_loss,
                          self.distortion + step_factor**2 * self.coding_loss)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays for `from_arrays`."""
        kept = {
            name: np.asarray(getattr(self, name))
            for name in _PLAIN if getattr(self, name) is not None
        }
        for name in _MAPS:
            for part in ("x", "y", "slopes") if getattr(self, name) else ():
                kept[f"{name}_{part}"] = np.concatenate(
                    [getattr(mapped, part) for mapped in getattr(self, name)])
                kept[f"{name}_knots"] = np.array([len(mapped.x) for mapped in getattr(self, name)])
        return kept

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Transform":
        """Raises KeyError or ValueError for arrays that are not from a transform."""
        made: dict[str, Any] = {name: arrays.get(name) for name in _PLAIN}
        for name in _MAPS:
            made[name] = None
            if f"{name}_knots" in arrays:
                cuts = np.cumsum(arrays[f"{name}_knots"])[:-1]
                made[name] = tuple(
                    map(Monotone,
                        *(np.split(arrays[f"{name}_{part}"], cuts) for part in ("x", "y")),
                        arrays[f"{name}_slopes"].reshape(-1, 2)))
        for name, kind in (("distortion", float), ("coding_loss", float), ("num_examples", int)):
            made[name] = kind(arrays[name])
        return cls(**made)


_MAPS = ("maps", "means")
_PLAIN = tuple(field.name for field in dataclasses.fields(Transform) if field.name not in _MAPS)


def _checked_active(active, mean_kl):
    if active is None:
        active = posterior.active(mean_kl)
        if not active.any():
            raise ValueError(
                f"No latent dimension is active (each has a mean KL of at most "
                f"{posterior.ACTIVE_KL} nat): the VAE "
                "has collapsed, and there is nothing to code.")
        return active
    active = np.asarray(active)
    if active.dtype != bool or active.shape != mean_kl.shape or not active.any():
        raise ValueError(
            f"active must be booleans [{len(mean_kl)}], some of them true; got {active!r}.")
    return active
