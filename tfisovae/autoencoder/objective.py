"""Finds distortion and beta from a loss in common notation.

All measurements use the metric of the distortion D and the beta of Eq. 54,

    loss = c (D / beta + KL) + a constant,          c > 0, KL in nats, summed over dimensions.

If the loss is unknown, `tfisovae.estimate_beta` finds beta from the trained model.
"""
import math
import numbers
import typing
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfisovae import arguments, distortions
from tfisovae.verdict import html

_REDUCTIONS = ("sum", "mean", "last_axis_mean")
_OWN_VARIANCES = """
    class Weighted(tfisovae.distortions.Distortion):
        def __call__(self, x, x_hat):
            return tf.reduce_sum((x - x_hat)**2 / (2 * V), -1)
"""
_REDUCED = ("sse", "mse", "bce", "gaussian_nll")  # with a reduction over the entries
# One number per example.
_WHOLE = ("ssim", "cce", "poisson", "downward_convex", "upward_convex")

Scalar: typing.TypeAlias = float | np.number | np.ndarray | tf.Tensor
"""One number, which may come as an array or a tensor: a variance that was learned."""


class Objective(
        typing.NamedTuple("Objective", [("distortion", distortions.Distortion), ("beta", float)])):
    """The distortion and beta of a loss; it unpacks as `(distortion, beta)`, and its text shows the
    derivation.

    Attributes:
      distortion: a `Distortion`.
      beta: 1 / lmbda, in the unit of the distortion per nat.
      loss: the loss of one example, in symbols.

    Example:
      >>> found = tfisovae.objective("mse", kl_weight=0.1)
      >>> distortion, beta = found
      >>> print(beta, found)
    """

    loss = ""

    @property
    def lmbda(self) -> float:
        return 1 / self.beta

    def explain(self) -> str:
        """The derivation in one line."""
        return f"loss = {self.loss}: D = {_in_words(self.distortion)}, beta = {self.beta:.6g}"

    __str__ = explain

    def _repr_html_(self) -> str:
        return html.of(self.explain())


