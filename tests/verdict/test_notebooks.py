"""What results look like in a notebook, and in a console: short, whole, and safe HTML."""
import html.parser

import numpy as np
import pandas
import pytest

import tfisovae
from tests.support import measurement_of
from tfisovae.analysis.beta import BetaEstimate
from tfisovae.vae.pruning import Change, Pruning
from tfisovae.verdict import Verdict
from tfisovae.verdict import html as shown

ANALYSIS = tfisovae.Analysis.from_dict(
    {**measurement_of(), "stationarity": None, "conditions": None})
BETA = BetaEstimate(0.2, 0.01, 0.0, 99.0, np.array([0.2, np.nan]), np.array([0.01, np.nan]),
                    np.array([True, False]), np.array([2.0, 0.01]), 100)
CHANGE = Change(1.0, 2.0, 0.1, 0.9)
RESULTS = {
    "Analysis": ANALYSIS,
    "BetaEstimate": BETA,
    "Objective": tfisovae.objective("sse", weight=0.5),
    "Pruning": Pruning(np.arange(2), np.arange(2, 4), np.zeros(2), 0.9, True, True, 50, CHANGE,
                       CHANGE, CHANGE),
    "Pruning without data": Pruning(np.arange(2), np.arange(2, 4), np.zeros(2), 0.9, True, True),
    "Verdict": Verdict.from_dict(measurement_of()["verdict"]),
}


class Balanced(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] == ["td"]:
            self.cells.append(data)


def parsed(text):
    found = Balanced()
    found.feed(text)
    assert not found.open
    return found


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_short_and_show_their_verdict(name):
    result = RESULTS[name]
    said, page = repr(result), result._repr_html_()
    assert said.startswith(name.split()[0]) and "\n" not in said and len(said) < 250
    parsed(page)
    assert len(page) < 3500 and "array(" not in page
    if name in ("Analysis", "Verdict"):
        assert "Training: " in page and "Embedding: " in page


def test_the_table_has_the_leading_dimensions_first():
    cells = parsed(ANALYSIS._repr_html_()).cells
    width = len(cells) // len(ANALYSIS.active)
    assert cells[::width] == [f"z{j}" for j in ANALYSIS.ranking]
    costs = np.array(cells[1::width], float)
    np.testing.assert_allclose(costs, ANALYSIS.cost_of_removal[ANALYSIS.ranking], rtol=1e-3)


def test_text_is_escaped():
    page = shown.of("<script>", ["<b>"], [("<i>", 0.123456)], ["a & b\nc"])
    assert "<script>" not in page and "&lt;i&gt;" in page and "0.1235" in page
    assert parsed(page).cells == ["<i>", "0.1235"]


def test_an_analysis_as_a_table():
    """Each vector is a column, in the model's own order."""
    frame = ANALYSIS.to_frame()
    assert isinstance(frame, pandas.DataFrame) and len(frame) == len(ANALYSIS.active)
    for name in ("kl_mean", "importance", "active", "cost_of_removal"):
        np.testing.assert_array_equal(frame[name], getattr(ANALYSIS, name))
    np.testing.assert_array_equal(frame.sort_values("rank").index, ANALYSIS.ranking)
    assert "gram_mean" not in frame and "ranking" not in frame
