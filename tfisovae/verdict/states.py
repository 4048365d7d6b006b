"""What can be found, as data: the states of a verdict and of what goes with it. Their values are
written into JSON files and into the classes of pages.
"""
import enum


class State(enum.Enum):
    """Whether a training has converged: the first of these that holds."""

    NOT_FINITE = "not_finite"  # some number is not finite, so no other means anything
    COLLAPSED = "collapsed"  # no dimension carries information
    SADDLE = "saddle"  # dimensions carry nothing that would gain more than the margin
    JITTERS = "jitters"  # the rate keeps the weights moving: averaging gains more than the margin
    IMPROVING = "improving"  # more training, or a closed form, gains more than the margin
    CONVERGED = "converged"  # twice the steps gain less than the margin
    UNDECIDED = "undecided"  # what was measured cannot tell on which side of the margin it is
    NOT_JUDGED = "not_judged"  # nothing that could have shown the fault was measured


class IsometryState(enum.Enum):
    """Whether the latent space is an isometric copy of the data."""

    NOT_FINITE = "not_finite"
    NONE = "none"  # no dimension is active
    NOT_JUDGED = "not_judged"  # too few examples, or numbers that are missing
    NOT_ISOMETRIC = "not_isometric"
    ISOMETRIC = "isometric"


class ClaimState(enum.Enum):
    """Whether a prediction about the size of files or their distortion holds."""

    HOLDS = "holds"
    WITHIN_ERROR = "within_error"  # the difference is at most two standard errors
    DOES_NOT_HOLD = "does_not_hold"
    NOT_JUDGED = "not_judged"  # too few examples


class BetaState(enum.Enum):
    """How the beta that was given and the one that the posterior shows agree."""

    FOUND = "found"  # none was given
    AGREES = "agrees"
    DIFFERENT = "different"
    UNCLEAR = "unclear"  # the interval is wide
    UNKNOWN = "unknown"  # the interval includes 0


class Severity(enum.Enum):
    """What a finding about a model means for what is measured."""

    FATAL = "fatal"  # no number means anything
    DOUBTFUL = "doubtful"
