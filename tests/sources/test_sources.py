"""Drawn faces, and how every source holds examples out."""
import numpy as np

from tests.messages import refuses
from tfisovae import sources
from tfisovae.sources.faces import FACTORS, sample_factors
from tfisovae.sources.source import held_out


def test_faces_are_a_function_of_the_seed():
    a, b, c = sources.faces(300, seed=1), sources.faces(40, seed=1), sources.faces(40, seed=2)
    assert a.images.shape == (300, 64, 64, 3) and a.images.dtype == np.uint8
    assert a.factors.shape == (300, len(FACTORS)) and len(a.factor_names) == len(FACTORS) >= 10
    np.testing.assert_array_equal(sources.faces(300, seed=1).images, a.images)
    assert not np.array_equal(b.images, c.images)
    with refuses(ValueError, "num_examples"):
        sources.faces(0)


def test_factors_have_their_distributions():
    """Kolmogorov distance from the stated distribution below its 99.9 % quantile, and no
    correlations.
    """
    from scipy.stats import norm

    factors = sample_factors(20_000, seed=0)
    for column, (_, distribution) in zip(factors.T, FACTORS):
        column = np.sort(column)
        inside = column[np.abs(column) < 2.5] if distribution == "normal" else column
        cdf = norm.cdf(inside) if distribution == "normal" else (inside + 1) / 2
        ranks = (np.searchsorted(column, inside, "right")) / len(column)
        assert np.abs(ranks - cdf).max() < 1.95 / np.sqrt(len(column)) + 1 / len(column)
    correlations = np.corrcoef(factors.T) - np.eye(len(FACTORS))
    assert np.abs(correlations).max() < 5 / np.sqrt(len(factors))


def test_every_factor_shows_and_their_weights_differ():
    """Moving one factor by its deviation changes the image: by a hundred times more for the wall
    than for the mouth.
    """
    from tfisovae.sources.faces import _draw

    base = np.zeros([256, len(FACTORS)], np.float32)
    step = np.eye(len(FACTORS),
                  dtype=np.float32) * [0.577 if d == "uniform" else 1.0 for _, d in FACTORS]
    base[1:len(FACTORS) + 1] = step
    images = _draw(base).numpy()[:len(FACTORS) + 1].astype(np.float32)
    change = ((images[1:] - images[0]) ** 2).mean((1, 2, 3))
    assert change.min() > 1
    assert change.max() > 100 * change.min()
    assert len(set(np.round(np.log2(change)))) >= 6


def test_faces_are_anti_aliased():
    """Edges have intermediate values: a shift of a tenth of a pixel moves many pixels a little."""
    from tfisovae.sources.faces import _draw

    factors = np.zeros([256, len(FACTORS)], np.float32)
    # 0.003 of the half width: a tenth of a pixel.
    factors[1, [name for name, _ in FACTORS].index("head_height")] = 0.1
    a, b = _draw(factors).numpy()[:2].astype(int)
    changed = np.abs(a - b)[np.abs(a - b) > 0]
    assert len(changed) > 300 and changed.max() < 60


def test_the_split_goes_by_name():
    names = [f"{i:06d}.jpg" for i in range(1000)]
    train, evaluation = held_out(names)
    assert len(evaluation) == 100 and sorted([*train, *evaluation]) == list(range(1000))
    fewer = held_out(names[:900])[1]
    kept = set(evaluation[evaluation < 900])
    # The same names fall on the same side.
    assert len(kept & set(fewer)) > 0.9 * min(len(kept), len(fewer))
    np.testing.assert_array_equal(held_out(names)[1], evaluation)
    assert [len(part) for part in held_out(["a", "b"])] == [1, 1]
    assert [len(part) for part in held_out(["a"])] == [0, 1]
    with refuses(ValueError):
        held_out([])


def test_drawn_faces_bring_their_factors(tmp_path):
    source = sources.load_images("faces", tmp_path, num_faces=50, progress=False)
    drawn = sources.faces(50, seed=0)
    np.testing.assert_array_equal(source.eval[np.arange(5)], drawn.images[source.eval.rows])
    np.testing.assert_array_equal(source.factors, drawn.factors[source.eval.rows])
    assert source.factor_names == drawn.factor_names


def test_drawn_faces_smaller_and_grey(tmp_path):
    """Half the size: means of 2 x 2 pixels, nearly; grey: luma. Larger than drawn they would be
    blurred, and are refused.
    """
    def load(**options):
        return sources.load_images("faces", tmp_path, num_faces=40, progress=False, **options)

    drawn = sources.faces(40, seed=0).images.astype(float)
    smaller, grey = load(image_size=32), load(grayscale=True)
    rows = smaller.eval.rows
    means = drawn[rows].reshape(-1, 32, 2, 32, 2, 3).mean((2, 4))
    assert smaller.eval.shape == (4, 32, 32, 3)
    assert np.sqrt(np.mean((smaller.eval[np.arange(4)] - means) ** 2)) < 3  # bicubic, not a box
    # Its 16-bit weights.
    assert np.abs(grey.eval[np.arange(4)][..., 0] - drawn[rows] @ [.299, .587, .114]).max() <= .51
    np.testing.assert_array_equal(smaller.factors, grey.factors)
    assert len({s.manifest["fingerprint"] for s in (smaller, grey, load())}) == 3
    # Which change nothing.
    assert load(crop="none", background="black").manifest["cache"] == load().manifest["cache"]
    with refuses(ValueError, "image_size"):
        load(image_size=128)
    with refuses(ValueError):
        load(crop="celeba")
