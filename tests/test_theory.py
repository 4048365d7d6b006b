"""Closed forms against numerical optimisation and integration."""
import math
import types

import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.special
import scipy.stats

from tests.messages import refuses
from tfisovae import sources, theory

NORM = np.array([1 / 6, 2 / 3, 8 / 3])


def linear_loss(parameters, v, beta):
    """E[L] of the linear VAE, by definition: D and KL of Gaussians."""
    a, b, log_scale = parameters
    s2 = math.exp(2 * log_scale)
    kl = 0.5 * (a * a * v - 2 * log_scale - 1 + s2)
    return (1 - a * b) ** 2 * v + b * b * s2 + beta * kl


@pytest.mark.parametrize("v, beta", [(1.0, 0.1), (2 / 3, 0.01), (8 / 3, 1.0), (1 / 6, 0.2),
                                     (1 / 6, 1.0)])
def test_the_linear_vae_minimises_its_loss(v, beta):
    """Nelder-Mead from three starts finds no lower loss, and the same point."""
    vae = theory.LinearVAE(v, beta)
    at = (float(vae.encoder_gain), float(vae.decoder_gain), math.log(vae.scale))
    found = min((scipy.optimize.minimize(linear_loss, start, (v, beta), "Nelder-Mead",
                                         options={"xatol": 1e-10, "fatol": 1e-14, "maxiter": 5000})
                 for start in [(1, 1, -1), (0.5, 0.5, -2), (0.1, 0.1, 0)]), key=lambda r: r.fun)
    assert linear_loss(at, v, beta) == pytest.approx(found.fun, abs=1e-9)
    assert float(vae.distortion + beta * vae.rate) == pytest.approx(found.fun, abs=1e-9)
    np.testing.assert_allclose(
        [abs(found.x[0] * found.x[1]), math.exp(found.x[2])], [at[0] * at[1], vae.scale], atol=1e-4)


def test_numbers_of_the_linear_vae():
    vae = theory.LinearVAE(1.0, 0.1)
    assert vae.encoder_gain == pytest.approx(
        0.974679, abs=1e-6) and vae.decoder_gain == pytest.approx(0.974679, abs=1e-6)
    assert vae.scale**2 == pytest.approx(0.05) and vae.norm == pytest.approx(0.95)
    assert [vae.transform_loss, vae.coding_loss] == pytest.approx([0.0025, 0.0475])
    assert vae.rate == pytest.approx(1.497866, abs=1e-6)
    assert vae.distortion + 0.1 * vae.rate == pytest.approx(0.199787, abs=1e-6)


@pytest.mark.parametrize("lmbda, distortion, rate, norms, precision", [
    (100, 0.015, 7.339278, [0.97, 0.9925, 0.998125], [33.3333, 133.333, 533.333]),
    (5, 0.3, 2.845680, [0.4, 0.85, 0.9625], [1.66667, 6.66667, 26.6667]),
    (1, 1.166667, 0.980829, [0, 0.25, 0.8125], [1, 1.33333, 5.33333]),
])
def test_the_norm_data(lmbda, distortion, rate, norms, precision):
    """The table of exact optima, which is also reverse water-filling at d = beta / 2."""
    vae = theory.LinearVAE(NORM, 1 / lmbda)
    assert vae.distortion.sum() == pytest.approx(
        distortion, abs=1e-6) and vae.rate.sum() == pytest.approx(rate, abs=1e-6)
    np.testing.assert_allclose(vae.norm, norms, atol=1e-6)
    np.testing.assert_allclose(vae.precision, precision, rtol=1e-5)
    assert theory.reverse_water_filling(NORM, 0.5 / lmbda) == pytest.approx((rate, distortion),
                                                                            abs=1e-6)


