"""Every command of the README, and what the scripts say to bad input."""
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import tfisovae
from tfisovae import commands, sources
from tfisovae.__main__ import parser

SMALL = ["--num_faces", "64", "--latent_dim", "3", "--batch_size", "4"]


@pytest.fixture
def run(faces_run):
    return faces_run


@pytest.mark.slow
def test_a_training_script(script, main, tmp_path):
    """The paper's network, in a process of its own; and then its measurement."""
    path = tmp_path / "run"
    trained = script("train/celeba.py", "--data", "faces", *SMALL, "--steps", 4, "--num_eval", 4,
                     "--run_dir", path)
    assert "E[sigma^-2]" in trained.stdout and "SavedModel" in trained.stdout
    assert "step 4/4" in trained.stderr and "examples/s" in trained.stderr
    measured = main("isometry", path, "--num_examples", 6)
    assert "rank  1 follows" in measured.stdout and str(path / "isometry.png") in measured.stdout
    main("traverse", path, "--rows", 2, "--columns", 3)
    holds_what_it_should(path)


def test_a_run_directory_holds_what_it_should(run):
    holds_what_it_should(run)


def holds_what_it_should(run):
    names = {p.name for p in run.iterdir()}
    assert {
        "config.json", "history.csv", "checkpoints", "model", "tensorboard", "isometry.json",
        "isometry.png", "scree.png", "gram.png", "traversal.png", "traversal.gif", "traversal.json",
        "reconstructions.png"
    } <= names
    config = json.loads((run / "config.json").read_text())
    assert config["lmbda"] == 1000 and config["data_manifest"][
        "num_train"] == 58 and "tensorflow" in config["versions"]
    saved = json.loads((run / "isometry.json").read_text())
    assert saved["num_examples"] == 6 and len(saved["norm_mean"]) == 3
    assert np.array(saved["factor_correlations"]).shape == (3, len(saved["factor_names"]))
    numbers = json.loads((run / "traversal.json").read_text())
    assert np.shape(numbers["z"]) == (2, 3) and np.shape(
        numbers["distortion"]) == (2, 2) and numbers["steps"] == "decoder"
    assert numbers["dimensions"] == saved["ranking"][:2] and len(
        saved["principal_components"]["eigenvalue"]) == 2  # of 3 examples each way
    for name in ("isometry", "scree", "gram", "traversal", "reconstructions"):
        assert np.asarray(Image.open(run / f"{name}.png").convert("L")).std() > 5


def test_a_loaded_model_evaluates(run, faces_cache):
    """The tour of the API: load, compile with metrics, evaluate; and the same numbers as the JSON.
    """
    from tfisovae import metrics
    from tfisovae.training import batches

    vae = tfisovae.load(run / "model")
    vae.compile(metrics=[metrics.IsometricNorm(), metrics.GramOffDiagonal()])
    eval_rows = sources.load_images("faces", num_faces=64, cache_dir=faces_cache, image_size=16,
                                    progress=False).eval
    logs = vae.evaluate(batches.evaluation_batches(eval_rows, 4), return_dict=True, verbose=0)
    saved = json.loads((run / "isometry.json").read_text())
    for name in ("rate", "distortion", "isometric_norm", "gram_off_diagonal"):
        np.testing.assert_allclose(logs[name], saved[name] if saved[name] is not None else np.nan,
                                   rtol=1e-3)


def test_densities_of_images(run, main):
    """Four steps leave a dimension active or none: densities of the images, or the word that there
    are none.
    """
    done = main("density", run, "--forms", "scaled_posterior", check=False)
    assert done.code != 0 and ("SSIM has no scale a_x" in done.stderr
                               or "has collapsed" in done.stderr)


