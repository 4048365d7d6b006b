"""The published models: they measure as published, and the picture of them can be drawn."""
import json
import pathlib

import numpy as np
import pytest
from PIL import Image

import tfisovae
from results import image_tables, layout, verdict_tables
from tests.messages import refuses
from tests.support import ROOT
from tfisovae import files
from tfisovae.verdict import Isometry, IsometryState, State, Verdict
from tfisovae.verdict.gains import Gain, GainKind

EVERY = sorted((ROOT / "results").glob("**/model"))
MODELS = [path for path in EVERY if (path.parent / "isometry.json").exists()]
SAME = ("norm_mean", "norm_std", "one_minus_variance", "precision_mean", "importance", "kl_mean",
        "gram_mean", "latent_mean", "latent_second_moment", "rate", "distortion", "loss",
        "coding_loss", "transform_loss", "isometric_norm")


def test_there_are_models_and_they_are_small():
    assert {path.parent.parent.name for path in MODELS} == {"faces", "toy"}
    size = sum(
        path.stat().st_size for model in EVERY for path in model.rglob("*") if path.is_file())
    assert size <= 16_000_000


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS, ids=lambda path: path.parent.name)
def test_a_published_model_measures_as_published(model, main, tmp_path):
    """By the command of the README, on data that are made again. Of the first 50 examples the
    numbers are those of first_50.json, up to the rounding of another processor. They agree with
    those of all examples, which are published, within their errors.
    """
    published = files.read_json(model.parent / "isometry.json")
    first = files.read_json(ROOT / "tests/results/first_50.json")[model.parent.name]
    main("isometry", model.parent, "--gradient_examples", 0, "--num_examples", 50, "--out",
         tmp_path)
    measured = files.read_json(tmp_path / "isometry.json")
    assert measured["num_examples"] == 50 and published["num_examples"] >= 1000
    for name in SAME:
        scale = np.abs(np.array(first[name])).max()
        np.testing.assert_allclose(measured[name], first[name], rtol=2e-3, atol=2e-3 * scale,
                                   err_msg=name)
    assert measured["active"] == first["active"]
    for name, error in (("norm_mean", "norm_standard_error"), ("loss", "loss_standard_error"),
                        ("precision_mean", "precision_standard_error")):
        off = np.abs(np.subtract(measured[name], published[name]))
        # Chance alone exceeds five errors about once in a million numbers.
        assert (off <= 5 * np.array(measured[error]) + 1e-9).all(), name


@pytest.mark.slow
def test_the_picture_for_people_who_know_pca(main, tmp_path):
    run, = (path.parent for path in MODELS if path.parent.parent.name == "faces")
    main("results.overview", run, "--rows", 3, "--columns", 4, "--out", tmp_path / "picture.png")
    picture = np.asarray(Image.open(tmp_path / "picture.png").convert("RGB"), float)
    assert picture.std() > 20
    toy = next(path.parent for path in MODELS if path.parent.parent.name == "toy")
    for options, message in (([toy], "the picture takes images"),
                             ([tmp_path], "is not a run directory"),
                             ([run, "--columns", 1], "--columns at least 2")):
        done = main("results.overview", *options, "--out", tmp_path / "none.png", check=False)
        assert done.code and message in done.stderr and not (tmp_path / "none.png").exists()


@pytest.fixture
def seeds(make_measurement, tmp_path):
    """Three runs of one kind and one of another, measured."""
    for name, seed in (("a-seed0", 0), ("a-seed1", 1), ("a-seed2", 2), ("b", 3)):
        (tmp_path / name).mkdir()
        saved = {**make_measurement(6, 4, seed=seed), "steps": 7 + seed}
        (tmp_path / name / "isometry.json").write_text(json.dumps(saved))
        config = {
            "network": "celeba", "steps": 7 + seed, "clipnorm": None, "seed": 0,
            "data_manifest": {"fingerprint": "f"}
        }
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    return sorted(map(str, tmp_path.iterdir()))


