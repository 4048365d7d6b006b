"""A VAE as a codec: bits and distortion on closed forms, the same symbols everywhere, and what is
refused.
"""
import dataclasses
import json
import shutil

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

import tfisovae
from tests.data.make_codec_2_14 import PLACE, made_vae
from tests.messages import refuses
from tests.support import linear_vae
from tfisovae import Autoencoder, Codec, codec, files, sources, theory
from tfisovae.codec import container
from tfisovae.codec.codec import PRIORS, QUANTIZATIONS

BETA = 0.02
N = 20_000
BASIS = np.linalg.qr(np.random.default_rng(0).standard_normal([6, 3]))[0].T


def optimal(scale):
    """The linear VAE at its closed form for three sources of the variance h / scale^2, and those
    sources.
    """
    variance = BETA / 2 / scale**2
    form = theory.LinearVAE(np.full(3, variance), BETA)
    vae = linear_vae(BASIS.T * form.encoder_gain, BASIS * form.decoder_gain[:, None], form.scale,
                     1 / BETA)
    rng = np.random.default_rng(1)
    fitted, x = ((rng.standard_normal([N, 3]) * np.sqrt(variance) @ BASIS).astype(np.float32)
                 for _ in range(2))
    return vae, form, fitted, x


@pytest.fixture(scope="module")
def gaussian():
    """The codec of one of them at sigma .2, whose data it has not seen, and the data."""
    vae, form, fitted, x = optimal(0.2)
    return Codec.fit(vae, fitted), form, x


def assert_same(a, b):
    np.testing.assert_array_equal(a.tables.cdf, b.tables.cdf)
    assert a.fingerprint == b.fingerprint
    assert a.model_fingerprint == b.model_fingerprint
    assert a.step == b.step


@pytest.mark.parametrize("scale, excess", [(0.1, 0.171460), (0.2, 0.156095), (0.3, 0.129574)])
def test_bits_and_distortion_of_the_closed_form(scale, excess):
    """Beyond the KL at the cells' centres, the exact excess of PAPER_NOTES within .02 bits in each
    dimension; and D.

    Beyond the KL at the means, which are N(0, 1 - sigma^2), it is (log(pi e / 6) + log(1 + sigma^2)
    - sigma^2 / (1 + sigma^2)) / 2 nats: of the second order in sigma^2. D has the transform loss
    and (beta / 2)(1 - sigma^2) a dimension: the decoder shrinks by that.
    """
    vae, form, fitted, x = optimal(scale)
    universal = Codec.fit(vae, fitted)
    means = x.astype(np.float64) @ BASIS.T * form.encoder_gain
    kl = np.mean((means**2 + scale**2 - 1) / 2 - np.log(scale), 0) / np.log(2)
    for made in (universal, universal.at(quantization="rounding")):
        found = made.quantize(x)
        z_hat, bits = made.transform.to_z(found.y_hat), found.bits.mean(0)
        at_centres = np.mean((z_hat**2 + scale**2 - 1) / 2 - np.log(scale), 0) / np.log(2)
        np.testing.assert_allclose(bits - at_centres, excess / np.log(2), atol=0.02)
        beyond = (np.log(np.pi * np.e / 6) + np.log(1 + scale**2) - scale**2 /
                  (1 + scale**2)) / 2 / np.log(2)
        # Three standard errors: (z_hat^2 - mean^2) / 2 has a deviation of about scale.
        assert np.mean(bits - kl) == pytest.approx(beyond,
                                                   abs=3 * scale / np.log(2) / np.sqrt(3 * N))

        x_hat = made.decode(found.y_hat)
        distortion = np.sum((x_hat - x) ** 2, 1).mean()
        assert distortion == pytest.approx(
            form.transform_loss.sum() + 3 * BETA / 2 * (1 - scale**2), rel=0.01)
        # Three standard errors of 2,000 others.
        assert distortion == pytest.approx(made.predicted.distortion, rel=0.04)
    # Three standard errors.
    np.testing.assert_allclose(made.predicted.kl, form.rate / np.log(2), atol=0.03)
    np.testing.assert_allclose(made.predicted.high_rate - made.predicted.kl, 0.2546, atol=1e-4)
    # Three standard errors of 512 posteriors: the excess depends on mu by sigma^2 mu^2 / 2.
    np.testing.assert_allclose(made.predicted.exact - made.predicted.kl, beyond,
                               atol=3 * scale**2 / np.sqrt(2 * 512) / np.log(2))
    assert made.predicted.coding_loss == pytest.approx(3 * BETA / 2)
    np.testing.assert_allclose(made.saving, 0, atol=0.003)  # the aggregate posterior is the prior


