"""The streaming analysis, its JSON, and the pictures drawn from it."""
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfisovae
from tests.messages import refuses
from tests.support import assert_alike
from tfisovae import theory
from tfisovae.analysis import measuring
from tfisovae.analysis.monitor import Meter
from tfisovae.analysis.scree import Scree
from tfisovae.autoencoder import inspection
from tfisovae.show import decoded, drawing, gram, norms
from tfisovae.verdict import ReasonKind, State, checks

ROWS = np.array([[1.0, 0, 0, 0, 0], [0, 3.0, 0, 0, 0], [0, 0, 2.0, 0, 0]])
LMBDA = 25.0


@pytest.fixture
def vae(make_linear_vae):
    """The optimum for variances 1, 9, 4 at beta = .04, with a fourth, collapsed dimension: norm 1 -
    sigma^2, orthogonal.
    """
    variances = np.array([1.0, 9.0, 4.0])
    h = 1 / LMBDA / 2
    gain = np.sqrt(variances - h)
    decoder = np.zeros([4, 5])
    decoder[[0, 1, 2], [0, 1, 2]] = gain
    encoder = np.zeros([5, 4])
    encoder[[0, 1, 2], [0, 1, 2]] = gain / variances
    return make_linear_vae(encoder, decoder, [*np.sqrt(h / variances), 1.0], LMBDA)


def data(count=500):
    return (np.random.default_rng(0).standard_normal((count, 3)) @ ROWS).astype(np.float32)


def test_the_optimal_linear_vae(vae):
    result = tfisovae.analyze(vae, data())
    h = 1 / LMBDA / 2
    variances = np.array([1.0, 9.0, 4.0])
    np.testing.assert_allclose(result.norm_mean[:3], 1 - h / variances, rtol=1e-4)
    np.testing.assert_allclose(result.one_minus_variance[:3], 1 - h / variances, rtol=1e-4)
    np.testing.assert_allclose(result.norm_std, 0, atol=1e-3)
    np.testing.assert_allclose(result.importance[:3], variances, rtol=1e-4)
    np.testing.assert_allclose(result.precision_mean, [1 / h, 9 / h, 4 / h, 1], rtol=1e-4)
    np.testing.assert_allclose(result.derivative_mean[:3], variances - h, rtol=1e-4)
    np.testing.assert_array_equal(result.ranking, [1, 2, 0, 3])
    np.testing.assert_array_equal(result.active, [True, True, True, False])
    np.testing.assert_allclose(result.gram_mean, np.diag([*(1 - h / variances), 0]), atol=1e-4)
    assert result.gram_off_diagonal < 1e-4 and result.gram_off_diagonal_cosine < 1e-4
    assert result.num_examples == 500 and result.num_active == 3
    expected_kl = 0.5 * np.log(variances / h)
    # Sampling of mu^2 over 500 examples.
    np.testing.assert_allclose(result.kl_mean[:3], expected_kl, atol=0.15)
    np.testing.assert_allclose(result.posterior_balance, 1, atol=0.2)
    assert result.loss == pytest.approx(LMBDA * result.distortion + result.rate, rel=1e-6)
    assert "3 of 4 dimensions active" in result.table()


def test_batches_and_datasets_do_not_matter(vae):
    whole = tfisovae.analyze(vae, data())
    for size in (7, 499):
        parts = tfisovae.analyze(vae, tf.data.Dataset.from_tensor_slices(data()).batch(size))
        assert_alike(parts.to_dict(), whole.to_dict(), rtol=1e-4, atol=1e-6)
    some = tfisovae.analyze(vae,
                            tf.data.Dataset.from_tensor_slices(data()).batch(64), num_examples=100)
    np.testing.assert_allclose(some.kl_mean, tfisovae.analyze(vae, data(100)).kl_mean, rtol=1e-5)
    assert some.num_examples == 100


def test_stationarity_alone_is_that_of_the_whole_measurement(vae):
    whole, alone = tfisovae.analyze(vae, data()).stationarity, measuring.measure_stationarity(
        vae, data())
    for part in dataclasses.fields(whole):
        a, b = getattr(whole, part.name), getattr(alone, part.name)
        if dataclasses.is_dataclass(a):
            a, b = (np.array([np.broadcast_to(value, vae.n) for value in vars(one).values()])
                    for one in (a, b))
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5, err_msg=part.name)


