"""The paper's figures, drawn from what was saved: an `Analysis`, or arrays of images."""
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_NORM, _PRECISION, _REFERENCE = "#c44e52", "#4c72b0", "#555555"


def _save(figure, path):
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=120, bbox_inches="tight")


def isometry(analysis, path, title=""):
    """Figs. 4, 5, 24 and 25: E[sigma_j^-2] (log axis) and the norm with its deviation, dimensions by importance.

    Beside the norm stands 1 - sigma^2, which a quadratic loss gives to any decoder: what the norm shows beyond that is in the
    off-diagonals of the Gram matrix.

    Args:
      analysis: `Analysis`.
      path: of the picture.
      title: above it.
    """
    order = np.asarray(analysis.ranking)
    rank = np.arange(1, len(order) + 1)
    figure = Figure(figsize=(9, 4.6))
    left = figure.subplots()
    left.bar(rank, analysis.precision_mean[order], color=_PRECISION, alpha=0.45, width=0.85,
             label=r"$E[\sigma_j^{-2}]$ (left)")
    left.set_yscale("log")
    left.set_ylim(0.8, max(10.0, 3 * float(analysis.precision_mean.max())))
    left.set_xlabel(r"latent dimension, by descending $E[\sigma_j^{-2}]$")
    left.set_ylabel(r"$E[\sigma_j^{-2}]$", color=_PRECISION)
    left.set_xlim(0.3, len(order) + 0.7)
    right = left.twinx()
    right.errorbar(rank, analysis.norm_mean[order], analysis.norm_std[order], fmt="o", markersize=4, capsize=2, linewidth=1,
                   color=_NORM, label=r"$\frac{2}{\beta}\sigma_j^2 D'_j$, mean and SD over the data (right)")
    right.plot(rank, analysis.one_minus_variance[order], "_", markersize=9, color=_REFERENCE,
               label=r"$E[1-\sigma_j^2]$ (right)")
    right.axhline(1, color="black", linewidth=0.8, linestyle=":")
    right.set_ylabel("squared norm", color=_NORM)
    top = float(np.max(analysis.norm_mean + analysis.norm_std))
    right.set_ylim(0, max(1.5, 1.35 * top))
    handles, labels = left.get_legend_handles_labels()
    more = right.get_legend_handles_labels()
    left.legend(handles + more[0], labels + more[1], loc="upper center", bbox_to_anchor=(0.5, -0.13), ncol=3, frameon=False,
                fontsize=9)
    left.set_title(title, fontsize=10)
    _save(figure, path)


def gram(analysis, path, title=""):
    """|E[Gamma_jk]| of Eq. 12 over the active dimensions, by importance: the identity at an isometric embedding."""
    order = [j for j in analysis.ranking if analysis.active[j]]
    figure = Figure(figsize=(5, 4.4))
    axes = figure.subplots()
    image = axes.imshow(np.abs(analysis.gram_mean[np.ix_(order, order)]), vmin=0, cmap="magma_r",
                        extent=(0.5, len(order) + 0.5, len(order) + 0.5, 0.5))
    figure.colorbar(image, ax=axes, label=r"$|E[\Gamma_{jk}]|$")
    axes.set_xlabel("active latent dimension, by importance")
    axes.set_title(title, fontsize=10)
    _save(figure, path)


def traversal(images, precisions, values, path, title=""):
    """Figs. 6 and 23: one row of decoded images for each latent dimension.

    Args:
      images: `[rows, columns, H, W, C]`, in [0, 1].
      precisions: E[sigma_j^-2] of each row.
      values: z_j of each column.
      path: of the picture.
      title: above it.
    """
    rows, columns = images.shape[:2]
    figure = Figure(figsize=(0.75 * columns + 1.6, 0.75 * rows + 0.7))
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
    for r in range(rows):
        for c in range(columns):
            axes = grid[r, c]
            axes.imshow(np.clip(images[r, c], 0, 1), cmap="gray", vmin=0, vmax=1)
            axes.set_axis_off()
            if r == 0:
                axes.set_title(f"{values[c]:+.1f}", fontsize=8, pad=3)
        grid[r, 0].text(-0.15, 0.5, f"$z_{{{r + 1}}}$  {precisions[r]:.4g}", transform=grid[r, 0].transAxes, ha="right",
                        va="center", fontsize=9)
    figure.suptitle(title, fontsize=10, y=0.995 - 0.05 / rows)
    _save(figure, path)


def reconstructions(rows, labels, path, title=""):
    """Rows of images, one above the other: inputs and what the VAE makes of them.

    Args:
      rows: list of `[N, H, W, C]` in [0, 1].
      labels: one for each row.
      path: of the picture.
      title: above it.
    """
    count = len(rows[0])
    figure = Figure(figsize=(0.9 * count + 1.2, 0.95 * len(rows) + 0.4))
    grid = figure.subplots(len(rows), count, squeeze=False, gridspec_kw={"wspace": 0.03, "hspace": 0.03})
    for r, (images, label) in enumerate(zip(rows, labels)):
        for c in range(count):
            grid[r, c].imshow(np.clip(images[c], 0, 1), cmap="gray", vmin=0, vmax=1)
            grid[r, c].set_axis_off()
        grid[r, 0].text(-0.1, 0.5, label, transform=grid[r, 0].transAxes, ha="right", va="center", fontsize=9)
    figure.suptitle(title, fontsize=10)
    _save(figure, path)
