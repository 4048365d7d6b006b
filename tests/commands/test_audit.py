"""The audit of models that come from elsewhere: numbers against closed forms, and every sentence on
a model that deserves it.
"""
import argparse
import json
import math
import os
import re
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.messages import refuses
from tests.support import ROOT
from tfisovae import Autoencoder, files, theory
from tfisovae.analysis import mean_gradient
from tfisovae.analysis.beta import BetaEstimate
from tfisovae.autoencoder import inspection
from tfisovae.autoencoder.networks import Networks
from tfisovae.commands import audit, measuring
from tfisovae.verdict import (
    BetaState,
    Finding,
    IsometryState,
    Kind,
    ReasonKind,
    Severity,
    State,
    Verdict,
    checks,
    headlines,
    model_words,
)

KERAS3 = ROOT / "tests" / "data" / "keras3_vae"
VARIANCE = np.array([4.0, 1.0])
LMBDA = 20.0


@pytest.fixture(scope="module")
def saved(tmp_path_factory, make_linear_vae):
    """The optimal linear VAE of x from N(0, diag(4, 1)) on a disk, and 5,000 examples as a table.
    """
    path = tmp_path_factory.mktemp("audit")
    optimum = theory.LinearVAE(VARIANCE, 1 / LMBDA)
    vae = make_linear_vae(np.diag(optimum.encoder_gain), np.diag(optimum.decoder_gain),
                          optimum.scale, LMBDA)
    vae.save(path / "model")
    vae.encoder.export(path / "encoder")
    vae.decoder.export(path / "decoder")
    x = np.random.default_rng(0).standard_normal((5_000, 2)) * np.sqrt(VARIANCE)
    np.save(path / "x.npy", x.astype(np.float32))
    return path


@pytest.mark.slow
def test_a_model_of_ours_says_its_loss_itself(main, saved, tmp_path):
    """Norms are 1 - sigma^2, importances the variances; beta is the one that it was trained with;
    three lines at the end.
    """
    done = main("audit", "--model", saved / "model", "--data", saved / "x.npy", "--out",
                tmp_path / "out")
    measured = json.loads((tmp_path / "out" / "isometry.json").read_text())
    optimum = theory.LinearVAE(VARIANCE, 1 / LMBDA)
    np.testing.assert_allclose(measured["norm_mean"], optimum.norm, rtol=1e-4)
    np.testing.assert_allclose(measured["importance"], VARIANCE, rtol=1e-4)
    sample = np.linalg.eigvalsh(np.cov(np.load(saved / "x.npy").T))[::-1]
    np.testing.assert_allclose(measured["principal_components"]["eigenvalue"], sample, rtol=0.1)
    assert "as much of the variance of the data" in done.stdout
    assert "cost of removal" in done.stdout
    assert "beta: 0.05 was given, and the posterior agrees" in done.stdout
    found = Verdict.from_dict(measured["verdict"])
    assert headlines.summary(found).splitlines() == done.stdout.splitlines()[-4:-1]
    assert found.isometry.state is IsometryState.ISOMETRIC and found.isometry.largest < 0.01
    # No gradient was measured, and a SavedModel does not say what its layers are.
    assert found.state is State.NOT_JUDGED and found.of(ReasonKind.NO_PROBE)
    assert "found = tfisovae.probe(model, training_examples, steps=S" in done.stdout
    assert measured["findings"] == []
    written = {p.name for p in (tmp_path / "out").iterdir()}
    assert written == {"isometry.json", "isometry.png", "scree.png", "gram.png", "report.html"}
    assert {name: measured[name]
            for name in ("model", "encoder", "decoder", "data")} == {
                "model": str(saved / "model"), "encoder": None, "decoder": None,
                "data": str(saved / "x.npy")
            }


@pytest.mark.slow
def test_beta_is_found(main, saved, tmp_path):
    options = ["--model", saved / "model", "--data", saved / "x.npy"]
    found = main("audit", *options, "--estimate_beta", "--out", tmp_path / "a").stdout
    measured = json.loads((tmp_path / "a" / "isometry.json").read_text())
    assert "This estimate is used" in found and measured["beta_found"]["state"] == "found"
    assert measured["beta"] == measured["beta_found"]["value"]
    assert abs(measured["beta"] * LMBDA - 1) < 4 * measured["beta_found"]["error"] * LMBDA
    other = main("audit", *options, "--beta", 0.2, "--out", tmp_path / "b").stdout
    assert "DIFFERENT" in other and json.loads(
        (tmp_path / "b" / "isometry.json").read_text())["beta_found"]["state"] == "different"