def test_json_round_trip(vae, tmp_path):
    result = tfisovae.analyze(vae, data(50))
    result.save(tmp_path / "x.json", steps=7)
    loaded = tfisovae.Analysis.load(tmp_path / "x.json")
    assert_alike(loaded.to_dict(), result.to_dict(), rtol=1e-6)  # to the 7 digits that are written
    assert loaded.summary() == result.summary()
    saved = json.loads((tmp_path / "x.json").read_text())
    contract = {
        "norm_mean", "norm_std", "derivative_mean", "derivative_std", "precision_mean",
        "importance", "kl_mean", "active", "ranking", "gram_mean", "rate", "distortion",
        "coding_loss", "transform_loss", "lmbda", "num_examples"
    }
    assert contract < set(saved) and saved["steps"] == 7
    assert len(saved["gram_mean"]) == 4 and len(saved["gram_mean"][0]) == 4


def test_measurements_of_older_versions_open(vae):
    """They have the key of a number that is no longer measured, and may lack newer fields."""
    result = tfisovae.analyze(vae, data(50))
    saved = result.to_dict()
    assert saved["lmbda"] == result.lmbda == 1 / result.beta
    assert "numerical_norm_difference" not in saved
    older = {name: value for name, value in saved.items() if name != "tangents"}
    opened = tfisovae.Analysis.from_dict({**older, "numerical_norm_difference": 0.001})
    assert opened.tangents is None
    assert_alike({**opened.to_dict(), "tangents": "autodiff"}, saved, rtol=0)


def test_how_often_examples_are_encoded():
    """Once in the pass and once for the cost of removal; the first ones also to see whether they
    fit, and by an inspection, which takes the first eight alone.

    What reads NumPy functions looks at the outputs for the first two rows before.
    """
    x, seen = data(250), []

    def encode(rows):
        rows = np.asarray(rows)
        seen.append(rows)
        return 0.5 * rows[:, :2], np.full_like(rows[:, :2], -1.0)

    def decode(z):
        return np.pad(2 * z, [(0, 0), (0, 3)])

    model = tfisovae.as_autoencoder((encode, decode), "sse", 0.1)

    def times():
        return [sum(np.any(np.all(rows == row, 1)) for rows in seen)
                for row in x[[0, 15, 16, 249]]]

    tfisovae.analyze(model, x, inspect=False)
    assert times() == [4, 3, 2, 2]
    seen.clear()
    inspection.check(model, x)
    assert times() == [4, 0, 0, 0]


def test_importance_is_computed_by_one_function(vae, monkeypatch):
    """Eq. 16 in an `Analysis`, its scree plot, and the monitor of a training."""
    result = tfisovae.analyze(vae, data(50))
    expected = result.beta / 2 * result.precision_mean
    np.testing.assert_allclose(result.importance, expected, rtol=1e-12)
    monitored = Meter(vae, tf.constant(data(50)))(tf.constant(data(50)))
    np.testing.assert_allclose([monitored[f"importance_z{j}"] for j in range(4)], expected,
                               rtol=1e-6)
    monkeypatch.setattr(theory, "importance", lambda precision, beta: 3 * precision)
    doubled = tfisovae.analyze(vae, data(50))
    np.testing.assert_array_equal(doubled.importance, 3 * doubled.precision_mean)
    assert Scree.of(doubled).floor == 3
    assert Meter(vae, tf.constant(data(50)))(
        tf.constant(data(50)))["importance_z1"] == pytest.approx(3 * result.precision_mean[1])


