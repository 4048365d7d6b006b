"""Makes the page: one HTML file that loads nothing."""
import base64
import functools
import hashlib
import itertools
import re
from collections.abc import Callable, Mapping
from typing import Any

import jinja2
import markupsafe
import numpy as np

from tfisovae.show import density, drawing, gram, norms, rate, spatial, tiles, training
from tfisovae.show.contents import Contents, count, number
from tfisovae.show.importance import clusters, importance, keep
from tfisovae.verdict import headlines, next_step
from tfisovae.verdict.words import lines
from tfisovae.version import __version__

LIMIT = 5_000_000  # bytes of a page
_PICTURES = 3_600_000  # bytes of it for pictures, at first
_OF_LARGE = 1_500_000  # the same, of a large latent space
_SECTIONS = (("summary", "Summary"), ("scree", "Importance"),
             ("spatial", "Channels and places"), ("norms", "Lengths"),
             ("gram", "Right angles"), ("flatness", "Flatness"), ("traversals", "Traversals"),
             ("reconstructions", "Reconstructions"), ("rate", "Rate and distortion"),
             ("bits", "Real bits"), ("densities", "Densities"), ("training", "Training"),
             ("manifest", "What was measured"), ("glossary", "Glossary"))
_OF_ACTION = {  # the command of `contents.commands` that does it
    next_step.Action.TRAIN_LONGER: "longer", next_step.Action.PROBE: "probe",
    next_step.Action.MEASURE_OWN: "isometry", next_step.Action.MEASURE_MORE: "isometry",
    next_step.Action.PRUNE: "prune", next_step.Action.DENSITY: "density"
}
_COMMANDS = ("isometry", "report", "rate", "density", "prune")
_CHART = re.compile('<svg class="chart.*?</svg>', re.DOTALL)


@functools.cache
def _environment():
    return jinja2.Environment(loader=jinja2.PackageLoader("tfisovae.show"), autoescape=True,
                              undefined=jinja2.StrictUndefined, trim_blocks=True,
                              lstrip_blocks=True)


def _inlined(environment, name):
    """A file of the package for the page, and its hash for the page's policy."""
    text = environment.loader.get_source(environment, name)[0]
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return markupsafe.Markup(text), f"'sha256-{digest}'"


def render(contents: Contents) -> str:
    """The page of a report, HTML of less than `LIMIT` bytes.

    The page's policy allows only content inside the page and its own scripts. A script in a user's
    name would not run even without escaping.

    Args:
      contents: `Contents`.

    Raises:
      ValueError: if the page is too large even without a picture.
    """
    drawn = _sections(contents)
    return fitted("report.html", lambda budget: {**drawn, **_decoded(contents, budget)},
                  _OF_LARGE if contents.measured.is_large else _PICTURES)


