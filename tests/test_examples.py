"""The scripts of examples/: each runs, and what it prints is true."""
import re
import runpy
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.messages import refuses


@pytest.fixture
def run(root, capsys):
    """Runs `main` of an example: its names, what it returned, and what it printed."""
    def run(name, **arguments):
        names = runpy.run_path(str(root / "examples" / f"{name}.py"))
        returned = names["main"](**arguments)
        return names, returned, capsys.readouterr().out

    return run


def test_every_example_is_run_here(root):
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    others = {"every_example_is_run_here", "compress_folder_without_images"}
    assert {path.stem for path in (root / "examples").glob("*.py")} == here - others


@pytest.mark.slow
def test_keras_vae(run):
    """The loss of the audit is the one that Keras trained, and the unfinished training is called
    that.
    """
    names, (vae, analysis, found, findings), said = run("keras_vae", count=1_000, epochs=6)
    x = names["blobs"](500, seed=1)
    mean, log_var, z = vae.encoder(x)
    entropy = tf.reduce_sum(tf.keras.losses.binary_crossentropy(x, vae.decoder(z)), (1, 2))
    kl = -0.5 * tf.reduce_sum(1 + log_var - mean**2 - tf.exp(log_var), 1)
    # Two draws of the noise, of a loss that it moves by a few per cent.
    assert analysis.loss == pytest.approx(float(tf.reduce_mean(entropy + kl)), rel=0.02)
    assert analysis.rate == pytest.approx(float(tf.reduce_mean(kl)), rel=1e-4)
    assert findings == [] and "What is wrong with it: nothing." in said
    assert found.differs_from(
        1.0) and f"shows it: {found.value:.2f} +-" in said and "Training: " in said


def test_another_framework(run):
    """The closed forms that stand beside the measurement."""
    names, analysis, said = run("another_framework")
    # The last is beta / 2, as sigma is 1.
    np.testing.assert_allclose(analysis.importance, [4, 1, 0.25, 0.05], rtol=1e-4)
    np.testing.assert_allclose(analysis.norm_mean[:3], 1 - 0.05 / np.array([4, 1, 0.25]), rtol=1e-3)
    assert analysis.tangents == "differences" and "differentiated by differences" in said
    assert analysis.active.tolist() == [True, True, True, False] and said.count("not encoded") == 1


@pytest.mark.slow
def test_torch_vae(run):
    """The closed forms of the optimum, to what a short training leaves: 5 %."""
    pytest.importorskip("torch")
    names, analysis, said = run("torch_vae")
    order = analysis.ranking
    np.testing.assert_allclose(analysis.importance[order], names["VARIANCES"], rtol=0.05)
    optimum = 1 - names["BETA"] / 2 / names["VARIANCES"]
    np.testing.assert_allclose(analysis.norm_mean[order], optimum, rtol=0.05)
    assert analysis.tangents == "autodiff" and "differentiated by autodiff" in said


@pytest.mark.slow
def test_jax_vae(run):
    """The closed forms of the optimum, by exact derivatives."""
    pytest.importorskip("jax")
    names, analysis, said = run("jax_vae")
    variances, beta = names["VARIANCES"], names["BETA"]
    np.testing.assert_allclose(analysis.importance, variances, rtol=1e-4)
    np.testing.assert_allclose(analysis.norm_mean, 1 - beta / 2 / variances, rtol=1e-4)
    assert analysis.tangents == "autodiff" and "differentiated by autodiff" in said


@pytest.mark.slow
def test_own_distortion(run):
    """A metric of the weights; importances of nine to one, whose variances are one: by what theory
    has, w v, or w v - beta / 2.
    """
    _, (analysis, metric), said = run("own_distortion")
    np.testing.assert_allclose(metric, np.diag([9, 9, 1, 1]), atol=1e-4)
    first, second = analysis.importance[analysis.ranking]
    # Beyond the metric the loss is robust, which flattens what is far out; the network is small,
    # and soon trained.
    assert first == pytest.approx(9, rel=0.15) and second == pytest.approx(1, rel=0.15)
    assert first / second == pytest.approx(9, rel=0.1)
    assert f"{first / second:.1f} : 1" in said and "2 of 2 latent variables are active" in said


@pytest.mark.slow
def test_choose_dimensions(run):
    """Three of eight, as many as there are sources, with the posterior of before; the printed cost
    is that of two measurements.
    """
    import tfisovae

    _, (analysis, small), said = run("choose_dimensions")
    kept = small.pruning.kept
    assert len(kept) == 3 == small.n and set(kept) == set(analysis.ranking[:3])
    shares = np.cumsum(analysis.share[analysis.ranking])
    variances = np.array([8 / 3, 2 / 3, 1 / 6])  # of the sources
    # Of a short training.
    np.testing.assert_allclose(shares[:3], np.cumsum(variances) / 3.5, atol=0.03)
    assert [f"{share:.4f}" in said for share in shares] == [True] * 8
    x = tfisovae.sources.toy("norm", 14_800).x[12_800:].astype(np.float32)
    after = tfisovae.analyze(small, x)
    np.testing.assert_allclose(after.precision_mean, analysis.precision_mean[kept], rtol=1e-4)
    # Other noise; standard errors of 2 %.
    assert after.distortion == pytest.approx(small.pruning.distortion.after, rel=0.1)
    assert after.rate == pytest.approx(small.pruning.rate.after, rel=1e-4)
    assert f"3 of 8 dimensions kept: {', '.join(map(str, kept))}" in said


@pytest.mark.slow
def test_compress_folder(run):
    """Bits within 3 % of theory, of the file as it lies on the disk; the error as predicted, and
    below that of no code at all.
    """
    _, (written, codec, x, back), said = run("compress_folder")
    bits, theory = map(float,
                       re.search(r"([\d.]+) bits an image; theory said ([\d.]+)", said).groups())
    assert bits == pytest.approx(written.size * 8 / len(x), abs=0.05) and bits == pytest.approx(
        theory, rel=0.03)
    error = np.square(back - x).sum((1, 2, 3)).mean()
    assert error == pytest.approx(codec.predicted.distortion, rel=0.03)
    assert error < 0.6 * np.square(x - x.mean(0)).sum((1, 2, 3)).mean() and back.shape == x.shape


def test_compress_folder_without_images(root, tmp_path, monkeypatch):
    """A folder that holds none ends in a line, as a command does."""
    (tmp_path / "notes.txt").write_text("no image")
    monkeypatch.setattr(sys, "argv", ["compress_folder.py", str(tmp_path)])
    with refuses(SystemExit):
        runpy.run_path(str(root / "examples" / "compress_folder.py"), run_name="__main__")


@pytest.mark.slow
@pytest.mark.parametrize("framework", ["keras", "torch"])
def test_spatial_autoencoder(run, tmp_path, framework):
    """The latents are shown as [h, w, c], whatever the order of the framework is."""
    if framework == "torch":
        pytest.importorskip("torch")
    page = tmp_path / "page.html"
    names, found, said = run("spatial_autoencoder", framework=framework, size=16, steps=20,
                             count=50, num_examples=12, page=page, method="estimated")
    assert found.latent_shape == (4, 4, names["CHANNELS"]) and found.method == "estimated"
    assert found.tangents == "autodiff" and found.beta == names["BETA"]
    assert "4 x 4 places, 4 channels." in said and said.count("Without channel") == 4
    assert found.channel_cost.shape == (4, ) and found.channel_directions.shape == (4, 3, 16)
    assert "Channels and places of the latents" in page.read_text()
