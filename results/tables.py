"""Print what runs measured as Markdown tables, with the paper's figures: `python -m
results.tables TABLE RUN ...`.
"""
import argparse
import functools
import math
import os
import sys

from results import (
    ablation_tables,
    image_tables,
    layout,
    odd_tables,
    rate_tables,
    toy_tables,
    verdict_tables,
)
from tfisovae import files


def speed_table(directories):
    """What the benchmarks measured, from the JSON files that they write into a directory for each
    machine; "-" where none is.
    """
    lines = [
        f"| | {' | '.join(map(layout.name, directories))} |", "| --- " *
        (1 + len(directories)) + "|"
    ]
    for what, file, text in _SPEEDS:
        lines.append(
            f"| {what} | {' | '.join(_cell(directory, file, text) for directory in directories)} |")
    return "\n".join(lines)


def _cell(directory, file, text):
    try:
        return text(files.read_json(os.path.join(directory, f"{file}.json")))
    except (FileNotFoundError, KeyError):
        return "-"


def _ratio(measured, to="", of="ratio"):
    ratios = measured[f"{of}s{to}"]
    return f"{measured[f'{of}{to}']:.2f} of its time ({ratios[0]:.2f} to {ratios[-1]:.2f})"


def _with_peak(measured, to=""):
    return f"{_ratio(measured, to)}; {measured['share_of_peak']:.0%} of the peak"


# What, the file, and its text.
_SPEEDS = (  # 390 steps of the toy VAE are an epoch
    ("peak of a matrix product, GFLOP/s", "train_step", lambda m: f"{m['matmul_peak_gflops']:.0f}"),
    ("a training step of App. D.2, batch 64, against PyTorch (eager)", "train_step", _with_peak),
    ("CPU seconds of that step: float32, by plain `fit`, in bfloat16", "train_step",
     lambda m: ", ".join(f"{m['cpu_seconds'][side]:.2f}"
                         for side in ("float32", "fit", "bfloat16")) + " s"),
    ("PyTorch's: eager, compiled, in bfloat16, both", "train_step", lambda m: ", ".join(
        f"{m['cpu_seconds'][side]:.2f}"
        for side in ("torch", "torch_compile", "torch_bfloat16", "torch_compile_bfloat16")) + " s"),
    *((f"CPU seconds: {words}", "train_step",
       functools.partial(_ratio, of="cpu_ratio", to=f"_{pair}")) for words, pair in (
           ("float32 against PyTorch's, eager", "float32_to_torch"),
           ("by plain `fit`", "fit_to_torch"),
           ("float32 against `torch.compile`", "float32_to_torch_compile"),
           ("bfloat16 against PyTorch's float32, eager", "bfloat16_to_torch"),
           ("bfloat16 against PyTorch's bfloat16, eager", "bfloat16_to_torch_bfloat16"),
           ("bfloat16 against PyTorch's bfloat16, compiled", "bfloat16_to_torch_compile_bfloat16"),
           ("bfloat16 against float32, both ours", "bfloat16_to_float32"))),
    ("the last by the clock", "train_step", functools.partial(_ratio, to="_bfloat16_to_float32")),
    ("a training step of App. D.1, batch 128, by plain `fit` of an array, against Keras' `fit`",
     "toy_step", functools.partial(_ratio, to="_to_keras")),
    ("the same in CPU seconds", "toy_step", functools.partial(_ratio, of="cpu_ratio",
                                                              to="_to_keras")),
    ("the step against PyTorch (eager), by the clock", "toy_step",
     lambda m: _with_peak(m, "_to_torch")),
    ("of it: matrix products, noise, the whole step, with Keras' `fit` around it", "toy_parts",
     lambda m: ", ".join(f"{m[key]:.0f}" for key in
                         ("products_us", "noise_us", "train_step_us", "fit_us")) + " us"),
    ("a training step of App. G, batch 256, against PyTorch (eager)", "mnist_step", _with_peak),
    ("a whole toy trial, with all statistics and figures", "toy_trial", lambda m:
     f"{m['trial_seconds']:.0f} s of {m['epochs']} epochs, {m['train_seconds']:.0f} s of it "
     f"training"
     ),
    ("cells of the ablation side by side", "toy_trial", lambda m:
     f"{m['cells_per_minute']:.2f} a minute, {m['seconds_per_cell_to_one_alone']:.2f} of the time "
     f"of one by one; "
     f"{6e7 / m['cells_per_minute'] / (390 * m['epochs']):.0f} us a step of a cell in all"),
    ("a step of a cell, 90 stacked in one computation (no logs, no checkpoints)", "stacked_cells",
     lambda m: f"{m['stacked_90_us']:.0f} us"),
    ("SSIM with its gradient, against `tf.image.ssim`", "ssim", lambda m:
     f"{m['times_as_fast']:.1f} times as fast ({1 / m['ratios'][-1]:.1f} to "
     f"{1 / m['ratios'][0]:.1f})"
     ),
    ("Gram matrix and norms at n = 32, against 33 decodes", "gram",
     lambda m: f"{_ratio(m)}, {m['num_images']} images"),
    ("the same of a bare SavedModel; by central differences, against 65 decodes", "gram_bare",
     lambda m: f"{_ratio(m)}; {_ratio(m, '_by_differences')}, {m['num_images']} images"),
    ("peak memory of an analysis, 10,000 images against 1,000", "gram",
     lambda m: f"{m['memory_ratio']:.2f}"),
    ("training batches from the image cache", "images",
     lambda m: f"{m['cached_images_per_second']:,} images/s"),
    ("faces drawn", "images", lambda m: f"{m['faces_drawn_per_second']:,} images/s"),
)


