"""Whether the latent space is an isometric copy of the data (NumPy and SciPy only)."""
import dataclasses
import enum
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.stats

from tfisovae.verdict.checks import STRONG_KL
from tfisovae.verdict.states import IsometryState

CLOSE = 0.10  # relative errors of lengths and of flatness up to this count as isometric
SHARE = 0.05  # of the examples that may be further off
ERROR_RATE = 0.05  # of "isometric" at a share above `SHARE`, and of "not isometric" below it
_Z = 1.644854  # standard errors for this rate
_UNDECIDED = "undecided"
FEW = 100  # with fewer examples the embedding is not judged


# Of a measured `tfisovae.metrics.stretch.Stretch`.
_STRETCH = ("error_median", "error_95", "error_largest", "longest", "shortest", "error_95_bound",
            "share_off", "share_off_bound")


class Part(enum.Enum):
    """The parts of the test for an isometric embedding."""

    STRETCH = "stretch"  # no direction is longer or shorter
    LENGTHS = "lengths"  # along the axes
    ANGLES = "right_angles"
    FLATNESS = "flatness"
    POSTERIOR = "posterior"  # no wider than the prior


@dataclasses.dataclass(frozen=True)
class Isometry:
    """The verdict on the embedding, over the judged dimensions. NaN means not measured.

    At each example, `error` is the largest |sqrt(eigenvalue) - 1| of Gamma relative to 1 - sigma^2
    (`tfisovae.metrics.stretch`). The embedding is isometric if its 95th percentile over all inputs
    and `unexplained` are at most `CLOSE`. Both answers are wrong with a probability of at most 5 %
    for each part, for independent examples: the share of examples with a larger error has an exact
    binomial interval (Clopper and Pearson), `unexplained` a standard error. Between the two limits
    the embedding is not judged. Without eigenvalues, norms and mean cosines can show that it is not
    isometric. They can show that it is isometric only if such cosines cannot stretch any direction
    by more than `CLOSE`. With estimated eigenvalues, `share_off` can show that it is not isometric,
    and only `share_off_bound` that it is.

    Attributes:
      state: `IsometryState`.
      failing: the parts that fail.
      undecided: the parts that these examples do not decide.
      num_examples, num_dimensions: how many.
      error_median, error_95, error_largest: of `error` over the examples: median, 95th percentile,
        maximum.
      error_95_bound: an upper bound of `error_95` for estimated eigenvalues, which are too small.
      share_off, share_off_bound: the share of examples with an error above `CLOSE`, and its upper
        bound for estimated eigenvalues. NaN in older files; then `error_95` alone decides.
      longest, shortest: medians over the examples of the largest and smallest sqrt(eigenvalue).
      bound: the largest error that the norms and `cosine` allow, for root mean squares over the
        data. The eigenvalues of a matrix of cosines differ from 1 by at most cosine * sqrt(n (n -
        1)).
      length_error: root mean square over data and dimensions of the relative error of a length
        along an axis. This is half the error of its square.
      worst: the dimension with the largest length error.
      worst_error, norm, norm_std, prediction: the numbers of this dimension: length error, mean and
        deviation of the squared norm (Eq. 15), and E[1 - sigma^2]. The last is the norm of an
        optimal straight decoder under a quadratic loss.
      cosine: root mean square of the cosines between x_zj and x_zk.
      unexplained, unexplained_error: root mean square over the dimensions of
        `tfisovae.geometry.flatness`, and its standard error.
      quadratic: whether the loss is quadratic in x_hat; `None` if unknown.
      beta_found, beta_differs: whether beta was estimated from these data, or given and
        contradicted by the posterior.
      other_prior: whether the prior is not N(0, I). Then nothing predicts the norm, and the
        embedding is not judged.
    """

    state: IsometryState
    failing: tuple[Part, ...] = ()
    undecided: tuple[Part, ...] = ()
    num_examples: int = 0
    num_dimensions: int = 0
    error_median: float = math.nan
    error_95: float = math.nan
    error_largest: float = math.nan
    error_95_bound: float = math.nan
    share_off: float = math.nan
    share_off_bound: float = math.nan
    longest: float = math.nan
    shortest: float = math.nan
    bound: float = math.nan
    length_error: float = math.nan
    worst: int | None = None
    worst_error: float = math.nan
    norm: float = math.nan
    norm_std: float = math.nan
    prediction: float = math.nan
    cosine: float = math.nan
    unexplained: float = math.nan
    unexplained_error: float = math.nan
    quadratic: bool | None = None
    beta_found: bool = False
    beta_differs: bool = False
    other_prior: bool = False

    @property
    def largest(self) -> float:
        """The error up to which the embedding is isometric: the first of `error_95_bound`,
        `error_95` and `bound` that is not NaN.
        """
        known = (self.error_95_bound, self.error_95, self.bound)
        return next((value for value in known if not math.isnan(value)), math.nan)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Isometry":
        """From `Verdict.to_dict`."""
        parts = {name: lambda parts: tuple(map(Part, parts)) for name in ("failing", "undecided")}
        kinds = {"state": IsometryState, **parts,
                 "num_examples": int, "num_dimensions": int, "worst": int, "quadratic": bool,
                 "beta_found": bool, "beta_differs": bool, "other_prior": bool}
        made = cls(**{name: kinds.get(name, float)(value) for name, value in values.items()})
        if made.state is not IsometryState.ISOMETRIC or math.isfinite(made.largest):
            return made
        # An older version concluded this from norms and mean cosines alone.
        sure = _bound(0.0, made.cosine, made.num_dimensions) <= CLOSE
        return dataclasses.replace(
            made, bound=_bound(made.worst_error, made.cosine, made.num_dimensions),
            state=IsometryState.ISOMETRIC if sure else IsometryState.NOT_JUDGED)


