"""Seconds per training step of the VAE of App. G in PyTorch, eager: the peer of `train_step.py
--network mnist`.
"""
import timing
import torch
from torch import nn
from torch.nn import functional as F

BATCH, N = 256, 32


def main(repeats=40, warmup=10):
    encoder = nn.Sequential(nn.Linear(784, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(),
                            nn.Linear(1024, 2 * N))
    decoder = nn.Sequential(nn.Linear(N, 1024), nn.ReLU(), nn.Linear(1024, 1024), nn.ReLU(),
                            nn.Linear(1024, 784), nn.Sigmoid())
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    x = torch.rand(BATCH, 784)

    def step():
        mean, log_variance = encoder(x).chunk(2, -1)
        x_hat = decoder(mean + (log_variance / 2).exp() * torch.randn_like(mean))
        kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(-1)
        loss = 2000 * F.binary_cross_entropy(x_hat, x) + kl.mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    print(timing.words(f"torch {torch.__version__}", *timing.costs(step, repeats, warmup)))


if __name__ == "__main__":
    main()
