"""Choose how many latent dimensions to keep, and leave out the others.

    python examples/choose_dimensions.py

A VAE of eight latent variables learns data that have three sources. What it costs to remove each
variable says how many to keep, as eigenvalues do for a PCA. Pruning then gives a smaller VAE, and
says what that cost.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it turns oneDNN on)

import numpy as np
import tensorflow as tf

from tfisovae import networks
from tfisovae import sources


def main(count=12_800, epochs=25, share=0.99):
    """Trains, prunes, and returns the `Analysis` and the smaller VAE."""
    tf.keras.utils.set_random_seed(0)
    x, held_out = np.split(sources.toy("norm", count + 2_000).x.astype(np.float32), [count])
    vae = tfisovae.VAE(*networks.toy(latent_dim=8), "sse", lmbda=100)
    vae.compile(
        tf.keras.optimizers.Adam(
            tf.keras.optimizers.schedules.CosineDecay(2e-3, epochs * count // 128)))
    vae.fit(x, batch_size=128, epochs=epochs, verbose=0)

    analysis = tfisovae.analyze(vae, held_out)
    print(f"{'dimensions':>10} {'share of the cost of removal':>28}")
    for number, total in enumerate(np.cumsum(analysis.share[analysis.ranking]), 1):
        print(f"{number:10d} {total:28.4f}")
    small = tfisovae.prune(vae, keep=share, data=held_out)
    print(f"For {share:.0%} of it:")
    print(small.pruning.sentences())
    return analysis, small


if __name__ == "__main__":
    main()
