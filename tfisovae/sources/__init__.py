"""Where data come from. Every source yields arrays whose identity is fixed by a seed or a fingerprint."""
from tfisovae.sources.faces import Faces, faces
from tfisovae.sources.images import NAMES, load_images, of_run
from tfisovae.sources.source import Rows, Source

__all__ = ["NAMES", "Faces", "Rows", "Source", "faces", "load_images", "of_run"]
