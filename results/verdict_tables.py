"""Tables of the verdicts: how often they are wrong, and what they say of runs whose state is known.
"""
import os

from results import layout
from tfisovae import files
from tfisovae.verdict import State, convergence, words


def false_alarms_table(directories):
    """False alarms of the moments and the balance on exactly stationary models, per cent: the worst
    of eight shapes of the latent variables and two of sigma^2, by n and N.
    """
    saved = files.read_json(os.path.join(layout.only(directories), "false_alarms.json"))
    worst = {}
    for entry in saved["false_alarms"]:
        at = (entry["num_examples"], entry["n"])
        worst[at] = max(worst.get(at, entry), entry, key=lambda e: e["false_alarms"])
    sizes, dimensions = (sorted({at[axis] for at in worst}) for axis in (0, 1))
    lines = [
        f"| N | {' | '.join(f'n = {n}' for n in dimensions)} |", "| --- " *
        (1 + len(dimensions)) + "|"
    ]
    for size in sizes:
        cells = [
            f"{100 * worst[size, n]['false_alarms']:.1f} +- {100 * worst[size, n]['error']:.1f}" if
            (size, n) in worst else "-" for n in dimensions
        ]
        lines.append(
            f"| {size:,}{' (no verdict)' if size < saved['min_examples'] else ''} | "
            f"{' | '.join(cells)} |"
        )
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
    steps again. The embedding is judged over the dimensions above .1 nat.
    """
    lines = [
        "| | held-out loss (nats) | still to gain per doubling (nats) | training | embedding | "
        "lengths off | cosines | log sigma unexplained |", "| --- " * 8 + "|"
    ]
    for name, group in layout.by_seed(directories):
        numbers, said = [], []
        for one in map(layout.measured, group):
            found = convergence.of_saved(one)
            isometry = found.isometry
            numbers.append([one["loss"], 100 * isometry.length_error, isometry.cosine,
                            isometry.unexplained])
            said.append((words.gain_label(found), words.LABELS[found.state],
                         words.isometry_label(isometry)))
        loss, length, cosine, unexplained = layout.cells(numbers, (".1f", ".3g", ".3g", ".3g"))
        gain, training, embedding = (", ".join(found if len(set(found)) > 1 else found[:1])
                                     for found in zip(*said))
        lines.append(
            f"| {name} | {loss} | {gain} | {training} | {embedding} | {length} % | {cosine} | "
            f"{unexplained} |"
        )
    return "\n".join(lines)
