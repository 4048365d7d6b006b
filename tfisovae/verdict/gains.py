"""How many nats there are still to gain, and how sure that is (NumPy and SciPy only)."""
import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from tfisovae.verdict.tests_of_means import Moments, numbers_of

Z = 1.959964  # standard errors on each side of an interval of 95 %
LEAST_MARGIN = 0.1  # nats
MARGIN_SHARE = 0.005  # of the loss that training can change


class GainKind(enum.Enum):
    """Where a gain comes from."""

    DOUBLING = "doubling"  # training for as many steps again
    PROBE = "probe"  # training for fewer steps: a lower bound for a doubling
    DEAD = "dead_dimensions"  # using the latent dimensions that carry nothing
    SCALE = "standardizing"  # giving each z_j mean 0 and second moment 1
    BALANCE = "balance"  # giving each posterior the right width


@dataclasses.dataclass(frozen=True)
class Gain:
    """Nats that the loss can fall by, with the standard error of this number.

    Attributes:
      kind: `GainKind`.
      value, standard_error: nats. What the noise of the estimate adds on average is subtracted, so
        a value may be slightly negative.
      steps: of a probe. spread: the deviation between seeds of a probe; NaN for one seed.
      num_seeds: of a probe.
    """

    kind: GainKind
    value: float = math.nan
    standard_error: float = math.nan
    steps: int | None = None
    spread: float = math.nan
    num_seeds: int | None = None

    @property
    def interval(self) -> tuple[float, float]:
        """The interval of 95 %, nats."""
        return self.value - Z * self.standard_error, self.value + Z * self.standard_error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Gain":
        """From `Verdict.to_dict`."""
        kinds = {"kind": GainKind, "steps": int, "num_seeds": int}
        return cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})


@dataclasses.dataclass(frozen=True)
class Residual:
    """What the means leave of the data, along its leading directions.

    Attributes:
      variance, standard_error: what one linear dimension along each of the leading directions
        removes from D, `[k]`: the variance there in the metric of D, where that is constant.
      free: how many latent dimensions carry nothing of their own.
      floor: h = beta / 2, above which a linear dimension pays.
      num_examples: N.
    """

    variance: np.ndarray
    standard_error: np.ndarray
    free: int
    floor: float
    num_examples: int

    @property
    def worth(self) -> np.ndarray:
        """What a linear dimension along each direction gains, nats, `[k]`:
        (l / h - 1 - log(l / h)) / 2 for a variance l above h, and 0 below.
        """
        ratio = np.maximum(self.variance / self.floor, 1)
        return (ratio - 1 - np.log(ratio)) / 2

    @property
    def worth_error(self) -> np.ndarray:
        """The standard error of `worth`, `[k]`."""
        ratio = np.maximum(self.variance / self.floor, 1)
        return (1 - 1 / ratio) / 2 * self.standard_error / self.floor

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Residual":
        """From `dataclasses.asdict`, as JSON holds it."""
        return cls(*(np.array(values[name], np.float64) for name in ("variance", "standard_error")),
                   int(values["free"]), float(values["floor"]), int(values["num_examples"]))


@dataclasses.dataclass(frozen=True)
class Probe:
    """What a copy of a trained model gained when it was trained on.

    Attributes:
      steps: of the probe. trained_steps: of the training before it; `None` where that is unknown.
      seed: of the probe's batches and noise.
      before, after: the mean loss before and after, nats.
      gain, standard_error: `before - after`, paired over the examples: nats.
      num_examples: of training, over which the losses are means.
      averaged_gain, averaged_standard_error: how much lower the loss of the averaged weights is
        than that of the last weights, nats. NaN where the learning rate falls to 0, or the recipe
        averages the weights itself.
    """

    steps: int
    trained_steps: int | None
    seed: int
    before: float
    after: float
    gain: float
    standard_error: float
    num_examples: int
    averaged_gain: float = math.nan
    averaged_standard_error: float = math.nan

    @property
    def doubles(self) -> bool:
        """Whether the probe was as long as the training before it."""
        return self.trained_steps is not None and self.steps >= self.trained_steps

    @classmethod
    def of(cls, steps: int, trained_steps: int | None, seed: int, before: npt.ArrayLike,
           after: npt.ArrayLike, averaged: npt.ArrayLike | None = None) -> "Probe":
        """Of the losses of the same examples with the same noise, `[N]` each."""
        def paired(one, other):
            fall = np.asarray(one, np.float64) - np.asarray(other, np.float64)
            return float(fall.mean()), float(fall.std(ddof=1) / math.sqrt(len(fall)))

        more = () if averaged is None else paired(after, averaged)
        return cls(steps, trained_steps, seed, float(np.mean(before)), float(np.mean(after)),
                   *paired(before, after), len(np.asarray(before)), *more)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Probe":
        """From `dataclasses.asdict`, as JSON holds it: what was not finite is `None` there."""
        whole = ["steps", "seed", "num_examples"]
        if values["trained_steps"] is not None:
            return cls(**numbers_of(values, [*whole, "trained_steps"]))
        return cls(**numbers_of(values, whole) | {"trained_steps": None})


