"""The probability density of each input, from what a trained VAE knows (section 3.3, Eqs. 17-18, App. C.2).

In the isometric space of y, whose unit of length is that of the distortion's metric, a VAE with n active dimensions gives

    log p(y) = log p(mu) + sum_j log sigma_j + (n/2) log(2 lmbda)           "posterior"
             = -L_x - (n/2) log(pi / lmbda)                                 "objective"

with L_x in nats and D in L_x averaged over the two points mean + scale and mean - scale. The density per unit of (Euclidean)
volume of the data manifold follows by the change of volume: a_x^{n/2} where G_x = a_x I, |G_x|^{1/2} where the manifold fills the
space ("scaled_posterior", "scaled_objective"). Where neither holds, and where the embedding is not isometric, the decoder's
Jacobian J gives the volume without any assumption:

    log p(x) = log p(mu) - 1/2 log det(J^T G J) + 1/2 log( det(J^T G J) / det(J^T J) )     "volume"

The metric tensor cancels from the sum. Inactive dimensions carry no volume: only the active ones are counted, in every form.
"""
import math

import numpy as np
import tensorflow as tf
import tqdm

from tfisovae import geometry
from tfisovae.distortions import Distortion, SumSquaredError
from tfisovae.examples import check_finite
from tfisovae.posterior import ACTIVE_KL

FORMS = ("prior", "objective", "posterior", "scaled_objective", "scaled_posterior", "volume")
_BATCH = 100


def log_densities(vae, x, forms=None, active=None, progress=False):
    """Log densities of each example, nats.

    Args:
      vae: `VAE`.
      x: `[N, ...]`, or a `tf.data.Dataset` of batches `[B, ...]`; measured batch by batch.
      forms: names out of `FORMS`; by default all that the distortion has.
      active: `[n]`, bool, the dimensions to count (`Analysis.active`); by default those whose mean KL over `x` exceeds 0.01
        nat, for which `x` should be more than a few examples.
      progress: whether to show a progress bar.
    Returns:
      dict from form to `[N]`, float64: "prior", log p(mu), per unit of volume of z; "objective" and "posterior" of y, the metric of
      the distortion; "scaled_objective", "scaled_posterior" and "volume" of the data manifold.
    Raises:
      ValueError: for an unknown form, or where no dimension is active.
      NotImplementedError: for a scaled form of a distortion without a_x, where the manifold does not fill the space.
    Cost: an encode and three decodes; "volume" about n + 1 decodes more.
    """
    unknown = set(forms or ()) - set(FORMS)
    if unknown:
        raise ValueError(f"Unknown forms {sorted(unknown)}; there are {', '.join(map(repr, FORMS))}.")
    if active is not None and np.shape(active) != (vae.n,):
        raise ValueError(f"active must have the shape [{vae.n}]; got {list(np.shape(active))}.")
    flat = int(np.prod(vae.encoder.input_shape[1:]))
    if {"scaled_posterior", "scaled_objective"} & set(forms or ()) and not _has_scale(vae.distortion) and flat > vae.n:
        vae.distortion.scale(x)  # raises, and says what to ask for instead
    measured = _measured(vae, x, flat, forms is None or "volume" in forms, progress)
    active = measured["kl"].mean(0) > ACTIVE_KL if active is None else np.asarray(active, bool)
    if not active.any():
        raise ValueError("No latent dimension is active: the VAE has collapsed, and its data manifold has no volume to give a "
                         "density on.")
    if active.sum() > flat:
        raise ValueError(f"{int(active.sum())} latent dimensions are active, more than the {flat} of the data: they overlap, and "
                         "give no density. Train with a latent_dim of at most that.")
    n, mean, scale = int(active.sum()), measured["mean"][:, active], measured["scale"][:, active]
    log = {"prior": -0.5 * np.sum(mean**2, 1) - 0.5 * n * math.log(2 * math.pi)}
    log["posterior"] = log["prior"] + np.sum(np.log(scale), 1) + 0.5 * n * math.log(2 * vae.lmbda)
    log["objective"] = -vae.lmbda * measured["distortion"] - measured["kl"].sum(1) - 0.5 * n * math.log(math.pi / vae.lmbda)
    volume = _log_metric_volume(measured, n)
    if volume is not None:
        log |= {f"scaled_{name}": log[name] + volume for name in ("posterior", "objective")}
    elif {"scaled_posterior", "scaled_objective"} & set(forms or ()):
        vae.distortion.scale(x)  # raises, and says what to ask for instead
    if "gram" in measured:
        sign, determinant = np.linalg.slogdet(measured["gram"][:, active][:, :, active])
        # Where the decoder folds a direction away, the image has no volume and the density no bound.
        log["volume"] = log["prior"] - 0.5 * np.where(sign > 0, determinant, -np.inf)
    return {name: log[name] for name in FORMS if name in (forms or log)}


