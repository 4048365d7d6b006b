"""Closed forms of the theory, to set beside what is measured (NumPy and SciPy only)."""
import numpy as np
import scipy.integrate
import scipy.stats


def shape_precision(distribution, beta, weight=None):
    """E[sigma^-2] = (2 / beta) E[a (ds/dz)^2] of an isometric latent variable whose data coordinate s has this distribution.

    The prior N(0, 1) is carried to s by the monotone map s(z), and D = a |ds|^2. For a = 1, by Eq. 16 the number is at least
    (2 / beta) Var(s), with equality for a Gaussian s alone: the factor is 1.0168 for a symmetric triangle, 1.0812 for a ramp
    (right triangle), 1.1027 for a uniform distribution.

    Args:
      distribution: a frozen distribution of `scipy.stats` with `pdf`, `ppf` and `isf`.
      beta: 1 / lmbda.
      weight: a as a function of s, the scale of the metric averaged over all that is not s; 1 by default.
    """
    normal = scipy.stats.norm

    def integrand(z):
        s = distribution.ppf(normal.cdf(z)) if z < 0 else distribution.isf(normal.sf(z))
        return normal.pdf(z) ** 3 / distribution.pdf(s) ** 2 * (1 if weight is None else weight(s))

    # Beyond 6 deviations, whose share is below 1e-7, the ends of a bounded support run out of digits.
    halves = [scipy.integrate.quad(integrand, *ends, limit=200)[0] for ends in ((-6, 0), (0, 6))]
    return 2 / beta * float(np.sum(halves))
