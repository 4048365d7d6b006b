"""Tables of an ablation (Figs. 11-22), from the `ablation-measured.json` that `tfisovae measure_ablation` writes."""
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
    values = np.array([v for v in np.ravel(values) if v is not None and np.isfinite(v)])
    return f"{np.min(values):.2f} to {np.max(values):.2f}" if values.size else "-"


def ablation_table(directories):
    """Figs. 11-20, one row for each: norms, ratios beside those of the shapes, R with p(x), and the slope of Eq. 3."""
    directory = layout.only(directories)
    lines = ["| | norms, lmbda 50 to 1000 | E[1 - sigma^2] there | ratios at lmbda 100 | of the shapes | R of a_x exp(-L/beta), "
             "20 to 200 | R of volume there | -dD/dR / beta, 5 to 1000 |", "| --- " * 8 + "|",
             f"| paper, {' | '.join(paper.ABLATION)} |"]
    for (source, distortion), cells in grouped(measured_cells(directory)).items():
        high, middle = _between(cells, 50, 1000), _between(cells, 20, 200)
        ratios, predicted = (", ".join(f"{v / cell[key][0]:.2f}" for cell in _between(cells, 100, 100) for v in cell[key][1:])
                             for key in ("precision", "predicted_precision"))
        lines.append(f"| Fig. {FIGURES[source, distortion]}: {source}, {distortion.replace('_', '-')} | "
                     f"{_range([cell['norm'] for cell in high])} | {_range([cell['one_minus_variance'] for cell in high])} | "
                     f"{ratios or '-'} | {predicted or '-'} | "
                     f"{_range([cell['correlations'].get('scaled_objective') for cell in middle])} | "
                     f"{_range([cell['correlations'].get('volume') for cell in middle])} | "
                     f"{_range([slope / beta for beta, slope in slopes(_between(cells, 5, 1000))])} |")
    return "\n".join(lines)


def losses_table(directories):
    """Figs. 21 and 22: coding loss, and transform over coding loss, against beta, for the sum of squares."""
    directory = layout.only(directories)
    groups = {source: cells for (source, distortion), cells in
              grouped(measured_cells(directory)).items() if distortion == "sse"}
    if not groups:
        raise ValueError(f"{directory} has no cells of the sum of squares (sse), of which this table is.")
    variances = np.array([shape.var() for shape in sources.TOYS["norm"]])
    names = " | ".join(groups)
    lines = [f"| lmbda | coding loss: {names} | n beta / 2 | exact, Gaussian | transform / coding: {names} | 21 beta / 16 | "
             "exact, Gaussian |", "| --- " * (2 * len(groups) + 5) + "|"]
    for lmbda in sorted({cell["lmbda"] for cells in groups.values() for cell in cells}):
        at = [next((cell for cell in cells if cell["lmbda"] == lmbda), None) for cells in groups.values()]
        exact = theory.LinearVAE(variances, 1 / lmbda)
        coding = [f"{cell['coding_loss']:.4g}" if cell else "-" for cell in at]
        ratio = [f"{cell['transform_loss'] / cell['coding_loss']:.3g}" if cell and cell["coding_loss"] else "-" for cell in at]
        exact_ratio = exact.transform_loss.sum() / exact.coding_loss.sum() if exact.norm.any() else np.nan
        n = len(variances)
        lines.append(" | ".join([f"| {lmbda:g}", *coding, f"{n / lmbda / 2:.4g}", f"{exact.coding_loss.sum():.4g}", *ratio,
                                 f"{np.sum(1 / variances) / lmbda / 2 / n:.3g}",
                                 f"{exact_ratio:.3g} |" if np.isfinite(exact_ratio) else "- |"]))
    return "\n".join(lines)
