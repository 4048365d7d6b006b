"""The nonlinear scree plot: PCA in the metric of a distortion against dense oracles, and the linear
VAE, where the two agree.
"""
import dataclasses
import json

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tfisovae import distortions, theory
from tfisovae.analysis import components as pca
from tfisovae.analysis import scree
from tfisovae.analysis.components import PrincipalComponents, principal_components
from tfisovae.analysis.scree import Scree
from tfisovae.show import importance

RNG = np.random.default_rng(0)
CORRELATED = (RNG.standard_normal(
    (400, 6)) * [3, 2, 1, 0.5, 0.2, 0.1]) @ np.linalg.qr(RNG.standard_normal((6, 6)))[0] + 1


def dense_metric(distortion, point):
    """Half the Hessian of D(point, .) at the point, `[m, m]`, by differentiating D itself."""
    size = point.size

    def d(flat):
        return distortion(tf.constant(point[None]), tf.reshape(flat, [1, *point.shape]))[0]

    flat = tf.constant(point.reshape(-1))
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(flat)
        with tf.GradientTape() as inner:
            inner.watch(flat)
            value = d(flat)
        slope = inner.gradient(value, flat)
    return outer.jacobian(slope, flat, experimental_use_pfor=False).numpy().reshape(size, size) / 2


