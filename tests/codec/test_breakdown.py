"""Where bits and distortion go: sums that close, sentences that are true, and the numbers back from
JSON.
"""
import dataclasses
import json
import math

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae import theory
from tfisovae.codec import claims
from tfisovae.codec.breakdown import QUANTIZATION, Ledger, Point, bits_at
from tfisovae.show import drawing, rate
from tfisovae.verdict import ClaimState

BETA, SCALES = 0.01, np.array([0.06, 0.1, 0.21, 1.0])
LIMIT = math.pi * math.e / 6


def exact(**changes):
    """What the linear VAE of four Gaussian components, the last collapsed, has in files, by closed
    forms.
    """
    coded = SCALES < 1
    kl = np.where(coded, -np.log2(SCALES), 0)
    bits = np.where(coded, kl + QUANTIZATION, 0)
    variance = np.where(coded, 1 - SCALES**2, np.nan)
    coding = float(np.nansum(variance)) * BETA / 2

    def point(factor):
        rate, distortion = float(bits.sum()) - 3 * math.log2(factor), 0.001 + factor**2 * coding
        return Point(factor, rate, 0.01, rate, distortion, 1e-4, rate, distortion)

    made = Ledger(
        beta=BETA, decomposed=False, distortion_name="SumSquaredError()",
        num_examples=10_000, quantization="universal", coded=coded, kl_bits=kl, exact_bits=bits,
        told_bits=bits, table_bits=bits, bits_difference_standard_error=0.01,
        coded_bits=float(bits.sum()) + 0.02, file_bits=float(bits.sum()) + 0.1,
        one_minus_variance=1 - SCALES**2, unexplained=np.full(4, 0.01), aggregate_kl_bits=np.array([
            0.01, 0.002, 0.001, 0.2
        ]), fitted_bits=None, noise=np.where(coded, 1, np.nan), coding_losses=variance * BETA / 2,
        coding_losses_standard_error=0.01 * variance, posterior_coding_losses=variance * BETA / 2,
        distortion=0.001 + coding, posterior_distortion=0.001 + coding,
        active_distortion=0.001 + coding, told_distortion=0.001 + coding,
        step_distortion=0.001 + coding, difference_standard_error=1e-5, coding_loss=coding,
        posterior_coding_loss=coding, transform_loss=0.001, slope=1.0, slope_standard_error=0.01,
        predicted_slope=1.0, curve=[point(factor) for factor in (0.25, 0.5, 1, 2, 4)])
    return dataclasses.replace(made, **changes)


def line(ledger, start):
    found, = (one.words for one in claims.lines(ledger) if one.name == start)
    return found


def test_the_sums_close():
    """The terms of bits sum to the file's, those of D to the distortion, whatever the numbers are.
    """
    rng = np.random.default_rng(0)
    made = exact(exact_bits=rng.uniform(size=4), table_bits=rng.uniform(size=4), coded_bits=7.0,
                 file_bits=9.0, active_distortion=0.3, step_distortion=0.2, distortion=0.4)
    assert sum(made.bit_terms.values()) == pytest.approx(9.0) and sum(
        made.distortion_terms.values()) == pytest.approx(0.4)
    assert made.predicted_bits == pytest.approx(
        np.log2(1 / SCALES[:3]).sum() + 1.5 * math.log2(LIMIT))
    assert exact().predicted_bits == pytest.approx(exact().table_bits.sum())


def test_what_holds_is_said_to_hold():
    made = exact()
    # .02 of 10.4.
    assert line(made, "Rate").endswith("HOLDS to 0.2 +- 0.1 %.") and "predicts 10.396" in line(
        made, "Rate")
    assert line(made, "Distortion").endswith("HOLDS to 0.1 +- 0.1 %.")
    assert "is 1.000 +- 0.01 of beta. HOLDS." in line(made, "Slope")
    loss = line(made, "Coding loss")
    assert ("which is 0.981 of n beta / 2 = 0.015; the posterior's is 0.981 of it, E[1 - "
            "sigma^2] 0.981.") in loss
    assert ("By dimension it is 1.000 to 1.000 of beta / 2 E[1 - sigma_j^2]. The noise of y "
            "itself is 1.000 to 1.000") in loss
    assert ("0.013 bits from N(0, 1), most in z_0 (0.010). Tables for the data's own y would save "
            "that.") in line(
        made, "Prior")
    assert "Tables for the data's own y save 0.005." in line(
        exact(fitted_bits=made.table_bits.sum() - 0.005), "Prior")


