"""Keras metrics for isometric embeddings, and the measurement of one batch behind them."""
from tfisovae.metrics.isometry import GramOffDiagonal, IsometricNorm, PosteriorPrecision
from tfisovae.metrics.rate_distortion import ActiveDimensions, CodingLoss, Rate, TransformLoss
from tfisovae.metrics.stationarity import PosteriorBalance

__all__ = [
    "ActiveDimensions", "CodingLoss", "GramOffDiagonal", "IsometricNorm", "PosteriorBalance",
    "PosteriorPrecision", "Rate", "TransformLoss"
]
