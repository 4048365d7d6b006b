"""One streaming pass of a model over a data set: its isometry and its stationarity."""
import dataclasses
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfisovae import metrics, theory
from tfisovae.analysis import conditions, estimates, residual, spatial
from tfisovae.analysis.analysis import Analysis
from tfisovae.analysis.components import spread_out
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import (
    AutoencoderLike,
    as_autoencoder,
    bound,
    refuse,
)
from tfisovae.autoencoder.data import Data
from tfisovae.autoencoder.posterior import information
from tfisovae.distortions.base import Distortion
from tfisovae.geometry import flatness, pullback
from tfisovae.geometry.estimated import LARGEST_EXACT
from tfisovae.metrics import rate_distortion
from tfisovae.metrics.isometry import Derivative
from tfisovae.metrics.measurement import InAll, Measurement, measure
from tfisovae.metrics.removal import Sample, removal
from tfisovae.metrics.stationarity import AggregateMoments, LogScale
from tfisovae.metrics.stretch import EvenSample, max_examples, stretch
from tfisovae.verdict import checks
from tfisovae.verdict.checks import Why
from tfisovae.verdict.isometry import judged
from tfisovae.verdict.states import Cause
from tfisovae.verdict.tests_of_means import Moments

METHODS = ("auto", "exact", "estimated")
# Vectors that assume the prior N(0, I).
_OF_STANDARD_PRIOR = ("kl_mean", "one_minus_variance", "balance", "balance_standard_error")
_KEPT = 2**23  # numbers in the stored posteriors
_REMOVED = 16  # dimensions with a measured cost of removal in a large latent space


