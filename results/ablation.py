"""Draw Figs. 11-22 of an ablation that `tfisovae measure_ablation` has measured: `python -m
results.ablation DIRECTORY`.
"""
import argparse
import os
import sys

from results import figures_ablation
from results.ablation_tables import measured_cells
from tfisovae import sources
from tfisovae.commands.measure_ablation import grouped
from tfisovae.show import drawing


def parser():
    """The options."""
    p = argparse.ArgumentParser(prog="python -m results.ablation", description=__doc__)
    p.add_argument("ablation", help="directory with the ablation-measured.json")
    return p


def draw(directory):
    """Draws the pictures from `ablation-measured.json`; returns their paths."""
    groups, drawn = grouped(measured_cells(directory)), {}
    for (source, distortion), cells in groups.items():
        drawn[f"{source}-{distortion}"] = figures_ablation.against_lmbda(
            cells, f"Measured (lines) and theory (dotted) against lmbda: {source}, "
                   f"{distortion.replace('_', '-')}")
    at = {f"{source} {distortion}": cell for (source, distortion), cells in groups.items()
          for cell in cells if cell["lmbda"] == 100}
    if at:
        drawn["ratios"] = figures_ablation.ratios_at(at, 100)
    squared = {
        source: cells
        for (source, distortion), cells in groups.items() if distortion == "sse"
    }
    if squared:
        drawn["losses"] = figures_ablation.losses(squared,
                                                  [shape.var() for shape in sources.TOYS["norm"]])
    paths = [os.path.join(directory, f"{name}.png") for name in drawn]
    for figure, path in zip(drawn.values(), paths):
        drawing.save(figure, path)
    return paths


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        paths = draw(args.ablation)
    except (ValueError, OSError) as error:
        sys.exit(f"{parser().prog}: {error}")
    print(f"Written: {', '.join(paths)}")


if __name__ == "__main__":
    main()
