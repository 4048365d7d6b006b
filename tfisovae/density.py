"""The probability density of each input, from a trained VAE (section 3.3, Eqs. 17-18, App. C.2).

In the isometric space of y, which has the unit of length of the distortion's metric, a VAE with n
active dimensions gives

    log p(y) = log p(mu) + sum_j log sigma_j + (n/2) log(2 lmbda)           "posterior"
             = -L_x - (n/2) log(pi / lmbda)                                 "objective"

with L_x in nats and D in L_x averaged over points mean +- scale. The density per unit of
(Euclidean) volume of the data manifold follows by the change of volume: a_x^{n/2} if G_x = a_x I,
|G_x|^{1/2} if the manifold fills the space ("scaled_posterior", "scaled_objective"). In all other
cases, and if the embedding is not isometric, the decoder's Jacobian J gives the volume:

    log p(x) = log p(mu) - 1/2 log det(J^T G J) + 1/2 log( det(J^T G J) / det(J^T J) )     "volume"

The metric tensor cancels from the sum. Inactive dimensions carry no volume, so every form counts
only active ones.

Assumptions. All forms need sigma << 1 and a decoder that returns x for mean(x). "posterior" also
needs an isometric embedding (norms near 1, cosines near 0), "objective" straightness over the
posterior's width and a transform loss far below the coding loss; "volume" needs neither. At the
optimum of a VAE sigma is not 0. So the means have the distribution N(0, 1 - sigma_j^2), and the
decoder shrinks x by 1 - sigma_j^2 along z_j. "volume" ignores both: on exact linear VAEs its mean
is too high by

    sum_j (-log(1 - sigma_j^2) + sigma_j^2) / 2 nats    (.95 for Norm data at lmbda = 5, .04 at 100)

"corrected_volume" includes both, with E[sigma_j^2] over the data. It is exact for a linear VAE on
Gaussian data, and otherwise a correction to first order in sigma^2.

    log p(x) = sum_j [log N(mu_j; 0, 1 - E sigma_j^2) + log(1 - E sigma_j^2)] - 1/2 log det(J^T J)
"""
import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import scipy.linalg
import tensorflow as tf

from tfisovae._autograph import unconverted
from tfisovae.autoencoder import streaming
from tfisovae.autoencoder.autoencoder import (
    AutoencoderLike,
    as_autoencoder,
    bound,
    refuse,
)
from tfisovae.autoencoder.data import Data
from tfisovae.autoencoder.networks import Composed
from tfisovae.autoencoder.noise import noise_rows
from tfisovae.autoencoder.posterior import Posterior
from tfisovae.distortions.base import Distortion, decomposed
from tfisovae.geometry import pullback
from tfisovae.geometry.estimated import LARGEST_EXACT
from tfisovae.metrics.posteriors import posterior_means

__all__ = ["log_densities"]

FORMS = ("prior", "objective", "posterior", "scaled_objective", "scaled_posterior", "volume",
         "corrected_volume")
_SCALED = {"scaled_objective", "scaled_posterior"}
_VOLUMES = {"volume", "corrected_volume"}
# The addresses of the signs, and of the noise for a given prior (and those below it): neither
# training nor evaluation draws noise there.
_SIGNS_STEP, _NOISE_STEP = -2, -3
# Smallest eigenvalue of the directions' Gram matrix for which the logarithm has ten digits in
# float64.
_APART = 1e-6
_PARALLEL = 1e-14  # smaller singular values of the directions are rounding of 0


