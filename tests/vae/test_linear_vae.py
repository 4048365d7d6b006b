"""A linear VAE trained by the library lands on its closed form: no wrong factor of 2, m or beta
survives this.
"""
import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tfisovae import sources, theory
from tfisovae.training import devices, loop, runs

CONFIG = {
    "steps": 30_000, "batch_size": 250, "learning_rate": 5e-3, "clipnorm": None, "seed": 0,
    "log_every": 10_000, "checkpoint_every": 30_000, "schedule": "cosine"
}


def linear_vae(lmbda):
    encoder = tf.keras.Sequential([tf.keras.layers.Input((16,)), tf.keras.layers.Dense(6)])
    decoder = tf.keras.Sequential([tf.keras.layers.Input((3,)), tf.keras.layers.Dense(16)])
    return tfisovae.VAE(encoder, decoder, "sse", lmbda)


@pytest.mark.slow
@pytest.mark.parametrize("lmbda", [100.0, 1.0])
def test_it_lands_on_the_closed_form(tmp_path, lmbda):
    """Norm data; D, R, norms and E[sigma^-2] within 1 % of the optimum for the sample's own
    variances.

    At lmbda 1 the first dimension has collapsed: its variance 1/6 is below beta / 2.
    """
    source = sources.load_toy("norm", 20_000)
    with runs.Run(tmp_path / "run", {**CONFIG, "lmbda": lmbda}) as run:
        vae = loop.train(run, lambda: linear_vae(lmbda), source,
                         devices.make_strategy("one_device"), resident=True)
    x = source.train[np.arange(20_000)]
    result = tfisovae.analyze(vae, x)
    optimum = theory.LinearVAE(np.linalg.eigvalsh(np.cov(x.T))[-3:], 1 / lmbda)
    ascending = result.ranking[::-1]
    np.testing.assert_allclose(result.precision_mean[ascending], optimum.precision, rtol=0.01)
    np.testing.assert_allclose(result.norm_mean[ascending], optimum.norm, rtol=0.01, atol=0.003)
    assert result.rate == pytest.approx(optimum.rate.sum(), rel=0.01)
    assert result.distortion == pytest.approx(optimum.distortion.sum(), rel=0.01)
    assert result.coding_loss == pytest.approx(optimum.coding_loss.sum(), rel=0.01)
    # Of the second order in beta.
    assert result.transform_loss == pytest.approx(optimum.transform_loss.sum(), rel=0.03)
    assert result.num_active == (3 if lmbda == 100 else 2)
    assert not result.judge().unfinished
