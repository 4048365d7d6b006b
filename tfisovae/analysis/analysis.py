"""The result of `tfisovae.analyze`: the isometry of a VAE over a data set, saved as JSON."""
import dataclasses
import math
import os
import types
import typing
from collections.abc import Iterable, Mapping

import numpy as np

from tfisovae import files, verdict
from tfisovae.analysis import scree, spatial, storage
from tfisovae.analysis.estimates import Estimates
from tfisovae.analysis.rate_distortion import Accounts
from tfisovae.metrics.stretch import Stretch
from tfisovae.verdict import checks, convergence, gains, headlines, html, words
from tfisovae.verdict.isometry import (
    Isometry,
    isometry_of,
    measured_dimensions,
    root_mean_cosine,
)
from tfisovae.verdict.tests_of_means import LossFall, MeanGradient

if typing.TYPE_CHECKING:
    import pandas

_SHOWN = 10  # dimensions in a notebook
_COLUMNS = ("cost_of_removal", "importance", "kl_mean", "norm_mean", "one_minus_variance")


@dataclasses.dataclass(repr=False)
class Analysis:
    """The result of `tfisovae.analyze`: which latent dimensions matter, and how isometric the VAE
    is.

    Vectors are `[n]`, in the model's own order; `ranking` sorts them.

    Attributes:
      norm_mean, norm_std, norm_standard_error: (2 / beta) sigma_j^2 D'_j over the data (Eq. 15),
        its deviation over the data, and the standard error of its mean.
      one_minus_variance: E[1 - sigma_j^2], the optimal norm for a loss quadratic in x_hat and a
        decoder that is straight over the posterior's width, isometric or not.
      derivative_mean, derivative_std: D'_j, distortion per squared latent unit.
      precision_mean, precision_standard_error: E[sigma_j^-2].
      importance: (beta / 2) E[sigma_j^-2], the variance of y_j (Eq. 16). For a given prior it is
        multiplied by the variance of z_j over the data, which is 1 for N(0, I).
      kl_mean: E[KL_j], nats.
      active: whether E[KL_j] exceeds `active_threshold` nats.
      ranking: dimensions by descending cost of removal; by E[sigma_j^-2] if that is `None`.
      cost_of_removal, cost_of_removal_standard_error: the rise of the trained distortion if z_j is
        fixed at E[mu_j], as in `tfisovae.prune`, and its standard error.
      removal_examples: the number of examples for it: a random sample, at most 10,000.
      mean_counts, mean_limits: a histogram of the posterior means of that sample, `[n, 40]` counts
        in equal bins between two limits, `[n, 2]`.
      tangents: the method for derivatives of the decoder: "autodiff", or "differences" if it has
        none.
      gram_mean: E[Gamma], `[n, n]` (Eq. 12).
      gram_cosine: root mean square over the data of the cosines between x_zj and x_zk, `[n, n]`.
      balance, balance_standard_error: E[eps_j sigma_j dD/dz_j] / (beta E[1 - sigma_j^2]), 1 after
        convergence.
      latent_mean, latent_second_moment: E[mu_j] and E[mu_j^2 + sigma_j^2], 0 and 1 after
        convergence.
      isometric_norm, isometric_norm_spread: mean and deviation of `norm_mean` over the active
        dimensions.
      gram_off_diagonal, gram_off_diagonal_cosine: root mean squares over the data and pairs of
        active dimensions.
      posterior_balance: the two sides of `balance`, each summed over the active dimensions; over
        all, where a large decoder has no derivatives, and `balance` is NaN.
      rate: E[KL], nats.
      distortion: E[D] as trained.
      loss: nats.
      coding_loss, transform_loss: E[D(x_check, x_hat)], E[D(x, x_check)], each minus the D of a
        point from itself.
      rate_standard_error, distortion_standard_error, loss_standard_error: of these means, for
        independent examples.
      coding_loss_standard_error, transform_loss_standard_error: likewise.
      posterior_balance_standard_error: likewise.
      unexplained, unexplained_standard_error: sqrt(E[Var(log sigma_j | mu_j)]), 0 on a flat
        manifold (`tfisovae.geometry.flatness`), over the first 20,000 examples; NaN below 200.
      log_scale_std: sqrt(Var(log sigma_j)).
      stationarity: moments that are 0 or 1 after convergence of scale, shift and noise:
        `tfisovae.verdict.checks.Stationarity`.
      conditions: whether this must hold for these networks: `tfisovae.verdict.checks.Conditions`.
      irreducible: D(x, x) / beta, nats, which training cannot change.
      residual: the data's variance that the means do not explain, a
        `tfisovae.verdict.gains.Residual`.
      stretch: the stretch of directions at single examples, over the judged dimensions
        (`tfisovae.metrics.stretch.Stretch`); at up to 4,096 evenly spaced examples, and for up to
        409 dimensions. `None` if not measured.
      method: "exact" or "estimated".
      estimates: details and errors of the estimates (`tfisovae.analysis.estimates.Estimates`), else
        `None`. `gram_mean` and `gram_cosine` then cover `estimates.dimensions`, `cost_of_removal`
        is `None`, and norms and derivatives of other inactive dimensions are NaN.
      latent_shape: (h, w, c) of a spatial latent space (dimension j is in channel j % c); `None`
        for vectors.
      channel_cost, channel_cost_standard_error: the cost of removal of each channel as a whole,
        `[c]`.
      channel_directions, channel_shares: the leading directions of each channel, `[c, k, h w]`, and
        their shares of its variance, `[c, k]` (`tfisovae.analysis.spatial.Directions`).
      quadratic: whether the loss is quadratic in x_hat; then 1 - sigma_j^2 predicts the norm.
      standard_prior: False for a prior that was given (`prior=` of `as_autoencoder`). Then `rate`
        and `loss` are measured by sampling, `active` follows from the information in each dimension
        (`tfisovae.autoencoder.posterior.information`), and all numbers that assume N(0, I) are NaN
        or `None`: `kl_mean`, `one_minus_variance`, balances, `stationarity`, `residual`, `stretch`.
      beta, decomposed, distortion_name: of the VAE.
      num_examples: size of the data set.
      active_threshold: nats.

    Fields missing in older files are `None`.

    Example:
      >>> analysis = tfisovae.analyze(vae, x)
      >>> print(analysis.table())
      >>> print(analysis.summary())
      >>> analysis.save("isometry.json")
      >>> analysis = tfisovae.Analysis.load("isometry.json")
    """

    norm_mean: np.ndarray
    norm_std: np.ndarray
    norm_standard_error: np.ndarray
    one_minus_variance: np.ndarray
    derivative_mean: np.ndarray
    derivative_std: np.ndarray
    precision_mean: np.ndarray
    precision_standard_error: np.ndarray
    importance: np.ndarray
    kl_mean: np.ndarray
    active: np.ndarray
    ranking: np.ndarray
    gram_mean: np.ndarray
    gram_cosine: np.ndarray
    balance: np.ndarray
    balance_standard_error: np.ndarray
    latent_mean: np.ndarray
    latent_second_moment: np.ndarray
    isometric_norm: float
    isometric_norm_spread: float
    gram_off_diagonal: float
    gram_off_diagonal_cosine: float
    posterior_balance: float
    rate: float
    distortion: float
    loss: float
    coding_loss: float
    transform_loss: float
    beta: float
    decomposed: bool
    distortion_name: str
    num_examples: int
    active_threshold: float
    tangents: str | None = None
    rate_standard_error: float | None = None
    distortion_standard_error: float | None = None
    loss_standard_error: float | None = None
    coding_loss_standard_error: float | None = None
    transform_loss_standard_error: float | None = None
    posterior_balance_standard_error: float | None = None
    unexplained: np.ndarray | None = None
    unexplained_standard_error: np.ndarray | None = None
    log_scale_std: np.ndarray | None = None
    stationarity: checks.Stationarity | None = None
    conditions: checks.Conditions | None = None
    quadratic: bool | None = None
    irreducible: float | None = None
    residual: gains.Residual | None = None
    cost_of_removal: np.ndarray | None = None
    cost_of_removal_standard_error: np.ndarray | None = None
    removal_examples: int | None = None
    mean_counts: np.ndarray | None = None
    mean_limits: np.ndarray | None = None
    stretch: Stretch | None = None
    method: str | None = None
    estimates: Estimates | None = None
    latent_shape: tuple[int, ...] | None = None
    channel_cost: np.ndarray | None = None
    channel_cost_standard_error: np.ndarray | None = None
    channel_directions: np.ndarray | None = None
    channel_shares: np.ndarray | None = None
    standard_prior: bool | None = None

    @property
    def lmbda(self) -> float:
        """1 / beta."""
        return 1 / self.beta

    @property
    def num_active(self) -> int:
        return int(np.sum(self.active))

    @property
    def removal_nats(self) -> np.ndarray | None:
        """The rise of the loss if each dimension is removed: lmbda times `cost_of_removal`, minus
        KL_j, nats, `[n]`. `None` if not measured.
        """
        if self.cost_of_removal is None:
            return None
        return self.lmbda * self.cost_of_removal - self.kl_mean

    @property
    def share(self) -> np.ndarray:
        """Each dimension's share of the cost of removal of all active ones, `[n]`; of their
        importance if the cost was not measured. Inactive dimensions have 0.
        """
        sizes = self.importance if self.cost_of_removal is None else self.cost_of_removal
        return scree.shares_of(sizes, self.active)

    def cosine(self, among: np.ndarray) -> float:
        """Root mean square of the cosines between x_zj and x_zk over pairs of the dimensions
        `among`; NaN for fewer than two. Unmeasured pairs are left out.
        """
        measured = measured_dimensions(vars(self))
        return root_mean_cosine(self.gram_cosine, np.flatnonzero(np.isin(measured, among)))

    def to_dict(self) -> dict[str, typing.Any]:
        """As plain Python values; NaN (no active dimension) becomes `None`."""
        return files.plain({**dataclasses.asdict(self), "lmbda": self.lmbda}, None)

    @classmethod
    def from_dict(cls, values: Mapping[str, typing.Any]) -> "Analysis":
        fields = {field.name: field for field in dataclasses.fields(cls)}
        missing = sorted(name for name, field in fields.items()
                         if field.default is dataclasses.MISSING and name not in values)
        if missing:
            raise ValueError(
                f"This analysis is from another version: it lacks {', '.join(missing)}. Measure "
                "again with tfisovae isometry.")
        made = {}
        for name, field in fields.items():
            value, kind = values.get(name), _written(field.type)
            if kind is np.ndarray and value is not None:
                value = _array(value)
            elif kind is float and value is None and field.default is dataclasses.MISSING:
                value = math.nan
            made[name] = value
        if made["stationarity"]:
            made["stationarity"] = checks.Stationarity.from_dict(made["stationarity"])
        if made["conditions"]:
            made["conditions"] = checks.Conditions.from_dict(made["conditions"])
        if made["residual"]:
            made["residual"] = gains.Residual.from_dict(made["residual"])
        if made["stretch"]:
            made["stretch"] = Stretch(**{name: math.nan if value is None else value
                                         for name, value in made["stretch"].items()})
        if made["estimates"]:
            made["estimates"] = Estimates.from_dict(made["estimates"])
        return cls(**made)

    def save(self, path: str | os.PathLike, **extra: typing.Any) -> None:
        """Writes JSON to `path`, with `extra` entries next to the fields. Large arrays go to an
        .npz file of the same name.
        """
        storage.write(path, {**self.to_dict(), **extra})

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Analysis":
        """Reads what `save` wrote, or an older version."""
        return cls.from_dict(storage.read(path))

    def table(self, rows: int = 10) -> str:
        """The leading dimensions as text, which have clusters, and how all was measured; channels
        and places of a spatial latent space. A number that was not measured is "-".

        `+-` is a standard error. SD is a standard deviation: of a norm over the data in a row, and
        of the mean norms over the dimensions in the line below.
        """
        cost, error = self._leading_costs()
        wide = max(4, len(str(len(self.active) - 1)))
        lines = [
            f"{'rank':>4} {'z_j':>{wide}} {'E[sigma^-2]':>14} {'importance':>11} "
            + ("" if cost is None else f"{'cost of removal':>20} {'(nats)':>8} ") +
            f"{'KL (nats)':>10} {'norm +- SD':>14} {'1-sigma^2':>10} {'largest cosine':>15}"
        ]
        measured = measured_dimensions(vars(self))
        off_diagonal = self.gram_cosine - np.diag(np.diag(self.gram_cosine))
        for rank, j in enumerate(self.ranking[:rows], 1):
            place = np.flatnonzero(measured == j)
            largest = np.max(off_diagonal[place[0]][self.active[measured]], initial=0.0) if len(
                place) else math.nan
            lines.append(
                f"{rank:4d} {j:{wide}d} "
                + _precision(self.precision_mean[j], self.precision_standard_error[j]) +
                f" {self.importance[j]:11.3g} "
                + ("" if cost is None else _known(
                    cost[j], f"{cost[j]:11.3g} +-{error[j]:7.1g} "
                    + _known(self.kl_mean[j],
                             f"{self.lmbda * cost[j] - self.kl_mean[j]:8.3g} "))) +
                _known(self.kl_mean[j], f"{self.kl_mean[j]:10.3f} ") + _known(
                    self.norm_mean[j],
                    f"{self.norm_mean[j]:6.3f} +-{self.norm_std[j]:6.3f} ") +
                _known(self.one_minus_variance[j], f"{self.one_minus_variance[j]:10.3f} ")
                + _known(largest, f"{largest:15.3f}") + ("" if self.active[j] else "   inactive"))
        given = self.standard_prior is False
        summary = (
            f"{self.num_active} of {len(self.active)} dimensions active "
            f"({'information' if given else 'KL'} above {self.active_threshold:g} nats)."
        )
        if self.num_active:
            said = [f"norm {self.isometric_norm:.3f} +- {self.isometric_norm_spread:.3f} (SD)"]
            if self.num_active > 1:
                said.append(f"cosines {self.gram_off_diagonal_cosine:.3f} rms")
            if not given:
                said.append(f"posterior balance {self.posterior_balance:.3f}")
            summary += f" Over these: {', '.join(said)}."
        lines.append(summary)
        lines.append(
            f"rate {self.rate:.2f} nats, distortion {self.distortion:.5g} (coding "
            f"{self.coding_loss:.5g}, transform "
            f"{self.transform_loss:.5g}), loss {self.loss:.2f} nats, on {self.num_examples} "
            f"examples"
            +
            (", with finite differences of the decoder." if self.tangents == "differences"
             else "."))
        if self.method is not None:
            lines.append(f"Method: {self.method}."
                         if self.estimates is None else str(self.estimates))
        if given:
            lines.append("Left out, since the prior is not N(0, I): KL by dimension, 1 - sigma^2, "
                         "tests of moments, and balance.")
        channels = spatial.Spatial.of(vars(self))
        return "\n".join([*lines, *scree.Scree.of(self).differences(),
                          *([channels.table()] if channels else [])])

    def _leading_costs(self):
        """The cost of removal and its error, `[n]` each, NaN where a large latent space has none;
        twice `None` where it was not measured at all.
        """
        known = self.estimates
        if self.cost_of_removal is not None or known is None or known.removal_cost is None:
            return self.cost_of_removal, self.cost_of_removal_standard_error
        costs = np.full([2, len(self.active)], np.nan)
        costs[:, known.removal_dimensions] = known.removal_cost, known.removal_standard_error
        return costs

    def to_frame(self) -> "pandas.DataFrame":
        """All vectors as columns of a pandas table, a row for each dimension in the model's order;
        `rank` is its place in `ranking`, from 1.
        """
        import pandas

        n = len(self.active)
        columns = {name: value for name, value in vars(self).items() if name != "ranking"
                   and isinstance(value, np.ndarray) and value.shape == (n,)}
        ranks = np.empty(n, int)
        ranks[self.ranking] = np.arange(1, n + 1)
        return pandas.DataFrame({"rank": ranks, **columns},
                                index=pandas.RangeIndex(n, name="dimension"))

    def __repr__(self) -> str:
        return (f"Analysis({self.num_active} of {len(self.active)} dimensions active, rate "
                f"{self.rate:.4g} nats, distortion {self.distortion:.4g}, beta {self.beta:.4g}, "
                f"{self.num_examples} examples)")

    def _repr_html_(self) -> str:
        frame = self.to_frame().sort_values("rank").head(_SHOWN)
        shown = [name for name in _COLUMNS if name in frame]
        rows = [(f"z{j}", *row) for j, row in zip(frame.index, frame[shown].values.tolist())]
        return html.of(
            repr(self), ["dimension", *(name.replace("_", " ") for name in shown)], rows,
            [self.summary()])

    def accounting(self) -> str:
        """Rates and distortions next to theory, as text (Eqs. 13, 14); the theory is for small
        beta.

        The entropy of the data in the metric of the distortion comes from the measured rate by Eq.
        14.
        """
        return str(
            Accounts(self.num_active, self.beta, self.rate, self.distortion, self.coding_loss,
                     self.transform_loss))

    def judge(self, gradient: MeanGradient | None = None, fall: LossFall | None = None,
              num_train: int | None = None, annealed: bool = False,
              training: checks.Stationarity | None = None, *,
              probes: Iterable[gains.Probe] = (), margin: float | None = None,
              beta_found: bool = False, beta_differs: bool = False) -> verdict.Verdict:
        """Whether the training has converged and the embedding is isometric, as data.

        Args:
          gradient: the `MeanGradient` of training examples
            (`tfisovae.analysis.mean_gradient.block_gradients`), if measured.
          fall: the `LossFall` of the training's history
            (`tfisovae.verdict.tests_of_means.loss_fall`), if there is one.
          num_train: size of the training set, if the examples here are held out.
          annealed: whether the learning rate ended at 0.
          training: the `Stationarity` of training examples (`measure_stationarity`), if the
            examples here are held out. Then the training examples decide, since the optimum is
            theirs.
          probes: gains of a longer training of a copy (`tfisovae.training.probe`). Without a probe
            the verdict is never "converged".
          margin: smaller gains do not matter, nats. By default the larger of .1 nat and .5 % of the
            loss that training can change.
          beta_found: whether beta was estimated from these data.
          beta_differs: whether the posterior contradicts the given beta
            (`BetaEstimate.differs_from`).
        """
        return convergence.judge_measurement(
            vars(self), self.stationarity, self.conditions, gradient=gradient, fall=fall,
            num_train=num_train, annealed=annealed, training=training, probes=probes,
            margin=margin, residual=self.residual, beta_found=beta_found, beta_differs=beta_differs)

    def health(self, **kwargs: typing.Any) -> str:
        """Whether training has converged, with numbers and reasons. It takes the arguments of
        `judge`.
        """
        return words.health(self.judge(**kwargs))

    def summary(self, **kwargs: typing.Any) -> str:
        """The verdict in three lines: has training converged, is the embedding isometric, and what
        to do next or what not to conclude. It takes the arguments of `judge`.
        """
        return headlines.summary(self.judge(**kwargs))

    def isometry(self, beta_found: bool = False, beta_differs: bool = False) -> Isometry:
        """How far the embedding is from isometric, over dimensions above .1 nat, or else over
        active ones.

        Args:
          beta_found, beta_differs: as for `judge`.
        """
        return isometry_of(vars(self), beta_found, beta_differs)


def _precision(value, error):
    form = ".1f" if value < 1e6 else ".2g"
    return f"{value:8{form}} +-{error:4{form}}"


def _known(value, text):
    """The text of a number, a dash where it was not measured."""
    size = len(text.rstrip())
    return text if np.isfinite(value) else f"{'-':>{size}}{text[size:]}"


def _written(annotation):
    """The type of a field in a file, without the `None` for fields missing in older files."""
    kinds = [kind for kind in typing.get_args(annotation) if kind is not type(None)]
    return kinds[0] if isinstance(annotation, types.UnionType) and len(kinds) == 1 else annotation


def _array(value):
    """An array of a JSON list, whose `null`s were not numbers."""
    value = np.array(value)
    return value.astype(float) if value.dtype == object else value
