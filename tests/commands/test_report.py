"""`tfisovae report`: of a run measured or not, by this version or another, whole or damaged, of
images or vectors, collapsed.
"""
import json
import re
import shutil

import numpy as np
import pytest

import tfisovae
from tfisovae import show


def copied(run, tmp_path):
    return shutil.copytree(run, tmp_path / "copy")


def said(run):
    """The page without its markup, and without its script and style."""
    text = re.sub(r"<(script|style)>.*?</\1>", "", (run / "report.html").read_text(), flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", text).split())


def test_a_run_that_was_not_measured_is_measured_first(faces_run):
    run, printed = faces_run, (faces_run.parent / "reported.txt").read_text()
    assert "E[sigma^-2]" in printed
    assert "Training: " in printed
    assert f"Written: {run / 'report.html'}" in printed
    saved, text = json.loads((run / "isometry.json").read_text()), (run / "report.html").read_text()
    assert f"{sum(saved['active'])} of 3" in said(
        run) and "a&lt;b&gt;run" in text and "<b>run" not in text
    strips = re.findall(r'<img class="strip[^"]*"[^>]*width="(\d+)" height="(\d+)" alt="([^"]*)"',
                        text)
    assert {(int(width), int(height)) for width, height, _ in strips} == {(11 * 16, 16)}
    shown = [int(alt.split()[0][2:]) for *_, alt in strips]
    assert len(shown) >= 2 and shown == [j for j in saved["ranking"] if j in shown]
    # All that are held out.
    assert len(re.findall(r'alt="Row \d+, above its reconstruction: distortion', text)) == 6
    assert "Densities were not measured." in said(run) and "density" in said(run)


def test_it_is_written_again_whole_and_the_same(faces_run, main, tmp_path):
    run = copied(faces_run, tmp_path)
    (run / "report.html").write_text("another's")
    measured = (run / "isometry.json").read_bytes()
    printed = main("report", run).stdout
    assert "E[sigma^-2]" not in printed and (run / "isometry.json").read_bytes() == measured
    first = (run / "report.html").read_bytes()
    main("report", run)
    assert (run / "report.html").read_bytes() == first and b"another's" not in first
    assert not [name for name in run.iterdir() if "writing" in name.name]


@pytest.mark.slow
def test_a_measurement_of_an_older_version(faces_run, main, tmp_path):
    """It shows what there is, and says which command measures again; after that it says so no more.
    """
    run = copied(faces_run, tmp_path)
    saved = json.loads((run / "isometry.json").read_text())
    older = {
        name: value
        for name, value in saved.items()
        if not name.startswith(("unexplained", "verdict",
                                "principal")) and not name.endswith("standard_error")
    }
    (run / "isometry.json").write_text(json.dumps(older))
    main("report", run)
    text = said(run)
    assert "older version, which did not measure flatness, standard errors" in text
    assert f"isometry {run}" in text and f"{sum(saved['active'])} of 3" in text
    (run / "isometry.json").write_text(
        json.dumps({name: older[name]
                    for name in ("precision_mean", "kl_mean")}))
    main("report", run)
    assert "which did not measure" in said(run)
    main("isometry", run)
    main("report", run)
    assert "older version" not in said(run)


def test_a_model_that_was_trained_on_since(faces_run, main, tmp_path):
    run = copied(faces_run, tmp_path)
    saved = json.loads((run / "isometry.json").read_text())
    (run / "isometry.json").write_text(json.dumps({**saved, "steps": 2}))
    main("report", run)
    assert "belong to the model after 2 steps of training; it has 4 now" in said(run)


def test_damaged_files_are_said(table_run, main, tmp_path):
    """What stands beside the measurement is named on the page; the measurement itself, in the line
    that ends the command.
    """
    run = copied(table_run, tmp_path)
    for name, text in (("density.json", "{"), ("history.csv", "no history")):
        (run / name).write_text(text)
    main("report", run)
    assert "density.json is not a complete JSON file" in said(
        run) and "history.csv was changed" in said(run)
    (run / "densities.csv").write_text("row,volume\n1,x\n")
    (run / "density.json").write_text((table_run / "density.json").read_text())
    main("report", run)
    assert "densities.csv is not a complete table of numbers" in said(run)
    (run / "isometry.json").write_text("[")
    refused = main("report", run, check=False)
    assert refused.code != 0
    assert "isometry.json is not a complete JSON file" in refused.stderr
    assert f"isometry {run}" in refused.stderr
    assert len(refused.stderr.strip().splitlines()[-1:]) == 1 and "Traceback" not in refused.stderr


def test_without_its_model_a_run_shows_what_was_measured(faces_run, main, tmp_path):
    run = copied(faces_run, tmp_path)
    for name in ("model", "checkpoints"):
        shutil.rmtree(run / name)
    printed = main("report", run).stdout
    assert "Written: " in printed and "There are no pictures here: " in said(
        run) and "has no model yet" in said(run)
    assert "There are no traversals here" in said(run) and "Mean Gram matrix" in said(
        run) or "active dimension" in said(run)
    (run / "isometry.json").unlink()
    refused = main("report", run, check=False)
    assert refused.code != 0 and "has no model yet" in refused.stderr


def test_into_another_directory(faces_run, main, tmp_path):
    """What the run has is not measured again, and of it nothing is written."""
    before = {path.name: path.stat().st_mtime_ns for path in faces_run.iterdir()}
    printed = main("report", faces_run, "--out", tmp_path / "new").stdout
    assert "E[sigma^-2]" not in printed and [path.name for path in (tmp_path / "new").iterdir()
                                             ] == ["report.html"]
    assert (tmp_path / "new" / "report.html").stat().st_size > 50_000
    assert {path.name: path.stat().st_mtime_ns for path in faces_run.iterdir()} == before


def test_a_directory_that_cannot_be_written(faces_run, main, tmp_path):
    (tmp_path / "file").write_text("")
    refused = main("report", faces_run, "--out", tmp_path / "file", check=False)
    line = refused.stderr.strip().splitlines()[-1]
    assert refused.code != 0
    assert "give another directory for the results with --out" in line
    assert "Traceback" not in refused.stderr
    nothing = main("report", tmp_path / "nowhere", check=False)
    assert nothing.code != 0 and "is not a run directory" in nothing.stderr.strip().splitlines()[-1]


def test_a_run_on_vectors_has_curves(table_run):
    """No tiles; the columns have the names of the file, as text; the least probable row of the page
    is that of the table.
    """
    text = (table_run / "report.html").read_text()
    assert "<img" not in text and text.count('class="curve"') == 22
    assert "<script>a()" not in text
    assert "&lt;script&gt;a()&lt;/script&gt;" in text
    assert "<i>c" not in text
    densities = np.genfromtxt(table_run / "densities.csv", delimiter=",", names=True)
    form = json.loads((table_run / "density.json").read_text())["extremes"]["form"]
    least = int(densities["row"][np.argmin(densities[form])])
    assert f"Least probable row log p, nats {least} " in said(table_run)


@pytest.mark.slow
def test_a_collapsed_run(main, tmp_path):
    main("toy", "--data", "norm", "--num_examples", 512, "--epochs", 30, "--lmbda", 1e-4,
         "--num_eval", 0, "--no-resident", "--run_dir", tmp_path / "run")
    main("report", tmp_path / "run")
    text = said(tmp_path / "run")
    assert "0 of 3" in text
    assert "COLLAPSED" in text
    assert "no dimension is active" in text
    assert "A collapsed model has no densities." in text
    assert "No dimension is active, so z holds nothing about the input." in text


@pytest.mark.slow
def test_other_data_have_a_report_of_their_own(table_run, main, tmp_path):
    x = np.random.default_rng(3).normal(size=[40, 3])
    np.savetxt(tmp_path / "other.csv", x, delimiter=",", header="<script>a()</script>,b&amp;,<i>c",
               comments="")
    run, before = copied(table_run, tmp_path), (table_run / "report.html").read_bytes()
    main("report", run, "--data", tmp_path / "other.csv")
    assert (run / "report.html").read_bytes() == before
    assert "40 examples measured" in said(run / "on-other")


@pytest.mark.slow
def test_an_audit_writes_its_page(main, tmp_path, make_linear_vae):
    """Norms of the optimal linear VAE are 1 - sigma^2: all lie on their prediction. What is given
    is in the manifest, as text.
    """
    variance = np.array([4.0, 1.0])
    gain = np.sqrt(variance - 0.025)
    vae = make_linear_vae(np.diag(gain / variance), np.diag(gain), np.sqrt(0.025 / variance), 20.0)
    vae.save(tmp_path / "<b>model")
    np.save(tmp_path / "x.npy", (np.random.default_rng(0).standard_normal(
        (1000, 2)) * np.sqrt(variance)).astype(np.float32))
    main("audit", "--model", tmp_path / "<b>model", "--data", tmp_path / "x.npy", "--out",
         tmp_path / "out")
    text = said(tmp_path / "out")
    assert "2 of 2 lie within 10 % of the prediction" in text.replace(
        "\xa0", " ") and "the posterior agrees" in text
    assert "&lt;b&gt;model" in (tmp_path / "out" / "report.html").read_text() and str(
        tmp_path / "x.npy") in text
    assert "<b>model" not in (tmp_path / "out" / "report.html").read_text()


def test_a_page_of_any_model_in_two_calls(make_linear_vae, tmp_path):
    """Along z_1 of a linear decoder one entry moves alone: from -2 to 2 times its gain; steps are
    equally long in D.
    """
    vae = make_linear_vae(np.eye(3), np.diag([1.0, 0.5, 0.0]), [0.1, 0.2, 1.0], 50.0)
    x = np.random.default_rng(0).standard_normal((400, 3)).astype(np.float32)
    analysis = tfisovae.analyze(vae, x)
    shown = show.observe(vae, analysis, x[:4])
    moved = shown["traversals"]
    np.testing.assert_array_equal(moved.dimensions[:2], analysis.ranking[:2])
    row = list(moved.dimensions).index(1)
    np.testing.assert_allclose(moved.x[row], np.outer(np.linspace(-2, 2, 11), [0, 0.5, 0]),
                               atol=1e-5)
    np.testing.assert_allclose(moved.distortion[row], (0.4 * 0.5) ** 2, rtol=1e-4)
    np.testing.assert_allclose(shown["reconstructions"].distortion,
                               np.sum((x[:4] * [0, 0.5, 1])**2, 1), rtol=1e-4)
    show.write(analysis, tmp_path / "report.html", "mine", **shown)
    text = said(tmp_path)
    assert "entry 2 move most, by 2 at most" in text and f"{analysis.num_active} of 3" in text
    assert " ".join(analysis.summary().splitlines()[0].split()[1:4]) in text.replace(" :", ":")