def analyze(model: AutoencoderLike, data: Data, num_examples: int | None = None,
            progress: bool = False, *, distortion: Distortion | str | None = None,
            beta: float | None = None, scale: str = "log_variance", inspect: bool = True,
            tangents: str | None = None, method: str = "auto", dimensions: Sequence[int] = (),
            seed: int = 0) -> Analysis:
    """Measures a VAE over a data set: which latent dimensions matter, and how isometric it is.

    Memory is constant. It runs on all replicas of the current `tf.distribute` strategy, with the
    same numbers as on one device. The exact method needs about 1.3 (n + 1) decodes of every
    example, and n decodes more of at most 10,000 (1,365 images of 64 x 64 x 3) for the cost of
    removal. The estimated method needs about 150 passes through the decoder at each of at most
    1,000 examples, and 5 at the others, for every n. Its memory grows with n, not with n^2.

    Args:
      model: `VAE`, `Autoencoder`, or anything that `as_autoencoder` takes.
      data: `tf.data.Dataset` of batches `[B, ...]`, or an array `[N, ...]`; see
        `tfisovae.autoencoder.data.x_of`.
      num_examples: how many examples to measure; all by default.
      progress: whether to show a progress bar.
      distortion, beta, scale: as for `as_autoencoder`.
      inspect: `False` skips the check of the model on the first examples. The check refuses models
        with meaningless numbers, such as a random encoder, and warns of doubtful ones.
      tangents: the method for derivatives of the decoder: "autodiff" or "differences". By default
        autodiff where its derivatives are right, and differences for recurrent decoders, where both
        agree and differences are faster.
      method: "exact"; "estimated", which estimates all results of the Gram matrix with errors
        (`Analysis.estimates`); or "auto", which is exact up to n = 300.
      dimensions: indices of latent dimensions that the estimated method measures exactly.
      seed: of the probes and the sample of dimensions of the estimated method.

    Returns:
      `Analysis`.

    Raises:
      ValueError: if there are no examples or fewer than `num_examples`, if examples do not fit the
        model, or if the distortion has no metric tensor.

    Example:
      >>> analysis = tfisovae.analyze(vae, x)
      >>> analysis.ranking  # the most important dimension first
      >>> print(analysis.summary())
    """
    if method not in METHODS:
        raise ValueError(f'method must be "auto", "exact" or "estimated"; got {method!r}.')
    if tangents not in (None, "autodiff", "differences"):
        raise ValueError(
            f'tangents must be "autodiff", "differences" or None; got {tangents!r}.')
    autoencoder = as_autoencoder(model, distortion, beta, scale)
    refuse(autoencoder, "analyze", "covariance")
    rows = streaming.prepare(autoencoder, data, num_examples, "measuring", progress,
                             inspect=inspect)
    wrong = [j for j in dimensions if not 0 <= j < rows.n]
    if wrong:
        raise ValueError(f"dimensions must be numbers from 0 to {rows.n - 1}; got {wrong[0]}.")
    autoencoder.distortion.check_quadratic(rows.first)
    tangents = tangents or pullback.tangent_method(rows.decode, rows.mean)
    exact = method == "exact" or method == "auto" and rows.n <= LARGEST_EXACT
    measures = {
        "rate": metrics.Rate(), "precision": metrics.PosteriorPrecision(),
        "balance": metrics.PosteriorBalance(), "moments": AggregateMoments(),
        "coding": metrics.CodingLoss(), "transform": metrics.TransformLoss(),
        "distortion": rate_distortion.Distortion(), "loss": rate_distortion.Loss(),
        "irreducible": rate_distortion.Irreducible()
    }
    if exact:
        measures |= {"norm": metrics.IsometricNorm(), "derivative": Derivative(),
                     "gram": metrics.GramOffDiagonal()}
    prior = autoencoder.prior
    if prior is not None:
        measures["log_scale"] = LogScale()
    sample, posteriors, size = Sample(rows), [], max_examples(rows.n) if exact else 0
    grams, most = EvenSample(size), _num_posteriors(rows.n)
    passing = sample if exact else streaming.parts(sample, estimates.batch_size(
        rows.first.shape[1:], rows.n))
    # Without derivatives the balance of each dimension would cost 2 n decodes.
    by_dimension = exact or tangents == "autodiff"
    for (posterior, gram), first_row in _measured(rows.passing(passing), measures, tangents,
                                                  size > 0, Measurement if by_dimension else
                                                  InAll):
        if first_row < most:
            posteriors.append(posterior[:most - first_row])
        if size:
            grams.add(np.concatenate([gram, posterior[:, 1:2]], 1), first_row)
    variance = 1.0  # of z_j over the data: 1 after convergence, for the prior N(0, I)
    if prior is not None:
        variance = _variance(measures)
        found = information(measures["log_scale"].mean, variance)
        for metric in measures.values():
            metric.set_information(found)
    shape = getattr(autoencoder.encode, "latent_shape", None)
    if exact:
        x = sample.x
        removed, channels = _removed(autoencoder, x, measures, np.arange(rows.n), shape, progress)
        geometry = _exact(measures, removed, grams.values if size else None)
        free = residual.free_dimensions(geometry["gram_mean"])
    else:
        x = sample.x[spread_out(estimates.MAX_EXAMPLES, len(sample.x))]
        ranking = np.argsort(-measures["precision"].mean * variance, kind="stable")
        removed, channels = _removed(autoencoder, x, measures, ranking[:_REMOVED], shape, progress)
        geometry = _estimated(autoencoder, x, measures, variance, tangents, dimensions, seed,
                              removed, ranking, progress)
        free = int(np.sum(~measures["rate"].active))
    found = _analysis(autoencoder, measures, np.concatenate(posteriors), tangents,
                      conditions.of_model(autoencoder), geometry, by_dimension)
    found.importance = found.importance * variance
    found.latent_shape, found.channel_cost, found.channel_cost_standard_error = shape, *channels
    if shape is not None:
        found.channel_directions, found.channel_shares = spatial.directions(
            removed.means, found.importance, shape[-1])
    found.removal_examples = removed.num_examples
    found.mean_counts, found.mean_limits = removed.counts, removed.limits
    x = np.asarray(bound(autoencoder, x)[1])
    found.residual = residual.residual(x, removed.x_check, removed.means,
                                       autoencoder.distortion, free, found.beta)
    return found if prior is None else _of_other_prior(found)


def _variance(measures):
    """Var(mu_j) + E[sigma_j^2] over the data, `[n]`, from sums in float64."""
    moments, count = measures["moments"], measures["rate"].num_examples
    if count < 2:
        raise ValueError(
            "The data have 1 example; with a given prior at least 2 are needed, since their "
            "variance shows which dimensions carry information.")
    if not np.isfinite(measures["rate"].result()):
        raise ValueError(
            "prior: log p(z) is not finite at a sample of a posterior, so the rate has no finite "
            "value. The prior must be positive wherever a posterior is.")
    return moments.first_powers[1] / count - moments.first**2 + 1 - measures["balance"].target


