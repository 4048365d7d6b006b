from .pullback import isometry_gram as isometry_gram
from .pullback import numerical_derivatives as numerical_derivatives
from .pullback import pullback_metric as pullback_metric

STEPS: tuple[str, ...]