def halves(x):
    """The two halves of the examples as rows, `[N / 2, m]` each, float64."""
    order, rows = np.random.default_rng(0).permutation(len(x)), x.reshape(len(x), -1)
    return (rows[np.sort(order[:len(x) // 2])].astype(np.float64),
            rows[np.sort(order[len(x) // 2:])].astype(np.float64))


def oracle(x, metric):
    """Variances of each half along the eigenvectors of the other, and in all directions, in
    coordinates in which the metric is the identity: means of the two ways.
    """
    root = scipy.linalg.sqrtm(metric).real
    one, other = (np.cov((half @ root).T) for half in halves(x))
    vectors = [np.linalg.eigh(half)[1][:, ::-1][:, :min(len(x) // 2 - 1, len(metric))]
               for half in (one, other)]
    values = [np.diag(axes.T @ half @ axes) for axes, half in zip(vectors, (other, one))]
    return np.mean(values, 0), np.trace(one + other) / 2


@pytest.mark.parametrize("count", [400, 8])
@pytest.mark.parametrize("distortion, factor", [(distortions.SumSquaredError(), 1),
                                                (distortions.MeanSquaredError(), 1 / 6),
                                                (distortions.GaussianNLL(0.25), 2)])
def test_of_a_sum_of_squares_it_is_the_pca_of_the_data(distortion, factor, count):
    """More and fewer examples than columns, in the unit of D."""
    x = CORRELATED[:count].astype(np.float32)
    found = principal_components(x, distortion)
    expected, total = oracle(x, factor * np.eye(6))
    assert found.constant and len(expected) == min(count // 2 - 1, 6)
    assert found.num_examples == count and found.honest
    np.testing.assert_allclose(found.eigenvalue, expected, rtol=2e-5)
    assert found.total == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize("name, count", [("ssim", 30), ("bce", 30), ("bce", 500),
                                         ("downward_convex", 300), ("upward_convex", 40)])
def test_of_other_distortions_it_is_that_of_the_metric_at_the_mean(name, count):
    """Against a dense Hessian of D at the mean in float64."""
    shape = (12, 13, 1) if name == "ssim" else (7,)
    distortion = distortions.get(name)
    x = (0.3 + 0.05 * np.random.default_rng(1).standard_normal((count, *shape))
         + 0.1 * np.random.default_rng(2).uniform(size=shape)).astype(np.float32)
    found = principal_components(x, distortion)
    expected, total = oracle(x, dense_metric(distortion, x.mean(0, dtype=np.float64)))
    assert not found.constant
    np.testing.assert_allclose(found.eigenvalue, expected, rtol=1e-3, atol=1e-5 * expected[0])
    assert found.total == pytest.approx(total, rel=1e-4)


def test_counts_hold_in_many_more_dimensions_than_examples():
    """The spectrum 1 / k in 3,000 dimensions: 90 % take 1,272 axes. No other directions need fewer,
    so no honest count of 400 examples is below that. The examples that gave the directions have
    all of their own variance in 399.
    """
    spectrum = 1 / np.arange(1, 3_001)
    x = np.random.default_rng(6).standard_normal((400, 3_000)) * spectrum**0.5
    found = principal_components(x.astype(np.float32), distortions.SumSquaredError())
    assert len(found.eigenvalue) == 199 and found.total == pytest.approx(spectrum.sum(), rel=0.05)
    assert int(np.argmax(np.cumsum(spectrum) >= 0.9 * spectrum.sum())) + 1 == 1_272
    for share in scree.SHARES:
        assert found.count(share) is None
        assert found.words(found.count(share)) == "more than 199"
    # A share that they reach: at 20 % the best axes are the first; the estimate takes some more.
    best = int(np.argmax(np.cumsum(spectrum) >= 0.2 * spectrum.sum())) + 1
    assert best <= found.count(0.2) <= best + 2
    assert found.count_leaving(0.0) is None and found.count_leaving(0.8 * found.total) >= best
    assert found.count_above(1e-6) is None and found.count_above(0.4) == 2
    # The same numbers as an older version wrote them, of one set of examples.
    old = PrincipalComponents(np.ones(399), np.ones(399), 400, True)
    assert not old.honest and old.count(0.9) is None and old.words(None) == "not known"
    fine = PrincipalComponents(np.ones(10), np.ones(10), 400, True)
    assert fine.honest and fine.count(0.9) == 9


def test_the_standard_errors_are_those_of_repeated_samples():
    """Of Gaussian and of uniform scores, over 300 samples of 500: sqrt(2 / N) v, and sqrt(.8 / N) v
    of uniform ones.
    """
    rng = np.random.default_rng(3)
    sse = distortions.SumSquaredError()
    uniform = lambda size: rng.uniform(-3**0.5, 3**0.5, size)  # noqa: E731
    for draw, relative in ((rng.standard_normal, (2 / 500)**0.5), (uniform, (0.8 / 500)**0.5)):
        made = [
            principal_components((draw((500, 3)) * [4, 2, 1]).astype(np.float32), sse)
            for _ in range(300)
        ]
        spread = np.std([found.eigenvalue for found in made], 0)
        said = np.mean([found.standard_error for found in made], 0)
        np.testing.assert_allclose(said, relative * np.array([16, 4, 1]), rtol=0.06)
        # 300 samples: 4 % of a deviation, thrice over.
        np.testing.assert_allclose(said, spread, rtol=0.15)
        # Of examples that did not choose the directions: no bias.
        np.testing.assert_allclose(np.mean([found.eigenvalue for found in made], 0), [16, 4, 1],
                                   rtol=4 * relative / 300**0.5 + 0.004)  # and a little mixing


def test_what_is_refused():
    with refuses(ValueError):
        principal_components(CORRELATED[:3], distortions.SumSquaredError())
    with refuses(ValueError, "x"):
        principal_components(np.full((4, 2), np.nan), distortions.SumSquaredError())


def test_constant_data_have_no_variance():
    found = principal_components(np.ones((20, 3), np.float32), distortions.SumSquaredError())
    assert (found.eigenvalue == 0).all() and (found.standard_error
                                              == 0).all() and found.count(0.9) == 0


def test_examples_are_taken_from_all_of_sorted_data():
    assert pca.spread_out(5, 9).tolist() == [0, 2, 4, 6, 8]
    assert pca.spread_out(4, 4).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("share, count", [(0.5, 1), (0.5001, 2), (0.9, 3), (0.99, 4), (1, 4)])
def test_counts_for_a_share(share, count):
    """Of 5, 3, 1, 1 (in whatever order): the least number that reaches it, shares that are met
    exactly among them.
    """
    assert pca.count_for([1, 5, 3, 1], share) == count


def test_rounding_of_the_sum_costs_no_dimension():
    """Seven of twelve equal values are 7 / 12 of them, though the sum of seven tenths is below that
    in floating point.
    """
    assert pca.count_for([0.1] * 12, 7 / 12) == 7


@pytest.mark.parametrize("share", [0, -0.1, 1.01, np.nan, True, "0.9"])
def test_bad_shares(share):
    with refuses(ValueError, "share"):
        pca.count_for([1, 2], share)


@pytest.fixture(scope="module")
def linear(make_linear_vae):
    """The optimal linear VAE of Gaussian data with variances 4, 1, .49 and .01, beta .1 (the last
    collapses), and its `Scree`.
    """
    x = np.random.default_rng(4).standard_normal(
        (2_000, 4)).astype(np.float32) * np.float32([0.7, 2, 0.1, 1])
    values, vectors = np.linalg.eigh(np.cov(x.T))
    optimum = theory.LinearVAE(values, 0.1)
    vae = make_linear_vae(vectors * optimum.encoder_gain, (vectors * optimum.decoder_gain).T,
                          optimum.scale, 10.0)
    analysis = tfisovae.analyze(vae, x)
    return analysis, principal_components(x, vae.distortion), values[::-1]


def test_importances_of_the_linear_vae_are_the_eigenvalues_of_pca(linear):
    """v_j = (beta / 2) sigma_j^-2 of every component above beta / 2; the one below has collapsed,
    and is not counted.
    """
    analysis, components, values = linear
    made = Scree.of(analysis, components)
    assert made.active.tolist() == [True, True, True, False]
    np.testing.assert_allclose(made.importance[:3], values[:3], rtol=1e-4)
    # The directions of a half are off by little: 1 / N of the variance of the larger components.
    np.testing.assert_allclose(made.importance[:3], components.eigenvalue[:3], rtol=0.01)
    np.testing.assert_allclose(made.size[:3], values[:3] - 0.05, rtol=0.05)
    np.testing.assert_array_equal(made.size, analysis.cost_of_removal[made.dimension])
    sizes = made.size[:3]
    assert made.importance[3] == pytest.approx(0.05, rel=1e-4) and made.counted[3] == 0
    np.testing.assert_allclose(made.cumulative[:3], np.cumsum(sizes) / sizes.sum(), rtol=1e-6)
    assert [made.count(share) for share in scree.SHARES
            ] == [2, 3, 3] == [components.count(share) for share in scree.SHARES]
    np.testing.assert_allclose(
        analysis.share, made.counted[np.argsort(made.dimension)] / sizes.sum(), rtol=1e-4)


def test_components_of_equal_distortion(linear):
    """Three components leave v_4; the linear VAE leaves v_4 and sum h^2 / v, as much as no fewer
    than 3 components do.
    """
    analysis, components, values = linear
    made = Scree.of(analysis, components)
    assert made.transform_loss == pytest.approx(values[3] + np.sum(0.05**2 / values[:3]), rel=0.05)
    assert made.components_of_equal_distortion == 3
    assert dataclasses.replace(
        made, transform_loss=values[2:].sum() * 1.01).components_of_equal_distortion == 2
    assert dataclasses.replace(made, transform_loss=0.0).components_of_equal_distortion in (4, None)
    assert Scree.of(analysis).components_of_equal_distortion is None
    said = made.sentences()
    assert said.startswith(
        "2, 3 and 3 dimensions have 90, 95 and 99 % of the cost of removal of all. That is a share "
        "of the model's outputs.\n2, 3 and 3 principal components have as much of the "
        "variance of the data.\n")
    assert (". To leave no more takes 3 principal components. Of all components, 3 have a variance "
            "above beta / 2.") in said
    # 4 and 1, not .49.
    assert "Of all components, 2 have" in dataclasses.replace(made, floor=0.6).sentences()


def test_the_interval_is_that_of_the_mean_over_examples(linear):
    """With an error of e it is 1.96 e to each side, and not below 0. sigma is the same for every
    example here: the importance of an older version has no width.
    """
    made = Scree.of(linear[0])
    np.testing.assert_allclose(made.interval[1] - made.cost, 1.959964 * made.cost_error)
    made = dataclasses.replace(made, cost=None)
    np.testing.assert_allclose(made.interval, [made.importance] * 2, rtol=1e-4)
    # Of E[sigma_j^-2]; that of the importance is beta / 2 = .05 of it.
    errors = np.array([1.0, 2.0, 3.0, 4.0])
    np.testing.assert_allclose(
        Scree.of(dataclasses.replace(linear[0], precision_standard_error=errors)).standard_error,
        0.05 * errors[made.dimension])
    wide = dataclasses.replace(made, standard_error=np.array([0.1, 0.1, 1.0, np.nan]))
    np.testing.assert_allclose(wide.interval[1] - wide.importance,
                               1.959964 * np.array([0.1, 0.1, 1, 0]), rtol=1e-6)
    assert wide.interval[0, 2] == 0


def test_there_and_back(linear, tmp_path):
    """Beside the fields of isometry.json; a JSON of an older version has no components."""
    analysis, components, _ = linear
    analysis.save(tmp_path / "a.json", principal_components=pca.to_save(components))
    analysis.save(tmp_path / "old.json")
    new, old = (Scree.from_saved(json.loads((tmp_path / name).read_text()))
                for name in ("a.json", "old.json"))
    np.testing.assert_allclose(new.importance, Scree.of(analysis).importance, rtol=1e-6)
    np.testing.assert_allclose(new.components.eigenvalue, components.eigenvalue, rtol=1e-6)
    assert (new.components.constant, new.components.num_examples) == (True, 2_000)
    assert old.components is None and old.count(0.95) == 3 and "principal" not in old.sentences()


def test_a_collapsed_model(linear):
    """There is nothing to share out, and the picture is drawn all the same."""
    analysis = dataclasses.replace(linear[0], active=np.zeros(4, bool))
    made = Scree.of(analysis, linear[1])
    assert made.count(0.9) == 0 and np.isnan(made.cumulative).all() and (analysis.share == 0).all()
    assert made.sentences() == (
        "No latent dimension is active: there is no cost of removal to share out.")
    assert len(importance.both(made, "collapsed").axes) == 2
    assert importance.both(made)._repr_png_()


def test_the_picture_holds_the_numbers(linear):
    analysis, components, values = linear
    left, right = importance.both(Scree.of(analysis, components), "title").axes
    heights = [
        np.max(bars.get_path().vertices.reshape(-1, 5, 2)[..., 1], 1) for bars in left.patches
    ]
    # The collapsed one costs nothing, which a logarithmic axis cannot show.
    np.testing.assert_allclose(np.concatenate(heights), analysis.cost_of_removal[
        analysis.ranking[:3]], rtol=1e-6)
    importances = next(line for line in left.lines if line.get_gid() == "strokes" and
                       line.get_linewidth() == 1.5)
    np.testing.assert_allclose(importances.get_ydata()[::3], [*values[:3], 0.05], rtol=1e-4)
    labels = [text.get_text() for text in right.get_legend().get_texts()]
    assert labels == [
        "latent dimensions: 2, 3, 3 for 90, 95, 99 %",
        "principal components: 2, 3, 3 for 90, 95, 99 %"
    ]
    elsewhere = dataclasses.replace(components, constant=False)
    left, _ = importance.both(Scree.of(analysis, elsewhere)).axes
    assert "eigenvalues of a PCA, metric at the mean" in [
        text.get_text() for text in left.get_legend().get_texts()]
