"""The table of trainings on Mix: what they still gain, and how far they are from the bound."""
import pytest

from results import mix
from tests.messages import refuses

pytestmark = pytest.mark.slow


def test_an_early_end_is_improving(main, tmp_path):
    """780 steps of a cosine: a doubling gains more than the margin, and less than is missing."""
    run = tmp_path / "cosine-2"
    main("toy", "--epochs", 2, "--schedule", "cosine", "--num_eval", 0, "--run_dir", run)
    main("isometry", run, "--gradient_examples", 0)
    with refuses(ValueError, "--probe"):
        mix.row(run)
    main("isometry", run, "--gradient_examples", 0, "--probe", "--probe_seeds", 2)
    found = mix.row(run)
    assert found["state"] == "improving" and found["num_seeds"] == 2
    assert (found["schedule"], found["steps"]) == ("cosine", 780)
    assert 0.1 < found["gain"] < found["missing"]
    assert found["standard_error"] > found["spread"] / 2**0.5
    main("results.mix", run, "--json", tmp_path / "mix.json")
