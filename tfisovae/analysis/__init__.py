"""What is measured over a whole data set: isometry, scree, beta, mean gradient."""
