"""Microseconds per training step of the toy VAE (16-128-64-3x2, batch 128, Adam), beside Keras' `fit` and PyTorch, in turn.

    python benchmarks/toy_step.py --torch PYTHON_WITH_TORCH [--json FILE]

Every side runs in a process of its own, one after the other, round by round. Ours is `fit` on resident data with all that a
run has: posterior noise, metrics, shuffling.
"""
import pathlib
import statistics
import subprocess
import sys

import timing

PEER = pathlib.Path(__file__).with_name("toy_peers.py")
# Multiply-adds x 2, forward, and backward to inputs and weights.
FLOP = 128 * 2 * 3 * (16 * 128 + 128 * 64 + 64 * 6 + 3 * 64 + 64 * 128 + 128 * 16)


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--torch", help="a Python that has torch")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--one", action="store_true", help="print our microseconds per step once, and end")
    args = p.parse_args(argv)
    if args.one:
        print(f"tfisovae {step_microseconds():.1f} us/step")
        return
    commands = {"ours": [sys.executable, __file__, "--one"], "keras": [sys.executable, PEER, "keras"]}
    if args.torch:
        commands["torch"] = [args.torch, PEER, "torch"]
    rounds = []
    for _ in range(args.rounds):
        rounds.append({name: float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2])
                       for name, command in commands.items()})
        print(rounds[-1], file=sys.stderr)
    measured = {f"{name}_us_per_step": round(statistics.median(r[name] for r in rounds), 1) for name in commands}
    for name in list(commands)[1:]:
        ratios = sorted(r["ours"] / r[name] for r in rounds)
        measured |= {f"ratio_to_{name}": round(statistics.median(ratios), 3), f"ratios_to_{name}": [round(v, 3) for v in ratios]}
    peak = timing.matmul_peak_gflops()
    measured |= {"mflop_per_step": round(FLOP / 1e6, 2), "matmul_peak_gflops": round(peak, 1),
                 "share_of_peak": round(FLOP / measured["ours_us_per_step"] / 1e3 / peak, 3)}
    timing.report(measured, args.json)


def warm_vae(steps):
    """A toy VAE on resident data that has trained for two calls of `steps` steps, and its data set."""
    import numpy as np

    import tfisovae
    from tfisovae.optimizers import FusedAdam
    from tfisovae.training import batches, devices

    devices.prepare_cpu(128, "one_device")
    x = np.random.default_rng(0).standard_normal((50_000, 16)).astype(np.float32)
    strategy = devices.make_strategy("one_device")
    with strategy.scope():
        vae = tfisovae.VAE(*tfisovae.networks.toy(), "sse", 100.0)
        vae.compile(FusedAdam(1e-3), resident=x)
    data = batches.resident_batches(len(x), 128, 0, 0, steps, strategy)
    vae.fit(data, epochs=2, steps_per_epoch=1, verbose=0)
    return vae, data


def step_microseconds(epochs=3, steps=2000):
    vae, data = warm_vae(steps)
    return timing.seconds(lambda: vae.fit(data, epochs=epochs, steps_per_epoch=1, verbose=0), 3, 1) / epochs / steps * 1e6


if __name__ == "__main__":
    main()
