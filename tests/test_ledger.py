"""Where bits and distortion go: sums that close, sentences that are true, and the numbers back from JSON."""
import dataclasses
import json
import math

import numpy as np
import pytest
from PIL import Image

from tfisovae import figures_rate, theory
from tfisovae.ledger import QUANTIZATION, Ledger, Point

BETA, SCALES = 0.01, np.array([0.06, 0.1, 0.21, 1.0])
LIMIT = math.pi * math.e / 6


def exact(**changes):
    """What the linear VAE of four Gaussian components, the last collapsed, has in files, by closed forms."""
    coded = SCALES < 1
    kl = np.where(coded, -np.log2(SCALES), 0)
    bits = np.where(coded, kl + QUANTIZATION, 0)
    variance = np.where(coded, 1 - SCALES**2, np.nan)
    coding = float(np.nansum(variance)) * BETA / 2

    def point(factor):
        rate, distortion = float(bits.sum()) - 3 * math.log2(factor), 0.001 + factor**2 * coding
        return Point(factor, rate, 0.01, rate, distortion, 1e-4, rate, distortion)

    made = Ledger(
        beta=BETA, lmbda=1 / BETA, decomposed=False, distortion_name="SumSquaredError()", num_examples=10_000,
        quantization="universal", coded=coded, kl_bits=kl, exact_bits=bits, table_bits=bits, table_bits_standard_error=0.01,
        coded_bits=float(bits.sum()) + 0.02, file_bits=float(bits.sum()) + 0.1, one_minus_variance=1 - SCALES**2,
        unexplained=np.full(4, 0.01), aggregate_kl_bits=np.array([0.01, 0.002, 0.001, 0.2]), fitted_bits=None,
        noise=np.where(coded, 1, np.nan), coding_losses=variance * BETA / 2, coding_losses_standard_error=0.01 * variance,
        posterior_coding_losses=variance * BETA / 2, distortion=0.001 + coding, posterior_distortion=0.001 + coding,
        active_distortion=0.001 + coding, step_distortion=0.001 + coding, difference_standard_error=1e-5, coding_loss=coding,
        posterior_coding_loss=coding, transform_loss=0.001, slope=1.0, slope_standard_error=0.01,
        curve=[point(factor) for factor in (0.25, 0.5, 1, 2, 4)])
    return dataclasses.replace(made, **changes)


def line(ledger, start):
    found, = (text for text in ledger.summary().splitlines() if text.startswith(start + ": "))
    return found


def test_the_sums_close():
    """The terms of bits sum to the file's, those of D to the distortion, whatever the numbers are."""
    rng = np.random.default_rng(0)
    made = exact(exact_bits=rng.uniform(size=4), table_bits=rng.uniform(size=4), coded_bits=7.0, file_bits=9.0,
                 active_distortion=0.3, step_distortion=0.2, distortion=0.4)
    assert sum(made.bit_terms.values()) == pytest.approx(9.0) and sum(made.distortion_terms.values()) == pytest.approx(0.4)
    assert made.predicted_bits == pytest.approx(np.log2(1 / SCALES[:3]).sum() + 1.5 * math.log2(LIMIT))
    assert exact().predicted_bits == pytest.approx(exact().table_bits.sum())


def test_what_holds_is_said_to_hold():
    made = exact()
    assert line(made, "Rate").endswith("HOLDS to 0.2 %.") and "says 10.396" in line(made, "Rate")  # .02 of 10.4
    assert line(made, "Distortion").endswith("HOLDS to 0.1 %.")
    assert "is 1.000 +- 0.01 of beta. HOLDS." in line(made, "Slope")
    assert "n beta / 2 = 0.015, 0.981 of it; the posterior's 0.981, E[1 - sigma^2] 0.981" in line(made, "Coding loss")
    assert "By dimension 0.956 to 0.996 of beta / 2; the noise of y itself 1.000 to 1.000." in line(made, "Coding loss")
    assert "0.013 bits from N(0, I), most in z_0, 0.010: tables of the data's own y would save that." in line(made, "Prior")
    assert "tables of the data's own y save 0.005." in line(exact(fitted_bits=made.table_bits.sum() - 0.005), "Prior")


