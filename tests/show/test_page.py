"""The page of a report: its claims are those of the numbers, whatever names are in it is text, and
it stays small and whole.
"""
import base64
import copy
import csv
import dataclasses
import hashlib
import html.parser
import json
import math
import re

import numpy as np
import pytest

from tests.messages import refuses
from tests.support import ROOT
from tfisovae import show, theory
from tfisovae.analysis.rate_distortion import Accounts
from tfisovae.analysis.scree import Scree
from tfisovae.codec import claims
from tfisovae.codec.breakdown import Ledger, Point
from tfisovae.geometry.traversals import Traversals
from tfisovae.show import drawing, gram, importance, norms, rate, tiles, training
from tfisovae.show.contents import number
from tfisovae.verdict import (
    ClaimState,
    Isometry,
    IsometryState,
    Reason,
    ReasonKind,
    State,
    Verdict,
    words,
)
from tfisovae.verdict.convergence import of_saved
from tfisovae.verdict.gains import Gain, GainKind

VOID = {"meta", "link", "img", "input"}
HOSTILE = "<script>alert('x')</script>\"><img src=x onerror=\"alert(1)\">&amp;{{ 7 * 7 }}"


class Parsed(html.parser.HTMLParser):
    """A page as lists: elements as `(tag, attributes, tags around it)`, texts as `(text, ids of the
    sections around it)`.
    """

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.elements, self.texts, self.open = [], [], []
        self.feed(text)
        self.close()
        assert not self.open, f"{self.open} were not closed"

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), [name for name, _ in self.open]))
        if tag not in VOID:
            self.open.append((tag, dict(attributes).get("id")))

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), [name for name, _ in self.open]))

    def handle_endtag(self, tag):
        name, _ = self.open.pop()
        assert name == tag, f"</{tag}> closes <{name}>"

    def handle_data(self, data):
        if not self.open or self.open[-1][0] not in ("script", "style"):
            self.texts.append((data, [name for _, name in self.open if name]))

    def said(self, section=None):
        """The text, of a section alone where that is given, without line breaks."""
        return " ".join(" ".join(
            text for text, ids in self.texts if section is None or section in ids).split())

    def all(self, tag):
        return [attributes for name, attributes, _ in self.elements if name == tag]


def traversals_of(values, x, steps="decoder"):
    """`Traversals` of the first rows of a measurement's ranking, with `x` `[rows, columns, ...]`.
    """
    rows, columns = x.shape[:2]
    n = len(values["active"])
    return Traversals(np.array(values["ranking"][:rows]),
                      np.tile(np.linspace(-2, 2, columns), (rows, 1)), x,
                      np.full([rows, columns - 1], 0.125), np.full(rows, 4.0), np.zeros(rows, bool),
                      np.full(rows, 0.25), np.zeros(n), steps)


def contents_of(values, side=16, columns=5, seed=0, **more):
    """A report with all of its sections, of images of noise."""
    rng = np.random.default_rng(seed)
    rows = len(values["active"])
    x = rng.uniform(size=[3, side, side, 3])
    steps = [{
        "step": str(step), "loss": str(500 / step), "distortion": str(2 / step), "rate": "3.5",
        "active_dimensions": "4"
    } for step in (10, 20, 30, 40)]
    saved = {
        "num_examples": 3, "num_active": 4,
        "extremes": {"form": "volume", "most_probable": [7, 5], "least_probable": [9]}
    }
    columns_of = {
        "row": np.array([5.0, 7.0, 9.0]), "volume": np.array([-2.5, 1.25, -40.5]),
        "prior": np.array([-1.0, -2.0, -3.0])
    }
    parts = {
        "title": "a run", "measured": show.Measured(values), "verdict": of_saved(values),
        "scree": Scree.from_saved(
            {**values, "stationarity": None, "conditions": None}), "traversals": traversals_of(
                values, rng.random([rows, columns, side, side, 3],
                                   np.float32)), "reconstructions": show.Reconstructions(
                                       x, x[::-1], np.array([0.25, 0.5, 0.75]),
                                       np.array([11, 12, 13])), "densities": show.Densities(
                                           saved, columns_of,
                                           {"most_probable": x[:2], "least_probable": x[2:]}),
        "history": steps, "manifest": {
            "data": "faces", "lmbda": 100.0,
            "data_manifest": {"fingerprint": "abc", "names": ["a", "b"]}
        }, "commands": {"isometry": "tfisovae isometry RUN",
                        "density": "tfisovae density RUN"}, "notes": ["first of all"]
    }
    return show.Contents(**{**parts, **more})


