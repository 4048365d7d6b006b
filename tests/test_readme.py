"""The README: its commands are ones that the scripts take, its code runs, and its tables are those of results/."""
import pathlib
import re
import shlex

import numpy as np
import pytest
import tensorflow as tf
from conftest import load_script

ROOT = pathlib.Path(__file__).parent.parent

README = (ROOT / "README.md").read_text()


def commands():
    return sorted(set(re.findall(r"^ +python ((?:train|eval)/\w+\.py.*?)(?: +#.*)?$", README, re.M)))


@pytest.mark.parametrize("command", commands())
def test_commands_are_taken(command):
    path, *options = shlex.split(command)
    script = load_script(path)
    args = script.parser().parse_args(options)
    if hasattr(script, "resolve"):
        assert script.resolve(args).get("lmbda", 1) > 0


def test_there_are_commands_of_every_script():
    assert {c.split()[0] for c in commands()} >= {"train/celeba.py", "train/toy.py", "eval/isometry.py", "eval/traverse.py",
                                                        "eval/density.py", "eval/variables.py"}
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.M) for target in re.findall(r"^ +make (\w+)", README, re.M))


def test_the_tour_of_the_api_runs(tmp_path, monkeypatch):
    """As it stands, on four random images and one epoch."""
    code, = re.findall(r"```python\n(.*?)```", README, re.S)
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).uniform(size=(4, 64, 64, 3)).astype(np.float32)
    data = tf.data.Dataset.from_tensor_slices(x).batch(2)
    scope = {"dataset": data, "test_dataset": data}
    exec(code.replace("epochs=10", "epochs=1").replace("latent_dim=32", "latent_dim=4"), scope)
    assert scope["analysis"].num_examples == 4
    assert (tmp_path / "model" / "saved_model.pb").exists()


@pytest.mark.parametrize("path", ["README.md", "results/README.md"])
def test_the_tables_are_those_of_the_results(path):
    """Every marked table is what eval/table.py makes of results/ now."""
    report = load_script("eval/report.py")
    text = (ROOT / path).read_text()
    assert text.count("<!-- table") == text.count("<!-- end -->") >= 4
    assert report.filled(text, ROOT / path.rpartition("/")[0]) == text


def test_pictures_in_the_readme_exist():
    for directory, text in ((ROOT, README), (ROOT / "results", (ROOT / "results" / "README.md").read_text())):
        pictures = re.findall(r"\]\(([\w/.-]+\.png)\)", text)
        assert pictures and all((directory / picture).is_file() for picture in pictures)
