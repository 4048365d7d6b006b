#!/usr/bin/env python
"""Print what runs measured as Markdown tables, beside the paper's figures."""
import argparse
import sys

import ablation_tables  # beside this file, as all of these
import image_tables
import shared
import toy_tables

from tfisovae import runs


def speed_table(directories):
    """What the benchmarks measured, from the JSON files that they write into a directory for each machine."""
    columns = [_speeds(directory) for directory in directories]
    lines = [f"| | {' | '.join(map(shared.name, directories))} |", "| --- " * (1 + len(directories)) + "|"]
    return "\n".join(lines + [f"| {what} | {' | '.join(column[what] for column in columns)} |" for what in columns[0]])


def _speeds(directory):
    """What was measured on one machine, as text by what it is."""
    names = ("train_step", "mnist_step", "ssim", "gram", "images", "toy_step")
    step, mnist, ssim, gram, images, toy = (shared.load_json(directory, f"{name}.json") for name in names)

    def ratio(measured, key="ratio", many="ratios"):
        return f"{measured[key]:.2f} of its time ({measured[many][0]:.2f} to {measured[many][-1]:.2f})"

    try:
        trial = shared.load_json(directory, "toy_trial.json")
    except FileNotFoundError:
        trial = None
    return {
        "a training step of App. D.2, batch 64, beside PyTorch (eager)": f"{ratio(step)}; {step['share_of_peak']:.0%} of the peak",
        "a training step of App. D.1, batch 128, beside Keras' `fit`": ratio(toy, "ratio_to_keras", "ratios_to_keras"),
        "the same, beside PyTorch (eager)":
            f"{ratio(toy, 'ratio_to_torch', 'ratios_to_torch')}; {toy['share_of_peak']:.0%} of the peak",
        "a training step of App. G, batch 256, beside PyTorch (eager)":
            f"{ratio(mnist)}; {mnist['share_of_peak']:.0%} of the peak",
        "a whole toy trial, 500 epochs, with all statistics and figures":
            f"{trial['trial_seconds']:.0f} s ({trial['train_seconds']:.0f} s of training)" if trial else "-",
        "cells of the ablation side by side": f"{trial['cells_per_minute']:.2f} a minute, each in "
            f"{trial['ratio_to_cells_alone']:.2f} of the time of one alone" if trial else "-",
        "SSIM with its gradient, beside `tf.image.ssim`":
            f"{ssim['times_as_fast']:.1f} times as fast ({1 / ssim['ratios'][-1]:.1f} to {1 / ssim['ratios'][0]:.1f})",
        f"Gram matrix and norms at n = 32 of {gram['num_images']} images, beside 33 decodes of them": ratio(gram),
        "peak memory of an analysis, 10,000 images beside 1,000": f"{gram['memory_ratio']:.2f}",
        "training batches from the image cache": f"{images['cached_images_per_second']:,} images/s",
        "faces drawn": f"{images['faces_drawn_per_second']:,} images/s",
    }


def linear_table(directories):
    """Closed forms of the Norm data: the linear VAE beside reverse water-filling (Eq. 4)."""
    directory, = directories
    lines = ["| lmbda | D | R (nats) | Eq. 4: D | Eq. 4: R | norms | E[sigma^-2] |", "| --- " * 7 + "|"]
    for at in shared.load_json(directory, "closed_forms.json")["linear_vae"]:
        norms, precisions = (", ".join(f"{v:.5g}" for v in at[key]) for key in ("norm", "precision"))
        lines.append(f"| {at['lmbda']} | {at['distortion']:.5g} | {at['rate']:.6g} | {at['water_filling_distortion']:.5g} | "
                     f"{at['water_filling_rate']:.6g} | {norms} | {precisions} |")
    return "\n".join(lines)


def quantizer_table(directories):
    """The mean rate of a uniform quantiser beyond the KL."""
    directory, = directories
    measured = shared.load_json(directory, "closed_forms.json")["quantizer"]
    return "\n".join(["| sigma | mean excess (nats) |", "| --- | --- |",
                      *(f"| {at['scale']:g} | {at['excess_nats']:.4f} |" for at in measured)])


TABLES = {"isometry": image_tables.isometry_table, "factors": image_tables.factor_tables, "history": image_tables.history_table,
          "balance": image_tables.balance_table, "precisions": image_tables.precision_table, "toy": toy_tables.toy_table,
          "density": toy_tables.density_table, "ablation": ablation_tables.ablation_table, "losses": ablation_tables.losses_table,
          "linear": linear_table, "quantizer": quantizer_table, "speed": speed_table}


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    p.add_argument("table", choices=tuple(TABLES), help="which table")
    p.add_argument("runs", nargs="+", help="run directories (or published ones in results/); for speed, that of the benchmarks")
    args = p.parse_args(argv)
    try:
        print(TABLES[args.table](args.runs))
    except (FileNotFoundError, ValueError, runs.RunError) as error:
        sys.exit(f"{p.prog}: {error}; train the run first, and measure it with eval/isometry.py")


if __name__ == "__main__":
    main()
