"""Posteriors with a full covariance: `scale="covariance"` and `scale="scale_tril"`."""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.autoencoder.linear_pair import BETA, SHIFT, WIDTH, X, moved, pair
from tests.messages import refuses
from tfisovae import Autoencoder
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.covariance import factor, in_own_axes
from tfisovae.geometry.isometric_variable import IsometricVariable
from tfisovae.geometry.traversals import traverse

TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0].astype(np.float32)


def turned(kind="covariance", turn=TURN):
    """The optimal linear VAE in turned coordinates: its posterior has a full covariance."""
    encode, decode = pair()

    def encoder(x):
        mean, log_variance = encode(x)
        covariance = tf.matmul(turn * tf.exp(log_variance)[:, None], turn, transpose_b=True)
        return tf.matmul(mean, turn, transpose_b=True), (
            covariance if kind == "covariance" else tf.linalg.cholesky(covariance))

    return encoder, lambda z: decode(tf.matmul(z, turn))


def model_of(kind="covariance", **options):
    return tfisovae.as_autoencoder(turned(kind), "sse", BETA, kind, **options)


@pytest.fixture(scope="module")
def straight():
    return tfisovae.as_autoencoder(pair(), "sse", BETA)


@pytest.mark.parametrize("kind", ["covariance", "scale_tril"])
def test_own_axes(kind):
    rng = np.random.default_rng(4)
    matrix = np.tril(rng.normal(size=(20, 4, 4))).astype(np.float32)
    matrix[:, range(4), range(4)] = rng.uniform(0.3, 2, (20, 4))
    given = matrix if kind == "scale_tril" else matrix @ matrix.transpose(0, 2, 1)
    root = factor(tf.constant(given), kind)
    mean = rng.normal(size=(20, 4)).astype(np.float32)
    own, scale, axes = in_own_axes(tf.constant(mean), root)
    axes = axes.numpy().reshape(20, 4, 4)
    covariance = matrix @ matrix.transpose(0, 2, 1)
    np.testing.assert_allclose((axes * scale.numpy()[:, None]**2) @ axes.transpose(0, 2, 1),
                               covariance, atol=2e-5)
    np.testing.assert_allclose((axes @ own.numpy()[:, :, None])[..., 0], mean, atol=1e-5)
    assert (np.diff(scale) <= 0).all()


@pytest.mark.parametrize("kind", ["covariance", "scale_tril"])
def test_totals_do_not_depend_on_the_coordinates(kind, straight):
    """The covariance of the turned model is full. Dropping it would change rate and beta."""
    before = tfisovae.measure_totals(straight, X)
    found = tfisovae.measure_totals(model_of(kind), X)
    assert found.rate == pytest.approx(before.rate, rel=1e-5)
    assert found.transform_loss == pytest.approx(before.transform_loss, rel=1e-5)
    for name in ("distortion", "loss", "coding_loss", "posterior_balance"):  # another noise
        error = getattr(before, f"{name}_standard_error")
        assert abs(getattr(found, name) - getattr(before, name)) < 4 * error, name
    np.testing.assert_allclose(found.eigenvalues, before.eigenvalues, atol=1e-5)
    np.testing.assert_allclose(found.eigenvalues[:3], [0.9875, 0.95, 0.8], atol=1e-4)
    encoder, decoder = turned()
    dropped = tfisovae.as_autoencoder(
        (lambda x: (encoder(x)[0], tf.linalg.diag_part(encoder(x)[1])), decoder), "sse", BETA,
        "variance")
    assert abs(tfisovae.measure_totals(dropped, X).rate - before.rate) > 0.3


def test_beta_does_not_depend_on_the_coordinates():
    found = tfisovae.estimate_beta(model_of(), X)
    assert len(found.values) == 1 and not found.differs_from(BETA)
    assert found.value == pytest.approx(BETA, abs=4 * found.error) and found.error < 0.05 * BETA


def test_densities_do_not_depend_on_the_coordinates(straight):
    before = tfisovae.density.log_densities(straight, X[:300])
    found = tfisovae.density.log_densities(model_of(), X[:300])
    assert set(before) - set(found) == {"corrected_volume"}
    for form, values in found.items():
        np.testing.assert_allclose(values, before[form], atol=1e-3, err_msg=form)


def test_a_given_prior_is_turned_too():
    encoder, decoder = turned()
    pushed = (lambda x: (SHIFT + WIDTH * encoder(x)[0],
                         WIDTH[:, None] * encoder(x)[1] * WIDTH), lambda z: decoder(
                             (z - SHIFT) / WIDTH))
    before = tfisovae.measure_totals(model_of(), X)
    found = tfisovae.measure_totals(tfisovae.as_autoencoder(
        pushed, "sse", BETA, "covariance", prior=moved), X)
    assert found.rate == pytest.approx(before.rate, abs=3 * found.rate_standard_error)


