"""Eigenvalues of Gamma at single examples: closed forms, and what an evenly spaced sample keeps."""
import numpy as np
import pytest

import tfisovae
from tests.support import isometry
from tfisovae import theory
from tfisovae.metrics.stretch import EvenSample, max_examples, stretch
from tfisovae.verdict import IsometryState, Part, words
from tfisovae.verdict.isometry import isometry_of


def test_small_cosines_stretch_one_direction_of_many_dimensions():
    """n = 64, right norms, all cosines .095: eigenvalues 1 + 63 * .095 = 6.985, and .905."""
    cosines = np.full([64, 64], 0.095) + 0.905 * np.eye(64)
    scale = np.broadcast_to(np.linspace(0.05, 0.6, 64), [200, 64])
    side = np.sqrt(1 - scale**2)
    found = stretch(cosines * side[:, :, None] * side[:, None, :], scale)
    assert found.longest == pytest.approx(np.sqrt(6.985), abs=1e-9)  # 2.64
    assert found.shortest == pytest.approx(np.sqrt(0.905), abs=1e-9)
    for error in (found.error_median, found.error_95, found.error_largest):
        assert error == pytest.approx(np.sqrt(6.985) - 1, abs=1e-9)
    judged = isometry(64, norm=0.96, norm_std=0.0, cosine=0.095, error_95=found.error_95)
    assert judged.state is IsometryState.NOT_ISOMETRIC and judged.failing == (Part.STRETCH, )


def test_percentiles_over_the_examples():
    """One of ten examples is stretched 3-fold in one direction: the 95th percentile sees it, the
    median does not.
    """
    gram = np.broadcast_to(np.eye(2), [100, 2, 2]).copy()
    gram[::10, 0, 0] = 9.0
    found = stretch(gram, np.zeros([100, 2]))
    assert (found.error_median, found.error_95, found.error_largest) == (0.0, 2.0, 2.0)
    gram[10:, 0, 0] = 1.0  # one of a hundred
    found = stretch(gram, np.zeros([100, 2]))
    assert (found.error_95, found.error_largest, found.num_examples) == (0.0, 2.0, 100)
    gram[3, 1, 1] = np.nan
    assert np.isnan(stretch(gram, np.zeros([100, 2])).error_95)


def test_an_exactly_isometric_vae_is_isometric_and_a_turned_one_is_not(make_linear_vae):
    """The optimal linear VAE, to rounding. A decoder whose axes are at a cosine of .3, its norms
    unchanged, has eigenvalues of about 1 +- .3.
    """
    variance = np.array([4.0, 1.0, 0.5])
    optimum = theory.LinearVAE(variance, 0.05)
    x = (np.random.default_rng(0).standard_normal((600, 3)) * np.sqrt(variance)).astype(np.float32)

    def measured(decoder):
        vae = make_linear_vae(np.diag(optimum.encoder_gain), decoder, optimum.scale, 20.0)
        return tfisovae.analyze(vae, x)

    gains = np.diag(optimum.decoder_gain)
    found = measured(gains)
    assert found.isometry().state is IsometryState.ISOMETRIC
    assert found.stretch.error_largest < 1e-3 and found.stretch.num_examples == 600
    assert words.isometry_label(found.isometry()) == "isometric to 1 %"
    turn = np.eye(3)
    turn[1] = [0.3, np.sqrt(1 - 0.3**2), 0]
    turned = measured(gains @ turn)
    side = np.sqrt(optimum.decoder_gain**2 / (variance - 0.025))  # 1
    expected = np.linalg.eigvalsh(turn @ turn.T * side[:, None] * side)
    assert turned.stretch.longest == pytest.approx(np.sqrt(expected[-1]), rel=1e-3)
    assert turned.stretch.shortest == pytest.approx(np.sqrt(expected[0]), rel=1e-3)
    assert turned.isometry().state is IsometryState.NOT_ISOMETRIC
    back = tfisovae.Analysis.from_dict(turned.to_dict())
    for before, after in ((turned.stretch, back.stretch), (turned.isometry(), back.isometry())):
        np.testing.assert_equal(vars(after), vars(before))  # NaN equals NaN


@pytest.mark.parametrize("count, cosine, state", [
    (3, 0.02, IsometryState.ISOMETRIC), (12, 0.02, IsometryState.NOT_JUDGED),
    (64, 0.095, IsometryState.NOT_JUDGED), (12, 0.2, IsometryState.NOT_ISOMETRIC)
])
def test_norms_and_mean_cosines_alone_prove_it_in_few_dimensions_only(count, cosine, state):
    """The bound holds for every matrix of cosines with that root mean square."""
    found = isometry(count, cosine=cosine)
    assert found.state is state and np.isnan(found.error_95)
    rng = np.random.default_rng(0)
    for _ in range(20):
        off = np.triu(rng.standard_normal([count, count]), 1)
        off += off.T
        off *= cosine / np.sqrt(np.mean(off[~np.eye(count, dtype=bool)] ** 2))
        length = 1 + found.worst_error * rng.choice([-1, 1], count)
        values = np.linalg.eigvalsh((np.eye(count) + off) * length[:, None] * length)
        assert np.abs(np.sqrt(np.maximum(values, 0)) - 1).max() <= found.bound + 1e-9


def test_an_old_verdict_of_many_dimensions_is_not_believed():
    """A stored "isometric" without eigenvalues comes back as not judged, where its bound is large.
    """
    for count, state in ((3, IsometryState.ISOMETRIC), (64, IsometryState.NOT_JUDGED)):
        old = {"state": "isometric", "num_examples": 5000, "num_dimensions": count,
               "worst_error": 0.02, "cosine": 0.03, "failing": []}
        assert type(isometry(3)).from_dict(old).state is state


@pytest.mark.parametrize("sizes", [[100], [7, 40, 1, 52], [30] * 20])
def test_an_even_sample_is_evenly_spaced(sizes):
    """Whatever the blocks: every 2^k-th example, and more than half of what there is room for."""
    rows, sample, first = np.arange(sum(sizes)), EvenSample(32), 0
    for size in sizes:
        sample.add(rows[first:first + size], first)
        first += size
    kept = sample.values
    stride = kept[1] - kept[0]
    np.testing.assert_array_equal(kept, rows[::stride])
    assert 16 < len(kept) <= 32


def test_there_is_no_room_for_very_many_dimensions():
    assert max_examples(3) == 4096 and max_examples(64) == 4096 and max_examples(256) == 256
    assert max_examples(500) == 0


def test_a_measurement_without_eigenvalues_is_still_read():
    """As `isometry_of` takes them from the JSON of an older version."""
    values = {"kl_mean": [1.0, 1.0], "active": [True, True], "norm_mean": [0.95, 0.95],
              "norm_std": [0.01, 0.01], "one_minus_variance": [0.95, 0.95],
              "gram_cosine": [[1, 0.01], [0.01, 1]], "num_examples": 500}
    assert isometry_of(values).state is IsometryState.ISOMETRIC
    broken = {"error_median": 0.2, "error_95": 0.3, "error_largest": None, "longest": 1.3,
              "shortest": 1.0, "num_examples": 500}
    found = isometry_of(values | {"stretch": broken})
    assert found.failing == (Part.STRETCH, ) and np.isnan(found.error_largest)
