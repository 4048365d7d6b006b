"""The cost of removal: closed forms, what pruning measures, and data with clusters and gaps."""
import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import ndtr, ndtri

import tfisovae
from tests.metrics.optimal import OptimalVAE, mixture
from tests.support import linear_vae
from tfisovae import theory
from tfisovae.analysis.clusters import has_clusters
from tfisovae.analysis.scree import Scree, shares_of
from tfisovae.metrics import removal
from tfisovae.metrics.removal import Sample

LMBDA = 100.0
H = 1 / (2 * LMBDA)


def whitened(count, n, seed=0):
    """A sample `[count, n]` with mean 0 and covariance I."""
    x = np.random.default_rng(seed).standard_normal((count, n))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T


def linear(v, h, **kwargs):
    """The optimal linear VAE of variances v, and a sample that has these variances."""
    optimum = theory.LinearVAE(v, 2 * h)
    vae = linear_vae(np.diag(optimum.encoder_gain), np.diag(optimum.decoder_gain), optimum.scale,
                     1 / (2 * h), **kwargs)
    return vae, (whitened(2_000, len(v)) * v**0.5).astype(np.float32)


@pytest.mark.parametrize("decomposed", [False, True])
def test_of_a_linear_vae_it_is_exact(decomposed):
    """v - h of D and (v/h - 1 - log(v/h)) / 2 nats, with both losses; nothing for a collapsed one.
    What is left is the noise of the posterior: 4 errors.
    """
    h, v = 0.05, np.array([0.25, 4.0, 0.01, 1.0])
    vae, x = linear(v, h, decomposed=decomposed)
    live, kl = v > h, np.log(np.maximum(v / h, 1)) / 2
    found = removal.removal(vae, x, np.zeros(4))
    assert (np.abs(found.cost - np.where(live, v - h, 0)) <= 4 * found.standard_error + 1e-6).all()
    nats = np.where(live, (v / h - 1 - np.log(v / h)) / 2, 0)
    assert (np.abs(found.cost / (2 * h) - kl - nats) <= 4 * found.standard_error / (2 * h)
            + 1e-4).all()
    # D rises by v s^2 and less: of Gaussian s its deviation is near sqrt(2) v.
    assert found.standard_error[1] == pytest.approx(4 * (2 / 2_000)**0.5, rel=0.1)
    assert found.num_examples == 2_000 and (found.counts.sum(1) == 2_000).all()


def test_in_an_analysis_it_ranks():
    """Next to the importance, which is v and exact here; there and back through JSON."""
    h, v = 0.05, np.array([0.25, 4.0, 0.01, 1.0])
    vae, x = linear(v, h)
    found = tfisovae.analyze(vae, x)
    alone = removal.removal(vae, x, np.zeros(4))
    np.testing.assert_allclose(found.cost_of_removal, alone.cost, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.removal_nats, alone.cost / (2 * h) - found.kl_mean,
                               rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.importance, np.maximum(v, h), rtol=1e-4)
    assert found.ranking.tolist() == [1, 3, 0, 2] and found.removal_examples == 2_000
    counted = np.where(v > h, found.cost_of_removal, 0)
    np.testing.assert_allclose(found.share, counted / counted.sum())
    assert "clusters" not in found.table() and "importance of" not in found.table()
    back = type(found).from_dict(found.to_dict())
    np.testing.assert_allclose(back.removal_nats, found.removal_nats)
    np.testing.assert_array_equal(back.mean_counts, found.mean_counts)
    np.testing.assert_array_equal(Scree.of(back).size, found.cost_of_removal[found.ranking])
    # A measurement of an older version ranks by what it has.
    old = dataclasses.replace(found, cost_of_removal=None)
    assert old.removal_nats is None and "cost of removal" not in old.table()
    np.testing.assert_allclose(old.share, np.where(v > h, v, 0) / 5.25, rtol=1e-4)
    assert Scree.of(old).differences() == [] and Scree.of(old).size_name == "importance"


def test_it_is_what_pruning_that_variable_alone_measures():
    """By an independent way: a smaller network, the same noise. The decoder is curved, the means
    are not 0, and the loss is decomposed, so that both of its points change.
    """
    tf.keras.utils.set_random_seed(3)
    layers = tf.keras.layers
    encoder = tf.keras.Sequential([layers.Input((5,)), layers.Dense(8, "tanh"), layers.Dense(6)])
    decoder = tf.keras.Sequential([layers.Input((3,)), layers.Dense(8, "tanh"), layers.Dense(5)])
    vae = tfisovae.VAE(encoder, decoder, "sse", 5.0, decomposed=True)
    x = np.random.default_rng(1).uniform(size=(60, 5)).astype(np.float32)
    pruned = tfisovae.prune(vae, [0, 2], x).pruning
    mean, scale = vae.encode(x)
    found = removal.removal(vae, x, np.mean(mean, 0))
    assert pruned.distortion.difference == pytest.approx(found.cost[1], rel=1e-4)
    assert pruned.distortion.standard_error == pytest.approx(found.standard_error[1], rel=1e-4)
    assert pruned.distortion.predicted == pytest.approx(pruned.distortion.difference, rel=1e-4)
    assert pruned.rate.predicted == pytest.approx(pruned.rate.difference, rel=1e-4)