def objective(reconstruction: distortions.Distortion | str, *, reduction: str | None = None,
              weight: Scalar = 1.0, kl_weight: Scalar = 1.0, kl_reduction: str = "sum",
              batch_reduction: str = "mean", kl_batch_reduction: str = "mean",
              shape: int | Sequence[int] | tf.TensorShape | None = None,
              latent_dim: int | None = None, batch_size: int | None = None,
              variance: Scalar | None = None, data_scale: Scalar = 1.0) -> Objective:
    """Finds the distortion and beta of a VAE loss as people write it.

        loss = weight * (reconstruction, reduced) + kl_weight * (KL, reduced)

    KL is as in Eq. 2: with `-0.5 * (1 + log_var - mean^2 - exp(log_var))` in a loss, `kl_weight` is
    1; without the 0.5 it is 2. One sample of `log q(z|x) - log p(z)` is the same KL. Common losses:

        0.5 * sum((x - x_hat)^2) + 4 * KL
            objective("sse", weight=0.5, kl_weight=4)
        F.binary_cross_entropy(..., reduction="sum") + KLD
            objective("bce", reduction="sum")
        F.mse_loss(x_hat, x) + w * mean over the batch
            objective("mse", kl_weight=w)
        sum over (1, 2) of keras.losses.binary_crossentropy
            objective("bce", reduction="last_axis_mean", shape=(28, 28, 1))
        784 * keras.losses.binary_crossentropy on [B, 784]
            objective("bce", reduction="mean", weight=784)
        the same with K.mean of the KL over 20 dimensions
            objective(..., kl_reduction="mean", latent_dim=20)

    x is the encoder's input and x_hat the decoder's output on the same scale; D is measured on
    these. If an encoder rescales its input inside (0..255 in, x_hat in 0..1), give it to `tfisovae`
    as a function of the rescaled data. With cross-entropies "from logits", x_hat is the sigmoid of
    the decoder's output, and `decode` must return that: `as_autoencoder(...,
    decoder_activation="sigmoid")`. For a weight that grew during training, use its last value. Free
    bits and a KL capacity do not have this form.

    Args:
      reconstruction: "sse" or "mse" (squared errors, summed or averaged), "bce" (binary
        cross-entropy), "gaussian_nll" (-log N(x; x_hat, variance)), "ssim" (1 - SSIM, for data in
        [0, 1]), "cce", "poisson", "downward_convex", "upward_convex", or a `Distortion`; the last
        six have their own reduction.
      reduction: the reduction over one example's entries: "sum", "mean" (over all entries, like
        PyTorch's "mean"), or "last_axis_mean" (a Keras loss averages over the last axis, and you
        sum the rest). "sse" and "mse" have "sum" and "mean" by default; "bce" and "gaussian_nll"
        have no default.
      weight: factor of the reconstruction, positive.
      kl_weight: factor of the KL, positive.
      kl_reduction: "sum" over the latent dimensions or "mean" (needs `latent_dim`).
      batch_reduction, kl_batch_reduction: "mean" or "sum" over the batch, of the two terms. Equal
        ones change nothing; different ones need `batch_size`. `F.mse_loss(x_hat, x)` is a mean, a
        KL written with `torch.sum` is a sum.
      shape: shape of one example, without the batch axis: `(28, 28, 1)`, or an integer. Needed by
        "last_axis_mean", and by the "mean" of "gaussian_nll".
      latent_dim: n.
      batch_size: B.
      variance: of "gaussian_nll": fixed, or the learned scalar at the end of training (exp of a
        log-variance, or a squared scale), in the squared unit of the compared values.
      data_scale: the loss compares `data_scale * x` with `data_scale * x_hat`: 255 if only the loss
        scales pixels from 0..1 to 0..255. 1 if the model itself uses 0..255: then its data for
        `tfisovae` are 0..255 too.

    Returns:
      `Objective(distortion, beta)`.

    Raises:
      ValueError: for unknown names, numbers that are not positive, or missing arguments (named in
        the message).

    Example:
      >>> distortion, beta = tfisovae.objective("bce", reduction="sum", kl_weight=4)
      >>> beta
      4.0
    """
    weight, kl_weight, data_scale = (_positive(name, value) for name, value in (
        ("weight", weight), ("kl_weight", kl_weight), ("data_scale", data_scale)))
    kl_reduction = _one_of("kl_reduction", kl_reduction, ("sum", "mean"))
    batch_reduction = _one_of("batch_reduction", batch_reduction, ("sum", "mean"))
    kl_batch_reduction = _one_of("kl_batch_reduction", kl_batch_reduction, ("sum", "mean"))
    distortion, factor, symbols = _reconstruction(reconstruction, reduction, _shape(shape),
                                                  variance, data_scale)
    factor *= weight
    kl_factor, kl_symbols = kl_weight, _times(kl_weight, "KL")
    if kl_reduction == "mean":
        n = _count("latent_dim", latent_dim, "a KL averaged over the latent dimensions")
        kl_factor, kl_symbols = kl_factor / n, f"{kl_symbols} / {n}"
    if batch_reduction != kl_batch_reduction:
        size = _count("batch_size", batch_size, "a sum over the batch next to a mean over the "
                                                "batch")
        kl_factor *= size if kl_batch_reduction == "sum" else 1 / size
        kl_symbols += f" * {size}" if kl_batch_reduction == "sum" else f" / {size}"
    made = Objective(distortion, kl_factor / factor)
    made.loss = f"{_times(weight, symbols)} + {kl_symbols}"
    return made