def test_inputs_off_the_manifold_are_the_least_probable(toy_run, main, tmp_path):
    """The data lie in 3 of 16 directions. Forms that use Dec(mean) alone do not see the rest."""
    toy = sources.toy("mix", 200)
    off = np.linalg.svd(toy.basis)[2][3]  # at right angles to the data
    np.save(tmp_path / "off.npy", (toy.x + 3 * off).astype(np.float32))
    main("density", toy_run, "--data", tmp_path / "off.npy", "--out", tmp_path / "off")
    saved = json.loads(next((tmp_path / "off").glob("density*.json")).read_text())
    assert saved["percentiles"]["form"] == saved["extremes"]["form"] == "objective"
    assert saved["percentiles"]["below_1"] == 1.0


def test_what_is_said_of_a_toy_run(toy_run):
    trained = (toy_run.parent / "trained.txt").read_text()
    for part in ("3 of 3 dimensions active", " gain", "step 7800/7800"):
        assert part in trained
    measured = (toy_run.parent / "measured.txt").read_text()
    assert "576.6, 147, 33.89 predicted from the shapes of the sources" in measured
    assert "R with p(x)" in measured and "s3: R" in measured
    assert ("Not of this run, traverse: Traversals are drawn of images; this run's data are "
            "vectors of 16 numbers") in measured


def test_a_toy_run_measures(toy_run):
    names = {p.name for p in toy_run.iterdir()}
    assert {
        "isometry.json", "isometry.png", "gram.png", "density.json", "density.png", "densities.csv",
        "variables.json", "variables.png"
    } <= names
    saved = json.loads((toy_run / "density.json").read_text())
    assert saved["num_active"] == 3 and saved["num_examples"] == 2000
    found = json.loads((toy_run / "isometry.json").read_text())["principal_components"]
    x = sources.load_toy("mix").eval[np.arange(2000)]
    np.testing.assert_allclose(found["eigenvalue"][:3],
                               np.linalg.eigvalsh(np.cov(x.T))[:-4:-1], rtol=0.01)
    columns = np.genfromtxt(toy_run / "densities.csv", delimiter=",", names=True)
    truth = sources.load_toy("mix").log_density[:2000]
    np.testing.assert_allclose(columns["log_density"], truth, atol=1e-5)
    # Of examples of the data that were trained on: percentiles spread evenly, as p(x) orders them.
    assert saved["percentiles"]["num_train"] == 10_000 and saved["percentiles"][
        "form"] == "objective"
    shares = np.sort(columns["percentile"]) / 100
    # Kolmogorov, 1e-3.
    assert np.abs(shares
                  - (np.arange(2000) + 0.5) / 2000).max() < 1.95 * (1 / 2000 + 1 / 10_000)**0.5
    order = np.argsort(columns["objective"])
    assert (np.diff(columns["percentile"][order]) >= 0).all()
    # After 20 of the 500 epochs the shapes are not learnt yet; still the posterior says more than
    # the prior.
    correlations = {form: entry["correlation"] for form, entry in saved["comparison"].items()}
    assert correlations["posterior"] > 0.55 and correlations[
        "posterior"] > correlations["prior"] + 0.1
    assert correlations["volume"] == pytest.approx(
        np.corrcoef(np.exp(columns["volume"]), np.exp(truth))[0, 1], abs=1e-4)
    for name in ("density", "variables"):
        assert np.asarray(Image.open(toy_run / f"{name}.png").convert("L")).std() > 5


@pytest.mark.slow
def test_percentiles_of_other_data(toy_run, main, tmp_path):
    """Inputs ten times too large are less probable than all of training, as the run's own data say;
    or there are none.
    """
    far = tmp_path / "far.npy"
    np.save(far, 10 * sources.load_toy("mix").eval[np.arange(5)])
    said = main("density", toy_run, "--data", far, "--train_examples", 500, "--out",
                tmp_path).stdout
    assert "Among 500 random training examples" in said
    assert "is at percentile 0.0; 100.0% are below the first" in said
    columns = np.genfromtxt(tmp_path / "densities.csv", delimiter=",", names=True)
    assert (columns["percentile"] == 0).all() and len(columns) == 5
    main("density", toy_run, "--data", far, "--train_examples", 0, "--out", tmp_path)
    assert "percentile" not in (tmp_path / "densities.csv").read_text()
    refused = main("density", toy_run, "--train_examples", -1, check=False)
    assert refused.code != 0
    assert "--train_examples must be at least 0 (0: none); got -1" in refused.stderr


