"""Closed forms of the theory, to compare with measurements (NumPy and SciPy only).

Rates are in nats, distortions in the unit of D (sum of squares in the Gaussian forms). Everywhere h
= beta / 2.
"""
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.integrate
import scipy.optimize
import scipy.stats

from tfisovae.arguments import positive_array

__all__ = ["LinearVAE", "reverse_water_filling"]

# Values of z: where the tails begin, and where probabilities (1e-283) are near the end of float64.
_EDGE, _LAST_DEVIATION = 5, 36
_FOUR = scipy.stats.norm.sf(4)
# A dimension: a uniform quantiser beyond the KL at small sigma.
QUANTIZATION_BITS = 0.5 * math.log2(math.pi * math.e / 6)
_DITHERS = 6  # nodes: right to 1e-6 for sigma up to 1


def reverse_water_filling(variances: npt.ArrayLike,
                          distortion_per_dimension: float) -> tuple[float, float]:
    """The best possible rate and distortion for Gaussian data: reverse water-filling (Eq. 4).

        R = sum_j 1/2 log(v_j / d) over v_j > d,        D = sum_j min(d, v_j)

    Args:
      variances: v_j, `[m]`, positive.
      distortion_per_dimension: d, positive; a VAE with the sum of squares has d = beta / 2.

    Returns:
      `(rate, distortion)`: nats, and sum of squares.

    Example:
      >>> rate, distortion = tfisovae.theory.reverse_water_filling([4.0, 1.0, 0.01], 0.1)
      >>> print(f"{rate:.3f} nats, {distortion:.3f}")
      2.996 nats, 0.210
    """
    v, d = positive_array("variances", variances), float(
        positive_array("distortion_per_dimension", distortion_per_dimension))
    return float(0.5 * np.sum(np.log(np.maximum(v / d, 1)))), float(np.sum(np.minimum(d, v)))


def entropy_power(entropy: npt.ArrayLike) -> float | np.ndarray:
    """Entropy power exp(2 h) / (2 pi e): the variance of a Gaussian with differential entropy h
    (nats). It is at most the variable's own variance.
    """
    return np.exp(2 * np.asarray(entropy, np.float64)) / (2 * math.pi * math.e)


def shannon_lower_bound(entropies: npt.ArrayLike,
                        distortion_per_dimension: float) -> tuple[float, float]:
    """A point of Shannon's lower bound on the rate of independent components, under the sum of
    squares, at water level d.

        R = sum_j 1/2 log(N_j / d) over N_j > d,        D = sum_j min(d, N_j),
        N_j = exp(2 h_j) / (2 pi e)

    No code has a rate below R at a distortion of D. Each component has R_j(D_j) >= h_j - 1/2 log(2
    pi e D_j), and the best code codes independent components one by one. The formula is Eq. 4 with
    entropy powers instead of variances, so it equals Eq. 4 for Gaussians. For other distributions
    the best rate approaches it as d falls.

    Args:
      entropies: differential entropies h_j, nats, `[m]`.
      distortion_per_dimension: d, positive.

    Returns:
      `(rate, distortion)`: nats, and sum of squares.
    """
    return reverse_water_filling(entropy_power(entropies), distortion_per_dimension)


class LinearVAE:
    """The optimal linear VAE for Gaussian data, in closed form.

    It maps x -> z = a x + sigma eps -> x_hat = b z for x from N(0, v), with D = |x - x_hat|^2 and
    the KL of Eq. 2. For v > h it has a = sqrt(v - h) / v, b = sqrt(v - h), sigma^2 = h / v, a point
    of the rate-distortion curve. For v <= h it has collapsed: sigma = 1, b = 0. (Appendix B leaves
    sigma^2 out of the KL.)

    Args:
      variance: v, a number, or `[m]` for independent components.
      beta: 1 / lmbda.

    Attributes:
      encoder_gain, decoder_gain: a and b.
      scale: sigma.
      norm: (2 / beta) sigma^2 b^2 = 1 - h / v;
      coding_loss: b^2 sigma^2.
      transform_loss: (1 - a b)^2 v.
      distortion: their sum.
      rate: E[KL], nats.
      precision: sigma^-2. All have the shape of `variance`.

    Example:
      >>> ideal = tfisovae.theory.LinearVAE(variance=4.0, beta=0.2)
      >>> print(round(float(ideal.norm), 3), round(float(ideal.rate), 3))
    """

    def __init__(self, variance: npt.ArrayLike, beta: float) -> None:
        v, h = positive_array("variance", variance), float(positive_array("beta", beta)) / 2
        active = v > h
        self.decoder_gain = np.sqrt(np.maximum(v - h, 0))
        self.encoder_gain = self.decoder_gain / v
        self.scale = np.where(active, np.sqrt(h / v), 1.0)
        self.norm = self.scale**2 * self.decoder_gain**2 / h
        self.coding_loss = self.decoder_gain**2 * self.scale**2
        self.transform_loss = (1 - self.encoder_gain * self.decoder_gain) ** 2 * v
        self.distortion = self.coding_loss + self.transform_loss
        self.rate = np.where(active, 0.5 * np.log(np.maximum(v / h, 1)), 0.0)
        self.precision = self.scale**-2.0