def margin(loss: float = math.nan, irreducible: float = 0.0) -> float:
    """Gains up to this do not matter, nats: the larger of .1 nat and .5 % of the loss.

    Args:
      loss: nats. irreducible: lmbda D(x, x), nats, which no training can change.
    """
    share = MARGIN_SHARE * (loss - irreducible)
    return max(LEAST_MARGIN, share) if math.isfinite(share) else LEAST_MARGIN


def of_probes(probes: Iterable[Probe]) -> Gain | None:
    """The gain that the longest probes show, the mean over their seeds.

    The standard error covers the examples, and the spread between seeds where there are two or
    more. A probe that is shorter than the training shows a lower bound, which is never below 0.
    """
    found = _over_seeds(probes, lambda probe: (probe.gain, probe.standard_error))
    if found is not None and found.kind is GainKind.PROBE:
        return dataclasses.replace(found, value=max(0.0, found.value))
    return found


def of_averages(probes: Iterable[Probe]) -> Gain | None:
    """How much lower the loss of averaged weights is, where the longest probes measured that."""
    return _over_seeds([probe for probe in probes if math.isfinite(probe.averaged_gain)],
                       lambda probe: (probe.averaged_gain, probe.averaged_standard_error))


def _over_seeds(probes, numbers):
    probes = list(probes)
    if not probes:
        return None
    steps = max(probe.steps for probe in probes)
    same = [probe for probe in probes if probe.steps == steps]
    values, errors = np.array([numbers(probe) for probe in same]).T
    count, spread, error = len(same), math.nan, float(np.sqrt(np.mean(errors**2)))
    if count > 1:
        spread = float(values.std(ddof=1))
        # Student's quantile for so few seeds, in units of the normal one.
        wider = scipy.stats.t.isf(0.025, count - 1) / Z
        error = math.hypot(error, wider * spread / math.sqrt(count))
    kind = GainKind.DOUBLING if all(probe.doubles for probe in same) else GainKind.PROBE
    return Gain(kind, float(values.mean()), error, steps, spread, count)


def of_dead(residual: Residual) -> Gain:
    """What the free dimensions could gain: an estimate, as an unfinished decoder leaves residuals
    too.
    """
    worth, errors = residual.worth[:residual.free], residual.worth_error[:residual.free]
    return Gain(GainKind.DEAD, float(worth.sum()), float(np.sqrt(np.sum(errors**2))))


def of_scale(mean: Moments, second: Moments, among: np.ndarray) -> Gain:
    """What `tfisovae.standardize_latents` gains over the dimensions `among`.

    With m = E[mu] and q = E[mu^2 + sigma^2] it is (q - 1 - log(q - m^2)) / 2 for each.
    """
    m, q = mean.mean[among], second.mean[among]
    variance = np.maximum(q - m**2, 1e-300)
    noise = np.stack([second.standard_error[among] ** 2 / 4, mean.standard_error[among] ** 2 / 2])
    slopes = np.stack([(1 - 1 / variance) / 2 * second.standard_error[among],
                       m / variance * mean.standard_error[among]])
    return _closed_form(GainKind.SCALE, (q - 1 - np.log(variance)) / 2, slopes, noise)


def of_balance(difference: Moments, among: np.ndarray) -> Gain:
    """What the right posterior widths gain over the dimensions `among`: (u - 1 - log u) / 2 for
    each, u = 1 + (b - 1) (1 - sigma^2), b the ratio of the posterior balance.
    """
    u = np.maximum(1 + difference.mean[among], 1e-300)
    noise = difference.standard_error[among] ** 2 / 4
    slopes = (1 - 1 / u) / 2 * difference.standard_error[among]
    return _closed_form(GainKind.BALANCE, (u - 1 - np.log(u)) / 2, slopes, noise)


def _closed_form(kind, values, slopes, noise):
    """The `Gain` of a sum of `values`, each the square of something measured.

    The `noise` of a measurement adds to the mean of its square, and is subtracted. The variance is
    that of the square of a normal variable: slope^2 where the gain is large, 2 noise^2 where it is
    0, and the measured slope has noise of its own.
    """
    least = 2 * float(np.sum(noise**2))
    variance = max(float(np.sum(slopes**2)) - least, least)
    return Gain(kind, float(values.sum() - noise.sum()), math.sqrt(variance))