def test_the_mean_gradient_is_a_hint(main, saved, tmp_path, make_linear_vae):
    """The mean gradient of the optimum is within its noise; with one gain 10 % off it is not,
    though the moments barely move.
    """
    options = [
        "--data", saved / "x.npy", "--train_data", saved / "x.npy", "--beta", 1 / LMBDA,
        "--distortion", "sse"
    ]
    optimum = theory.LinearVAE(VARIANCE, 1 / LMBDA)
    states = {}
    for name, factor in (("rest", 1.0), ("moving", 1.1)):
        vae = make_linear_vae(np.diag(optimum.encoder_gain),
                              np.diag(optimum.decoder_gain * [factor, 1]), optimum.scale, LMBDA)
        vae.encoder.export(tmp_path / f"{name}-encoder")
        vae.decoder.export(tmp_path / f"{name}-decoder")
        main("audit", "--encoder", tmp_path / f"{name}-encoder", "--decoder",
             tmp_path / f"{name}-decoder", *options, "--out", tmp_path / name)
        states[name] = json.loads((tmp_path / name / "isometry.json").read_text())["verdict"]
    assert states["rest"]["state"] == states["moving"]["state"] == "not_judged"
    assert not any(reason["kind"] == "off" for reason in states["rest"]["reasons"])
    assert [reason["check"] for reason in states["moving"]["reasons"]
            if reason["kind"] == "off"] == [checks.GRADIENT]


