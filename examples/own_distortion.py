"""Train and measure with a distortion of your own: one method, from which its metric tensor
follows.

    python examples/own_distortion.py

Here it is a robust loss with weights, D = sum_i 2 w_i log cosh(x_i - x_hat_i): quadratic near 0,
and linear far from it. Its metric is G = diag(w), so a source whose entries weigh nine times as
much is nine times as important at the same variance. A PCA of the data would find the two alike.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it turns oneDNN on)

import numpy as np
import tensorflow as tf

from tfisovae import networks

WEIGHTS = (9.0, 9.0, 1.0, 1.0)


class WeightedLogCosh(tfisovae.distortions.Distortion):
    """D(x, x_hat) = sum_i 2 w_i log cosh(x_i - x_hat_i)."""

    def __call__(self, x, x_hat):
        difference = x - x_hat
        # log cosh, without overflow
        return tf.reduce_sum(
            2 * tf.constant(WEIGHTS) * (difference + tf.nn.softplus(-2 * difference) - np.log(2)),
            -1)


def data(count, seed=0):
    """`[N, 4]`: one source in the first two entries, another of the same variance in the last two.
    """
    s = np.random.default_rng(seed).standard_normal((count, 2))
    return (np.repeat(s, 2, axis=1) / np.sqrt(2)).astype(np.float32)


def main(count=12_800, epochs=25, lmbda=50.0):
    """Trains, measures, and returns the `Analysis` and the metric of the distortion at an example,
    `[4, 4]`.
    """
    tf.keras.utils.set_random_seed(0)
    distortion = WeightedLogCosh()
    vae = tfisovae.VAE(*networks.toy(latent_dim=2, input_dim=4), distortion, lmbda)
    vae.compile(
        tf.keras.optimizers.Adam(
            tf.keras.optimizers.schedules.CosineDecay(3e-3, epochs * count // 128)))
    vae.fit(data(count), batch_size=128, epochs=epochs, verbose=0)
    analysis = tfisovae.analyze(vae, data(2_000, seed=1))

    point = tf.constant(data(1, seed=2))
    metric = np.concatenate([distortion.metric_product(point, unit[None]) for unit in tf.eye(4)])
    first, second = analysis.importance[analysis.ranking]
    print(
        f"The metric of the distortion has the diagonal "
        f"{', '.join(f'{value:.3f}' for value in np.diag(metric))}."
    )
    print(
        f"Importances {first:.2f} and {second:.2f}, {first / second:.1f} : 1, where a PCA has 1 : "
        f"1. "
        f"{analysis.num_active} of 2 latent variables are active.")
    print(
        f"Norms {analysis.norm_mean[analysis.ranking].round(3)}, cosines "
        f"{analysis.gram_off_diagonal_cosine:.3f}."
    )
    return analysis, metric


if __name__ == "__main__":
    main()
