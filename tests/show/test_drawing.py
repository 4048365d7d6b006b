"""Pictures: one function draws each, on given axes or on a figure of its own, as PNG for files and
notebooks and as SVG for a page.
"""
import io
import re

import numpy as np
import pytest
from matplotlib.figure import Figure as PlainFigure
from PIL import Image

from tests.support import ROOT, measurement_of
from tfisovae.geometry.traversals import Traversals
from tfisovae.show import (
    decoded,
    density,
    drawing,
    gram,
    importance,
    norms,
    page,
    rate,
    training,
    variables,
)

TILES = np.random.default_rng(0).random([2, 3, 8, 8, 3])
MOVED = Traversals(np.array([0, 1]), np.tile(np.linspace(-1, 1, 3), (2, 1)), TILES,
                   np.full([2, 2], 0.1), np.ones(2), np.zeros(2, bool), np.full(2, 0.5),
                   np.zeros(2), "decoder")
NORMAL = np.random.default_rng(0).normal(size=200)
PICTURES = {
    "scree": lambda **on: importance.scree(measurement_of(), **on),
    "shares": lambda **on: importance.shares(measurement_of(), **on),
    "norms": lambda **on: norms.norms(measurement_of(), **on),
    "flatness": lambda **on: norms.flatness(measurement_of(), **on),
    "gram": lambda **on: gram.gram(measurement_of(), **on),
    "rates": lambda **on: rate.rates(measurement_of(), **on),
    "histogram": lambda **on: density.histogram({"volume": NORMAL}, **on),
    "against_truth": lambda **on: density.against_truth(NORMAL, NORMAL + 0.1, **on),
    "loss": lambda **on: training.curve([1, 2, 3], [3.0, 2.0, 1.0], "loss", **on),
    "variable": lambda **on: variables.variable(NORMAL, **on),
    "curves": lambda **on: decoded.curves(NORMAL.reshape(4, 50), **on),
    "reconstruction": lambda **on: decoded.reconstruction(NORMAL, NORMAL + 0.1, **on),
    "traversal": lambda **on: decoded.traversal(MOVED, **on),
    "reconstructions": lambda **on: decoded.reconstructions(TILES, ["x", "x_hat"], **on)
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_on_given_axes_or_on_a_figure_of_its_own(name):
    """What it drew on is returned, with the title as it is written; the two are the same marks."""
    title = "a $name$ & <b>"
    own = PICTURES[name](title=title)
    assert isinstance(own, drawing.Figure) and own._repr_png_().startswith(b"\x89PNG")
    ax = PlainFigure().subplots()
    assert PICTURES[name](ax=ax, title=title) is ax
    for one in (ax, own.axes[0]):
        assert one.get_title() == title and not one.title.get_parse_math()
        assert len(one.lines) + len(one.patches) + len(one.images) > 0
    assert [len(part) for part in (ax.lines, ax.patches, ax.images)] == [
        len(part) for part in (own.axes[0].lines, own.axes[0].patches, own.axes[0].images)]


def test_a_figure_gives_a_notebook_its_picture(tmp_path):
    """The picture that is shown is the one that is written: the same pixels."""
    drawn = density.histogram({"volume": np.linspace(-3, 0, 200)}, title="title")
    drawing.save(drawn, tmp_path / "a.png")
    shown = drawn._repr_png_()
    a, b = np.asarray(Image.open(io.BytesIO(shown))), np.asarray(Image.open(tmp_path / "a.png"))
    np.testing.assert_array_equal(a, b)
    assert len(np.unique(a)) > 10  # something is drawn


def inline(draw, **options):
    return drawing.Inline(draw, "what is seen", **options)


@pytest.mark.parametrize("name", [name for name in PICTURES if "tr" not in name[:2]])
def test_a_page_gets_short_svg_that_needs_no_style(name):
    """The same at every time, without style attributes, scripts or references to elsewhere; every
    colour is one of the page's names.
    """
    made, again = (inline(PICTURES[name]).charts for _ in range(2))
    assert made == again and [size for size, *_ in made] == ["wide", "narrow"]
    for (_, box, elements), width in zip(made, (drawing.WIDE, drawing.NARROW)):
        assert float(box.split()[2]) == pytest.approx(width * 0.72)
        assert not re.search(r"style|<script|http|xmlns", elements)
        assert set(re.findall(r'href="(.)', elements)) <= {"#", "d"}  # data: of an image
        if name != "reconstructions":
            painted = re.findall(r'(?:fill|stroke)="([^"]*)"', elements)
            assert painted and {one for one in painted if not one.startswith("var(--")} <= {"none"}
        used = set(re.findall(rf'"(?:url\()?#({drawing.ID}[^)"]*)', elements))
        assert used == set(re.findall(rf'id="({drawing.ID}[^"]*)"', elements))


def test_the_colours_are_those_of_the_style_sheet():
    """Light ones are the pictures' own, and dark ones have the same names."""
    style = (ROOT / "tfisovae/show/templates/report.css").read_text()
    light, dark = (dict(re.findall(r"--(\w+): (#\w+);", part))
                   for part in style.split("@media (prefers-color-scheme: dark)")[:2])
    assert {name: light[name] for name in drawing.COLORS} == drawing.COLORS
    assert set(drawing.COLORS) <= set(dark)


def test_texts_are_literal():
    """Neither TeX, nor markup, nor what XML cannot hold, in names of a user's."""
    name = "$x^2$ <script> & \x00 \ud800 \N{GREEK SMALL LETTER BETA}"
    made = inline(lambda: training.curve([1, 2], [1, 2], name), half=True)
    (_, _, elements), = made.charts
    assert "$x^2$ &lt;script&gt; &amp; \ufffd \ufffd \N{GREEK SMALL LETTER BETA}" in elements
    drawn = density.histogram({f"{name} a": NORMAL, "b": NORMAL})
    shown = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    assert shown == ["$x^2$ <script> & \ufffd \ufffd \N{GREEK SMALL LETTER BETA} a", "b"]
    assert drawn._repr_png_()


def test_the_legend_of_a_page_says_what_that_of_the_file_says():
    """Each entry has the mark and the colour of what it names."""
    drawn = importance.scree(measurement_of())
    words = [text.get_text() for text in drawn.axes[0].get_legend().get_texts()]
    legend = inline(lambda: drawn).legend
    assert [one[2] for one in legend] == words
    marks = {words: (mark, color) for mark, color, words in legend}
    assert marks["cost of removal, active"] == ("bars", "var(--main)")
    assert marks["importance, from the posterior"] == ("dashes", "var(--ink)")
    assert marks["95 % interval"] == ("whiskers", "var(--ink)")
    assert marks["eigenvalues of a PCA, metric at the mean"] == ("dots", "var(--other)")
    assert marks["\N{GREEK SMALL LETTER BETA} / 2"] == ("broken", "var(--quiet)")
    older = importance.scree({**measurement_of(), "cost_of_removal": None})
    marks = {words: (mark, color) for mark, color, words in inline(lambda: older).legend}
    assert marks["importance, active"] == ("bars", "var(--main)")
    assert marks["importance, inactive"] == ("bars", "var(--faint)")


def test_ids_of_a_page_are_there_once(make_measurement):
    """Though two of its pictures are the same."""
    from tfisovae import show

    column = show.Column(show.contents_of(make_measurement(), "twice"))
    text = show.render_beside([column, column], "page")
    ids = re.findall(r'\bid="([^"]*)"', text)
    assert len(ids) == len(set(ids)) and drawing.ID not in text
    assert page._CHART.search(text)


def test_bars_are_as_high_as_their_values():
    ax = PlainFigure().subplots()
    drawing.bars(ax, [1, 2, 3], [2.0, np.nan, 10.0], 0.5, drawing.MAIN)
    bars, = ax.patches
    corners = bars.get_path().vertices.reshape(-1, 5, 2)[:, :4].reshape(-1, 2)  # the last closes
    np.testing.assert_array_equal(np.unique(corners[:, 1]), [0.5, 2.0, 10.0])
    np.testing.assert_allclose(np.unique(corners[:, 0]), [0.6, 1.4, 2.6, 3.4])


def test_a_line_is_broken_where_a_value_is_missing():
    def draw():
        return training.curve(range(5), [0, 1, np.nan, 0, 1], "values")

    (_, _, elements), = inline(draw, half=True).charts
    d, = re.findall(r'class="line"[^>]* d="([^"]*)"|d="([^"]*)"[^>]*class="line"', elements)
    assert re.sub(r"[\d. -]", "", "".join(d)) == "MLML"


@pytest.mark.parametrize("log", [False, True])
def test_ticks_are_round_and_read_as_numbers(log):
    """From a small range to a large one; on a logarithmic axis, too."""
    for low, high in ((1e-4, 50.0), (0.8, 3.0), (20.0, 2e6)):
        ax = PlainFigure().subplots()
        drawing.line(ax, [0, 1], [low, high], drawing.MAIN)
        ax.set_yscale("log" if log else "linear")
        drawing.label(ax, "x", "y")
        ax.figure.draw_without_rendering()
        shown = [text.get_text() for text in ax.get_yticklabels()]
        ticks = [tick for tick in ax.get_yticks() if low <= tick <= high]
        assert 2 <= len(ticks) and all("$" not in text and len(text) <= 9 for text in shown)
        digits = {f"{tick:.0e}"[0] for tick in ticks if tick}
        assert not log or digits <= {"1", "2", "5"}
