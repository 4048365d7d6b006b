"""Draw what large latent spaces cost, from what `benchmarks/large.py` measured: `python -m
results.latents [FILE]`.
"""
import argparse
import os

from matplotlib.ticker import FuncFormatter, NullLocator

from tfisovae import files
from tfisovae.show import drawing

_FILE = os.path.join("results", "large", "latents.json")
_PANELS = (("cpu_seconds", "CPU seconds, the start left out"),
           ("peak_mb", "peak memory, MB"),
           ("passes", "passes through the decoder for each example"),
           ("json_mb", "JSON, MB"))
_STYLES = {"exact": ("o--", drawing.OTHER), "estimated": ("o-", drawing.MAIN)}


def figure(rows):
    """Cost, memory, passes and the size of the JSON file against n, for each method.

    Args:
      rows: what one n cost each, dicts.
    """
    drawn, axes = drawing.panels(len(_PANELS), (4.2, 3.4), columns=2)
    for ax, (name, words) in zip(axes, _PANELS):
        for method, (style, color) in _STYLES.items():
            for count in sorted({row["num_examples"] for row in rows}):
                some = sorted((row["n"], row[name]) for row in rows
                              if row["used"] == method and row["num_examples"] == count
                              and row[name] is not None)
                if some:
                    ax.plot(*zip(*some), style, color=color, markersize=4,
                            alpha=1.0 if count == 10 else 0.5,
                            label=f"{method}, {count} examples")
        ax.set_xscale("log", base=2)
        ax.set_ylim(0, 1.15 * max(row[name] or 0 for row in rows))
        ax.set_title(words, fontsize=10)
        ax.set_xlabel("latent dimensions n")
        ax.set_xticks(sorted({row["n"] for row in rows}))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n:,.0f}"))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.tick_params(labelsize=8)
        ax.grid(color=drawing.GRID)
    for ax, most in ((axes[2], 150), (axes[3], 1)):
        ax.axhline(most, color=drawing.QUIET, linestyle=":", label=f"at most {most}")
        ax.set_ylim(top=1.15 * most)
    for ax in axes:
        ax.legend(frameon=False, fontsize=8)
    return drawn


def main(argv=None):
    p = argparse.ArgumentParser(prog="python -m results.latents", description=__doc__)
    p.add_argument("file", nargs="?", default=_FILE,
                   help=f"what the benchmark wrote (default: {_FILE})")
    args = p.parse_args(argv)
    picture = f"{os.path.splitext(args.file)[0]}.png"
    drawing.save(figure(files.read_json(args.file)["rows"]), picture)
    print(f"Written: {picture}")


if __name__ == "__main__":
    main()
