"""The nonlinear scree plot: the value of each latent variable, next to the eigenvalues of a PCA in
the same metric.

Two numbers of a latent variable play the role of an eigenvalue. The cost of removal is the measured
rise of the distortion if the variable is fixed. It gives the ranking, shares and counts. The
importance (beta / 2) E[sigma_j^-2] (Eq. 16) comes from the posterior alone. On Gaussian data with a
sum of squares the importance is the variance v_j of a component, and the cost is v_j - beta / 2.
Importance ignores the distance between clusters, since there is no sigma between them.

Unless the distortion is a sum of squares, its metric G_x changes with x. A PCA has a single metric,
taken at the mean of the data. The eigenvalues belong to G^(1/2) C G^(1/2), with C the covariance.
Its shares and counts can be compared with the VAE's. Its sizes can be compared only if G is similar
everywhere. For structural similarity it is not: the mean of many images is smooth, and G is large
there.
"""
import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfisovae import theory
from tfisovae.analysis.clusters import has_clusters
from tfisovae.analysis.components import PrincipalComponents, count_for
from tfisovae.verdict.gains import Z

if typing.TYPE_CHECKING:  # a page from saved numbers does not need TensorFlow
    from tfisovae.analysis.analysis import Analysis

SHARES = (0.90, 0.95, 0.99)
# A variable has gaps if its cost is more than this many times the prediction.
DIFFER = 2.0
# Its importance is too high if it predicts more than this many times the cost. Once around a circle
# it predicts pi / sqrt(3) = 1.81 times the cost.
TOO_HIGH = 1.5
_SURE = 3.0  # standard errors of each


def counted(sizes: npt.ArrayLike, active: npt.ArrayLike) -> np.ndarray:
    """Costs or importances for shares and counts: 0 for inactive variables and for negative costs
    (from noise), `[n]`.
    """
    return np.where(active, np.maximum(np.nan_to_num(sizes), 0.0), 0.0)


