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
    """What the benchmarks measured, from the JSON files that they write into one directory."""
    directory, = directories
    names = ("train_step", "mnist_step", "ssim", "gram", "images", "toy_step")
    step, mnist, ssim, gram, images, toy = (shared.load_json(directory, f"{name}.json") for name in names)
    rows = [
        ("a training step of App. D.2, batch 64, beside PyTorch (eager)",
         f"{step['ratio']:.2f} of its time ({step['ratios'][0]:.2f} to {step['ratios'][-1]:.2f}); {step['share_of_peak']:.0%} of "
         "the machine's matrix-product peak"),
        ("a training step of App. D.1, batch 128, beside Keras' `fit`",
         f"{toy['ratio_to_keras']:.2f} of its time ({toy['ratios_to_keras'][0]:.2f} to {toy['ratios_to_keras'][-1]:.2f})"),
        ("the same, beside PyTorch (eager)",
         f"{toy['ratio_to_torch']:.2f} of its time ({toy['ratios_to_torch'][0]:.2f} to {toy['ratios_to_torch'][-1]:.2f}); "
         f"{toy['share_of_peak']:.0%} of the peak"),
        ("a training step of App. G, batch 256, beside PyTorch (eager)",
         f"{mnist['ratio']:.2f} of its time ({mnist['ratios'][0]:.2f} to {mnist['ratios'][-1]:.2f}); "
         f"{mnist['share_of_peak']:.0%} of the peak"),
        ("SSIM with its gradient, beside `tf.image.ssim`", f"{ssim['times_as_fast']:.1f} times as fast "
         f"({1 / ssim['ratios'][-1]:.1f} to {1 / ssim['ratios'][0]:.1f})"),
        (f"Gram matrix and norms at n = 32 of {gram['num_images']} images, beside 33 decodes of them",
         f"{gram['ratio']:.2f} of their time"),
        ("training batches from the image cache", f"{images['cached_images_per_second']:,} images/s"),
        ("faces drawn", f"{images['faces_drawn_per_second']:,} images/s"),
    ]
    if "memory_ratio" in gram:
        rows.append(("peak memory of an analysis, 10,000 images beside 1,000", f"{gram['memory_ratio']:.2f}"))
    return "\n".join(["| what | measured |", "| --- | --- |", *(f"| {what} | {measured} |" for what, measured in rows)])


TABLES = {"isometry": image_tables.isometry_table, "factors": image_tables.factor_tables, "history": image_tables.history_table,
          "balance": image_tables.balance_table, "precisions": image_tables.precision_table, "toy": toy_tables.toy_table,
          "density": toy_tables.density_table, "ablation": ablation_tables.ablation_table, "losses": ablation_tables.losses_table,
          "speed": speed_table}


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
