"""The parts of a report that need the model itself: traversals and reconstructions."""
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae.analysis.analysis import Analysis
from tfisovae.analysis.scree import latent_variance
from tfisovae.analysis.spatial import Spatial
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder, bound, refuse
from tfisovae.autoencoder.networks import Composed
from tfisovae.distortions import Distortion
from tfisovae.geometry import traversals
from tfisovae.progress import bar as progress_bar
from tfisovae.show.contents import Measured, Reconstructions
from tfisovae.show.decoded import channels_last

_LEADING = 16  # dimensions that are shown of a large latent space
_INACTIVE = 2  # inactive dimensions that are shown, to see that nothing happens
# Up to this many rows, this many tiles in each, and points of its path.
_SIZES = ((48, 11, 65), (128, 7, 33), (10**9, 5, 17))


def observe(model: AutoencoderLike, analysis: Analysis | Mapping[str, Any], x: npt.ArrayLike,
            rows: Sequence[int] | None = None, view: Callable[[np.ndarray],
                                                              np.ndarray] = channels_last,
            progress: bool = False, *, distortion: Distortion | str | None = None,
            scale: str = "log_variance", inspect: bool = True) -> dict[str, Any]:
    """Traversals and reconstructions of a measured model, as parts for `tfisovae.show.write`.

    Args:
      model: whatever `as_autoencoder` takes; its beta need not be known.
      analysis: `Analysis`, or the content of `isometry.json`: active dimensions and their order.
      x: a few examples, `[N, ...]`; for a conditional model a pair (x, c). Its traversals then are
        at the condition of the first example.
      rows: their numbers in the data, `[N]`, if they have any.
      view: function from examples to images `[..., H, W, C]`. By default it moves the channels of
        channels-first images, and keeps other examples.
      progress: whether to show a progress bar.
      distortion, scale: as `as_autoencoder` takes them.
      inspect: as of `tfisovae.analyze`.

    Returns:
      `{"traversals": Traversals, "reconstructions": Reconstructions}`, and "channel_traversals"
      of a spatial latent space.

    Cost: about 90 decodes for each active dimension (fewer for more than 48), and one for each
    example. Of more than 300 dimensions only the first 16 are shown.
    """
    model = as_autoencoder(model, distortion, scale=scale, needs_beta=False)
    refuse(model, "observe", "covariance")
    values = analysis if isinstance(analysis, Mapping) else analysis.to_dict()
    measured, share = Measured(values), _share(analysis)
    x, c = (x, None) if model.condition is None else _pair(x)
    known, walked, x = _at_first(model, x, c)
    if inspect and len(x):
        inspection.check(model, x if c is None else model.condition.packed(x, c))
    dimensions = [
        *measured.active_ranking, *measured.ranking[~measured.active[measured.ranking]][:_INACTIVE]
    ][:_LEADING if measured.is_large else measured.n]
    columns, points = next(size for most, *size in _SIZES if len(dimensions) <= most)
    # A small weight of the KL leaves means far from 0, and a given prior has its own units.
    given = measured.values.get("standard_prior") is False
    at = measured.vector("latent_mean") if measured.is_large or given else None
    limits = np.full(measured.n, 2.0)
    if given:
        limits *= np.sqrt(latent_variance(*measured.vectors("importance", "precision_mean"),
                                          measured.scalar("beta")))
    made = [
        traversals.traverse(walked, [j], columns, limits[j], at=at, share=share, n=measured.n,
                            num_points=points, inspect=False)
        for j in progress_bar(dimensions, desc="traversing", unit=" dimensions", progress=progress)
    ]
    joined = traversals.joined(made)
    shown = {"traversals": dataclasses.replace(joined, x=view(joined.x))}
    of_channels = _channels(walked, measured, progress)
    if of_channels is not None:
        shown["channel_traversals"] = dataclasses.replace(of_channels, x=view(of_channels.x))
    x_check = known.decode(known.encode(x)[0])
    distances = np.asarray(model.distortion(x, x_check), np.float64)
    shown["reconstructions"] = Reconstructions(
        view(x.numpy()), view(x_check.numpy()), distances,
        None if rows is None else np.asarray(rows), None if c is None else np.asarray(c))
    return shown


def _pair(x):
    if not (isinstance(x, tuple) and len(x) == 2):
        raise ValueError("x must be a pair (x, c) of arrays: the model is conditional.")
    return x


def _at_first(model, x, c):
    """The model for these examples, the model for any z at the condition of the first, and x."""
    if c is None:
        return model, model, tf.cast(x, tf.float32)
    packed = model.condition.packed(x, c)
    known, x = bound(model, packed)
    walked = bound(model, packed[:1])[0]
    return known, dataclasses.replace(walked, decode=Composed(walked.decode, tf.identity)), x


def _channels(model, measured, progress):
    """Traversals along the leading directions of each channel, about the mean of the data; `None`
    where there are no channels. z counts standard deviations of the data.
    """
    found = Spatial.of(measured.values)
    vectors, share = (np.array(measured.values.get(name) or [], np.float64)
                      for name in ("channel_directions", "channel_shares"))
    at = measured.vector("latent_mean")
    if found is None or vectors.ndim != 3 or at is None:
        return None
    channels, count, _ = vectors.shape
    basis = np.zeros([channels, count, measured.n])
    for channel in range(channels):
        basis[channel, :, channel::channels] = vectors[channel]
    matrix, center = (tf.constant(part, tf.float32) for part in (
        basis.reshape(-1, measured.n), at))
    along = dataclasses.replace(model, decode=Composed(model.decode,
                                                       lambda t: center + tf.cast(
                                                           t, tf.float32) @ matrix), networks=None)
    order = [channel * count + k for channel in found.channels for k in range(count)]
    columns, points = _SIZES[0][1:] if len(order) <= _SIZES[0][0] else _SIZES[1][1:]
    return traversals.joined([
        traversals.traverse(along, [j], columns, share=share.ravel(), n=len(order),
                            num_points=points)
        for j in progress_bar(order, desc="channels", unit=" directions", progress=progress)])


def _share(analysis):
    """`Analysis.share`; `None` if a measurement of an older version lacks it."""
    try:
        return (Analysis.from_dict(analysis) if isinstance(analysis, Mapping) else analysis).share
    except (ValueError, TypeError, KeyError):
        return None