def test_losses_at_given_betas():
    vae = theory.LinearVAE(NORM, 0.1)
    assert vae.coding_loss.sum() == pytest.approx(0.130313, abs=1e-6)
    assert vae.transform_loss.sum() / vae.coding_loss.sum() == pytest.approx(0.151079, abs=1e-6)
    vae = theory.LinearVAE(NORM, 0.01)
    assert vae.transform_loss.sum() / vae.coding_loss.sum() == pytest.approx(0.013300, abs=1e-6)
    assert 0.013300 == pytest.approx(21 * 0.01 / 16, rel=0.02)  # the paper's law


@pytest.mark.parametrize("level", [0.01, 0.3, 1.0])
def test_reverse_water_filling_is_the_optimal_allocation(level):
    """At the same total distortion, no allocation has a lower rate (SLSQP over d_j)."""
    rate, distortion = theory.reverse_water_filling(NORM, level)
    found = scipy.optimize.minimize(
        lambda d: 0.5 * np.sum(np.log(NORM / d)), NORM * distortion / NORM.sum(), method="SLSQP",
        bounds=[(1e-9, v) for v in NORM],
        constraints={"type": "eq", "fun": lambda d: d.sum() - distortion}, options={"ftol": 1e-14})
    assert found.success and rate == pytest.approx(found.fun, abs=1e-6)


def test_quantizer_rates():
    """Against the probability of a cell by integration, within the stated ranges."""
    for mean in (0.0, 0.5, 1.0):
        for scale in (0.05, 0.1):
            half = math.sqrt(3) * scale
            rate = -math.log(
                scipy.integrate.quad(scipy.stats.norm.pdf, mean - half, mean + half)[0])
            assert theory.exact_quantizer_rate(mean, scale) == pytest.approx(rate, abs=1e-9)
            assert theory.quantizer_rate(mean, scale) == pytest.approx(rate, abs=0.01)
            assert theory.simple_quantizer_rate(mean, scale) == pytest.approx(rate, abs=0.015)
    kl = 0.5 * (0.3**2 + 0.1**2 - math.log(0.1**2) - 1)
    assert theory.quantizer_rate(0.3, 0.1) - kl == pytest.approx(
        0.5 * math.log(math.pi * math.e / 6))
    assert theory.exact_quantizer_rate(30.0, 0.1) == pytest.approx(
        theory.exact_quantizer_rate(-30.0, 0.1))


@pytest.mark.parametrize("scale, excess", [(0.1, 0.171460), (0.2, 0.156095), (0.3, 0.129574)])
def test_what_quantisation_costs_beyond_the_kl(scale, excess):
    """The entropy of the quantised Gaussian minus the mean KL at the cells' centres, by direct
    sums.
    """
    step = 2 * math.sqrt(3) * scale
    count = int(8 / step)
    centers = step * np.arange(-count, count + 1)
    p = scipy.stats.norm.cdf(centers + step / 2) - scipy.stats.norm.cdf(centers - step / 2)
    kl = 0.5 * (centers**2 + scale**2 - math.log(scale**2) - 1)
    assert -np.sum(p * np.log(p)) - np.sum(p * kl) == pytest.approx(excess, abs=2e-6)
    assert theory.quantizer_excess_rate(scale) == pytest.approx(excess, abs=1e-5)


@pytest.mark.parametrize("call", [
    lambda: theory.LinearVAE(0.0, 0.1), lambda: theory.LinearVAE(1.0, -1),
    lambda: theory.reverse_water_filling([1, np.nan], 0.1), lambda: theory.quantizer_rate(0, 0)
])
def test_bad_input(call):
    with refuses(ValueError):
        call()


@pytest.mark.parametrize("deviation", [0.5, 1, 3, 5])
def test_shape_precision_of_heavy_tails(deviation):
    """s = e^(d z): E[(ds/dz)^2] = d^2 e^(2 d^2), half of which lies beyond 2 d deviations of z."""
    exact = deviation**2 * math.exp(2 * deviation**2)
    assert theory.shape_precision(scipy.stats.lognorm(deviation), 2.0) == pytest.approx(
        exact, rel=1e-6)


