"""tfisovae: measure a variational autoencoder as one measures a PCA.

Implements Nakagawa & Kato, "Quantitative understanding of VAE as a non-linearly scaled isometric embedding".
"""
import os

# oneDNN makes the convolutional networks twice as fast on x86 CPUs where TensorFlow leaves it off. TensorFlow reads this
# when it is first imported; whoever has set it otherwise keeps their setting.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

from tfisovae import density, distortions, geometry, measurement, metrics, networks, posterior, sources, theory
from tfisovae.analysis import Analysis, analyze
from tfisovae.vae import VAE, load

__all__ = [
    "VAE", "Analysis", "analyze", "density", "distortions", "geometry", "load", "measurement", "metrics", "networks", "posterior",
    "sources", "theory",
]