@pytest.fixture(scope="module")
def values(make_measurement):
    return make_measurement()


@pytest.fixture(scope="module")
def full(values):
    return contents_of(values)


@pytest.fixture(scope="module")
def parsed(full):
    return Parsed(show.render(full))


@pytest.fixture
def undrawn(monkeypatch):
    """Pages without their charts, which take most of the time."""
    monkeypatch.setattr(drawing.Inline, "charts", [])
    monkeypatch.setattr(drawing.Inline, "legend", [])


def test_the_numbers_are_those_of_the_measurement(parsed, values):
    said = parsed.said("summary")
    assert "active dimensions 4 of 6" in said
    assert f"norm {number(values['isometric_norm'])} predicted" in said
    target = np.mean(np.array(values["one_minus_variance"])[values["active"]])
    assert f"predicted {number(target)}" in said
    assert f"{number(values['rate'] / math.log(2))} bits" in said
    for j, (precision, size) in enumerate(zip(values["precision_mean"], values["importance"])):
        assert f"z_{j} {number(precision)} {number(size)}" in parsed.said("scree")


def test_the_verdict_is_shown_line_by_line(parsed):
    assert [name for name, _, _ in parsed.elements if name == "h1"] == ["h1"]
    said = parsed.said("summary")
    assert "Training IMPROVING : about 0.3 nats are still to gain" in said
    assert "Hints: E[mu] of z_1 is 0.300 +- 0.010, not 0." in said
    assert "Embedding not isometric in right angles" in said
    assert "Caution" in said and "norms equal to 1 - sigma^2 show" in said
    assert shown_as(parsed) == [["improving"], ["not_isometric"], []]


def shown_as(parsed):
    """The states of the verdicts of a page: their classes."""
    return [made["class"].split()[1:] for made in parsed.all("div")
            if made.get("class", "").split()[:1] == ["verdict"]]


def colour_of(state):
    """The name of the colour that the page's style gives to a state."""
    style = (ROOT / "tfisovae/show/templates/report.css").read_text()
    rules = re.findall(r"^([^{}\n]*)\{ --state: var\(--(\w+)\);", style, re.MULTILINE)
    found, = [
        colour for classes, colour in rules if f".{state.value}" in re.split("[ ,]+", classes)
    ]
    return found


@pytest.mark.parametrize("state", [*State, *IsometryState], ids=str)
def test_only_what_was_shown_is_green_and_what_was_not_judged_is_grey(full, state):
    """Each state is a class of its own, by its value, and has one colour."""
    of_training = isinstance(state, State)
    found = Verdict(state if of_training else State.NOT_JUDGED, (
        Reason(ReasonKind.TOO_FEW, value=30, expected=300), Reason(ReasonKind.COLLAPSED, value=0.1)
    ), Isometry(IsometryState.NOT_JUDGED if of_training else state, worst=0, worst_error=0.01),
        gains=(Gain(GainKind.DOUBLING, 0.3, 0.01, 10, num_seeds=1),
               Gain(GainKind.DEAD, 0.1, 0.01)))
    made = Parsed(show.render(show.Contents(**{**vars(full), "verdict": found})))
    assert shown_as(made) == [[found.state.value], [found.isometry.state.value], []]
    assert words.LABELS[state] in made.said("summary")
    green = state in (State.CONVERGED, IsometryState.ISOMETRIC)
    assert (colour_of(state) == "good") == green
    assert (colour_of(state) == "quiet") == (state.value == "not_judged")


@pytest.mark.parametrize("state", ClaimState)
def test_claims_have_a_colour_too(state):
    assert colour_of(state) == {"holds": "good", "within_error": "good", "not_judged": "quiet",
                                "does_not_hold": "bad"}[state.value]


