"""Where data come from. Every source yields arrays whose identity is fixed by a seed or a fingerprint."""
from tfisovae.sources.faces import Faces, faces
from tfisovae.sources.images import load_images
from tfisovae.sources.source import Rows, Source

__all__ = ["Faces", "Rows", "Source", "faces", "load_images"]
