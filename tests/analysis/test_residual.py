"""What a model leaves of the data: saddles, where every gradient is 0."""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.support import linear_vae
from tfisovae import distortions
from tfisovae.analysis import residual
from tfisovae.verdict import ReasonKind, State
from tfisovae.verdict.gains import Probe

VARIANCES, BETA = np.array([4, 1, 0.5, 0.25]), 0.02
FLOOR = BETA / 2


def sources(count=4000, variances=VARIANCES):
    """Gaussian data with exactly these variances and no correlations."""
    x = np.random.default_rng(0).standard_normal((count, len(variances)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / count)).T
    return (x * np.sqrt(variances)).astype(np.float32)


def optimum(alive, distortion="sse"):
    """The linear VAE that is optimal for the dimensions that are alive."""
    alive = np.array(alive, bool)
    variance = np.where(alive, FLOOR / VARIANCES, 1.0)
    encoder = np.diag(np.sqrt(np.where(alive, 1 - variance, 0) / VARIANCES))
    decoder = np.diag(np.sqrt(np.where(alive, VARIANCES - FLOOR, 0)))
    return linear_vae(encoder, decoder, np.sqrt(variance), 1 / BETA, distortion)


@pytest.mark.parametrize("alive, gain", [([1, 0, 1, 1], 47.197), ([1, 0, 0, 0], 80.132)])
def test_a_saddle_is_named_and_its_gain_is_exact(alive, gain):
    """Dead dimensions, with all else at the optimum, and a training that no longer moves."""
    found = tfisovae.analyze(optimum(alive), sources())
    still = Probe(100, 100, 0, found.loss, found.loss, 0.0, 1e-4, 4000)
    for probes in ([], [still]):
        judged = found.judge(probes=probes)
        assert judged.state is State.SADDLE
        assert found.residual.worth.sum() == pytest.approx(gain, rel=0.02)
    assert found.residual.free == 4 - sum(alive)


def test_at_the_optimum_there_is_nothing_to_gain():
    found = tfisovae.analyze(optimum([1, 1, 1, 1]), sources())
    assert found.residual.free == 0 and found.residual.worth[0] == 0
    still = Probe(100, 100, 0, found.loss, found.loss, 0.0, 1e-4, 4000)
    judged = found.judge(probes=[still])
    assert judged.state is State.CONVERGED and not judged.of(ReasonKind.MORE_DIMENSIONS)


def test_more_dimensions_would_pay():
    """Three dimensions for four sources: no dimension is free, and one more would gain."""
    full = optimum([1, 0, 1, 1])
    weights = [full.encoder.get_weights(), full.decoder.get_weights()]
    keep = [0, 2, 3]
    vae = linear_vae(weights[0][0][:, :4][:, keep], weights[1][0][keep],
                     np.exp(weights[0][1][4:][keep] / 2), 1 / BETA)
    found = tfisovae.analyze(vae, sources())
    assert found.residual.free == 0
    reason, = found.judge().of(ReasonKind.MORE_DIMENSIONS)
    assert reason.value == pytest.approx(47.197, rel=0.02)


def test_two_dimensions_that_share_a_direction_leave_one_free():
    """Both are active, and no gradient need show it: the residual has the second source."""
    found = optimum([1, 0, 0, 0])
    gain, width = np.sqrt(VARIANCES[0]), np.sqrt(FLOOR / VARIANCES[0])
    a, b = np.zeros((4, 2)), np.zeros((2, 4))
    a[0], b[:, 0] = np.sqrt(0.5) / gain, gain * np.sqrt(0.5)
    vae = linear_vae(a, b, [width, width], 1 / BETA)
    found = tfisovae.analyze(vae, sources())
    assert found.num_active == 2 and found.residual.free == 1
    assert found.judge().state is State.SADDLE
    assert found.residual.variance[0] == pytest.approx(1.0, rel=0.01)


def test_what_the_means_explain_is_not_a_dimension_to_gain():
    """Means of half their size leave a residual that follows them. It is not a saddle."""
    vae = optimum([1, 0, 1, 1])
    kernel, bias = vae.encoder.get_weights()
    vae.encoder.set_weights([kernel * np.repeat([0.5, 1], 4), bias])
    x = sources() * [1, 0.01, 1, 1]
    found = tfisovae.analyze(vae, x.astype(np.float32))
    assert found.residual.free == 1 and found.residual.variance[0] < FLOOR
    assert found.transform_loss > 0.5
    assert found.judge().state is not State.SADDLE


class Weighted(distortions.Distortion):
    """A sum of squares with weights: its metric is not a multiple of the identity."""

    def __call__(self, x, x_hat):
        import tensorflow as tf

        return tf.reduce_sum(tf.constant([1.0, 2.0, 3.0, 4.0]) * (x - x_hat) ** 2, -1)


@pytest.mark.parametrize("distortion, scale", [
    (distortions.SumSquaredError(), np.ones(4)), (distortions.MeanSquaredError(), np.ones(4) / 4),
    (Weighted(), np.array([1.0, 2.0, 3.0, 4.0]))])
@pytest.mark.parametrize("count", [4000, 6])
def test_variances_in_the_metric(distortion, scale, count):
    """Of a diagonal metric, for more examples than numbers and for fewer: they are a_j v_j."""
    left = sources(max(count, 50))[:count]
    gram = np.diag([1.0, 1.0, 0.0, 0.0])
    means = np.zeros((len(left), 4))
    found = residual.residual(left, np.zeros_like(left), means, distortion,
                              residual.free_dimensions(gram), BETA)
    assert found.free == 2 and len(found.variance) == 2
    if count == 4000:
        expected = np.sort(scale * VARIANCES)[::-1][:2]
        np.testing.assert_allclose(found.variance, expected, rtol=0.03)
    else:
        assert np.isfinite(found.variance).all()


def test_few_examples_of_many_numbers_show_no_saddle():
    """Noise of 3,000 numbers with variances just below beta / 2, in 200 examples: along directions
    chosen from the same examples the largest would be some 16 times too large.
    """
    rng = np.random.default_rng(0)
    left = (np.sqrt(0.9 * FLOOR) * rng.standard_normal((200, 3000))).astype(np.float32)
    found = residual.residual(left, np.zeros_like(left), np.zeros((200, 4)),
                              distortions.SumSquaredError(), 4, BETA)
    assert np.linalg.eigvalsh(left @ left.T / 200)[-1] > 10 * FLOOR
    assert (found.variance < FLOOR).all() and (found.worth == 0).all()


def test_a_residual_of_counts_stays_where_their_loss_is_defined():
    """A linear fit may leave x_hat > 0, where a loss of counts has no value. Of data that need
    nothing else, the rest is noise, and finite.
    """
    class Counts(distortions.Distortion):
        domain = (0.0, np.inf)

        def __call__(self, x, x_hat):
            return tf.reduce_sum(x_hat - tf.math.xlogy(x, x_hat), -1)

    rng = np.random.default_rng(0)
    means = rng.standard_normal([300, 1])
    rate = np.exp(means * np.array([[1.0, 0.5, -1.0]]))
    x, x_check = (values.astype(np.float32) for values in (rng.poisson(rate), rate))
    found = [residual.residual(x, x_check, means, one, 1, BETA)
             for one in (Counts(), distortions.get("poisson"))]
    for one in found:
        assert one.num_examples == 300 and np.isfinite(one.variance).all()
    np.testing.assert_allclose(found[0].variance, found[1].variance, rtol=1e-3)