def test_every_picture_says_what_it_shows(parsed):
    """Pictures have texts with a finding, a number or a word of change, and no two of a section
    have the same.
    """
    pictures_of = [made
                   for made in parsed.all("svg") if made.get("role") == "img"] + parsed.all("img")
    assert len(pictures_of) > 20
    for made in pictures_of:
        text = made.get("aria-label") or made.get("alt")
        assert text and len(text.split()) >= 5 and re.search(r"\d", text), text
    assert all(
        made.get("role") == "img" or made.get("aria-hidden") == "true"
        for made in parsed.all("svg"))
    alts = [made["alt"] for made in parsed.all("img")]
    assert len(set(alts)) == len(alts)


def test_claims_about_pairs_and_counts(parsed, values):
    cosines = np.array(values["gram_cosine"])[np.ix_(values["active"], values["active"])]
    cosines = cosines[~np.eye(4, dtype=bool)]
    said = parsed.said("gram")
    assert (f"{number(np.sqrt(np.mean(cosines**2)))} over all pairs, at most "
            f"{number(cosines.max())}") in said
    norm, target, active = (np.array(values[name])
                            for name in ("norm_mean", "one_minus_variance", "active"))
    near = np.sum(np.abs(norm - target)[active] <= 0.1 * target[active])
    assert f"{near} of 4 lie within 10 % of the prediction" in parsed.said("norms")
    shares = np.cumsum(np.sort(np.array(values["cost_of_removal"])[active])[::-1])
    counts = [int(np.argmax(shares / shares[-1] >= share)) + 1 for share in (0.9, 0.95, 0.99)]
    assert "{} carry 90 %, {} carry 95 % and {} carry 99 %".format(*counts) in parsed.said("scree")
    assert "row 7: 1.25" in parsed.said("densities") and "row 9: −40.5" in parsed.said("densities")


def test_sections_are_landmarks_that_the_contents_lead_to(parsed):
    ids = [made["id"] for _, made, _ in parsed.elements if "id" in made]
    assert len(set(ids)) == len(ids)
    links = [made["href"] for made in parsed.all("a")]
    sections = [made for made in parsed.all("section")]
    assert [f"#{made['id']}" for made in sections] == [link for link in links[1:]]
    for _, made, _ in parsed.elements:
        assert made.get("aria-labelledby", ids[0]) in ids
    assert [len(parsed.all(name)) for name in ("header", "nav", "main", "footer")] == [1, 1, 1, 1]
    levels = [int(name[1]) for name, _, _ in parsed.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:]))
    for name, made, _ in parsed.elements:
        if made.get("role") == "region":
            assert made["tabindex"] == "0" and made["aria-label"]
        if name == "input":
            assert made["type"] == "range" and made["aria-label"] and made["data-texts"].count(
                "|") == int(made["max"])


def test_it_loads_nothing_and_runs_its_own_script_alone(full, parsed):
    text = show.render(full)
    policy, = (made["content"] for made in parsed.all("meta")
               if made.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        inside, = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{rule} 'sha256-{digest}'" in policy
    for _, made, _ in parsed.elements:
        assert "style" not in made and not any(name.startswith("on") for name in made)
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert made.get(name, "#").startswith(("#", "data:"))
    style = re.findall(r"<style>(.*?)</style>", text, re.S)[0]
    assert "url(" not in style and "@import" not in style


def places(value, path=()):
    """The paths of all texts in nested dicts, lists and tuples: values, and keys of dicts as
    `(path, None)`.
    """
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))
    elif isinstance(value, (list, tuple)):
        for k, inner in enumerate(value):
            yield from places(inner, (*path, k))