@pytest.mark.slow
def test_what_keras_3_exported(main, tmp_path):
    """A pair of SavedModels of Keras 3 with its reference inputs repeated: measured, drawn, and no
    traceback.
    """
    x = np.random.default_rng(0).uniform(size=(40, 12, 12, 1)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    done = main("audit", "--encoder", KERAS3 / "encoder", "--decoder", KERAS3 / "decoder",
                "--distortion", "mse", "--beta", 0.01, "--data", tmp_path / "x.npy", "--out",
                tmp_path / "out")
    assert "on 40 examples" in done.stdout and "Not judged: 40 examples are too few" in done.stdout
    assert (tmp_path / "out" / "reconstructions.png").exists()
    scaled = np.uint8(255 * x)
    np.save(tmp_path / "bytes.npy", scaled)
    main("audit", "--encoder", KERAS3 / "encoder", "--decoder", KERAS3 / "decoder", "--distortion",
         "mse", "--beta", 0.01, "--data", tmp_path / "bytes.npy", "--out", tmp_path / "bytes")
    a, b = (json.loads((tmp_path / name / "isometry.json").read_text())
            for name in ("out", "bytes"))
    # 8-bit images are brought to [0, 1].
    np.testing.assert_allclose(a["norm_mean"], b["norm_mean"], rtol=0.02)


@pytest.mark.parametrize("options, message", [
    (["--data", "mix"], "Give --model DIR, --model FILE.py:NAME, or --encoder DIR and --decoder "
                        "DIR."),
    (["--data", "mix", "--encoder", "a"], "or --encoder DIR and --decoder DIR."),
    (["--data", "mix", "--model", "a", "--estimate_beta", "--beta", "1"
      ], "Give --beta or --estimate_beta, not both"),
    (["--data", "mix", "--model", "a", "--num_examples", "0"
      ], "--num_examples must be at least 2 for an audit; got 0"),
    (["--data", "mix", "--model", "a", "--num_examples", "1"
      ], "--num_examples must be at least 2 for an audit; got 1"),
    (["--data", "mix", "--model", "a", "--max_value", "0"
      ], "--max_value must be positive and finite; got 0.0"),
    (["--data", "mix", "--model", "nowhere"], "nowhere"),
    (["--data", "mix", "--model", "vae.keras"], "model.export"),
    (["--model", "a"], "the following arguments are required: --data"),
])
def test_bad_options(main, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vae.keras").write_text("")
    done = main("audit", *options, check=False)
    assert done.code != 0 and message in done.stderr and "Traceback" not in done.stderr


def export(module, path):
    tf.saved_model.save(module, str(path))
    return path


def function(call, *shape):
    """A `tf.Module` that is the function `call` of examples of a shape, and has no variables."""
    module = tf.Module()
    module.__call__ = tf.function(call, input_signature=[tf.TensorSpec([None, *shape])])
    return module


def refused(main, *options):
    """What a command that fails says, in one line; nothing is measured."""
    done = main("audit", *options, check=False)
    assert done.code != 0 and "rank" not in done.stdout and "Traceback" not in done.stderr
    said = done.stderr[done.stderr.index("tfisovae audit: "):]  # after the progress of decoding
    assert said.count("\n") == 1, said
    return said


def test_examples_of_training_are_checked_before_anything_is_measured(main, saved, tmp_path):
    x = np.load(saved / "x.npy")
    np.save(tmp_path / "few.npy", x[:7])
    np.save(tmp_path / "wide.npy", np.concatenate([x, x], 1))
    x[4321, 1] = np.nan
    np.save(tmp_path / "nan.npy", x)
    np.savez(tmp_path / "two.npz", a=x, b=x)
    loss = ["--distortion", "sse", "--beta", 1 / LMBDA]
    options = [
        "--encoder", saved / "encoder", "--decoder", saved / "decoder", *loss, "--data",
        saved / "x.npy", "--out", tmp_path / "out", "--train_data"
    ]
    for name, message in (("nowhere.npy", "nowhere.npy"),
                          ("few.npy", "few.npy has 7 examples: the mean gradient needs at least 8"),
                          ("wide.npy", r"has examples of the shape [4]; --data has [2]"),
                          ("nan.npy", "--train_data {}: row 4321 (counted from 0) is not finite"),
                          ("two.npz",
                           "holds the arrays 'a', 'b'; the one to use must be named 'x'")):
        assert message.format(tmp_path / name) in refused(main, *options, tmp_path / name)
    encoder = export(function(lambda x: tf.concat([x / 2, 0 * x - 3], 1), 2), tmp_path / "encoder")
    decoder = export(function(lambda z: 2 * z, 2), tmp_path / "decoder")
    assert "--train_data: the model has no trainable variables" in refused(
        main, "--encoder", encoder, "--decoder", decoder, *options[4:], saved / "x.npy")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("error, code", [(mean_gradient.NoGradient("no gradient today"), 0),
                                         (ValueError("no gradient today"), 1),
                                         (KeyboardInterrupt("no gradient today"), 130)])
def test_the_measurement_is_kept_whatever_becomes_of_the_gradient(main, saved, tmp_path,
                                                                  monkeypatch, error, code):
    """One that cannot be taken is said, on the page too; one that is stopped leaves the numbers
    that there are.
    """
    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr(mean_gradient, "block_gradients", fails)
    done = main("audit", "--encoder", saved / "encoder", "--decoder", saved / "decoder",
                "--distortion", "sse", "--beta", 1 / LMBDA, "--data", saved / "x.npy",
                "--train_data", saved / "x.npy", "--out", tmp_path, check=False)
    # A message, which the interpreter makes 1.
    assert (done.code if isinstance(done.code, int) else 1) == code
    assert "no gradient today" in (done.stderr if code else done.stdout)
    assert code or "--train_data: no gradient today" in (tmp_path / "report.html").read_text()
    measured = json.loads((tmp_path / "isometry.json").read_text())
    np.testing.assert_allclose(measured["norm_mean"],
                               theory.LinearVAE(VARIANCE, 1 / LMBDA).norm, rtol=1e-4)
    assert State(measured["verdict"]["state"]) in State


def test_rows_are_those_of_the_file(main, saved, tmp_path):
    """100 examples of 5,000, the latter half bad: the row that is named is one of these, in the
    data and in what is found.
    """
    x = np.load(saved / "x.npy")
    x[2500:] = np.nan
    np.save(tmp_path / "x.npy", x)
    options = ["--num_examples", 100, "--out", tmp_path / "out", "--data", tmp_path / "x.npy"]
    said = refused(main, "--model", saved / "model", *options)
    assert int(re.search(r"x.npy: row (\d+) \(counted from 0\) is not finite", said)[1]) >= 2500
    x[2500:] = -9
    np.save(tmp_path / "x.npy", x)
    encoder = export(
        function(lambda x: tf.concat([tf.where(x == -9.0, np.nan, x), 0 * x - 3], 1), 2),
        tmp_path / "encoder")
    decoder = export(function(lambda z: 2 * z, 2), tmp_path / "decoder")
    done = main("audit", "--encoder", encoder, "--decoder", decoder, "--distortion", "sse",
                "--beta", 0.1, *options, check=False)
    assert int(re.search(r"first for example (\d+) \(counted from 0\)", done.stdout)[1]) >= 2500


def test_results_of_another_measurement_are_not_replaced(main, saved, tmp_path):
    """The same model and data may be measured again; anything else is refused before it is
    measured.
    """
    options = [
        "--model",
        str(saved / "model"), "--data",
        str(saved / "x.npy"), "--out",
        str(tmp_path)
    ]

    def may(*more):
        parser = argparse.ArgumentParser()
        audit.add_arguments(parser)
        audit.check_replaceable(parser.parse_args([*options, *more]))

    may()  # an empty directory
    saved_before = json.dumps({
        "model": str(saved / "model"), "encoder": None, "decoder": None,
        "data": str(saved / "x.npy")
    })
    (tmp_path / "isometry.json").write_text(saved_before)
    may()
    may("--model", os.path.relpath(saved / "model"))
    for other in (["--model", "another"], ["--data", "mix"]):
        said = refused(main, *options, *other)
        assert (f"{tmp_path} holds the isometry.json of another measurement (model "
                f"{saved / 'model'}, data {saved / 'x.npy'})") in (
            said)
        assert "with --out, or --overwrite" in said
        may(*other, "--overwrite")
    assert (tmp_path / "isometry.json").read_text() == saved_before and len(list(
        tmp_path.iterdir())) == 1
    for text in ("[]", "{", json.dumps({"norm_mean": [1.0]})):  # of a run, or of whatever else
        (tmp_path / "isometry.json").write_text(text)
        assert "of another measurement (nothing says of what)" in refused(main, *options)
    (tmp_path / "isometry.json").rename(tmp_path / "gram.png")
    assert "holds the gram.png of another" in refused(main, *options)


def test_two_audits_do_not_mix_their_results(main, saved, tmp_path):
    """The second is refused, whatever it measures, and leaves the first one's files."""
    lock = files.Lock(tmp_path / ".lock", holder="process 1 on here")
    options = ["--model", saved / "model", "--data", saved / "x.npy", "--num_examples", 20]
    assert "Another process is writing" in refused(main, *options, "--out", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]
    lock.release()
    with measuring.writing(tmp_path):
        with refuses(ValueError, "--out"), measuring.writing(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_images_of_the_size_that_the_model_takes(main, tmp_path):
    """Grey images, 28 x 28: one pixel gives z, and z / 3 every pixel: D' = 784 / 9, and the norm 2
    sigma^2 / beta of it.
    """
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for k in range(30):
        Image.fromarray(rng.integers(0, 256, (28, 28),
                                     np.uint8)).save(tmp_path / "images" / f"{k}.png")
    encoder = export(
        function(lambda x: tf.concat([3 * x[:, 0, :1, 0], 0 * x[:, 0, :1, 0] - 4], 1), 28, 28, 1),
        tmp_path / "encoder")
    decoder = export(function(lambda z: tf.ones([1, 28, 28, 1]) * z[:, None, None] / 3, 1),
                     tmp_path / "decoder")
    options = [
        "--encoder", encoder, "--decoder", decoder, "--distortion", "sse", "--beta", 10.0, "--data",
        tmp_path / "images", "--cache_dir", tmp_path / "cache", "--out", tmp_path / "out"
    ]
    main("audit", *options)
    measured = json.loads((tmp_path / "out" / "isometry.json").read_text())
    assert measured["num_examples"] == 30
    np.testing.assert_allclose(measured["norm_mean"], [2 / 10 * np.exp(-4) * 784 / 9], rtol=1e-4)
    assert "examples of the shape [32, 32, 1]; the encoder takes [28, 28, 1]" in refused(
        main, *options, "--image_size", 32)
    assert "examples of the shape [28, 28, 3]; the encoder takes" in refused(
        main, *options, "--no-grayscale")


@pytest.mark.parametrize("shape, expected", [((28, 28, 1), (28, True)), ((96, 96, 3), (96, False)),
                                             ((None, None, 3), (64, False)), ((784, ), (64, False)),
                                             (None, (64, False))])
def test_the_form_of_images_is_the_models(shape, expected):
    args = argparse.Namespace(image_size=None, grayscale=None)
    model = types.SimpleNamespace(networks=Networks(example_shape=shape))
    audit.settle_images(args, model)
    assert (args.image_size, args.grayscale) == expected
    args = argparse.Namespace(image_size=28, grayscale=True)
    audit.settle_images(args, model)
    assert (args.image_size, args.grayscale) == (28, True)


def test_what_no_model_can_be_made_of_is_said_in_a_line(main, tmp_path):
    export(tf.Module(), tmp_path / "empty")
    for options in (["--model", tmp_path / "empty"], [
            "--encoder", tmp_path / "empty", "--decoder", tmp_path / "empty"
    ]):
        said = refused(main, *options, "--data", "mix", "--distortion", "sse", "--beta", 1, "--out",
                       tmp_path / "out")
        assert "must be" in said or "has no" in said or "signatures" in said


def test_what_is_fatal_is_said_before_anything_is_measured(main, saved, tmp_path):
    """A decoder with its dropout on: one sentence, no numbers, and an exit status that says so."""
    class Random(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def __call__(self, z):
            return tf.nn.dropout(z, 0.5)

    class Halves(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2])])
        def __call__(self, x):
            return tf.concat([x / 2, tf.zeros_like(x) - 3], 1)

    tf.saved_model.save(Random(), str(tmp_path / "decoder"))
    tf.saved_model.save(Halves(), str(tmp_path / "encoder"))
    done = main("audit", "--encoder", tmp_path / "encoder", "--decoder", tmp_path / "decoder",
                "--distortion", "sse", "--beta", 0.1, "--data", saved / "x.npy", "--out",
                tmp_path / "out", check=False)
    assert done.code != 0 and "WRONG: decode is random" in done.stdout and "rank" not in done.stdout
    assert "Stopped: correct this first" in done.stderr


def found(encode, decode, x, distortion="sse"):
    return model_words.findings(inspection.inspect(Autoencoder(encode, decode, distortion, 0.1), x))


X = np.random.default_rng(0).uniform(0.2, 0.8, (200, 2)).astype(np.float32)


def posterior(x):
    return 3 * (x - 0.5), tf.fill(tf.shape(x), 0.2)


@pytest.mark.parametrize("case, sentence", [
    ((posterior, lambda z: z / 3 + 0.5, X), None),
    ((lambda x:
      (tf.math.log(x - 0.21), 0.1 + 0 * x), lambda z: z, X), "WRONG: encode is not finite for "),
    ((lambda x: (x - tf.reduce_mean(x, 0), 0.1 + 0 * x), lambda z: z, X),
     "WRONG: encode of an example depends on the others"),
    ((posterior, lambda z: z / 3 + 0.5 + 0.1 * tf.random.normal(tf.shape(z)), X),
     "WRONG: decode is random"),
    ((lambda x:
      (x, 0 * x - 1), lambda z: z, X), "WRONG: 100.0% of the posterior's scales are 0 or negative"),
    ((lambda x: (5 * x, tf.exp(tf.nn.relu(x - 0.5) / 2)), lambda z: z / 5, X),
     "DOUBTFUL: sigma is never below 1"),
    ((posterior, lambda z: 3 * z, X, "bce"), "WRONG: 82.0% of the decoder's outputs are outside"),
    ((lambda x: posterior(x / 255), lambda z: z / 3 + 0.5, 255 * X),
     "DOUBTFUL: reconstructions are worse than the data's mean"),
])
def test_sentences(case, sentence):
    said = found(*case)
    assert said == [] if sentence is None else any(line.startswith(sentence) for line in said), said


def test_every_kind_of_finding_has_its_sentence():
    numbers = dict.fromkeys((
        "row", "rows", "of", "change", "fraction", "smallest", "largest", "error", "data_low",
        "data_high", "model_low", "model_high", "domain", "activation", "strict"), 2)
    made = [Finding(kind, "decode", numbers, "scale") for kind in Kind]
    said = model_words.findings(made)
    assert len(set(said)) == len(Kind)
    for finding, line in zip(made, said):
        assert line.startswith("WRONG: ") == (finding.severity is Severity.FATAL)
        saved = json.loads(json.dumps(finding.to_dict()))
        assert saved["kind"] == finding.kind.value and saved["numbers"] == numbers
        assert saved["severity"] == finding.severity.value
    assert {finding.severity for finding in made} == set(Severity)


def estimate(value, error):
    one = np.ones(1)
    return BetaEstimate(value, error, 0.0, 500.0, value * one, error * one, one > 0, one, 1000, 0.1)


@pytest.mark.parametrize("given, found, state, sentence", [
    (1.0, estimate(1.0, 0.02), BetaState.AGREES, "the posterior agrees"),
    (1.0, estimate(1.4, 0.02), BetaState.DIFFERENT, "DIFFERENT"),
    (1.0, estimate(1.4, 0.5), BetaState.UNCLEAR, "neither confirms nor contradicts"),
    (None, estimate(1.4, 0.5), BetaState.FOUND, "This estimate is used."),
    (1.0, estimate(0.04, 0.54), BetaState.UNKNOWN, "1 was given; the posterior does not show"),
    (None, estimate(0.04, 0.54), BetaState.FOUND, "used, but the posterior does not show")])
def test_sentences_about_beta(given, found, state, sentence):
    assert found.state(given) is state
    said = model_words.beta(found, given)
    assert sentence in said and "beta: beta" not in said and "from -" not in said


def test_sentences_about_the_scale():
    def said(kind, numbers, *suggested):
        return model_words.findings([Finding(kind, "encode", numbers, *suggested)])[0]

    moments = {"log_variance": 1.02, "variance": math.inf, "log_scale": 1.05, "scale": math.inf}
    both = said(Kind.OTHER_SCALE, moments, "log_variance", ("log_scale",))
    assert ('log sigma^2 and log sigma fit about equally (scale="log_variance" or '
            '"log_scale")') in both
    assert "not possible as sigma^2 or sigma" in both and "inf" not in both
    assert 'sigma^2 fits best (scale="variance")' in said(Kind.OTHER_SCALE,
                                                          {**moments, "variance": 1.0}, "variance")
    below = {"fraction": 0.4, "smallest": -3.2, "row": 0}
    for kind in (Kind.SCALE_NOT_POSITIVE, Kind.NEGATIVE_VARIANCE):
        assert said(kind, below).startswith("WRONG") and "is never negative" in said(
            kind, below)
    assert "never" not in said(Kind.SCALE_NOT_POSITIVE, {**below, "smallest": 0.0})


def test_the_range_is_wrong_where_scales_vanish_by_it():
    numbers = dict.fromkeys(("error", "data_low", "data_high", "model_low", "model_high"), 2.0)
    for zero, word in ((0.141, "WRONG: reconstructions are worse"),
                       (0.0, "DOUBTFUL: reconstructions are worse")):
        finding = Finding(Kind.OTHER_RANGE, "decode", {**numbers, "zero_scales": zero})
        said = model_words.findings([finding])[0]
        assert said.startswith(word) and ("14.1% of the posterior's variances underflow"
                                          in said) is (zero > 0)
        assert (finding.severity is Severity.FATAL) is (zero > 0)


def test_a_spatial_model_is_shown_by_channel_and_place(main, tmp_path):
    """Two channels at 3 x 2 places: x itself, with known variances. Estimated, with errors."""
    layers, optimum = tf.keras.layers, theory.LinearVAE(VARIANCE, 1 / LMBDA)
    gains = np.concatenate([np.diag(optimum.encoder_gain), np.zeros([2, 2])], 1)
    for name, matrix, bias in (
        ("encoder", gains, np.concatenate([np.zeros(2), 2 * np.log(optimum.scale)])),
        ("decoder", np.diag(optimum.decoder_gain), np.zeros(2))):
        network = tf.keras.Sequential([layers.Input((3, 2, 2)), layers.Conv2D(len(bias), 1)])
        network.set_weights([matrix[None, None], bias])
        network.export(tmp_path / name)
    x = np.random.default_rng(0).standard_normal([300, 3, 2, 2]) * np.sqrt(VARIANCE)
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    done = main("audit", "--encoder", tmp_path / "encoder", "--decoder", tmp_path / "decoder",
                "--data", tmp_path / "x.npy", "--distortion", "sse", "--beta", 1 / LMBDA,
                "--method", "estimated", "--out", tmp_path / "out")
    assert "Estimated at 300 examples, from 16 probes" in done.stdout
    assert "2 channels at 3 x 2 places." in done.stdout
    measured = json.loads((tmp_path / "out" / "isometry.json").read_text())
    assert measured["method"] == "estimated" and measured["latent_shape"] == [3, 2, 2]
    np.testing.assert_allclose(measured["norm_mean"], np.tile(optimum.norm, 6), rtol=1e-4)
    assert measured["estimates"]["norm"]["standard_error"] < 0.01
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Channels and places of the latents" in page and "channel 0, direction 1" in page
    assert (tmp_path / "out" / "spatial.png").stat().st_size > 5_000
