"""`VAE`, a Keras model: its training step, saving, pruning and standardizing."""
