"""Traversals: decoded images along each latent variable, in steps of equal distortion.

A step of z_j changes the data more if sigma_j is small. Equal steps of the isometric variable y_j
(Eq. 11) are equally long in the metric of the distortion. So all neighbours in a row of a traversal
differ by the same amount,

    D(x_k, x_k+1) = (y_k+1 - y_k)^2

if the path between them is straight in this metric. On a curved path the distortion between
neighbours, which is measured, is smaller.
"""
import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae import arguments
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder, refuse
from tfisovae.distortions import Distortion
from tfisovae.geometry import STEPS
from tfisovae.geometry.isometric_variable import IsometricVariable

_TOGETHER = 100  # decodes
# float32 gives relative changes of x up to this for a constant decoder.
_ROUNDING = 1e-6


_OF_ALL = ("at", "steps")  # fields without an entry per row


@dataclasses.dataclass(frozen=True)
class Traversals:
    """Rows of decoded examples; in each row one latent variable moves.

    Attributes:
      dimensions: j of each row, in the model's order, `[rows]`.
      z: z_j, `[rows, columns]`; the other latent variables are fixed at `at`.
      x: Dec(z), `[rows, columns, ...]`.
      distortion: D(x_k, x_k+1) minus D(x_k, x_k) between neighbours, measured, `[rows, columns -
        1]`.
      length: the length from the first column to the last in the metric of the distortion,
        `[rows]`: its square is a distortion. NaN for steps equal in z.
      still: whether the decoder is constant along the row, to rounding, `[rows]`. With "decoder"
        such a row has steps equal in z.
      share: share of the total cost of removal (in older files: of the importance), `[rows]`; NaN
        if not given.
      at: `[n]`.
      steps: kind of equal steps: "decoder", "posterior" or "z".
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
        """For each row: its variable, its share ("" if unknown), and D from column to column."""
        said = []
        for j, share, between, still in zip(self.dimensions, self.share, self.distortion,
                                            self.still):
            low, high = f"{between.min():.2g}", f"{between.max():.2g}"
            said.append(
                (f"z_{j}", "" if np.isnan(share) else _percent(share),
                 "stands still" if still else f"D {low}" if low == high else f"D {low} to {high}"))
        return said

    def labels(self) -> list[str]:
        """A line of words that describes each row."""
        return [", ".join(filter(None, parts)) for parts in self.words()]

    def leading(self, count: int) -> "Traversals":
        """Only the first `count` rows."""
        return dataclasses.replace(
            self, **{
                field.name: getattr(self, field.name)[:count]
                for field in dataclasses.fields(self) if field.name not in _OF_ALL
            })

    def to_dict(self) -> dict[str, object]:
        """All but the examples, for JSON."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self) if field.name != "x"
        }


def joined(some: Sequence[Traversals]) -> Traversals:
    """The rows of several traversals of the same model and kind, one after the other."""
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
             beta: float | None = None, inspect: bool = True) -> Traversals:
    """Decodes points along some latent variables, from -limit to limit, in steps of equal length.

    Args:
      model: whatever `as_autoencoder` takes. Only steps by the posterior need its beta.
      dimensions: j of each row, in the order of the rows.
      columns: decoded examples in a row, at least 2.
      limit: z_j goes from -limit to limit about `at`; 2 covers 95 % of the prior, and so of the
        data of a trained VAE.
      steps: what the steps are equal in:

        - "decoder": the length of the decoder's own path, sqrt(D'_j) dz
          (`IsometricVariable.along_axis`);
        - "posterior": y_j from the posteriors of a data set, sqrt(beta / 2) / sigma_j dz (Eq. 11);
        - "z": z_j, as in the paper's Figs. 6 and 23.
      posterior: `(mean, scale)` of a data set, `[N, n]` each, N of at least 20: for "posterior".
      at: values of the other variables, and the middle of z_j, `[n]`; 0 by default, the mean over
        the data of a trained VAE.
      share: the share of each of the n variables (`Analysis.share`), `[n]`, for the labels of the
        rows.
      n: latent dimensions, for models that do not have it, if `at`, `posterior` and `share` are not
        given.
      num_points: of the decoder's path, for "decoder", at least 2 `columns` - 1.
      distortion, beta: as `as_autoencoder` takes them.
      inspect: as of `IsometricVariable.along_axis`.

    Returns:
      `Traversals`.

    Raises:
      ValueError: for unknown dimensions, fewer than 2 columns, a limit that is not positive and
        finite, unknown `steps`, or arrays of other shapes.

    Cost: `columns` decodes per row, and for steps by the decoder `num_points` + 2 more (or 2
    `columns` if that is larger).
    """
    if steps not in STEPS:
        raise ValueError(
            f"steps must be one of {', '.join(map(repr, STEPS))}; got {steps!r}."
        )
    arguments.integer("columns", columns, 2)
    arguments.positive("limit", limit)
    model = as_autoencoder(model, distortion, beta, needs_beta=steps == "posterior")
    refuse(model, "traverse", "conditional")
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
    if inspect:
        inspection.check_decoder(model, at)
    line = at[dimensions, None] + np.linspace(-limit, limit, columns)
    rows, points = [], max(num_points, 2 * columns - 1)
    for j, z in zip(dimensions, line):
        variable = None
        if steps == "decoder":
            try:
                variable = IsometricVariable.along_axis(model, j, z[[0, -1]], at, points,
                                                        inspect=False)
            except ValueError as error:
                raise ValueError(
                    f"z_{j} has no lengths from {z[0]:g} to {z[-1]:g}; perhaps limit is too large "
                    f"for the decoder, or its weights are not finite: {error}") from error
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
    """Every other column of traversals with an odd number of columns, from the first to the last,
    with D measured between them.
    """
    x = rows.x[:, ::2]
    between = np.stack([_between(distortion, tf.constant(row, tf.float32)) for row in x])
    return dataclasses.replace(rows, z=rows.z[:, ::2], x=x, distortion=between)


def _vectors(at, share, n, mean):
    """`at`, `share` and n from the given ones."""
    at, share = (None if value is None else np.asarray(value, np.float64) for value in (at, share))
    sizes = {
        name: value.shape[-1] if value.ndim else 0
        for name, value in (("at", at), ("share", share), ("posterior", mean)) if value is not None
    }
    sizes |= {"n": int(n)} if n is not None else {}
    if not sizes:
        raise ValueError(
            "n is missing: the number of latent variables is unknown. Give n=, or at=.")
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
            "dimensions must be a list with at least one latent variable, by number; got "
            f"{dimensions.tolist()!r}.")
    outside = dimensions[(dimensions < 0) | (dimensions >= n)]
    if len(outside):
        raise ValueError(f"dimensions must be from 0 to {n - 1}; got {outside[0]}.")
    return dimensions.astype(int)


def _decoded(model, at, j, z):
    """Decoded points along the axis of z_j, a tensor `[columns, ...]`."""
    points = np.tile(at, (len(z), 1))
    points[:, j] = z
    return tf.concat([model.decode(tf.constant(points[first:first + _TOGETHER], tf.float32))
                      for first in range(0, len(z), _TOGETHER)], 0)


def _rounding(model, x):
    """The largest length that rounding of the examples `x` can produce."""
    return float(np.sqrt(np.maximum(np.max(model.distortion.excess(x, _ROUNDING * x)), 0)))


def _between(distortion, x):
    """D between neighbours, `[columns - 1]`, float64."""
    return np.maximum(np.asarray(distortion.excess(x[:-1], x[1:] - x[:-1]), np.float64), 0)
