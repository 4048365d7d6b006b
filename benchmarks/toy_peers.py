"""What a user would write instead of `vae.fit(x)`: seconds per step of the same VAE in Keras and in
PyTorch.

    python toy_peers.py keras      # Model.fit on a tf.data pipeline, 50 steps per execution
    python toy_peers.py torch      # an eager loop on one thread
"""
import sys

import numpy as np
import timing

EXAMPLES, BATCH = 50_000, 128
STEPS = EXAMPLES // BATCH
DATA = np.random.default_rng(0).standard_normal((EXAMPLES, 16)).astype(np.float32)


def costs_per_step(epoch):
    """Seconds and CPU seconds, the medians of some epochs after one to warm up."""
    return [seconds / STEPS for seconds in timing.costs(epoch, repeats=3, warmup=1)]


def keras():
    import tensorflow as tf

    def network(*widths):
        *hidden, last = widths
        return tf.keras.Sequential(
            [*(tf.keras.layers.Dense(w, "tanh") for w in hidden),
             tf.keras.layers.Dense(last)])

    class VAE(tf.keras.Model):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = network(128, 64, 6), network(64, 128, 16)

        def call(self, x):
            mean, log_variance = tf.split(self.encoder(x), 2, -1)
            variance = tf.exp(log_variance)
            self.add_loss(
                tf.reduce_mean(0.5 * tf.reduce_sum(mean**2 + variance - log_variance - 1, -1)))
            return self.decoder(mean + tf.sqrt(variance) * tf.random.normal(tf.shape(mean)))

    vae = VAE()
    vae.compile(tf.keras.optimizers.Adam(1e-3), lambda x, x_hat: 100 * tf.reduce_sum(
        (x - x_hat)**2, -1), steps_per_execution=50)
    data = tf.data.Dataset.from_tensor_slices((DATA, DATA)).cache().shuffle(10_000).batch(
        BATCH, drop_remainder=True).prefetch(4)
    return costs_per_step(lambda: vae.fit(data, verbose=0))


def torch():
    import torch
    from torch import nn

    torch.set_num_threads(1)

    def network(*widths):
        layers = [
            layer for pair in zip(widths, widths[1:]) for layer in (nn.Linear(*pair), nn.Tanh())
        ]
        return nn.Sequential(*layers[:-1])

    encoder, decoder = network(16, 128, 64, 6), network(3, 64, 128, 16)
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    data = torch.from_numpy(DATA)

    def epoch():
        for rows in torch.randperm(EXAMPLES)[:STEPS * BATCH].view(STEPS, BATCH):
            x = data[rows]
            mean, log_variance = encoder(x).chunk(2, -1)
            x_hat = decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean))
            kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(-1)
            optimizer.zero_grad()
            (100 * (x - x_hat).square().sum(-1) + kl).mean().backward()
            optimizer.step()

    return costs_per_step(epoch)


if __name__ == "__main__":
    name = sys.argv[1]
    print(timing.words(name, *{"keras": keras, "torch": torch}[name]()))
