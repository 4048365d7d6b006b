"""Any VAE behind one door: `as_autoencoder` makes an `Autoencoder` of models of every origin."""
