"""Finds faults of a model or its data before any measurement, as data.

All measurements assume that encode and decode are functions of one example, that the scale is a
standard deviation, and that the data are like the training data. Other models may break each of
these without an error. A finding has a kind and numbers; `verdict` has the words.
"""
import math
import os
import sys
import warnings

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfisovae import arguments
from tfisovae.autoencoder import covariance
from tfisovae.autoencoder.autoencoder import Measurable, as_autoencoder
from tfisovae.autoencoder.networks import Networks
from tfisovae.autoencoder.posterior import READINGS, read_scale
from tfisovae.verdict import model_words
from tfisovae.verdict.findings import Finding, Kind
from tfisovae.verdict.states import Severity

_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
_ROWS = 128  # examples for comparing encodings and decodings
_MANY_ROWS = 1000  # examples for moments
# Effect of other rows on a row, relative to the deviation over rows: larger than the effect of
# another order of sums.
_CHANGES = 1e-3
_REPEATS = 1e-5  # the same for two equal calls
_MISFIT = 0.05  # no reading of the scale is doubted if E[mu^2 + sigma^2] is this near to 1
_FITS = 0.2  # the same; above it no reading is proposed
_BETTER = 2  # a proposed reading must be this many times nearer to 1
# Above this squared error over the variance of the data, reconstructions are worse than the mean.
_WORSE = 1.5
_VARIES = 0.1  # variance of the means over examples, summed: a model that carries information
_OVERSHOOT = 0.02  # this share of the outputs may leave a domain that is not strict
_APART = 0.4  # difference of the ends of two ranges, in widths of the wider one
_CHECKED = 8  # examples for `check`: .2 CPU seconds for the largest networks here
_LEAST_UNIT = 0.01  # of the largest output; smaller deviations are near float32's rounding


def check(autoencoder: Measurable, x: np.ndarray | tf.Tensor) -> None:
    """Raises if measurements of this model would be meaningless; warns of doubtful ones.

    It uses the first 8 examples, with about three encodes and two decodes of them.

    Args:
      autoencoder: as `inspect` takes it.
      x: examples, `[B, ...]`, at least one.

    Raises:
      ValueError: the message has the fault and what to do.
    """
    x = x[:_CHECKED]
    found = [finding for finding in inspect(autoencoder, x if len(x) > 1 else tf.concat([x, x], 0))
             if finding.kind is not Kind.CONSTANT_DATA]  # 16 rows of a sorted table may be alike
    _refuse_fatal(found)
    for said in model_words.remedies(found):
        warnings.warn(f"model may be wrong. {said}", stacklevel=_level_outside())


def check_decoder(autoencoder: Measurable, at: npt.ArrayLike) -> None:
    """As `check`, of the decoder alone: at the point `at` `[n]`, and a step of 1 from it on 7 axes.
    """
    at = np.asarray(at, np.float32)
    z = np.concatenate([at[None], at + np.eye(min(len(at), _CHECKED - 1), len(at))])
    _refuse_fatal([finding for some in _decoder(autoencoder, tf.constant(z, tf.float32),
                                                np.arange(len(z)))[:2] for finding in some])


