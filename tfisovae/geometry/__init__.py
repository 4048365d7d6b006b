"""What the decoder does to lengths and angles: pullback metric, Gram matrix, isometric variable,
flatness.
"""
from tfisovae._lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__, {
    "isometry_gram": "pullback", "numerical_derivatives": "pullback", "pullback_metric": "pullback"
})
