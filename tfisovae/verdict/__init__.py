"""What measured numbers say: tests, states, and the words for them. No TensorFlow."""
from tfisovae.verdict.convergence import Verdict

__all__ = ["Verdict"]