def latent_variance(importance: npt.ArrayLike, precision: npt.ArrayLike,
                    beta: float) -> np.ndarray:
    """The variance of z_j over the data that is part of its importance, `[n]`: 1 for the prior
    N(0, I).

    Args:
      importance: of an `Analysis`, `[n]`.
      precision: E[sigma_j^-2], `[n]`.
      beta: 1 / lmbda.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray(importance) / theory.importance(np.asarray(precision), beta)
    return np.where(np.isfinite(ratio), ratio, 1.0)


def shares_of(sizes: npt.ArrayLike, active: npt.ArrayLike) -> np.ndarray:
    """The share of each variable in the sum over all active ones, `[n]`; 0 if the sum is 0."""
    values = counted(sizes, active)
    return values / values.sum() if values.any() else values


@dataclasses.dataclass(frozen=True)
class Scree:
    """Costs of removal, importances and eigenvalues: the active variables first, each kind by cost.

    Attributes:
      dimension: the latent variable of each entry, `[n]`.
      importance, standard_error: (beta / 2) E[sigma_j^-2] and the error of this mean over the
        examples, `[n]`, in the unit of D.
      active: `[n]`. Inactive variables are not counted. They have the sigma of the prior, and so a
        meaningless importance of beta / 2.
      floor: beta / 2. Components of a linear VAE below it collapse (reverse water-filling, Eq. 4).
      transform_loss: E[D(x, Dec(mean))] minus D(x, x): the error of the posterior means.
      components: `PrincipalComponents` of the data in the same metric, or `None`.
      cost, cost_error: the cost of removal and its standard error, `[n]`; `None` in a measurement
        of an older version; then the importance ranks.
      slope: D'_j times the variance of z_j, which predicts the cost from the decoder's slope,
        `[n]`, or `None`.
      clustered: whether the posterior means lie in clusters, `[n]`, or `None`.
    """

    dimension: np.ndarray
    importance: np.ndarray
    standard_error: np.ndarray
    active: np.ndarray
    floor: float
    transform_loss: float
    components: PrincipalComponents | None = None
    cost: np.ndarray | None = None
    cost_error: np.ndarray | None = None
    slope: np.ndarray | None = None
    clustered: np.ndarray | None = None

    @classmethod
    def of(cls, analysis: "Analysis", components: PrincipalComponents | None = None) -> "Scree":
        """From an `Analysis`."""
        order = np.asarray(analysis.ranking)
        order = np.concatenate([order[analysis.active[order]], order[~analysis.active[order]]])
        variance = latent_variance(analysis.importance[order], analysis.precision_mean[order],
                                   analysis.beta)
        error = theory.importance(analysis.precision_standard_error[order],
                                  analysis.beta) * variance
        measured = {} if analysis.cost_of_removal is None else {
            "cost": analysis.cost_of_removal[order],
            "cost_error": analysis.cost_of_removal_standard_error[order],
            "slope": analysis.derivative_mean[order] * variance,
            "clustered": None if analysis.mean_counts is None else np.array(
                [has_clusters(analysis.mean_counts[j]) for j in order])
        }
        return cls(order, analysis.importance[order], error, analysis.active[order],
                   theory.importance(1.0, analysis.beta), analysis.transform_loss, components,
                   **measured)

    @classmethod
    def from_saved(cls, saved: Mapping[str, Any]) -> "Scree":
        """From the content of `isometry.json`; older versions have no components."""
        from tfisovae.analysis.analysis import Analysis

        found = saved.get("principal_components")
        components = PrincipalComponents.from_saved(found) if found else None
        return cls.of(Analysis.from_dict(saved), components)

    @property
    def size(self) -> np.ndarray:
        """The quantity of the ranking: the cost of removal, or the importance if that was not
        measured, `[n]`.
        """
        return self.importance if self.cost is None else self.cost

    @property
    def size_name(self) -> str:
        """Its name in words."""
        return "importance" if self.cost is None else "cost of removal"

    @property
    def interval(self) -> np.ndarray:
        """The 95 % interval about each `size`, `[2, n]`."""
        error = self.standard_error if self.cost is None else self.cost_error
        spread = Z * np.nan_to_num(error)
        return np.stack([np.maximum(self.size - spread, 0), self.size + spread])

    @property
    def counted(self) -> np.ndarray:
        """The `size` of the active variables, 0 of others, `[n]`."""
        return counted(self.size, self.active)

    @property
    def cumulative(self) -> np.ndarray:
        """The first k variables' share of the `size` of all active ones, `[n]`; NaN for a collapsed
        model.
        """
        with np.errstate(invalid="ignore"):
            return np.cumsum(self.counted) / np.sum(self.counted)

    def count(self, share: float) -> int:
        """The number of variables with this share of the `size` of all active ones; 0 if there are
        none.
        """
        return count_for(self.counted, share)

    @property
    def predicted(self) -> np.ndarray:
        """The cost of removal predicted from the importance, `[n]`: minus beta / 2, the cost of the
        variable's noise.
        """
        return self.importance - self.floor

    @property
    def has_gaps(self) -> np.ndarray:
        """Whether each active variable has clusters or gaps, `[n]`.

        Either its posterior means lie in clusters. Or its cost is more than `DIFFER` times the
        prediction from its posterior and the decoder's slope at the data, beyond three standard
        errors: then the decoder changes most between the data.
        """
        if self.cost is None:
            return np.zeros(len(self.dimension), bool)
        most = np.maximum(self.predicted + _SURE * self.standard_error, np.nan_to_num(self.slope))
        found = self.cost - _SURE * self.cost_error > DIFFER * most
        return self.active & (found if self.clustered is None else found | self.clustered)

    @property
    def is_overestimated(self) -> np.ndarray:
        """Whether the importance of each active variable, and the decoder's slope, predict more
        than `TOO_HIGH` times its cost, beyond three standard errors, `[n]`. Variables with gaps are
        excluded. On Gaussian data it holds for at most .5 % of the variables, and for .6 % with 20
        examples.
        """
        if self.cost is None:
            return np.zeros(len(self.dimension), bool)
        slope = np.where(np.isfinite(self.slope), self.slope, np.inf)
        least = np.minimum(self.predicted - _SURE * self.standard_error, slope)
        found = TOO_HIGH * (self.cost + _SURE * self.cost_error) < least
        return self.active & found & ~self.has_gaps

    def differences(self) -> list[str]:
        """A line for each variable with clusters or gaps, or with an importance that is too high.
        """
        said = []
        gaps = self.has_gaps
        for at in np.flatnonzero(gaps | self.is_overestimated):
            name, cost, predicted = f"z_{self.dimension[at]}", self.cost[at], self.predicted[at]
            costs = (f"Removing it costs {cost:.3g} of D, but its importance predicts "
                     f"{predicted:.3g}.")
            said.append(
                f"{name} has clusters or gaps. {costs} Importance ignores the distance between "
                "clusters." if gaps[at] else
                f"The importance of {name} is too high. {costs} The data bend along it, as on a "
                f"circle, or a few examples have a narrow posterior, or D grows more slowly than a "
                f"square.")
        return said

    @property
    def components_of_equal_distortion(self) -> int | None:
        """The number of principal components with no larger error than the VAE's posterior means
        (`transform_loss`).

        `None` if the metric is not constant (then the components' error is not a distortion), or if
        even all components have a larger error.
        """
        if self.components is None or not self.components.constant:
            return None
        return self.components.count_leaving(self.transform_loss)

    def sentences(self) -> str:
        """The result in lines of plain words."""
        if not self.active.any():
            return f"No latent dimension is active: there is no {self.size_name} to share out."
        said = [f"{listed([str(self.count(share)) for share in SHARES])} dimensions have {_WORDS} "
                f"of the {self.size_name} of all. That is a share of the model's outputs."]
        found = self.components
        if found is None:
            return said[0]
        where = "" if found.constant else " in the metric of the distortion at their mean"
        counts = [found.words(found.count(share)) for share in SHARES]
        said.append(
            f"{listed(counts)} principal components have as much of the variance of the "
            f"data{where}." if len(set(counts)) > 1 else
            f"Principal components for as much of the variance of the data{where}: {counts[0]}, "
            f"each time.")
        if not found.honest:
            said.append("The examples were too few to count components. Measure again.")
        elif found.constant:
            equal = found.words(self.components_of_equal_distortion)
            above = found.count_above(self.floor)
            said.append(
                f"{int(self.active.sum())} active dimensions leave a distortion of "
                f"{self.transform_loss:.3g}. To leave no more takes {equal} principal components. "
                f"Of all components, {found.words(above)} have a variance above beta / 2.")
        return "\n".join(said)


_WORDS = "{:g}, {:g} and {:g} %".format(*(100 * share for share in SHARES))


def listed(words: Sequence[str]) -> str:
    """ "a, b and c"."""
    return " and ".join([*([", ".join(words[:-1])] if len(words) > 1 else []), *words[-1:]])
