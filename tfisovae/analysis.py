"""One streaming pass over a data set: the isometry of a VAE, saved as JSON."""
import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfisovae import files, metrics, streaming
from tfisovae.autoencoder import as_autoencoder
from tfisovae.measurement import measure

_CHECKED = 16  # examples on which the exact norms are set against finite differences


@dataclasses.dataclass
class Analysis:
    """The isometry of a VAE over a data set. Vectors are `[n]`, in the model's own order; `ranking` sorts them.

    Attributes:
      norm_mean, norm_std, norm_standard_error: (2 / beta) sigma_j^2 D'_j over the data (Eq. 15), its deviation over the
        data, and the standard error of its mean.
      one_minus_variance: E[1 - sigma_j^2], the norm that a loss quadratic in x_hat gives to *any* decoder at the optimum.
      derivative_mean, derivative_std: D'_j, distortion per squared latent unit.
      precision_mean, precision_standard_error: E[sigma_j^-2].
      importance: (beta / 2) E[sigma_j^-2], the variance of y_j (Eq. 16).
      kl_mean: E[KL_j], nats.
      active: whether E[KL_j] exceeds `active_threshold` nats.
      ranking: dimensions by descending E[sigma_j^-2].
      gram_mean: E[Gamma], `[n, n]` (Eq. 12).
      gram_cosine: root mean square over the data of the cosines between x_zj and x_zk, `[n, n]`.
      balance, balance_standard_error: E[eps_j sigma_j dD/dz_j] / (beta E[1 - sigma_j^2]), 1 where training has converged.
      latent_mean, latent_second_moment: E[mu_j] and E[mu_j^2 + sigma_j^2], 0 and 1 where training has converged.
      isometric_norm, isometric_norm_spread: mean and deviation of `norm_mean` over the active dimensions.
      gram_off_diagonal, gram_off_diagonal_cosine: root mean squares over the data and pairs of active dimensions.
      posterior_balance: mean of `balance` over the active dimensions.
      numerical_norm_difference: largest relative difference of the norm by finite differences (epsilon = .01) from the exact
        one, over the active dimensions, on the first examples.
      rate: E[KL], nats. distortion: E[D] as trained. loss: nats. coding_loss, transform_loss: E[D(x_check, x_hat)],
        E[D(x, x_check)], each without D of a point from itself.
      lmbda, beta, decomposed, distortion_name: of the VAE.
      num_examples: size of the data set.
      active_threshold: nats.
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
    numerical_norm_difference: float
    rate: float
    distortion: float
    loss: float
    coding_loss: float
    transform_loss: float
    lmbda: float
    beta: float
    decomposed: bool
    distortion_name: str
    num_examples: int
    active_threshold: float

    @property
    def num_active(self):
        return int(np.sum(self.active))

    def to_dict(self):
        """Plain Python values; what is not a number (no active dimension) becomes `None`."""
        def plain(value):
            if isinstance(value, np.ndarray):
                value = value.tolist()
            if isinstance(value, list):
                return [plain(v) for v in value]
            if isinstance(value, float) and not math.isfinite(value):
                return None
            return value

        return {field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values):
        fields = {field.name: field for field in dataclasses.fields(cls)}
        missing = sorted(set(fields) - set(values))
        if missing:
            raise ValueError(f"This analysis was written by another version: it has no {', '.join(missing)}. Measure again with "
                             "eval/isometry.py.")
        made = {}
        for name, field in fields.items():
            value = values[name]
            if field.type is np.ndarray:
                value = np.array([np.nan if v is None else v for v in value] if value and not isinstance(value[0], list)
                                 else value)
            elif field.type is float and value is None:
                value = math.nan
            made[name] = value
        return cls(**made)

    def save(self, path, **extra):
        """Writes JSON to `path`; `extra` entries stand beside the fields."""
        files.write_json(path, {**self.to_dict(), **extra})

    @classmethod
    def load(cls, path):
        return cls.from_dict(files.read_json(path))

    def table(self, rows=10):
        """The leading dimensions by importance, as text."""
        lines = [f"{'rank':>4} {'z_j':>4} {'E[sigma^-2]':>14} {'importance':>11} {'KL (nats)':>10} {'norm':>14} {'1-sigma^2':>10}"
                 f" {'largest cosine':>15}"]
        off_diagonal = self.gram_cosine - np.diag(np.diag(self.gram_cosine))
        for rank, j in enumerate(self.ranking[:rows], 1):
            largest = np.max(off_diagonal[j][self.active], initial=0.0)
            lines.append(f"{rank:4d} {j:4d} {self.precision_mean[j]:8.1f} +-{self.precision_standard_error[j]:4.1f} "
                         f"{self.importance[j]:11.3g} {self.kl_mean[j]:10.3f} {self.norm_mean[j]:6.3f} +-{self.norm_std[j]:6.3f} "
                         f"{self.one_minus_variance[j]:10.3f} {largest:15.3f}" + ("" if self.active[j] else "   inactive"))
        summary = f"{self.num_active} of {len(self.active)} dimensions active (KL above {self.active_threshold:g} nats)."
        if self.num_active:
            cosines = f"cosines {self.gram_off_diagonal_cosine:.3f} rms, " if self.num_active > 1 else ""
            summary += (f" Over these: norm {self.isometric_norm:.3f} +- {self.isometric_norm_spread:.3f}, {cosines}posterior "
                        f"balance {self.posterior_balance:.3f}.")
        lines.append(summary)
        lines.append(f"rate {self.rate:.2f} nats, distortion {self.distortion:.5g} (coding {self.coding_loss:.5g}, transform "
                     f"{self.transform_loss:.5g}), loss {self.loss:.2f} nats, on {self.num_examples} examples.")
        return "\n".join(lines)

    def accounting(self):
        """Rates and distortions beside their theory, as text (Eqs. 13, 14); the theory is for small beta.

        The entropy is that of the data in the metric of the distortion: what Eq. 14 makes of the measured rate.
        """
        n, bits = self.num_active, 1 / math.log(2)
        theory = n * self.beta / 2
        entropy = self.rate + 0.5 * n * math.log(math.pi * math.e * self.beta)
        return "\n".join([
            f"coding loss {self.coding_loss:.5g}, n beta / 2 = {theory:.5g} (n = {n}); transform loss {self.transform_loss:.5g}, "
            f"{self.transform_loss / self.coding_loss:.3g} of it" if self.coding_loss > 0 else "coding loss 0",
            f"rate {self.rate:.3f} nats = {self.rate * bits:.3f} bits; D + beta R = {self.distortion:.5g} + "
            f"{self.beta * self.rate:.5g} = {self.distortion + self.beta * self.rate:.5g}",
            f"entropy R + (n/2) log(pi e beta) = {entropy:.3f} nats"])

    def problems(self, tolerance=0.05):
        """What shows that training has not converged, in words: stationarities off by more than `tolerance` and 3 standard errors.

        The posterior balance is checked on the dimensions above 0.1 nat: on weaker ones both of its sides are near 0.
        """
        found = []

        def check(name, values, errors, expected, rows):
            off = np.abs(values - expected) - 3 * errors
            worst = max(rows, key=lambda j: off[j], default=None)
            if worst is not None and off[worst] > tolerance:
                count = int(np.sum(off[rows] > tolerance))
                others = f" (and {count - 1} more)" if count > 1 else ""
                found.append(f"{name} of z_{worst} is {values[worst]:.3f}, not {expected}{others}")

        everywhere, strong = np.arange(len(self.active)), np.flatnonzero(self.kl_mean > 0.1)
        root = math.sqrt(self.num_examples)
        check("E[mu^2 + sigma^2]", self.latent_second_moment, math.sqrt(2) / root, 1, everywhere)
        check("E[mu]", self.latent_mean, 1 / root, 0, everywhere)
        check("the posterior balance", self.balance, self.balance_standard_error, 1, strong)
        return found

    def health(self, tolerance=0.05):
        """Whether training has converged, in a line of plain words."""
        if not self.num_active:
            return (f"Collapsed: no dimension carries information (rate {self.rate:.3f} nats). Raise --lmbda, or lower "
                    "--learning_rate.")
        found = self.problems(tolerance)
        if found:
            return f"NOT CONVERGED: {'; '.join(found)}. Train longer, or lower --learning_rate (--schedule cosine)."
        needed = math.ceil(2 * (3 / tolerance) ** 2)  # the error of the mean of mu^2 + sigma^2 is sqrt(2 / N)
        if self.num_examples < needed:
            return (f"No sign against convergence, on {self.num_examples} examples, which cannot show much: measure {needed} or "
                    "more.")
        moments, means = np.max(np.abs(self.latent_second_moment - 1)), np.max(np.abs(self.latent_mean))
        return (f"Converged, as far as this shows: E[mu^2 + sigma^2] within {moments:.3f} of 1, E[mu] within {means:.3f} of 0, "
                f"posterior balance {self.posterior_balance:.3f}.")


def analyze(model, data, num_examples=None, progress=False):
    """Measures the isometry of a VAE over a data set, in one pass with constant memory.

    It runs on all replicas of the current `tf.distribute` strategy, with the numbers of one device. The cost is about that of
    1.3 (n + 1) decodes of every example.

    Args:
      model: `Autoencoder`, or whatever `as_autoencoder` takes, such as a `VAE`.
      data: `tf.data.Dataset` of batches `[B, ...]`, or an array `[N, ...]`; see `tfisovae.examples.x_of`.
      num_examples: how many examples to measure; all by default.
      progress: whether to show a progress bar.
    Returns:
      `Analysis`.
    Raises:
      ValueError: if there are no examples, or fewer than were asked for.
    """
    autoencoder = as_autoencoder(model)
    with tf.distribute.get_strategy().scope():
        measures = {
            "rate": metrics.Rate(), "norm": metrics.IsometricNorm(), "derivative": metrics.Derivative(),
            "precision": metrics.PosteriorPrecision(), "gram": metrics.GramOffDiagonal(), "balance": metrics.PosteriorBalance(),
            "moments": metrics.AggregateMoments(), "coding": metrics.CodingLoss(), "transform": metrics.TransformLoss(),
            "distortion": metrics.Distortion(), "loss": metrics.Loss()}

    def update(x, first_row):
        measurement = measure(autoencoder, x, first_row)
        for metric in measures.values():
            metric.update_state(measurement)

    first = None
    step = streaming.on_replicas(update)
    for x, first_row in streaming.examples_of(autoencoder, data, num_examples, "measuring", progress):
        if first is None:
            first = x[:_CHECKED]
            n = autoencoder.encode(first)[0].shape[-1]
            with tf.distribute.get_strategy().scope():
                for metric in measures.values():
                    metric.build(n)
        step(x, first_row)
    rate, norm, gram, balance, moments = (measures[name] for name in ("rate", "norm", "gram", "balance", "moments"))
    precision, derivative = measures["precision"], measures["derivative"]
    norm_result, gram_result = norm.result(), gram.result()
    return Analysis(
        norm_mean=norm.mean, norm_std=norm.std, norm_standard_error=norm.standard_error, one_minus_variance=balance.target,
        derivative_mean=derivative.mean, derivative_std=derivative.std, precision_mean=precision.mean,
        precision_standard_error=precision.standard_error, importance=autoencoder.beta / 2 * precision.mean, kl_mean=rate.mean,
        active=rate.active, ranking=np.argsort(-precision.mean, kind="stable"), gram_mean=gram.mean, gram_cosine=gram.cosine,
        balance=balance.ratio, balance_standard_error=balance.ratio_standard_error, latent_mean=moments.first,
        latent_second_moment=moments.mean, isometric_norm=float(norm_result["isometric_norm"]),
        isometric_norm_spread=float(norm_result["isometric_norm_spread"]),
        gram_off_diagonal=float(gram_result["gram_off_diagonal"]),
        gram_off_diagonal_cosine=float(gram_result["gram_off_diagonal_cosine"]),
        posterior_balance=float(balance.result()),
        numerical_norm_difference=_numerical_norm_difference(autoencoder, first, rate.active), rate=float(rate.result()),
        distortion=float(measures["distortion"].result()), loss=float(measures["loss"].result()),
        coding_loss=float(measures["coding"].result()), transform_loss=float(measures["transform"].result()),
        lmbda=1 / autoencoder.beta, beta=autoencoder.beta, decomposed=autoencoder.decomposed,
        distortion_name=repr(autoencoder.distortion), num_examples=rate.num_examples, active_threshold=rate.threshold)


def _numerical_norm_difference(autoencoder, x, active):
    @tf.function
    def both(x):
        measurement = measure(autoencoder, x)
        variance = tf.square(measurement.posterior.scale)
        return variance * tf.linalg.diag_part(measurement.pullback), variance * measurement.numerical_derivatives

    exact, numerical = (np.mean(values, 0)[active] for values in streaming.traced(both, x))
    return float(np.max(np.abs(numerical - exact) / np.maximum(exact, np.finfo(np.float32).tiny), initial=0.0))


def factor_correlations(means, factors):
    """Pearson's correlation of each latent mean with each true factor.

    Args:
      means: posterior means, `[N, n]`.
      factors: `[N, k]`.
    Returns:
      `[n, k]`; 0 where one of the two is constant.
    """
    means, factors = np.asarray(means, np.float64), np.asarray(factors, np.float64)
    means, factors = means - means.mean(0), factors - factors.mean(0)
    norms = np.sqrt(np.sum(means**2, 0))[:, None] * np.sqrt(np.sum(factors**2, 0))
    return np.divide(means.T @ factors, norms, out=np.zeros_like(norms), where=norms > 0)
