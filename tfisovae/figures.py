"""The paper's figures, drawn from what was saved: an `Analysis`, or arrays of images.

Every function returns a `Figure`, which a notebook shows, and writes it as PNG where a `path` is given.
"""
import io
import os
import typing
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import figure as matplotlib_figure
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import MaxNLocator, ScalarFormatter
from PIL import Image, ImageDraw

from tfisovae import files

if typing.TYPE_CHECKING:
    from tfisovae.analysis import Analysis
    from tfisovae.scree import Scree
    from tfisovae.traversals import Traversals

_NORM, _PRECISION, _REFERENCE = "#c44e52", "#4c72b0", "#555555"


class Figure(matplotlib_figure.Figure):
    """A figure of matplotlib's that a notebook shows by itself: it needs neither pyplot nor a display."""

    def _repr_png_(self) -> bytes:
        picture = io.BytesIO()
        _write(self, picture)
        return picture.getvalue()


def _write(figure, file):
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=110, bbox_inches="tight", pil_kwargs={"optimize": True})


def save(figure: matplotlib_figure.Figure, path: str | os.PathLike) -> None:
    """Writes a picture of any figure of matplotlib's, without a display, whole or not at all."""
    with files.replacing(path, "wb") as file:
        _write(figure, file)


def plain(text: str) -> str:
    """Text of a user's, such as a file's name, for a title: matplotlib would read what stands between dollar signs as TeX."""
    return text.replace("$", r"\$")


def _finished(figure, path):
    """The figure, written to `path` where that is given."""
    if path is not None:
        save(figure, path)
    return figure


def isometry(analysis: "Analysis", title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Figs. 4, 5, 24 and 25: E[sigma_j^-2] (log axis) and the norm with its deviation, dimensions by importance.

    Beside the norm stands 1 - sigma^2, which a quadratic loss gives to any decoder that is straight over the posterior's width:
    what the norm shows beyond that is in the off-diagonals of the Gram matrix.

    Args:
      analysis: `Analysis`.
      title: above the picture.
      path: where to write it, or `None`.
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
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
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
    return _finished(figure, path)


def scree(numbers: "Scree", title: str = "", path: str | os.PathLike | None = None,
          shares: Sequence[float] = (0.9, 0.95, 0.99)) -> Figure:
    """The nonlinear scree plot: importances with their intervals beside the eigenvalues of a PCA in the same metric, and both
    summed up.

    Args:
      numbers: `Scree`.
      title: above the picture.
      path: where to write it, or `None`.
      shares: of the whole, for which the numbers of dimensions are marked.
    """
    count, found = len(numbers.importance), numbers.components
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    rank = np.arange(1, count + 1)
    colors = [_PRECISION if active else "#c8c8c8" for active in numbers.active]
    left.bar(rank, numbers.importance, color=colors, alpha=0.55, width=0.85,
             label="importance of latent dimensions, 95 % (grey: inactive)")
    left.errorbar(rank, numbers.importance, np.abs(numbers.interval - numbers.importance), fmt="none", color=_REFERENCE,
                  capsize=1.5 if count <= 64 else 0, linewidth=0.8)
    left.axhline(numbers.floor, color="black", linewidth=0.8, linestyle=":", label=r"$\beta / 2$")
    lines = [(rank, numbers.cumulative, _PRECISION, "latent dimensions", numbers.count)]
    if found is not None:
        where = "" if found.constant else ", metric at the mean"
        shown = np.arange(1, min(len(found.eigenvalue), max(2 * count, found.count(max(shares)))) + 1)
        beside = shown[:max(2 * count, 10)]
        left.errorbar(beside, found.eigenvalue[beside - 1], found.standard_error[beside - 1], fmt="o-", color=_NORM, markersize=2.5,
                      linewidth=0.8, label=f"eigenvalues of a PCA{where}")
        share = np.cumsum(found.eigenvalue)[shown - 1] / (found.total or 1)
        lines.append((shown, share, _NORM, f"principal components{where}", found.count))
    left.set_yscale("log")
    left.set_ylim(bottom=0.5 * numbers.floor)
    left.set_xlabel("latent dimension, or principal component, by size")
    left.set_ylabel("variance in the metric of the distortion")
    for x, y, color, label, counted in lines:
        marked = [counted(share) for share in shares]
        right.plot(x, y, color=color, linewidth=1.2,
                   label=f"{label}: {', '.join(map(str, marked))} for {', '.join(f'{100 * share:g}' for share in shares)} %")
        right.plot(marked, shares, "o", color=color, markersize=4)
    for share in shares:
        right.axhline(share, color=_REFERENCE, linewidth=0.5, linestyle=":")
    right.set_xscale("log")
    right.set_xlim(left=0.9)
    right.xaxis.set_major_formatter(ScalarFormatter())
    right.set_ylim(0, 1.03)
    right.set_xlabel("how many, the largest first")
    right.set_ylabel("share of the whole")
    for axes in (left, right):
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False, fontsize=8)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(title, fontsize=10)
    return _finished(figure, path)


