"""Figs. 11-22: how norms, variances, densities and losses depend on lmbda, drawn from what was
measured of each cell.

A cell is a dict with, over latent variables in ascending order of E[sigma^-2], `norm`,
`one_minus_variance`, `precision` and `predicted_precision`; and `lmbda`, `correlations` (R by
form), `coding_loss`, `transform_loss`.
"""
import numpy as np
from matplotlib.figure import Figure

from results.palette import SERIES
from tfisovae import theory


def _column(cells, key):
    return np.array([cell[key] for cell in cells], float)


def against_lmbda(cells, title):
    """One of Figs. 11-19: (a) norms, (b) ratios of E[sigma^-2], (c) R with p(x), for cells of
    rising lmbda.

    Args:
      cells: of one data set and loss.
      title: above it.
    """
    lmbda = _column(cells, "lmbda")
    figure = Figure(figsize=(14.5, 3.6), layout="constrained")
    norms, ratios, correlations = figure.subplots(1, 3)
    for j, color in enumerate(SERIES[:len(cells[0]["norm"])]):
        norms.plot(lmbda,
                   _column(cells, "norm")[:, j], "o-", color=color, markersize=3,
                   label=f"$z_{j + 1}$")
        norms.plot(lmbda, _column(cells, "one_minus_variance")[:, j], ":", color=color)
        if j:
            for key, style in (("precision", "o-"), ("predicted_precision", ":")):
                values = _column(cells, key)
                ratios.plot(lmbda, values[:, j] / values[:, 0], style, color=color, markersize=3,
                            label=f"$z_{j + 1} / z_1$" if key == "precision" else None)
    norms.set_title("norm; dotted: theory, $E[1-\\sigma_j^2]$", fontsize=10)
    norms.set_ylabel("squared norm (1: isometric)", fontsize=9)
    ratios.set_title("ratio of $E[\\sigma_j^{-2}]$; dotted: theory, from the shapes", fontsize=10)
    ratios.set_ylabel("ratio", fontsize=9)
    forms = max((cell["correlations"] for cell in cells), key=len)  # a collapsed cell has none
    curves = {form: [cell["correlations"].get(form, np.nan) for cell in cells] for form in forms}
    for form, color in zip(forms, SERIES):
        if curves[form] != curves.get(f"scaled_{form}"):  # the two are one where a_x is 1
            correlations.plot(lmbda, curves[form], "o-", color=color, markersize=3,
                              label=form.replace("_", " "))
    correlations.set_title("estimates of p(x)", fontsize=10)
    correlations.set_ylabel("correlation R with p(x)", fontsize=9)
    correlations.set_ylim(0, 1.02)
    for axes in (norms, ratios, correlations):
        axes.set_xscale("log")
        axes.set_xlabel("lmbda (weight of the distortion)")
        axes.legend(frameon=False, fontsize=8, loc="lower right")
    correlations.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    figure.suptitle(title, fontsize=11)
    return figure


def ratios_at(groups, lmbda):
    """Fig. 20: ratios of E[sigma^-2] for every data set and loss at one lmbda; `groups` is `{name:
    cell}`.
    """
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(groups))
    for offset, j in ((-0.2, 1), (0.2, 2)):
        values, predicted = ([cell[key][j] / cell[key][0] for cell in groups.values()]
                             for key in ("precision", "predicted_precision"))
        axes.bar(at + offset, values, 0.38, color=SERIES[j], label=f"$z_{j + 1} / z_1$")
        axes.plot(at + offset, predicted, "_", color="black", markersize=18,
                  label="from the shapes" if j == 1 else None)
    axes.set_xticks(at, [name.replace(" ", "\n").replace("_", "\n") for name in groups], fontsize=8)
    axes.set_ylabel("ratio of $E[\\sigma_j^{-2}]$")
    axes.set_title(f"Ratios of importance at lmbda {lmbda:g}: measured (bars) and theory (lines)",
                   fontsize=10)
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def losses(groups, variances):
    """Figs. 21, 22: coding loss, and transform over coding loss, against beta, with the paper's
    laws and the exact curves.

    Args:
      groups: `{name: cells}`, for the sum of squares.
      variances: of the sources; the exact curve belongs to Gaussians with these variances.
    """
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    coding, ratio = figure.subplots(1, 2)
    for (name, cells), color in zip(groups.items(), SERIES):
        beta = 1 / _column(cells, "lmbda")
        coding.plot(beta, _column(cells, "coding_loss"), "o", color=color, markersize=4, label=name)
        measured = _column(cells, "transform_loss") / _column(cells, "coding_loss")
        ratio.plot(beta, measured, "o", color=color, markersize=4, label=name)
    beta = np.geomspace(1e-3, 1, 200)
    exact = [theory.LinearVAE(variances, b) for b in beta]
    coding.plot(beta, len(variances) * beta / 2, "k:", label="$n\\beta/2$")
    coding.plot(beta, [vae.coding_loss.sum() for vae in exact], "k-", linewidth=1,
                label="exact, Gaussian")
    ratio.plot(beta,
               np.sum(1 / np.asarray(variances)) * beta / 2 / len(variances), "k:",
               label="$21\\beta/16$")
    ratio.plot(beta, [vae.transform_loss.sum() / vae.coding_loss.sum() for vae in exact], "k-",
               linewidth=1, label="exact, Gaussian")
    figure.suptitle("Losses of the trained models (points) and theory (lines), against beta",
                    fontsize=11)
    coding.set_ylabel("coding loss, in units of D")
    ratio.set_ylabel("ratio")
    for axes, title in ((coding, "coding loss"), (ratio, "transform loss / coding loss")):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("beta = 1 / lmbda")
        axes.set_title(title, fontsize=10)
        axes.legend(frameon=False, fontsize=8)
    return figure
