"""Models of many kinds give the same numbers, or are refused as clearly, in Python and as a
command.
"""
import json
import warnings
from unittest import mock

import numpy as np
import pytest

import tfisovae
from tests.commands import kinds_of_models as kinds
from tests.messages import refuses
from tests.support import ROOT
from tfisovae import _keras
from tfisovae.commands import audit

X = np.random.default_rng(2).standard_normal((60, kinds.M)).astype(np.float32)


def audited(main, place, name, **options):
    """The command, without pictures."""
    np.save(place / "x.npy", X)
    with mock.patch.object(audit, "draw", return_value=[]), mock.patch.object(
            audit, "write_report"):
        return main("audit", "--model", f"{ROOT}/tests/commands/kinds_of_models.py:{name}",
                    "--data", place / "x.npy", "--out", place / "out",
                    *([] if name == "own_options" else ["--distortion", "sse", "--beta", 0.1]),
                    **options)


def analyzed(made):
    model = made()
    if not isinstance(model, tfisovae.Autoencoder):
        model = tfisovae.as_autoencoder(model, "sse", 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of doubtful numbers: the weights are not trained
        return tfisovae.analyze(model, X)


def own_norms(made):
    """Norms by Eq. 15, from finite differences of the plain decoder in float64."""
    mean, log_variance = np.split(X.astype(float) @ kinds.W, 2, 1)
    slope = 1 / np.cosh(mean @ kinds.V.astype(float)) ** 2
    weight = np.where(np.arange(kinds.M) < 4, 1, 0.5) if made is kinds.own_options else 1.0
    if made is kinds.distribution_taken_apart:
        log_variance = 2 * np.log(np.log1p(np.exp(log_variance)))
    squares = np.einsum("bm,jm->bj", weight * slope ** 2, kinds.V.astype(float) ** 2)
    return (2 / 0.1 * np.exp(log_variance) * squares).mean(0)


@pytest.mark.slow
@pytest.mark.parametrize("made", kinds.MEASURED, ids=lambda made: made.__name__)
def test_numbers_are_those_of_python_and_of_the_formula(made, main, tmp_path):
    if made is kinds.distribution_taken_apart:
        pytest.importorskip("tensorflow_probability")
    found = analyzed(made)
    audited(main, tmp_path, made.__name__)
    saved = json.loads((tmp_path / "out" / "isometry.json").read_text())
    for name in ("norm_mean", "importance", "kl_mean", "latent_mean"):
        np.testing.assert_allclose(saved[name], getattr(found, name), rtol=1e-4, atol=1e-6,
                                   err_msg=name)
    if made is not kinds.recurrent:
        np.testing.assert_allclose(found.norm_mean, own_norms(made), rtol=1e-3)


@pytest.mark.parametrize("made", kinds.REFUSED, ids=lambda made: made.__name__)
def test_refusals_are_a_line_in_both(made, main, tmp_path):
    """The command says what Python says, in a line, and with a nonzero exit status."""
    if made is kinds.full_covariance:
        pytest.importorskip("tensorflow_probability")
    with refuses(Exception) as raised:
        analyzed(made)
    done = audited(main, tmp_path, made.__name__, check=False)
    assert done.code != 0 and "Traceback" not in done.stderr
    line, = [line for line in done.stderr.splitlines() if line.startswith("tfisovae audit: ")]
    wrong = [line for line in done.stdout.splitlines() if line.startswith("WRONG: ")]
    first = _keras.fault(raised.value).removeprefix("model cannot be measured. ").split(". ")[0]
    # How far two calls of a random network differ is random too.
    assert len(line) < 500 and first.split(" by ")[0] in "".join(wrong or [line])