def test_a_collapsed_vae_says_that_there_is_nothing(make_linear_vae, tmp_path):
    dead = make_linear_vae(np.zeros([5, 2]), np.zeros([2, 5]), 1.0, LMBDA)
    result = tfisovae.analyze(dead, data(20))
    assert result.num_active == 0 and np.isnan(result.isometric_norm)
    result.save(tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["isometric_norm"] is None
    assert np.isnan(tfisovae.Analysis.load(tmp_path / "x.json").isometric_norm)
    assert "0 of 2 dimensions active" in result.table()


def test_bad_requests(vae):
    for measure in (tfisovae.analyze, tfisovae.density.log_densities):
        with refuses(ValueError, "x"):
            measure(vae, np.zeros([5, 2], np.float32))
    with refuses(ValueError):
        tfisovae.analyze(vae, data(50), num_examples=60)
    with refuses(ValueError):
        tfisovae.analyze(vae, tf.data.Dataset.from_tensor_slices(data(5)).batch(5).take(0))
    with refuses(ValueError, "num_examples"):
        tfisovae.analyze(vae, data(5), num_examples=0)


def test_pictures_are_drawn(vae, tmp_path):
    """Every picture has the marks of its data: it changes when they do."""
    result = tfisovae.analyze(vae, data(50))
    drawing.save(norms.isometry(result, "title"), tmp_path / "a.png")
    result.norm_mean = result.norm_mean * 0.5
    drawing.save(norms.isometry(result, "title"), tmp_path / "b.png")
    drawing.save(gram.gram(result), tmp_path / "gram.png")
    faces = np.random.default_rng(0).uniform(size=(3, 5, 8, 8, 3))
    drawing.save(decoded.reconstructions([faces[0], faces[1]], ["x", "x_hat"]),
                 tmp_path / "pairs.png")
    pixels = {
        path.stem: np.asarray(Image.open(path).convert("RGB")).astype(int)
        for path in tmp_path.glob("*.png")
    }
    assert set(pixels) == {"a", "b", "gram", "pairs"}
    assert all(p.std() > 5 for p in pixels.values())
    assert pixels["a"].shape != pixels["b"].shape or np.abs(pixels["a"] - pixels["b"]).max() > 100


def test_health(vae, make_linear_vae):
    """The optimum is healthy; one whose means are smaller and shifted, or whose scales are
    off, is told so by name.
    """
    x = data(20_000)
    result = tfisovae.analyze(vae, x)
    assert result.judge().state is State.NOT_JUDGED
    parameters = vae.encoder.get_weights()
    vae.encoder.set_weights(
        [parameters[0] * np.repeat([0.75, 1], 4), parameters[1] + np.repeat([0.2, 0], 4)])
    result = tfisovae.analyze(vae, x)
    found = result.judge(margin=0.1)
    assert found.state is State.IMPROVING
    assert {checks.MEAN, checks.SECOND} <= {one.check for one in found.of(ReasonKind.OFF)}
    np.testing.assert_allclose(result.latent_mean, 0.2, atol=0.03)
    vae.encoder.set_weights([parameters[0], parameters[1] + np.repeat([0, 0.4], 4)])
    off = tfisovae.analyze(vae, x).judge().of(ReasonKind.OFF)
    assert checks.BALANCE in {one.check for one in off}
    dead = make_linear_vae(np.zeros([5, 2]), np.zeros([2, 5]), [1, 1], LMBDA)
    assert tfisovae.analyze(dead, x[:100]).judge().state is State.COLLAPSED


def test_health_allows_for_few_examples(vae):
    """With 30 examples the moments are off by tenths, which is no sign of anything."""
    result = tfisovae.analyze(vae, data(30))
    assert max(abs(result.latent_second_moment - 1)) > 0.05
    assert not result.judge().unfinished
    assert "30 examples are too few; measure 300 or more." in result.health()


def test_data_outside_the_domain_are_refused(make_linear_vae):
    vae = make_linear_vae(np.eye(2), np.eye(2), [0.1, 0.1], LMBDA, "bce")
    with refuses(ValueError):
        tfisovae.analyze(vae, np.full([4, 2], 1.5, np.float32))


def test_what_is_not_finite_is_named(vae):
    x = data(250)
    x[130, 2] = np.nan
    with refuses(ValueError):
        tfisovae.analyze(vae, x)
    with refuses(ValueError):
        tfisovae.density.log_densities(vae, x)


def test_decoders_without_derivatives_are_measured_by_differences_and_it_is_said(vae):
    """Functions over NumPy arrays: the numbers of autodiff, and a word of how they came about."""
    weights = vae.encoder.get_weights(), vae.decoder.get_weights()

    def encode(x):
        return np.split(np.asarray(x) @ weights[0][0] + weights[0][1], 2, -1)

    def decode(z):
        return np.asarray(z) @ weights[1][0] + weights[1][1]

    exact = tfisovae.analyze(vae, data(40))
    found = tfisovae.analyze((encode, decode), data(40), distortion="sse", beta=1 / LMBDA)
    assert (exact.tangents, found.tangents) == ("autodiff", "differences")
    np.testing.assert_allclose(found.norm_mean, exact.norm_mean, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(found.balance[:3], exact.balance[:3], rtol=1e-3)
    assert found.table().endswith(
        "on 40 examples, with finite differences of the decoder.\nMethod: exact.")
    assert exact.table().endswith("on 40 examples.\nMethod: exact.")


def test_the_way_to_differentiate_can_be_asked_for(vae):
    """Differences give the norms of a straight decoder too, to the rounding of float32."""
    result = tfisovae.analyze(vae, data(60), tangents="differences")
    assert result.tangents == "differences"
    h = 1 / LMBDA / 2
    np.testing.assert_allclose(result.norm_mean[:3], 1 - h / np.array([1.0, 9.0, 4.0]), rtol=1e-3)
    with refuses(ValueError, "tangents"):
        tfisovae.analyze(vae, data(60), tangents="finite")
