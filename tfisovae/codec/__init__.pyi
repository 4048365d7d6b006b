from .codec import Codec as Codec
