"""Tests of measured numbers: each test compares one number with its value at the optimum."""
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from tfisovae.verdict.states import Cause
from tfisovae.verdict.tests_of_means import LossFall, MeanGradient, Moments, holm

# Rate of false alarms, over all checks of one kind together. The kinds are: checks that must hold,
# checks that may hold, and differences between held-out and training examples.
LEVEL = 0.05
# Smaller deviations of E[mu], E[mu^2 + sigma^2] and the posterior balance do not matter.
TOLERANCE = 0.05
# A smaller fall of the loss over the last third of a training does not matter.
FALL_TOLERANCE = 0.001
# The smallest N at which the simulated false alarms stay below LEVEL for exponential means, n up to
# 256.
MIN_EXAMPLES = 300
# Below this, no simulation gives the false alarms of the mean gradient.
MIN_GRADIENT_EXAMPLES = 4000
# Factor for p-values of older versions, which came from sign flips.
_FLIPS_CAUTION = 3
# E[mu^2 + sigma^2] is not judged if the kurtosis of mu exceeds this limit at up to 1,000 examples,
# or this times (N / 1000)^(1/4) at more. Gaussians have 3. Student's t with 3 degrees nearly always
# has more than the limit.
_HEAVY_MU, _HEAVY_MU_AT = 4.5, 1000
# As a share of 1 - sigma^2. If so much of the second moment is missing, rare examples outside of
# this sample may carry it.
_MISSING = 0.5
# Nats. In dimensions with more KL, both sides of the posterior balance differ from 0.
STRONG_KL = 0.1
# The names of the checks.
MEAN, SECOND, BALANCE = "E[mu]", "E[mu^2 + sigma^2]", "the posterior balance"
GRADIENT, FALL = "the mean gradient", "the fall of the loss"


