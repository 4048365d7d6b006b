"""Each finding on a model that has it; none on sound ones."""
import ast
import warnings

import numpy as np
import pytest
import tensorflow as tf

import tfisovae
from tests import pages
from tests.autoencoder import linear_pair
from tests.messages import refuses
from tests.support import ROOT, linear_vae, measurement_of
from tfisovae import density, distortions, show
from tfisovae.analysis import mean_gradient, measuring
from tfisovae.analysis.monitor import Meter
from tfisovae.autoencoder.autoencoder import Autoencoder, as_autoencoder
from tfisovae.autoencoder.inspection import inspect
from tfisovae.geometry.isometric_variable import IsometricVariable
from tfisovae.geometry.traversals import traverse
from tfisovae.verdict.findings import Kind
from tfisovae.verdict.states import Severity

layers = tf.keras.layers
# An exact linear VAE: x = s B with B orthogonal, s_j ~ N(0, v_j), beta = .2 with the sum of
# squares, so h = beta / 2 = .1 and mu_j = sqrt(v_j - h) / v_j s_j, sigma_j^2 = h / v_j, x_hat =
# sqrt(v_j - h) z_j along B_j.
V, H, BETA = np.array([1.0, 0.5, 0.2]), 0.1, 0.2
RNG = np.random.default_rng(0)
B = np.linalg.qr(RNG.normal(size=(6, 3)))[0].T
X = ((RNG.normal(size=(1000, 3)) * np.sqrt(V)) @ B).astype(np.float32)
GAIN, WIDTH = np.sqrt(V - H) / V, H / V
LOG_WIDTH = np.log(WIDTH)


def encode(x, second=LOG_WIDTH):
    mean = tf.matmul(x, tf.constant(B.T * GAIN, tf.float32))
    return mean, tf.zeros_like(mean) + tf.constant(second, tf.float32)


def decode(z):
    return tf.matmul(z, tf.constant(np.sqrt(V - H)[:, None] * B, tf.float32))


def numpy_pair():
    return (lambda x: tuple(part.numpy() for part in encode(tf.constant(x))),
            lambda z: decode(tf.constant(z)).numpy())


def kinds(autoencoder, x=X):
    return [(finding.kind, finding.part) for finding in inspect(autoencoder, x)]


SOUND = {
    "tensors": lambda: as_autoencoder((encode, decode), "sse", BETA),
    "numpy": lambda: as_autoencoder(numpy_pair(), "sse", BETA),
    "ours": lambda: tfisovae.VAE(*tfisovae.networks.toy(3, 6), "sse", 5.0),
    "collapsed": lambda: as_autoencoder(
        (lambda x: (0 * x[:, :3], 0 * x[:, :3]), lambda z: 0 * decode(z)), "sse", BETA),
    "batch normalisation, in inference": lambda: as_autoencoder((encode,
                                                                 tf.keras.Sequential([
                                                                     layers.Input((3, )),
                                                                     layers.Dense(6),
                                                                     layers.BatchNormalization(),
                                                                     layers.Dropout(0.5)
                                                                 ])), "sse", BETA),
}


@pytest.mark.parametrize("name", SOUND)
def test_sound_models_have_no_findings(name):
    assert inspect(SOUND[name](), X) == []


@pytest.mark.parametrize("scale, second", [("log_variance", np.log(WIDTH)), ("variance", WIDTH),
                                           ("log_scale", np.log(WIDTH) / 2),
                                           ("scale", np.sqrt(WIDTH))])
def test_the_reading_that_fits_is_found(scale, second):
    """Under each wrong reading E[mu^2 + sigma^2] leaves 1, and the right one is suggested; under
    the right one nothing is.
    """
    pair = (lambda x: encode(x, second), decode)
    for reading in ("log_variance", "variance", "log_scale", "scale"):
        found = inspect(as_autoencoder(pair, "sse", BETA, scale=reading), X)
        found = [finding for finding in found if finding.kind is Kind.OTHER_SCALE]
        if reading == scale:
            assert not found
        elif found:
            assert found[0].suggestion == scale
            assert found[0].numbers[scale] == pytest.approx(1, abs=0.1) and set(
                found[0].numbers) == {"log_variance", "variance", "log_scale", "scale"}
        else:  # these two differ by less than 1000 examples can tell, where sigma is this small
            assert (scale, reading) == ("log_variance", "log_scale")