def rows_of(x, size):
    for first in range(0, len(x), size):
        yield tf.constant(x[first:first + size]), first


@pytest.mark.parametrize("count, size", [(37, 10), (9_999, 1_000), (10_001, 10_001)])
def test_a_sample_of_few_is_all_of_them(count, size):
    x = np.arange(count, dtype=np.float32)[:, None]
    sample = Sample(rows_of(x, size))
    passed = np.concatenate([batch for batch, _ in sample])
    np.testing.assert_array_equal(passed, x)
    kept = sample.x
    assert len(kept) == min(count, 10_000) and (np.diff(kept[:, 0]) > 0).all()


def test_a_sample_of_many_is_an_even_one(monkeypatch):
    """Sorted data, 20,000 for 500 places: the mean of the sample is the middle, over 40 seeds. One
    sample's mean has the error 20,000 / sqrt(12 * 500); batches do not change what is drawn.
    """
    monkeypatch.setattr(removal, "_MOST", 500)
    x = np.arange(20_000, dtype=np.float32)[:, None]
    means = []
    for seed in range(40):
        sample = Sample(rows_of(x, 3_000), seed)
        for _ in sample:
            pass
        kept = sample.x
        assert len(np.unique(kept)) == len(kept) == 500
        means.append(kept.mean())
    error = 20_000 / (12 * 500)**0.5
    assert abs(np.mean(means) - 10_000) < 4 * error / 40**0.5
    assert np.std(means) == pytest.approx(error, rel=0.45)  # 4 deviations of a deviation of 40
    other = Sample(rows_of(x, 777), 39)
    assert sum(1 for _ in other) == 26
    np.testing.assert_array_equal(other.x, kept)


@functools.cache
def solved(name):
    """The optimal VAE of one source of each kind, and whether its data have gaps."""
    uniform, size = np.linspace(-1, 1, 151), 151
    kinds = {
        "two clusters": mixture((-1, 1), 0.1, size),
        "three clusters": mixture((-1, 0, 1), 0.1, size),
        "four clusters": mixture(np.linspace(-1, 1, 4), 0.1, size),
        "a discrete factor": (np.arange(5) - 1.0, [0.1, 0.4, 0.2, 0.2, 0.1]),
        "a gap": (uniform, np.abs(uniform) > 0.5), "a binary factor": ([-1.0, 1.0], [0.5, 0.5]),
        "Gaussian": mixture((0,), 0.5, size), "uniform": (uniform, np.ones(size)),
    }
    return OptimalVAE(*kinds[name], LMBDA)


def with_a_gaussian(name, count=2_000, seed=0, variance=0.25):
    """A VAE of a source next to a Gaussian one, and its data: `[count, 2]`."""
    source, rng = solved(name), np.random.default_rng(seed)
    gaussian = theory.LinearVAE(np.array([variance]), 2 * H)
    gain, back, scale = (float(part[0]) for part in (gaussian.encoder_gain, gaussian.decoder_gain,
                                                     gaussian.scale))

    def encode(x):
        mean, spread = source.encode(x[:, 1])
        return (np.stack([gain * x[:, 0], mean], 1),
                np.stack([np.full(len(x), scale), spread], 1))

    def decode(z):
        return np.stack([back * z[:, 0], source.decode(z[:, 1])], 1)

    s = rng.choice(source.values, count, p=source.weights)
    x = np.stack([variance**0.5 * rng.standard_normal(count), s], 1).astype(np.float32)
    model = tfisovae.as_autoencoder((encode, decode), distortion="sse", beta=2 * H, scale="scale")
    return model, x


def scree_of(model, x, means, scales, slopes):
    """The `Scree` of a model whose posterior and slopes D'_j at the data `[N, n]` are known."""
    found = removal.removal(model, x, means.mean(0))
    precision = 1 / np.square(scales)
    errors = precision.std(0) / len(x)**0.5
    return found, Scree(np.arange(means.shape[1]), H * precision.mean(0), H * errors,
                        np.full(means.shape[1], True), H, 0.0, None, found.cost,
                        found.standard_error, slopes.mean(0),
                        np.array([has_clusters(counts) for counts in found.counts]))