@dataclasses.dataclass(frozen=True)
class Why:
    """Why a test applies to a model or not, as data; `tfisovae.verdict.model_words` has the words.

    Attributes:
      cause: `Cause`.
      part: "encoder" or "decoder", if the cause lies in one of them.
      layer, kind, dtype: of a layer: its name, its class, and the type it computes in.
      said: the words of an older version.
    """

    cause: Cause
    part: str = ""
    layer: str = ""
    kind: str = ""
    dtype: str = ""
    said: str = ""

    @classmethod
    def from_saved(cls, value: Mapping[str, str] | str) -> "Why":
        """From `dataclasses.asdict`, as JSON holds it, or from the words of an older version."""
        if isinstance(value, str):
            return cls(Cause.IN_WORDS, said=value)
        return cls(**{**value, "cause": Cause(value["cause"])})


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Whether each stationarity must hold at the optimum of these networks: `True`, `False`, or
    `None` if unknown.

    Attributes:
      moments: of E[mu] = 0 and E[mu^2 + sigma^2] = 1.
      balance: of the posterior balance.
      gradient: of the mean gradient, as `mean_gradient.block_gradients` computes it.
      moments_why, balance_why, gradient_why: `Why`, or `None` without a reason.
    """

    moments: bool | None = None
    moments_why: Why | None = Why(Cause.NETWORKS_UNKNOWN)
    balance: bool | None = None
    balance_why: Why | None = Why(Cause.ENCODER_UNKNOWN)
    gradient: bool | None = True
    gradient_why: Why | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Conditions":
        """From `dataclasses.asdict`, as JSON holds it."""
        return cls(**{name: (Why.from_saved(value) if value else None) if name.endswith("_why")
                      else value for name, value in values.items()})


@dataclasses.dataclass(frozen=True)
class Stationarity:
    """Measured moments that have known values at the optimum of every VAE (PAPER_NOTES 3). Vectors
    are `[n]`.

    Attributes:
      latent_mean: `Moments` of mu_j, 0 at the optimum.
      latent_second_moment: `Moments` of mu_j^2 + sigma_j^2, 1 at the optimum.
      balance_difference: `Moments` of eps_j sigma_j dD/dz_j / beta - (1 - sigma_j^2), 0 at the
        optimum.
      one_minus_variance: E[1 - sigma_j^2].
      strong: whether the balance is checked. On dimensions below `STRONG_KL` both of its sides are
        near 0.
    """

    latent_mean: Moments
    latent_second_moment: Moments
    balance_difference: Moments
    one_minus_variance: np.ndarray
    strong: np.ndarray

    @property
    def num_examples(self) -> int:
        return self.latent_mean.num_examples

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Stationarity":
        """From `dataclasses.asdict`, as JSON holds it."""
        moments = {name: Moments.from_dict(values[name])
                   for name in ("latent_mean", "latent_second_moment", "balance_difference")}
        return cls(**moments, strong=np.array(values["strong"], bool),
                   one_minus_variance=np.array(values["one_minus_variance"], np.float64))


@dataclasses.dataclass(frozen=True)
class Check:
    """The test of one number against its expected value.

    Attributes:
      name: of the number.
      dimension: j, or `None` for the whole network.
      value, expected, standard_error: in the unit of `name`.
      skewness: of the examples; `value` is their mean.
      p_value: of the hypothesis that the value is as expected, for this test alone.
      matters: whether the deviation exceeds the tolerance.
      applies: whether its conditions are met; `None` if unknown. Only `True` makes it more than a
        hint.
      why: of `applies`.
      decided: `False` if a few examples carry the variance, or may be missing. Then no p-value
        means anything.
    """

    name: str
    dimension: int | None
    value: float
    expected: float
    standard_error: float
    skewness: float
    p_value: float
    matters: bool
    applies: bool | None = True
    why: Why | None = None
    decided: bool = True

    @property
    def finite(self) -> bool:
        return bool(np.isfinite([self.value, self.standard_error]).all())


def overall_balance(balance: npt.ArrayLike, one_minus_variance: npt.ArrayLike,
                    active: npt.ArrayLike) -> float:
    """sum_j E[eps_j sigma_j dD/dz_j] / sum_j beta E[1 - sigma_j^2] over the active dimensions.

    Args:
      balance: of each dimension, `[n]`.
      one_minus_variance: E[1 - sigma_j^2], `[n]`.
      active: which dimensions are active, `[n]`.

    Returns:
      A number, 1 at the optimum. NaN if no dimension is active, or all posteriors are as wide as
      the prior. (The weakest dimensions would dominate a mean of the ratios.)
    """
    active = np.asarray(active, bool)
    weights = np.asarray(one_minus_variance)[active]
    if not weights.any():
        return float("nan")
    return float(np.where(weights, np.asarray(balance)[active], 0) @ weights / weights.sum())


def overall_balance_error(work: npt.ArrayLike, one_minus_variance: npt.ArrayLike,
                          active: npt.ArrayLike, num_examples: int) -> float:
    """The standard error of `overall_balance`, for independent examples.

    Args:
      work: eps_j sigma_j dD/dz_j / beta, `[N, n]`, of all examples or of some.
      one_minus_variance: 1 - sigma_j^2, `[N, n]`.
      active: which dimensions, `[n]`.
      num_examples: of the mean.
    """
    work, target = (np.asarray(part, np.float64)[:, np.asarray(active, bool)].sum(1)
                    for part in (work, one_minus_variance))
    if not target.sum():  # no dimension is active, or all posteriors are as wide as the prior
        return float("nan")
    left = work - work.sum() / target.sum() * target
    return float(np.sqrt(np.mean(left**2) / num_examples) / abs(target.mean()))


def checks(stationarity: Stationarity | None, conditions: Conditions | None = None,
           gradient: MeanGradient | None = None, fall: LossFall | None = None,
           num_train: int | None = None, annealed: bool = False,
           tolerance: float = TOLERANCE) -> list[Check]:
    """The tests of measured numbers, one for each dimension and kind.

    Args:
      stationarity: `Stationarity`, or `None`.
      conditions: `Conditions`; unknown by default. Then all tests but the gradient and the fall are
        hints.
      gradient: `tfisovae.verdict.tests_of_means.MeanGradient` over examples of training, or `None`.
      fall: `tfisovae.verdict.tests_of_means.LossFall` of the training, or `None`.
      num_train: size of the training set, if the examples are held out. The optimum belongs to
        other examples, so errors are wider by sqrt(1 + N / num_train).
      annealed: whether the learning rate ended at 0. Then the loss has stopped falling.
      tolerance: deviations up to this do not matter.

    Returns:
      List of `Check`.
    """
    found, conditions = [], conditions or Conditions()
    if stationarity is not None:
        target = np.asarray(stationarity.one_minus_variance, np.float64)
        n, strong = len(target), np.flatnonzero(
            np.asarray(stationarity.strong) | ~np.isfinite(target))
        moments, why = conditions.moments, conditions.moments_why
        parts = [(MEAN, stationarity.latent_mean, 0.0, np.ones(n), range(n), moments, why),
                 (SECOND, stationarity.latent_second_moment, 1.0, np.ones(n), range(n), moments,
                  why),
                 (BALANCE, stationarity.balance_difference, 0.0, np.where(
                     target == 0, 1, target), strong, conditions.balance, conditions.balance_why)]
        missing, heavy_mu = _missing(stationarity, tolerance), _heavy_mu(stationarity.latent_mean)
        for name, values, expected, unit, rows, applies, why in parts:
            values = values.held_out(num_train)
            p = values.p_value(expected, squares=name == SECOND)
            error, undecided = values.standard_error, values.heavy
            if name == SECOND:
                undecided = undecided | heavy_mu
            # Examples of a collapsed dimension differ too little to matter.
            undecided = undecided & (values.standard_deviation > tolerance * np.abs(unit))
            if name != BALANCE:
                undecided = undecided | missing
            # A ratio is easier to read than a difference.
            shown = 1.0 if name == BALANCE else expected
            for j in rows:
                off = (values.mean[j] - expected) / unit[j]
                found.append(
                    Check(name, int(j), float(shown + off), shown, float(error[j] / abs(unit[j])),
                          float(values.skewness[j]), float(p[j]), bool(abs(off) > tolerance),
                          applies, why, not undecided[j]))
    if gradient is not None:
        caution = _FLIPS_CAUTION if math.isnan(gradient.kurtosis) else 1
        found.append(
            Check(GRADIENT, None, gradient.squared_norm, 0.0, gradient.standard_error, 0.0,
                  min(1.0, caution * gradient.p_value), True, conditions.gradient,
                  conditions.gradient_why,
                  gradient.num_examples >= MIN_GRADIENT_EXAMPLES and not gradient.heavy))
    if fall is not None and not annealed:
        matters = not abs(fall.fall) <= FALL_TOLERANCE * abs(fall.loss)
        found.append(
            Check(FALL, None, fall.fall, 0.0, fall.standard_error, 0.0, fall.p_value, matters,
                  decided=fall.decided))
    return found


def differences(held_out: list[Check], training: list[Check], level: float = LEVEL,
                tolerance: float = TOLERANCE) -> list[Check]:
    """Where two sets of examples differ in the numbers of `checks`: two-sample tests with Holm's
    adjustment.

    Args:
      held_out, training: the `checks` of each.
      level: of false alarms, over all of them.
      tolerance: differences up to this do not matter.

    Returns:
      Checks of held-out examples. The expected values are the means of the training examples.
    """
    known = {(check.name, check.dimension): check for check in training}
    pairs = [(one, known[one.name, one.dimension]) for one in held_out
             if one.dimension is not None and (one.name, one.dimension) in known]
    found = []
    for one, other in pairs:
        if not (one.finite and other.finite and one.decided and other.decided):
            continue
        error, off = math.hypot(one.standard_error, other.standard_error), one.value - other.value
        p = 2 * float(scipy.stats.norm.sf(abs(off) / error)) if error else float(off == 0)
        found.append(dataclasses.replace(one, expected=other.value, standard_error=error,
                                         p_value=p, matters=abs(off) > tolerance))
    adjusted = holm([check.p_value for check in found])
    return [check for check, p in zip(found, adjusted) if p < level and check.matters]


def _missing(stationarity, tolerance):
    """Where more than half of the second moment of an optimum is missing, `[n]`."""
    target = np.asarray(stationarity.one_minus_variance, np.float64)
    off = stationarity.latent_second_moment.mean - 1
    return off < -np.maximum(tolerance, _MISSING * target)


def _heavy_mu(moments):
    """Where the tails of mu_j^2 are too heavy to estimate its mean, `[n]`."""
    if moments.kurtosis is None:
        return np.zeros(len(moments.mean), bool)
    return moments.kurtosis > _HEAVY_MU * max(1, moments.num_examples / _HEAVY_MU_AT)**0.25
