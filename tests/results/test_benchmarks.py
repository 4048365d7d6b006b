"""What the benchmarks make of what they measured."""
import importlib
import json
import sys
import time

import numpy as np
import pytest

from results import latents, tables

pytestmark = pytest.mark.slow


@pytest.fixture
def benchmark(root, monkeypatch):
    """Imports a module of benchmarks/, which is no package."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module


def test_seconds_of_the_clock_and_of_the_processor(benchmark):
    """Sleeping takes the first and not the second; counting takes both."""
    timing = benchmark("timing")
    wall, cpu = timing.costs(lambda: time.sleep(0.05), repeats=3, warmup=0)
    assert wall >= 0.05 and cpu < 0.5 * wall
    wall, cpu = timing.costs(lambda: sum(range(300_000)), repeats=5, warmup=1)
    assert 0 < cpu <= 1.5 * wall


def test_sides_run_in_turn_each_in_a_process_of_its_own(benchmark, tmp_path):
    timing = benchmark("timing")
    log = tmp_path / "log"
    commands = {
        name: [
            sys.executable, "-c",
            f"open({str(log)!r}, 'a').write('{name} '); print({timing.words(name, *costs)!r})"
        ]
        for name, costs in {"ours": (0.25, 0.5), "theirs": (0.5, 1e-5)}.items()
    }
    assert timing.sides_in_turn(commands, 2) == [{"ours": (0.25, 0.5), "theirs": (0.5, 1e-5)}] * 2
    assert log.read_text() == "ours theirs ours theirs "


def test_medians_of_ratios_and_not_ratios_of_medians(benchmark, tmp_path):
    """A round on a slow machine is slow for both sides: ratios are of a round, and their median is
    told.
    """
    train_step = benchmark("train_step")
    rounds = [{"float32": (a, 2 * a), "torch": (b, b), "bfloat16": (a / 2, a)}
              for a, b in ((1, 2), (9, 10), (3, 4))]
    measured = train_step.summary(rounds, gflop=30, peak=100)
    assert measured["ratio"] == measured["ratio_float32_to_torch"] == 0.75 and measured[
        "ratios"] == [0.5, 0.75, 0.9]
    assert measured["cpu_ratio_float32_to_torch"] == 1.5 and measured[
        "cpu_ratios_float32_to_torch"] == [1.0, 1.5, 1.8]
    assert measured[
        "cpu_ratio_bfloat16_to_float32"] == 0.5 and "cpu_ratio_fit_to_torch" not in measured
    assert measured["seconds"]["float32"] == 3 and measured["cpu_seconds"]["float32"] == 6
    assert measured["share_of_peak"] == 0.1  # 30 GFLOP in 3 s, of 100 a second
    (tmp_path / "train_step.json").write_text(json.dumps(measured))
    cells = dict(
        line.strip("| ").split(" | ") for line in tables.speed_table([tmp_path]).splitlines()[2:])
    assert cells[
        "CPU seconds: float32 against PyTorch's, eager"] == "1.50 of its time (1.00 to 1.80)"
    assert cells["a training step of App. D.2, batch 64, against PyTorch (eager)"] == \
        "0.75 of its time (0.50 to 0.90); 10% of the peak"
    assert cells["CPU seconds: bfloat16 against float32, both ours"].startswith("0.50")
    assert cells["CPU seconds: by plain `fit`"] == "-"


def test_large_latents_take_at_most_150_passes(benchmark):
    """For each example, through the decoder: forward, or a product with its Jacobian or the
    transposed one. The count is that of the decoder itself.
    """
    found = benchmark("large").costs(4, 10, "estimated", 4)
    assert found["used"] == "estimated" and 100 < found["passes"] <= 150
    assert found["json_mb"] < 1 and found["decoder_multiply_adds"] > 0


def test_the_curve_of_large_latents_has_what_was_measured():
    rows = [{"n": n, "num_examples": 10, "used": used, "cpu_seconds": n / 10, "peak_mb": 600,
             "passes": None if used == "exact" else 145.0, "json_mb": 0.1}
            for n in (16, 64, 256) for used in ("exact", "estimated")]
    axes = latents.figure(rows).axes
    assert [len(ax.lines) for ax in axes] == [2, 2, 2, 3]
    np.testing.assert_allclose(axes[0].lines[1].get_ydata(), [1.6, 6.4, 25.6])