def replaced(value, path, new):
    if not path:
        return new
    value = copy.copy(value) if isinstance(value, dict) else list(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


def is_harmless(text):
    made = Parsed(text)
    assert len(made.all("script")) == 1 and not any("onerror" in attributes
                                                    for _, attributes, _ in made.elements)
    assert all(attributes.get("src", "data:").startswith("data:") for attributes in made.all("img"))
    assert "49" not in "".join(re.findall(r"amp;(\S+)", text))  # {{ 7 * 7 }} is text, too
    return made


FIELDS = {
    "title": lambda v: {"title": v}, "notes": lambda v: {"notes": [v]},
    "verdict": lambda v: {"verdict": Verdict(State.NOT_JUDGED, (
        Reason(ReasonKind.OTHER_DATA, note=v), ))}, "command": lambda v: {
        "commands": dict.fromkeys(("isometry", "density", "rate", "report", "prune"), v),
        "traversals": None, "densities": None, "reconstructions": None
    }, "manifest": lambda v: {"manifest": {v: v, "nested": {v: [v]}}},
    "history": lambda v: {"history": [{"step": v, v: v}] * 3}, "form": lambda v: {
        "densities": show.Densities(
            {
                "extremes": {"form": v, "most_probable": [1]},
                "comparison": {v: {"correlation": 1.0}}
            }, {"row": np.array([1.0, 2.0]), v: np.array([1.0, 2.0])})
    }
}


@pytest.mark.parametrize("name", FIELDS)
def test_names_are_text(full, name, request):
    if name not in ("form", "history"):  # these two are in charts
        request.getfixturevalue("undrawn")
    given = FIELDS[name](HOSTILE)
    made = is_harmless(show.render(show.Contents(**{**vars(full), **given})))
    if name != "history":
        assert " ".join(HOSTILE.split()) in made.said() or HOSTILE in json.dumps(made.elements)


@pytest.mark.usefixtures("undrawn")
def test_every_text_of_a_measurement_is_text(full, values):
    found = list(places(values))
    assert {path[0] for path in found} >= {"distortion_name", "factor_names", "verdict"}
    for path in found:
        hostile = replaced(values, path, HOSTILE)
        made = is_harmless(
            show.render(
                show.Contents(**{
                    **vars(full), "measured": show.Measured(hostile), "verdict": of_saved(hostile)
                })))
        if path[0] in ("factor_names", "distortion_name"):
            assert HOSTILE in made.said() or " ".join(HOSTILE.split()) in made.said()


def test_names_of_columns_are_text(full, values):
    x = np.random.default_rng(0).normal(size=[2, 5, 3])
    contents = show.Contents(
        **{**vars(full), "traversals": traversals_of(values, x), "names": [HOSTILE] * 3})
    made = is_harmless(show.render(contents))
    assert HOSTILE in made.said("traversals")


WRONG = (..., None, "x", [[1.0]], -1.0)  # the first is: left out


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_every_number_may_be_missing_or_wrong(make_measurement):
    """Each entry alone is left out, or is nothing, a text, or of another shape: a page comes of it,
    and says what is missing. The pictures have a test of their own.
    """
    values = make_measurement(2, 2)
    assert not show.Measured(values).missing
    for name in values:
        for wrong in WRONG:
            changed = {key: value
                       for key, value in values.items()
                       if key != name} if wrong is ... else {**values, name: wrong}
            measured = show.Measured(changed)
            Parsed(
                show.render(
                    show.Contents("t", measured, verdict=of_saved(changed),
                                  commands={"isometry": "tfisovae isometry RUN"})))
            if wrong is ... and name in ("unexplained", "gram_cosine", "norm_std",
                                         "rate_standard_error", "ranking"):
                assert len(measured.missing) == 1


@pytest.mark.parametrize("name", [
    "norm_mean", "norm_std", "one_minus_variance", "importance", "precision_mean", "beta",
    "precision_standard_error", "principal_components", "kl_mean", "gram_mean", "gram_cosine",
    "unexplained", "unexplained_standard_error", "log_scale_std", "active", "ranking",
    "cost_of_removal", "cost_of_removal_standard_error", "derivative_mean"
])
def test_pictures_are_drawn_without_a_number(make_measurement, name):
    measured = show.Measured({**make_measurement(3, 2), name: None})
    for draw in (importance.scree, importance.shares, norms.norms, norms.flatness, gram.gram,
                 rate.rates):
        drawn = draw(measured)
        assert isinstance(drawn, drawing.Figure) and drawn.axes


@pytest.mark.parametrize("wrong", WRONG[1:])
def test_all_other_numbers_may_be_wrong(make_measurement, wrong):
    values = make_measurement(2, 2)
    kept = {name: values[name] for name in ("precision_mean", "importance", "norm_mean", "active")}
    made = Parsed(show.render(show.Contents(
        "t", show.Measured({**dict.fromkeys(values, wrong), **kept}))))
    drawn = [one["aria-label"] for one in made.all("svg") if "aria-label" in one]
    assert drawn[0].startswith("The importance of the 2 dimensions") and len(drawn) >= 4


CLAIMS = re.compile(r"converge|at rest|settled|stationary|isometric to|is isometric|not isometric|"
                    r"optimal|has ended", re.IGNORECASE)


@pytest.mark.parametrize("made", [
    (6, 6, {}), (6, 0, {}), (6, 1, {}),
    (5, 4, {"gram_off_diagonal_cosine": 0.0, "posterior_balance": 1.0}),
    (5, 4, {"balance": [2.0] * 5, "unexplained": [0.0] * 5}),
    (4, 3, {"cost_of_removal": [1e3] * 4}), (4, 3, {"conditions": None, "stationarity": None})])
def test_only_the_verdict_claims_something(make_measurement, undrawn, made):
    """Whatever was measured, a page without a verdict says nowhere that training has converged, or
    that the embedding is isometric, or is not: so no sentence can contradict the verdict. The
    flatness section says what holds for every embedding, the glossary what words mean.
    """
    *sizes, changed = made
    values = {**make_measurement(*sizes), **changed}
    page = Parsed(show.render(contents_of(values, verdict=None)))
    sections = {made["id"] for tag, made, _ in page.elements if tag == "section" and "id" in made}
    assert len(sections) > 10
    for name in sections - {"glossary"}:
        said = page.said(name).replace("Then no embedding of them is isometric", "")
        assert not CLAIMS.search(said), (name, CLAIMS.search(said))


def test_a_page_says_how_many_dimensions_it_does_not_show(full, values, undrawn):
    """Two of six rows: the others are counted, and how many of them are active."""
    few = dataclasses.replace(full, traversals=full.traversals.leading(2))
    said = Parsed(show.render(few)).said("traversals")
    assert "The other 4 dimensions of 6: 2 of them active." in said
    assert "The other" not in Parsed(show.render(full)).said("traversals")


def test_clusters_are_said_and_shown(make_measurement):
    """A cost of three times the prediction, in the second place: words and a histogram. A third of
    it: words alone. The other way round, and without costs, nothing.
    """
    values = make_measurement(6, 4)
    first, second, *_ = values["ranking"]
    said = Parsed(show.render(contents_of(values))).said("scree")
    assert "has clusters" not in said and "importance misleads" not in said
    cost = np.array(values["cost_of_removal"])
    cost[first] /= 3
    cost[second] *= 3
    odd = {**values, "cost_of_removal": cost.tolist()}
    made = Parsed(show.render(contents_of(odd)))
    said = made.said("scree")
    predicted = odd["importance"][second] - odd["beta"] / 2
    assert (f"z_{second} has clusters or gaps. Removing it costs {cost[second]:.3g} of D, but "
            f"its importance predicts {predicted:.3g}.") in said
    assert f"The importance of z_{first} is too high. Removing it costs" in said
    drawn = [one["aria-label"] for one in made.all("svg") if "aria-label" in one]
    assert [f"The posterior means of z_{j} have" in label for label in drawn for j in range(6)
            ].count(True) == 1
    old = Parsed(show.render(contents_of({**odd, "cost_of_removal": None}))).said("scree")
    assert "has clusters" not in old and "The importance of the 6 dimensions" in old
    figure = importance.histogram(odd, second)
    bars = figure.axes[0].patches[0].get_path().vertices.reshape(-1, 5, 2)
    bars = bars[:, :4]  # and the mark that closes each
    widths, heights = np.ptp(bars[..., 0], 1), np.max(bars[..., 1], 1)
    assert np.sum(widths * heights) == pytest.approx(1) and len(bars) == 40


def test_what_was_not_measured_is_said_with_the_command(values):
    older = {name: values[name] for name in ("precision_mean", "kl_mean", "active")}
    made = Parsed(
        show.render(
            show.Contents("t", show.Measured(older),
                          commands={"isometry": "tfisovae isometry RUN"})))
    for section in ("summary", "scree", "norms", "gram", "flatness", "rate"):
        assert "tfisovae isometry RUN" in made.said(section), section
    assert "4 of 6" in made.said("summary")  # and what there is
    with refuses(ValueError):
        show.Measured({"rate": 1.0})


@pytest.mark.parametrize("num_active", [0, 1])
def test_a_model_that_has_collapsed(make_measurement, num_active):
    values = make_measurement(5, num_active) | {"coding_loss": 0.0, "rate": 0.0}
    with np.errstate(all="raise"):
        made = Parsed(show.render(contents_of(values)))
    assert f"{num_active} of 5" in made.said("summary")
    assert ("no norm to judge" in made.said("norms")) == (num_active == 0)
    assert f"{num_active} active dimension" in made.said(
        "gram") and not [m for m in made.all("mask")]
    assert ("No dimension is active" in made.said("traversals")) == (num_active == 0)
    assert "nan" not in made.said().lower().split()


def test_numbers_that_are_not_finite(make_measurement):
    values = make_measurement()
    broken = {
        name: [None] * 6 if isinstance(value, list) and len(value) == 6
              and name not in ("active", "ranking") else value
        for name, value in values.items()
    } | {"gram_mean": [[None] * 6] * 6, "gram_cosine": [[None] * 6] * 6, "rate": None}
    made = Parsed(show.render(show.Contents("t", show.Measured(broken))))
    assert "nan" not in made.said().lower().split() and "not known" in made.said()


@pytest.mark.slow
@pytest.mark.parametrize("side, n", [(28, 256), (64, 256), (150, 40)])
def test_many_dimensions_of_noise_stay_below_the_limit(make_measurement, side, n, request):
    """Noise cannot be compressed: fewer rows are shown, the first ones, and the page says how many;
    sides are at most 96 pixels.
    """
    if side != 64:
        request.getfixturevalue("undrawn")
    values = make_measurement(n, n)
    contents = contents_of(values, side, 5 if n > 100 else 40)
    text = show.render(contents)
    made = Parsed(text)
    strips = [one for one in made.all("img") if one.get("class", "").startswith("strip")]
    assert len(text.encode()) < show.LIMIT and len(strips) > 10
    assert (len(strips) < n) == (side > 28) == (f"{len(strips)} of {n} dimensions are shown"
                                                in made.said("traversals"))
    assert [int(one["alt"].split()[0][2:]) for one in strips] == values["ranking"][:len(strips)]
    assert int(strips[0]["height"]) == min(side, 96) and ("are made smaller"
                                                          in made.said("traversals")) == (side > 96)


def test_more_history_and_longer_names_than_fit(values, full):
    """A million rows and a name of a megabyte are cut; nothing makes the page larger than it may
    be.
    """
    rows = [{"step": str(k), "loss": str(1 / k)} for k in range(1, 50_000)]
    text = show.render(
        show.Contents(**{**vars(full), "history": rows, "manifest": {"data": "x" * 10**6}}))
    assert len(text) < 10**6 and "characters more" in text
    with refuses(ValueError):
        show.render(show.Contents(**{**vars(full), "title": "x" * (6 * 10**6)}))


def test_a_budget_takes_quality_first_and_then_rows():
    rows = list(np.uint8(np.random.default_rng(0).integers(0, 256, [6, 4, 32, 32, 3])))
    best = tiles.strips(rows, 10**9)
    size = sum(len(one.uri) for one in best)
    lower = tiles.strips(rows, size - 1)
    assert len(best) == len(lower) == 6 and sum(len(one.uri) for one in lower) < size
    few = tiles.strips(rows, size // 4)
    assert 0 < len(few) < 6 and sum(len(one.uri) for one in few) <= size // 4


def test_vectors_are_curves(full, values):
    """The entry that moves most is named, and every curve is as long as the vector."""
    x = np.zeros([2, 5, 7])
    x[..., 3] = np.linspace(-1, 1, 5)
    made = Parsed(
        show.render(
            show.Contents(
                **{
                    **vars(full), "traversals": traversals_of(values, x),
                    "reconstructions": show.Reconstructions(x[0, :2], x[1, 2:4])
                })))
    assert not [one for one in made.all("img") if "strip" in one.get("class", "")]
    curves = [one["d"] for one in made.all("path") if one.get("class") == "curve"]
    assert len(curves) == 10 and all(d.count("L") == 6 for d in curves)
    assert "Decoded vectors along" in made.said(
        "traversals") and "entry 4 move most, by 2 at most" in made.said("traversals")


@pytest.mark.parametrize(
    "rows, columns, words",
    [(slice(0, 4), slice(0, 4), "Most changes in the upper left; it gets brighter by"),
     (slice(8, 12), slice(8, 12), "Most changes in the lower right"),
     (slice(4, 8), slice(4, 8), "Most changes in the centre"),
     (slice(0, 12), slice(
         0, 12), "The whole picture changes; it gets brighter by 100\xa0% of white.")])
def test_where_a_picture_changes(rows, columns, words):
    moved = np.zeros([3, 12, 12, 3], np.uint8)
    moved[1, rows, columns], moved[2, rows, columns] = 128, 255
    assert tiles._changes(moved).startswith(words)
    assert tiles._changes(moved[::-1]) == tiles._changes(moved).replace("brighter", "darker")
    assert tiles._changes(moved[:1]) == "Nothing can be seen to change."


@pytest.mark.parametrize("value, text", [(0.0, "0"), (4.0, "4"), (12345.0, "12,345"),
                                         (0.97329, "0.973"), (-1.5964, "−1.60"),
                                         (0.00050399, "5.04e−4"), (1234567.0, "1.23e6"),
                                         (999.96, "1,000"), (float("nan"), "not known"),
                                         (float("inf"), "not known"), (-2e-9, "−2.00e−9")])
def test_numbers_are_as_people_read_them(value, text):
    assert number(value) == text


def test_accounts_of_the_optimal_linear_vae():
    """Of Gaussian data with a sum of squares: losses and rate are of the closed form, the entropy
    is that of the data.
    """
    variance, beta = np.array([4.0, 1.0, 0.25]), 0.002
    vae = theory.LinearVAE(variance, beta)
    coding, transform = float(np.sum(vae.coding_loss)), float(np.sum(vae.transform_loss))
    made = Accounts(3, beta, float(np.sum(vae.rate)), coding + transform, coding, transform)
    assert made.coding_theory == pytest.approx(0.003) and made.coding_loss == pytest.approx(
        made.coding_theory, rel=5e-3)
    assert made.rest == pytest.approx(0, abs=1e-12) and made.ratio == pytest.approx(
        transform / coding)
    assert made.entropy == pytest.approx(0.5 * np.sum(np.log(2 * math.pi * math.e * variance)),
                                         abs=1e-9)
    assert made.cost == pytest.approx(made.distortion
                                      + beta * made.rate) and made.bits == pytest.approx(
                                          made.rate / math.log(2))
    collapsed = Accounts(0, beta, 0.0, 5.25, 0.0, 5.25)
    assert math.isnan(
        collapsed.ratio) and collapsed.entropy == 0 and "coding loss 0" in str(collapsed)


def test_the_accounts_of_the_page(parsed, values):
    said = parsed.said("rate")
    assert f"n β / 2 = {number(4 * 0.01 / 2, 4)}" in said
    assert f"{number(values['rate'] / math.log(2), 4)} bits" in said
    assert f"{number(values['rate'] + 2 * math.log(math.pi * math.e * 0.01), 4)} nats" in said


def test_histories_of_all_kinds(tmp_path):
    assert training.history([]) == [] and training.history([{"step": "1", "loss": "2"}]) == []
    rows = [{"step": str(k), "loss": value, "rate": "1"}
            for k, value in enumerate(("1e3", "nan", "", "1"), 1)]
    made = training.history(rows)
    assert [one.alt.partition(":")[0] for one in made] == ["Loss, nats", "Rate, nats"]
    assert made[0].alt.startswith("Loss, nats: from 1,000 at step 1 to 1 at step 4")


def test_true_densities(full):
    """Estimates off by a constant: R of p is 1, and both errors are the constant."""
    truth = np.linspace(-5, 0, 50)
    densities = show.Densities(
        {
            "comparison":
                {"volume": {"correlation": 1.0, "log_error_mean": 0.5, "log_error_rms": 0.5}}
        }, {"row": np.arange(50.0), "volume": truth + 0.5, "log_density": truth})
    made = Parsed(show.render(show.Contents(**{**vars(full), "densities": densities})))
    assert "R of p is 1" in made.said(
        "densities") and "mean error 0.500 nats, its root mean square 0.500" in made.said(
            "densities")


def ledger_of(of_images, **more):
    """A `Ledger` of five dimensions, one of them not coded, whose numbers are 1 where they are not
    named.
    """
    vectors = {
        field.name: np.ones(5)
        for field in dataclasses.fields(Ledger) if field.type is np.ndarray
    }
    numbers = {field.name: 1.0 for field in dataclasses.fields(Ledger) if field.type is float}
    curve = [
        Point(f, 10 - f, 0.01, 10 - f, 0.25 * f, 0.01, 10 - f, 0.25 * f,
              0.125 * f if of_images else None) for f in (0.5, 1, 2)
    ]
    given = {
        "coded": np.array([True, True, False, True,
                           True]), "decomposed": False, "distortion_name": "D",
        "num_examples": 1000, "quantization": "universal", "fitted_bits": None, "curve": curve,
        "file_bits": 9.75, "coded_bits": 9.0, "distortion": 0.25, "beside": {
            HOSTILE: [{"bits": 4.0, "distortion": 0.5}, {"bits": 40.0, "distortion": 0.125}]
        }
    }
    return Ledger(**{**vectors, **numbers, **given, **more})


@pytest.mark.parametrize("of_images", [True, False])
def test_real_bits(full, of_images):
    """Every claim of the ledger, its sums, and its curves: names of what stands beside are text."""
    ledger = ledger_of(of_images)
    made = is_harmless(show.render(show.Contents(**{**vars(full), "rate": ledger})))
    text = made.said("bits")
    for line in claims.summary(ledger).splitlines():
        assert " ".join(line.replace(": ", ". ", 1).split()) in text.replace(" . ", ". ").replace(
            " .", ".")
    assert "bits 9.750" in text and f"of them, coder {number(ledger.bit_terms['coder'])}" in text
    assert "Files take 9 bits per example at a distortion of 0.250" in text
    assert "Other steps give 8 to 9.50 bits at 0.500 to 0.125." in text
    assert ("comes closest to the trained step's at 40 bits, with 0.125" in text) == of_images
    curves = [
        one for one in made.all("svg")
        if one.get("aria-label", "").startswith(("Files take", "Our files"))
    ]
    assert len(curves) == 2 + 2 * of_images


def test_a_measurement_without_a_verdict_is_judged_from_its_numbers(values):
    """As older versions wrote it: words that it holds are not read."""
    older = {name: value for name, value in values.items() if name != "verdict"}
    older["summary"] = "Training: Converged: words of before."
    made = Parsed(show.render(show.contents_of(older)))
    assert shown_as(made) == [["not_judged"], ["not_isometric"], []]
    assert "words of before" not in made.said()


def test_written_whole_of_an_analysis_or_a_dict(values, tmp_path):
    show.write(values, tmp_path / "a.html", "named", history=list(
        csv.DictReader(["step,loss", "1,2", "2,1"])))
    text = (tmp_path / "a.html").read_text()
    assert "<title>named: report</title>" in text and "IMPROVING" in text
    show.write(values, tmp_path / "a.html", "named", history=list(
        csv.DictReader(["step,loss", "1,2", "2,1"])))
    assert (tmp_path / "a.html").read_text() == text and [p.name for p in tmp_path.iterdir()
                                                          ] == ["a.html"]
    with pytest.raises(OSError):
        show.write(values, tmp_path / "nowhere" / "a.html")


def test_from_numbers_to_the_page_without_tensorflow(imported):
    assert imported["page"]["modules"] == []
    active = json.loads((ROOT / "results/faces/decomposed/isometry.json").read_text())["active"]
    assert f"{sum(active)} of 32" in Parsed(imported["page"]["text"]).said("summary")