def changed(**changes):
    """The exact ledger with what is named larger by so much: of a vector, its first entry."""
    made = exact()
    for name, more in changes.items():
        value = getattr(made, name)
        made = dataclasses.replace(
            made, **{name: value + more * (np.arange(4) == 0 if np.ndim(value) else 1)})
    return made


@pytest.mark.parametrize("changes, start, words", [
    ({"table_bits": 0.5, "coded_bits": 0.5
      }, "Rate", "DOES NOT HOLD: +5.0%, most of it from sigma within a step (+0.5 bits)."),
    ({"told_bits": 0.5, "table_bits": 0.5, "coded_bits": 0.5
      }, "Rate", "DOES NOT HOLD: +5.0%, most of it from sigma beside z (+0.5 bits)."),
    ({"exact_bits": -1, "told_bits": -1, "table_bits": -1, "coded_bits": -1
      }, "Rate", "DOES NOT HOLD: -9.4%, most of it from finite sigma (-1 bits)."),
    ({"coded_bits": 4}, "Rate", "DOES NOT HOLD: +38.7%, most of it from coder (+4.02 bits)."),
    ({"exact_bits": 0.3, "told_bits": 0.3, "table_bits": 0.6, "coded_bits": 0.95
      }, "Rate", "DOES NOT HOLD: +9.3%, the largest part from coder (+0.37 bits)."),
    ({"coded_bits": 0.3, "bits_difference_standard_error": 0.2
      }, "Rate", "HOLDS within its error: +3.1%, 1.5 standard errors."),
    ({
        "active_distortion": -0.001, "told_distortion": -0.001, "step_distortion": -0.001,
        "distortion": -0.001
    }, "Distortion",
     "DOES NOT HOLD: -6.8%, most of it from no noise where nothing is coded (-0.001)."),
    ({"distortion": 0.003, "step_distortion": 0.001
      }, "Distortion", "DOES NOT HOLD: +20.4%, most of it from uniform noise (+0.002)."),
    ({"slope": 0.3, "slope_standard_error": 0.04, "predicted_slope": 0.2}, "Slope",
     "1.300 +- 0.05 of beta. DOES NOT HOLD: +30.0%. With each input's own sigma as its step, "
     "1.200 is predicted."
     ),
    ({"slope": 0.05, "slope_standard_error": 0.02}, "Slope", "HOLDS."),
])
def test_what_does_not_hold_is_said_with_its_cause(changes, start, words):
    assert line(changed(**changes), start).endswith(words)


@pytest.mark.parametrize("changes, start, words", [
    ({"slope": -0.5, "slope_standard_error": 1
      }, "Slope", "is 0.500 +- 1 of beta. NOT JUDGED: too few examples."),
    ({"slope": 0.01, "slope_standard_error": np.nan
      }, "Slope", "is 1.010 of beta. NOT JUDGED: too few examples."),
    ({"bits_difference_standard_error": np.nan
      }, "Rate", "NOT JUDGED: too few examples (+0.2%)."),
    ({"slope": -0.5, "slope_standard_error": 0.1}, "Slope", "DOES NOT HOLD: -50.0%"),
    ({"distortion": 0.003, "difference_standard_error": 0.01
      }, "Distortion", "NOT JUDGED: too few examples (+20.4% +- 68.0%)."),
    ({"bits_difference_standard_error": 0.8
      }, "Rate", "NOT JUDGED: too few examples (+0.2% +- 7.8%)."),
])
def test_what_so_few_examples_cannot_tell_is_not_said_to_hold(changes, start, words):
    """Where two standard errors are more than a tenth, no difference is no evidence; a larger one
    is.
    """
    assert words in line(changed(**changes), start)


