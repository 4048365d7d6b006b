"""The words for models: their faults, why a test does not apply, and beta."""
import math
from collections.abc import Iterable
from typing import Protocol

from tfisovae.verdict.checks import Why
from tfisovae.verdict.findings import Finding, Kind
from tfisovae.verdict.states import BetaState, Cause, Severity

FAR = 3  # unfinished training alone does not explain a larger factor between betas
# The place of a layer that must be free to move.
_PLACES = {"encoder": "a head of the encoder", "decoder": "the first layer of the decoder"}
_WHYS = {
    Cause.HEADS_AFFINE: "both heads of the encoder and the first layer of the decoder are affine "
                        "with biases",
    Cause.BIAS: "the log-variance head has a bias",
    Cause.NETWORKS_UNKNOWN: "the networks are not known",
    Cause.ENCODER_UNKNOWN: "the encoder is not known",
    Cause.LAYERS_UNKNOWN: "the networks are not Keras models of known layers",
    Cause.NOT_FUNCTIONAL: "the {part} is not a functional Keras model",
    Cause.NOT_TRACED: "torch.fx cannot trace the {part}",
    Cause.OUTPUTS_UNKNOWN: "which outputs of the encoder are the mean and the log-variance is not "
                           "known",
    Cause.MORE_INPUTS: "the decoder has more than one input",
    Cause.ONE_SPREAD: "all dimensions share one scale",
    Cause.NO_LOGARITHM: "the encoder's second output is not a logarithm of its scale",
    Cause.ACTIVATION: "{place} ({layer}) has an activation",
    Cause.NO_BIAS: "{place} ({layer}) has no bias",
    Cause.NOT_TRAINED: "{place} ({layer}) is not trained",
    Cause.HELD: "{place} ({layer}) has a constraint or a regularizer",
    Cause.NOT_DENSE: "{place} ({layer}, {kind}) is not a Dense layer",
    Cause.NOT_LINEAR: "{place} ({layer}, {kind}) is not a Linear layer",
    Cause.UNKNOWN_KIND: "{place} ({layer}, {kind}) is of an unknown kind",
    Cause.DROPS: "{layer} drops parts of z in training, which no affine layer absorbs",
    Cause.RANDOM: "{layer} ({kind}) of the {part} is random in training, but not in measurements",
    Cause.NARROW: "{layer} ({kind}) of the {part} computes in {dtype} in training, and in float32 "
                  "in measurements",
    Cause.OWN_LOSS: "{layer} ({kind}) of the {part} adds a loss of its own",
    Cause.REGULARIZERS: "the networks have regularizers, whose losses are not measured",
    Cause.PRIOR: "the prior is not N(0, I)",
    Cause.FEW_BLOCKS: "a few blocks of examples carry its variance",
    Cause.IN_WORDS: "{said}",
}


def why(found: Why) -> str:
    """Why a test applies to a model or not, without a full stop."""
    return _WHYS[found.cause].format(place=_PLACES.get(found.part, ""), part=found.part,
                                     layer=found.layer, kind=found.kind, dtype=found.dtype,
                                     said=found.said)


_READINGS = {
    "log_variance": "log sigma^2", "variance": "sigma^2", "log_scale": "log sigma", "scale": "sigma"
}
_SEVERITIES = {Severity.FATAL: "WRONG", Severity.DOUBTFUL: "DOUBTFUL"}
_FINDINGS = {  # the fault, and what to do
    Kind.NOT_FINITE:
        "{part} is not finite for {rows} of {of} inputs, first for example {row} (counted from 0). "
        "Leave these examples out, or correct the network.",
    Kind.RANDOM:
        "{part} is random: two calls on one input differ by {change:.1%} of a deviation. Dropout "
        "or sampling is on. Give the model in inference mode (training=False).{sampled}",
    Kind.ROWS_DEPEND:
        "{part} of an example depends on the others of its batch, by {change:.1%} of a deviation. "
        "Batch normalisation is in training mode. Give the model in inference mode "
        "(training=False).",
    Kind.EQUAL_OUTPUTS:
        "the encoder's mean and second output are the same numbers. Is one of them a sample of z, "
        "which is the mean in evaluation mode? Select the mean and its log-variance with "
        "as_autoencoder(..., encoder_outputs=(1, 2)), say.",
    Kind.SCALE_NOT_POSITIVE:
        "{fraction:.1%} of the posterior's scales are 0 or negative (down to {smallest:.3g}, first "
        "for example {row}). scale= says what the encoder's second output is: is it a "
        "log-variance?{negative}",
    Kind.SCALE_OUT_OF_RANGE:
        "{fraction:.1%} of the posterior's scales are too small or too large to be squared in "
        "float32 (they go from {smallest:.3g} to {largest:.3g}; first for example {row}). Scale "
        "the data to the range of the training. Is scale= right?",
    Kind.NEGATIVE_VARIANCE:
        "the encoder's second output, read as sigma^2, is negative in {fraction:.1%} of its "
        "entries (down to {smallest:.3g}, first for example {row}).{negative}",
    Kind.OTHER_SCALE:
        "scale= may be another. E[mu^2 + sigma^2], which is 1 after convergence, is {listed}. "
        "{best}.",
    Kind.OUTSIDE_DOMAIN:
        "{fraction:.1%} of the decoder's outputs are outside of the distortion's domain. It takes "
        "x {domain}; they range from {smallest:.3g} to {largest:.3g}. Does the decoder return "
        "logits? Then give as_autoencoder(..., decoder_activation={activation}).",
    Kind.OTHER_RANGE:
        "reconstructions are worse than the data's mean ({error:.2g} times its squared error). The "
        "data range from {data_low:.3g} to {data_high:.3g}, the model's outputs from "
        "{model_low:.3g} to {model_high:.3g}. Scale the data to the range of the training "
        "(max_value=1 or 255, standardising).{vanishing}",
    Kind.SCALE_NEVER_BELOW_1:
        "sigma is never below 1 (smallest {smallest:.3g}, {fraction:.1%} of them exactly 1), "
        "though the means differ between examples. The log-variance is never negative. Is there a "
        "ReLU on the encoder's second output? It must be linear.",
    Kind.CONSTANT_DATA:
        "all {rows} examples are the same, so they show nothing about a distribution. Is the file "
        "the right one?",
}
_SAMPLED = (" If one of its outputs is a sample of z, select the others with "
            "as_autoencoder(..., encoder_outputs=(MEAN, LOG_VARIANCE)).")