def test_a_toy_run_is_another_configuration_with_another_source(toy_run, main):
    refused = main("toy", "--source", "ramp", "--epochs", 20, "--schedule", "cosine", "--run_dir",
                   toy_run, check=False)
    assert refused.code != 0 and "data: 'mix' there, 'ramp' here" in refused.stderr


def test_traversals_are_of_images(toy_run, main):
    done = main("traverse", toy_run, check=False)
    assert done.code != 0 and "this run's data are vectors of 16 numbers" in done.stderr


def test_tables_of_what_is_there(toy_run, run, main, tmp_path):
    """Tables of runs that they are not of end in a plain word; benchmarks that were not made leave
    their cells empty.
    """
    assert "| ours, toy |" in main("results.tables", "isometry", toy_run).stdout
    toy = main("results.tables", "toy", toy_run).stdout
    assert "| norm Av. |" in toy and "33.89 | 147 | 576.6" in toy and "(paper 0.023)" in toy
    refused = main("results.tables", "density", run, check=False)
    assert refused.code != 0 and "the table 'density' cannot be made of" in refused.stderr
    assert "is not of these data" in main("results.tables", "toy", run).stdout
    refused = main("results.tables", "odd", tmp_path, tmp_path, check=False)
    assert refused.code != 0 and "This table is of one directory; got 2." in refused.stderr
    (tmp_path / "images.json").write_text('{"faces_drawn_per_second": 4000}')
    rows = main("results.tables", "speed", tmp_path).stdout.splitlines()
    assert "| faces drawn | 4,000 images/s |" in rows and all(
        row.endswith("| - |") for row in rows[2:-1])


@pytest.mark.slow
def test_mnist(main, tmp_path):
    """The script of App. G on a small npz, with everything that is drawn of it."""
    rng = np.random.default_rng(0)
    images = (rng.random((80, 28, 28)) ** 3 * 255).astype(np.uint8)
    np.savez(tmp_path / "mnist.npz", x_train=images[:60], x_test=images[60:])
    trained = main("mnist", "--data", tmp_path / "mnist.npz", "--latent_dim", 4, "--batch_size", 10,
                   "--steps", 4, "--log_every", 2, "--checkpoint_every", 2, "--run_dir",
                   tmp_path / "run")
    assert "on 20 examples" in trained.stdout
    main("isometry", tmp_path / "run")
    main("traverse", tmp_path / "run", "--columns", 3)
    assert "isometry-train.json" in main("isometry", tmp_path / "run", "--split", "train").stdout
    saved = [
        json.loads((tmp_path / "run" / f"isometry{suffix}.json").read_text())
        for suffix in ("", "-train")
    ]
    assert [s["num_examples"] for s in saved] == [20, 60]
    density = main("density", tmp_path / "run")
    assert density.code == 0 and (tmp_path / "run" / "extremes.png").exists()
    table = main("results.tables", "precisions", tmp_path / "run").stdout
    assert "| paper, Fig. 25 | above 10 |" in table
    assert sum(
        int(row.split("|")[3]) for row in table.splitlines()
        if row.startswith("| ours, run |")) == 4
    assert "| paper, Fig. 25: MNIST |" in main("results.tables", "isometry",
                                               tmp_path / "run").stdout
    assert np.asarray(Image.open(tmp_path / "run" / "traversal.png").convert("L")).std() > 5
    refused = main("mnist", "--data", tmp_path / "none.npz", "--run_dir", tmp_path / "other",
                   check=False)
    assert refused.code != 0 and "Unknown data" in refused.stderr and not (tmp_path
                                                                           / "other").exists()


