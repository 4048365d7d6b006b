"""Measure a VAE of another framework through two functions of NumPy arrays.

    python examples/another_framework.py

The functions here are plain NumPy. (PyTorch modules and JAX functions have exact derivatives: see
torch_vae.py and jax_vae.py.)

TensorFlow has no derivative of such a decoder, so finite differences are used, and the result says
so. The VAE is the exact optimum on Gaussian data, so the results are known beforehand. Importances
are the variances of the data along their principal components. Norms are 1 - sigma^2. Components
with a variance below beta / 2 are not encoded.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it turns oneDNN on)

import numpy as np

from tfisovae import theory

BETA = 0.1
VARIANCES = np.array([4.0, 1.0, 0.25, 0.02])  # of the data, along their principal components
BASIS = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 4)))[0].T
OPTIMUM = theory.LinearVAE(VARIANCES, BETA)


def data(count, seed=0):
    """Gaussian data `[N, 6]` on a plane of four dimensions."""
    return (np.random.default_rng(seed).standard_normal(
        (count, 4)) * np.sqrt(VARIANCES) @ BASIS).astype(np.float32)


def encode(x):
    """Mean and log-variance, `[B, 4]` each."""
    mean = x @ BASIS.T * OPTIMUM.encoder_gain
    return mean, np.broadcast_to(2 * np.log(OPTIMUM.scale), mean.shape)


def decode(z):
    """x_hat, `[B, 6]`."""
    return z * OPTIMUM.decoder_gain @ BASIS


def main(count=2_000):
    """Measures, prints measured and expected values, and returns the `Analysis`."""
    model = tfisovae.as_autoencoder((encode, decode), distortion="sse", beta=BETA)
    analysis = tfisovae.analyze(model, data(count))
    print(f"The decoder was differentiated by {analysis.tangents}.")
    print(
        f"{'variance of the data':>22} {'importance':>12} {'norm':>8} {'1 - sigma^2':>12} "
        f"{'KL (nats)':>10}"
    )
    for j in range(4):
        print(
            f"{VARIANCES[j]:22g} {analysis.importance[j]:12.4f} {analysis.norm_mean[j]:8.4f} "
            f"{1 - OPTIMUM.scale[j]**2:12.4f} "
            f"{analysis.kl_mean[j]:10.3f}"
            + ("" if analysis.active[j] else "   not encoded: below beta / 2"))
    return analysis


if __name__ == "__main__":
    main()
