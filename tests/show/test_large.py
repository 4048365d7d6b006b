"""Pages and pictures of large and of spatial latent spaces."""
import dataclasses
import html
import re

import numpy as np
import pytest

from tfisovae import show
from tfisovae.analysis.estimates import Estimates
from tfisovae.geometry.estimated import Estimate
from tfisovae.geometry.traversals import Traversals
from tfisovae.show import drawing, norms, spatial, tiles


def large(shape=(16, 16, 4), seed=0):
    """What isometry.json holds of an estimated measurement: 12 dimensions were sampled."""
    rng, n = np.random.default_rng(seed), int(np.prod(shape))
    active = np.arange(n) % 8 != 7
    norm = np.where(active, rng.uniform(0.9, 1.1, n), np.nan)
    sampled = np.flatnonzero(active)[:12]
    count = len(sampled)
    estimates = Estimates(100, 16, 30, 0, sampled, Estimate(1.02, 0.003), Estimate(1.0, 0.02),
                          Estimate(0.01, 0.001), Estimate(0.05, 0.004))
    importance = np.exp(rng.standard_normal(n))
    channels, places = shape[2], n // shape[2]
    values = {
        "norm_mean": norm, "norm_std": 0.1 * norm, "norm_standard_error": 0.01 * norm,
        "one_minus_variance": np.ones(n), "precision_mean": 1e6 * importance,
        "precision_standard_error": importance, "importance": importance,
        "kl_mean": np.where(active, 3.0, 0.0), "active": active,
        "ranking": np.argsort(-importance), "gram_mean": np.eye(count),
        "gram_cosine": np.eye(count), "balance": np.ones(n), "unexplained": np.full(n, 0.01),
        "unexplained_standard_error": np.full(n, 0.001), "log_scale_std": np.ones(n),
        "isometric_norm": 1.02, "gram_off_diagonal_cosine": 0.05, "posterior_balance": 1.0,
        "rate": 3.0 * active.sum(), "distortion": 2.0, "loss": 5.0, "coding_loss": 1.0,
        "transform_loss": 1.0, "beta": 1e-6, "lmbda": 1e6, "decomposed": False,
        "distortion_name": "SumSquaredError()", "num_examples": 100, "active_threshold": 0.01,
        "method": "estimated", "estimates": dataclasses.asdict(estimates),
        "latent_shape": list(shape), "channel_cost": np.arange(1.0, channels + 1),
        "channel_cost_standard_error": np.full(channels, 0.1), "latent_mean": np.zeros(n),
        "channel_directions": rng.standard_normal([channels, 3, places]),
        "channel_shares": np.tile([0.5, 0.2, 0.1], (channels, 1))
    }
    return {name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in values.items()}


def traversals(dimensions, n, side=64, columns=11):
    rng, rows = np.random.default_rng(1), len(dimensions)
    x = rng.random([rows, columns, side, side, 3], np.float32)
    return Traversals(np.array(dimensions), np.tile(np.linspace(-2, 2, columns), (rows, 1)), x,
                      np.full([rows, columns - 1], 0.1), np.full(rows, 4.0), np.zeros(rows, bool),
                      np.full(n, 0.25)[:rows], np.zeros(n), "decoder")


@pytest.fixture(scope="module")
def page():
    values = large()
    x = np.random.default_rng(2).random([12, 64, 64, 3])
    return show.render(show.contents_of(
        values, "large", traversals=traversals(values["ranking"][:16], 1024),
        channel_traversals=traversals(range(12), 12),
        reconstructions=show.Reconstructions(x, x)))


def said_of(page):
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def test_the_page_says_how_and_with_which_errors(page):
    said = said_of(page)
    assert "method estimated from 100 examples, 16 probes, 30 steps of Lanczos' method" in said
    assert "norm 1.02 \N{PLUS-MINUS SIGN} 0.003" in said
    assert "cosines, rms 0.0500 \N{PLUS-MINUS SIGN} 0.004" in said
    assert "Mean Gram matrix of a sample of 12 of 896 active dimensions" in said
    assert "The first 200 of 1,024 dimensions in numbers" in said


def test_the_page_is_small_and_shows_channels_and_places(page):
    assert len(page.encode()) < 3e6
    said = said_of(page)
    assert "The latents have the shape [16, 16, 4]: 4 channels at 16 x 16 places." in said
    assert "channel 3, direction 1 25 % of the variance of the channel" in said
    row, column = np.array(large()["ranking"][0]) // 4 // 16, large()["ranking"][0] // 4 % 16
    assert f"rank 1; channel {large()['ranking'][0] % 4}, row {row}, column {column}" in said
    # Charts have few marks, however many dimensions there are.
    assert max(map(len, re.findall("<svg class.*?</svg>", page, re.DOTALL))) < 120_000


def test_what_was_not_measured_is_a_dash():
    measured = show.Measured(large())
    made = norms.table(measured)
    assert len(made["rows"]) == 200
    place = made["columns"].index("norm")
    for row in made["rows"]:
        active = measured.active[int(row[1].removeprefix("z_"))]
        assert (row[place] == "-") == (not active)
    without = {**large(), "channel_cost": None, "channel_cost_standard_error": None}
    made = spatial.section(show.Measured(without))
    assert all(row[1] == "-" for row in made["channels"]["rows"]) and len(made["bars"]) == 3


def test_pages_of_vectors_have_no_channels():
    values = {**large(), "latent_shape": None}
    said = show.render(show.contents_of(values, "vectors"))
    assert spatial.section(show.Measured(values)) is None
    assert "Channels and places" not in said and 'href="#spatial"' not in said


@pytest.mark.parametrize("name", ["importance", "kl_mean", "norm_mean"])
def test_maps_have_the_shape_of_the_places(name):
    values = large((3, 5, 4))
    figure = spatial.places(values, name)
    image, = figure.axes[0].images
    np.testing.assert_allclose(image.get_array(), spatial.of(values).by_place(name))
    bars = spatial.channels(values, name).axes[0].patches[0].get_path().vertices
    top = bars.reshape(-1, 5, 2)[:, 1, 1]
    np.testing.assert_allclose(top, spatial.of(values).by_channel(name))


def test_negative_costs_have_bars_too():
    values = {**large((3, 5, 4)), "channel_cost": [-1.0, 2.0, 3.0, 4.0]}
    axes, = spatial.channels(values, "channel_cost").axes
    assert axes.get_ylim()[0] <= -1 and len(spatial.both(values).axes) >= 6


def test_a_picture_has_at_most_400_marks():
    assert drawing.some(5).tolist() == [0, 1, 2, 3, 4]
    places = drawing.some(16_384)
    assert len(places) == 400 and places[0] == 0 and places[-1] == 16_383


def test_channel_walks_need_directions():
    contents = show.contents_of(large(), "large")
    assert tiles.channel_walks(contents, 10**6) == ([], [])