@pytest.mark.parametrize("name, gaps", [
    ("two clusters", True), ("three clusters", True), ("four clusters", True), ("a gap", True),
    ("a binary factor", True), ("a discrete factor", True), ("Gaussian", False),
    ("uniform", False)])
def test_clusters_and_gaps_are_named_and_nothing_else_is(name, gaps):
    """Removal costs E[(s - Dec(0))^2] less the distortion, at most about h, wherever the data are.
    The importance misses what lies between clusters. Of three and four clusters it misses factors
    of 1.8 and 1.2 only; the shape of the posterior means names them.
    """
    model, x = with_a_gaussian(name)
    source, parts = solved(name), [np.asarray(part) for part in model.encode(x)]
    slopes = np.stack([np.full(len(x), 0.25 - H), np.square(
        (source.decode(parts[0][:, 1] + 0.01) - source.decode(parts[0][:, 1] - 0.01)) / 0.02)], 1)
    found, made = scree_of(model, x, *parts, slopes)
    fixed = source.decode(parts[0][:, 1].mean())
    apart = float(source.weights @ np.square(source.values - fixed))
    assert apart - 1.2 * H < found.cost[1] + 5 * found.standard_error[1]
    assert apart > found.cost[1] - 5 * found.standard_error[1]
    assert found.cost[0] == pytest.approx(0.25 - H, abs=4 * found.standard_error[0])
    assert made.has_gaps.tolist() == [False, gaps] and not made.is_overestimated.any()
    said = [f"z_1 has clusters or gaps. Removing it costs {found.cost[1]:.3g} of D, but its "
            f"importance predicts {made.predicted[1]:.3g}. Importance ignores the distance "
            "between clusters."]
    assert made.differences() == said * gaps


@pytest.mark.parametrize("name", ["three clusters", "a gap", "a discrete factor"])
def test_the_ranking_is_that_of_pruning_both_ways(name):
    """The Gaussian variable has a variance between the prediction for the source and its cost. By
    importance it would be kept. Keeping the source leaves the smaller distortion, computed here
    without the package, and so do the shares.
    """
    source = solved(name)
    predicted = H * (source.weights @ source.scales**-2.0) - H
    apart = source.weights @ np.square(source.values - source.decode(
        source.weights @ source.means))
    variance = (predicted * apart)**0.5
    assert predicted + 10 * H < variance < apart - 10 * H
    model, x = with_a_gaussian(name, variance=variance)
    mean, scale = (np.asarray(part) for part in model.encode(x))
    noise = np.random.default_rng(1).standard_normal(x.shape)
    left = []
    whole = np.square(x - model.decode(mean + scale * noise)).sum(1).mean()
    for removed in (0, 1):
        z = mean + scale * noise
        z[:, removed] = mean[:, removed].mean()
        left.append(np.square(x - model.decode(z)).sum(1).mean())
    assert left[0] < left[1]
    found = removal.removal(model, x, mean.mean(0))
    assert np.argsort(-found.cost).tolist() == [1, 0]
    assert found.cost[1] - found.cost[0] == pytest.approx(left[1] - left[0], abs=4 * np.hypot(
        *found.standard_error))
    rises = np.array(left) - whole
    np.testing.assert_allclose(shares_of(found.cost, [True, True]), rises / rises.sum(), atol=0.03)
    assert tfisovae.prune(model, 1, x).pruning.kept.tolist() == [1]


def test_a_circle_ranks_below_a_gaussian_variable_that_costs_more():
    """A variance of 2.6 next to a circle of radius 1: the importance of the circle is 3.6, and its
    removal costs 2. Without noise of the posterior, NumPy alone.
    """
    z = np.random.default_rng(0).standard_normal((4_000, 2))

    def encode(x):
        x = np.asarray(x, np.float64)
        mean = np.stack([ndtri(np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) + 0.5),
                         x[:, 2] / 2.6**0.5], 1)
        return mean, np.full_like(mean, 1e-3)

    def decode(z):
        angle = 2 * np.pi * (ndtr(np.asarray(z[:, 0], np.float64)) - 0.5)
        return np.stack([np.cos(angle), np.sin(angle), 2.6**0.5 * z[:, 1]], 1)

    model = tfisovae.as_autoencoder((encode, decode), distortion="sse", beta=2 * H, scale="scale")
    found = removal.removal(model, decode(z).astype(np.float32), np.zeros(2))
    np.testing.assert_allclose(found.cost, [2, 2.6], atol=0.25)  # 4 errors of 4,000 examples


