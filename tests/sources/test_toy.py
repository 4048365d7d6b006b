"""Toy data against their own definition."""
import numpy as np
import pytest
import scipy.integrate

from tests.messages import refuses
from tfisovae import distortions, sources, theory
from tfisovae.sources.toy import _SCALES, SHAPES, log_density


@pytest.mark.parametrize("name", ["mix", "ramp", "norm"])
def test_moments_and_basis(name):
    """Variances 1/6, 2/3, 8/3, centred, E|x|^2 = 7/2, orthonormal basis, x = s basis."""
    data = sources.toy(name, 200_000, seed=3)
    assert [shape.var() for shape in SHAPES[name]] == pytest.approx([1 / 6, 2 / 3, 8 / 3],
                                                                    rel=1e-12)
    assert [shape.mean() for shape in SHAPES[name]] == pytest.approx([0, 0, 0], abs=1e-12)
    np.testing.assert_allclose(data.s.var(0), [1 / 6, 2 / 3, 8 / 3], rtol=0.02)  # 4 standard errors
    np.testing.assert_allclose(data.basis @ data.basis.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(data.x, data.s @ data.basis, atol=1e-6)
    assert np.mean(np.sum(data.x**2, 1)) == pytest.approx(3.5, rel=0.02)
    assert np.abs(np.corrcoef(data.s.T) - np.eye(3)).max() < 0.01


@pytest.mark.parametrize("name", ["mix", "ramp", "norm"])
def test_densities_integrate_to_one(name):
    """On a grid over the support, one axis at a time and over the plane of the first two."""
    for k, shape in enumerate(SHAPES[name]):
        low, high = (shape.support() if np.isfinite(shape.support()).all() else (-12, 12))
        point = [float(other.median()) for other in SHAPES[name]]

        def along(value, k=k, point=point):
            s = np.array([point])
            s[0, k] = value
            rest = sum(SHAPES[name][i].logpdf(point[i]) for i in range(3) if i != k)
            return np.exp(log_density(name, s)[0] - rest)

        assert scipy.integrate.quad(along, low, high)[0] == pytest.approx(1, abs=1e-6)
    data = sources.toy(name, 1000, seed=1)
    np.testing.assert_allclose(data.density,
                               np.prod([s.pdf(c) for s, c in zip(SHAPES[name], data.s.T)], 0),
                               rtol=1e-10)
    assert np.isfinite(data.log_density).all()


def test_the_same_seed_gives_the_same_data():
    a, b, c = (sources.toy("mix", 100, seed) for seed in (5, 5, 6))
    np.testing.assert_array_equal(a.x, b.x)
    assert not np.allclose(a.x, c.x) and not np.allclose(a.basis, c.basis)
    source = sources.load_toy("mix", 100, seed=5)
    assert len(source.train) == 100 and len(source.eval) == 10_000 == len(source.log_density)
    np.testing.assert_allclose(log_density("mix", source.factors), source.log_density)


def test_shape_precision():
    """The exact numbers: (2/beta) Var(s) times 1.0168, 1.0812, 1.102658, and 1 for a Gaussian."""
    assert sources.predicted_precision("mix", "sse", 0.01) == pytest.approx([33.89, 147.02, 576.6],
                                                                            rel=2e-4)
    assert sources.predicted_precision("norm", "sse", 0.01) == pytest.approx(
        [100 / 3, 400 / 3, 1600 / 3], rel=1e-6)
    uniform = SHAPES["mix"][1]
    # An oracle without quantiles: the mean over a fine grid of probabilities.
    u = (np.arange(2_000_000) + 0.5) / 2_000_000
    normal = scipy.stats.norm
    slope = normal.pdf(normal.ppf(u)) / uniform.pdf(uniform.ppf(u))
    assert theory.shape_precision(uniform, 2.0) == pytest.approx(np.mean(slope**2), rel=1e-5)
    assert np.mean(slope**2) / uniform.var() == pytest.approx(1.102658, rel=1e-5)
    weighted = np.mean(slope**2 * (2 / 3 + 2 / 21 * (17 / 6 + uniform.ppf(u) ** 2)))
    assert sources.predicted_precision("mix", "downward_convex", 0.02)[1] == pytest.approx(
        100 * weighted, rel=1e-4)
    # The other loss, by sampling; sigma is at most 1, which the smallest source reaches at beta 1.
    u = np.random.default_rng(0).random((1_000_000, 3))
    s = np.stack([shape.ppf(column) for shape, column in zip(SHAPES["mix"], u.T)], 1)
    slopes = np.stack(
        [normal.pdf(normal.ppf(c)) / shape.pdf(v) for shape, c, v in zip(SHAPES["mix"], u.T, s.T)],
        1)
    sampled = 2 * np.mean(slopes**2 / (2 / 3 + 2 / 21 * np.sum(s * s, 1, keepdims=True)), 0)
    assert sampled[0] < 1
    assert sources.predicted_precision("mix", "upward_convex",
                                       1.0) == pytest.approx([1, *sampled[1:]], rel=5e-3)
    assert sources.predicted_precision("mix", "ssim", 0.01) is None
    # The a_x of the predictions are those of the distortions.
    for name in ("downward_convex", "upward_convex"):
        scale = distortions.get(name).scale(2 * np.eye(1, 3, dtype=np.float32))
        assert scale.numpy() == pytest.approx(_SCALES[name](4.0), rel=1e-6)


@pytest.mark.parametrize("name, size, argument", [
    ("mixed", 10, ""),
    ("mix", 0, "num_examples"),
    ("mix", -5, "num_examples"),
    ("mix", 1.5, "num_examples"),
])
def test_bad_toys(name, size, argument):
    with refuses(ValueError, argument):
        sources.toy(name, size)
