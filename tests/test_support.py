"""The helpers of the tests: a VAE that is traced once trains as a new one does, and a measurement
that is shared is that of the same model and data.
"""
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests import memo
from tests.support import POOL, equal, linear_vae, make_vae, train
from tfisovae.analysis import measuring


class Spoil(tf.keras.callbacks.Callback):
    """Leaves other weights, rate and lmbda behind, and breaks off."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.set_weights([weight + 1 for weight in self.model.get_weights()])
        if isinstance(self.model.optimizer._learning_rate, tf.Variable):
            self.model.optimizer.learning_rate = 0.5
        self.model.lmbda = 3.0
        raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("config, resident", [({}, False), ({}, True), ({"averaging": 0.9}, False),
                                              ({"schedule": "cosine"}, False),
                                              ({"anneal_steps": 8, "standardize_latents": True},
                                               False)])
def test_a_kept_vae_trains_as_a_new_one(tmp_path, config, resident):
    """Bit for bit, with the optimizer's variables, whatever was done to it before."""
    new = train(tmp_path / "new", config, make=lambda: make_vae(), resident=resident)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "spoilt", config, extra_callbacks=[Spoil()], resident=resident)
    free = {id(vae) for vaes in POOL.free.values() for vae in vaes}
    kept = train(tmp_path / "kept", config, resident=resident)
    assert id(kept) in free and equal(new, kept) and float(new.lmbda) == float(kept.lmbda)
    for a, b in zip(new.optimizer.variables, kept.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    texts = [(tmp_path / name / "history.csv").read_text() for name in ("new", "kept")]
    assert texts[0] == texts[1]


@pytest.mark.slow
def test_two_trainings_of_a_test_have_a_vae_each(tmp_path):
    one, other = train(tmp_path / "one"), train(tmp_path / "other", {"steps": 10})
    assert one is not other and not equal(one, other)


def test_a_measurement_is_shared_by_equal_models_and_data_alone(tmp_path):
    x = np.eye(4, 3, dtype=np.float32)
    plain, made = measuring.analyze, []
    vae, wider = (linear_vae(np.eye(3)[:, :2], np.eye(3)[:2], scale, 50.0) for scale in (0.1, 0.2))
    with memo.shared(tmp_path):
        for model, data, options in ((vae, x, {}), (vae, x.copy(), {}), (wider, x, {}),
                                     (vae, 2 * x, {}), (vae, x, {"num_examples": 3})):
            made.append(measuring.analyze(model, data, **options))
    assert len(list(tmp_path.glob("*.lock"))) == 4
    first, same, *others = (one.to_dict() for one in made)
    np.testing.assert_equal(first, same)
    assert all(other["loss"] != first["loss"] for other in others)
    assert made[2].loss == plain(wider, x).loss
    with mock.patch.object(measuring, "analyze", lambda *_: "of a test"), memo.shared(tmp_path):
        assert measuring.analyze(vae, x) == "of a test"
