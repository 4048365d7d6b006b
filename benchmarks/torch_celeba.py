"""Seconds per training step of the same VAE in PyTorch: the peer of `train_step.py`. Needs torch,
not tfisovae.

    python torch_celeba.py [--compile] [--bfloat16]

Eager unless compiled. In bfloat16 the networks are under autocast, their outputs and the loss in
float32, as ours are.
"""
import argparse

import timing
import torch
from torch import nn
from torch.nn import functional as F


class GDN(nn.Module):
    """Alpha = epsilon = 1; a 1 x 1 convolution makes the pool."""

    def __init__(self, channels, inverse):
        super().__init__()
        self.inverse = inverse
        self.bias = nn.Parameter(torch.ones(channels))
        self.weight = nn.Parameter(0.1 * torch.eye(channels)[:, :, None, None])

    def forward(self, x):
        pool = F.conv2d(x.abs(), self.weight.clamp_min(0), self.bias.clamp_min(1e-6))
        return x * pool if self.inverse else x / pool


def networks(n=32):
    encoder, decoder = [], [
        nn.Linear(n, 1024),
        nn.Softplus(),
        nn.Linear(1024, 1024),
        nn.Softplus(),
        nn.Unflatten(1, (64, 4, 4))
    ]
    for channels, size in ((3, 9), (64, 5), (64, 5), (64, 5)):
        encoder += [nn.Conv2d(channels, 64, size, 2, size // 2), GDN(64, False)]
    for channels, size in ((64, 5), (64, 5), (64, 5), (3, 9)):
        decoder += [nn.ConvTranspose2d(64, channels, size, 2, size // 2, 1), GDN(channels, True)]
    encoder += [nn.Flatten(), nn.Linear(1024, 1024), nn.Softplus(), nn.Linear(1024, 2 * n)]
    return nn.Sequential(*encoder), nn.Sequential(*decoder)


TAPS = torch.exp(-0.5 * ((torch.arange(11.0) - 5) / 1.5) ** 2)
TAPS = (TAPS / TAPS.sum())[None, None, None].repeat(3, 1, 1, 1)


def blur(x):
    return F.conv2d(F.conv2d(x, TAPS, groups=3), TAPS.transpose(2, 3), groups=3)


def one_minus_ssim(x, y):
    mx, my = blur(x), blur(y)
    squares = mx * mx + my * my
    structure = (2 * (blur(x * y) - mx * my) + 9e-4) / (blur(x * x + y * y) - squares + 9e-4)
    return 1 - ((2 * mx * my + 1e-4) / (squares + 1e-4) * structure).mean()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--steps", type=int, default=20)
    p.add_argument("--compile", action="store_true",
                   help="torch.compile of forward, loss and backward")
    p.add_argument("--bfloat16", action="store_true", help="autocast")
    args = p.parse_args()
    torch.manual_seed(0)
    encoder, decoder = (part.to(memory_format=torch.channels_last) for part in networks())
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], 1e-3)
    x = torch.rand(64, 3, 64, 64).contiguous(memory_format=torch.channels_last)

    def loss(x):
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            parameters = encoder(x)
        mean, log_variance = parameters.float().chunk(2, -1)
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bfloat16):
            x_hat = decoder(z)
        kl = 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(-1).mean()
        return 1000 * one_minus_ssim(x, x_hat.float()) + kl

    if args.compile:
        loss = torch.compile(loss)

    def step():
        optimizer.zero_grad()
        value = loss(x)
        value.backward()
        optimizer.step()
        return value.item()

    print(timing.words(f"torch {torch.__version__}", *timing.costs(step, args.steps, warmup=3)))


if __name__ == "__main__":
    main()
