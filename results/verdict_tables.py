"""Tables of the verdicts: how often they are wrong, and what they say of runs whose state is known.
"""
import os

import numpy as np

from results import layout
from tfisovae import files
from tfisovae.verdict import State, convergence, words


def false_alarms_table(directories):
    """False alarms on exactly stationary models, per cent: the worst of four shapes of the means
    and two of sigma^2, by n and N.
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
    """The verdicts on trainings on Mix, and where these trainings were."""
    saved = files.read_json(os.path.join(layout.only(directories), "mix.json"))["runs"]
    lines = [
        "| rate | steps of its schedule | step | seed | transform / coding loss | p of the mean "
        "gradient | its batch | "
        "verdict |", "| --- " * 8 + "|"
    ]
    for run in saved:
        batch = "-" if run["noise_scale"] is None else f"{run['noise_scale']:.3g}"
        word = words.LABELS[State(run["state"])]
        lines.append(
            f"| {run['schedule']} | {run['schedule_steps']:,} | {run['step']:,} | {run['seed']} | "
            f"{run['transform_to_coding']:.4f} | {run['p']:.1g} | {batch} | {word} |")
    return "\n".join(lines)


def said_table(directories):
    """The verdict on measured runs, and what it rests on; runs that differ in their seed in one
    row.

    The loss is that of examples held out; its fall that over the last third of the training; the
    embedding is judged over the dimensions above .1 nat.
    """
    lines = [
        "| | held-out loss (nats) | fell in the last third by | training | its mean gradient is "
        "the noise of a batch of | "
        "embedding | lengths off | cosines | log sigma unexplained |", "| --- " * 9 + "|"
    ]
    for name, group in layout.by_seed(directories):
        numbers, said = [], []
        for one in map(layout.measured, group):
            found, evidence = convergence.of_saved(one), convergence.evidence_of(one)
            isometry, fall, gradient = found.isometry, evidence["fall"], evidence["gradient"]
            numbers.append([one["loss"], fall.fall if fall else np.nan, 100 * isometry.length_error,
                            isometry.cosine, isometry.unexplained])
            batch = gradient.noise_scale if gradient else np.inf
            said.append((words.LABELS[found.state], words.isometry_label(isometry),
                         f"{float(f'{batch:.2g}'):,.0f}" if np.isfinite(batch) else "-"))
        loss, fall, length, cosine, unexplained = layout.cells(numbers,
                                                               (".1f", ".2g", ".3g", ".3g", ".3g"))
        training, embedding, batch = (", ".join(found if len(set(found)) > 1 else found[:1])
                                      for found in zip(*said))
        lines.append(
            f"| {name} | {loss} | {fall} | {training} | {batch} | {embedding} | {length} % | "
            f"{cosine} | {unexplained} |"
        )
    return "\n".join(lines)
