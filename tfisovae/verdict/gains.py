"""How many nats are still to gain, with standard errors (NumPy and SciPy only)."""
import dataclasses
import enum
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from tfisovae.verdict.tests_of_means import Moments, numbers_of

Z = 1.959964  # standard errors on each side of a 95 % interval
LEAST_MARGIN = 0.1  # nats
MARGIN_SHARE = 0.005  # of the loss that training can change


class GainKind(enum.Enum):
    """Where a gain comes from."""

    DOUBLING = "doubling"  # training for as many steps again
    PROBE = "probe"  # training for fewer steps: a lower bound for a doubling
    DEAD = "dead_dimensions"  # using the latent dimensions that carry nothing
    SCALE = "standardizing"  # giving each z_j mean 0 and second moment 1
    BALANCE = "balance"  # giving each posterior the right width


OF_TRAINING = (GainKind.DOUBLING, GainKind.PROBE)


@dataclasses.dataclass(frozen=True)
class Gain:
    """How far the loss can fall, in nats, with a standard error.

    Attributes:
      kind: `GainKind`.
      value, standard_error: nats. The average contribution of the estimate's noise is subtracted,
        so a value may be slightly negative.
      steps: of a probe.
      spread: the standard deviation over the seeds of a probe; NaN for one seed.
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
        """The 95 % interval, nats."""
        return self.value - Z * self.standard_error, self.value + Z * self.standard_error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Gain":
        """From `Verdict.to_dict`."""
        kinds = {"kind": GainKind, "steps": int, "num_seeds": int}
        return cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})


@dataclasses.dataclass(frozen=True)
class Residual:
    """The data's variance that the means do not explain, along its leading directions.

    Attributes:
      variance, standard_error: how much one linear dimension along each leading direction lowers D,
        `[k]`: the variance there in the metric of D, if that is constant.
      free: how many latent dimensions are unused.
      floor: h = beta / 2; a linear dimension pays above it.
      num_examples: N.
    """

    variance: np.ndarray
    standard_error: np.ndarray
    free: int
    floor: float
    num_examples: int

    @property
    def worth(self) -> np.ndarray:
        """The gain of a linear dimension along each direction, nats, `[k]`: (l / h - 1 - log(l /
        h)) / 2 for a variance l above h, and 0 below.
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
    """The gain of a copy of a trained model in further training.

    Attributes:
      steps: of the probe.
      trained_steps: of the training before it; `None` if unknown.
      seed: of the probe's batches and noise.
      before, after: the mean loss before and after, nats.
      gain, standard_error: `before - after`, paired over the examples: nats.
      num_examples: number of training examples behind the mean losses.
      averaged_gain, averaged_standard_error: how much lower the loss is with averaged weights than
        with the last weights, nats. NaN if the learning rate falls to 0, or the recipe averages the
        weights itself.
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
        """From losses of the same examples with the same noise, `[N]` each."""
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
    """Gains below this do not matter, nats: the larger of .1 nat and .5 % of the loss.

    Args:
      loss: nats.
      irreducible: lmbda D(x, x), nats, which no training can change.
    """
    share = MARGIN_SHARE * (loss - irreducible)
    return max(LEAST_MARGIN, share) if math.isfinite(share) else LEAST_MARGIN


def of_probes(probes: Iterable[Probe]) -> Gain | None:
    """The mean gain of the longest probes, over their seeds.

    The standard error covers the examples, and differences between seeds if there are two or more.
    A probe that is shorter than the training gives a lower bound, which is never below 0.
    """
    found = _over_seeds(probes, lambda probe: (probe.gain, probe.standard_error))
    if found is not None and found.kind is GainKind.PROBE:
        return dataclasses.replace(found, value=max(0.0, found.value))
    return found


def of_averages(probes: Iterable[Probe]) -> Gain | None:
    """How much lower the loss of averaged weights is, if the longest probes measured it."""
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
        # Student's quantile for this number of seeds, relative to the normal one.
        wider = scipy.stats.t.isf(0.025, count - 1) / Z
        error = math.hypot(error, wider * spread / math.sqrt(count))
    kind = GainKind.DOUBLING if all(probe.doubles for probe in same) else GainKind.PROBE
    return Gain(kind, float(values.mean()), error, steps, spread, count)


def of_dead(residual: Residual) -> Gain:
    """How much the free dimensions could gain. It is an estimate: an unfinished decoder leaves
    residuals too.
    """
    worth, errors = residual.worth[:residual.free], residual.worth_error[:residual.free]
    return Gain(GainKind.DEAD, float(worth.sum()), float(np.sqrt(np.sum(errors**2))))


def of_scale(mean: Moments, second: Moments, among: np.ndarray) -> Gain:
    """The gain by `tfisovae.standardize_latents` over the dimensions `among`.

    With m = E[mu] and q = E[mu^2 + sigma^2] it is (q - 1 - log(q - m^2)) / 2 for each.
    """
    m, q = mean.mean[among], second.mean[among]
    variance = np.maximum(q - m**2, 1e-300)
    noise = np.stack([second.standard_error[among] ** 2 / 4, mean.standard_error[among] ** 2 / 2])
    slopes = np.stack([(1 - 1 / variance) / 2 * second.standard_error[among],
                       m / variance * mean.standard_error[among]])
    return _closed_form(GainKind.SCALE, (q - 1 - np.log(variance)) / 2, slopes, noise)


def of_balance(difference: Moments, among: np.ndarray) -> Gain:
    """The gain by the right posterior widths over the dimensions `among`: (u - 1 - log u) / 2 for
    each. Here u = 1 + (b - 1) (1 - sigma^2), and b is the ratio of the posterior balance.
    """
    u = np.maximum(1 + difference.mean[among], 1e-300)
    noise = difference.standard_error[among] ** 2 / 4
    slopes = (1 - 1 / u) / 2 * difference.standard_error[among]
    return _closed_form(GainKind.BALANCE, (u - 1 - np.log(u)) / 2, slopes, noise)


def _closed_form(kind, values, slopes, noise):
    """The `Gain` of a sum of `values`, each the square of something measured.

    The `noise` of a measurement adds to the mean of its square, and is subtracted. A squared normal
    variable has the variance slope^2 if the gain is large, and 2 noise^2 if it is 0. The measured
    slope has noise of its own.
    """
    least = 2 * float(np.sum(noise**2))
    variance = max(float(np.sum(slopes**2)) - least, least)
    return Gain(kind, float(values.sum() - noise.sum()), math.sqrt(variance))
