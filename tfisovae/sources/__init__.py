"""Data sources: toy data, drawn faces, images, MNIST and tables. A seed or a fingerprint identifies
each data set.
"""
from tfisovae.sources.faces import Faces, faces
from tfisovae.sources.images import NAMES, load_images
from tfisovae.sources.mnist import load_mnist
from tfisovae.sources.opening import check_split, kind_of, load_vectors, of_run
from tfisovae.sources.source import Rows, Source
from tfisovae.sources.tables import load_table
from tfisovae.sources.toy import SHAPES as TOYS
from tfisovae.sources.toy import Toy, least_loss, load_toy, predicted_precision, toy, toy_entropies

__all__ = [
    "NAMES", "TOYS", "Faces", "Rows", "Source", "Toy", "check_split", "faces", "kind_of",
    "least_loss", "load_images", "load_mnist", "load_table", "load_toy", "load_vectors", "of_run",
    "predicted_precision", "toy", "toy_entropies"
]
