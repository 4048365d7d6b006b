"""Keras callbacks of a training: annealing of lmbda, a monitor of isometry, and the history as a
CSV file.
"""
from tfisovae._lazy import lazy

__getattr__, __dir__, __all__ = lazy(__name__,
                                     {"LambdaSchedule": "annealing", "IsometryMonitor": "monitor"})
