"""Distortions D(x, x_hat) with their metric tensors. Each is a `Distortion`; `get` finds one by
name.
"""
from tfisovae.distortions.base import Distortion, decomposed, sum_of_entries
from tfisovae.distortions.columns import ColumnBlocks
from tfisovae.distortions.discrete import CategoricalCrossentropy, Poisson
from tfisovae.distortions.standard import (
    SSIM,
    BinaryCrossentropy,
    DownwardConvex,
    GaussianNLL,
    MeanSquaredError,
    SumSquaredError,
    UpwardConvex,
    get,
)

__all__ = [
    "SSIM", "BinaryCrossentropy", "CategoricalCrossentropy", "ColumnBlocks", "Distortion",
    "DownwardConvex", "GaussianNLL", "MeanSquaredError", "Poisson", "SumSquaredError",
    "UpwardConvex", "decomposed", "get", "sum_of_entries"
]