def log_densities(model: AutoencoderLike, x: Data, forms: str | Sequence[str] | None = None,
                  active: npt.ArrayLike | None = None, *, variance: npt.ArrayLike | None = None,
                  pairs: int | str = 8, seed: int = 0, progress: bool = False,
                  distortion: Distortion | str | None = None, beta: float | None = None,
                  scale: str = "log_variance", inspect: bool = True) -> dict[str, np.ndarray]:
    """Estimates log p(x) of each example with a trained VAE, in nats.

    It runs on all replicas of the current `tf.distribute` strategy, with the same numbers as on one
    device.

    Args:
      model: `Autoencoder`, or anything that `as_autoencoder` takes, such as a `VAE`.
      x: `[N, ...]`, or a `tf.data.Dataset` of batches (see `tfisovae.autoencoder.data.x_of`), which
        is read twice: first for averages of the posteriors. Memory does not grow with N.
      forms: one or more names of `FORMS`; by default all that the model has. "corrected_volume"
        assumes the prior N(0, I) and a diagonal covariance. Forms that need
        a determinant, such as "volume", exist up to 300 active dimensions.
      active: `[n]`, bool, the dimensions to count (`Analysis.active`, if these examples were
        analysed). With a full covariance these are the own axes of each posterior, the widest
        first. By default dimensions with a mean KL over `x` above `posterior.ACTIVE_KL`; then
        `x` should have more than a few examples.
      variance: `[n]`, E[sigma_j^2] of "corrected_volume", to compare densities of several data
        sets; by default over `x`.
      pairs: number of antithetic pairs of points mean +- signs * scale over which "objective"
        averages D, a power of two. The signs are random in each dimension. They depend on the
        example's place in `x`, not on batches, and are balanced over the pairs: two dimensions do
        not mix if their indices among the active ones differ modulo `pairs`. With as many pairs as
        active dimensions, the expectation is exact for a straight decoder. With fewer it is
        unbiased, with the sum of Gamma_jk^2 over the mixed pairs of dimensions as variance. "paper"
        moves all dimensions together, to mean + scale and mean - scale (App. C.2). This adds half
        the sum of Gamma's off-diagonals (nats).
      seed: of the signs.
      progress: whether to show a progress bar.
      distortion, beta, scale: as for `as_autoencoder`.
      inspect: `False` skips the check of the model on the first examples. The check refuses models
        with meaningless numbers, such as a random encoder, and warns of doubtful ones.

    Returns:
      dict from form to `[N]`, float64: "prior", log p(mu), per unit of volume of z; "objective" and
      "posterior" of y, the metric of the distortion; "scaled_objective", "scaled_posterior",
      "volume" and "corrected_volume" of the data manifold. The last uses E[sigma_j^2]; a dimension
      where this is 1 or more (which training excludes) is not corrected.

    Raises:
      ValueError: for an unknown form, bad `pairs`, examples of different shapes, examples or
        posteriors that are not finite, a generator, or if no dimension is active.
      NotImplementedError: for a scaled form of a distortion without a_x, if the manifold does not
        fill the space.

    Cost: two encodes and 2 `pairs` decodes ("objective"); the volumes add about one decode per
    active dimension.

    Example:
      >>> log_densities = tfisovae.density.log_densities(vae, x)
      >>> least_probable = log_densities["objective"].argsort()[:5]
    """
    forms = (forms,) if isinstance(forms, str) else forms
    asked = tuple(forms or ())
    unknown = set(forms or ()) - set(FORMS)
    if unknown:
        raise ValueError(
            f"Unknown forms {sorted(unknown)}; use {', '.join(map(repr, FORMS))}.")
    if pairs != "paper" and (isinstance(pairs, bool) or not isinstance(pairs, (int, np.integer))
                             or pairs < 1 or pairs & (pairs - 1)):
        raise ValueError(f'pairs must be a power of two (1, 2, 4, ...) or "paper"; got {pairs!r}.')
    if isinstance(x, Iterator):
        raise ValueError(
            f"x is read twice, but a {type(x).__name__} can be read only once. Give an array [N, "
            "...] or a tf.data.Dataset of batches.")
    model = as_autoencoder(model, distortion, beta, scale)
    if model.prior is not None and model.full_covariance:
        raise ValueError(
            "log_densities cannot use a given prior together with a full covariance: it is not "
            "known which axes carry information.")
    rows = streaming.prepare(model, x, inspect=inspect)
    means = posterior_means(rows)
    for name, value in (("active", active), ("variance", variance)):
        if value is not None and np.shape(value) != (rows.n,):
            raise ValueError(
                f"{name} must have the shape [{rows.n}]; got {list(np.shape(value))}.")
    if active is not None and np.asarray(active).dtype != bool:
        raise ValueError(
            f"active must be of the type bool, one entry for each dimension; got "
            f"{np.asarray(active).dtype}."
        )
    variance = means.variance if variance is None else np.asarray(variance, np.float64)
    active = np.flatnonzero(means.active if active is None else active)
    size = int(np.prod(rows.first.shape[1:]))
    if not len(active):
        raise ValueError(
            "No latent dimension is active: the VAE has collapsed, and its data manifold has no "
            "volume, and so no density.")
    if len(active) > size:
        raise ValueError(
            f"{len(active)} latent dimensions are active, more than the {size} dimensions of the "
            "data: they overlap, and give no density. Train with a smaller latent_dim.")
    if not model.distortion.has_scale and len(active) < size:
        if _SCALED & set(forms or ()):
            model.distortion.scale(rows.first)  # raises, and names the alternative
        forms = forms or [form for form in FORMS if form not in _SCALED]
    forms = [form for form in FORMS if form in (forms or FORMS)]
    if model.prior is not None or model.full_covariance:
        if "corrected_volume" in asked:
            refuse(model, 'The form "corrected_volume"', "prior", "covariance")
        forms = [form for form in forms if form != "corrected_volume"]
    if len(active) > LARGEST_EXACT:
        _check_large(asked, len(active), model.distortion.has_scale)
        needs = _VOLUMES if model.distortion.has_scale else _VOLUMES | _SCALED
        forms = [form for form in forms if form not in needs]

    volumes = _VOLUMES & set(forms)
    tangents = pullback.tangent_method(rows.decode, rows.mean) if volumes else None

    def measured(x, first_row):
        known, x = bound(model, x)
        posterior = Posterior(*known.encode(x))
        signs = noise = None
        if {"objective", "scaled_objective"} & set(forms):
            signs = _signs(tf.shape(x)[0], rows.n, active, pairs, seed, first_row)
            if model.prior is not None:
                noise = [noise_rows(tf.shape(x)[0], rows.n, seed, _NOISE_STEP - pair, first_row)
                         for pair in range(signs.shape[0] // 2)]
        log = _densities(known, x, posterior, forms, active, variance[active], signs, noise,
                         tangents)
        return tf.stack([log[form] for form in forms], 1)  # one tensor to gather from the replicas

    again = streaming.examples_of(model, x, None, "densities", progress)
    collected = [values for values, _ in streaming.run(again, measured)]
    return dict(zip(forms, np.concatenate(collected).T.copy()))


def _check_large(asked, count, has_scale):
    """Raises ValueError for forms whose determinant is too large."""
    for form in sorted(set(asked) & (_VOLUMES if has_scale else _VOLUMES | _SCALED)):
        raise ValueError(
            f"forms: {form!r} needs the determinant of a {count} x {count} matrix at each example, "
            f"for {count} active dimensions. Above {LARGEST_EXACT} no matrix is formed. Ask for "
            "\"prior\", \"objective\" or \"posterior\".")


def _densities(model, x, posterior, forms, active, variance, signs, noise, tangents):
    """dict from form to `[B]`, nats, float64, for one batch; `active` has the indices of the
    dimensions, `variance` is E[sigma^2], `noise` a list of `[B, n]` for a given prior.
    """
    n, lmbda = len(active), 1 / model.beta
    mean, scale = (tf.cast(tf.gather(values, active, axis=1), tf.float64) for values in posterior)
    log = {"prior": _log_prior(model, posterior, active, mean)}
    log["posterior"] = log["prior"] + tf.reduce_sum(tf.math.log(scale),
                                                    1) + 0.5 * n * math.log(2 * lmbda)
    if signs is not None:
        kl = _rate(model, posterior, noise)
        log["objective"] = -lmbda * _mean_distortion(
            model, x, posterior, signs) - kl - 0.5 * n * math.log(math.pi / lmbda)
    if _SCALED & set(forms):
        volume = _log_metric_volume(model.distortion, x, n)
        log |= {
            f"scaled_{form}": log[form] + volume
            for form in ("posterior", "objective") if form in log
        }
    if _VOLUMES & set(forms):
        volume = _log_volume(model.decode, posterior.mean, active, tangents)
        log["volume"] = log["prior"] - volume
        # 1 - E[sigma^2]: the variance of the means, and the shrinking of x.
        rest = np.where(variance < 1, 1 - variance, 1.0)
        log["corrected_volume"] = (log["volume"] - 0.5 * tf.reduce_sum(mean**2 * (1 / rest - 1), 1)
                                   + 0.5 * np.log(rest).sum())
    return {form: log[form] for form in forms}


def _log_prior(model, posterior, active, mean):
    """log p(mu) over the active dimensions, `[B]`, float64.

    In every other dimension, posterior and prior are equal. So a given prior is divided there by
    the posterior's density at its mean.
    """
    if model.prior is None:
        return -0.5 * tf.reduce_sum(mean**2, 1) - 0.5 * len(active) * math.log(2 * math.pi)
    others = np.setdiff1d(np.arange(posterior.mean.shape[1]), active)
    scale = tf.cast(tf.gather(posterior.scale, others, axis=1), tf.float64)
    return tf.cast(model.prior(posterior.mean), tf.float64) + tf.reduce_sum(
        tf.math.log(scale) + 0.5 * math.log(2 * math.pi), 1)


def _rate(model, posterior, noise):
    """The KL, `[B]`, nats, float64; for a given prior the average over the samples of `noise`."""
    if model.prior is None:
        return tf.reduce_sum(tf.cast(posterior.kl(), tf.float64), 1)
    found = [posterior.rate(model.prior, one) for one in noise]
    return tf.cast(tf.add_n(found) / len(found), tf.float64)


def _signs(num_rows, n, active, pairs, seed, first_row):
    """The signs of the points mean + signs * scale, `[2 pairs, B, n]`: rows of a Hadamard matrix,
    with random signs of columns.
    """
    if pairs == "paper":
        half = tf.ones([1, num_rows, n])
    else:
        place = np.empty(n, int)  # the active dimensions first
        place[np.concatenate([active, np.setdiff1d(np.arange(n), active)])] = np.arange(n)
        balanced = scipy.linalg.hadamard(pairs)[:, place % pairs].astype(np.float32)
        flips = tf.where(noise_rows(num_rows, n, seed, _SIGNS_STEP, first_row) < 0, -1.0, 1.0)
        half = balanced[:, None] * flips
    return tf.concat([half, -half], 0)


def _mean_distortion(model, x, posterior, signs):
    """The trained distortion minus D(x, x), averaged over the points, `[B]`, float64."""
    x_check = model.decode(posterior.mean) if model.decomposed else None

    def one(sign):
        x_hat = model.decode(posterior.mean + sign * posterior.scale)
        value = (decomposed(model.distortion, x, x_check, x_hat, excess=True) if model.decomposed
                 else model.distortion.excess(x, x_hat - x))
        return tf.cast(value, tf.float64)

    return tf.reduce_mean(
        tf.map_fn(unconverted(one), signs, parallel_iterations=1,
                  fn_output_signature=tf.TensorSpec([None], tf.float64)), 0)


def _log_volume(decode, mean, active, tangents):
    """1/2 log det(J^T J) over the active dimensions, `[B]`, float64; -inf if the decoder collapses
    a direction.

    It uses the singular values of J if its directions are nearly parallel, since J^T J loses their
    digits.
    """
    chosen = tf.one_hot(active, mean.shape[-1], dtype=mean.dtype)
    fixed = 1 - tf.reduce_sum(chosen, 0)

    def singular_squares(columns):
        values = tf.linalg.svd(columns, compute_uv=False)
        return tf.square(tf.where(values > _PARALLEL, values, tf.zeros_like(values)))

    def volume(decode, z):
        def restored(coordinates):  # [k B, n], for active dimensions: k for each row of z
            rest = tf.cast(z * fixed, coordinates.dtype)
            copies = tf.shape(coordinates)[0] // tf.shape(rest)[0]
            return tf.tile(rest, [copies, 1]) + coordinates @ tf.cast(chosen, coordinates.dtype)

        _, images = pullback.jacobian(Composed(decode, restored), tf.gather(z, active, axis=1),
                                      tangents)
        columns = tf.cast(tf.reshape(images, [len(active), z.shape[0], -1]), tf.float64)
        length = tf.norm(columns, axis=-1)
        columns = tf.transpose(tf.math.divide_no_nan(columns, length[..., None]), [1, 0, 2])
        eigenvalues = tf.linalg.eigvalsh(tf.matmul(columns, columns, transpose_b=True))
        # The decomposition costs as much as the decoder's derivatives, the Gram matrix a tenth of
        # that.
        squares = tf.cond(
            tf.reduce_min(eigenvalues) > _APART, lambda: eigenvalues,
            lambda: singular_squares(columns))
        return 0.5 * tf.reduce_sum(tf.math.log(squares), -1) + tf.reduce_sum(tf.math.log(length), 0)

    # A collapsed direction has a volume of 0, and the density has no bound.
    return pullback.in_groups(volume, decode, [mean], len(active), [], tf.float64)


def _log_metric_volume(distortion, x, n):
    """1/2 log of the determinant of G_x on the manifold of n dimensions, `[B]`, float64: from a_x,
    or if the manifold fills the space.
    """
    if distortion.has_scale:
        return 0.5 * n * tf.math.log(tf.cast(distortion.scale(x), tf.float64))
    units = tf.reshape(tf.eye(n), [n, 1, *x.shape[1:]])
    columns = [
        distortion.metric_product(x, tf.broadcast_to(unit, tf.shape(x)))
        for unit in tf.unstack(units)
    ]
    metric = tf.stack([tf.reshape(column, [-1, n]) for column in columns], 2)
    return 0.5 * tf.linalg.slogdet(tf.cast(metric, tf.float64))[1]


def percentiles(log_density: npt.ArrayLike, among: npt.ArrayLike) -> np.ndarray:
    """The percentage of reference examples that are at most as probable as each input.

    Args:
      log_density: `[N]`, nats.
      among: `[K]`, nats, of the references (training examples), in the same form with the same
        `active` and `variance`.

    Returns:
      `[N]`, in steps of 100 / K: 0 is less probable than all references, 100 is as probable as the
      most probable one or more. NaN stays NaN.

    Raises:
      ValueError: if there are no references, or one is not a number.
    """
    among = np.sort(np.asarray(among, np.float64))
    if not len(among) or np.isnan(among[-1]):
        raise ValueError(
            f"among must have at least one log density, and only numbers; got {len(among)}.")
    log_density = np.asarray(log_density, np.float64)
    return np.where(np.isnan(log_density), np.nan,
                    100 / len(among) * np.searchsorted(among, log_density, side="right"))


def pearson(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson's correlation R of two vectors, as in Figs. 3 and 8."""
    return float(np.corrcoef(np.asarray(a, np.float64), np.asarray(b, np.float64))[0, 1])


def comparison(log_estimates: Mapping[str, np.ndarray],
               log_density: npt.ArrayLike) -> dict[str, dict[str, float]]:
    """Compares estimated log densities with the true one.

    Args:
      log_estimates: dict from form to `[N]`, nats.
      log_density: `[N]`, log p(x), nats; finite.

    Returns:
      dict from form to `{"correlation": R of the densities (linear scale, as the paper),
      "log_error_mean": mean of estimate - truth in nats, "log_error_rms": its root mean square}`.
    """
    def densities(logs):  # up to a factor, which does not affect R, and without overflow
        return np.exp(logs - np.max(logs))

    truth = np.asarray(log_density, np.float64)
    true = densities(truth)
    return {
        form: {
            "correlation": pearson(densities(values), true), "log_error_mean": float(
                np.mean(values - truth)), "log_error_rms": float(
                    np.sqrt(np.mean((values - truth)**2)))
        }
        for form, values in log_estimates.items()
    }
