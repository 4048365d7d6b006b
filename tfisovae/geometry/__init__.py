"""How the decoder changes lengths and angles: pullback metric, Gram matrix, isometric variable,
flatness.
"""
import lazy_loader

STEPS = ("decoder", "posterior", "z")  # kinds of equal steps in a traversal
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