@pytest.mark.parametrize("scale", [0.5, 0.7])
def test_the_predicted_distortion_holds_at_a_low_rate(scale):
    """At the optimum D is beta / 2 in each dimension: the transform loss takes sigma^2 of that, and
    the coding loss the rest. A coding loss of beta / 2 would be too much by sigma^2: 25 and 49 %.
    """
    vae, form, fitted, x = optimal(scale)
    made = Codec.fit(vae, fitted[:4000])
    # Four standard errors: D is a sum of three squares of noise, over 2,000 examples and 4,000.
    assert made.predicted.distortion == pytest.approx(form.distortion.sum(), rel=0.08)
    x_hat = made.decode(made.quantize(x[:4000]).y_hat)
    assert np.square(x_hat - x[:4000]).sum(1).mean() == pytest.approx(made.predicted.distortion,
                                                                      rel=0.08)
    finer = made.at(step_factor=0.25).predicted
    assert finer.distortion == pytest.approx(
        form.transform_loss.sum() + form.coding_loss.sum() / 16, rel=0.08)


def test_the_error_of_y_is_uniform_and_independent_of_it(gaussian):
    made, _, x = gaussian
    found = made.quantize(x)
    error = (found.y_hat - found.y) / made.step
    for j in range(3):
        assert scipy.stats.kstest(error[:, j], scipy.stats.uniform(-0.5, 1).cdf).pvalue > 1e-3
        for a, b in ((error[:, j], found.y[:, j]), (error[:, j]**2, found.y[:, j]**2),
                     (error[:, j], error[:, j - 1])):
            assert abs(np.corrcoef(a, b)[0, 1]) < 4 / np.sqrt(N)
    assert np.var(found.y_hat - found.y) == pytest.approx(BETA / 2, rel=0.01)
    np.testing.assert_array_equal(made.dequantize(found.symbols), found.y_hat)
    np.testing.assert_allclose(made.transform.to_z(found.y),
                               x @ BASIS.T * theory.LinearVAE(0.25, BETA).encoder_gain, atol=1e-5)


@pytest.mark.parametrize("quantization", QUANTIZATIONS)
@pytest.mark.parametrize("prior", PRIORS)
def test_round_trip_without_the_loss_of_a_symbol(gaussian, tmp_path, quantization, prior):
    """10,000 examples, and means at 12 in every direction, far outside of every table: by strings,
    and by a file.
    """
    made, form, x = gaussian
    made = made.at(quantization=quantization, prior=prior)
    signs = np.array(np.meshgrid(*[[-12.0, 0, 12]] * 3)).reshape(3, -1).T
    x = np.concatenate([x[:10_000], signs / form.encoder_gain @ BASIS]).astype(np.float32)
    found = made.quantize(x)
    assert np.abs(made.transform.to_z(found.y)[-1]).max() == pytest.approx(
        12, abs=1e-3) and found.bits[-1].min() > 16
    codes = made.compress(x)
    dither = made.quantizer.dither(np.arange(len(x)))
    np.testing.assert_array_equal(made.tables.decode(codes, dither), found.symbols)
    x_hat = made.decompress(codes)
    np.testing.assert_array_equal(x_hat, made.decode(found.y_hat))
    written = made.write(tmp_path / "x.tfv", x)
    np.testing.assert_allclose(np.concatenate(list(made.read(tmp_path / "x.tfv"))), x_hat,
                               atol=1e-5)
    assert written.num_examples == len(x) and written.size == (tmp_path / "x.tfv").stat().st_size
    np.testing.assert_allclose(written.bits, found.bits.mean(0))
    assert 8 * written.code_bytes == pytest.approx(found.bits.sum(), rel=5e-4)
    # Header, last block, three blocks, footer.
    assert written.size - written.code_bytes == 83 + 16 + 3 * 20 + 56


