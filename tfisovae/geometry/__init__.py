"""What the decoder does to lengths and angles: pullback metric, Gram matrix, isometric variable,
flatness.
"""
import lazy_loader

STEPS = ("decoder", "posterior", "z")  # what the steps of a traversal are equal in
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