_NEGATIVE = (" A variance or a scale is never negative: use scale=\"log_variance\" or "
             "\"log_scale\".")
_VANISHING = (" {:.1%} of the posterior's variances underflow to 0 or overflow for such data, so "
              "nothing can be measured.")


def findings(found: Iterable[Finding]) -> list[str]:
    """A line for each `Finding`: how bad it is, the fault, and what to do."""
    found = list(found)
    return [f"{_SEVERITIES[finding.severity]}: {text}"
            for finding, text in zip(found, remedies(found))]


def remedies(found: Iterable[Finding]) -> list[str]:
    """A line for each `Finding`: the fault, and what to do."""
    made = []
    for finding in found:
        numbers = dict(finding.numbers)
        zero = numbers.get("zero_scales", 0)
        made.append(_FINDINGS[finding.kind].format(
            **numbers, part=finding.part, sampled=_SAMPLED * (finding.part == "encode"),
            listed=_readings(numbers), best=_best(finding),
            negative=_NEGATIVE if numbers.get("smallest", 0) < 0 else "",
            vanishing=_VANISHING.format(zero) if zero > 0 else ""))
    return made


def _readings(moments):
    """E[mu^2 + sigma^2] under each possible reading."""
    said = [f"{value:.3g} read as {_READINGS[name]}" for name, value in moments.items()
            if name in _READINGS and math.isfinite(value)]
    if all(math.isinf(moments.get(name, 0)) for name in ("variance", "scale")):
        said.append("not possible as sigma^2 or sigma, which are always positive, unlike the "
                    "second output")
    return ", ".join(said)


def _best(finding):
    named = [name for name in (finding.suggestion, *finding.others) if name]
    said = " and ".join(_READINGS[name] for name in named)
    options = " or ".join(f'"{name}"' for name in named)
    return f"{said} {'fits best' if len(named) == 1 else 'fit about equally'} (scale={options})"


class Estimate(Protocol):
    """The part of `tfisovae.BetaEstimate` that `beta` uses."""

    def interval(self, error_rate: float = 0.05) -> tuple[float, float]:
        """`(low, high)`; it misses the true beta in a share of about `error_rate` of data sets."""

    def state(self, given: float | None = None) -> BetaState:
        """Whether the given beta agrees."""

    @property
    def value(self) -> float:
        """The beta found."""


def beta(found: Estimate, given: float | None = None) -> str:
    """Whether the posterior agrees with the given beta, in a line.

    For two or more dimensions, it wrongly calls beta DIFFERENT in at most 5 % of data sets (1.2 %
    in simulations). The interval misses the true beta in 5 %, and in up to 9 % if all dimensions
    differ (`BetaEstimate.interval`). This holds if the training noise was the posterior's. The
    error of a single dimension covers the examples only.

    Args:
      found: `tfisovae.BetaEstimate`.
      given: beta, or `None` if the estimate itself is used.
    """
    low, high = found.interval()
    unknown = (f"the posterior does not show beta (its 95 % interval includes 0, and goes up to "
               f"{high:.3g})")
    if given is None:
        return f"{found}. This estimate is used{f', but {unknown}' if low <= 0 else ''}."
    return f"beta: {given:.4g} was given" + {
        BetaState.DIFFERENT:
            f", but the posterior shows a DIFFERENT one, {_ratio(found, given)} times as large: "
            f"{found}. {_meaning(found, given)}",
        BetaState.UNKNOWN: f"; {unknown}: {found}. Give more examples.",
        BetaState.UNCLEAR:
            f", which the posterior neither confirms nor contradicts: {found}. The 95 % interval "
            f"is {low:.3g} to {high:.3g}.",
        BetaState.AGREES: f", and the posterior agrees: {found}."
    }[found.state(given)]


def _ratio(found, given):
    return f"{found.value / given:.3g}" if given else "inf"


def _meaning(found, given):
    """What a ratio of the found beta to the given beta can mean."""
    ratio = found.value / given if given else math.inf
    loss = "the loss was another (a weight, a mean instead of a sum, a part of the KL)"
    if 1 / FAR < ratio < FAR:
        return f"Either {loss}, or training has not converged."
    noise = (f", or its noise was not the posterior's (a sampling step with about "
             f"{math.sqrt(1 / ratio):.2g} of sigma gives this ratio)"
             if 0 < ratio < math.inf else "")
    return f"More training does not change such a factor. Either {loss}{noise}."
