"""Measure a VAE in JAX, with exact derivatives.

    pip install "jax<0.4.21"            # with TensorFlow 2.14; jax 0.9.0 with TensorFlow 2.21
    python examples/jax_vae.py

`jax2tf.convert` turns JAX functions into functions of TensorFlow, and keeps JAX's derivatives. Give
it `polymorphic_shapes`, for batches of any size. The VAE is the optimum on Gaussian data, so the
numbers are known: importances are the variances of the data along their principal components, and
norms are 1 - sigma^2.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it turns oneDNN on)

import jax.numpy as jnp
import numpy as np
from jax.experimental import jax2tf

from tfisovae import theory

BETA = 0.1
VARIANCES = np.array([4.0, 1.0, 0.25])
BASIS = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 3)))[0].T.astype(np.float32)
OPTIMUM = theory.LinearVAE(VARIANCES, BETA)


def data(count, seed=0):
    """Gaussian data `[N, 6]` on a plane of three dimensions."""
    drawn = np.random.default_rng(seed).standard_normal((count, 3))
    return (drawn * np.sqrt(VARIANCES) @ BASIS).astype(np.float32)


def encode(x):
    """Mean and log-variance, `[B, 3]` each."""
    mean = x @ BASIS.T * OPTIMUM.encoder_gain
    return mean, jnp.broadcast_to(2 * jnp.log(jnp.asarray(OPTIMUM.scale)), mean.shape)


def decode(z):
    """x_hat, `[B, 6]`."""
    return z * OPTIMUM.decoder_gain @ BASIS


def main(count=2_000):
    """Measures, prints the results next to theory, and returns the `Analysis`."""
    pair = (jax2tf.convert(encode, polymorphic_shapes=["(b, 6)"]),
            jax2tf.convert(decode, polymorphic_shapes=["(b, 3)"]))
    analysis = tfisovae.analyze(tfisovae.as_autoencoder(pair, "sse", BETA), data(count))
    print(f"The decoder was differentiated by {analysis.tangents}.")
    print(f"{'variance of the data':>22} {'importance':>12} {'norm':>8} {'1 - sigma^2':>12}")
    for j, variance in enumerate(VARIANCES):
        print(f"{variance:22g} {analysis.importance[j]:12.4f} {analysis.norm_mean[j]:8.4f} "
              f"{1 - OPTIMUM.scale[j]**2:12.4f}")
    return analysis


if __name__ == "__main__":
    main()
