"""The objective, its steps, and the SavedModel."""
import json
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests.messages import refuses
from tests.support import small_celeba
from tfisovae import _keras, metrics, networks
from tfisovae.autoencoder.autoencoder import CONFIG
from tfisovae.vae.checks import NonFiniteLoss
from tfisovae.vae.optimizers import FusedAdam


def images(count=24, seed=0):
    return np.random.default_rng(seed).uniform(0.2, 0.8, (count, 16, 16, 3)).astype(np.float32)


def points(count=96, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 16)).astype(np.float32)


def toy_vae(**kwargs):
    return tfisovae.VAE(*networks.toy(), "sse", 100.0, **kwargs)


def batches(x, size):
    return tf.data.Dataset.from_tensor_slices(x).batch(size)


def test_the_loss_is_equation_54():
    """lmbda D + KL from the parts, both forms; BCE keeps its entropy in D."""
    x = points()
    for decomposed in (False, True):
        vae = toy_vae(decomposed=decomposed)
        vae.compile("adam")
        logs = vae.evaluate(batches(x, 96), return_dict=True, verbose=0)
        posterior = vae.encode(x)
        x_check = vae.decode(posterior.mean)
        x_hat = vae.decode(posterior.sample(vae.measure(x).noise))

        def d(a, b):
            return np.mean(np.sum((a - b) ** 2, -1))

        expected = d(x, x_check) + d(x_check, x_hat) if decomposed else d(x, x_hat)
        np.testing.assert_allclose(logs["distortion"], expected, rtol=1e-5)
        kl = 0.5 * np.sum(posterior.mean**2 + posterior.scale**2 - 2 * np.log(posterior.scale) - 1,
                          -1)
        np.testing.assert_allclose(logs["rate"], kl.mean(), rtol=1e-4)
        np.testing.assert_allclose(logs["loss"], 100 * expected + kl.mean(), rtol=1e-5)
    assert vae.beta == 0.01 and vae.n == 3


@pytest.mark.slow
def test_fit_learns_and_predict_is_the_noiseless_reconstruction():
    x = points(512) @ np.diag([2.0] * 3 + [0.0] * 13).astype(np.float32)
    vae = toy_vae()
    vae.compile(FusedAdam(3e-3))
    history = vae.fit(batches(x, 64), epochs=60, verbose=0).history
    assert set(history) == {"loss", "distortion", "rate", "active_dimensions"}
    assert history["loss"][-1] < 0.05 * history["loss"][0]
    np.testing.assert_allclose(vae.predict(x, verbose=0), vae.decode(vae.encode(x).mean), atol=1e-5)


@pytest.mark.slow
def test_gradient_of_the_decomposed_loss_reaches_both_terms():
    """One step of either form moves the weights differently; after warm-up they are told apart,
    during it they are not.
    """
    def after(steps, **kwargs):
        tf.keras.utils.set_random_seed(0)
        vae = toy_vae(**kwargs)
        vae.compile(tf.keras.optimizers.SGD(1e-6))
        vae.fit(batches(points(32 * steps), 32), verbose=0)
        return np.concatenate([w.ravel() for w in vae.get_weights()])

    np.testing.assert_allclose(after(2), after(2, decomposed=True, warmup_steps=2), rtol=1e-5)
    assert not np.allclose(after(3), after(3, decomposed=True, warmup_steps=2), rtol=1e-5,
                           atol=1e-7)
    assert not np.allclose(after(1), after(1, decomposed=True), rtol=1e-5, atol=1e-7)


def test_the_first_step_is_traced_once():
    """A function that makes variables is traced twice: those of an optimizer are made before."""
    vae = toy_vae()
    vae.compile(tf.keras.optimizers.SGD(1e-6, 0.9))
    with mock.patch.object(tfisovae.VAE, "train_on", autospec=True,
                           side_effect=tfisovae.VAE.train_on) as traced:
        vae.fit(batches(points(), 32), epochs=2, verbose=0)
    assert traced.call_count == 1


