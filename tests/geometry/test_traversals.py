"""Traversals in equal distortion: closed forms of the steps, decoders that stand still, and what is
refused.
"""
import warnings

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.messages import refuses
from tfisovae import Autoencoder, distortions
from tfisovae.geometry import traversals
from tfisovae.show import decoded, drawing

N = np.random.default_rng(0).standard_normal((5_000, 2))


def model(*functions, beta=0.02, distortion="sse"):
    """A VAE whose decoder makes x = (f_1(z_1), f_2(z_2), ...) of two latent variables, each f of
    one or more columns.
    """
    def decode(z):
        return tf.concat([function(z[:, j:j + 1]) for j, function in enumerate(functions)], 1)

    return Autoencoder(lambda x: (x[:, :2], tf.ones_like(x[:, :2])), decode, distortion, beta)


@pytest.mark.parametrize("steps", ["decoder", "posterior"])
def test_steps_of_an_exponential_are_equal_in_x(steps):
    """x = e^z: y is x up to its origin, by the decoder and by sigma = sqrt(beta / 2) / e^z, so x
    goes in equal steps and D is their square. The grids bend by h^2 / 8 of e^z.
    """
    posterior = N, np.stack([np.sqrt(0.01) / np.exp(N[:, 0]), np.ones(len(N))], 1)
    made = traversals.traverse(model(tf.exp, tf.identity), [0], 7, 2.0, steps, posterior=posterior,
                               n=2)
    step = (np.exp(2) - np.exp(-2)) / 6
    # Of a few examples beyond z = 2, which make the last bins wide.
    tolerance = {"decoder": 2e-3, "posterior": 0.1}[steps]
    np.testing.assert_allclose(np.diff(made.x[0, :, 0]), step, rtol=tolerance)
    np.testing.assert_allclose(made.distortion[0], step**2, rtol=2 * tolerance)
    assert made.length[0] == pytest.approx(6 * step, rel=tolerance)
    np.testing.assert_allclose(made.z[0, [0, -1]], [-2, 2], atol=1e-9)
    assert made.x.shape == (1, 7, 2) and (made.x[0, :, 1] == 0).all()


def test_steps_equal_in_z_are_not_equal_in_distortion():
    made = traversals.traverse(model(tf.exp, tf.identity), [0, 1], 5, 1.0, "z", n=2)
    np.testing.assert_allclose(made.z, np.tile(np.linspace(-1, 1, 5), (2, 1)))
    np.testing.assert_allclose(made.distortion[0],
                               np.diff(np.exp(np.linspace(-1, 1, 5)))**2, rtol=1e-5)
    np.testing.assert_allclose(made.distortion[1], 0.25, rtol=1e-6)
    assert np.isnan(made.length).all() and not made.still.any()


def test_on_a_circle_the_distortion_is_that_of_the_chord():
    """The way along it is the arc: D between neighbours is 4 sin^2(arc / 2), below arc^2."""
    made = traversals.traverse(model(lambda z: tf.concat([tf.cos(z), tf.sin(z)], 1), tf.identity),
                               [0], 5, 2.0, n=2)
    assert made.length[0] == pytest.approx(4, rel=1e-3)  # 64 chords of 1/16
    np.testing.assert_allclose(made.distortion[0], 4 * np.sin(0.5) ** 2, rtol=1e-4)


def test_a_jump_between_clusters_gets_its_share_of_the_columns():
    """x = z / 10 + 2 tanh(50 z): 4 of 4.4 lengths lie at z = 0, so all of 9 columns but the ends
    are within the jump.
    """
    made = traversals.traverse(model(lambda z: z / 10 + 2 * tf.tanh(50 * z), tf.identity), [0], 9,
                               2.0, n=2)
    assert (np.abs(made.z[0, 1:-1]) < 0.25).all() and (np.diff(made.z[0]) > 0).all()
    assert made.distortion[0].max() < 1.5**2  # of a single step over the jump it would be 4^2


@pytest.mark.parametrize("steps", traversals.STEPS)
def test_a_decoder_that_stands_still(steps):
    """Nothing is divided by 0: such a row has steps equal in z, no distortion, and says so.
    Rounding counts as standing still.
    """
    still = model(tf.zeros_like, lambda z: 1000 + 1e-5 * z)
    posterior = 1e-3 * N, np.ones_like(N)
    with warnings.catch_warnings(), np.errstate(all="raise", under="ignore"):
        warnings.simplefilter("error", RuntimeWarning)
        made = traversals.traverse(still, [1, 0], 5, 2.0, steps, posterior=posterior, n=2,
                                   share=[0.0, 0.0])
    np.testing.assert_allclose(made.z, np.tile(np.linspace(-2, 2, 5), (2, 1)), atol=1e-6)
    assert np.isfinite(made.x).all() and (made.distortion[1] == 0).all()
    assert made.still.all() and made.labels() == [
        "z_1, 0.0 %, stands still", "z_0, 0.0 %, stands still"
    ]


