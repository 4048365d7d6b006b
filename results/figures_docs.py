"""Draw the pictures of docs/: for each number a good case and a bad one.

    python -m results.figures_docs

They come from closed forms, and from the measurements in results/ that their captions name.
"""
import argparse
import os

import numpy as np
import scipy.stats
from matplotlib.figure import Figure

from results.palette import BLUE, GREY
from results.palette import VERMILION as ORANGE
from tfisovae import files, theory
from tfisovae.verdict.states import State
from tfisovae.verdict.words import LABELS

HERE = os.path.dirname(os.path.abspath(__file__))
PLACE = os.path.join(os.path.dirname(HERE), "docs", "pictures")
_TOY = os.path.join(HERE, "toy", "recipe-sse-seed0", "isometry.json")
_DIGITS = os.path.join(HERE, "mnist", "probed", "isometry.json")


def _panels(count, title, height=3.0):
    figure = Figure(figsize=(3.1 * count, height), layout="constrained")
    figure.suptitle(title, fontsize=10)
    panels = figure.subplots(1, count)
    for axes in panels:
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    return figure, panels


def _label(axes, title, x, y):
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(x, fontsize=8)
    axes.set_ylabel(y, fontsize=8)


def isometry():
    """What a grid of squares in the latent space becomes in the data."""
    figure, panels = _panels(4, "A latent grid of squares, as the decoder draws it in the data",
                             2.7)
    cases = (("good: isometric", BLUE, np.eye(2), 0.0),
             ("bad norm: too long", ORANGE, np.diag([1.6, 1.0]), 0.0),
             ("bad cosine: skewed", ORANGE, np.array([[1, 0.6], [0, 0.8]]), 0.0),
             ("not flat: the size varies", ORANGE, np.eye(2), 0.35))
    line = np.linspace(-2, 2, 81)
    for axes, (title, color, matrix, bend) in zip(panels, cases):
        for at in np.arange(-2.0, 2.1):
            for first, second in ((line, np.full_like(line, at)), (np.full_like(line, at), line)):
                points = matrix @ np.stack([first * (1 - bend * second / 2), second])
                axes.plot(*points, color=color, linewidth=1.2)
        _label(axes, title, "along $z_1$ (posterior widths)", "along $z_2$ (posterior widths)")
        axes.set(aspect="equal", xlim=(-3.6, 3.6), ylim=(-3, 3))
    return figure


def norm():
    """Norms of a linear VAE at its optimum, and with a decoder that is too long along one axis."""
    variance, beta = np.array([4.0, 1.0, 0.25, 0.1]), 0.1
    predicted = 1 - theory.LinearVAE(variance, beta).scale**2
    figure, panels = _panels(2, "Norm of each dimension, and 1 - sigma$^2$, which it should be")
    for axes, title, longer in ((panels[0], "good: the norms agree", np.ones(4)),
                                (panels[1], "bad: $z_1$ is 1.3 times too long",
                                 np.array([1, 1.3, 1, 1]))):
        found = predicted * longer**2
        colors = [ORANGE if factor > 1 else BLUE for factor in longer]
        axes.bar(range(4), found, color=colors, width=0.6)
        axes.plot(range(4), predicted, "k_", markersize=26, label="1 - sigma$^2$")
        axes.set(xticks=range(4), xticklabels=[f"$z_{j}$" for j in range(4)], ylim=(0, 1.8))
        axes.legend(fontsize=8, frameon=False)
        _label(axes, title, "latent dimension", "norm (no unit)")
    return figure


def cosines():
    """Cosines between dimensions, as measured on toy data and on MNIST."""
    figure, panels = _panels(2, "Cosines between pairs of dimensions (0: at right angles)", 3.2)
    for axes, title, path in ((panels[0], "good: toy data", _TOY),
                              (panels[1], "bad: MNIST", _DIGITS)):
        saved = files.read_json(path)
        leading = saved["ranking"][:12]
        found = np.array(saved["gram_cosine"])[np.ix_(leading, leading)]
        np.fill_diagonal(found, np.nan)
        drawn = axes.imshow(found, cmap="cividis", vmin=0, vmax=0.5)
        names = [f"$z_{{{j}}}$" for j in leading]
        axes.set(xticks=range(len(leading)), yticks=range(len(leading)), xticklabels=names,
                 yticklabels=names)
        _label(axes, title, "latent dimension", "latent dimension")
    bar = figure.colorbar(drawn, ax=panels, shrink=0.8)
    bar.set_label("cosine, root mean square", fontsize=8)
    return figure


