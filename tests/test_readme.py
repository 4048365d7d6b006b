"""The README: its commands are ones that the scripts take, its code runs, and its tables are those
of results/.
"""
import importlib
import importlib.util
import json
import pathlib
import pkgutil
import re
import shlex
import types

import numpy as np
import pytest
import tensorflow as tf

from results import report
from tfisovae.__main__ import parser

ROOT = pathlib.Path(__file__).parent.parent

README = (ROOT / "README.md").read_text()


def commands():
    return sorted(
        set(
            re.findall(
                r"^ +((?:python (?:train|eval)/|python -m results\.|tfisovae )\w+.*?)(?: +#.*)?$",
                README, re.M)))


@pytest.mark.parametrize("command", commands())
def test_commands_are_taken(command):
    program, *options = shlex.split(command)
    if program == "python" and options[0] == "-m":
        assert importlib.import_module(options[1]).parser().parse_args(options[2:])
        return
    if program == "python":
        shim = (ROOT / options.pop(0)).read_text()
        name, = re.findall(r'main\(\["(\w+)"', shim)
    else:
        name = options.pop(0)
    args = parser(name).parse_args(options)
    module = importlib.import_module(f"tfisovae.commands.{name}")
    if hasattr(module, "resolve"):
        assert module.resolve(args).get("lmbda", 1) > 0


def test_there_are_commands_of_every_kind():
    named = {
        re.sub(r"^python |^tfisovae (\w+).*", r"\1", command).split()[0]
        for command in commands()
    }
    assert named >= {
        "train/celeba.py", "train/toy.py", "train/mnist.py", "eval/isometry.py", "eval/traverse.py",
        "eval/density.py", "eval/variables.py"
    }
    makefile = (ROOT / "Makefile").read_text()
    assert all(
        re.search(rf"^{target}:", makefile, re.M)
        for target in re.findall(r"^ +make (\w+)", README, re.M))


YOURS, OURS = re.findall(r"```python\n(.*?)```", README, re.S)


class Sampling(tf.keras.layers.Layer):
    """The Keras documentation's."""

    def call(self, inputs):
        z_mean, z_log_var = inputs
        return z_mean + tf.exp(0.5 * z_log_var) * tf.random.normal(tf.shape(z_mean))


@pytest.mark.slow
def test_the_audit_of_the_keras_documentation_runs(capsys):
    """As it stands, on that VAE untrained, and 310 images: the beta of its loss is 1, and it is
    told that it is not at rest.
    """
    layers = tf.keras.layers
    images, latents = tf.keras.Input((28, 28, 1)), tf.keras.Input((2,))
    h = layers.Dense(16, "relu")(layers.Flatten()(layers.Conv2D(8, 3, 2, "same",
                                                                activation="relu")(images)))
    mean, log_variance = layers.Dense(2, name="z_mean",
                                      kernel_initializer="he_normal")(h), layers.Dense(
                                          2, name="z_log_var")(h)
    encoder = tf.keras.Model(images, [mean, log_variance, Sampling()([mean, log_variance])])
    h = layers.Reshape((7, 7, 8))(layers.Dense(7 * 7 * 8, "relu")(latents))
    h = layers.Conv2DTranspose(8, 3, 2, "same", activation="relu")(h)
    decoder = tf.keras.Model(latents,
                             layers.Conv2DTranspose(1, 3, 2, "same", activation="sigmoid")(h))
    x = np.random.default_rng(0).uniform(size=(310, 28, 28, 1)).astype(np.float32) * 4 % 1
    encoder.get_layer("z_mean").set_weights(
        [3 * w for w in encoder.get_layer("z_mean").get_weights()])
    scope = {"encoder": encoder, "decoder": decoder, "x_test": x}
    exec(YOURS, scope)
    assert scope["beta"] == 1 and scope["analysis"].num_examples == 310 and scope[
        "analysis"].tangents == "autodiff"
    said = capsys.readouterr().out
    assert "beta = " in said
    assert "\nTraining: " in said
    assert "\nTo do: " in said


@pytest.mark.slow
def test_the_tour_of_the_api_runs(tmp_path, monkeypatch):
    """As it stands, on four random images and one epoch."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).uniform(size=(4, 64, 64, 3)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices(x).batch(2)
    scope = {"dataset": data, "test_dataset": data}
    exec(
        OURS.replace("epochs=10", "epochs=1").replace("latent_dim=32", "latent_dim=4").replace(
            "vae, 10,", "vae, 2,"), scope)
    assert scope["analysis"].num_examples == 4 and scope["small"].n == 2
    assert (tmp_path / "model" / "saved_model.pb").exists()


@pytest.mark.parametrize("path", ["README.md", "results/README.md"])
def test_the_tables_are_those_of_the_results(path):
    """Every marked table is what results/tables.py makes of results/ now."""
    text = (ROOT / path).read_text()
    assert text.count("<!-- table") == text.count("<!-- end -->") >= 4
    assert report.filled(text, ROOT / path.rpartition("/")[0]) == text


def test_the_map_from_the_paper_names_what_there_is():
    """Every `module.name` of its right column, as `import tfisovae` gives it; every script of
    eval/, train/ and results/.
    """
    right = [
        line.split("|")[2]
        for line in re.search(r"\| paper \| code \|\n(.*?)\n\n", README, re.S)[1].splitlines()[1:]
    ]
    names = [name for cell in right for name in re.findall(r"`([^`]+)`", cell)]
    assert len(names) > 50
    before = "tfisovae"
    for name in names:
        if "/" in name:
            assert (ROOT / name).exists(), name
        elif "*" not in name and not name.startswith("."):  # of every distortion
            # `networks.toy`, `celeba`: the second is in the module that the first names.
            assert is_there(f"tfisovae.{name}") or is_there(f"{before}.{name}"), name
            if "." in name:
                before = f"tfisovae.{name}".rpartition(".")[0]


def is_there(path):
    """Whether a dotted path is a module, something in one, or a field of a dataclass in one."""
    owner, _, last = path.rpartition(".")
    try:
        owner = pkgutil.resolve_name(owner)
    except (ImportError, AttributeError):
        return False
    if hasattr(owner, last) or last in getattr(owner, "__dataclass_fields__", {}):
        return True
    return isinstance(owner, types.ModuleType) and importlib.util.find_spec(path) is not None


def test_pictures_in_the_readme_exist():
    for directory, text in ((ROOT, README), (ROOT / "results",
                                             (ROOT / "results" / "README.md").read_text())):
        pictures = re.findall(r"\]\(([\w/.-]+\.png)\)", text)
        assert pictures and all((directory / picture).is_file() for picture in pictures)


def test_the_faults_of_the_readme_are_those_that_were_tried():
    saved = json.loads((ROOT / "results" / "faults" / "faults.json").read_text())
    said, = re.findall(r"(\d+) faults tried: (\d+) survived, (\d+) refused in a line, (\d+) lost",
                       " ".join(README.split()))
    assert [int(number)
            for number in said] == [saved[key] for key in ("tried", "survived", "refused", "lost")]
    assert f"after {saved['slowest_stop_seconds']:.2f} s" in (ROOT / "results"
                                                              / "README.md").read_text()
