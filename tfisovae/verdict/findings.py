"""The faults that an inspection of a model can find, as data (no model, no TensorFlow)."""
import dataclasses
import enum
from collections.abc import Mapping
from typing import Any

from tfisovae import files
from tfisovae.verdict.states import Severity


class Kind(enum.Enum):
    """The kinds of faults. The comments name the entries of `Finding.numbers`."""

    # Outputs are not finite: row, the first such input; rows, how many; of.
    NOT_FINITE = "not_finite"
    # Two calls differ: change, relative to the deviation over the rows.
    RANDOM = "random"
    # A row's outputs depend on the other rows of its batch: change, as above.
    ROWS_DEPEND = "rows_depend"
    # The mean and the second output are the same numbers.
    EQUAL_OUTPUTS = "equal_outputs"
    # Standard deviations of 0 or less: fraction of them, smallest, row, the first such input.
    SCALE_NOT_POSITIVE = "scale_not_positive"
    # Scales whose squares overflow or underflow in float32: fraction of them, smallest, largest,
    # row, the first such input.
    SCALE_OUT_OF_RANGE = "scale_out_of_range"
    # The second output, read as a variance, goes below 0: fraction of its entries, smallest, row.
    NEGATIVE_VARIANCE = "negative_variance"
    # E[mu^2 + sigma^2] is nearer to 1 for another reading of the second output: an entry for each
    # reading, infinite for one that gives no deviation at all.
    OTHER_SCALE = "other_scale"
    # No standard deviation is below 1, the prior's, though the means vary: smallest, and the
    # fraction that is exactly 1.
    SCALE_NEVER_BELOW_1 = "scale_never_below_1"
    # x_hat is outside of the distortion's domain: smallest, largest, fraction of entries; strict,
    # whether D is undefined there; domain, in words; activation, which maps into it.
    OUTSIDE_DOMAIN = "outside_domain"
    # Reconstructions are worse than the data's mean, and have another range: error, in variances of
    # the data; data_low, data_high, model_low, model_high, quantiles at 1 and 99 %; zero_scales,
    # the fraction of variances that underflow to 0 or overflow for such data.
    OTHER_RANGE = "other_range"
    # All examples are the same: rows of them.
    CONSTANT_DATA = "constant_data"


_FEW = 0.01  # this fraction of the entries of x_hat may be outside of a strict domain
_FATAL = (Kind.NOT_FINITE, Kind.RANDOM, Kind.ROWS_DEPEND, Kind.EQUAL_OUTPUTS,
          Kind.SCALE_NOT_POSITIVE, Kind.SCALE_OUT_OF_RANGE, Kind.NEGATIVE_VARIANCE)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One fault of a model or of its data.

    Attributes:
      kind: `Kind`.
      part: the fault is in the outputs of "encode" or "decode", or in "data".
      numbers: measured values, by the names in `Kind`.
      suggestion: for OTHER_SCALE, the reading that fits best.
      others: for OTHER_SCALE, readings that fit about as well.
    """

    kind: Kind
    part: str
    numbers: Mapping[str, Any]
    suggestion: str | None = None
    others: tuple[str, ...] = ()

    @property
    def severity(self) -> Severity:
        """How far the fault affects the results."""
        numbers = self.numbers
        outside = (self.kind is Kind.OUTSIDE_DOMAIN and bool(numbers.get("strict"))
                   and numbers["fraction"] > _FEW)
        fatal = self.kind in _FATAL or numbers.get("zero_scales", 0) > 0 or outside
        return Severity.FATAL if fatal else Severity.DOUBTFUL

    def to_dict(self) -> dict[str, Any]:
        """As plain Python values for JSON."""
        return files.plain({**dataclasses.asdict(self), "kind": self.kind.value,
                            "severity": self.severity.value})