@pytest.mark.parametrize("lmbda", [100, 1_000])
@pytest.mark.parametrize("number", [3, 10])
def test_the_ratio_of_equal_points_is_that_of_the_formula(number, lmbda):
    """Optimal VAEs of 3 and 10 points at the distance 1: within 20 %, the sum over the inner points
    alone being an approximation.
    """
    h = 1 / (2 * lmbda)
    source = OptimalVAE(np.arange(number) - (number - 1) / 2, np.ones(number), lmbda)
    cost = source.weights @ np.square(source.values - source.decode(source.weights @ source.means))
    ratio = cost / (h * (source.weights @ source.scales**-2.0))
    assert ratio == pytest.approx(np.pi * 3**0.5 / 48 / h / np.log(1 / h), rel=0.2)


def test_two_clusters():
    """The importance would keep the Gaussian variable, whose removal costs a quarter as much. The
    decoder goes from one cluster to the other at z = 0: removal costs 1.01 - D = 1.0065.
    """
    model, x = with_a_gaussian("two clusters")
    found = tfisovae.analyze(model, x)
    assert found.importance[0] > found.importance[1]
    assert found.ranking.tolist() == [1, 0] and found.share[1] > 0.75
    assert "\nz_1 has clusters or gaps. Removing it costs 1.0" in found.table()
    made = Scree.of(found)
    assert made.dimension.tolist() == [1, 0] and (made.count(0.7), made.count(0.9)) == (1, 2)
    small = tfisovae.prune(model, 1, x).pruning
    assert small.kept.tolist() == [1] and small.share == pytest.approx(found.share[1], rel=1e-3)
    assert small.loss.difference == pytest.approx(found.removal_nats[0], rel=1e-3)
    assert found.cost_of_removal[1] == pytest.approx(1.0065, abs=0.06)  # which z = 0 means
    assert found.removal_nats[1] > 95 > 25 > found.removal_nats[0]


@pytest.mark.parametrize("turns, wrong", [(0.25, False), (1, True), (3, True)])
def test_a_circle_on_one_variable_is_overestimated(turns, wrong):
    """Removal costs E|x - (1, 0)|^2 = 2 - 2 sin(pi turns) / (pi turns). The importance is h more
    than (2 pi turns)^2 E[p(z)^2] = turns^2 2 pi / sqrt(3), with p the density of z: 1.81 times 2
    once round. A quarter of a circle is nearly straight.
    """
    z = np.random.default_rng(0).standard_normal((1_000, 1))
    slope = 2 * np.pi * turns * np.exp(-z**2 / 2) / np.sqrt(2 * np.pi)
    scale = np.sqrt(H / (H + slope**2))

    def decode(z):
        angle = 2 * np.pi * turns * (ndtr(np.asarray(z, np.float64)) - 0.5)
        return np.concatenate([np.cos(angle), np.sin(angle), np.zeros_like(angle)], 1)

    x = decode(z)
    x[:, 2:] = np.arange(1_000)[:, None] / 1e6  # by which the encoder knows z

    def encode(x):
        at = np.clip(np.rint(x[:, 2] * 1e6).astype(int), 0, 999)
        return z[at], scale[at]

    model = tfisovae.as_autoencoder((encode, decode), distortion="sse", beta=2 * H, scale="scale")
    found, made = scree_of(model, x.astype(np.float32), z, scale, slope**2)
    assert found.cost[0] == pytest.approx(2 - 2 * np.sinc(turns),
                                          abs=5 * found.standard_error[0] + H)
    assert made.predicted[0] == pytest.approx(turns**2 * 2 * np.pi / 3**0.5,
                                              abs=5 * made.standard_error[0])
    assert made.is_overestimated.tolist() == [wrong] and not made.has_gaps.any()
    assert [line.startswith("The importance of z_0 is too high. Removing it costs")
            for line in made.differences()] == [True] * wrong


@pytest.mark.parametrize("count, among", [(20, 100), (100, 200), (1_000, 200)])
def test_gaussian_data_give_no_false_alarm(count, among):
    """The optimal linear VAE of variances from 1.2 h to 1,000 h, 500 data sets of each size: an
    alarm in at most one of 200 dimensions, of 20 examples in one of 100. Simulated without
    TensorFlow.
    """
    rng, alarms = np.random.default_rng(count), 0
    v = H * np.geomspace(1.2, 1_000, 8)
    gain, scale = np.sqrt(v - H), np.sqrt(H / v)
    for _ in range(500):
        s, e = rng.standard_normal((2, count, 8))
        s = s * np.sqrt(v)
        mean = s * np.sqrt(v - H) / v
        rise = np.square(s - gain * mean.mean(0)) - np.square(s - gain * (mean + scale * e))
        made = Scree(np.arange(8), v, np.zeros(8), v > 0, H, 0.0, None, rise.mean(0),
                     rise.std(0, ddof=1) / count**0.5, v - H)
        alarms += int(made.has_gaps.sum() + made.is_overestimated.sum())
    assert alarms <= 8 * 500 / among