def test_the_others_stand_where_they_are_put_and_rows_come_as_asked():
    made = traversals.traverse(model(tf.identity, lambda z: 3 * z), [1, 0], 3, 1.0, at=[0.5, -0.25],
                               share=[0.1, 0.9])
    np.testing.assert_allclose(made.z, [[-1.25, -0.25, 0.75], [-0.5, 0.5, 1.5]], atol=1e-6)
    np.testing.assert_allclose(made.x[0], [[0.5, -3.75], [0.5, -0.75], [0.5, 2.25]], atol=1e-5)
    np.testing.assert_allclose(made.distortion, [[9, 9], [1, 1]], rtol=1e-4)
    assert made.labels() == ["z_1, 90 %, D 9", "z_0, 10 %, D 1"]
    assert set(made.to_dict()) == {
        "dimensions", "z", "distortion", "length", "still", "share", "at", "steps"
    }


@pytest.mark.parametrize("steps", traversals.STEPS[::2])
def test_every_other_column_is_a_traversal_of_fewer(steps):
    fine, coarse = (traversals.traverse(model(tf.exp, tf.identity), [0, 1], columns, 2.0, steps,
                                        n=2) for columns in (9, 5))
    thinned = traversals.every_other(fine, distortions.SumSquaredError())
    for name in ("z", "x", "distortion", "length"):
        np.testing.assert_allclose(getattr(thinned, name), getattr(coarse, name), rtol=1e-5,
                                   atol=1e-6)


def test_the_metric_is_that_of_the_distortion():
    """BCE of p = (1 + sin z) / 2 has the length |dz| / sqrt(2) (G = 1 / (2 p (1 - p))): steps in y
    are steps in z. D of a step of the grid, .0375, has a part of the third order, which is of the
    first order in its length.
    """
    made = traversals.traverse(
        model(lambda z: 0.5 + 0.5 * tf.sin(z), lambda z: 0.5 + 0 * z,
              distortion=distortions.BinaryCrossentropy("sum")), [0], 9, 1.2, n=2)
    np.testing.assert_allclose(made.z[0], np.linspace(-1.2, 1.2, 9), atol=1e-2)
    assert made.length[0] == pytest.approx(2.4 / np.sqrt(2), rel=1e-2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"columns": 1}, "columns"),
        ({"columns": 2.5}, "columns"),
        ({"limit": 0}, "limit"),
        ({"limit": np.inf}, "limit"),
        ({"steps": "y"
          }, "steps"),
        ({"steps": "posterior"}, "posterior"),
        ({"dimensions": [2]}, "dimensions"),
        ({"dimensions": [-1]}, "dimensions"),
        ({"dimensions": []
          }, "dimensions"),
        ({"dimensions": [True, False]}, "dimensions"),
        ({"dimensions": [0.5]}, "dimensions"),
        ({"n": None}, ""),
        # Exp overflows.
        ({"limit": 200.0
          }, ""),
        ({"at": [0.0, 0.0, 0.0]}, ""),
        ({"at": [0.0, np.nan]}, "at"),
        ({"share": [[0.5, 0.5]]}, ""),
    ])
def test_what_is_refused(arguments, message):
    with refuses(ValueError, message):
        traversals.traverse(model(tf.exp, tf.identity), **{"dimensions": [0], "n": 2, **arguments})


def test_the_animation_shows_the_examples(tmp_path):
    """To and fro, each tile its own variable, at the place that its number in the rows gives it."""
    levels = model(lambda z: (z + 2) / 4 * tf.ones([1, 64 * 64]), lambda z: tf.zeros([1, 0]) * z)
    made = traversals.traverse(levels, [0, 1], 3, 2.0, "z", n=2)
    images = made.x.reshape(2, 3, 64, 64, 1)
    made = traversals.Traversals(**{**made.to_dict(), "x": images})
    decoded.animation(made, tmp_path / "a.gif", seconds=2)
    with Image.open(tmp_path / "a.gif") as gif:
        seen = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            picture = np.asarray(gif.convert("L"))
            seen.append([int(picture[50, 30]), int(picture[50, 100])])
            assert gif.info["duration"] == 500
        assert gif.info["loop"] == 0
    expected = [[0, 128], [128, 128], [255, 128], [128, 128]]
    np.testing.assert_allclose(seen, expected, atol=2)


def test_the_strip_is_drawn_with_its_labels(tmp_path):
    made = traversals.traverse(
        model(lambda z: tf.sigmoid(z) * tf.ones([1, 256]), lambda z: tf.zeros([1, 0]) * z), [0, 1],
        5, 2.0, n=2, share=[1.0, 0.0])
    made = traversals.Traversals(**{**made.to_dict(), "x": made.x.reshape(2, 5, 16, 16, 1)})
    figure = decoded.traversal(made, title="title")
    drawing.save(figure, tmp_path / "a.png")
    axes, = figure.axes
    assert [label.get_text()
            for label in axes.get_yticklabels()] == ["z_0   100 %", "z_1   0.0 %"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["-2", "-1", "+0", "+1", "+2"]
    assert [text.get_text() for text in axes.texts] == [words[-1] for words in made.words()]
    assert made.still.tolist() == [False, True]
    assert np.asarray(Image.open(tmp_path / "a.png").convert("L")).std() > 5
