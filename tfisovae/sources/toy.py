"""The toy data of section 4.1 and appendix E.2: three independent variables with known densities,
embedded in R^16.

    x = s_1 v_1 + s_2 v_2 + s_3 v_3,        p(x) = p(s_1) p(s_2) p(s_3)

The v_i are orthonormal, so p(x) is the density per unit of volume of the three-dimensional data
manifold. The sources are centred, with variances 1/6, 2/3 and 8/3; E|x|^2 = 7/2.
"""
import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
import scipy.stats

from tfisovae import arguments, theory
from tfisovae.distortions.standard import convex_scale
from tfisovae.sources.source import Rows, Source, fingerprint

NUM_INPUTS = 16


def _ramp(length):
    """Density rising linearly from 0: a right triangle of this length, centred; variance length^2 /
    18.
    """
    return scipy.stats.triang(1, -2 / 3 * length, length)


_RAMPS = tuple(_ramp(math.sqrt(squared)) for squared in (3, 12, 48))

SHAPES = {
    "mix": (scipy.stats.triang(0.5, -1, 2), scipy.stats.uniform(-math.sqrt(2),
                                                                2 * math.sqrt(2)), _RAMPS[2]),
    "ramp": _RAMPS,
    "norm": tuple(scipy.stats.norm(0, math.sqrt(variance)) for variance in (1 / 6, 2 / 3, 8 / 3)),
}


# a_x as a function of |x|^2 (Eqs. 19, 55); `None` if it is 1.
_SCALES = {
    "sse": None, "downward_convex": convex_scale,
    "upward_convex": lambda square: 1 / convex_scale(square)
}


@dataclasses.dataclass(frozen=True)
class Toy:
    """Toy data: examples, their sources and their true density.

    Attributes:
      name: "mix" (triangle, uniform, ramp), "ramp" or "norm".
      x: `[N, 16]`, float32.
      s: `[N, 3]`, the sources.
      log_density: `[N]`, log p(x), nats, per unit of volume of the manifold.
      basis: `[3, 16]`, orthonormal rows v_i.
    """

    name: str
    x: np.ndarray
    s: np.ndarray
    log_density: np.ndarray
    basis: np.ndarray

    @property
    def density(self) -> np.ndarray:
        """p(x), `[N]`."""
        return np.exp(self.log_density)


def toy(name: str, num_examples: int = 50_000, seed: int = 0) -> Toy:
    """Draws toy data with a known density.

    Args:
      name: "mix", "ramp" or "norm".
      num_examples: N.
      seed: of the sources and of the basis.

    Returns:
      `Toy`.

    Raises:
      ValueError: for an unknown name, or a size below 1.

    Example:
      >>> data = tfisovae.sources.toy("mix", num_examples=100)
      >>> data.x.shape, data.s.shape
      ((100, 16), (100, 3))
    """
    if name not in SHAPES:
        raise ValueError(f"Unknown toy data {name!r}; use {', '.join(map(repr, SHAPES))}.")
    arguments.integer("num_examples", num_examples)
    shapes = SHAPES[name]
    basis, _ = np.linalg.qr(
        np.random.default_rng([seed, 0]).standard_normal((NUM_INPUTS, len(shapes))))
    uniform = np.random.default_rng([seed, 1]).random((num_examples, len(shapes)))
    s = np.stack([shape.ppf(u) for shape, u in zip(shapes, uniform.T)], 1)
    return Toy(name, (s @ basis.T).astype(np.float32), s, log_density(name, s),
               np.ascontiguousarray(basis.T))


def log_density(name: str, s: npt.ArrayLike) -> np.ndarray:
    """log p(s_1) + log p(s_2) + log p(s_3) of `s` `[N, 3]`, nats, `[N]`; -inf outside the support.
    """
    return sum(shape.logpdf(column) for shape, column in zip(SHAPES[name], np.asarray(s).T))


def toy_entropies(name: str) -> list[float]:
    """Differential entropies of s_1, s_2, s_3, nats: of a triangle of length w 1/2 + log(w / 2), of
    a uniform variable log w.
    """
    return [float(shape.entropy()) for shape in SHAPES[name]]


def least_loss(name: str, beta: float) -> float:
    """Shannon's lower bound on the loss lmbda D + R under the sum of squares, nats.

    Args:
      name: of the toy data.
      beta: 1 / lmbda. The water level of the tightest bound is beta / 2.
    """
    rate, distortion = theory.shannon_lower_bound(toy_entropies(name), beta / 2)
    return rate + distortion / beta


def predicted_precision(name: str, distortion: str, beta: float) -> list[float] | None:
    """E[sigma_j^-2] of s_1, s_2, s_3 if each has its own latent variable; 1 if it would collapse.

    Args:
      name: of the toy data.
      distortion: "sse", "downward_convex" or "upward_convex", with a_x averaged over the other two
        sources.
      beta: 1 / lmbda.

    Returns:
      A list of numbers; `None` for another distortion.
    """
    if distortion not in _SCALES:
        return None
    return [max(1.0, 2 / beta * float(value)) for value in _squared_slopes(name, distortion)]


@functools.cache
def _squared_slopes(name, distortion):
    """E[a (ds/dz)^2] of each source: E[sigma^-2] for beta = 2."""
    shapes, scale = SHAPES[name], _SCALES[distortion]
    return tuple(
        theory.shape_precision(shape, 2.0, _mean_scale(scale, shapes[:k] + shapes[k + 1:]))
        for k, shape in enumerate(shapes))


def _mean_scale(scale, others, num_nodes=100):
    """a_x of |x|^2 as a function of one source, averaged over the other two; `None` if a_x is 1."""
    if scale is None:
        return None
    nodes, weights = np.polynomial.legendre.leggauss(num_nodes)  # over quantiles
    first, second = (np.square(shape.ppf((nodes + 1) / 2)) for shape in others)
    return lambda s: weights / 2 @ scale(s * s + first[:, None] + second) @ weights / 2


def load_toy(name: str, num_examples: int = 50_000, seed: int = 0,
             num_eval: int = 10_000) -> Source:
    """Toy data as a `Source`: `num_examples` for training, and `num_eval` more with the same basis
    for evaluation.
    """
    arguments.integer("num_eval", num_eval)
    arguments.integer("num_examples", num_examples)
    drawn = toy(name, num_examples + num_eval, seed)
    manifest = {
        "toy": name, "source": f"toy data {name!r}, seed {seed}", "fingerprint": fingerprint(
            drawn.x), "skipped": [], "num_train": num_examples, "num_eval": num_eval
    }
    rows = np.arange(num_examples + num_eval)
    return Source(Rows(drawn.x, rows[:num_examples]), Rows(drawn.x, rows[num_examples:]), manifest,
                  drawn.s[num_examples:], ("s1", "s2", "s3"), drawn.log_density[num_examples:])