def in_training_mode(model):
    return lambda inputs: model(inputs, training=True)


@pytest.mark.parametrize("part", ["encode", "decode"])
def test_batch_normalisation_and_dropout_left_on(part):
    normalised, dropped = (tf.keras.Sequential([layer])
                           for layer in (layers.BatchNormalization(), layers.Dropout(0.2)))
    for model, kind in ((normalised, Kind.ROWS_DEPEND), (dropped, Kind.RANDOM)):
        on = in_training_mode(model)
        broken = {
            "encode": lambda x, on=on: (on(encode(x)[0]), encode(x)[1]),
            "decode": lambda z, on=on: on(decode(z))
        }[part]
        pair = {"encode": encode, "decode": decode, part: broken}
        found = [
            finding for finding in inspect(as_autoencoder(tuple(pair.values()), "sse", BETA), X)
            if finding.part == part
        ]
        assert found[0].kind is kind and found[0].numbers["change"] > 0.05


def test_rounding_is_no_dependence_on_other_rows():
    """Outputs that hardly differ between rows, and are rounded otherwise in batches of other sizes,
    as networks before their training are.
    """
    def rounded(z):
        size = tf.cast(tf.shape(z)[0], tf.float32)
        return 1 + 1e-5 * decode(z) + 1e-7 * tf.sin(size)

    found = kinds(as_autoencoder((encode, rounded), "sse", BETA))
    assert (Kind.ROWS_DEPEND, "decode") not in found and (Kind.RANDOM, "decode") not in found


def test_randomness_of_numpy_functions():
    noisy = np.random.default_rng(0)
    pair = numpy_pair()
    random = as_autoencoder((pair[0], lambda z: pair[1](z) + 1e-3 * noisy.normal(size=6)), "sse",
                            BETA)
    assert kinds(random) == [(Kind.RANDOM, "decode")]
    shuffled = as_autoencoder((pair[0], lambda z: pair[1](z) - pair[1](z).mean(0)), "sse", BETA)
    assert kinds(shuffled) == [(Kind.ROWS_DEPEND, "decode")]


def test_which_input_is_not_finite():
    x = X.copy()
    x[[5, 9], 2] = 100.0
    broken = Autoencoder(
        lambda x: (tf.where(x[:, 2:3] > 50, np.nan,
                            encode(x)[0]), tf.exp(encode(x)[1] / 2)), decode, "sse", BETA)
    found = inspect(broken, x)
    assert [(finding.kind, finding.part) for finding in found] == [(Kind.NOT_FINITE, "encode")]
    assert found[0].numbers == {"row": 5, "rows": 2, "of": 128}
    broken = as_autoencoder((encode, lambda z: tf.math.log(decode(z)[:, :1]) + 0 * decode(z)),
                            "sse", BETA)
    negative = np.flatnonzero(decode(encode(X)[0])[:128, 0] <= 0)
    found = {finding.kind: finding.numbers for finding in inspect(broken, X)}
    assert found[Kind.NOT_FINITE] == {"row": negative[0], "rows": len(negative), "of": 128}
    assert kinds(Autoencoder(lambda x: (x[:, :3] + np.nan, x[:, :3]), decode, "sse",
                             BETA))[0] == (Kind.NOT_FINITE, "encode")


@pytest.mark.parametrize("size", [1e-30, 1e25])
def test_scales_whose_squares_leave_float32(size):
    """They are finite and positive, but variances and precisions are not."""
    x = X if size < 1 else X[:200]
    found = inspect(as_autoencoder((lambda x: encode(x, [size, 0.4, 0.7]), decode), "sse", BETA,
                                   scale="scale"), x)
    finding, = [one for one in found if one.kind is Kind.SCALE_OUT_OF_RANGE]
    assert finding.severity is Severity.FATAL
    assert finding.numbers["fraction"] == pytest.approx(1 / 3) and finding.numbers["row"] == 0
    assert finding.numbers["smallest" if size < 1 else "largest"] == pytest.approx(size)


