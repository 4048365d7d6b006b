"""Audit an autoencoder with a spatial latent space, laid out as AutoencoderKL of latent diffusion.

    python examples/spatial_autoencoder.py
    python examples/spatial_autoencoder.py --framework torch     (pip install tfisovae[torch])

The encoder returns moments of 2 c channels: means, then log-variances. The decoder makes images
that are 4 times as high and wide as the latents. The loss is the sum of squares, and 1e-6 times
the KL. Latents of [16, 16, 4] are n = 1,024 variables, so norms and eigenvalues are estimated.

Such a small weight makes sigma tiny, and the data far from filling the prior. The audit says which
channels and places carry what, how much an error in z is worth, and that the training was short.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it turns oneDNN on)
from tfisovae import show

import argparse

import numpy as np

BETA = 1e-6  # the weight of the KL
CHANNELS = 4  # c, of the latents


def images(count, size, seed=0):
    """Drawn faces `[N, size, size, 3]` in [0, 1]."""
    x = tfisovae.sources.faces(count, seed).images
    return x[:, ::64 // size, ::64 // size].astype(np.float32) / 255


def keras_pair(size, filters=32):
    """Encoder and decoder of Keras: images and latents have their channels last."""
    import tensorflow as tf

    def convolution(channels, stride=1, activation=tf.nn.silu):
        return tf.keras.layers.Conv2D(channels, 3, stride, "same", activation=activation)

    encoder = tf.keras.Sequential([
        tf.keras.layers.Input((size, size, 3)), convolution(filters, 2),
        convolution(2 * filters, 2), convolution(2 * filters),
        convolution(2 * CHANNELS, activation=None)])
    decoder = tf.keras.Sequential([
        tf.keras.layers.Input((size // 4, size // 4, CHANNELS)), convolution(2 * filters),
        tf.keras.layers.UpSampling2D(), convolution(2 * filters),
        tf.keras.layers.UpSampling2D(), convolution(filters), convolution(3, activation=None)])
    return encoder, decoder


def train_keras(pair, x, steps, batch_size=16):
    """Trains a pair with the loss |x - x_hat|^2 + BETA KL."""
    import tensorflow as tf

    encoder, decoder = pair
    schedule = tf.keras.optimizers.schedules.CosineDecay(2e-3, steps)
    optimizer = tf.keras.optimizers.Adam(schedule, clipnorm=100.0)
    weights = encoder.trainable_weights + decoder.trainable_weights

    @tf.function
    def step(batch):
        with tf.GradientTape() as tape:
            mean, log_variance = tf.split(encoder(batch, training=True), 2, -1)
            z = mean + tf.exp(log_variance / 2) * tf.random.normal(tf.shape(mean))
            error = batch - decoder(z, training=True)
            kl = (tf.square(mean) + tf.exp(log_variance) - 1 - log_variance) / 2
            loss = (tf.reduce_sum(tf.square(error)) + BETA * tf.reduce_sum(kl)) / len(batch)
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))

    rng = np.random.default_rng(0)
    for _ in range(steps):
        step(tf.constant(x[rng.integers(len(x), size=batch_size)]))


def torch_module(size, filters=32):
    """The same networks as a module of PyTorch: images and latents have their channels first."""
    import torch
    from torch import nn

    def convolutions(*channels, strides=(), before=()):
        layers = []
        for k, (inputs, outputs) in enumerate(zip(channels, channels[1:])):
            if k in before:
                layers.append(nn.Upsample(scale_factor=2))
            stride = 2 if k in strides else 1
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.SiLU()]
        return nn.Sequential(*layers[:-1])

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = convolutions(3, filters, 2 * filters, 2 * filters, 2 * CHANNELS,
                                        strides=(0, 1))
            self.decoder = convolutions(CHANNELS, 2 * filters, 2 * filters, filters, 3,
                                        before=(1, 2))

        def encode(self, x):
            return torch.chunk(self.encoder(x), 2, 1)  # mean, log-variance

        def decode(self, z):
            return self.decoder(z)

    return Autoencoder()


def train_torch(module, x, steps, batch_size=16):
    """Trains a module with the loss |x - x_hat|^2 + BETA KL."""
    import torch

    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    x = torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))
    for _ in range(steps):
        batch = x[torch.randint(len(x), (batch_size, ))]
        mean, log_variance = module.encode(batch)
        error = batch - module.decode(mean + (log_variance / 2).exp() * torch.randn_like(mean))
        kl = (mean**2 + log_variance.exp() - 1 - log_variance) / 2
        optimizer.zero_grad()
        ((error.square().sum() + BETA * kl.sum()) / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), 100.0)
        optimizer.step()
        schedule.step()


def trained(framework, size=64, steps=1_000, count=4_000):
    """A trained model: a pair of Keras models, or a module of PyTorch."""
    x = images(count, size)
    if framework == "torch":
        import torch

        torch.manual_seed(0)
        module = torch_module(size)
        train_torch(module, x, steps)
        return module
    import tensorflow as tf

    tf.keras.utils.set_random_seed(0)
    pair = keras_pair(size)
    train_keras(pair, x, steps)
    return pair


def main(framework="keras", size=64, steps=1_000, count=4_000, num_examples=200, page=None,
         method="auto"):
    """Trains, measures, prints the results, and returns the `Analysis`.

    Args:
      framework: "keras" or "torch".
      size: of the images, 64 or a part of it.
      steps: of training.
      count: how many examples to train on.
      num_examples: how many others to measure.
      page: where to write a page of the results, or `None`.
      method: as for `tfisovae.analyze`.
    """
    model = tfisovae.as_autoencoder(trained(framework, size, steps, count), "sse", BETA)
    x = images(num_examples, size, seed=1)
    if framework == "torch":
        x = np.moveaxis(x, -1, 1)
    found = tfisovae.analyze(model, x, progress=True, method=method)
    print(found.table())
    height, width, channels = found.latent_shape
    print(f"{height} x {width} places, {channels} channels. "
          f"The method is {found.method!r}, the decoder was differentiated by {found.tangents}.")
    for channel in np.argsort(-found.channel_cost):
        print(f"Without channel {channel} the distortion rises by "
              f"{found.channel_cost[channel]:.3g} +- "
              f"{found.channel_cost_standard_error[channel]:.1g}.")
    print(found.summary())
    if page is not None:
        show.write(found, page, "A spatial autoencoder", **show.observe(model, found, x[:12]))
        print(f"Written: {page}")
    return found


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--framework", choices=["keras", "torch"], default="keras")
    p.add_argument("--steps", type=int, default=1_000, help="of training")
    p.add_argument("--page", default="spatial.html", help="where to write the page")
    args = p.parse_args()
    main(args.framework, steps=args.steps, page=args.page)