def _level_outside():
    """The `stacklevel` of the first caller that is not in this package: the user's line."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    return level


def _refuse_fatal(found):
    fatal = [finding for finding in found if finding.severity is Severity.FATAL]
    if fatal:
        raise ValueError(
            "model cannot be measured. " + " ".join(model_words.remedies(fatal))
            + " (inspect=False skips this check.)")


def inspect(autoencoder: Measurable, x: np.ndarray | tf.Tensor) -> list[Finding]:
    """The faults of a model on the examples `x`; an empty list without faults.

    Causes come first: data of another range, which make scales underflow; then the networks.
    Randomness hides the dependence of rows, and outputs that are not finite hide the rest of their
    row. Hidden faults are not tested. With constant data or data of another range, the reading of
    the scale is not tested. About four encodes and four decodes of up to 128 examples, and an
    encode of up to 1000; not for use in a graph.

    Args:
      autoencoder: `Autoencoder`, or anything with its five attributes.
      x: examples, `[B, ...]`, or a pair (x, c) for a conditional model; at least two, and better
        many for OTHER_SCALE and OTHER_RANGE.

    Returns:
      list of `Finding`.

    Raises:
      ValueError: for fewer than two examples, or one that is not finite.
    """
    autoencoder = as_autoencoder(autoencoder, needs_beta=False)
    if autoencoder.condition is not None and isinstance(x, tuple):
        x = autoencoder.condition.packed(*x)
    arguments.check_finite("x", x)
    known = autoencoder.networks or Networks()
    many = tf.cast(x[:_MANY_ROWS], tf.float32)
    if len(many) < 2:
        raise ValueError(f"inspect needs at least two examples; got {len(many)}.")
    x = many[:_ROWS]

    def encode(x):
        mean, scale = autoencoder.encode(x)
        if autoencoder.full_covariance:  # its factor may turn from call to call
            scale = tf.matmul(scale, scale, transpose_b=True)
        return np.concatenate([mean, np.reshape(scale, [len(mean), -1])], -1)

    constant = bool(tf.reduce_all(many == many[:1]))
    first = [Finding(Kind.CONSTANT_DATA, "data", {"rows": len(many)})] if constant else []
    if autoencoder.full_covariance and known.parameters is not None:
        covariance.check(known.parameters(x)[1], known.reading)
    encoded = encode(x)
    # n means, and then n or n^2 numbers
    n = encoded.shape[1] // 2
    if autoencoder.full_covariance:
        n = math.isqrt(encoded.shape[1])
    about_encode = _behaviour("encode", encode, x, encoded, np.arange(len(x)))
    mean, scale = np.split(encoded, [n], -1)
    about_outputs = _equal(known, mean, scale) + _negative_variance(known, x)
    finite = _rows_finite(mean)
    about_decode, domain, other_range = [], [], []
    if finite.sum() >= 2:
        seen = np.flatnonzero(finite)
        z = tf.constant(mean[finite])
        if autoencoder.condition is not None:
            z = autoencoder.condition.with_c(z, tf.boolean_mask(x, finite))
            x = autoencoder.condition.unpacked(x)[0]
        domain, about_decode, x_check = _decoder(autoencoder, z, seen)
        whole = _rows_finite(x_check)
        if whole.sum() >= 2:
            # Logits have another range than the data too, which says nothing about the data.
            unsquared = 0.0 if autoencoder.full_covariance else float(np.mean(_unsquared(scale)))
            other_range = [] if domain else _range(x.numpy()[finite][whole], x_check[whole],
                                                   unsquared)
    other_data = bool(other_range)
    about_scale, other_prior = [], autoencoder.prior is not None
    if not autoencoder.full_covariance:
        about_scale += _scale_sign(scale, other_data)
        about_scale += [] if other_data else _scale_range(scale)
        about_scale += [] if other_prior else _never_below_1(mean, scale)
        about_scale += [] if other_data or other_prior or constant else _reading(known, many)
    return [
        *first, *domain, *other_range, *about_outputs, *about_encode, *about_scale, *about_decode
    ]


def _decoder(autoencoder, z, numbers):
    """Findings on its outputs' domain and on its behaviour, and the outputs; `numbers` are those of
    the rows.
    """
    def decode(z):
        return np.asarray(autoencoder.decode(z))

    x_check = decode(z)
    behaviour = _behaviour("decode", decode, z, x_check, numbers)
    whole = _rows_finite(x_check)
    return (_domain(autoencoder.distortion, x_check[whole]) if whole.sum() >= 2 else [], behaviour,
            x_check)


def _rows_finite(values):
    return np.isfinite(values).reshape(len(values), -1).all(-1)


def _behaviour(part, function, inputs, outputs, numbers):
    """Whether outputs are finite, equal in a second call, and independent of other rows; `outputs`
    come from the first call, `numbers` are the indices of the rows.
    """
    outputs = outputs.astype(np.float64)  # squares of large ones would overflow
    findings, finite = [], _rows_finite(outputs)
    if not finite.all():
        findings.append(
            Finding(Kind.NOT_FINITE, part, {
                "row": int(numbers[np.argmin(finite)]), "rows": int(
                    (~finite).sum()), "of": len(finite)
            }))
    if not finite.any():
        return findings
    # Outputs with hardly any difference between rows give no deviation to compare with.
    largest = float(np.max(np.abs(outputs[finite])))
    unit = max(math.sqrt(float(np.mean(np.var(outputs[finite], 0)))), _LEAST_UNIT * largest) or 1.0

    def change(others, rows):
        both = finite[rows] & _rows_finite(others)
        return float(np.max(np.abs(others[both] - outputs[rows][both]), initial=0)) / unit

    everyone = np.arange(len(outputs))
    first, second = everyone[:1], np.concatenate([everyone[:1], everyone[len(everyone) // 2:]])
    moved = max(change(function(tf.gather(inputs, rows)), rows) for rows in (first, second))
    repeated = change(function(inputs), everyone) if moved > _CHANGES / 10 else 0.0
    if repeated > _REPEATS:
        return [*findings, Finding(Kind.RANDOM, part, {"change": repeated})]
    if moved > _CHANGES:
        findings.append(Finding(Kind.ROWS_DEPEND, part, {"change": moved}))
    return findings


def _never_below_1(mean, scale):
    """A head without negative log-variances, such as a ReLU. In float32 a collapsed posterior is
    sometimes a little below 1.
    """
    varies = np.var(mean, 0).sum() > _VARIES
    if not (np.isfinite(scale).all() and varies and (scale >= 1).all()):
        return []
    return [
        Finding(Kind.SCALE_NEVER_BELOW_1, "encode", {
            "smallest": float(scale.min()), "fraction": float(np.mean(scale == 1))
        })
    ]


def _scale_sign(scale, zero_explained):
    wrong = scale < 0 if zero_explained else scale <= 0  # False for NaN
    if not wrong.any():
        return []
    return [
        Finding(
            Kind.SCALE_NOT_POSITIVE, "encode", {
                "fraction": float(wrong.mean()), "smallest": float(np.nanmin(scale)), "row": int(
                    np.argmax(wrong.any(-1)))
            })
    ]


def _unsquared(scale):
    """Whether the square of each scale underflows to 0 or overflows in float32."""
    with np.errstate(over="ignore", under="ignore"):
        square = np.square(scale.astype(np.float32))
    return (square == 0) | np.isinf(square)


def _scale_range(scale):
    wrong = (scale > 0) & np.isfinite(scale) & _unsquared(scale)
    if not wrong.any():
        return []
    return [
        Finding(
            Kind.SCALE_OUT_OF_RANGE, "encode", {
                "fraction": float(wrong.mean()), "smallest": float(np.nanmin(scale)), "largest":
                    float(np.nanmax(scale)), "row": int(np.argmax(wrong.any(-1)))
            })
    ]


def _equal(known, mean, scale):
    """Whether the second output equals the mean, as the scale shows."""
    if known.reading not in READINGS or not np.isfinite(mean).all() or np.ptp(mean) == 0:
        return []
    of_mean = read_scale(tf.constant(mean), known.reading)
    return [Finding(Kind.EQUAL_OUTPUTS, "encode", {})] if np.allclose(
        of_mean, scale, rtol=1e-5, atol=0) else []


def _negative_variance(known, x):
    """Its root is not a number, which would not show the cause."""
    if known.reading != "variance" or known.parameters is None:
        return []
    spread = known.parameters(x)[1].numpy()
    wrong = spread < 0
    if not wrong.any():
        return []
    return [
        Finding(
            Kind.NEGATIVE_VARIANCE, "encode", {
                "fraction": float(wrong.mean()), "smallest": float(np.nanmin(spread)), "row": int(
                    np.argmax(wrong.any(-1)))
            })
    ]


def _reading(known, x):
    """E[mu_j^2 + sigma_j^2] = 1 after convergence, but only for the right reading of sigma.

    A reading is proposed if its moments are near 1, and clearly nearer than with the given one.
    Readings that fit about as well are named too. A model with a training objective was trained
    with its reading, so nothing is proposed.
    """
    if known.parameters is None or known.training_objective is not None:
        return []
    mean, spread = (values.numpy().astype(np.float64) for values in known.parameters(x))
    finite = np.isfinite(mean).all(-1) & np.isfinite(spread).all(-1)
    if not finite.any():
        return []
    squares, spread = np.square(mean[finite]), spread[finite]
    error = np.std(squares, 0) / math.sqrt(len(squares))
    moments, misfits = {}, {}
    for reading in READINGS:
        scale = read_scale(tf.constant(spread), reading).numpy()
        with np.errstate(over="ignore"):
            moment = np.mean(squares + np.square(scale), 0)
        possible = bool(np.all(scale > 0) and np.isfinite(moment).all())
        moments[reading] = float(np.mean(moment)) if possible else math.inf
        misfits[reading] = float(np.sqrt(np.mean((moment - 1)**2))) if possible else math.inf
    given, best = known.reading, min(misfits, key=misfits.get)
    noise = 3 * float(np.sqrt(np.mean(error**2)))
    if misfits[given] < _MISFIT + noise or misfits[best] > _FITS + noise:
        return []
    alike = [
        name for name in misfits
        if misfits[name] <= max(_BETTER * misfits[best], misfits[best] + noise, _MISFIT + noise)
    ]
    if given in alike:
        return []
    return [Finding(Kind.OTHER_SCALE, "encode", moments, suggestion=best,
                    others=tuple(name for name in alike if name != best))]


def _domain(distortion, x_hat):
    outside = distortion.outside(x_hat)
    if outside.mean() <= (0 if distortion.strict else _OVERSHOOT):
        return []
    return [
        Finding(
            Kind.OUTSIDE_DOMAIN, "decode", {
                "smallest": float(x_hat.min()), "largest": float(x_hat.max()), "fraction": float(
                    outside.mean()), "domain": distortion.domain_words, "activation":
                    distortion.activation, "strict": distortion.strict
            })
    ]


def _range(x, x_check, zero_scales):
    if x.shape != x_check.shape:
        return []
    x, x_check = x.astype(np.float64), x_check.astype(np.float64)
    variance = float(np.mean(np.var(x, 0, ddof=1)))
    error = float(np.mean((x - x_check)**2)) / variance if variance else 0.0
    ends = np.quantile(x, [0.01, 0.99]), np.quantile(x_check, [0.01, 0.99])
    width = max(high - low for low, high in ends)
    if error < _WORSE or float(np.max(np.abs(ends[0] - ends[1]))) < _APART * width:
        return []
    return [
        Finding(
            Kind.OTHER_RANGE, "decode", {
                "error": error, "data_low": float(ends[0][0]), "data_high": float(
                    ends[0][1]), "model_low": float(ends[1][0]), "model_high": float(ends[1][1]),
                "zero_scales": zero_scales
            })
    ]