def importance(precision: npt.ArrayLike, beta: float) -> float | np.ndarray:
    """The importance of latent variables, the variance of y_j in the unit of D (Eq. 16).

        Var(y_j) = (beta / 2) E[sigma_j^-2]

    Importances of latent variables are like eigenvalues of principal components.

    Args:
      precision: E[sigma_j^-2], of any shape. A standard error gives the standard error of the
        importance.
      beta: 1 / lmbda.
    """
    return beta / 2 * precision


def noise_entropy(n: int, beta: float) -> float:
    """(n / 2) log(pi e beta), nats: the differential entropy of the posterior noise in the
    isometric space. n is the number of active dimensions; the noise has variance beta / 2 (Eqs. 14,
    28).
    """
    return 0.5 * n * math.log(math.pi * math.e * float(positive_array("beta", beta)))


def quantizer_rate(mean: npt.ArrayLike, scale: npt.ArrayLike) -> float | np.ndarray:
    """The rate, nats, of an ideal entropy coder for z from N(0, 1), uniformly quantised to steps of
    T = 2 sqrt(3) sigma (Eq. 70).

        R = (mean^2 + sigma^2 - log sigma^2 - log(6 / pi)) / 2 = KL + 1/2 log(pi e / 6)

    It expands Eq. 69 about mean = 0. It is right to 1 % of the probability for |mean| < 1 at sigma
    = .1. `exact_quantizer_rate` has no such limit.
    """
    scale = positive_array("scale", scale)
    return 0.5 * (np.square(mean) + scale**2 - np.log(scale**2) - math.log(6 / math.pi))


def simple_quantizer_rate(mean: npt.ArrayLike, scale: npt.ArrayLike) -> float | np.ndarray:
    """The same without sigma^2, -log(T p(mean)) (Eq. 71): Eq. 6's KL + 1/2 log(pi e / 6). For
    sigma^2 << 1.
    """
    scale = positive_array("scale", scale)
    return 0.5 * (np.square(mean) - np.log(scale**2) - math.log(6 / math.pi))


def exact_quantizer_rate(mean: npt.ArrayLike, scale: npt.ArrayLike) -> float | np.ndarray:
    """-log of the probability that z from N(0, 1) falls within T / 2 of `mean`, T = 2 sqrt(3)
    sigma, nats.
    """
    half = math.sqrt(3) * positive_array("scale", scale)
    normal = scipy.stats.norm
    # Use the tail that holds the interval; there the probabilities do not cancel.
    center = np.abs(np.asarray(mean, np.float64))
    return -np.log(normal.sf(center - half) - normal.sf(center + half))


def dithered_quantizer_rate(mean: npt.ArrayLike, scale: npt.ArrayLike) -> float | np.ndarray:
    """The mean of `exact_quantizer_rate(mean + u, scale)` over the dither, u uniform within T / 2
    of 0, T = 2 sqrt(3) sigma, nats.

    This is the cost of `mean` with a universal quantiser and an ideal coder for N(0, 1): the cell
    that is sent has its centre at mean + u. If E[mean^2] = 1 - sigma^2, as at the optimum of a VAE,
    it is Eq. 2's KL + 1/2 log(pi e / 6) + O(sigma^4) on average.
    """
    scale = positive_array("scale", scale)
    mean, half = np.asarray(mean, np.float64), math.sqrt(3) * scale
    return sum(weight / 2 * exact_quantizer_rate(mean + node * half, scale)
               for node, weight in zip(*np.polynomial.legendre.leggauss(_DITHERS)))