@pytest.mark.parametrize("conditional", [False, True])
def test_a_sample_that_is_the_mean_is_not_its_variance(conditional):
    """Encoders return (z, mean, log-variance), and z is the mean in evaluation mode."""
    def encode_all(x, c=0.0):
        mean, log_variance = encode(x)
        return mean, mean, log_variance

    c = [np.zeros(len(X), np.float32)] if conditional else []
    pair = (encode_all, (lambda z, c: decode(z)) if conditional else decode)

    def found(**options):
        model = as_autoencoder(pair, "sse", BETA, conditional=conditional, **options)
        return [one.kind for one in inspect(model, (X, *c) if conditional else X)]

    assert Kind.EQUAL_OUTPUTS in found()
    assert found(encoder_outputs=(1, 2)) == []
    # A variance that is negative is found for conditional models too.
    assert Kind.NEGATIVE_VARIANCE in found(encoder_outputs=(1, 2), scale="variance")


def test_scales_that_are_not_positive():
    found = inspect(
        as_autoencoder((lambda x: encode(x, [-0.3, 0.4, 0.7]), decode), "sse", BETA, scale="scale"),
        X)
    assert found[0].kind is Kind.SCALE_NOT_POSITIVE
    assert found[0].numbers == {
        "fraction": pytest.approx(1 / 3), "smallest": pytest.approx(-0.3), "row": 0
    }


PIXELS = (RNG.uniform(size=(128, 3)) @ np.abs(B) / np.abs(B).sum(0)).astype(np.float32)


def pixel_vae(distortion, output=tf.sigmoid, gain=1.0):
    """Reconstructs pixels in [0, 1] well enough: the mean is the logit along B, and back."""
    def encode_pixels(x):
        p = tf.clip_by_value(x, 0.01, 0.99)
        mean = tf.matmul(tf.math.log(p / (1 - p)), tf.constant(B.T, tf.float32))
        return mean, tf.zeros_like(mean) - 4

    return as_autoencoder(
        (encode_pixels, lambda z: gain * output(tf.matmul(z, tf.constant(B, tf.float32)))),
        distortion, BETA)


def domain_findings(autoencoder, x):
    return [f for f in inspect(autoencoder, x) if f.kind in (Kind.OUTSIDE_DOMAIN, Kind.OTHER_RANGE)]


def test_logits_where_probabilities_should_be():
    assert domain_findings(pixel_vae("bce"), PIXELS) == []
    found, *_ = domain_findings(pixel_vae("bce", output=tf.identity), PIXELS)
    assert found.kind is Kind.OUTSIDE_DOMAIN and found.numbers[
        "smallest"] < 0 and 0 < found.numbers["fraction"] <= 1
    assert found.severity is Severity.FATAL
    logits = pixel_vae("bce", output=tf.identity)
    for way in ("sigmoid", tf.sigmoid):
        activated = as_autoencoder(logits, decoder_activation=way)
        assert domain_findings(activated, PIXELS) == []
        z = tf.zeros([2, 3]) + [0.5, -1.0, 2.0]
        np.testing.assert_allclose(activated.decode(z), pixel_vae("bce").decode(z), rtol=1e-6)
    with refuses(ValueError, "decoder_activation"):
        as_autoencoder(logits, decoder_activation="sigmoidal")


def test_a_linear_output_may_overshoot_a_little():
    """Images by a decoder without a bound, which the similarity of structures allows, but not one
    that returns logits.
    """
    def ssim(offset):
        return Autoencoder(lambda x: (tf.reshape(x, [-1, 144]), tf.fill([len(x), 144], 0.1)),
                           lambda z: 1.05 * tf.reshape(z, [-1, 12, 12, 1]) + offset,
                           distortions.SSIM(), 0.1)

    images = tf.constant(RNG.uniform(size=(8, 12, 12, 1)), tf.float32)
    assert [f.kind for f in inspect(ssim(0.0), images)] == []
    assert Kind.OUTSIDE_DOMAIN in [f.kind for f in inspect(ssim(-1.0), images)]
    corner = np.zeros([12, 12, 1])
    corner[0, 0] = -2.0  # one pixel of 144 is far outside
    assert [f.kind for f in inspect(ssim(corner), images)] == []


def test_data_of_another_range():
    for factor, offset in ((255, 0), (2, -1)):
        found = domain_findings(pixel_vae("sse"), factor * PIXELS + offset)
        assert [finding.kind for finding in found] == [Kind.OTHER_RANGE], factor
        numbers = found[0].numbers
        assert numbers["error"] > 1.5 and numbers["data_high"] - numbers["data_low"] > numbers[
            "model_high"] - numbers["model_low"]
    assert domain_findings(pixel_vae("sse"), PIXELS) == []