@pytest.mark.parametrize("changes, start, words", [
    ({"table_bits": lambda made: made.table_bits + [0, 0.5, 0, 0], "coded_bits": lambda made: made.coded_bits + 0.5}, "Rate",
     "DOES NOT HOLD: +5.0%, most of it by own sigma (+0.5 bits)."),
    ({"exact_bits": lambda made: made.exact_bits - [1, 0, 0, 0], "table_bits": lambda made: made.table_bits - [1, 0, 0, 0],
      "coded_bits": lambda made: made.coded_bits - 1}, "Rate", "DOES NOT HOLD: -9.4%, most of it by finite sigma (-1 bits)."),
    ({"coded_bits": lambda made: made.coded_bits + 4}, "Rate", "DOES NOT HOLD: +38.7%, most of it by coder (+4.02 bits)."),
    ({"coded_bits": lambda made: made.coded_bits + 0.3, "table_bits_standard_error": lambda made: 0.2}, "Rate",
     "HOLDS within its error: +3.1%, 1.6 standard errors."),
    ({"active_distortion": lambda made: made.distortion - 0.001, "step_distortion": lambda made: made.distortion - 0.001,
      "distortion": lambda made: made.distortion - 0.001}, "Distortion",
     "DOES NOT HOLD: -6.8%, most of it by no noise where nothing is coded (-0.001)."),
    ({"distortion": lambda made: made.distortion + 0.003, "step_distortion": lambda made: made.distortion + 0.001}, "Distortion",
     "DOES NOT HOLD: +20.4%, most of it by uniform noise (+0.002)."),
    ({"slope": lambda made: 1.3, "slope_standard_error": lambda made: 0.05}, "Slope",
     "1.300 +- 0.05 of beta. DOES NOT HOLD: +30.0%."),
    ({"slope": lambda made: 1.05, "slope_standard_error": lambda made: 0.03}, "Slope", "HOLDS."),
])
def test_what_does_not_hold_is_said_with_its_cause(changes, start, words):
    made = exact()
    made = dataclasses.replace(made, **{name: change(made) for name, change in changes.items()})
    assert line(made, start).endswith(words)


def test_the_largest_of_several_small_causes_is_not_most_of_it():
    made = exact()
    rest = {"exact_bits": made.exact_bits + [0.3, 0, 0, 0], "table_bits": made.table_bits + [0.3, 0.3, 0, 0],
            "coded_bits": made.coded_bits + 0.95}
    assert "the largest part of it by coder (+0.37 bits)" in line(dataclasses.replace(made, **rest), "Rate")


def test_numbers_come_back_from_json(tmp_path):
    made = exact(unexplained=np.full(4, np.nan))
    made.save(tmp_path / "rate.json", data="mix")
    loaded, saved = Ledger.load(tmp_path / "rate.json"), json.loads((tmp_path / "rate.json").read_text())
    assert loaded.table() == made.table() and loaded.summary().splitlines()[2:] == made.summary().splitlines()[2:]
    np.testing.assert_allclose(loaded.coding_losses, made.coding_losses, rtol=1e-6)
    assert saved["data"] == "mix" and sum(saved["bit_terms"].values()) == pytest.approx(saved["file_bits"], rel=1e-6)
    with pytest.raises(ValueError, match="written by another version: it has no slope. Measure again with tfisovae rate"):
        Ledger.from_dict({name: value for name, value in saved.items() if name != "slope"})


def test_the_table_has_the_leading_dimensions_and_the_curve():
    lines = exact().table(2).splitlines()
    assert [row.split()[0] for row in lines[2:4]] == ["0", "1"] and not lines[4]
    assert any(row.split()[:2] == ["4", f"{exact().curve[-1].bits:.3f}"] for row in lines)
    assert lines[-2].startswith("bits = 10.496 = 9.632 (KL) + 0.764 (scalar quantisation) ")


def test_pictures(tmp_path):
    """One with curves of others, one of several panels: not blank, and bounds are dashed lines of the panel."""
    level = np.geomspace(1e-4, 0.1, 20)
    bound = [dict(zip(("bits", "distortion"), theory.reverse_water_filling(BETA / 2 / SCALES[:3] ** 2, d))) for d in level]
    made = exact(beside={"rate-distortion bound": bound})
    for name in ("rate", "curves"):
        path = tmp_path / f"{name}.png"
        drawn = figures_rate.rate(made, "A", path) if name == "rate" else figures_rate.curves([("A", made), ("B", exact())], path)
        assert np.asarray(Image.open(path).convert("L")).std() > 5
        dashed = [part.get_label() for part in drawn.axes[0].lines if part.get_linestyle() == "--"]
        assert dashed == ["rate-distortion bound"]
        ours, = (part for part in drawn.axes[0].lines if part.get_label().startswith("files"))
        np.testing.assert_allclose(ours.get_ydata(), [at.distortion for at in made.curve])
