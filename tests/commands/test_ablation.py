"""The ablation: cells that go on, cells that fail alone, and the figures drawn of them."""
import json
import os
import pathlib
import shutil
import types

import numpy as np
import pytest
from PIL import Image

from tfisovae.__main__ import parser
from tfisovae.commands import ablation as train
from tfisovae.commands.measure_ablation import slopes

pytestmark = pytest.mark.slow

SMALL = [
    "--sources", "norm", "--distortions", "sse", "--lmbdas", "20", "100", "--epochs", "10",
    "--num_examples", "10_000", "--schedule", "cosine"
]


def test_a_failed_cell_stops_no_other_and_is_made_up_for(main, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    blocked = tmp_path / "norm-sse-lmbda20"
    options = [*SMALL, "--ablation_dir", tmp_path]
    train.open_directory(str(tmp_path),
                         train.resolve(parser("ablation").parse_args([str(o) for o in options])))
    blocked.mkdir()
    (blocked / "thesis.tex").write_text("")
    failed = main("ablation", *options, check=False)
    assert failed.code != 0
    assert "norm-sse-lmbda20 failed:" in failed.stderr
    assert "is not a run directory" in failed.stderr
    assert "1 of 2 cells are not finished: norm-sse-lmbda20" in failed.stderr
    assert train.is_finished(str(
        tmp_path / "norm-sse-lmbda100")) and not train.is_finished(str(blocked))
    before = (tmp_path / "norm-sse-lmbda100" / "history.csv").stat().st_mtime_ns
    (blocked / "thesis.tex").unlink()
    blocked.rmdir()
    assert "2 cells in" in main("ablation", *options).stdout
    # Not repeated.
    assert (tmp_path / "norm-sse-lmbda100" / "history.csv").stat().st_mtime_ns == before

    measured = main("measure_ablation", tmp_path, "--num_examples", 500)
    assert "norm  sse" in measured.stdout
    cells = json.loads((tmp_path / "ablation-measured.json").read_text())["cells"]
    assert [cell["lmbda"] for cell in cells] == [100, 20]
    assert all(cell["precision"] == sorted(cell["precision"]) and cell["num_active"] == 3
               for cell in cells)
    assert cells[0]["predicted_precision"] == pytest.approx([100 / 3, 400 / 3, 1600 / 3], rel=1e-6)
    table = main("results.tables", "ablation", tmp_path).stdout
    assert "| Fig. 17: norm, sse |" in table and "near 4 and 16" in table and "4.00, 16.00" in table
    # Of one seed twice, which do not differ.
    over_seeds = main("results.tables", "ablation", tmp_path, tmp_path).stdout
    assert "4.00, 16.00" in over_seeds and over_seeds.count("(+- 0)") >= 4
    losses = main("results.tables", "losses", tmp_path).stdout.splitlines()
    # 21 beta / 16, and the exact value.
    assert len(losses) == 4 and losses[3].endswith("| 0.0131 | 0.0133 |")
    main("results.ablation", tmp_path)
    for name in ("norm-sse", "ratios", "losses"):
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).std() > 5

    # Measured once; again only where what is saved is of other examples.
    files = [tmp_path / f"norm-sse-lmbda{lmbda}" / "isometry.json" for lmbda in (20, 100)]
    files[1].write_text(files[1].read_text().replace('"num_examples": 500', '"num_examples": 100'))
    before = [file.stat().st_mtime_ns for file in files]
    main("measure_ablation", tmp_path, "--num_examples", 500)
    assert [file.stat().st_mtime_ns == then for file, then in zip(files, before)] == [True, False]
    assert json.loads(files[1].read_text())["num_examples"] == 500

    config = tmp_path / "norm-sse-lmbda20" / "config.json"
    config.write_text(config.read_text().replace('"distortion": "sse"', '"distortion": "mse"'))
    stranger = main("measure_ablation", tmp_path, check=False)
    assert stranger.code != 0
    assert "is not a cell of this ablation: its data are 'norm', its loss 'mse'" in stranger.stderr

    other = main("ablation", *options, "--epochs", "11", check=False)
    assert other.code != 0 and "epochs: 10 there, 11 here" in other.stderr
    other = main("ablation", *options, "--recipe", "fast", check=False)
    assert other.code != 0
    assert "recipe: 'paper' there, 'fast' here" in other.stderr
    assert "has --epochs 100" in other.stderr


