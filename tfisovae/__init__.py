"""tfisovae: measure a variational autoencoder like a PCA.

Implements Nakagawa & Kato, "Quantitative understanding of VAE as a non-linearly scaled isometric
embedding".
"""
import os

import lazy_loader

# oneDNN makes the convolutional networks twice as fast on x86 CPUs if TensorFlow leaves it off.
# TensorFlow reads this when it is first imported; a value of the user stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# TensorFlow prints a dozen lines of information at every start. Errors are raised as before.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