def test_seeds_are_one_row_with_errors_over_them(seeds):
    assert [name for name, _ in layout.by_seed(seeds)] == ["a, 3 seeds", "b"]
    assert [name for name, _ in layout.by_seed(["x/a", "y/a", "x/a-seed1", "y/b-seed0/"])] == [
        "a, 2 seeds", "a", "b"
    ]
    analyses = [tfisovae.Analysis.load(f"{path}/isometry.json") for path in seeds]
    norms = [a.norm_mean[a.kl_mean > 0.1].mean() for a in analyses[:3]]
    error = np.std(norms, ddof=1) / np.sqrt(3)
    row = next(
        line for line in image_tables.isometry_table(seeds).splitlines() if "a, 3 seeds" in line)
    assert f"| {np.mean(norms):.2f} +- {error:.2g} |" in row and "4, 4, 4 of 6" in row
    alone = next(
        line for line in image_tables.isometry_table(seeds).splitlines() if "| ours, b |" in line)
    assert "+-" not in alone
    precisions = image_tables.precision_table(seeds)
    assert precisions.count("a, 3 seeds") >= 2 and "4, 4, 4" in precisions


def test_a_collapsed_seed_counts_as_one_and_has_no_norm(seeds, make_measurement):
    with open(f"{seeds[1]}/isometry.json", "w") as file:
        json.dump({**make_measurement(6, 0, seed=1), "steps": 8}, file)
    row = next(
        line for line in image_tables.isometry_table(seeds).splitlines() if "a, 3 seeds" in line)
    norms = [tfisovae.Analysis.load(f"{seeds[k]}/isometry.json") for k in (0, 2)]
    assert "4, 0, 4 of 6" in row and "nan" not in row
    assert f"| {np.mean([a.norm_mean[a.kl_mean > 0.1].mean() for a in norms]):.2f} +- " in row


def test_trials_stand_by_their_loss_with_the_options_in_which_they_differ(seeds):
    lines = image_tables.trials_table(seeds).splitlines()
    assert lines[0].startswith("| | steps | held-out loss") and len(lines) == 6
    assert {line.split("|")[2].strip() for line in lines[2:]} == {"7", "8", "9", "10"}
    losses = [float(line.split("|")[3]) for line in lines[2:]]
    assert losses == sorted(losses)


def test_what_is_said_of_runs_stands_in_one_table(seeds):
    """The verdicts' own words, and the numbers that they rest on, over seeds as elsewhere."""
    for seed in seeds:
        path = pathlib.Path(seed, "isometry.json")
        saved, name = json.loads(path.read_text()), path.parent.name
        if name == "b":
            saved["verdict"] = Verdict(State.CONVERGED, (), Isometry(
                IsometryState.ISOMETRIC, worst_error=0.07, length_error=0.05, cosine=0.04,
                error_median=0.02, error_95=0.07),
                gains=(Gain(GainKind.DOUBLING, 0.012, 0.001), )).to_dict()
        path.write_text(json.dumps(saved))
    first, other = (list(map(str.strip,
                             line.split("|")[1:-1]))
                    for line in verdict_tables.said_table(seeds).splitlines()[2:])
    assert first[0] == "a, 3 seeds" and first[2:5] == ["-", "IMPROVING", "not isometric"]
    assert first[5:7] == ["-", "-"]  # where it was not measured
    assert other[0] == "b" and other[2:9] == [
        "0.012 +- 0.001", "Converged", "isometric to 7 %", "2 %", "7 %", "5 %", "0.04"]
    one = tfisovae.Analysis.load(f"{seeds[0]}/isometry.json")
    among = np.flatnonzero(one.kl_mean > 0.1)
    errors = np.hypot(one.norm_mean - one.one_minus_variance,
                      one.norm_std)[among] / one.one_minus_variance[among] / 2
    made = verdict_tables.said_table(seeds[:1]).splitlines()[2].split("|")
    assert made[8].strip() == f"{100 * np.sqrt(np.mean(errors**2)):.3g} %"
    assert made[9].strip() == f"{one.cosine(among):.3g}"


