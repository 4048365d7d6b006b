"""The common interface of all VAEs: `as_autoencoder` makes an `Autoencoder` from any model."""