def _reconstruction(name, reduction, shape, variance, data_scale):
    """The distortion, its factor in the loss, and the loss's term in symbols."""
    if variance is not None and name != "gaussian_nll":
        raise ValueError(
            f'variance={variance!r} is only for "gaussian_nll"; got reconstruction {name!r}.')
    if isinstance(name, distortions.Distortion) or name in _WHOLE:
        if reduction not in (None, "mean") or (reduction and name != "ssim"):
            raise ValueError(
                f"reduction={reduction!r} cannot be used with {name!r}, which gives one number per "
                "example: leave it out.")
        if data_scale != 1:
            raise ValueError(
                f"data_scale={data_scale:g} cannot be used with {name!r}: give a Distortion for "
                "the model's data, such as tfisovae.distortions.SSIM(max_val=1.0) for data in [0, "
                "1].")
        made = distortions.get(name)
        return made, 1.0, "(1 - SSIM)" if name == "ssim" else f"{made!r}"
    if not isinstance(name, str) or name not in _REDUCED:
        names = ", ".join(map(repr, [*_REDUCED, *_WHOLE]))
        raise ValueError(
            f"reconstruction must be a Distortion or one of {names}; got "
            f"{name!r}. For another loss write your own Distortion; it must be quadratic near x "
            "(an absolute error is not)."
        )
    reduction = reduction or {"sse": "sum", "mse": "mean"}.get(name)
    if reduction is None:
        raise ValueError(
            f"reduction of {name!r} over the entries of an example is missing: give one of "
            f"{', '.join(map(repr, _REDUCTIONS))}. (Keras' losses are 'last_axis_mean' if the "
            "other axes are summed, 'mean' if they are averaged.)")
    _one_of("reduction", reduction, _REDUCTIONS)
    if name == "sse" and reduction != "sum":
        raise ValueError(
            f'"sse" is a sum, but reduction is {reduction!r}: use "mse" for averaged errors.'
        )
    scaled = "" if data_scale == 1 else f"{data_scale:g} "
    if name == "bce":
        if data_scale != 1:
            raise ValueError(
                f"data_scale={data_scale:g}: a binary cross-entropy compares numbers in [0, 1], "
                f"so its data are not "
                "scaled for the loss.")
        made, factor = distortions.BinaryCrossentropy("mean" if reduction == "mean" else "sum"), 1.0
        symbols = "BCE"
    elif name == "gaussian_nll":
        if variance is None:
            raise ValueError(
                'variance of "gaussian_nll" is missing: give the fixed one, or the learned scalar.'
            )
        if np.ndim(variance):
            raise ValueError(
                f"variance must be one number; got the shape {list(np.shape(variance))}. Several "
                "variances need another distortion. Write it with the variances V at the end of "
                f"training, and give it as reconstruction:\n{_OWN_VARIANCES}")
        made = distortions.GaussianNLL(_positive("variance", variance) / data_scale**2)
        factor = 1 / math.prod(_given(
            shape, 'the "mean" of "gaussian_nll"')) if reduction == "mean" else 1.0
        symbols = f"-log N({scaled}x; {scaled}x_hat, {float(variance):g})"
    else:
        made = distortions.MeanSquaredError(
        ) if reduction == "mean" else distortions.SumSquaredError()
        factor, symbols = data_scale**2, f"({scaled}x - {scaled}x_hat)^2"
    if reduction == "last_axis_mean":
        last = _given(shape, '"last_axis_mean"')[-1]
        return made, factor / last, f"sum({symbols})" + (f" / {last}" if last > 1 else "")
    return made, factor, f"{reduction}({symbols})"


def _in_words(distortion):
    return {
        distortions.SumSquaredError: "sum of squares, |x - x_hat|^2",
        distortions.MeanSquaredError: "mean of squares", distortions.SSIM: "1 - SSIM"
    }.get(type(distortion), repr(distortion))


def _times(factor, symbols):
    return symbols if factor == 1 else f"{factor:.6g} {symbols}"


def _given(shape, what):
    if shape is None:
        raise ValueError(
            f"shape is missing, but {what} needs it: the shape of one example without the batch "
            "axis, such as (28, 28, 1)."
        )
    return shape


def _shape(shape):
    if shape is None:
        return None
    sizes = tuple(shape) if isinstance(shape, (tuple, list, tf.TensorShape)) else (shape,)
    if not sizes or any(
            isinstance(s, bool) or not isinstance(s, numbers.Integral) or s < 1 for s in sizes):
        raise ValueError(
            "shape must be the shape of one example, without the batch axis, in positive integers "
            f"such as (28, 28, 1); got {shape!r}.")
    return tuple(int(s) for s in sizes)


def _count(name, value, what):
    if value is None:
        raise ValueError(f"{name} is missing, which {what} needs.")
    return arguments.integer(name, value)


def _one_of(name, value, allowed):
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}; got {value!r}.")
    return value


def _positive(name, value):
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "iuf" or not 0 < float(array) < math.inf:
        raise ValueError(f"{name} must be one positive, finite number; got {value!r}.")
    return float(array)