def test_codes_know_their_places(gaussian):
    """Any of them in any order; plain bytes are taken to be the first ones, or said to be others.
    """
    made, _, x = gaussian
    codes = made.compress(x[:50])
    whole = made.decompress(codes)
    order = np.random.default_rng(0).permutation(50)[:20]
    np.testing.assert_allclose(made.decompress([codes[k] for k in order]), whole[order], atol=1e-6)
    plain = [bytes(code) for code in codes]
    np.testing.assert_allclose(made.decompress(plain), whole, atol=1e-6)
    np.testing.assert_allclose(made.decompress(plain[7:9], places=[7, 8]), whole[7:9], atol=1e-6)
    assert made.decompress([]).shape == (0, 6)


@pytest.mark.slow
def test_the_same_symbols_in_a_fresh_process_on_other_threads(gaussian, script, tmp_path):
    """Saved here, loaded and decoded there on one thread: tables, dither and symbols to the last
    bit, x_hat to rounding.
    """
    made, _, x = gaussian
    made.model.encode.__self__.save(tmp_path / "model")
    made.save(tmp_path / "codec")
    made.write(tmp_path / "x.tfv", x)
    np.save(tmp_path / "symbols.npy", made.quantize(x).symbols)
    np.save(tmp_path / "x_hat.npy", np.concatenate(list(made.read(tmp_path / "x.tfv"))))
    code = ("""
import sys, numpy as np, tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(1)
tf.config.threading.set_inter_op_parallelism_threads(1)
from tfisovae import Codec
place = sys.argv[1]
made = Codec.load(place + "/codec", place + "/model")
with made.open(place + "/x.tfv") as reader:
    dithers = (made.quantizer.dither(np.arange(block.first, block.first + block.count))
               for block in reader.blocks())
    symbols = np.concatenate([made.tables.decode([block.code], dither, together=True)
                              for block, dither in zip(list(reader.blocks()), dithers)])
print(np.array_equal(symbols, np.load(place + "/symbols.npy")))
x_hat = np.concatenate(list(made.read(place + "/x.tfv")))
print(np.abs(x_hat - np.load(place + "/x_hat.npy")).max() < 1e-5)
""")
    assert script("-c", code, tmp_path).stdout.split() == ["True", "True"]


def test_a_file_that_tensorflow_2_14_and_tensorflow_compression_wrote():
    """Whatever runs here reads the codec, the file and the strings, and writes the same bytes."""
    written = np.load(PLACE / "examples.npz")
    made = Codec.load(PLACE / "codec", made_vae())
    x_hat = np.concatenate(list(made.read(PLACE / "x.tfv")))
    # Float32 rounding: the symbols are the same.
    np.testing.assert_allclose(x_hat, written["x_hat"], rtol=1e-6, atol=1e-6)
    codes = [bytes.fromhex(code) for code in written["codes"]]
    dither = made.quantizer.dither(np.arange(len(codes)))
    np.testing.assert_array_equal(made.tables.decode(codes, dither), written["symbols"])
    assert made.tables.encode(written["symbols"], dither) == codes
    block, = made.open(PLACE / "x.tfv").blocks()
    assert made.tables.encode(written["symbols"], dither, together=True) == [block.code]
    assert np.abs(written["symbols"]).max() > 100  # one is an escape


