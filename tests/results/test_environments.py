"""Trainings in two environments side by side."""
import json

import numpy as np

from results import environments
from tests.support import ROOT
from tfisovae import files


def write(directory, loss, precision):
    directory.mkdir()
    saved = {**{name: loss + number for number, name in enumerate(environments.NUMBERS)},
             "precision_mean": precision}
    (directory / "isometry.json").write_text(json.dumps(saved))
    (directory / "config.json").write_text('{"versions": {"python": "3.11"}}')
    return str(directory)


def test_a_difference_is_found_and_the_order_of_dimensions_is_none(tmp_path):
    rng = np.random.default_rng(0)
    sides = [[write(tmp_path / f"{side}{seed}", shift + 0.01 * rng.normal(),
                    [5 + 0.1 * rng.normal(), 50 + rng.normal()][::1 - 2 * side])
              for seed in range(4)] for side, shift in enumerate((1.0, 2.0))]
    environments.main([*sides[0], "--against", *sides[1], "--out", str(tmp_path / "found.json")])
    found = files.read_json(tmp_path / "found.json")["numbers"]
    assert found["loss"]["p_value"] < 1e-4
    assert found["precision_0"]["p_value"] > 0.01 and min(found["precision_0"]["here"]) > 40


def test_the_page_has_the_numbers_of_the_file():
    found = files.read_json(ROOT / "results" / "toy" / "environments.json")
    text = (ROOT / "results" / "toy" / "README.md").read_text()
    least = min(row["p_value"] for row in found["numbers"].values())
    assert least > 0.01 and f"the smallest p-value of Welch's t-test is {least:.2f}" in text
    for side in ("here", "there"):
        assert f"{np.mean(found['numbers']['loss'][side]):.4f}" in text
    assert f"TensorFlow {found['here']['tensorflow']} and Keras {found['here']['keras']}" in text
