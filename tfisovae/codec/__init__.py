"""A trained VAE as a lossy codec (App. H.3): `Codec`.

`transform` maps z to y and back, `quantizer` makes symbols of y, `entropy` makes bits of symbols,
`container` makes a file of bits. `identity` compares models, and `directory` holds what decoding
needs, next to the model. `evaluation` measures rate and distortion.
"""
from tfisovae._lazy import lazy

__getattr__, __dir__, __all__ = lazy(
    __name__, {"Codec": "codec", "BLOCK": "codec", "PRIORS": "codec", "QUANTIZATIONS": "codec"})