def test_one_example_is_too_few():
    with refuses(ValueError):
        inspect(as_autoencoder((encode, decode), "sse", BETA), X[:1])


@pytest.mark.parametrize("second", [[-0.3, 0.4, 0.7], LOG_WIDTH])
def test_what_goes_below_0_is_no_variance(second):
    found = inspect(
        as_autoencoder((lambda x: encode(x, second), decode), "sse", BETA, scale="variance"), X)[0]
    assert found.kind is Kind.NEGATIVE_VARIANCE
    assert found.numbers == {
        "fraction": pytest.approx(np.mean(np.array(second) < 0)), "smallest": pytest.approx(
            np.min(second)), "row": 0
    }


def test_no_reading_is_proposed_where_none_fits_or_two_do():
    """Moments of 3.3 under each logarithm are no evidence for either; where both give 1, both are
    named.
    """
    wide = (lambda x: (1.8 / GAIN * encode(x)[0], encode(x)[1]), decode)
    for reading in ("log_variance", "log_scale", "scale"):
        found = inspect(as_autoencoder(wide, "sse", BETA, scale=reading), X)
        assert Kind.OTHER_SCALE not in [finding.kind for finding in found]
    narrow = np.full(3, -12.0)  # sigma^2 is 6e-6 or 4e-11: nothing beside E[mu^2] = 1
    unit = (lambda x: ((encode(x)[0] /
                        (GAIN * np.sqrt(V)).astype(np.float32)), encode(x, narrow)[1]), decode)
    found = [
        f for f in inspect(as_autoencoder(unit, "sse", BETA, scale="scale"), X)
        if f.kind is Kind.OTHER_SCALE
    ]
    assert len(found) == 1 and {found[0].suggestion, *found[0].others
                                } == {"log_variance", "log_scale"}
    for reading in ("log_variance", "log_scale"):
        assert inspect(as_autoencoder(unit, "sse", BETA, scale=reading), X) == []


def test_constant_data():
    """One example 200 times: the finding, and no advice on the scale, which such data cannot tell.
    """
    constant = np.repeat(X[:1], 200, 0)
    for reading in ("log_variance", "log_scale"):
        found = inspect(as_autoencoder((encode, decode), "sse", BETA, scale=reading), constant)
        assert [(f.kind, f.part, f.numbers)
                for f in found] == [(Kind.CONSTANT_DATA, "data", {"rows": 200})]


def test_the_range_is_named_before_the_scales_that_underflow_for_it():
    def encode_pixels(x):
        mean = tf.matmul(x - 0.5, tf.constant(B.T, tf.float32))
        # Down to -2041 for bytes.
        return mean, -8 * tf.reduce_mean(x, 1, keepdims=True) - 1 + 0 * mean

    pair = encode_pixels, lambda z: tf.sigmoid(tf.matmul(z, tf.constant(4 * B, tf.float32)))
    found = inspect(as_autoencoder(pair, "sse", BETA), 255 * PIXELS)
    assert [finding.kind for finding in found] == [Kind.OTHER_RANGE]
    scale = np.exp(-4 * 255 * PIXELS.mean(1) - 0.5).astype(np.float32)
    assert found[0].numbers["zero_scales"] == pytest.approx(
        np.mean(scale == 0), abs=0.02) and found[0].numbers["zero_scales"] > 0.1
    assert inspect(as_autoencoder(pair, "sse", BETA), PIXELS) == []


def test_data_that_are_not_finite():
    x = X.copy()
    x[7, 1] = np.nan
    for broken in (x, tf.constant(x)):
        with refuses(ValueError, "x"):
            inspect(as_autoencoder((encode, decode), "sse", BETA), broken)