def _measured(vae, x, flat, with_gram, progress):
    """What the densities are made of, for every example of `flat` numbers: arrays `[N, ...]`, float64."""
    if not isinstance(x, tf.data.Dataset):
        x = tf.data.Dataset.from_tensor_slices(tf.convert_to_tensor(x, tf.float32)).batch(_BATCH)
    shape = vae.encoder.input_shape
    scaled = _has_scale(vae.distortion)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32)])
    def measure(x):
        posterior = vae.encode(x)
        parts = {"kl": posterior.kl(), "mean": posterior.mean, "scale": posterior.scale,
                 "distortion": _two_point_distortion(vae, x, posterior)}
        if scaled:
            parts["a_x"] = vae.distortion.scale(x)
        elif flat <= vae.n:
            parts["metric"] = _metric_tensor(vae.distortion, x, flat)
        if with_gram:
            parts["gram"] = geometry.pullback_metric(vae.decode, posterior.mean, SumSquaredError())
        return parts

    collected = []
    for batch in tqdm.tqdm(x, desc="densities", unit=" batches", disable=not progress):
        batch = tf.cast(batch, tf.float32)
        vae.check(batch)
        check_finite(batch, sum(len(parts["kl"]) for parts in collected))
        collected.append({name: part.numpy().astype(np.float64) for name, part in measure(batch).items()})
    if not collected:
        raise ValueError("There are no examples to give densities of.")
    return {name: np.concatenate([parts[name] for parts in collected]) for name in collected[0]}


def _has_scale(distortion):
    return type(distortion).scale is not Distortion.scale


def _two_point_distortion(vae, x, posterior):
    """The trained distortion, without that of a point from itself, averaged over mean + scale and mean - scale, `[B]`."""
    def apart(a, b):
        return vae.distortion.excess(a, b - a)

    points = [vae.decode(posterior.mean + sign * posterior.scale) for sign in (1, -1)]
    if not vae.decomposed:
        return sum(apart(x, point) for point in points) / 2
    x_check = vae.decode(posterior.mean)
    return apart(x, x_check) + sum(apart(x_check, point) for point in points) / 2


def _metric_tensor(distortion, x, size):
    """G_x as a matrix, `[B, m, m]`."""
    units = tf.reshape(tf.eye(size), [size, 1, *x.shape[1:]])
    columns = [distortion.metric_product(x, tf.broadcast_to(unit, tf.shape(x))) for unit in tf.unstack(units)]
    return tf.stack([tf.reshape(column, [-1, size]) for column in columns], 2)


def _log_metric_volume(measured, n):
    """1/2 log of the determinant of G_x on the data manifold of n dimensions, `[N]`; `None` where it needs the decoder."""
    if "a_x" in measured:
        return 0.5 * n * np.log(measured["a_x"])
    if "metric" in measured and n == measured["metric"].shape[1]:
        return 0.5 * np.linalg.slogdet(measured["metric"])[1]
    return None


def pearson(a, b):
    """Pearson's correlation R of two vectors, as in Figs. 3 and 8."""
    return float(np.corrcoef(np.asarray(a, np.float64), np.asarray(b, np.float64))[0, 1])


def comparison(log_estimates, log_density):
    """How estimated log densities compare with the true one.

    Args:
      log_estimates: dict from form to `[N]`, nats.
      log_density: `[N]`, log p(x), nats; finite.
    Returns:
      dict from form to `{"correlation": R of the densities (linear scale, as the paper), "log_error_mean": mean of estimate -
      truth in nats, "log_error_rms": its root mean square}`.
    """
    truth = np.asarray(log_density, np.float64)
    return {form: {"correlation": pearson(np.exp(values), np.exp(truth)), "log_error_mean": float(np.mean(values - truth)),
                   "log_error_rms": float(np.sqrt(np.mean((values - truth) ** 2)))} for form, values in log_estimates.items()}