def gram(analysis: "Analysis", title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """|E[Gamma_jk]| of Eq. 12 over the active dimensions, by importance: the identity at an isometric embedding."""
    order = [j for j in analysis.ranking if analysis.active[j]]
    figure = Figure(figsize=(5, 4.4))
    axes = figure.subplots()
    image = axes.imshow(np.abs(analysis.gram_mean[np.ix_(order, order)]), vmin=0, cmap="magma_r",
                        extent=(0.5, len(order) + 0.5, len(order) + 0.5, 0.5))
    figure.colorbar(image, ax=axes, label=r"$|E[\Gamma_{jk}]|$")
    axes.set_xlabel("active latent dimension, by importance")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(title.replace(", lmbda", "\nlmbda"), fontsize=8)
    return _finished(figure, path)


def traversal(rows: "Traversals", title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Figs. 6 and 23: one row of decoded images for each latent dimension, with its share of the importance and D from image to
    image.

    Columns are counted in steps from the middle, or are values of z_j where the steps are equal in z.

    Args:
      rows: `Traversals` of images, `[rows, columns, H, W, C]`, in [0, 1].
      title: above the picture.
      path: where to write it, or `None`.
    """
    count = rows.z.shape[1]
    heads = [f"{value:+.1f}" for value in rows.z[0]] if rows.steps == "z" else [f"{k - (count - 1) / 2:+g}" for k in range(count)]
    left, right = zip(*((f"$z_{{{j}}}$   {share}", moved) for j, (_, share, moved) in zip(rows.dimensions, rows.words())))
    return _mosaic(rows.x, left, heads, title, path, right)


def animation(rows: "Traversals", path: str | os.PathLike, seconds: float = 4.0, width: int = 8) -> None:
    """Writes all rows of traversals as a GIF, in which every latent variable goes to and fro at once.

    Args:
      rows: `Traversals` of images, `[rows, columns, H, W, C]`, in [0, 1]; a frame for each column.
      path: where to write it.
      seconds: to and fro.
      width: images side by side, at most.
    """
    count, columns, height, breadth, channels = rows.x.shape
    zoom, margin, head = -(-64 // height), 4, 14
    tall, wide = zoom * height + head + margin, zoom * breadth + margin
    size = (min(count, width) * wide + margin, -(-count // width) * tall + margin)
    labels = [f"z{j}" if np.isnan(share) else f"z{j}: {100 * share:.2g} %" for j, share in zip(rows.dimensions, rows.share)]
    pixels = np.uint8(np.rint(255 * np.clip(rows.x, 0, 1))).repeat(zoom, 2).repeat(zoom, 3)
    frames = []
    for column in range(columns):
        frame = Image.new("RGB", size, "white")
        write = ImageDraw.Draw(frame)
        for k, label in enumerate(labels):
            left, top = margin + k % width * wide, margin + k // width * tall
            write.text((left, top), label, fill="black")
            tile = pixels[k, column]
            frame.paste(Image.fromarray(tile[..., 0] if channels == 1 else tile[..., :3]), (left, top + head))
        frames.append(frame)
    frames += frames[-2:0:-1]
    with files.replacing(path, "wb") as file:
        frames[0].save(file, format="GIF", save_all=True, append_images=frames[1:], loop=0,
                       duration=max(20, round(1000 * seconds / len(frames))))


def reconstructions(rows: Sequence[np.ndarray], labels: Sequence[str], title: str = "",
                    path: str | os.PathLike | None = None) -> Figure:
    """Rows of images, one above the other: inputs and what the VAE makes of them.

    Args:
      rows: list of `[N, H, W, C]` in [0, 1].
      labels: one for each row.
      title: above the picture.
      path: where to write it, or `None`.
    """
    return _mosaic(np.stack(rows), labels, [], title, path)


def _mosaic(images, row_labels, column_labels, title, path, right_labels=()):
    """`[rows, columns, H, W, C]` side by side in one picture, with labels at the left, above, and at the right."""
    gap = 2
    images = np.pad(np.clip(images, 0, 1), [(0, 0), (0, 0), (0, gap), (0, gap), (0, 0)], constant_values=1)
    rows, columns, height, width, channels = images.shape
    picture = images.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)
    figure = Figure(figsize=(0.64 * columns, 0.64 * rows * height / width))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture, cmap="gray", vmin=0, vmax=1, aspect="auto")
    axes.set_yticks((np.arange(rows) + 0.5) * height, row_labels, fontsize=9)
    axes.set_xticks((np.arange(len(column_labels)) + 0.5) * width, column_labels, fontsize=8)
    axes.tick_params(length=0, top=False, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    for row, label in enumerate(right_labels):
        axes.annotate(label, (1, (row + 0.5) * height), (6, 0), ("axes fraction", "data"), "offset points", fontsize=8, va="center")
    axes.set_title(title, fontsize=10, pad=20 if column_labels else 6)
    return _finished(figure, path)


def densities(log_estimates: Mapping[str, np.ndarray], log_density: np.ndarray, correlations: Mapping[str, float], title: str = "",
              path: str | os.PathLike | None = None, max_points: int = 5000) -> Figure:
    """Figs. 3 and 8: p(x) against each estimate, on linear axes above and on logarithmic ones below.

    Args:
      log_estimates: dict from form to `[N]`, nats.
      log_density: `[N]`, log p(x), nats.
      correlations: dict from form to Pearson's R on the linear scale, written into the panel.
      title: above the picture.
      path: where to write it, or `None`.
      max_points: drawn at most, evenly chosen.
    """
    shown = np.linspace(0, len(log_density) - 1, min(max_points, len(log_density))).astype(int)
    truth = np.asarray(log_density)[shown]
    figure = Figure(figsize=(2.9 * len(log_estimates), 5.8), layout="constrained")
    panels = figure.subplots(2, len(log_estimates), squeeze=False)
    for (linear, log), (form, values) in zip(panels.T, log_estimates.items()):
        estimate = np.asarray(values)[shown]
        for axes, a, b in ((linear, np.exp(truth), np.exp(estimate)), (log, truth, estimate)):
            axes.plot(a, b, ".", color=_PRECISION, markersize=1.5, alpha=0.4, rasterized=True)
            axes.tick_params(labelsize=8)
            if form != "prior":  # of another unit: the diagonal means nothing
                axes.axline((a.mean(), a.mean()), slope=1, color=_NORM, linewidth=1)
        linear.set_title(f"{form.replace('_', ' ')}\nR = {correlations[form]:.3f}", fontsize=10)
        linear.set_xlabel("p(x)", fontsize=9)
        linear.set_xlim(0)
        linear.set_ylim(0, 1.05 * np.quantile(np.exp(estimate), 0.999))
        log.set_xlabel("log p(x), nats", fontsize=9)
        log.set_xlim(*np.quantile(truth, (0.002, 1)))
        log.set_ylim(*np.quantile(estimate, (0.002, 0.9995)))
    panels[0, 0].set_ylabel("estimate", fontsize=9)
    panels[1, 0].set_ylabel("log estimate, nats", fontsize=9)
    figure.suptitle(title, fontsize=10)
    return _finished(figure, path)


def density_histograms(log_estimates: Mapping[str, np.ndarray], title: str = "", path: str | os.PathLike | None = None) -> Figure:
    """Histograms of log densities `{form: [N]}`, nats, of data whose true density is not known."""
    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    for form, values in log_estimates.items():
        axes.hist(values, bins=60, range=np.quantile(values, (0.005, 1)), histtype="step", density=True,
                  label=form.replace("_", " "))
    axes.set_xlabel("log density, nats")
    axes.set_ylabel("share of inputs per nat")
    axes.legend(frameon=False, fontsize=9)
    axes.set_title(title, fontsize=10)
    return _finished(figure, path)


def isometric_variables(variables: Sequence[tuple[str, np.ndarray]],
                        references: Sequence[tuple[np.ndarray, np.ndarray]] | None = None, title: str = "",
                        path: str | os.PathLike | None = None) -> Figure:
    """The distributions of y_j (Fig. 1), each over the density that it should have where that is known.

    Args:
      variables: list of `(label, y)`, y_j of each example, `[N]`.
      path: where to write the picture, or `None`.
      references: list of `(values, density)` curves, one for each variable, or `None`.
      title: above it.
    """
    figure = Figure(figsize=(3.2 * len(variables), 3), layout="constrained")
    for i, (axes, (label, y)) in enumerate(zip(figure.subplots(1, len(variables), squeeze=False)[0], variables)):
        axes.hist(y, bins=80, density=True, color=_PRECISION, alpha=0.45, label="$y_j$")
        if references is not None:
            axes.plot(*references[i], color=_NORM, linewidth=1.5, label="$p(s)$")
        axes.set_title(label, fontsize=10)
        axes.set_xlabel("$y_j$")
        axes.legend(frameon=False, fontsize=8)
    figure.suptitle(title, fontsize=10)
    return _finished(figure, path)