WEIGHT = tf.Variable(1.0)
MEASURES = {
    "analyze": tfisovae.analyze,
    "measure_stationarity": measuring.measure_stationarity,
    "estimate_beta": tfisovae.estimate_beta,
    "log_densities": density.log_densities,
    "Codec.fit": tfisovae.Codec.fit,
    "prune": lambda model, x, **options: tfisovae.prune(model, 1, x, **options),
    "block_gradients": lambda model, x, **options: mean_gradient.block_gradients(
        model, x, [WEIGHT], **options),
    "measure_totals": tfisovae.measure_totals,
    "standardize_latents": lambda model, x, **options: tfisovae.standardize_latents(
        model if isinstance(model, tfisovae.VAE) else sampling_vae(), x, **options),
    "observe": lambda model, x: show.observe(model, measurement_of(3, 3), x),
}
# They take no examples, so they look at the decoder alone.
OF_DECODERS = {
    "traverse": lambda model: traverse(model, [0], n=3),
    "along_axis": lambda model: IsometricVariable.along_axis(model, 0, [0.0, 1.0], np.zeros(3)),
}
# Every other function that takes a model, and why it need not look at it.
NEED_NOT = {
    "as_autoencoder bound": "they return a model, and measure nothing",
    "check inspect check_decoder": "they are the inspection",
    "prepare": "inspects for all who call it, unless they ask it not to",
    "examples_of measure removal estimate losses fit": "parts of a pass that `prepare` begins",
    "of_model weights_of": "read the layers, and call none",
    "load opened of_file": "a codec file holds the model's own outputs, and compares them",
    "__init__": "classes of which a function above makes the objects",
    "probe": "test_a_probe_refuses_it_before_it_trains",
    "settle_images load_data load_training examine write_report draw write as_taken "
    "condition_as_taken":
        "parts of commands, after a pass",
    "train save_model pays layers_of": "train or save a VAE, and measure nothing",
}


class Sampling(layers.Layer):
    """Noise that inference mode does not turn off."""

    def call(self, inputs):
        return inputs + tf.random.normal(tf.shape(inputs))


def sampling_vae():
    vae = linear_vae(B.T, B, 0.5, 5.0)
    head = vae.encoder.layers[-1]
    encoder = tf.keras.Sequential([layers.Input((6,)), Sampling(), head])
    return tfisovae.VAE(encoder, vae.decoder, "sse", 5.0)


def a_sample_as_the_mean():
    def sampled(x):
        mean, log_variance = encode(x)
        return mean + tf.exp(log_variance / 2) * tf.random.normal(tf.shape(mean)), log_variance

    return as_autoencoder((sampled, decode), "sse", BETA)


REJECTED = {
    "a sample as the mean": (a_sample_as_the_mean, X),
    "a whole batch": (lambda: as_autoencoder(
        (encode, lambda z: decode(z) - tf.reduce_mean(decode(z), 0)), "sse", BETA), X),
    "logits": (lambda: pixel_vae("bce", output=tf.identity), PIXELS),
    "not finite": (lambda: as_autoencoder((encode, lambda z: decode(z) / 0.0), "sse", BETA), X),
    "another scale": (lambda: as_autoencoder((encode, decode), "sse", BETA, scale="scale"), X),
}


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_refuses_what_an_inspection_rejects(name):
    """At the first example alone too, where a batch has no more."""
    for kind, (make, x) in REJECTED.items():
        if name == "standardize_latents" and kind != "a sample as the mean":
            continue
        with refuses(ValueError, "model"):
            MEASURES[name](make(), x)
    if name == "observe":  # of an array alone
        return
    with refuses(ValueError, "random"):
        MEASURES[name](a_sample_as_the_mean(), tf.data.Dataset.from_tensor_slices(X[:64]).batch(1))


# What each measure must say of a given prior and of a full covariance; it measures the others.
CANNOT_USE = {
    "analyze": ["covariance"], "measure_stationarity": ["prior", "covariance"],
    "estimate_beta": ["prior"], "log_densities": [], "Codec.fit": ["prior", "covariance"],
    "prune": ["prior", "covariance"], "block_gradients": ["covariance"],
    "observe": ["covariance"], "measure_totals": [],
}


def test_the_documentation_says_the_same():
    short = {"another prior": "prior", "full covariance": "covariance"}
    cannot = {name.removesuffix(".fit"): kinds for name, kinds in CANNOT_USE.items()}
    said = [(name, short[column], cell) for name, column, cell in pages.kinds_of_models()
            if name in cannot and column in short]
    assert len(said) > 10
    for name, kind, cell in said:
        assert (cell == "no") == (kind in cannot[name]), (name, kind)


