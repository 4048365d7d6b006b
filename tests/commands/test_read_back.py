"""What commands find beside a run is used where it is of the same model and data; what does not fit
together is refused.
"""
import argparse
import os
import shutil
import types

import numpy as np
import pytest
from PIL import Image

from tests.messages import refuses
from tfisovae import files, load, sources
from tfisovae.commands import coding, examples, isometry, measuring, recipes, report, training
from tfisovae.sources import opening
from tfisovae.training import callbacks, runs
from tfisovae.verdict import ReasonKind, State, Verdict, headlines

OPTIONS = ["--latent_dim", 2, "--epochs", 12, "--batch_size", 30, "--num_eval", 0, "--no-resident"]


def table(seed=0, rows=330):
    return np.random.default_rng(seed).standard_normal((rows, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, main):
    """A run on a table in text, measured once."""
    path = tmp_path_factory.mktemp("read")
    np.savetxt(path / "mine.csv", table(), delimiter=";", header="a;b;c;d", comments="")
    main("toy", "--data", path / "mine.csv", *OPTIONS, "--run_dir", path / "run")
    main("isometry", path / "run", "--gradient_examples", 0)
    return path / "run"


@pytest.fixture
def run(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def test_images_of_a_run_under_other_names_are_not_split_anew(tmp_path):
    """Their fingerprint is of pixels, and the split is of names: 9 of 10 that would be held out
    then were trained on.
    """
    rng = np.random.default_rng(0)
    for k in range(40):
        os.makedirs(tmp_path / "before", exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (16, 16, 3),
                                     np.uint8)).save(tmp_path / "before" / f"{k:03d}.png")
    before = sources.load_images(tmp_path / "before", tmp_path / "cache", image_size=16)
    config = {
        "data": str(tmp_path / "before"), "data_kind": "images", "num_faces": 9, "image_size": 16,
        "network": "celeba", "data_manifest": training.data_manifest(before)
    }
    shutil.copytree(tmp_path / "before", tmp_path / "moved")
    moved = opening.of_run(config, str(tmp_path / "moved"), tmp_path / "cache")
    np.testing.assert_array_equal(moved.eval.rows, before.eval.rows)
    opening.check_split(config, moved)
    os.makedirs(tmp_path / "above")
    os.rename(tmp_path / "moved", tmp_path / "above" / "inner")
    now = sources.load_images(tmp_path / "above", tmp_path / "cache", image_size=16)
    assert now.manifest["fingerprint"] == before.manifest[
        "fingerprint"] and now.held_out != before.held_out
    now = opening.of_run(config, str(tmp_path / "above"), tmp_path / "cache")
    with refuses(ValueError):
        opening.check_split(config, now)
    # Of an older version.
    opening.check_split({"data_manifest": {"fingerprint": now.manifest["fingerprint"]}}, now)


@pytest.mark.slow
def test_the_array_of_training_is_taken_to_train_on(main, tmp_path):
    """Of an .npz with several, and said; the audit takes what is tested on as data."""
    np.savez(tmp_path / "d.npz", x_test=table(1, 40), x_train=table(2, 60))
    said = main("toy", "--data", tmp_path / "d.npz", *OPTIONS, "--run_dir", tmp_path / "run").stderr
    assert "d.npz: 60 rows, 4 columns, the array 'x_train'." in said
    # Or runs of before would be others.
    assert "array" not in runs.load_config(tmp_path / "run")["data_manifest"]["reading"]
    assert "on 6 examples" in main("isometry", tmp_path / "run", "--gradient_examples", 0).stdout
    assert "on 6 examples" in main("isometry", tmp_path / "run", "--data", tmp_path / "d.npz",
                                   "--gradient_examples", 0).stdout
    np.savez(tmp_path / "other.npz", x_test=table(1, 40), x_train=table(3, 60))
    done = main("isometry", tmp_path / "run", "--data", tmp_path / "other.npz",
                "--gradient_examples", 0)
    assert "on 40 examples" in done.stdout and "the array 'x_test'" in done.stderr
    config = {
        **runs.load_config(tmp_path / "run"), "data_manifest": training.data_manifest(
            sources.load_table(str(tmp_path / "d.npz"), arrays=("x_test", )))
    }  # of a version that trained on it
    np.testing.assert_array_equal(
        opening.of_run(config).eval[:4],
        table(1, 40)[opening.of_run(config).eval.rows[:4]])
    options = argparse.Namespace(max_value=1.0)
    for option, expected in (("data", table(1, 40)), ("train_data", table(2, 60))):
        x, rows, _ = examples.load(options, str(tmp_path / "d.npz"), option=option)
        np.testing.assert_array_equal(x, expected[rows])
    np.savez(tmp_path / "tested.npz", x_test=table(1, 40), y=table(2, 60))
    with refuses(ValueError):
        examples.load(options, str(tmp_path / "tested.npz"), option="train_data")


@pytest.mark.slow
def test_every_command_refuses_a_model_that_an_inspection_rejects(run, main, tmp_path,
                                                                  monkeypatch):
    """With the fault in a line, and no picture."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", table(3, 40))
    (run / "isometry.json").unlink()
    vae = load(run / "model")
    for network in (vae.encoder, vae.decoder):
        before = network.get_weights()
        network.set_weights([weight * np.nan for weight in before])
        vae.save(run / "model")
        network.set_weights(before)
        pictures = set(run.rglob("*.png"))
        for command, *options in (("isometry",), ("density",), ("variables",), ("prune",),
                                  ("report",), ("compare",), ("rate",), ("all",),
                                  ("compress", "x.npy", "-o", "x.tfv")):
            done = main(command, run, *options, check=False)
            assert done.code and "not finite" in done.stderr, command
            assert "Traceback" not in done.stderr
        assert set(run.rglob("*.png")) == pictures and not (tmp_path / "x.tfv").exists()


def test_toy_data_of_training_are_no_held_out_ones():
    options = argparse.Namespace(max_value=1.0)
    tested, trained_on = (examples.load(options, "mix", 500, option).x
                          for option in ("data", "train_data"))
    toy = sources.load_toy("mix")
    assert set(tested[:, 0]) <= set(toy.eval[np.arange(len(toy.eval))][:, 0])
    assert set(trained_on[:, 0]) <= set(toy.train[np.arange(len(toy.train))][:, 0])


@pytest.mark.slow
def test_a_report_is_of_the_data_that_it_names(run, main, tmp_path):
    """Two files of one name have two directories; where the same is named for both, the page is
    measured anew.
    """
    for place, seed in (("one", 1), ("two", 2)):
        os.makedirs(tmp_path / place)
        np.save(tmp_path / place / "test.npy", table(seed, 50))
    for place in ("one", "two"):
        main("isometry", run, "--data", tmp_path / place / "test.npy", "--gradient_examples", 0)
    found = sorted(path for path in run.iterdir() if path.name.startswith("on-test"))
    prints = {files.read_json(path / "isometry.json")["data_fingerprint"] for path in found}
    assert len(found) == len(prints) == 2 and found[0].name == "on-test"
    out = ["--out", tmp_path / "out"]
    main("isometry", run, "--data", tmp_path / "one" / "test.npy", *out, "--gradient_examples", 0)
    main("density", run, "--data", tmp_path / "one" / "test.npy", *out)
    said = main("report", run, "--data", tmp_path / "two" / "test.npy", *out).stdout
    assert "belongs to other data" in said and "measured again" in said
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Results of densities belong to other data or to an earlier model" in page
    assert files.read_json(tmp_path / "out" / "isometry.json")["data"] == str(
        tmp_path / "two" / "test.npy")


def test_what_was_measured_before_more_training_is_not_said_of_the_model_now(run, main):
    files.write_json(run / "rate.json", {"steps": 3})
    saved = files.read_json(run / "isometry.json")
    assert measuring.verdict_of(measuring.open_run(run)) == headlines.summary(
        Verdict.from_dict(saved["verdict"]))
    fingerprint = saved["data_fingerprint"]
    parts, notes = report.records(run, "", run, 108, fingerprint)
    assert "rate" not in parts and "of rate belong to other data or to an earlier model" in "".join(
        notes)
    # Which cannot be read.
    assert "of rate" in "".join(report.records(run, "", run, 3, fingerprint)[1])
    files.write_json(run / "isometry.json", {**saved, "steps": 3})
    assert "To see whether training has converged, measure" in main("variables", run).stdout
    with refuses(ValueError):
        from tfisovae.commands import traverse

        traverse.draw(
            measuring.open_run(run)._replace(
                config={**runs.load_config(run), "data_kind": "mnist"}))


@pytest.mark.parametrize("config, argument", [
    ({"learning_rate_warmup": 9}, "--learning_rate_warmup"),
    ({"anneal_steps": 10}, "--anneal_steps"),
    ({"decomposed": True, "warmup_steps": 9}, "--warmup_steps"),
])
def test_a_part_of_a_training_is_not_longer_than_it(config, argument, capsys):
    whole = {
        "steps": 9, "schedule": "cosine", "lmbda": 5.0, "learning_rate_warmup": None,
        "anneal_steps": 9, "decomposed": False, "warmup_steps": 0
    }
    training.check_lengths(whole)
    training.check_lengths(
        {**whole, "learning_rate_warmup": 8, "decomposed": True, "warmup_steps": 8})
    with refuses(ValueError, argument):
        training.check_lengths({**whole, **config})
    if "learning_rate_warmup" not in config:  # it may go on
        training.check_lengths({**whole, **config, "schedule": "constant"})
        assert argument in capsys.readouterr().err


def test_parts_are_checked_by_the_commands(main, tmp_path):
    np.save(tmp_path / "x.npy", table())
    for options, message in ((["--anneal_steps", 121], "--anneal_steps must be at most the 120"),
                             (["--decomposed"], "--warmup_steps must be below the 120")):
        options += ["--schedule", "cosine"]
        refused = main("toy", "--data", tmp_path / "x.npy", *OPTIONS[:2], "--epochs", 12,
                       "--batch_size", 29, *options, "--run_dir", tmp_path / "run", check=False)
        assert refused.code and message in refused.stderr and not (tmp_path / "run").exists()


def test_the_recipe_takes_a_small_table(main, tmp_path):
    """Whose steps are fewer than the recipe's warm-up: it has a tenth of them, and says so. One
    that is given stays.
    """
    np.save(tmp_path / "x.npy", table())
    options = [
        "--data", tmp_path / "x.npy", "--recipe", "fast", "--epochs", 5, "--latent_dim", 2,
        "--num_eval", 0, "--batch_size", 60
    ]
    said = main("toy", *options, "--run_dir", tmp_path / "run").stderr
    assert ("of the 20 steps that these data make, a tenth warm the learning rate up, instead of "
            "25") in said
    assert runs.load_config(tmp_path / "run")["learning_rate_warmup"] == 2
    main("toy", *options, "--run_dir", tmp_path / "run")  # the same run
    args = argparse.Namespace(recipe="fast", given=())
    assert recipes.warmup_within(args, 1000, 7_200) == 1000 and recipes.warmup_within(
        args, 1000, 600) == 60
    assert recipes.warmup_within(
        argparse.Namespace(recipe="fast", given=("learning_rate_warmup", )), 1000, 600) == 1000
    assert recipes.warmup_within(argparse.Namespace(recipe="paper", given=()), 1000, 600) == 1000


def test_parts_of_a_recipe_can_be_left_out(main, tmp_path):
    np.save(tmp_path / "x.npy", table())
    main("toy", "--data", tmp_path / "x.npy", "--recipe", "fast", "--epochs", 2, "--latent_dim", 2,
         "--num_eval", 0, "--batch_size", 30, "--clipnorm", 0, "--learning_rate_warmup", 0,
         "--anneal_steps", 0, "--run_dir", tmp_path / "run")
    config = runs.load_config(tmp_path / "run")
    assert [config[name]
            for name in ("clipnorm", "learning_rate_warmup", "anneal_steps")] == [None] * 3


@pytest.mark.slow
def test_a_run_on_text_is_measured_on_other_tables(run, main, tmp_path):
    """Which have no header, separator and decimal sign, or others; the columns stay those of the
    run.
    """
    np.save(tmp_path / "x.npy", table(3, 40))
    np.savetxt(tmp_path / "y.txt", table(3, 40), delimiter=",", header="a,b,c,d", comments="")
    for name in ("x.npy", "y.txt"):
        assert "on 40 examples" in main("isometry", run, "--data", tmp_path / name,
                                        "--gradient_examples", 0).stdout
    found = [files.read_json(run / name / "isometry.json") for name in ("on-x", "on-y")]
    np.testing.assert_allclose(found[0]["norm_mean"], found[1]["norm_mean"], rtol=1e-4)
    config = {
        "data": "a.csv", "data_manifest": {
            "reading": {"format": "text", "options": {"columns": ["b"], "header": "yes"}}
        }
    }
    assert opening._options(config, "b.csv.gz") == {"columns": ["b"], "header": "yes"}
    assert opening._options(config, "b.parquet") == {"columns": ["b"]}


def test_commands_on_a_page_can_be_given(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("train")
    args = argparse.Namespace(directory=str(run), data="mine.npy", split="train", out="out",
                              cache_dir=None)
    said = report.commands_of(args)["density"]
    assert "--split train" in said
    assert "--data mine.npy" in said
    assert f"--out {tmp_path / 'out'}" in said
    np.save("mine.npy", table())
    assert f"--data {tmp_path / 'mine.npy'}" in report.commands_of(args)["density"]


@pytest.mark.slow
def test_other_data_say_nothing_of_the_training(run, main, tmp_path):
    """Their moments are others, at an optimum too: the verdict is that on the run's own data, or
    there is none.
    """
    np.save(tmp_path / "x.npy", 3 * table(3, 400) + 1)
    options = ["--data", tmp_path / "x.npy", "--out", tmp_path / "out"]

    def verdict(path):
        return Verdict.from_dict(files.read_json(path / "isometry.json")["verdict"])

    own = verdict(run)
    said = main("isometry", run, *options).stdout
    found = verdict(tmp_path / "out")
    assert found.on_own_data and (found.state, found.reasons) == (own.state, own.reasons)
    assert found.isometry != own.isometry and headlines.summary(found) in said
    os.unlink(run / "isometry.json")
    said = main("isometry", run, *options).stdout
    found = verdict(tmp_path / "out")
    reason, = found.of(ReasonKind.OTHER_DATA)
    assert found.state is State.NOT_JUDGED and f"isometry {run}" in reason.note
    assert reason.note in said
    # As an older version wrote it: its moments are of other data, and say nothing.
    saved = files.read_json(tmp_path / "out" / "isometry.json")
    trained = measuring.open_run(run, tmp_path / "x.npy", out=tmp_path / "out")
    del saved["verdict"]
    older = measuring.saved_verdict(trained, saved)
    assert (older.state, older.reasons) == (found.state, found.reasons)
    assert older.isometry.state is found.isometry.state


@pytest.mark.slow
def test_a_gradient_that_was_measured_is_used_again(run, main, tmp_path):
    """By --gradient_examples 0: of the same model and data only, and the page says so."""
    own = files.read_json(run / "isometry.json")
    own["evidence"]["gradient"] = {"squared_norm": 2.0, "standard_error": 0.1, "noise": 10.0,
                                   "noise_scale": 5.0, "p_value": 1e-5, "num_examples": 5000,
                                   "kurtosis": 3.0}
    files.write_json(run / "isometry.json", own)
    done = main("isometry", run, "--gradient_examples", 0, "--out", tmp_path)
    saved = files.read_json(tmp_path / "isometry.json")
    assert saved["evidence"]["gradient"] == own["evidence"]["gradient"]
    found = Verdict.from_dict(saved["verdict"])
    assert found.gradient.noise_scale == 5 and found.of(ReasonKind.OFF)
    assert saved["gradient_from"] == str(run / "isometry.json")
    main("report", run, "--out", tmp_path)
    for text in (done.stdout, (tmp_path / "report.html").read_text()):
        assert "The mean gradient was not measured again." in text
    files.write_json(run / "isometry.json", {**own, "steps": 3})
    main("isometry", run, "--gradient_examples", 0, "--out", tmp_path)
    saved = files.read_json(tmp_path / "isometry.json")
    assert "gradient" not in saved["evidence"] and "gradient_from" not in saved


@pytest.mark.slow
def test_foreign_numbers_in_a_run_are_not_its_own(run, main, tmp_path):
    """Measured by --out into the run itself: the page elsewhere is of the run's own data, measured
    for it.
    """
    np.save(tmp_path / "x.npy", table(3, 40))
    own = files.read_json(run / "isometry.json")
    main("isometry", run, "--data", tmp_path / "x.npy", "--out", run, "--gradient_examples", 0)
    main("report", run, "--out", tmp_path / "out")
    assert files.read_json(tmp_path / "out" / "isometry.json")["norm_mean"] == own["norm_mean"]
    assert "33 examples" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
def test_all_passes_on_what_it_was_given(run, main, tmp_path):
    np.save(tmp_path / "x.npy", table(3, 40))
    main("all", run, "--data", tmp_path / "x.npy", "--out", tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert f"--data {tmp_path / 'x.npy'} --out {tmp_path / 'out'}" in page


@pytest.mark.slow
def test_a_measurement_is_kept_whatever_becomes_of_the_gradient(run, main, monkeypatch):
    whole = files.read_json(run / "isometry.json")
    for name in ("isometry.json", "isometry.png"):
        os.unlink(run / name)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(measuring, "training_evidence", stopped)
    assert main("isometry", run, check=False).code == 130
    saved = files.read_json(run / "isometry.json")
    assert "state" in saved["verdict"] and len(saved["norm_mean"]) == 2
    assert (run / "isometry.png").exists()
    assert "evidence" not in saved
    # Which has the evidence: it is not replaced by numbers without.
    files.write_json(run / "isometry.json", whole)
    assert main("isometry", run, check=False).code == 130
    assert files.read_json(run / "isometry.json") == whole


def test_pictures_of_a_former_model_do_not_stay(run):
    assert (run / "gram.png").exists()
    saved = files.read_json(run / "isometry.json")
    files.write_json(run / "isometry.json",
                     {**saved, "active": [False, False], "kl_mean": [0.0, 0.0]})
    isometry.draw(str(run))
    assert not (run / "gram.png").exists() and (run / "isometry.png").exists()


def test_files_are_measured_where_no_codec_can_be_kept(run, main, monkeypatch, tmp_path):
    from tfisovae import Codec

    def refused(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Codec, "save", refused)
    main("rate", run, "--out", tmp_path / "out", "--no-beside")
    assert (tmp_path / "out" / "rate.json").exists() and not coding.saved(run)
    np.save(tmp_path / "x.npy", table(3, 40))
    # Whose file would be lost.
    assert main("compress", run, tmp_path / "x.npy", "-o", tmp_path / "x.tfv", check=False).code


def test_what_lies_beside_the_examples_is_none_of_the_run(trained):
    config = runs.load_config(trained)
    before = {
        **config, "data_manifest":
            {**config["data_manifest"], "num_not_images": 3, "num_skipped": 1}
    }
    found = types.SimpleNamespace(config=config, directory=str(trained))
    runs.Run._check_same(found, before)
    with refuses(runs.RunError):
        runs.Run._check_same(
            found, {**before, "data_manifest": {**before["data_manifest"], "held_out": "0" * 16}})


def test_data_of_a_name_are_told_from_what_lies_there(main, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("mix")
    said = main("toy", "--data", "mix", "--num_examples", 300, "--epochs", 1, "--num_eval", 0,
                "--run_dir", "run").stderr
    assert ("--data mix means the data set of that name, not the mix in this directory; for that "
            "give ./mix.") in said


def test_a_link_to_a_directory_stays_one(run, main, tmp_path):
    np.save(tmp_path / "x.npy", table(3, 40))
    main("compress", run, tmp_path / "x.npy", "-o", tmp_path / "x.tfv")
    os.makedirs(tmp_path / "disk" / "there")
    (tmp_path / "disk" / "there" / ".DS_Store").write_text("")
    os.symlink(tmp_path / "disk" / "there", tmp_path / "link")
    main("decompress", run, tmp_path / "x.tfv", "-o", tmp_path / "link")
    assert os.path.islink(tmp_path / "link") and np.load(
        tmp_path / "disk" / "there" / "x.npy").shape == (40, 4)


def test_the_run_here_is_pruned_beside_itself(run, main, monkeypatch):
    monkeypatch.chdir(run)
    main("prune", ".", "--keep", 0)
    assert (run.parent / "run-pruned" / "model").is_dir() and not list(run.glob(".*pruned*"))


def test_counts_that_would_not_be_used_are_refused(run, main, tmp_path):
    for count in (-1, 3):
        refused = main("isometry", run, "--gradient_examples", count, check=False)
        assert refused.code
        assert (f"--gradient_examples must be 0 (none), or at least 8; got {count}"
                in refused.stderr)
    np.save(tmp_path / "x.npy", table())
    refused = main("toy", "--data", tmp_path / "x.npy", "--num_examples", 99, *OPTIONS, "--run_dir",
                   tmp_path / "new", check=False)
    assert not refused.code and "--num_examples applies to toy data: all 330 rows" in refused.stderr
    np.save(tmp_path / "x.npy", table(3, 40))
    shutil.move(runs.load_config(run)["data"], tmp_path / "moved.csv")
    try:
        refused = main("density", run, "--data", tmp_path / "x.npy", "--train_examples", 9,
                       check=False)
        assert refused.code
        assert "cannot be found, so there are no percentiles" in refused.stderr
        assert "so there are no percentiles" in main("density", run, "--data",
                                                          tmp_path / "x.npy").stderr
    finally:
        shutil.move(tmp_path / "moved.csv", runs.load_config(run)["data"])


def test_a_directory_that_a_file_manager_has_seen_is_empty(main, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".DS_Store").write_text("")
    np.save(tmp_path / "x.npy", table())
    main("toy", "--data", tmp_path / "x.npy", *OPTIONS, "--run_dir", tmp_path / "run")
    assert runs.is_finished(tmp_path / "run") and (tmp_path / "run" / ".DS_Store").exists()


def test_the_fall_of_the_loss_is_that_of_the_final_lmbda(tmp_path):
    """An annealed lmbda falls as its KL's weight grows: of a model at rest that is no fall."""
    rng = np.random.default_rng(0)
    steps = np.arange(100, 12_001, 100)
    lmbda = 100 / np.minimum(1, 0.01 + 0.99 * steps / 10_000)
    distortion, rate = 0.1 + 0.001 * rng.standard_normal(
        len(steps)), 20 + 0.1 * rng.standard_normal(len(steps))
    lines = ["step,loss,distortion,rate"]
    lines += [f"{s},{one * d + r},{d},{r}" for s, one, d, r in zip(steps, lmbda, distortion, rate)]
    (tmp_path / "history.csv").write_text("\n".join(lines) + "\n")
    fall = callbacks.fall_of_the_loss(tmp_path, {"lmbda": 100.0, "anneal_steps": 10_000})
    assert abs(fall.fall) < 4 * fall.standard_error and abs(fall.fall) < 0.2
    assert callbacks.fall_of_the_loss(tmp_path, {"lmbda": 100.0}).fall > 1


def test_a_history_of_another_origin_is_not_emptied(main, tmp_path):
    """Without a manifest it is not known whose it is; names that only begin as those of a run are
    none of it.
    """
    np.save(tmp_path / "x.npy", table())
    for name in ("history.csv", "model-of-mine.h5"):
        out = tmp_path / f"run-{name}"
        out.mkdir()
        (out / name).write_text("step,loss\n1,2\n")
        refused = main("toy", "--data", tmp_path / "x.npy", *OPTIONS, "--run_dir", out, check=False)
        assert refused.code and str(out) in refused.stderr and (
            out / name).read_text() == "step,loss\n1,2\n"


def test_every_loader_takes_paths(tmp_path):
    np.save(tmp_path / "x.npy", table())
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.ones((16, 16, 3), np.uint8)).save(tmp_path / "b.png")
    digits = np.zeros((9, 28, 28), np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=digits, y_train=np.zeros(9), x_test=digits,
             y_test=np.zeros(9))
    there = {
        "load_table": "x.npy", "load_vectors": "x.npy", "load_images": "", "load_mnist": "mnist.npz"
    }
    loaders = {name for name in vars(sources) if name.startswith("load_")} - {"load_toy"}
    assert loaders <= set(there)
    for name in loaders:
        extra = {"cache_dir": tmp_path / "cache", "image_size": 16} if name == "load_images" else {}
        assert len(getattr(sources, name)(tmp_path / there[name], **extra).eval)
    with refuses(ValueError, "columns"):
        sources.load_table(tmp_path / "x.npy", columns=0)


def test_a_manifest_without_a_schedule_is_of_a_constant_rate(run):
    config = {name: value for name, value in runs.load_config(run).items() if name != "schedule"}
    trained = types.SimpleNamespace(config=config, directory=str(run), own=False, suffix="")
    assert measuring.known_evidence(trained)["annealed"] is False


def test_commas_in_quotes_are_said_to_be_unreadable_once(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n"1,5",2\n"2,5",3\n')
    with refuses(ValueError):
        sources.load_table(tmp_path / "t.csv")
    with refuses(ValueError):
        sources.load_table(tmp_path / "t.csv", decimal=",")
