"""What each latent variable does, in steps of equal distortion.

A step of z_j is worth more where sigma_j is small. The isometric variable y_j (Eq. 11) counts what
a step is worth: steps equal in y_j are equally long in the metric of the distortion, so neighbours
in a row of a traversal differ by as much everywhere in it, and by

    D(x_k, x_k+1) = (y_k+1 - y_k)^2

where the path between them is straight in that metric. On a path that bends the distortion, which
is measured of every pair of neighbours, is less than that.
"""
import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae import arguments
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder
from tfisovae.autoencoder.conditional import refuse
from tfisovae.distortions import Distortion
from tfisovae.geometry import STEPS
from tfisovae.geometry.isometric_variable import IsometricVariable

_TOGETHER = 100  # decodes
# Relative changes of x up to this are what float32 makes of a decoder that stands still.
_ROUNDING = 1e-6


_OF_ALL = ("at", "steps")  # fields that are not by row


@dataclasses.dataclass(frozen=True)
class Traversals:
    """Rows of decoded examples, in each of which one latent variable moves.

    Attributes:
      dimensions: j of each row, as the model counts them, `[rows]`.
      z: z_j, `[rows, columns]`; the other latent variables stand at `at`.
      x: Dec(z), `[rows, columns, ...]`.
      distortion: D(x_k, x_k+1) less D(x_k, x_k) between neighbours, measured, `[rows, columns -
        1]`.
      length: the way from the first column to the last in the metric of the distortion, `[rows]`:
        its square is a distortion. Of steps equal in z it is not known: NaN.
      still: whether the decoder stands still along the row, to rounding, `[rows]`. By the decoder
        such a row has steps equal in z.
      share: of the cost of removal of all (in older files: of the importance), `[rows]`; NaN where
        it was not given.
      at: `[n]`.
      steps: what the steps are equal in: "decoder", "posterior" or "z".
    """

    dimensions: np.ndarray
    z: np.ndarray
    x: np.ndarray
    distortion: np.ndarray
    length: np.ndarray
    still: np.ndarray
    share: np.ndarray
    at: np.ndarray
    steps: str

    def words(self) -> list[tuple[str, str, str]]:
        """Of each row: its variable, its share ("" where that is not known), and D from column to
        column.
        """
        said = []
        for j, share, between, still in zip(self.dimensions, self.share, self.distortion,
                                            self.still):
            low, high = f"{between.min():.2g}", f"{between.max():.2g}"
            said.append(
                (f"z_{j}", "" if np.isnan(share) else _percent(share),
                 "stands still" if still else f"D {low}" if low == high else f"D {low} to {high}"))
        return said

    def labels(self) -> list[str]:
        """What each row is, in a line of words."""
        return [", ".join(filter(None, parts)) for parts in self.words()]

    def leading(self, count: int) -> "Traversals":
        """The first `count` rows alone."""
        return dataclasses.replace(
            self, **{
                field.name: getattr(self, field.name)[:count]
                for field in dataclasses.fields(self) if field.name not in _OF_ALL
            })

    def to_dict(self) -> dict[str, object]:
        """All but the examples, as JSON holds it."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self) if field.name != "x"
        }


def joined(some: Sequence[Traversals]) -> Traversals:
    """The rows of several, which must be of one model and kind, one after the other."""
    return dataclasses.replace(
        some[0], **{
            field.name: np.concatenate([getattr(one, field.name) for one in some])
            for field in dataclasses.fields(some[0]) if field.name not in _OF_ALL
        })


def _percent(share):
    return f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"


def traverse(model: AutoencoderLike, dimensions: Sequence[int] | npt.ArrayLike, columns: int = 9,
             limit: float = 2.0, steps: str = "decoder", *,
             posterior: tuple[npt.ArrayLike, npt.ArrayLike] | None = None,
             at: npt.ArrayLike | None = None, share: npt.ArrayLike | None = None,
             n: int | None = None, num_points: int = 65, distortion: Distortion | str | None = None,
             beta: float | None = None) -> Traversals:
    """Decodes each of some latent variables from -limit to limit, in steps of equal length.

    Args:
      model: whatever `as_autoencoder` takes. Its beta need be known for steps by the posterior
        alone.
      dimensions: j of each row, in the order of the rows.
      columns: decoded examples in a row, at least 2.
      limit: z_j goes from -limit to limit about `at`; 2 is 95 % of the prior, hence of the data of
        a trained VAE.
      steps: what the steps are equal in:

        - "decoder": the length of the decoder's own path, sqrt(D'_j) dz
          (`IsometricVariable.along_axis`);
        - "posterior": y_j by the posteriors of a data set, sqrt(beta / 2) / sigma_j dz (Eq. 11);
        - "z": z_j, as in the paper's Figs. 6 and 23.
      posterior: `(mean, scale)` of a data set, `[N, n]` each, N of at least 20: for "posterior".
      at: where the other variables stand, and the middle of z_j, `[n]`; 0 by default, the mean over
        the data of a trained VAE.
      share: the share of each of the n variables (`Analysis.share`), `[n]`, which the rows then
        say.
      n: latent dimensions, where `at`, `posterior` and `share` are not given, for models that do
        not say it.
      num_points: of the decoder's path, for "decoder": fewer than 2 `columns` - 1 are not taken.
      distortion, beta: as `as_autoencoder` takes them, for models that do not say them.
    Returns:
      `Traversals`.
    Raises:
      ValueError: for dimensions that there are not, fewer than 2 columns, a limit that is not
        positive and finite, unknown `steps`, or arrays of other shapes.
    Cost: `columns` decodes a row, and for steps by the decoder `num_points` + 2 more (2 `columns`
    more where those are more).
    """
    if steps not in STEPS:
        raise ValueError(
            f"steps must be one of {', '.join(map(repr, STEPS))}: what they are equal in; got "
            f"{steps!r}."
        )
    arguments.integer("columns", columns, 2)
    arguments.positive("limit", limit)
    model = as_autoencoder(model, distortion, beta, needs_beta=steps == "posterior")
    refuse(model, "traverse")
    if n is None and model.networks is not None:
        n = model.networks.n
    if steps == "posterior" and posterior is None:
        raise ValueError(
            'posterior is missing: steps="posterior" needs (mean, scale) of a data set, [N, n] '
            'each.'
        )
    mean, scale = (None, None) if posterior is None else (np.asarray(part, np.float64)
                                                          for part in posterior)
    at, share, n = _vectors(at, share, n, mean)
    dimensions = _checked(dimensions, n)
    line = at[dimensions, None] + np.linspace(-limit, limit, columns)
    rows, points = [], max(num_points, 2 * columns - 1)
    for j, z in zip(dimensions, line):
        variable = None
        if steps == "decoder":
            try:
                variable = IsometricVariable.along_axis(model, j, z[[0, -1]], at, points)
            except ValueError as error:
                raise ValueError(
                    f"z_{j} has no lengths from {z[0]:g} to {z[-1]:g}, as where limit is too "
                    f"large for the decoder, "
                    f"or its weights are not finite: {error}") from error
        elif steps == "posterior":
            variable = IsometricVariable(mean[:, j], scale[:, j], model.beta)
        length, still = np.nan, False
        if variable is not None:
            length = float(variable.to_y(z[-1]) - variable.to_y(z[0]))
            still = not length > (points - 1) * _rounding(model, _decoded(model, at, j, z[[0, -1]]))
            if not still:
                z = np.asarray(
                    variable.to_z(np.linspace(variable.to_y(z[0]), variable.to_y(z[-1]), columns)))
        x = _decoded(model, at, j, z)
        between = _between(model.distortion, x)
        still = still or not np.sqrt(between.max()) > _rounding(model, x)
        rows.append((z, x.numpy(), between, length, still))
    z, x, between, length, still = map(np.stack, zip(*rows))
    return Traversals(dimensions, z, x, between, length, still, share[dimensions], at, steps)


def every_other(rows: Traversals, distortion: Distortion) -> Traversals:
    """Every other column of traversals with an odd number of them, from the first to the last, with
    D between these measured.
    """
    x = rows.x[:, ::2]
    between = np.stack([_between(distortion, tf.constant(row, tf.float32)) for row in x])
    return dataclasses.replace(rows, z=rows.z[:, ::2], x=x, distortion=between)


def _vectors(at, share, n, mean):
    """`at`, `share` and n of what is given of them."""
    at, share = (None if value is None else np.asarray(value, np.float64) for value in (at, share))
    sizes = {
        name: value.shape[-1] if value.ndim else 0
        for name, value in (("at", at), ("share", share), ("posterior", mean)) if value is not None
    }
    sizes |= {"n": int(n)} if n is not None else {}
    if not sizes:
        raise ValueError(
            "n is missing: nothing says how many latent variables there are. Give n=, or at=.")
    n = next(iter(sizes.values()))
    if len(set(sizes.values())) > 1 or n < 1 or any(value is not None and value.shape != (n, )
                                                    for value in (at, share)):
        raise ValueError(
            "at and share must be vectors [n], posterior two arrays [N, n], of one n; got "
            f"{', '.join(f'{size} by {name}' for name, size in sizes.items())}.")
    if at is not None and not np.isfinite(at).all():
        raise ValueError(
            f"at must be finite; got {at[~np.isfinite(at)][0]} of latent variable "
            f"{int(np.argmin(np.isfinite(at)))}."
        )
    return np.zeros(n) if at is None else at, np.full(n, np.nan) if share is None else share, n


def _checked(dimensions, n):
    dimensions = np.asarray(dimensions)
    if dimensions.ndim != 1 or not len(dimensions) or dimensions.dtype.kind not in "iu":
        raise ValueError(
            f"dimensions must be a list of the numbers of latent variables, at least one; got "
            f"{dimensions.tolist()!r}.")
    outside = dimensions[(dimensions < 0) | (dimensions >= n)]
    if len(outside):
        raise ValueError(f"dimensions must be from 0 to {n - 1}; got {outside[0]}.")
    return dimensions.astype(int)


def _decoded(model, at, j, z):
    """Dec of points along the axis of z_j, a tensor `[columns, ...]`."""
    points = np.tile(at, (len(z), 1))
    points[:, j] = z
    return tf.concat([model.decode(tf.constant(points[first:first + _TOGETHER], tf.float32))
                      for first in range(0, len(z), _TOGETHER)], 0)


def _rounding(model, x):
    """The largest length that rounding of the examples `x` may look like."""
    return float(np.sqrt(np.maximum(np.max(model.distortion.excess(x, _ROUNDING * x)), 0)))


def _between(distortion, x):
    """D between neighbours, `[columns - 1]`, float64."""
    return np.maximum(np.asarray(distortion.excess(x[:-1], x[1:] - x[:-1]), np.float64), 0)
