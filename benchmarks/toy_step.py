"""Microseconds per training step of the toy VAE (16-128-64-3x2, batch 128, Adam), against Keras'
`fit` and PyTorch, in turn.

    python benchmarks/toy_step.py --torch PYTHON_WITH_TORCH [--json FILE]

Every side runs in a process of its own, one after the other, round by round; both the seconds of
the clock and those of the processor are told. Ours is what one writes, `compile("adam")` and
`fit(x)`, with all that it has: posterior noise, metrics, shuffling. `fit` keeps the array on the
device by itself.
"""
import pathlib
import statistics
import sys

import timing

PEER = pathlib.Path(__file__).with_name("toy_peers.py")
# Multiply-adds x 2, forward, and backward to inputs and weights.
FLOP = 128 * 2 * 3 * (16 * 128 + 128 * 64 + 64 * 6 + 3 * 64 + 64 * 128 + 128 * 16)


def main(argv=None):
    p = timing.parser(__doc__)
    p.add_argument("--torch", help="a Python that has torch")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--one", action="store_true",
                   help="print our microseconds per step once, and end")
    args = p.parse_args(argv)
    if args.one:
        print(timing.words("tfisovae", *step_costs()))
        return
    commands = {
        "ours": [sys.executable, __file__, "--one"], "keras": [sys.executable, PEER, "keras"]
    }
    if args.torch:
        commands["torch"] = [args.torch, PEER, "torch"]
    rounds = timing.sides_in_turn(commands, args.rounds)
    measured = {
        f"{name}_{unit}_per_step": round(
            statistics.median(r[name][which] for r in rounds) * 1e6, 1)
        for name in commands
        for which, unit in enumerate(("us", "cpu_us"))
    }
    for name in list(commands)[1:]:
        for which, prefix in enumerate(("", "cpu_")):
            ratio, ratios = timing.compared(rounds, "ours", name, which)
            measured |= {f"{prefix}ratio_to_{name}": ratio, f"{prefix}ratios_to_{name}": ratios}
    peak = timing.matmul_peak_gflops()
    measured |= {"mflop_per_step": round(FLOP / 1e6, 2), "matmul_peak_gflops": round(peak, 1),
                 "share_of_peak": round(FLOP / measured["ours_us_per_step"] / 1e3 / peak, 3)}
    timing.report(measured, args.json)


def step_costs(epochs=12):
    """Seconds and CPU seconds of a step of `fit` of an array."""
    import numpy as np

    import tfisovae

    x = np.random.default_rng(0).standard_normal((50_000, 16)).astype(np.float32)
    vae = tfisovae.VAE(*tfisovae.networks.toy(), "sse", 100.0)
    vae.compile("adam")
    wall, cpu = timing.costs(lambda: vae.fit(x, batch_size=128, epochs=epochs, verbose=0),
                             repeats=3, warmup=1)
    steps = epochs * -(-len(x) // 128)
    return wall / steps, cpu / steps


if __name__ == "__main__":
    main()