def _of_other_prior(found):
    """An `Analysis` without the numbers that assume the prior N(0, I)."""
    nothing, why = np.full(len(found.active), np.nan), Why(Cause.PRIOR)
    return dataclasses.replace(
        found, **dict.fromkeys(_OF_STANDARD_PRIOR, nothing), standard_prior=False,
        posterior_balance=np.nan, posterior_balance_standard_error=np.nan, stationarity=None,
        residual=None, stretch=None, conditions=dataclasses.replace(
            found.conditions, moments=False, moments_why=why, balance=False, balance_why=why))


def _num_posteriors(n):
    """The number of stored posteriors, for flatness and the error of the balance."""
    return int(np.clip(_KEPT // n, flatness.MIN_EXAMPLES, flatness.MAX_EXAMPLES))


def measure_stationarity(model: AutoencoderLike, data: Data, num_examples: int | None = None,
                         progress: bool = False, *, distortion: Distortion | str | None = None,
                         beta: float | None = None, scale: str = "log_variance",
                         inspect: bool = True) -> checks.Stationarity:
    """The stationarity in scale, shift and noise for training examples: `training` of
    `Analysis.judge`.

    Arguments and errors are as for `analyze`. It costs about as much as a training step on the same
    examples.
    """
    autoencoder = as_autoencoder(model, distortion, beta, scale)
    refuse(autoencoder, "measure_stationarity", "prior", "covariance")
    rows = streaming.prepare(autoencoder, data, num_examples, "examples of training", progress,
                             inspect=inspect)
    measures = {
        "rate": metrics.Rate(), "balance": metrics.PosteriorBalance(),
        "moments": AggregateMoments()
    }
    for _ in _measured(rows, measures, pullback.tangent_method(rows.decode, rows.mean)):
        pass
    return _stationarity(measures)


def _measured(rows, measures, tangents, with_gram=False, kind=Measurement):
    """Shows all examples to every metric, and yields mean, scale and eps_j sigma_j dD/dz_j / beta,
    `[B, 3, n]`, and Gamma `[B, n, n]`, if requested, with the number of examples before.
    """
    with tf.distribute.get_strategy().scope():
        for metric in measures.values():
            metric.build(rows.n)

    def update(x, first_row):
        measurement = measure(rows.model, x, first_row, tangents=tangents, kind=kind)
        for metric in measures.values():
            metric.accumulate(measurement)
        work = measurement.noise_work / rows.model.beta
        kept = tf.stack([*measurement.posterior, work], 1)
        return kept, measurement.gram if with_gram else ()

    return streaming.run(rows, update)


def _stationarity(measures, by_dimension=True):
    """The `Stationarity` of what was accumulated; no balance is checked where it is not known
    `by_dimension`.
    """
    balance, moments, count = measures["balance"], measures["moments"], measures[
        "rate"].num_examples
    return checks.Stationarity(Moments.from_power_sums(count, moments.first_powers),
                               Moments.from_power_sums(count, moments.second_powers, 1.0),
                               Moments.from_power_sums(count, balance.differences), balance.target,
                               balance.strong & by_dimension)


def _exact(measures, removed, kept):
    """The fields of an `Analysis` that need Gamma, measured exactly. `kept` is Gamma and below it
    sigma, `[N, n + 1, n]`, of some examples, or `None`.
    """
    rate, norm, gram, derivative = (measures[name] for name in ("rate", "norm", "gram",
                                                                "derivative"))
    norm_result, gram_result = norm.result(), gram.result()
    among = judged(rate.kl, rate.active)
    scalars = {name: float(value) for name, value in (norm_result | gram_result).items()}
    return {
        "norm_mean": norm.mean, "norm_std": norm.std, "norm_standard_error": norm.standard_error,
        "derivative_mean": derivative.mean, "derivative_std": derivative.std,
        "gram_mean": gram.mean, "gram_cosine": gram.cosine, **scalars,
        "stretch": None if kept is None or not len(among) else stretch(
            kept[:, among[:, None], among], kept[:, -1, among]),
        "ranking": np.argsort(-removed.cost, kind="stable"), "cost_of_removal": removed.cost,
        "cost_of_removal_standard_error": removed.standard_error, "method": "exact"
    }


def _removed(autoencoder, x, measures, leading, shape, progress):
    """The `Removal` of the dimensions `leading`; and the cost and its error, `[c]` each, for the
    channels of a spatial latent space, otherwise `None` twice.
    """
    n, k = measures["rate"].n, len(leading)
    groups = np.arange(n) == leading[:, None]
    if shape is not None:
        channel = np.arange(n) % shape[-1]
        groups = np.concatenate([groups, channel == np.arange(shape[-1])[:, None]])
    size = None if k == n else estimates.batch_size(x.shape[1:], n)
    removed = removal(autoencoder, x, measures["moments"].first, progress, groups, size)
    cost, error = removed.cost, removed.standard_error
    channels = (None, None) if shape is None else (cost[k:], error[k:])
    return dataclasses.replace(removed, cost=cost[:k], standard_error=error[:k]), channels


def _estimated(autoencoder, x, measures, variance, tangents, dimensions, seed, removed, ranking,
               progress):
    """The same fields, estimated; `removed` is the `Removal` of the first ones of `ranking`."""
    rate, importance = measures["rate"], measures["precision"].mean * variance
    found = estimates.estimate(autoencoder, x, rate.kl, rate.active, importance, tangents,
                               dimensions, seed, progress)
    made = dataclasses.replace(found.estimates, removal_dimensions=ranking[:_REMOVED],
                               removal_cost=removed.cost,
                               removal_standard_error=removed.standard_error)
    return {**found.fields, "ranking": ranking, "method": "estimated", "estimates": made}


def _analysis(autoencoder, measures, posteriors, tangents, known, geometry, by_dimension):
    """The `Analysis` from accumulated sums; `geometry` has the fields that need Gamma. `posteriors`
    are mean, scale and eps_j sigma_j dD/dz_j / beta, `[N, 3, n]`, of some examples. Without
    `by_dimension` only the sum of the last is known.
    """
    rate, balance, moments, precision = (measures[name] for name in (
        "rate", "balance", "moments", "precision"))
    count = rate.num_examples
    means = {name: float(measures[name].result())
             for name in ("rate", "distortion", "loss", "irreducible")}
    means |= {f"{name}_loss": float(measures[name].result()) for name in ("coding", "transform")}
    errors = {
        f"{name}_standard_error": float(measures[name].standard_error)
        for name in ("distortion", "loss")
    }
    errors |= {
        f"{name}_loss_standard_error": float(measures[name].standard_error)
        for name in ("coding", "transform")
    }
    mean, scale, work = np.moveaxis(posteriors, 1, 0)
    flat = flatness.flatness(mean, scale) if _can_tell_flatness(mean, scale) else (
        flatness.Flatness(*[np.full(rate.n, np.nan)] * 3))
    target, counted, unknown = 1 - np.square(scale, dtype=np.float64), rate.active, 1.0
    overall = checks.overall_balance(balance.ratio, balance.target, rate.active)
    if not by_dimension:  # over all dimensions: those that are not active have hardly any work
        counted, unknown = np.full(rate.n, rate.active.any()), np.nan
        overall = float(work.sum() / target.sum()) if counted.any() else np.nan
    return Analysis(
        **geometry, one_minus_variance=balance.target, precision_mean=precision.mean,
        precision_standard_error=precision.standard_error, importance=theory.importance(
            precision.mean, autoencoder.beta), kl_mean=rate.kl, active=rate.active,
        balance=unknown * balance.ratio,
        balance_standard_error=unknown * balance.ratio_standard_error,
        latent_mean=moments.first, latent_second_moment=moments.mean,
        posterior_balance=overall,
        posterior_balance_standard_error=checks.overall_balance_error(
            work, target, counted, count),
        rate_standard_error=rate.total_standard_error, **means, **errors, beta=autoencoder.beta,
        decomposed=autoencoder.decomposed, distortion_name=repr(autoencoder.distortion),
        num_examples=count, active_threshold=rate.threshold, tangents=tangents,
        unexplained=flat.unexplained, unexplained_standard_error=flat.standard_error,
        log_scale_std=flat.total, stationarity=_stationarity(measures, by_dimension),
        conditions=known,
        quadratic=autoencoder.decomposed or autoencoder.distortion.has_scale)


def _can_tell_flatness(mean, scale):
    return len(mean) >= flatness.MIN_EXAMPLES and np.isfinite([mean, scale]).all() and (
        scale > 0).all()
