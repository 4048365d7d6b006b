"""Tables of runs on images: Figs. 4, 5, 24 and 25, and what the dimensions follow."""
import csv
import os

import numpy as np

import tfisovae
from results import layout, paper
from tfisovae import files
from tfisovae.autoencoder.posterior import active
from tfisovae.commands.isometry import follows
from tfisovae.training import runs
from tfisovae.verdict.checks import STRONG_KL, overall_balance


def _analysis(directory, name="isometry.json"):
    return tfisovae.Analysis.from_dict(layout.measured(directory, name))


def isometry_table(directories, threshold=STRONG_KL):
    """One row for each measured run, over the dimensions with a mean KL above `threshold` nats.

    The norm is given with its deviation between dimensions, as the paper does; cosines are root
    mean squares over pairs. For the dimensions with E[1 - sigma^2] above .9, the table also has the
    mean ratio of the norm to it. Runs that differ only in their seed share one row, with means and
    standard errors over seeds.
    """
    rows = [
        f"| | above {threshold:g} nat "
        "| norm | between dimensions | E[1 - sigma^2] | norm / E[1 - sigma^2], above .9 | cosines "
        "| balance | rate (nats) "
        "| distortion |", "| --- " * 10 + "|"
    ]
    rows += [
        f"| paper, {figure} | {active} | "
        f"{' | '.join(norm.split(' +- ') if '+-' in norm else [norm, '-'])} "
        + "| - " * 6 + "|" for network in dict.fromkeys(
            runs.load_config(directory)["network"] for directory in directories)
        for figure, active, norm in paper.IMAGES.get(network, ())
    ]
    for name, group in layout.by_seed(directories):
        measured, counts = [], []
        for a in map(_analysis, group):
            strong = np.flatnonzero(active(a.kl_mean, threshold))
            counts.append(f"{len(strong)}")
            norm, apart, target, *rest = _over(a, strong) if len(strong) else [np.nan] * 5
            measured.append([norm, apart, target, _ratio(a), *rest, a.rate, a.distortion])
        cells = layout.cells(measured, (".2f", ".2f", ".2f", ".3f", ".2f", ".2f", ".2f", ".4f"))
        rows.append(
            f"| ours, {name} | {', '.join(counts)} of {len(a.active)} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _ratio(a, above=0.9):
    """The mean ratio of the norm to E[1 - sigma^2] where that is above .9: elsewhere a little of
    sigma is much of it.
    """
    narrow = a.one_minus_variance > above
    return np.mean(a.norm_mean[narrow] / a.one_minus_variance[narrow]) if narrow.any() else np.nan


def factor_table(directory, rows=12):
    """The factors that the leading dimensions follow, by absolute correlation with the posterior
    mean, and what removing each dimension costs; "-" where that was not measured.
    """
    saved = layout.measured(directory)
    a = tfisovae.Analysis.from_dict(saved)
    factors = follows(saved) if "factor_correlations" in saved else None
    lines = ["| rank | importance | cost of removal | in nats | E[sigma^-2] | norm +- SD | factors "
             "(correlation) |", "| --- " * 7 + "|"]
    lines += [
        f"| {rank} | {a.importance[j]:.3g} | {_cost(a, j)} | "
        f"{a.precision_mean[j]:.1f} +- {a.precision_standard_error[j]:.1f} | "
        f"{a.norm_mean[j]:.2f} +- "
        f"{a.norm_std[j]:.2f} | {factors[j] if factors else '-'} |"
        for rank, j in enumerate(a.ranking[:rows], 1)
    ]
    return "\n".join(lines)


def _cost(a, j):
    """The cost of removal of z_j, of D and in nats, as two cells."""
    if a.cost_of_removal is None:
        return "- | -"
    return (f"{a.cost_of_removal[j]:.3g} +- {a.cost_of_removal_standard_error[j]:.1g} | "
            f"{a.removal_nats[j]:.3g}")


def factor_tables(directories):
    """A `factor_table` for each run."""
    return "\n\n".join(map(factor_table, directories))


def balance_table(directories, rows=12):
    """The norm of Eq. 15 next to the curvature of the trained loss in the same unit, by latent
    dimension, for each run.

    "seen" is E[eps_j sigma_j dD/dz_j] / beta, by Stein's identity the norm as the loss sees it:
    sigma_j^2 / beta times the second derivative of D(x, Dec(z)) along z_j, averaged over the
    posterior. At a stationary point it is E[1 - sigma_j^2], for every loss.
    """
    tables = []
    for directory in directories:
        a = _analysis(directory)
        seen = a.balance * a.one_minus_variance
        lines = [
            f"| {layout.name(directory)}: rank | norm, of D(x_check, .) | seen, of the trained "
            f"loss | E[1 - sigma^2] |",
            "| --- | --- | --- | --- |"
        ]
        lines += [
            f"| {rank} | {a.norm_mean[j]:.2f} | {seen[j]:.2f} | {a.one_minus_variance[j]:.2f} |"
            for rank, j in enumerate(a.ranking[:rows], 1)
        ]
        strong = active(a.kl_mean, STRONG_KL)
        lines.append(
            f"| mean above 0.1 nat | {a.norm_mean[strong].mean():.2f} | {seen[strong].mean():.2f} "
            f"| "
            f"{a.one_minus_variance[strong].mean():.2f} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def precision_table(directories, thresholds=(10.0, 2.0, 0.0)):
    """Norms by E[sigma^-2], as the paper reads Fig. 25, with their deviation between dimensions;
    over seeds as `isometry_table`.
    """
    lines = [
        "| | E[sigma^-2] | dimensions | norm | between dimensions | E[1 - sigma^2] | cosines | "
        "balance |",
        "| --- " * 8 + "|", *(f"| paper, {figure} | {above} | - | {norm} | - | - | - | - |"
                              for figure, above, norm in paper.PRECISIONS)
    ]
    measured = [
        (name, group, file) for name, group in layout.by_seed(directories)
        for file in ("isometry.json", "isometry-train.json")
        if file == "isometry.json" or all(os.path.exists(os.path.join(one, file)) for one in group)
    ]
    for name, group, file in measured:
        which, below = name + ("" if file == "isometry.json" else ", examples of training"), np.inf
        for above in thresholds:
            interval = f"above {above:g}" if np.isinf(
                below) else f"{above:g} to {below:g}" if above else f"up to {below:g}"
            found, counts = [], []
            for a in (_analysis(one, file) for one in group):
                among = np.flatnonzero((a.precision_mean > above) & (a.precision_mean <= below))
                counts.append(f"{len(among)}")
                if len(among):
                    found.append(_over(a, among))
            if found:
                cells = layout.mean_and_error(found, ".2f")
                lines.append(
                    f"| ours, {which} | {interval} | {', '.join(counts)} | {' | '.join(cells)} |")
            below = above
    return "\n".join(lines)


def _over(a, among):
    """Of some dimensions: norm, its deviation between them, E[1 - sigma^2], cosines, posterior
    balance.
    """
    return [
        a.norm_mean[among].mean(), a.norm_mean[among].std(), a.one_minus_variance[among].mean(),
        a.cosine(among),
        _balance(a, among)
    ]


def _balance(a, among):
    """The posterior balance of these dimensions together: of weak ones alone both of its sides are
    near 0.
    """
    return overall_balance(a.balance, a.one_minus_variance, np.isin(np.arange(len(a.balance)),
                                                                    among))


def history_table(directories):
    """The last line of each run's history: where training stood."""
    lines = [
        "| run | step | rate (nats) | distortion | active |", "| --- | --- | --- | --- | --- |"
    ]
    for directory in directories:
        with open(os.path.join(directory, "history.csv"), newline="") as file:
            *_, last = [{}, *csv.DictReader(file)]
        if not last:
            lines.append(f"| {layout.name(directory)} | 0 | - | - | - |")
            continue
        lines.append(f"| {layout.name(directory)} | {last['step']} | {float(last['rate']):.2f} | "
                     f"{float(last['distortion']):.4f} | {float(last['active_dimensions']):.0f} |")
    return "\n".join(lines)


def quality_table(paths):
    """Held-out losses of trainings with a recipe, of several lengths, next to the paper's settings;
    for each JSON of `quality`.
    """
    lines = [
        "| | steps | batch | seconds a step | minutes | held-out loss (nats) | active | |",
        "| --- " * 8 + "|"
    ]
    for path in paths:
        saved = files.read_json(path)
        reached, name = saved["reached"], layout.name(path).removesuffix(".json")
        for one in (saved["paper"], *saved["recipe"]):
            whose = "the paper's settings" if one is saved["paper"] else "recipe"
            best = reached is not None and one is not saved["paper"] and one["name"] == reached[
                "name"]
            said = (f"{reached['steps']:.0%} of the steps, {reached['seconds']:.0%} of the time"
                    if best else "")
            lines.append(
                f"| {name}, {whose} | {one['steps']:,} | {one['batch_size']} | "
                f"{np.median(one['seconds_per_step']):.3f} | "
                f"{one['seconds'] / 60:.1f} | {_with_error(one)} | {one['active']} | {said} |")
    return "\n".join(lines)


def _with_error(one):
    error = one["loss_standard_error"]
    return f"{one['loss']:.2f}" + (f" +- {error:.2g}" if error else "")


def trials_table(directories, threshold=STRONG_KL):
    """Short trainings side by side: the options in which they differ, and what they reached on
    held-out examples, best first.
    """
    configs = [runs.load_config(directory) for directory in directories]
    differ = [
        key for key in dict.fromkeys(key for config in configs for key in config)
        if key not in ("data_manifest", "versions", "data", "schedule_steps", "log_every",
                       "checkpoint_every", "monitor_every", "monitor_share") and any(
                           config.get(key) != configs[0].get(key) for config in configs)
    ]
    lines = [
        f"| | {' | '.join(differ)} | held-out loss (nats) | rate (nats) | distortion | above "
        f"{threshold:g} nat |",
        "| --- " * (5 + len(differ)) + "|"
    ]
    found = sorted(((_analysis(directory), layout.name(directory), config)
                    for directory, config in zip(directories, configs)),
                   key=lambda one: one[0].loss)
    for a, name, config in found:
        options = [
            "none" if config.get(key) is None else
            f"{config[key]:g}" if isinstance(config[key], float) else f"{config[key]}"
            for key in differ
        ]
        lines.append(
            f"| {name} | {' | '.join(options)} | {a.loss:.1f} | {a.rate:.1f} | {a.distortion:.4f} "
            f"| "
            f"{active(a.kl_mean, threshold).sum()} |")
    return "\n".join(lines)
