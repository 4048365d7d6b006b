"""Figs. 2, 9, 10, 26 and 27: the toy sources, the scale factors, the metric of binary
cross-entropy, and rates of a quantiser.
"""
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure

from results.palette import GREEN, SERIES, VERMILION
from tfisovae import distortions, theory
from tfisovae.sources import TOYS, toy


def toy_sources(num_examples=50_000):
    """Figs. 2 and 9: the densities of s_1, s_2, s_3 of each toy data set, over histograms of what
    `sources.toy` draws.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    for row, (name, shapes) in zip(figure.subplots(len(TOYS), 3), TOYS.items()):
        drawn = toy(name, num_examples).s
        for k, (axes, shape) in enumerate(zip(row, shapes)):
            axes.hist(drawn[:, k], 80, density=True, color=SERIES[k], alpha=0.4)
            grid = np.linspace(
                *(drawn[:, k].mean() + np.array([-1, 1]) * 1.15 * np.abs(drawn[:, k]).max()), 800)
            axes.plot(grid, shape.pdf(grid), color="black", linewidth=1)
            axes.set_title(f"{name}, $s_{k + 1}$: variance {shape.var():.4g}", fontsize=10)
            axes.set_xlabel(f"$s_{k + 1}$", fontsize=9)
            axes.set_ylabel("density", fontsize=9)
    figure.suptitle("Sources of the toy data: samples (bars) and their densities (lines)",
                    fontsize=11)
    return figure


def scale_factors():
    """Fig. 10: a_x of the downward- and the upward-convex loss (Eqs. 19, 55) along x = (s_1, 0, 0).
    """
    s = np.linspace(-5, 5, 401, dtype=np.float32)
    x = s[:, None] * np.eye(1, 3, dtype=np.float32)
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for distortion, label, color, style in (
            (distortions.DownwardConvex(), "downward-convex", SERIES[0], "-"),
            (distortions.UpwardConvex(), "upward-convex", SERIES[1], "--")):
        axes.plot(s, distortion.scale(x), style, color=color, label=label)
    axes.set_xlabel("$s_1$, at $x = (s_1, 0, 0)$")
    axes.set_ylabel("scale factor $a_x$")
    axes.set_title("How much each loss weighs a squared error", fontsize=10)
    axes.legend(frameon=False)
    return figure


def crossentropy_metric():
    """Fig. 26: the metric of binary cross-entropy, (1/x + 1/(1-x)) / 2, and half the Hessian of the
    loss by automatic gradients.
    """
    x = tf.constant(np.linspace(0.02, 0.98, 193, dtype=np.float32)[:, None])
    bce = distortions.BinaryCrossentropy()
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            loss = bce(tf.stop_gradient(x + 0), x)
        slope = inner.gradient(loss, x)
    half_hessian = outer.gradient(slope, x) / 2
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(x[:, 0], half_hessian[:, 0], color=SERIES[0], linewidth=4, alpha=0.5,
              label="half the Hessian of the loss")
    axes.plot(x[:, 0],
              bce.metric_product(x, tf.ones_like(x))[:, 0], "k--", linewidth=1,
              label=r"$\frac{1}{2}(1/x + 1/(1-x))$")
    axes.set_ylim(0)
    axes.set_xlabel("x")
    axes.set_ylabel("metric tensor, D per squared unit of x")
    axes.set_title("Metric of binary cross-entropy: the loss and the formula", fontsize=10)
    axes.legend(frameon=False)
    return figure


def quantizer_rates(scales=(0.1, 0.3, 0.6)):
    """Fig. 27 in numbers: the rate of a uniform quantiser at mean mu beyond the KL there, exact and
    by Eqs. 70, 71.
    """
    mean = np.linspace(0, 3, 121)
    figure = Figure(figsize=(12, 3.8), layout="constrained")
    for axes, scale in zip(figure.subplots(1, len(scales), sharey=True), scales):
        kl = (mean**2 + scale**2 - np.log(scale**2) - 1) / 2
        for rate, style, color, label in (
                (theory.exact_quantizer_rate, "-", "black", "exact"),
                (theory.quantizer_rate, "--", GREEN, "Eq. 70"),
                (theory.simple_quantizer_rate, ":", VERMILION, "Eq. 71")):
            axes.plot(mean, rate(mean, scale) - kl, style, color=color, label=label)
        axes.set_title(f"$\\sigma = {scale:g}$", fontsize=10)
        axes.set_xlabel(r"posterior mean $\mu$")
    figure.axes[0].set_ylabel("rate $-$ KL, nats")
    figure.suptitle("What a uniform quantizer costs beyond the KL: exact, and two approximations",
                    fontsize=11)
    axes.legend(frameon=False)
    return figure
