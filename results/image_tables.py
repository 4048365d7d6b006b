"""Tables of runs on images: Figs. 4, 5, 24 and 25, and what the dimensions follow."""
import csv
import os

import numpy as np

import tfisovae
from results import layout, paper
from tfisovae import files
from tfisovae.commands.isometry import follows
from tfisovae.posterior import STRONG_KL, active
from tfisovae.training import runs
from tfisovae.verdict import overall_balance


def _analysis(directory, name="isometry.json"):
    return tfisovae.Analysis.load(os.path.join(directory, name))


def isometry_table(directories, threshold=STRONG_KL):
    """One row for each measured run, over the dimensions whose mean KL exceeds `threshold` nats.

    The norm is given with its deviation between dimensions, as the paper does; cosines are root mean squares over pairs.
    """
    rows = ["| | active | norm | E[1 - sigma^2] | cosines | balance | rate (nats) | distortion |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    rows += [f"| paper, {figure} | {active} | {norm} | - | - | - | - | - |"
             for network in dict.fromkeys(runs.load_config(directory)["network"] for directory in directories)
             for figure, active, norm in paper.IMAGES.get(network, ())]
    for directory in directories:
        a = _analysis(directory)
        strong = np.flatnonzero(active(a.kl_mean, threshold))
        rows.append(f"| ours, {layout.name(directory)} | {len(strong)} of {len(a.active)} | "
                    f"{a.norm_mean[strong].mean():.2f} +- {a.norm_mean[strong].std():.2f} | "
                    f"{a.one_minus_variance[strong].mean():.2f} | {a.cosine(strong):.2f} | "
                    f"{_balance(a, strong):.2f} | {a.rate:.2f} | {a.distortion:.4f} |")
    return "\n".join(rows)


def factor_table(directory, rows=12):
    """The factors that the leading dimensions follow, by absolute correlation with the posterior mean."""
    a = _analysis(directory)
    saved = files.read_json(os.path.join(directory, "isometry.json"))
    factors = follows(saved) if "factor_correlations" in saved else None
    lines = ["| rank | E[sigma^-2] | norm | factors (correlation) |", "| --- | --- | --- | --- |"]
    lines += [f"| {rank} | {a.precision_mean[j]:.1f} +- {a.precision_standard_error[j]:.1f} | {a.norm_mean[j]:.2f} +- "
              f"{a.norm_std[j]:.2f} | {factors[j] if factors else '-'} |" for rank, j in enumerate(a.ranking[:rows], 1)]
    return "\n".join(lines)


def factor_tables(directories):
    """A `factor_table` for each run."""
    return "\n\n".join(map(factor_table, directories))


def balance_table(directories, rows=12):
    """The norm of Eq. 15 beside the curvature of the trained loss in the same unit, by latent dimension, for each run.

    "seen" is E[eps_j sigma_j dD/dz_j] / beta, by Stein's identity the norm as the loss sees it: sigma_j^2 / beta times the second
    derivative of D(x, Dec(z)) along z_j, averaged over the posterior. At a stationary point it is E[1 - sigma_j^2], for every loss.
    """
    tables = []
    for directory in directories:
        a = _analysis(directory)
        seen = a.balance * a.one_minus_variance
        lines = [f"| {layout.name(directory)}: rank | norm, of D(x_check, .) | seen, of the trained loss | E[1 - sigma^2] |",
                 "| --- | --- | --- | --- |"]
        lines += [f"| {rank} | {a.norm_mean[j]:.2f} | {seen[j]:.2f} | {a.one_minus_variance[j]:.2f} |"
                  for rank, j in enumerate(a.ranking[:rows], 1)]
        strong = active(a.kl_mean, STRONG_KL)
        lines.append(f"| mean above 0.1 nat | {a.norm_mean[strong].mean():.2f} | {seen[strong].mean():.2f} | "
                     f"{a.one_minus_variance[strong].mean():.2f} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def precision_table(directories, thresholds=(10.0, 2.0, 0.0)):
    """Norms by E[sigma^-2], as the paper reads Fig. 25, with their deviation between dimensions."""
    lines = ["| | E[sigma^-2] | dimensions | norm | E[1 - sigma^2] | cosines | balance |", "| --- " * 7 + "|",
             *(f"| paper, {figure} | {above} | - | {norm} | - | - | - |" for figure, above, norm in paper.PRECISIONS)]
    measured = [(directory, name) for directory in directories for name in ("isometry.json", "isometry-train.json")
                if name == "isometry.json" or os.path.exists(os.path.join(directory, name))]
    for directory, name in measured:
        a, below = _analysis(directory, name), np.inf
        which = layout.name(directory) + ("" if name == "isometry.json" else ", examples of training")
        for above in thresholds:
            among = np.flatnonzero((a.precision_mean > above) & (a.precision_mean <= below))
            if len(among):
                interval = f"above {above:g}" if np.isinf(below) else f"{above:g} to {below:g}" if above else f"up to {below:g}"
                lines.append(f"| ours, {which} | {interval} | {len(among)} | {a.norm_mean[among].mean():.2f} +- "
                             f"{a.norm_mean[among].std():.2f} | {a.one_minus_variance[among].mean():.2f} | "
                             f"{a.cosine(among):.2f} | {_balance(a, among):.2f} |")
            below = above
    return "\n".join(lines)


def _balance(a, among):
    """The posterior balance of these dimensions together: of weak ones alone both of its sides are near 0."""
    return overall_balance(a.balance, a.one_minus_variance, np.isin(np.arange(len(a.balance)), among))


def history_table(directories):
    """The last line of each run's history: where training stood."""
    lines = ["| run | step | rate (nats) | distortion | active |", "| --- | --- | --- | --- | --- |"]
    for directory in directories:
        with open(os.path.join(directory, "history.csv"), newline="") as file:
            *_, last = [{}, *csv.DictReader(file)]
        if not last:
            lines.append(f"| {layout.name(directory)} | 0 | - | - | - |")
            continue
        lines.append(f"| {layout.name(directory)} | {last['step']} | {float(last['rate']):.2f} | "
                     f"{float(last['distortion']):.4f} | {float(last['active_dimensions']):.0f} |")
    return "\n".join(lines)
