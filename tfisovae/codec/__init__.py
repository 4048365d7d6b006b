"""A trained VAE as a lossy codec (App. H.3): `Codec`.

`transform` maps z to y and back, `quantizer` makes symbols of y, `entropy` bits of symbols, `container` a file of bits; `identity`
tells one model from another, and `directory` is where all that decoding needs stands beside the model.
"""
import importlib

__all__ = ["BLOCK", "PRIORS", "QUANTIZATIONS", "Codec"]


def __getattr__(name):
    if name in __all__:  # files are looked through without TensorFlow, which takes seconds to import
        return getattr(importlib.import_module("tfisovae.codec.codec"), name)
    raise AttributeError(f"module 'tfisovae.codec' has no attribute {name!r}")
