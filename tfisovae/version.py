"""The version of the package, readable without importing TensorFlow."""
__version__ = "0.2.0"