def test_axes_may_change_with_x():
    """The rate in closed form, where each example has its own covariance."""
    rng = np.random.default_rng(5)
    angle = np.arctan2(X[:, 1], X[:, 0])

    def encoder(x):
        angle = tf.atan2(x[:, 1], x[:, 0])
        cosine, sine = tf.cos(angle), tf.sin(angle)
        rotation = tf.reshape(tf.stack([cosine, -sine, sine, cosine], 1), [-1, 2, 2])
        return x[:, :2], tf.matmul(rotation * [0.1, 0.6], rotation, transpose_b=True)

    mixing = rng.normal(size=(2, 4)).astype(np.float32)
    found = tfisovae.measure_totals(
        (encoder, lambda z: tf.matmul(z, mixing)), X, distortion="sse", beta=BETA,
        scale="covariance", inspect=False)  # it is not trained
    kl = 0.5 * (0.7 + np.sum(X[:, :2]**2, 1) - 2 - np.log(0.06))
    assert found.rate == pytest.approx(kl.mean(), rel=1e-5)
    axes = np.stack([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    roots = np.moveaxis(axes, 2, 0) * np.sqrt([0.1, 0.6])
    gram = 2 / BETA * np.einsum("bji,jk,bkl->bil", roots, mixing @ mixing.T, roots)
    np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(gram)[:, ::-1].mean(0),
                               rtol=1e-4)


def test_densities_refuse_it_with_a_given_prior():
    with refuses(ValueError, "log_densities"):
        tfisovae.density.log_densities(model_of(prior=moved), X)


def test_what_decodes_alone_takes_it():
    model, (_, decode) = model_of(), turned()
    rows = traverse(model, [0], at=np.zeros(4), limit=1.0, steps="z")
    z = np.zeros([rows.z.shape[1], 4], np.float32)
    z[:, 0] = rows.z[0]
    np.testing.assert_allclose(rows.x[0], decode(z), atol=1e-6)
    y = IsometricVariable.along_axis(model, 0, [-1.0, 1.0], np.zeros(4))
    ends = decode(np.outer([-1, 1], np.eye(4)[0]).astype(np.float32))
    np.testing.assert_allclose(np.diff(y.to_y([-1.0, 1.0])), np.linalg.norm(ends[1] - ends[0]),
                               rtol=1e-4)


@pytest.mark.parametrize("kind, change", [
    ("covariance", lambda c: c[:, 0]), ("covariance", lambda c: -c),
    ("covariance", lambda c: c + np.triu(np.ones(4), 1)), ("scale_tril", lambda c: -c),
    ("scale_tril", lambda c: tf.linalg.matrix_transpose(c)), ("covariance", lambda c: c[..., :3]),
    ("log_variance", lambda c: c)])
def test_other_matrices_are_refused(kind, change):
    encoder, decoder = turned(kind)
    broken = tfisovae.as_autoencoder(
        (lambda x: (encoder(x)[0], tf.cast(change(encoder(x)[1]), tf.float32)), decoder), "sse",
        BETA, kind)
    with refuses(ValueError, "scale"):
        tfisovae.measure_totals(broken, X)


def test_a_sound_model_has_no_findings():
    """The factor of a covariance may turn between calls; the covariance does not."""
    assert inspection.inspect(model_of(), X) == []
    alike = np.broadcast_to(np.float32(0.25) * np.eye(4, dtype=np.float32), (4, 4))
    model = tfisovae.as_autoencoder(
        (lambda x: (x, tf.zeros([tf.shape(x)[0], 4, 4]) + alike), lambda z: z), "sse", BETA,
        "covariance")
    assert inspection.inspect(model, X) == []


@pytest.mark.parametrize("kind", ["covariance", "scale_tril"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_example_without_a_finite_covariance_is_named(kind, value):
    encoder, decoder = turned(kind)

    def broken(x):
        mean, matrix = encoder(x)
        return mean, matrix + tf.where(x[:, :1, None] == 77.0, tf.constant(value, tf.float32), 0.0)

    x = X.copy()
    x[1500, 0] = 77.0
    model = tfisovae.as_autoencoder((broken, decoder), "sse", BETA, kind)
    with refuses(ValueError, "1500"):
        tfisovae.measure_totals(model, x)
    with refuses(ValueError, "posterior"):
        tfisovae.measure_totals(model, x[1500:1501], inspect=False)


def test_shapes_that_contradict_the_kind_of_posterior():
    encoder, decoder = turned()
    plain, _ = pair()
    of_matrix = Autoencoder(encoder, decoder, "sse", BETA)
    of_vector = Autoencoder(plain, decoder, "sse", BETA, full_covariance=True)
    for model in (of_matrix, of_vector):
        with refuses(ValueError, "full_covariance=True"):
            tfisovae.measure_totals(model, X)
    with refuses(ValueError, "full_covariance=True"):
        tfisovae.as_autoencoder(of_matrix, scale="covariance")
    whole = Autoencoder(lambda x: (encoder(x)[0], tf.linalg.cholesky(encoder(x)[1])), decoder,
                        "sse", BETA, full_covariance=True)
    found = tfisovae.measure_totals(whole, X)
    assert found.rate == pytest.approx(tfisovae.measure_totals(model_of(), X).rate, rel=1e-5)


def test_one_example_has_no_errors():
    found = tfisovae.measure_totals(model_of(), X[:1], inspect=False)
    assert np.isnan([found.rate_standard_error, found.posterior_balance]).all()


def test_a_conditional_model_is_refused():
    with refuses(ValueError, "covariance"):
        tfisovae.as_autoencoder((lambda x, c: x, lambda z, c: z), "sse", BETA, "covariance",
                                conditional=True)


def test_tensorflow_probability_encoders(straight):
    """By the remedy in the message that refuses the distribution itself."""
    distributions = pytest.importorskip("tensorflow_probability").distributions
    encoder, decoder = turned("scale_tril")

    def distribution(x):
        mean, root = encoder(x)
        return distributions.MultivariateNormalTriL(mean, root)

    with refuses((TypeError, ValueError), "covariance"):
        tfisovae.measure_totals(tfisovae.as_autoencoder((distribution, decoder), "sse", BETA), X)
    found = tfisovae.measure_totals(tfisovae.as_autoencoder(
        (lambda x: (distribution(x).mean(), distribution(x).covariance()), decoder), "sse", BETA,
        "covariance"), X)
    assert found.rate == pytest.approx(tfisovae.measure_totals(straight, X).rate, rel=1e-5)
