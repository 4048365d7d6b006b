"""16 bits: found where the processor has them, kept in the manifest, and out of every measurement.
"""
import json

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from results import tables
from tests.messages import refuses
from tests.support import small_celeba
from tfisovae import geometry
from tfisovae.training import devices

X86 = ("processor\t: 0\nmodel name\t: Some Processor\nflags\t\t: fpu sse avx512f {}\n"
       "power management:\n\nprocessor\t: 1\n")
EPYC, XEON = "avx512_bf16 clzero", "avx512_bf16 amx_bf16 amx_tile"
OLDER = "avx512_vnni avx512_bf16_not"


@pytest.fixture
def cpuinfo(tmp_path, monkeypatch):
    """A file as the kernel writes it, with these flags, and oneDNN as users have it."""
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)

    def write(flags):
        (tmp_path / "cpuinfo").write_text(X86.format(flags))
        return str(tmp_path / "cpuinfo")

    return write


@pytest.fixture
def gpus(monkeypatch):
    """Makes TensorFlow see GPUs with these details."""
    def see(*details):
        listed = tf.config.list_physical_devices
        monkeypatch.setattr(
            tf.config, "list_physical_devices", lambda kind=None: list(range(len(details)))
            if kind == "GPU" else listed(kind))
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu])

    return see


@pytest.mark.parametrize("flags, found", [(EPYC, "AVX512_BF16"), (XEON, "AMX"), (OLDER, None),
                                          ("", None)])
def test_the_processor_says_what_it_has(cpuinfo, flags, found):
    assert devices.bfloat16_units(cpuinfo(flags)) == found


@pytest.mark.parametrize(
    "text",
    ["", "Features\t: fp asimd bf16\n", "flags\n", "avx512_bf16\n", b"\xff\xfe flags: \x00"])
def test_what_says_nothing_is_no_error(tmp_path, text):
    path = tmp_path / "cpuinfo"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert devices.bfloat16_units(str(path)) is None
    assert devices.bfloat16_units(str(tmp_path / "none")) is None


@pytest.mark.parametrize("setting, found", [("0", None), ("false", None), ("1", "AVX512_BF16")])
def test_without_onednn_the_units_are_not_used(cpuinfo, monkeypatch, setting, found):
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", setting)
    assert devices.bfloat16_units(cpuinfo(EPYC)) == found


@pytest.mark.parametrize("capabilities, found", [([(8, 0)], "A GPU"), ([(9, 0), (8, 6)], "A GPU"),
                                                 ([(7, 5)], None), ([(8, 0), (7, 0)], None),
                                                 ([None], None)])
def test_where_there_are_gpus_all_of_them_must_have_it(cpuinfo, gpus, capabilities, found):
    """Whatever the processor has."""
    gpus(*({"device_name": "A GPU", **({"compute_capability": able} if able else {})}
           for able in capabilities))
    assert devices.bfloat16_units(cpuinfo(EPYC)) == found


@pytest.mark.parametrize("name, found, chosen, said", [
    ("auto", "AMX", "bfloat16",
     "computes in bfloat16, for which there is AMX. Weights, losses and measurements are float32."),
    ("auto", None, None, "bfloat16 is not known to be faster here"),
    ("none", "AMX", None, "(mixed_precision auto): there is AMX"),
    ("none", None, None, None), ("bfloat16", "AMX", "bfloat16", None),
    ("bfloat16", None, "bfloat16", "No device here is known to be faster in bfloat16"),
    ("float16", "AMX", "float16", None)
])
def test_what_is_chosen_and_what_is_said(monkeypatch, name, found, chosen, said):
    monkeypatch.setattr(devices, "bfloat16_units", lambda: found)
    monkeypatch.setattr(devices, "aborts_in_bfloat16", lambda: False)
    policy, note = devices.choose_precision(name)
    assert policy == chosen and (note is None if said is None else said in note)


@pytest.mark.parametrize("flags, setting, aborts", [
    ("fpu avx avx2 bmi2", "1", True), ("fpu avx avx2 bmi2", "0", False), ("fpu avx", "1", False),
    ("fpu avx2 avx512f", "1", False)
])
def test_bfloat16_is_refused_where_the_process_would_abort(tmp_path, monkeypatch, flags, setting,
                                                           aborts):
    (tmp_path / "cpuinfo").write_text(f"flags\t\t: {flags}\n")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", setting)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
    found = devices.aborts_in_bfloat16(str(tmp_path / "cpuinfo"))
    assert found is aborts
    monkeypatch.setattr(devices, "aborts_in_bfloat16", lambda: found)
    if aborts:
        with refuses(ValueError, "mixed_precision"):
            devices.choose_precision("bfloat16")
    else:
        assert devices.choose_precision("bfloat16")[0] == "bfloat16"
    assert devices.choose_precision("none")[0] is None


def test_what_cannot_be_chosen(monkeypatch):
    with refuses(ValueError):
        devices.choose_precision("bf16")
    with refuses(ValueError):
        devices.choose_precision("auto", several_machines=True)
    assert devices.choose_precision("bfloat16", several_machines=True)[0] == "bfloat16"