def test_shape_precision_of_a_heavy_lower_tail():
    heavy = scipy.stats.lognorm(3)
    mirrored = types.SimpleNamespace(var=heavy.var, median=lambda: -1.0,
                                     logpdf=lambda s: heavy.logpdf(-s), ppf=lambda q: -heavy.isf(q),
                                     isf=lambda q: -heavy.ppf(q), logcdf=lambda s: heavy.logsf(-s),
                                     logsf=lambda s: heavy.logcdf(-s))
    assert theory.shape_precision(mirrored, 2.0) == pytest.approx(
        theory.shape_precision(heavy, 2.0), rel=1e-9)


def test_shape_precision_of_an_exponential_and_where_there_is_none():
    """By a sum over a fine grid of z; where the variance or the weighted expectation is infinite
    there is none.
    """
    z = np.linspace(-12, 12, 2_000_001)
    slope = scipy.stats.norm.pdf(z) / scipy.stats.norm.sf(z)  # ds/dz of s = -log(1 - Phi(z))
    exact = np.sum(scipy.stats.norm.pdf(z) * slope**2) * (z[1] - z[0])
    assert theory.shape_precision(scipy.stats.expon(), 2.0) == pytest.approx(exact, rel=1e-6)
    with refuses(ValueError):
        theory.shape_precision(scipy.stats.t(2), 2.0)
    with refuses(ValueError):
        theory.shape_precision(scipy.stats.expon(), 2.0, weight=np.exp)


def test_the_norm_of_a_curved_decoder_is_not_one_minus_its_variance():
    """Decoder (z, 1.5 z^2), |x - x_hat|^2, beta .1, mu from N(0, 1): the optimal sigma by
    minimisation.
    """
    beta, (nodes, weights) = 0.1, np.polynomial.hermite_e.hermegauss(40)
    weights = weights / math.sqrt(2 * math.pi)

    def decode(z):
        return np.stack([z, 1.5 * z**2])

    def loss(log_scale, mean):
        return weights @ np.sum((decode(mean + math.exp(log_scale) * nodes) - decode(mean)[:, None])
                                **2, 0) + beta / 2 * (math.exp(2 * log_scale) - 2 * log_scale)

    def optimal_variance(mean):
        return math.exp(
            2 * scipy.optimize.minimize_scalar(loss,
                                               (-3, 0), args=(mean, ), options={"xtol": 1e-10}).x)

    means = np.linspace(-6, 6, 241)
    share = scipy.stats.norm.pdf(means) / scipy.stats.norm.pdf(means).sum()
    variance = np.array([optimal_variance(mean) for mean in means])
    norm = 2 / beta * variance * (1 + 9 * means**2)
    assert share @ (1 - variance) == pytest.approx(0.987, abs=5e-4)
    assert share @ norm == pytest.approx(0.9105, abs=2e-3)
    # E[eps sigma dD/dz] = beta (1 - sigma^2) holds; the norm lacks what the fourth power of z gives
    # it.
    np.testing.assert_allclose(1 - variance - norm, 27 * variance**2 / beta, atol=2e-5)


def blahut_arimoto(x, p, level, rounds=3000):
    """A point of the rate-distortion curve of a discrete source under squared error: `(rate,
    distortion)`, nats.
    """
    square = (x[:, None] - x) ** 2
    kernel, q = np.exp(-square / (2 * level)), np.full(len(x), 1 / len(x))
    for _ in range(rounds):
        q = q * (kernel.T @ (p / (kernel @ q)))
    joint = p[:, None] * kernel * q / (kernel @ q)[:, None]
    rate = np.sum(joint * np.log(np.maximum(joint, 1e-300) / (p[:, None] * joint.sum(0) + 1e-300)))
    return rate, np.sum(joint * square)


@pytest.mark.parametrize("shape", [scipy.stats.uniform(-0.5, 1), scipy.stats.triang(1, -2 / 3, 1)])
def test_shannons_lower_bound_is_below_every_code(shape):
    """The best code, by Blahut and Arimoto on a fine grid, is above the bound at its distortion,
    and comes nearer as D falls.
    """
    x = np.linspace(*shape.support(), 301)[:-1] + 1 / 600
    p = shape.pdf(x) / shape.pdf(x).sum()
    gaps = []
    for level in (0.02, 0.005, 0.0005):
        rate, distortion = blahut_arimoto(x, p, level)
        gaps.append(rate - theory.shannon_lower_bound([shape.entropy()], distortion)[0])
    assert min(gaps) > -2e-3 and gaps[0] > 1.5 * gaps[1] > 2 * gaps[2] and gaps[2] < 0.06


