"""A trained VAE as a lossy codec (App. H.3): `Codec`.

`transform` maps z to y and back, `quantizer` makes symbols of y, `entropy` has their probabilities,
`coder` makes bits of symbols, `container` makes a file of bits. `identity` compares models, and
`directory` holds what decoding needs, next to the model. `evaluation` measures rate and distortion.
"""
import lazy_loader

QUANTIZATIONS = ("universal", "rounding")
PRIORS = ("normal", "empirical")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