def test_closed_forms(main, tmp_path):
    """The exact numbers of the Norm data at lmbda 5, where Eq. 4 and the linear VAE agree, and
    pictures that are not blank.
    """
    assert "quantizer_rates.png" in main("results.closed_forms", tmp_path).stdout
    saved = json.loads((tmp_path / "closed_forms.json").read_text())
    at, = (entry for entry in saved["linear_vae"] if entry["lmbda"] == 5)
    assert (at["distortion"], at["rate"]) == (pytest.approx(0.3), pytest.approx(2.845680, abs=1e-6))
    assert (at["water_filling_distortion"], at["water_filling_rate"]) == pytest.approx(
        (at["distortion"], at["rate"]))
    assert at["precision"] == pytest.approx([1 / 0.6, 1 / 0.15, 1 / 0.0375])
    assert [entry["excess_nats"] for entry in saved["quantizer"]] == pytest.approx(
        [0.171460, 0.156095, 0.129574], abs=1e-6)
    for name in ("toy_sources", "scale_factors", "crossentropy_metric", "quantizer_rates"):
        assert np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")).std() > 5


@pytest.mark.slow
def test_the_users_own_table(main, tmp_path):
    """A csv with a header and columns of any scale: trained, and measured by every command."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 2)) @ rng.standard_normal((2, 4)) * [1, 10, 100, 1000] + 5
    np.savetxt(tmp_path / "mine.csv", x, delimiter=",", header="a,b,c,d", comments="")
    run = tmp_path / "run"
    trained = main("toy", "--source", tmp_path / "mine.csv", "--standardize", "--latent_dim", 2,
                   "--epochs", 300, "--batch_size", 60, "--run_dir", run)
    assert "of 2 dimensions active" in trained.stdout
    for command in ("isometry", "density", "variables"):
        assert "Written" in main(command, run).stdout
    saved = json.loads((run / "density.json").read_text())
    assert saved["num_examples"] == 40 and len(saved["extremes"]["least_probable"]) == 10
    kept = np.delete(x, sources.load_table(str(tmp_path / "mine.csv")).eval.rows, 0)
    config = json.loads((run / "config.json").read_text())
    np.testing.assert_allclose(config["data_manifest"]["standardization"],
                               [kept.mean(0), kept.std(0)], rtol=1e-4, atol=1e-3)
    refused = main("density", run, "--forms", "elbo", check=False)
    assert refused.code != 0 and "Unknown forms ['elbo']" in refused.stderr

    # Some columns of a file without a header: said, kept in the manifest, and read the same way to
    # measure.
    np.savetxt(tmp_path / "bare.csv", x, delimiter=";")
    trained = main("toy", "--data", tmp_path / "bare.csv", "--header", "no", "--separator", ";",
                   "--columns", "3,1,0", "--standardize", "--latent_dim", 2, "--epochs", 2,
                   "--batch_size", 60, "--num_eval", 0, "--run_dir", tmp_path / "some")
    assert "400 rows" in trained.stderr and "bare.csv" in trained.stderr
    reading = json.loads(
        (tmp_path / "some" / "config.json").read_text())["data_manifest"]["reading"]
    assert reading["options"]["columns"] == ["3", "1", "0"]
    assert "on 40 examples" in main("isometry", tmp_path / "some").stdout
    np.savetxt(tmp_path / "other.csv", x[:, [1, 0, 2, 3]], delimiter=",", header="b,a,c,d",
               comments="")
    refused = main("isometry", run, "--data", tmp_path / "other.csv", check=False)
    assert refused.code != 0
    assert "has the columns b, a, c, d; the run was trained on a, b, c, d" in refused.stderr


@pytest.mark.parametrize("name", [
    *commands.SUMMARIES, "results.tables", "results.report", "results.closed_forms",
    "results.ablation", "results.precision", "results.quality", "results.overview", "results.rate"
])
def test_help(main, name):
    done = main(name, "--help", check=False)
    assert done.code == 0 and "usage" in done.stdout


def test_every_command_has_a_summary_and_a_shim(root):
    """Every module of commands/ that can be run is listed; every script of train/ and eval/ runs
    one of them.
    """
    found = {
        path.stem
        for path in (root / "tfisovae" / "commands").glob("*.py")
        if "\ndef run(args: " in path.read_text() and "add_arguments" in path.read_text()
    }
    assert found - {"training", "measuring"} == set(commands.SUMMARIES)
    for path in [*(root / "train").glob("*.py"), *(root / "eval").glob("*.py")]:
        name, = re.findall(r'main\(\["(\w+)", \*sys.argv', path.read_text())
        assert name in commands.SUMMARIES


def test_the_names_that_options_take_are_those_of_the_library():
    from tfisovae import density
    from tfisovae.analysis import measuring
    from tfisovae.autoencoder import posterior
    from tfisovae.commands import choices
    from tfisovae.sources import decoding

    assert choices.SCALES == tuple(posterior.READINGS) and choices.IMAGES == sources.NAMES
    assert choices.CROPS == decoding.CROPS
    assert choices.TOYS == tuple(sources.TOYS) and choices.FORMS == density.FORMS
    assert choices.METHODS == measuring.METHODS


@pytest.mark.parametrize("name", commands.SUMMARIES)
def test_options_are_not_abbreviated(name):
    """Or an option that is added later changes what a command line means: --standardize, of tables,
    was --standardize_latents.
    """
    made = parser(name)
    options = [
        option for action in made._actions for option in action.option_strings
        if option.startswith("--")
    ]
    for action in made._actions:
        action.required = False
    for short in {option[:-1] for option in options} - {*options, "--"}:
        assert made.parse_known_args([short])[1] == [short]
    assert options


@pytest.mark.parametrize(
    "arguments",
    [["--help"], *([name, "--help"] for name in commands.SUMMARIES), ["celeba", "--lmbda", "a"]])
def test_help_imports_no_tensorflow(imported, arguments):
    """It answers within a second: a second of imports alone would be TensorFlow's."""
    assert imported["help"][" ".join(arguments)] is False