@pytest.mark.slow
@pytest.mark.parametrize("parts", [2, 4])
def test_parts_of_a_batch_make_the_same_step(parts):
    weights = []
    for num_parts in (1, parts):
        tf.keras.utils.set_random_seed(0)
        vae = toy_vae()
        vae.compile(tf.keras.optimizers.Adam(1e-3), num_parts=num_parts)
        logs = vae.fit(batches(points(), 32), verbose=0).history
        weights.append((vae.get_weights(), logs))
    for a, b in zip(weights[0][0], weights[1][0]):
        # 2 % of a step of Adam, which divides the rounding of the smallest gradients by their size.
        np.testing.assert_allclose(a, b, atol=2e-5)
    np.testing.assert_allclose(weights[0][1]["loss"], weights[1][1]["loss"], rtol=1e-5)


@pytest.mark.slow
def test_fused_adam_is_keras_adam():
    weights = []
    for optimizer in (tf.keras.optimizers.Adam(1e-3, clipnorm=5.0), FusedAdam(1e-3, clipnorm=5.0)):
        tf.keras.utils.set_random_seed(0)
        vae = toy_vae()
        vae.compile(optimizer)
        vae.fit(batches(points(), 32), epochs=5, verbose=0)
        weights.append(vae.get_weights())
    for a, b in zip(*weights):
        np.testing.assert_allclose(a, b, atol=2e-5)
    with refuses(ValueError):
        FusedAdam(amsgrad=True)


@pytest.mark.slow
def test_averages_of_weights_are_those_of_keras():
    """At the end of `fit`, of both networks, also where an output of the encoder is used by
    nothing.
    """
    def make(optimizer):
        tf.keras.utils.set_random_seed(0)
        x = tf.keras.Input((16,))
        hidden = tf.keras.layers.Dense(8, "tanh")(x)
        encoder = tf.keras.Model(
            x,
            [tf.keras.layers.Dense(2, name=name)(hidden) for name in ("z_mean", "z_log_var", "z")])
        vae = tfisovae.VAE(
            encoder, tf.keras.Sequential([tf.keras.layers.Input((2, )),
                                          tf.keras.layers.Dense(16)]), "sse", 10.0)
        vae.compile(optimizer(1e-2, use_ema=True, ema_momentum=0.9), resident=False)
        return vae

    found = []
    for optimizer in (tf.keras.optimizers.Adam, FusedAdam):
        vae, last = make(optimizer), []
        expected = vae.get_weights()
        keep = tf.keras.callbacks.LambdaCallback(
            on_batch_end=lambda *_, vae=vae, last=last, **__: last.append(vae.get_weights()))
        vae.fit(batches(points(), 32), verbose=0, callbacks=[keep])
        if _keras.KERAS_3:  # which averages from the weights after the first step on
            expected = last[0]
        for step in last:
            expected = [0.9 * a + 0.1 * b for a, b in zip(expected, step)]
        for a, b in zip(vae.get_weights(), expected):
            np.testing.assert_allclose(a, b, atol=1e-5)
        assert last and np.abs(vae.decoder.get_weights()[0] - last[-1][-2]).max() > 1e-3
        found.append(vae.get_weights())
    for a, b in zip(*found):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.slow
