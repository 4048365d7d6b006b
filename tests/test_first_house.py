"""What the first layout of the package wrote opens in this one: saved models, runs, measurements,
codec files.

`tests/data/first_house` was written at commit 7b1d761, when every module lay flat in `tfisovae/`.
"""
import json
import shutil

import numpy as np
import pytest

import tfisovae
from tests.support import ROOT
from tfisovae import _keras
from tfisovae.training import runs

OLD = ROOT / "tests" / "data" / "first_house"


def test_a_saved_model_whose_json_names_old_modules():
    """Its distortion is registered as `tfisovae>SSIM`, of the module tfisovae.distortions."""
    saved = json.loads((OLD / "ssim_model" / "assets.extra" / "tfisovae.json").read_text())
    assert saved["distortion"]["registered_name"] == "tfisovae>SSIM"
    vae, reference = tfisovae.load(OLD / "ssim_model"), np.load(OLD / "ssim_reference.npz")
    assert isinstance(vae.distortion, tfisovae.distortions.SSIM)
    np.testing.assert_allclose(vae.decode(reference["mean"]), reference["x_hat"], atol=1e-6)


def test_a_run_and_its_measurement():
    """GDN layers are registered names of `tfisovae.networks`."""
    vae, reference = tfisovae.load(OLD / "run" / "model"), np.load(
        OLD / "codec_files" / "reference.npz")
    mean, scale = vae.encode(reference["x"])
    np.testing.assert_allclose(mean, reference["mean"], atol=1e-5)
    np.testing.assert_allclose(scale, reference["scale"], rtol=1e-5)
    saved = tfisovae.Analysis.load(OLD / "run" / "isometry.json")
    measured = tfisovae.analyze(vae, tfisovae.sources.toy("mix", 600, 0).x[500:])
    assert saved.lmbda == measured.lmbda == 100
    assert "rank" in saved.table() and saved.summary()


def test_a_run_goes_on(tmp_path, main):
    shutil.copytree(OLD / "run", tmp_path / "run")
    done = main("toy", "--epochs", 3, "--num_examples", 500, "--num_eval", 0, "--no-resident",
                "--run_dir", tmp_path / "run", check=not _keras.KERAS_3)
    if _keras.KERAS_3:  # whose optimizers keep other numbers
        assert done.code and "was written with Keras 2.14.0" in done.stderr
        return
    assert runs.is_finished(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "config.json").read_text())["steps"] == 9


def test_a_codec_and_its_file(tmp_path):
    """Bytes that the old coder wrote are decoded, and the new one writes the same bytes."""
    reference = np.load(OLD / "codec_files" / "reference.npz")
    codec = tfisovae.Codec.load(OLD / "codec_files" / "codec", tfisovae.load(OLD / "run" / "model"))
    decoded = np.concatenate(list(codec.read(OLD / "codec_files" / "examples.tfv")))
    np.testing.assert_allclose(decoded, reference["x_hat"], atol=1e-5)
    codec.write(tmp_path / "again.tfv", reference["x"])
    assert (tmp_path / "again.tfv").read_bytes() == (OLD / "codec_files"
                                                     / "examples.tfv").read_bytes()


@pytest.mark.parametrize("module", ["tfisovae.networks", "tfisovae.distortions"])
def test_modules_that_saved_json_names_are_there(module):
    public = vars(__import__(module, fromlist=["x"]))
    assert {"tfisovae.networks": "GDN", "tfisovae.distortions": "SSIM"}[module] in public