def quantizer_excess_rate(scale: npt.ArrayLike) -> float | np.ndarray:
    """The mean rate of a uniform quantiser with an ideal entropy coder, beyond the mean KL at its
    cell centres, nats.

        1/2 log(pi e / 6) + 1/2 log(1 + sigma^2) - sigma^2

    for z from N(0, 1) and T = 2 sqrt(3) sigma. A VAE's KL understates the cost of scalar
    quantisation by this much. Right to 1e-5 for sigma up to .3.
    """
    variance = positive_array("scale", scale) ** 2
    return QUANTIZATION_BITS * math.log(2) + 0.5 * np.log(1 + variance) - variance


def shape_precision(distribution: Any, beta: float,
                    weight: Callable[[float], float] | None = None) -> float:
    """E[sigma^-2] = (2 / beta) E[a (ds/dz)^2] for an isometric latent variable, if its data
    coordinate s has this distribution.

    The monotone map s(z) carries the prior N(0, 1) to s, and D = a |ds|^2. For a = 1, by Eq. 16 the
    number is at least (2 / beta) Var(s), with equality only for a Gaussian s. The factor is 1.0168
    for a symmetric triangle, 1.0812 for a ramp (right triangle), 1.1027 for a uniform distribution.

    Args:
      distribution: a frozen distribution of `scipy.stats`, with `logpdf`, `ppf` and `isf`. Its
        tails may be heavy (log-normal).
      beta: 1 / lmbda.
      weight: a as a function of s: the scale of the metric, averaged over all other coordinates; 1
        by default.

    Raises:
      ValueError: if the expectation is infinite, or too far in the tails to integrate.
    """
    beta, normal = float(positive_array("beta", beta)), scipy.stats.norm

    def integrand(z):
        s = _quantile(distribution, z)
        log = 3 * normal.logpdf(z) - 2 * distribution.logpdf(s)
        return np.exp(log) * (1 if weight is None else weight(s))

    if weight is None and not np.isfinite(distribution.var()):
        raise ValueError(
            f"The distribution must have a finite variance; its variance is {distribution.var()}, "
            "and E[(ds/dz)^2] is at least that.")

    total = sum(
        scipy.integrate.quad(integrand, *ends, limit=200, epsabs=0)[0]
        for ends in ((-_EDGE, 0), (0, _EDGE)))
    nodes, weights = np.polynomial.legendre.leggauss(20)
    for sign in (-1, 1):
        # Integrate each tail only as far as it counts: at the end of a bounded support no digits
        # are left.
        start = _EDGE
        while abs(integrand(sign * start)) > 1e-9 * total:
            if start >= _LAST_DEVIATION:
                raise ValueError(
                    "The distribution's tails are too heavy for a precision: E[a (ds/dz)^2] still "
                    "grows at "
                    f"{start} deviations of z. Take a weight that falls with s, or lighter tails.")
            total += sum(w / 2 * integrand(sign * (start + (node + 1) / 2))
                         for node, w in zip(nodes, weights))
            start += 1
    return 2 / beta * float(total)


def _quantile(distribution, z):
    """s(z): the value with the same tail probability as z from N(0, 1)."""
    if z < 0:
        s, log_tail, target = distribution.ppf(
            scipy.stats.norm.cdf(z)), distribution.logcdf, scipy.stats.norm.logcdf(z)
    else:
        s, log_tail, target = distribution.isf(
            scipy.stats.norm.sf(z)), distribution.logsf, scipy.stats.norm.logsf(z)
    if np.isfinite(s) and abs(log_tail(s) - target) < 1e-6:
        return s
    # SciPy's isf is 1 - ppf for some distributions, and has no digits far out, where logsf still
    # has them.
    inside = distribution.median()
    first = step = (distribution.isf(_FOUR) if z > 0 else distribution.ppf(_FOUR)) - inside
    while log_tail(inside + step) > target:
        inside, step = inside + step, 2 * step
    return scipy.optimize.brentq(lambda s: max(log_tail(s), -1e3) - target, inside, inside + step,
                                 xtol=1e-14 * abs(first), rtol=1e-14)