def root_mean_cosine(cosines: np.ndarray, among: np.ndarray) -> float:
    """Root mean square of `cosines` `[n, n]` over pairs of the dimensions `among`; NaN for fewer
    than two.
    """
    pairs = cosines[np.ix_(among, among)][~np.eye(len(among), dtype=bool)]
    return float(np.sqrt(np.mean(pairs**2))) if len(pairs) else np.nan


def judged(kl: npt.ArrayLike, active: npt.ArrayLike) -> np.ndarray:
    """The indices of the judged dimensions: all above `STRONG_KL` nats, or else the active ones.

    Args:
      kl: E[KL_j], nats, `[n]`.
      active: which dimensions carry information, `[n]`.
    """
    with np.errstate(invalid="ignore"):
        strong = np.flatnonzero(np.asarray(kl, np.float64) > STRONG_KL)
    return strong if len(strong) else np.flatnonzero(np.asarray(active, np.float64) == 1)


def judge_isometry(dimensions: npt.ArrayLike, norm: npt.ArrayLike, norm_std: npt.ArrayLike,
                   prediction: npt.ArrayLike, cosine: float, num_examples: int,
                   stretch_examples: int | None = None, **known: Any) -> Isometry:
    """Decides from the numbers of the judged dimensions, `[k]` each.

    Args:
      dimensions: their numbers.
      norm, norm_std: mean and deviation over the data of the squared norm (Eq. 15).
      prediction: E[1 - sigma_j^2].
      stretch_examples: number of examples behind `share_off`; by default `num_examples`.
      cosine, num_examples, **known: as of `Isometry`.
    """
    dimensions = np.asarray(dimensions, int)
    norm, norm_std, prediction = (np.asarray(values, np.float64)
                                  for values in (norm, norm_std, prediction))
    known = {"num_dimensions": len(dimensions), "num_examples": int(num_examples),
             "cosine": float(cosine), **known}
    if known.get("other_prior") and np.isfinite(norm).all():
        return Isometry(IsometryState.NOT_JUDGED, **known)
    if not (np.isfinite(norm).all() and np.isfinite(prediction).all()):
        return Isometry(IsometryState.NOT_FINITE, **known)
    if not len(dimensions):
        return Isometry(IsometryState.NONE, **known)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.hypot(norm / prediction - 1, norm_std / prediction) / 2
    wide = np.flatnonzero(prediction <= 0)
    at = int(wide[0] if len(wide) else np.argmax(errors))
    known = {
        "length_error": float(np.sqrt(np.mean(errors**2))), "worst": int(dimensions[at]),
        "worst_error": float(errors[at]), "norm": float(norm[at]), "norm_std": float(norm_std[at]),
        "prediction": float(prediction[at]), "bound": _bound(errors[at], cosine, len(dimensions)),
        **known
    }
    if num_examples < FEW:
        return Isometry(IsometryState.NOT_JUDGED, **known)
    if len(wide):
        return Isometry(IsometryState.NOT_ISOMETRIC, (Part.POSTERIOR, ), **known)
    if not np.isfinite(errors).all() or len(dimensions) > 1 and not np.isfinite(cosine):
        return Isometry(IsometryState.NOT_FINITE, **known)
    tested = {Part.STRETCH: _stretch_holds(known, stretch_examples or num_examples),
              Part.LENGTHS: not errors[at] > CLOSE, Part.ANGLES: not cosine > CLOSE,
              Part.FLATNESS: _flatness_holds(known)}
    measured = tested[Part.STRETCH] is not None
    if measured and tested[Part.STRETCH] is not False:  # lengths and angles are part of it
        del tested[Part.LENGTHS], tested[Part.ANGLES]
    failing = [part for part, holds in tested.items() if holds is False]
    undecided = [part for part, holds in tested.items() if holds is _UNDECIDED]
    known |= {"undecided": tuple(undecided)}
    if failing:
        return Isometry(IsometryState.NOT_ISOMETRIC, tuple(failing), **known)
    sure = measured and not undecided
    if not measured:
        every = len(dimensions) == known["num_dimensions"]
        sure = every and not undecided and _bound(0.0, cosine, len(dimensions)) <= CLOSE
    return Isometry(IsometryState.ISOMETRIC if sure else IsometryState.NOT_JUDGED, **known)