@pytest.mark.parametrize("changes, name, state", [
    ({}, "rate", ClaimState.HOLDS), ({"coded_bits": 4}, "rate", ClaimState.DOES_NOT_HOLD),
    ({"coded_bits": 0.3, "bits_difference_standard_error": 0.2}, "rate", ClaimState.WITHIN_ERROR),
    ({"slope": 0.01, "slope_standard_error": np.nan}, "slope", ClaimState.NOT_JUDGED)])
def test_claims_are_data(changes, name, state):
    ledger = changed(**changes)
    claim, = (one for one in claims.claims(ledger) if one.name == name)
    assert claim.state is state and (claim.cause == "coder") == (state is ClaimState.DOES_NOT_HOLD)
    assert claim.off == pytest.approx(claim.measured / claim.predicted - 1)
    saved = json.loads(json.dumps(claim.to_dict()))
    assert saved["state"] == state.value and (saved["error"] is None) == np.isnan(claim.error)
    shown, = (one for one in claims.lines(ledger) if one.name.lower() == name)
    assert shown.state == state.value and str(shown) in claims.summary(ledger).splitlines()


def test_dimensions_that_cost_more_than_they_say():
    """Those of less than .1 nat, with what they take; not said where there are none, or where they
    are not coded.
    """
    made = exact()
    assert "Weak" not in [one.name for one in claims.lines(made)]  # the collapsed one is not coded
    weak = dataclasses.replace(made, coded=np.full(4, True), kl_bits=made.kl_bits + [0, 0, 0, 0.05],
                               table_bits=made.table_bits + [0, 0, 0, 0.45], noise=np.ones(4),
                               coding_losses=np.full(4, 0.004))
    said = line(weak, "Weak")
    assert ("1 of the coded dimensions have a KL below 0.14 bits (0.1 nat), 0.050 together, and "
            "take 0.450 bits") in said


def test_rate_and_distortion_that_are_had_for_each_other():
    """Half a bit more, and .0034 less at beta = .01: .347 and -.34 nats; both worse is no such
    thing.
    """
    made = exact()
    traded = dataclasses.replace(made, coded_bits=made.predicted_bits + 0.5,
                                 distortion=made.posterior_distortion - 0.0034)
    assert ": +0.007. Rate and distortion trade off: +0.347 and -0.340 nats." in line(
        traded, "Loss")
    worse = dataclasses.replace(traded, distortion=made.posterior_distortion + 0.0034)
    assert line(worse, "Loss").endswith(": +0.687.")
    files, posterior = made.losses
    assert posterior == pytest.approx(
        math.log(2) * made.predicted_bits + made.posterior_distortion / BETA)
    assert files - posterior == pytest.approx(math.log(2) * 0.02)


def test_what_people_would_use_is_set_beside_at_the_same_distortion():
    made = exact()
    curve = [{"bits": 2 * bits, "distortion": d}
             for bits, d in ((1, 10 * made.distortion), (8, 2 * made.distortion),
                             (32, made.distortion / 2))]
    bits = 16 * 4 ** (2 / 3)  # log bits are straight in D
    said = line(dataclasses.replace(made, beside={"other": curve, "coarse": curve[:2]}), "Others")
    assert (f"at D = 0.01571, where files take 10.42 bits (10.5 with the container): other "
            f"{bits:.4g}; coarse has no such") in said
    assert said.endswith(
        f"coarse has no such quality, at its highest 16 bits for {2 * made.distortion:.4g}.")
    assert "Others" not in [one.name for one in claims.lines(made)]
    images = dataclasses.replace(
        made, curve=[dataclasses.replace(at, dissimilarity=0.2 * at.factor) for at in made.curve],
        beside={"JPEG": [{"bits": 900, "distortion": 0.1}, {"bits": 400, "distortion": 0.15}]})
    said = line(images, "Others")
    assert "at 1 - SSIM = 0.2, " in said
    assert "JPEG has no such quality, at its lowest 400 bits" in said