def circle():
    """(importance, cost of removal) of data on a line and once round a circle, unit variances, in
    the limit of a small beta: closed forms.
    """
    # Along the circle y is uniform over 2 pi. Removal leaves one point of it: E|x - x_0|^2 = 2.
    angle = scipy.stats.uniform(-np.pi, 2 * np.pi)
    beta = 1e-3
    return {"line": (1.0, 1 - beta / 2),
            "circle": (beta / 2 * theory.shape_precision(angle, beta), 2.0)}


def importance():
    """Importance and cost of removal where they agree, and where the data bend."""
    figure, panels = _panels(2, "Importance, and what removing the dimension costs")
    for axes, (name, title) in zip(panels, (("line", "good: Gaussian data on a line"),
                                            ("circle", "bad: data once round a circle"))):
        found = circle()[name]
        axes.bar(["importance", "cost of removal"], found, width=0.5,
                 color=[GREY, BLUE if name == "line" else ORANGE])
        axes.set(ylim=(0, 4.2))
        for place, value in enumerate(found):
            axes.text(place, value + 0.08, f"{value:.2f}", ha="center", fontsize=8)
        _label(axes, title, "", "squared distance in the data")
    return figure


def beta():
    """The balance of the toy model for the right beta, and for one that is twice as large."""
    saved = files.read_json(_TOY)
    value, error = (np.array(saved[name]) for name in ("balance", "balance_standard_error"))
    figure, panels = _panels(2, "Posterior balance: 1 where the given beta is the trained one")
    for axes, title, factor, color in ((panels[0], "good: beta = 0.01, as trained", 1, BLUE),
                                       (panels[1], "bad: beta = 0.02 was given", 2, ORANGE)):
        axes.axhline(1, color="black", linewidth=0.8, linestyle="--")
        axes.errorbar(range(len(value)), value / factor, 1.96 * error / factor, fmt="o",
                      color=color, capsize=4)
        axes.set(xticks=range(len(value)), ylim=(0, 1.3), xlim=(-0.5, len(value) - 0.5),
                 xticklabels=[f"$z_{j}$" for j in range(len(value))])
        _label(axes, title, "latent dimension (95 % interval)", "balance (no unit)")
    return figure


def flatness(count=400, seed=0):
    """log sigma_2 on a cylinder and on a sphere that the posterior covers, in closed form."""
    z = np.random.default_rng(seed).standard_normal((count, 2))
    height = 2 * scipy.stats.norm.cdf(z[:, 0]) - 1  # cos(theta)
    speed = 2 * np.pi * scipy.stats.norm.pdf(z[:, 1])
    figure, panels = _panels(2, "How wide the posterior is along $z_2$, at 400 inputs")
    for axes, title, around, color in (
            (panels[0], "good: flat. $z_2$ alone decides", np.ones(count), BLUE),
            (panels[1], "bad: a sphere. $z_1$ decides too", np.sqrt(1 - height**2), ORANGE)):
        axes.plot(z[:, 1], -np.log(around * speed), ".", color=color, markersize=3)
        axes.set(ylim=(-1.5, 4))
        _label(axes, title, "$z_2$ (prior widths)", "log sigma$_2$ + a constant")
    return figure


def verdict():
    """What twice the steps gain, next to the margin: toy data and MNIST."""
    figure, panels = _panels(2, "What training for as many steps again gains, and the margin")
    for axes, title, path, color in ((panels[0], "Converged: toy data", _TOY, BLUE),
                                     (panels[1], f"{LABELS[State.IMPROVING]}: MNIST", _DIGITS,
                                      ORANGE)):
        saved = files.read_json(path)["verdict"]
        gain = next(gain for gain in saved["gains"] if gain["kind"] == "doubling")
        axes.bar([0], [gain["value"]], yerr=[1.96 * gain["standard_error"]], width=0.3, color=color,
                 capsize=4)
        axes.axhline(saved["margin"], color="black", linestyle="--", linewidth=1)
        axes.text(0.48, saved["margin"], f"margin {saved['margin']:.2g}", ha="right", va="bottom",
                  fontsize=8)
        axes.set(xlim=(-0.5, 0.5), xticks=[0], xticklabels=[f"{gain['value']:.2g} nats"],
                 ylim=(0, 1.25 * max(gain["value"], saved["margin"])))
        _label(axes, title, "gain of a doubling", "nats")
    return figure


PICTURES = (isometry, norm, cosines, importance, beta, flatness, verdict)


def main(argv=None):
    p = argparse.ArgumentParser(prog="python -m results.figures_docs", description=__doc__)
    p.add_argument("--out", default=PLACE, help="directory for the pictures")
    args = p.parse_args(argv)
    os.makedirs(args.out, exist_ok=True)
    for draw in PICTURES:
        path = os.path.join(args.out, f"{draw.__name__}.png")
        draw().savefig(path, dpi=90, metadata={"Software": None})
        print(path)


if __name__ == "__main__":
    main()
