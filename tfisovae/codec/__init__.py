"""A trained VAE as a lossy codec (App. H.3): `Codec`.

`transform` maps z to y and back, `quantizer` turns y into symbols, `entropy` has their
probabilities, `coder` turns symbols into bits, and `container` writes a file. `identity` compares
models, `directory` holds the data for decoding, and `evaluation` measures rate and distortion.
"""
import lazy_loader

QUANTIZATIONS = ("universal", "rounding")
PRIORS = ("normal", "empirical")
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