def precision_table(directories):
    """Faces trained in float32 and in bfloat16, as `results.precision` measured them; the last
    column is of the difference.

    Standard errors are over held-out images. Where there are several seeds, rows below set float32
    against float32.
    """
    saved = files.read_json(os.path.join(layout.only(directories), "precision.json"))
    lines = ["| | A | B | (B - A) / A | B - A, in its standard errors |", "| --- " * 5 + "|"]
    of = {(run["policy"], run["seed"]): run for run in saved["runs"]}
    seeds = list(dict.fromkeys(seed for _, seed in of))
    pairs = [(f"A float32, B bfloat16, seed {seed}", ("float32", seed), ("bfloat16", seed))
             for seed in seeds]
    pairs += [(f"float32, A seed {seeds[0]}, B seed {seed}", ("float32", seeds[0]),
               ("float32", seed)) for seed in seeds[1:]]
    for words, a, b in pairs:
        lines.append(f"| {words}: active | {of[a]['active']} | {of[b]['active']} | - | - |")
        lines += [f"| {name} | {_difference(of[a][name], of[b][name])} |"
                  for name in ("loss", "distortion", "rate", "norm", "cosines", "balance")]
    return "\n".join(lines)


def _difference(a, b):
    if None in (*a, *b):
        return "- | - | - | -"
    (first, error), (second, other) = a, b
    return (
        f"{first:.4g} +- {error:.2g} | {second:.4g} +- {other:.2g} | {second / first - 1:+.2%} | "
        f"{(second - first) / math.hypot(error, other):+.1f}")


def linear_table(directories):
    """Closed forms of the Norm data: the linear VAE and reverse water-filling (Eq. 4)."""
    directory = layout.only(directories)
    lines = [
        "| lmbda | D | R (nats) | Eq. 4: D | Eq. 4: R | norms | E[sigma^-2] |", "| --- " * 7 + "|"
    ]
    for at in files.read_json(os.path.join(directory, "closed_forms.json"))["linear_vae"]:
        norms, precisions = (", ".join(f"{v:.5g}" for v in at[key])
                             for key in ("norm", "precision"))
        lines.append(
            f"| {at['lmbda']} | {at['distortion']:.5g} | {at['rate']:.6g} | "
            f"{at['water_filling_distortion']:.5g} | "
            f"{at['water_filling_rate']:.6g} | {norms} | {precisions} |")
    return "\n".join(lines)


def quantizer_table(directories):
    """The mean rate of a uniform quantiser beyond the KL."""
    directory = layout.only(directories)
    measured = files.read_json(os.path.join(directory, "closed_forms.json"))["quantizer"]
    return "\n".join(["| sigma | mean excess (nats) |", "| --- | --- |",
                      *(f"| {at['scale']:g} | {at['excess_nats']:.4f} |" for at in measured)])


def faults_table(directories):
    """What was done to runs, and how the same command then ended."""
    saved = files.read_json(os.path.join(layout.only(directories), "faults.json"))
    lines = ["| fault | tried | survived | refused | lost |", "| --- " * 5 + "|"]
    lines += [
        f"| {kind} | "
        f"{' | '.join(str(ended[key]) for key in ('tried', 'survived', 'refused', 'lost'))} |"
        for kind, ended in {**saved["kinds"], "all": saved}.items()
    ]
    return "\n".join(lines)


TABLES = {
    "faults": faults_table, "rate": rate_tables.rate_table, "rate_beside": rate_tables.beside_table,
    "rate_causes": rate_tables.causes_table, "isometry": image_tables.isometry_table, "factors":
        image_tables.factor_tables, "history": image_tables.history_table, "balance":
            image_tables.balance_table, "precisions": image_tables.precision_table, "quality":
                image_tables.quality_table, "trials": image_tables.trials_table, "toy":
                    toy_tables.toy_table, "density": toy_tables.density_table, "ablation":
                        ablation_tables.ablation_table, "losses": ablation_tables.losses_table,
    "false_alarms": verdict_tables.false_alarms_table,
    "kept": verdict_tables.kept_table, "gradient_kept": verdict_tables.gradient_kept_table,
    "intervals": verdict_tables.intervals_table, "clusters": verdict_tables.clusters_table,
    "gradient": verdict_tables.gradient_table, "mix": verdict_tables.mix_table, "said":
        verdict_tables.said_table, "odd": odd_tables.odd_table, "precision": precision_table,
    "linear": linear_table, "quantizer": quantizer_table, "speed": speed_table
}


def main(argv=None):
    p = argparse.ArgumentParser(prog="python -m results.tables", description=__doc__,
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("table", choices=tuple(TABLES), help="which table")
    p.add_argument(
        "runs", nargs="+",
        help="run directories (or published ones in results/); for speed, machines")
    args = p.parse_args(argv)
    try:
        text = TABLES[args.table](args.runs)
    except (OSError, ValueError, KeyError) as error:
        why = f"they have no {error}" if isinstance(error, KeyError) else error
        sys.exit(
            f"{p.prog}: the table {args.table!r} cannot be made of {', '.join(args.runs)}: {why}. "
            f"Measure first "
            "(tfisovae all RUN), or ask for another table.")
    print(text or f"{p.prog}: the table {args.table!r} is not of these data.")


if __name__ == "__main__":
    main()