def _stretch_holds(known, num_examples):
    """Whether at most `SHARE` of all inputs have an error above `CLOSE`: True, False, "undecided";
    `None` if not measured.
    """
    least, error_95 = known.get("share_off", math.nan), known.get("error_95", math.nan)
    if math.isnan(least):  # of an older version: a point estimate
        if math.isnan(error_95):
            return None
        if error_95 > CLOSE:
            return False
        return _UNDECIDED if known.get("error_95_bound", math.nan) > CLOSE else True
    most = known.get("share_off_bound", math.nan)
    most = least if math.isnan(most) else most
    lower, upper = (round(share * num_examples) for share in (least, most))
    if scipy.stats.beta.ppf(ERROR_RATE, lower, num_examples - lower + 1) > SHARE:
        return False
    return scipy.stats.beta.isf(ERROR_RATE, upper + 1, num_examples - upper) <= SHARE or _UNDECIDED


def _flatness_holds(known):
    """Whether `unexplained` is at most `CLOSE`, likewise."""
    value, error = (known.get(name, math.nan) for name in ("unexplained", "unexplained_error"))
    if math.isnan(value):
        return None
    error = 0.0 if math.isnan(error) else error
    if value - _Z * error > CLOSE:
        return False
    return value + _Z * error <= CLOSE or _UNDECIDED


def _bound(length_error, cosine, count):
    """The largest possible |sqrt(eigenvalue) - 1| of a matrix of `count` rows. Its diagonal has
    roots within `length_error` of 1, and its cosines have this root mean square.
    """
    off = cosine * math.sqrt(count * (count - 1)) if count > 1 else 0.0
    return float(max((1 + length_error) * math.sqrt(1 + off) - 1,
                     1 - max(0.0, 1 - length_error) * math.sqrt(max(0.0, 1 - off))))


def isometry_of(values: Mapping[str, Any], beta_found: bool = False,
                beta_differs: bool = False) -> Isometry:
    """Decides on a measurement, over the `judged` dimensions.

    Args:
      values: the fields of an `Analysis`, or of an isometry.json.
      beta_found, beta_differs: as of `Isometry`.

    Raises:
      KeyError, ValueError, TypeError: if the norms are missing, or the values are of another kind.
    """
    def vector(name):
        return np.array(values[name], np.float64)

    among = judged(vector("kl_mean"), vector("active"))
    quadratic = values.get("quadratic")
    known = {"quadratic": None if quadratic is None else bool(quadratic), "beta_found": beta_found,
             "beta_differs": beta_differs, "other_prior": values.get("standard_prior") is False}
    stretch = values.get("stretch")
    if stretch is not None:
        stretch = stretch if isinstance(stretch, Mapping) else dataclasses.asdict(stretch)
        known |= {name: math.nan if stretch.get(name) is None else float(stretch[name])
                  for name in _STRETCH}
        known["stretch_examples"] = int(stretch["num_examples"])
    if values.get("unexplained") is not None and len(among):
        unexplained = vector("unexplained")[among]
        errors = vector("unexplained_standard_error")[among]
        if np.isfinite(unexplained).all():
            mean = math.sqrt(np.mean(unexplained**2))
            spread = np.sqrt(np.sum((unexplained * errors)**2)) / len(among)
            known |= {"unexplained": mean,
                      "unexplained_error": float(spread / mean if mean else np.max(errors))}
    measured = measured_dimensions(values)
    lengths, known["num_dimensions"] = among[np.isin(among, measured)], len(among)
    if len(lengths) < len(among):
        known["bound"] = math.nan  # the others may have other norms and cosines
    cosine = root_mean_cosine(vector("gram_cosine"), np.flatnonzero(np.isin(measured, among)))
    return judge_isometry(lengths, *(vector(name)[lengths] for name in
                                     ("norm_mean", "norm_std", "one_minus_variance")),
                          cosine, values["num_examples"], **known)


def measured_dimensions(values: Mapping[str, Any]) -> np.ndarray:
    """The indices of the dimensions in `gram_mean` and `gram_cosine`, `[m]`: all, or a sample of a
    large latent space.

    Args:
      values: as of `isometry_of`.
    """
    estimates = values.get("estimates")
    if estimates is None:
        return np.arange(len(values["kl_mean"]))
    return np.asarray(estimates["dimensions"] if isinstance(estimates, Mapping)
                      else estimates.dimensions, int)
