"""Train a VAE in PyTorch, and measure it as it is.

    pip install tfisovae[torch]
    python examples/torch_vae.py

The modules go in as they are. Their derivatives come from `torch.func`, so they are exact. The data
are Gaussian and the networks are linear, so the optimum is known: importances are the variances of
the data along their principal components, and norms are 1 - sigma^2.
"""
import tfisovae  # noqa: I001  (before TensorFlow: it turns oneDNN on)

import numpy as np
import torch

BETA = 0.1
VARIANCES = np.array([4.0, 1.0, 0.25])  # of the data, along their principal components
BASIS = np.linalg.qr(np.random.default_rng(0).standard_normal((6, 3)))[0].T


def data(count, seed=0):
    """Gaussian data `[N, 6]` on a plane of three dimensions."""
    drawn = np.random.default_rng(seed).standard_normal((count, 3))
    return (drawn * np.sqrt(VARIANCES) @ BASIS).astype(np.float32)


class VAE(torch.nn.Module):
    """Methods `encode` and `decode`, as in most VAEs of PyTorch."""

    def __init__(self):
        super().__init__()
        self.mean, self.decoder = torch.nn.Linear(6, 3), torch.nn.Linear(3, 6)
        self.log_variance = torch.nn.Parameter(torch.zeros(3))

    def encode(self, x):
        mean = self.mean(x)
        return mean, self.log_variance.expand_as(mean)

    def decode(self, z):
        return self.decoder(z)


def train(steps):
    """A VAE that was trained with the loss |x - x_hat|^2 / beta + KL."""
    torch.manual_seed(0)
    vae, x = VAE(), torch.from_numpy(data(20_000))
    optimizer = torch.optim.Adam(vae.parameters(), 0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (256,))]
        mean, log_variance = vae.encode(batch)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        distortion = (batch - vae.decode(z)).square().sum(1)
        kl = (mean**2 + log_variance.exp() - 1 - log_variance).sum(1) / 2
        optimizer.zero_grad()
        (distortion / BETA + kl).mean().backward()
        optimizer.step()
        schedule.step()
    return vae


def main(steps=4_000):
    """Trains, measures, prints the results next to theory, and returns the `Analysis`."""
    vae = train(steps)
    analysis = tfisovae.analyze(tfisovae.as_autoencoder(vae, "sse", BETA), data(5_000, seed=1))
    print(f"The decoder was differentiated by {analysis.tangents}.")
    print(f"{'variance of the data':>22} {'importance':>12} {'norm':>8} {'1 - sigma^2':>12}")
    for variance, j in zip(VARIANCES, analysis.ranking):
        print(f"{variance:22g} {analysis.importance[j]:12.4f} {analysis.norm_mean[j]:8.4f} "
              f"{1 - 1 / analysis.precision_mean[j]:12.4f}")
    return analysis


if __name__ == "__main__":
    main()