class Training:
    """What looks like the process of a cell. It ends well when it is asked a second time."""

    def __init__(self, command, **_):
        self.directory, self.returncode, self.asked = pathlib.Path(command[-1]), None, False

    def poll(self):
        if self.asked and self.returncode is None:
            self.directory.mkdir()
            (self.directory / "history.csv").write_text("")
            self.returncode = 0
        self.asked = True
        return self.returncode

    def terminate(self):
        self.returncode = -15

    def wait(self):
        return self.returncode


def test_a_full_disk_stops_the_cells_to_come(main, tmp_path, monkeypatch):
    """The cell that had ended is kept, and counted when the command is given again; the next one is
    not begun.
    """
    monkeypatch.setattr(train.subprocess, "Popen", Training)
    monkeypatch.setattr(train, "is_finished", os.path.isdir)
    options = [
        "--sources", "norm", "--distortions", "sse", "--lmbdas", "20", "100", "--epochs", "1",
        "--num_examples", "1000", "--workers", "1", "--ablation_dir", tmp_path
    ]
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda path: types.SimpleNamespace(free=1000))
        stopped = main("ablation", *options, check=False)
    assert stopped.code != 0 and "is full: stopping. Finished cells are kept" in stopped.stderr
    assert "1 of 2 cells are not finished: norm-sse-lmbda100" in stopped.stderr and not (
        tmp_path / "norm-sse-lmbda100").exists()
    before = (tmp_path / "norm-sse-lmbda20" / "history.csv").stat().st_mtime_ns
    assert "2 cells in" in main("ablation", *options).stdout
    assert (tmp_path / "norm-sse-lmbda20" / "history.csv").stat().st_mtime_ns == before


def test_slopes_are_beta_on_the_exact_curve():
    """-dD/dR of the exact linear VAE between lmbda at any distance is the logarithmic mean of beta,
    where none has collapsed.
    """
    from tfisovae import theory

    for ratio in (1.1, 2.0, 50.0):
        cells = [{"lmbda": lmbda, "distortion": vae.distortion.sum(), "rate": vae.rate.sum()}
                 for lmbda, vae in ((lmbda, theory.LinearVAE([1 / 6, 2 / 3, 8 / 3], 1 / lmbda))
                                    for lmbda in (20, 20 * ratio))]
        (beta, slope), = slopes(cells)
        assert slope == pytest.approx(beta, rel=1e-9) and 1 / 20 / ratio < beta < 1 / 20


def test_slopes_keep_their_places_where_a_rate_does_not_change():
    cells = [{"lmbda": 1, "distortion": 3.0,
              "rate": 0.0}, {"lmbda": 2, "distortion": 3.0, "rate": 0.0},
             {"lmbda": 8, "distortion": 2.0, "rate": 4.0}]
    assert slopes(cells) == [(pytest.approx(
        0.5 / np.log(2)), pytest.approx(float("nan"), nan_ok=True)),
                             (pytest.approx(0.375 / np.log(4)), 0.25)]


def test_bad_input(main, tmp_path):
    def refused(message, *arguments):
        done = main(*arguments, check=False)
        assert done.code != 0 and message in done.stderr

    refused("--lmbdas must be positive and finite; got 0.0", "ablation", "--lmbdas", "0",
            "--ablation_dir", tmp_path / "a")
    refused("--seed must be at least 0 and below 2^32; got -1", "ablation", "--seed", "-1",
            "--ablation_dir", tmp_path / "a")
    refused(
        "--lmbdas must differ in their first 6 digits, which name the cells; got 1234567.0, "
        "1234568.0",
        "ablation", "--lmbdas", "1234567", "1234568", "20", "--ablation_dir", tmp_path / "a")
    refused("--workers must be at least 1; got 0", "ablation", "--workers", "0", "--ablation_dir",
            tmp_path / "a")
    refused("is not an ablation", "measure_ablation", tmp_path)
    (tmp_path / "thesis.tex").write_text("")
    refused("is not empty and is not an ablation", "ablation", "--ablation_dir", tmp_path)
    assert not (tmp_path / "a").exists()