def test_more_examples_than_a_file_can_hold_are_refused(gaussian, tmp_path):
    """A block of 12 bytes that says that it holds 2^32 - 1 examples: before any is decoded."""
    made, _, x = gaussian
    header = container.Header(made.model_fingerprint, made.fingerprint, 3, (6,))
    with container.Writer(tmp_path / "x.tfv", header) as writer:
        writer.write(2**32 - 1, bytes(12))
    with refuses(container.Altered):
        made.open(tmp_path / "x.tfv")
    with refuses(ValueError):  # native code never came back from these
        made.decompress([b"\xff\xff"])
    # What the likeliest symbols really take is far from the bound, of one example and of many.
    for count in (1, 10_000):
        dither = made.quantizer.dither(np.arange(count))
        code, = made.tables.encode(np.zeros([count, 3], int), dither, together=True)
        assert count < made.tables.most_examples(len(code))


def test_saved_and_loaded(gaussian, tmp_path):
    """Of the VAE, of its SavedModel, and of two Keras models; with the same prediction. What was
    there is replaced.
    """
    made, _, x = gaussian
    vae = made.model.encode.__self__
    vae.save(tmp_path / "model")
    made.at(step_factor=3).save(tmp_path / "codec")
    made.save(tmp_path / "codec")
    for model in (vae, str(tmp_path / "model"), tfisovae.load(
            tmp_path / "model"), (vae.encoder, vae.decoder)):
        loaded = Codec.load(tmp_path / "codec", model, distortion="sse")
        assert_same(loaded, made)
        np.testing.assert_array_equal(loaded.decompress(made.compress(x[:100])),
                                      made.decompress(made.compress(x[:100])))
        for name, value in dataclasses.asdict(made.predicted).items():
            np.testing.assert_array_equal(getattr(loaded.predicted, name), value)
    # Nothing of the data is needed.
    assert_same(loaded.at(2.0, "rounding", "empirical"), made.at(2.0, "rounding", "empirical"))


def gaussian_rate(factor, scale):
    """Nats a dimension of dithered N(0, 1 - sigma^2) under the prior N(0, 1): the density of cells
    is N(0, 1 + f^2 sigma^2).
    """
    noise = factor**2 * scale**2
    return 0.5 * np.log(2 * np.pi * (1 + noise) /
                        (12 * noise)) + (1 - scale**2 + noise) / (2 * (1 + noise))


def test_step_factors_trade_rate_for_distortion_at_beta(gaussian):
    """The slope dD/dR at 1 is -beta, distortion per nat, to sigma^4; each halving costs almost a
    bit a dimension. Same maps.
    """
    made, _, x = gaussian
    points = []
    for factor in (0.9, 1.1):
        other = made.at(step_factor=factor)
        assert other.transform is made.transform and other.step == pytest.approx(
            factor * np.sqrt(6 * BETA))
        found = other.quantize(x)
        points.append(
            (found.bits.sum(1).mean() * np.log(2), np.sum((other.decode(found.y_hat) - x)**2,
                                                          1).mean()))
    (low, near), (high, far) = points
    assert (far - near) / (high - low) == pytest.approx(-BETA, rel=0.02)
    fine = made.at(step_factor=0.25)
    assert (fine.predicted.high_rate - made.predicted.high_rate) == pytest.approx(2)
    closed = (gaussian_rate(0.25, 0.2) - gaussian_rate(1, 0.2)) / np.log(2)
    assert fine.quantize(x).bits.mean() - made.quantize(x).bits.mean() == pytest.approx(
        closed, abs=0.003)
    assert (fine.predicted.exact - made.predicted.exact).mean() == pytest.approx(closed, abs=0.003)
    assert fine.predicted.coding_loss == pytest.approx(made.predicted.coding_loss / 16)


