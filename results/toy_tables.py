"""Tables of runs on toy data: Tables 1-2, Figs. 3 and 8."""
import os

import numpy as np

from results import layout, paper
from tfisovae import files
from tfisovae.training import runs


def _config_but_for_seed(directories):
    """The configuration that runs share; raises ValueError where they differ in more than the seed.
    """
    first, *others = [runs.load_config(directory) for directory in directories]
    differ = [key for key in first if key not in ("seed", "data_manifest", "versions")
              and any(other.get(key) != first[key] for other in others)]
    if differ:
        raise ValueError(
            f"A table is over runs that differ in the seed alone; these differ in "
            f"{', '.join(differ)}."
        )
    return first


def toy_table(directories):
    """Tables 1-2 as Markdown, mean +- standard error over runs that differ in the seed alone;
    `None` for other data.

    Latent variables stand in ascending order of E[sigma^-2], next to the paper's figures and the
    prediction from the shapes of the sources. Norm, D' and E[sigma^-2] are averages (Av.) and
    deviations (SD) over the data.
    """
    saved = list(map(layout.measured, directories))
    if any("predicted_precision" not in s for s in saved):
        return None
    reported = paper.of_toy_run(_config_but_for_seed(directories)) or {}

    def row(label, values, published=None, theory=None):
        cells = layout.mean_and_error(values)
        empty = ["-"] * len(cells)
        published = [f"{v:g}" for v in published] if published else empty
        return f"| {label} | " + " | ".join([*cells, *published, *(theory or empty)]) + " |"

    ascending = [s["ranking"][::-1] for s in saved]
    pick = {
        name: [np.array(s[name])[order] for s, order in zip(saved, ascending)]
        for name in ("norm_mean", "norm_std", "derivative_mean", "derivative_std", "precision_mean",
                     "one_minus_variance")
    }
    n = len(ascending[0])
    columns = [
        *(f"z{j + 1}" for j in range(n)), *(f"paper z{j + 1}" for j in range(n)),
        *(f"theory z{j + 1}" for j in range(n))
    ]
    theory = {"norm": [f"{v:.3f}" for v in np.mean(pick["one_minus_variance"], 0)]}
    predicted = saved[0]["predicted_precision"]
    if predicted and len(predicted) == n:
        theory |= {
            "precision": [f"{v:.4g}" for v in predicted],
            "ratio": [f"{v / predicted[0]:.4g}" for v in predicted]
        }
    lines = [
        f"| | {' | '.join(columns)} |", "| --- " * (3 * n + 1) + "|",
        row("norm Av.", pick["norm_mean"], reported.get("norm_mean"), theory["norm"]),
        row("norm SD", pick["norm_std"], reported.get("norm_std")),
        row("D' Av.", pick["derivative_mean"], reported.get("derivative_mean")),
        row("D' SD", pick["derivative_std"], reported.get("derivative_std")),
        row("sigma^-2 Av.", pick["precision_mean"], reported.get("precision_mean"),
            theory.get("precision")),
        row("ratio", [v / v[0] for v in pick["precision_mean"]],
            [float(f"{v / reported['precision_mean'][0]:.4g}")
             for v in reported["precision_mean"]] if reported else None, theory.get("ratio"))
    ]
    ratio = layout.mean_and_error(
        [[s["transform_loss"] / (s["coding_loss"] or np.nan)] for s in saved])[0]
    lines.append(f"\ntransform / coding loss {ratio}" + (
        f" (paper {reported['transform_to_coding']})" if reported else ""
    ) + "; theory of the norm: the measured 1 - sigma^2; of sigma^-2: from the shapes of the "
        "sources alone."
                 )
    return "\n".join(lines)


def density_table(directories):
    """Estimated densities against p(x), mean +- standard error over runs that differ in the seed
    alone; `None` without p(x).
    """
    reported = (paper.of_toy_run(_config_but_for_seed(directories)) or {}).get("correlation", {})
    measured = [
        files.read_json(os.path.join(directory, "density.json")) for directory in directories
    ]
    if any("comparison" not in m for m in measured):
        return None  # p(x) is not known
    saved = [m["comparison"] for m in measured]
    lines = ["| estimate | R with p(x) | paper | mean error of log p (nats) | rms error (nats) |",
             "| --- | --- | --- | --- | --- |"]
    for form in saved[0]:
        cells = layout.mean_and_error(
            [[s[form][key] for key in ("correlation", "log_error_mean", "log_error_rms")]
             for s in saved])
        lines.append(
            f"| {form.replace('_', ' ')} | {cells[0]} | {reported.get(form, '-')} | {cells[1]} | "
            f"{cells[2]} |"
        )
    return "\n".join(lines)