@pytest.mark.parametrize("path, options, message", [
    ("celeba", ["--lmbda", "0"], "--lmbda must be positive and finite; got 0.0"),
    ("celeba", ["--lmbda", "inf"], "--lmbda must be positive and finite; got inf"),
    ("celeba", ["--image_size", "40"
                ], "--image_size must be a multiple of 16, at least 16; got 40"),
    ("celeba", ["--latent_dim", "0"], "--latent_dim must be at least 1; got 0"),
    ("celeba", ["--distortion", "l2"], "invalid choice: 'l2'"),
    ("celeba", ["--seed", "-1"], "--seed must be at least 0 and below 2^32; got -1"),
    ("celeba", ["--warmup_steps", "5"], "--warmup_steps needs --decomposed"),
    ("celeba", ["--strategy", "tpu"], "invalid choice: 'tpu'"),
    ("celeba", ["--mixed_precision", "tf32"], "invalid choice: 'tf32'"),
    ("celeba", ["--data", "celebs"], "Unknown data 'celebs': use 'celeb_a', 'faces'"),
    ("celeba", ["--monitor_every", "0"], "--monitor_every must be at least 1; got 0"),
    ("celeba", ["--monitor_share", "0.1"], "--monitor_share needs --monitor_every"),
    ("celeba", ["--monitor_every", "4", "--monitor_share", "1.5"
                ], "--monitor_share must be above 0 and below 1; got 1.5"),
    ("celeba", ["--checkpoint_every", "150"
                ], "--checkpoint_every must be a multiple of --log_every (100); got 150"),
    ("toy", ["--source", "mixed"
             ], "Unknown source 'mixed'; use 'mix', 'ramp', 'norm', or a table"),
    ("toy", ["--num_examples", "0"], "--num_examples must be at least 1; got 0"),
    ("toy", ["--latent_dim", "17"
             ], "--latent_dim must be at most the 16 columns of the data; got 17"),
    ("toy", ["--epochs", "-1"], "--epochs must be at least 1; got -1"),
    ("toy", ["--log_every", "-1"], "--log_every must be at least 1 epoch; got -1"),
    ("mnist", ["--latent_dim", "785"], "--latent_dim must be at most the 784 pixels; got 785"),
    ("celeba", ["--recipe", "quick"
                ], "argument --recipe: invalid choice: 'quick' (choose from 'paper', 'fast')"),
    ("celeba", [
        "--data", "faces", "--num_faces", "200", "--recipe", "fast", "--steps", "1000",
        "--learning_rate_warmup", "1000"
    ], "--learning_rate_warmup must be below the 1000 steps of the training; got 1000"),
    ("toy", ["--learning_rate_warmup", "-1"], "--learning_rate_warmup must be at least 1; got -1"),
    ("toy", ["--averaging", "1"], "--averaging must be at least 0 and below 1; got 1.0"),
    ("toy", ["--log_every", "3", "--checkpoint_every", "4"
             ], "--checkpoint_every must be a multiple of --log_every (3 epochs); got 4"),
    ("toy", ["--num_examples", "100", "--batch_size", "101"
             ], "--batch_size must be at most the 100 training examples; got 101"),
])
def test_bad_options(main, tmp_path, path, options, message):
    done = main(path, "--run_dir", tmp_path / "run", *options, check=False)
    assert done.code != 0 and message in done.stderr
    assert not (tmp_path / "run").exists()