def test_the_empirical_prior_saves_the_divergence_of_the_aggregate_posterior():
    """Means from N(.5, 1.5^2) under the prior N(0, 1): (m^2 + v - 1 - log v) / 2 nats, reported,
    and saved on other examples.
    """
    rng = np.random.default_rng(2)
    vae = linear_vae([[1.0]], [[1.0]], 0.1, 1 / BETA)
    fitted, x = (rng.normal(0.5, 1.5, [N, 1]).astype(np.float32) for _ in range(2))
    made = Codec.fit(vae, fitted)
    variance = 1.5**2 + 0.1**2
    closed = (0.5**2 + variance - 1 - np.log(variance)) / 2 / np.log(2)
    assert made.saving[0] == pytest.approx(closed, abs=0.03)
    saved = made.quantize(x).bits.mean() - made.at(prior="empirical").quantize(x).bits.mean()
    assert saved == pytest.approx(closed, abs=0.03) and saved == pytest.approx(
        made.saving[0], abs=0.03)
    entropy = 0.5 * np.log2(2 * np.pi * np.e * variance) - np.log2(2 * np.sqrt(3) * 0.1)
    assert made.at(prior="empirical").quantize(x).bits.mean() == pytest.approx(entropy, abs=0.02)


@pytest.fixture(scope="module", params=["mix", *(pytest.param(name, marks=pytest.mark.slow)
                                                 for name in ("norm", "ramp"))])
def toy(request, main, root, tmp_path_factory):
    """A trained toy model: Mix as published, the others after a twentieth of the epochs; and its
    data.
    """
    if request.param == "mix":
        vae = tfisovae.load(root / "results" / "verdict" / "mix-cosine" / "model")
    else:
        place = tmp_path_factory.mktemp("toy") / "run"
        main("toy", "--source", request.param, "--epochs", 5, "--schedule", "cosine", "--num_eval",
             0, "--run_dir", place)
        vae = tfisovae.load(place / "model")
    source = sources.load_toy(request.param)
    return vae, source.train[np.arange(N)], source.eval[np.arange(10_000)]


def test_trained_toys_cost_what_is_predicted(toy, tmp_path):
    """Bits within 1 % of KL + (n / 2) log2(pi e / 6), on examples that were not seen, by both
    quantisers; and in a file.
    """
    vae, fitted, x = toy
    made = Codec.fit(vae, fitted)
    posterior = vae.encode(x)
    assert posterior.scale.numpy().mean(0).max() < 0.2 and len(made.dimensions) == 3
    expected = posterior.kl().numpy().sum(1).mean() / np.log(2) + 3 * 0.5 * np.log2(
        np.pi * np.e / 6)
    for quantization in QUANTIZATIONS:
        assert made.at(quantization=quantization).quantize(x).bits.sum(1).mean() == pytest.approx(
            expected, rel=0.01)
    assert made.predicted.exact.sum() == pytest.approx(expected, rel=0.015)
    written = made.write(tmp_path / "x.tfv", x)
    # With header, index and checksums.
    assert 8 * written.size / len(x) == pytest.approx(expected, rel=0.03)
    measured = vae.measure(x)
    decoded = np.sum((np.concatenate(list(made.read(tmp_path / "x.tfv"))) - x) ** 2, 1).mean()
    assert decoded == pytest.approx(measured.distortion.numpy().mean(), rel=0.05)


def test_what_is_not_active_rests_at_its_mean():
    """A dimension of constant mean .1 and scale 1 has a KL of .005 nats: no bits, and .1 in z;
    unless it is asked for.
    """
    vae = linear_vae([[2.0, 0.0]], [[0.5], [1.0]], [0.1, 1.0], 1 / BETA)
    bias = vae.encoder.layers[-1].bias
    bias.assign([0, 0.1, *bias.numpy()[2:]])
    x = np.random.default_rng(0).normal(0, 0.5, [2_000, 1]).astype(np.float32)
    made = Codec.fit(vae, x)
    assert made.dimensions.tolist() == [
        0
    ] and made.n == 2 and made.quantize(x).symbols.shape == (2_000, 1)
    np.testing.assert_allclose(made.transform.to_z(np.zeros([1, 1]))[0, 1], 0.1, rtol=1e-5)
    np.testing.assert_allclose(made.decompress(made.compress(x)), x + 0.1, atol=made.step)
    assert made.transform.kl[1] == pytest.approx(0.005 / np.log(2), rel=1e-4)
    assert Codec.fit(vae, x, active=[True, True]).dimensions.tolist() == [0, 1]


