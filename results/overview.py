"""One picture for people who know PCA: the leading latent dimensions, the share that each carries,
and what it does.

    python -m results.overview results/faces/decomposed --out results/faces/decomposed/overview.png

RUN has been measured (`tfisovae isometry`), and is of images; its model decodes the pictures.
"""
import argparse
import sys

import numpy as np

from results import layout, palette
from tfisovae.analysis.scree import Scree
from tfisovae.geometry import traversals
from tfisovae.show import drawing
from tfisovae.training import runs

_BAR, _BESIDE = palette.BLUE, palette.ORANGE
_CELL, _BARS = 0.68, 3.3  # inches: height of an image, width of the bars


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.overview", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", help="run directory")
    p.add_argument("--rows", type=int, default=8, help="latent dimensions to show (default: 8)")
    p.add_argument("--columns", type=int, default=9, help="pictures of each (default: 9)")
    p.add_argument("--out", default="overview.png", help="file to write (default: overview.png)")
    return p


def draw(numbers, rows, path):
    """Draws the picture.

    Args:
      numbers: `Scree`, which has the shares.
      rows: `Traversals` of images, of the leading dimensions.
      path: of the file.
    """
    count, shares = len(rows.x), np.diff(np.asarray(numbers.cumulative), prepend=0.0)
    images = np.clip(rows.x if rows.x.shape[-1] == 3 else np.repeat(rows.x, 3, -1), 0, 1)
    height, width = images.shape[2:4]
    high, wide = count * _CELL, images.shape[1] * _CELL * width / height
    whole = (0.6 + _BARS + 0.15 + wide + 0.1, 0.45 + high + 0.6)
    figure = drawing.Figure(figsize=whole)
    left, right = (figure.add_axes((x / whole[0], 0.6 / whole[1], size / whole[0], high / whole[1]))
                   for x, size in ((0.6, _BARS), (0.75 + _BARS, wide)))
    place = np.arange(count)
    left.barh(place, 100 * shares[:count], color=_BAR, height=0.62,
              label=f"a VAE's: {numbers.size_name}")
    if numbers.components is not None and numbers.components.honest:
        others = 100 * numbers.components.eigenvalue[:count] / numbers.components.total
        left.plot(others, place, "o", color=_BESIDE, markersize=5, label="a PCA's: variance")
    left.set_yticks(place, [f"$z_{{{j}}}$" for j in rows.dimensions])
    left.set_ylim(count - 0.5, -0.5)
    left.set_xlabel("% of the whole, in the metric of the distortion")
    left.legend(loc="lower right", fontsize=9, frameon=False)
    tiled = images.transpose(0, 2, 1, 3, 4).reshape(count * height, -1, 3)
    # The axes have the aspect of the images.
    right.imshow(tiled, aspect="auto", interpolation="lanczos")
    right.set_axis_off()
    for spine in ("top", "right"):
        left.spines[spine].set_visible(False)
    counted = ", ".join(f"{numbers.count(share)} for {100 * share:g} %" for share in (0.9, 0.99))
    figure.suptitle(
        f"A VAE measured as a PCA: how much each of its {sum(numbers.active)} active dimensions "
        f"carries "
        f"({counted}), and what it does", fontsize=11)
    drawing.save(figure, path)


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        if args.rows < 1 or args.columns < 2:
            raise ValueError(
                f"--rows must be at least 1 and --columns at least 2; got {args.rows} and "
                f"{args.columns}."
            )
        config, vae = runs.load_run(args.run)
        saved = layout.measured(args.run)
        if len(vae.example_shape) != 3:
            raise ValueError(
                f"{args.run} is of examples of the shape {list(vae.example_shape)}; the picture "
                f"takes images."
            )
        numbers = Scree.from_saved(saved)
        leading = [j for j in saved["ranking"] if saved["active"][j]][:args.rows]
        if not leading:
            raise ValueError(
                f"{args.run} has collapsed: no latent dimension is active, so there is nothing to "
                f"draw."
            )
        draw(numbers, traversals.traverse(vae, leading, args.columns), args.out)
    except (ValueError, OSError) as error:
        sys.exit(f"python -m results.overview: {error}")
    print(f"Written: {args.out}")


if __name__ == "__main__":
    main()
