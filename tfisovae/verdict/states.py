"""The states of a verdict and of its parts, as data. JSON files and pages hold their values."""
import enum


class State(enum.Enum):
    """Whether a training has converged: the first of these that holds."""

    NOT_FINITE = "not_finite"  # some number is not finite, so no other means anything
    COLLAPSED = "collapsed"  # no dimension carries information
    SADDLE = "saddle"  # unused dimensions would gain more than the margin
    JITTERS = "jitters"  # the learning rate keeps the weights moving: averaging gains more
    IMPROVING = "improving"  # more training, or a closed form, gains more than the margin
    CONVERGED = "converged"  # twice the steps gain less than the margin
    UNDECIDED = "undecided"  # the measurements do not show on which side of the margin the gain is
    NOT_JUDGED = "not_judged"  # nothing shows a fault, and nothing could prove convergence


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
    """How the given beta agrees with the beta of the posterior."""

    FOUND = "found"  # none was given
    AGREES = "agrees"
    DIFFERENT = "different"
    UNCLEAR = "unclear"  # the interval is wide
    UNKNOWN = "unknown"  # the interval includes 0


class Severity(enum.Enum):
    """How far a finding about a model affects the results."""

    FATAL = "fatal"  # no number means anything
    DOUBTFUL = "doubtful"


class Cause(enum.Enum):
    """Why a test applies to a model, does not apply, or may apply."""

    HEADS_AFFINE = "heads_affine"  # heads and the decoder's first layer are affine with biases
    BIAS = "bias"  # the log-variance head has one
    NETWORKS_UNKNOWN = "networks_unknown"
    ENCODER_UNKNOWN = "encoder_unknown"
    LAYERS_UNKNOWN = "layers_unknown"  # they are not Keras models of known layers
    NOT_FUNCTIONAL = "not_functional"  # a network is not a functional Keras model
    NOT_TRACED = "not_traced"  # torch.fx cannot trace a network
    OUTPUTS_UNKNOWN = "outputs_unknown"  # it is unknown which are mean and log-variance
    MORE_INPUTS = "more_inputs"  # the decoder has more than one
    ONE_SPREAD = "one_spread"  # all dimensions share it
    NO_LOGARITHM = "no_logarithm"  # the encoder's second output is not a logarithm of its scale
    ACTIVATION = "activation"  # a layer at the latent variables has one
    NO_BIAS = "no_bias"  # it has none
    NOT_TRAINED = "not_trained"
    HELD = "held"  # it has a constraint or a regularizer
    NOT_DENSE = "not_dense"  # it is not a Dense layer
    NOT_LINEAR = "not_linear"  # it is not a Linear layer of PyTorch
    UNKNOWN_KIND = "unknown_kind"  # it is of an unknown kind
    DROPS = "drops"  # a layer drops parts of z in training
    RANDOM = "random"  # a layer is random in training alone
    NARROW = "narrow"  # a layer computes in fewer bits in training
    OWN_LOSS = "own_loss"  # a layer adds a loss
    REGULARIZERS = "regularizers"  # the networks have some
    PRIOR = "prior"  # the prior is not N(0, I)
    FEW_BLOCKS = "few_blocks"  # a few blocks of examples carry the variance
    IN_WORDS = "in_words"  # as an older version said it