def test_a_vae_of_keras_3(root, tmp_path):
    """Two SavedModels of another Keras: known by their weights, from the disk anew too; and not by
    those of one half.
    """
    parts = [str(root / "tests" / "data" / "keras3_vae" / name) for name in ("encoder", "decoder")]
    model = tfisovae.as_autoencoder(parts, "bce", 0.01)
    x = np.random.default_rng(0).random([100, *model.networks.example_shape]).astype(np.float32)
    made = Codec.fit(model, x, active=np.ones(3, bool))
    made.save(tmp_path / "codec")
    loaded = Codec.load(tmp_path / "codec", parts, distortion="bce")
    assert_same(loaded, made)
    assert made.identity.fingerprint and loaded.model.beta == 0.01
    codes = made.compress(x)
    np.testing.assert_allclose(loaded.decompress(codes), made.decode(made.quantize(x).y_hat),
                               atol=1e-5)
    with refuses(container.OtherModel):
        Codec.load(tmp_path / "codec",
                   (parts[0], lambda z: np.zeros([len(z), *x.shape[1:]], np.float32)),
                   distortion="bce")


def functions(gain=2.0, shift=0.0):
    """A VAE as two functions over NumPy arrays, which have no weights to be seen."""
    return lambda x: (x * gain + shift, np.full_like(x, np.log(0.01))), lambda z: (z - shift) / gain


def test_functions_over_arrays_are_known_by_what_they_do(tmp_path):
    x = np.random.default_rng(0).normal(0, 0.5, [1_000, 2]).astype(np.float32)
    made = Codec.fit(functions(), x, distortion="sse", beta=0.005)
    assert made.identity.fingerprint is None
    np.testing.assert_allclose(made.decompress(made.compress(x)), x, atol=made.step)
    made.save(tmp_path / "codec")
    assert_same(Codec.load(tmp_path / "codec", functions(), distortion="sse"), made)
    with refuses(container.OtherModel):
        Codec.load(tmp_path / "codec", (functions(shift=0.1)[0], functions()[1]), distortion="sse")
    with refuses(container.OtherModel, "x_hat"):
        Codec.load(tmp_path / "codec", functions(2.01), distortion="sse")


def test_a_model_that_changes_is_refused(tmp_path):
    """In memory, at whatever is asked of the codec; beside a saved codec; and a file of it."""
    vae, _, fitted, x = optimal(0.2)
    made = Codec.fit(vae, fitted[:1_000])
    made.save(tmp_path / "codec")
    made.write(tmp_path / "x.tfv", x[:10])
    codes, kernel = made.compress(x[:10]), vae.decoder.layers[-1].kernel
    before = kernel.numpy()
    kernel.assign(before * (1 + 1e-6))
    for call in (lambda: made.compress(x), lambda: made.quantize(x), lambda: made.decompress(codes),
                 lambda: made.open(tmp_path / "x.tfv"), lambda: made.write(tmp_path / "y.tfv", x)):
        with refuses(container.OtherModel):
            call()
    assert not (tmp_path / "y.tfv").exists()
    with refuses(container.OtherModel):
        Codec.load(tmp_path / "codec", vae)
    with refuses(container.OtherModel):
        Codec.fit(vae, fitted[:1_000]).open(tmp_path / "x.tfv")
    kernel.assign(before)
    assert made.open(tmp_path / "x.tfv").num_examples == 10
    with refuses(container.OtherCodec):
        made.at(step_factor=1.5).open(tmp_path / "x.tfv")
    vae.lmbda = 60.0
    with refuses(container.OtherModel):
        Codec.load(tmp_path / "codec", vae)
    other = linear_vae(np.ones([4, 2]), np.ones([2, 4]), 0.1, 50)
    with pytest.raises(container.OtherModel):
        Codec.load(tmp_path / "codec", other)


