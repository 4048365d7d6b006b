"""tfisovae: measure a variational autoencoder as one measures a PCA.

Implements Nakagawa & Kato, "Quantitative understanding of VAE as a non-linearly scaled isometric embedding".
"""
import importlib
import os

# oneDNN makes the convolutional networks twice as fast on x86 CPUs where TensorFlow leaves it off. TensorFlow reads this
# when it is first imported; whoever has set it otherwise keeps their setting.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# A dozen lines at every start, none of them of use; what goes wrong is raised. The same holds for whoever has set it otherwise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# TensorFlow takes seconds to import: names are fetched when they are first used.
_HOME = {
    "Analysis": "analysis", "Autoencoder": "autoencoder", "BetaEstimate": "balance", "Codec": "codec", "Objective": "objectives",
    "VAE": "vae", "analyze": "analysis", "as_autoencoder": "autoencoder", "estimate_beta": "balance", "load": "vae",
    "objective": "objectives", "prune": "pruning",
    "standardize_latents": "standardizing"}
_MODULES = ("analysis", "autoencoder", "balance", "baselines", "callbacks", "codec", "density", "distortion", "distortions",
            "examples", "figures", "files", "flatness", "geometry", "inspection", "isometric", "ledger", "measurement", "metrics",
            "networks", "objectives", "optimizers", "posterior", "pruning", "rate", "report", "scree", "sources", "standardizing",
            "stationarity", "statement", "theory", "training", "traversals", "vae", "verdict")

__all__ = sorted([*_HOME, *_MODULES])


def __getattr__(name):
    if name in _HOME:
        return getattr(importlib.import_module(f"tfisovae.{_HOME[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"tfisovae.{name}")
    raise AttributeError(f"module 'tfisovae' has no attribute {name!r}")


def __dir__():
    return __all__
