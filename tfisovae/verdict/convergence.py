"""What measured numbers say, in words (NumPy and SciPy only).

`checks` turns measurements into tests, each with a p-value; `judge` decides over all of them
together; `health` and `summary` are the words. An alarm is raised on a stationary model in at most
5 % of all data sets, over all dimensions and all checks together, from 300 independent examples and
for 1 to 256 dimensions (results/verdict/false_alarms.json).
"""
import dataclasses
from collections.abc import Mapping

import numpy as np
import scipy.stats

from tfisovae.verdict.checks import (
    BALANCE,
    FALL,
    GRADIENT,
    LEVEL,
    MEAN,
    MIN_EXAMPLES,
    MIN_GRADIENT_EXAMPLES,
    SECOND,
    TOLERANCE,
    Check,
    Conditions,
    Stationarity,
    checks,
)
from tfisovae.verdict.tests_of_means import LossFall, MeanGradient, holm


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the checks say together.

    Attributes:
      alarms: checks that fail. hints: checks that fail whose conditions are not known to be met.
      broken: checks whose numbers are not finite. undecided: checks for which N is too small.
      apart: checks of held-out examples that fail, where examples of training decide: the two are
        not alike.
      num_examples: N of those that decide. level: of false alarms.
      resolution: the deviation that would have been seen in any dimension with probability 1/2 or
        more; NaN without such checks.
      gradient, fall: as given to `judge`.
      gradient_untold: why the gradient tells nothing of these networks, in words; else "".
    """

    alarms: tuple[Check, ...]
    hints: tuple[Check, ...]
    broken: tuple[Check, ...]
    undecided: tuple[Check, ...]
    num_examples: int | None
    level: float
    resolution: float
    gradient: MeanGradient | None = None
    fall: LossFall | None = None
    annealed: bool = False
    apart: tuple[Check, ...] = ()
    gradient_untold: str = ""

    @property
    def unfinished(self) -> bool:
        """Whether training is shown not to be stationary."""
        return bool(self.alarms or self.broken)


def judge(stationarity: Stationarity | None = None, conditions: Conditions | None = None,
          gradient: MeanGradient | None = None, fall: LossFall | None = None,
          num_train: int | None = None, annealed: bool = False, tolerance: float = TOLERANCE,
          level: float = LEVEL, losses: Mapping[str, float] | None = None,
          training: Stationarity | None = None) -> Verdict:
    """Decides over all checks together: `Verdict`. Where there are both, half of the false alarms
    allowed are for the checks of dimensions and half for those of the whole network; among each,
    Holm's adjustment.

    The arguments are those of `checks`, the level of false alarms, means by their names which only
    have to be finite, and `training`, the `Stationarity` of examples of training, where
    `stationarity` is of held-out ones or `None`. An optimum is that of its training examples: they
    then decide, and held-out ones, which may be of another kind, or strange to a model that has
    learned its own by heart, are told apart.
    """
    apart: tuple[Check, ...] = ()
    unmeasured: tuple[Check, ...] = ()
    if stationarity is None:
        stationarity, num_train = training, None
    elif training is not None:
        held_out = judge(stationarity, conditions, num_train=num_train, tolerance=tolerance,
                         level=level)
        apart, unmeasured, stationarity, num_train = held_out.alarms, held_out.broken, training, None
    all_checks = checks(stationarity, conditions, gradient, fall, num_train, annealed, tolerance)
    all_checks += [
        Check(name, None, float(value), 0.0, 0.0, 0.0, 1.0, False)
        for name, value in (losses or {}).items()
    ]
    count = None if stationarity is None else stationarity.num_examples
    broken = unmeasured + tuple(c for c in all_checks if not c.finite)
    usable = [c for c in all_checks if c.finite]
    enough = count is None or count >= MIN_EXAMPLES
    undecided = tuple(
        c for c in usable if not c.decided or (c.dimension is not None and not enough))
    left_out = set(map(id, undecided))
    usable = [c for c in usable if id(c) not in left_out]
    firm = [c for c in usable if c.applies and c.dimension is not None]
    soft, network = [c for c in usable if not c.applies], [
        c for c in usable if c.applies and c.name in (GRADIENT, FALL)
    ]
    # The one number of the whole network weighs as much as those of all dimensions together: it is
    # the one that sees most.
    share = level / 2 if firm and network else level

    def failing(some, part):
        return tuple(
            c for c, p in zip(some, holm([c.p_value for c in some])) if p < part and c.matters)

    alarms, hints = failing(firm, share) + failing(network, share), failing(soft, level)
    seen = [c for c in usable if c.dimension is not None]
    quantile = scipy.stats.norm.isf((share if firm else level) / 2 / max(1, len(firm) or len(soft)))
    resolution = max((max(tolerance, quantile * c.standard_error) for c in seen),
                     default=float("nan"))
    untold = conditions.gradient_why if conditions is not None and gradient is not None and not conditions.gradient else ""
    return Verdict(alarms, hints, broken, undecided, count, level, resolution, gradient, fall,
                   annealed, apart, untold)


def _listed(some):
    """The worst of each kind of check, in words."""
    said = []
    for name in dict.fromkeys(c.name for c in some):
        same = [c for c in some if c.name == name]
        worst = max(same, key=lambda c: abs(c.value - c.expected) if c.finite else np.inf)
        if worst.dimension is None:
            said += [] if worst.finite else [f"{name} is not finite"]
            said += [f"{name} stands out of its noise"
                     ] if worst.finite and not worst.applies else []
            continue
        others = f" (and of {len(same) - 1} more)" if len(same) > 1 else ""
        number = f"{worst.value:.3f} +- {worst.standard_error:.3f}, not {worst.expected:g}" if worst.finite else "not finite"
        said.append(f"{name} of z_{worst.dimension} is {number}{others}")
    return said


def _training(verdict):
    """(whether it is finished, in a few words; what shows it; what to do)."""
    names = {c.name for c in verdict.alarms}
    said, gradient, fall = _listed(verdict.alarms), verdict.gradient, verdict.fall
    if FALL in names:
        how = "still falls" if fall.fall > 0 else "rises"
        said.append(
            f"the loss {how}, by {abs(fall.fall):.3g} +- {fall.standard_error:.1g} nats over "
            f"steps {fall.first_step} to "
            f"{fall.last_step}")
    if GRADIENT in names:
        size = (f", as large as the noise of a batch of {gradient.noise_scale:.3g} examples"
                if np.isfinite(gradient.noise_scale) else ", in its flat directions alone")
        said.append(f"the mean gradient stands out of its noise (p {gradient.p_value:.1g}{size})")
    falls = fall is not None and fall.fall > 0 and fall.p_value < verdict.level
    if GRADIENT in names and verdict.annealed and falls:  # how much there may be to gain
        said.append(
            f"over steps {fall.first_step} to {fall.last_step} the loss fell by {fall.fall:.3g} +- "
            f"{fall.standard_error:.1g} nats")
    if GRADIENT in names and FALL not in names and fall is not None and not verdict.annealed and fall.is_over:
        said.append(
            f"the loss no longer falls ({fall.fall:.2g} +- {fall.standard_error:.1g} nats over "
            f"the last third)"
        )
        return "JITTERS", said, "average the weights, or let learning_rate fall to 0"
    advice = "train longer; let learning_rate fall to 0 at the end, not before"
    # Shift and scale take no training; the rest is then to be seen.
    if names & {MEAN, SECOND} and BALANCE not in names:
        advice = (
            "tfisovae.standardize_latents(vae, training_examples), unless that was done or the "
            "networks forbid it, and "
            f"measure again, the mean gradient too; else {advice}")
    return "NOT CONVERGED", said, advice


def health(verdict: Verdict, num_active: int | None = None, rate: float = float("nan")) -> str:
    """Whether training has converged, in a line of plain words.

    Args:
      verdict: of `judge`.
      num_active: number of active dimensions, where it is known.
      rate: E[KL], nats.
    """
    if verdict.apart:
        alone = health(dataclasses.replace(verdict, apart=()), num_active, rate)
        return (
            f"{alone} On the held-out examples {'; '.join(_listed(verdict.apart))}: they are not "
            f"as those of training, but of "
            "another kind, or strange to a model that knows its own by heart.")
    if verdict.broken:
        return f"NOT FINITE: {'; '.join(_listed(verdict.broken))}. Nothing else here is a measurement."
    if num_active == 0:
        return f"Collapsed: no dimension carries information (rate {rate:.3f} nats). Raise lmbda, or lower learning_rate."
    if verdict.alarms:
        state, said, advice = _training(verdict)
        return f"{state}: {'; '.join(said)}. To do: {advice}."
    if verdict.num_examples is not None and verdict.num_examples < MIN_EXAMPLES:
        return f"No verdict: {too_few(verdict.num_examples, MIN_EXAMPLES)}"
    if verdict.hints:
        why = "; ".join(dict.fromkeys(c.why for c in verdict.hints))
        at_rest = (verdict.gradient is not None
                   and verdict.gradient.num_examples >= MIN_GRADIENT_EXAMPLES
                   and not verdict.gradient_untold)
        return (
            f"UNDECIDED: {'; '.join(_listed(verdict.hints))}. This would be a sign against "
            f"convergence if the networks were "
            f"known to be such that it must be so at the optimum ({why})." +
            (" The mean gradient is within its noise, which speaks for convergence."
             if at_rest else ""))
    heavy = sorted({c.dimension for c in verdict.undecided if c.dimension is not None})
    heavy = f" Undecided, since a few examples make up the moments of {_dimensions(heavy)}: measure more." if heavy else ""
    seen = (
        f" Deviations above {verdict.resolution:.2g} of E[mu], E[mu^2 + sigma^2] and the balance "
        f"would have been seen."
        if np.isfinite(verdict.resolution) else "")
    if verdict.gradient_untold:
        return (
            "No sign against convergence in scale, shift and noise, which come to rest long "
            "before the rest of the network, of "
            f"which the mean gradient tells nothing here: {verdict.gradient_untold}.{seen}{heavy}")
    if verdict.gradient is None or verdict.gradient.num_examples < MIN_GRADIENT_EXAMPLES:
        return (
            "No sign against convergence in scale, shift and noise, which come to rest long "
            "before the rest of the network: "
            f"measure the mean gradient too, on {MIN_GRADIENT_EXAMPLES} examples of training or "
            f"more.{seen}{heavy}"
        )
    still = "" if verdict.fall is None or verdict.annealed or not verdict.fall.is_over else ", and the loss no longer falls"
    return f"Converged, as far as the examples show: the mean gradient is within its noise{still}.{seen}{heavy}"


def too_few(count: int, needed: int) -> str:
    """That so many examples tell nothing, and how many are needed, in words."""
    few = "1 example is" if count == 1 else f"{count} examples are"
    return f"{few} too few to tell, measure {needed} or more."


def _dimensions(some):
    return ", ".join(f"z_{j}"
                     for j in some[:4]) + (f" and {len(some) - 4} more" if len(some) > 4 else "")
