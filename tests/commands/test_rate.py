"""`tfisovae rate`, and what is published of it: on a run on Norm, whose bound is known, and on one
on images.
"""
import json
import math

import numpy as np
import pytest
from PIL import Image

from results import rate as published
from tests.support import ROOT
from tfisovae import sources, theory
from tfisovae.codec import claims
from tfisovae.codec.breakdown import QUANTIZATION, Ledger, bits_at

RATES = ROOT / "results" / "rate"


@pytest.fixture(scope="module")
def run(tmp_path_factory, main):
    """A short training on Norm, and its rate."""
    path = tmp_path_factory.mktemp("rates") / "norm"
    main("toy", "--data", "norm", "--num_examples", 10_000, "--epochs", 20, "--schedule", "cosine",
         "--num_eval", 0, "--run_dir", path)
    return path, main("rate", path, "--num_examples", 4000).stdout


@pytest.mark.slow
def test_the_rate_of_a_run(run):
    """KL + 1/2 log2(pi e / 6) to 1 %, slope -beta within its error, and no code below the bound;
    all of it in words too.
    """
    path, said = run
    saved = json.loads((path / "rate.json").read_text())
    ledger = Ledger.load(path / "rate.json")
    assert ledger.num_coded == 3 and saved["num_examples"] == 4000
    assert saved["coded_bits"] == pytest.approx(sum(saved["kl_bits"]) + 3 * QUANTIZATION, rel=0.01)
    assert abs(saved["slope"] - 1) < max(0.02, 3 * saved["slope_standard_error"])
    bound, components = (ledger.beside[name]
                         for name in ("rate-distortion bound", "principal components, quantised"))
    rate, distortion = theory.reverse_water_filling([shape.var() for shape in sources.TOYS["norm"]],
                                                    0.005)
    assert bits_at(bound, distortion) == pytest.approx(rate / math.log(2), rel=1e-3)
    for point in [
            *components,
            *({"bits": at.coded_bits, "distortion": at.distortion} for at in ledger.curve)
    ]:
        lowest = bits_at(bound, point["distortion"])
        assert lowest is None or point["bits"] > lowest
    assert claims.summary(ledger) in said and "rate-distortion bound" in said
    assert {claim["name"]: claim["state"] for claim in saved["claims"]}["rate"] == "holds"
    assert np.asarray(Image.open(path / "rate.png").convert("L")).std() > 5


@pytest.mark.slow
def test_a_table_of_other_data_and_rounding(run, main, tmp_path):
    """Data of other basis and shapes: coded by the run's own codec, which is fitted to nothing
    else, and measured apart.
    """
    path, _ = run
    codecs = sorted(entry.name for entry in (path / "codec").iterdir())
    np.save(tmp_path / "other.npy", np.float32(sources.toy("ramp", 600, seed=3).x))
    done = main("rate", path, "--data", tmp_path / "other.npy", "--no-beside", "--quantization",
                "rounding", "--rows", 1)
    saved = json.loads((path / "on-other" / "rate.json").read_text())
    assert saved["num_examples"] == 600 and saved["quantization"] == "rounding" and saved[
        "beside"] == {}
    assert "DOES NOT HOLD" in done.stdout and "Beside" not in done.stdout
    assert set(codecs) < {entry.name for entry in (path / "codec").iterdir()}
    refused = main("rate", path, "--rows", 0, check=False)
    assert refused.code != 0 and "--rows must be at least 1; got 0" in refused.stderr


@pytest.mark.slow
def test_the_rate_of_images(main, tmp_path):
    """A few images, a few steps: SSIM of files beside that of JPEG and WebP, whose headers alone
    are more than our bits.
    """
    rng = np.random.default_rng(0)
    images = (rng.random((100, 28, 28)) ** 3 * 255).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images[:70], x_test=images[70:])
    main("mnist", "--data", tmp_path / "mnist.npz", "--latent_dim", 4, "--batch_size", 10,
         "--steps", 4, "--num_eval", 0, "--run_dir", tmp_path / "run")
    said = main("rate", tmp_path / "run").stdout
    ledger = Ledger.load(tmp_path / "run" / "rate.json")
    assert set(ledger.beside) == {"JPEG", "JPEG without headers", "WebP", "WebP without headers"
                                  } and ledger.num_examples == 30
    assert all(0 < at.dissimilarity < 1 for at in ledger.curve) and "1 - SSIM = " in said
    for codec in ("JPEG", "WebP"):
        whole, bare = ledger.beside[codec], ledger.beside[f"{codec} without headers"]
        assert [at["distortion"] for at in whole] == [at["distortion"] for at in bare]
        assert all(a["bits"] - b["bits"] > ledger.coded_bits for a, b in zip(whole, bare))


@pytest.mark.slow
def test_what_is_published(run, main, tmp_path):
    """Copies without the place where the data lay, the picture, and tables with the numbers of the
    JSON.
    """
    path, _ = run
    assert main("results.rate", path, "--directory", tmp_path / "rate").code == 0
    made = tmp_path / "rate" / "norm"
    assert {entry.name for entry in made.iterdir()} == set(published.PUBLISHED)
    assert json.loads((made / "config.json").read_text())["data"] == "norm"
    assert np.asarray(Image.open(tmp_path / "rate" / "rates.png").convert("L")).std() > 5
    ledger = Ledger.load(made / "rate.json")
    row = main("results.tables", "rate", made).stdout.splitlines()[2].split(" | ")
    assert row[1:6] == [
        "3 of 3", f"{ledger.kl_bits.sum():.3f}", f"{ledger.predicted_bits:.3f}",
        f"{ledger.exact_bits.sum():.3f}", f"{ledger.coded_bits:.3f}"
    ]
    causes = main("results.tables", "rate_causes", made).stdout.splitlines()[2].split(" | ")
    assert sum(map(float, causes[1:8])) == pytest.approx(float(causes[8]), abs=0.004)
    beside = main("results.tables", "rate_beside", made).stdout
    assert (f"rate-distortion bound "
            f"{bits_at(ledger.beside['rate-distortion bound'], ledger.distortion):.4g}") in beside
    refused = main("results.rate", "--directory", tmp_path / "empty", check=False)
    assert refused.code != 0 and "has no directory with a rate.json" in refused.stderr


@pytest.mark.parametrize("name", published.ORDER)
def test_the_published_numbers_close(name):
    """Terms sum to the file's bits and distortion; no toy file is below its bound; nothing names a
    place of a machine.
    """
    text = (RATES / name / "rate.json").read_text()
    saved, ledger = json.loads(text), Ledger.load(RATES / name / "rate.json")
    assert sum(saved["bit_terms"].values()) == pytest.approx(saved["file_bits"], rel=1e-5)
    assert sum(saved["distortion_terms"].values()) == pytest.approx(saved["distortion"], rel=1e-5)
    for at in ledger.curve if name in sources.TOYS else ():
        bound = next(points for other, points in ledger.beside.items() if "bound" in other)
        lowest = bits_at(bound, at.distortion)
        assert lowest is None or lowest < at.coded_bits
    assert "/" not in json.loads(
        (RATES / name / "config.json").read_text())["data"] and "/" not in saved["data"]
