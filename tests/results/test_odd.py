"""Odd inputs: areas under ROC curves against closed forms, scores of a VAE whose densities are
known, and all of it, small.
"""
import json

import numpy as np
import pytest
from scipy import stats

from results import odd, tables
from tests.messages import refuses
from tfisovae import theory


def test_areas_of_gaussian_scores():
    """Phi(delta / sqrt 2) for scores N(delta, 1) and N(0, 1), within three standard errors (Hanley
    and McNeil's bound).
    """
    rng, size = np.random.default_rng(0), 4_000
    usual = rng.standard_normal(size)
    for delta in (0.0, 0.5, 2.0, -1.0):
        expected = stats.norm.cdf(delta / np.sqrt(2))
        found = odd.auc(delta + rng.standard_normal(size), usual)
        assert found == pytest.approx(expected, abs=3 * np.sqrt(expected * (1 - expected) / size))


def test_ties_infinities_and_order():
    """By the definition, over all pairs: ties count for a half. Monotone maps change nothing, a
    change of sign mirrors.
    """
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 5, 37).astype(float), rng.integers(1, 6, 23).astype(float)
    a[0], b[:2] = -np.inf, np.inf
    pairs = np.sign(a[:, None] - b)
    assert odd.auc(a, b) == pytest.approx(np.mean((1 + pairs) / 2), abs=1e-12)
    assert odd.auc(np.arctan(a), np.arctan(b)) == odd.auc(a, b) == pytest.approx(
        1 - odd.auc(-a, -b), abs=1e-12)
    assert odd.auc([2.0], [1.0]) == 1 and odd.auc([1.0], [1.0]) == 0.5
    for bad in ([], [np.nan]):
        with refuses(ValueError):
            odd.auc(bad, [1.0])


def test_scores_of_the_optimal_linear_vae(make_linear_vae):
    """The negative log density of Gaussian data, the rate and the transform loss, in closed form.
    """
    variances, beta = np.array([4.0, 1.0]), 0.02
    form = theory.LinearVAE(variances, beta)
    vae = make_linear_vae(np.diag(form.encoder_gain), np.diag(form.decoder_gain), form.scale,
                          1 / beta)
    x = (np.random.default_rng(0).standard_normal((300, 2)) * np.sqrt(variances)).astype(np.float32)
    scores = odd.scores_of_vae(vae, x[:200], x)
    exact = -stats.multivariate_normal(cov=np.diag(variances)).logpdf(x)
    np.testing.assert_allclose(scores["corrected_volume"], exact, atol=1e-4)
    mean = x * form.encoder_gain
    np.testing.assert_allclose(scores["rate"],
                               np.sum(mean**2 + form.scale**2 - 1 - 2 * np.log(form.scale), 1) / 2,
                               rtol=1e-4)
    np.testing.assert_allclose(scores["distortion"], np.sum((x - mean * form.decoder_gain)**2, 1),
                               rtol=1e-3, atol=1e-6)


def test_scores_of_pixels():
    """The PCA's error is the squared distance from the plane of the data; what lies far from them
    is the oddest for both.
    """
    rng = np.random.default_rng(0)
    basis = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    train = rng.standard_normal((400, 2)) @ basis[:2]
    x = np.concatenate([train[:20], 7 * basis[2:3], 3 * basis[3:4]])
    scores = odd.scores_of_pixels(train, x, 2, 0)
    np.testing.assert_allclose(scores["pca"], [*[0] * 20, 49, 9], atol=1e-9)
    assert scores["isolation_forest"].argmax() in (20, 21) and odd.auc(
        scores["isolation_forest"][20:], scores["isolation_forest"][:20]) > 0.9


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Images of two kinds that any score tells apart: zeros are stripes, ones are noise."""
    rng, made = np.random.default_rng(0), {}
    for name, count in (("train", 300), ("test", 40)):
        y = np.arange(count) % 2
        x = np.zeros([count, 28, 28])
        x[y == 0, :, 4:24:4] = rng.uniform(150, 255, (count // 2, 1, 1))
        x[y == 1] = rng.uniform(0, 255, (count // 2, 28, 28))
        made |= {f"x_{name}": x.astype(np.uint8), f"y_{name}": y}
    path = tmp_path_factory.mktemp("digits") / "mnist.npz"
    np.savez(path, **made)
    return path


@pytest.mark.slow
def test_the_whole_of_it(digits, main, tmp_path):
    """Noise is odder than stripes for the pixels' scores; JSON, picture and table have the same
    numbers; a run goes on.
    """
    arguments = ("--data", digits, "--digits", 1, 0, "--steps", 12, "--latent_dim", 2, "--num_eval",
                 15, "--runs", tmp_path / "runs", "--out", tmp_path / "out")
    done = main("results.odd", *arguments)
    saved = json.loads((tmp_path / "out" / "odd.json").read_text())
    assert [entry["digit"]
            for entry in saved["digits"]] == [1, 0] and saved["settings"]["steps"] == 12
    left_out_noise = saved["digits"][0]["auc"]
    assert left_out_noise["pca"] == 1 and left_out_noise["isolation_forest"] > 0.9
    assert {"prior", "objective", "posterior", "volume", "corrected_volume", "rate",
            "distortion"} <= set(left_out_noise)
    assert (tmp_path / "out" / "odd.png").stat().st_size > 10_000 and "Written" in done.stdout
    table = tables.TABLES["odd"]([str(tmp_path / "out")])
    mean = np.mean([entry["auc"]["pca"] for entry in saved["digits"]])
    assert f"| PCA error, pixels | {mean:.3f} +- " in table and len(
        table.splitlines()) == 2 + len(left_out_noise)
    (tmp_path / "out" / "odd.png").unlink()
    main("results.odd", "--out", tmp_path / "out")  # the picture alone
    assert (tmp_path / "out" / "odd.png").exists()
    axes, = odd.draw(saved).axes
    assert axes.get_xlim() == (0, 1) and [text.get_text() for text in axes.texts
                                          ] == ["1", "0"] * len(left_out_noise)
    assert axes.texts[0].get_position() == (max(odd.by_score(saved).values(), key=np.mean)[0], 0)
    again = main("results.odd", *arguments)
    assert "already trained to step 12" in again.stderr
    assert json.loads((tmp_path / "out" / "odd.json").read_text()) == saved


@pytest.mark.parametrize(
    "options, message",
    [(["--digits", "3", "10"], "--digits must be different numbers from 0 to 9; got 3 10"),
     (["--digits", "3", "3"], "--digits must be different"),
     (["--steps", "0"], "--steps must be at least 1; got 0"),
     (["--data", "nowhere.npz"], "Unknown data 'nowhere.npz'")])
def test_bad_options(digits, main, tmp_path, options, message):
    done = main("results.odd", "--data", digits, "--out", tmp_path, *options, check=False)
    assert done.code != 0 and message in done.stderr


def test_labels_are_needed(digits, main, tmp_path):
    with np.load(digits) as data:
        np.savez(tmp_path / "bare.npz", x_train=data["x_train"], x_test=data["x_test"])
    done = main("results.odd", "--data", tmp_path / "bare.npz", "--out", tmp_path, check=False)
    assert done.code != 0 and "the labels are needed" in done.stderr
