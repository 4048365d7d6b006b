"""Print what runs measured as Markdown tables, beside the paper's figures: `python -m results.tables TABLE RUN ...`."""
import argparse
import os
import sys

from results import ablation_tables, image_tables, layout, toy_tables, verdict_tables
from tfisovae import files


def speed_table(directories):
    """What the benchmarks measured, from the JSON files that they write into a directory for each machine; "-" where none is."""
    lines = [f"| | {' | '.join(map(layout.name, directories))} |", "| --- " * (1 + len(directories)) + "|"]
    for what, file, text in _SPEEDS:
        lines.append(f"| {what} | {' | '.join(_cell(directory, file, text) for directory in directories)} |")
    return "\n".join(lines)


def _cell(directory, file, text):
    try:
        return text(files.read_json(os.path.join(directory, f"{file}.json")))
    except (FileNotFoundError, KeyError):
        return "-"


def _ratio(measured, to=""):
    ratios = measured[f"ratios{to}"]
    return f"{measured[f'ratio{to}']:.2f} of its time ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def _with_peak(measured, to=""):
    return f"{_ratio(measured, to)}; {measured['share_of_peak']:.0%} of the peak"


# What, the file, and its text.
_SPEEDS = (  # 390 steps of the toy VAE are an epoch
    ("peak of a matrix product, GFLOP/s", "train_step", lambda m: f"{m['matmul_peak_gflops']:.0f}"),
    ("a training step of App. D.2, batch 64, beside PyTorch (eager)", "train_step", _with_peak),
    ("a training step of App. D.1, batch 128, beside Keras' `fit`", "toy_step", lambda m: _ratio(m, "_to_keras")),
    ("the same, beside PyTorch (eager)", "toy_step", lambda m: _with_peak(m, "_to_torch")),
    ("of it: matrix products, noise, the whole step, with Keras' `fit` around it", "toy_parts",
     lambda m: ", ".join(f"{m[key]:.0f}" for key in ("products_us", "noise_us", "train_step_us", "fit_us")) + " us"),
    ("a training step of App. G, batch 256, beside PyTorch (eager)", "mnist_step", _with_peak),
    ("a whole toy trial, with all statistics and figures", "toy_trial",
     lambda m: f"{m['trial_seconds']:.0f} s of {m['epochs']} epochs, {m['train_seconds']:.0f} s of it training"),
    ("cells of the ablation side by side", "toy_trial",
     lambda m: f"{m['cells_per_minute']:.2f} a minute, {m['seconds_per_cell_to_one_alone']:.2f} of the time of one by one; "
               f"{6e7 / m['cells_per_minute'] / (390 * m['epochs']):.0f} us a step of a cell, all told"),
    ("a step of a cell, 90 stacked in one computation (no logs, no checkpoints)", "stacked_cells",
     lambda m: f"{m['stacked_90_us']:.0f} us"),
    ("SSIM with its gradient, beside `tf.image.ssim`", "ssim",
     lambda m: f"{m['times_as_fast']:.1f} times as fast ({1 / m['ratios'][-1]:.1f} to {1 / m['ratios'][0]:.1f})"),
    ("Gram matrix and norms at n = 32, beside 33 decodes", "gram", lambda m: f"{_ratio(m)}, {m['num_images']} images"),
    ("the same of a bare SavedModel; by central differences, beside 65 decodes", "gram_bare",
     lambda m: f"{_ratio(m)}; {_ratio(m, '_by_differences')}, {m['num_images']} images"),
    ("peak memory of an analysis, 10,000 images beside 1,000", "gram", lambda m: f"{m['memory_ratio']:.2f}"),
    ("training batches from the image cache", "images", lambda m: f"{m['cached_images_per_second']:,} images/s"),
    ("faces drawn", "images", lambda m: f"{m['faces_drawn_per_second']:,} images/s"),
)


def linear_table(directories):
    """Closed forms of the Norm data: the linear VAE beside reverse water-filling (Eq. 4)."""
    directory = layout.only(directories)
    lines = ["| lmbda | D | R (nats) | Eq. 4: D | Eq. 4: R | norms | E[sigma^-2] |", "| --- " * 7 + "|"]
    for at in files.read_json(os.path.join(directory, "closed_forms.json"))["linear_vae"]:
        norms, precisions = (", ".join(f"{v:.5g}" for v in at[key]) for key in ("norm", "precision"))
        lines.append(f"| {at['lmbda']} | {at['distortion']:.5g} | {at['rate']:.6g} | {at['water_filling_distortion']:.5g} | "
                     f"{at['water_filling_rate']:.6g} | {norms} | {precisions} |")
    return "\n".join(lines)


def quantizer_table(directories):
    """The mean rate of a uniform quantiser beyond the KL."""
    directory = layout.only(directories)
    measured = files.read_json(os.path.join(directory, "closed_forms.json"))["quantizer"]
    return "\n".join(["| sigma | mean excess (nats) |", "| --- | --- |",
                      *(f"| {at['scale']:g} | {at['excess_nats']:.4f} |" for at in measured)])


TABLES = {"isometry": image_tables.isometry_table, "factors": image_tables.factor_tables, "history": image_tables.history_table,
          "balance": image_tables.balance_table, "precisions": image_tables.precision_table, "toy": toy_tables.toy_table,
          "density": toy_tables.density_table, "ablation": ablation_tables.ablation_table, "losses": ablation_tables.losses_table,
          "false_alarms": verdict_tables.false_alarms_table, "mix": verdict_tables.mix_table,
          "linear": linear_table, "quantizer": quantizer_table, "speed": speed_table}


def main(argv=None):
    p = argparse.ArgumentParser(prog="python -m results.tables", description=__doc__,
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("table", choices=tuple(TABLES), help="which table")
    p.add_argument("runs", nargs="+", help="run directories (or published ones in results/); for speed, that of the benchmarks")
    args = p.parse_args(argv)
    try:
        text = TABLES[args.table](args.runs)
    except (OSError, ValueError, KeyError) as error:
        why = f"they have no {error}" if isinstance(error, KeyError) else error
        sys.exit(f"{p.prog}: the table {args.table!r} cannot be made of {', '.join(args.runs)}: {why}. Measure first "
                 "(tfisovae all RUN), or ask for another table.")
    print(text or f"{p.prog}: the table {args.table!r} is not of these data.")


if __name__ == "__main__":
    main()