def test_a_forged_file_costs_what_its_size_allows(gaussian, tmp_path):
    """Checksums are right, and codes or counts are not. The coarse codec needs almost no bits, so
    that a few bytes could hold a million examples.
    """
    rng, made = np.random.default_rng(0), gaussian[0]
    coarse = made.at(step_factor=1000.0, quantization="rounding")
    most = codec.codec.BLOCK

    def blocks(some):
        some.write(tmp_path / "x.tfv", gaussian[2][:50])
        with container.Reader(tmp_path / "x.tfv") as reader:
            return reader.header, reader.blocks().__next__().code

    for some in (made, coarse):
        header, code = blocks(some)
        assert coarse.tables.most_examples(100) > 100 * most
        for count, changed in [
            (50, rng.bytes(len(code))), (50, code[:-1]), (50, code + b"\xff"), (51, code),
            (most, b""), (most, b"\xff" * 20), (most + 1, bytes(10**4)), (10**6, b"\xff" * 10**4),
            (2**32 - 1, code)
        ]:
            with container.Writer(tmp_path / "x.tfv", header) as writer:
                writer.write(50, code)
                writer.write(count, changed)
            decoded, refused = 0, False
            try:
                for x in some.read(tmp_path / "x.tfv"):
                    decoded += len(x)
            except ValueError:
                refused = True
            assert refused or decoded == 50 + count <= 50 + most, (count, len(changed))


def test_a_damaged_codec_is_refused(gaussian, tmp_path, damaged):
    made = gaussian[0]
    vae = made.model.encode.__self__
    made.save(tmp_path / "codec")
    for name in ("codec.json", "arrays.npz"):
        whole = (tmp_path / "codec" / name).read_bytes()
        for data in damaged(whole, 1):
            if data != whole:
                (tmp_path / "codec" / name).write_bytes(data)
                with pytest.raises(files.DamagedFile, match="Fit the codec again"):
                    Codec.load(tmp_path / "codec", vae)
        (tmp_path / "codec" / name).write_bytes(whole)
    assert_same(Codec.load(tmp_path / "codec", vae), made)
    said = json.loads((tmp_path / "codec" / "codec.json").read_text())
    (tmp_path / "codec" / "codec.json").write_text(json.dumps({**said, "step_factor": 2.0}))
    with refuses(files.DamagedFile, "codec.json"):
        Codec.load(tmp_path / "codec", vae)
    (tmp_path / "codec" / "codec.json").write_text(json.dumps(said))
    (tmp_path / "codec" / "arrays.npz").unlink()
    with refuses(files.DamagedFile, "arrays.npz"):
        Codec.load(tmp_path / "codec", vae)
    shutil.rmtree(tmp_path / "codec")
    with refuses(FileNotFoundError):
        Codec.load(tmp_path / "codec", vae)


@pytest.mark.parametrize("change", [
    lambda transform: {"resting": transform.resting + 1e-9},
    lambda transform: {
        "maps": (dataclasses.replace(transform.maps[0], y=transform.maps[0].y *
                                     (1 + 1e-9)), *transform.maps[1:])
    },
    lambda transform:
    {"maps": (*transform.maps[:2], dataclasses.replace(transform.maps[2], slopes=[1, 2]))},
])
def test_whatever_decoding_needs_is_in_the_fingerprint(gaussian, tmp_path, change):
    """Of the same tables and another map or resting place: a file of the one is refused by the
    other.
    """
    made = gaussian[0]
    other = Codec(made.model, dataclasses.replace(made.transform, **change(made.transform)),
                  made.example_shape, tables=made.tables)
    made.write(tmp_path / "x.tfv", X[:10])
    with refuses(container.OtherCodec):
        other.open(tmp_path / "x.tfv")