# A number of each result that the noise of z does not change, or hardly.
NUMBER = {
    "analyze": lambda found: found.norm_mean, "estimate_beta": lambda found: found.value,
    "log_densities": lambda found: found["volume"],
    "block_gradients": lambda found: np.diag(found.gram).mean(),
    "observe": lambda found: found["reconstructions"].x_check,
    "measure_totals": lambda found: found.transform_loss,
}


@pytest.mark.parametrize("name", MEASURES)
@pytest.mark.parametrize("kind", ["prior", "covariance"])
def test_every_measure_takes_another_posterior_or_refuses_it_by_name(name, kind):
    """`standardize_latents` takes a `VAE` alone, which has neither. The given prior is N(0, I), and
    the covariance is diagonal, so the plain model has the same numbers.
    """
    if name == "standardize_latents":
        assert not {"prior", "full_covariance"} & set(dir(tfisovae.VAE))
        return
    encoder, decoder = linear_pair.pair()
    weight = tf.Variable(1.0)  # of a model with a gradient
    if kind == "prior":
        model = as_autoencoder((lambda x: encoder(weight * x), decoder), "sse", BETA,
                               prior=linear_pair.standard)
    else:
        model = as_autoencoder((lambda x: (encoder(weight * x)[0], tf.linalg.diag(
            tf.exp(encoder(x)[1]))), decoder), "sse", BETA, "covariance")
    call, x = MEASURES[name], linear_pair.X[:256]
    if name == "block_gradients":
        def call(model, x):
            return mean_gradient.block_gradients(model, x, [weight])
    if name == "observe":
        def call(model, x):
            return show.observe(model, measurement_of(4, 4), x)
    if kind in CANNOT_USE[name]:
        with refuses(ValueError, name):
            call(model, x)
    else:
        plain = as_autoencoder((lambda x: (encoder(weight * x)[0], encoder(x)[1]), decoder), "sse",
                               BETA)
        np.testing.assert_allclose(NUMBER[name](call(model, x)), NUMBER[name](call(plain, x)),
                                   rtol=0.1, atol=1e-3)


@pytest.mark.parametrize("name", OF_DECODERS)
def test_what_takes_no_examples_looks_at_the_decoder(name):
    for kind in ("a whole batch", "logits", "not finite"):
        with refuses(ValueError, "model"):
            OF_DECODERS[name](REJECTED[kind][0]())


def test_a_monitor_warns_and_training_goes_on():
    with pytest.warns(UserWarning, match="random"):
        Meter(sampling_vae(), tf.constant(X[:16]))


def test_every_function_that_takes_a_model_is_known_here():
    known = {name.split(".")[-1] for name in [*MEASURES, *OF_DECODERS]}
    known |= {name for names in NEED_NOT for name in names.split()}
    found = {}
    for path in sorted((ROOT / "tfisovae").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and (node.name[0] != "_"
                                                      or node.name == "__init__"):
                taken = [ast.unparse(a.annotation) for a in node.args.args if a.annotation]
                if any(kind in some for some in taken for kind in ("Autoencoder", "Measurable",
                                                                   "VAE")):
                    found[node.name] = path
    assert set(found) - known == set()
    assert known - set(found) == set()


def test_a_probe_refuses_it_before_it_trains():
    vae = sampling_vae()
    before = vae.get_weights()
    with refuses(ValueError, "random"):
        tfisovae.probe(vae, X, 5)
    for a, b in zip(vae.get_weights(), before):
        np.testing.assert_array_equal(a, b)


def test_without_an_inspection_a_model_is_measured_as_it_is():
    found = density.log_densities(pixel_vae("bce", output=tf.identity), PIXELS, "posterior",
                                  inspect=False)
    assert np.isfinite(found["posterior"]).all()


def test_each_measure_can_leave_the_inspection_out():
    """Whatever prepares a pass says whether to inspect, but for commands."""
    for path in sorted((ROOT / "tfisovae").rglob("*.py")):
        if "commands" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "streaming.prepare":
                assert "inspect" in [keyword.arg for keyword in node.keywords], path


def test_what_is_doubtful_is_a_warning():
    bright = 255 * PIXELS
    with pytest.warns(UserWarning, match="data range from") as said:
        tfisovae.estimate_beta(pixel_vae("sse", gain=0.9), 2 * bright / 255 - 1)
    assert len(said) == 1 and said[0].filename == __file__  # the line of the user
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tfisovae.estimate_beta(as_autoencoder((encode, decode), "sse", BETA), X)