def test_bits_at_a_distortion():
    """log bits are straight in D between points; points beaten in both do not count; outside there
    is nothing.
    """
    points = [{"bits": 100, "distortion": 0.4}, {"bits": 200, "distortion": 0.2},
              {"bits": 150, "distortion": 0.5}, {"bits": 800, "distortion": 0.1}]
    assert bits_at(points, 0.2) == pytest.approx(200)
    assert bits_at(points, 0.3) == pytest.approx(100 * math.sqrt(2))
    assert bits_at(points, 0.15) == pytest.approx(400)
    assert bits_at(points, 0.45) is None and bits_at(points, 0.05) is None


def test_an_estimate_of_a_divergence_is_not_printed_below_0():
    below = exact(aggregate_kl_bits=np.array([-0.001, -0.002, -0.0006, 0.2]))
    zero = exact(aggregate_kl_bits=np.array([0.0, 0.0, 0.0, 0.2]))
    assert claims.table(below) == claims.table(zero)
    assert "are 0.000 bits from N(0, 1), most in z_2 (0.000)" in line(below, "Prior")


def test_numbers_come_back_from_json(tmp_path):
    made = exact(unexplained=np.full(4, np.nan))
    made.save(tmp_path / "rate.json", data="mix")
    loaded, saved = Ledger.load(tmp_path / "rate.json"), json.loads(
        (tmp_path / "rate.json").read_text())
    assert claims.table(loaded) == claims.table(made)
    assert claims.summary(loaded).splitlines()[2:] == claims.summary(made).splitlines()[2:]
    np.testing.assert_allclose(loaded.coding_losses, made.coding_losses, rtol=1e-6)
    assert saved["data"] == "mix" and sum(saved["bit_terms"].values()) == pytest.approx(
        saved["file_bits"], rel=1e-6)
    with refuses(ValueError):
        Ledger.from_dict({name: value for name, value in saved.items() if name != "slope"})


def test_the_table_has_the_leading_dimensions_and_the_curve():
    lines = claims.table(exact(), 2).splitlines()
    assert [row.split()[0] for row in lines[2:4]
            ] == ["0", "1"] and lines[4].startswith("3 of 4 dimensions are coded")
    assert any(row.split()[:2] == ["4", f"{exact().curve[-1].coded_bits:.3f}"] for row in lines)
    assert lines[-2].startswith("bits = 10.496 = 9.632 (KL) + 0.764 (scalar quantisation) ")


def test_pictures(tmp_path):
    """One with curves of others, one of several panels: not blank, and bounds are dashed lines of
    the panel.
    """
    level = np.geomspace(1e-4, 0.1, 20)
    bound = [
        dict(zip(("bits", "distortion"), theory.reverse_water_filling(BETA / 2 / SCALES[:3]**2, d)))
        for d in level
    ]
    made = exact(beside={"rate-distortion bound": bound})
    for name in ("rate", "curves"):
        path = tmp_path / f"{name}.png"
        drawn = rate.rate(made, "A") if name == "rate" else rate.curves(
            [("A", made), ("B", exact())])
        drawing.save(drawn, path)
        assert np.asarray(Image.open(path).convert("L")).std() > 5
        dashed = [part.get_label() for part in drawn.axes[0].lines if part.get_linestyle() == "--"]
        assert dashed == ["rate-distortion bound"]
        ours, = (part for part in drawn.axes[0].lines if part.get_label().startswith("our files"))
        np.testing.assert_allclose(ours.get_ydata(), [at.distortion for at in made.curve])


def test_a_picture_of_images_has_a_panel_of_ssim():
    images = exact(
        curve=[dataclasses.replace(at, dissimilarity=0.2 * at.factor) for at in exact().curve],
        beside={"JPEG": [{"bits": 900, "distortion": 0.1}, {"bits": 400, "distortion": 0.15}]})
    panels = rate.rate(images, "B").axes
    assert len(panels) == 4 and panels[0].get_ylabel(
    ) == "distortion, SumSquaredError()" and panels[3].get_xscale() == "log"
    assert "JPEG" in [part.get_label() for part in panels[3].lines
                      ] and "JPEG" not in [part.get_label() for part in panels[0].lines]
    panel = rate.curves([("B", images)]).axes[0]
    assert panel.get_ylabel() == panels[3].get_ylabel()
