"""Seconds per training step of App. D.2 or G, in float32 and bfloat16, against PyTorch's, and the
share of the machine's peak.

    python benchmarks/train_step.py --torch PYTHON_WITH_TORCH [--json FILE]
    python benchmarks/train_step.py --network mnist --torch PYTHON_WITH_TORCH

Every side runs in a process of its own, one after the other, round by round; both the seconds of
the clock and those of the processor (user and system) are told. `fit` is what one writes:
`compile("adam")`, and `fit`. `float32` and `bfloat16` are what `tfisovae celeba` does besides:
parts of the batch side by side, and the fused Adam. PyTorch's threads wait by spinning, which
counts as work where others are on the same cores: then set OMP_WAIT_POLICY=PASSIVE, or wait for a
quiet hour.
"""
import pathlib
import statistics
import sys

import timing

import tfisovae
from tfisovae import networks
from tfisovae.training import devices
from tfisovae.vae.optimizers import FusedAdam

# Multiply-adds x 2 of one step: each convolution forward and backward to input and kernel (no input
# gradient for the first).
CONVOLUTIONS = [(32, 81, 3, 64, 2), (16, 25, 64, 64, 3), (8, 25, 64, 64, 3), (4, 25, 64, 64, 3),
                (4, 25, 64, 64, 3), (8, 25, 64, 64, 3), (16, 25, 64, 64, 3), (32, 81, 64, 3, 3)]
CELEBA = sum(64 * side**2 * taps * i * o * 2 * passes
             for side, taps, i, o, passes in CONVOLUTIONS) / 1e9
CELEBA += sum(64 * side**2 * 64 * 64 * 2 * 3 for side in (32, 16, 8, 4, 8, 16, 32)) / 1e9  # GDN
MNIST = 256 * 2 * 3 * (784 * 1024 + 1024 * 1024 + 1024 * 64 + 32 * 1024 + 1024 * 1024
                       + 1024 * 784) / 1e9
# Network: distortion, lmbda, shape of a batch, GFLOP of a step, steps to time.
SETTINGS = {
    "celeba": ("ssim", 1000.0, (64, 64, 64, 3), CELEBA, 5),
    "mnist": ("bce", 2000.0, (256, 784), MNIST, 40)
}
SIDES = {"celeba": ("float32", "fit", "bfloat16"), "mnist": ("float32", "fit")}
PEERS = {"celeba": {"torch": (), "torch_compile": ("--compile",), "torch_bfloat16": ("--bfloat16",),
                    "torch_compile_bfloat16": ("--compile", "--bfloat16")},
         "mnist": {"torch": ()}}
PAIRS = (("float32", "torch"), ("fit", "torch"), ("float32", "torch_compile"),
         ("fit", "torch_compile"), ("bfloat16", "torch"), ("bfloat16", "torch_bfloat16"),
         ("bfloat16", "torch_compile_bfloat16"), ("bfloat16", "float32"))


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--torch", help="a Python that has torch")
    p.add_argument("--network", choices=tuple(SETTINGS), default="celeba")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--one", choices=SIDES["celeba"],
                   help="print our seconds per step once, and end")
    args = p.parse_args(argv)
    if args.one:
        print(timing.words("tfisovae", *step_costs(args.network, args.one)))
        return
    commands = {
        side: [sys.executable, __file__, "--network", args.network, "--one", side]
        for side in SIDES[args.network]
    }
    if args.torch:
        peer = pathlib.Path(__file__).with_name(f"torch_{args.network}.py")
        commands |= {
            side: [args.torch, peer, *options]
            for side, options in PEERS[args.network].items()
        }
    timing.report(summary(timing.sides_in_turn(commands, args.rounds), SETTINGS[args.network][3],
                          timing.matmul_peak_gflops()), args.json)


def summary(rounds, gflop, peak):
    """What `sides_in_turn` measured, as numbers for a table.

    Args:
      rounds: its list of rounds.
      gflop: of a step.
      peak: GFLOP/s of a large matrix product.
    Returns:
      A dict: seconds and CPU seconds per step by side; `ratio_A_to_B` and `cpu_ratio_A_to_B` with
      all their `ratios`, for the `PAIRS` that ran; `ratio`, `ratios` and `share_of_peak` are those
      of float32 by the clock, against eager PyTorch.
    """
    sides = list(rounds[0])
    seconds, cpu_seconds = ({
        side: statistics.median(each[side][which] for each in rounds)
        for side in sides
    } for which in (0, 1))
    measured = {
        "seconds_per_step": seconds["float32"], "gflop_per_step": round(gflop, 1),
        "matmul_peak_gflops": round(peak, 1), "share_of_peak": round(
            gflop / seconds["float32"] / peak, 3), "seconds": seconds, "cpu_seconds": cpu_seconds
    }
    for ours, theirs in PAIRS:
        if ours in sides and theirs in sides:
            for prefix, which in (("", 0), ("cpu_", 1)):
                ratio, ratios = timing.compared(rounds, ours, theirs, which)
                measured |= {
                    f"{prefix}ratio_{ours}_to_{theirs}": ratio,
                    f"{prefix}ratios_{ours}_to_{theirs}": ratios
                }
    if "torch" in sides:
        measured |= {
            "ratio": measured["ratio_float32_to_torch"],
            "ratios": measured["ratios_float32_to_torch"]
        }
    return measured


def step_costs(network, side):
    """Seconds and CPU seconds of a step of `fit`, on one batch that is there."""
    import tensorflow as tf

    distortion, lmbda, shape, _, steps = SETTINGS[network]
    if side != "fit":
        devices.prepare_cpu(shape[0], "one_device")
    with devices.using_precision("bfloat16" if side == "bfloat16" else None):
        vae = tfisovae.VAE(*getattr(networks, network)(32), distortion, lmbda)
    if side == "fit":
        vae.compile("adam")
    else:
        vae.compile(FusedAdam(1e-3), num_parts=devices.num_parts(shape[0],
                                                                 tf.distribute.get_strategy()))
    data = tf.data.Dataset.from_tensors(tf.random.uniform(shape, seed=0)).repeat()
    wall, cpu = timing.costs(lambda: vae.fit(data, steps_per_epoch=steps, verbose=0), repeats=5,
                             warmup=1)
    return wall / steps, cpu / steps


if __name__ == "__main__":
    main()