def test_a_codec_takes_the_place_of_nothing_else(gaussian, tmp_path):
    """Of no model, run or file: an empty directory and a codec alone are replaced."""
    made = gaussian[0]
    made.model.encode.__self__.save(tmp_path / "model")
    (tmp_path / "file").write_text("mine")
    for name in ("model", "file", "."):
        with refuses(FileExistsError):
            made.save(tmp_path / name)
    assert (tmp_path / "model" / "saved_model.pb").exists() and (tmp_path
                                                                 / "file").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    made.save(tmp_path / "empty")
    assert_same(Codec.load(tmp_path / "empty", tmp_path / "model"), made)


X = np.random.default_rng(0).standard_normal([500, 6]).astype(np.float32)
BAD = X.copy()
BAD[123, 4] = np.nan


@pytest.mark.parametrize("data, options, argument", [
    (X[:3], {},
     "data"),
    (X[:300], {"prior": "empirical"
               }, ""),
    (BAD, {}, "x"),
    (X[:, :5], {},
     "x"),
    (X, {"num_examples": 501}, ""),
    (X, {"step_factor": 0}, "step_factor"),
    (X, {"step_factor": np.nan}, "step_factor"),
    (X, {"step_factor": 1e300}, "step_factor"),
    (X, {"step_factor": "2"}, "step_factor"),
    (X, {"step_factor": 1e-9}, ""),
    (X, {"quantization": "dithered"
         }, "quantization"),
    (X, {"prior": "uniform"}, "prior"),
    (X, {"active": [True]}, "active"),
    (X, {"active": [False] * 3}, "active"),
    (X, {"active": [0, 1, 2]}, "active"),
])
def test_bad_input_to_fit(gaussian, data, options, argument):
    with refuses(ValueError, argument):
        Codec.fit(gaussian[0].model, data, **options)


def test_models_that_cannot_be_fitted():
    with refuses(ValueError):
        Codec.fit(linear_vae(np.zeros([6, 3]), BASIS, 1.0, 50), X)
    vae = optimal(0.2)[0]
    with refuses(ValueError, "beta"):
        Codec.fit((vae.encoder, vae.decoder), X, distortion="sse")
    broken = Autoencoder(lambda x: (x[:, :1], tf.where(x[:, :1] > 2.5, np.nan, 0.1)),
                         lambda z: tf.repeat(z, 6, 1), "sse", 0.01)
    with pytest.raises(
            ValueError,
            match=f"posterior must be finite; example {int(np.argmax(X[:, 0] > 2.5))} "):
        Codec.fit(broken, X)


def test_bad_input_to_a_codec(gaussian, tmp_path):
    made = gaussian[0]
    for call in (made.compress, made.quantize, lambda x: made.write(tmp_path / "x.tfv", x)):
        with refuses(ValueError):
            call(BAD)
        with refuses(ValueError):
            call(X[:, :5])
        with refuses(ValueError):
            call(X[:2] * [[1], [1e12]])
    later = np.tile(X, (9, 1))
    later[4_321] *= 1e12  # beyond the first block
    with refuses(ValueError):
        made.compress(later)
    assert not (tmp_path / "x.tfv").exists()
    with refuses(ValueError, "x"):
        made.compress(np.zeros([2, 28, 28], np.float32))
    for bad in (np.zeros([2, 4]), np.zeros(3), 0):
        for call in (made.decode, made.dequantize):
            with refuses(ValueError):
                call(bad)
    for call in (lambda: made.quantize(X[:2], first=-1),
                 lambda: made.dequantize(np.zeros([2, 3]), first=-1)):
        with refuses(ValueError, "first"):
            call()
    codes = made.compress(X[:4])
    for bad in (codes[0], "code", [1, 2], [codes[0], None]):
        with refuses(ValueError, "codes"):
            made.decompress(bad)
    for places in ([0, 1], [0, 1, 2, -1], [0.0, 1, 2, 3], 3):
        with refuses(ValueError, "places"):
            made.decompress(codes, places)
    with refuses(ValueError):
        made.decompress([b"no code at all, but words"])