@pytest.mark.slow
def test_a_run_in_bfloat16(main, small_networks, tmp_path, monkeypatch):
    """auto is resolved in the manifest; the model is measured as a float32 one of the same weights,
    to the last digit.
    """
    monkeypatch.setattr(devices, "bfloat16_units", lambda: "AMX")
    path = tmp_path / "run"
    options = [
        "--data", "faces", "--num_faces", 64, "--latent_dim", 3, "--batch_size", 4, "--steps", 2,
        "--num_eval", 0, "--image_size", 16
    ]
    with small_networks():
        done = main("celeba", *options, "--mixed_precision", "auto", "--run_dir", path)
    assert "computes in bfloat16, for which there is AMX" in done.stderr
    assert json.loads((path / "config.json").read_text())["mixed_precision"] == "bfloat16"
    # After the training, as before it.
    assert tf.keras.mixed_precision.global_policy().name == "float32"
    other = main("celeba", *options, "--run_dir", path, check=False)
    assert other.code != 0 and "mixed_precision: 'bfloat16' there, None here" in other.stderr
    vae, exact = tfisovae.load(path / "model"), tfisovae.VAE(*small_celeba(), "ssim", 1000.0)
    assert {layer.compute_dtype for layer in vae.encoder.layers} == {"bfloat16", "float32"}
    # The heads.
    assert vae.encoder.layers[-1].compute_dtype == vae.decoder.layers[-1].compute_dtype == "float32"
    assert {weight.dtype for weight in vae.weights} == {tf.float32}
    exact.set_weights(vae.get_weights())
    x = np.random.default_rng(0).uniform(size=(4, 16, 16, 3)).astype(np.float32)
    a, b = vae.measure(x), exact.measure(x)
    for name in ("kl", "x_hat", "distortion", "objective", "coding_loss"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    z = exact.encode(x).mean
    derivatives = [
        geometry.numerical_derivatives(measured.decode, z, exact.distortion)
        for measured in (vae, exact)
    ]
    np.testing.assert_array_equal(*derivatives)


def test_the_loss_of_a_step_in_bfloat16_is_float32():
    """Of x = 0 and x_hat = 1 + 2^-12, the float32 output of bfloat16 features, whose square
    bfloat16 would call 1.
    """
    with devices.using_precision("bfloat16"):
        encoder = tf.keras.Sequential(
            [tf.keras.layers.Input((1, )),
             tf.keras.layers.Dense(2, kernel_initializer="zeros")])
        decoder = tf.keras.Sequential([
            tf.keras.layers.Input((1, )),
            tf.keras.layers.Dense(1, kernel_initializer="zeros", dtype="float32")
        ])
    assert encoder.compute_dtype == "bfloat16"
    decoder.layers[-1].bias.assign([1 + 2.0**-12])
    vae = tfisovae.VAE(encoder, decoder, "sse", 1.0)
    vae.compile(tf.keras.optimizers.SGD(0.0))
    history = vae.fit(np.zeros([4, 1], np.float32), verbose=0).history
    np.testing.assert_allclose(history["distortion"], (1 + 2.0**-12) ** 2, rtol=1e-7)
    # The KL of mean 0 and variance 1 is 0.
    np.testing.assert_allclose(history["loss"], (1 + 2.0**-12) ** 2, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("policy, scaled", [("float16", True), ("bfloat16", False), (None, False)])
def test_float16_takes_a_loss_scale(policy, scaled):
    """Gradients of 1e-9 are 0 in float16, which without a scale would stop the weights before them.
    """
    with devices.using_precision(policy):
        layers = tf.keras.layers
        encoder = tf.keras.Sequential([layers.Input((4,)), layers.Dense(4)])
        decoder = tf.keras.Sequential([
            layers.Input((2, )),
            layers.Dense(8, kernel_initializer="ones"),
            layers.Dense(4, kernel_initializer=tf.keras.initializers.Constant(1e-4))
        ])
    vae = tfisovae.VAE(encoder, decoder, "mse", 1e-4)
    vae.compile(tf.keras.optimizers.SGD(1.0))
    assert isinstance(vae.optimizer, tf.keras.mixed_precision.LossScaleOptimizer) == scaled
    before = decoder.layers[0].bias.numpy()
    vae.fit(np.ones([8, 4], np.float32), verbose=0)
    moved = decoder.layers[0].bias.numpy() - before
    np.testing.assert_allclose(moved, moved.mean(), rtol=0.1)
    assert 1e-9 < moved.mean() < 1e-7  # 2 lmbda 1e-4 (1 - x_hat)


def test_the_table_of_two_precisions(tmp_path):
    """Differences in units of their standard error: (1.02 - 1) / sqrt(.003^2 + .004^2) = 4."""
    one, other = ({
        "policy": policy, "seed": 0, "active": 3, "loss": [at, error], "distortion": [1, 0.1],
        "rate": [1, 0.1], "norm": [1, 0.1], "cosines": [None, None], "balance": [1, 0.1]
    } for policy, at, error in (("float32", 1, 0.003), ("bfloat16", 1.02, 0.004)))
    (tmp_path / "precision.json").write_text(json.dumps({"runs": [one, other]}))
    lines = tables.precision_table([tmp_path]).splitlines()
    assert "| loss | 1 +- 0.003 | 1.02 +- 0.004 | +2.00% | +4.0 |" in lines
    assert "| cosines | - | - | - | - |" in lines
