"""What a VAE becomes by `save` and `load`, `copy.deepcopy` and `pickle`: the same, or a refusal."""
import copy
import pickle
import types

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import linear_vae, small_celeba
from tfisovae import _keras, distortions, networks
from tfisovae.vae import copying

layers = tf.keras.layers


class Weighted(distortions.Distortion):
    """w |x - x_hat|^2, with an argument that its configuration leaves out."""

    def __init__(self, w=1.0):
        self.w = w

    def __call__(self, x, x_hat):
        return self.w * distortions.sum_of_entries(tf.square(x - x_hat))


class Kept(Weighted):
    """The same with its configuration."""

    def get_config(self):
        return {"w": self.w}


def checked(distortion, shape=(None, 16, 1)):
    vae = types.SimpleNamespace(distortion=distortion, example_shape=shape)
    copying._check_distortion(vae, "saved")


def test_a_distortion_is_kept_with_its_arguments_or_refused():
    for distortion in (distortions.SumSquaredError(), distortions.MeanSquaredError(),
                       distortions.GaussianNLL(0.3), distortions.DownwardConvex(),
                       distortions.UpwardConvex(), distortions.BinaryCrossentropy("sum"),
                       distortions.SSIM(255.0), Kept(7.0), Weighted()):
        checked(distortion)
    with refuses(ValueError, "Weighted"):
        checked(Weighted(7.0))

    class Needed(Weighted):
        def __init__(self, w):
            super().__init__(w)

    class Renamed(Kept):
        def get_config(self):
            return {"weight": self.w}

    for distortion in (Needed(1.0), Renamed(1.0)):
        with refuses(ValueError, "get_config"):
            checked(distortion)


def test_save_refuses_what_load_would_change(tmp_path):
    vae = linear_vae(np.eye(4)[:, :2], np.eye(4)[:2], 0.1, 5.0, Weighted(7.0))
    for way in (lambda: vae.save(tmp_path / "vae"), lambda: copy.deepcopy(vae),
                lambda: pickle.dumps(vae)):
        with refuses(ValueError, "Weighted"):
            way()
    assert not (tmp_path / "vae").exists()


@tf.keras.utils.register_keras_serializable(package="tests")
class Doubled(tfisovae.VAE):
    """Means twice as large as the encoder's."""

    def encode(self, x, training=False):
        found = super().encode(x, training)
        return found._replace(mean=2 * found.mean)


def of_class(cls, **options):
    plain = linear_vae(np.eye(4)[:, :2], np.eye(4)[:2], 0.1, 5.0)
    return cls(plain.encoder, plain.decoder, "sse", 5.0, **options)


X4 = tf.constant([[1.0, 2.0, 3.0, 4.0], [0.5, -1.0, 0.0, 1.0]])


def test_a_subclass_comes_back_as_itself(tmp_path):
    vae = of_class(Doubled)
    vae.save(tmp_path / "vae")
    expected = vae.encode(X4)
    for same in (tfisovae.load(tmp_path / "vae"), copy.deepcopy(vae),
                 pickle.loads(pickle.dumps(vae))):
        assert type(same) is Doubled
        np.testing.assert_array_equal(same.encode(X4).mean, expected.mean)


def test_a_subclass_that_is_not_known_is_refused(tmp_path):
    class Local(tfisovae.VAE):
        pass

    of_class(Local).save(tmp_path / "vae")
    with refuses(ValueError, "Local"):
        tfisovae.load(tmp_path / "vae")
    assert type(tfisovae.load(tmp_path / "vae", {"Local": Local})) is Local

    class Scaled(tfisovae.VAE):
        def __init__(self, *args, factor=1.0, **options):
            super().__init__(*args, **options)
            self.factor = factor

        def decode(self, z, training=False):
            return self.factor * super().decode(z, training)

    copy.deepcopy(of_class(Scaled))
    for way in (copy.deepcopy, pickle.dumps, lambda vae: vae.save(tmp_path / "scaled")):
        with refuses(ValueError, "decode"):
            way(of_class(Scaled, factor=3.0))


def batch_normalised():
    return (tf.keras.Sequential([layers.Input((4,)), layers.Dense(3), layers.BatchNormalization(),
                                 layers.Dense(4)]),
            tf.keras.Sequential([layers.Input((2,)), layers.Dropout(0.1), layers.Dense(4)]))


def functional():
    x = layers.Input((4,))
    encoder = tf.keras.Model(x, [layers.Dense(2)(x), layers.Dense(2)(x)])
    return encoder, tf.keras.Sequential([layers.Input((2,)), layers.Dense(4)])


class WithoutConfig(tf.keras.Model):
    def __init__(self, units):
        super().__init__()
        self.dense = layers.Dense(units)

    def call(self, inputs):
        return self.dense(inputs)

    def get_config(self):
        raise NotImplementedError