def test_two_replicas_take_the_steps_of_one():
    """Same seed, same global batch: noise goes by the row of the global batch, and the loss is
    scaled by it. Batches of 32 are cut into halves; of 19 and 18 examples, into 10 + 9 and 9 + 9;
    and one example leaves the second replica without any.
    """
    results = []
    for strategy in (tf.distribute.OneDeviceStrategy("CPU:0"),
                     tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
        tf.keras.utils.set_random_seed(0)
        with strategy.scope():
            vae = toy_vae()
            vae.compile(FusedAdam(1e-3))
        history = vae.fit(batches(points(), 32), epochs=3, verbose=0).history
        for name in ("loss", "rate"):
            history[name] += vae.fit(batches(points(37), 19), verbose=0).history[name]
            history[name] += vae.fit(batches(points(37), 36), verbose=0).history[name]
        results.append((history, vae.get_weights()))
    for name in results[0][0]:
        np.testing.assert_allclose(results[0][0][name], results[1][0][name], rtol=1e-5)
    for a, b in zip(results[0][1], results[1][1]):
        np.testing.assert_allclose(a, b, atol=2e-5)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched():
    vae = toy_vae()
    vae.compile("adam")
    x = points(64)
    x[40] = np.nan
    with refuses(ValueError):
        vae.fit(batches(x, 32), verbose=0)
    assert vae.optimizer.iterations.numpy() == 1
    assert all(np.isfinite(w).all() for w in vae.get_weights())
    # Before it begins.
    with refuses(ValueError):
        vae.fit(x, verbose=0)
    assert vae.optimizer.iterations.numpy() == 1
    with refuses(ValueError):
        vae.evaluate(batches(x, 32), verbose=0)
    vae.decoder.layers[-1].kernel.assign(tf.fill([128, 16], 1e25))  # squared, beyond float32
    before = vae.get_weights()
    with refuses(NonFiniteLoss) as caught:
        vae.fit(batches(x[:32], 32), verbose=0)
    assert caught.value.step == 2
    for a, b in zip(before, vae.get_weights()):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_mixed_precision_trains():
    tf.keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        vae = tfisovae.VAE(*networks.toy(), "sse", 10.0)
        vae.compile(tf.keras.mixed_precision.LossScaleOptimizer(FusedAdam(3e-3)))
        x = points(512) @ np.diag([2.0] * 3 + [0.0] * 13).astype(np.float32)
        history = vae.fit(batches(x, 32), epochs=10, verbose=0).history["loss"]
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert np.all(np.isfinite(history)) and history[-1] < 0.5 * history[0]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A convolutional VAE after two steps, its SavedModel, and data."""
    tf.keras.utils.set_random_seed(0)
    vae = tfisovae.VAE(*small_celeba(6), "ssim", 1000.0, decomposed=True, warmup_steps=1, seed=5)
    vae.compile(FusedAdam(1e-3))
    vae.fit(batches(images(), 12), verbose=0)
    path = tmp_path_factory.mktemp("saved") / "model"
    vae.save(path)
    return vae, path


@pytest.mark.slow
def test_load_gives_the_same_vae_back(saved):
    vae, path = saved
    loaded = tfisovae.load(path)
    x = images(5, seed=1)
    for a, b in zip(vae.encode(x), loaded.encode(x)):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(vae.predict(x, verbose=0), loaded.predict(x, verbose=0))
    # Warm-up is over.
    assert (loaded.lmbda, loaded.decomposed, loaded.warmup_steps, loaded.seed) == (1000.0, True, 0,
                                                                                   5)
    assert repr(loaded.distortion) == repr(vae.distortion)
    measures = [[metrics.IsometricNorm(), metrics.GramOffDiagonal()] for _ in range(2)]
    logs = []
    for model, given in zip((vae, loaded), measures):
        model.compile(FusedAdam(1e-3), metrics=given)
        logs.append(model.evaluate(batches(x, 5), return_dict=True, verbose=0))
    assert logs[0] == logs[1] and np.isfinite(logs[0]["isometric_norm"])


@pytest.mark.slow
def test_a_loaded_vae_trains_on_as_the_first_would(saved):
    vae, path = saved
    pair = [tfisovae.load(path), tfisovae.load(path)]
    for model in pair:
        model.compile(FusedAdam(1e-3))
        model.fit(batches(images(), 12), verbose=0)
    for a, b in zip(pair[0].get_weights(), pair[1].get_weights()):
        np.testing.assert_array_equal(a, b)
    assert any(np.any(a != start) for a, start in zip(pair[0].get_weights(), vae.get_weights()))


@pytest.mark.slow
def test_signatures_work_where_tfisovae_is_not_installed(saved, tmp_path):
    """A bare process, which neither has tfisovae nor tensorflow-compression on its path, and a JVP
    through the signature.
    """
    vae, path = saved
    x = images(3, seed=2)
    np.save(tmp_path / "x.npy", x)
    code = (f"""
import sys
sys.modules["tfisovae"] = sys.modules["tensorflow_compression"] = None
import numpy as np, tensorflow as tf
model = tf.saved_model.load({str(path)!r})
posterior = model.signatures["encode"](x=tf.constant(np.load({str(tmp_path / "x.npy")!r})))
z = posterior["mean"]
with tf.GradientTape() as tape:
    tape.watch(z)
    x_hat = model.signatures["decode"](z=z)["x_hat"]
np.savez({str(tmp_path / "out.npz")!r}, mean=z, scale=posterior["scale"], x_hat=x_hat,
         slope=tape.gradient(x_hat, z))
""")
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
    out = np.load(tmp_path / "out.npz")
    posterior = vae.encode(x)
    with tf.GradientTape() as tape:
        tape.watch(posterior.mean)
        x_hat = vae.decode(posterior.mean)
    np.testing.assert_allclose(out["mean"], posterior.mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(out["scale"], posterior.scale, rtol=1e-5)
    np.testing.assert_allclose(out["x_hat"], x_hat, rtol=1e-4, atol=1e-5)
    slope = tape.gradient(x_hat, posterior.mean)
    np.testing.assert_allclose(out["slope"], slope, rtol=1e-3, atol=1e-4 * np.abs(slope).max())


@pytest.mark.slow
def test_geometry_of_a_bare_signature(saved):
    vae, path = saved
    module = tf.saved_model.load(str(path))
    signature = module.signatures["decode"]
    z = vae.encode(images(4, seed=3)).mean
    ours = tfisovae.geometry.pullback_metric(vae.decode, z, vae.distortion)
    theirs = tf.function(lambda z: tfisovae.geometry.pullback_metric(
        lambda z: signature(z=z)["x_hat"], z, vae.distortion))(z)
    np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-5 * np.abs(ours).max())


def test_formats_that_lose_weights_are_refused(tmp_path):
    vae = toy_vae()
    for name in ("x.keras", "x.h5"):
        with refuses(ValueError):
            vae.save(tmp_path / name)
    with refuses(ValueError):
        vae.save(tmp_path / "x", save_format="h5")


@pytest.mark.parametrize("other", [2, 0, "1", None])
def test_weights_of_another_version_are_refused(tmp_path, other):
    """By their format; those of before formats were written down have the first."""
    vae = toy_vae()
    vae.save(tmp_path / "model")
    path = tmp_path / "model" / CONFIG
    config = json.loads(path.read_text())
    assert config.pop("format") == 1
    path.write_text(json.dumps(config))
    assert all(
        np.array_equal(*pair) for pair in zip(vae.get_weights(),
                                              tfisovae.load(tmp_path / "model").get_weights()))
    path.write_text(json.dumps({**config, "format": other}))
    for load in (tfisovae.load, tfisovae.as_autoencoder):
        with refuses(ValueError):
            load(tmp_path / "model")


def test_what_lies_beside_a_model_stays_when_it_is_saved_again(tmp_path):
    """As of a monitor that writes into the same directory, whose file is still open."""
    vae = toy_vae()
    vae.save(tmp_path / "model")
    (tmp_path / "model" / "tensorboard").mkdir()
    (tmp_path / "model" / "tensorboard" / "events").write_text("events")
    with open(tmp_path / "model" / "isometry-history.csv", "w") as file:
        file.write("step\n")
        file.flush()
        vae.encoder.weights[-1].assign_add(tf.ones_like(vae.encoder.weights[-1]))
        vae.save(tmp_path / "model")
        file.write("1\n")
    assert (tmp_path / "model" / "isometry-history.csv").read_text() == "step\n1\n"
    assert (tmp_path / "model" / "tensorboard" / "events").read_text() == "events"
    for a, b in zip(tfisovae.load(tmp_path / "model").get_weights(), vae.get_weights()):
        np.testing.assert_array_equal(a, b)


def test_weights_alone_are_kept_whole_or_refused(tmp_path):
    """Those of GDN layers, in every format that is taken. Keras 3 has one, and refuses the others.
    """
    def make():
        return tfisovae.VAE(*networks.celeba(4, image_size=16), "sse", 10.0)

    vae = make()
    for weight in vae.weights:
        weight.assign_add(0.01 * tf.random.normal(weight.shape))
    for name in ("vae.weights.h5",) if _keras.KERAS_3 else ("w.h5", "w"):
        vae.save_weights(tmp_path / name)
        other = make()
        other.load_weights(tmp_path / name)
        for a, b in zip(other.get_weights(), vae.get_weights()):
            np.testing.assert_array_equal(a, b)
    if not _keras.KERAS_3:
        for do in (vae.save_weights, vae.load_weights):
            with refuses(ValueError, "weights.h5"):
                do(tmp_path / "vae.weights.h5")


def test_save_replaces_models_only(tmp_path):
    vae = toy_vae()
    (tmp_path / "notes").mkdir()
    with refuses(FileExistsError):
        vae.save(tmp_path / "notes")
    vae.save(tmp_path / "model")
    with refuses(FileExistsError):
        vae.save(tmp_path / "model", overwrite=False)
    vae.save(tmp_path / "model")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model", "notes"]


def test_load_says_what_is_wrong(tmp_path):
    with refuses(FileNotFoundError):
        tfisovae.load(tmp_path / "nothing")
    with refuses(ValueError):
        tfisovae.load(tmp_path)
    tf.saved_model.save(tf.Module(), str(tmp_path / "other"))
    with refuses(ValueError):
        tfisovae.load(tmp_path / "other")


def test_a_users_distortion_survives_saving(tmp_path):
    @tf.keras.utils.register_keras_serializable(package="test")
    class Cubic(tfisovae.distortions.Distortion):
        def __init__(self, weight):
            self.weight = weight

        def __call__(self, x, x_hat):
            return self.weight * tf.reduce_sum(tf.square(x_hat - x) + tf.abs(x_hat - x) ** 3, -1)

        def get_config(self):
            return {"weight": self.weight}

    vae = tfisovae.VAE(*networks.toy(), Cubic(2.0), 10.0)
    vae.save(tmp_path / "model")
    loaded = tfisovae.load(tmp_path / "model")
    assert repr(loaded.distortion) == "Cubic(weight=2.0)"
    config = json.loads((tmp_path / "model" / "assets.extra" / "tfisovae.json").read_text())
    assert config["lmbda"] == 10.0


@pytest.mark.parametrize("lmbda", [0, -1.0, np.nan, np.inf, "1000", True])
def test_lmbda_must_be_positive_and_finite(lmbda):
    with refuses(ValueError, "lmbda"):
        tfisovae.VAE(*networks.toy(), "sse", lmbda)


@pytest.mark.slow
def test_bad_models_and_data():
    encoder, decoder = networks.toy()
    with refuses(ValueError):
        tfisovae.VAE(encoder, networks.toy(latent_dim=4)[1], "sse", 1.0)
    with refuses(ValueError):
        tfisovae.VAE(encoder, networks.toy(input_dim=5)[1], "sse", 1.0)
    with refuses(ValueError):
        tfisovae.VAE(encoder, decoder, "l3", 1.0)
    vae = toy_vae()
    with refuses(ValueError):
        vae.compile("adam", loss="mse")
    vae.compile("adam")
    with refuses(ValueError, "x"):
        vae.evaluate(batches(np.zeros([4, 5], np.float32), 2), verbose=0)
    ssim = tfisovae.VAE(*small_celeba(2), "ssim", 10.0)
    ssim.compile("adam")
    for call in (ssim.fit, ssim.evaluate):
        for data in (batches(255 * images(2), 2), (255 * images(2)).astype(np.uint8)):
            with refuses(ValueError):
                call(data, verbose=0)
    assert ssim.optimizer.iterations.numpy() == 0
