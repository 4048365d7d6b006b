"""What every benchmark shares: side by side, in turn, medians of ratios, and a JSON of what was measured."""
import argparse
import json
import platform
import statistics
import subprocess
import sys
import time


def seconds(function, repeats=5, warmup=2):
    """Median seconds of a call."""
    for _ in range(warmup):
        function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def in_turn(ours, theirs, rounds=7):
    """Times two functions in turn; returns medians of both and of the ratio ours / theirs."""
    pairs = [(seconds(ours, 3, warmup=2 if r == 0 else 1), seconds(theirs, 3, warmup=2 if r == 0 else 1)) for r in range(rounds)]
    return {"ours_seconds": statistics.median(a for a, _ in pairs), "theirs_seconds": statistics.median(b for _, b in pairs),
            "ratio": statistics.median(a / b for a, b in pairs), "ratios": sorted(round(a / b, 3) for a, b in pairs)}


def matmul_peak_gflops():
    """The rate of a 2048 x 2048 matrix product on all cores, in a process of its own."""
    return float(subprocess.run([sys.executable, "-c", _PEAK], check=True, capture_output=True, text=True).stdout)


_PEAK = """
import statistics, time, tensorflow as tf
a = tf.random.normal([2048, 2048])
f = tf.function(lambda a: tf.reduce_sum(a @ a))
times = []
for _ in range(25):
    start = time.perf_counter(); f(a).numpy(); times.append(time.perf_counter() - start)
print(2 * 2048**3 / statistics.median(times[5:]) / 1e9)
"""


def parser(description):
    p = argparse.ArgumentParser(description=description)
    p.add_argument("--json", help="write what was measured to this file")
    return p


def _processor():
    """The name of the processor and its widest vectors, where the system tells them."""
    try:
        with open("/proc/cpuinfo") as file:
            lines = [line.split(":", 1) for line in file if ":" in line]
    except OSError:
        return platform.processor() or platform.machine()
    told = {key.strip(): value.strip() for key, value in lines}
    vectors = next((name for flag, name in (("avx512f", "AVX-512"), ("avx2", "AVX2")) if flag in told.get("flags", "").split()), "")
    return " ".join(filter(None, (told.get("model name", platform.machine()), vectors)))


def report(measured, path=None):
    """Prints the measurement, and writes it where asked."""
    measured = {**measured, "processor": _processor()}
    text = json.dumps(measured, indent=1)
    print(text)
    if path:
        with open(path, "w") as file:
            file.write(text + "\n")
