"""What `tfisovae.inspection` found, and how beta given and beta found agree, in words (no model, no
TensorFlow).
"""
import dataclasses
import enum
import math
import typing
from collections.abc import Iterable, Mapping

if typing.TYPE_CHECKING:
    from tfisovae.verdict.findings import Finding

_READINGS = {
    "log_variance": "log sigma^2", "variance": "sigma^2", "log_scale": "log sigma", "scale": "sigma"
}

# What is wrong, and what to do. Names of the fields are those of `inspection.Kind`.
_SENTENCES = {
    "NOT_FINITE":
        "{part} is not finite for {rows} of {of} inputs, first for example {row} (counted from "
        "0). Leave these "
        "examples out, "
        "or mend the network.",
    "RANDOM":
        "{part} is random: two calls on one input differ by {change:.1%} of a deviation. Dropout "
        "or sampling is on: give "
        "the model "
        "in inference mode (training=False).",
    "ROWS_DEPEND":
        "{part} of an example depends on the others of its batch, by {change:.1%} of a deviation. "
        "Batch normalisation "
        "is in "
        "training mode: give the model in inference mode (training=False).",
    "SCALE_NOT_POSITIVE":
        "{fraction:.1%} of the posterior's scales are 0 or negative (down to {smallest:.3g}, "
        "first of example "
        "{row}). "
        "scale= says what the encoder's second output is: is it a log-variance?{negative}",
    "NEGATIVE_VARIANCE":
        "the encoder's second output, read as sigma^2, is negative in {fraction:.1%} of its "
        "entries (down to "
        "{smallest:.3g}, first of example {row}).{negative}",
    "OTHER_SCALE": "scale= may be another: E[mu^2 + sigma^2], 1 where training has converged, is "
                   "{listed}; {best}.",
    "OUTSIDE_DOMAIN":
        "{fraction:.1%} of the decoder's outputs lie outside of the distortion's domain, "
        "{smallest:.3g} to "
        "{largest:.3g}. A "
        "decoder that returns logits needs its sigmoid.",
    "OTHER_RANGE":
        "reconstructions are worse than the data's mean ({error:.2g} times its squared error): "
        "the data lie between "
        "{data_low:.3g} and {data_high:.3g}, what the model returns between {model_low:.3g} and "
        "{model_high:.3g}. "
        "Bring the data "
        "to the range that the model was trained on (max_value=1 or 255, standardising).{vanishing}",
    "CONSTANT_DATA":
        "all {rows} examples are the same: nothing can be told of a distribution from them. Is the "
        "file the right one?",
}
_NEGATIVE = " What goes below 0 is neither a variance nor a scale: scale=\"log_variance\" or \"log_scale\"."
_VANISHING = " {:.1%} of the posterior's scales underflow to 0 for such data, so that nothing can be measured."
# After these no number means anything.
FATAL = ("NOT_FINITE", "RANDOM", "ROWS_DEPEND", "SCALE_NOT_POSITIVE", "NEGATIVE_VARIANCE")


def is_fatal(finding: "Finding") -> bool:
    """Whether nothing that is measured of such a model would mean anything."""
    return finding.kind.name in FATAL or finding.numbers.get("zero_scales", 0) > 0


def sentences(findings: "Iterable[Finding]") -> list[str]:
    """A line for each `inspection.Finding`: what is wrong, and what to do."""
    lines = []
    for finding in findings:
        numbers = dict(finding.numbers)
        zero = numbers.get("zero_scales", 0)
        text = _SENTENCES[finding.kind.name].format(
            **numbers, part=finding.part, listed=_listed(numbers), best=_best(finding),
            negative=_NEGATIVE if numbers.get("smallest", 0) < 0 else "",
            vanishing=_VANISHING.format(zero) if zero > 0 else "")
        lines.append(f"WRONG: {text}" if is_fatal(finding) else f"DOUBTFUL: {text}")
    return lines


def _listed(moments):
    """E[mu^2 + sigma^2] under each reading that gives one, and which give none."""
    words = [f"{value:.3g} read as {_READINGS[name]}" for name, value in moments.items()
             if name in _READINGS and math.isfinite(value)]
    if all(math.isinf(moments.get(name, 0)) for name in ("variance", "scale")):
        words.append(
            "impossible as sigma^2 or sigma, which never go to 0 or below as the second output does"
        )
    return ", ".join(words)


def _best(finding):
    named = [name for name in (finding.suggestion, *finding.others) if name]
    words, options = " and ".join(_READINGS[name] for name in named), " or ".join(
        f'"{name}"' for name in named)
    return f"{words} {'fits best' if len(named) == 1 else 'fit about equally'} (scale={options})"


class Kind(enum.Enum):
    """What can be found; the entries of `numbers` after the colon."""

    NOT_FINITE = "outputs are not finite: `row`, the first such input; `rows`, how many; `of`"
    RANDOM = "two calls differ: `change`, relative to the deviation over the rows"
    ROWS_DEPEND = "a row's outputs depend on the other rows of its batch: `change`, as above"
    SCALE_NOT_POSITIVE = "standard deviations of 0 or less: `fraction` of them, `smallest`, `row`, the first such input"
    NEGATIVE_VARIANCE = (
        "the second output, read as a variance, goes below 0: `fraction` of its entries, "
        "`smallest`, `row`, the "
        "first such input")
    OTHER_SCALE = (
        "E[mu^2 + sigma^2] is nearer to 1 for another reading of the second output: an entry for "
        "each reading, infinite "
        "for one that gives no deviation at all")
    OUTSIDE_DOMAIN = "x_hat outside of the distortion's domain: `smallest`, `largest`, `fraction` of entries"
    OTHER_RANGE = (
        "reconstructions are worse than the data's mean, and have another range: `error`, in "
        "variances of the data; "
        "`data_low`, `data_high`, `model_low`, `model_high`, quantiles at 1 and 99 %; "
        "`zero_scales`, the fraction of "
        "standard deviations that underflow to 0 for such data")
    CONSTANT_DATA = "all examples are the same: `rows` of them"


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
      kind: `Kind`.
      part: "encode" or "decode", whose outputs show it, or "data".
      numbers: what was measured, by the names in `Kind`.
      suggestion: for OTHER_SCALE, the reading that fits best.
      others: for OTHER_SCALE, readings that fit about as well.
    """

    kind: Kind
    part: str
    numbers: Mapping[str, float]
    suggestion: str | None = None
    others: tuple[str, ...] = ()
