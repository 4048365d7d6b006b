"""Tables of the verdicts: how often they are wrong, and what they say of runs whose state is known.
"""
import math
import os

from results import layout
from tfisovae import files
from tfisovae.verdict import State, convergence, words


def false_alarms_table(directories):
    """False alarms of the moments and the balance on exactly stationary models, by the shape of the
    latent variables, per cent: the worst of two sigma^2.
    """
    saved = files.read_json(os.path.join(layout.only(directories), "false_alarms.json"))
    found = {}
    for entry in saved["false_alarms"]:
        at = (entry["distribution"], entry["num_examples"], entry["n"])
        found.setdefault(at, []).append(entry)
    dimensions = sorted({at[2] for at in found})
    lines = [f"| latent variables | N | {' | '.join(f'n = {n}' for n in dimensions)} | not decided "
             f"in one dimension |", "| --- " * (3 + len(dimensions)) + "|"]
    for shape, size in dict.fromkeys(at[:2] for at in found):
        if size < saved["min_examples"]:
            continue
        worst = [max(found[shape, size, n], key=lambda entry: entry["false_alarms"])
                 for n in dimensions]
        cells = [f"{100 * one['false_alarms']:.1f} +- {100 * one['error']:.1f}" for one in worst]
        undecided = max(entry["undecided"] for entry in found[shape, size, dimensions[0]])
        lines.append(f"| {shape} | {size:,} | {' | '.join(cells)} | {100 * undecided:.2g} |")
    return "\n".join(lines)


def gradient_table(directories):
    """False alarms of the mean gradient on exactly stationary linear models, per cent."""
    saved = files.read_json(os.path.join(layout.only(directories), "false_alarms.json"))
    lines = ["| data | N | data sets | false alarms | not decided |", "| --- " * 5 + "|"]
    for entry in saved["gradient"]:
        lines.append(f"| {entry['data']} | {entry['num_examples']:,} | {entry['data_sets']} | "
                     f"{100 * entry['alarms']:.2g} | {100 * entry['undecided']:.2g} |")
    return "\n".join(lines)


def mix_table(directories):
    """The verdicts on trainings on Mix, what they still gained, and how far they were from
    Shannon's bound.
    """
    saved = files.read_json(os.path.join(layout.only(directories), "mix.json"))["runs"]
    lines = [
        "| rate | steps | loss (nats) | above Shannon's bound | gain of as many steps again | "
        "seeds differ by | gain of averaged weights | verdict |", "| --- " * 8 + "|"
    ]
    for run in saved:
        word = words.LABELS[State(run["state"])]
        averaging = "-" if run["averaging"] is None else f"{run['averaging']:.2g}"
        lines.append(
            f"| {run['schedule']} | {run['steps']:,} | {run['loss']:.3f} | "
            f"{run['missing']:.3g} | {run['gain']:.2g} +- {run['standard_error']:.1g} | "
            f"{run['spread']:.2g} | {averaging} | {word} |")
    return "\n".join(lines)


def said_table(directories):
    """The verdict on measured runs, and what it rests on; runs that differ in their seed in one
    row.

    The loss is measured on held-out examples. The gain is "-" where no copy was trained for as many
    steps again. The embedding is judged over the dimensions above .1 nat. The stretch is by how
    much the lengths of some direction are wrong at an example; "-" where it was not measured.
    """
    lines = [
        "| | held-out loss (nats) | still to gain per doubling (nats) | training | embedding | "
        "stretch, median | stretch, 95 % | lengths off | cosines | log sigma unexplained |",
        "| --- " * 10 + "|"
    ]
    for name, group in layout.by_seed(directories):
        numbers, said = [], []
        for one in map(layout.measured, group):
            found = convergence.of_saved(one)
            isometry = found.isometry
            numbers.append([one["loss"], 100 * isometry.length_error, isometry.cosine,
                            isometry.unexplained])
            said.append((words.gain_label(found), words.LABELS[found.state],
                         words.isometry_label(isometry), *(
                             f"{value:.0%}".replace("%", " %") if math.isfinite(value) else "-"
                             for value in (isometry.error_median, isometry.error_95))))
        loss, length, cosine, unexplained = layout.cells(numbers, (".1f", ".3g", ".3g", ".3g"))
        joined = [", ".join(found if len(set(found)) > 1 else found[:1]) for found in zip(*said)]
        lines.append(f"| {name} | {loss} | {' | '.join(joined)} | {length} % | {cosine} | "
                     f"{unexplained} |")
    return "\n".join(lines)


def _simulated(directories, part):
    return files.read_json(os.path.join(layout.only(directories), "simulations.json"))[part]


def kept_table(directories):
    """Which share of the former detections remains where one Gaussian dimension is off, over all
    cases in which the former test found half or more; and the worst case.
    """
    found = {}
    for row in _simulated(directories, "moments"):
        found.setdefault((row["check"], row["num_examples"]), []).append(row)
    lines = ["| test | N | cases | remain, mean | cases below 80 % | the worst case | found by the "
             "former test | found now | remain |", "| --- " * 9 + "|"]
    for (check, size), rows in found.items():
        worst = min(rows, key=lambda row: row["kept"])
        few = sum(row["kept"] < 0.8 for row in rows)
        mean = sum(row["kept"] for row in rows) / len(rows)
        lines.append(
            f"| {check} | {size:,} | {len(rows)} | {100 * mean:.0f} % | {few} | "
            f"{worst['deviation']:+g}, sigma^2 {worst['variance']:g}, n = {worst['n']} | "
            f"{_percents(worst)} |")
    return "\n".join(lines)


def gradient_kept_table(directories):
    """The same for the mean gradient, at N = 4,096."""
    lines = ["| gradients | data sets | found by the former test | found now | remain |",
             "| --- " * 5 + "|"]
    return "\n".join([*lines, *(f"| {row['data']} | {row['data_sets']} | {_percents(row)} |"
                                for row in _simulated(directories, "gradient"))])


def _percents(row):
    return " | ".join(f"{100 * row[name]:.0f} %" for name in ("former", "now", "kept"))


def intervals_table(directories):
    """How often the 95 % interval of beta misses it, and how often a beta is called different that
    is not.
    """
    rows = _simulated(directories, "intervals")
    sizes = list(dict.fromkeys(row["num_examples"] for row in rows))
    found = {}
    for row in rows:
        at = (row["n"], row["differing"], row["how"])
        found.setdefault(at, {})[row["num_examples"]] = row
    lines = [f"| dimensions | of them differ | by | "
             f"{' | '.join(f'missed, N = {size:,}' for size in sizes)} | called different, at most "
             f"|", "| --- " * (4 + len(sizes)) + "|"]
    for (n, differing, how), at in found.items():
        missed = " | ".join(f"{100 * at[size]['missed']:.1f}" for size in sizes)
        most = max(at[size]["called_different"] for size in sizes)
        lines.append(f"| {n} | {differing} | {how} | {missed} | {100 * most:.1f} |")
    return "\n".join(lines)


def clusters_table(directories):
    """How often posterior means are called clustered, per cent."""
    found = {}
    for row in _simulated(directories, "clusters"):
        found.setdefault(row["shape"], {})[row["num_examples"]] = row
    sizes = list(next(iter(found.values())))
    lines = [f"| posterior means | {' | '.join(f'N = {size:,}' for size in sizes)} |",
             "| --- " * (1 + len(sizes)) + "|"]
    for shape, at in found.items():
        named = " | ".join(f"{100 * at[size]['named']:.2g}" for size in sizes)
        lines.append(f"| {shape} | {named} |")
    return "\n".join(lines)
