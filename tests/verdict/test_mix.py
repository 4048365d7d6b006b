"""The verdict on trainings whose state is known: the published model at the end of its schedule,
and one of 1 % of the steps.
"""
import shutil

import pytest

from results import mix

pytestmark = pytest.mark.slow


def test_the_end_of_a_schedule_is_at_rest_and_one_percent_of_a_training_is_not(
        main, root, tmp_path):
    """The published model of 195,000 steps measures as published, and passes; 1,950 steps have
    their moments right, and fail.
    """
    published = tmp_path / "published"
    shutil.copytree(root / "results" / "verdict" / "mix-cosine", published)
    finished = mix.row(str(published))
    assert finished["state"] == "converged"
    known, = [row for row in mix.files.read_json(root / "results" / "verdict" / "mix.json")["runs"]
              if (row["schedule"], row["seed"], row["step"]) == ("cosine", 0, 195_000)]
    for name in ("loss", "balance", "transform_to_coding", "p"):
        assert abs(finished[name] / known[name] - 1) < 1e-3, name

    main("toy", "--epochs", 5, "--num_eval", 0, "--run_dir", tmp_path / "early")
    early = mix.row(str(tmp_path / "early"))
    assert early["state"] == "not_converged" and early[
        "transform_to_coding"] > 10 * finished["transform_to_coding"]
    assert abs(early["balance"] - 1) < 0.05  # scale, shift and noise alone would pass it
    # Examples: the gradient stands out of the noise of a small batch.
    assert early["noise_scale"] < 100
