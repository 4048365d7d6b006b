"""Tables of the verdicts: how often they are wrong, and what they say of runs whose state is known."""
import os

from results import layout
from tfisovae import files


def false_alarms_table(directories):
    """False alarms on exactly stationary models, per cent: the worst of four shapes of the means and two of sigma^2, by n and N."""
    saved = files.read_json(os.path.join(layout.only(directories), "false_alarms.json"))
    worst = {}
    for entry in saved["false_alarms"]:
        at = (entry["num_examples"], entry["n"])
        worst[at] = max(worst.get(at, entry), entry, key=lambda e: e["false_alarms"])
    sizes, dimensions = (sorted({at[axis] for at in worst}) for axis in (0, 1))
    lines = [f"| N | {' | '.join(f'n = {n}' for n in dimensions)} |", "| --- " * (1 + len(dimensions)) + "|"]
    for size in sizes:
        cells = [f"{100 * worst[size, n]['false_alarms']:.1f} +- {100 * worst[size, n]['error']:.1f}" if (size, n) in worst else "-"
                 for n in dimensions]
        lines.append(f"| {size:,}{' (no verdict)' if size < saved['min_examples'] else ''} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mix_table(directories):
    """What is said of trainings on Mix: where they stood, and the first words of the verdict."""
    saved = files.read_json(os.path.join(layout.only(directories), "mix.json"))["runs"]
    lines = ["| rate | steps of its schedule | step | seed | transform / coding loss | p of the mean gradient | its batch | "
             "verdict |",
             "| --- " * 8 + "|"]
    for run in saved:
        batch = "-" if run["noise_scale"] is None else f"{run['noise_scale']:.3g}"
        word = run["verdict"].partition(":")[0].partition(",")[0]
        lines.append(f"| {run['schedule']} | {run['schedule_steps']:,} | {run['step']:,} | {run['seed']} | "
                     f"{run['transform_to_coding']:.4f} | {run['p']:.1g} | {batch} | {word} |")
    return "\n".join(lines)
