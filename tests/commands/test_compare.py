"""`tfisovae compare`: several runs measured, each reported in full, and shown side by side on one
page; nothing else touched.
"""
import dataclasses
import html
import json
import re
import shutil
import urllib.parse

import numpy as np
import pytest

from tests.messages import refuses
from tfisovae import show
from tfisovae.show import comparison
from tfisovae.show.contents import number
from tfisovae.verdict import Verdict, words


def said(path):
    """A page without its markup, script and style."""
    text = re.sub(r"<(script|style)>.*?</\1>", "", path.read_text(), flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def contents(path):
    return {
        p.relative_to(path): (p.stat().st_mtime_ns, p.stat().st_size)
        for p in path.rglob("*") if p.is_file()
    }


@pytest.fixture(scope="module")
def runs(tmp_path_factory, faces_run, main):
    """A toy run, whose densities are known, and a run of four steps on drawn faces."""
    path = tmp_path_factory.mktemp("runs")
    main("toy", "--num_examples", 300, "--epochs", 2, "--batch_size", 30, "--num_eval", 0,
         "--run_dir", path / "toy")
    shutil.copytree(faces_run, path / "faces")
    return path


@pytest.fixture(scope="module")
def compared(runs, main, tmp_path_factory):
    """The page of the two, where it is, and what was printed; the runs as they were before."""
    out, before = tmp_path_factory.mktemp("out") / "<new>", contents(runs)
    printed = main("compare", runs / "toy", runs / "faces", "--num_examples", 200, 6, "--titles",
                   "p(x) known", "<b>faces", "--title", "Both & more", "--out", out).stdout
    assert contents(runs) == before
    return out, printed


def test_each_is_measured_and_reported_and_the_page_comes_last(compared):
    out, printed = compared
    assert printed.splitlines()[-1].startswith(f"Written: {out / 'compare.html'} (")
    assert printed.index("== p(x) known") < printed.index("== <b>faces") < printed.index(
        "compare.html")
    for name, count in (("toy", 200), ("faces", 6)):
        assert json.loads((out / name / "isometry.json").read_text())["num_examples"] == count
        assert (out / name / "report.html").is_file()
    assert (out / "toy"
            / "density.json").is_file() and not (out / "faces" / "density.json").exists()


def test_the_page_shows_both(compared):
    out, _ = compared
    page, text = (out / "compare.html").read_text(), said(out / "compare.html")
    assert text.startswith(
        "Both &amp; more") and "<b>faces" not in page and "&lt;b&gt;faces" in page
    for name in ("toy", "faces"):
        saved = json.loads((out / name / "isometry.json").read_text())
        assert f'href="./{name}/report.html"' in page and number(saved["loss"]) in text
        assert f"{sum(saved['active'])} of {len(saved['active'])}" in text
        for line in words.lines(Verdict.from_dict(saved["verdict"])):
            assert html.escape(str(line)[-40:]) in text  # its first words have tags
    assert "trained for 20 steps of 30 examples on mix" in text
    assert "trained for 4 steps of 4 examples on faces" in text
    assert "Estimated against true log density of 200 inputs" in text
    assert "Densities were not measured." in text
    assert "The shapes of the sources predict the importances" in text
    assert len(re.findall(r'<img class="strip', page)) == min(
        5, 3) and "above its reconstruction" in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "an id twice: links and labels would go astray"


def test_what_was_measured_is_not_measured_again(compared, runs, main):
    out, _ = compared
    page, measured = (out / "compare.html").read_bytes(), (out / "toy"
                                                           / "isometry.json").stat().st_mtime_ns
    printed = main("compare", runs / "toy", runs / "faces", "--num_examples", 200, 6, "--titles",
                   "p(x) known", "<b>faces", "--title", "Both & more", "--out", out).stdout
    assert "E[sigma^-2] " not in printed and (out / "compare.html").read_bytes() == page
    assert (out / "toy" / "isometry.json").stat().st_mtime_ns == measured


@pytest.mark.slow
def test_results_of_another_model_or_of_other_examples_are_measured_again(runs, main, tmp_path):
    """Of a run of the same name, and with another --num_examples; what was known of the other is
    gone.
    """
    options = ["--num_examples", 60, "--out", tmp_path / "out"]
    main("compare", runs / "toy", *options)
    first = json.loads((tmp_path / "out" / "toy" / "isometry.json").read_text())
    main("compare", runs / "toy", "--num_examples", 50, "--out", tmp_path / "out")
    assert json.loads(
        (tmp_path / "out" / "toy" / "isometry.json").read_text())["num_examples"] == 50
    main("toy", "--num_examples", 300, "--epochs", 1, "--batch_size", 30, "--num_eval", 0, "--seed",
         1, "--run_dir", tmp_path / "other" / "toy")
    main("compare", tmp_path / "other" / "toy", *options)
    saved = json.loads((tmp_path / "out" / "toy" / "isometry.json").read_text())
    assert saved["num_examples"] == 60 and saved["loss"] != first["loss"]
    assert json.loads((tmp_path / "out" / "toy"
                       / "density.json").read_text())["num_examples"] == 60 and saved["steps"] == 10


@pytest.mark.slow
def test_what_was_removed_is_measured_again_as_it_was_asked_for(runs, main, tmp_path):
    options = ["compare", runs / "toy", "--num_examples", 50, "--out", tmp_path]
    main(*options)
    for name in ("isometry.json", "density.json", "densities.csv"):
        (tmp_path / "toy" / name).unlink()
        main(*options)
        assert (tmp_path / "toy" / name).is_file()
        assert json.loads((tmp_path / "toy" / "isometry.json").read_text())["num_examples"] == 50


@pytest.mark.slow
def test_a_collapsed_run_stands_beside_the_others(runs, main, tmp_path):
    """It has no densities, which is said; the link to its report is one, whatever the run is
    called.
    """
    name = "dead #1, 100%"
    main("toy", "--num_examples", 300, "--epochs", 2, "--batch_size", 30, "--num_eval", 0,
         "--lmbda", 1e-9, "--run_dir", tmp_path / name)
    printed = main("compare", tmp_path / name, runs / "toy", "--num_examples", 50, "--out",
                   tmp_path / "out").stdout
    assert "Not of this run, density: " in printed and "has collapsed" in printed
    page = (tmp_path / "out" / "compare.html").read_text()
    links = [urllib.parse.unquote(link) for link in re.findall(r'href="(\./[^"]+)"', page)]
    assert links == [f"./{name}/report.html", "./toy/report.html"] and all(
        (tmp_path / "out" / link).is_file() for link in links)
    assert "0 of 3" in said(tmp_path / "out" / "compare.html")


@pytest.mark.slow
def test_results_are_not_written_into_a_run(runs, main, tmp_path, monkeypatch):
    for out in (runs, runs / "toy", ""):
        with monkeypatch.context() as here:
            here.chdir(runs)
            before = contents(runs)
            done = main("compare", runs / "toy", "--out", out, check=False)
            assert done.code and "would be written into the run" in done.stderr and contents(
                runs) == before
    shutil.copytree(runs / "toy", tmp_path / "archive" / "toy")  # another run, of its name
    before = contents(runs)
    done = main("compare", tmp_path / "archive" / "toy", "--out", runs, check=False)
    assert done.code
    assert "would be written into another run of its name" in done.stderr
    assert contents( runs) == before
    monkeypatch.chdir(runs / "faces")
    main("compare", ".", "--num_examples", 6, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "faces" / "report.html").is_file()


@pytest.mark.parametrize("options, message", [
    (["--titles", "one"], "one title for each of the 2 runs; got 1"),
    (["--num_examples", "1", "2", "3"], "one for each of the 2; got 3"),
    (["--gradient_examples", "1", "2", "3"
      ], "--gradient_examples needs one number for all runs, or one for each of the 2; got 3"),
    (["--num_examples", "0"], "--num_examples must be at least 1; got 0"),
])
def test_bad_options(runs, main, tmp_path, options, message):
    done = main("compare", runs / "toy", runs / "faces", *options, "--out", tmp_path / "out",
                check=False)
    assert done.code and message in done.stderr and not (tmp_path / "out").exists()


def test_bad_runs(runs, main, tmp_path):
    """Two of one name, whose results would fall into one directory; and what is no run."""
    done = main("compare", runs / "toy", f"{runs / 'toy'}/", "--out", tmp_path / "out", check=False)
    assert done.code and "Several runs are called toy" in done.stderr
    done = main("compare", runs / "toy", tmp_path / "nothing", "--out", tmp_path / "out",
                check=False)
    assert done.code and f"{tmp_path / 'nothing'} is not a run directory" in done.stderr and not (
        tmp_path / "out").exists()


def test_a_page_of_measurements_alone(make_measurement, tmp_path):
    """Without a model, a history or densities; of different sizes; and many of them."""
    columns = [
        show.Column(show.contents_of(make_measurement(n, n - 1, seed=n), f"of {n}"))
        for n in (3, 6, 40)
    ]
    show.write_beside(columns, tmp_path / "page.html", "three")
    text = said(tmp_path / "page.html")
    for n in (3, 6, 40):
        assert f"{n - 1} of {n}" in text
    assert text.count("There are no traversals here") == 3 and "The whole report" not in text
    assert len(show.render_beside(columns * 4, "twelve").encode()) < show.LIMIT
    with refuses(ValueError):
        show.write_beside([], tmp_path / "none.html", "none")
    assert not (tmp_path / "none.html").exists()


def test_what_one_has_and_the_other_lacks_is_said_in_the_table(make_measurement):
    full = show.contents_of(make_measurement(4, 3), "full")
    bare = dataclasses.replace(
        full, title="bare", measured=show.Measured({
            name: value
            for name, value in full.measured.values.items() if name != "posterior_balance"
        }))
    table = comparison.numbers([full, bare])
    assert table["columns"] == ["", "full", "bare"]
    row = next(row for row in table["rows"] if row[0] == "posterior balance")
    assert row[1].startswith("1.01") and row[2] == "not measured"
    assert np.shape(table["rows"])[1] == 3
