"""Seconds per training step of App. D.2 (batch 64, float32), beside PyTorch's in turn, and its share of the machine's peak.

    python benchmarks/train_step.py --peer "PYTHON_WITH_TORCH benchmarks/torch_celeba.py"
"""
import shlex
import statistics
import subprocess
import sys

import timing

import tfisovae
from tfisovae import devices, networks
from tfisovae.optimizers import FusedAdam

# Multiply-adds x 2 of one step: each convolution forward and backward to input and kernel (no input gradient for the first).
CONVOLUTIONS = [(32, 81, 3, 64, 2), (16, 25, 64, 64, 3), (8, 25, 64, 64, 3), (4, 25, 64, 64, 3),
                (4, 25, 64, 64, 3), (8, 25, 64, 64, 3), (16, 25, 64, 64, 3), (32, 81, 64, 3, 3)]
GFLOP = sum(64 * side**2 * taps * i * o * 2 * passes for side, taps, i, o, passes in CONVOLUTIONS) / 1e9
GFLOP += sum(64 * side**2 * 64 * 64 * 2 * 3 for side in (32, 16, 8, 4, 8, 16, 32)) / 1e9  # GDN


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--peer", help="command that prints '... S s/step'; run in turn with ours")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--one", action="store_true", help="print our seconds per step once, and end")
    args = p.parse_args(argv)
    if args.one:
        print(f"tfisovae: {step_seconds():.4f} s/step")
        return
    # Each side in a process of its own, so that neither keeps the other's threads or memory.
    commands = {"ours": [sys.executable, __file__, "--one"], "peer": shlex.split(args.peer) if args.peer else None}
    rounds = []
    for _ in range(args.rounds):
        rounds.append({name: float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2])
                       for name, command in commands.items() if command})
    measured = {"seconds_per_step": statistics.median(r["ours"] for r in rounds), "gflop_per_step": round(GFLOP, 1)}
    peak = timing.matmul_peak_gflops()
    measured |= {"matmul_peak_gflops": round(peak, 1),
                 "share_of_peak": round(GFLOP / measured["seconds_per_step"] / peak, 3)}
    if args.peer:
        ratios = sorted(r["ours"] / r["peer"] for r in rounds)
        measured |= {"peer_seconds_per_step": statistics.median(r["peer"] for r in rounds),
                     "ratio": round(statistics.median(ratios), 3), "ratios": [round(r, 3) for r in ratios]}
    timing.report(measured, args.json)


def step_seconds():
    import tensorflow as tf

    devices.prepare_cpu(64, "one_device")
    vae = tfisovae.VAE(*networks.celeba(), "ssim", 1000.0)
    vae.compile(FusedAdam(1e-3), num_parts=devices.num_parts(64, tf.distribute.get_strategy()))
    x = tf.random.uniform([64, 64, 64, 3], seed=0)
    step = tf.function(vae.train_step)
    return timing.seconds(lambda: step(x)["loss"].numpy(), repeats=10, warmup=3)


if __name__ == "__main__":
    main()
