"""What every benchmark shares: side by side, in turn, medians of ratios, and a JSON of what was
measured.
"""
import argparse
import json
import platform
import re
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


def costs(function, repeats=10, warmup=3):
    """Medians of the seconds of a call: by the clock, and of the processor, user and system, over
    all threads of this process.

    Neighbours on the same cores lengthen the first by what they take, and hardly the second.
    """
    for _ in range(warmup):
        function()
    wall, cpu = [], []
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        function()
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    return statistics.median(wall), statistics.median(cpu)


def words(name, wall, cpu):
    """What a side that runs in a process of its own prints of its `costs`."""
    return f"{name}: {wall:.5f} s/step, {cpu:.5f} CPU s/step"


def sides_in_turn(commands, rounds):
    """Runs commands that print `words`, each in a process of its own, one after the other, round by
    round.

    Args:
      commands: dict from the name of a side to its command, a list.
      rounds: how many times each runs.
    Returns:
      A list of rounds: dicts from the name of a side to its (seconds, CPU seconds) per step.
    """
    done = []
    for _ in range(rounds):
        done.append({})
        for name, command in commands.items():
            said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            wall, cpu = re.search(r": ([\d.]+) s/step, ([\d.]+) CPU s/step$", said.strip()).groups()
            done[-1][name] = float(wall), float(cpu)
        print(done[-1], file=sys.stderr, flush=True)
    return done


def compared(rounds, ours, theirs, which):
    """The median over rounds of ours / theirs, and all of them, sorted; `which` is 0 for the clock,
    1 for the processor.
    """
    ratios = sorted(side[ours][which] / side[theirs][which] for side in rounds)
    return round(statistics.median(ratios), 3), [round(ratio, 3) for ratio in ratios]


def in_turn(ours, theirs, rounds=7):
    """Times two functions in turn; returns medians of both and of the ratio ours / theirs."""
    pairs = [(seconds(ours, 3,
                      warmup=2 if r == 0 else 1), seconds(theirs, 3, warmup=2 if r == 0 else 1))
             for r in range(rounds)]
    return {
        "ours_seconds": statistics.median(a for a, _ in pairs), "theirs_seconds": statistics.median(
            b for _, b in pairs), "ratio": statistics.median(a / b for a, b in pairs),
        "ratios": sorted(round(a / b, 3) for a, b in pairs)
    }


def matmul_peak_gflops():
    """The rate of a 2048 x 2048 matrix product on all cores, in a process of its own."""
    return float(
        subprocess.run([sys.executable, "-c", _PEAK], check=True, capture_output=True,
                       text=True).stdout)


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
    vectors = next(
        (name for flag, name in (("avx512f", "AVX-512"),
                                 ("avx2", "AVX2")) if flag in told.get("flags", "").split()), "")
    return " ".join(filter(None, (told.get("model name", platform.machine()), vectors)))


def report(measured, path=None):
    """Prints the measurement, and writes it where asked."""
    measured = {**measured, "processor": _processor()}
    text = json.dumps(measured, indent=1)
    print(text)
    if path:
        with open(path, "w") as file:
            file.write(text + "\n")