def test_bad_runs(main, run, tmp_path):
    refused = main("celeba", "--data", "faces", *SMALL, "--image_size", 16, "--steps", 4,
                   "--lmbda", 5, "--run_dir", run, check=False)
    assert refused.code != 0 and "lmbda: 1000.0 there, 5.0 here" in refused.stderr
    nothing = main("isometry", tmp_path, check=False)
    assert nothing.code != 0 and "is not a run directory" in nothing.stderr
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text((run / "config.json").read_text())
    half = main("traverse", tmp_path / "half", check=False)
    assert half.code != 0 and "has no model yet" in half.stderr


@pytest.mark.parametrize("name, options, message", [
    ("traverse", ["--rows", "-1"], "--rows must be at least 1; got -1"),
    ("traverse", ["--columns", "1"], "--columns must be at least 2; got 1"),
    ("traverse", ["--limit", "nan"], "--limit must be positive and finite; got nan"),
    ("isometry", ["--rows", "0"], "--rows must be at least 1; got 0"),
    ("isometry", ["--num_examples", "0"], "--num_examples must be at least 1; got 0"),
])
def test_bad_options_of_a_measurement(main, run, name, options, message):
    before = (run / "traversal.png").stat().st_mtime_ns
    done = main(name, run, *options, check=False)
    assert done.code != 0 and message in done.stderr
    assert (run / "traversal.png").stat().st_mtime_ns == before


@pytest.mark.parametrize("command", ["isometry", "density", "variables"])
def test_data_of_another_shape(main, toy_run, tmp_path, command):
    np.save(tmp_path / "narrow.npy", np.ones([30, 6]))
    done = main(command, toy_run, "--data", tmp_path / "narrow.npy", check=False)
    assert done.code != 0
    assert (f"narrow.npy has examples of the shape [6]; {toy_run} was trained on [16]."
            in done.stderr)


def test_damaged_runs(main, run, tmp_path):
    """A file that is not whole is named, with what to do about it."""
    def refused(message, *arguments):
        done = main(*arguments, check=False)
        assert done.code != 0 and message in done.stderr

    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    (copy / "isometry.json").write_text((run / "isometry.json").read_text()[:100])
    refused("isometry.json is not a complete JSON file", "traverse", copy)
    shutil.rmtree(copy / "model" / "variables")
    refused("model is damaged", "isometry", copy)
    (copy / "config.json").write_text("{")
    # A copy of the manifest stands beside the checkpoint.
    refused("model is damaged", "isometry", copy)
    for name in ("checkpoints", "model"):
        shutil.rmtree(copy / name)
    refused("config.json is not a complete JSON file", "isometry", copy)
    (tmp_path / "file").write_text("")
    refused("cannot be made (File exists). Choose another --run_dir", "celeba", "--data", "faces",
            *SMALL, "--run_dir", tmp_path / "file")


def test_the_package_turns_onednn_on_before_tensorflow_starts(imported):
    """TensorFlow reads the option when it is imported: the package has to come first in every
    command.
    """
    assert imported["onednn"] == dict.fromkeys(commands.SUMMARIES, "option 1")
