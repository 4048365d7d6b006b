"""Seconds per training step of App. D.2 or G (float32), beside PyTorch's in turn, and its share of the machine's peak.

    python benchmarks/train_step.py --peer "PYTHON_WITH_TORCH benchmarks/torch_celeba.py"
    python benchmarks/train_step.py --network mnist --peer "PYTHON_WITH_TORCH benchmarks/torch_mnist.py"
"""
import shlex
import statistics
import subprocess
import sys

import timing

import tfisovae
from tfisovae import networks
from tfisovae.optimizers import FusedAdam
from tfisovae.training import devices

# Multiply-adds x 2 of one step: each convolution forward and backward to input and kernel (no input gradient for the first).
CONVOLUTIONS = [(32, 81, 3, 64, 2), (16, 25, 64, 64, 3), (8, 25, 64, 64, 3), (4, 25, 64, 64, 3),
                (4, 25, 64, 64, 3), (8, 25, 64, 64, 3), (16, 25, 64, 64, 3), (32, 81, 64, 3, 3)]
CELEBA = sum(64 * side**2 * taps * i * o * 2 * passes for side, taps, i, o, passes in CONVOLUTIONS) / 1e9
CELEBA += sum(64 * side**2 * 64 * 64 * 2 * 3 for side in (32, 16, 8, 4, 8, 16, 32)) / 1e9  # GDN
MNIST = 256 * 2 * 3 * (784 * 1024 + 1024 * 1024 + 1024 * 64 + 32 * 1024 + 1024 * 1024 + 1024 * 784) / 1e9
# Network: distortion, lmbda, shape of a batch, GFLOP of a step.
SETTINGS = {"celeba": ("ssim", 1000.0, (64, 64, 64, 3), CELEBA), "mnist": ("bce", 2000.0, (256, 784), MNIST)}


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--peer", help="command that prints '... S s/step'; run in turn with ours")
    p.add_argument("--network", choices=tuple(SETTINGS), default="celeba")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--one", action="store_true", help="print our seconds per step once, and end")
    args = p.parse_args(argv)
    if args.one:
        print(f"tfisovae: {step_seconds(args.network):.5f} s/step")
        return
    # Each side in a process of its own, so that neither keeps the other's threads or memory.
    commands = {"ours": [sys.executable, __file__, "--one", "--network", args.network],
                "peer": shlex.split(args.peer) if args.peer else None}
    rounds = []
    for _ in range(args.rounds):
        rounds.append({name: float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2])
                       for name, command in commands.items() if command})
    gflop = SETTINGS[args.network][-1]
    measured = {"seconds_per_step": statistics.median(r["ours"] for r in rounds), "gflop_per_step": round(gflop, 1)}
    peak = timing.matmul_peak_gflops()
    measured |= {"matmul_peak_gflops": round(peak, 1),
                 "share_of_peak": round(gflop / measured["seconds_per_step"] / peak, 3)}
    if args.peer:
        ratios = sorted(r["ours"] / r["peer"] for r in rounds)
        measured |= {"peer_seconds_per_step": statistics.median(r["peer"] for r in rounds),
                     "ratio": round(statistics.median(ratios), 3), "ratios": [round(r, 3) for r in ratios]}
    timing.report(measured, args.json)


def step_seconds(network):
    import tensorflow as tf

    distortion, lmbda, shape, _ = SETTINGS[network]
    devices.prepare_cpu(shape[0], "one_device")
    vae = tfisovae.VAE(*getattr(networks, network)(32), distortion, lmbda)
    vae.compile(FusedAdam(1e-3), num_parts=devices.num_parts(shape[0], tf.distribute.get_strategy()))
    x = tf.random.uniform(shape, seed=0)
    step = tf.function(vae.train_step)
    return timing.seconds(lambda: step(x)["loss"].numpy(), repeats=10 if network == "celeba" else 40, warmup=5)


if __name__ == "__main__":
    main()
