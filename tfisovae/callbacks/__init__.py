"""Keras callbacks: annealing of lmbda, a monitor of isometry, and the history as a CSV file."""
import lazy_loader

ANNEALINGS = ("linear", "cosine", "cyclical")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
