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


class Cause(enum.Enum):
    """Why it is known, or not known, that a test applies to a model."""

    HEADS_AFFINE = "heads_affine"  # heads and the decoder's first layer are affine with biases
    BIAS = "bias"  # the log-variance head has one
    NETWORKS_UNKNOWN = "networks_unknown"
    ENCODER_UNKNOWN = "encoder_unknown"
    LAYERS_UNKNOWN = "layers_unknown"  # no Keras models of known layers
    NOT_FUNCTIONAL = "not_functional"  # a network is no functional Keras model
    NOT_TRACED = "not_traced"  # torch.fx cannot trace a network
    OUTPUTS_UNKNOWN = "outputs_unknown"  # which are the mean and the log-variance
    MORE_INPUTS = "more_inputs"  # the decoder has more than one
    ONE_SPREAD = "one_spread"  # all dimensions share it
    NO_LOGARITHM = "no_logarithm"  # the encoder's second output is none of its scale
    ACTIVATION = "activation"  # a layer at the latent variables has one
    NO_BIAS = "no_bias"  # it has none
    NOT_TRAINED = "not_trained"
    HELD = "held"  # it has a constraint or a regularizer
    NOT_DENSE = "not_dense"  # it is no Dense layer
    NOT_LINEAR = "not_linear"  # it is no Linear layer of PyTorch
    UNKNOWN_KIND = "unknown_kind"  # it is of an unknown kind
    DROPS = "drops"  # a layer drops parts of z in training
    RANDOM = "random"  # a layer is random in training alone
    NARROW = "narrow"  # a layer computes in fewer bits in training
    OWN_LOSS = "own_loss"  # a layer adds a loss
    REGULARIZERS = "regularizers"  # the networks have some
    FEW_BLOCKS = "few_blocks"  # of examples, which carry the variance
    IN_WORDS = "in_words"  # as an older version said it
