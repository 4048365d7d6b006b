from .codec import Codec as Codec

QUANTIZATIONS: tuple[str, ...]
PRIORS: tuple[str, ...]
