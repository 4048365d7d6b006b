"""Every command of the README, and what the scripts say to bad input."""
import json

import numpy as np
import pytest
from PIL import Image

import tfisovae

SMALL = ["--num_faces", "64", "--latent_dim", "3", "--batch_size", "4"]


@pytest.fixture(scope="module")
def run(tmp_path_factory, script):
    """A run of four steps on drawn faces, measured and traversed."""
    path = tmp_path_factory.mktemp("runs") / "run"
    trained = script("train/celeba.py", "--data", "faces", *SMALL, "--steps", 4, "--num_eval", 4, "--run_dir", path)
    assert "E[sigma^-2]" in trained.stdout and "SavedModel" in trained.stdout
    assert "step 4/4" in trained.stderr and "examples/s" in trained.stderr
    measured = script("eval/isometry.py", path, "--num_examples", 6)
    assert "rank  1 follows" in measured.stdout and str(path / "isometry.png") in measured.stdout
    script("eval/traverse.py", path, "--rows", 2, "--columns", 3)
    return path


def test_a_run_directory_holds_what_it_should(run):
    names = {p.name for p in run.iterdir()}
    assert {"config.json", "history.csv", "checkpoints", "model", "tensorboard", "isometry.json", "isometry.png", "gram.png",
            "traversal.png", "reconstructions.png"} <= names
    config = json.loads((run / "config.json").read_text())
    assert config["lmbda"] == 1000 and config["data_manifest"]["num_train"] == 58 and "tensorflow" in config["versions"]
    saved = json.loads((run / "isometry.json").read_text())
    assert saved["num_examples"] == 6 and len(saved["norm_mean"]) == 3
    assert np.array(saved["factor_correlations"]).shape == (3, len(saved["factor_names"]))
    for name in ("isometry", "gram", "traversal", "reconstructions"):
        assert np.asarray(Image.open(run / f"{name}.png").convert("L")).std() > 5


def test_a_loaded_model_evaluates(run, faces_cache):
    """The tour of the API: load, compile with metrics, evaluate; and the same numbers as the JSON."""
    from tfisovae import batches, metrics, sources

    vae = tfisovae.load(run / "model")
    vae.compile(metrics=[metrics.IsometricNorm(), metrics.GramOffDiagonal()])
    eval_rows = sources.load_images("faces", num_faces=64, cache_dir=faces_cache, progress=False).eval
    logs = vae.evaluate(batches.evaluation_batches(eval_rows, 4), return_dict=True, verbose=0)
    saved = json.loads((run / "isometry.json").read_text())
    for name in ("rate", "distortion", "isometric_norm", "gram_off_diagonal"):
        np.testing.assert_allclose(logs[name], saved[name] if saved[name] is not None else np.nan, rtol=1e-3)


@pytest.mark.parametrize("name", ["train/celeba.py", "eval/isometry.py", "eval/traverse.py"])
def test_help(script, name):
    assert "default" in script(name, "--help").stdout


@pytest.mark.parametrize("options, message", [
    (["--lmbda", "0"], "--lmbda must be positive and finite; got 0.0"),
    (["--lmbda", "inf"], "--lmbda must be positive and finite; got inf"),
    (["--latent_dim", "0"], "--latent_dim must be at least 1; got 0"),
    (["--distortion", "l2"], "invalid choice: 'l2'"),
    (["--seed", "-1"], "--seed must be at least 0 and below 2^32; got -1"),
    (["--warmup_steps", "5"], "--warmup_steps goes with --decomposed"),
    (["--strategy", "tpu"], "invalid choice: 'tpu'"),
    (["--data", "celebs"], "Unknown data 'celebs': there are 'celeb_a', 'faces'"),
    (["--checkpoint_every", "150"], "--checkpoint_every must be a multiple of --log_every (100); got 150"),
])
def test_bad_options(script, tmp_path, options, message):
    done = script("train/celeba.py", "--run_dir", tmp_path / "run", *options, check=False)
    assert done.returncode != 0 and message in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "run").exists()


def test_bad_runs(script, run, tmp_path):
    refused = script("train/celeba.py", "--data", "faces", *SMALL, "--steps", 4, "--lmbda", 5, "--run_dir", run, check=False)
    assert refused.returncode != 0 and "lmbda: 1000.0 there, 5.0 here" in refused.stderr
    nothing = script("eval/isometry.py", tmp_path, check=False)
    assert nothing.returncode != 0 and "holds no run" in nothing.stderr and "Traceback" not in nothing.stderr
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text((run / "config.json").read_text())
    half = script("eval/traverse.py", tmp_path / "half", check=False)
    assert half.returncode != 0 and "has no model yet" in half.stderr


def test_the_scripts_turn_onednn_on_before_tensorflow_starts(script, tmp_path, root):
    """TensorFlow reads the option when it is imported: the package has to come first in every script."""
    code = """
import os, sys
os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            print("option", os.environ.get("TF_ENABLE_ONEDNN_OPTS"))
sys.meta_path.insert(0, Watch())
import runpy
runpy.run_path(sys.argv[1], run_name="imported")
"""
    (tmp_path / "watch.py").write_text(code)
    for name in ("train/celeba.py", "eval/isometry.py", "eval/traverse.py"):
        assert "option 1" in script(tmp_path / "watch.py", root / name).stdout
