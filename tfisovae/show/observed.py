"""What a report shows that takes the model itself: traversals and reconstructions."""
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tqdm

from tfisovae.analysis.analysis import Analysis
from tfisovae.autoencoder.autoencoder import AutoencoderLike, as_autoencoder
from tfisovae.autoencoder.conditional import refuse
from tfisovae.distortions import Distortion
from tfisovae.geometry import traversals
from tfisovae.show.contents import Measured, Reconstructions
from tfisovae.show.decoded import channels_last

_INACTIVE = 2  # inactive dimensions that are shown, so that one sees that nothing happens
# Up to so many rows, so many tiles in each, and points of its path.
_SIZES = ((48, 11, 65), (128, 7, 33), (10**9, 5, 17))


def observe(model: AutoencoderLike, analysis: Analysis | Mapping[str, Any], x: npt.ArrayLike,
            rows: Sequence[int] | None = None, view: Callable[[np.ndarray],
                                                              np.ndarray] = channels_last,
            progress: bool = False, *, distortion: Distortion | str | None = None,
            scale: str = "log_variance") -> dict[str, Any]:
    """Traversals and reconstructions of a model that was measured: what `report.write` takes as its
    parts.

    Args:
      model: whatever `as_autoencoder` takes; its beta need not be known.
      analysis: `Analysis`, or what `isometry.json` holds: which dimensions are active, and their
        order.
      x: a few examples, `[N, ...]`.
      rows: their numbers in the data, `[N]`, if they have any.
      view: makes arrays `[..., H, W, C]` of images of arrays of examples. By default images with
        their channels in front are turned, and other examples stay as they are.
      progress: whether to show a progress bar.
      distortion, scale: as `as_autoencoder` takes them.
    Returns:
      `{"traversals": Traversals, "reconstructions": Reconstructions}`.
    Cost: about 90 decodes for each active dimension, of more than 48 fewer, and one for each
    example.
    """
    values = analysis if isinstance(analysis, Mapping) else analysis.to_dict()
    model, measured, share = as_autoencoder(model, distortion, scale=scale,
                                            needs_beta=False), Measured(values), _share(analysis)
    refuse(model, "observe")
    dimensions = [
        *measured.active_ranking, *measured.ranking[~measured.active[measured.ranking]][:_INACTIVE]
    ]
    columns, points = next(size for most, *size in _SIZES if len(dimensions) <= most)
    made = [
        traversals.traverse(model, [j], columns, share=share, n=measured.n, num_points=points)
        for j in tqdm.tqdm(dimensions, desc="traversing", unit=" dimensions", disable=not progress)
    ]
    joined = traversals.joined(made)
    moved = dataclasses.replace(joined, x=view(joined.x))
    x = tf.cast(x, tf.float32)
    x_check = model.decode(model.encode(x)[0])
    distances = np.asarray(model.distortion(x, x_check), np.float64)
    return {
        "traversals": moved, "reconstructions": Reconstructions(
            view(x.numpy()), view(x_check.numpy()), distances,
            None if rows is None else np.asarray(rows))
    }


def _share(analysis):
    """`Analysis.share`; `None` where a measurement of an older version does not tell."""
    try:
        return (Analysis.from_dict(analysis) if isinstance(analysis, Mapping) else analysis).share
    except (ValueError, TypeError, KeyError):
        return None
