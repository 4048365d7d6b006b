"""The posterior's KL, and noise that depends on its address alone."""
import numpy as np
import pytest
import tensorflow as tf

from tfisovae.autoencoder.noise import noise_rows, noise_steps
from tfisovae.autoencoder.posterior import Posterior


def test_kl_is_the_integral():
    """KL_j against numerical integration of q log(q / p)."""
    mean, scale = np.array([[0.3, -1.2, 0.0]]), np.array([[0.1, 0.5, 1.0]])
    kl = Posterior(tf.constant(mean), tf.constant(scale)).kl().numpy()
    t = np.linspace(-12, 12, 200_001)
    for j in range(3):
        q = np.exp(-0.5 * ((t - mean[0, j]) / scale[0, j])**2) / (scale[0, j] * np.sqrt(2 * np.pi))
        log_ratio = 0.5 * t**2 - 0.5 * ((t - mean[0, j]) / scale[0, j]) ** 2 - np.log(scale[0, j])
        np.testing.assert_allclose(kl[0, j], np.sum(q * log_ratio) * (t[1] - t[0]), atol=1e-8)
    assert kl[0, 2] == 0


def test_samples_and_precision():
    posterior = Posterior(tf.constant([[1.0, 2.0]]), tf.constant([[0.5, 3.0]]))
    np.testing.assert_allclose(posterior.precision(), [[4, 1 / 9]], rtol=1e-6)
    np.testing.assert_allclose(posterior.sample(tf.constant([[2.0, -1.0]])), [[2, -1]], rtol=1e-6)


def test_noise_rows_can_be_drawn_in_any_partition():
    for n in (1, 3, 4, 6, 32):
        whole = noise_rows(1000, n, seed=7, step=3).numpy()
        parts = [noise_rows(b - a, n, 7, 3, a).numpy() for a, b in ((0, 1), (1, 400), (400, 1000))]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_noise_is_standard_normal_and_differs_by_seed_and_step():
    noise = noise_rows(50_000, 6, seed=0, step=0).numpy()
    np.testing.assert_allclose(noise.mean(0), 0, atol=5 / np.sqrt(50_000))  # five standard errors
    np.testing.assert_allclose(np.cov(noise.T), np.eye(6), atol=5 * np.sqrt(2 / 50_000))
    np.testing.assert_allclose((noise**4).mean(), 3, atol=5 * np.sqrt(96 / 300_000))
    for other in (noise_rows(50_000, 6, 1, 0), noise_rows(50_000, 6, 0,
                                                          1), noise_rows(50_000, 6, 0, -1)):
        assert abs(np.mean(noise * other.numpy())) < 5 / np.sqrt(300_000)


def test_noise_is_the_same_in_a_graph():
    graph = tf.function(lambda step, first: noise_rows(5, 8, 11, step, first))
    np.testing.assert_array_equal(graph(tf.constant(4, tf.int64), tf.constant(9)),
                                  noise_rows(5, 8, 11, 4, 9))


@pytest.mark.parametrize("num_steps", [1, 10, 23])
def test_noise_of_many_steps_is_that_of_each(num_steps):
    many = tf.function(lambda first: noise_steps(num_steps, first, 7, 3, 5))(tf.constant(
        100, tf.int64))
    np.testing.assert_array_equal(many,
                                  [noise_rows(7, 3, 5, 100 + step) for step in range(num_steps)])
