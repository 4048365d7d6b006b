"""Tables of an ablation (Figs. 11-22), from the `ablation-measured.json` that `tfisovae
measure_ablation` writes.
"""
import os

import numpy as np

from results import layout, paper
from tfisovae import files, sources, theory
from tfisovae.commands.measure_ablation import grouped, slopes

FIGURES = {(source, distortion): 11 + 3 * i + j for i, source in enumerate(("mix", "ramp", "norm"))
           for j, distortion in enumerate(("sse", "downward_convex", "upward_convex"))}


def measured_cells(directory):
    """The cells that `tfisovae measure_ablation` has measured."""
    return files.read_json(os.path.join(directory, "ablation-measured.json"))["cells"]


def _between(cells, low, high):
    return [cell for cell in cells if low <= cell["lmbda"] <= high]


def _range(values):
    """Least to largest of the means of `[seeds, values]`; with several seeds the largest standard
    error among them.
    """
    values = np.array(values, float)
    means = values.mean(0)
    seen = np.isfinite(means)
    if not seen.any():
        return "-"
    errors = values.std(0, ddof=1)[seen] / np.sqrt(len(values)) if len(values) > 1 else []
    return f"{means[seen].min():.2f} to {means[seen].max():.2f}" + (f" (+- {np.max(errors):.1g})"
                                                                    if len(errors) else "")


def _listed(values):
    return ", ".join(layout.mean_and_error(values, ".2f")) or "-"


def ablation_table(directories):
    """Figs. 11-20, one row for each: norms, measured and predicted ratios, R with p(x), and the
    slope of Eq. 3.

    Several directories mean several seeds: the table has means over them, with standard errors.
    """
    seeds = [grouped(measured_cells(directory)) for directory in directories]
    lines = [
        "| | norms, lmbda 50 to 1000 | E[1 - sigma^2] there | ratios at lmbda 100 | of the shapes "
        "| R of a_x exp(-L/beta), "
        "20 to 200 | R of volume there | -dD/dR / beta, 5 to 1000 |", "| --- " * 8 + "|",
        f"| paper, {' | '.join(paper.ABLATION)} |"
    ]

    for source, distortion in seeds[0]:
        groups = [seed[source, distortion] for seed in seeds]

        def over(low, high, values, groups=groups):
            return [
                np.concatenate([
                    np.ravel(np.array(values(cell), float)) for cell in _between(cells, low, high)
                ] or [[]]) for cells in groups
            ]

        def ratios(key):
            return lambda cell: np.array(cell[key][1:]) / cell[key][0]

        def correlation(form):
            return lambda cell: cell["correlations"].get(form, np.nan)

        slope = [[slope / beta for beta, slope in slopes(_between(cells, 5, 1000))]
                 for cells in groups]
        row = [
            _range(over(50, 1000, lambda cell: cell["norm"])),
            _range(over(50, 1000, lambda cell: cell["one_minus_variance"])),
            _listed(over(100, 100, ratios("precision"))),
            _listed(over(100, 100, ratios("predicted_precision"))[:1]),
            _range(over(20, 200, correlation("scaled_objective"))),
            _range(over(20, 200, correlation("volume"))),
            _range(slope)
        ]
        lines.append(
            f"| Fig. {FIGURES[source, distortion]}: {source}, {distortion.replace('_', '-')} | "
            f"{' | '.join(row)} |"
        )
    return "\n".join(lines)


def losses_table(directories):
    """Figs. 21 and 22: coding loss, and transform over coding loss, against beta, for the sum of
    squares; over seeds likewise.
    """
    seeds = [{
        source: {cell["lmbda"]: cell
                 for cell in cells}
        for (source, distortion), cells in grouped(measured_cells(directory)).items()
        if distortion == "sse"
    } for directory in directories]
    if not seeds[0]:
        raise ValueError(
            f"{directories[0]} has no cells of the sum of squares (sse), which this table needs.")
    variances = np.array([shape.var() for shape in sources.TOYS["norm"]])
    names = " | ".join(seeds[0])
    lines = [
        f"| lmbda | coding loss: {names} | n beta / 2 | exact, Gaussian | transform / coding: "
        f"{names} | 21 beta / 16 | "
        "exact, Gaussian |", "| --- " * (2 * len(seeds[0]) + 5) + "|"
    ]

    def cell_of(lmbda, source, value, form):
        found = [seed[source][lmbda] for seed in seeds if lmbda in seed[source]]
        return layout.mean_and_error([[value(cell)] for cell in found], form)[0] if found else "-"

    for lmbda in sorted({lmbda for cells in seeds[0].values() for lmbda in cells}):
        exact = theory.LinearVAE(variances, 1 / lmbda)
        coding = [
            cell_of(lmbda, source, lambda cell: cell["coding_loss"], ".4g") for source in seeds[0]
        ]
        ratio = [
            cell_of(lmbda, source, lambda cell: cell["transform_loss"] / cell["coding_loss"], ".3g")
            if all(seed[source].get(lmbda, {}).get("coding_loss") for seed in seeds) else "-"
            for source in seeds[0]
        ]
        exact_ratio = exact.transform_loss.sum() / exact.coding_loss.sum() if exact.norm.any(
        ) else np.nan
        n = len(variances)
        lines.append(" | ".join([
            f"| {lmbda:g}", *coding, f"{n / lmbda / 2:.4g}", f"{exact.coding_loss.sum():.4g}",
            *ratio, f"{np.sum(1 / variances) / lmbda / 2 / n:.3g}",
            f"{exact_ratio:.3g} |" if np.isfinite(exact_ratio) else "- |"
        ]))
    return "\n".join(lines)