def fitted(template: str, sections: Callable[[int], dict[str, Any]],
           budget: int = _PICTURES) -> str:
    """A page of a template and of `sections(budget)`, whose pictures take at most `budget` bytes:
    as many as the limit allows.

    Raises:
      ValueError: if the page is too large even without a picture.
    """
    environment = _environment()
    style, style_hash = _inlined(environment, "report.css")
    script, script_hash = _inlined(environment, "report.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src {style_hash}; script-src {script_hash}; "
        f"base-uri 'none'; "
        "form-action 'none'")
    while True:
        page = environment.get_template(template).render(style=style, script=script, policy=policy,
                                                         version=__version__, **sections(budget))
        page = _numbered(page)
        over = len(page.encode()) - LIMIT
        if over < 0:
            return page
        if not budget:
            raise ValueError(
                f"The report would have {over + LIMIT:,} bytes without a picture; at most "
                f"{LIMIT:,} are allowed."
            )
        budget = max(0, budget - over - LIMIT // 50)


def _numbered(page: str) -> str:
    """A page with unique ids in its charts."""
    places = itertools.count()
    return _CHART.sub(lambda one: one[0].replace(drawing.ID, f"c{next(places)}-"), page)


def _sections(contents: Contents) -> dict[str, Any]:
    """The template's data, without decoded pictures."""
    measured = contents.measured
    return {
        "title": contents.title, "subtitle": subtitle(contents), "notes": list(contents.notes),
        "sections": [one for one in _SECTIONS if one[0] != "spatial" or spatial.of(measured)],
        "commands": {name: contents.commands.get(name, "")
                                            for name in _COMMANDS},
        "headline": headline(contents), "verdict": lines(contents.verdict),
        "facts": facts(contents),
        "scree": importance(contents), "keep": keep(contents), "clusters": clusters(contents),
        "dimensions": norms.table(measured), "spatial": spatial.section(measured),
        "norms": norms.norms_of(measured), "heat_maps": gram.heat_maps(measured),
        "pairs": gram.pairs(measured), "no_gram": _no_gram(contents),
        "flatness": norms.flatness_of(measured), "no_flatness": _no_flatness(contents),
        "accounts": rate.accounts(measured), "rates": rate.rates_of(measured),
        "bits": rate.section(contents.rate), "densities": _densities(contents),
        "no_densities": "A collapsed model has no densities." if _collapsed(contents)
                        else "Densities were not measured.",
        "history": training.history(contents.history),
        "no_history": "The history of the training is too short for a curve." if contents.history
                      else "There is no history of a training here.",
        "manifest": training.manifest(contents.manifest),
        "threshold": number(measured.scalar("active_threshold"), 1)
    }


def headline(contents: Contents) -> dict[str, Any] | None:
    """The verdict in one sentence, the state that colours it, and what to do now, each with its
    command or ""; `None` without a verdict.
    """
    if contents.verdict is None:
        return None
    state, said = headlines.sentences(contents.verdict)
    todo = [{"words": f"{step.words[:1].upper()}{step.words[1:]}.",
             "command": contents.commands.get(_OF_ACTION.get(step.action, ""), "")}
            for step in next_step.steps(contents.verdict)]
    return {"state": state, "said": said, "todo": todo}


def _decoded(contents: Contents, budget: int) -> dict[str, Any]:
    """The template's decoded pictures, of at most `budget` bytes."""
    of_channels, words_of_channels = tiles.channel_walks(contents, budget // 3)
    walks, words = tiles.walks(contents, budget // 3 if of_channels else budget - budget // 3)
    return {"walks": walks, "walks_words": words, "channel_walks": of_channels,
            "channel_words": words_of_channels,
            "reconstructions": tiles.reconstructed(contents, budget // 6),
            "extremes": tiles.extremes(contents, budget // 6)}


def _collapsed(contents):
    return contents.measured.vector("active") is not None and not contents.measured.active.any()


def subtitle(contents: Contents) -> str:
    """A line about the measurement."""
    measured = contents.measured
    decomposed = measured.values.get("decomposed")
    loss = f"{'decomposed' if decomposed else 'conventional'} loss" if isinstance(decomposed,
                                                                                  bool) else ""
    lmbda, examples = measured.scalar("lmbda"), measured.scalar("num_examples")
    said = [
        measured.text("distortion_name"), loss,
        f"\N{GREEK SMALL LETTER LAMDA} {lmbda:g}" if np.isfinite(lmbda) else "",
        f"{measured.n} latent dimensions",
        f"{examples:,.0f} examples measured" if np.isfinite(examples) else ""
    ]
    return ", ".join(part for part in said if part)


def facts(contents: Contents) -> list[dict[str, str]]:
    """The most important numbers."""
    measured = contents.measured

    def fact(name, field, more="", estimate=""):
        value, known = measured.scalar(field), measured.estimate(estimate)
        return [{"name": name, "value": known or number(value), "more": more}] if np.isfinite(
            value) else []

    bits = measured.scalar("rate") / np.log(2)
    made = [{
        "name": "active dimensions", "value": f"{measured.active.sum()} of {measured.n}", "more": ""
    }]
    made += fact(
        "norm", "isometric_norm",
        f"predicted {number(_predicted(measured))}; all active dimensions" if np.isfinite(
            _predicted(measured)) else "", "norm")
    made += fact("cosines, rms", "gram_off_diagonal_cosine",
                 "0 where isometric; all active dimensions" if measured.method == "exact" else
                 "0 where isometric; of a sample of dimensions", "cosine")
    made += fact("posterior balance", "posterior_balance", "1 at the optimum")
    made += fact("rate, nats", "rate", f"{number(bits)} bits")
    made += fact("distortion", "distortion",
                 f"of it coding {number(measured.scalar('coding_loss'))}")
    return made + fact("loss, nats", "loss") + [
        {"name": "method", "value": measured.method, "more": _how(measured)}]


def _how(measured):
    """What the estimates come from, in words."""
    found = measured.values.get("estimates")
    if measured.method == "exact" or not found:
        return ""
    return (f"from {found['num_examples']:,} examples, {found['num_probes']} probes, "
            f"{found['num_steps']} steps of Lanczos' method and {len(measured.sampled)} "
            "dimensions; \N{PLUS-MINUS SIGN}: standard errors")


def _predicted(measured):
    prediction = measured.vector("one_minus_variance")
    return float(np.mean(prediction[
        measured.active])) if prediction is not None and measured.active.any() else float("nan")


def _no_gram(contents):
    active = int(contents.measured.active.sum())
    if contents.measured.vector("active") is not None and active < 2:
        return {
            "words": f"{count(active, 'active dimension')}: angles are between two or more.",
            "command": ""
        }
    return {
        "words": "The Gram matrix was not measured.", "command": contents.commands.get(
            "isometry", "")
    }


def _no_flatness(contents):
    if _collapsed(contents):
        return {
            "words": "No dimension is active, so flatness is not defined.", "command": ""
        }
    few = contents.measured.vector("unexplained") is not None
    return {
        "words": "Flatness needs at least 200 examples." if few else "Flatness was not measured.",
        "command": "" if few else contents.commands.get("isometry", "")
    }


def _densities(contents: Contents) -> Mapping[str, Any] | None:
    if contents.densities is None:
        return None
    saved = contents.densities.saved
    examples, active = saved.get("num_examples"), saved.get("num_active")
    words = (f"{examples:,} inputs; over the {count(active, 'active dimension')}."
             if isinstance(examples, int) and isinstance(active, int) else "")
    return {"words": words, "figure": density.density(contents),
            "comparison": density.comparison(saved)}