def recurrent():
    return (tf.keras.Sequential([layers.Input((4,)), layers.Reshape((4, 1)), layers.LSTM(3),
                                 layers.Dense(4)]),
            tf.keras.Sequential([layers.Input((2,)), layers.RepeatVector(4),
                                 layers.GRU(3, return_sequences=True), layers.Dense(1),
                                 layers.Flatten()]))


def nested():
    x = layers.Input((4,))
    inner = tf.keras.Sequential([layers.Input((4,)), layers.Dense(5), layers.BatchNormalization()])
    return (tf.keras.Model(x, layers.Dense(4)(inner(x))),
            tf.keras.Sequential([layers.Input((2,)), tf.keras.Sequential([layers.Dense(4)])]))


def used_twice():
    """A layer of the encoder."""
    x, layer = layers.Input((4,)), layers.Dense(4)
    return (tf.keras.Model(x, layers.Dense(4)(layer(layer(x)))),
            tf.keras.Sequential([layers.Input((2,)), layers.Dense(4)]))


PAIRS = {
    "toy": networks.toy, "mnist": lambda: networks._dense_pair(9, (5,), 2, "relu", "sigmoid"),
    "GDN": small_celeba, "batch normalisation": batch_normalised, "functional": functional,
    "recurrent": recurrent, "nested": nested, "used twice": used_twice,
}


@pytest.mark.parametrize("name", PAIRS)
def test_copies_of_every_kind_of_network_have_its_weights(name):
    """Weights that differ from those that a new network starts with."""
    encoder, decoder = PAIRS[name]()
    vae = tfisovae.VAE(encoder, decoder, "sse", 3.0)
    rng = np.random.default_rng(0)
    for network in (encoder, decoder):
        network.set_weights([np.abs(w + 0.1 * rng.standard_normal(w.shape))
                             for w in network.get_weights()])
    vae.lmbda = 7.0
    for same in (copy.deepcopy(vae), pickle.loads(pickle.dumps(vae))):
        assert same is not vae and same.beta == vae.beta
        assert len(same.get_weights()) == len(vae.get_weights()) > 0
        for a, b in zip(same.get_weights(), vae.get_weights()):
            np.testing.assert_array_equal(a, b)
    before = vae.get_weights()[0].copy()
    same.encoder.set_weights([0 * w for w in same.encoder.get_weights()])
    np.testing.assert_array_equal(vae.get_weights()[0], before)
    # Keras' own copy of a network.
    alone = copy.deepcopy(encoder)
    for a, b in zip(alone.get_weights(), encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_networks_with_common_weights_are_not_copied(tmp_path):
    """A copy would have them twice, and train them to two values."""
    layer, x, z = layers.Dense(4), layers.Input((4,)), layers.Input((2,))
    vae = tfisovae.VAE(tf.keras.Model(x, layer(x)), tf.keras.Model(z, layer(layers.Dense(4)(z))),
                       "sse", 3.0)
    for way in (copy.deepcopy, pickle.dumps, lambda vae: vae.save(tmp_path / "vae")):
        with refuses(ValueError, "share the weights"):
            way(vae)
    assert not (tmp_path / "vae").exists()


def test_networks_that_cannot_be_made_again_are_not_copied():
    vae = tfisovae.VAE(WithoutConfig(4), WithoutConfig(4), "sse", 3.0, example_shape=(4,))
    for way in (copy.deepcopy, pickle.dumps):
        with refuses(ValueError, "encoder"):
            way(vae)


def test_a_copy_is_compiled_alike():
    vae = linear_vae(np.eye(4)[:, :2], np.eye(4)[:2], 0.1, 5.0)
    vae.compile(tf.keras.optimizers.Adam(0.02), [tfisovae.metrics.Rate(threshold=0.5)])
    _keras.build(vae.optimizer, vae.trainable_variables)
    for number, variable in enumerate(_keras.variables(vae.optimizer.variables)[2:]):
        variable.assign(tf.fill(variable.shape, float(number)))
    _keras.iterations(vae.optimizer).assign(5)
    same = copy.deepcopy(vae)
    assert type(same.optimizer) is type(vae.optimizer) and same.optimizer is not vae.optimizer
    for a, b in zip(_keras.variables(same.optimizer.variables),
                    _keras.variables(vae.optimizer.variables), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert [metric.threshold for metric in same._measures] == [0.5]


@pytest.mark.skipif(_keras.KERAS_3, reason="Keras 3 keeps the weights of GDN in its files")
def test_keras_files_are_refused_from_outside_too(tmp_path):
    vae = linear_vae(np.eye(4)[:, :2], np.eye(4)[:2], 0.1, 5.0)
    with refuses(ValueError, "vae.save"):
        tf.keras.models.save_model(vae, tmp_path / "vae.keras")


def test_seeds_have_64_bits():
    pair = networks.toy()
    for seed in (2**63, -2**63 - 1):
        with refuses(ValueError, "seed"):
            tfisovae.VAE(*pair, "sse", 3.0, seed=seed)
    assert tfisovae.VAE(*pair, "sse", 3.0, seed=2**63 - 1).seed == 2**63 - 1