def test_a_table_of_factors_has_the_cost_where_it_was_measured():
    """The published faces: of seed 0 with its model, and of seed 1 without."""
    for seed, known in (("", True), ("-seed1", False)):
        place = str(ROOT / "results" / "faces" / f"decomposed{seed}")
        found = tfisovae.Analysis.load(f"{place}/isometry.json")
        j = found.ranking[0]
        cells = image_tables.factor_table(place).splitlines()[2].split("|")
        cost = [f"{found.cost_of_removal[j]:.3g}", f"{found.removal_nats[j]:.3g}"] if known else [
            "-", "-"]
        assert [cells[3].split()[0], cells[4].strip()] == cost
        assert cells[2].strip() == f"{found.importance[j]:.3g}"


def test_tables_are_of_what_was_measured_of_the_run_as_it_is(seeds):
    """Trained on with more steps, or measured on other data, a run has no numbers; without a probe
    it has no gain.
    """
    path = pathlib.Path(seeds[3], "isometry.json")
    saved = json.loads(path.read_text()) | {"evidence": {}}
    path.write_text(json.dumps(saved))
    assert verdict_tables.said_table(seeds[3:]).splitlines()[2].split("|")[3].strip() == "-"
    tables = (verdict_tables.said_table, image_tables.isometry_table, image_tables.balance_table,
              image_tables.precision_table, image_tables.factor_tables, image_tables.trials_table)
    config = json.loads(path.with_name("config.json").read_text())
    for changed, argument in (({"steps": config["steps"] + 1}, ""), ({
            "data_fingerprint": "0"
    }, "")):
        path.write_text(json.dumps({**saved, **changed}))
        for table in tables:
            with refuses(ValueError, argument):
                table(seeds[3:])


def test_time_to_quality_as_a_table(tmp_path):
    one = {
        "name": "x", "steps": 1000, "batch_size": 16, "seconds_per_step": [0.1, 0.3, 0.2],
        "seconds": 120.0, "loss": 99.5, "loss_standard_error": 0.25, "active": 7
    }
    saved = {
        "paper": {**one, "name": "p", "steps": 8000,
                  "loss": 100.0}, "recipe": [{**one, "loss": 101.0, "name": "w"}, one],
        "reached": {"name": "x", "steps": 0.125, "seconds": 0.0625, "examples": 0.125}
    }
    (tmp_path / "faces.json").write_text(json.dumps(saved))
    lines = image_tables.quality_table([str(tmp_path / "faces.json")]).splitlines()[2:]
    assert lines[
        0] == "| faces, the paper's settings | 8,000 | 16 | 0.200 | 2.0 | 100.00 +- 0.25 | 7 |  |"
    assert lines[
        2] == ("| faces, recipe | 1,000 | 16 | 0.200 | 2.0 | 99.50 +- 0.25 | 7 | 12% of the "
               "steps, 6% of the time |")
    assert lines[1].endswith("|  |")


def test_what_the_readme_says_of_time_to_quality():
    """An eighth of the steps on MNIST; on faces a third of the time, in as many steps of a quarter
    of the batch.
    """
    def read(*path):
        return json.loads((ROOT / "results").joinpath(*path).read_text())

    mnist, faces = (read("quality", f"{name}.json")["reached"] for name in ("mnist", "faces"))
    assert mnist["steps"] == 1 / 8 > mnist["seconds"]
    assert faces["seconds"] < 1 / 3 and faces["steps"] == 1 and faces["examples"] == 1 / 4
    losses = {name: read("trials", name, "isometry.json")["loss"]  # and not in a third of the steps
              for name in ("paper-64", "batch-64", "batch-64-4e-3", "batch-64-4e-3-annealed-2000")}
    assert min(losses, key=losses.get) == "paper-64"