def test_shannons_lower_bound_of_gaussians_is_their_curve():
    """Eq. 4; and adding a component of less entropy power than the level costs no rate."""
    entropies = 0.5 * np.log(2 * math.pi * math.e * NORM)
    np.testing.assert_allclose(theory.entropy_power(entropies), NORM, rtol=1e-12)
    for level in (0.005, 0.3):
        assert theory.shannon_lower_bound(entropies, level) == pytest.approx(
            theory.reverse_water_filling(NORM, level), rel=1e-12)
    rate, distortion = theory.shannon_lower_bound([*entropies, -5.0], 0.005)
    assert (rate, distortion - theory.entropy_power(-5.0)) == pytest.approx(
        theory.shannon_lower_bound(entropies, 0.005))


def test_entropies_of_the_toy_sources():
    """The closed forms against integrals of -p log p; entropy powers are below the variances, but
    of Gaussians.
    """
    for name, shapes in sources.TOYS.items():
        ends = [np.clip(shape.support(), -12, 12) for shape in shapes]
        integrals = [
            scipy.integrate.quad(lambda s, shape=shape: scipy.special.entr(shape.pdf(s)), *end,
                                 points=(0, ))[0] for shape, end in zip(shapes, ends)
        ]
        np.testing.assert_allclose(sources.toy_entropies(name), integrals, atol=1e-6)
        ratios = theory.entropy_power(
            sources.toy_entropies(name)) / [shape.var() for shape in shapes]
        assert (ratios < 1 - 0.01).all() if name != "norm" else np.allclose(ratios, 1)
    assert sources.toy_entropies("mix")[:2] == pytest.approx([0.5, math.log(2 * math.sqrt(2))])


@pytest.mark.parametrize("scale", [0.05, 0.3, 1.0])
def test_the_rate_of_a_dithered_quantiser(scale):
    """By an integral over the dither; and of Gaussian means of variance 1 - sigma^2 it is KL +
    log(pi e / 6) / 2 to sigma^4.
    """
    half = math.sqrt(3) * scale
    for mean in (0.0, 0.7, -2.5):
        exact = scipy.integrate.quad(
            lambda u, mean=mean: theory.exact_quantizer_rate(mean + u, scale), -half,
            half)[0] / (2 * half)
        assert theory.dithered_quantizer_rate(mean, scale) == pytest.approx(exact, abs=2e-6)
    if scale < 1:
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        rate = weights @ theory.dithered_quantizer_rate(math.sqrt(1 - scale**2) * nodes,
                                                        scale) / math.sqrt(2 * math.pi)
        limit = -math.log(scale) + 0.5 * math.log(math.pi * math.e / 6)
        assert abs(rate - limit) < scale**4


def test_importance_is_the_eigenvalue_of_a_component():
    """Eq. 16 of the optimal linear VAE: the variance of each component above beta / 2."""
    variances, beta = np.array([4.0, 1.0, 0.25]), 0.1
    optimum = theory.LinearVAE(variances, beta)
    np.testing.assert_allclose(theory.importance(optimum.precision, beta), variances, rtol=1e-12)
    assert theory.importance(1.0, beta) == 0.05  # of a dimension that has collapsed


def test_noise_entropy_is_that_of_gaussian_noise():
    for n, beta in ((1, 0.3), (4, 2.0)):
        noise = scipy.stats.multivariate_normal(cov=beta / 2 * np.eye(n))
        assert theory.noise_entropy(n, beta) == pytest.approx(noise.entropy(), rel=1e-12)
    with refuses(ValueError, "beta"):
        theory.noise_entropy(2, 0.0)
