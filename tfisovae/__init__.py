"""tfisovae: measure a variational autoencoder as one measures a PCA.

Implements Nakagawa & Kato, "Quantitative understanding of VAE as a non-linearly scaled isometric
embedding".
"""
import os

from tfisovae._lazy import lazy

# oneDNN makes the convolutional networks twice as fast on x86 CPUs where TensorFlow leaves it off.
# TensorFlow reads this when it is first imported; a value that the user has set stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# TensorFlow prints a dozen lines of information at every start. Errors are raised as before.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Where each public name is defined.
HOMES = {
    "Analysis": "analysis.analysis", "Autoencoder": "autoencoder.autoencoder",
    "BetaEstimate": "analysis.beta", "Codec": "codec.codec", "Objective": "autoencoder.objective",
    "VAE": "vae.vae", "analyze": "analysis.analysis", "as_autoencoder": "autoencoder.autoencoder",
    "estimate_beta": "analysis.beta", "load": "vae.vae", "objective": "autoencoder.objective",
    "prune": "vae.pruning", "standardize_latents": "vae.standardizing"}
_MODULES = ("callbacks", "codec", "density", "distortions", "geometry", "metrics", "networks",
            "sources", "theory", "verdict")
__getattr__, __dir__, __all__ = lazy(__name__, {**HOMES, **dict(zip(_MODULES, _MODULES))})
