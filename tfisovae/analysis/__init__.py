"""Measurements over a whole data set: isometry, scree, beta, mean gradient."""
